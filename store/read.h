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
#include "store/base/err.h"

bool read_same_inode(const struct stat *a, const struct stat *b);
/* Size, mtime and ctime are equal. */
bool read_same_version(const struct stat *a, const struct stat *b);

/* Read up to `n` bytes, less only at the end of the file; ERR_*. */
int64_t read_full(int fd, void *out, size_t n, const char *file,
                  struct err *err) MUSTCHECK;

enum read_result {
    READ_WHOLE = 1,
    READ_CHANGED, /* longer, shorter or touched: what was read means nothing */
};

/* Read the whole file, whose stat is `st`, to `value` (cleared first).
 * Returns an enum read_result, ERR_IO, ERR_NOMEM. */
int read_whole(int fd, const char *file, const struct stat *st,
               struct buf *value, struct err *err) MUSTCHECK;
