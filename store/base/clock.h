/* SPDX-License-Identifier: MIT
 *
 * clock: the two clocks, in nanoseconds.
 *
 * Timers and lags use the monotonic clock; the wall clock is for stamps that
 * are compared with file times of the same host, and for display.  Clocks of
 * two hosts are never compared.  Durations and sizes as text: units.h.
 */
#pragma once

#include <stdint.h>
#include <sys/stat.h>

#include "store/base/units.h"

#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

/* A file whose ctime is not older than the look at it by more than this may
 * change again, bytes or names, without a change of its stat: file times move
 * in steps of some milliseconds, and this is ample. */
#define UNPROVEN_NS (2 * NS_PER_S)

int64_t clock_mono_ns(void);
int64_t clock_real_ns(void);
/* The wall clock as the kernel gives it to files, some ms behind: no file made
 * after the call has an earlier time, but when the clock is set back. */
int64_t clock_of_files_ns(void);
/* When `timeout_ms` from now is over, by the monotonic clock; for a negative
 * one never: INT64_MAX. */
int64_t clock_deadline_ns(int64_t timeout_ms);
/* Sleep at least `ns`, through signals. */
void clock_sleep_ns(int64_t ns);

static inline int64_t clock_mono_ms(void)
{
    return clock_mono_ns() / NS_PER_MS;
}

static inline int64_t clock_of_timespec(struct timespec t)
{
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}
