/* SPDX-License-Identifier: MIT
 *
 * role: see role.h. */
#include "sync/replica/role.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/retry.h"
#include "store/lock.h"

static int read_id(int meta_fd, uint8_t out[META_ID_BYTES], struct err *err)
{
    char text[META_TEXT_MAX];
    int rc = meta_read(meta_fd, META_FILE_PRIMARY, text, sizeof text, NULL, err);
    if (rc != 0) {
        return rc;
    }
    text[strcspn(text, "\n")] = '\0';
    if (!meta_id_parse(text, out)) {
        return err_set(err, ERR_CORRUPT, 0,
                       META_DIR "/" META_FILE_PRIMARY
                                " does not hold 32 hexadecimal digits");
    }
    return 0;
}

static int read_epoch(int meta_fd, uint64_t *out, struct err *err)
{
    char text[META_TEXT_MAX], *end;
    *out = 1;
    int rc = meta_read(meta_fd, META_FILE_EPOCH, text, sizeof text, NULL, err);
    if (rc != 0) {
        return rc == ERR_NOTFOUND ? 0 : rc;
    }
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (errno != 0 || n == 0 || text[0] < '0' || text[0] > '9' ||
        strcmp(end, "\n") != 0) {
        return err_set(err, ERR_CORRUPT, 0,
                       META_DIR "/" META_FILE_EPOCH
                                " does not hold a number above 0");
    }
    *out = n;
    return 0;
}

int role_look(int meta_fd, struct role_facts *out, struct err *err)
{
    struct role_facts f = {.role = ROLE_NONE};
    int rc = meta_ident_read(meta_fd, &f.ident, err);
    if (rc == 0) {
        f.role = ROLE_REPLICA;
        f.epoch = f.ident.epoch;
        memcpy(f.db_id, f.ident.db_id, sizeof f.db_id);
    } else if (rc == ERR_NOTFOUND) {
        rc = read_id(meta_fd, f.db_id, err);
        if (rc == 0) {
            f.role = ROLE_PRIMARY;
            rc = read_epoch(meta_fd, &f.epoch, err);
        }
    }
    if (rc != 0 && rc != ERR_NOTFOUND) {
        return rc;
    }
    *out = f;
    return 0;
}

int role_open(struct meta *m, const char *dir, struct err *err)
{
    int rc = meta_look(m, dir, err);
    if (rc == ERR_NOTFOUND) {
        return err_wrap(err, "%s is neither a primary nor a replica", dir);
    }
    if (rc != 0) {
        return rc;
    }
    struct stat st;
    if (fstat(m->fd, &st) != 0) {
        rc = err_sys(err, errno, "stat %s/" META_DIR, dir);
    } else if (geteuid() != 0 && geteuid() != st.st_uid) {
        const struct passwd *user = getpwuid(st.st_uid);
        char number[24];
        (void)snprintf(number, sizeof number, "#%ju", (uintmax_t)st.st_uid);
        const char *name = user != NULL ? user->pw_name : number;
        rc = err_set(err, ERR_PERM, 0,
                     "%s/" META_DIR " belongs to user %s: run this as root or "
                     "as that user (runuser -u %s -- drover-replica ...)",
                     dir, name, name);
    }
    if (rc != 0) {
        meta_close(m);
    }
    return rc;
}

int role_hold_primary(int meta_fd, int *fd_out, struct err *err)
{
    CLEANUP(fd_closep)
    int fd = retry_openat(meta_fd, META_FILE_PRIMARY,
                          O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0);
    if (fd < 0) {
        return err_sys(err, errno, "open " META_DIR "/" META_FILE_PRIMARY);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        *fd_out = TAKE_FD(fd);
        return 0;
    }
    if (errno != EWOULDBLOCK) {
        return err_sys(err, errno, "lock " META_DIR "/" META_FILE_PRIMARY);
    }
    struct stat st;
    char comm[16] = "";
    pid_t pid = fstat(fd, &st) == 0 ? lock_holder(&st, 0, comm) : 0;
    char who[64] = "";
    if (pid != 0) {
        (void)snprintf(who, sizeof who, ", pid %d (%s),", (int)pid, comm);
    }
    return err_set(err, ERR_TIMEOUT, 0,
                   "an agent%s runs on it: stop the application, let drover "
                   "wait end, then stop that agent (systemctl stop drover@NAME)",
                   who);
}
