/* SPDX-License-Identifier: MIT
 *
 * cmd_replica_check: `drover check` of one replica that was just set up. */
#pragma once

#include <jansson.h>

#include "agent/cli/command.h"
#include "agent/enroll/enroll.h"

/* Reads the configuration anew: the replica is in it now.  The step's state and
 * text are set; what is not good is printed, or with --json in *out (the caller
 * decrefs).  0, or negative: something fails. */
int replica_check(struct cli *cli, const struct config *config,
                  const char *name, struct enroll_step *step, json_t **out,
                  struct err *err) MUSTCHECK;
