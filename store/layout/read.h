/* SPDX-License-Identifier: MIT
 *
 * read: read a key's file through a descriptor that is already locked, and see
 * that it did not change meanwhile (some writers do not lock).
 *
 * `file` is only for messages. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "store/base/buf.h"
#include "store/base/clock.h"
#include "store/base/err.h"

/* Size, mtime and ctime are equal. */
bool read_same_version(const struct stat *a, const struct stat *b);

/* Read up to `n` bytes, less only at the end of the file; ERR_*. */
int64_t read_full(int fd, void *out, size_t n, const char *file,
                  struct err *err) MUSTCHECK;

enum { READ_QUICK_BYTES = 16 * 1024 };

/* Read a small value that nobody touched lately, with no more calls than one
 * read and one fstat: an old ctime proves at once that the bytes are of one
 * version and that the name the file was opened by still leads to it (renaming
 * over it, renaming or unlinking it would have set its ctime).  Returns the
 * value's length, with *st its stat; or -1 when this way does not decide, and
 * the file's position has moved. */
int64_t read_quick(int fd, int64_t opened_ns, void *out, size_t room,
                   struct stat *st);

enum read_result {
    READ_WHOLE = 1,
    READ_CHANGED, /* longer, shorter or touched: what was read means nothing */
};

/* Read the whole file from its begin, whose stat is `st`, to `value` (cleared
 * first).
 * Returns an enum read_result, ERR_IO, ERR_NOMEM. */
int read_whole(int fd, const char *file, const struct stat *st,
               struct buf *value, struct err *err) MUSTCHECK;
