/* SPDX-License-Identifier: MIT
 *
 * age: which names of an index are *established*, for the brake (brake.h).
 *
 * A name is young for AGE_STEPS steps after it was first seen, then it is
 * established.  Each name has a stamp, the step in which it came (0: nobody
 * knows, or long ago: established); the young are counted by stamp, so that a
 * step makes the oldest of them established without a look at any entry.
 *
 * Names that went are remembered for a while.  One that was established and
 * comes back soon is established again at once: it was only away.  And of one
 * that was young when it went, a replica that still has it loses nothing that
 * was there for long.
 *
 * A table whose directory was replaced by another loses its keys and gets
 * others: established keys that went with the old directory are made up for,
 * one for one, by keys that are new in this table since.  Nothing else makes up
 * for anything, so a table that is replaced by an emptier one is a loss.
 *
 * Whatever is not known errs towards holding too much: a name that went and was
 * forgotten (out of memory, or more than AGE_GONE_MAX since) counts as
 * established where a replica has it, and as young when it comes back.
 *
 * Not thread-safe: the index guards it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/base/digest.h"

enum {
    AGE_STEP_MS = 5000,
    AGE_STEPS = 24,     /* two minutes: as far as the brake looks back */
    AGE_AWAY_STEPS = 3, /* soon: a key that is deleted and set anew; not a table
                           that is built once a minute */
    AGE_LAST = 65520,   /* the highest stamp, a multiple of AGE_STEPS; after it
                           they begin with 1 anew */
    AGE_GONE_MAX = 1 << 18, /* so many that went are remembered at least ... */
    AGE_GONE_STEPS = 180,   /* ... for a quarter of an hour */
    AGE_REPLACED = 32,      /* so many tables are replaced at a time; of others
                               the keys that went are lost */
};

/* A table that was replaced, while it has young keys or that is recent. */
struct age_replaced {
    uint16_t table; /* its tag, 0: free */
    uint16_t since;
    uint64_t went; /* established keys of it since then, that are not back */
    uint64_t came[AGE_STEPS]; /* young ones, by stamp modulo AGE_STEPS */
    uint64_t came_sum;
};

/* A key as the index has it. */
struct age_key {
    struct digest name;
    uint16_t stamp;
    uint16_t table; /* tag of its table, 0: not known, or a table itself */
};

enum age_end {
    AGE_UNKNOWN = 0, /* it did not go, is forgotten, or is a loss */
    AGE_FREE,        /* young when it went, or made up for then */
    AGE_REPLACED_ONE /* established, of a table that was replaced */
};

struct age_gone; /* names that went */

struct ages {
    uint16_t now; /* the step; 0: none has begun, all is established */
    uint64_t young[AGE_STEPS]; /* keys, by stamp modulo AGE_STEPS */
    uint64_t young_sum;
    struct age_gone *gone, *gone_before; /* the newer and the older half */
    unsigned gone_steps;                 /* since the halves changed */
    struct age_replaced replaced[AGE_REPLACED];
};

void age_deinit(struct ages *a);
size_t age_memory_bytes(const struct ages *a);
/* AGE_STEP_MS went by; the first one begins it. */
void age_step(struct ages *a);
/* The directory of the table with this tag was replaced by another. */
void age_replace(struct ages *a, uint16_t table);
/* So many established keys of replaced tables are made up for. */
uint64_t age_made_up(const struct ages *a);
/* The key comes, and is in the index from now on; returns its stamp (of *k it
 * is not read). */
uint16_t age_come(struct ages *a, const struct age_key *k);
/* It goes. */
void age_go(struct ages *a, const struct age_key *k);
bool age_is_young(const struct ages *a, uint16_t stamp);
/* A key with `stamp` is in the index, or no longer. */
void age_count(struct ages *a, uint16_t stamp, bool is_in);
/* Everything that is in the index is established. */
void age_advance(struct ages *a);
/* What is known of a name that went. */
enum age_end age_end_of(const struct ages *a, struct digest name);
