/* SPDX-License-Identifier: MIT
 *
 * edits_settle: what somebody else did comes into the index: the scanner's part
 * of edits.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/base/clock.h"
#include "sync/replica/disk/perms.h"
#include "sync/replica/edits_impl.h"

enum { BUSY_TRIES = 3 /* rounds in which a changed key cannot be read */ };

/* A second or two of reading. */
#define READ_MAX_BYTES (UINT64_C(4) << 30)

/* --- what is watched ------------------------------------------------------ */

void edits_say_unwatched(struct edits *e, int sys)
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
        edits_say_unwatched(e, sys);
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
    const struct edit_name *name; /* being settled */
};

/* scan_options.still: what is there is what was found foreign, or nothing of
 * ours can have come since: a commit may have, and the index would not know. */
static bool still(void *arg, struct vstat now)
{
    const struct edits_run *run = arg;

    return vstat_equal(now, run->name->stat) ||
           atomic_load(&run->rv->commits_begun) == run->name->commit;
}

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

struct scan_name edits_scan_name(const struct edit_name *name,
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

bool edits_same_entry(struct index *ix, const struct scan_name *at,
                      const struct edit_name *name)
{
    const struct edit_evidence *ev = &name->evidence;
    struct index_entry e;

    return ev->read && index_get(ix, at->name, &e) == ev->had &&
           (!ev->had || (vstat_equal(e.stat, ev->stat) &&
                         digest_equal(e.digest, ev->digest)));
}

/* It was locked, or still changes: later.  `evidence` may be NULL. */
static void put_back(struct edits *e, const struct scan_name *at,
                     unsigned tries, const struct edit_evidence *evidence)
{
    pthread_mutex_lock(&e->mutex);
    struct edit_name *name = edit_names_add(&e->left, at->table, at->table_len,
                                            at->key, at->key_len);
    if (name == NULL) {
        atomic_store(&e->lost, true);
    } else {
        name->written = true;
        name->tries = tries;
        if (evidence != NULL) {
            name->evidence = *evidence;
        }
    }
    pthread_mutex_unlock(&e->mutex);
}

/* Does its stat show that it is not what the index has?  A lock alone changes
 * nothing, and an entry that a scan made of a young file proves nothing. */
static bool shows_change(struct edits_run *run, const struct scan_name *at,
                         const struct index_entry *was, struct vstat *now_out)
{
    return !scan_is_known(&run->rv->disk.meta.db, run->rv->index, at, false,
                          now_out) &&
           still(run, *now_out) &&
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
        put_back(run->e, at, 0, NULL);
        return;
    }
    put_back(run->e, at, tries, NULL);
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

/* --- what never rests ----------------------------------------------------- */

/* scan_options.view */
static int differs(void *arg, const struct index_entry *was,
                   const struct index_entry *now, struct err *err)
{
    (void)err;
    if (now != NULL && !now->is_table) {
        struct edit_evidence *ev = arg;
        *ev = (struct edit_evidence){.read = true, .had = was != NULL};
        if (was != NULL) {
            ev->stat = was->stat;
            ev->digest = was->digest;
        }
    }
    return 0;
}

/* The index stays: a commit may have made what is read. */
static int read_evidence(struct edits_run *run, const struct edit_name *name,
                         const struct scan_name *at, struct err *err)
{
    struct receive *rv = run->rv;
    struct edit_evidence ev = {.read = false};
    struct scan_result res;
    const struct scan_options opt = {.content = true,
                                     .scan = rv->scanner.last_scan,
                                     .stop = &rv->scanner.stop_scan,
                                     .view = differs,
                                     .view_arg = &ev};
    int rc = 0;

    if (name->stat.size < READ_MAX_BYTES) {
        rc = scan_one(&rv->disk.meta.db, rv->index, &opt, at, &res, err);
    }
    ev.commit = atomic_load(&rv->commits_begun);
    put_back(run->e, at, name->tries, &ev);
    return rc;
}

/* As on_busy() of what cannot be read. */
static void on_restless(struct edits_run *run, const struct edit_name *name,
                        const struct scan_name *at)
{
    struct index_entry was;
    bool had = index_get(run->rv->index, at->name, &was);

    if (!edits_same_entry(run->rv->index, at, name)) {
        put_back(run->e, at, name->tries, NULL);
        return;
    }
    put_back(run->e, at, BUSY_TRIES, NULL);
    if (had || name->tries < BUSY_TRIES) {
        note_edit(run, had ? WIRE_EDIT_CHANGED : WIRE_EDIT_ADDED, at->table,
                  at->table_len, at->key, at->key_len);
    }
    if (had) {
        index_remove_if(run->rv->index, &was);
    }
}

static int settle(struct edits_run *run, const struct edit_name *name,
                  struct err *err)
{
    struct receive *rv = run->rv;
    struct scan_name at = edits_scan_name(name, rv->index);
    struct index_entry was;
    struct scan_result res;
    struct scan_options opt = {.content = name->written,
                               .scan = rv->scanner.last_scan,
                               .stop = &rv->scanner.stop_scan,
                               .still = still,
                               .still_arg = run,
                               .dir = edits_dir,
                               .dir_arg = run->e};

    run->name = name;
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
    if (res.left > 0) {
        put_back(run->e, &at, name->tries, NULL);
    } else if (res.busy > 0) {
        on_busy(run, name, &at, had ? &was : NULL);
    } else if (res.vanished > 0) {
        edits_odd_look_key(run->e, &at);
        note_edit(run, res.errors > 0 ? WIRE_EDIT_UNREAD : WIRE_EDIT_REMOVED,
                  at.table, at.table_len, at.key, at.key_len);
    } else if (res.changed > 0) {
        note_edit(run, had ? WIRE_EDIT_CHANGED : WIRE_EDIT_ADDED, at.table,
                  at.table_len, at.key, at.key_len);
    }
    return 0;
}

static int settle_by_verdict(struct edits_run *run,
                             const struct edit_name *name, struct err *err)
{
    struct scan_name at = edits_scan_name(name, run->rv->index);

    if (name->verdict == EDIT_READ) {
        return read_evidence(run, name, &at, err);
    }
    if (name->verdict == EDIT_RESTLESS) {
        on_restless(run, name, &at);
        return 0;
    }
    return settle(run, name, err);
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
        rc = settle_by_verdict(run, n, err);
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

static void unread(void *arg, bool busy, const struct err *why,
                   const char *table, size_t table_len, const char *key,
                   size_t key_len)
{
    const struct edits_run *run = arg;

    edits_unread(run->e, busy ? NULL : why, table, table_len, key, key_len);
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
                               .foreign_counts = true,
                               .unread = unread,
                               .dir = edits_dir,
                               .dir_arg = e};
    int64_t began_ms = clock_mono_ms();
    uint64_t begun = atomic_load(&rv->commits_begun);

    scanner_perms_begin(rv, 0, &run->perms, &opt);
    edits_scanned(e);
    edits_unread_begin(e);
    int rc =
        scan_run(&rv->disk.meta.db, rv->index, &opt, found, run, &res, err);
    if (rc == 0) {
        run->reread += res.reread;
        note_vanished(run, res.vanished, begun);
        scanner_perms_end(rv, 0, &run->perms);
        edits_unread_end(e, &res);
    }
    atomic_store(&e->scan_ended_ms, clock_mono_ms());
    atomic_store(&e->scan_took_ms, clock_mono_ms() - began_ms);
    return rc;
}

void edits_wake(const struct edits *e)
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
    edits_wake(rv->edits);
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
