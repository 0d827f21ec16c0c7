/* SPDX-License-Identifier: MIT
 *
 * small_file: see small_file.h.  A file is written as a temporary, synced, and
 * given its name with a rename. */
#include "agent/small_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/cleanup.h"

int small_read(int dir_fd, const char *file, char *out, size_t room,
               struct err *err)
{
    CLEANUP(fd_closep)
    int fd = openat(dir_fd, file,
                    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return err_sys(err, errno, "%s", file);
    size_t have = 0;
    while (have < room - 1) {
        ssize_t n = read(fd, out + have, room - 1 - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, errno, "read %s", file);
        if (n == 0)
            break;
        have += (size_t)n;
    }
    out[have] = '\0';
    return (int)have;
}

int small_write(int dir_fd, const char *file, const void *text, size_t len,
                mode_t mode, bool replace, struct err *err)
{
    char tmp[64];
    (void)snprintf(tmp, sizeof tmp, "%s.tmp%ld", file, (long)getpid());
    (void)unlinkat(dir_fd, tmp, 0);
    CLEANUP(fd_closep)
    int fd = openat(dir_fd, tmp,
                    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_sys(err, errno, "create %s", tmp);
    ssize_t n = write(fd, text, len);
    int rc = 0;
    if (n < 0 || (size_t)n != len)
        rc = err_sys(err, n < 0 ? errno : ENOSPC, "write %s", tmp);
    else if (fchmod(fd, mode) != 0 || fsync(fd) != 0)
        rc = err_sys(err, errno, "write %s", tmp);
    else if (replace ? renameat(dir_fd, tmp, dir_fd, file) != 0
                     : renameat2(dir_fd, tmp, dir_fd, file,
                                 RENAME_NOREPLACE) != 0)
        rc = errno == EEXIST ? err_set(err, ERR_EXISTS, 0, "%s exists", file)
                             : err_sys(err, errno, "rename %s", tmp);
    else if (fsync(dir_fd) != 0)
        return err_sys(err, errno, "sync the directory of %s", file);
    if (rc < 0)
        (void)unlinkat(dir_fd, tmp, 0);
    return rc;
}
