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

#include "agent/replica/replica.h"

#define DIRIDS_FILE "replicas"

struct dirids {
    int state_fd;
    const struct replicas *all;
    /* as they were noted: the keys of all, and when that was */
    uint64_t keys;
    int64_t noted_ms;
};

/* The replica is new here: tell the core what was noted. */
void dirids_recall(const struct dirids *s, const struct replica *r);
/* What the core remembers has changed. */
void dirids_note(struct dirids *s);
/* Once a second, and at an orderly stop (`now`): the counts. */
void dirids_counts(struct dirids *s, bool now);
