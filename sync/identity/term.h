/* SPDX-License-Identifier: MIT
 *
 * term: whose changes a replica takes: the rule behind "one primary".
 *
 * A term is an epoch of a database together with the primary that has it.  A
 * primary is told by its origin (a hash of its directory), its agents by their
 * instances; see wire_hello.  A higher epoch begins a new term, a lower one is
 * over.  Within one term there is one origin, and an instance whose place
 * another one has taken does not come back: either would be a second primary
 * at the same time.
 *
 * An epoch that is far above the one followed is nobody's (DR_EPOCH_JUMP): it
 * would leave no number for the primaries after it.
 *
 * Pure: no files, no clocks.  Storing a term durably is the caller's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/base/err.h"
#include "sync/wire/wire.h"

enum { TERM_AGENTS = 4 };

/* How far an epoch may be above the one before, and how high the first one may
 * be that a replica meets (a date in seconds is below it). */
#define TERM_JUMP_MAX UINT64_C(1000000)
#define TERM_FIRST_MAX (UINT64_C(1) << 32)

struct term {
    uint8_t db_id[16];
    uint64_t epoch;
    uint8_t origin[WIRE_ORIGIN_BYTES]; /* zero: not known */
    uint8_t agents[TERM_AGENTS][16];   /* newest first; zero: none */
};

/* Is epoch `next` (a higher one) near enough to `epoch`?  0: none is known. */
bool term_is_near(uint64_t epoch, uint64_t next);

/* May this agent feed a replica of that term?  Refusals (ERR_REFUSED) have
 * DR_OTHER_DATABASE, DR_OLD_EPOCH, DR_EPOCH_JUMP or DR_TWO_PRIMARIES.  Their
 * texts go to whoever said hello: the database's id is in none of them. */
int term_check(const struct term *r, const struct wire_hello *hello,
               struct err *err) MUSTCHECK;

/* How the term changes with this agent, which was accepted. */
enum term_change {
    TERM_AS_IT_WAS,
    TERM_NEW_AGENT, /* same primary, another process */
    TERM_NEW,       /* what was true of the old primary is void */
};
enum term_change term_follow(struct term *r, const struct wire_hello *hello);
