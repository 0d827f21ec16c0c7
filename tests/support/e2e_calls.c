/* SPDX-License-Identifier: MIT
 *
 * e2e_calls: see e2e_calls.h. */
#include "tests/support/e2e_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int settings_lock_ms = 10;
static bool settings_sync = true;

void e2e_flockd_settings(int lock_ms, bool sync)
{
    settings_lock_ms = lock_ms;
    settings_sync = sync;
}

/* Closes `fd` and keeps errno. */
static int done(int fd, int rc)
{
    int sys = errno;

    if (fd >= 0) {
        (void)close(fd);
    }
    errno = sys;
    return rc;
}

static int write_all(int fd, const void *value, size_t len)
{
    const char *p = value;

    while (len > 0) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -1;
        }
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

/* --- flockd -------------------------------------------------------------- */

/* Its lock library: open with O_CREAT, try until the time is over. */
static int flockd_lock(int dir_fd, const char *file, int *fd_out)
{
    int fd = openat(dir_fd, file, O_CREAT | O_RDONLY | O_CLOEXEC, 0600);
    struct timespec pause = {.tv_nsec = 1000 * 1000};

    if (fd < 0) {
        return -1;
    }
    for (int i = 0; i <= settings_lock_ms; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
            *fd_out = fd;
            return 0;
        }
        (void)nanosleep(&pause, NULL);
    }
    return done(fd, E2E_BUSY);
}

/* Go's naming: the digits are where the last '*' is, else at the end. */
void e2e_flockd_temp_name(const char *file, uint32_t digits, char temp[300])
{
    const char *star = strrchr(file, '*');
    size_t before = star != NULL ? (size_t)(star - file) : strlen(file);

    (void)snprintf(temp, 300, "%.*s%" PRIu32 "%s", (int)before, file, digits,
                   star != NULL ? star + 1 : "");
}

/* The temporary with the value, exclusively locked. */
static int flockd_temp(int dir_fd, const char *file, const void *value,
                       size_t len, char temp[300], int *lock_out)
{
    static uint32_t count;
    int fd = -1;

    while (fd < 0) {
        e2e_flockd_temp_name(file, (uint32_t)getpid() * 10007 + count++, temp);
        fd = openat(dir_fd, temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0 && errno != EEXIST) {
            return -1;
        }
    }
    int rc = flockd_lock(dir_fd, temp, lock_out);
    if (rc == 0 &&
        (write_all(fd, value, len) < 0 || (settings_sync && fsync(fd) < 0))) {
        rc = done(*lock_out, -1);
    }
    if (rc != 0) {
        (void)unlinkat(dir_fd, temp, 0);
    }
    return done(fd, rc);
}

int e2e_flockd_set(int dir_fd, const char *file, const void *value, size_t len)
{
    char temp[300];
    int temp_lock = -1, lock = -1;
    int rc = flockd_temp(dir_fd, file, value, len, temp, &temp_lock);

    if (rc != 0) {
        return rc;
    }
    rc = flockd_lock(dir_fd, file, &lock);
    if (rc == 0) {
        rc = renameat(dir_fd, temp, dir_fd, file);
    }
    if (rc != 0) {
        (void)unlinkat(dir_fd, temp, 0);
    }
    return done(temp_lock, done(lock, rc));
}

int e2e_flockd_create(int dir_fd, const char *file, const void *value,
                      size_t len)
{
    char temp[300];
    int lock = -1, temp_lock = -1;
    int fd = openat(dir_fd, file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0) {
        return errno == EEXIST ? E2E_EXISTS : -1;
    }
    /* The key is visible, empty and not locked. */
    lock = openat(dir_fd, file, O_CREAT | O_RDONLY | O_CLOEXEC, 0600);
    if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0) {
        return done(lock, done(fd, E2E_BUSY));
    }
    int rc = flockd_temp(dir_fd, file, value, len, temp, &temp_lock);
    if (rc == 0) {
        rc = renameat(dir_fd, temp, dir_fd, file);
    }
    return done(fd, done(lock, done(temp_lock, rc)));
}

int e2e_flockd_update(int dir_fd, const char *file, const void *value,
                      size_t len)
{
    int fd = openat(dir_fd, file, O_RDWR | O_CLOEXEC);

    if (fd < 0) {
        return errno == ENOENT ? E2E_MISSING : -1;
    }
    return done(fd, e2e_flockd_set(dir_fd, file, value, len));
}

int e2e_flockd_delete(int dir_fd, const char *file)
{
    int lock = -1;
    int fd = openat(dir_fd, file, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        return errno == ENOENT ? 0 : -1;
    }
    int rc = flockd_lock(dir_fd, file, &lock);
    if (rc == 0) {
        rc = unlinkat(dir_fd, file, 0);
    }
    return done(fd, done(lock, rc));
}

/* --- others -------------------------------------------------------------- */

/* Opened and exclusively locked, the file that has the name now. */
static int open_locked(int dir_fd, const char *file)
{
    for (;;) {
        struct stat a, b;
        int fd = openat(dir_fd, file, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        if (fd < 0 || flock(fd, LOCK_EX) < 0) {
            return done(fd, -1);
        }
        if (fstat(fd, &a) == 0 && fstatat(dir_fd, file, &b, 0) == 0 &&
            a.st_ino == b.st_ino) {
            return fd;
        }
        (void)close(fd);
    }
}

int e2e_in_place(int dir_fd, const char *file, const void *value, size_t len)
{
    const char *p = value;
    int fd = open_locked(dir_fd, file);
    size_t half = len / 2;

    if (fd < 0 || write_all(fd, p, half) < 0 ||
        write_all(fd, p + half, len - half) < 0 ||
        ftruncate(fd, (off_t)len) < 0) {
        return done(fd, -1);
    }
    return done(fd, 0);
}

int e2e_truncate_and_write(int dir_fd, const char *file, const void *value,
                           size_t len)
{
    int fd =
        openat(dir_fd, file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    return done(fd, fd < 0 ? -1 : write_all(fd, value, len));
}

static int write_temp(int dir_fd, const char *temp, const void *value,
                      size_t len)
{
    int fd =
        openat(dir_fd, temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    return done(fd, fd < 0 ? -1 : write_all(fd, value, len));
}

int e2e_rename(int dir_fd, const char *file, const void *value, size_t len)
{
    char temp[64];

    (void)snprintf(temp, sizeof temp, ".new.%d", (int)getpid());
    if (write_temp(dir_fd, temp, value, len) < 0) {
        return -1;
    }
    return renameat(dir_fd, temp, dir_fd, file);
}

int e2e_link(int dir_fd, const char *file, const void *value, size_t len)
{
    char temp[64];

    (void)snprintf(temp, sizeof temp, ".new.%d", (int)getpid());
    if (write_temp(dir_fd, temp, value, len) < 0) {
        return -1;
    }
    int rc = linkat(dir_fd, temp, dir_fd, file, 0);
    (void)unlinkat(dir_fd, temp, 0);
    return rc;
}

int e2e_tmpfile(int dir_fd, const char *file, const void *value, size_t len)
{
    char path[64];
    int fd = openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0644);

    if (fd < 0 || write_all(fd, value, len) < 0) {
        return done(fd, -1);
    }
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return done(fd, linkat(AT_FDCWD, path, dir_fd, file, AT_SYMLINK_FOLLOW));
}

int e2e_mmap(int dir_fd, const char *file, const void *value, size_t len)
{
    int fd = openat(dir_fd, file, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

    if (fd < 0 || len == 0 || ftruncate(fd, (off_t)len) < 0) {
        return done(fd, -1);
    }
    void *map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    if (map == MAP_FAILED) {
        return -1;
    }
    memcpy(map, value, len);
    int rc = msync(map, len, MS_SYNC);
    (void)munmap(map, len);
    return rc;
}
