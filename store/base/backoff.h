/* SPDX-License-Identifier: MIT
 *
 * backoff: how long to wait before the next attempt: doubling from a first
 * delay up to a limit, each time spread by jitter so that many agents that lost
 * one host do not come back in step.  Pure: no clock, no timer.
 *
 * Failures are forgotten only when success lasts: a link that breaks each
 * time right after its first acknowledgement costs a handshake per attempt.
 * After a refused login the pauses are minutes, whatever the limit: what counts
 * refusals on the other host would lock this host out.
 */
#pragma once

#include <stdint.h>

#include "store/base/rand.h"

/* `first` (above 0) doubled `times` times, at most `most`: for waits that need
 * no spreading. */
int64_t backoff_doubled(int64_t first, unsigned times, int64_t most);

enum { BACKOFF_LASTING_MS = 60 * 1000 };

struct backoff {
    int64_t first_ms;
    int64_t max_ms;
    int64_t next_ms;    /* before jitter */
    int64_t refused_ms; /* the same, after a refused login */
    struct prng prng;
};

/* first_ms and max_ms are at least 1; a max below first means first. */
struct backoff backoff_of(int64_t first_ms, int64_t max_ms, uint64_t seed);
/* The delay before the next attempt: between 3/4 and 5/4 of the nominal one,
 * but never above max_ms. */
int64_t backoff_next_ms(struct backoff *b);
/* The longest delay (with jitter), for errors that need the operator. */
int64_t backoff_longest_ms(struct backoff *b);
/* The delay after a refused login: 5 minutes, then twice as long each time up
 * to half an hour (or max_ms, if that is longer), and up to a quarter more. */
int64_t backoff_refused_ms(struct backoff *b);
/* It has worked for so long: after BACKOFF_LASTING_MS like backoff_reset(). */
void backoff_worked(struct backoff *b, int64_t for_ms);
/* Begin with the first delay again. */
void backoff_reset(struct backoff *b);
