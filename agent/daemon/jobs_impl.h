/* SPDX-License-Identifier: MIT
 *
 * jobs_impl: the parts of jobs, lowest first: job_target.c (one replica's part
 * of a job), jobs_compare.c (verify, resync), jobs_wait.c (why a wait is not
 * over), jobs.c (life of a job, barriers).  Not for others.
 */
#pragma once

#include "agent/daemon/jobs.h"
#include "agent/read/met.h"

enum job_phase {
    JOB_MARKER,  /* until what happened before has been hinted */
    JOB_SCAN,    /* our own scan */
    JOB_SCANNED, /* until what happened before its end has been hinted */
    JOB_RUN,     /* barrier, or comparisons */
    JOB_ENDED,   /* closing */
};

struct job_target {
    char *name;
    bool done;
    bool failed;
    struct err err;
    int64_t down_since_ms; /* no session since, 0: there is one */
    int64_t asked_end_ms;  /* the last attempt's end when the job was asked */
    /* of a wait that asks the replica, too */
    uint64_t ping;   /* the question's number, 0: not asked */
    int64_t trip_ns; /* until its answer */
    /* of a comparison */
    uint64_t compare; /* id, 0: not begun */
    json_t *names;
    json_t *uncompared;         /* what it ended without, NULL: not known yet */
    struct compare_result last; /* its pointers are not used */
    const char *phase;
    bool told; /* progress has had the names */
};

struct job {
    struct job *prev, *next;
    struct daemon *daemon;
    struct job_events on;
    void *arg;
    bool cancelled;
    bool asks; /* passed is not enough: the replica has to answer */
    bool is_compare;
    enum job_compare what;
    bool content;
    bool recorded;
    bool done_asked; /* `done` is to be called by the timer */
    int exit_code;
    enum job_phase phase;
    bool marker_set;
    uint64_t marker;
    bool scan_asked;
    int64_t scan_after_ms; /* not before */
    struct met *met;       /* what our scan met; NULL: there is none */
    struct err unread;     /* code 0, or what our scan could not read */
    uint64_t barrier;
    int64_t began_ms;
    int64_t began_ns;
    int64_t deadline_ms; /* INT64_MAX: none */
    uv_timer_t timer;    /* progress */
    struct job_target targets[PRIMARY_REPLICAS_MAX];
    size_t count;
};

/* job_target.c */
/* One more, but for one that is there already.  False: out of memory. */
bool target_add(struct job *j, const char *name) MUSTCHECK;
void target_deinit(struct job_target *t);
void target_fail(struct job_target *t, const struct err *err);
/* ERROR, or null when its code is 0. */
json_t *job_error(const struct job *j, const char *replica,
                  const struct err *err);
/* What it is about, in a few words. */
const char *target_stands(const struct job *j, const struct job_target *t);

/* jobs_compare.c */
/* Takes nothing: the keys are the core's. */
json_t *uncompared_json(const struct job *j, const char *replica,
                        const struct uncompared_key *keys, size_t n);
/* Go on with those that are not done.  True: all are, *good_out: well. */
bool compare_job_step(struct job *j, bool *good_out) MUSTCHECK;
/* The time is over: those that are not done fail, with what is missing. */
void compare_expire(struct job *j);
json_t *compare_target_json(const struct job *j, const struct job_target *t,
                            bool end);
const char *compare_mode_word(const struct job *j);
void compare_drop(struct job *j);

/* jobs_wait.c */
/* `end`: with the reason why it is not done, and what is not there. */
json_t *wait_target_json(struct job *j, const struct job_target *t, bool end);
