/* SPDX-License-Identifier: MIT
 *
 * e2e_throttle: a slow link, as a command of link_exec.
 *
 *     e2e_throttle BYTES_PER_S COMMAND...
 *
 * Runs COMMAND and hands what comes on stdin on to it at BYTES_PER_S at most,
 * as a line of that speed does: a millisecond's worth at a time, nothing saved
 * up. What COMMAND says goes back as it is.  Ends with COMMAND; when stdin
 * ends, COMMAND's does.
 *
 * Only SLICE_BYTES are taken off the pipe before they are due: what waits,
 * waits in the sender's own buffers.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SLICE_BYTES = 4096 };

static double now_s(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void sleep_s(double s)
{
    struct timespec t = {(time_t)s, (long)((s - (double)(time_t)s) * 1e9)};

    (void)nanosleep(&t, NULL);
}

static int put_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t k = write(fd, p, n);
        if (k < 0 && errno != EINTR) {
            return -1;
        }
        p += k < 0 ? 0 : k;
        n -= k < 0 ? 0 : (size_t)k;
    }
    return 0;
}

/* Until stdin ends or the command reads no more. */
static void copy(int to, double rate)
{
    char buf[SLICE_BYTES];
    size_t slice =
        rate / 50 < SLICE_BYTES ? (size_t)(rate / 50) + 1 : SLICE_BYTES;
    double due_s = now_s();

    for (;;) {
        ssize_t n = read(STDIN_FILENO, buf, slice);
        if (n == 0 || (n < 0 && errno != EINTR)) {
            return;
        }
        if (n < 0) {
            continue;
        }
        double at_s = now_s();
        due_s = (due_s < at_s ? at_s : due_s) + (double)n / rate;
        sleep_s(due_s > at_s ? due_s - at_s : 0);
        if (put_all(to, buf, (size_t)n) < 0) {
            return;
        }
    }
}

int main(int argc, char **argv)
{
    double rate = argc > 2 ? strtod(argv[1], NULL) : 0;
    int to[2], status = 0;

    if (rate < 1 || pipe(to) != 0) {
        (void)fprintf(stderr, "e2e_throttle BYTES_PER_S COMMAND...\n");
        return 2;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    pid_t pid = fork();
    if (pid == 0) {
        (void)signal(SIGPIPE, SIG_DFL);
        (void)dup2(to[0], STDIN_FILENO);
        (void)close(to[0]);
        (void)close(to[1]);
        (void)execvp(argv[2], argv + 2);
        perror(argv[2]);
        _exit(127);
    }
    (void)close(to[0]);
    (void)close(STDOUT_FILENO); /* its end is the command's */
    if (pid > 0) {
        copy(to[1], rate);
    }
    (void)close(to[1]);
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        return 1;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
