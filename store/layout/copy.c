/* SPDX-License-Identifier: MIT
 *
 * copy: see copy.h. */
#include "store/layout/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/sys.h"

enum {
    GROWTH_BYTES = 1 << 20, /* between the look at its size and the copy */
    THROUGH_BYTES = 256 * 1024,
};

struct copy {
    struct copy_room *room;
    uint8_t *memory; /* NULL: a file */
    size_t memory_bytes;
    uint64_t max;
    int fd;
    uint8_t *through; /* a file's bytes on their way */
};

/* A part of the memory, or false. */
static bool reserve(struct copy_room *room, size_t bytes)
{
    size_t used = atomic_load(&room->used_bytes);

    do {
        if (bytes > room->memory_bytes - used) {
            return false;
        }
    } while (
        !atomic_compare_exchange_weak(&room->used_bytes, &used, used + bytes));
    return true;
}

/* All pages are there before the copy begins: that each is made when it is
 * first written to would take longer than the copy itself. */
static bool use_memory(struct copy *c, size_t bytes)
{
    if (!reserve(c->room, bytes)) {
        return false;
    }
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (p == MAP_FAILED) {
        atomic_fetch_sub(&c->room->used_bytes, bytes);
        return false;
    }
    c->memory = p;
    c->memory_bytes = bytes;
    c->max = bytes;
    return true;
}

/* The disk of the directory has other work, too: half of what is free there is
 * not ours to fill. */
static bool use_file(struct copy *c, uint64_t bytes)
{
    struct statvfs fs;

    if (c->room->dir_fd < 0 || fstatvfs(c->room->dir_fd, &fs) != 0 ||
        bytes / fs.f_frsize >= fs.f_bavail / 2) {
        return false;
    }
    c->through = malloc(THROUGH_BYTES);
    c->fd = openat(c->room->dir_fd, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    c->max = bytes;
    return c->through != NULL && c->fd >= 0;
}

int copy_new(struct copy_room *room, uint64_t size, struct copy **out,
             struct err *err)
{
    struct copy *c = calloc(1, sizeof *c);

    if (c == NULL) {
        return err_set(err, ERR_NOMEM, 0, "out of memory for a copy");
    }
    c->room = room;
    c->fd = -1;
    uint64_t bytes = size + GROWTH_BYTES;
    if ((bytes <= room->each_bytes && use_memory(c, (size_t)bytes)) ||
        use_file(c, bytes)) {
        *out = c;
        return 1;
    }
    copy_free(c);
    return 0;
}

void copy_free(struct copy *c)
{
    if (c == NULL) {
        return;
    }
    if (c->memory != NULL) {
        (void)munmap(c->memory, c->memory_bytes);
        atomic_fetch_sub(&c->room->used_bytes, c->memory_bytes);
    }
    fd_closep(&c->fd);

    free(c->through);
    free(c);
}

uint64_t copy_max(const struct copy *c)
{
    return c->max;
}

int copy_reflink(struct copy *c, int fd)
{
    return c->memory == NULL && ioctl(c->fd, FICLONE, fd) == 0;
}

static int64_t read_at(int fd, uint64_t at, uint8_t *out, size_t n,
                       struct err *err)
{
    ssize_t got = sys_pread_full(fd, out, n, (off_t)at);

    return got < 0 ? err_sys(err, errno, "read a value to copy it") : got;
}

int64_t copy_take(struct copy *c, int fd, uint64_t at, size_t n,
                  struct err *err)
{
    if (c->memory != NULL) {
        return read_at(fd, at, c->memory + at, n, err);
    }
    int64_t got =
        read_at(fd, at, c->through, n < THROUGH_BYTES ? n : THROUGH_BYTES, err);
    if (got > 0 &&
        sys_pwrite_all(c->fd, c->through, (size_t)got, (off_t)at) < 0) {
        return err_sys(err, errno, "write a copy of a value");
    }
    return got;
}

int64_t copy_read(const struct copy *c, uint64_t at, void *out, size_t n,
                  struct err *err)
{
    if (c->memory != NULL) {
        memcpy(out, c->memory + at, n);
        return (int64_t)n;
    }
    return read_at(c->fd, at, out, n, err);
}
