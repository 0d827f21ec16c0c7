/* SPDX-License-Identifier: MIT
 *
 * temps: see temps.h. */
#include "store/layout/temps.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/dir.h"
#include "store/base/sys.h"
#include "store/layout/name.h"
#include "store/layout/walk.h"

/* Has its writer gone?  The name must still lead to what was locked: it might
 * be a new writer's by now. */
static bool is_left(int dir_fd, const char *name, int fd, int64_t before_ns)
{
    struct stat mine, named;

    if (sys_flock(fd, LOCK_EX) < 0 || fstat(fd, &mine) < 0 ||
        fstatat(dir_fd, name, &named, AT_SYMLINK_NOFOLLOW) < 0 ||
        mine.st_ino != named.st_ino || mine.st_dev != named.st_dev) {
        return false;
    }
    return S_ISREG(mine.st_mode) && clock_of_timespec(mine.st_mtim) < before_ns;
}

static int sweep_one(int dir_fd, const char *name, int64_t before_ns)
{
    CLEANUP(fd_closep)
    int fd = sys_openat(dir_fd, name,
                        O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0);

    return fd >= 0 && is_left(dir_fd, name, fd, before_ns) &&
           unlinkat(dir_fd, name, 0) == 0;
}

int temps_sweep_table(int dir_fd, int64_t before_ns, struct err *err)
{
    CLEANUP(dir_end) struct dir dir = dir_list(dir_fd, ".");
    int removed = 0;

    for (const struct dirent *e; (e = dir_next(&dir)) != NULL;) {
        if (name_is_temp(e->d_name)) {
            removed += sweep_one(dir_fd, e->d_name, before_ns);
        }
    }
    return dir.sys != 0 ? err_sys(err, dir.sys, "look for temporaries")
                        : removed;
}

struct sweep {
    int64_t before_ns;
    uint64_t removed;
    struct err first; /* code 0: none */
};

static int on_table(void *arg, const char *table, size_t len, int dir_fd)
{
    struct sweep *s = arg;
    struct err err;
    int n = temps_sweep_table(dir_fd, s->before_ns, &err);

    (void)table, (void)len;
    if (n > 0) {
        s->removed += (uint64_t)n;
    } else if (n < 0 && s->first.code == 0) {
        s->first = err;
    }
    return 0;
}

int temps_sweep(const struct db *db, int64_t before_ns, uint64_t *removed_out,
                struct err *err)
{
    static const struct walk_ops ops = {.table_begin = on_table};
    struct sweep s = {.before_ns = before_ns};

    int rc = walk_db(db, &ops, &s, NULL, err);
    *removed_out = s.removed;
    if (rc == 0 && s.first.code != 0) {
        *err = s.first;
        rc = err->code;
    }
    return rc;
}
