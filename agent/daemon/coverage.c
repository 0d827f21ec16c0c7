/* SPDX-License-Identifier: MIT
 *
 * coverage: see coverage.h. */
#include "agent/daemon/coverage.h"

enum { POLL_FACTOR = 5 /* a scan may take a sixth of the time */ };

/* --- the root ------------------------------------------------------------ */

void coverage_root_found(struct coverage *c)
{
    c->root = ROOT_WATCHING;
}

struct coverage_back coverage_root_here(struct coverage *c)
{
    struct coverage_back back = {.was_missed = c->root_missed,
                                 .was_here = c->root_seen};

    c->root = ROOT_HERE;
    c->root_seen = true;
    c->root_missed = false;
    return back;
}

void coverage_root_lost(struct coverage *c)
{
    c->root = ROOT_LOST;
    c->waits = false;
    c->root_missed = true;
}

void coverage_suspect(struct coverage *c)
{
    c->suspect = c->suspect || c->root == ROOT_HERE;
}

bool coverage_take_suspect(struct coverage *c)
{
    bool was = c->suspect;

    c->suspect = false;
    return was;
}

/* --- events and scans ---------------------------------------------------- */

void coverage_stale(struct coverage *c)
{
    c->index_ready = false;
}

void coverage_wait(struct coverage *c, bool scan_due)
{
    c->scan_due = c->scan_due || scan_due;
    c->waits = true;
}

bool coverage_scan(struct coverage *c, bool scan_due, int64_t now_ms,
                   int64_t every_ms)
{
    c->scan_due = c->scan_due || scan_due;
    c->waits = false;
    if (every_ms > 0) {
        c->next_ms = now_ms + every_ms;
    }
    return !c->scanned;
}

void coverage_every(struct coverage *c, int64_t now_ms, int64_t every_ms)
{
    c->next_ms = every_ms > 0 ? now_ms + every_ms : 0;
}

void coverage_notes_missed(struct coverage *c)
{
    c->notes_missed = true;
}

void coverage_scan_failed(struct coverage *c, int64_t now_ms, int64_t took_ms)
{
    c->ended_ms = now_ms;
    c->took_ms = took_ms;
    if (c->root == ROOT_HERE) {
        c->next_ms = now_ms + COVERAGE_FAILED_MS;
    }
}

/* A table that moves under a scan's hands leaves entries under the name it had.
 * The notes of them take these out again; the first scan makes none. */
static bool saw_twice(struct coverage *c, const struct coverage_scan *scan)
{
    bool untold = !c->scanned || c->notes_missed;

    c->notes_missed = false;
    return scan->moved && untold && c->root == ROOT_HERE;
}

/* Tables that cannot be read raise no event when they can be again, and what
 * was written there meanwhile raised none either. */
static bool can_read_again(struct coverage *c, const struct coverage_scan *scan)
{
    bool was = c->unread > 0;

    c->unread = scan->incomplete;
    return was && c->unread == 0;
}

struct coverage_next coverage_scan_ended(struct coverage *c, int64_t now_ms,
                                         const struct coverage_scan *scan)
{
    struct coverage_next next = {.ready = false};

    c->ended_ms = now_ms;
    c->took_ms = scan->took_ms;
    /* One that waits was asked for after this one began. */
    if (!scan->another && !c->waits) {
        c->scan_due = false;
    }
    next.moved = saw_twice(c, scan);
    next.readable = can_read_again(c, scan);
    if (next.moved || next.readable) {
        coverage_wait(c, true);
    }
    c->scanned = true;
    if (!c->index_ready && !c->scan_due) {
        c->index_ready = next.ready = true;
    }
    return next;
}

/* --- questions ----------------------------------------------------------- */

bool coverage_waits(const struct coverage *c)
{
    return c->waits;
}

bool coverage_complete(const struct coverage *c)
{
    return c->index_ready && c->root == ROOT_HERE && !c->scan_due;
}

bool coverage_scanned_all(const struct coverage *c)
{
    return c->root == ROOT_HERE && !c->scan_due && c->unread == 0;
}

bool coverage_sees_all(const struct coverage *c, uint64_t unwatched)
{
    return unwatched == 0 && coverage_scanned_all(c);
}

bool coverage_due(struct coverage *c, int64_t now_ms)
{
    if (c->next_ms == 0 || now_ms < c->next_ms) {
        return false;
    }
    c->next_ms = 0;
    return true;
}

bool coverage_poll_due(const struct coverage *c, uint64_t unwatched,
                       int64_t now_ms)
{
    int64_t pause_ms = c->took_ms * POLL_FACTOR;

    if ((unwatched == 0 && c->unread == 0) || !c->index_ready || c->waits) {
        return false;
    }
    return now_ms - c->ended_ms >=
           (pause_ms > COVERAGE_POLL_MS ? pause_ms : COVERAGE_POLL_MS);
}
