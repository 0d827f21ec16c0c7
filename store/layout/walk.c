/* SPDX-License-Identifier: MIT
 *
 * walk: see walk.h.
 *
 * One directory at a time: its entries are read to the end with getdents64(),
 * keys are reported as they come, and the names of subdirectories are noted and
 * entered afterwards.  So a table's begin and end enclose its own keys only,
 * and at most one descriptor per level is open. */
#include "store/layout/walk.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/base/buf.h"
#include "store/base/cleanup.h"
#include "store/base/dir.h"
#include "store/base/quote.h"

enum { ENTRIES_BYTES = 64 * 1024 };

struct walk {
    const struct db *db;
    const struct walk_ops *ops;
    void *arg;
    struct walk_counts counts;
    struct err *err;
    char *entries; /* getdents64 buffer, used by one directory at a time */
    /* Path of the current directory relative to the root: "" for the root. */
    char path[TABLE_PATH_BYTES];
    size_t path_len;
};

/* One directory being visited. */
struct place {
    int fd;
    bool is_table;
    int depth;       /* 0: the root */
    struct buf dirs; /* names of its subdirectories, each with NUL */
};

/* The current directory's table name: its path without ".tbl". */
static size_t table_len(const struct walk *w)
{
    return w->path_len == 0 ? 0 : w->path_len - (sizeof ".tbl" - 1);
}

/* --- reports ------------------------------------------------------------- */

static int report_begin(struct walk *w, const struct place *at)
{
    if (!at->is_table) {
        return w->ops->plain_dir != NULL
                   ? w->ops->plain_dir(w->arg, w->path, at->fd)
                   : 0;
    }
    w->counts.tables++;
    return w->ops->table_begin != NULL
               ? w->ops->table_begin(w->arg, w->path, table_len(w), at->fd)
               : 0;
}

/* The end of a directory; `why` is NULL when all of it was seen. */
static int report_end(struct walk *w, bool is_table, const struct err *why)
{
    if (why != NULL) {
        w->counts.incomplete++;
    }
    if (is_table) {
        return w->ops->table_end != NULL
                   ? w->ops->table_end(w->arg, w->path, table_len(w),
                                       why == NULL, why)
                   : 0;
    }
    return why != NULL && w->ops->plain_incomplete != NULL
               ? w->ops->plain_incomplete(w->arg, w->path, why)
               : 0;
}

/* --- entries ------------------------------------------------------------- */

static bool is_skipped(const struct place *at, const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
           (at->depth == 0 && strcmp(name, META_DIR) == 0);
}

static bool path_push(struct walk *w, const char *name);
static void path_cut(struct walk *w, size_t len);

static void pass_over(struct walk *w, const char *name, enum passed_why why)
{
    w->counts.ignored++;
    if (w->ops->passed != NULL) {
        w->ops->passed(w->arg, w->path, name, why);
    }
}

/* Only looked at from afar: what is mounted there is not waited for. */
static enum passed_why link_kind(int dir_fd, const char *name)
{
    struct stat st;

    return fstatat(dir_fd, name, &st, AT_NO_AUTOMOUNT) == 0 &&
                   S_ISDIR(st.st_mode)
               ? PASSED_LINK_DIR
               : PASSED_LINK;
}

bool walk_passes(int dir_fd, const char *name, enum passed_why *why_out)
{
    size_t len;

    switch (dir_type(dir_fd, name, DT_UNKNOWN)) {
    case DT_LNK:
        *why_out = link_kind(dir_fd, name);
        return true;
    case DT_REG:
        *why_out = PASSED_NO_KEY;
        return !name_is_key(name, &len) && !name_is_temp(name);
    case DT_DIR:
        *why_out = PASSED_DIR;
        return name_is_key(name, &len);
    case DT_UNKNOWN:
        return false;
    default:
        *why_out = PASSED_SPECIAL;
        return true;
    }
}

/* What is at `name` is no directory; was a table there?  Then say why it cannot
 * be read: a link may lead to it. */
static int in_a_tables_place(struct walk *w, const char *name, bool is_file)
{
    size_t base = w->path_len, len;
    struct err why;
    int rc = 0;

    if (w->ops->expected == NULL || !name_is_table(name, &len) ||
        !path_push(w, name)) {
        return 0;
    }
    if (w->ops->expected(w->arg, w->path, table_len(w), is_file)) {
        (void)err_set(&why, ERR_NOTTABLE, 0,
                      "%s: something else is in the table's place",
                      QUOTED_TABLE(w->path, w->path_len));
        rc = report_end(w, true, &why);
    }
    path_cut(w, base);
    return rc;
}

static int visit_file(struct walk *w, const struct place *at, const char *name)
{
    size_t len;

    if (at->is_table && name_is_key(name, &len)) {
        w->counts.keys++;
        return w->ops->key != NULL ? w->ops->key(w->arg, w->path, table_len(w),
                                                 at->fd, name, len)
                                   : 0;
    }
    if (at->is_table && name_is_temp(name)) {
        w->counts.temps++;
        return 0;
    }
    pass_over(w, name,
              name_is_key(name, &len) ? PASSED_NO_TABLE : PASSED_NO_KEY);
    return in_a_tables_place(w, name, true);
}

/* Tables may be in it, whatever it is called; but it is no value. */
static int visit_subdir(struct walk *w, struct place *at, const char *name)
{
    size_t len;

    if (at->is_table && name_is_key(name, &len)) {
        pass_over(w, name, PASSED_DIR);
    }
    buf_put(&at->dirs, name, strlen(name) + 1);
    return at->dirs.bad
               ? err_set(w->err, ERR_NOMEM, 0, "out of memory in a walk")
               : 0;
}

static int visit_entry(struct walk *w, struct place *at,
                       const struct dirent64 *e, struct err *why)
{
    if (is_skipped(at, e->d_name)) {
        return 0;
    }
    switch (dir_type(at->fd, e->d_name, e->d_type)) {
    case DT_REG:
        return visit_file(w, at, e->d_name);
    case DT_DIR:
        return visit_subdir(w, at, e->d_name);
    case DT_UNKNOWN:
        if (errno != ENOENT) { /* else it is gone since it was listed */
            (void)err_sys(why, errno, "stat %s", QUOTED_STR(e->d_name));
        }
        return 0;
    case DT_LNK:
        pass_over(w, e->d_name, link_kind(at->fd, e->d_name));
        return in_a_tables_place(w, e->d_name, false);
    default:
        pass_over(w, e->d_name, PASSED_SPECIAL);
        return in_a_tables_place(w, e->d_name, false);
    }
}

/* Read the directory to its end.  *why is set (code < 0) when that failed. */
static int visit_entries(struct walk *w, struct place *at, struct err *why)
{
    for (;;) {
        ssize_t n = getdents64(at->fd, w->entries, ENTRIES_BYTES);
        if (n == 0) {
            return 0;
        }
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            (void)err_sys(why, errno, "list %s",
                          QUOTED_TABLE(w->path, w->path_len));
            return 0;
        }
        for (ssize_t i = 0; i < n;) {
            const void *p = w->entries + i;
            const struct dirent64 *e = p;
            int rc = visit_entry(w, at, e, why);
            if (rc != 0) {
                return rc;
            }
            i += e->d_reclen;
        }
    }
}

/* --- directories --------------------------------------------------------- */

static int visit_dir(struct walk *w, int dir_fd, bool is_table, int depth);

/* Extend the path by `name`; false when it becomes too long to be a name. */
static bool path_push(struct walk *w, const char *name)
{
    size_t n = strlen(name);
    size_t slash = w->path_len > 0 ? 1 : 0;

    if (w->path_len + slash + n >= sizeof w->path) {
        return false;
    }
    if (slash) {
        w->path[w->path_len] = '/';
    }
    memcpy(w->path + w->path_len + slash, name, n + 1);
    w->path_len += slash + n;
    return true;
}

static void path_cut(struct walk *w, size_t len)
{
    w->path_len = len;
    w->path[len] = '\0';
}

/* The directory the path now names is not of this database. */
static int report_mount(struct walk *w, bool is_table)
{
    struct err why;

    (void)err_set(&why, ERR_NOTTABLE, EXDEV, "%s: something is mounted there",
                  QUOTED_TABLE(w->path, w->path_len));
    return report_end(w, is_table, &why);
}

/* The directory the path now names is another database. */
static int report_other(struct walk *w, bool is_table)
{
    struct err why;

    w->counts.others++;
    int rc = w->ops->other != NULL ? w->ops->other(w->arg, w->path) : 0;
    if (rc != 0 || !is_table || w->ops->expected == NULL ||
        !w->ops->expected(w->arg, w->path, table_len(w), false)) {
        return rc;
    }
    (void)err_set(
        &why, ERR_NOTTABLE, 0,
        "%s: another database is in the table's place (it has a " META_DIR
        " of its own)",
        QUOTED_TABLE(w->path, w->path_len));
    return report_end(w, true, &why);
}

/* Open the subdirectory the path now names, and visit it. */
static int enter(struct walk *w, int parent_fd, const char *name, bool is_table,
                 int depth)
{
    struct stat st;
    struct err why;
    CLEANUP(fd_closep) int fd = db_open_step(parent_fd, name);

    if (fd < 0 && errno == ENOENT) {
        return 0; /* removed since it was listed */
    }
    if (fd < 0 && errno == EXDEV) {
        return report_mount(w, is_table);
    }
    if (fd < 0 && errno == DB_OTHER) {
        return report_other(w, is_table);
    }
    if (fd < 0 && errno == EACCES && db_is_lost_found(w->db, w->path)) {
        return 0;
    }
    if (fd < 0 || fstat(fd, &st) < 0) {
        (void)err_sys(&why, errno, "open %s",
                      QUOTED_TABLE(w->path, w->path_len));
        return report_end(w, is_table, &why);
    }
    if (db_is_mounted(w->db, fd, &st)) {
        return report_mount(w, is_table);
    }
    return visit_dir(w, fd, is_table, depth);
}

static int enter_all(struct walk *w, const struct place *at)
{
    size_t base = w->path_len;

    if (at->dirs.len == 0) {
        return 0; /* data is NULL then */
    }
    const char *name = (const char *)at->dirs.data;
    const char *end = name + at->dirs.len;
    for (; name != end; name += strlen(name) + 1) {
        size_t len;
        bool is_table = name_is_table(name, &len);
        /* Deeper or longer than a table's name may be: cannot be one. */
        if (at->depth >= TABLE_MAX_DEPTH || !path_push(w, name) ||
            (is_table && table_len(w) > TABLE_MAX_BYTES)) {
            path_cut(w, base);
            pass_over(w, name, PASSED_LONG);
            continue;
        }
        int rc = enter(w, at->fd, name, is_table, at->depth + 1);
        path_cut(w, base);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int visit_dir(struct walk *w, int dir_fd, bool is_table, int depth)
{
    struct err why = {.code = 0};
    CLEANUP(buf_deinit) struct buf dirs = BUF_NULL;
    struct place at = {.fd = dir_fd, .is_table = is_table, .depth = depth};

    int rc = report_begin(w, &at);
    if (rc == 0) {
        rc = visit_entries(w, &at, &why);
    }
    dirs = at.dirs; /* so that it is released whatever follows */
    if (rc == 0) {
        rc = report_end(w, is_table, why.code != 0 ? &why : NULL);
    }
    return rc != 0 ? rc : enter_all(w, &at);
}

/* --- starting points ----------------------------------------------------- */

static int check_root(const struct db *db, struct err *err)
{
    if (db_root_is_same(db)) {
        return 0;
    }
    return err_set(err, ERR_GONE, 0,
                   "database %s: its directory is not the one that was opened "
                   "(unmounted, moved or removed)",
                   QUOTED_STR(db->path));
}

/* Walk from `path`, which is set in `w`; before and after it the root must be
 * the one we know, else what was seen means nothing. */
static int run(struct walk *w, int dir_fd, bool is_table, int depth)
{
    struct stat st;
    CLEANUP(freep) char *entries = malloc(ENTRIES_BYTES);

    if (entries == NULL) {
        return err_set(w->err, ERR_NOMEM, 0, "out of memory in a walk");
    }
    w->entries = entries;
    if (fstat(dir_fd, &st) < 0) {
        return err_sys(w->err, errno, "stat %s",
                       QUOTED_TABLE(w->path, w->path_len));
    }
    int rc;
    if (db_is_mounted(w->db, dir_fd, &st)) {
        rc = report_mount(w, is_table);
    } else {
        rc = visit_dir(w, dir_fd, is_table, depth);
    }
    return rc != 0 ? rc : check_root(w->db, w->err);
}

int walk_db(const struct db *db, const struct walk_ops *ops, void *arg,
            struct walk_counts *counts_out, struct err *err)
{
    struct walk w = {.db = db, .ops = ops, .arg = arg, .err = err};

    int rc = check_root(db, err);
    if (rc < 0) {
        return rc;
    }
    /* A descriptor of its own: the root's position is not ours to move. */
    CLEANUP(fd_closep) int fd = db_open_dir(db, ".");
    if (fd < 0) {
        return err_sys(err, errno, "open database %s", QUOTED_STR(db->path));
    }
    rc = run(&w, fd, true, 0);
    if (counts_out != NULL) {
        *counts_out = w.counts;
    }
    return rc;
}

static int depth_of(const char *path)
{
    int depth = path[0] != '\0';

    for (; *path != '\0'; path++) {
        depth += *path == '/';
    }
    return depth;
}

int walk_below(const struct db *db, const char *path, size_t len, bool is_table,
               const struct walk_ops *ops, void *arg,
               struct walk_counts *counts_out, struct err *err)
{
    struct walk w = {.db = db, .ops = ops, .arg = arg, .err = err};

    /* A plain directory's path obeys the same rules as a table's name. */
    int rc = table_check(path, len, err);
    if (rc == 0) {
        rc = check_root(db, err);
    }
    if (rc < 0) {
        return rc;
    }
    if (len > 0 && is_table) {
        table_path(path, len, w.path);
    } else if (len > 0) {
        memcpy(w.path, path, len);
        w.path[len] = '\0';
    }
    w.path_len = strlen(w.path);
    CLEANUP(fd_closep) int fd = db_open_dir(db, len > 0 ? w.path : ".");
    if (fd < 0 && errno == DB_OTHER) {
        return err_set(err, ERR_NOTTABLE, 0, "%s: another database lies there",
                       QUOTED_TABLE(w.path, w.path_len));
    }
    if (fd < 0) {
        return err_sys(err, errno, "open %s", QUOTED_TABLE(w.path, w.path_len));
    }
    rc = run(&w, fd, is_table || len == 0, depth_of(w.path));
    if (counts_out != NULL) {
        *counts_out = w.counts;
    }
    return rc;
}
