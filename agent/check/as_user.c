/* SPDX-License-Identifier: MIT
 *
 * as_user: see as_user.h. */
#include "agent/check/as_user.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/sys.h"

enum { PIECE_BYTES = 4096, CHILD_OUT_OF_MEMORY = 254 };

/* Exit status: 0, or the errno that kept it from looking. */
_Noreturn static void child(const struct passwd *pw, as_user_look look,
                            void *arg, const char *replica, int fd)
{
    struct findings f = FINDINGS_NULL;
    struct buf b = BUF_NULL;

    if (initgroups(pw->pw_name, pw->pw_gid) != 0 || setgid(pw->pw_gid) != 0 ||
        setuid(pw->pw_uid) != 0) {
        _exit(errno);
    }
    f.replica = replica;
    look(arg, &f);
    findings_encode(&f, &b);
    if (f.bad || b.bad) {
        _exit(CHILD_OUT_OF_MEMORY);
    }
    _exit(sys_write_all(fd, b.data, b.len) != 0 ? errno : 0);
}

static int read_all(int fd, struct buf *b, struct err *err)
{
    ssize_t n;

    do {
        if (!buf_reserve(b, PIECE_BYTES)) {
            return err_set(err, ERR_NOMEM, 0, "out of memory");
        }
        n = sys_read(fd, b->data + b->len, PIECE_BYTES);
        b->len += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    return n < 0 ? err_sys(err, errno, "read from the child") : 0;
}

static int end_of(pid_t pid, const struct passwd *pw, struct err *err)
{
    int status = 0;

    while (waitpid(pid, &status, 0) != pid) {
        if (errno != EINTR) {
            return err_sys(err, errno, "waitpid");
        }
    }
    if (!WIFEXITED(status)) {
        return err_set(err, ERR_IO, 0, "the child that looked was lost");
    }
    if (WEXITSTATUS(status) == CHILD_OUT_OF_MEMORY) {
        return err_set(err, ERR_NOMEM, 0, "out of memory");
    }
    return WEXITSTATUS(status) != 0 ? err_sys(err, WEXITSTATUS(status),
                                              "becoming user %s", pw->pw_name)
                                    : 0;
}

static int in_child(const struct passwd *pw, as_user_look look, void *arg,
                    struct findings *out, struct err *err)
{
    CLEANUP(buf_deinit) struct buf b = BUF_NULL;
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) != 0) {
        return err_sys(err, errno, "pipe");
    }
    CLEANUP(fd_closep) int in = fds[0];
    CLEANUP(fd_closep) int to = fds[1];
    pid_t pid = fork();
    if (pid < 0) {
        return err_sys(err, errno, "fork");
    }
    if (pid == 0) {
        child(pw, look, arg, out->replica, to);
    }
    fd_closep(&to);
    int rc = read_all(in, &b, err);
    fd_closep(&in);
    struct err end = {0};
    if (end_of(pid, pw, &end) != 0 && rc == 0) {
        *err = end;
        rc = end.code;
    }
    return rc == 0 ? findings_decode(out, b.data, b.len, err) : rc;
}

int as_user(uid_t uid, as_user_look look, void *arg, struct findings *out,
            struct err *err)
{
    if (uid == geteuid()) {
        look(arg, out);
        return 0;
    }
    const struct passwd *pw = getpwuid(uid);
    if (pw == NULL) {
        return err_set(err, ERR_NOTFOUND, 0, "user %u has no account here",
                       (unsigned)uid);
    }
    return in_child(pw, look, arg, out, err);
}
