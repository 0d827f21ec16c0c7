/* SPDX-License-Identifier: MIT
 *
 * part: see part.h.
 */
#include "agent/report/part.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/sys.h"

enum {
    EXIT_NO_PROGRAM = 127,
    EXIT_NO_CHILD = 126,
    WAIT_STEP_NS = 5 * 1000 * 1000,
    KILLED_MS = 500, /* a killed process is gone by then, or hangs for long */
};

/* --- in the child -------------------------------------------------------- */

_Noreturn static void print(const struct part *p)
{
    FILE *out = fdopen(STDOUT_FILENO, "w");
    int sys = out != NULL ? p->print(out, p->arg) : errno;

    if (out != NULL && fclose(out) != 0 && sys == 0) {
        sys = errno;
    }
    _exit(sys);
}

_Noreturn static void child(const struct part *p, int out)
{
    sigset_t none;
    int null = open("/dev/null", O_RDWR);
    int said = p->with_stderr ? out : null;

    (void)setpgid(0, 0);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
        dup2(out, STDOUT_FILENO) < 0 || dup2(said, STDERR_FILENO) < 0 ||
        setenv("LC_ALL", "C", 1) != 0) {
        _exit(EXIT_NO_CHILD);
    }
    if (p->argv == NULL) {
        print(p);
    }
    (void)execvp(p->argv[0], (char *const *)(uintptr_t)p->argv);
    _exit(EXIT_NO_PROGRAM);
}

/* --- in the parent ------------------------------------------------------- */

static int64_t left_ms(int64_t deadline_ns)
{
    int64_t left = (deadline_ns - clock_mono_ns()) / NS_PER_MS;

    return left > 0 ? left : 0;
}

static void say_late(const struct part *p, struct part_end *end)
{
    (void)snprintf(end->why, sizeof end->why,
                   "given up after %" PRId64 " ms: it does not end",
                   p->timeout_ms);
}

/* Some of it; false at its end, and when the time is over. */
static bool take_some(int fd, const struct part *p, int64_t deadline_ns,
                      struct part_end *end)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    uint8_t some[16384];

    if (poll(&poll_fd, 1, (int)left_ms(deadline_ns)) <= 0) {
        if (left_ms(deadline_ns) == 0) {
            say_late(p, end);
            return false;
        }
        return true;
    }
    ssize_t n = sys_read(fd, some, sizeof some);
    if (n > 0 && end->out.len + (size_t)n > PART_BYTES_MAX) {
        (void)snprintf(end->why, sizeof end->why, "cut after %d bytes",
                       PART_BYTES_MAX);
        return false;
    }
    if (n > 0) {
        buf_put(&end->out, some, (size_t)n);
    }
    return n > 0 && !end->out.bad;
}

/* True when it has ended until then. */
static bool ended(pid_t pid, int64_t deadline_ns, int *status_out)
{
    int status;

    for (;;) {
        pid_t got = waitpid(pid, &status, WNOHANG);
        if (got == pid) {
            *status_out = WIFEXITED(status) ? WEXITSTATUS(status)
                                            : 128 + WTERMSIG(status);
            return true;
        }
        if ((got < 0 && errno != EINTR) || clock_mono_ns() >= deadline_ns) {
            return false;
        }
        clock_sleep_ns(WAIT_STEP_NS);
    }
}

static void say_status(const struct part *p, struct part_end *end)
{
    if (end->why[0] != '\0') {
        return;
    }
    if (end->out.bad) {
        (void)snprintf(end->why, sizeof end->why, "out of memory");
    } else if (p->argv != NULL && end->status == EXIT_NO_PROGRAM) {
        (void)snprintf(end->why, sizeof end->why, "there is no program %.100s",
                       p->argv[0]);
    } else if (p->argv != NULL && end->status != 0) {
        (void)snprintf(end->why, sizeof end->why, "%.100s ended with %d",
                       p->argv[0], end->status);
    } else if (end->status != 0) {
        (void)snprintf(end->why, sizeof end->why, "%.150s",
                       strerror(end->status));
    }
}

static void follow(const struct part *p, pid_t pid, int from,
                   struct part_end *end)
{
    int64_t deadline_ns = clock_mono_ns() + p->timeout_ms * NS_PER_MS;

    while (from >= 0 && take_some(from, p, deadline_ns, end)) {
    }
    if (end->why[0] == '\0' && !ended(pid, deadline_ns, &end->status)) {
        say_late(p, end);
    }
    if (end->why[0] != '\0') {
        int ignored;
        (void)kill(-pid, SIGKILL);
        (void)kill(pid, SIGKILL);
        (void)ended(pid, clock_mono_ns() + KILLED_MS * NS_PER_MS, &ignored);
        end->status = -1;
    }
}

void part_run(const struct part *p, struct part_end *end)
{
    int fds[2] = {-1, -1};

    if (p->to_fd <= 0 && pipe2(fds, O_CLOEXEC) != 0) {
        (void)snprintf(end->why, sizeof end->why, "%.150s", strerror(errno));
        return;
    }
    CLEANUP(fd_closep) int from = fds[0];
    CLEANUP(fd_closep) int to = fds[1];
    pid_t pid = fork();
    if (pid == 0) {
        child(p, p->to_fd > 0 ? p->to_fd : to);
    }
    if (pid < 0) {
        (void)snprintf(end->why, sizeof end->why, "%.150s", strerror(errno));
        return;
    }
    (void)setpgid(pid, pid);
    fd_closep(&to);
    follow(p, pid, from, end);
    say_status(p, end);
}
