/* SPDX-License-Identifier: MIT
 *
 * filesystem: which kind a directory is on, in a word that findmnt has, too,
 * and whether other hosts or layers may change it behind this kernel's back. */
#pragma once

#include <stdbool.h>

enum { FILESYSTEM_BYTES = 32 };

/* The kind that the descriptor is on: its name in `out`, a number where it is
 * not one of the known; "unknown" where the kernel does not tell.  *poor_out:
 * inotify does not tell of all changes there.  Returns `out`. */
const char *filesystem_name(int fd, char out[FILESYSTEM_BYTES], bool *poor_out);
