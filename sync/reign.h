/* SPDX-License-Identifier: MIT
 *
 * reign: whose changes a replica takes: the rule behind "one primary".
 *
 * A reign is an epoch of a database together with the primary that has it.  A
 * primary is told by its origin (a hash of its directory), its agents by their
 * instances; see wire_hello.  A higher epoch begins a new reign, a lower one is
 * over.  Within one reign there is one origin, and an instance whose place
 * another one has taken does not come back: either would be a second primary
 * at the same time.
 *
 * Pure: no files, no clocks.  Storing a reign durably is the caller's.
 */
#pragma once

#include "store/base/err.h"
#include "sync/wire.h"

enum { REIGN_AGENTS = 4 };

struct reign {
    uint8_t db_id[16];
    uint64_t epoch;
    uint8_t origin[WIRE_ORIGIN_BYTES];  /* zero: not known */
    uint8_t agents[REIGN_AGENTS][16];   /* newest first; zero: none */
};

/* May this agent feed a replica of that reign?  Refusals (ERR_REFUSED) have
 * DR_OTHER_DATABASE, DR_OLD_EPOCH or DR_TWO_PRIMARIES. */
int reign_check(const struct reign *r, const struct wire_hello *hello,
                struct err *err) MUSTCHECK;

/* How the reign changes with this agent, which was accepted. */
enum reign_change {
    REIGN_AS_IT_WAS,
    REIGN_NEW_AGENT, /* same primary, another process */
    REIGN_NEW,       /* what was true of the old primary is void */
};
enum reign_change reign_follow(struct reign *r, const struct wire_hello *hello);
