/* SPDX-License-Identifier: MIT
 *
 * worker: one blocking call on a thread of its own, and then back to the loop.
 *
 * For calls whose time others decide, such as a login that a server answers
 * slowly: on one of libuv's few threads it would keep the database from being
 * read.  As with uv_queue_work(), but it begins at once and cannot be
 * cancelled, so `work` must have a way to be told to end.
 */
#pragma once

#include <uv.h>

#include "store/base/err.h"

/* `work` on a new thread, then `done` on the loop.  Loop thread only. */
int worker_start(uv_loop_t *loop, void (*work)(void *arg),
                 void (*done)(void *arg), void *arg, struct err *err) MUSTCHECK;
