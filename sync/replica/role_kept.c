/* SPDX-License-Identifier: MIT
 *
 * role_kept: the values of a demoted primary, linked aside (see role.h).
 *
 * META_DIR/kept-EPOCH is laid out as a database, so drover-kv reads it.  It is
 * made under another name and renamed, so a kept reign is complete or not
 * there.  Everything is reached through descriptors that follow no link: root
 * may be at work in a directory that belongs to somebody else. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/retry.h"
#include "store/name.h"
#include "store/walk.h"
#include "sync/replica/role.h"

enum { KEPT_NAME_BYTES = 40, COMPARE_BYTES = 64 * 1024, DEPTH_MAX = 64 };

static void kept_name(uint64_t epoch, const char *end,
                      char out[KEPT_NAME_BYTES])
{
    (void)snprintf(out, KEPT_NAME_BYTES, META_KEPT "%" PRIu64 "%s", epoch, end);
}

static int open_dir(int at, const char *name)
{
    return retry_openat(at, name,
                        O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
}

/* --- removing a tree ----------------------------------------------------- */

static int remove_tree(int at, const char *name, int depth, struct err *err);

static int remove_entries(int fd, int depth, struct err *err)
{
    DIR *dir = fdopendir(fd);
    int rc = 0;
    if (dir == NULL) {
        rc = err_sys(err, errno, "list");
        (void)close(fd);
        return rc;
    }
    while (rc == 0) {
        errno = 0;
        const struct dirent *e = readdir(dir);
        if (e == NULL) {
            rc = errno != 0 ? err_sys(err, errno, "list") : 0;
            break;
        }
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) {
            continue;
        }
        rc = remove_tree(dirfd(dir), e->d_name, depth + 1, err);
    }
    (void)closedir(dir);
    return rc;
}

static int remove_tree(int at, const char *name, int depth, struct err *err)
{
    if (unlinkat(at, name, 0) == 0 || errno == ENOENT) {
        return 0;
    }
    if (errno != EISDIR || depth > DEPTH_MAX) {
        return err_sys(err, errno, "remove %s", name);
    }
    int fd = open_dir(at, name);
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
    const struct db *to;
    int to_fd; /* the table being walked */
    uint64_t values;
    struct err *err;
};

/* A kept table looks like the one it was made from. */
static int make_table(struct keep *k, const char *table, size_t len, int dir_fd)
{
    struct stat st, made;
    if (fstat(dir_fd, &st) != 0) {
        return err_sys(k->err, errno, "stat a table");
    }
    struct table_make make = {.create = true,
                              .dir_mode = (st.st_mode & 07777) | 0700,
                              .group = (gid_t)-1};
    fd_closep(&k->to_fd);
    k->to_fd = table_open(k->to, table, len, &make, NULL, k->err);
    if (k->to_fd < 0) {
        return k->to_fd;
    }
    if (fstat(k->to_fd, &made) == 0 &&
        (made.st_uid != st.st_uid || made.st_gid != st.st_gid) &&
        fchown(k->to_fd, st.st_uid, st.st_gid) != 0 && geteuid() == 0) {
        return err_sys(k->err, errno, "give a kept table to its owner");
    }
    if (len == 0 && fchmod(k->to_fd, make.dir_mode) != 0) {
        return err_sys(k->err, errno, "chmod the kept root");
    }
    return 0;
}

static int on_table(void *arg, const char *table, size_t len, int dir_fd)
{
    return make_table(arg, table, len, dir_fd);
}

static int on_key(void *arg, const char *table, size_t len, int dir_fd,
                  const char *key, size_t key_len)
{
    struct keep *k = arg;
    char file[KEY_FILE_BYTES];
    (void)table, (void)len;
    key_file(key, key_len, file);
    if (linkat(dir_fd, file, k->to_fd, file, 0) == 0) {
        k->values++;
        return 0;
    }
    if (errno == ENOENT) {
        return 0; /* removed since it was listed */
    }
    return err_sys(k->err, errno,
                   "link a value aside (to do without: --discard)");
}

/* A kept reign as a database.  Reached through /proc its path leads to this
 * very directory, whatever becomes of its name. */
struct kept_db {
    int fd;
    struct db db;
};

static void kept_close(struct kept_db *k)
{
    db_close(&k->db);
    fd_closep(&k->fd);
}

static int kept_open(struct kept_db *k, int meta_fd, const char *name,
                     struct err *err)
{
    char path[64];
    k->fd = open_dir(meta_fd, name);
    if (k->fd < 0) {
        return err_sys(err, errno, "open " META_DIR "/%s", name);
    }
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", k->fd);
    int rc = db_open(&k->db, path, false, err);
    if (rc != 0) {
        fd_closep(&k->fd);
        return err_wrap(err, META_DIR "/%s", name);
    }
    return 0;
}

static int link_all(const struct meta *m, struct keep *k, struct err *err)
{
    static const struct walk_ops ops = {.table_begin = on_table, .key = on_key};
    struct walk_counts counts = {0};
    int rc = walk_db(&m->db, &ops, k, &counts, err);
    fd_closep(&k->to_fd);
    if (rc == 0 && counts.incomplete > 0) {
        rc = err_set(err, ERR_PERM, 0,
                     "parts of %s cannot be read, so not everything can be "
                     "kept: run this as root (to do without: --discard)",
                     m->db.path);
    }
    if (rc == 0 && retry_syncfs(k->to->root_fd) != 0) {
        rc = err_sys(err, errno, "sync the kept values");
    }
    return rc;
}

int role_keep(struct meta *m, uint64_t epoch, uint64_t *values_out,
              struct err *err)
{
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
    if (mkdirat(m->fd, temp, 0700) != 0) {
        return err_sys(err, errno, "make " META_DIR "/%s", temp);
    }
    struct kept_db to;
    rc = kept_open(&to, m->fd, temp, err);
    if (rc != 0) {
        return rc;
    }
    struct keep k = {.to = &to.db, .to_fd = -1, .err = err};
    rc = link_all(m, &k, err);
    kept_close(&to);
    if (rc == 0 &&
        (renameat(m->fd, temp, m->fd, name) != 0 || retry_fsync(m->fd) != 0)) {
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
    int fd = open_dir(meta_fd, ".");
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        int rc = err_sys(err, errno, "list " META_DIR);
        fd_closep(&fd);
        return rc;
    }
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        uint64_t epoch;
        char end;
        if (sscanf(e->d_name, META_KEPT "%" SCNu64 "%c", &epoch, &end) == 1 &&
            epoch > after && (best == 0 || epoch < best)) {
            best = epoch;
        }
    }
    (void)closedir(dir);
    if (best == 0) {
        return err_set(err, ERR_NOTFOUND, 0, "no values are kept");
    }
    *epoch_out = best;
    return 0;
}

struct compare {
    const struct meta *m;
    const struct db *kept;
    role_differs_fn fn;
    void *arg;
    struct role_kept *out;
    struct err *err;
};

/* 1 = the same bytes. */
static int same_bytes(int a, int b, struct err *err)
{
    char x[COMPARE_BYTES / 2], y[COMPARE_BYTES / 2];
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
static int same_as_now(const struct compare *c, const char *table, size_t len,
                       int dir_fd, const char *file)
{
    struct stat was, now;
    CLEANUP(fd_closep)
    int table_fd = table_open(&c->m->db, table, len, NULL, NULL, c->err);
    if (table_fd < 0) {
        return table_fd;
    }
    const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    CLEANUP(fd_closep) int b = retry_openat(table_fd, file, flags, 0);
    if (b < 0 || fstat(b, &now) != 0) {
        return err_sys(c->err, errno, "open a value");
    }
    CLEANUP(fd_closep) int a = retry_openat(dir_fd, file, flags, 0);
    if (a < 0 || fstat(a, &was) != 0) {
        return err_sys(c->err, errno == ENOENT ? EIO : errno,
                       "open a kept value");
    }
    if (was.st_ino == now.st_ino && was.st_dev == now.st_dev) {
        return 1;
    }
    return was.st_size == now.st_size ? same_bytes(a, b, c->err) : 0;
}

static int compare_key(void *arg, const char *table, size_t len, int dir_fd,
                       const char *key, size_t key_len)
{
    const struct compare *c = arg;
    char file[KEY_FILE_BYTES];
    key_file(key, key_len, file);
    c->out->values++;
    int same = same_as_now(c, table, len, dir_fd, file);
    if (same < 0 && same != ERR_NOTFOUND) {
        return same;
    }
    if (same == 1) {
        return 0;
    }
    bool gone = same == ERR_NOTFOUND;
    c->out->gone += gone;
    c->out->different += !gone;
    c->fn(c->arg, bytes_of(table, len), bytes_of(key, key_len), gone);
    return 0;
}

static int count_key(void *arg, const char *table, size_t len, int dir_fd,
                     const char *key, size_t key_len)
{
    const struct compare *c = arg;
    char file[KEY_FILE_BYTES];
    struct stat st;
    (void)dir_fd;
    key_file(key, key_len, file);
    CLEANUP(fd_closep)
    int table_fd = table_open(c->kept, table, len, NULL, NULL, c->err);
    if (table_fd < 0 && table_fd != ERR_NOTFOUND) {
        return table_fd;
    }
    if (table_fd < 0 || fstatat(table_fd, file, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        c->out->added++;
    }
    return 0;
}

static int compare_both(struct compare *c, struct err *err)
{
    static const struct walk_ops kept = {.key = compare_key};
    static const struct walk_ops now = {.key = count_key};
    struct walk_counts counts = {0}, more = {0};
    int rc = walk_db(c->kept, &kept, c, &counts, err);
    if (rc == 0) {
        rc = walk_db(&c->m->db, &now, c, &more, err);
    }
    if (rc == 0 && counts.incomplete + more.incomplete > 0) {
        rc = err_set(err, ERR_PERM, 0,
                     "parts of it cannot be read: run this as root");
    }
    return rc;
}

int role_kept_compare(struct meta *m, uint64_t epoch, role_differs_fn fn,
                      void *arg, struct role_kept *out, struct err *err)
{
    char name[KEPT_NAME_BYTES];
    struct kept_db k;
    kept_name(epoch, "", name);
    int rc = kept_open(&k, m->fd, name, err);
    if (rc != 0) {
        return rc;
    }
    *out = (struct role_kept){.epoch = epoch};
    struct compare c = {
        .m = m, .kept = &k.db, .fn = fn, .arg = arg, .out = out, .err = err};
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
