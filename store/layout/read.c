/* SPDX-License-Identifier: MIT
 *
 * read: see read.h. */
#include "store/layout/read.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "store/base/clock.h"
#include "store/base/quote.h"
#include "store/base/sys.h"

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool read_same_version(const struct stat *a, const struct stat *b)
{
    return a->st_size == b->st_size && same_time(a->st_mtim, b->st_mtim) &&
           same_time(a->st_ctim, b->st_ctim);
}

int64_t read_quick(int fd, int64_t opened_ns, void *out, size_t room,
                   struct stat *st)
{
    ssize_t n = read(fd, out, room);

    if (n < 0 || fstat(fd, st) < 0 || n != st->st_size ||
        !S_ISREG(st->st_mode) || st->st_nlink == 0 ||
        clock_of_timespec(st->st_ctim) >= opened_ns - UNPROVEN_NS) {
        return -1;
    }
    return n;
}

int64_t read_full(int fd, void *out, size_t n, const char *file,
                  struct err *err)
{
    ssize_t got = sys_read_full(fd, out, n);

    return got < 0 ? err_sys(err, errno, "read %s", QUOTED_STR(file)) : got;
}

int read_whole(int fd, const char *file, const struct stat *st,
               struct buf *value, struct err *err)
{
    struct stat after;
    size_t size = (size_t)st->st_size;

    buf_clear(value);
    /* One more, for callers that put a NUL behind it. */
    if (!buf_reserve(value, size + 1)) {
        return err_set(err, ERR_NOMEM, 0,
                       "read %s: out of memory for %zu bytes", QUOTED_STR(file),
                       size);
    }
    if (lseek(fd, 0, SEEK_SET) < 0) {
        return err_sys(err, errno, "seek %s", QUOTED_STR(file));
    }
    int64_t n = read_full(fd, value->data, size, file, err);
    if (n < 0) {
        return (int)n;
    }
    if (fstat(fd, &after) < 0) {
        return err_sys(err, errno, "fstat %s", QUOTED_STR(file));
    }
    if ((size_t)n != size || !read_same_version(st, &after)) {
        return READ_CHANGED;
    }
    value->len = size;
    return READ_WHOLE;
}
