/* SPDX-License-Identifier: MIT
 *
 * left_out: replicas of the configuration that the agent could not take (there
 * are too many).  It runs with the others and says so: they are listed as
 * failed, status is not healthy, and what was asked for all replicas is
 * refused, for all of them cannot be answered for. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "agent/replica/replica.h"

/* The core said no; logs it. */
void left_out_add(struct replicas *all, const struct config_replica *c,
                  const struct err *why);
/* Appends an entry for each to the replicas of status; false: there are none.
 */
bool left_out_json(const struct replicas *all, json_t *replicas);
/* False when every replica was taken; else *err names the first. */
bool left_out_any(const struct replicas *all, struct err *err);
/* The same for the one of that name. */
bool left_out_is(const struct replicas *all, const char *name, struct err *err);
