/* SPDX-License-Identifier: MIT
 *
 * breaks: see breaks.h.
 */
#include "agent/replica/breaks.h"

void breaks_note(struct breaks *b, const struct err *err, int64_t now_ms)
{
    b->at_ms[b->next] = now_ms;
    b->next = (b->next + 1) % BREAKS_KEPT;
    if (b->kept < BREAKS_KEPT) {
        b->kept++;
    }
    b->last = *err;
}

unsigned breaks_count(const struct breaks *b, int64_t now_ms)
{
    unsigned n = 0;

    for (unsigned i = 0; i < b->kept; i++) {
        n += now_ms - b->at_ms[i] < BREAKS_WINDOW_MS;
    }
    return n;
}

int64_t breaks_last_ms(const struct breaks *b, int64_t now_ms)
{
    if (b->kept == 0) {
        return -1;
    }
    int64_t ms = now_ms - b->at_ms[(b->next + BREAKS_KEPT - 1) % BREAKS_KEPT];
    return ms < BREAKS_WINDOW_MS ? ms : -1;
}

bool breaks_are_many(const struct breaks *b, int64_t now_ms)
{
    int64_t ms = breaks_last_ms(b, now_ms);

    return ms >= 0 && ms < BREAKS_STEADY_MS &&
           breaks_count(b, now_ms) >= BREAKS_MANY;
}
