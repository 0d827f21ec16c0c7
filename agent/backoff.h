/* SPDX-License-Identifier: MIT
 *
 * backoff: how long to wait before the next attempt: doubling from a first
 * delay up to a limit, each time spread by jitter so that many agents that lost
 * one host do not come back in step.  Pure: no clock, no timer.
 */
#pragma once

#include <stdint.h>

#include "store/base/rand.h"

struct backoff {
    int64_t first_ms;
    int64_t max_ms;
    int64_t next_ms; /* before jitter */
    struct prng prng;
};

/* first_ms and max_ms are at least 1; a max below first means first. */
struct backoff backoff_of(int64_t first_ms, int64_t max_ms, uint64_t seed);
/* The delay before the next attempt: between 3/4 and 5/4 of the nominal one,
 * but never above max_ms. */
int64_t backoff_next_ms(struct backoff *b);
/* The longest delay (with jitter), for errors that need the operator. */
int64_t backoff_longest_ms(struct backoff *b);
/* It worked: begin with the first delay again. */
void backoff_reset(struct backoff *b);
