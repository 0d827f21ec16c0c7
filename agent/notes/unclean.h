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

#include <jansson.h>
#include <stdbool.h>

#include "agent/replica/replica.h"
#include "sync/index/boot.h"

#define RUNNING_FILE "running"

struct unclean {
    int state_fd;
    const struct replicas *all;
    struct boot boot; /* of the root, when it was seen first */
    bool was;         /* the host went down while an agent ran */
    bool noted;       /* ... and the next start would know it of us */
};

/* The root is open for the first time: look, and note that we run. */
void unclean_start(struct unclean *u, int root_fd);
/* A replica was added. */
void unclean_add(const struct unclean *u, const struct replica *r);
/* A replica is not suspect any more. */
void unclean_note(const struct unclean *u);
/* An orderly stop; before the replicas are removed. */
void unclean_stop(const struct unclean *u);
/* The operator has seen it. */
void unclean_seen(const struct unclean *u);
/* UNDONE of control.h, or null. */
json_t *unclean_json(const struct replica *r, bool with_keys);
/* false: nothing was undone on this replica. */
bool unclean_warning(const struct replica *r, struct err *out);
