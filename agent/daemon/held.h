/* SPDX-License-Identifier: MIT
 *
 * held: what the brake holds: the note that lets it outlive the agent, and what
 * operators see of it. */
#pragma once

#include "agent/daemon/daemon_impl.h"

enum { HELD_TOKEN_BYTES = 13 };
/* A brake went on or off: note it where a restart finds it. */
void held_note(struct daemon *d);
/* The replica is new here: was its brake on before a restart? */
void held_recall(struct daemon *d, const struct replica *r);
/* HELD of control.h, or null; `all`: with every name that is known. */
json_t *held_json(struct daemon *d, const struct replica *r, bool with_keys,
                  bool all);
