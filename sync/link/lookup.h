/* SPDX-License-Identifier: MIT
 *
 * lookup: a name lookup that its owner can walk away from.
 *
 * A resolver may take half a minute and cannot be stopped.  Each lookup has a
 * thread of its own, not one of libuv's few: these also read the values of the
 * database, and names of a dead zone would use them up.  lookup_forget() lets
 * the owner go at once and keeps no loop alive; the thread ends when the
 * resolver does.  Who asks for the same name meanwhile gets that lookup and not
 * another thread, so there is one per replica however often it is tried.
 */
#pragma once

#include <netdb.h>
#include <stdint.h>
#include <uv.h>

#include "store/base/err.h"

enum { LOOKUPS_MAX = 1024 }; /* threads at a time */

struct lookup;

/* Takes `addrs` (freeaddrinfo); NULL on failure, then `why` says it. */
typedef void (*lookup_done_fn)(void *arg, struct addrinfo *addrs,
                               const char *why);

/* NULL with *err set when it cannot begin; otherwise `done` is called later, in
 * the loop.  Loop thread only. */
struct lookup *lookup_start(uv_loop_t *loop, const char *host, uint16_t port,
                            lookup_done_fn done, void *arg, struct err *err);
/* `done` will not be called; *at is NULL afterwards.  NULL is fine.  Its handle
 * is closed by the loop's next turn. */
void lookup_forget(struct lookup **at);
