/* SPDX-License-Identifier: MIT
 *
 * install: put a staged value in place on a replica, or remove a key, under
 * the exclusive lock of the key's current file.
 *
 * A value is staged as a new file in its table's directory (newfile.h), made
 * durable by the caller (fsync or syncfs), and then put over the key while
 * the key's current inode is exclusive-locked and known to be the one behind
 * the name.  A key that does not exist yet is linked in, or renamed with
 * RENAME_NOREPLACE, so there is never an empty placeholder.  A file that we may
 * not open (an edit by another user) cannot be locked by us: it goes without.
 * Nothing here waits: a busy lock is a condition, and the caller's policy
 * decides.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "store/base/err.h"
#include "store/files/newfile.h"
#include "store/layout/value.h"

enum install_result {
    INSTALL_DONE = 1, /* in place (or removed); the directory is not synced */
    INSTALL_BUSY,     /* a lock is held: st_out names the inode for
                         lock_holder() (or is zeroed when the key only kept
                         changing under us); nothing was changed */
    INSTALL_ABSENT,   /* remove only: there was no such key (a directory may
                         have its name) */
};

enum install_how {
    INSTALL_FORCE = 1, /* without the lock (policy `replace`): readers keep the
                          old inode */
    INSTALL_NEW = 2,   /* the key is probably not there: a hint that saves the
                          look for what is to be locked */
};

/* Let `staged`, a file of the table `dir_fd` with the temporary name `temp`
 * there, come into place as the key; `how`: flags.  On INSTALL_DONE *st_out is
 * the stat of the installed file (zero when that could not be asked for); its
 * descriptor is still open.  A directory or other non-file under the key's
 * name: ERR_NOTTABLE.  Not the same file system, or another quota's: err->sys
 * is EXDEV. */
int install_value(struct newfile *staged, const char *temp, int dir_fd,
                  const void *key, size_t key_len, unsigned how,
                  struct stat *st_out, struct err *err) MUSTCHECK;

/* Unlink the key under its exclusive lock. */
int install_remove(int dir_fd, const void *key, size_t key_len, bool force,
                   struct stat *st_out, struct err *err) MUSTCHECK;

/* The same, but `remover` takes the name away: called with the key's lock held
 * (without, when forced) and the file's stat.  0, or -1 with errno. */
typedef int (*install_remover)(void *arg, int dir_fd, const char *file,
                               const struct stat *st);
int install_remove_by(int dir_fd, const void *key, size_t key_len, bool force,
                      install_remover remover, void *arg, struct stat *st_out,
                      struct err *err) MUSTCHECK;
