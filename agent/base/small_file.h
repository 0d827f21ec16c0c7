/* SPDX-License-Identifier: MIT
 *
 * small_file: files of a few lines (ids, records, notes), read and written
 * whole.  Blocking but short. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "store/base/err.h"

/* Read a small regular file whole; NUL-terminated.  Returns its length; what is
 * beyond `room` less one is left out. */
int small_read(int dir_fd, const char *file, char *out, size_t room,
               struct err *err) MUSTCHECK;
/* Write `text` as dir_fd/file, durably.  `replace` false: ERR_EXISTS when the
 * name is taken. */
int small_write(int dir_fd, const char *file, const void *text, size_t len,
                mode_t mode, bool replace, struct err *err) MUSTCHECK;
