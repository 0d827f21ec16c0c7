/* SPDX-License-Identifier: MIT
 *
 * due: see due.h.
 */
#include "sync/primary/due.h"

#include "sync/primary/primary_impl.h"

void due_now(struct primary *p, struct repl *r)
{
    r->due.now = true;
    r->due.lag_unknown = true;
    r->due.generation++;
    r->live_tail = p->log.tail_seq;
}

void due_soon(struct primary *p, struct repl *r)
{
    if (!r->due.soon) {
        r->due.soon_ms = p->now_ms;
    }
    r->due.soon = true;
    r->due.lag_unknown = true;
    r->due.generation++;
    r->live_tail = p->log.tail_seq;
}

bool due_any(const struct repl *r)
{
    return r->due.now || r->due.soon || r->due.lag_unknown || r->held > 0 ||
           r->flights.passed > 0;
}

void due_paid(struct repl *r, unsigned generation)
{
    if (r->due.generation == generation) {
        r->due.now = r->due.soon = r->due.lag_unknown = false;
    }
}
