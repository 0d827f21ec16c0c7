/* SPDX-License-Identifier: MIT
 *
 * members: which replicas the agent has: they are taken as the configuration
 * names them, with what was noted of each, or left out (left_out.h). */
#pragma once

#include "agent/daemon/daemon_impl.h"

/* One more.  NULL: it is left out, *err says why. */
struct replica *members_take(struct daemon *d, const struct config_replica *c,
                             struct err *err);
/* The replica of that name, or ERR_NOTFOUND naming those there are. */
int members_named(struct daemon *d, const char *name, struct replica **out,
                  struct err *err) MUSTCHECK;
