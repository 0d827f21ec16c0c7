/* SPDX-License-Identifier: MIT
 *
 * check: does it work, end to end?  This host (local.h), the running agent if
 * there is one (asked.h), and each replica: the way to it as an agent would go
 * (dial.h), what the agent says of it, and a question that travels the whole
 * way and back.
 *
 * What the agent's user may do counts, so root looks as that user (as_user.h);
 * whoever is neither hears what the agent says alone.  Nothing is changed,
 * anywhere.  Blocking. */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "agent/check/dial.h"
#include "agent/config/config.h"
#include "sync/check/finding.h"

struct check {
    const struct config *config; /* NULL: the agent's is on its command line */
    const char *unread_file;     /* or this user may not read it */
    const char *socket;          /* where an agent may answer */
    const char *const *replicas; /* none: all */
    size_t count;
    int64_t timeout_ms; /* for a receiver's answer, and for the whole way */
    struct dial_as as;  /* whose database it is, as far as it can be told */
    json_t *status;     /* of the agent; NULL: none answers */
    struct err silent;  /* why not */
};

/* Ask the agent at `socket`; check_end() frees. */
void check_begin(struct check *k);
void check_end(struct check *k);
/* The first name that is no replica's, NULL: there is none. */
const char *check_unknown(const struct check *k);
/* The names that there are, for a message; cut where they do not fit. */
void check_names(const struct check *k, char *out, size_t room);
void check_run(struct check *k, struct findings *out);
