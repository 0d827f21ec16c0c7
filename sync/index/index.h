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
 * XOR of its entries' leaves, leaf = a keyed hash of (name hash, value digest);
 * 256 nodes are the XOR of 256 buckets each, the root the XOR of the nodes. XOR
 * makes it independent of order and O(1) to update.
 *
 * Names and leaves are hashed with a secret (struct index_key) that the agent
 * makes and gives its receivers.  Without it whoever chooses names and values
 * can find neither two names with one hash, nor names that all fall into one
 * bucket, nor a set of entries whose leaves cancel each other.
 *
 * All functions are thread-safe (one mutex inside).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/base/buf.h"
#include "store/base/digest.h"
#include "store/base/err.h"
#include "store/base/hash.h"
#include "store/layout/value.h"
#include "sync/index/age.h"
#include "sync/index/boot.h"

enum { INDEX_NODES = 256, INDEX_BUCKETS = 65536 };

struct index;

struct index_entry {
    struct digest name;   /* index_name_key() or index_name_table() */
    struct digest digest; /* of the value; zero for a table */
    struct vstat stat;    /* index_unproven(): the digest is right, but the
                             stat proves nothing and matches no file */
    uint16_t scan;        /* number of the last scan that saw it */
    uint8_t is_table;
    uint8_t durable; /* on a replica: the file with this stat was installed and
                        synced, not found by a scan */
    uint16_t stamp;  /* the index' own, see index_age(); a put keeps it */
    uint16_t table;  /* of a key: index_table_tag(), of a table:
                        index_top_of(); 0: not known */
};

/* `stat` made to match no file: inode and ctime are zero; the size stays, for
 * index_bytes(). */
static inline struct vstat index_unproven(struct vstat stat)
{
    return (struct vstat){.ino = 0, .ctime_ns = 0, .size = stat.size};
}

/* The secret behind name hashes and leaves.  Both ends of a session have the
 * same; it is kept in the saved index, which its owner alone may read. */
struct index_key {
    struct hash_key names;
    struct hash_key leaves;
};
enum { INDEX_KEY_BYTES = 32 };

/* The name hash: hash_keyed() of the table's name for a table; of the table's
 * name, a NUL byte and the key for a key. */
struct digest index_name_key(const struct index_key *k, const void *table,
                             size_t table_len, const void *key, size_t key_len);
struct digest index_name_table(const struct index_key *k, const void *table,
                               size_t table_len);
/* Which table a key belongs to, about: two tables have the same tag once in
 * 65,535 times. */
uint16_t index_table_tag(const struct index_key *k, const void *table,
                         size_t table_len);
/* The same, from index_name_table(). */
uint16_t index_tag_of(struct digest table_name);
/* The first directory of a path below the root ("": 0), or on the way to a
 * table, about. */
uint16_t index_top_tag(const struct index_key *k, const char *path);
uint16_t index_top_of(const struct index_key *k, const void *table,
                      size_t table_len);
static inline unsigned index_bucket(struct digest name)
{
    return (unsigned)(name.hi >> 48);
}

/* With a key of zeros.  NULL: out of memory. */
struct index *index_new(void);
void index_free(struct index *ix);

/* Borrowed.  It stays the same but for the three calls that change it
 * (index_set_key, index_split, index_load), during which no other thread may
 * use the index. */
const struct index_key *index_key(const struct index *ix);
/* Give an empty index its key. */
void index_set_key(struct index *ix, const struct index_key *key);
/* Another key is asked for: `ix` becomes empty with `key`; what it held is in
 * the index that is returned, under the key it had.  NULL: out of memory, all
 * is as it was. */
struct index *index_split(struct index *ix, const struct index_key *key);

bool index_get(struct index *ix, struct digest name, struct index_entry *out);
/* Insert or replace.  ERR_NOMEM leaves the old entry.  e->scan is overridden
 * while a scan runs, see index_scan_begin(). */
int index_put(struct index *ix, const struct index_entry *e,
              struct err *err) MUSTCHECK;
/* Insert or replace only if the current entry still has `was` (digest and
 * stat), or is still absent when `was` is NULL: how a scan reports what it
 * read without overwriting what is newer.  1 = put, 0 = something newer is
 * there. */
int index_put_if(struct index *ix, const struct index_entry *was,
                 const struct index_entry *e, struct err *err) MUSTCHECK;
void index_remove(struct index *ix, struct digest name);
/* Remove only if the entry still has the digest and stat of `was`. */
void index_remove_if(struct index *ix, const struct index_entry *was);
/* Note that scan number `scan` saw the entry. */
void index_mark(struct index *ix, struct digest name, uint16_t scan);
/* ... and where that table is: index_top_of(). */
void index_mark_table(struct index *ix, struct digest name, uint16_t scan,
                      uint16_t top);

/* A scan begins: afterwards no entry is marked with `scan`, and until
 * index_scan_end() whatever is put is marked with it: a key that was set after
 * its table was listed is not swept.  One scan at a time. */
void index_scan_begin(struct index *ix, uint16_t scan);
void index_scan_end(struct index *ix);

/* Many lookups at the price of one lock: `same` tells whether the entry of
 * `name` has exactly `stat`; such entries are marked with `scan`, and with
 * their table's tag. */
struct index_probe {
    struct digest name;
    struct vstat stat;
    bool same;
};
void index_mark_same(struct index *ix, struct index_probe *probes, size_t n,
                     uint16_t scan, uint16_t table);

/* Mix the leaf of such an entry into a digest of the tree: once in, twice out.
 */
void index_mix_leaf(const struct index_key *k, struct digest *sum,
                    struct digest name, struct digest value);
uint64_t index_count(struct index *ix); /* keys, tables not counted */
uint64_t index_tables(struct index *ix);
uint64_t index_bytes(struct index *ix); /* sum of value sizes */
size_t index_memory_bytes(struct index *ix);
struct digest index_root(struct index *ix);
/* Grows with every change to what would be saved: to a digest, or to the stat
 * that says that the digest need not be found again. */
uint64_t index_changes(struct index *ix);
void index_nodes(struct index *ix, struct digest out[INDEX_NODES]);
/* The 256 buckets below node `node`. */
void index_buckets(struct index *ix, unsigned node,
                   struct digest out[INDEX_NODES]);
/* Copy the entries of one bucket to *out (realloc'd array, *cap entries);
 * returns the number, or ERR_NOMEM. */
int index_list(struct index *ix, unsigned bucket, struct index_entry **out,
               size_t *cap, struct err *err) MUSTCHECK;
/* Call `fn` for every entry not marked with `scan`; when it returns true the
 * entry is removed.  The mutex is held by each call (and free between two
 * buckets): fn must not call index_*. */
void index_sweep(struct index *ix, uint16_t scan,
                 bool (*fn)(void *arg, const struct index_entry *e), void *arg);

/* --- established names (age.h), for the brake ---------------------------- */

/* AGE_STEP_MS went by.  The first call begins it: what is there by then is
 * established, as is what a load brings. */
void index_age(struct index *ix);
/* The table's directory went, moved or came.  If the table is established this
 * may replace it. */
void index_table_moved(struct index *ix, const void *table, size_t table_len);
/* How many keys are established, with those that are made up for; these. */
uint64_t index_established(struct index *ix);
uint64_t index_made_up(struct index *ix);
/* What is known of a name that went. */
enum age_end index_end_of(struct index *ix, struct digest name);

/* Who wrote a saved index; another identity's file is not used.  Another boot's
 * is, but for what that boot may have had in memory alone. */
struct index_ident {
    uint8_t db_id[16];
    uint64_t root_dev;
    uint64_t root_ino;
    struct boot boot; /* boot_now() of the root */
};

/* Write the index to dir_fd/file: temp, fsync, rename, fsync dir; versioned
 * and checksummed.  now_ns is CLOCK_REALTIME: an entry whose ctime is not older
 * than now by more than UNPROVEN_NS is saved unproven, so that equal stats
 * never hide a change that came in the same clock tick.  Marks are not saved.
 *
 * Blocking, but the mutex is held for one bucket at a time, so a bucket is
 * saved as it was at one moment and two buckets maybe at different ones.  That
 * is enough: an entry says "the file with this stat had this digest", which
 * stays true however many others change meanwhile, and a scan follows each
 * load.  One save of a file at a time. */
int index_save(struct index *ix, int dir_fd, const char *file,
               const struct index_ident *ident, int64_t now_ns,
               struct err *err) MUSTCHECK;
/* When the saving boot, or the mount, is not this one, entries whose ctime is
 * not older than the save by the write-back time come unproven: a power loss
 * may have left the new stat and the old bytes, so they are read again.
 *
 * 0 = loaded, replacing what the index held and its key; ERR_NOTFOUND,
 * ERR_CORRUPT (also: another version), ERR_REFUSED (another identity),
 * ERR_PERM, ERR_IO, ERR_NOMEM: the index is as it was (empty), and a scan reads
 * everything. */
int index_load(struct index *ix, int dir_fd, const char *file,
               const struct index_ident *ident, struct err *err) MUSTCHECK;
