/* SPDX-License-Identifier: MIT
 *
 * facade: what the files of this room, which carry out primary.h, do for each
 * other. */
#pragma once

#include "sync/primary/compare/compare.h"

/* What time does to a session; returns when to look again. */
int64_t session_tick(struct primary *p, struct repl *r);
