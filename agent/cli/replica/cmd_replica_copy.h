/* SPDX-License-Identifier: MIT
 *
 * cmd_replica_copy: waits for a replica's first copy, and says how far it is.
 */
#pragma once

#include <jansson.h>

#include "agent/cli/command.h"

/* Until the replica is streaming.  0, or negative with what is wrong; the last
 * status in *status_out (may be NULL), which the caller decrefs. */
int replica_wait_copy(struct cli *cli, const struct config *config,
                      const char *name, json_t **status_out,
                      struct err *err) MUSTCHECK;
