/* SPDX-License-Identifier: MIT
 *
 * control: the unix socket on which operators' commands reach the agent.
 *
 * One JSON object per line each way.  A request: {"cmd": "status", ...}.  The
 * answer: any number of {"progress": {...}} lines, then one
 * {"exit": CODE, "result": {...}} or {"exit": CODE, "error": {"id": 502,
 * "text": "...", "hint": "..."}}.  SO_PEERCRED decides: anyone who can connect
 * may read status without key names; root, the agent's own user and the
 * control group see key names and may change things.
 */
#pragma once

#include <jansson.h>
#include <uv.h>

#include "agent/daemon.h"
#include "store/base/err.h"

/* Server: listen at `path` (a left-over socket of a dead agent is replaced; a
 * live one is ERR_EXISTS).  `group` may be NULL. */
struct control;
struct control *control_listen(struct daemon *d, uv_loop_t *loop,
                               const char *path, const char *group,
                               struct err *err);
/* Close the socket and all clients; `closed` is called at the end. */
void control_close(struct control *c, void (*closed)(void *arg), void *arg);

/* Client (used by the operator's commands; blocking). */
typedef void (*control_progress_fn)(void *arg, const json_t *object);
/* Sends a request and waits for its end.  Returns the exit code and sets
 * *answer_out (the last line's object; caller decrefs), or ERR_* (ERR_CLOSED
 * with DR_NO_AGENT when none answers).  timeout_ms < 0: no limit. */
int control_call(const char *path, const json_t *request, int64_t timeout_ms,
                 control_progress_fn progress, void *arg, json_t **answer_out,
                 struct err *err) MUSTCHECK;
