/* SPDX-License-Identifier: MIT
 *
 * drover_impl: what the files of the public library (drover*.c) share.
 *
 * Inside, errors are struct err as everywhere in the project; the functions of
 * drover.h copy them to the caller's struct drover_error by report(). */
#pragma once

#include "store/base/cleanup.h"
#include "store/base/err.h"
#include "store/layout/db.h"
#include "store/layout/name.h"
#include "store/lib/drover.h"

struct drover {
    struct db db;
    unsigned flags;
};

/* Files of META_DIR that the library knows. */
#define META_REPLICA META_DIR "/replica"
#define META_FRESHNESS META_DIR "/freshness"

/* Copy a failure to the caller's value (NULL is fine); returns `rc`. */
int drover_report(int rc, const struct err *err, struct drover_error *out);

/* Put "WHAT KEY in table TABLE: " in front of the message; returns its code. */
int drover_wrap(struct err *err, const char *what, struct drover_bytes table,
                struct drover_bytes key);

/* 0 when the names are possible; ERR_BADTABLE, ERR_BADKEY. */
int drover_check(struct drover_bytes table, struct drover_bytes key,
                 struct err *err) MUSTCHECK;

/* 0 when writing is allowed, else ERR_READONLY. */
int drover_check_writable(const struct drover *db, struct err *err) MUSTCHECK;

/* fsync through signals.  0 or ERR_*. */
int drover_sync(int fd, const char *what, struct err *err) MUSTCHECK;

/* The names of one directory, or all tables: bytes, in order of discovery or
 * sorted. */
struct names;
struct names *names_new(void); /* NULL: out of memory */
void names_free(struct names *n);
static inline void names_freep(struct names **n)
{
    names_free(*n);
}
bool names_add(struct names *n, const void *data, size_t len);
bool names_sort(struct names *n); /* false: out of memory */
/* The next name, or false at the end. */
bool names_next(struct names *n, struct drover_bytes *out);

/* The keys of the open table `dir_fd` that begin with `prefix`. */
int drover_list_keys(int dir_fd, struct drover_bytes prefix,
                     struct names *names, struct err *err) MUSTCHECK;

/* Is the key there?  Takes no lock.  1 yes, 0 no, DROVER_FOUND_EMPTY: only a
 * placeholder as yet; ERR_*. */
enum { DROVER_FOUND_EMPTY = 2 };
int drover_find(const struct db *db, struct drover_bytes table,
                struct drover_bytes key, struct err *err) MUSTCHECK;

/* Read a value under its share lock to `value`. */
struct buf;
int drover_get_buf(struct drover *db, struct drover_bytes table,
                   struct drover_bytes key, int64_t timeout_ms,
                   struct buf *value, struct err *err) MUSTCHECK;

/* Delete one key of an open table.  1 deleted, 0 there was none. */
int drover_delete_at(int dir_fd, struct drover_bytes key, int64_t timeout_ms,
                     struct err *err) MUSTCHECK;
