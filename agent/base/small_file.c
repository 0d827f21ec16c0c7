/* SPDX-License-Identifier: MIT
 *
 * small_file: see small_file.h.  A file is written as a temporary, synced, and
 * given its name with a rename. */
#include "agent/base/small_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/sys.h"
#include "store/layout/install.h"

#define OLD_NS (60 * NS_PER_S)

int small_read(int dir_fd, const char *file, char *out, size_t room,
               struct err *err)
{
    CLEANUP(fd_closep)
    int fd = sys_openat(dir_fd, file,
                        O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);

    if (fd < 0) {
        return err_sys(err, errno, "%s", file);
    }
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        return err_set(err, ERR_NOTTABLE, 0, "%s is no regular file", file);
    }
    ssize_t have = sys_read_full(fd, out, room - 1);
    if (have < 0) {
        return err_sys(err, errno, "read %s", file);
    }
    out[have] = '\0';
    return (int)have;
}

/* Remove what agents that were killed left: "FILE.tmpPID", older than any that
 * still lives could be.  What cannot be removed does no harm. */
static void sweep(int dir_fd, const char *file)
{
    size_t n = strlen(file);
    int fd = sys_openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

    if (dir == NULL) {
        fd_closep(&fd);
        return;
    }
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        struct stat st;
        if (strncmp(e->d_name, file, n) == 0 &&
            strncmp(e->d_name + n, ".tmp", 4) == 0 &&
            fstatat(dir_fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            clock_real_ns() - clock_of_timespec(st.st_mtim) > OLD_NS) {
            (void)unlinkat(dir_fd, e->d_name, 0);
        }
    }
    (void)closedir(dir);
}

int small_write(int dir_fd, const char *file, const void *text, size_t len,
                mode_t mode, bool replace, struct err *err)
{
    char tmp[64];

    sweep(dir_fd, file);
    (void)snprintf(tmp, sizeof tmp, "%s.tmp%ld", file, (long)getpid());
    (void)unlinkat(dir_fd, tmp, 0);
    CLEANUP(fd_closep)
    int fd =
        sys_openat(dir_fd, tmp,
                   O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return err_sys(err, errno, "create %s", tmp);
    }
    int rc = 0;
    if (sys_write_all(fd, text, len) != 0 || fchmod(fd, mode) != 0 ||
        sys_fsync(fd) != 0) {
        rc = err_sys(err, errno, "write %s", tmp);
    } else if (replace ? renameat(dir_fd, tmp, dir_fd, file) != 0
                       : install_rename_new(dir_fd, tmp, dir_fd, file) != 0) {
        rc = errno == EEXIST ? err_set(err, ERR_EXISTS, 0, "%s exists", file)
                             : err_sys(err, errno, "rename %s", tmp);
    } else if (sys_fsync(dir_fd) != 0) {
        return err_sys(err, errno, "sync the directory of %s", file);
    }
    if (rc < 0) {
        (void)unlinkat(dir_fd, tmp, 0);
    }
    return rc;
}
