/* SPDX-License-Identifier: MIT
 *
 * newfile: a file that has no name until it is whole.
 *
 * Made with O_TMPFILE in the directory where it will live, so that it gets that
 * directory's group, default ACL, label and quota; it comes into place by a
 * link where there is nothing, and else by a link to a temporary name and a
 * rename.  A name that is made and goes again is in the way of whoever walks
 * the database (a walk that read the directory and then does not find the name
 * fails, as flockd's Tables() does): so the temporary name is there for the
 * time of two system calls, not for that of a transfer and an fsync.  And what
 * has no name leaves nothing behind when its process dies.
 *
 * Where the file system has no O_TMPFILE, or nothing without a name can be
 * linked (no /proc, and no right to link a descriptor), it has its temporary
 * name from the beginning.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "store/base/err.h"
#include "store/files/newfile.h"

struct newfile {
    int fd;     /* open for reading and writing */
    bool named; /* it has its temporary name in its directory */
};

/* Make a file in `dir_fd`; `temp` is its temporary name should it need one
 * (which must not exist).  0, or -1 with errno. */
int newfile_open(struct newfile *f, int dir_fd, const char *temp,
                 mode_t mode) MUSTCHECK;

/* Give it its temporary name, so that its descriptor may be closed.  0, or -1
 * with errno. */
int newfile_give_name(struct newfile *f, int dir_fd,
                      const char *temp) MUSTCHECK;

/* Let it come into place as `to`, which must not exist (EEXIST).  0, or -1 with
 * errno; the descriptor stays open. */
int newfile_place_new(struct newfile *f, int dir_fd, const char *temp,
                      const char *to) MUSTCHECK;

/* Let it come into place over `to`.  0, or -1 with errno: it may have its
 * temporary name then. */
int newfile_place_over(struct newfile *f, int dir_fd, const char *temp,
                       const char *to) MUSTCHECK;

/* Rename `from` to `to`, which must not exist yet: RENAME_NOREPLACE, or link
 * and unlink where the filesystem (or the kernel, or a filter of system calls)
 * lacks it.  Everything in the project that renames, but never over, comes
 * here.  0, or -1 with errno (EEXIST). */
int newfile_rename(int from_fd, const char *from, int to_fd,
                   const char *to) MUSTCHECK;

/* Make `to` hold what `from` does, with its holes.  0, or -1 with errno. */
int newfile_copy(int from, int to) MUSTCHECK;

/* Close it; a temporary name goes. */
void newfile_drop(struct newfile *f, int dir_fd, const char *temp);
