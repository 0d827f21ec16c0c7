/* SPDX-License-Identifier: MIT
 *
 * sender: from a place in the change log to an acknowledgement.
 *
 * A *flight* is one change of one key on its way to one replica.  Life:
 *
 *   log place --take--> WAIT --looked--> READY --frame--> SENT --ack--> end
 *                         |                                 |
 *                         |  HELD: an earlier flight of     +--nak--> BACKOFF
 *                         |  this key is still SENT              (then WAIT)
 *                         +--looked: large--> LARGE (stream.c) --> SENT
 *
 * - At most one flight of a key is SENT per replica, so a replica can never
 *   install two versions in the wrong order.
 * - A flight keeps its sequence through refusals and reconnects, so the
 *   watermark never passes something that is not acknowledged.
 * - A key is looked at once for all replicas that are waiting; the encoded
 *   frame stays in the record while connected replicas still want it.
 * - A hint that comes while a key's frame waits for its turn makes the frame
 *   stale: it is looked at again when its turn comes, at most three times, so a
 *   key that changes faster than we can look still gets through.  What a stale
 *   frame does not account for follows in a flight with the sequence of the
 *   first hint it misses, so a barrier after that hint waits for it.
 * - The index is a member of the log with flights of its own that end at
 *   "looked": so it follows the database even with no replica connected. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "sync/primary/delivery/delivery.h"

enum {
    PIGGYBACK_MAX_MS = 1000,    /* then the index streams by itself */
    READ_BYTES_PER_MS = 100000, /* a local read is at least as fast */
};

/* --- lists --------------------------------------------------------------- */

static struct repl *repl_of(struct primary *p, const struct flight *f)
{
    return p->repl[f->replica];
}

static bool others_will_stream(struct primary *p, const struct flight *own)
{
    for (const struct flight *f = own->rec->flights; f; f = f->rec_next) {
        if (f->replica != own->replica && f->state != FLIGHT_SENT &&
            f->state != FLIGHT_PIGGYBACK && flight_live(p->repl[f->replica])) {
            return true;
        }
    }
    return false;
}

/* The value may be what the replica has: the index reads it for its digest,
 * which takes no longer than a local read, and a link may be much slower. */
static bool waits_for_digest(struct primary *p, const struct repl *r,
                             const struct flight *f)
{
    if (!f->rec->content.ask || f->whole || r->blank) {
        return false;
    }
    for (const struct flight *o = f->rec->flights; o != NULL; o = o->rec_next) {
        if (o->replica == p->index_id) {
            return true;
        }
    }
    return false;
}

/* The record's content is known: put one waiting flight where it belongs. */
static void place(struct primary *p, struct flight *f)
{
    struct repl *r = repl_of(p, f);

    if (r->is_index) {
        if (f->rec->content.kind != CONTENT_LARGE) {
            sender_known(p, f, flight_fresh(f->rec), f->rec->content.missed);
        } else if (!f->rec->content.ask && others_will_stream(p, f)) {
            flight_set(p, f, FLIGHT_PIGGYBACK);
            f->retry_ms = p->now_ms + PIGGYBACK_MAX_MS;
        } else {
            flight_set(p, f, FLIGHT_LARGE);
            stream_start(p, r);
        }
        return;
    }
    bool large = f->rec->content.kind == CONTENT_LARGE ||
                 (f->rec->content.kind == CONTENT_SAME && f->whole);
    if (!large) {
        flight_set(p, f, FLIGHT_READY);
    } else if (waits_for_digest(p, r, f)) {
        flight_set(p, f, FLIGHT_PIGGYBACK);
        f->retry_ms = p->now_ms + PIGGYBACK_MAX_MS +
                      (int64_t)(f->rec->content.size / READ_BYTES_PER_MS);
    } else {
        flight_set(p, f, FLIGHT_LARGE);
        stream_start(p, r);
    }
}

void sender_answer_ask(struct primary *p, struct record *rec,
                       const struct stream *read, const struct read_answer *l)
{
    if (rec->content.ask && l != NULL &&
        digest_equal(rec->content.digest, l->reading.digest)) {
        changelog_know(&p->log, rec, CONTENT_UNKNOWN);
        changelog_know(&p->log, rec, CONTENT_SAME);
        rec->content.covers = read->covers;
        rec->content.missed = read->missed;
    }
    rec->content.ask = false;
    for (struct flight *f = rec->flights; f != NULL; f = f->rec_next) {
        if (f->state == FLIGHT_PIGGYBACK && f->replica != p->index_id) {
            flight_set(p, f, FLIGHT_WAIT);
            place(p, f);
        }
    }
}

/* Content arrived: all flights that waited for it go on.  Replicas first, so
 * that the index sees whether somebody else streams a large value. */
void sender_place(struct primary *p, struct record *rec)
{
    struct flight *own = NULL, *next;

    for (struct flight *f = rec->flights; f != NULL; f = next) {
        next = f->rec_next;
        if (f->state != FLIGHT_WAIT || !flight_can_take(repl_of(p, f))) {
            continue;
        }
        if (repl_of(p, f)->is_index) {
            own = f;
        } else {
            place(p, f);
        }
    }
    if (own != NULL) {
        place(p, own); /* may free the record: last */
        return;
    }
    flight_trim(p, rec);
    flight_release(p, rec);
}

/* --- hints and places ---------------------------------------------------- */

bool sender_hint(struct primary *p, struct record *rec, uint64_t mask,
                 enum hint why)
{
    int64_t now_us = p->config.clock_us != NULL ? p->config.clock_us() : 0;

    rec->hints++;
    rec->why = (uint8_t)why;
    rec->made = false; /* unless the caller knows better */
    bool noted = changelog_add(&p->log, rec, mask, p->now_ms, now_us);
    if (!noted) {
        struct repl *r;
        EACH_REPL(p, r) {
            due_now(p, r); /* no memory for the log: compare instead */
        }
    }
    read_missed(p, rec, now_us);
    refused_hinted(p, rec);
    if (rec->read.retrying) {
        read_want(p, rec);
    }
    return noted;
}

static uint64_t audience(struct primary *p)
{
    uint64_t mask = 0;
    struct repl *r;

    EACH_REPL(p, r) {
        if (!r->forgotten) {
            mask |= repl_bit(r);
        }
    }
    return mask;
}

bool sender_hint_all(struct primary *p, struct record *rec, enum hint why)
{
    return sender_hint(p, rec, audience(p), why);
}

void sender_invalidate(struct primary *p)
{
    struct record *rec, *next;

    HASH_ITER(hh, p->log.records, rec, next) {
        uint64_t mask = rec->pending;
        for (const struct flight *f = rec->flights; f; f = f->rec_next) {
            mask |= UINT64_C(1) << f->replica;
        }
        sender_hint(p, rec, mask, HINT_FOUND);
    }
}

void sender_follow(struct primary *p, struct repl *r, struct record *rec,
                   struct missed missed, const struct flight *but)
{
    assert(missed.seq != 0);
    if (flight_due_before(rec, r->id, missed.seq, but)) {
        return;
    }
    struct flight *f = calloc(1, sizeof *f);
    if (f == NULL) {
        due_now(p, r); /* no memory: compare instead */
        return;
    }
    f->rec = rec;
    f->seq = missed.seq;
    f->time_ms = missed.time_ms;
    f->time_us = missed.time_us;
    flight_link(r, f);
    flight_set(p, f, FLIGHT_BEHIND);
    (void)stalled_waits(r, f);
}

void sender_known(struct primary *p, struct flight *f, bool fresh,
                  struct missed missed)
{
    if (!fresh && f->seq >= missed.seq) {
        read_want(p, f->rec); /* it was read before this flight */
        return;
    }
    if (!fresh) {
        sender_follow(p, repl_of(p, f), f->rec, missed, f);
    }
    flight_end(p, f);
}

void sender_resend(struct primary *p, struct repl *r)
{
    struct flight *f;

    DL_FOREACH(r->flights.list, f) {
        if (f->state == FLIGHT_BEHIND) {
            continue;
        }
        f->rec->hints++;
        read_missed(p, f->rec, 0);
        if (f->state == FLIGHT_SENT) {
            struct missed missed = {++p->log.tail_seq, p->now_ms, 0};
            sender_follow(p, r, f->rec, missed, NULL);
        }
    }
}

/* Start a flight for what the replica took from the log. */
static bool take_off(struct primary *p, struct repl *r)
{
    struct taken t;
    struct flight *f = calloc(1, sizeof *f);

    if (f == NULL || !changelog_take(&p->log, r->id, &t)) {
        free(f);
        return false;
    }
    f->rec = t.rec;
    f->seq = t.seq;
    f->time_ms = t.time_ms;
    f->time_us = t.time_us;
    bool held = false;
    for (const struct flight *o = t.rec->flights; o; o = o->rec_next) {
        held = held || o->replica == r->id;
    }
    flight_link(r, f);
    flight_set(p, f, held ? FLIGHT_BEHIND : FLIGHT_WAIT);
    if (held) {
        (void)stalled_waits(r, f);
    } else if (flight_fresh(f->rec)) {
        place(p, f);
    } else {
        read_want(p, f->rec);
    }
    return true;
}

/* Those that are stalled are outside the window, and cost memory as the log's
 * places do. */
static size_t flights_max(const struct primary *p)
{
    size_t most = p->config.log_max_bytes /
                  (sizeof(struct flight) + sizeof(struct record));

    return most < p->config.log_max_changes ? most : p->config.log_max_changes;
}

static bool has_room(struct primary *p, const struct repl *r)
{
    if (r->flights.count - r->flights.stalled >= p->config.window_changes ||
        r->flights.count >= flights_max(p) ||
        r->flights.window_bytes >= p->config.window_bytes) {
        return false;
    }
    return p->log.body_bytes < p->config.cache_max_bytes ||
           r->flights.ready_bytes == 0;
}

void sender_advance(struct primary *p, struct repl *r)
{
    if (!flight_live(r)) {
        return;
    }
    while (has_room(p, r) && changelog_next(&p->log, r->id) != NULL) {
        if (!take_off(p, r)) {
            return;
        }
    }
}

void sender_advance_all(struct primary *p)
{
    struct repl *r;

    EACH_REPL(p, r) {
        sender_advance(p, r);
    }
}

/* --- frames -------------------------------------------------------------- */

/* --- ends ---------------------------------------------------------------- */

/* An earlier flight of the key is over: the oldest held one may go. */
static void wake_held(struct primary *p, struct record *rec, int replica)
{
    struct flight *oldest = NULL;

    for (struct flight *f = rec->flights; f != NULL; f = f->rec_next) {
        if (f->replica == replica) {
            if (f->state != FLIGHT_BEHIND) {
                return;
            }
            if (oldest == NULL || f->seq < oldest->seq) {
                oldest = f;
            }
        }
    }
    if (oldest == NULL) {
        return;
    }
    flight_set(p, oldest, FLIGHT_WAIT);
    if (!flight_live(p->repl[replica])) {
        return;
    }
    /* The index looks anew: what it was told last may be older than the
     * content.  (And its flight must not end within another's end.) */
    if (flight_fresh(rec) && !p->repl[replica]->is_index) {
        place(p, oldest);
    } else {
        read_want(p, rec);
    }
}

void flight_end(struct primary *p, struct flight *f)
{
    struct record *rec = f->rec;
    int replica = f->replica;

    flight_unlink(p, f);
    free(f);
    if (rec->flights != NULL) {
        wake_held(p, rec, replica);
    }
    if (rec->flights == NULL || !flight_awaited(p, rec)) {
        flight_trim(p, rec);
    }
    flight_release(p, rec);
}

static struct flight *waiting_flight(const struct record *rec)
{
    struct flight *f = rec->flights;

    while (f != NULL && f->state != FLIGHT_WAIT) {
        f = f->rec_next;
    }
    return f;
}

void sender_end_waiting(struct primary *p, struct record *rec)
{
    struct flight *f;
    bool last = false;

    while (!last && (f = waiting_flight(rec)) != NULL) {
        last = rec->flights == f && f->rec_next == NULL && rec->nodes == NULL;
        flight_end(p, f);
    }
}

static void note_latency(struct primary *p, struct repl *r,
                         const struct flight *f)
{
    if (p->config.clock_us != NULL && f->time_us != 0 &&
        r->figures.latency != NULL) {
        latency_note(r->figures.latency, p->config.clock_us() - f->time_us);
    }
}

int sender_acked(struct primary *p, struct repl *r, uint64_t seq)
{
    struct flight *f = flight_sent(r, seq);

    if (f == NULL) {
        return 0;
    }
    note_latency(p, r, f);
    r->figures.acked++;
    r->session.ack_ms = p->now_ms;
    bool was_refused = f->refusals > 0;
    flight_end(p, f);
    if (was_refused && r->flights.refused > 0) {
        refused_taken(p, r);
    }
    return 1;
}

/* It has another value, or none, or not surely on disk: it gets the value at
 * once.  That is no failure. */
static void answer_whole(struct primary *p, struct flight *f)
{
    f->whole = true;
    flight_set(p, f, FLIGHT_WAIT);
    if (flight_fresh(f->rec)) {
        place(p, f);
    } else {
        read_want(p, f->rec);
    }
}

int sender_refused(struct primary *p, struct repl *r,
                   const struct wire_nak *nak)
{
    struct flight *f = flight_sent(r, nak->seq);
    bool streamed = f == NULL;

    if (f != NULL && f->asked) {
        answer_whole(p, f);
        return 1;
    }
    if (f == NULL) {
        /* The refusal of a large value that is still being streamed. */
        HASH_FIND(hh, r->flights.by_seq, &nak->seq, sizeof nak->seq, f);
        if (f != NULL && f->abort_ping != 0) {
            return 1; /* it crossed our abort */
        }
        if (f == NULL || f != r->stream.flight || !r->stream.begun) {
            return 0;
        }
        stream_drop(p, r);
    }
    int64_t retry_ms = refused_retry_ms(p, r, f);
    refused_note(p, r, f, nak);
    flight_set(p, f, FLIGHT_BACKOFF);
    f->retry_ms = retry_ms;
    f->rereads = 0;
    if (streamed) {
        stream_start(p, r); /* the next large value's turn */
    }
    stalled_refused(r, f);
    (void)err_set(&r->session.last_error, ERR_IO, 0, "%.*s", (int)nak->text.len,
                  (const char *)nak->text.p);
    r->session.last_error.id = f->refusal.dr;
    if (f->refusals == 1) {
        primary_log(p, r->id, LOG_WARNING, f->refusal.dr, "%s",
                    r->session.last_error.msg);
    }
    return 1;
}

void sender_abort_ping(struct primary *p, struct repl *r, struct flight *f)
{
    heartbeat_ping(p, r);
    f->abort_ping = r->flights.last_abort_ping = r->heartbeat.ping_id;
    flight_set(p, f, FLIGHT_BACKOFF);
    f->retry_ms = INT64_MAX;
}

void sender_ponged(struct primary *p, struct repl *r, uint64_t ping)
{
    struct flight *f;

    if (r->flights.last_abort_ping == 0) {
        return;
    }
    DL_FOREACH(r->flights.list, f) {
        if (f->abort_ping == 0 || f->abort_ping > ping) {
            continue;
        }
        f->abort_ping = 0;
        if (f->rest_ms > p->now_ms) {
            f->retry_ms = f->rest_ms;
            p->retry_ms = f->rest_ms < p->retry_ms ? f->rest_ms : p->retry_ms;
            continue;
        }
        flight_set(p, f, FLIGHT_WAIT);
        if (!f->rec->read.retrying) {
            read_want(p, f->rec);
        }
    }
    if (ping >= r->flights.last_abort_ping) {
        r->flights.last_abort_ping = 0;
    }
}

int sender_blocked(struct primary *p, struct repl *r,
                   const struct wire_blocked *m)
{
    struct flight *f = flight_sent(r, m->seq);

    if (f == NULL) {
        return 0;
    }
    size_t n =
        m->comm.len < sizeof f->comm - 1 ? m->comm.len : sizeof f->comm - 1;
    int64_t waited_ms =
        m->waited_ms > INT32_MAX ? INT32_MAX : (int64_t)m->waited_ms;
    f->blocked_ms = p->now_ms - waited_ms;
    if (f->blocked_ms == 0) {
        f->blocked_ms = 1;
    }
    f->pid = m->pid;
    memset(f->comm, 0, sizeof f->comm);
    if (n > 0) {
        memcpy(f->comm, m->comm.p, n);
    }
    stalled_blocked(p, r, f);
    return 1;
}

void sender_rewind(struct primary *p, struct repl *r)
{
    struct flight *f;

    stream_drop(p, r);
    r->flights.last_abort_ping = 0;
    DL_FOREACH(r->flights.list, f) {
        f->rereads = 0;
        f->abort_ping = 0;
        f->changed = false;
        if (f->state != FLIGHT_BEHIND) {
            flight_set(p, f, FLIGHT_WAIT);
        }
        flight_trim(p, f->rec);
        /* An index flight that rode on this replica's stream looks anew. */
        for (struct flight *o = f->rec->flights; o != NULL; o = o->rec_next) {
            if (o->state == FLIGHT_PIGGYBACK) {
                flight_set(p, o, FLIGHT_WAIT);
                read_want(p, f->rec);
            }
        }
    }
}

void sender_drop(struct primary *p, struct repl *r)
{
    sender_rewind(p, r);
    while (r->flights.list != NULL) {
        struct flight *f = r->flights.list;
        struct record *rec = f->rec;
        flight_unlink(p, f);
        free(f);
        flight_trim(p, rec);
        flight_release(p, rec);
    }
}

/* The session is live: what waits from before goes first. */
void sender_resume(struct primary *p, struct repl *r)
{
    struct flight *f, *next;

    if (!flight_live(r)) {
        return;
    }
    DL_FOREACH_SAFE(r->flights.list, f, next) {
        if (f->state == FLIGHT_WAIT) {
            if (flight_fresh(f->rec)) {
                place(p, f);
            } else {
                read_want(p, f->rec);
            }
        }
    }
    sender_advance(p, r);
}

/* --- time ---------------------------------------------------------------- */

/* Flights whose time has come: refused ones are tried again, and the index
 * waits no longer for a replica that makes no headway. */
static int64_t tick_flights(struct primary *p, struct repl *r)
{
    struct flight *f, *next;
    int64_t soonest = INT64_MAX;

    if (r->flights.timed == 0) {
        return soonest;
    }
    DL_FOREACH_SAFE(r->flights.list, f, next) {
        if (!flight_timed(f)) {
            continue;
        }
        if (f->retry_ms > p->now_ms) {
            soonest = f->retry_ms < soonest ? f->retry_ms : soonest;
            continue;
        }
        if (f->state == FLIGHT_PIGGYBACK) {
            flight_set(p, f, FLIGHT_LARGE);
            stream_start(p, r);
            continue;
        }
        flight_set(p, f, FLIGHT_WAIT);
        if (flight_live(r)) {
            read_want(p, f->rec);
        }
    }
    return soonest;
}

int64_t sender_tick(struct primary *p)
{
    int64_t soonest = INT64_MAX;
    struct repl *r;

    EACH_REPL(p, r) {
        int64_t at = tick_flights(p, r);
        soonest = at < soonest ? at : soonest;
    }
    return soonest;
}
