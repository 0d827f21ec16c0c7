/* SPDX-License-Identifier: MIT
 *
 * latency: how long changes take from their event until a replica says that
 * they are on its disk: quantiles of the recent ones, and a histogram since the
 * start. Pure and without limits on how often it is called; about 4 KiB per
 * replica.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { LATENCY_BUCKETS = 14 };

/* Upper bounds of the buckets; what takes longer is in `count` alone. */
extern const uint32_t latency_bounds_us[LATENCY_BUCKETS];

struct latency_totals {
    uint64_t count, sum_us;
    uint64_t buckets[LATENCY_BUCKETS]; /* each alone, not cumulative */
};

struct latency;

/* NULL: out of memory.  Freed with latency_free(); NULL is fine there. */
struct latency *latency_new(void);
void latency_free(struct latency *l);
void latency_note(struct latency *l, int64_t us);
/* The median and the 99th percentile of the last ones; -1: there are none. */
void latency_recent(const struct latency *l, int64_t *p50_us_out,
                    int64_t *p99_us_out);
/* Borrowed from `l`. */
const struct latency_totals *latency_totals(const struct latency *l);
