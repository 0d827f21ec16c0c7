/* SPDX-License-Identifier: MIT
 *
 * placeholder: see placeholder.h. */
#include "store/layout/placeholder.h"

#include <fcntl.h>
#include <sys/types.h>

#include "store/base/sys.h"

/* As far as its stat tells. */
static bool may_be(const struct stat *st)
{
    if (st->st_size != 0 || !S_ISREG(st->st_mode) ||
        st->st_mtim.tv_sec != st->st_ctim.tv_sec ||
        st->st_mtim.tv_nsec != st->st_ctim.tv_nsec) {
        return false;
    }
    int64_t age_ns = clock_real_ns() - clock_of_timespec(st->st_ctim);
    return age_ns > -PLACEHOLDER_NS && age_ns < PLACEHOLDER_NS;
}

/* Its birth is not told, or was when it was last changed. */
static bool was_only_made(int dir_fd, const char *path, int flags,
                          const struct stat *st)
{
    struct statx sx;

    if (statx(dir_fd, path, flags, STATX_BTIME, &sx) < 0 ||
        (sx.stx_mask & STATX_BTIME) == 0) {
        return true;
    }
    return sx.stx_btime.tv_sec == st->st_ctim.tv_sec &&
           (long)sx.stx_btime.tv_nsec == st->st_ctim.tv_nsec;
}

bool placeholder_is(int fd, const struct stat *st)
{
    return may_be(st) && was_only_made(fd, "", AT_EMPTY_PATH, st);
}

bool placeholder_is_at(int dir_fd, const char *file, const struct stat *st)
{
    return may_be(st) && was_only_made(dir_fd, file, AT_SYMLINK_NOFOLLOW, st);
}

void placeholder_disown(int fd)
{
    (void)sys_set_mtime(fd, clock_real_ns() - PLACEHOLDER_NS);
}
