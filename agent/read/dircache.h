/* SPDX-License-Identifier: MIT
 *
 * dircache: descriptors of recently used tables' directories, so that a read
 * does not open one each time.
 *
 * Entries are taken and given back on the loop thread; between the two a worker
 * opens and uses them, several at once if need be.  An entry found stale (its
 * descriptor no longer leads where the table's name leads) is dropped when its
 * last user gives it back.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <uv.h>

#include "store/base/map.h"
#include "store/layout/db.h"

struct dircache_entry {
    UT_hash_handle hh;
    struct dircache_entry *prev, *next; /* least recently used first */
    unsigned users;
    bool listed;     /* in the cache (else freed by its last user) */
    uv_mutex_t lock; /* guards what follows */
    bool stale;
    int fd; /* -1: not opened yet */
    dev_t dev;
    ino_t ino;
    size_t len;
    char name[]; /* of the table, with NUL for hashing an empty one */
};

struct dircache {
    struct dircache_entry *by_name, *order;
    size_t count, max;
};

void dircache_init(struct dircache *c, size_t max);
/* Forget all; entries in use live on until given back. */
void dircache_clear(struct dircache *c);
/* The entry of a table; NULL: out of memory. */
struct dircache_entry *dircache_take(struct dircache *c, const void *table,
                                     size_t len);
void dircache_give(struct dircache *c, struct dircache_entry *e);

/* On any thread: the directory's descriptor, opened if need be; borrowed while
 * the entry is taken.  As table_open(), but what stands in a table's place
 * is DR_COVERED (ERR_NOTTABLE), be it a file (sys ENOTDIR). */
int dircache_fd(struct dircache_entry *e, const struct db *db, struct err *err);
/* True when the descriptor is still what the name leads to; else the entry is
 * stale from now on. */
bool dircache_valid(struct dircache_entry *e, const struct db *db);

/* Open a table without the cache, with the same check of the file system. */
int dircache_open(const struct db *db, const void *table, size_t len,
                  struct err *err);
