/* SPDX-License-Identifier: MIT
 *
 * dir: see dir.h. */
#include "store/base/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/sys.h"

struct dir dir_list(int at, const char *name)
{
    return dir_take(sys_open_dir(at, name));
}

struct dir dir_take(int fd)
{
    struct dir d = {.stream = fd >= 0 ? fdopendir(fd) : NULL};

    if (d.stream == NULL) {
        d.sys = errno;
        if (fd >= 0) {
            (void)close(fd);
        }
    }
    return d;
}

const struct dirent *dir_next(struct dir *d)
{
    if (d->stream == NULL) {
        return NULL;
    }
    for (;;) {
        errno = 0;
        const struct dirent *e = readdir(d->stream);
        if (e == NULL) {
            d->sys = errno;
            return NULL;
        }
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            return e;
        }
    }
}

void dir_end(struct dir *d)
{
    if (d->stream != NULL) {
        (void)closedir(d->stream);
        d->stream = NULL;
    }
}

unsigned char dir_type(int at, const char *name, unsigned char type)
{
    struct stat st;

    if (type != DT_UNKNOWN) {
        return type;
    }
    return fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0
               ? (unsigned char)IFTODT(st.st_mode)
               : DT_UNKNOWN;
}
