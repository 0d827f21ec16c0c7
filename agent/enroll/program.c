/* SPDX-License-Identifier: MIT
 *
 * program: see program.h.
 *
 * Input and standard error are files without a name, so that only the output
 * is a pipe and neither side can wait for the other. */
#include "agent/enroll/program.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "store/base/cleanup.h"
#include "store/base/quote.h"
#include "store/base/sys.h"

enum { EXIT_NO_PROGRAM = 127, EXIT_NO_USER = 126 };

/* A file in memory that holds the text, to be read from its beginning. */
static int text_fd(const char *text)
{
    CLEANUP(fd_closep) int fd = memfd_create("text", MFD_CLOEXEC);

    if (fd < 0 || sys_write_all(fd, text, strlen(text)) != 0 ||
        lseek(fd, 0, SEEK_SET) != 0) {
        return -1;
    }
    return TAKE_FD(fd);
}

static bool become(uid_t user)
{
    const struct passwd *pw = getpwuid(user);

    return pw != NULL && initgroups(pw->pw_name, pw->pw_gid) == 0 &&
           setgid(pw->pw_gid) == 0 && setuid(pw->pw_uid) == 0 &&
           setenv("HOME", pw->pw_dir, 1) == 0;
}

_Noreturn static void child(const struct program *p, int in, int out, int said)
{
    sigset_t none;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    if (p->user != (uid_t)-1 && p->user != geteuid() && !become(p->user)) {
        _exit(EXIT_NO_USER);
    }
    if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
        (!p->talks && dup2(said, STDERR_FILENO) < 0) ||
        setenv("LC_ALL", "C", 1) != 0) {
        _exit(EXIT_NO_USER);
    }
    (void)execvp(p->argv[0], (char *const *)(uintptr_t)p->argv);
    _exit(EXIT_NO_PROGRAM);
}

/* All of it, and a NUL behind. */
static int take(int fd, struct buf *out, const char *name, struct err *err)
{
    uint8_t some[4096];
    ssize_t n;

    while ((n = sys_read(fd, some, sizeof some)) > 0) {
        if (out->len + (size_t)n > PROGRAM_OUTPUT_MAX) {
            return err_set(err, ERR_TOOBIG, 0, "%s prints too much", name);
        }
        buf_put(out, some, (size_t)n);
    }
    int sys = n < 0 ? errno : 0;
    buf_u8(out, '\0');
    if (out->bad) {
        return err_set(err, ERR_NOMEM, 0, "out of memory");
    }
    out->len--;
    return sys != 0 ? err_sys(err, sys, "read what %s prints", name) : 0;
}

static int wait_for(pid_t pid)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int judge(const struct program *p, const struct program_end *end,
                 struct err *err)
{
    if (end->status == EXIT_NO_PROGRAM && end->out.len == 0 &&
        end->said.len == 0) {
        return err_set(err, ERR_NOTFOUND, 0,
                       "there is no program %s here; apt-get install "
                       "openssh-client",
                       p->argv[0]);
    }
    if (end->status == EXIT_NO_USER && p->user != (uid_t)-1) {
        return err_set(err, ERR_PERM, 0, "cannot run %s as user %u", p->argv[0],
                       (unsigned)p->user);
    }
    return 0;
}

int program_run(const struct program *p, struct program_end *end,
                struct err *err)
{
    CLEANUP(fd_closep) int in = text_fd(p->input != NULL ? p->input : "");
    CLEANUP(fd_closep) int said = text_fd("");
    int fds[2];

    if (in < 0 || said < 0 || pipe2(fds, O_CLOEXEC) != 0) {
        return err_sys(err, errno, "run %s", p->argv[0]);
    }
    CLEANUP(fd_closep) int from = fds[0];
    CLEANUP(fd_closep) int to = fds[1];
    pid_t pid = fork();
    if (pid == 0) {
        child(p, in, to, said);
    }
    if (pid < 0) {
        return err_sys(err, errno, "run %s", p->argv[0]);
    }
    fd_closep(&to);
    int rc = take(from, &end->out, p->argv[0], err);
    fd_closep(&from); /* one that prints on and on ends by that */
    end->status = wait_for(pid);
    if (rc == 0) {
        rc = lseek(said, 0, SEEK_SET) != 0
                 ? err_sys(err, errno, "read what %s says", p->argv[0])
                 : take(said, &end->said, p->argv[0], err);
    }
    return rc < 0 ? rc : judge(p, end, err);
}

void program_end_deinit(struct program_end *end)
{
    buf_deinit(&end->out);
    buf_deinit(&end->said);
}

const char *program_last(const struct program_end *end,
                         char out[PROGRAM_LAST_BYTES])
{
    const char *text = program_text(&end->said);
    size_t len = strlen(text);

    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r')) {
        len--;
    }
    size_t start = len;
    while (start > 0 && text[start - 1] != '\n') {
        start--;
    }
    (void)snprintf(out, PROGRAM_LAST_BYTES, "%.*s", (int)(len - start),
                   text + start);
    if (out[0] == '\0') {
        (void)snprintf(out, PROGRAM_LAST_BYTES, "exit status %d", end->status);
    }
    quote_tame(out);
    return out;
}
