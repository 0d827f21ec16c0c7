/* SPDX-License-Identifier: MIT
 *
 * newfile: see newfile.h.
 *
 * A file without a name is linked by its descriptor (AT_EMPTY_PATH), which
 * takes Linux 6.10 or CAP_DAC_READ_SEARCH, or by its name in /proc.  Which of
 * them works is asked once, with a link to ".", which exists: EEXIST says that
 * the way there was free. */
#include "store/files/newfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/sys.h"

enum { COPY_BYTES = 64 << 20 }; /* at most in one call */

enum way { WAY_UNKNOWN, WAY_DESCRIPTOR, WAY_PROC, WAY_NONE };

static atomic_int way = WAY_UNKNOWN;

static int link_by(int how, int fd, int dir_fd, const char *to)
{
    char path[40];

    if (how == WAY_DESCRIPTOR) {
        return linkat(fd, "", dir_fd, to, AT_EMPTY_PATH);
    }
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, path, dir_fd, to, AT_SYMLINK_FOLLOW);
}

static int find_way(int fd, int dir_fd)
{
    for (int how = WAY_DESCRIPTOR; how < WAY_NONE; how++) {
        if (link_by(how, fd, dir_fd, ".") < 0 && errno == EEXIST) {
            return how;
        }
    }
    return WAY_NONE;
}

/* Without a name; -1 where that is not possible. */
static int open_unnamed(int dir_fd, mode_t mode)
{
    int how = atomic_load_explicit(&way, memory_order_relaxed);

    if (how == WAY_NONE) {
        return -1;
    }
    CLEANUP(fd_closep)
    int fd = sys_openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
    if (fd >= 0 && how == WAY_UNKNOWN) {
        how = find_way(fd, dir_fd);
        atomic_store_explicit(&way, how, memory_order_relaxed);
    }
    return how != WAY_NONE ? TAKE_FD(fd) : -1;
}

/* What says that there is no room, memory or directory is the answer; anything
 * else may be a file system that cannot make such files. */
static bool is_final(int sys)
{
    return sys == ENOSPC || sys == EDQUOT || sys == EMFILE || sys == ENFILE ||
           sys == ENOMEM || sys == EIO || sys == EROFS;
}

int newfile_open(struct newfile *f, int dir_fd, const char *temp, mode_t mode)
{
    errno = 0;
    *f = (struct newfile){.fd = open_unnamed(dir_fd, mode)};
    if (f->fd >= 0) {
        return 0;
    }
    if (is_final(errno)) {
        return -1;
    }
    f->fd = sys_openat(
        dir_fd, temp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    f->named = f->fd >= 0;
    return f->named ? 0 : -1;
}

static int link_to(const struct newfile *f, int dir_fd, const char *to)
{
    return link_by(atomic_load_explicit(&way, memory_order_relaxed), f->fd,
                   dir_fd, to);
}

int newfile_give_name(struct newfile *f, int dir_fd, const char *temp)
{
    if (!f->named && link_to(f, dir_fd, temp) < 0) {
        return -1;
    }
    f->named = true;
    return 0;
}

int newfile_rename(int from_fd, const char *from, int to_fd, const char *to)
{
    if (renameat2(from_fd, from, to_fd, to, RENAME_NOREPLACE) == 0) {
        return 0;
    }
    if (errno != EINVAL && errno != ENOSYS) {
        return -1;
    }
    /* A filesystem without it: link() refuses an existing name as well. */
    if (linkat(from_fd, from, to_fd, to, 0) < 0) {
        return -1;
    }
    return unlinkat(from_fd, from, 0) < 0 && errno != ENOENT ? -1 : 0;
}

int newfile_place_new(struct newfile *f, int dir_fd, const char *temp,
                      const char *to)
{
    int rc = f->named ? newfile_rename(dir_fd, temp, dir_fd, to)
                      : link_to(f, dir_fd, to);

    f->named = f->named && rc != 0;
    return rc;
}

int newfile_place_over(struct newfile *f, int dir_fd, const char *temp,
                       const char *to)
{
    if (newfile_give_name(f, dir_fd, temp) < 0 ||
        renameat(dir_fd, temp, dir_fd, to) < 0) {
        return -1;
    }
    f->named = false;

    return 0;
}

/* From `at` to `end`, which holds no hole. */
static int copy_run(int from, int to, off_t at, off_t end)
{
    off_t out = at;

    while (at < end) {
        size_t n = end - at < COPY_BYTES ? (size_t)(end - at) : COPY_BYTES;
        ssize_t done = copy_file_range(from, &at, to, &out, n, 0);
        if (done == 0) {
            errno = EIO; /* shorter than it was */
            return -1;
        }
        if (done < 0 && errno != EINTR) {
            return -1;
        }
    }
    return 0;
}

int newfile_copy(int from, int to)
{
    off_t size = lseek(from, 0, SEEK_END), at = 0;

    if (size < 0 || sys_ftruncate(to, size) < 0) {
        return -1;
    }
    while ((at = lseek(from, at, SEEK_DATA)) >= 0 && at < size) {
        off_t end = lseek(from, at, SEEK_HOLE);
        if (end < 0 || copy_run(from, to, at, end) < 0) {
            return -1;
        }
        at = end;
    }
    return at < 0 && errno != ENXIO ? -1 : 0;
}

void newfile_drop(struct newfile *f, int dir_fd, const char *temp)
{
    if (f->named) {
        (void)unlinkat(dir_fd, temp, 0);
        f->named = false;
    }
    fd_closep(&f->fd);
}
