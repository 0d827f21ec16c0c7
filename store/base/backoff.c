/* SPDX-License-Identifier: MIT
 *
 * backoff: see backoff.h.
 */
#include "store/base/backoff.h"

enum { REFUSED_MS = 5 * 60 * 1000, REFUSED_MAX_MS = 30 * 60 * 1000 };

int64_t backoff_doubled(int64_t first, unsigned times, int64_t most)
{
    for (; times > 0 && first < most; times--) {
        first = first > most / 2 ? most : first * 2;
    }
    return first < most ? first : most;
}

struct backoff backoff_of(int64_t first_ms, int64_t max_ms, uint64_t seed)
{
    if (first_ms < 1) {
        first_ms = 1;
    }
    if (max_ms < first_ms) {
        max_ms = first_ms;
    }
    return (struct backoff){.first_ms = first_ms,
                            .max_ms = max_ms,
                            .next_ms = first_ms,
                            .refused_ms = REFUSED_MS,
                            .prng = prng_of(seed)};
}

/* A quarter to either side, cut at the limit: the limit is a promise to the
 * operator, so jitter may shorten the longest delay but not stretch it. */
static int64_t spread(struct backoff *b, int64_t nominal_ms)
{
    int64_t quarter = nominal_ms / 4;
    int64_t ms = nominal_ms - quarter +
                 (int64_t)prng_below(&b->prng, (uint64_t)(2 * quarter) + 1);

    if (ms > b->max_ms) {
        ms = b->max_ms;
    }
    return ms < 1 ? 1 : ms;
}

int64_t backoff_next_ms(struct backoff *b)
{
    int64_t nominal_ms = b->next_ms;

    b->next_ms = backoff_doubled(nominal_ms, 1, b->max_ms);
    return spread(b, nominal_ms);
}

int64_t backoff_longest_ms(struct backoff *b)
{
    b->next_ms = b->max_ms;
    return spread(b, b->max_ms);
}

/* Jitter only makes it longer: what counts refusals does so within a time. */
int64_t backoff_refused_ms(struct backoff *b)
{
    int64_t nominal_ms = b->refused_ms > b->max_ms ? b->refused_ms : b->max_ms;

    b->refused_ms = backoff_doubled(b->refused_ms, 1, REFUSED_MAX_MS);
    b->next_ms = b->max_ms;
    return nominal_ms +
           (int64_t)prng_below(&b->prng, (uint64_t)(nominal_ms / 4) + 1);
}

void backoff_worked(struct backoff *b, int64_t for_ms)
{
    if (for_ms >= BACKOFF_LASTING_MS) {
        backoff_reset(b);
    }
}

void backoff_reset(struct backoff *b)
{
    b->next_ms = b->first_ms;
    b->refused_ms = REFUSED_MS;
}
