/* SPDX-License-Identifier: MIT
 *
 * kept: see kept.h. */
#include "sync/replica/role/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/dir.h"
#include "store/base/sys.h"
#include "store/layout/walk.h"

enum { NUMBER_BYTES = 16 };

struct kept_table {
    char number[NUMBER_BYTES];
    char name[TABLE_MAX_BYTES];
    size_t len;
};

void kept_file(const void *key, size_t len, char *out)
{
    if (len > 0) {
        memcpy(out, key, len);
    }
    memcpy(out + len, ".v", 3);
}

/* Is it the file of a key?  *len_out: the key's length. */
static bool is_value(const char *entry, size_t *len_out)
{
    size_t n = strlen(entry);
    struct err err;

    if (n < 2 || strcmp(entry + n - 2, ".v") != 0) {
        return false;
    }
    *len_out = n - 2;
    return key_check(entry, n - 2, &err) == 0;
}

static bool is_number(const char *entry)
{
    size_t n = strlen(entry);

    return n < NUMBER_BYTES && strspn(entry, "0123456789") == n;
}

/* A regular file; -1 with errno. */
static int open_value(int dir_fd, const char *file)
{
    CLEANUP(fd_closep)
    int fd = sys_open_file(dir_fd, file);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) != 0) {
        return -1;
    }
    if (!S_ISREG(st.st_mode)) {
        errno = ELOOP;
        return -1;
    }
    return TAKE_FD(fd);
}

/* --- which tables there are ---------------------------------------------- */

static int read_name(const struct kept *k, struct kept_table *t,
                     struct err *err)
{
    CLEANUP(fd_closep) int dir = sys_open_dir(k->fd, t->number);

    if (dir < 0) {
        return err_sys(err, errno, "open %s", t->number);
    }
    CLEANUP(fd_closep) int fd = open_value(dir, KEPT_TABLE);
    char name[TABLE_MAX_BYTES + 1];
    ssize_t n = fd >= 0 ? pread(fd, name, sizeof name, 0) : -1;
    if (n < 0) {
        return err_sys(err, errno, "read %s/" KEPT_TABLE, t->number);
    }
    if (n > TABLE_MAX_BYTES || table_check(name, (size_t)n, err) != 0) {
        return err_set(err, ERR_CORRUPT, 0,
                       "%s/" KEPT_TABLE " does not hold a table's name",
                       t->number);
    }
    memcpy(t->name, name, (size_t)n);
    t->len = (size_t)n;
    return 0;
}

static struct kept_table *one_more(struct kept *k)
{
    if ((k->count & (k->count - 1)) == 0) {
        size_t cap = k->count > 0 ? 2 * k->count : 1;
        struct kept_table *more = realloc(k->tables, cap * sizeof *more);
        if (more == NULL) {
            return NULL;
        }
        k->tables = more;
    }
    return &k->tables[k->count];
}

static int by_name(const void *a, const void *b)
{
    const struct kept_table *x = a, *y = b;
    size_t n = x->len < y->len ? x->len : y->len;
    int d = memcmp(x->name, y->name, n);

    return d != 0 ? d : (x->len > y->len) - (x->len < y->len);
}

static int read_tables(struct kept *k, struct err *err)
{
    CLEANUP(dir_end) struct dir dir = dir_list(k->fd, ".");
    int rc = 0;

    for (const struct dirent *e; rc == 0 && (e = dir_next(&dir)) != NULL;) {
        if (!is_number(e->d_name)) {
            continue;
        }
        struct kept_table *t = one_more(k);
        if (t == NULL) {
            rc = err_set(err, ERR_NOMEM, 0, "out of memory");
            break;
        }
        memcpy(t->number, e->d_name, strlen(e->d_name) + 1);
        rc = read_name(k, t, err);
        k->count += rc == 0;
    }
    if (dir.sys != 0) {
        rc = err_sys(err, dir.sys, "list");
    }
    if (rc == 0 && k->count > 1) {
        qsort(k->tables, k->count, sizeof *k->tables, by_name);
    }
    return rc;
}

static int open_layout(struct kept *k, struct err *err)
{
    char text[32] = "";
    CLEANUP(fd_closep) int fd = open_value(k->fd, KEPT_LAYOUT);

    if (fd < 0 && errno == ENOENT) {
        /* This path leads to the very directory, whatever becomes of its
         * name. */
        char path[64];
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", k->fd);
        k->as_database = true;
        int own = sys_open_dir(k->fd, ".");
        return own < 0 ? err_sys(err, errno, "open")
                       : db_open_fd(&k->db, own, path, err);
    }
    if (fd < 0 || pread(fd, text, sizeof text - 1, 0) < 0) {
        return err_sys(err, errno, "read " KEPT_LAYOUT);
    }
    return strcmp(text, KEPT_LAYOUT_TEXT) != 0
               ? err_set(err, ERR_CORRUPT, 0,
                         KEPT_LAYOUT " is of another version of drover")
               : read_tables(k, err);
}

int kept_open(struct kept *k, int meta_fd, const char *name, struct err *err)
{
    *k = (struct kept){.last_fd = -1, .db = {.root_fd = -1}};
    k->fd = sys_open_dir(meta_fd, name);
    int rc = k->fd < 0 ? err_sys(err, errno, "open") : open_layout(k, err);
    if (rc != 0) {
        kept_close(k);
        return err_wrap(err, META_DIR "/%s", name);
    }
    return 0;
}

void kept_close(struct kept *k)
{
    db_close(&k->db);
    free(k->tables);
    k->tables = NULL;
    fd_closep(&k->last_fd);
    fd_closep(&k->fd);
}

/* --- each value ---------------------------------------------------------- */

struct each {
    kept_fn fn;
    void *arg;
    struct err *err;
};

static int give(const struct each *e, struct bytes table, struct bytes key,
                int dir_fd, const char *file)
{
    CLEANUP(fd_closep) int fd = open_value(dir_fd, file);

    return fd < 0 ? err_sys(e->err, errno == ENOENT ? EIO : errno,
                            "open a kept value")
                  : e->fn(e->arg, table, key, fd);
}

static int on_key(void *arg, const char *table, size_t len, int dir_fd,
                  const char *key, size_t key_len)
{
    char file[KEY_FILE_BYTES];

    key_file(key, key_len, file);
    return give(arg, bytes_of(table, len), bytes_of(key, key_len), dir_fd,
                file);
}

static int each_as_database(struct kept *k, struct each *e)
{
    static const struct walk_ops ops = {.key = on_key};
    struct walk_counts counts = {0};
    int rc = walk_db(&k->db, &ops, e, &counts, e->err);

    return rc == 0 && counts.incomplete > 0
               ? err_set(e->err, ERR_PERM, 0,
                         "parts of it cannot be read: run this as root")
               : rc;
}

static int each_of_table(const struct kept *k, const struct kept_table *t,
                         const struct each *e)
{
    CLEANUP(dir_end) struct dir dir = dir_list(k->fd, t->number);
    size_t len;
    int rc = 0;

    for (const struct dirent *d; rc == 0 && (d = dir_next(&dir)) != NULL;) {
        if (is_value(d->d_name, &len)) {
            rc = give(e, bytes_of(t->name, t->len), bytes_of(d->d_name, len),
                      dirfd(dir.stream), d->d_name);
        }
    }
    return dir.sys != 0 ? err_sys(e->err, dir.sys, "list %s", t->number) : rc;
}

int kept_each(struct kept *k, kept_fn fn, void *arg, struct err *err)
{
    struct each e = {fn, arg, err};
    int rc = 0;

    if (k->as_database) {
        return each_as_database(k, &e);
    }
    for (size_t i = 0; rc == 0 && i < k->count; i++) {
        rc = each_of_table(k, &k->tables[i], &e);
    }
    return rc;
}

/* --- one value ----------------------------------------------------------- */

/* The table's directory, borrowed; ERR_NOTFOUND. */
static int table_of(struct kept *k, struct bytes table, struct err *err)
{
    struct kept_table want = {.len = table.len};

    if (table.len > 0) {
        memcpy(want.name, table.p, table.len);
    }
    if (k->last_fd >= 0 && by_name(&k->tables[k->last], &want) == 0) {
        return k->last_fd;
    }
    const struct kept_table *t =
        k->count > 0 ? bsearch(&want, k->tables, k->count, sizeof want, by_name)
                     : NULL;
    if (t == NULL) {
        return err_set(err, ERR_NOTFOUND, 0, "no such table was kept");
    }
    fd_closep(&k->last_fd);
    k->last = (size_t)(t - k->tables);
    k->last_fd = sys_open_dir(k->fd, t->number);
    return k->last_fd < 0 ? err_sys(err, errno, "open %s", t->number)
                          : k->last_fd;
}

static bool is_there(int dir_fd, const char *file)
{
    struct stat st;

    return fstatat(dir_fd, file, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

int kept_has(struct kept *k, struct bytes table, struct bytes key,
             struct err *err)
{
    char file[KEY_FILE_BYTES];

    if (k->as_database) {
        CLEANUP(fd_closep)
        int dir = table_open(&k->db, table.p, table.len, NULL, NULL, err);
        key_file(key.p, key.len, file);
        return dir >= 0 ? is_there(dir, file) : dir == ERR_NOTFOUND ? 0 : dir;
    }
    int dir = table_of(k, table, err);
    kept_file(key.p, key.len, file);
    return dir >= 0 ? is_there(dir, file) : dir == ERR_NOTFOUND ? 0 : dir;
}
