/* SPDX-License-Identifier: MIT
 *
 * unclean: was the host's last stop an orderly one?
 *
 * While the agent runs, the file RUNNING_FILE in the state directory tells in
 * which boot (and mount of the database's file system, see boot.h).  An orderly
 * stop takes that back.  Found at a start in another boot, it says that the
 * power went, or the kernel: the database may lack what was written last, and
 * every replica is suspect (sync/primary/undone.h) until it was compared once,
 * also over restarts of the agent.  A killed agent loses nothing of the
 * database.
 */
#pragma once

#include "agent/daemon/daemon_impl.h"

#define RUNNING_FILE "running"

/* The root is open for the first time: look, and note that we run. */
void unclean_start(struct daemon *d);
/* A replica was added. */
void unclean_add(struct daemon *d, const struct replica *r);
/* A replica is not suspect any more. */
void unclean_note(struct daemon *d);
/* An orderly stop; before the replicas are removed. */
void unclean_stop(struct daemon *d);
/* The operator has seen it. */
void unclean_seen(struct daemon *d);
/* UNDONE of control.h, or null. */
json_t *unclean_json(struct daemon *d, const struct replica *r, bool with_keys);
/* false: nothing was undone on this replica. */
bool unclean_warning(struct daemon *d, const struct replica *r,
                     struct err *out);
