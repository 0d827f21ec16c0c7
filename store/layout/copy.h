/* SPDX-License-Identifier: MIT
 *
 * copy: a private copy of a large value that changes too fast to be read where
 * it is.
 *
 * A slow link reads a value for seconds, and whoever writes in place changes it
 * meanwhile.  A copy is made in milliseconds, and read for as long as it takes.
 * It lives in memory while the room for that lasts (memory that is there is
 * what makes it fast), else in a file without a name, or as a reflink where the
 * file system can, in a directory of the owner's.
 */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/base/err.h"

/* Shared by all copies; must outlive them.  Thread-safe. */
struct copy_room {
    atomic_size_t used_bytes; /* of memory, by all copies */
    size_t each_bytes;        /* a larger copy goes to a file */
    size_t memory_bytes;      /* ... and what is more than this in all */
    int dir_fd;               /* of the files; -1: memory only */
};

struct copy;

/* Room for `size` bytes and a little growth, in memory or a file.  1, 0 when
 * there is no room, ERR_*. */
int copy_new(struct copy_room *room, uint64_t size, struct copy **out,
             struct err *err) MUSTCHECK;
void copy_free(struct copy *c); /* accepts NULL */
/* The largest value that still fits. */
uint64_t copy_max(const struct copy *c);
/* Take all of `fd` at once, as one version.  1, or 0: this file system cannot.
 */
int copy_reflink(struct copy *c, int fd);
/* Take up to `n` bytes of `fd` at `at`: how many (less only at its end), or
 * ERR_IO, ERR_NOSPACE. */
int64_t copy_take(struct copy *c, int fd, uint64_t at, size_t n,
                  struct err *err) MUSTCHECK;
/* Read back what was taken. */
int64_t copy_read(const struct copy *c, uint64_t at, void *out, size_t n,
                  struct err *err) MUSTCHECK;
