/* SPDX-License-Identifier: MIT
 *
 * small_file: files of a few lines (ids, records, notes), read and written
 * whole.  Blocking but short.
 *
 * A file is written without a name (newfile.h) and takes the place of the old
 * one when it is whole.  What a kill leaves behind is FILE.new, and goes with
 * the next write. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "store/base/err.h"

/* Read a regular file whole, as text with NUL; *st_out may be NULL.  Returns
 * its length.  ERR_NOTFOUND, ERR_CORRUPT (longer than `room` less one),
 * ERR_NOTTABLE (a link, a directory, ...), ... */
int small_read(int dir_fd, const char *file, char *out, size_t room,
               struct stat *st_out, struct err *err) MUSTCHECK;

struct small_how {
    mode_t mode;
    gid_t group;    /* (gid_t)-1: leave */
    bool only_new;  /* ERR_EXISTS when the name is taken */
    bool whole;     /* fsync the file: old or new after a power loss */
    bool durable;   /* ... and the directory: new */
    bool set_mtime; /* to mtime_ns */
    bool like_dir;  /* the directory's owner and group: root may be at work */
    int64_t mtime_ns;
};

#define SMALL_DURABLE(bits)                                                    \
    (&(const struct small_how){                                                \
        .mode = (bits), .group = (gid_t)-1, .durable = true})

/* Write `text` as dir_fd/file. */
int small_write(int dir_fd, const char *file, const void *text, size_t len,
                const struct small_how *how, struct err *err) MUSTCHECK;
