/* SPDX-License-Identifier: MIT
 *
 * local: this host's part of a check: the files that the configuration names,
 * the database and its id, what the agent's user may read of it, the kernel's
 * bounds, the state directory and the clock.  Blocking: a large database takes
 * as long as a listing of it. */
#pragma once

#include "agent/config/config.h"
#include "sync/check/finding.h"

/* What there is to be watched and read. */
struct survey {
    uint64_t tables, keys;
    uint64_t directories; /* each needs a watch */
    uint64_t sampled;     /* keys that were opened */
    uint64_t unreadable;  /* of those, and directories */
    char first[256];      /* one of them, and why; "" */
};

/* All of it, as this process's user. */
void local_check(const struct config *c, struct findings *out);

/* --- its parts ------------------------------------------------------------- */

void local_config(const struct config *c, struct findings *out);
/* False: there is nothing that could be looked at. */
bool local_database(const struct config *c, struct survey *s,
                    struct findings *out);
void local_state(const struct config *c, struct findings *out);

/* limits.c.  The bounds of the kernel, which tests give. */
struct limits {
    int64_t watches, instances, queue; /* -1: not known */
    int64_t descriptors;
};
void limits_read(struct limits *out);
void limits_judge(const struct limits *l, const struct config *c,
                  const struct survey *s, struct findings *out);
