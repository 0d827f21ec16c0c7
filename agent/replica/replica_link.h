/* SPDX-License-Identifier: MIT
 *
 * replica_link: the link to a replica as its settings describe it, for whoever
 * goes there: the agent, and a check that tries the same way. */
#pragma once

#include "agent/config/config.h"
#include "sync/link/link.h"

/* As link_ssh_new() and link_exec_new(). */
struct link *replica_link(uv_loop_t *loop, const struct config_replica *c,
                          const struct link_events *events, void *arg,
                          struct err *err);
