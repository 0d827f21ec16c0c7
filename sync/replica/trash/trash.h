/* SPDX-License-Identifier: MIT
 *
 * trash: values that were deleted on a replica, kept for a while.
 *
 *     DIR/.drover/trash/ID   a value, renamed here by its delete
 *     DIR/.drover/trash/log  which key each was, and when it was deleted
 *
 * Off unless the replica's own settings ask for it: the primary cannot switch
 * it on, look into it or fill the disk with it, since both age and size are
 * bounded.  A value that finds no room is deleted all the same.  The directory
 * may be listed, as all in the database must be, but the values in it are for
 * their owner alone, and none has a key's name, so that no reader of the
 * database takes it for part of it.
 *
 * A delete appends a record to the log and renames the value, both while it
 * holds the key's lock; trash_sync() makes them durable with the delete's
 * group, before it is acknowledged.  A record without a file counts for
 * nothing, a file without a record (the log was damaged) is kept without a
 * name.  One session holds the directory (session.h); its threads share a
 * mutex.
 *
 * DIR/.drover/undone is a second one of the same kind, which needs no setting:
 * values that a primary undid that had lost its last changes in a power loss
 * (see disk.h).  They are linked there before they are replaced or deleted.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "store/base/err.h"
#include "store/layout/name.h"
#include "sync/replica/meta/meta.h"
#include "sync/wire/wire.h"

#define TRASH_DIR "trash"
#define UNDONE_DIR "undone"
#define TRASH_LOG "log"

enum {
    TRASH_NAME_BYTES = 17,      /* ID: 16 hexadecimal digits */
    TRASH_CHARGE_BYTES = 4096,  /* what a kept value counts beside its size */
    TRASH_VALUES_MAX = 1000000, /* and no more than so many */
};

struct trash_settings {
    int64_t keep_ns; /* 0: off */
    uint64_t max_bytes;
};

/* One kept value. */
struct trash_entry {
    uint64_t id;
    int64_t deleted_s; /* since 1970, on the replica's clock */
    uint64_t size;
    bool named; /* else table and key are not known */
    struct bytes table, key;
};

struct trash_kept {
    uint64_t id;
    int64_t deleted_s;
    uint64_t charge;
};

struct trash {
    const char *name; /* TRASH_DIR, UNDONE_DIR */
    struct trash_settings set;
    int dir_fd; /* -1: off */
    bool opened;
    pthread_mutex_t mutex;   /* the rest */
    int log_fd;              /* -1: not started */
    struct trash_kept *kept; /* oldest first: kept[head .. head + count) */
    size_t head, count, cap;
    uint64_t bytes; /* charges of all kept */
    uint64_t next_id;
    uint64_t records; /* in the log */
    bool dirty;       /* since the last sync */
    uint64_t early;   /* dropped before their time, since last told */
    uint64_t unkept;  /* deleted without being kept, since last told */
    int64_t told_s;
};

/* Open META_DIR/`name` (static), making it; nothing when it is off. */
int trash_open(struct trash *t, int meta_fd, const char *name,
               const struct trash_settings *set, const struct meta_modes *modes,
               struct err *err) MUSTCHECK;
void trash_close(struct trash *t);
/* The session is ours: read what is there, and drop what is too old or too
 * much. */
int trash_start(struct trash *t, struct err *err) MUSTCHECK;
/* Delete a key as install_remove() does, and keep its value if there is room.
 */
int trash_remove(struct trash *t, int dir_fd, struct bytes table,
                 struct bytes key, bool force, struct stat *st_out,
                 struct err *err) MUSTCHECK;
/* Link the value of a key that is about to be replaced or deleted, if there is
 * room.  A value whose stat changed at `since_ns` or later is no old one. */
void trash_link(struct trash *t, int dir_fd, struct bytes table,
                struct bytes key, int64_t since_ns);
/* Make what was kept durable. */
int trash_sync(struct trash *t, struct err *err) MUSTCHECK;
/* Drop what is too old.  Now and then, on any thread. */
void trash_sweep(struct trash *t);
/* What the operator should know since the last time; false: nothing. */
bool trash_notice(struct trash *t, char *out, size_t room);

/* How many are kept; -1: that cannot be told. */
int64_t trash_count(int meta_fd, const char *name);
/* Call `fn` for each value that is kept, oldest first; also beside a live
 * session.  Its non-zero return ends it and is returned. */
typedef int (*trash_fn)(void *arg, const struct trash_entry *e);
int trash_each(int dir_fd, trash_fn fn, void *arg, struct err *err) MUSTCHECK;
void trash_name(uint64_t id, char out[TRASH_NAME_BYTES]);
