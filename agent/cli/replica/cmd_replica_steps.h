/* SPDX-License-Identifier: MIT
 *
 * cmd_replica_steps: the steps of replica add and remove, as they are shown and
 * as JSON has them, and what the steps ask of the program around them. */
#pragma once

#include <jansson.h>

#include "agent/cli/command.h"
#include "agent/enroll/enroll.h"

struct config;

/* What has come of the steps, for people at once and for JSON at the end. */
struct replica_steps {
    struct cli *cli;
    const struct config *config;
    json_t *list; /* [{"step", "state", "text"}], the last state of each */
};

void replica_steps_begin(struct replica_steps *s, struct cli *cli,
                         const struct config *config);
void replica_steps_deinit(struct replica_steps *s);
/* A step has come to a state. */
void replica_steps_told(void *arg, enum enroll_step_id id,
                        const struct enroll_step *step);
/* What struct enroll_ops has for it; the agent is asked over its socket. */
int replica_steps_reload(void *arg, char *text, size_t room, struct err *err);
/* Ctrl-C lets the step that runs come to its end, and is then seen here. */
void replica_steps_catch_interrupt(void);
bool replica_steps_interrupted(void *arg);

struct config_replica;
/* The remedy of the error's number, with the names of this replica: a new
 * string; NULL: out of memory. */
char *replica_steps_remedy(const struct replica_steps *s,
                           const struct config_replica *r,
                           const struct err *err);
/* With --json: {"replica", "steps", ..., "error"}; `more` (may be NULL) is
 * taken.  Without, the error alone.  The hint is that of the error's number
 * when it is NULL.  Returns the exit code. */
int replica_steps_end(struct replica_steps *s, const struct config_replica *r,
                      json_t *more, const struct err *err, const char *hint);
