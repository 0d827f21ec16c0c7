/* SPDX-License-Identifier: MIT
 *
 * retry: system calls that a signal may interrupt, called again until they are
 * done.
 *
 * Signals are rare here (the programs block them or handle them with
 * SA_RESTART), but a library runs in whatever program its user writes, and file
 * systems in user space or over a network do end an open() or an fsync() with
 * EINTR.  An fsync() that was interrupted has told nothing about the data, so
 * it may be repeated, unlike one that failed.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

static inline int retry_open(const char *path, int flags)
{
    int fd;

    do {
        fd = open(path, flags);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

/* `mode` is used with O_CREAT only. */
static inline int retry_openat(int dir_fd, const char *path, int flags,
                               mode_t mode)
{
    int fd;

    do {
        fd = openat(dir_fd, path, flags, mode);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

static inline int retry_fsync(int fd)
{
    int rc;

    do {
        rc = fsync(fd);
    } while (rc < 0 && errno == EINTR);
    return rc;
}

static inline int retry_syncfs(int fd)
{
    int rc;

    do {
        rc = syncfs(fd);
    } while (rc < 0 && errno == EINTR);
    return rc;
}

static inline int retry_ftruncate(int fd, off_t size)
{
    int rc;

    do {
        rc = ftruncate(fd, size);
    } while (rc < 0 && errno == EINTR);
    return rc;
}
