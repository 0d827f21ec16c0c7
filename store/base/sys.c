/* SPDX-License-Identifier: MIT
 *
 * sys: see sys.h. */
#include "store/base/sys.h"

#include <errno.h>

#include "store/base/clock.h"

/* The value of `call`, when no signal interrupts it. */
#define UNINTERRUPTED(call)                                                    \
    __extension__({                                                            \
        __typeof__(call) rc_;                                                  \
        do {                                                                   \
            rc_ = (call);                                                      \
        } while (rc_ < 0 && errno == EINTR);                                   \
        rc_;                                                                   \
    })

int sys_open(const char *path, int flags)
{
    return UNINTERRUPTED(open(path, flags));
}

int sys_openat(int dir_fd, const char *path, int flags, mode_t mode)
{
    return UNINTERRUPTED(openat(dir_fd, path, flags, mode));
}

int sys_open_file(int dir_fd, const char *name)
{
    return sys_openat(dir_fd, name, SYS_FILE_FLAGS, 0);
}

int sys_open_dir(int dir_fd, const char *name)
{
    return sys_openat(dir_fd, name, SYS_DIR_FLAGS, 0);
}

int sys_fsync(int fd)
{
    return UNINTERRUPTED(fsync(fd));
}

int sys_syncfs(int fd)
{
    return UNINTERRUPTED(syncfs(fd));
}

int sys_ftruncate(int fd, off_t size)
{
    return UNINTERRUPTED(ftruncate(fd, size));
}

int sys_flock(int fd, int kind)
{
    return UNINTERRUPTED(flock(fd, kind | LOCK_NB));
}

int sys_set_mtime(int fd, int64_t ns)
{
    struct timespec ts[2] = {
        {.tv_nsec = UTIME_OMIT},
        {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)},
    };

    return futimens(fd, ts);
}

bool sys_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev;
}

ssize_t sys_read(int fd, void *out, size_t room)
{
    return UNINTERRUPTED(read(fd, out, room));
}

ssize_t sys_read_full(int fd, void *out, size_t n)
{
    size_t got = 0;
    ssize_t rc = 1;

    while (got < n && rc > 0) {
        rc = sys_read(fd, (char *)out + got, n - got);
        got += rc > 0 ? (size_t)rc : 0;
    }
    return rc < 0 ? -1 : (ssize_t)got;
}

ssize_t sys_pread_full(int fd, void *out, size_t n, off_t at)
{
    size_t got = 0;
    ssize_t rc = 1;

    while (got < n && rc > 0) {
        rc = UNINTERRUPTED(
            pread(fd, (char *)out + got, n - got, at + (off_t)got));
        got += rc > 0 ? (size_t)rc : 0;
    }
    return rc < 0 ? -1 : (ssize_t)got;
}

/* A write of nothing is no error to the kernel, and would be repeated without
 * end. */
static int no_progress(ssize_t rc)
{
    errno = rc == 0 ? EIO : errno;
    return -1;
}

int sys_write_all(int fd, const void *p, size_t n)
{
    for (const char *at = p; n > 0;) {
        ssize_t rc = UNINTERRUPTED(write(fd, at, n));
        if (rc <= 0) {
            return no_progress(rc);
        }
        at += rc;
        n -= (size_t)rc;
    }
    return 0;
}

int sys_pwrite_all(int fd, const void *p, size_t n, off_t at)
{
    for (const char *from = p; n > 0;) {
        ssize_t rc = UNINTERRUPTED(pwrite(fd, from, n, at));
        if (rc <= 0) {
            return no_progress(rc);
        }
        from += rc;
        at += rc;
        n -= (size_t)rc;
    }
    return 0;
}
