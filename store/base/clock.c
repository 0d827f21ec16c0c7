/* SPDX-License-Identifier: MIT
 *
 * clock: see clock.h. */
#include "store/base/clock.h"

#include <assert.h>
#include <errno.h>
#include <time.h>

static int64_t now_of(clockid_t id)
{
    struct timespec t;

    int rc = clock_gettime(id, &t);
    assert(rc == 0);
    return clock_of_timespec(t);
}

int64_t clock_mono_ns(void)
{
    return now_of(CLOCK_MONOTONIC);
}

int64_t clock_real_ns(void)
{
    return now_of(CLOCK_REALTIME);
}

int64_t clock_of_files_ns(void)
{
    return now_of(CLOCK_REALTIME_COARSE);
}

int64_t clock_deadline_ns(int64_t timeout_ms)
{
    int64_t now = clock_mono_ns();

    return timeout_ms < 0 || timeout_ms > (INT64_MAX - now) / NS_PER_MS
               ? INT64_MAX
               : now + timeout_ms * NS_PER_MS;
}

void clock_sleep_ns(int64_t ns)
{
    struct timespec left = {.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};

    if (ns <= 0) {
        return;
    }
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR) {
    }
}
