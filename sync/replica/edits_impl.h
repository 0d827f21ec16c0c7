/* SPDX-License-Identifier: MIT
 *
 * edits_impl: what the two files of edits share: edits.c, the thread, and
 * edits_settle.c, which the scanner calls. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "sync/index/scan.h"
#include "sync/replica/edits/edit_names.h"
#include "sync/replica/edits/edit_watch.h"
#include "sync/replica/receive.h"

struct edits {
    struct edit_watch *watch;
    struct receive *rv;
    pthread_t thread;
    bool started;
    int wake_fd;
    atomic_bool stop, indexed;
    atomic_bool job_out;  /* the scanner has one */
    atomic_bool told_sys; /* what cannot be watched was said */
    atomic_bool lost;     /* until it is over nothing is claimed */
    atomic_int_fast64_t scan_ended_ms, scan_took_ms;
    struct edit_names names;
    pthread_mutex_t mutex;  /* of `left` */
    struct edit_names left; /* found by a scan of ours */
    bool noisy;             /* `lost`, because of our own work alone */
    int64_t lost_ms;        /* since when; 0: not */
    int64_t calm_ms;        /* next look whether it rests */
    uint64_t changes;       /* disk's counter at the last */
    bool calm;
};

struct edits_job {
    bool scan;               /* look at everything */
    struct edit_name *names; /* or settle these */
};

/* How the index knows what has the name. */
struct scan_name edits_scan_name(const struct edit_name *name,
                                 const struct index *ix);
/* Once: why some or all of it cannot be watched. */
void edits_say_unwatched(struct edits *e, int sys);
/* The thread looks whether there is something to do. */
void edits_wake(const struct edits *e);
