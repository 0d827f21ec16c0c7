/* SPDX-License-Identifier: MIT
 *
 * due: see due.h.
 */
#include "sync/primary/due.h"

#include "sync/primary/primary_impl.h"

void due_now(struct primary *p, struct repl *r)
{
    r->owed = true;
    r->blind = true;
    r->debts++;
    r->live_tail = p->log.tail_seq;
}

void due_soon(struct primary *p, struct repl *r)
{
    if (!r->owed_soon) {
        r->owed_soon_ms = p->now_ms;
    }
    r->owed_soon = true;
    r->blind = true;
    r->debts++;
    r->live_tail = p->log.tail_seq;
}

bool due_any(const struct repl *r)
{
    return r->owed || r->owed_soon || r->blind || r->held > 0 || r->passed > 0;
}

void due_paid(struct repl *r, unsigned debts)
{
    if (r->debts == debts) {
        r->owed = r->owed_soon = r->blind = false;
    }
}
