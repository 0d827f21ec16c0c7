/* SPDX-License-Identifier: MIT
 *
 * pace: how much may be on its way over one link, measured in time.
 *
 * What is in a buffer cannot be overtaken: on a slow link a change that is made
 * now would wait behind everything that was given to the link before.  So the
 * bytes that the link may hold are bounded by what it carries in about
 * PACE_QUEUE_MS; the rest stays with the sender, which knows what goes first.
 *
 * Happy path.  Heartbeats double as *probes*: their answer tells that all bytes
 * given to the link before them have arrived, and how long that took.  Where
 * much is under way more probes are sent, one per quarter of the window.  The
 * shortest answer seen is what the link takes with an empty queue; what an
 * answer takes longer than that was spent in the queue.  The window grows while
 * the queue is short and shrinks while it is long, in proportion.
 *
 * A receiver that is slow to read is a slow link.  One that takes its time to
 * acknowledge is not: that costs the link nothing.
 *
 * Positions are bytes given to the link since it was made, times
 * CLOCK_MONOTONIC in ms.  Pure arithmetic.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PACE_QUEUE_MS = 120,
    PACE_MIN_BYTES = 16 * 1024,
    PACE_FIRST_BYTES = 64 * 1024,
    PACE_AHEAD_MIN = 16, /* changes kept ready beside the window, at least */
    PACE_PROBES = 8,
};

struct pace {
    uint64_t arrived; /* all before this position is at the other end */
    size_t window, most;
    size_t ahead, ahead_most;
    size_t each;     /* bytes of a change, about */
    int64_t base_ms; /* an answer's time with an empty queue, -1 unknown */
    struct pace_probe {
        uint64_t id, at;
        int64_t ms;
        bool little;       /* not much was under way then */
    } probes[PACE_PROBES]; /* not answered yet, oldest first */
    unsigned probes_count;
};

/* A new link, of which nothing is known.  `most`: the window on a link that
 * holds up nothing; `ahead_most` the same for pace_ahead(). */
void pace_begin(struct pace *p, uint64_t at, size_t most, size_t ahead_most);
/* How many more bytes may be given to the link now that is at `at`. */
size_t pace_room(const struct pace *p, uint64_t at);
/* A change of so many bytes was given to the link. */
void pace_sent(struct pace *p, size_t bytes);
/* How many changes may be made ready that others, made later, cannot overtake.
 */
size_t pace_ahead(const struct pace *p);
/* Nothing waits for this link: as many as ever. */
static inline bool pace_is_open(const struct pace *p)
{
    return p->ahead >= p->ahead_most || p->window >= p->most;
}
/* A probe is due behind what was given to the link so far. */
bool pace_wants_probe(const struct pace *p, uint64_t at);
/* Probe `id` was given to the link; ids grow. */
void pace_probed(struct pace *p, uint64_t id, uint64_t at, int64_t now_ms);
/* It was answered, and with it all before it. */
void pace_heard(struct pace *p, uint64_t id, uint64_t at, int64_t now_ms);
