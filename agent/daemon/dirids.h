/* SPDX-License-Identifier: MIT
 *
 * dirids: what is remembered of each replica's directory
 * (sync/identity/dirid.h), over restarts of the agent.
 *
 * The note is the file DIRIDS_FILE in the state directory: a line for each
 * replica: the directory's own id, "complete" or "begun", the keys it had when
 * it was last proven equal, and the replica's name.  Ids are written before
 * anything is sent, counts now and then.  Without the note (a new state
 * directory) what is there is taken.
 *
 * A replica that was taken out of the configuration stays in the note: it is
 * taken out most often while its host is worked on, which is when a disk is not
 * mounted afterwards.  Its line goes when its directory comes back under
 * another name.
 */
#pragma once

#include "agent/daemon/daemon_impl.h"

#define DIRIDS_FILE "replicas"

/* The replica is new here: tell the core what was noted. */
void dirids_recall(struct daemon *d, const struct replica *r);
/* What the core remembers has changed. */
void dirids_note(struct daemon *d);
/* Once a second, and at an orderly stop (`now`): the counts. */
void dirids_counts(struct daemon *d, bool now);
