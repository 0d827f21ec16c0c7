/* SPDX-License-Identifier: MIT
 *
 * held: what the brake holds: the note that lets it outlive the agent, and what
 * operators see of it. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "agent/replica/replica.h"
#include "store/layout/db.h"

enum { HELD_TOKEN_BYTES = 13 };
/* A brake went on or off: note it where a restart finds it, in the state
 * directory. */
void held_note(int state_fd, const struct replicas *all);
/* The replica is new here: was its brake on before a restart? */
void held_recall(int state_fd, const struct replica *r);
/* HELD of control.h, or null; `all`: with every name that is known; `db`: the
 * primary's, NULL while it is lost. */
json_t *held_json(const struct replica *r, const struct db *db, bool with_keys,
                  bool all);
