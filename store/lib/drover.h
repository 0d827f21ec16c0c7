/* SPDX-License-Identifier: MIT
 *
 * libdrover: a key/value database in plain files, shared safely with programs
 * that use flockd.
 *
 * A database is a directory, a table a directory NAME.tbl in it (the root is a
 * table too: the name ""), a key a file KEY.kv, its value the file's bytes.
 * Readers hold a share lock (flock) on the key's file, writers an exclusive
 * one.  FORMAT.md says it precisely.
 *
 *     struct drover *db;
 *     struct drover_error e;
 *     if (drover_open("/srv/orders", DROVER_OPEN_CREATE, &db, &e) < 0) {
 *         fprintf(stderr, "%s\n", e.message);
 *         return 1;
 *     }
 *     if (drover_set(db, drover_text("users"), drover_text("bob"),
 *                    drover_text("42"), 100, &e) < 0) {
 *         fprintf(stderr, "%s\n", e.message);
 *     }
 *     void *value;
 *     size_t len;
 *     if (drover_get(db, drover_text("users"), drover_text("bob"), 100,
 *                    &value, &len, &e) == 0) {
 *         fwrite(value, 1, len, stdout);
 *         drover_free(value);
 *     }
 *     drover_close(db);
 *
 * What a reader gets is always a whole value that some writer committed.  What
 * a writer wrote is on disk, with its directory entry, when the call returns 0.
 *
 * Results.  0 or a documented positive value is success; a negative DROVER_E_*
 * is failure, and *err (which may be NULL) then says why, in words that name
 * table and key.  Output parameters are untouched on failure unless said
 * otherwise.
 *
 * Names.  Tables, keys and values are bytes, not text: struct drover_bytes is
 * a borrowed pointer and length, needed only during the call.  A key is any
 * bytes but '/' and NUL, 0 to 252 of them.  A table is "" (the root table),
 * "users", or a path such as "eu/users".
 *
 * Locks.  `timeout_ms` bounds the wait for a lock on the key: 0 tries once,
 * DROVER_FOREVER waits without end; a lock that is not granted in time is
 * DROVER_E_TIMEOUT.  All functions may block for that long, and for disk I/O.
 *
 * Threads.  One struct drover may be used by several threads at once; a reader
 * or a writer by one at a time.  Two locks of one process conflict as those of
 * two processes do: a thread that holds a reader of a key open cannot set it.
 * The library has no global state, starts no threads, prints nothing and never
 * ends the process.
 */
#ifndef DROVER_H
#define DROVER_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define DROVER_API __attribute__((visibility("default")))
#define DROVER_CHECK __attribute__((warn_unused_result))
#else
#define DROVER_API
#define DROVER_CHECK
#endif

/* --- errors -------------------------------------------------------------- */

enum {
    DROVER_OK = 0,
    DROVER_E_IO = -1,       /* a system call failed; err->sys is its errno */
    DROVER_E_NOMEM = -2,    /* out of memory */
    DROVER_E_NOTFOUND = -3, /* no such key, table or database */
    DROVER_E_EXISTS = -4,   /* the key exists already; the table is not empty */
    DROVER_E_BADKEY = -5,   /* not a possible key: '/', NUL or too long */
    DROVER_E_BADTABLE = -6, /* not a possible table name */
    DROVER_E_TIMEOUT = -7,  /* a lock was not granted in time: try again */
    DROVER_E_NOTTABLE = -8, /* something else has the table's or key's name */
    DROVER_E_PERM = -9,     /* permission denied */
    DROVER_E_NOSPACE = -10, /* disk or quota full */
    DROVER_E_READONLY = -11, /* opened read-only, a replica, or such a disk */
    DROVER_E_INVALID = -12,  /* a bad argument */
    DROVER_E_CORRUPT = -14,  /* drover's own metadata is damaged */
    DROVER_E_TOOBIG = -16,   /* the value does not fit in the caller's buffer */
    DROVER_E_GONE = -17      /* the database's directory is gone */
};

/* Why a call failed.  Owned by the caller, usually on the stack; never
 * allocates.  Untouched by calls that succeed. */
struct drover_error {
    int code;          /* DROVER_E_* */
    int sys;           /* errno of the failing system call, 0 if none */
    int reserved;      /* 0 */
    char message[640]; /* one line, terminated, no newline */
};

/* The name of a code, such as "DROVER_E_NOTFOUND".  Static; never NULL. */
DROVER_API const char *drover_error_name(int code);

/* "0.1.0": of the library that runs.  Static. */
DROVER_API const char *drover_version(void);

/* --- names --------------------------------------------------------------- */

struct drover_bytes {
    const void *data; /* may be NULL when len is 0 */
    size_t len;
};

static inline struct drover_bytes drover_bytes(const void *data, size_t len)
{
    struct drover_bytes b;

    b.data = data;
    b.len = len;
    return b;
}

/* Of a terminated string, without its NUL. */
static inline struct drover_bytes drover_text(const char *text)
{
    return drover_bytes(text, strlen(text));
}

#define DROVER_KEY_MAX_BYTES 252
#define DROVER_TABLE_MAX_BYTES 1024

/* --- databases ----------------------------------------------------------- */

struct drover;

enum {
    DROVER_OPEN_READONLY = 1, /* writing calls fail with DROVER_E_READONLY */
    DROVER_OPEN_CREATE = 2,   /* make the directory if it is missing */
    DROVER_OPEN_FORCE = 4     /* write even though this is a replica */
};

#define DROVER_FOREVER (-1)

/* Open the database in directory `path`.  Without DROVER_OPEN_READONLY it is
 * opened for writing, which a replica refuses (DROVER_E_READONLY): what is
 * written there is undone by the next change or resync from its primary.
 * Errors: NOTFOUND, NOTTABLE (not a directory), PERM, READONLY, INVALID. */
DROVER_API DROVER_CHECK int drover_open(const char *path, unsigned flags,
                                        struct drover **db_out,
                                        struct drover_error *err);

/* Close the database and free `db`; accepts NULL.  Readers and writers of it
 * are to be closed before. */
DROVER_API void drover_close(struct drover *db);

/* --- tables -------------------------------------------------------------- */

/* Create a table and missing directories above it.  1 created, 0 it existed.
 * (Setting a key creates its table.)
 * Errors: BADTABLE, NOTTABLE, READONLY, PERM, NOSPACE. */
DROVER_API DROVER_CHECK int drover_table_create(struct drover *db,
                                                struct drover_bytes table,
                                                struct drover_error *err);

/* 1 there is such a table, 0 there is none.  Errors: BADTABLE, PERM. */
DROVER_API DROVER_CHECK int drover_table_has(struct drover *db,
                                             struct drover_bytes table,
                                             struct drover_error *err);

/* Delete all keys of a table, each under its exclusive lock, and then the
 * table.  1 dropped, 0 there was none.  Tables nested in its directory are
 * never dropped with it: DROVER_E_EXISTS, before anything is deleted.  The root
 * table cannot be dropped (INVALID).  After any other failure some of the keys
 * may be gone.  Errors also: TIMEOUT, READONLY, PERM. */
DROVER_API DROVER_CHECK int drover_table_drop(struct drover *db,
                                              struct drover_bytes table,
                                              int64_t timeout_ms,
                                              struct drover_error *err);

/* Remove the temporary files that killed writers left in any table: those older
 * than a minute that are not locked.  They are never seen as keys and cost only
 * space.  Returns how many were removed.  What may not be removed stays;
 * an error is a directory that could not be read, after the others were
 * swept.  Errors: READONLY, PERM, GONE, NOMEM. */
DROVER_API DROVER_CHECK int64_t drover_sweep(struct drover *db,
                                             struct drover_error *err);

/* A key `key` that may not be one, but what a killed writer of `of` left.
 * Borrowed for the call; a result other than 0 ends the search and is returned
 * by it (use positive values). */
typedef int (*drover_suspect_fn)(void *arg, struct drover_bytes table,
                                 struct drover_bytes key,
                                 struct drover_bytes of);

/* Call `fn` for every key of any table that may be a temporary file of
 * flockd's: for a key with '*' in its name these are named like keys (for "a*b"
 * like "a1234567b"), and once their writer was killed the two cannot be
 * distinguished.  They are keys to every reader, and only drover_delete(), by
 * someone who knows, removes them.  Reported are those that lie beside such a
 * key, are not locked by a writer, and do not show signs of a rename.  0 at the
 * end.  Errors: GONE, PERM, NOMEM, as drover_tables(). */
DROVER_API DROVER_CHECK int drover_suspects(struct drover *db,
                                            drover_suspect_fn fn, void *arg,
                                            struct drover_error *err);

/* A name found by drover_tables() or drover_keys(); borrowed for the call.
 * A result other than 0 ends the listing and is returned by it (use positive
 * values).  It may call back into the library. */
typedef int (*drover_name_fn)(void *arg, struct drover_bytes name);

enum {
    DROVER_LIST_SORTED = 1 /* by bytes; needs memory for all names */
};

/* Call `fn` for every table, the root table ("") among them.  0 at the end.
 * When a directory could not be read, the others are listed all the same and
 * the error is returned at the end.  Errors: GONE, PERM, NOMEM. */
DROVER_API DROVER_CHECK int drover_tables(struct drover *db, unsigned flags,
                                          drover_name_fn fn, void *arg,
                                          struct drover_error *err);

/* --- reading ------------------------------------------------------------- */

/* 1 the key exists, 0 it does not (nor perhaps its table).  Takes no lock.  A
 * key that a flockd program is just about to create is an empty file first:
 * what becomes of that is waited for, up to a second. */
DROVER_API DROVER_CHECK int drover_has(struct drover *db,
                                       struct drover_bytes table,
                                       struct drover_bytes key,
                                       struct drover_error *err);

/* Get a value in memory of its own, followed by a NUL that *len_out does not
 * count.  Free it with drover_free().  The share lock is held while the value
 * is read.  A key that a flockd program is just about to create is waited for
 * as for a lock, and then NOTFOUND.
 * Errors: NOTFOUND, TIMEOUT, BADKEY, BADTABLE, PERM, NOMEM. */
DROVER_API DROVER_CHECK int
drover_get(struct drover *db, struct drover_bytes table,
           struct drover_bytes key, int64_t timeout_ms, void **value_out,
           size_t *len_out, struct drover_error *err);

/* Get a value into `room` bytes at `out`; *len_out is its length.  When it
 * does not fit: DROVER_E_TOOBIG, and *len_out is the room it needed. */
DROVER_API DROVER_CHECK int
drover_get_into(struct drover *db, struct drover_bytes table,
                struct drover_bytes key, int64_t timeout_ms, void *out,
                size_t room, size_t *len_out, struct drover_error *err);

/* Free what drover_get() returned; accepts NULL. */
DROVER_API void drover_free(void *value);

/* Call `fn` for every key of a table that begins with `prefix` (of length 0:
 * all).  0 at the end.  Keys set or deleted meanwhile may or may not be seen,
 * and some that a flockd program was only about to create; `fn` may set and
 * delete keys.  Errors: NOTFOUND (the table), PERM, NOMEM. */
DROVER_API DROVER_CHECK int drover_keys(struct drover *db,
                                        struct drover_bytes table,
                                        struct drover_bytes prefix,
                                        unsigned flags, drover_name_fn fn,
                                        void *arg, struct drover_error *err);

/* One key with its value; both are borrowed for the call, and no lock is
 * held.  Result as of drover_name_fn. */
typedef int (*drover_pair_fn)(void *arg, struct drover_bytes key,
                              struct drover_bytes value);

/* drover_keys() with values.  A key deleted meanwhile is left out; one whose
 * lock is not granted within timeout_ms ends it with DROVER_E_TIMEOUT. */
DROVER_API DROVER_CHECK int
drover_each(struct drover *db, struct drover_bytes table,
            struct drover_bytes prefix, unsigned flags, int64_t timeout_ms,
            drover_pair_fn fn, void *arg, struct drover_error *err);

/* A large value read in pieces.  The share lock is held from open to close,
 * and keeps writers of this key waiting: do not wait for anything slow. */
struct drover_reader;

/* *size_out (may be NULL) is the value's length.  Errors as of drover_get(). */
DROVER_API DROVER_CHECK int
drover_read_open(struct drover *db, struct drover_bytes table,
                 struct drover_bytes key, int64_t timeout_ms,
                 struct drover_reader **reader_out, uint64_t *size_out,
                 struct drover_error *err);

/* Read up to `room` (> 0) bytes.  > 0 how many, 0 at the end.  At the end the
 * file must be as it was at first, else DROVER_E_TIMEOUT: a program that does
 * not lock wrote to it; what was read is not a value. */
DROVER_API DROVER_CHECK int64_t drover_read(struct drover_reader *reader,
                                            void *out, size_t room,
                                            struct drover_error *err);

/* Unlock and free; accepts NULL. */
DROVER_API void drover_read_close(struct drover_reader *reader);

/* --- writing ------------------------------------------------------------- */

/* All of these write a new file beside the key's, sync it, and rename it over
 * the key's under the exclusive lock; readers see the old value or the new
 * one, whole, and after a crash the same is true.  A missing table is created,
 * except by update and delete. */

/* Set a key, whether it exists or not.
 * Errors: TIMEOUT, BADKEY, BADTABLE, NOTTABLE, NOSPACE, PERM, READONLY. */
DROVER_API DROVER_CHECK int
drover_set(struct drover *db, struct drover_bytes table,
           struct drover_bytes key, struct drover_bytes value,
           int64_t timeout_ms, struct drover_error *err);

/* Set a key that does not exist; else DROVER_E_EXISTS.  Of several callers
 * exactly one succeeds, and no reader ever sees the key without its value.
 * Waits for no lock. */
DROVER_API DROVER_CHECK int drover_create(struct drover *db,
                                          struct drover_bytes table,
                                          struct drover_bytes key,
                                          struct drover_bytes value,
                                          struct drover_error *err);

/* Set a key that exists; else DROVER_E_NOTFOUND. */
DROVER_API DROVER_CHECK int
drover_update(struct drover *db, struct drover_bytes table,
              struct drover_bytes key, struct drover_bytes value,
              int64_t timeout_ms, struct drover_error *err);

/* Delete a key.  1 deleted, 0 there was none. */
DROVER_API DROVER_CHECK int drover_delete(struct drover *db,
                                          struct drover_bytes table,
                                          struct drover_bytes key,
                                          int64_t timeout_ms,
                                          struct drover_error *err);

/* Set a key to the contents of the file `path` (or of what the path leads to,
 * up to its end). Errors also: NOTFOUND (no such file). */
DROVER_API DROVER_CHECK int drover_import(struct drover *db,
                                          struct drover_bytes table,
                                          struct drover_bytes key,
                                          const char *path, int64_t timeout_ms,
                                          struct drover_error *err);

/* A value written in pieces.  Nothing is seen of it before the commit. */
struct drover_writer;

enum drover_write_mode {
    DROVER_WRITE_SET = 0,
    DROVER_WRITE_CREATE = 1, /* commit as drover_create() */
    DROVER_WRITE_UPDATE = 2  /* commit as drover_update() */
};

/* Begin a value.  `writer_out` is freed by commit or abort, before the database
 * is closed.  Errors as of drover_set(), besides TIMEOUT. */
DROVER_API DROVER_CHECK int
drover_write_begin(struct drover *db, struct drover_bytes table,
                   struct drover_bytes key, enum drover_write_mode mode,
                   struct drover_writer **writer_out, struct drover_error *err);

/* Append.  After a failure only drover_write_abort() makes sense. */
DROVER_API DROVER_CHECK int drover_write(struct drover_writer *writer,
                                         struct drover_bytes data,
                                         struct drover_error *err);

/* Put the value in place.  0: done, and `writer` is freed.  On failure it is
 * not: after DROVER_E_TIMEOUT commit may be called again, else abort. */
DROVER_API DROVER_CHECK int drover_write_commit(struct drover_writer *writer,
                                                int64_t timeout_ms,
                                                struct drover_error *err);

/* Throw the value away and free `writer`; accepts NULL. */
DROVER_API void drover_write_abort(struct drover_writer *writer);

/* --- replicas ------------------------------------------------------------ */

/* How fresh a replica is: every change made on its primary before `time_ns`
 * has been applied here. */
struct drover_freshness {
    int64_t time_ns;      /* on the primary's clock, since 1970 */
    int64_t age_ns;       /* this host's time less time_ns, as exact as the two
                             clocks agree, and at least the time since the
                             primary's last word; INT64_MAX: not known, for
                             this host's clock was set back */
    uint64_t epoch;       /* of the primary's term */
    uint64_t seq;         /* changes up to this sequence are applied */
    char db[72];          /* the database's id in hexadecimal */
    char state[32];       /* one word, such as "streaming" or "catchup" */
    uint64_t reserved[6]; /* 0 */
};

/* Errors: NOTFOUND (not a replica, or it never caught up with its primary),
 * PERM, CORRUPT. */
DROVER_API DROVER_CHECK int drover_freshness(struct drover *db,
                                             struct drover_freshness *out,
                                             struct drover_error *err);

#ifdef __cplusplus
}
#endif

#endif /* DROVER_H */
