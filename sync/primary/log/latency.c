/* SPDX-License-Identifier: MIT
 *
 * latency: see latency.h.
 */
#include "sync/primary/log/latency.h"

#include <stdlib.h>
#include <string.h>

enum { SAMPLES = 1024 };

const uint32_t latency_bounds_us[LATENCY_BUCKETS] = {
    500,    1000,   2500,   5000,    10000,   25000,    50000,
    100000, 250000, 500000, 1000000, 2500000, 10000000, 60000000};

struct latency {
    uint32_t us[SAMPLES]; /* ring */
    size_t at, count;
    struct latency_totals totals;
};

struct latency *latency_new(void)
{
    return calloc(1, sizeof(struct latency));
}

void latency_free(struct latency *l)
{
    free(l);
}

void latency_note(struct latency *l, int64_t us)
{
    uint32_t value = us < 0 ? 0 : us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
    size_t bucket = 0;

    l->us[l->at] = value;
    l->at = (l->at + 1) % SAMPLES;
    if (l->count < SAMPLES) {
        l->count++;
    }
    l->totals.count++;
    l->totals.sum_us += value;
    while (bucket < LATENCY_BUCKETS && value > latency_bounds_us[bucket]) {
        bucket++;
    }
    if (bucket < LATENCY_BUCKETS) {
        l->totals.buckets[bucket]++;
    }
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

void latency_recent(const struct latency *l, int64_t *p50_us_out,
                    int64_t *p99_us_out)
{
    uint32_t sorted[SAMPLES];

    *p50_us_out = *p99_us_out = -1;
    if (l->count == 0) {
        return;
    }
    memcpy(sorted, l->us, l->count * sizeof *sorted);
    qsort(sorted, l->count, sizeof *sorted, by_value);
    *p50_us_out = sorted[l->count / 2];
    *p99_us_out = sorted[l->count * 99 / 100];
}

const struct latency_totals *latency_totals(const struct latency *l)
{
    return &l->totals;
}
