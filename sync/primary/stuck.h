/* SPDX-License-Identifier: MIT
 *
 * stuck: why a pending change does not come to its replica.
 *
 * Every change that is not acknowledged is a flight (or a place in the log that
 * none has taken yet).  Most are just on their way.  Here is told apart which
 * of them wait for somebody: for the replica that refuses the key, for a reader
 * there or a writer here who holds its lock, for a key that never holds still
 * or may not be read.  Status names them, and what waits for a replica may
 * decide to go on without them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/base/err.h"

struct flight;
struct primary;
struct repl;

enum stuck {
    STUCK_NOT = 0,
    STUCK_REFUSED,      /* the replica answers no */
    STUCK_LOCKED_THERE, /* a reader on the replica holds its lock */
    STUCK_LOCKED_HERE,  /* a writer on the primary does */
    STUCK_CHANGING,     /* it changes each time while it is read */
    STUCK_UNREADABLE,   /* the agent may not, or cannot, read it */
};

/* Why the flight waits; of one that is held back by an earlier one of its key,
 * why that one does. */
enum stuck stuck_why(const struct flight *f);
/* For how long, as far as known; of one that does not wait for anybody, how
 * long it is pending. */
int64_t stuck_for_ms(const struct primary *p, const struct flight *f);
/* Who holds the lock that it waits for, on either side: a pid, 0: not known, or
 * it waits for no lock. */
uint32_t stuck_holder(const struct flight *f, char comm[16]);
/* The replica's next flight, by sequence, that waits for somebody; the first
 * one with after == NULL, NULL at the end. */
const struct flight *stuck_next(const struct repl *r,
                                const struct flight *after);
/* The flight's key and what it waits for, in a sentence with its number;
 * `more`: so many others are like it. */
void stuck_describe(const struct primary *p, const struct flight *f,
                    uint64_t more, struct err *err);
/* One of all keys that cannot be read, in the words of the read if these are
 * known, with its number; false: there is none. */
bool stuck_any_unread(struct primary *p, struct err *err);
/* Something waits for so long that the replica does not keep up; what, in a
 * sentence. */
bool stuck_lasts(const struct primary *p, const struct repl *r,
                 struct err *why_out);
/* Of what is older than the limit: what waits for somebody, else the oldest. */
void stuck_say_oldest(struct primary *p, const struct repl *r, int64_t limit_ms,
                      struct err *err);
