/* SPDX-License-Identifier: MIT
 *
 * old_stage: see old_stage.h. */
#include "sync/replica/disk/old_stage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/dir.h"
#include "store/base/sys.h"
#include "store/layout/name.h"

#define OLD_STAGE "stage"

static bool is_part(const char *name)
{
    return name[0] > '0' && name[0] < '8' && name[1] == '\0';
}

/* Calls `fn` for each entry of the directory `name`. */
static int each_entry(int at, const char *name,
                      int (*fn)(int fd, const char *name, void *arg), void *arg)
{
    CLEANUP(dir_end) struct dir dir = dir_list(at, name);
    int first = 0;

    for (const struct dirent *e; (e = dir_next(&dir)) != NULL;) {
        int sys = fn(dirfd(dir.stream), e->d_name, arg);
        first = first != 0 ? first : sys;
    }
    return first != 0 ? first : dir.sys;
}

static int sweep_one(int fd, const char *name, void *arg)
{
    bool *top = arg, below = false;

    if (unlinkat(fd, name, 0) == 0 || errno == ENOENT) {
        return 0;
    }
    if (errno != EISDIR) {
        return errno;
    }
    if (!*top || !is_part(name)) {
        return 0; /* nothing of ours */
    }
    int sys = each_entry(fd, name, sweep_one, &below);
    if (sys == 0 && unlinkat(fd, name, AT_REMOVEDIR) != 0 &&
        errno != ENOTEMPTY && errno != EEXIST) {
        sys = errno;
    }
    return sys;
}

int old_stage_remove(int meta_fd, struct err *err)
{
    bool top = true;
    int sys = each_entry(meta_fd, OLD_STAGE, sweep_one, &top);

    if (sys == 0 && unlinkat(meta_fd, OLD_STAGE, AT_REMOVEDIR) != 0 &&
        errno != ENOENT && errno != ENOTEMPTY && errno != EEXIST) {
        sys = errno;
    }
    if (sys != 0 && sys != ENOENT) {
        return err_sys(err, sys, "remove " META_DIR "/" OLD_STAGE);
    }
    return 0;
}
