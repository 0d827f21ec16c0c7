/* SPDX-License-Identifier: MIT
 *
 * due: is a comparison of this replica due, and since when?
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct primary;
struct repl;

struct due {
    bool now;            /* before it counts as equal */
    bool soon;           /* the same, when quiet or after a while */
    bool lag_unknown;    /* what it lacks is not in the log */
    unsigned generation; /* grows with each reason to compare anew */
    int64_t soon_ms;     /* since when `soon` */
};

/* The replica lacks something that is not in the log for it: compare. */
void due_now(struct primary *p, struct repl *r);
/* The same, at the next quiet moment, or after a while. */
void due_soon(struct primary *p, struct repl *r);
/* It is not known to have all that was hinted. */
bool due_any(const struct repl *r);
/* Proven equal: what was due up to `generation` is done. */
void due_paid(struct repl *r, unsigned generation);
