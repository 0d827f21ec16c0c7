/* SPDX-License-Identifier: MIT
 *
 * differs: what a comparison found different and nobody has repaired yet: a
 * state, not an event.
 *
 * A verify that finds differences is answered, and its repair follows seconds
 * later; a dry run repairs nothing; a repair may find again and again what it
 * repaired.  From the finding on the replica does not keep up, whatever else is
 * said of it, until a comparison that looked at least as closely has repaired
 * what it found, or has found nothing.
 *
 * What was found by a look at the replica's disk is not in its index, so
 * digests that are equal prove nothing about it.
 *
 * A receiver also tells of edits as it notices them (EDITED); these are in its
 * index, so a comparison of what both ends remember repairs them, and equal
 * digests end the state.  Who edits over and over has it repaired ever more
 * seldom: a comparison costs the primary a walk.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/base/err.h"
#include "sync/wire/wire.h"

struct compare;
struct primary;
struct repl;

/* How closely a comparison looks. */
enum differs_depth {
    DIFFERS_RECORDED = 0, /* what both ends remember */
    DIFFERS_STAT,         /* the stat of each file */
    DIFFERS_CONTENT,      /* each value */
};

enum { DIFFERS_NAME_BYTES = 256 };

struct differs {
    uint64_t count; /* keys and tables, 0: none are known */
    uint64_t open;  /* > 0: repaired, but for what could not be compared */
    bool by_hand;   /* ... and the receiver saw them being changed */
    int64_t since_ms;
    enum differs_depth depth;
    int64_t repair_ms; /* then the replica scans and is repaired; 0: not */
    char example[DIFFERS_NAME_BYTES]; /* "": it has no name */
    unsigned edits;                   /* repairs of edits lately ... */
    int64_t edit_ms; /* ... of which one is forgotten each minute from here */
    uint64_t heard;  /* words of the receiver */
};

/* A comparison has ended, and did not fail. */
void differs_compared(struct primary *p, struct repl *r,
                      const struct compare *c);
/* A comparison that was to repair what was found came to no end. */
void differs_again(const struct primary *p, struct repl *r,
                   const struct compare *c);
/* The receiver's word. */
void differs_edited(struct primary *p, struct repl *r,
                    const struct wire_edited *m);
/* Digests that differ have their reason, and their repair its time. */
bool differs_waits(const struct repl *r);
/* Digests of both ends are equal, with nothing on its way. */
void differs_equal(struct repl *r);
/* A session begins: its receiver has scanned, so its digests tell of all that a
 * stat shows. */
void differs_scanned(struct repl *r);
/* It is time to repair what was found. */
bool differs_due(const struct primary *p, const struct repl *r);
/* Is this key the one that is named of those that differ?  False also when its
 * name is too long to be told. */
bool differs_names(const struct repl *r, struct bytes table, struct bytes key);
/* false: none are known.  Else what differs, in a sentence, as DR_DIFFERENT. */
bool differs_describe(const struct primary *p, const struct repl *r,
                      struct err *err);
