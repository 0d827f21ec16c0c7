/* SPDX-License-Identifier: MIT
 *
 * refused: changes that a replica answered no to (NAK): a state, not an event.
 *
 * A full disk, a directory that changed its owner, an immutable file: such a
 * change is tried again with back-off, for as long as it takes.  From its first
 * refusal until it is over (acknowledged, or not needed any more, or the
 * replica is removed) it counts as refused, over new links, too, with what the
 * receiver said last.  So status can tell how many there are, since when, and
 * why.
 */
#pragma once

#include <stdint.h>

#include "sync/wire/wire.h"

struct flight;
struct primary;
struct record;
struct repl;

/* Of one flight; flight.refusals says how often. */
struct refusal {
    int64_t since_ms; /* the first time */
    int sys;          /* errno on the replica, 0: none */
    int dr;           /* its number for operators */
    char *what;       /* "write a staged value: No space left on device";
                         NULL: no memory, or there are very many */
};

/* The replica refused the change. */
void refused_note(struct primary *p, struct repl *r, struct flight *f,
                  const struct wire_nak *nak);
/* The flight is over. */
void refused_end(struct repl *r, struct flight *f);
/* When a refused change is due again.  A replica that refuses everything costs
 * neither a walk of the list each millisecond nor the reading of all values
 * each half minute: refused_taken() knows when it takes them again. */
int64_t refused_retry_ms(const struct primary *p, const struct repl *r,
                         const struct flight *f);
/* It took one that it had refused: the others have their turn, too. */
void refused_taken(struct primary *p, struct repl *r);
/* News of the key: what was refused may be over, by a delete or a smaller
 * value. */
void refused_hinted(const struct primary *p, const struct record *rec);
/* The one that is refused for longest; NULL when none is. */
const struct flight *refused_oldest(const struct repl *r);
