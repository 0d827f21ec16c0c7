/* SPDX-License-Identifier: MIT
 *
 * edits_impl: what the files of edits share: edits.c, the thread;
 * edits_settle.c, which the scanner calls; and edits_odd.c, what is no value,
 * for both. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "sync/index/scan.h"
#include "sync/replica/edits/edit_mounts.h"
#include "sync/replica/edits/edit_names.h"
#include "sync/replica/edits/edit_odd.h"
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
    pthread_mutex_t mutex;  /* of `left` and `odds` */
    struct edit_names left; /* found by a scan of ours */
    struct edit_odds odds;  /* cannot be read */
    int64_t odd_looked_ms;
    struct edit_mounts mounts;
    bool noisy;       /* `lost`, because of our own work alone */
    int64_t lost_ms;  /* since when; 0: not */
    int64_t calm_ms;  /* next look whether it rests */
    uint64_t changes; /* disk's counter at the last */
    bool calm;
};

struct edits_job {
    bool scan;               /* look at everything */
    struct edit_name *names; /* or settle these */
};

/* How the index knows what has the name. */
struct scan_name edits_scan_name(const struct edit_name *name,
                                 const struct index *ix);
/* Is the entry that of its evidence?  False: there is none. */
bool edits_same_entry(struct index *ix, const struct scan_name *at,
                      const struct edit_name *name);
/* Once: why some or all of it cannot be watched. */
void edits_say_unwatched(struct edits *e, int sys);
/* Something came to `name` in the directory `dir`: is it foreign? */
void edits_odd_look(struct edits *e, const char *dir, const char *name);
/* The same for a key whose name neither the index nor the disk has a value of
 * (a table: nothing). */
void edits_odd_look_key(struct edits *e, const struct scan_name *at);
/* Is what cannot be read as it was?  True: only a scan can tell. */
bool edits_odd_check(struct edits *e, int64_t now_ms);
/* Tell the agent, when it knows something else. */
void edits_odd_tell(struct edits *e);
/* Until the next look; -1: nothing is known. */
int edits_odd_pause_ms(struct edits *e);
/* The thread looks whether there is something to do. */
void edits_wake(const struct edits *e);
