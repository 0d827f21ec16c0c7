/* SPDX-License-Identifier: MIT
 *
 * behind: what a replica lacks although its state is a good one.
 *
 * The state tells of the session.  That a session streams says nothing of a key
 * which the replica refuses, which a reader there or a writer here keeps
 * locked, or which is pending for longer than lag-limit for whatever reason;
 * nor of a link that breaks again and again.  Each of these is a warning in
 * status, so it is not healthy, and an event in the log: when it begins, again
 * each BEHIND_LOG_MS while it lasts, and when it is over.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/base/err.h"

struct replica;

enum { BEHIND_LOG_MS = 10 * 60 * 1000 };

/* Of one replica, for the log. */
struct behind {
    int id; /* number of what it was when last logged, 0: keeps up */
    int64_t since_ms, logged_ms;
};

/* It lacks something: *why is the warning.  False: it keeps up, or its state
 * says what is wrong (or the database's, while the index is not ready). */
bool behind_why(const struct replica *r, bool index_ready, struct err *why);
/* The link breaks again and again: *why is the warning. */
bool behind_flaps(const struct replica *r, struct err *why);
/* Once a second: log what began, lasts or is over. */
void behind_second(struct replica *r, bool index_ready);
/* REFUSED and BREAKS of control.h, or null. */
json_t *behind_refused_json(const struct replica *r, bool with_keys);
json_t *behind_breaks_json(const struct replica *r);
