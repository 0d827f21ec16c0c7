/* SPDX-License-Identifier: MIT
 *
 * flockd_calls: what the Go library flockd does, system call by system call,
 * for tests that share a table with it.  Locks are opened with O_CREAT, as its
 * lock library does; nothing is verified after locking; directories are not
 * synced.  fsync is left out where a test wants speed, not durability. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The lock library: open with O_CREAT, try every hundredth of the timeout. */
static inline int flockd_lock(int dir_fd, const char *file, int op)
{
    int fd = openat(dir_fd, file, O_CREAT | O_RDONLY | O_CLOEXEC, 0600);

    for (int i = 0; fd >= 0 && i < 100; i++) {
        if (flock(fd, op | LOCK_NB) == 0) {
            return fd;
        }
        struct timespec pause = {.tv_nsec = 100 * 1000};
        (void)nanosleep(&pause, NULL);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return -1;
}

/* A temporary KEY.kv<digits> with the value; its name to `temp`. */
static inline int flockd_temp(int dir_fd, const char *file, const void *value,
                              size_t len, char temp[300])
{
    int fd = -1;

    for (int i = 0; fd < 0 && i < 10000; i++) {
        (void)snprintf(temp, 300, "%s%d%05d", file, (int)getpid(), rand());
        fd = openat(dir_fd, temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    }
    if (fd < 0) {
        return -1;
    }
    int lock = flockd_lock(dir_fd, temp, LOCK_EX);
    bool ok = lock >= 0 && write(fd, value, len) == (ssize_t)len;
    (void)close(fd);
    if (!ok) {
        (void)unlinkat(dir_fd, temp, 0);
        if (lock >= 0) {
            (void)close(lock);
        }
        return -1;
    }
    return lock;
}

/* 0, or -1 when a lock was not granted in time. */
static inline int flockd_set(int dir_fd, const char *file, const void *value,
                             size_t len)
{
    char temp[300];
    int temp_lock = flockd_temp(dir_fd, file, value, len, temp);

    if (temp_lock < 0) {
        return -1;
    }
    int lock = flockd_lock(dir_fd, file, LOCK_EX);
    int rc = lock < 0 ? -1 : renameat(dir_fd, temp, dir_fd, file);
    (void)unlinkat(dir_fd, temp, 0);
    if (lock >= 0) {
        (void)close(lock);
    }
    (void)close(temp_lock);
    return rc;
}

/* 0 created, 1 it exists, -1 failed (and perhaps left its placeholder). */
static inline int flockd_create(int dir_fd, const char *file, const void *value,
                                size_t len)
{
    char temp[300];
    int fd = openat(dir_fd, file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0) {
        return errno == EEXIST ? 1 : -1;
    }
    int lock = openat(dir_fd, file, O_CREAT | O_RDONLY | O_CLOEXEC, 0600);
    if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0) {
        (void)close(fd);
        if (lock >= 0) {
            (void)close(lock);
        }
        return 1;
    }
    int temp_lock = flockd_temp(dir_fd, file, value, len, temp);
    int rc = temp_lock < 0 ? -1 : renameat(dir_fd, temp, dir_fd, file);
    if (temp_lock >= 0) {
        (void)unlinkat(dir_fd, temp, 0);
        (void)close(temp_lock);
    }
    (void)close(lock);
    (void)close(fd);
    return rc;
}

static inline int flockd_delete(int dir_fd, const char *file)
{
    int fd = openat(dir_fd, file, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        return 0;
    }
    int lock = flockd_lock(dir_fd, file, LOCK_EX);
    int rc = lock < 0 ? -1 : unlinkat(dir_fd, file, 0);
    if (lock >= 0) {
        (void)close(lock);
    }
    (void)close(fd);
    return rc;
}

/* Length of the value, -1 not found, -2 no lock.  Opens once to read and once
 * more, with O_CREAT, to lock. */
static inline ssize_t flockd_get(int dir_fd, const char *file, void *out,
                                 size_t room)
{
    int fd = openat(dir_fd, file, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        return -1;
    }
    int lock = flockd_lock(dir_fd, file, LOCK_SH);
    ssize_t n = lock < 0 ? -2 : read(fd, out, room);
    if (lock >= 0) {
        (void)close(lock);
    }
    (void)close(fd);
    return n;
}
