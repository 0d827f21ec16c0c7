/* SPDX-License-Identifier: MIT
 *
 * asked: what a running agent says of itself and of its replicas, as findings:
 * each error with its number and the remedy that the agent knows.  Pure: a
 * status object (control.h) in, findings out. */
#pragma once

#include <jansson.h>

#include "sync/check/finding.h"

/* Of the agent, the database and what concerns all replicas. */
void asked_agent(const json_t *status, struct findings *out);
/* The last: what makes `drover status` fail is a failure here, too, but for
 * what is only late. */
void asked_health(const json_t *status, struct findings *out);
/* Of one replica; nothing that `out` has already of it with the same number. */
void asked_replica(const json_t *status, const char *name,
                   struct findings *out);
/* The result of a check request for one replica: did a question make the whole
 * way, and how long did it take? */
void asked_trip(const json_t *result, const char *name, struct findings *out);
