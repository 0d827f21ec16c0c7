/* SPDX-License-Identifier: MIT
 *
 * stalled: keys that do not get on for long, and what may go on without them.
 *
 * A key that stays locked, that the agent has no permission to read, or that
 * changes each time while it is read, keeps its places in the log; so does one
 * that the replica refuses again and again (its disk is full, the file cannot
 * be replaced), or that a reader there holds a lock on.  Waiting for it in
 * order would stop every comparison and, with enough of them, fill the window.
 * So after a while its unsent flights are *stalled*: they keep their sequences,
 * so the watermark does not pass them and no barrier is passed too early, but
 * the window does not count them and a comparison does not wait for them.
 *
 * A comparison that ends without them has not shown that the replica holds
 * what these keys held before: one of them may be older there than any
 * sequence in the log tells.  So those flights are marked *passed*, and while
 * there is one nothing is claimed for the replica, neither freshness nor a
 * barrier.  They end as any flight does: the key is read, sent, acknowledged.
 * Which they are, and why, is told by uncompared.c. */
#include "sync/primary/primary_impl.h"

enum {
    ERRORS_BEFORE = 2,       /* looks in a row that ended in an error */
    CHANGES_BEFORE = 2,      /* reads in a row under which it changed */
    BUSY_BEFORE_MS = 2000,   /* of waiting for the lock */
    REFUSALS_BEFORE = 2,     /* by the replica */
    BLOCKED_BEFORE_MS = 5000 /* by a reader there: most read for less */
};

static bool is_held_up(const struct primary *p, const struct record *rec)
{
    return rec->read.changed >= CHANGES_BEFORE ||
           (rec->read.unreadable != 0 && rec->read.tries >= ERRORS_BEFORE) ||
           (rec->read.blocked_ms != 0 &&
            p->now_ms - rec->read.blocked_ms >= BUSY_BEFORE_MS);
}

bool stalled_is_refused(const struct flight *f)
{
    return f->refusals >= REFUSALS_BEFORE;
}

static void stall(struct repl *r, struct flight *f)
{
    if (!f->stalled) {
        f->stalled = true;
        r->flights.stalled++;
    }
}

/* With what waits for it: else the window fills with that. */
static void stall_all(struct repl *r, struct flight *f)
{
    stall(r, f);
    for (struct flight *o = f->rec->flights; o != NULL; o = o->rec_next) {
        if (o->replica == r->id && o->state == FLIGHT_BEHIND) {
            stall(r, o);
        }
    }
}

void stalled_refused(struct repl *r, struct flight *f)
{
    if (stalled_is_refused(f)) {
        stall_all(r, f);
    }
}

void stalled_blocked(const struct primary *p, struct repl *r, struct flight *f)
{
    if (f->blocked_ms != 0 && p->now_ms - f->blocked_ms >= BLOCKED_BEFORE_MS) {
        stall_all(r, f);
    }
}

/* Of all the replica's flights of the key, one is under way there. */
static bool is_sent(const struct record *rec, int replica)
{
    for (const struct flight *f = rec->flights; f != NULL; f = f->rec_next) {
        if (f->replica == replica && f->state == FLIGHT_SENT) {
            return true;
        }
    }
    return false;
}

/* Its last try was in vain, and cost so much that the next one waits. */
static bool is_resting(const struct flight *f)
{
    return f->state == FLIGHT_BACKOFF && f->changed;
}

void stalled_note(struct primary *p, struct record *rec)
{
    if (!is_held_up(p, rec)) {
        return;
    }
    for (struct flight *f = rec->flights; f != NULL; f = f->rec_next) {
        bool waits = f->state == FLIGHT_WAIT || is_resting(f) ||
                     (f->state == FLIGHT_BEHIND && !is_sent(rec, f->replica));
        if (waits) {
            stall(p->repl[f->replica], f);
        }
    }
}

void stalled_clear(struct repl *r, struct flight *f)
{
    if (f->stalled) {
        f->stalled = false;
        r->flights.stalled--;
    }
}

void stalled_end(struct repl *r, struct flight *f)
{
    stalled_clear(r, f);
    if (f->passed) {
        f->passed = false;
        r->flights.passed--;
    }
}

/* It waits for an earlier flight of its key, which is stalled. */
bool stalled_waits(struct repl *r, struct flight *f)
{
    const struct flight *o = f->state == FLIGHT_BEHIND ? f->rec->flights : NULL;

    while (o != NULL && !(o->stalled && o->replica == f->replica)) {
        o = o->rec_next;
    }
    if (o != NULL) {
        stall(r, f);
    }
    return o != NULL;
}

void stalled_pass(struct repl *r, uint64_t barrier)
{
    struct flight *f;

    DL_FOREACH(r->flights.list, f) {
        if (f->stalled && f->seq <= barrier && !f->passed) {
            f->passed = true;
            r->flights.passed++;
        }
    }
}

void stalled_changed(struct primary *p, struct record *rec)
{
    if (rec->read.changed == 0) {
        rec->read.changed_ms = p->now_ms;
        DL_APPEND2(p->hot, rec, read.hot_prev, read.hot_next);
    }
    if (rec->read.changed < UINT16_MAX) {
        rec->read.changed++;
    }
    stalled_note(p, rec);
}

void stalled_still(struct primary *p, struct record *rec)
{
    if (rec->read.changed > 0) {
        DL_DELETE2(p->hot, rec, read.hot_prev, read.hot_next);
        rec->read.changed = 0;
        rec->read.changed_ms = 0;
    }
}
