/* SPDX-License-Identifier: MIT
 *
 * stream_read: the answers of the host to what stream.c asks of it, and what
 * follows from them: pieces to the replica, an end, or another try.
 */
#include <assert.h>

#include "store/base/backoff.h"
#include "sync/primary/delivery/delivery.h"

enum {
    REST_MIN_MS = 50,
    REST_MAX_MS = 2000,        /* ... or as long as the try took */
    BETWEEN_BYTES = 64 * 1024, /* small frames let in before a piece */
};

/* It changed under the read.  Another try costs as much as this one did, so it
 * waits as long, and longer each time: a value that never holds still takes at
 * most half of the link and of a disk.  The next one reads it into a copy. */
static void rest(struct primary *p, struct flight *f, int64_t took_ms)
{
    struct record *rec = f->rec;
    int64_t wait_ms =
        backoff_doubled(REST_MIN_MS, rec->read.changed, REST_MAX_MS);

    f->changed = true;
    f->rest_ms = p->now_ms + (took_ms > wait_ms ? took_ms : wait_ms);
    if (f->rest_ms < p->retry_ms) {
        p->retry_ms = f->rest_ms;
    }
    if (f->state != FLIGHT_BACKOFF) { /* no ping */
        flight_set(p, f, FLIGHT_BACKOFF);
        f->retry_ms = f->rest_ms;
    }
    rec->copies = true;
    stalled_changed(p, rec);
}

/* It cannot go on: tell the replica and look at the key again. */
static void abort_stream(struct primary *p, struct repl *r,
                         const struct read_answer *l)
{
    struct flight *f = r->stream.flight;
    struct record *rec = f->rec;
    bool told = r->stream.begun && !r->is_index;
    int64_t took_ms = p->now_ms - r->stream.since_ms;

    stream_drop(p, r);
    if (told) {
        wire_put_set_abort(&r->session.out, f->seq);
        sender_abort_ping(p, r, f);
    }
    changelog_know(&p->log, rec, CONTENT_UNKNOWN);
    if (r->is_index) {
        sender_answer_ask(p, rec, NULL, NULL);
    }
    if (l->result == READ_ROOT_LOST) {
        primary_root_lost(p, l->err != NULL ? l->err->msg : "root lost");
        read_want(p, rec);
    } else if (l->result == READ_ERROR || l->result == READ_BUSY) {
        read_failed(p, rec, l);
    } else if (l->result == READ_CHANGING) {
        rest(p, f, took_ms);
    } else {
        read_want(p, rec);
    }
    stream_start(p, r);
}

/* What it will take on the replica's disk: holes stay holes. */
static uint64_t room_for(const struct reading *l)
{
    return l->disk_bytes > 0 && l->disk_bytes < l->stat.size ? l->disk_bytes
                                                             : l->stat.size;
}

void primary_stream_opened(struct primary *p, uint64_t id,
                           const struct read_answer *l, int64_t now_ms)
{
    struct repl *r = stream_find(p, id);

    p->now_ms = now_ms;
    if (r == NULL) {
        return;
    }
    /* An empty file is no large value any more: it may be a writer's
     * placeholder, which a read can tell and a stream cannot. */
    if (l->result != READ_VALUE || l->reading.stat.size == 0) {
        abort_stream(p, r, l);
        return;
    }
    const struct flight *f = r->stream.flight;
    const struct record *rec = f->rec;
    if (!r->is_index) {
        struct wire_change m = {.seq = f->seq, .size = room_for(&l->reading)};
        m.table = record_table(rec);
        m.key = record_key(rec);
        wire_put_change(&r->session.out, WIRE_SET_BEGIN, &m);
    }
    r->stream.begun = true;
    r->stream.state = STREAM_OPEN;
    stream_read_on(p, r);
}

static void report_index(struct primary *p, const struct record *rec,
                         const struct read_answer *l, bool fresh)
{
    struct index_entry e = {.name = rec->name,
                            .digest = l->reading.digest,
                            .stat = l->reading.stat,
                            .table = index_table_tag(index_key(p->ix),
                                                     record_table(rec).p,
                                                     rec->table_len)};
    bool follows = false;
    struct err err;

    for (const struct flight *f = rec->flights; f != NULL; f = f->rec_next) {
        follows = follows || f->replica == p->index_id;
    }
    /* A look may have told it of something newer, and nobody would again. */
    if (!fresh && !follows) {
        return;
    }
    if (index_put(p->ix, &e, &err) < 0) {
        primary_log(p, -1, LOG_ERR, DR_NONE, "%s", err.msg);
    }
}

/* It was read; but the index, which reads as fast as the disk does, tells
 * nothing of those whose link is too slow for that. */
static void note_still(struct primary *p, struct flight *f)
{
    f->changed = false;
    for (const struct flight *o = f->rec->flights; o != NULL; o = o->rec_next) {
        if (o->changed) {
            return;
        }
    }
    stalled_still(p, f->rec);
}

/* The whole value was read and is one committed version of it. */
static void finish(struct primary *p, struct repl *r,
                   const struct read_answer *l)
{
    struct flight *f = r->stream.flight;
    struct record *rec = f->rec;

    /* It was committed under this name, and something newer was since. */
    if (l->reading.replaced && r->stream.covers == rec->hints) {
        (void)sender_hint_all(p, rec, HINT_FOUND);
    }
    bool fresh = r->stream.covers == rec->hints;
    struct stream read = r->stream;
    struct missed missed = read.missed;

    for (struct flight *o = rec->flights; o != NULL; o = o->rec_next) {
        o->changed = o->changed &&
                     o->state != FLIGHT_PIGGYBACK; /* it goes along with this */
    }
    note_still(p, f);
    report_index(p, rec, l, fresh);
    read_found(p, rec);
    rec->content.size = l->reading.stat.size;
    p->values_read++;
    (void)stream_stop(p, r);
    DL_APPEND2(r->flights.large, f, ready_prev, ready_next);
    if (r->is_index) {
        flight_set(p, f, FLIGHT_WAIT);
        sender_answer_ask(p, rec, &read, l);
        sender_known(p, f, fresh, missed);
        stream_start(p, r);
        return;
    }
    wire_put_set_end(&r->session.out, f->seq, l->reading.digest);
    flight_set(p, f, FLIGHT_SENT);
    if (!fresh) {
        changelog_know(&p->log, rec, CONTENT_UNKNOWN);
        sender_follow(p, r, rec, missed, NULL);
    }
    for (struct flight *o = rec->flights; o != NULL; o = o->rec_next) {
        if (o->state == FLIGHT_PIGGYBACK && o->replica == p->index_id) {
            flight_set(p, o, FLIGHT_WAIT);
            sender_known(p, o, fresh, missed);
            break;
        }
    }
    stream_start(p, r);
}

static void let_others_in(struct primary *p, struct repl *r)
{
    frames_produce(p, r,
                   r->session.out.len - r->session.out_at + BETWEEN_BYTES);
}

static void took(struct primary *p, struct repl *r, uint64_t n)
{
    r->stream.done_bytes += n;
    r->stream.state = STREAM_OPEN;
    stream_more(p, r);
}

void primary_stream_data(struct primary *p, uint64_t id, const void *data,
                         size_t n, const struct read_answer *l, int64_t now_ms)
{
    struct repl *r = stream_find(p, id);

    p->now_ms = now_ms;
    if (r == NULL) {
        return;
    }
    if (n == 0 || l != NULL) {
        if (l->result == READ_VALUE && !r->stream.outdated) {
            finish(p, r, l);
        } else {
            abort_stream(p, r, l);
        }
        sender_advance_all(p);
        return;
    }
    assert(n <= WIRE_PIECE_MAX);
    if (!r->is_index) {
        let_others_in(p, r);
        wire_put_piece(&r->session.out, r->stream.flight->seq, data, n);
        heard_commit(p, r);
        heartbeat_probe(p, r);
    }
    took(p, r, n);
    p->bytes_read += n;
}

/* Zeros cost the link next to nothing, and the other end a digest over all of
 * them: no more are sent than it has worked off. */
static void note_zeros(struct primary *p, struct repl *r, uint64_t n)
{
    r->stream.zeros += n;
    if (r->stream.zeros >= WIRE_ZEROS_MAX) {
        r->stream.zeros = 0;
        r->stream.waits_for = heartbeat_ping_now(p, r);
    }
}

void primary_stream_zeros(struct primary *p, uint64_t id, uint64_t n,
                          int64_t now_ms)
{
    struct repl *r = stream_find(p, id);

    p->now_ms = now_ms;
    if (r == NULL) {
        return;
    }
    if (!r->is_index) {
        let_others_in(p, r);
        wire_put_zeros(&r->session.out, r->stream.flight->seq, n);
        heard_commit(p, r);
        heartbeat_probe(p, r);
        note_zeros(p, r, n);
    }
    took(p, r, n);
}
