/* SPDX-License-Identifier: MIT
 *
 * pauses: which replicas the operator has paused, over restarts of the agent.
 *
 * Who pauses a replica has a reason that the agent does not know: its disk is
 * being copied, its value kept as evidence.  A host that restarts meanwhile, or
 * an upgrade, must not send to it again.  The note is the file PAUSES_FILE in
 * the state directory: a line with the name of each of them.  `paused` of the
 * configuration is another thing: it holds for each start. */
#pragma once

#include "agent/replica/replica.h"

#define PAUSES_FILE "paused"

/* The operator has paused or resumed.  ERR_*: it holds, but only until the
 * agent is started again. */
int pauses_note(int state_fd, const struct replicas *all, const char *state_dir,
                struct err *err) MUSTCHECK;
/* The replica is new here. */
void pauses_recall(int state_fd, struct replica *r);
