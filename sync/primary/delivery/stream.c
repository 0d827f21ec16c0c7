/* SPDX-License-Identifier: MIT
 *
 * stream: a value too large for one frame, sent in pieces.
 *
 * One stream at a time per replica; small keys pass between its pieces
 * (session.c takes turns).  Happy path: OPEN -> SET_BEGIN, READ -> PIECE while
 * the output has room, end of file and validation -> SET_END, then the flight
 * waits for its acknowledgement like any other.
 * The value is that of the file that was opened: when the name leads elsewhere
 * meanwhile, it is a version all the same, is installed, and the newer one
 * follows; so a value that is replaced faster than it can be sent still gets
 * on. Failures: the value was written in place while it was read -> SET_ABORT,
 * a pause as long as the try, then a copy of it is made and that is sent; it
 * cannot be read -> SET_ABORT, and the key is looked at again; the link goes
 * down -> the stream is forgotten, an answer that is still due is thrown away;
 * the replica refuses it -> the same, with back-off. The index streams, too, to
 * learn the digest, when no replica does, or when the value may be one that the
 * replicas have. */
#include "sync/primary/delivery/delivery.h"

enum {
    PIECE_BYTES = 128 * 1024,
    PIECE_MIN = 8 * 1024,          /* on a slow link */
    AHEAD_BYTES = 2 * PIECE_BYTES, /* read ahead of the link */
};

/* What is made meanwhile waits for a piece that is under way. */
static size_t piece_bytes(const struct repl *r)
{
    size_t fair = r->pace.window / 4;

    if (r->is_index || fair > PIECE_BYTES) {
        return PIECE_BYTES;
    }
    return fair > PIECE_MIN ? fair : PIECE_MIN;
}

static void ask(struct primary *p, struct repl *r, enum action_type type)
{
    struct action a = {.type = type, .id = r->stream.id, .replica = r->id};

    if (type == ACT_STREAM_READ) {
        a.bytes = piece_bytes(r);
    } else if (type == ACT_STREAM_OPEN) {
        a.copy = r->stream.flight->rec->copies;
    }
    primary_act(p, &a);
}

void stream_start(struct primary *p, struct repl *r)
{
    struct stream *s = &r->stream;

    if (s->state != STREAM_NONE || r->flights.large == NULL || p->lost) {
        return;
    }
    s->flight = r->flights.large;
    DL_DELETE2(r->flights.large, s->flight, ready_prev, ready_next);
    s->state = STREAM_OPENING;
    s->id = primary_id(p);
    s->begun = false;
    s->since_ms = p->now_ms;
    s->done_bytes = 0;
    s->covers = s->flight->rec->hints;
    s->missed.seq = 0;
    s->outdated = false;
    ask(p, r, ACT_STREAM_OPEN);
}

/* The stream is over; an answer still due will find no stream of its id. */
struct flight *stream_stop(struct primary *p, struct repl *r)
{
    struct flight *f = r->stream.flight;

    if (r->stream.state != STREAM_NONE) {
        ask(p, r, ACT_STREAM_CLOSE);
    }
    r->stream = (struct stream){.state = STREAM_NONE};
    return f;
}

void stream_drop(struct primary *p, struct repl *r)
{
    struct flight *f = r->stream.flight;

    if (f == NULL) {
        return;
    }
    /* Back on the list, so that leaving the state finds it there. */
    (void)stream_stop(p, r);
    DL_APPEND2(r->flights.large, f, ready_prev, ready_next);
    flight_set(p, f, FLIGHT_WAIT);
}

struct repl *stream_find(struct primary *p, uint64_t id)
{
    struct repl *r;

    EACH_REPL(p, r) {
        if (r->stream.state != STREAM_NONE && r->stream.id == id) {
            return r;
        }
    }
    return NULL;
}

bool stream_names(struct primary *p, struct action *a)
{
    struct repl *r = stream_find(p, a->id);

    if (r == NULL) {
        return false;
    }
    const struct record *rec = r->stream.flight->rec;
    a->table = record_table(rec);
    a->key = record_key(rec);
    return true;
}

void stream_read_on(struct primary *p, struct repl *r)
{
    r->stream.state = STREAM_READING;
    ask(p, r, ACT_STREAM_READ);
}

void stream_ponged(struct primary *p, struct repl *r, uint64_t id)
{
    if (r->stream.waits_for != 0 && id >= r->stream.waits_for) {
        r->stream.waits_for = 0;
        stream_more(p, r);
    }
}

void stream_more(struct primary *p, struct repl *r)
{
    if (r->stream.state == STREAM_OPEN && !p->lost &&
        r->stream.waits_for == 0 && (r->is_index || session_has_room(r)) &&
        r->session.out.len - r->session.out_at < AHEAD_BYTES) {
        stream_read_on(p, r);
    }
}
