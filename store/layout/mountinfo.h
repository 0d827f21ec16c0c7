/* SPDX-License-Identifier: MIT
 *
 * mountinfo: the part of /proc/self/mountinfo that is about one directory: what
 * is mounted at it or below it.
 *
 * A mount over a table, a key or a directory raises no inotify event, nor does
 * its end.  The kernel tells who polls that file (POLLPRI) that some mount of
 * this mount namespace came or went; this says which of them matter.
 */
#pragma once

#include <stdbool.h>

#include "store/base/buf.h"

/* The lines of the open file that are about `root` (an absolute path without
 * links) or what is below it, shortened to what a mount is known by.  False: it
 * could not be read. */
bool mountinfo_read(int fd, const char *root, struct buf *out);
/* The same of its text. */
void mountinfo_below(const char *text, const char *root, struct buf *out);
