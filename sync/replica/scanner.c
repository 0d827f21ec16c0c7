/* SPDX-License-Identifier: MIT
 *
 * scanner: see scanner.h.
 *
 * A scan that meets unreadable keys is still an answer (READY and SCAN_DONE
 * carry the count and the first error); only the loss of the database itself,
 * or of memory, ends the session.
 */
#include "sync/replica/scanner.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/buf.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/layout/temps.h"
#include "sync/index/scan.h"
#include "sync/replica/disk/perms.h"
#include "sync/replica/receive.h"

enum {
    SAVE_EVERY_S = 300,
    NAMES_AT_ONCE = 64, /* names handed to the core together */
    UNREAD_MAX = 1000,  /* keys of one scan that are told by name */
    PERMS_EVERY_S = 3,  /* looks whether what was left may have its modes */
};

enum job_kind { JOB_SCAN, JOB_NAMES, JOB_EDITS };

struct scanner_job {
    enum job_kind kind;
    uint64_t id;
    bool given_up;        /* under the scanner's mutex */
    unsigned how;         /* WIRE_SCAN_* */
    struct digest *names; /* sorted; owned */
    size_t n;
    struct edits_job *edits; /* owned */
    struct scanner_job *next;
};

static void job_free(struct scanner_job *job)
{
    free(job->names);
    edits_job_free(job->edits);
    free(job);
}

static void add_job(struct scanner *s, struct scanner_job *job)
{
    pthread_mutex_lock(&s->mutex);
    struct scanner_job **at = &s->jobs;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = job;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->mutex);
}

/* --- scan ---------------------------------------------------------------- */

/* The mutex keeps a report of the running job from coming after its end. */
static void set_busy(struct receive *rv, bool busy, bool scanning,
                     uint64_t keys)
{
    struct scanner *s = &rv->scanner;

    pthread_mutex_lock(&s->progress_mutex);
    s->busy = busy;
    s->scanning = scanning;
    receiver_progress(rv->core, scanning, keys);
    pthread_mutex_unlock(&s->progress_mutex);
}

void scanner_report(struct scanner *s, struct receive *rv)
{
    pthread_mutex_lock(&s->progress_mutex);
    if (s->busy) {
        receiver_progress(
            rv->core, s->scanning,
            atomic_load_explicit(&s->keys_done, memory_order_relaxed));
    }
    pthread_mutex_unlock(&s->progress_mutex);
}

/* Did the job end because it was given up, and the session goes on? */
static bool is_given_up(struct scanner *s, const struct scanner_job *job)
{
    pthread_mutex_lock(&s->mutex);
    bool given_up = job->given_up && !s->stop;
    pthread_mutex_unlock(&s->mutex);
    return given_up;
}

struct scan_run {
    struct receive *rv;
    uint64_t id;
    struct view *view; /* NULL: the index takes what is found */
    size_t unread;     /* told by name */
};

/* It may be anything by now, so nobody shall take it for equal. */
static void report_unread(void *arg, bool busy, const struct err *why,
                          const char *table, size_t table_len, const char *key,
                          size_t key_len)
{
    struct scan_run *run = arg;
    edits_unread(run->rv->edits, busy ? NULL : why, table, table_len, key,
                 key_len);
    struct wire_unread m = {.id = run->id,
                            .busy = busy,
                            .sys = why != NULL ? why->sys : 0,
                            .is_table = key == NULL,
                            .table = bytes_of(table, table_len),
                            .key = bytes_of(key, key_len)};

    if (run->id != 0 && run->unread++ < UNREAD_MAX) {
        receiver_unread(run->rv->core, &m);
    }
}

static int keep_in_view(void *arg, const struct index_entry *was,
                        const struct index_entry *now, struct err *err)
{
    return view_add(arg, was, now, err);
}

/* --- owners, groups and modes -------------------------------------------- */

static int see_nothing(void *arg, const struct index_entry *was,
                       const struct index_entry *now, struct err *err)
{
    (void)arg, (void)was, (void)now, (void)err;
    return 0;
}

/* What had to wait. */
static int perms_held(struct receive *rv, struct err *err)
{
    struct scanner *s = &rv->scanner;
    struct perms_pass d = {.set = 0};
    struct scan_result result;
    struct scan_options opt = {
        .scan = ++s->last_scan, .stop = &s->stop_scan, .view = see_nothing};

    scanner_perms_begin(rv, 0, &d, &opt);
    int rc =
        scan_run(&rv->disk.meta.db, rv->index, &opt, NULL, NULL, &result, err);
    if (rc == 0) {
        scanner_perms_end(rv, 0, &d);
    }
    return rc;
}

/* Temporaries of writers came with a copied directory, from programs that wrote
 * to the replica itself, or from a receiver that was killed.  That one is gone:
 * we have its lock. */
static void sweep_temps(struct receive *rv)
{
    uint64_t removed;
    struct err err;

    if (temps_sweep(&rv->disk.meta.db, rv->disk.begun_ns, &removed, &err) !=
        0) {
        replica_say_error(&err);
    }
}

/* The first scan: what was saved under another key comes in before it. */
static int take_over_prior(struct receive *rv, struct err *err)
{
    struct scanner *s = &rv->scanner;
    int rc = 0;

    if (s->prior != NULL) {
        rc = scan_rekey(&rv->disk.meta.db, s->prior, rv->index, err);
        index_free(s->prior);
        s->prior = NULL;
        s->saved_changes = UINT64_MAX; /* worth saving now */
    }
    return rc;
}

static struct wire_ready result_of(const struct receive *rv, uint64_t id,
                                   const struct scan_result *result)
{
    return (struct wire_ready){
        .root = index_root(rv->index),
        .keys = index_count(rv->index),
        .tables = index_tables(rv->index),
        .reread = result->reread,
        .errors = result->errors + result->counts.incomplete + result->foreign +
                  (id != 0 ? result->busy : 0),
        .first_error =
            bytes_of(result->first_error, strlen(result->first_error)),
    };
}

/* What it did not see is not known to be as the index says.  What it has seen
 * was put there. */
static int answer_given_up(struct receive *rv, const struct scanner_job *job,
                           const struct scan_result *result, struct err *err)
{
    static const char why[] = "the scan was given up";
    struct wire_ready ready = result_of(rv, job->id, result);

    ready.errors++;
    ready.first_error = bytes_of(why, sizeof why - 1);
    if ((job->how & WIRE_SCAN_VIEW) != 0) {
        return receiver_viewed(rv->core, job->id, &ready, NULL, err);
    }
    rv->scanner.saved_changes = UINT64_MAX;
    return receiver_scanned(rv->core, job->id, &ready, err);
}

static int answer_scan(struct receive *rv, const struct scanner_job *job,
                       const struct scan_result *result, struct view *view,
                       struct err *err)
{
    struct wire_ready ready = result_of(rv, job->id, result);

    if (view != NULL) {
        view_close(view);
        return receiver_viewed(rv->core, job->id, &ready, view, err);
    }
    if (result->counts.temps > 0) {
        sweep_temps(rv);
    }
    if (result->changed + result->reread + result->vanished > 0) {
        rv->scanner.saved_changes = UINT64_MAX; /* worth saving now */
    }
    return receiver_scanned(rv->core, job->id, &ready, err);
}

/* The index has its key, and takes what is found. */
static void begin_edits(const struct receive *rv, bool takes)
{
    edits_indexed(rv->edits);
    if (takes) {
        edits_scanned(rv->edits);
    }
}

static int run_scan(struct receive *rv, const struct scanner_job *job,
                    struct err *err)
{
    struct scanner *s = &rv->scanner;
    struct scan_options opt = {
        .content = (job->how & WIRE_SCAN_CONTENT) != 0,
        .scan = ++s->last_scan,
        .settle_ms = 0, /* a replica's readers make no placeholders */
        .stop = &s->stop_scan,
        .keys_done = &s->keys_done,
        .unread = report_unread,
        .foreign_counts = true,
        .dir = edits_dir,
        .dir_arg = rv->edits,
    };
    struct scan_run run = {.rv = rv, .id = job->id};
    struct perms_pass perms = {.set = 0};
    struct scan_result result = {.reread = 0};

    if ((job->how & WIRE_SCAN_VIEW) != 0) {
        run.view = opt.view_arg = view_new();
        opt.view = keep_in_view;
        if (run.view == NULL) {
            return err_set(err, ERR_NOMEM, 0, "no memory for a scan");
        }
    }
    scanner_perms_begin(rv, job->how, &perms, &opt);
    begin_edits(rv, opt.view == NULL);
    edits_unread_begin(rv->edits);
    set_busy(rv, true, true, 0);
    int rc = take_over_prior(rv, err);
    if (rc == 0) {
        rc = scan_run(&rv->disk.meta.db, rv->index, &opt, NULL, &run, &result,
                      err);
    }
    set_busy(rv, false, false, result.counts.keys);
    if (rc == 0) {
        scanner_perms_end(rv, job->id, &perms);
        rc = answer_scan(rv, job, &result, run.view, err);
        edits_unread_end(rv->edits, &result);
        return rc;
    }
    view_free(run.view);
    return is_given_up(s, job) ? answer_given_up(rv, job, &result, err) : rc;
}

/* --- names --------------------------------------------------------------- */

struct names_run {
    struct receive *rv;
    const struct scanner_job *job;
    struct wire_name out[NAMES_AT_ONCE];
    size_t at[NAMES_AT_ONCE][2]; /* table and key in `text` */
    struct buf text;
    size_t n;
    struct err *err;
};

static bool is_stopped(const struct names_run *run)
{
    return atomic_load_explicit(&run->rv->scanner.stop_scan,
                                memory_order_relaxed) != 0;
}

/* A stop is found(): it ends the walk. */
static bool wanted(void *arg, struct digest name)
{
    const struct names_run *run = arg;
    struct scanner *s = &run->rv->scanner;

    atomic_fetch_add_explicit(&s->keys_done, 1, memory_order_relaxed);
    if (is_stopped(run)) {
        return true;
    }
    return bsearch(&name, run->job->names, run->job->n, sizeof name,
                   digest_compare) != NULL;
}

static int hand_over(struct names_run *run, bool last)
{
    for (size_t i = 0; i < run->n; i++) {
        run->out[i].table.p = run->text.data + run->at[i][0];
        run->out[i].key.p = run->text.data + run->at[i][1];
    }
    int rc = receiver_named(run->rv->core, run->job->id, run->out, run->n, last,
                            run->err);

    run->n = 0;
    buf_clear(&run->text);
    return rc;
}

static int found(void *arg, struct digest name, bool is_table,
                 const char *table, size_t table_len, const char *key,
                 size_t key_len)
{
    struct names_run *run = arg;

    if (is_stopped(run)) {
        return err_set(run->err, ERR_CLOSED, 0, "stopped");
    }
    struct wire_name *m = &run->out[run->n];

    m->name = name;
    m->is_table = is_table;
    m->table.len = table_len;
    m->key.len = is_table ? 0 : key_len;
    run->at[run->n][0] = run->text.len;
    buf_put(&run->text, table, table_len);
    run->at[run->n][1] = run->text.len;
    if (!is_table) {
        buf_put(&run->text, key, key_len);
    }
    if (run->text.bad) {
        return err_set(run->err, ERR_NOMEM, 0, "no memory for names");
    }
    run->n++;
    return run->n == NAMES_AT_ONCE ? hand_over(run, false) : 0;
}

static int run_names(struct receive *rv, const struct scanner_job *job,
                     struct err *err)
{
    struct names_run *run = calloc(1, sizeof *run);

    if (run == NULL) {
        return err_set(err, ERR_NOMEM, 0, "no memory for names");
    }
    run->rv = rv;

    run->job = job;
    run->err = err;
    qsort(job->names, job->n, sizeof *job->names, digest_compare);
    bool complete;
    set_busy(rv, true, false, 0);
    int rc = scan_names(&rv->disk.meta.db, index_key(rv->index), wanted, found,
                        run, &complete, err);
    set_busy(rv, false, false, 0);
    if (rc == ERR_CLOSED && is_given_up(&rv->scanner, job)) {
        run->n = 0;
        rc = 0;
    }
    /* Names that were not found are gone, or unreadable: the agent asks again
     * when the next comparison still differs. */
    if (rc == 0) {
        rc = hand_over(run, true);
    }
    buf_deinit(&run->text);
    free(run);
    return rc;
}

/* --- edits by others ----------------------------------------------------- */

static int run_edits(struct receive *rv, const struct scanner_job *job,
                     struct err *err)
{
    set_busy(rv, true, true, 0);
    int rc = edits_run(rv, job->edits, err);
    set_busy(rv, false, false, 0);
    return rc;
}

/* --- the saved index ----------------------------------------------------- */

static uint64_t changes(struct receive *rv)
{
    return atomic_load_explicit(&rv->disk.changes, memory_order_relaxed);
}

int scanner_save(struct scanner *s, struct receive *rv, struct err *err)
{
    uint64_t now = changes(rv);

    if (now == s->saved_changes) {
        return 0;
    }
    int rc = index_save(rv->index, rv->disk.meta.fd, META_FILE_INDEX, &s->ident,
                        clock_real_ns(), err);
    if (rc == 0) {
        s->saved_changes = now;
    }
    return rc;
}

/* Another agent, or one that has lost its state: the names are hashed anew by
 * the first scan. */
static void use_key(struct scanner *s, struct receive *rv,
                    const struct wire_hello *hello)
{
    struct index_key key;

    memcpy(&key, hello->key, sizeof key);
    if (memcmp(&key, index_key(rv->index), sizeof key) != 0) {
        s->prior = index_split(rv->index, &key);
    }
}

void scanner_identified(struct scanner *s, struct receive *rv,
                        const struct wire_hello *hello)
{
    struct err err;
    const struct db *db = &rv->disk.meta.db;

    memcpy(s->ident.db_id, rv->disk.ident.db_id, sizeof s->ident.db_id);
    s->ident.root_dev = (uint64_t)db->dev;
    s->ident.root_ino = (uint64_t)db->ino;
    int rc = index_load(rv->index, rv->disk.meta.fd, META_FILE_INDEX, &s->ident,
                        &err);
    if (rc != 0 && rc != ERR_NOTFOUND) {
        replica_say("the saved index is not used (%s); every value is read "
                    "once",
                    err.msg);
    }
    use_key(s, rv, hello);
}

/* --- the thread ---------------------------------------------------------- */

static struct scanner_job *next_job(struct scanner *s, int64_t save_at_s)
{
    struct timespec until = {.tv_sec = (time_t)save_at_s};

    pthread_mutex_lock(&s->mutex);
    while (s->jobs == NULL && !s->stop &&
           clock_mono_ns() / NS_PER_S < save_at_s) {
        (void)pthread_cond_clockwait(&s->wake, &s->mutex, CLOCK_MONOTONIC,
                                     &until);
    }
    struct scanner_job *job = s->stop ? NULL : s->jobs;
    if (job != NULL) {
        s->jobs = job->next;
        atomic_store_explicit(&s->keys_done, 0, memory_order_relaxed);
        atomic_store_explicit(&s->stop_scan, job->given_up,
                              memory_order_relaxed);
    }
    s->running = job;
    pthread_mutex_unlock(&s->mutex);
    return job;
}

static void job_done(struct scanner *s, struct scanner_job *job)
{
    pthread_mutex_lock(&s->mutex);
    s->running = NULL;
    atomic_store_explicit(&s->stop_scan, s->stop, memory_order_relaxed);
    pthread_mutex_unlock(&s->mutex);
    job_free(job);
}

static bool stopped(struct scanner *s)
{
    pthread_mutex_lock(&s->mutex);
    bool stop = s->stop;
    pthread_mutex_unlock(&s->mutex);
    return stop;
}

static void save_now(struct scanner *s, struct receive *rv)
{
    struct err err;

    if (!atomic_load(&rv->disk.identified)) {
        return;
    }
    if (scanner_save(s, rv, &err) != 0) {
        replica_say_error(&err);
    }
    if (disk_save_watermark(&rv->disk, &err) != 0) {
        replica_say_error(&err);
    }
}

/* 0 or ERR_*: what the session ends with. */
static int work(struct receive *rv, struct scanner_job *job, struct err *err)
{
    int rc = 0;

    if (job != NULL) {
        rc = job->kind == JOB_SCAN    ? run_scan(rv, job, err)
             : job->kind == JOB_NAMES ? run_names(rv, job, err)
                                      : run_edits(rv, job, err);
        job_done(&rv->scanner, job);
    } else if (rv->scanner.perms_due &&
               atomic_load(&rv->disk.undo_since_ns) == 0) {
        rc = perms_held(rv, err);
        rc = rc == ERR_CLOSED ? 0 : rc; /* another scan is asked for */
    }
    return rc;
}

/* When the index is to be saved, after `worked`. */
static int64_t save_time_s(struct scanner *s, bool worked, int64_t save_at_s)
{
    int64_t now_s = clock_mono_ns() / NS_PER_S;

    if (s->young) {
        s->young = false;
        s->saved_changes = UINT64_MAX; /* worth saving */
        return now_s + UNPROVEN_NS / NS_PER_S + 1;
    }
    return worked && s->saved_changes == UINT64_MAX ? now_s : save_at_s;
}

/* When there may be something to do without a job. */
static int64_t wake_time_s(const struct scanner *s, int64_t save_at_s)
{
    int64_t perms_s = clock_mono_ns() / NS_PER_S + PERMS_EVERY_S;

    return s->perms_due && perms_s < save_at_s ? perms_s : save_at_s;
}

static void *scanner_thread(void *arg)
{
    struct receive *rv = arg;
    struct scanner *s = &rv->scanner;
    int64_t save_at_s = clock_mono_ns() / NS_PER_S + SAVE_EVERY_S;

    while (!stopped(s)) {
        struct scanner_job *job = next_job(s, wake_time_s(s, save_at_s));
        struct err err = {0};
        bool worked = job != NULL;
        if (work(rv, job, &err) != 0 && !stopped(s)) {
            receive_fail(rv, &err);
            break;
        }
        save_at_s = save_time_s(s, worked, save_at_s);
        if (clock_mono_ns() / NS_PER_S >= save_at_s) {
            save_now(s, rv);
            save_at_s = clock_mono_ns() / NS_PER_S + SAVE_EVERY_S;
        }
    }
    return NULL;
}

/* Without it nobody would ever answer: the session ends. */
static struct scanner_job *job_new(struct receive *rv, enum job_kind kind,
                                   uint64_t id)
{
    struct scanner_job *job = calloc(1, sizeof *job);

    if (job == NULL) {
        struct err err;
        (void)err_set(&err, ERR_NOMEM, 0, "no memory for a scan");
        receive_fail(rv, &err);
        return NULL;
    }
    job->kind = kind;

    job->id = id;
    return job;
}

void scanner_scan(struct scanner *s, struct receive *rv, uint64_t id,
                  unsigned how)
{
    struct scanner_job *job = job_new(rv, JOB_SCAN, id);

    if (job != NULL) {
        job->how = how;
        add_job(s, job);
    }
}

void scanner_names(struct scanner *s, struct receive *rv, uint64_t id,
                   struct digest *names, size_t n)
{
    struct scanner_job *job = job_new(rv, JOB_NAMES, id);

    if (job == NULL) {
        free(names);
        return;
    }
    job->names = names;

    job->n = n;
    add_job(s, job);
}

void scanner_edits(struct scanner *s, struct receive *rv,
                   struct edits_job *edits)
{
    struct scanner_job *job = job_new(rv, JOB_EDITS, 0);

    if (job == NULL) {
        edits_job_free(edits);
        return;
    }
    job->edits = edits;
    add_job(s, job);
}

static bool is_it(const struct scanner_job *job, bool names, uint64_t id)
{
    return job->id == id && job->kind == (names ? JOB_NAMES : JOB_SCAN);
}

void scanner_give_up(struct scanner *s, bool names, uint64_t id)
{
    pthread_mutex_lock(&s->mutex);
    if (s->running != NULL && is_it(s->running, names, id)) {
        s->running->given_up = true;
        atomic_store_explicit(&s->stop_scan, 1, memory_order_relaxed);
    }
    for (struct scanner_job *job = s->jobs; job != NULL; job = job->next) {
        job->given_up = job->given_up || is_it(job, names, id);
    }
    pthread_mutex_unlock(&s->mutex);
}

void scanner_init(struct scanner *s)
{
    pthread_mutex_init(&s->mutex, NULL);
    pthread_mutex_init(&s->progress_mutex, NULL);
    pthread_cond_init(&s->wake, NULL);
}

void scanner_deinit(struct scanner *s)
{
    assert(!s->started && s->jobs == NULL);
    index_free(s->prior);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->progress_mutex);
    pthread_mutex_destroy(&s->mutex);
}

int scanner_start(struct scanner *s, struct receive *rv)
{
    int sys = pthread_create(&s->thread, NULL, scanner_thread, rv);

    s->started = sys == 0;
    return sys;
}

void scanner_stop(struct scanner *s)
{
    pthread_mutex_lock(&s->mutex);
    s->stop = true;
    atomic_store_explicit(&s->stop_scan, 1, memory_order_relaxed);
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->mutex);
    if (s->started) {
        (void)pthread_join(s->thread, NULL);
    }
    s->started = false;
    while (s->jobs != NULL) {
        struct scanner_job *job = s->jobs;
        s->jobs = job->next;
        job_free(job);
    }
}
