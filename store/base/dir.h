/* SPDX-License-Identifier: MIT
 *
 * dir: the entries of a directory, but "." and "..".
 *
 *     CLEANUP(dir_end) struct dir dir = dir_list(fd, ".");
 *
 *     for (const struct dirent *e; (e = dir_next(&dir)) != NULL;) ...
 *     if (dir.sys != 0) ... it could not be opened, or the list broke off
 */
#pragma once

#include <dirent.h>

struct dir {
    DIR *stream;
    int sys; /* the errno that ended the list early */
};

/* List directory `name` (no link) in `at`; "." is `at` itself, whose own
 * position does not move. */
struct dir dir_list(int at, const char *name);
/* List the directory behind `fd`, which is closed with the list; below 0: as
 * errno says, it could not be opened. */
struct dir dir_take(int fd);
/* NULL at the end.  Valid until the next call. */
const struct dirent *dir_next(struct dir *d);
void dir_end(struct dir *d);

/* The type of an entry, asked for where the filesystem did not tell (DT_UNKNOWN
 * in `type`); DT_UNKNOWN with errno when that fails. */
unsigned char dir_type(int at, const char *name, unsigned char type);
