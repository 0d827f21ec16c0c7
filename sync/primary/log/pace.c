/* SPDX-License-Identifier: MIT
 *
 * pace: see pace.h.
 *
 * The rule is that of a delay-based congestion control (as LEDBAT, RFC 6817,
 * has it): with the queue at nothing the window grows by what arrived, with the
 * queue at PACE_QUEUE_MS it stays, with twice that it shrinks by what arrived.
 * Where the way itself is longer than that, each step is smaller by as much, or
 * the window would swing.  It grows only when it was in use.
 *
 * At the smallest window the queue is no longer ours: the answer to a probe
 * that was sent with no more than that under way is what the way takes, also
 * when it used to be shorter. */
#include "sync/primary/log/pace.h"

#include <string.h>

enum { FIRST_EACH = 1024 };

void pace_begin(struct pace *p, uint64_t at, size_t most, size_t ahead_most)
{
    *p = (struct pace){.arrived = at,
                       .most = most,
                       .window = PACE_FIRST_BYTES,
                       .ahead = PACE_AHEAD_MIN,
                       .each = FIRST_EACH,
                       .ahead_most = ahead_most,
                       .base_ms = -1};
}

static size_t window_of(const struct pace *p)
{
    return p->window < p->most ? p->window : p->most;
}

size_t pace_room(const struct pace *p, uint64_t at)
{
    uint64_t under_way = at - p->arrived;
    size_t window = window_of(p);

    return under_way < window ? (size_t)(window - under_way) : 0;
}

void pace_sent(struct pace *p, size_t bytes)
{
    p->each = (p->each * 7 + bytes) / 8;
}

size_t pace_ahead(const struct pace *p)
{
    size_t quarter = window_of(p) / 4 / (p->each + 1);
    size_t n = p->ahead > quarter ? p->ahead : quarter;

    return n < p->ahead_most ? n : p->ahead_most;
}

bool pace_wants_probe(const struct pace *p, uint64_t at)
{
    uint64_t last =
        p->probes_count == 0 ? p->arrived : p->probes[p->probes_count - 1].at;

    return p->probes_count < PACE_PROBES && at > last &&
           at - last >= window_of(p) / 4;
}

void pace_probed(struct pace *p, uint64_t id, uint64_t at, int64_t now_ms)
{
    if (p->probes_count < PACE_PROBES) {
        bool little = at - p->arrived <= (uint64_t)2 * PACE_MIN_BYTES;
        p->probes[p->probes_count++] =
            (struct pace_probe){id, at, now_ms, little};
    }
}

/* A probe was answered after `took_ms`, while the window was in use or not. */
static void adjust(struct pace *p, const struct pace_probe *probe,
                   int64_t took_ms, bool used)
{
    bool alone = p->window <= PACE_MIN_BYTES && probe->little;

    if (p->base_ms < 0 || took_ms < p->base_ms || alone) {
        p->base_ms = took_ms;
    }
    double bytes = (double)(probe->at - p->arrived);
    int64_t queue_ms = took_ms - p->base_ms;
    double off = (double)(PACE_QUEUE_MS - queue_ms) / PACE_QUEUE_MS;
    double gain = (double)PACE_QUEUE_MS / (double)(PACE_QUEUE_MS + p->base_ms);
    double step = (off < -1 ? -1 : off) * gain * bytes;

    if (step < 0 || used) {
        double window = (double)p->window + step;
        p->window = window < PACE_MIN_BYTES    ? PACE_MIN_BYTES
                    : window > (double)p->most ? p->most
                                               : (size_t)window;
    }
    /* A link that had nothing to do tells nothing. */
    bool busy = used || bytes >= (double)p->ahead * (double)p->each / 4;
    if (busy && queue_ms < PACE_QUEUE_MS / 4 && p->ahead < p->ahead_most) {
        p->ahead *= 2;
    } else if (queue_ms >= PACE_QUEUE_MS / 2) {
        p->ahead = PACE_AHEAD_MIN;
    }
}

void pace_heard(struct pace *p, uint64_t id, uint64_t at, int64_t now_ms)
{
    unsigned n = 0;

    while (n < p->probes_count && p->probes[n].id <= id) {
        n++;
    }
    if (n == 0) {
        return;
    }
    const struct pace_probe last = p->probes[n - 1];
    bool used = at - p->arrived >= window_of(p) / 2;

    adjust(p, &last, now_ms - last.ms, used);
    p->arrived = last.at;
    p->probes_count -= n;
    memmove(p->probes, p->probes + n, p->probes_count * sizeof p->probes[0]);
}
