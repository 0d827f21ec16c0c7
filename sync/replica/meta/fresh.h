/* SPDX-License-Identifier: MIT
 *
 * fresh: keeps META_DIR/freshness.
 *
 * Its time T says that every change the primary made before T is here, and it
 * must be true after a power loss, too: the file is whole then, and T not ahead
 * of what is on the disk (an older T is good).
 *
 * A text is on disk before it gets the name.  The time alone is set without a
 * sync, so a heartbeat costs none; a new sequence costs one, at most one a
 * second.  Where acknowledgements are durable T never is ahead.  A relaxed
 * session's values may be in memory alone: when some came since, T waits until
 * a thread of its own has made them durable, every FRESH_RELAXED_S at most.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "sync/replica/meta/meta.h"

enum { FRESH_RELAXED_S = 5 };

struct fresh {
    int meta_fd; /* borrowed */
    int sync_fd; /* of our own: a file system tells an error once to each */
    struct small_how how;
    const atomic_uint_fast64_t *changes; /* grows with each change here */
    bool relaxed;
    pthread_mutex_t mutex;      /* guards what follows, and the file */
    struct meta_freshness text; /* what the file says; epoch 0: not known */
    int64_t text_ms;            /* when it was written */
    uint64_t synced;            /* `changes` that are durable */
    /* relaxed: what the thread is to write */
    struct meta_freshness wanted;
    bool waiting;
    struct err trouble; /* with the last */
    bool lost; /* a sync failed: what a later one says proves nothing */
    bool stop;
    bool started;
    pthread_t thread;
    pthread_cond_t wake;
};

/* `changes` is borrowed for life.  ERR_* when the directory cannot be opened.
 */
int fresh_init(struct fresh *f, const struct meta *m,
               const struct meta_modes *modes,
               const atomic_uint_fast64_t *changes, struct err *err) MUSTCHECK;
/* A session begins: what it acknowledges is durable, or relaxed. */
int fresh_begin(struct fresh *f, bool relaxed, struct err *err) MUSTCHECK;
/* Every change before now->fresh_ns is applied here; fresh_ns <= 0 leaves the
 * time that is there.  One thread at a time.  What the relaxed thread failed at
 * is told by the calls that follow. */
int fresh_report(struct fresh *f, const struct meta_freshness *now,
                 struct err *err) MUSTCHECK;
/* What waits is written first.  Accepts what was not begun. */
void fresh_deinit(struct fresh *f);
