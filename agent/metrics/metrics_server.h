/* SPDX-License-Identifier: MIT
 *
 * metrics_server: answers GET /metrics (metrics.h) and GET /healthz, one
 * request per connection, on a loopback address, a unix socket, or a socket
 * that systemd passed with FileDescriptorName=metrics.
 *
 * Whoever connects learns what everybody may ask of the control socket:
 * numbers, and no name of a key or table.  Clients are few, have little time
 * and small requests, and the state is asked for once a second at most, so that
 * none of them can slow replication.  Loop thread only.
 */
#pragma once

#include <jansson.h>
#include <uv.h>

#include "store/base/err.h"

struct metrics_server;

/* `status` returns a new reference to the object of `status` (control.h). NULL:
 * out of memory. */
struct metrics_server *
metrics_server_new(uv_loop_t *loop, json_t *(*status)(void *arg), void *arg);
/* Listen there (listen_address.h) and nowhere else; NULL: nowhere.  To be
 * called now and then: what is open already stays, what could not be opened is
 * tried again. */
int metrics_server_listen(struct metrics_server *s, const char *where,
                          struct err *err) MUSTCHECK;
/* Close everything; `freed` follows from the loop, and `s` is gone. */
void metrics_server_free(struct metrics_server *s, void (*freed)(void *arg),
                         void *arg);
