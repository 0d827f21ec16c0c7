/* SPDX-License-Identifier: MIT
 *
 * jobs: long requests of operators: wait, verify, resync (see daemon.h for how
 * they are started, control.h for the objects they give).  Loop thread only.
 */
#pragma once

#include "agent/daemon/daemon_impl.h"

/* Look whether jobs can go on; called by the pump. */
void jobs_pump(struct daemon *d);
/* The core's comparison `id` has ended. */
void jobs_compared(struct daemon *d, uint64_t id);
/* An event told of a key (NULL: of a table); a scan found the index wrong about
 * it: see met.h. */
void jobs_moved(struct daemon *d, struct bytes table, const struct bytes *key);
void jobs_found(struct daemon *d, struct bytes table, const struct bytes *key);
/* End all jobs: the agent stops. */
void jobs_end_all(struct daemon *d);
