/* SPDX-License-Identifier: MIT
 *
 * due: is a comparison of this replica due, and since when?
 */
#pragma once

#include <stdbool.h>

struct primary;
struct repl;

/* The replica lacks something that is not in the log for it: compare. */
void due_now(struct primary *p, struct repl *r);
/* The same, at the next quiet moment, or after a while. */
void due_soon(struct primary *p, struct repl *r);
/* It is not known to have all that was hinted. */
bool due_any(const struct repl *r);
/* Proven equal: what was due up to `generation` is done. */
void due_paid(struct repl *r, unsigned due_generation);
