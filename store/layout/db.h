/* SPDX-License-Identifier: MIT
 *
 * db: an opened database root, and the descriptors of its tables.
 *
 * Everything below the root is reached through descriptors with openat2
 * (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS |
 * RESOLVE_NO_XDEV), falling back to a component-wise O_NOFOLLOW walk where the
 * kernel lacks it, so no name can lead outside.  Nor into a mount: a database
 * is one directory tree, and what is mounted in it hides tables, so what is
 * missing there is not gone (EXDEV, ERR_NOTTABLE).  Nor into another database:
 * a directory below the root with a META_DIR of its own is one, with all that
 * lies below it (DB_OTHER, ERR_NOTTABLE).  A struct db may be used by
 * several threads at once; it keeps nothing but the root descriptor.  Internal
 * to the project.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "store/base/err.h"
#include "store/layout/name.h"

/* The errno of what would lead into another database. */
#define DB_OTHER ENOTUNIQ

struct db {
    int root_fd; /* O_RDONLY | O_DIRECTORY */
    dev_t dev;   /* of the root, when it was opened */
    ino_t ino;
    uint64_t mount; /* the kernel's number of its mount; 0: not told */
    char *path;     /* as given, for messages and for db_root_is_same() */
};

/* Open the database at `path` (links to the root itself are followed; for root
 * not those of somebody who does not own it, see own_dir.h: ERR_REFUSED).  With
 * `create` missing directories are made (mode 0755 & ~umask).
 * Failures: ERR_NOTFOUND, ERR_NOTTABLE, ERR_PERM, ERR_IO, ERR_NOMEM. */
int db_open(struct db *db, const char *path, bool create,
            struct err *err) MUSTCHECK;
/* The same for a directory that is open already, which is taken (also on
 * failure). */
int db_open_fd(struct db *db, int root_fd, const char *path,
               struct err *err) MUSTCHECK;
void db_close(struct db *db);

/* True while db->path still leads to the directory that was opened: false
 * after an unmount, a mount over it, a move or a removal. */
bool db_root_is_same(const struct db *db);
/* Does `path` lead there? */
bool db_is_at(const struct db *db, const char *path);

/* Is the open directory `fd` on another mount than the root?  Not so a
 * subvolume (btrfs), which has a device number of its own and is a directory
 * like any other: it is told by the mount's number, and where the kernel gives
 * none (before 5.8) it counts as a mount. */
bool db_is_mounted(const struct db *db, int fd, const struct stat *st);

/* How table_open() treats a missing directory, and with which modes. */
struct table_make {
    bool create;     /* make what is missing, and sync the parents; without,
                        only finish what a killed process left without modes */
    mode_t dir_mode; /* 0: 0755 & ~umask, as flockd does; else exactly this */
    gid_t group;     /* (gid_t)-1: leave */
};

/* Open a table's directory; returns a descriptor (O_RDONLY | O_DIRECTORY |
 * O_CLOEXEC) that the caller closes, or ERR_NOTFOUND (also when a regular file
 * stands in the place of one of its directories: so there is none; but to make
 * one, ERR_NOTTABLE), ERR_NOTTABLE (a symbolic link, another such thing or a
 * mount is in the way, and what is behind it nobody knows), ERR_BADTABLE,
 * ERR_PERM, ERR_NOSPACE, ERR_IO. `make` may be NULL.  *created_out (may be
 * NULL) tells whether the table's own directory was made by this call. */
int table_open(const struct db *db, const void *name, size_t len,
               const struct table_make *make, bool *created_out,
               struct err *err) MUSTCHECK;

/* Remove an empty table's directory, sync its parent, and remove plain parent
 * directories that became empty.  A missing table is fine (0), also one in
 * whose place a regular file is.  ERR_EXISTS
 * with the name of what is still inside when it is not empty. */
int table_remove_dir(const struct db *db, const void *name, size_t len,
                     struct err *err) MUSTCHECK;

/* Open a directory by its path relative to the root ("." for the root), under
 * the same confinement.  `path` must not contain "." or ".." components
 * besides.  Returns a descriptor, or -1 with errno. */
int db_open_dir(const struct db *db, const char *path) MUSTCHECK;

/* Is the open directory, which is not our root, a database of its own? */
bool db_is_other(int dir_fd);

/* The "lost+found" that mkfs puts into the root of a file system: root's, so
 * nobody else's to read or to change.  `path` is relative to the root. */
bool db_is_lost_found(const struct db *db, const char *path);

/* Open the directory `name` in `dir_fd` in the same way: one component. */
int db_open_step(int dir_fd, const char *name) MUSTCHECK;

/* Open a file for reading by its path relative to the root with one openat2.
 * A short cut: -1 with errno ENOSYS or EPERM where the kernel lacks it, and
 * the caller goes by way of its table's directory. */
int db_open_file(const struct db *db, const char *path) MUSTCHECK;
