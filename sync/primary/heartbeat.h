/* SPDX-License-Identifier: MIT
 *
 * heartbeat: pings to a replica: what is fresh, and how far the link has come.
 */
#pragma once

#include <stdint.h>

struct primary;
struct repl;

void heartbeat_ping(struct primary *p, struct repl *r);
/* Ask how far the link has come, if that is due. */
void heartbeat_probe(struct primary *p, struct repl *r);
/* The same at any rate; the ping's id. */
uint64_t heartbeat_ping_now(struct primary *p, struct repl *r);
