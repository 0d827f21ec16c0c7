/* SPDX-License-Identifier: MIT
 *
 * index: what this end knows of its database, and the digest tree over it.
 *
 * Per key (and per table) one entry: a 128-bit hash of its name -> the stat of
 * the file and the digest of the value.  Names are not kept: a name comes from
 * an event, from a walk, or from the other end.  Memory is under 96 bytes per
 * key beside a fixed 2-3 MiB.
 *
 * The tree makes the whole database comparable in one number.  Entries fall in
 * 65,536 buckets by the top 16 bits of the name hash; a bucket's digest is the
 * XOR of its entries' leaves, leaf = XXH3-128(name hash, value digest); 256
 * nodes are the XOR of 256 buckets each, the root the XOR of the nodes.  XOR
 * makes it independent of order and O(1) to update.
 *
 * All functions are thread-safe (one mutex inside).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/base/buf.h"
#include "store/base/err.h"
#include "store/value.h"

enum { INDEX_NODES = 256, INDEX_BUCKETS = 65536 };

struct index;

struct index_entry {
    struct digest name;   /* index_name_key() or index_name_table() */
    struct digest digest; /* of the value; zero for a table */
    struct vstat stat;    /* zeroed: the digest is right, the stat unproven */
    uint16_t scan;        /* number of the last scan that saw it */
    uint8_t is_table;
};

struct digest index_name_key(const void *table, size_t table_len,
                             const void *key, size_t key_len);
struct digest index_name_table(const void *table, size_t table_len);
static inline unsigned index_bucket(struct digest name)
{
    return (unsigned)(name.hi >> 48);
}

struct index *index_new(void); /* NULL: out of memory */
void index_free(struct index *ix);

bool index_get(struct index *ix, struct digest name, struct index_entry *out);
/* Insert or replace.  ERR_NOMEM leaves the old entry. */
int index_put(struct index *ix, const struct index_entry *e,
              struct err *err) MUSTCHECK;
/* Insert or replace only if the current entry still has `was` (digest and
 * stat), or is still absent when `was` is NULL: how a scan reports what it
 * read without overwriting news.  1 = put, 0 = something newer is there. */
int index_put_if(struct index *ix, const struct index_entry *was,
                 const struct index_entry *e, struct err *err) MUSTCHECK;
void index_remove(struct index *ix, struct digest name);
/* Note that scan number `scan` saw the entry. */
void index_mark(struct index *ix, struct digest name, uint16_t scan);

uint64_t index_count(struct index *ix); /* keys, tables not counted */
uint64_t index_tables(struct index *ix);
uint64_t index_bytes(struct index *ix); /* sum of value sizes */
size_t index_memory_bytes(struct index *ix);
struct digest index_root(struct index *ix);
void index_nodes(struct index *ix, struct digest out[INDEX_NODES]);
/* The 256 buckets below node `node`. */
void index_buckets(struct index *ix, unsigned node,
                   struct digest out[INDEX_NODES]);
/* Copy the entries of one bucket to *out (realloc'd array, *cap entries);
 * returns the number, or ERR_NOMEM. */
int index_list(struct index *ix, unsigned bucket, struct index_entry **out,
               size_t *cap, struct err *err) MUSTCHECK;
/* Call `fn` for every entry not marked with `scan`; when it returns true the
 * entry is removed.  The mutex is held: fn must not call index_*. */
void index_sweep(struct index *ix, uint16_t scan,
                 bool (*fn)(void *arg, const struct index_entry *e), void *arg);

/* Who wrote a saved index; another identity's file is not used. */
struct index_ident {
    uint8_t db_id[16];
    uint64_t root_dev;
    uint64_t root_ino;
};

/* Write the index to dir_fd/file: temp, fsync, rename, fsync dir; versioned
 * and checksummed.  now_ns is CLOCK_REALTIME: an entry whose ctime is not older
 * than now by more than 2 s is saved with its stat zeroed, so that equal stats
 * never hide a change that came in the same clock tick.  Blocking. */
int index_save(struct index *ix, int dir_fd, const char *file,
               const struct index_ident *ident, int64_t now_ns,
               struct err *err) MUSTCHECK;
/* 0 = loaded; ERR_NOTFOUND, ERR_CORRUPT (also: another version), ERR_REFUSED
 * (another identity): the index is left empty and a scan reads everything. */
int index_load(struct index *ix, int dir_fd, const char *file,
               const struct index_ident *ident, struct err *err) MUSTCHECK;
