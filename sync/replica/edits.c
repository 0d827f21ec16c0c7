/* SPDX-License-Identifier: MIT
 *
 * edits: see edits.h.
 *
 * The thread reads inotify's queue in rounds, so that many events of one name
 * are one read; it takes stats and never waits for the disk's writes.  What is
 * foreign goes to the scanner as a job, one at a time, for there may be one
 * scan of an index at a time.
 */
#include "sync/replica/edits.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/quote.h"
#include "store/layout/walk.h"
#include "sync/index/scan.h"
#include "sync/replica/disk/perms.h"
#include "sync/replica/edits/edit_names.h"
#include "sync/replica/edits/edit_watch.h"
#include "sync/replica/receive.h"

enum {
    ROUND_MS = 100,       /* events are gathered for so long */
    BUSY_TRIES = 3,       /* rounds in which a changed key cannot be read */
    CALM_MS = 1000,       /* how often it is asked whether our own work rests */
    CALM_CHANGES = 500,   /* ... which it does with fewer changes than these */
    RESTLESS_MS = 30000,  /* so long a scan waits for rest */
    SCAN_REST_MS = 2000,  /* between two scans, at least ... */
    SCAN_REST_TIMES = 50, /* ... and so many times as long as one took */
};

/* A second or two of reading. */
#define READ_MAX_BYTES (UINT64_C(4) << 30)

struct edits {
    struct edit_watch *watch;
    struct receive *rv;
    pthread_t thread;
    bool started;
    int wake_fd;
    atomic_bool stop, indexed;
    atomic_bool job_out;  /* the scanner has one */
    atomic_bool told_sys; /* what cannot be watched was said */
    atomic_bool lost;     /* until it is over nothing is claimed */
    atomic_int_fast64_t scan_ended_ms, scan_took_ms;
    struct edit_names names;
    pthread_mutex_t mutex;  /* of `left` */
    struct edit_names left; /* found by a scan of ours */
    bool noisy;             /* `lost`, because of our own work alone */
    int64_t lost_ms;        /* since when; 0: not */
    int64_t calm_ms;        /* next look whether it rests */
    uint64_t changes;       /* disk's counter at the last */
    bool calm;
};

struct edits_job {
    bool scan;               /* look at everything */
    struct edit_name *names; /* or settle these */
};

/* --- what is watched ------------------------------------------------------ */

static void say_unwatched(struct edits *e, int sys)
{
    if (atomic_exchange(&e->told_sys, true)) {
        return;
    }
    replica_say("edits made here by hand are noticed by scans alone%s: %s%s",
                e->watch != NULL ? ", in some directories" : "", strerror(sys),
                sys == ENOSPC   ? " (fs.inotify.max_user_watches)"
                : sys == EMFILE ? " (fs.inotify.max_user_instances)"
                                : "");
}

void edits_dir(void *arg, const char *path, int dir_fd)
{
    struct edits *e = arg;
    int sys = e != NULL && e->watch != NULL
                  ? edit_watch_add(e->watch, path, dir_fd)
                  : 0;

    if (sys != 0 && sys != ENOENT) {
        say_unwatched(e, sys);
    }
}

void edits_indexed(struct edits *e)
{
    if (e != NULL) {
        atomic_store(&e->indexed, true);
    }
}

void edits_scanned(struct edits *e)
{
    if (e != NULL) {
        atomic_store(&e->lost, false);
    }
}

/* --- the scanner's part --------------------------------------------------- */

struct edits_run {
    struct receive *rv;
    struct edits *e;
    struct wire_edited told;
    char table[TABLE_MAX_BYTES], key[KEY_MAX_BYTES];
    uint64_t reread;
    struct perms_pass perms;
};

/* The first is the example. */
static void note_edit(struct edits_run *run, enum wire_edit how,
                      const char *table, size_t table_len, const char *key,
                      size_t key_len)
{
    struct wire_edited *m = &run->told;

    if (m->count++ > 0 && m->how != WIRE_EDIT_UNNAMED) {
        return;
    }
    memcpy(run->table, table, table_len);
    if (key != NULL) {
        memcpy(run->key, key, key_len);
    }
    m->how = (uint8_t)how;
    m->is_table = key == NULL;
    m->table = bytes_of(run->table, table_len);
    m->key = bytes_of(run->key, key_len);
}

static struct scan_name name_of(const struct edit_name *name,
                                const struct index *ix)
{
    const char *key = name->is_table ? NULL : name->text + name->table_len + 1;

    return (struct scan_name){
        .name =
            key == NULL
                ? index_name_table(index_key(ix), name->text, name->table_len)
                : index_name_key(index_key(ix), name->text, name->table_len,
                                 key, name->key_len),
        .table = name->text,
        .table_len = name->table_len,
        .key = key,
        .key_len = name->key_len};
}

/* It was locked, or still changes: later. */
static void put_back(struct edits *e, const struct scan_name *at,
                     unsigned tries)
{
    pthread_mutex_lock(&e->mutex);
    struct edit_name *name = edit_names_add(&e->left, at->table, at->table_len,
                                            at->key, at->key_len);
    if (name == NULL) {
        atomic_store(&e->lost, true);
    } else {
        name->written = true;
        name->tries = tries;
    }
    pthread_mutex_unlock(&e->mutex);
}

/* Does its stat show that it is not what the index has?  A lock alone changes
 * nothing, and an entry that a scan made of a young file proves nothing. */
static bool shows_change(const struct edits_run *run,
                         const struct scan_name *at,
                         const struct index_entry *was, struct vstat *now_out)
{
    return !scan_is_known(&run->rv->disk.meta.db, run->rv->index, at, false,
                          now_out) &&
           (was == NULL || was->stat.ino != 0 ||
            was->stat.size != now_out->size);
}

/* It cannot be read: it is locked, or goes on changing.  When its stat shows
 * for a few tries that somebody changed it, nothing is claimed of it any more,
 * so that the replica lacks it until it is installed anew. */
static void on_busy(struct edits_run *run, const struct edit_name *name,
                    const struct scan_name *at, const struct index_entry *was)
{
    unsigned tries = name->tries < BUSY_TRIES ? name->tries + 1 : BUSY_TRIES;
    struct vstat now;

    if (!shows_change(run, at, was, &now)) {
        put_back(run->e, at, 0);
        return;
    }
    put_back(run->e, at, tries);
    if (tries == BUSY_TRIES && (was != NULL || name->tries < BUSY_TRIES)) {
        note_edit(run, was != NULL ? WIRE_EDIT_CHANGED : WIRE_EDIT_ADDED,
                  at->table, at->table_len, at->key, at->key_len);
    }
    if (tries == BUSY_TRIES && was != NULL) {
        index_remove_if(run->rv->index, was);
    }
}

/* A file that is too large to be read at once, for what the agent asks would
 * wait behind it: it is taken for another value.  > 0: it is. */
static int take_unread(struct edits_run *run, const struct scan_name *at,
                       const struct index_entry *was, struct err *err)
{
    static const char UNREAD[] = "changed by others and not read";
    struct index_entry e = {.name = at->name,
                            .digest = digest_of(UNREAD, sizeof UNREAD),
                            .scan = run->rv->scanner.last_scan};
    struct vstat now;

    if (at->key == NULL || !shows_change(run, at, was, &now) ||
        now.size < READ_MAX_BYTES) {
        return 0;
    }
    e.stat = index_unproven(now);
    int rc = index_put_if(run->rv->index, was, &e, err);
    if (rc > 0) {
        note_edit(run, was != NULL ? WIRE_EDIT_CHANGED : WIRE_EDIT_ADDED,
                  at->table, at->table_len, at->key, at->key_len);
    }
    return rc < 0 ? rc : 1;
}

static int settle(struct edits_run *run, const struct edit_name *name,
                  struct err *err)
{
    struct receive *rv = run->rv;
    struct scan_name at = name_of(name, rv->index);
    struct index_entry was;
    struct scan_result res;
    struct scan_options opt = {.content = name->written,
                               .scan = rv->scanner.last_scan,
                               .stop = &rv->scanner.stop_scan,
                               .dir = edits_dir,
                               .dir_arg = run->e};

    scanner_perms_begin(rv, 0, &run->perms, &opt);
    bool had = index_get(rv->index, at.name, &was);
    int rc = take_unread(run, &at, had ? &was : NULL, err);
    if (rc != 0) {
        return rc < 0 ? rc : 0;
    }
    rc = scan_one(&rv->disk.meta.db, rv->index, &opt, &at, &res, err);
    if (rc != 0) {
        return rc;
    }
    run->reread += res.reread;
    if (res.busy > 0) {
        on_busy(run, name, &at, had ? &was : NULL);
    } else if (res.vanished > 0) {
        note_edit(run, res.errors > 0 ? WIRE_EDIT_UNREAD : WIRE_EDIT_REMOVED,
                  at.table, at.table_len, at.key, at.key_len);
    } else if (res.changed > 0) {
        note_edit(run, had ? WIRE_EDIT_CHANGED : WIRE_EDIT_ADDED, at.table,
                  at.table_len, at.key, at.key_len);
    }
    return 0;
}

/* How many are not set is known by a scan alone. */
static void count_perms(struct edits_run *run)
{
    const struct perms_pass *d = &run->perms;
    struct scanner *s = &run->rv->scanner;

    if (d->set > 0) {
        replica_say("set owner, group or mode of %" PRIu64 " %s, changed here",
                    d->set, d->set == 1 ? "file" : "files");
    }
    s->perms_due = s->perms_due || d->held > 0;
    if (d->unset > 0 || (d->set > 0 && s->modes_unset)) {
        atomic_store(&run->e->lost, true);
    }
}

static int settle_all(struct edits_run *run, const struct edits_job *job,
                      struct err *err)
{
    int rc = 0;

    for (const struct edit_name *n = job->names; n != NULL && rc == 0;
         n = n->next) {
        rc = settle(run, n, err);
    }
    count_perms(run);
    return rc;
}

/* scan_options.skip: it is looked at as if an event had told of it. */
static bool skip(void *arg, const char *table, size_t table_len,
                 const char *key, size_t key_len)
{
    struct edits *e = arg;

    pthread_mutex_lock(&e->mutex);
    bool left =
        edit_names_add(&e->left, table, table_len, key, key_len) != NULL;
    pthread_mutex_unlock(&e->mutex);
    return left;
}

static void found(void *arg, enum scan_note note, const char *table,
                  size_t table_len, const char *key, size_t key_len)
{
    if (note == SCAN_CHANGED) {
        note_edit(arg, WIRE_EDIT_CHANGED, table, table_len, key, key_len);
    }
}

/* Names that went have no name; but our own commits may be among them. */
static void note_vanished(struct edits_run *run, uint64_t vanished,
                          uint64_t begun)
{
    if (vanished == 0 || atomic_load(&run->rv->commits_begun) != begun ||
        atomic_load(&run->rv->commits_done) != begun) {
        return;
    }
    if (run->told.count == 0) {
        run->told =
            (struct wire_edited){.how = WIRE_EDIT_UNNAMED, .is_table = 1};
    }
    run->told.count += vanished;
}

static int scan_all(struct edits_run *run, struct err *err)
{
    struct receive *rv = run->rv;
    struct edits *e = run->e;
    struct scan_result res;
    struct scan_options opt = {.scan = ++rv->scanner.last_scan,
                               .stop = &rv->scanner.stop_scan,
                               .keys_done = &rv->scanner.keys_done,
                               .skip = skip,
                               .skip_arg = e,
                               .skip_changed = true,
                               .dir = edits_dir,
                               .dir_arg = e};
    int64_t began_ms = clock_mono_ms();
    uint64_t begun = atomic_load(&rv->commits_begun);

    scanner_perms_begin(rv, 0, &run->perms, &opt);
    edits_scanned(e);
    int rc =
        scan_run(&rv->disk.meta.db, rv->index, &opt, found, run, &res, err);
    if (rc == 0) {
        run->reread += res.reread;
        note_vanished(run, res.vanished, begun);
        scanner_perms_end(rv, 0, &run->perms);
    }
    atomic_store(&e->scan_ended_ms, clock_mono_ms());
    atomic_store(&e->scan_took_ms, clock_mono_ms() - began_ms);
    return rc;
}

static void wake(const struct edits *e)
{
    uint64_t one = 1;

    (void)!write(e->wake_fd, &one, sizeof one);
}

int edits_run(struct receive *rv, struct edits_job *job, struct err *err)
{
    struct edits_run run = {.rv = rv, .e = rv->edits};

    int rc = job->scan ? scan_all(&run, err) : settle_all(&run, job, err);
    if (rc == 0) {
        rc = receiver_edited(rv->core, run.reread, &run.told, err);
    }
    if (run.told.count > 0) {
        rv->scanner.saved_changes = UINT64_MAX; /* worth saving */
    }
    atomic_store(&rv->edits->job_out, false);
    wake(rv->edits);
    return rc;
}

void edits_job_free(struct edits_job *job)
{
    while (job != NULL && job->names != NULL) {
        struct edit_name *n = job->names;
        job->names = n->next;
        free(n);
    }
    free(job);
}

/* --- what events say ------------------------------------------------------ */

static void lose(struct edits *e, bool noisy)
{
    if (!atomic_exchange(&e->lost, true) || !noisy) {
        e->noisy = noisy;
    }
}

static struct edit_name *add(struct edits *e, const char *table,
                             size_t table_len, const char *key, size_t key_len)
{
    struct edit_name *name =
        edit_names_add(&e->names, table, table_len, key, key_len);

    if (name == NULL) {
        lose(e, false);
    }
    return name;
}

/* The table's name, by the path of its directory; false: it is none. */
static bool table_of(const char *path, size_t *len_out)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash != NULL ? slash + 1 : path;
    struct err ignored;
    size_t len;

    if (!name_is_table(base, &len)) {
        *len_out = 0;
        return path[0] == '\0';
    }
    *len_out = (size_t)(base - path) + len;
    return table_check(path, *len_out, &ignored) == 0;
}

static int walk_table(void *arg, const char *table, size_t len, int dir_fd)
{
    char path[TABLE_PATH_BYTES];

    table_path(table, len, path);
    edits_dir(arg, path, dir_fd);
    (void)add(arg, table, len, NULL, 0);
    return 0;
}

static int walk_key(void *arg, const char *table, size_t len, int dir_fd,
                    const char *key, size_t key_len)
{
    (void)dir_fd;
    (void)add(arg, table, len, key, key_len);
    return 0;
}

static int walk_plain(void *arg, const char *path, int dir_fd)
{
    edits_dir(arg, path, dir_fd);
    return 0;
}

/* What is in a directory that came may have been there before its watch. */
static void look_into(struct edits *e, const char *path, bool is_table,
                      size_t table_len)
{
    static const struct walk_ops ops = {
        .table_begin = walk_table, .key = walk_key, .plain_dir = walk_plain};
    struct walk_counts counts;
    struct err err;

    int rc = walk_below(&e->rv->disk.meta.db, path,
                        is_table ? table_len : strlen(path), is_table, &ops, e,
                        &counts, &err);
    if (rc != 0 && rc != ERR_NOTFOUND && rc != ERR_NOTTABLE) {
        lose(e, false);
    }
}

static void on_dir(struct edits *e, const struct edit_event *ev)
{
    size_t len;
    bool is_table = table_of(ev->path, &len);

    if (ev->came) {
        look_into(e, ev->path, is_table, len);
    }
    if (is_table) {
        struct edit_name *name = add(e, ev->path, len, NULL, 0);
        if (name != NULL) {
            name->force = true;
        }
    }
    if (ev->moved) {
        lose(e, false);
    }
}

static void on_key(struct edits *e, const struct edit_event *ev)
{
    size_t len;

    if (!table_of(ev->path, &len)) {
        return;
    }
    struct edit_name *name = add(e, ev->path, len, ev->key, ev->key_len);
    if (name != NULL) {
        name->written = name->written || ev->written;
    }
}

static void read_round(struct edits *e)
{
    struct edit_event ev;

    edit_watch_round(e->watch);
    while (!atomic_load(&e->stop) && edit_watch_next(e->watch, &ev)) {
        if (ev.kind == EDIT_LOST) {
            lose(e, ev.noisy);
        } else if (ev.kind == EDIT_DIR) {
            on_dir(e, &ev);
        } else {
            on_key(e, &ev);
        }
    }
}

/* What a scan of ours has found. */
static void take_left(struct edits *e)
{
    struct edit_name *n, *next;

    pthread_mutex_lock(&e->mutex);
    HASH_ITER(hh, e->left.all, n, next) {
        struct edit_name *name =
            add(e, n->text, n->table_len,
                n->is_table ? NULL : n->text + n->table_len + 1, n->key_len);
        if (name != NULL) {
            name->written = name->written || n->written;
            name->tries = n->tries > name->tries ? n->tries : name->tries;
        }
        edit_names_drop(&e->left, n);
    }
    pthread_mutex_unlock(&e->mutex);
}

/* --- whose doing it was --------------------------------------------------- */

/* Of the installs of all commits up to this one the index knows: a commit tells
 * of those before it, and of its own when nothing waits behind it. */
static uint64_t told_commit(struct receive *rv)
{
    bool busy = receiver_has_work(rv->core);
    uint64_t done = atomic_load(&rv->commits_done);

    if (!busy && atomic_load(&rv->commits_begun) == done) {
        return done;
    }
    return done > 0 ? done - 1 : 0;
}

/* Move what is foreign to a job; NULL: nothing is. */
static struct edits_job *judge_all(struct edits *e)
{
    struct receive *rv = e->rv;
    struct edits_job *job = NULL;
    struct edit_name *n, *next;
    uint64_t told = told_commit(rv);

    HASH_ITER(hh, e->names.all, n, next) {
        struct scan_name at = name_of(n, rv->index);
        struct vstat now;
        bool known =
            scan_is_known(&rv->disk.meta.db, rv->index, &at, n->written, &now);
        uint64_t begun = atomic_load(&rv->commits_begun);
        enum edit_verdict v = edit_names_judge(n, known, now, begun, told);
        if (v == EDIT_OURS) {
            edit_names_drop(&e->names, n);
        } else if (v == EDIT_FOREIGN) {
            job = job != NULL ? job : calloc(1, sizeof *job);
            if (job != NULL) {
                edit_names_take(&e->names, n);
                n->next = job->names;
                job->names = n;
            }
        }
    }
    return job;
}

/* --- scans of our own ----------------------------------------------------- */

static void feel(struct edits *e, int64_t now_ms)
{
    uint64_t changes = atomic_load(&e->rv->disk.changes);

    if (now_ms < e->calm_ms) {
        return;
    }
    e->calm = e->calm_ms != 0 && changes - e->changes < CALM_CHANGES;
    e->calm_ms = now_ms + CALM_MS;
    e->changes = changes;
}

static bool scan_is_due(struct edits *e, int64_t now_ms)
{
    int64_t rest_ms = SCAN_REST_TIMES * atomic_load(&e->scan_took_ms);

    if (!atomic_load(&e->lost)) {
        e->lost_ms = 0;
        return false;
    }
    if (e->lost_ms == 0) {
        e->lost_ms = now_ms;
        e->calm_ms = 0;
    }
    /* Names first: what a scan finds gone has none. */
    if (e->names.all != NULL && now_ms - e->lost_ms < SCAN_REST_MS) {
        return false;
    }
    feel(e, now_ms);
    rest_ms = rest_ms > SCAN_REST_MS ? rest_ms : SCAN_REST_MS;
    return now_ms - atomic_load(&e->scan_ended_ms) >= rest_ms &&
           (!e->noisy || e->calm || now_ms - e->lost_ms >= RESTLESS_MS);
}

/* --- the thread ----------------------------------------------------------- */

static void hand_over(struct edits *e, struct edits_job *job)
{
    atomic_store(&e->job_out, true);
    scanner_edits(&e->rv->scanner, e->rv, job);
}

static void work(struct edits *e)
{
    if (!atomic_load(&e->indexed) || atomic_load(&e->job_out)) {
        return;
    }
    take_left(e);
    struct edits_job *job = judge_all(e);
    if (job == NULL && scan_is_due(e, clock_mono_ms())) {
        job = calloc(1, sizeof *job);
        if (job != NULL) {
            job->scan = true;
        }
    }
    if (job != NULL) {
        hand_over(e, job);
    }
}

/* Wait for `events` or the end. */
static bool wait_for(struct edits *e, int fd, int ms)
{
    struct pollfd pfd[2] = {{.fd = e->wake_fd, .events = POLLIN},
                            {.fd = fd, .events = POLLIN}};
    uint64_t count;

    int n = poll(pfd, fd >= 0 ? 2 : 1, ms);
    if (n > 0 && pfd[0].revents != 0) {
        (void)!read(e->wake_fd, &count, sizeof count);
    }
    return n > 0 && fd >= 0 && pfd[1].revents != 0;
}

static int pause_ms(struct edits *e)
{
    if (atomic_load(&e->job_out)) {
        return -1;
    }
    pthread_mutex_lock(&e->mutex);
    bool more = e->names.all != NULL || e->left.all != NULL;
    pthread_mutex_unlock(&e->mutex);
    return more ? ROUND_MS : atomic_load(&e->lost) ? CALM_MS : -1;
}

static void *edits_thread(void *arg)
{
    struct edits *e = arg;

    while (!atomic_load(&e->stop)) {
        if (wait_for(e, edit_watch_fd(e->watch), pause_ms(e))) {
            (void)wait_for(e, -1, ROUND_MS);
            read_round(e);
        }
        work(e);
    }
    return NULL;
}

/* --- life ----------------------------------------------------------------- */

struct edits *edits_new(void)
{
    struct edits *e = calloc(1, sizeof *e);

    if (e == NULL) {
        return NULL;
    }
    pthread_mutex_init(&e->mutex, NULL);
    e->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    e->watch = e->wake_fd >= 0 ? edit_watch_new() : NULL;
    if (e->watch == NULL) {
        say_unwatched(e, errno);
        edits_free(e);
        return NULL;
    }
    return e;
}

void edits_free(struct edits *e)
{
    if (e == NULL) {
        return;
    }
    edit_names_clear(&e->names);
    edit_names_clear(&e->left);
    edit_watch_free(e->watch);
    fd_closep(&e->wake_fd);
    pthread_mutex_destroy(&e->mutex);
    free(e);
}

int edits_start(struct edits *e, struct receive *rv)
{
    if (e == NULL) {
        return 0;
    }
    e->rv = rv;
    int sys = pthread_create(&e->thread, NULL, edits_thread, e);
    e->started = sys == 0;
    return sys;
}

void edits_stop(struct edits *e)
{
    if (e == NULL || !e->started) {
        return;
    }
    atomic_store(&e->stop, true);
    wake(e);
    (void)pthread_join(e->thread, NULL);
    e->started = false;
}
