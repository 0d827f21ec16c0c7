/* SPDX-License-Identifier: MIT
 *
 * frames: see frames.h.
 */
#include "sync/primary/delivery/frames.h"

#include "sync/primary/delivery/delivery.h"

enum {
    REREADS_MAX = 3,
    BRAKED_MS = 50,
    SAME_FROM_BYTES = 64, /* a smaller value costs no more than to ask */
};

/* The ready frames went out: look at what waited for that. */
static void feed(struct primary *p, struct repl *r)
{
    struct flight *f;

    if (!r->flights.starved ||
        r->flights.ready_bytes >= FLIGHT_READY_MAX_BYTES / 2) {
        return;
    }
    r->flights.starved = false;
    DL_FOREACH(r->flights.list, f) {
        if (f->state == FLIGHT_WAIT && !f->rec->read.retrying) {
            read_want(p, f->rec);
        }
    }
}

/* A digest is enough where the replica, as far as is known, has the value. */
static bool may_ask(const struct repl *r, const struct flight *f)
{
    return f->rec->content.kind == CONTENT_SAME ||
           (f->rec->content.kind == CONTENT_VALUE && f->rec->content.same &&
            !f->whole && !r->blank && f->rec->content.size >= SAME_FROM_BYTES);
}

static void put_frame(struct buf *out, const struct flight *f, bool ask)
{
    const struct record *rec = f->rec;
    struct wire_change m = {.seq = f->seq, .digest = rec->content.digest};

    m.table = record_table(rec);
    m.key = record_key(rec);
    if (ask) {
        wire_put_change(out, WIRE_SAME, &m);
        return;
    }
    switch ((enum content_kind)rec->content.kind) {
    case CONTENT_VALUE: {
        struct buf body = {rec->content.body, rec->content.body_len,
                           rec->content.body_len, false};
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
        t = changelog_find(&p->log, index_name_table(index_key(p->ix),
                                                     record_table(rec).p,
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

    if (rec->content.kind != CONTENT_GONE &&
        rec->content.kind != CONTENT_NO_TABLE) {
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
        due_soon(p, r);
    }
    if (stale) {
        sender_follow(p, r, rec, rec->content.missed, f);
    }
    flight_end(p, f);
    return true;
}

/* One ready flight becomes a frame, or goes back to be looked at. */
static void produce_one(struct primary *p, struct repl *r, struct flight *f)
{
    struct record *rec = f->rec;
    bool stale = !flight_fresh(rec);

    /* A table's drop takes its keys along, so it must be the latest change. */
    bool again =
        f->rereads < REREADS_MAX || rec->content.kind == CONTENT_NO_TABLE;

    if (rec->content.kind == CONTENT_UNKNOWN ||
        rec->content.kind == CONTENT_LARGE || (stale && again)) {
        f->rereads++;
        flight_set(p, f, FLIGHT_WAIT);
        read_want(p, rec);
        return;
    }
    if (is_braked(p, r, f, stale)) {
        return;
    }
    if (f->took_keys && rec->content.kind != CONTENT_NO_TABLE) {
        due_now(p, r); /* the table is back, but not those keys */
    }
    bool ask = may_ask(r, f);
    size_t at = r->session.out.len;
    put_frame(&r->session.out, f, ask);
    flight_set(p, f, FLIGHT_SENT);
    f->asked = ask;
    pace_sent(&r->pace, r->session.out.len - at);
    heartbeat_probe(p, r);
    if (stale) {
        sender_follow(p, r, rec, rec->content.missed, NULL);
    }
    flight_trim(p, rec);
}

bool frames_ready(const struct repl *r)
{
    return r->flights.ready != NULL;
}

void frames_produce(struct primary *p, struct repl *r, size_t want)
{
    while (r->flights.ready != NULL &&
           r->session.out.len - r->session.out_at < want && !p->lost &&
           session_has_room(r)) {
        produce_one(p, r, r->flights.ready);
    }
    feed(p, r);
}
