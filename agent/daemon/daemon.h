/* SPDX-License-Identifier: MIT
 *
 * daemon: owns the loop and everything that runs on it, and offers what the
 * control socket's requests need.  All functions run on the loop's thread.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "agent/config/config.h"
#include "store/base/err.h"

struct daemon;

/* The socket where requests come in; control.h has these two. */
struct control;
struct daemon_doors {
    /* From now on requests are served.  NULL: *err. */
    struct control *(*listen)(struct daemon *d, uv_loop_t *loop,
                              const char *path, const char *group,
                              struct err *err);
    /* `closed` is called at the end. */
    void (*close)(struct control *c, void (*closed)(void *arg), void *arg);
};

/* Run the agent until SIGTERM or SIGINT.  Takes `config`; `doors` outlives the
 * call.  Returns the exit code (operators' table: 0, 1, 69, 77, 78). */
int daemon_run(struct config *config, const struct daemon_doors *doors);

const struct config *daemon_config(const struct daemon *d);

/* Everything `drover status` shows, as the JSON object documented in
 * drover(8).  Reads counters only: answers at once whatever replicas do.
 * `with_keys`: include key names (the caller is permitted to see them). */
json_t *daemon_status(struct daemon *d, bool with_keys);
/* events_answer(); NULL: no memory, or none are kept. */
struct events_query;
json_t *daemon_events(struct daemon *d, const struct events_query *q);

/* What is known of one key, KEY of control.h: here, and on each replica.  Reads
 * no disk.  *exit_out: 0 every replica has it as it is here, 1 not so,
 * EX_NOINPUT there is no such key here. */
struct bytes;
json_t *daemon_key(struct daemon *d, struct bytes table, struct bytes key,
                   int *exit_out);

/* A long request (wait, resync, verify).  `progress` is called now and then
 * with an object to show, `done` once with the final object and its exit code
 * (0, 1, 75 ...); afterwards the job is gone.  `done` may be called before the
 * start function returns only through the loop (never re-entrantly). */
struct job;
struct job_events {
    void (*progress)(void *arg, json_t *object);            /* takes object */
    void (*done)(void *arg, int exit_code, json_t *object); /* takes object */
};
/* `asks`: a heartbeat sent after all had arrived must have been answered, too.
 * Names of replicas: NULL or empty = all.  ERR_NOTFOUND (DR_NO_SUCH_REPLICA)
 * names the unknown one and the known ones. */
struct job *daemon_wait(struct daemon *d, const char *const *replicas, size_t n,
                        bool asks, int64_t timeout_ms,
                        const struct job_events *ev, void *arg,
                        struct err *err);
enum job_compare { JOB_VERIFY, JOB_RESYNC, JOB_RESYNC_DRY_RUN };
struct compare_request {
    enum job_compare what;
    bool content;       /* read every value on both ends */
    bool recorded;      /* compare what both ends have on record, and look at
                           neither disk */
    int64_t timeout_ms; /* then it ends with what is missing; -1: as long as
                           is sensible */
};
struct job *daemon_compare(struct daemon *d,
                           const struct compare_request *request,
                           const char *const *replicas, size_t n,
                           const struct job_events *ev, void *arg,
                           struct err *err);
/* The client went away: no callback follows. */
void daemon_job_cancel(struct daemon *d, struct job *job);

/* Let the held deletes that `token` stands for through (NULL: the newest). */
int daemon_approve(struct daemon *d, const char *replica, const char *token,
                   uint64_t *count_out, struct err *err) MUSTCHECK;
/* What is held for the replica, see HELD in control.h; null when nothing is. */
int daemon_held(struct daemon *d, const char *replica, json_t **held_out,
                struct err *err) MUSTCHECK;
/* Take what these replicas' directories hold now (dirids.h), and fill it. */
int daemon_anew(struct daemon *d, const char *const *replicas, size_t n,
                struct err *err) MUSTCHECK;
/* *done_out is set on success: for each replica {"name", "did"}, see control.h.
 * One that was not paused is tried by a resume, too. */
int daemon_pause(struct daemon *d, const char *const *replicas, size_t n,
                 bool paused, json_t **done_out, struct err *err) MUSTCHECK;
/* Connect at once to those without a session; *done_out likewise. */
int daemon_retry(struct daemon *d, const char *const *replicas, size_t n,
                 json_t **done_out, struct err *err) MUSTCHECK;
/* Reload the configuration file; *changes_out (a JSON array of lines such as
 * "+us-2", "eu-1: port 22 to 2222") is set on success. */
int daemon_reload(struct daemon *d, json_t **changes_out,
                  struct err *err) MUSTCHECK;
