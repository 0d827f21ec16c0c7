/* SPDX-License-Identifier: MIT
 *
 * small_file: see small_file.h. */
#include "store/files/small_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/sys.h"
#include "store/files/newfile.h"

int small_read(int dir_fd, const char *file, char *out, size_t room,
               struct stat *st_out, struct err *err)
{
    CLEANUP(fd_closep)
    int fd = sys_open_file(dir_fd, file);
    struct stat st;

    assert(room <= INT_MAX);
    if (fd < 0 || fstat(fd, &st) != 0) {
        return err_sys(err, errno, "open %s", file);
    }
    if (!S_ISREG(st.st_mode)) {
        return err_set(err, ERR_NOTTABLE, 0, "%s is not a regular file", file);
    }
    ssize_t len = sys_read_full(fd, out, room);
    if (len < 0) {
        return err_sys(err, errno, "read %s", file);
    }
    if ((size_t)len == room) {
        return err_set(err, ERR_CORRUPT, 0, "%s is too long", file);
    }
    out[len] = '\0';
    if (st_out != NULL) {
        *st_out = st;
    }
    return (int)len;
}

/* Owner and group of the directory. */
static int give_like_dir(int fd, int dir_fd)
{
    struct stat dir, st;

    if (fstat(dir_fd, &dir) != 0 || fstat(fd, &st) != 0) {
        return -1;
    }
    return st.st_uid == dir.st_uid && st.st_gid == dir.st_gid
               ? 0
               : fchown(fd, dir.st_uid, dir.st_gid);
}

static int fill(int fd, int dir_fd, const void *text, size_t len,
                const struct small_how *how)
{
    if (sys_write_all(fd, text, len) != 0 ||
        (how->like_dir && give_like_dir(fd, dir_fd) != 0) ||
        (how->group != (gid_t)-1 && fchown(fd, (uid_t)-1, how->group) != 0) ||
        fchmod(fd, how->mode) != 0 ||
        (how->set_mtime && sys_set_mtime(fd, how->mtime_ns) != 0)) {
        return -1;
    }
    return how->durable || how->whole ? sys_fsync(fd) : 0;
}

static int place(struct newfile *f, int dir_fd, const char *temp,
                 const char *file, bool only_new)
{
    return only_new ? newfile_place_new(f, dir_fd, temp, file)
                    : newfile_place_over(f, dir_fd, temp, file);
}

int small_write(int dir_fd, const char *file, const void *text, size_t len,
                const struct small_how *how, struct err *err)
{
    char temp[NAME_MAX + 64];
    struct newfile f;
    /* Who makes the first one may not be alone. */
    int n = how->only_new ? snprintf(temp, sizeof temp, "%s.%ld.new", file,
                                     (long)getpid())
                          : snprintf(temp, sizeof temp, "%s.new", file);

    assert(n > 0 && (size_t)n < sizeof temp);
    (void)unlinkat(dir_fd, temp, 0);
    if (newfile_open(&f, dir_fd, temp, 0600) != 0) {
        return err_sys(err, errno, "create %s", temp);
    }
    bool ok = fill(f.fd, dir_fd, text, len, how) == 0 &&
              place(&f, dir_fd, temp, file, how->only_new) == 0;
    int sys = ok ? 0 : errno;
    newfile_drop(&f, dir_fd, temp);
    if (sys == EEXIST && how->only_new) {
        return err_set(err, ERR_EXISTS, 0, "%s exists", file);
    }
    if (sys != 0) {
        return err_sys(err, sys, "write %s", file);
    }
    if (how->durable && sys_fsync(dir_fd) != 0) {
        return err_sys(err, errno, "sync the directory of %s", file);
    }
    return 0;
}
