/* SPDX-License-Identifier: MIT
 *
 * e2e_run: runs a test script so that nothing it started outlives it.
 *
 *     e2e_run SECONDS COMMAND [ARGUMENT...]
 *
 * Everything the command starts, daemons too, stays a descendant of this
 * process (PR_SET_CHILD_SUBREAPER).  When the command ends, or a signal or the
 * deadline ends it, all that is left is killed: first the command gets SIGTERM
 * and ten seconds to show its logs.  The exit status is the command's; 124 at
 * the deadline.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

enum { GRACE_S = 10 };

static volatile sig_atomic_t stop_signal;
static volatile sig_atomic_t ticks; /* one a second */

static void on_signal(int sig)
{
    if (sig == SIGALRM) {
        ticks++;
    } else {
        stop_signal = sig;
    }
}

static void catch_signals(void)
{
    static const int SIGNALS[] = {SIGALRM, SIGTERM, SIGINT, SIGHUP};
    struct sigaction sa = {.sa_handler = on_signal}; /* waitpid returns */

    for (size_t i = 0; i < sizeof SIGNALS / sizeof *SIGNALS; i++) {
        (void)sigaction(SIGNALS[i], &sa, NULL);
    }
}

/* Kill all children, and with each round the orphans they leave to us. */
static void kill_the_rest(pid_t group)
{
    char path[64], text[8192];

    (void)kill(-group, SIGKILL);
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/children",
                   (int)getpid());
    for (;;) {
        FILE *f = fopen(path, "re");
        size_t n = f != NULL ? fread(text, 1, sizeof text - 1, f) : 0;
        text[n] = '\0';
        if (f != NULL) {
            (void)fclose(f);
        }
        char *p = text;
        for (;;) {
            char *end;
            long pid = strtol(p, &end, 10);
            if (end == p) {
                break;
            }
            (void)kill((pid_t)pid, SIGKILL);
            p = end;
        }
        if (waitpid(-1, NULL, 0) < 0 && errno == ECHILD) {
            return;
        }
    }
}

/* The command's exit status, or -1 when it did not end before a signal. */
static int await(pid_t child, unsigned seconds)
{
    int status;

    for (;;) {
        pid_t pid = waitpid(-1, &status, 0);
        if (pid == child) {
            return WIFEXITED(status) ? WEXITSTATUS(status)
                                     : 128 + WTERMSIG(status);
        }
        if (pid < 0 && (errno != EINTR || stop_signal != 0 ||
                        (unsigned)ticks >= seconds)) {
            return -1;
        }
    }
}

static int run(pid_t child, unsigned seconds)
{
    static const struct itimerval EACH_SECOND = {{1, 0}, {1, 0}};

    /* Ticks go on, so one that comes just before waitpid() is not the last. */
    (void)setitimer(ITIMER_REAL, &EACH_SECOND, NULL);
    int rc = await(child, seconds);
    if (rc >= 0) {
        return rc;
    }
    int code = stop_signal == 0 ? 124 : 128 + stop_signal;
    if (stop_signal == 0) {
        (void)fprintf(stderr, "e2e_run: not done after %u s\n", seconds);
    }
    ticks = 0;
    stop_signal = 0;
    /* The group, for the shell acts only when its foreground command ends. */
    (void)kill(-child, SIGTERM);
    (void)await(child, GRACE_S);
    return code;
}

int main(int argc, char **argv)
{
    unsigned seconds = argc > 2 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;

    if (seconds == 0) {
        (void)fprintf(stderr, "usage: e2e_run SECONDS COMMAND...\n");
        return 64;
    }
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    catch_signals();
    pid_t child = fork();
    if (child == 0) {
        (void)setpgid(0, 0);
        (void)execvp(argv[2], argv + 2);
        (void)fprintf(stderr, "e2e_run: %s: %s\n", argv[2], strerror(errno));
        _exit(127);
    }
    if (child < 0) {
        return 71;
    }
    (void)setpgid(child, child);
    int rc = run(child, seconds);
    kill_the_rest(child);
    return rc;
}
