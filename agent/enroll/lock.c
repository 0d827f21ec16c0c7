/* SPDX-License-Identifier: MIT
 *
 * lock: see lock.h. */
#include "agent/enroll/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/sys.h"

static char *lock_name(const char *file)
{
    CLEANUP(freep) char *real = realpath(file, NULL);
    char *name = NULL;

    return asprintf(&name, "%s.lock", real != NULL ? real : file) < 0 ? NULL
                                                                      : name;
}

static void tell(int fd, const char *name,
                 void (*waits)(void *arg, const char *text), void *arg)
{
    CLEANUP(freep) char *text = NULL;
    char holder[24] = "";

    ssize_t n = sys_pread_full(fd, holder, sizeof holder - 1, 0);
    holder[n > 0 ? strspn(holder, "0123456789") : 0] = '\0';
    if (asprintf(&text,
                 "another drover replica add or remove is at work (process %s "
                 "has %s); waiting until it has ended",
                 holder[0] != '\0' ? holder : "?", name) < 0) {
        text = NULL;
        return;
    }
    waits(arg, text);
}

/* For whoever waits; that it cannot be written harms nobody. */
static void sign(int fd)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());

    if (sys_ftruncate(fd, 0) == 0) {
        (void)!pwrite(fd, text, (size_t)n, 0);
    }
}

int enroll_lock(const char *file, void (*waits)(void *arg, const char *text),
                void *arg, int *fd, struct err *err)
{
    CLEANUP(freep) char *name = lock_name(file);
    struct stat st;

    *fd = -1;
    if (name == NULL) {
        return err_set(err, ERR_NOMEM, 0, "out of memory");
    }
    CLEANUP(fd_closep)
    int lock = sys_openat(
        AT_FDCWD, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
        0600);
    if (lock < 0 && (errno == ENOENT || errno == EACCES || errno == EROFS ||
                     errno == ENOTDIR)) {
        return 0;
    }
    if (lock < 0 || fstat(lock, &st) != 0) {
        return err_sys(err, errno, "%s", name);
    }
    if (!S_ISREG(st.st_mode)) {
        return err_set(err, ERR_INVALID, 0, "%s is not a regular file", name);
    }
    if (sys_flock(lock, LOCK_EX | LOCK_NB) != 0) {
        tell(lock, name, waits, arg);
        if (flock(lock, LOCK_EX) != 0) {
            return err_sys(err, errno, "lock %s", name);
        }
    }
    sign(lock);
    *fd = TAKE_FD(lock);
    return 0;
}
