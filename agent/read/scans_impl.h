/* SPDX-License-Identifier: MIT
 *
 * scans_impl: what scans.c and scans_walk.c share.  Not for others.
 */
#pragma once

#include <stdatomic.h>

#include "agent/read/scans.h"
#include "store/base/buf.h"

struct waiter {
    struct waiter *prev, *next;
    bool content, first;
    bool with_scan; /* goes with the running scan */
    scans_done_fn done;
    void *arg;
};

/* One walk: the thread fills `names` up to `room` names, the loop empties it.
 */
struct walk_run {
    struct scans *scans;
    struct root *root;
    uint64_t id;
    const void *filter;
    uv_thread_t thread;
    uv_mutex_t lock;
    uv_cond_t cond;
    /* guarded by the lock: */
    struct buf names;
    size_t count; /* names in the buffer */
    size_t room;  /* so many more may be put in */
    bool stop, over;
    /* the thread's result, for the loop after `over` */
    bool complete;
    int rc;
    struct err err;
};

struct scans {
    uv_loop_t *loop;
    struct index *ix;
    struct scans_events on;
    void *arg;
    struct root *root;
    int64_t settle_ms;
    uv_async_t async;
    uv_mutex_t lock; /* guards notes and the rest up to skip_wait_ns */
    struct buf notes;
    bool notes_missed;
    bool scan_over;
    uv_cond_t room_cond;
    int64_t skip_room;    /* keys that may be left, -1: none ever */
    int64_t skip_noted;   /* of `notes`, not delivered yet */
    int64_t skip_wait_ns; /* what is left of the time to wait for room */
    /* the scan */
    struct waiter *waiters;  /* utlist DL */
    struct waiter **telling; /* those being told now */
    bool scanning;
    bool lost_answer; /* waiters get report without a scan */
    bool first;
    uint16_t number;
    atomic_int stop;
    atomic_uint_fast64_t keys_done;
    uv_thread_t thread;
    struct root *scan_root;
    struct scan_report report;
    struct passed passed;
    struct walk_run *walk;
    /* saving */
    uv_work_t save;
    bool saving;
    int save_fd;
    const char *save_file;
    struct index_ident save_ident;
    int save_rc;
    struct err save_err;
    scans_saved_fn saved;
    void *saved_arg;
    bool freeing;
    void (*freed)(void *arg);
    void *freed_arg;
};

void scans_try_free(struct scans *s);
