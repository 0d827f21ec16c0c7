/* SPDX-License-Identifier: MIT
 *
 * lookup: a name lookup that its owner can walk away from.
 *
 * A resolver may take half a minute in the thread pool and cannot be stopped;
 * lookup_forget() lets the owner go at once, and the request frees itself when
 * it ends.  Loop thread only.
 */
#pragma once

#include <netdb.h>
#include <stdint.h>
#include <uv.h>

#include "store/base/err.h"

struct lookup;

/* Takes `addrs` (uv_freeaddrinfo), NULL on failure; `status` is libuv's. */
typedef void (*lookup_done_fn)(void *arg, int status, struct addrinfo *addrs);

/* NULL with *err set when it cannot begin; otherwise `done` is called later. */
struct lookup *lookup_start(uv_loop_t *loop, const char *host, uint16_t port,
                            lookup_done_fn done, void *arg, struct err *err);
/* `done` will not be called; *l is NULL afterwards.  NULL is fine. */
void lookup_forget(struct lookup **l);
