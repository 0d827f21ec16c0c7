/* SPDX-License-Identifier: MIT
 *
 * due: see due.h.
 */
#include "sync/primary/due.h"

#include "sync/primary/primary_impl.h"

void due_now(struct primary *p, struct repl *r)
{
    r->due = true;
    r->lag_unknown = true;
    r->due_generation++;
    r->live_tail = p->log.tail_seq;
}

void due_soon(struct primary *p, struct repl *r)
{
    if (!r->due_soon) {
        r->owed_soon_ms = p->now_ms;
    }
    r->due_soon = true;
    r->lag_unknown = true;
    r->due_generation++;
    r->live_tail = p->log.tail_seq;
}

bool due_any(const struct repl *r)
{
    return r->due || r->due_soon || r->lag_unknown || r->held > 0 ||
           r->passed > 0;
}

void due_paid(struct repl *r, unsigned due_generation)
{
    if (r->due_generation == due_generation) {
        r->due = r->due_soon = r->lag_unknown = false;
    }
}
