/* SPDX-License-Identifier: MIT
 *
 * placeholder: an empty file that some writer made a moment ago only to lock
 * it, and that is nobody's value yet.
 *
 * flockd opens what it locks with O_CREAT, so the first set or create of a key
 * shows an empty file before the value is renamed over it.  Its Create tries
 * the lock of that file once: a reader's lock that is there makes it give up,
 * and the empty file stays for ever.  So nobody who only reads may ask for the
 * lock of such a file, or take it for an empty value.
 *
 * Making a file sets all its times at once; a rename, a link or a write sets
 * the ctime (and a write the mtime) again, later.  So a file whose ctime is its
 * birth time and its mtime was made under the name it has, and never touched
 * since.  Where the filesystem keeps no birth time, ctime and mtime alone must
 * do, and may take an empty value that was renamed into place within the same
 * step of the clock for a placeholder.  (With it, too, where all was done in
 * one step.)  So this is a reason to wait a moment, not to answer at once: what
 * is older than PLACEHOLDER_NS is a value.
 */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

#include "store/base/clock.h"

/* Longer than a writer needs from making the file to having its lock.  A file
 * that is younger by its times, or in the future by less, may be one; a ctime
 * further in the future comes from before a step of the clock, and so from long
 * ago. */
#define PLACEHOLDER_NS NS_PER_S

/* Is the open file, whose stat is `st`, a placeholder?  Costs a system call
 * only for an empty file of this moment. */
bool placeholder_is(int fd, const struct stat *st);

/* The same for the file `file` in `dir_fd`. */
bool placeholder_is_at(int dir_fd, const char *file, const struct stat *st);

/* Make sure that the open file, an empty value about to be renamed or linked
 * into place, is never taken for one: its mtime becomes another than its
 * ctime.  A failure costs readers a moment's waiting. */
void placeholder_disown(int fd);
