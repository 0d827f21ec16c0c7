/* SPDX-License-Identifier: MIT
 *
 * watch: sees that something happened to a key or a table, with inotify.
 *
 * It owns an inotify descriptor on a uv_poll_t and one watch per directory of
 * the database (root, tables, plain directories; not META_DIR, not what is
 * mounted in it).  A new directory is watched first and listed then, so nothing
 * written into it is missed; large ones are listed on the pool, one piece at a
 * time.  One that moves is listed anew, for its new name and for the one it had
 * (watch_move.c).  What it reports are hints: the file is the truth.  It reads
 * no values and knows nothing of replicas.
 *
 * Loop thread only.  The db is borrowed until watch_stop() or watch_free().
 * Callbacks must not call watch_start(), watch_stop() or watch_free().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "store/base/err.h"
#include "store/layout/db.h"
#include "sync/primary/primary.h"

struct watch;

struct watch_events {
    /* Something happened to a key. */
    void (*key)(void *arg, const char *table, size_t table_len, const char *key,
                size_t key_len, enum hint why);
    /* A key was in this table before that moved: it may be gone, or another. */
    void (*moved)(void *arg, const char *table, size_t table_len,
                  const char *key, size_t key_len);
    /* A table's directory appeared, went or moved. */
    void (*table)(void *arg, const char *table, size_t table_len);
    /* A directory with tables leaves its name other than by being removed. What
     * they held is told under the old names, and the new ones, when it has been
     * listed: before the marker of now (watch_marker()) is passed. */
    void (*moving)(void *arg);
    /* That cannot be: it left the database, or was not watched, and there is no
     * way to list it.  Or a new directory could not be looked into.  What came
     * and what is gone has to be found by a scan. */
    void (*moved_out)(void *arg);
    /* Events were lost.  The watch is putting its own directories in order;
     * what happened to keys has to be found by a scan. */
    void (*overflow)(void *arg);
    /* The root was moved, removed or unmounted: the watch has stopped. */
    void (*root_lost)(void *arg, const char *why);
    /* Everything that happened before wall_ns (CLOCK_REALTIME) in watched
     * directories has been reported, contents of directories that came or moved
     * included.  While such are listed all the time it goes on being called,
     * with the time before the listings that have ended. */
    void (*drained)(void *arg, int64_t wall_ns);
    /* No listing is waiting or running any more. */
    void (*idle)(void *arg);
    /* A directory cannot be watched; told once until it could be again. */
    void (*trouble)(void *arg, const struct err *err);
};

struct watch_counts {
    uint64_t events;
    uint64_t overflows;
    uint64_t temps;     /* events about writers' temporaries */
    uint64_t ignored;   /* events about names that are no key or table */
    size_t directories; /* known */
    size_t tables;
    size_t watched;    /* directories with a watch */
    size_t unwatched;  /* directories - watched: need polling */
    size_t unreadable; /* directories that may not be read, last seen */
};

/* NULL: out of memory. */
struct watch *watch_new(uv_loop_t *loop, const struct watch_events *events,
                        void *arg);
/* Watch the database: all directories are watched and listed (without hints:
 * the first scan tells what they hold), then `settled` is called.  0, also when
 * inotify's limits leave directories unwatched (see `trouble`); ERR_NOMEM,
 * ERR_GONE.  Not while it is started. */
int watch_start(struct watch *w, const struct db *db,
                struct err *err) MUSTCHECK;
/* Forget everything; watch_start() may follow. */
void watch_stop(struct watch *w);
/* `freed` is called when the last handle is closed. */
void watch_free(struct watch *w, void (*freed)(void *arg), void *arg);

/* Report everything that is in the queue now. */
void watch_drain(struct watch *w);
/* A removed root tells nothing while a descriptor keeps it alive, and nor does
 * what is mounted over it: look whether the path still leads there. */
void watch_check_root(struct watch *w);
/* Walk all directories again: watch what is missing, drop what is gone. */
void watch_resync(struct watch *w);

/* A marker: watch_drain() first; when the marker has been passed, everything
 * that happened before has been reported, contents of new directories
 * included. */
uint64_t watch_marker(const struct watch *w);
bool watch_marker_passed(const struct watch *w, uint64_t marker);

void watch_counts(const struct watch *w, struct watch_counts *out);
