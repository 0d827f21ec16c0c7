/* SPDX-License-Identifier: MIT
 *
 * role_kept: the values of a demoted primary, linked aside (see role.h).
 *
 *     META_DIR/kept-EPOCH/layout    "drover-kept 2"
 *     META_DIR/kept-EPOCH/N/table   the name of table number N
 *     META_DIR/kept-EPOCH/N/KEY.v   a value
 *
 * No name ends in .tbl or .kv: a program that looks for tables and keys in all
 * directories of the database must not find old ones here.  It is made under
 * another name and renamed, so a kept term is complete or not there; until
 * then it is for its maker alone.  Everything is reached through descriptors
 * that follow no link: root may be at work in a directory that belongs to
 * somebody else. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/dir.h"
#include "store/base/sys.h"
#include "store/files/newfile.h"
#include "store/files/own_dir.h"
#include "store/layout/name.h"
#include "store/layout/walk.h"
#include "sync/replica/role/kept.h"
#include "sync/replica/role/role.h"

enum { KEPT_NAME_BYTES = 40, COMPARE_BYTES = 32 * 1024, DEPTH_MAX = 64 };

static void kept_name(uint64_t epoch, const char *end,
                      char out[KEPT_NAME_BYTES])
{
    (void)snprintf(out, KEPT_NAME_BYTES, META_KEPT "%" PRIu64 "%s", epoch, end);
}

/* --- removing a tree ----------------------------------------------------- */

static int remove_tree(int at, const char *name, int depth, struct err *err);

static int remove_entries(int fd, int depth, struct err *err)
{
    CLEANUP(dir_end) struct dir dir = dir_take(fd);
    int rc = 0;

    for (const struct dirent *e; rc == 0 && (e = dir_next(&dir)) != NULL;) {
        rc = remove_tree(dirfd(dir.stream), e->d_name, depth + 1, err);
    }
    return dir.sys != 0 ? err_sys(err, dir.sys, "list") : rc;
}

static int remove_tree(int at, const char *name, int depth, struct err *err)
{
    if (unlinkat(at, name, 0) == 0 || errno == ENOENT) {
        return 0;
    }
    if (errno != EISDIR || depth > DEPTH_MAX) {
        return err_sys(err, errno, "remove %s", name);
    }
    int fd = sys_open_dir(at, name);

    if (fd < 0) {
        return err_sys(err, errno, "open %s", name);
    }
    int rc = remove_entries(fd, depth, err);
    if (rc == 0 && unlinkat(at, name, AT_REMOVEDIR) != 0 && errno != ENOENT) {
        rc = err_sys(err, errno, "remove %s", name);
    }
    return rc;
}

/* --- keeping ------------------------------------------------------------- */

struct keep {
    int root_fd;
    int to_fd; /* the table being walked */
    unsigned tables;
    uint64_t values;
    struct err *err;
};

/* Others may look at it as at what it was made from.  0 or -1 with errno. */
static int make_like(int fd, const struct stat *st)
{
    return (fchown(fd, st->st_uid, st->st_gid) != 0 && geteuid() == 0) ||
                   fchmod(fd, st->st_mode & 07777) != 0
               ? -1
               : 0;
}

static int write_text(int dir_fd, const char *name, const void *text,
                      size_t len, const struct stat *like)
{
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    CLEANUP(fd_closep) int fd = sys_openat(dir_fd, name, flags, 0600);
    struct stat st = *like;

    st.st_mode &= 0666;
    return fd < 0 || sys_write_all(fd, text, len) != 0 ||
                   make_like(fd, &st) != 0
               ? -1
               : 0;
}

static int on_table(void *arg, const char *table, size_t len, int dir_fd)
{
    static const struct own_dir how = {
        .mode = 0700, .group = (gid_t)-1, .fresh = true};
    struct keep *k = arg;
    struct stat st;
    char name[16];

    if (fstat(dir_fd, &st) != 0) {
        return err_sys(k->err, errno, "stat a table");
    }
    st.st_mode |= 0700;

    (void)snprintf(name, sizeof name, "%u", k->tables++);
    fd_closep(&k->to_fd);
    k->to_fd = own_dir_open(k->root_fd, name, &how, NULL, k->err);
    if (k->to_fd < 0) {
        return k->to_fd;
    }
    if (write_text(k->to_fd, KEPT_TABLE, table, len, &st) != 0 ||
        make_like(k->to_fd, &st) != 0) {
        return err_sys(k->err, errno, "make a table of kept values");
    }
    return 0;
}

/* A table in a subvolume, or with a quota of its own, has no links from
 * outside. 0, or -1 with errno. */
static int copy_kept(int dir_fd, const char *file, int to_fd, const char *to)
{
    CLEANUP(fd_closep) int fd = sys_open_file(dir_fd, file);
    struct newfile f;
    struct stat st;

    if (fd < 0 || fstat(fd, &st) != 0) {
        return -1;
    }
    if (!S_ISREG(st.st_mode)) {
        errno = ENOTSUP;
        return -1;
    }
    if (newfile_open(&f, to_fd, to, 0600) < 0) {
        return -1;
    }
    bool kept = newfile_copy(fd, f.fd) == 0 && make_like(f.fd, &st) == 0 &&
                newfile_give_name(&f, to_fd, to) == 0;
    int sys = errno;
    f.named = f.named && !kept; /* so that the drop leaves it */
    newfile_drop(&f, to_fd, to);
    errno = sys;
    return kept ? 0 : -1;
}

static int on_key(void *arg, const char *table, size_t len, int dir_fd,
                  const char *key, size_t key_len)
{
    struct keep *k = arg;
    char file[KEY_FILE_BYTES], to[KEY_FILE_BYTES];

    (void)table, (void)len;
    key_file(key, key_len, file);
    kept_file(key, key_len, to);
    if (linkat(dir_fd, file, k->to_fd, to, 0) == 0) {
        k->values++;
        return 0;
    }
    if (errno == ENOENT) {
        return 0; /* removed since it was listed */
    }
    if ((errno == EXDEV || errno == EMLINK) &&
        copy_kept(dir_fd, file, k->to_fd, to) == 0) {
        k->values++;
        return 0;
    }
    return err_sys(k->err, errno,
                   "link a value aside (to do without: --discard)");
}

static int link_all(const struct meta *m, struct keep *k, struct err *err)
{
    static const struct walk_ops ops = {.table_begin = on_table, .key = on_key};
    struct walk_counts counts = {0};
    struct stat st = {.st_mode = 0};
    int rc = walk_db(&m->db, &ops, k, &counts, err);

    fd_closep(&k->to_fd);
    if (rc == 0 && counts.incomplete > 0) {
        rc = err_set(err, ERR_PERM, 0,
                     "parts of %s cannot be read, so not everything can be "
                     "kept: run this as root (to do without: --discard)",
                     m->db.path);
    }
    if (rc == 0 && (fstat(m->db.root_fd, &st) != 0 ||
                    write_text(k->root_fd, KEPT_LAYOUT, KEPT_LAYOUT_TEXT,
                               strlen(KEPT_LAYOUT_TEXT), &st) != 0 ||
                    sys_syncfs(k->root_fd) != 0)) {
        rc = err_sys(err, errno, "sync the kept values");
    }
    st.st_mode |= 0700;
    return rc == 0 && make_like(k->root_fd, &st) != 0
               ? err_sys(err, errno, "give the kept values to their owner")
               : rc;
}

int role_keep(struct meta *m, uint64_t epoch, uint64_t *values_out,
              struct err *err)
{
    static const struct own_dir how = {
        .mode = 0700, .group = (gid_t)-1, .fresh = true};
    char name[KEPT_NAME_BYTES], temp[KEPT_NAME_BYTES];

    kept_name(epoch, "", name);
    kept_name(epoch, ".new", temp);
    int rc = remove_tree(m->fd, temp, 0, err);
    if (rc == 0) {
        rc = remove_tree(m->fd, name, 0, err);
    }
    if (rc != 0) {
        return err_wrap(err, META_DIR);
    }
    CLEANUP(fd_closep) int root = own_dir_open(m->fd, temp, &how, NULL, err);
    if (root < 0) {
        return err_wrap(err, META_DIR);
    }
    struct keep k = {.root_fd = root, .to_fd = -1, .err = err};
    rc = link_all(m, &k, err);
    if (rc == 0 &&
        (renameat(m->fd, temp, m->fd, name) != 0 || sys_fsync(m->fd) != 0)) {
        rc = err_sys(err, errno, "rename " META_DIR "/%s", temp);
    }
    if (rc == 0) {
        *values_out = k.values;
    }
    return rc;
}

/* --- finding and comparing ----------------------------------------------- */

int role_kept_next(int meta_fd, uint64_t after, uint64_t *epoch_out,
                   struct err *err)
{
    uint64_t best = 0;
    CLEANUP(dir_end) struct dir dir = dir_list(meta_fd, ".");

    for (const struct dirent *e; (e = dir_next(&dir)) != NULL;) {
        uint64_t epoch;
        char end;
        if (sscanf(e->d_name, META_KEPT "%" SCNu64 "%c", &epoch, &end) == 1 &&
            epoch > after && (best == 0 || epoch < best)) {
            best = epoch;
        }
    }
    if (dir.sys != 0) {
        return err_sys(err, dir.sys, "list " META_DIR);
    }
    if (best == 0) {
        return err_set(err, ERR_NOTFOUND, 0, "no values are kept");
    }
    *epoch_out = best;
    return 0;
}

struct compare {
    const struct meta *m;
    struct kept *kept;
    role_differs_fn fn;
    void *arg;
    struct role_kept *out;
    struct err *err;
};

/* 1 = the same bytes. */
static int same_bytes(int a, int b, struct err *err)
{
    char x[COMPARE_BYTES], y[COMPARE_BYTES];

    for (off_t at = 0;;) {
        ssize_t n = pread(a, x, sizeof x, at);
        ssize_t k = pread(b, y, sizeof y, at);
        if (n < 0 || k < 0) {
            return err_sys(err, errno, "read a kept value");
        }
        if (n != k || memcmp(x, y, (size_t)n) != 0) {
            return 0; /* files do not end early: both are at rest */
        }
        if (n == 0) {
            return 1;
        }
        at += n;
    }
}

/* 1 = the same, 0 = another value, ERR_NOTFOUND = none. */
static int same_as_now(const struct compare *c, struct bytes table,
                       struct bytes key, int kept_fd)
{
    struct stat was, now;
    char file[KEY_FILE_BYTES];
    CLEANUP(fd_closep)
    int dir = table_open(&c->m->db, table.p, table.len, NULL, NULL, c->err);

    if (dir < 0) {
        return dir;
    }
    key_file(key.p, key.len, file);
    CLEANUP(fd_closep)
    int fd = sys_open_file(dir, file);
    if (fd < 0 || fstat(fd, &now) != 0 || fstat(kept_fd, &was) != 0) {
        return err_sys(c->err, errno, "open a value");
    }
    if (sys_same_file(&was, &now)) {
        return 1;
    }
    return S_ISREG(now.st_mode) && was.st_size == now.st_size
               ? same_bytes(kept_fd, fd, c->err)
               : 0;
}

static int compare_key(void *arg, struct bytes table, struct bytes key, int fd)
{
    const struct compare *c = arg;

    c->out->values++;
    int same = same_as_now(c, table, key, fd);
    if (same < 0 && same != ERR_NOTFOUND) {
        return same;
    }
    if (same == 1) {
        return 0;
    }
    bool gone = same == ERR_NOTFOUND;
    c->out->gone += gone;
    c->out->different += !gone;
    return c->fn(c->arg, table, key, gone, fd, c->err);
}

static int count_key(void *arg, const char *table, size_t len, int dir_fd,
                     const char *key, size_t key_len)
{
    const struct compare *c = arg;

    (void)dir_fd;
    int has =
        kept_has(c->kept, bytes_of(table, len), bytes_of(key, key_len), c->err);
    c->out->added += has == 0;
    return has < 0 ? has : 0;
}

static int compare_both(struct compare *c, struct err *err)
{
    static const struct walk_ops now = {.key = count_key};
    struct walk_counts more = {0};
    int rc = kept_each(c->kept, compare_key, c, err);

    if (rc == 0) {
        rc = walk_db(&c->m->db, &now, c, &more, err);
    }
    if (rc == 0 && more.incomplete > 0) {
        rc = err_set(err, ERR_PERM, 0,
                     "parts of it cannot be read: run this as root");
    }
    return rc;
}

int role_kept_compare(struct meta *m, uint64_t epoch, role_differs_fn fn,
                      void *arg, struct role_kept *out, struct err *err)
{
    char name[KEPT_NAME_BYTES];
    struct kept k;

    kept_name(epoch, "", name);
    int rc = kept_open(&k, m->fd, name, err);
    if (rc != 0) {
        return rc;
    }
    *out = (struct role_kept){.epoch = epoch};
    struct compare c = {
        .m = m, .kept = &k, .fn = fn, .arg = arg, .out = out, .err = err};
    rc = compare_both(&c, err);
    kept_close(&k);
    return rc;
}

int role_kept_remove(struct meta *m, uint64_t epoch, struct err *err)
{
    char name[KEPT_NAME_BYTES];

    kept_name(epoch, "", name);
    int rc = remove_tree(m->fd, name, 0, err);
    return rc != 0 ? err_wrap(err, META_DIR) : 0;
}
