/* SPDX-License-Identifier: MIT
 *
 * undone: what a primary undoes on a replica after it has lost its last
 * changes.
 *
 * A power loss can take back what the primary's applications wrote last, though
 * it is acknowledged and durable on a replica.  The replica converges to what
 * the primary has now, but not in silence: until the first comparison of a
 * suspect replica is over its receiver keeps aside what is replaced or deleted
 * (WIRE_FEATURE_KEEP), and here it is counted, with names.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sync/primary/primary.h"

struct repl;
struct compare;

enum { UNDONE_NAMES_MAX = 1000 };

struct undone {
    bool suspect; /* not compared since the primary may have lost something */
    uint64_t extra, different; /* removed, replaced by a comparison since */
    struct diff_name *names;
    size_t names_count, names_cap;
};

/* A comparison of a suspect replica ends, or is broken off after it began to
 * repair: what it repaired was undone.  What a broken one had not come to is
 * counted again by the next: too much is told rather than too little. */
void undone_count(struct repl *r, const struct compare *c);
/* The replica has what the primary has: it is not suspect any more. */
void undone_ended(struct primary *p, struct repl *r);
void undone_forget(struct repl *r);
