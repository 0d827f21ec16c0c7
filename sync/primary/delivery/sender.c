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

#include "sync/primary/primary_impl.h"

enum {
    RELOOKS_MAX = 3,
    BRAKED_MS = 50,
    READY_MAX_BYTES = 1 << 20,  /* frames waiting for one replica's turn */
    SAME_FROM_BYTES = 64,       /* a smaller value costs no more than to ask */
    RIDE_MAX_MS = 1000,         /* then the index streams by itself */
    READ_BYTES_PER_MS = 100000, /* a local read is at least as fast */
};

/* --- lists --------------------------------------------------------------- */

static bool is_fresh(const struct record *rec)
{
    return rec->content != CONTENT_UNKNOWN && rec->content_covers == rec->hints;
}

static struct repl *repl_of(struct primary *p, const struct flight *f)
{
    return p->repl[f->replica];
}

static bool is_live(const struct repl *r)
{
    return r->is_index || (r->session == SESSION_LIVE && !r->closing);
}

static bool is_timed(const struct flight *f)
{
    return f->state == FLIGHT_BACKOFF || f->state == FLIGHT_RIDE;
}

static void leave_list(struct repl *r, struct flight *f)
{
    r->timed -= is_timed(f);
    if (f->state == FLIGHT_WAIT) {
        r->unread--;
        r->read_ms = r->p->now_ms;
    } else if (f->state == FLIGHT_READY) {
        DL_DELETE2(r->ready, f, ready_prev, ready_next);
        r->ready_bytes -= f->bytes;
        r->window_bytes -= f->bytes;
        f->bytes = 0;
    } else if (f->state == FLIGHT_LARGE) {
        if (r->stream.flight != f) {
            DL_DELETE2(r->large, f, ready_prev, ready_next);
        }
    } else if (f->state == FLIGHT_SENT) {
        r->window_bytes -= f->bytes;
        f->bytes = 0;
        f->blocked_ms = 0;
    }
}

/* Whether the replica has another unsent flight of the record. */
static bool has_unsent(const struct record *rec, int replica)
{
    for (const struct flight *f = rec->flights; f != NULL; f = f->rec_next) {
        if (f->replica == replica && f->state != FLIGHT_SENT) {
            return true;
        }
    }
    return false;
}

static void note_waiting(struct record *rec, int replica)
{
    uint64_t bit = UINT64_C(1) << replica;

    if (has_unsent(rec, replica)) {
        rec->waiting |= bit;
    } else {
        rec->waiting &= ~bit;
    }
}

/* A value that was read in vain again and again: also its next try, and its
 * turn for that, stand aside. */
static bool stays_aside(const struct flight *f, enum flight_state s)
{
    if (aside_is_refused(f)) {
        return true; /* one more try says nothing yet */
    }
    return f->changed && f->rec->changed > 1 &&
           (s == FLIGHT_WAIT || s == FLIGHT_LARGE || s == FLIGHT_RIDE ||
            s == FLIGHT_BACKOFF);
}

void flight_set(struct primary *p, struct flight *f, enum flight_state s)
{
    struct repl *r = repl_of(p, f);

    leave_list(r, f);
    if (!stays_aside(f, s)) {
        aside_clear(r, f);
    }
    f->asked = false;
    f->state = (uint8_t)s;
    r->timed += is_timed(f);
    if (s == FLIGHT_WAIT && r->unread++ == 0) {
        r->read_ms = p->now_ms;
    }
    if (s == FLIGHT_READY) {
        f->bytes = f->rec->body_len + 64;
        r->ready_bytes += f->bytes;
        r->window_bytes += f->bytes;
        DL_APPEND2(r->ready, f, ready_prev, ready_next);
    } else if (s == FLIGHT_LARGE) {
        DL_APPEND2(r->large, f, ready_prev, ready_next);
    } else if (s == FLIGHT_SENT) {
        f->bytes = f->rec->body_len + 64;
        r->window_bytes += f->bytes;
    }
    note_waiting(f->rec, f->replica);
}

/* Forget the encoded value when no connected replica wants it any more. */
static void trim(struct primary *p, struct record *rec)
{
    if (rec->content == CONTENT_UNKNOWN) {
        return;
    }
    for (const struct flight *f = rec->flights; f != NULL; f = f->rec_next) {
        if (f->state == FLIGHT_READY || f->state == FLIGHT_LARGE) {
            return;
        }
    }
    if (p->log.body_bytes < p->config.cache_max_bytes) {
        const struct repl *r;
        EACH_REPL(p, r) {
            if ((rec->pending & repl_bit(r)) != 0 && is_live(r)) {
                return;
            }
        }
    }
    changelog_know(&p->log, rec, CONTENT_UNKNOWN);
}

void sender_release(struct primary *p, struct record *rec)
{
    if (rec->flights != NULL) {
        return;
    }
    sender_note_still(p, rec); /* nobody reads it any more */
    if (rec->nodes != NULL) {
        return;
    }
    if (rec->queued) {
        DL_DELETE2(p->looks, rec, look_prev, look_next);
        rec->queued = false;
    }
    if (rec->retrying) {
        DL_DELETE2(p->retries, rec, retry_prev, retry_next);
        rec->retrying = false;
    }
    changelog_release(&p->log, rec);
}

/* A slow replica must not fill the memory with frames it cannot take yet: its
 * flights wait unread (`starved`) until it has sent what is ready. */
static bool can_take(struct repl *r)
{
    if (!is_live(r)) {
        return false;
    }
    if (!r->is_index && r->ready_bytes >= READY_MAX_BYTES) {
        r->starved = true;
        return false;
    }
    return true;
}

/* Does anyone who can take it wait for this record's content? */
bool sender_awaits(struct primary *p, const struct record *rec)
{
    for (const struct flight *f = rec->flights; f != NULL; f = f->rec_next) {
        if (f->state == FLIGHT_WAIT && can_take(p->repl[f->replica])) {
            return true;
        }
    }
    return false;
}

/* The ready frames went out: look at what waited for that. */
static void feed(struct primary *p, struct repl *r)
{
    struct flight *f;

    if (!r->starved || r->ready_bytes >= READY_MAX_BYTES / 2) {
        return;
    }
    r->starved = false;
    DL_FOREACH(r->flights, f) {
        if (f->state == FLIGHT_WAIT && !f->rec->retrying) {
            sender_need_look(p, f->rec);
        }
    }
}

static bool others_will_stream(struct primary *p, const struct flight *own)
{
    for (const struct flight *f = own->rec->flights; f; f = f->rec_next) {
        if (f->replica != own->replica && f->state != FLIGHT_SENT &&
            f->state != FLIGHT_RIDE && is_live(p->repl[f->replica])) {
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
    if (!f->rec->ask || f->whole || r->blank) {
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
        if (f->rec->content != CONTENT_LARGE) {
            sender_known(p, f, is_fresh(f->rec), f->rec->content_news);
        } else if (!f->rec->ask && others_will_stream(p, f)) {
            flight_set(p, f, FLIGHT_RIDE);
            f->retry_ms = p->now_ms + RIDE_MAX_MS;
        } else {
            flight_set(p, f, FLIGHT_LARGE);
            stream_start(p, r);
        }
        return;
    }
    bool large = f->rec->content == CONTENT_LARGE ||
                 (f->rec->content == CONTENT_SAME && f->whole);
    if (!large) {
        flight_set(p, f, FLIGHT_READY);
    } else if (waits_for_digest(p, r, f)) {
        flight_set(p, f, FLIGHT_RIDE);
        f->retry_ms = p->now_ms + RIDE_MAX_MS +
                      (int64_t)(f->rec->size / READ_BYTES_PER_MS);
    } else {
        flight_set(p, f, FLIGHT_LARGE);
        stream_start(p, r);
    }
}

void sender_answer_ask(struct primary *p, struct record *rec,
                       const struct stream *read, const struct looked *l)
{
    if (rec->ask && l != NULL && digest_equal(rec->digest, l->look.digest)) {
        changelog_know(&p->log, rec, CONTENT_UNKNOWN);
        changelog_know(&p->log, rec, CONTENT_SAME);
        rec->content_covers = read->covers;
        rec->content_news = read->news;
    }
    rec->ask = false;
    for (struct flight *f = rec->flights; f != NULL; f = f->rec_next) {
        if (f->state == FLIGHT_RIDE && f->replica != p->index_id) {
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
        if (f->state != FLIGHT_WAIT || !can_take(repl_of(p, f))) {
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
    trim(p, rec);
    sender_release(p, rec);
}

/* Whatever was read or is being read does not account for this hint. */
void sender_news(struct primary *p, struct record *rec, int64_t now_us)
{
    struct news news = {p->log.tail_seq + 1, p->now_ms, now_us};
    struct repl *r;
    bool used = false;

    if (rec->look_id != 0 && rec->look_news.seq == 0) {
        rec->look_news = news;
        used = true;
    }
    if (rec->content != CONTENT_UNKNOWN && rec->content_news.seq == 0) {
        rec->content_news = news;
        used = true;
    }
    EACH_REPL(p, r) {
        struct stream *s = &r->stream;
        if (s->flight != NULL && s->flight->rec == rec && s->news.seq == 0) {
            s->news = news;
            used = true;
        }
    }
    p->log.tail_seq += used ? 1 : 0;
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
            reconcile_owe(p, r); /* no memory for the log: compare instead */
        }
    }
    sender_news(p, rec, now_us);
    refused_news(p, rec);
    if (rec->retrying) {
        sender_need_look(p, rec);
    }
    return noted;
}

void sender_doubt(struct primary *p)
{
    struct record *rec, *next;

    HASH_ITER(hh, p->log.records, rec, next) {
        uint64_t mask = rec->pending;
        for (const struct flight *f = rec->flights; f; f = f->rec_next) {
            mask |= UINT64_C(1) << f->replica;
        }
        sender_hint(p, rec, mask, HINT_FOUND);
    }
    unborn_doubt(p);
}

static void link_flight(struct repl *r, struct flight *f)
{
    struct flight *after = r->flights == NULL ? NULL : r->flights->prev;

    f->replica = r->id;
    f->rec_next = f->rec->flights;
    f->rec->flights = f;
    while (after != NULL && after->seq > f->seq) {
        after = after == r->flights ? NULL : after->prev;
    }
    if (after == NULL) {
        DL_PREPEND(r->flights, f);
    } else {
        DL_APPEND_ELEM(r->flights, after, f);
    }
    r->flights_count++;
    HASH_ADD(hh, r->flights_by_seq, seq, sizeof f->seq, f);
}

/* Has the replica an earlier place for the record than `seq`? */
static bool is_due_before(const struct record *rec, int replica, uint64_t seq,
                          const struct flight *but)
{
    for (const struct flight *f = rec->flights; f != NULL; f = f->rec_next) {
        if (f->replica == replica && f->state != FLIGHT_SENT && f != but &&
            f->seq <= seq) {
            return true;
        }
    }
    for (const struct log_node *n = rec->nodes; n != NULL; n = n->rec_next) {
        if (((n->mask >> replica) & 1) != 0 && n->seq < seq) {
            return true;
        }
    }
    return false;
}

static void follow(struct primary *p, struct repl *r, struct record *rec,
                   struct news news, const struct flight *but)
{
    assert(news.seq != 0);
    if (is_due_before(rec, r->id, news.seq, but)) {
        return;
    }
    struct flight *f = calloc(1, sizeof *f);
    if (f == NULL) {
        reconcile_owe(p, r); /* no memory: compare instead */
        return;
    }
    f->rec = rec;
    f->seq = news.seq;
    f->time_ms = news.time_ms;
    f->time_us = news.time_us;
    link_flight(r, f);
    flight_set(p, f, FLIGHT_HELD);
    aside_follow(r, f);
}

void sender_follow(struct primary *p, struct repl *r, struct record *rec,
                   struct news news)
{
    follow(p, r, rec, news, NULL);
}

void sender_known(struct primary *p, struct flight *f, bool fresh,
                  struct news news)
{
    if (!fresh && f->seq >= news.seq) {
        sender_need_look(p, f->rec); /* it was read before this flight */
        return;
    }
    if (!fresh) {
        follow(p, repl_of(p, f), f->rec, news, f);
    }
    flight_end(p, f);
}

void sender_redo(struct primary *p, struct repl *r)
{
    struct flight *f;

    DL_FOREACH(r->flights, f) {
        if (f->state == FLIGHT_HELD) {
            continue;
        }
        f->rec->hints++;
        sender_news(p, f->rec, 0);
        if (f->state == FLIGHT_SENT) {
            struct news news = {++p->log.tail_seq, p->now_ms, 0};
            follow(p, r, f->rec, news, NULL);
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
    link_flight(r, f);
    flight_set(p, f, held ? FLIGHT_HELD : FLIGHT_WAIT);
    if (held) {
        aside_follow(r, f);
    } else if (is_fresh(f->rec)) {
        place(p, f);
    } else {
        sender_need_look(p, f->rec);
    }
    return true;
}

/* Those that stand aside are outside the window, and cost memory as the log's
 * places do. */
static size_t flights_max(const struct primary *p)
{
    size_t most = p->config.log_max_bytes /
                  (sizeof(struct flight) + sizeof(struct record));

    return most < p->config.log_max_changes ? most : p->config.log_max_changes;
}

static bool has_room(struct primary *p, const struct repl *r)
{
    if (r->flights_count - r->aside >= p->config.window_changes ||
        r->flights_count >= flights_max(p) ||
        r->window_bytes >= p->config.window_bytes) {
        return false;
    }
    return p->log.body_bytes < p->config.cache_max_bytes || r->ready_bytes == 0;
}

void sender_advance(struct primary *p, struct repl *r)
{
    if (!is_live(r)) {
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

/* A digest is enough where the replica, as far as is known, has the value. */
static bool may_ask(const struct repl *r, const struct flight *f)
{
    return f->rec->content == CONTENT_SAME ||
           (f->rec->content == CONTENT_VALUE && f->rec->same && !f->whole &&
            !r->blank && f->rec->size >= SAME_FROM_BYTES);
}

static void put_frame(struct buf *out, const struct flight *f, bool ask)
{
    const struct record *rec = f->rec;
    struct wire_change m = {.seq = f->seq, .digest = rec->digest};

    m.table =
        (struct bytes){(const uint8_t *)record_table(rec), rec->table_len};
    m.key = (struct bytes){(const uint8_t *)record_key(rec), rec->key_len};
    if (ask) {
        wire_put_change(out, WIRE_SAME, &m);
        return;
    }
    switch ((enum content)rec->content) {
    case CONTENT_VALUE: {
        struct buf body = {rec->body, rec->body_len, rec->body_len, false};
        wire_put_set(out, f->seq, &body);
        break;
    }
    case CONTENT_GONE:
        wire_put_change(out, WIRE_DELETE, &m);
        break;
    case CONTENT_TABLE:
        wire_put_change(out, WIRE_TABLE_SET, &m);
        break;
    case CONTENT_NO_TABLE:
        wire_put_change(out, WIRE_TABLE_DROP, &m);
        break;
    case CONTENT_SAME: /* asked above */
    case CONTENT_UNKNOWN:
    case CONTENT_LARGE:
        break; /* produce_one() lets none of these through */
    }
}

/* The key's table is gone as well, and its drop waits: this goes with it. */
static bool goes_with_drop(struct primary *p, const struct flight *f)
{
    const struct record *rec = f->rec;
    struct record *t = NULL;

    if (!rec->is_table) {
        t = changelog_find(&p->log,
                           index_name_table(index_key(p->ix), record_table(rec),
                                            rec->table_len));
    }
    for (struct flight *d = t != NULL ? t->flights : NULL; d != NULL;
         d = d->rec_next) {
        if (d->replica == f->replica && d->dropping && d->seq < f->seq &&
            d->state != FLIGHT_SENT) {
            d->took_keys = true;
            return true;
        }
    }
    return false;
}

/* A delete that the brake keeps back ends here, or waits. */
static bool is_braked(struct primary *p, struct repl *r, struct flight *f,
                      bool stale)
{
    struct record *rec = f->rec;

    if (rec->content != CONTENT_GONE && rec->content != CONTENT_NO_TABLE) {
        return false;
    }
    enum brake_word word = brake_asks(p, r, f);
    if (word == BRAKE_GO) {
        return false;
    }
    if (word == BRAKE_WAIT) {
        f->dropping = rec->is_table;
        flight_set(p, f, FLIGHT_BACKOFF);
        f->retry_ms = p->now_ms + BRAKED_MS;
        return true;
    }
    if (word == BRAKE_FULL && !goes_with_drop(p, f)) {
        reconcile_owe_soon(p, r);
    }
    if (stale) {
        follow(p, r, rec, rec->content_news, f);
    }
    flight_end(p, f);
    return true;
}

/* One ready flight becomes a frame, or goes back to be looked at. */
static void produce_one(struct primary *p, struct repl *r, struct flight *f)
{
    struct record *rec = f->rec;
    bool stale = !is_fresh(rec);

    /* A table's drop takes its keys along, so it must be the latest news. */
    bool again = f->relooks < RELOOKS_MAX || rec->content == CONTENT_NO_TABLE;

    if (rec->content == CONTENT_UNKNOWN || rec->content == CONTENT_LARGE ||
        (stale && again)) {
        f->relooks++;
        flight_set(p, f, FLIGHT_WAIT);
        sender_need_look(p, rec);
        return;
    }
    if (is_braked(p, r, f, stale)) {
        return;
    }
    if (f->took_keys && rec->content != CONTENT_NO_TABLE) {
        reconcile_owe(p, r); /* the table is back, but not those keys */
    }
    bool ask = may_ask(r, f);
    size_t at = r->out.len;
    put_frame(&r->out, f, ask);
    flight_set(p, f, FLIGHT_SENT);
    f->asked = ask;
    pace_sent(&r->pace, r->out.len - at);
    session_probe(p, r);
    if (stale) {
        sender_follow(p, r, rec, rec->content_news);
    }
    trim(p, rec);
}

bool sender_has_output(const struct repl *r)
{
    return r->ready != NULL;
}

void sender_produce(struct primary *p, struct repl *r, size_t want)
{
    while (r->ready != NULL && r->out.len - r->out_at < want && !p->lost &&
           session_has_room(r)) {
        produce_one(p, r, r->ready);
    }
    feed(p, r);
}

/* --- ends ---------------------------------------------------------------- */

/* An earlier flight of the key is over: the oldest held one may go. */
static void wake_held(struct primary *p, struct record *rec, int replica)
{
    struct flight *oldest = NULL;

    for (struct flight *f = rec->flights; f != NULL; f = f->rec_next) {
        if (f->replica == replica) {
            if (f->state != FLIGHT_HELD) {
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
    if (!is_live(p->repl[replica])) {
        return;
    }
    /* The index looks anew: what it was told last may be older than the
     * content.  (And its flight must not end within another's end.) */
    if (is_fresh(rec) && !p->repl[replica]->is_index) {
        place(p, oldest);
    } else {
        sender_need_look(p, rec);
    }
}

static void unlink_flight(struct primary *p, struct flight *f)
{
    struct repl *r = repl_of(p, f);
    struct flight **at = &f->rec->flights;

    leave_list(r, f);
    aside_end(r, f);
    refused_end(r, f);
    while (*at != f) {
        at = &(*at)->rec_next;
    }
    *at = f->rec_next;
    DL_DELETE(r->flights, f);
    HASH_DEL(r->flights_by_seq, f);
    r->flights_count--;
    note_waiting(f->rec, f->replica);
}

void flight_end(struct primary *p, struct flight *f)
{
    struct record *rec = f->rec;
    int replica = f->replica;

    unlink_flight(p, f);
    free(f);
    if (rec->flights != NULL) {
        wake_held(p, rec, replica);
    }
    if (rec->flights == NULL || !sender_awaits(p, rec)) {
        trim(p, rec);
    }
    sender_release(p, rec);
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
    if (p->config.clock_us == NULL || f->time_us == 0 ||
        r->latency_us == NULL) {
        return;
    }
    int64_t us = p->config.clock_us() - f->time_us;
    r->latency_us[r->latency_at] = us < 0            ? 0
                                   : us > UINT32_MAX ? UINT32_MAX
                                                     : (uint32_t)us;
    r->latency_at = (r->latency_at + 1) % LATENCY_SAMPLES;
    if (r->latency_count < LATENCY_SAMPLES) {
        r->latency_count++;
    }
}

static struct flight *sent_flight(struct repl *r, uint64_t seq)
{
    struct flight *f = NULL;

    HASH_FIND(hh, r->flights_by_seq, &seq, sizeof seq, f);
    return f != NULL && f->state == FLIGHT_SENT ? f : NULL;
}

int sender_acked(struct primary *p, struct repl *r, uint64_t seq)
{
    struct flight *f = sent_flight(r, seq);

    if (f == NULL) {
        return 0;
    }
    note_latency(p, r, f);
    r->acked++;
    r->ack_ms = p->now_ms;
    bool was_refused = f->refusals > 0;
    flight_end(p, f);
    if (was_refused && r->refused > 0) {
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
    if (is_fresh(f->rec)) {
        place(p, f);
    } else {
        sender_need_look(p, f->rec);
    }
}

int sender_refused(struct primary *p, struct repl *r,
                   const struct wire_nak *nak)
{
    struct flight *f = sent_flight(r, nak->seq);
    bool streamed = f == NULL;

    if (f != NULL && f->asked) {
        answer_whole(p, f);
        return 1;
    }
    if (f == NULL) {
        /* The refusal of a large value that is still being streamed. */
        HASH_FIND(hh, r->flights_by_seq, &nak->seq, sizeof nak->seq, f);
        if (f != NULL && f->fence != 0) {
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
    f->relooks = 0;
    if (streamed) {
        stream_start(p, r); /* the next large value's turn */
    }
    aside_refused(r, f);
    (void)err_set(&r->last_error, ERR_IO, 0, "%.*s", (int)nak->text.len,
                  (const char *)nak->text.p);
    r->last_error.id = f->refusal.dr;
    if (f->refusals == 1) {
        primary_log(p, r->id, 4, f->refusal.dr, "%s", r->last_error.msg);
    }
    return 1;
}

void sender_fence(struct primary *p, struct repl *r, struct flight *f)
{
    session_ping(p, r);
    f->fence = r->last_fence = r->ping_id;
    flight_set(p, f, FLIGHT_BACKOFF);
    f->retry_ms = INT64_MAX;
}

void sender_ponged(struct primary *p, struct repl *r, uint64_t ping)
{
    struct flight *f;

    if (r->last_fence == 0) {
        return;
    }
    DL_FOREACH(r->flights, f) {
        if (f->fence == 0 || f->fence > ping) {
            continue;
        }
        f->fence = 0;
        if (f->rest_ms > p->now_ms) {
            f->retry_ms = f->rest_ms;
            p->retry_ms = f->rest_ms < p->retry_ms ? f->rest_ms : p->retry_ms;
            continue;
        }
        flight_set(p, f, FLIGHT_WAIT);
        if (!f->rec->retrying) {
            sender_need_look(p, f->rec);
        }
    }
    if (ping >= r->last_fence) {
        r->last_fence = 0;
    }
}

int sender_blocked(struct primary *p, struct repl *r,
                   const struct wire_blocked *m)
{
    struct flight *f = sent_flight(r, m->seq);

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
    aside_blocked(p, r, f);
    return 1;
}

void sender_rewind(struct primary *p, struct repl *r)
{
    struct flight *f;

    stream_drop(p, r);
    r->last_fence = 0;
    DL_FOREACH(r->flights, f) {
        f->relooks = 0;
        f->fence = 0;
        f->changed = false;
        if (f->state != FLIGHT_HELD) {
            flight_set(p, f, FLIGHT_WAIT);
        }
        trim(p, f->rec);
        /* An index flight that rode on this replica's stream looks anew. */
        for (struct flight *o = f->rec->flights; o != NULL; o = o->rec_next) {
            if (o->state == FLIGHT_RIDE) {
                flight_set(p, o, FLIGHT_WAIT);
                sender_need_look(p, f->rec);
            }
        }
    }
}

void sender_drop(struct primary *p, struct repl *r)
{
    sender_rewind(p, r);
    while (r->flights != NULL) {
        struct flight *f = r->flights;
        struct record *rec = f->rec;
        unlink_flight(p, f);
        free(f);
        trim(p, rec);
        sender_release(p, rec);
    }
}

/* The session is live: what waits from before goes first. */
void sender_resume(struct primary *p, struct repl *r)
{
    struct flight *f, *next;

    if (!is_live(r)) {
        return;
    }
    DL_FOREACH_SAFE(r->flights, f, next) {
        if (f->state == FLIGHT_WAIT) {
            if (is_fresh(f->rec)) {
                place(p, f);
            } else {
                sender_need_look(p, f->rec);
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

    if (r->timed == 0) {
        return soonest;
    }
    DL_FOREACH_SAFE(r->flights, f, next) {
        if (!is_timed(f)) {
            continue;
        }
        if (f->retry_ms > p->now_ms) {
            soonest = f->retry_ms < soonest ? f->retry_ms : soonest;
            continue;
        }
        if (f->state == FLIGHT_RIDE) {
            flight_set(p, f, FLIGHT_LARGE);
            stream_start(p, r);
            continue;
        }
        flight_set(p, f, FLIGHT_WAIT);
        if (is_live(r)) {
            sender_need_look(p, f->rec);
        }
    }
    return soonest;
}

int64_t sender_tick(struct primary *p)
{
    int64_t soonest = sender_tick_looks(p), unborn = unborn_tick(p);
    struct repl *r;

    soonest = unborn < soonest ? unborn : soonest;
    EACH_REPL(p, r) {
        int64_t at = tick_flights(p, r);
        soonest = at < soonest ? at : soonest;
    }
    return soonest;
}
