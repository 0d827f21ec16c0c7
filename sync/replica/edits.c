/* SPDX-License-Identifier: MIT
 *
 * edits: see edits.h.
 *
 * The thread reads inotify's queue in rounds, so that many events of one name
 * are one read; it takes stats and never waits for the disk's writes.  What is
 * foreign goes to the scanner as a job, one at a time, for there may be one
 * scan of an index at a time; what it does with that is in edits_settle.c.
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
#include "sync/replica/edits_impl.h"

enum {
    ROUND_MS = 100,       /* events are gathered for so long */
    CALM_MS = 1000,       /* how often it is asked whether our own work rests */
    CALM_CHANGES = 500,   /* ... which it does with fewer changes than these */
    RESTLESS_MS = 30000,  /* so long a scan waits for rest */
    SCAN_REST_MS = 2000,  /* between two scans, at least ... */
    SCAN_REST_TIMES = 50, /* ... and so many times as long as one took */
};

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

static void walk_passed(void *arg, const char *dir, const char *name,
                        enum passed_why why)
{
    (void)why;
    edits_odd_look(arg, dir, name);
}

/* What is in a directory that came may have been there before its watch. */
static void look_into(struct edits *e, const char *path, bool is_table,
                      size_t table_len)
{
    static const struct walk_ops ops = {.table_begin = walk_table,
                                        .key = walk_key,
                                        .plain_dir = walk_plain,
                                        .passed = walk_passed};
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
        } else if (ev.kind == EDIT_OTHER) {
            edits_odd_look(e, ev.path, ev.key);
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
            edit_names_merge(name, n);
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

static void put_in_job(struct edits *e, struct edits_job **job,
                       struct edit_name *n, enum edit_verdict v)
{
    *job = *job != NULL ? *job : calloc(1, sizeof **job);
    if (*job != NULL) {
        edit_names_take(&e->names, n);
        n->verdict = v;
        n->next = (*job)->names;
        (*job)->names = n;
    }
}

/* Move what is foreign to a job; NULL: nothing is. */
static struct edits_job *judge_all(struct edits *e)
{
    struct receive *rv = e->rv;
    struct edits_job *job = NULL;
    struct edit_name *n, *next;
    uint64_t told = told_commit(rv);

    HASH_ITER(hh, e->names.all, n, next) {
        struct scan_name at = edits_scan_name(n, rv->index);
        struct vstat now;
        bool known =
            scan_is_known(&rv->disk.meta.db, rv->index, &at, n->written, &now);
        uint64_t begun = atomic_load(&rv->commits_begun);
        enum edit_verdict v = edit_names_judge(
            n, known, now, begun, told, edits_same_entry(rv->index, &at, n));
        if (v == EDIT_OURS && !n->is_table && now.ino == 0) {
            edits_odd_look_key(e, &at); /* something else, maybe */
        }
        if (v == EDIT_OURS) {
            edit_names_drop(&e->names, n);
        } else if (v != EDIT_WAIT) {
            put_in_job(e, &job, n, v);
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

/* What no event tells. */
static void look(struct edits *e, int64_t now_ms)
{
    if (edit_mounts_changed(&e->mounts, now_ms) || edits_odd_check(e, now_ms)) {
        lose(e, false);
    }
}

static void work(struct edits *e)
{
    if (!atomic_load(&e->indexed)) {
        return;
    }
    look(e, clock_mono_ms());
    edits_odd_tell(e);
    if (atomic_load(&e->job_out)) {
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

/* Wait for events of `fd` (-1: of none), for mounts or the end. */
static bool wait_for(struct edits *e, int fd, int ms)
{
    struct pollfd pfd[3] = {
        {.fd = e->wake_fd, .events = POLLIN},
        {.fd = edit_mounts_fd(&e->mounts), .events = edit_mounts_events()},
        {.fd = fd, .events = POLLIN}};
    uint64_t count;

    int n = poll(pfd, sizeof pfd / sizeof pfd[0], ms);
    if (n > 0 && pfd[0].revents != 0) {
        (void)!read(e->wake_fd, &count, sizeof count);
    }
    if (n > 0 && pfd[1].revents != 0) {
        edit_mounts_told(&e->mounts);
    }
    return n > 0 && pfd[2].revents != 0;
}

/* The sooner of two; below 0: never. */
static int sooner(int a, int b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

static int look_pause_ms(struct edits *e)
{
    return sooner(edits_odd_pause_ms(e),
                  edit_mounts_wait_ms(&e->mounts, clock_mono_ms()));
}

static int work_pause_ms(struct edits *e)
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
        int ms = sooner(work_pause_ms(e), look_pause_ms(e));
        if (wait_for(e, edit_watch_fd(e->watch), ms)) {
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
    edit_mounts_open(&e->mounts);
    e->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    e->watch = e->wake_fd >= 0 ? edit_watch_new() : NULL;
    if (e->watch == NULL) {
        edits_say_unwatched(e, errno);
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
    edit_odds_clear(&e->odds);
    edit_mounts_close(&e->mounts);
    edit_watch_free(e->watch);
    fd_closep(&e->wake_fd);
    pthread_mutex_destroy(&e->mutex);
    free(e);
}

void edits_root(struct edits *e, const char *dir)
{
    if (e != NULL) {
        edit_mounts_root(&e->mounts, dir);
    }
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
    edits_wake(e);
    (void)pthread_join(e->thread, NULL);
    e->started = false;
}
