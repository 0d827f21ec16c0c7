/* SPDX-License-Identifier: MIT
 *
 * value: look at one key on a live database: is it there, and what is its
 * value, as a writer committed it?
 *
 * value_read() never blocks on a lock, never creates anything, holds the share
 * lock only while it copies at most `inline_max` bytes, and repeats itself when
 * the inode or the stat changed under it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/base/buf.h"
#include "store/base/digest.h"
#include "store/base/err.h"
#include "store/layout/db.h"

/* What identifies one version of a key's file without reading it. */
struct vstat {
    uint64_t ino;
    int64_t ctime_ns;
    uint64_t size;
};

struct vstat vstat_of(const struct stat *st);
static inline bool vstat_equal(struct vstat a, struct vstat b)
{
    return a.ino == b.ino && a.ctime_ns == b.ctime_ns && a.size == b.size;
}

enum reading_result {
    READ_VALUE = 1, /* read whole: value, digest and stat are set */
    READ_LARGE,     /* larger than inline_max: only stat is set; stream it */
    READ_GONE,      /* no such key, nothing or a directory has its name; its
                       table's directory was open */
    READ_BUSY,      /* an exclusive lock is held; stat set for lock_holder() */
    READ_CHANGING,  /* kept changing under our reads; try again later */
    READ_NOT_A_KEY, /* a link, FIFO...: no evidence that there is none */
};

struct reading {
    struct vstat stat;
    dev_t dev; /* with stat.ino, for lock_holder() */
    struct digest digest;
    int64_t mtime_ns;
    uint64_t disk_bytes; /* what it takes there, less than its size when it has
                            holes; 0: not known */
    bool startemp; /* by its stat it may be a temporary (startemp_file()) */
    bool replaced; /* large_finish(): the name leads elsewhere by now */
};

/* Look at the key in the open table `dir_fd`.  `value` is cleared and filled
 * (capacity is reused); an empty value leaves value->len 0.  Returns an enum
 * reading_result, or ERR_PERM, ERR_IO, ERR_NOMEM with a message naming the
 * key's file. */
int value_read(int dir_fd, const void *key, size_t key_len, size_t inline_max,
               struct buf *value, struct reading *reading_out,
               struct err *err) MUSTCHECK;

/* A large value read in pieces: the share lock is taken, given back after at
 * most `hold_ms`, and the value is validated at the end (see
 * large_finish). */
struct large;
struct copy_room;
/* Same results as value_read() (READ_VALUE: *large_out is set). */
int large_open(int dir_fd, const void *key, size_t key_len, int64_t hold_ms,
               struct large **large_out, struct reading *reading_out,
               struct err *err) MUSTCHECK;
/* Read all of it into a copy now, and validate that; from then on large_read()
 * reads the copy, whatever becomes of the file (but only what was there when it
 * was opened can be read without a copy).  READ_VALUE; READ_CHANGING: it
 * changed each time it was tried; 0: there is no room for a copy, and
 * large_read() reads the file; ERR_*. */
int large_copy(struct large *l, struct copy_room *room,
               struct reading *reading_out, struct err *err) MUSTCHECK;
/* The next bytes: > 0, 0 at the end, ERR_*; LARGE_CHANGED when the file
 * became shorter than it was. */
enum { LARGE_CHANGED = -1000 };
int64_t large_read(struct large *l, void *out, size_t room,
                   struct err *err) MUSTCHECK;
/* Pass a hole: so many of the next bytes, at most `max`, are zeros that take no
 * room on the disk and need not be read.  0: read. */
uint64_t large_zeros(struct large *l, uint64_t max);
/* Give the share lock back now.  The bound of hold_ms is looked at by each
 * large_read(), so a caller that pauses calls this first. */
void large_release(struct large *l);
/* After the last byte: READ_VALUE with the digest when what was read is one
 * committed version of the value: it was behind the name when it was opened,
 * and size, mtime and ctime are what they were; where the change was so young
 * that equal times prove nothing, a second pass gave the same digest. The name
 * may lead to another file by now (reading_out->replaced), or to none: that
 * sets the old file's ctime, so the second pass stands for it. Else
 * READ_CHANGING: throw the pieces away and begin anew. */
int large_finish(struct large *l, struct reading *reading_out,
                 struct err *err) MUSTCHECK;
void large_close(struct large *l); /* accepts NULL */
