/* SPDX-License-Identifier: MIT
 *
 * control: the unix socket on which operators' commands reach the agent.
 *
 * One JSON object per line each way.  A request: {"cmd": "status", ...}.  The
 * answer: any number of {"progress": {...}} lines, then one
 * {"exit": CODE, "result": {...}} or {"exit": CODE, "error": {"id": 502,
 * "text": "...", "hint": "..."}}.  SO_PEERCRED decides: anyone who can connect
 * may read status and wait, but sees no name of a table or key: names are left
 * out, and of an ERROR only its number and what that means is said.  Root, the
 * agent's own user and the control group see names and may change things.
 * The others' requests wait when their user has had its share of the loop's
 * time (control_unprivileged.h).
 *
 * Requests: status {keys}; version; wait {replicas, timeout_ms}; check {the
 * same}: a wait that has each replica answer a heartbeat at its end;
 * resync {replicas, content, dry_run, timeout_ms | anew}; verify {replicas,
 * content, recorded, timeout_ms} (none: 1 h, with content 6 h);
 * key {table | table_b64, key | key_b64};
 * approve {replica, token, dry_run}; pause, resume, retry {replicas}; reload;
 * events {replicas, from, since_ms, last}.
 *
 * Objects that the daemon makes and the commands show.  Fields are only ever
 * added; a field that is not known is null or left out.  Ages and durations
 * are numbers of seconds (real), sizes numbers of bytes.  A NAME of bytes
 * (table or key) is "table"/"key" when it is UTF-8, else "table_b64"/"key_b64"
 * (base64); the root table is "".  An ERROR is {"id": 203, "text", "hint"}.
 *
 *   status   {"schema": 1, "version", "pid", "uptime_s", "healthy": bool,
 *             "database": {"name", "path", "file" (of the
 *               configuration; null), "id", "keys", "tables", "bytes",
 *               "state": "ok" | "scanning" | "lost", "error": ERROR | null,
 *               "scan_age_s", "scan_running", "watches", "overflows",
 *               "unreadable"},
 *             "replicas": [{"name", "target", "state", "lag_s" (null: not
 *               known), "pending_keys", "pending_bytes", "ack_age_s",
 *               "silence_s", "rate" (changes/s), "version" (receiver's),
 *               "host", "equal_as_of" (RFC 3339), "attempts", "next_try_s",
 *               "held_deletes", "held": HELD | null, "sessions" (that began),
 *               "acked_changes", "latency": {"count", "sum_s", "buckets":
 *                 [{"le_s", "count"}]} (since the start, cumulative),
 *               "undone": UNDONE | null, "refused": REFUSED | null,
 *               "breaks": BREAKS | null, "sent_bytes",
 *               "received_bytes", "replica_keys", "replica_bytes",
 *               "latency_p50_us", "latency_p99_us",
 *               "error": ERROR | null}],
 *             "blocked": [{"side": "primary" | "replica", "replica", NAME...,
 *               "pid", "comm", "waited_s", "changed_tries" (null: locked)}],
 *             "blocked_count",
 *             "unborn": [as "blocked"] new files that may be temporaries: no
 *               trouble, no change yet,
 *             "ignored": [{"count", "path" (an example; or "path_b64"), "why"}]
 *               directories with what is neither key nor table,
 *             "warnings": [ERROR]}
 *   wait     progress and result {"waited_s", "replicas": [{"name", "done":
 *             bool, "state", "pending_keys", "error": ERROR | null}]}
 *   compare  (resync, verify) progress and result {"mode": "verify" |
 *             "dry-run" | "resync", "elapsed_s", "replicas": [{"name", "done",
 *             "failed", "held", "phase", "compared", "replica_keys",
 *             "missing", "extra", "different", "to_repair", "repaired",
 *             "reread", "modes_set" (files whose owner, group or mode the
 *             replica set), "unread" (not compared), "left" (for the comparison
 *             that follows), "scan_keys", "error": ERROR | null,
 *             "names": [{"kind": "missing" | "extra" | "different",
 *               "is_table": bool, "repaired": true (only by verify: met, and
 *               repaired meanwhile), NAME...}],
 *             "not_compared": [{"reason": "locked" | "changing" |
 *               "unreadable" | "refused" | "pending", "side": "primary" |
 *               "replica", "is_table", "errno" (when known), NAME...,
 *               "error": ERROR}]}]}; these lists only at the end, and once
 *             in progress, of a replica that is done before the others
 *   HELD     {"count", "shown", "token" (null: none yet) stands for so many,
 *             "approved" (of these), "since_s", and for those who may see
 *             names: "covered": ERROR | null (a link stands where one was),
 *             "tables": [{NAME, "count"}] the largest of "all_tables", counted
 *             over the first "named", "names": [{"is_table", NAME...}] some of
 *             them}
 *   UNDONE   {"extra", "different", "names": [{"kind", "is_table", NAME...}]}:
 *             removed and replaced there after an unclean stop of this host
 *   REFUSED  {"count", "since_s", "errno" (on the replica, 0: none), "error":
 *             ERROR of one of them, "is_table", NAME...}: changes it answers no
 * to BREAKS   {"count" (in "window_s"), "last_s" (ago), "flapping": bool,
 *             "error": ERROR of the last one}: of its sessions, lately
 *   key      {NAME, "database" (its path), "state": "present" | "absent" |
 *             "unknown" (not read yet), "table_here": bool, "size", "digest"
 *             (hexadecimal), "changed" (its file, as last read; null: not
 *             known), "primary": PLACE, "replicas": [{"name", "replica_state",
 *             and PLACE}]}
 *   PLACE    {"state": "has" | "had" (when it was last connected) | "gone" |
 *             "was-gone" (absent, as here) | "held" | "differs" | "unknown" | a
 *             reason of "not_compared" | "failed" (the replica is left out),
 *             "connected": bool, "error": ERROR | null; of a change that is not
 *             acknowledged "side", "sent": bool, "pending_s", "waits_s" (the
 *             reason lasts), "ahead" (changes that come first; null: very
 *             many), "errno", "pid", "comm" (who holds the lock)}
 *   approve  {"replica", "count"}, dry run {"replica", "held": HELD | null}
 *   pause, resume, retry  {"replicas": [name] (as asked), "done": [{"name",
 *             "did": "paused" (by retry: it is, and stays so) | "resumed" |
 *             "trying" | "connected" (it is already) | "waiting" (until the
 *             agent has seen the database)}]}
 *   events   {"events": [{"n" (a number that is missing is an event that is),
 *             "time" (RFC 3339), "level", "event", "replica", "dr", "text"}],
 *             "next" (to go on with, as "from"), "more": bool}
 *   reload   {"changes": [line]}    version  {"version", "pid", "database"}
 */
#pragma once

#include <jansson.h>
#include <uv.h>

#include "agent/daemon/daemon.h"
#include "store/base/err.h"

enum {
    CONTROL_REQUEST_BYTES = 64 * 1024, /* longest request line */
    CONTROL_PATH_MAX = 107,            /* sockaddr_un without its NUL */
};
/* How objects are written: one line, and 3.011 instead of 3.0110000000000001.
 */
#define CONTROL_JSON (JSON_COMPACT | JSON_REAL_PRECISION(12))

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
