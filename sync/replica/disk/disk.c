/* SPDX-License-Identifier: MIT
 *
 * disk: see disk.h.
 *
 * The order that makes an acknowledgement true: stages_sync() before the
 * rename (a rename of bytes that are not on disk can leave an empty file after
 * a power cut), tables_sync() after it (else the old value comes back).
 */
#include "sync/replica/disk/disk.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/dir.h"
#include "store/base/quote.h"
#include "store/base/sys.h"
#include "store/layout/install.h"
#include "sync/replica/disk/old_stage.h"

int disk_open(struct disk *d, const char *path, const struct meta_modes *modes,
              struct err *err)
{
    *d = (struct disk){.modes = *modes,
                       .trash = {.dir_fd = -1, .log_fd = -1},
                       .undone = {.dir_fd = -1, .log_fd = -1}};
    int rc = meta_open(&d->meta, path, modes, err);
    if (rc != 0) {
        return rc;
    }
    d->all_fd = sys_openat(d->meta.db.root_fd, ".",
                           O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (d->all_fd < 0) {
        rc = err_sys(err, errno, "open %s", d->meta.db.path);
        meta_close(&d->meta);
        return rc;
    }
    d->sync = sync_group_new(d->meta.db.root_fd);
    if (d->sync == NULL) {
        fd_closep(&d->all_fd);
        meta_close(&d->meta);
        return err_set(err, ERR_NOMEM, 0, "no memory");
    }
    rc = fresh_init(&d->fresh, &d->meta, modes, &d->changes, err);
    if (rc != 0) {
        sync_group_free(d->sync);
        fd_closep(&d->all_fd);
        meta_close(&d->meta);
        return rc;
    }
    rc = stages_init(&d->stages, &d->meta.db, modes, d->sync, err);
    if (rc != 0) {
        fresh_deinit(&d->fresh);
        sync_group_free(d->sync);
        fd_closep(&d->all_fd);
        meta_close(&d->meta);
        return rc;
    }
    tables_init(&d->tables, &d->meta.db, modes, d->sync);
    holders_init(&d->holders, 0);
    session_init(&d->session, d->meta.fd);
    if (gethostname(d->host, sizeof d->host - 1) != 0) {
        d->host[0] = '\0';
    }
    return 0;
}

int disk_keep_trash(struct disk *d, const struct trash_settings *set,
                    struct err *err)
{
    int rc = trash_open(&d->trash, d->meta.fd, TRASH_DIR, set, &d->modes, err);

    if (rc < 0) {
        err->id = DR_REPLICA_DIR;
        return err_wrap(err, "replica directory %s", d->meta.db.path);
    }
    return 0;
}

static void drop_end(struct disk *d)
{
    dir_end(&d->drop.dir);
    d->drop.busy = false;
}

void disk_close(struct disk *d)
{
    drop_end(d);
    holders_deinit(&d->holders);
    fresh_deinit(&d->fresh);
    tables_deinit(&d->tables);
    trash_close(&d->trash);
    trash_close(&d->undone);
    stages_deinit(&d->stages);
    sync_group_free(d->sync);
    fd_closep(&d->all_fd);
    session_deinit(&d->session);
    meta_close(&d->meta);
}

/* Every failure that leaves here carries an operator's number. */
static int numbered(int rc, struct err *err)
{
    if (rc < 0 && err->id == 0) {
        err->id = meta_error_id(err);
    }
    return rc;
}

static void changed(struct disk *d)
{
    atomic_fetch_add_explicit(&d->changes, 1, memory_order_relaxed);
}

static int op_stage_begin(void *ctx, uint64_t stage, struct bytes table,
                          uint64_t size_hint, struct err *err)
{
    struct disk *d = ctx;

    return numbered(stages_begin(&d->stages, stage, table, size_hint, err),
                    err);
}

static int op_stage_write(void *ctx, uint64_t stage, const void *p, size_t n,
                          struct err *err)
{
    struct disk *d = ctx;

    return numbered(stages_write(&d->stages, stage, p, n, err), err);
}

static int op_stage_zeros(void *ctx, uint64_t stage, uint64_t n,
                          struct err *err)
{
    struct disk *d = ctx;

    return numbered(stages_zeros(&d->stages, stage, n, err), err);
}

static int op_stage_end(void *ctx, uint64_t stage, struct err *err)
{
    struct disk *d = ctx;

    return numbered(stages_end(&d->stages, stage, err), err);
}

static void op_stage_drop(void *ctx, uint64_t stage)
{
    struct disk *d = ctx;

    stages_drop(&d->stages, stage);
}

static int op_stage_sync(void *ctx, const uint64_t *stages, size_t n,
                         struct err *err)
{
    struct disk *d = ctx;

    return numbered(stages_sync(&d->stages, stages, n, err), err);
}

/* Before it is replaced or deleted. */
static void keep_undone(struct disk *d, int dir_fd, struct bytes table,
                        struct bytes key)
{
    int64_t since_ns = atomic_load(&d->undo_since_ns);

    if (since_ns != 0) {
        trash_link(&d->undone, dir_fd, table, key, since_ns);
    }
}

static int op_install(void *ctx, uint64_t stage, struct bytes table,
                      struct bytes key, unsigned how, struct vstat *stat_out,
                      uint32_t *pid_out, char comm[16], struct err *err)
{
    struct disk *d = ctx;
    struct tables_one *t;
    int rc = tables_get(&d->tables, table.p, table.len, true, &t, err);

    if (rc != 0) {
        return numbered(rc, err);
    }
    struct stat st;
    keep_undone(d, t->fd, table, key);
    rc = stages_install(&d->stages, stage, t, key, how, &st, err);
    if (rc == INSTALL_BUSY) {
        holders_find(&d->holders, st.st_dev, st.st_ino, pid_out, comm);
        return rc;
    }
    if (rc != INSTALL_DONE) {
        return numbered(rc, err);
    }
    t->touched = true;
    changed(d);
    *stat_out = vstat_of(&st);
    return rc;
}

static int op_remove(void *ctx, struct bytes table, struct bytes key,
                     bool force, uint32_t *pid_out, char comm[16],
                     struct err *err)
{
    struct disk *d = ctx;
    struct tables_one *t;
    int rc = tables_get(&d->tables, table.p, table.len, false, &t, err);

    if (rc == ERR_NOTFOUND) {
        return INSTALL_ABSENT;
    }
    if (rc != 0) {
        return numbered(rc, err);
    }
    struct stat st;

    keep_undone(d, t->fd, table, key);
    rc = trash_remove(&d->trash, t->fd, table, key, force, &st, err);
    if (rc == INSTALL_BUSY) {
        holders_find(&d->holders, st.st_dev, st.st_ino, pid_out, comm);
    }
    if (rc == INSTALL_DONE) {
        changed(d);
    }
    if (rc == INSTALL_DONE || rc == INSTALL_ABSENT) {
        /* Absent, too: an earlier receiver may have died between the unlink
         * and the directory's sync. */
        t->touched = true;
    }
    return numbered(rc, err);
}

static int op_table_make(void *ctx, struct bytes table, struct err *err)
{
    struct disk *d = ctx;
    bool created = false;
    CLEANUP(fd_closep)
    int fd = table_open(&d->meta.db, table.p, table.len, &d->tables.make,
                        &created, err);

    if (fd < 0) {
        return numbered(fd, err);
    }
    if (created) {
        changed(d);
    }
    return 0;
}

/* Continue in the directory of an earlier call for the same table, so that
 * dropping a large table reads it once. */
static int drop_begin(struct disk *d, struct bytes table, struct err *err)
{
    if (d->drop.dir.stream != NULL && d->drop.len == table.len &&
        memcmp(d->drop.name, table.p, table.len) == 0) {
        return 0;
    }
    drop_end(d);
    int fd = table_open(&d->meta.db, table.p, table.len, NULL, NULL, err);
    if (fd < 0) {
        return fd;
    }
    d->drop.dir = dir_take(fd);
    if (d->drop.dir.sys != 0) {
        return err_sys(err, d->drop.dir.sys, "read the table");
    }
    assert(table.len <= sizeof d->drop.name);
    memcpy(d->drop.name, table.p, table.len);
    d->drop.len = table.len;
    return 0;
}

/* Take the next key out of the table being dropped: TABLE_DROP_MORE, or at the
 * directory's end TABLE_DROP_BUSY when keys that are locked were passed by,
 * else TABLE_DROP_DONE.  Left-over temporaries of other writers go on the way.
 */
static int drop_next(struct disk *d, bool force, char *key_out, size_t *key_len,
                     uint32_t *pid_out, char comm[16], struct err *err)
{
    int fd = dirfd(d->drop.dir.stream);

    for (const struct dirent *e; (e = dir_next(&d->drop.dir)) != NULL;) {
        if (name_is_temp(e->d_name)) {
            if (unlinkat(fd, e->d_name, 0) != 0 && errno != ENOENT &&
                errno != EISDIR) {
                return err_sys(err, errno, "remove %s", QUOTED_STR(e->d_name));
            }
            continue;
        }
        size_t len;
        if (!name_is_key(e->d_name, &len)) {
            continue;
        }
        struct stat st;
        struct bytes table = bytes_of(d->drop.name, d->drop.len);
        struct bytes key = bytes_of(e->d_name, len);
        keep_undone(d, fd, table, key);
        int rc = trash_remove(&d->trash, fd, table, key, force, &st, err);
        if (rc == INSTALL_ABSENT) {
            continue;
        }
        if (rc < 0) {
            return rc;
        }
        if (rc == INSTALL_BUSY) {
            d->drop.busy = true;
            d->drop.busy_st = st;
            continue;
        }
        memcpy(key_out, e->d_name, len);
        *key_len = len;
        changed(d);
        return TABLE_DROP_MORE;
    }
    if (d->drop.dir.sys != 0) {
        return err_sys(err, d->drop.dir.sys, "read the table");
    }
    if (!d->drop.busy) {
        return TABLE_DROP_DONE;
    }
    *key_len = 0;
    holders_find(&d->holders, d->drop.busy_st.st_dev, d->drop.busy_st.st_ino,
                 pid_out, comm);
    return TABLE_DROP_BUSY;
}

/* Remove the table's directory, or see to it that its removal is durable. */
static int drop_dir(struct disk *d, struct bytes table, struct err *err)
{
    int rc = table_remove_dir(&d->meta.db, table.p, table.len, err);

    if (rc == 0) {
        return TABLE_DROP_DONE;
    }
    struct err other;
    CLEANUP(fd_closep)
    int fd = table_open(&d->meta.db, table.p, table.len, NULL, NULL, &other);
    if (fd == ERR_NOTFOUND) {
        /* It is gone, but the sync failed: see op_dirs_sync(). */
        err->code = ERR_IO;
        err->sys = EIO;
    }
    return numbered(err->code, err);
}

static int op_table_drop(void *ctx, struct bytes table, bool force,
                         char *key_out, size_t *key_len, uint32_t *pid_out,
                         char comm[16], struct err *err)
{
    struct disk *d = ctx;

    if (table.len == 0) {
        return numbered(
            err_set(err, ERR_INVALID, 0, "the root table cannot be dropped"),
            err);
    }
    int rc = drop_begin(d, table, err);
    if (rc == ERR_NOTFOUND) {
        return drop_dir(d, table, err);
    }
    if (rc != 0) {
        return numbered(rc, err);
    }
    rc = drop_next(d, force, key_out, key_len, pid_out, comm, err);
    if (rc == TABLE_DROP_MORE) {
        return rc;
    }
    /* The next call begins anew: it meets the keys that were locked again. */
    drop_end(d);
    if (rc != TABLE_DROP_DONE) {
        return numbered(rc, err);
    }
    tables_forget(&d->tables, table.p, table.len);
    rc = drop_dir(d, table, err);
    if (rc == TABLE_DROP_DONE) {
        changed(d);
    }
    return rc;
}

/* The kernel tells once that a directory was not written; after that a sync
 * says that all is well.  So a failure, whatever its number, ends the session
 * (the core sees to that): no acknowledgement of this one may rest on a sync
 * that came later.  A file system whose log could not be written refuses all
 * further syncs until it is mounted anew, and then shows what it really has. */
static int sync_kept(struct disk *d, struct err *err)
{
    int rc = trash_sync(&d->trash, err);

    return rc == 0 ? trash_sync(&d->undone, err) : rc;
}

static int op_dirs_sync(void *ctx, struct err *err)
{
    struct disk *d = ctx;
    int rc = sync_kept(d, err);

    return numbered(rc == 0 ? tables_sync(&d->tables, err) : rc, err);
}

static int op_sync_both(void *ctx, const uint64_t *stages, size_t n,
                        struct err *err, struct err *dirs_err)
{
    struct disk *d = ctx;
    struct err how = {0};
    int *fds;
    size_t values;

    if (sync_kept(d, dirs_err) != 0) {
        (void)numbered(dirs_err->code, dirs_err); /* the session's end */
    }
    int rc = stages_sync_begin(&d->stages, stages, n, TABLES_OPEN_MAX, &fds,
                               &values, err);

    if (rc != 0) {
        if (dirs_err->code == 0) {
            (void)op_dirs_sync(d, dirs_err);
        }
        return numbered(rc, err);
    }
    size_t dirs = tables_touched(&d->tables, fds + values);
    sync_group_run_two(d->sync, fds, values, values + dirs, err, &how);
    rc = err->code;
    stages_sync_end(&d->stages, stages, n, rc == 0);
    struct err tables_err;
    if (tables_synced(&d->tables, &how, &tables_err) != 0 &&
        dirs_err->code == 0) {
        *dirs_err = tables_err;
        (void)numbered(dirs_err->code, dirs_err);
    }
    return numbered(rc, err);
}

/* On a descriptor of its own: an error of write-back is told once to each open
 * file, and the groups' descriptor must not miss one of theirs. */
static int op_sync_all(void *ctx, struct err *err)
{
    const struct disk *d = ctx;

    if (sys_syncfs(d->all_fd) != 0) {
        return numbered(err_sys(err, errno, "syncfs %s", d->meta.db.path), err);
    }
    return 0;
}

static int op_stat(void *ctx, struct bytes table, struct bytes key,
                   struct vstat *stat_out, struct err *err)
{
    struct disk *d = ctx;
    char file[KEY_FILE_BYTES];
    struct stat st;
    CLEANUP(fd_closep)
    int fd = table_open(&d->meta.db, table.p, table.len, NULL, NULL, err);

    if (fd < 0) {
        return fd;
    }
    key_file(key.p, key.len, file);
    if (fstatat(fd, file, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return err_sys(err, errno, "stat %s", QUOTED_STR(file));
    }
    if (!S_ISREG(st.st_mode)) {
        return err_set(err, ERR_NOTTABLE, 0, "%s is not a file",
                       QUOTED_STR(file));
    }
    *stat_out = vstat_of(&st);
    return 0;
}

static int op_freshness(void *ctx, int64_t fresh_ns, uint64_t seq,
                        uint8_t state, struct err *err)
{
    struct disk *d = ctx;
    struct meta_freshness f = {
        .epoch = d->ident.epoch, .seq = seq, .fresh_ns = fresh_ns};

    memcpy(f.db_id, d->ident.db_id, sizeof f.db_id);
    (void)snprintf(f.state, sizeof f.state, "%s",
                   replica_state_word((enum replica_state)state));
    if (fresh_ns > 0) {
        atomic_store(&d->watermark, seq);
    }
    return numbered(fresh_report(&d->fresh, &f, err), err);
}

/* The directory is opened also when it is there from before: what is in it
 * grows old. */
static int open_undone(struct disk *d, struct err *err)
{
    const struct trash_settings set = {.keep_ns = UNDONE_KEEP_NS,
                                       .max_bytes = UNDONE_MAX_BYTES};

    if (d->undone.opened) {
        return 0;
    }
    int rc =
        trash_open(&d->undone, d->meta.fd, UNDONE_DIR, &set, &d->modes, err);
    return rc == 0 ? trash_start(&d->undone, err) : rc;
}

static int op_keep_undone(void *ctx, bool on, struct err *err)
{
    struct disk *d = ctx;
    int rc = on ? open_undone(d, err) : 0;

    if (rc == 0) {
        atomic_store(&d->undo_since_ns, on ? clock_real_ns() : 0);
    }
    return numbered(rc, err);
}

/* The identity is looked at before the lock is asked for, so that an agent
 * that would be refused disturbs nobody, and again under the lock. */
/* What the receiver before left, and the folders of this one. */
static int tidy_up(struct disk *d, const struct wire_hello *hello,
                   struct err *err)
{
    struct stat st;

    meta_sweep(d->meta.fd);
    d->begun_ns = clock_of_files_ns();
    int rc = old_stage_remove(d->meta.fd, err);
    if (rc == 0) {
        rc = trash_start(&d->trash, err);
    }
    /* Before the watcher may look at it. */
    if (rc == 0 &&
        ((hello->features & WIRE_FEATURE_KEEP) != 0 ||
         fstatat(d->meta.fd, UNDONE_DIR, &st, AT_SYMLINK_NOFOLLOW) == 0)) {
        rc = open_undone(d, err);
    }
    return rc;
}

/* Whose copy this is from now on, on disk. */
static int follow(struct disk *d, const struct wire_hello *hello,
                  struct meta_ident *ident, struct err *err)
{
    bool has_new_id;
    int rc = session_own_id(ident, hello, &has_new_id, err);

    if (rc != 0) {
        return rc;
    }
    enum term_change change = session_follow(ident, hello);
    /* Before the new epoch is on disk: a time of the old primary's must never
     * stand for what the new one has. */
    if (change == TERM_NEW &&
        unlinkat(d->meta.fd, META_FILE_FRESHNESS, 0) != 0 && errno != ENOENT) {
        return err_sys(err, errno, "remove " META_DIR "/" META_FILE_FRESHNESS);
    }
    return change != TERM_AS_IT_WAS || has_new_id
               ? meta_ident_write(d->meta.fd, ident, &d->modes, err)
               : 0;
}

int disk_identify(void *ctx, const struct wire_hello *hello,
                  struct wire_hello_ok *ok_out, struct err *err)
{
    struct disk *d = ctx;
    struct meta_ident ident = {.epoch = 0};
    int rc = session_check(&d->meta, hello, &ident, err);

    if (rc < 0) {
        return rc;
    }
    rc = session_lock(&d->session, hello, SESSION_TAKEOVER_MS, err);
    if (rc < 0) {
        return rc;
    }
    rc = session_check(&d->meta, hello, &ident, err);
    if (rc < 0) {
        return rc;
    }
    ok_out->was_empty = rc == SESSION_NEW;
    rc = tidy_up(d, hello, err);
    if (rc == 0) {
        rc = follow(d, hello, &ident, err);
    }
    if (rc == 0) {
        rc = fresh_begin(&d->fresh, hello->durability == WIRE_RELAXED, err);
    }
    if (rc != 0) {
        return numbered(rc, err);
    }
    d->ident = ident;
    ok_out->epoch = ident.epoch;
    memcpy(ok_out->dirid, ident.self, sizeof ok_out->dirid);
    ok_out->host = bytes_of(d->host, strlen(d->host));
    atomic_store(&d->identified, true);
    return 0;
}

bool disk_lost(struct disk *d, char *why, size_t why_room)
{
    struct stat st;

    if (!db_root_is_same(&d->meta.db)) {
        (void)snprintf(why, why_room,
                       "the directory is not the one that was opened "
                       "(unmounted, moved or removed)");
        return true;
    }
    if (fstatat(d->meta.fd, META_FILE_REPLICA, &st, AT_SYMLINK_NOFOLLOW) != 0 &&
        errno == ENOENT) {
        (void)snprintf(why, why_room,
                       META_DIR "/" META_FILE_REPLICA
                                " was removed: promoted, or given up");
        return true;
    }
    return false;
}

int disk_report_applied(struct disk *d, uint64_t *seen, struct err *err)
{
    uint64_t now = atomic_load_explicit(&d->changes, memory_order_relaxed);

    if (now == *seen) {
        return 0;
    }
    *seen = now;
    char text[META_TEXT_MAX];
    int n = snprintf(text, sizeof text, "changes=%" PRIu64 " time=%jd\n", now,
                     (intmax_t)time(NULL));
    struct small_how how = {.mode = d->modes.file_mode,
                            .group = d->modes.group};

    return numbered(
        meta_replace(d->meta.fd, META_FILE_APPLIED, text, (size_t)n, &how, err),
        err);
}

int disk_save_watermark(struct disk *d, struct err *err)
{
    struct meta_ident ident = d->ident;
    uint64_t watermark = atomic_load(&d->watermark);

    if (watermark <= ident.watermark) {
        return 0;
    }
    ident.watermark = watermark;
    return numbered(meta_ident_write(d->meta.fd, &ident, &d->modes, err), err);
}

void disk_ops(struct receiver_ops *ops)
{
    ops->stage_begin = op_stage_begin;
    ops->stage_write = op_stage_write;
    ops->stage_zeros = op_stage_zeros;
    ops->stage_end = op_stage_end;
    ops->stage_drop = op_stage_drop;
    ops->stage_sync = op_stage_sync;
    ops->install = op_install;
    ops->remove = op_remove;
    ops->table_make = op_table_make;
    ops->table_drop = op_table_drop;
    ops->dirs_sync = op_dirs_sync;
    ops->sync_both = op_sync_both;
    ops->sync_all = op_sync_all;
    ops->stat = op_stat;
    ops->freshness = op_freshness;
    ops->keep_undone = op_keep_undone;
    ops->identify = disk_identify;
}
