/* SPDX-License-Identifier: MIT
 *
 * status: what the agent knows, as JSON (the objects of control.h).
 */
#pragma once

#include <jansson.h>

#include "agent/daemon/daemon_impl.h"

/* Append what this database's file system keeps the agent from knowing, if
 * anything, to the array `warnings`. */
void status_add_poor(const struct daemon *d, json_t *warnings);
/* The same for what lies there and is on no replica, though programs see it. */
void status_add_ignored(const struct daemon *d, bool with_names,
                        json_t *warnings);
