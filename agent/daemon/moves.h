/* SPDX-License-Identifier: MIT
 *
 * moves: tells the core of directories that move, from the first event until
 * all that was in them has been told.  Loop thread only; plain data.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sync/primary/log/gate.h"

struct daemon;

struct moves {
    struct {
        uint64_t id;     /* of primary_moving() */
        uint64_t marker; /* of the watch; after this they are told */
    } open[GATES_MAX];
    size_t count;
    bool fresh; /* the last one's marker is not known before its events are read
                 */
};

/* One begins: called by the watch, for each.  False: so many are under way that
 * the core cannot be told of it; it has to scan. */
bool moves_begin(struct daemon *d);
/* Some may have ended; not from a callback of the watch. */
void moves_pump(struct daemon *d);
