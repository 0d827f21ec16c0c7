/* SPDX-License-Identifier: MIT
 *
 * job_target: one replica's part of a job: its name, and how it failed. */
#include <stdlib.h>
#include <string.h>

#include "agent/config/hint_names.h"
#include "agent/daemon/jobs_impl.h"

bool target_add(struct job *j, const char *name)
{
    for (size_t i = 0; i < j->count; i++) {
        if (strcmp(j->targets[i].name, name) == 0) {
            return true;
        }
    }
    char *copy = strdup(name);
    if (copy == NULL) {
        return false;
    }
    j->targets[j->count++].name = copy;

    return true;
}

void target_deinit(struct job_target *t)
{
    free(t->name);
    json_decref(t->names);
    json_decref(t->uncompared);
}

void target_fail(struct job_target *t, const struct err *err)
{
    t->done = true;
    t->failed = true;
    t->err = *err;
    if (t->err.code == 0) {
        (void)err_set(&t->err, ERR_CLOSED, 0, "not connected");
    }
}

json_t *job_error(const struct job *j, const char *replica,
                  const struct err *err)
{
    const struct replica *r = replica_find(&j->daemon->replicas, replica);

    return hint_names_error(err, j->daemon->config,
                            r != NULL ? r->config : NULL);
}

const char *target_stands(const struct job *j, const struct job_target *t)
{
    switch (j->phase) {
    case JOB_MARKER:
        return "the agent is still reading the database";
    case JOB_SCAN:
    case JOB_SCANNED:
        return "the agent's own scan has not ended";
    case JOB_RUN:
    case JOB_ENDED:
        break;
    }
    return t->compare == 0    ? "there is no session with the replica"
           : t->phase != NULL ? t->phase
                              : "waiting";
}
