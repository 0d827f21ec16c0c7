/* SPDX-License-Identifier: MIT
 *
 * install: see install.h.
 *
 * Both operations look at the key's current file, take its exclusive lock, see
 * that the name still leads to it, and then act on the name.  Between the check
 * and the act nobody who respects the locks can change the name, because that
 * takes the lock we hold.  Where there is no file there is nothing to lock, and
 * RENAME_NOREPLACE settles who comes first (also where a hint says that there
 * is none, and nobody looked). */
#include "store/layout/install.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/quote.h"
#include "store/layout/lock.h"
#include "store/layout/name.h"

enum { RACE_TRIES = 100 };

static int fail(int sys, const char *what, const char *file, struct err *err)
{
    return err_sys(err, sys, "%s %s", what, QUOTED_STR(file));
}

static int not_a_file(const char *file, struct err *err)
{
    return err_set(err, ERR_NOTTABLE, 0,
                   "%s: not a regular file; remove what has the key's name",
                   QUOTED_STR(file));
}

/* What is under the key's name is an enum lock_result: LOCK_DIRECTORY is no
 * key, and leaves no room for one. */

/* Without a lock: only see that it is a file. */
static int see_target(int dir_fd, const char *file, struct stat *st_out,
                      struct err *err)
{
    struct stat st;

    if (fstatat(dir_fd, file, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        return errno == ENOENT ? LOCK_ABSENT : fail(errno, "stat", file, err);
    }
    if (!S_ISREG(st.st_mode)) {
        return S_ISDIR(st.st_mode) ? LOCK_DIRECTORY : not_a_file(file, err);
    }
    *st_out = st;
    return LOCK_GRANTED;
}

/* Lock what is there.  *fd_out holds the lock when LOCK_GRANTED. */
static int lock_target(int dir_fd, const char *file, int *fd_out,
                       struct stat *st_out, struct err *err)
{
    CLEANUP(fd_closep) int fd = -1;
    struct stat st;

    int rc = lock_file(dir_fd, file, 0, &fd, err);
    if (rc == ERR_PERM && err->sys == EACCES) {
        /* Another user's edit: its readers keep the inode they have. */
        return see_target(dir_fd, file, st_out, err);
    }
    if (rc == 0) {
        rc = lock_try(dir_fd, file, fd, LOCK_EXCLUSIVE, &st, err);
    }
    if (rc == LOCK_GRANTED || rc == LOCK_BUSY) {
        *st_out = st;
    }
    if (rc == LOCK_GRANTED) {
        *fd_out = TAKE_FD(fd);
    }
    return rc == LOCK_NOT_A_FILE ? not_a_file(file, err) : rc;
}

static int take_target(int dir_fd, const char *file, bool force, int *fd_out,
                       struct stat *st_out, struct err *err)
{
    return force ? see_target(dir_fd, file, st_out, err)
                 : lock_target(dir_fd, file, fd_out, st_out, err);
}

/* One try: INSTALL_DONE, INSTALL_BUSY, ERR_*, or 0: look again. */
static int install_once(struct newfile *staged, const char *temp, int dir_fd,
                        const char *file, unsigned how, struct stat *st,
                        struct err *err)
{
    CLEANUP(fd_closep) int lock_fd = -1;
    int rc = (how & INSTALL_NEW) != 0
                 ? LOCK_ABSENT
                 : take_target(dir_fd, file, (how & INSTALL_FORCE) != 0,
                               &lock_fd, st, err);

    if (rc < 0) {
        return rc;
    }
    if (rc == LOCK_BUSY) {
        return INSTALL_BUSY;
    }
    if (rc == LOCK_STALE) {
        return 0;
    }
    if (rc == LOCK_DIRECTORY) {
        return not_a_file(file, err);
    }
    if (rc == LOCK_ABSENT) {
        rc = newfile_place_new(staged, dir_fd, temp, file);
        if (rc < 0 && errno == EEXIST) {
            return 0;
        }
    } else {
        rc = newfile_place_over(staged, dir_fd, temp, file);
    }
    return rc < 0 ? fail(errno, "put the staged value in place of", file, err)
                  : INSTALL_DONE;
}

int install_value(struct newfile *staged, const char *temp, int dir_fd,
                  const void *key, size_t key_len, unsigned how,
                  struct stat *st_out, struct err *err)
{
    char file[KEY_FILE_BYTES];
    struct stat st = {0};

    key_file(key, key_len, file);
    for (int i = 0; i < RACE_TRIES; i++) {
        int rc = install_once(staged, temp, dir_fd, file, how, &st, err);
        if (rc < 0) {
            return rc;
        }
        if (rc == INSTALL_BUSY) {
            break;
        }
        if (rc == INSTALL_DONE) {
            if (fstat(staged->fd, st_out) < 0) {
                /* In place all the same; a stat that matches no file makes the
                 * next scan look at it. */
                *st_out = (struct stat){0};
            }
            return INSTALL_DONE;
        }
        how &= ~(unsigned)INSTALL_NEW;
    }
    *st_out = st;
    return INSTALL_BUSY;
}

static int unlink_file(void *arg, int dir_fd, const char *file,
                       const struct stat *st)
{
    (void)arg;
    (void)st;
    return unlinkat(dir_fd, file, 0);
}

int install_remove(int dir_fd, const void *key, size_t key_len, bool force,
                   struct stat *st_out, struct err *err)
{
    return install_remove_by(dir_fd, key, key_len, force, unlink_file, NULL,
                             st_out, err);
}

int install_remove_by(int dir_fd, const void *key, size_t key_len, bool force,
                      install_remover remover, void *arg, struct stat *st_out,
                      struct err *err)
{
    char file[KEY_FILE_BYTES];
    struct stat st = {0};

    key_file(key, key_len, file);
    for (int i = 0; i < RACE_TRIES; i++) {
        CLEANUP(fd_closep) int lock_fd = -1;
        int rc = take_target(dir_fd, file, force, &lock_fd, &st, err);
        if (rc < 0) {
            return rc;
        }
        if (rc == LOCK_ABSENT || rc == LOCK_DIRECTORY) {
            return INSTALL_ABSENT;
        }
        if (rc == LOCK_BUSY) {
            break;
        }
        if (rc == LOCK_STALE) {
            continue;
        }
        if (remover(arg, dir_fd, file, &st) < 0) {
            if (errno == ENOENT) {
                continue;
            }
            return fail(errno, "remove", file, err);
        }
        *st_out = st;
        return INSTALL_DONE;
    }
    *st_out = st;
    return INSTALL_BUSY;
}
