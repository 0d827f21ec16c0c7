/* SPDX-License-Identifier: MIT
 *
 * heartbeat: pings to a replica: what is fresh, and how far the link has come.
 */
#pragma once

#include <stdint.h>

#include "store/base/digest.h"

struct primary;
struct repl;

struct heartbeat {
    int64_t next_ms;
    uint64_t ping_id;
    uint64_t pong_id;         /* of the newest answer */
    uint64_t ping_tail;       /* log tail at the ping + 1, 0: not quiet */
    unsigned ping_generation; /* of struct due */
    int64_t ping_wall_ns;
    struct digest root;  /* as the replica last said */
    unsigned mismatches; /* in a row, with other roots */
    int64_t equal_wall_ns;
};

void heartbeat_ping(struct primary *p, struct repl *r);
/* Ask how far the link has come, if that is due. */
void heartbeat_probe(struct primary *p, struct repl *r);
/* The same at any rate; the ping's id. */
uint64_t heartbeat_ping_now(struct primary *p, struct repl *r);
