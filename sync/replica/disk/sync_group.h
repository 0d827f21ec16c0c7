/* SPDX-License-Identifier: MIT
 *
 * sync_group: make many files durable together, in the way this disk does
 * fastest.
 *
 * One file is fsynced here, some by fsync on threads, which share a commit
 * of the file system's journal.  SYNC_GROUP_MANY and more are made durable
 * either so or by one syncfs(2), which costs few flushes but writes back
 * everybody's dirty data.  Which is faster depends
 * on the disk, the file system and on what else is written, so both are timed
 * and the slower one is tried again now and then.  Not for small groups: these
 * are live changes, and a single syncfs of 20 ms behind other writers is what
 * their slowest are made of.
 *
 * A failed sync is never repeated: the kernel reports a lost write once and
 * then says all is well.  The caller drops the whole group.
 *
 * syncfs reports errors only to a descriptor that was open before they
 * happened: one is kept open for the life of the object.  It does not tell
 * whose write was lost, and tells it once: a value of a later group may be the
 * one.  So after a failed syncfs files are fsynced each, which asks each file
 * for its own error.
 *
 * Thread rule: one caller at a time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "store/base/err.h"

enum {
    SYNC_GROUP_FEW = 1,
    SYNC_GROUP_MANY = 32,
    SYNC_GROUP_THREADS = 32,
    SYNC_GROUP_SIZES = 3, /* classes of group sizes that are timed apart */
};

struct sync_group;

/* `fs_fd`: a directory on the file system, borrowed for its life; it must have
 * been open since before the first write. NULL: out of memory. */
struct sync_group *sync_group_new(int fs_fd);
void sync_group_free(struct sync_group *g); /* accepts NULL; joins threads */

/* Make the files (or directories) durable.  ERR_IO, ERR_NOSPACE. */
int sync_group_run(struct sync_group *g, const int *fds, size_t n,
                   struct err *err) MUSTCHECK;
/* The same for two kinds at once: the first `split` files' failure goes to
 * *err, that of the rest to *rest_err, whose codes are 0 without one.  A
 * failed syncfs counts for the first, and each of the rest is fsynced. */
void sync_group_run_two(struct sync_group *g, const int *fds, size_t split,
                        size_t n, struct err *err, struct err *rest_err);
/* Everything on the file system, by one syncfs. */
int sync_group_all(struct sync_group *g, struct err *err) MUSTCHECK;

/* --- the choice, apart from the disk, for tests ----------------------------
 */
enum sync_way { SYNC_WAY_SYNCFS, SYNC_WAY_THREADS };

struct sync_choice {
    struct {
        int64_t cost_ns[2]; /* per file, smoothed; 0: never timed */
        uint32_t since;     /* groups since the slower way was tried */
        uint32_t interval;  /* groups between such tries */
    } size[SYNC_GROUP_SIZES];
};

enum sync_way sync_choice_next(struct sync_choice *c, size_t n);
void sync_choice_took(struct sync_choice *c, size_t n, enum sync_way way,
                      int64_t ns);
