/* SPDX-License-Identifier: MIT
 *
 * coverage: was everything seen?
 *
 * What the agent claims (lag, equal as of, verify) rests on this: events tell
 * of every change since the watches were in place, and a scan has told of what
 * was before.  Where events were lost, or a directory moved away, that is a
 * scan that is due: nothing is claimed until a scan that began afterwards has
 * ended.  What can not be watched or read is never covered by events; scans are
 * repeated.
 *
 * Pure: no clock, no loop.  The daemon says what happened, does what it is
 * answered, and asks.  A scan that is to wait for the watches (they are put in
 * order first: what is written into a directory between the scan's look at it
 * and its watch, nobody would see) is begun when coverage_waits() and these
 * have settled.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { COVERAGE_POLL_MS = 3000, COVERAGE_FAILED_MS = 10 * 1000 };

/* How far the start has come, or the return of a lost root. */
enum root_state {
    ROOT_LOST,     /* not there, or not ours: tried again every second */
    ROOT_WATCHING, /* watches are being put in place */
    ROOT_HERE,
};

/* coverage.c alone writes these; zero: nothing has happened yet. */
struct coverage {
    enum root_state root;
    bool root_seen;    /* it was here once */
    bool root_missed;  /* it was said to be lost, and is not back yet */
    bool suspect;      /* a read says that the root is not ours */
    bool scanned;      /* the first scan is done */
    bool index_ready;  /* the index is true but for what events tell of */
    bool scan_due;     /* until it is over nothing is claimed */
    bool waits;        /* ... and begins when the watches have settled */
    bool notes_missed; /* of the running scan: what it put is not told */
    uint64_t unread;   /* tables and directories that the last one could not */
    int64_t ended_ms, took_ms; /* the last scan */
    int64_t next_ms;           /* when one is due anyway; 0: never */
};

/* --- the root ------------------------------------------------------------ */
/* It is open, and the watches are being put in place. */
void coverage_root_found(struct coverage *c);
struct coverage_back {
    bool was_missed; /* who was told that it is lost is to be told */
    bool was_here;   /* events of the time between are lost */
};
struct coverage_back coverage_root_here(struct coverage *c);
void coverage_root_lost(struct coverage *c);
/* A read found another root.  What is to be done waits: ..._take_suspect()
 * tells once. */
void coverage_suspect(struct coverage *c);
bool coverage_take_suspect(struct coverage *c);

/* --- events and scans ---------------------------------------------------- */
/* The index is not true any more. */
void coverage_stale(struct coverage *c);
/* A scan is due (`scan_due`: nothing is claimed before) when the watches are in
 * order. */
void coverage_wait(struct coverage *c, bool scan_due);
/* A scan is asked for now; every_ms: the pause between those due anyway, 0:
 * none are.  Returns true for the first one (scans_ask()). */
bool coverage_scan(struct coverage *c, bool scan_due, int64_t now_ms,
                   int64_t every_ms);
/* The pause has changed. */
void coverage_every(struct coverage *c, int64_t now_ms, int64_t every_ms);
/* Hints of the running scan were dropped. */
void coverage_notes_missed(struct coverage *c);
void coverage_scan_failed(struct coverage *c, int64_t now_ms, int64_t took_ms);

struct coverage_scan {
    uint64_t incomplete; /* tables and directories that it could not read */
    bool moved;          /* tables moved under its hands */
    bool another;        /* one that was asked for later waits */
    int64_t took_ms;
};
/* What is to be done now, in this order. */
struct coverage_next {
    bool moved;    /* put the watches in order: it saw tables twice */
    bool readable; /* ... what could not be read can be again */
    bool ready;    /* the index is ready */
};
struct coverage_next coverage_scan_ended(struct coverage *c, int64_t now_ms,
                                         const struct coverage_scan *scan);

/* --- questions ----------------------------------------------------------- */
bool coverage_waits(const struct coverage *c);
/* Nothing is due: status says "ok". */
bool coverage_complete(const struct coverage *c);
/* Everything was seen up to the last event, but for directories without a
 * watch: these as of the last scan's beginning. */
bool coverage_scanned_all(const struct coverage *c);
/* ... and there are no such directories. */
bool coverage_sees_all(const struct coverage *c, uint64_t unwatched);
/* Put the watches in order and scan, for time has passed: the configured pause
 * (tells once), or what has no watch or could not be read is looked at again.
 */
bool coverage_due(struct coverage *c, int64_t now_ms);
bool coverage_poll_due(const struct coverage *c, uint64_t unwatched,
                       int64_t now_ms);
