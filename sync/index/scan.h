/* SPDX-License-Identifier: MIT
 *
 * scan: bring an index up to date with the database on disk, and find names.
 *
 * Both ends use it: at start, periodically, after an inotify overflow, and for
 * `resync`/`verify`.  A key whose stat equals its index entry is not read; any
 * other is read under its share lock and its digest put in the index, unless
 * something newer came in meanwhile (index_put_if).  Blocking; for a worker
 * thread; any number of reads may run beside it.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "store/layout/db.h"
#include "store/layout/walk.h"
#include "sync/index/index.h"

/* A key, or a table when `key` is NULL.  Borrowed. */
struct scan_name {
    struct digest name;
    const char *table;
    size_t table_len;
    const char *key;
    size_t key_len;
};

struct scan_options {
    bool content;      /* read every value, whatever its stat says */
    uint16_t scan;     /* this scan's number, for index_scan_begin() */
    int64_t settle_ms; /* an empty file younger than this is reported as
                          doubtful and not indexed (0: trust empty files) */
    /* Set by another thread to stop the scan (ERR_CLOSED); may be NULL. */
    const atomic_int *stop;
    /* Counts for progress, updated as the scan goes: keys, and one more now
     * and then in a long value and where keys are walked over once more; may
     * be NULL. */
    atomic_uint_fast64_t *keys_done;
    /* Asked before a key is read that the index does not have: true, and the
     * caller looks at it instead.  May block for a while; may be NULL. */
    bool (*skip)(void *arg, const char *table, size_t table_len,
                 const char *key, size_t key_len);
    void *skip_arg;
    /* A regular file in the place of a table that the index has is no evidence
     * that it is gone.  (On a replica, where nobody but us is to put anything,
     * it is: the table is sent anew, and refused with the reason.) */
    bool files_cover;
    /* What a reader takes for a key or a table, and is none (a link, a pipe),
     * is told and counted as unread: on a replica nobody but us puts anything.
     */
    bool foreign_counts;
    bool skip_changed; /* asked also before one whose stat is another, and
                           (key NULL) before a table that it does not have */
    /* scan_one() asks, when it has read: is what it found, by its stat, what
     * the caller has seen, or something later?  (A table's has the inode alone;
     * zeros: nothing is there.)  False: it is left (`left`), and the index
     * stays.  May be NULL. */
    bool (*still)(void *arg, struct vstat now);
    void *still_arg;
    /* Told of each directory before it is listed, by its path below the root
     * ("" for that).  May be NULL. */
    void (*dir)(void *arg, const char *path, int dir_fd);
    void *dir_arg;
    /* Gets what the walk passes over; may be NULL. */
    struct passed *passed;
    /* Owners, groups and modes may be set as the scan goes.  perms_dir is told
     * of each directory before what is in it; path: the table's name, or that
     * of a directory that is none.  perms_key of each key: true when it changed
     * the file's stat, which is *st then; its entry stays what it is but for
     * that, if it was true before.  perms_dir may be NULL: then nothing is. */
    void (*perms_dir)(void *arg, const char *path, size_t len, bool is_root,
                      int dir_fd);
    bool (*perms_key)(void *arg, const char *table, size_t table_len,
                      const char *key, size_t key_len, int dir_fd,
                      struct stat *st);
    void *perms_arg;
    /* Look only: the index is not changed (but for its marks).  Told where the
     * disk differs from it: what it has and what is there, NULL for nothing; a
     * name that has gone maybe under the index' mutex, so it must not call
     * index_*.  0 or ERR_* (the scan ends).  May be NULL. */
    int (*view)(void *arg, const struct index_entry *was,
                const struct index_entry *now, struct err *err);
    void *view_arg;
    /* Told of what could not be read, with the note's argument: its lock is
     * held or it changes (busy), or why; key NULL: the table.  May be NULL. */
    void (*unread)(void *arg, bool busy, const struct err *why,
                   const char *table, size_t table_len, const char *key,
                   size_t key_len);
};

struct scan_result {
    struct walk_counts counts;
    uint64_t reread;   /* values read */
    uint64_t changed;  /* entries whose digest was new or different */
    uint64_t vanished; /* entries removed: their key was not seen */
    uint64_t busy;     /* keys whose lock was held or that kept changing */
    uint64_t errors;   /* keys that could not be read */
    uint64_t foreign;  /* links and such: foreign_counts */
    uint64_t left;     /* keys left to the caller */
    uint64_t moved;    /* tables whose directory had moved at the end of its
                          listing: what was put under their names is told by
                          notes alone */
    char first_error[ERR_MSG_BYTES];
    int first_code; /* ERR_* that belongs to it */
};

/* Told about each key or table that is not settled by the scan alone.  Called
 * on the scanning thread.  May be NULL. */
enum scan_note {
    SCAN_CHANGED = 1, /* digest differs from the index (already put) */
    SCAN_TENTATIVE,   /* empty and young: look again after the settle time */
    SCAN_BUSY,        /* not read: lock held or changing */
    SCAN_UNREADABLE,  /* not read: error (EACCES...) */
};
typedef void (*scan_note_fn)(void *arg, enum scan_note note, const char *table,
                             size_t table_len, const char *key, size_t key_len);

/* Entries of keys and tables that two walks did not see are removed from the
 * index, but for those that may lie in or below a directory that could not be
 * listed (seen.h): they stay.  0, or ERR_GONE (root lost:
 * the index is not touched by removal), ERR_NOMEM, ERR_CLOSED (stopped).
 *
 * One scan of an index at a time.  A table that could not be read completely
 * is told as SCAN_UNREADABLE with key NULL, and counted in counts.incomplete
 * alone; a new one as SCAN_CHANGED with key NULL.  A value whose ctime is not
 * older than the read by UNPROVEN_NS gets an unproven entry, so the next
 * scan reads it again. */
int scan_run(const struct db *db, struct index *ix,
             const struct scan_options *opt, scan_note_fn note, void *arg,
             struct scan_result *out, struct err *err) MUSTCHECK;

/* The same for one key, or (key NULL) for the existence of one table: its entry
 * goes (vanished) when there is none, and also when what is there cannot be
 * read (errors) or is no value: it may be anything by now.  With `view` it
 * stays, and what has gone is not told.  0, ERR_NOMEM or ERR_CLOSED.  Not
 * beside a scan of the same index. */
int scan_one(const struct db *db, struct index *ix,
             const struct scan_options *opt, const struct scan_name *at,
             struct scan_result *out, struct err *err) MUSTCHECK;
/* Is the entry `name` of the directory `dir` (its path below the root) one that
 * a reader takes for a key or a table of the database, and that is none, nor in
 * the place of one that the index has (foreign_counts)?  Then *why_out says
 * what it is, and *at_out its name, in `path` or `dir` and `name`. */
enum { SCAN_FOREIGN_BYTES = TABLE_PATH_BYTES + 256 + 2 };
bool scan_is_foreign(const struct db *db, struct index *ix, const char *dir,
                     const char *name, char path[SCAN_FOREIGN_BYTES],
                     struct scan_name *at_out, struct err *why_out);

/* Is it as the index says?  Not if it was just `written`, and so young that its
 * stat need not show that.  *now_out is its stat (a table's: the inode alone;
 * zeros: it is not there).
 * Reads nothing; may run beside anything. */
bool scan_is_known(const struct db *db, struct index *ix,
                   const struct scan_name *at, bool written,
                   struct vstat *now_out);

/* Put the entries of `from` into `to`, whose key is another: a walk hashes each
 * name it meets with both keys.  What `to` has already is newer and stays;
 * what was not met stays behind.  Opens no file and reads no stat.  0, or
 * ERR_NOMEM, or why the root could not be listed; what could not be listed
 * below it is left to the scan that must follow, as is what vanished meanwhile.
 */
int scan_rekey(const struct db *db, struct index *from, struct index *to,
               struct err *err) MUSTCHECK;

/* Find names by walking: `want` decides by name hash (under `key`), `found`
 * gets the name. is_table: key is NULL.  found's non-zero return stops the walk
 * and is returned. *complete_out: every table was read completely. */
typedef bool (*scan_want_fn)(void *arg, struct digest name);
typedef int (*scan_found_fn)(void *arg, struct digest name, bool is_table,
                             const char *table, size_t table_len,
                             const char *key, size_t key_len);
int scan_names(const struct db *db, const struct index_key *key,
               scan_want_fn want, scan_found_fn found, void *arg,
               bool *complete_out, struct err *err) MUSTCHECK;
