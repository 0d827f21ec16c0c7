/* SPDX-License-Identifier: MIT
 *
 * chaos_clock: a preloaded library that shifts the wall clock of one program.
 *
 * The file named by CHAOS_JOURNAL holds the shift (see chaos_journal.h), so the
 * driver can step the clock back and forth while the program runs.  The
 * monotonic clock and the kernel's file times stay as they are.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "tests/chaos/chaos_journal.h"

static int (*real_gettime)(clockid_t, struct timespec *);
static const struct journal_head *head;

static void __attribute__((constructor)) load(void)
{
    void *found = dlsym(RTLD_NEXT, "clock_gettime");
    const char *path = getenv("CHAOS_JOURNAL");
    int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);

    memcpy(&real_gettime, &found, sizeof found);
    if (fd >= 0) {
        void *p = mmap(NULL, sizeof *head, PROT_READ, MAP_SHARED, fd, 0);
        head = p == MAP_FAILED ? NULL : p;
        (void)close(fd);
    }
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
    if (real_gettime == NULL) {
        load();
    }
    int rc = real_gettime(id, ts);
    if (rc == 0 && head != NULL &&
        (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
        long long ns = (long long)ts->tv_sec * 1000000000 + ts->tv_nsec +
                       atomic_load(&head->shift_ns);
        ts->tv_sec = (time_t)(ns / 1000000000);
        ts->tv_nsec = (long)(ns % 1000000000);
    }
    return rc;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    struct timespec ts;

    (void)zone;
    int rc = clock_gettime(CLOCK_REALTIME, &ts);
    tv->tv_sec = ts.tv_sec;
    tv->tv_usec = ts.tv_nsec / 1000;
    return rc;
}

time_t time(time_t *out)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_REALTIME, &ts);
    if (out != NULL) {
        *out = ts.tv_sec;
    }
    return ts.tv_sec;
}
