/* SPDX-License-Identifier: MIT
 *
 * scan: the walk over all tables and what follows from it; see scan.h.
 *
 *   1. walk: one fstatat per key; keys are looked up in the index in batches,
 *      and those with an equal stat are marked and passed over; the others are
 *      settled one by one (scan_key.c)
 *   2. keys that were busy are looked at again
 *   3. if entries are left that nobody saw, a second walk looks for their
 * names: on some filesystems a name is missed by a listing when it is replaced
 *      by a rename meanwhile
 *   4. if the root is still the same, what is not marked has vanished, and is
 *      removed from the index, but for what may lie in or below a directory
 *      that could not be listed (seen.h)
 *
 * What is put into the index by others while this runs counts as seen
 * (index_scan_begin()), so a key created behind the walk's back stays.
 */
#include "sync/index/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/quote.h"
#include "sync/index/scan_impl.h"

/* Keys that a second walk passes over, for each step of progress. */
enum { STEP_KEYS = 4096 };

/* --- keys ---------------------------------------------------------------- */

static struct scan_name batched_name(const struct scan *s, size_t i,
                                     const char *table, size_t table_len)
{
    return (struct scan_name){.name = s->probes[i].name,
                              .table = table,
                              .table_len = table_len,
                              .key = s->files[i].file,
                              .key_len = s->files[i].key_len};
}

static int flush_batch(struct scan *s, const char *table, size_t table_len)
{
    size_t n = s->batched;

    if (n == 0) {
        return 0;
    }
    s->batched = 0;
    index_mark_same(s->ix, s->probes, n, s->opt->scan,
                    index_table_tag(index_key(s->ix), table, table_len));
    for (size_t i = 0; i < n; i++) {
        if (s->probes[i].same && !s->opt->content) {
            continue;
        }
        int rc = scan_check_stop(s);
        if (rc == 0) {
            struct scan_name at = batched_name(s, i, table, table_len);
            rc = scan_key_update(s, s->dir_fd, &at, &s->probes[i].stat);
        }
        if (rc < 0) {
            return rc;
        }
    }
    if (!s->second_walk) {
        scan_got_on(s, n);
    }
    return scan_check_stop(s);
}

/* The entry exists, and the first walk did not see its key. */
static bool is_missed(const struct scan *s, struct digest name)
{
    struct index_entry e;

    return index_get(s->ix, name, &e) && e.scan != s->opt->scan;
}

/* Its modes are set: what was true of the file's old stat is true of the new.
 */
static int keep_entry(struct scan *s, struct digest name,
                      const struct vstat *before, const struct stat *st)
{
    struct index_entry was;

    if (!index_get(s->ix, name, &was) || !vstat_equal(was.stat, *before)) {
        return 0;
    }
    struct index_entry now = was;
    now.stat = vstat_of(st);
    int rc = index_put_if(s->ix, &was, &now, s->err);
    return rc < 0 ? rc : 0;
}

static int perms_key(struct scan *s, size_t i, const char *table,
                     size_t table_len, struct stat *st)
{
    const struct vstat before = vstat_of(st);

    if (s->opt->perms_dir == NULL || s->second_walk ||
        !s->opt->perms_key(s->opt->perms_arg, table, table_len,
                           s->files[i].file, s->files[i].key_len, s->dir_fd,
                           st)) {
        return 0;
    }
    return keep_entry(s, s->probes[i].name, &before, st);
}

static void perms_dir(const struct scan *s, const char *path, size_t len,
                      bool is_root, int dir_fd)
{
    if (s->opt->perms_dir != NULL && !s->second_walk) {
        s->opt->perms_dir(s->opt->perms_arg, path, len, is_root, dir_fd);
    }
}

static int on_key(void *arg, const char *table, size_t table_len, int dir_fd,
                  const char *key, size_t key_len)
{
    struct scan *s = arg;
    size_t i = s->batched;
    struct stat st;

    struct digest name =
        index_name_key(index_key(s->ix), table, table_len, key, key_len);
    if (s->second_walk && !is_missed(s, name)) {
        if (++s->passed_over % STEP_KEYS == 0) {
            scan_got_on(s, 1);
        }
        return 0;
    }
    s->probes[i].name = name;
    s->files[i].key_len = key_len;
    key_file(key, key_len, s->files[i].file);
    if (fstatat(dir_fd, s->files[i].file, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        if (errno != ENOENT) { /* else it is gone since it was listed */
            struct err why;
            struct scan_name at = batched_name(s, i, table, table_len);
            (void)err_sys(&why, errno, "stat %s",
                          QUOTED(s->files[i].file, key_len + 3));
            scan_key_unreadable(s, &at, &why);
        }
        return 0;
    }
    if (!S_ISREG(st.st_mode)) {
        return 0; /* replaced by something that is no key since then */
    }
    int rc = perms_key(s, i, table, table_len, &st);
    if (rc < 0) {
        return rc;
    }
    s->probes[i].stat = vstat_of(&st);
    s->batched++;
    return s->batched == SCAN_BATCH ? flush_batch(s, table, table_len) : 0;
}

/* --- tables -------------------------------------------------------------- */

static uint16_t top_of(const struct scan *s, const struct scan_name *at)
{
    return index_top_of(index_key(s->ix), at->table, at->table_len);
}

/* A table is its existence: its entry has no digest and no stat. */
static int put_table(struct scan *s, const struct scan_name *at, int dir_fd)
{
    struct index_entry e = {.name = at->name,
                            .scan = s->opt->scan,
                            .is_table = 1,
                            .table = top_of(s, at)};
    struct stat st;

    if (s->opt->view != NULL) {
        s->out->changed++;
        return s->opt->view(s->opt->view_arg, NULL, &e, s->err);
    }
    int rc = index_put_if(s->ix, NULL, &e, s->err);
    if (rc <= 0) {
        return rc;
    }
    /* Removed meanwhile, and maybe its event came before our put. */
    if (fstat(dir_fd, &st) == 0 && st.st_nlink == 0) {
        index_remove_if(s->ix, &e);
        return 0;
    }
    s->out->changed++;
    scan_report(s, SCAN_CHANGED, at);
    return 0;
}

static void tell_dir(const struct scan *s, const char *path, int dir_fd)
{
    if (s->opt->dir != NULL) {
        s->opt->dir(s->opt->dir_arg, path, dir_fd);
    }
}

static bool is_table_left(const struct scan *s, const char *table, size_t len)
{
    return s->opt->skip != NULL && s->opt->skip_changed &&
           s->opt->skip(s->opt->skip_arg, table, len, NULL, 0);
}

static int on_table_begin(void *arg, const char *table, size_t len, int dir_fd)
{
    struct scan *s = arg;
    struct index_entry was;
    struct scan_name at = {.name =
                               index_name_table(index_key(s->ix), table, len),
                           .table = table,
                           .table_len = len};

    int rc = scan_check_stop(s);
    if (rc < 0) {
        return rc;
    }
    char path[TABLE_PATH_BYTES];
    table_path(table, len, path);
    s->dir_fd = dir_fd;
    tell_dir(s, len > 0 ? path : "", dir_fd);
    perms_dir(s, table, len, len == 0, dir_fd);
    if (index_get(s->ix, at.name, &was)) {
        index_mark_table(s->ix, at.name, s->opt->scan, top_of(s, &at));
        return 0;
    }
    return s->second_walk || is_table_left(s, table, len)
               ? 0
               : put_table(s, &at, dir_fd);
}

/* What was found in a directory that is not behind the table's name any more
 * was not found there. */
static bool has_moved(const struct scan *s, const char *table, size_t len)
{
    char path[TABLE_PATH_BYTES];
    struct stat by_fd, by_name;

    table_path(table, len, path);
    return fstat(s->dir_fd, &by_fd) < 0 ||
           fstatat(s->db->root_fd, path, &by_name, AT_SYMLINK_NOFOLLOW) < 0 ||
           by_fd.st_ino != by_name.st_ino || by_fd.st_dev != by_name.st_dev;
}

static int on_table_end(void *arg, const char *table, size_t len, bool complete,
                        const struct err *why)
{
    struct scan *s = arg;

    int rc = flush_batch(s, table, len);
    seen_table(&s->seen, index_key(s->ix), table, len, complete);
    if (rc == 0 && complete && has_moved(s, table, len)) {
        s->out->moved++;
    }
    /* What the first walk could not list is told once. */
    if (rc == 0 && !complete &&
        (!s->second_walk || s->out->counts.incomplete == 0)) {
        struct scan_name at = {.table = table, .table_len = len};
        scan_keep_error(s, why);
        scan_report(s, SCAN_UNREADABLE, &at);
        scan_report_unread(s, why, &at);
    }
    return rc;
}

static int on_plain_dir(void *arg, const char *path, int dir_fd)
{
    const struct scan *s = arg;

    tell_dir(s, path, dir_fd);
    if (!db_is_lost_found(s->db, path)) {
        perms_dir(s, path, strlen(path), false, dir_fd);
    }
    return 0;
}

static int on_plain_incomplete(void *arg, const char *path,
                               const struct err *why)
{
    struct scan *s = arg;
    const struct scan_name at = {.table = path, .table_len = strlen(path)};

    seen_dir_covered(&s->seen, index_key(s->ix), path);
    scan_keep_error(s, why);
    if (!s->second_walk || s->out->counts.incomplete == 0) {
        scan_report_unread(s, why, &at); /* whatever tables are below it */
    }
    return 0;
}

/* A link or another odd thing in the place of a table that we know: not gone.
 */
static bool on_expected(void *arg, const char *table, size_t len, bool is_file)
{
    const struct scan *s = arg;
    struct index_entry e;

    return (!is_file || s->opt->files_cover) &&
           index_get(s->ix, index_name_table(index_key(s->ix), table, len), &e);
}

static void on_passed(void *arg, const char *dir, const char *name,
                      enum passed_why why)
{
    struct scan *s = arg;

    if (s->opt->passed != NULL && !s->second_walk) {
        passed_note(s->opt->passed, dir, name, why);
    }
    if (s->opt->foreign_counts && !s->second_walk) {
        scan_foreign(s, dir, name, why);
    }
}

static const struct walk_ops ops = {.passed = on_passed,
                                    .expected = on_expected,
                                    .table_begin = on_table_begin,
                                    .key = on_key,
                                    .table_end = on_table_end,
                                    .plain_dir = on_plain_dir,
                                    .plain_incomplete = on_plain_incomplete};

/* --- what has vanished -----------------------------------------------------
 */

static int check_root(const struct scan *s)
{
    if (db_root_is_same(s->db)) {
        return 0;
    }
    return err_set(s->err, ERR_GONE, 0,
                   "database %s: its directory is not the one that was opened "
                   "(unmounted, moved or removed)",
                   QUOTED_STR(s->db->path));
}

/* After the first walk it is counted; after the second it goes, or is told. */
static bool gone(struct scan *s, const struct index_entry *e)
{
    if (!s->second_walk) {
        s->unseen++;
        return false;
    }
    s->out->vanished++;
    if (s->opt->view == NULL) {
        return true;
    }
    if (s->view_rc == 0) {
        s->view_rc = s->opt->view(s->opt->view_arg, e, NULL, s->err);
    }
    return false;
}

static bool on_unseen_table(void *arg, const struct index_entry *e)
{
    struct scan *s = arg;

    return e->is_table && seen_table_gone(&s->seen, e) && gone(s, e);
}

static bool on_unseen_key(void *arg, const struct index_entry *e)
{
    struct scan *s = arg;

    return !e->is_table && seen_key_gone(&s->seen, e) && gone(s, e);
}

static void sweep_unseen(struct scan *s)
{
    index_sweep(s->ix, s->opt->scan, on_unseen_table, s);
    index_sweep(s->ix, s->opt->scan, on_unseen_key, s);
}

/* Remove entries that two walks did not find, but for those that may lie behind
 * what could not be listed. */
static int sweep(struct scan *s)
{
    struct walk_counts again;

    sweep_unseen(s);
    if (s->unseen == 0) {
        return 0;
    }
    s->second_walk = true;
    seen_again(&s->seen);
    int rc = walk_db(s->db, &ops, s, &again, s->err);
    if (rc == 0 && s->out->counts.incomplete == 0) {
        s->out->counts.incomplete = again.incomplete;
    }
    if (rc == 0) {
        rc = check_root(s);
    }
    if (rc == 0) {
        sweep_unseen(s);
        rc = s->view_rc;
    }
    return rc;
}

static int run(struct scan *s)
{
    int rc = walk_db(s->db, &ops, s, &s->out->counts, s->err);

    if (rc == 0) {
        rc = scan_key_retry(s);
    }
    if (rc == 0) {
        rc = check_root(s);
    }
    if (rc == 0) {
        rc = sweep(s);
    }
    return rc;
}

int scan_run(const struct db *db, struct index *ix,
             const struct scan_options *opt, scan_note_fn note, void *arg,
             struct scan_result *out, struct err *err)
{
    CLEANUP(freep) struct scan *s = calloc(1, sizeof *s);

    *out = (struct scan_result){.reread = 0};
    if (s == NULL) {
        return err_set(err, ERR_NOMEM, 0, "out of memory in a scan");
    }
    s->db = db;
    s->ix = ix;
    s->opt = opt;
    s->note = note;
    s->arg = arg;
    s->out = out;
    s->err = err;
    s->dir_fd = -1;
    index_scan_begin(ix, opt->scan);
    int rc = run(s);
    index_scan_end(ix);
    buf_deinit(&s->value);
    buf_deinit(&s->busy);
    return rc;
}

/* --- one name ------------------------------------------------------------ */

static int open_of(const struct db *db, const struct scan_name *at)
{
    struct err ignored;

    return table_open(db, at->table, at->table_len, NULL, NULL, &ignored);
}

/* Its stat, for a table the inode alone; false: there is no such thing. */
static bool stat_of(int dir_fd, const struct scan_name *at, struct vstat *out)
{
    char file[KEY_FILE_BYTES];
    struct stat st;

    *out = (struct vstat){0, 0, 0};
    if (dir_fd < 0) {
        return false;
    }
    if (at->key == NULL) {
        out->ino = fstat(dir_fd, &st) == 0 ? st.st_ino : 0;
        return true;
    }
    key_file(at->key, at->key_len, file);
    if (fstatat(dir_fd, file, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(st.st_mode)) {
        return false;
    }
    *out = vstat_of(&st);
    return true;
}

bool scan_is_known(const struct db *db, struct index *ix,
                   const struct scan_name *at, bool written,
                   struct vstat *now_out)
{
    CLEANUP(fd_closep) int fd = open_of(db, at);
    struct index_entry e;

    bool there = stat_of(fd, at, now_out);
    if (index_get(ix, at->name, &e) != there) {
        return false;
    }
    return !there || at->key == NULL ||
           (vstat_equal(*now_out, e.stat) &&
            !(written && now_out->ctime_ns >= clock_real_ns() - UNPROVEN_NS));
}

bool scan_is_still(struct scan *s, struct vstat now)
{
    bool still = s->opt->still == NULL || s->opt->still(s->opt->still_arg, now);

    s->out->left += still ? 0 : 1;
    return still;
}

static int settle_one(struct scan *s, int dir_fd, const struct scan_name *at)
{
    struct index_entry was;
    struct vstat stat;

    bool had = index_get(s->ix, at->name, &was);
    (void)stat_of(dir_fd, at, &stat);
    if (s->opt->view == NULL && !scan_is_still(s, stat)) {
        return 0;
    }
    int rc =
        dir_fd >= 0 ? on_table_begin(s, at->table, at->table_len, dir_fd) : 0;
    if (rc == 0 && dir_fd >= 0 && at->key != NULL) {
        rc = on_key(s, at->table, at->table_len, dir_fd, at->key, at->key_len);
    }
    if (rc == 0) {
        rc = flush_batch(s, at->table, at->table_len);
    }
    bool there = stat_of(dir_fd, at, &stat);
    if (rc == 0 && s->opt->view == NULL && had &&
        (!there || s->out->errors > 0) && scan_is_still(s, stat)) {
        index_remove_if(s->ix, &was);
        s->out->vanished++;
    }
    return rc;
}

int scan_one(const struct db *db, struct index *ix,
             const struct scan_options *opt, const struct scan_name *at,
             struct scan_result *out, struct err *err)
{
    CLEANUP(fd_closep) int fd = open_of(db, at);
    CLEANUP(freep) struct scan *s = calloc(1, sizeof *s);

    *out = (struct scan_result){.reread = 0};
    if (s == NULL) {
        return err_set(err, ERR_NOMEM, 0, "out of memory in a scan");
    }
    *s = (struct scan){.db = db,
                       .ix = ix,
                       .opt = opt,
                       .out = out,
                       .err = err,
                       .last_chance = true,
                       .dir_fd = fd};
    int rc = settle_one(s, fd, at);
    buf_deinit(&s->value);
    buf_deinit(&s->busy);
    return rc;
}
