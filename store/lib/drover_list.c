/* SPDX-License-Identifier: MIT
 *
 * drover_list: tables made, found and dropped, and keys listed; see drover.h.
 *
 * Names are collected before the first is reported: no directory is open while
 * the caller's function runs, so that it may set, delete and drop freely, and
 * sorting costs nothing extra. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/buf.h"
#include "store/base/dir.h"
#include "store/base/quote.h"
#include "store/base/sys.h"
#include "store/layout/suspects.h"
#include "store/layout/temps.h"
#include "store/layout/walk.h"
#include "store/lib/drover_impl.h"

/* A table that others keep filling while it is dropped. */
enum { DROP_TRIES = 5 };

/* --- names --------------------------------------------------------------- */

/* Bytes of all names, and where each begins and how long it is. */
struct names {
    struct buf bytes;
    struct drover_bytes *sorted; /* NULL: in order of discovery */
    size_t count;
    size_t next;
    size_t pos; /* of the next name in bytes */
};

struct names *names_new(void)
{
    return calloc(1, sizeof(struct names));
}

void names_free(struct names *n)
{
    if (n != NULL) {
        buf_deinit(&n->bytes);
        free(n->sorted);
        free(n);
    }
}

bool names_add(struct names *n, const void *data, size_t len)
{
    buf_u16(&n->bytes, (uint16_t)len);
    buf_put(&n->bytes, data, len);
    n->count++;
    return !n->bytes.bad;
}

static bool next_found(struct names *n, struct drover_bytes *out)
{
    struct cur c = cur_of(n->bytes.data + n->pos, n->bytes.len - n->pos);

    if (n->pos == n->bytes.len) {
        return false;
    }
    out->len = cur_u16(&c);
    out->data = cur_take(&c, out->len);
    n->pos += 2 + out->len;
    return true;
}

static int compare(const void *a, const void *b)
{
    const struct drover_bytes *x = a;
    const struct drover_bytes *y = b;
    size_t n = x->len < y->len ? x->len : y->len;
    int order = n > 0 ? memcmp(x->data, y->data, n) : 0;

    return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

bool names_sort(struct names *n)
{
    if (n->count == 0) {
        return true;
    }
    n->sorted = calloc(n->count, sizeof *n->sorted);
    if (n->sorted == NULL) {
        return false;
    }
    for (size_t i = 0; i < n->count; i++) {
        (void)next_found(n, &n->sorted[i]);
    }
    qsort(n->sorted, n->count, sizeof *n->sorted, compare);
    return true;
}

bool names_next(struct names *n, struct drover_bytes *out)
{
    if (n->sorted == NULL) {
        return next_found(n, out);
    }
    if (n->next == n->count) {
        return false;
    }
    *out = n->sorted[n->next++];
    return true;
}

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NOMEM, 0, "out of memory");
}

/* --- one directory ------------------------------------------------------- */

typedef int (*entry_fn)(void *arg, int dir_fd, const struct dirent *e,
                        struct err *err);

/* Call `fn` for each entry besides "." and ".."; non-zero stops. */
static int each_entry(int dir_fd, entry_fn fn, void *arg, struct err *err)
{
    CLEANUP(dir_end) struct dir dir = dir_list(dir_fd, ".");
    int rc = 0;

    for (const struct dirent *e; rc == 0 && (e = dir_next(&dir)) != NULL;) {
        rc = fn(arg, dir_fd, e, err);
    }
    return dir.sys != 0 ? err_sys(err, dir.sys, "list the directory") : rc;
}

struct key_search {
    struct drover_bytes prefix;
    struct names *names;
};

static int add_key(void *arg, int dir_fd, const struct dirent *e,
                   struct err *err)
{
    struct key_search *s = arg;
    size_t len;

    if (!name_is_key(e->d_name, &len) || len < s->prefix.len ||
        (s->prefix.len > 0 &&
         memcmp(e->d_name, s->prefix.data, s->prefix.len) != 0) ||
        dir_type(dir_fd, e->d_name, e->d_type) != DT_REG) {
        return 0;
    }
    return names_add(s->names, e->d_name, len) ? 0 : no_memory(err);
}

int drover_list_keys(int dir_fd, struct drover_bytes prefix,
                     struct names *names, struct err *err)
{
    struct key_search s = {.prefix = prefix, .names = names};

    return each_entry(dir_fd, add_key, &s, err);
}

/* --- keys ---------------------------------------------------------------- */

static int check_flags(unsigned flags, struct err *err)
{
    if ((flags & ~(unsigned)DROVER_LIST_SORTED) != 0) {
        return err_set(err, ERR_INVALID, 0, "unknown flags %#x", flags);
    }
    return 0;
}

/* All keys of a table to a new *out. */
static int find_keys(struct drover *db, struct drover_bytes table,
                     struct drover_bytes prefix, unsigned flags,
                     struct names **out, struct err *err)
{
    int rc = check_flags(flags, err);

    if (rc < 0) {
        return rc;
    }
    CLEANUP(fd_closep)
    int dir_fd = table_open(&db->db, table.data, table.len, NULL, NULL, err);
    if (dir_fd < 0) {
        return dir_fd;
    }
    CLEANUP(names_freep) struct names *names = names_new();
    rc = names == NULL ? no_memory(err)
                       : drover_list_keys(dir_fd, prefix, names, err);
    if (rc == 0 && (flags & DROVER_LIST_SORTED) && !names_sort(names)) {
        rc = no_memory(err);
    }
    if (rc < 0) {
        return err_wrap(err, "keys of table %s",
                        QUOTED_TABLE(table.data, table.len));
    }
    *out = TAKE_PTR(names);
    return 0;
}

int drover_keys(struct drover *db, struct drover_bytes table,
                struct drover_bytes prefix, unsigned flags, drover_name_fn fn,
                void *arg, struct drover_error *err)
{
    CLEANUP(names_freep) struct names *names = NULL;
    struct drover_bytes key;
    struct err e;

    int rc = find_keys(db, table, prefix, flags, &names, &e);
    if (rc < 0) {
        return drover_report(rc, &e, err);
    }
    while (rc == 0 && names_next(names, &key)) {
        rc = fn(arg, key);
    }
    return rc;
}

int drover_each(struct drover *db, struct drover_bytes table,
                struct drover_bytes prefix, unsigned flags, int64_t timeout_ms,
                drover_pair_fn fn, void *arg, struct drover_error *err)
{
    CLEANUP(names_freep) struct names *names = NULL;
    CLEANUP(buf_deinit) struct buf value = BUF_NULL;
    struct drover_bytes key;
    struct err e;

    int rc = find_keys(db, table, prefix, flags, &names, &e);
    if (rc < 0) {
        return drover_report(rc, &e, err);
    }
    while (names_next(names, &key)) {
        rc = drover_get_buf(db, table, key, timeout_ms, &value, &e);
        if (rc == ERR_NOTFOUND) {
            continue; /* deleted since it was listed */
        }
        if (rc < 0) {
            return drover_report(rc, &e, err);
        }
        rc = fn(arg, key, drover_bytes(value.data, value.len));
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* --- tables -------------------------------------------------------------- */

static int create_impl(struct drover *db, struct drover_bytes table,
                       struct err *err)
{
    struct table_make make = {.create = true, .group = (gid_t)-1};
    bool created;

    int rc = drover_check_writable(db, err);
    if (rc < 0) {
        return rc;
    }
    CLEANUP(fd_closep)
    int fd = table_open(&db->db, table.data, table.len, &make, &created, err);
    if (fd < 0) {
        return fd;
    }
    /* Whoever made it may have died before his sync. */
    rc = created ? 0 : drover_sync(fd, "the table's directory", err);
    return rc < 0 ? rc : created;
}

int drover_table_create(struct drover *db, struct drover_bytes table,
                        struct drover_error *err)
{
    struct err e;

    return drover_report(create_impl(db, table, &e), &e, err);
}

int drover_table_has(struct drover *db, struct drover_bytes table,
                     struct drover_error *err)
{
    struct err e;
    CLEANUP(fd_closep)
    int fd = table_open(&db->db, table.data, table.len, NULL, NULL, &e);

    if (fd == ERR_NOTFOUND || fd == ERR_NOTTABLE) {
        return 0;
    }
    return fd < 0 ? drover_report(fd, &e, err) : 1;
}

struct table_search {
    struct names *names;
    struct err first; /* why something could not be seen; code 0: nothing */
};

static int on_table_end(void *arg, const char *table, size_t len, bool complete,
                        const struct err *err)
{
    struct table_search *s = arg;

    if (!complete && s->first.code == 0) {
        s->first = *err;
    }
    return names_add(s->names, table, len) ? 0 : ERR_NOMEM;
}

static int on_plain_incomplete(void *arg, const char *path,
                               const struct err *err)
{
    struct table_search *s = arg;

    (void)path;
    if (s->first.code == 0) {
        s->first = *err;
    }
    return 0;
}

int drover_tables(struct drover *db, unsigned flags, drover_name_fn fn,
                  void *arg, struct drover_error *err)
{
    static const struct walk_ops ops = {
        .table_end = on_table_end, .plain_incomplete = on_plain_incomplete};
    CLEANUP(names_freep) struct names *names = names_new();
    struct table_search search = {.names = names};
    struct drover_bytes table;
    struct err e;

    int rc = check_flags(flags, &e);
    if (names == NULL) {
        rc = no_memory(&e);
    }
    if (rc == 0) {
        rc = walk_db(&db->db, &ops, &search, NULL, &e);
    }
    if (rc == ERR_NOMEM ||
        (rc == 0 && (flags & DROVER_LIST_SORTED) && !names_sort(names))) {
        rc = no_memory(&e);
    }
    if (rc < 0) {
        return drover_report(rc, &e, err);
    }
    while (rc == 0 && names_next(names, &table)) {
        rc = fn(arg, table);
    }
    return rc == 0 ? drover_report(search.first.code, &search.first, err) : rc;
}

/* --- drop ---------------------------------------------------------------- */

/* What stops a drop before it begins: anything but keys and temporaries. */
static int check_entry(void *arg, int dir_fd, const struct dirent *e,
                       struct err *err)
{
    size_t len;

    (void)arg;
    if (dir_type(dir_fd, e->d_name, e->d_type) == DT_REG &&
        (name_is_key(e->d_name, &len) || name_is_temp(e->d_name))) {
        return 0;
    }
    return err_set(err, ERR_EXISTS, 0, "it contains %s, which is not a key",
                   QUOTED_STR(e->d_name));
}

static int drop_contents(int dir_fd, int64_t timeout_ms, struct err *err)
{
    CLEANUP(names_freep) struct names *names = names_new();
    struct drover_bytes key;

    if (names == NULL) {
        return no_memory(err);
    }
    int rc = each_entry(dir_fd, check_entry, NULL, err);
    if (rc == 0) {
        rc = drover_list_keys(dir_fd, drover_bytes(NULL, 0), names, err);
    }
    while (rc == 0 && names_next(names, &key)) {
        rc = drover_delete_at(dir_fd, key, timeout_ms, err);
        if (rc < 0) {
            return err_wrap(err, "delete key %s", QUOTED(key.data, key.len));
        }
        rc = 0;
    }
    if (rc == 0) {
        rc = temps_sweep_table(dir_fd, INT64_MAX, err);
    }
    return rc < 0 ? rc : 0;
}

static int drop_impl(struct drover *db, struct drover_bytes table,
                     int64_t timeout_ms, struct err *err)
{
    int rc = drover_check_writable(db, err);

    if (rc < 0) {
        return rc;
    }
    if (table.len == 0) {
        return err_set(err, ERR_INVALID, 0, "the root table cannot be dropped");
    }
    CLEANUP(fd_closep)
    int dir_fd = table_open(&db->db, table.data, table.len, NULL, NULL, err);
    if (dir_fd == ERR_NOTFOUND) {
        /* Finishes what an earlier drop may have left to do. */
        return table_remove_dir(&db->db, table.data, table.len, err);
    }
    if (dir_fd < 0) {
        return dir_fd;
    }
    rc = ERR_EXISTS;
    for (int i = 0; i < DROP_TRIES && rc == ERR_EXISTS; i++) {
        rc = drop_contents(dir_fd, timeout_ms, err);
        if (rc < 0) {
            return err_wrap(err, "drop table %s",
                            QUOTED(table.data, table.len));
        }
        rc = table_remove_dir(&db->db, table.data, table.len, err);
    }
    return rc < 0 ? rc : 1;
}

int drover_table_drop(struct drover *db, struct drover_bytes table,
                      int64_t timeout_ms, struct drover_error *err)
{
    struct err e;

    return drover_report(drop_impl(db, table, timeout_ms, &e), &e, err);
}

/* --- sweep --------------------------------------------------------------- */

int64_t drover_sweep(struct drover *db, struct drover_error *err)
{
    uint64_t removed = 0;
    struct err e;
    int rc = drover_check_writable(db, &e);

    if (rc == 0) {
        rc = temps_sweep(&db->db, clock_real_ns() - TEMPS_OLD_NS, &removed, &e);
    }
    return rc < 0 ? drover_report(rc, &e, err) : (int64_t)removed;
}

struct suspects {
    drover_suspect_fn fn;
    void *arg;
};

static int on_suspect(void *arg, const char *table, size_t table_len,
                      const char *key, size_t key_len, const char *of,
                      size_t of_len)
{
    const struct suspects *s = arg;

    return s->fn(s->arg, drover_bytes(table, table_len),
                 drover_bytes(key, key_len), drover_bytes(of, of_len));
}

int drover_suspects(struct drover *db, drover_suspect_fn fn, void *arg,
                    struct drover_error *err)
{
    struct suspects s = {fn, arg};
    struct err e;
    int rc = suspects_find(&db->db, on_suspect, &s, &e);

    return rc < 0 ? drover_report(rc, &e, err) : rc;
}
