/* SPDX-License-Identifier: MIT
 *
 * inside: see inside.h. */
#include "sync/replica/meta/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/sys.h"
#include "sync/errors/state.h"
#include "sync/replica/meta/meta.h"

enum { LEVELS_MAX = PATH_MAX };

/* What may not be looked at counts: whoever hides a META_DIR has one. */
static bool has(int fd, const char *file)
{
    struct stat st;

    return fstatat(fd, file, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno == EACCES;
}

static bool is_database(int fd)
{
    struct stat st;

    return fstatat(fd, META_DIR, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISDIR(st.st_mode) &&
           (has(fd, META_DIR "/" META_FILE_PRIMARY) ||
            has(fd, META_DIR "/" META_FILE_REPLICA));
}

static int refuse(int fd, const char *path, struct err *err)
{
    char link[40], where[512];

    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, where, sizeof where - 1);
    where[n > 0 ? n : 0] = '\0';
    (void)err_set(err, ERR_REFUSED, 0,
                  "%.200s lies inside the database %.250s; a replica there "
                  "would become a part of it",
                  path, n > 0 ? where : "above it");
    err->id = DR_NESTED;
    return err->code;
}

int inside_check(int dir_fd, bool itself, const char *path, struct err *err)
{
    CLEANUP(fd_closep)
    int fd = sys_openat(dir_fd, itself ? "." : "..",
                        O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    struct stat below, st;

    if (fd < 0 || fstat(fd, &st) != 0 || fstat(dir_fd, &below) != 0) {
        return 0; /* nobody may look that way: nothing is known */
    }
    /* The root of all is its own parent. */
    bool is_top = !itself && sys_same_file(&st, &below);
    for (int i = 0; !is_top && i < LEVELS_MAX; i++) {
        if (is_database(fd)) {
            return refuse(fd, path, err);
        }
        int up = sys_openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
        below = st;
        fd_closep(&fd);
        fd = up;
        if (up < 0 || fstat(up, &st) != 0) {
            return 0;
        }
        is_top = sys_same_file(&st, &below);
    }
    return 0;
}
