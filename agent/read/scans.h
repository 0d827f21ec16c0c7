/* SPDX-License-Identifier: MIT
 *
 * scans: runs scans of the database (and saves of the index) one at a time on a
 * worker thread of its own, and walks that find names on another.
 *
 * Requests that are not begun yet are merged; one that comes while a scan runs
 * gets the next scan, so that everything that happened before the request is
 * seen.  What a scan could not settle is handed on as hints, in batches; when
 * there are too many they are dropped and `missed` is called instead.
 * All callbacks come on the loop's thread.  The index is borrowed for life.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "agent/identity/root.h"
#include "sync/index/scan.h"
#include "sync/primary/primary.h"

struct scans;

/* How a scan ended. */
struct scan_report {
    int rc;         /* of scan_run() */
    struct err err; /* when rc < 0 */
    struct scan_result result;
    const struct passed *passed; /* when rc is 0; borrowed during the call */
    bool content;
    int64_t began_wall_ns;
    int64_t took_ms;
};
typedef void (*scans_done_fn)(void *arg, const struct scan_report *report);

struct scans_events {
    /* A scan has ended; called before those who asked are told. */
    void (*ended)(void *arg, const struct scan_report *report);
    /* Look at this key (key NULL: at this table). */
    void (*hint)(void *arg, struct bytes table, const struct bytes *key);
    /* Before `hint`: the index was not true about it, and is now.  May be
     * NULL. */
    void (*changed)(void *arg, struct bytes table, const struct bytes *key);
    /* Look at this key: the first scan left it unread. */
    void (*skipped)(void *arg, struct bytes table, struct bytes key);
    /* Hints were dropped: compare instead. */
    void (*missed)(void *arg);
    /* A walk's results, as primary_walk_found() and primary_walk_ended();
     * `room` tells how many names may be reported now. */
    size_t (*walk_room)(void *arg, uint64_t id);
    void (*walk_found)(void *arg, uint64_t id, struct digest name,
                       bool is_table, struct bytes table, struct bytes key);
    void (*walk_ended)(void *arg, uint64_t id, bool complete,
                       const struct err *err);
};

/* NULL: out of memory. */
struct scans *scans_new(uv_loop_t *loop, struct index *ix,
                        const struct scans_events *events, void *arg);
void scans_set_root(struct scans *s, struct root *root);
void scans_set_settle(struct scans *s, int64_t settle_ms);

/* Ask for a scan.  first: the one at start, whose changes need no hints (the
 * comparison on connect finds them).  `done` (may be NULL) is called when a
 * scan begun after this call has ended; it may be forgotten again by its
 * argument.  A lost root ends it with ERR_GONE. */
void scans_ask(struct scans *s, bool content, bool first, scans_done_fn done,
               void *done_arg);
void scans_forget(struct scans *s, void *done_arg);
/* The first scan runs, and may leave keys unread. */
bool scans_skipping(const struct scans *s);
/* How many it may leave: primary_skip_room(); -1 until it is told, and after
 * each scan. */
void scans_set_skip_room(struct scans *s, int64_t room);
/* A scan waits or runs. */
bool scans_busy(const struct scans *s);
/* One waits that is not begun yet. */
bool scans_waiting(const struct scans *s);
/* Keys the running scan has seen. */
uint64_t scans_progress(const struct scans *s);

/* Save the index to dir_fd/file (borrowed until done) on the pool. */
typedef void (*scans_saved_fn)(void *arg, int rc, const struct err *err);
void scans_save(struct scans *s, int dir_fd, const char *file,
                const struct index_ident *ident, scans_saved_fn saved,
                void *arg);
bool scans_saving(const struct scans *s);

/* Walk; `filter` is for primary_walk_wants() and stays until walk_ended. */
void scans_walk(struct scans *s, uint64_t id, const void *filter);
void scans_walk_stop(struct scans *s, uint64_t id);
/* There may be room again. */
void scans_walk_pump(struct scans *s);

/* Stop everything; no callback follows; `freed` when the threads are gone. */
void scans_free(struct scans *s, void (*freed)(void *arg), void *arg);
