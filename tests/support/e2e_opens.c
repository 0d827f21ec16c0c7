/* SPDX-License-Identifier: MIT
 *
 * e2e_opens: which keys somebody opens.
 *
 *     e2e_opens DIR READY     prints the names until SIGTERM, one line each
 *
 * Of the directories there are when READY is made.  An overflow of the queue is
 * a failure. */
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <unistd.h>

static int inotify_fd;

static int add(const char *path, const struct stat *st, int type,
               struct FTW *where)
{
    (void)st;
    (void)where;
    if (type == FTW_D &&
        inotify_add_watch(inotify_fd, path, IN_OPEN | IN_ONLYDIR) < 0) {
        return -1;
    }
    return 0;
}

/* False after an overflow. */
static bool print_events(void)
{
    char buf[65536] __attribute__((aligned(8)));
    ssize_t n;

    while ((n = read(inotify_fd, buf, sizeof buf)) > 0) {
        for (ssize_t at = 0; at < n;) {
            struct inotify_event ev;
            memcpy(&ev, buf + at, sizeof ev);
            const char *name = buf + at + sizeof ev;
            at += (ssize_t)sizeof ev + (ssize_t)ev.len;
            if ((ev.mask & IN_Q_OVERFLOW) != 0) {
                return false;
            }
            size_t len = ev.len > 0 ? strlen(name) : 0;
            if (len >= 3 && strcmp(name + len - 3, ".kv") == 0) {
                (void)puts(name);
            }
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    sigset_t end;

    if (argc != 3) {
        return 64;
    }
    (void)sigemptyset(&end);
    (void)sigaddset(&end, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &end, NULL);
    int signal_fd = signalfd(-1, &end, SFD_CLOEXEC);
    inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    FILE *ready = inotify_fd < 0 || nftw(argv[1], add, 16, FTW_PHYS) != 0
                      ? NULL
                      : fopen(argv[2], "we");
    if (ready == NULL || signal_fd < 0) {
        perror("e2e_opens");
        return 1;
    }
    (void)fclose(ready);
    for (;;) {
        struct pollfd p[2] = {{.fd = inotify_fd, .events = POLLIN},
                              {.fd = signal_fd, .events = POLLIN}};
        (void)poll(p, 2, -1);
        bool stop = p[1].revents != 0;
        if (!print_events()) {
            (void)fputs("e2e_opens: too many events\n", stderr);
            return 1;
        }
        if (stop) {
            return 0;
        }
    }
}
