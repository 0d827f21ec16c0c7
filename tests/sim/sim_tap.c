/* SPDX-License-Identifier: MIT
 *
 * sim_tap: reads along on a link.  Toward the receiver it learns which version
 * of which item each sequence carries; toward the agent it sees what the
 * receiver says is durable, and holds it to that at once.
 *
 * A deletion has no version of its own on the wire: it stands for the first
 * deletion after what was sent of the key before. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

static void drop_sent(struct replica *r, size_t i)
{
    buf_deinit(&r->sents[i].value);
    r->sents[i] = r->sents[--r->sents_count];
}

void tap_reset(struct replica *r)
{
    while (r->sents_count > 0) {
        drop_sent(r, 0);
    }
    wire_in_deinit(&r->tap_up);
    wire_in_deinit(&r->tap_down);
    wire_in_init(&r->tap_up);
    wire_in_init(&r->tap_down);
}

static struct sent *find_sent(struct replica *r, uint64_t seq, size_t *at_out)
{
    for (size_t i = 0; i < r->sents_count; i++) {
        if (r->sents[i].seq == seq) {
            *at_out = i;
            return &r->sents[i];
        }
    }
    return NULL;
}

/* --- toward the receiver ------------------------------------------------- */

static struct sent *add_sent(struct sim *s, struct replica *r,
                             enum wire_type type, const struct wire_change *m)
{
    bool is_table = type == WIRE_TABLE_SET || type == WIRE_TABLE_DROP;
    int item = world_item(s, m->table, m->key, is_table);

    for (size_t i = 0; i < r->sents_count; i++) {
        if (r->sents[i].item == item) {
            sim_fail(s, 6,
                     "replica %d: %s is in flight twice, #%" PRIu64
                     " and #%" PRIu64,
                     r->number, world_name(&s->world->items[item]),
                     r->sents[i].seq, m->seq);
        }
    }
    if (r->sents_count == r->sents_cap) {
        r->sents_cap = r->sents_cap == 0 ? 64 : r->sents_cap * 2;
        r->sents = realloc(r->sents, r->sents_cap * sizeof *r->sents);
        assert(r->sents != NULL);
    }
    struct sent *t = &r->sents[r->sents_count++];
    *t = (struct sent){.seq = m->seq,
                       .item = item,
                       .type = type,
                       .edits = r->seen[item].edits,
                       .value = BUF_NULL};
    return t;
}

static void whole_value(struct sim *s, struct replica *r, struct sent *t,
                        struct bytes value)
{
    const struct item *it = &s->world->items[t->item];
    struct seen *seen = &r->seen[t->item];
    const struct version *v = world_identify(it, value, seen->sent);

    if (v == NULL) {
        sim_fail(s, 1,
                 "replica %d: a value of %s was sent that no writer "
                 "committed (%zu bytes)",
                 r->number, world_name(it), value.len);
    }
    if (v->number < seen->sent) {
        sim_fail(s, 2, "replica %d: %s v%" PRIu64 " was sent after v%" PRIu64,
                 r->number, world_name(it), v->number, seen->sent);
    }
    t->version = seen->sent = v->number;
    t->ended = true;
}

/* Nothing but a digest: of a version that the replica has, or had. */
static void same_value(struct sim *s, struct replica *r, struct sent *t,
                       struct digest digest)
{
    const struct item *it = &s->world->items[t->item];
    struct seen *seen = &r->seen[t->item];
    uint8_t value[VALUE_MAX];

    for (size_t i = it->count; i > 0; i--) {
        const struct version *v = &it->history[i - 1];
        world_value(it, v, value);
        if (v->is_set && v->number >= seen->sent &&
            digest_equal(digest_of(value, v->len), digest)) {
            t->version = seen->sent = v->number;
            t->ended = true;
            return;
        }
    }
    sim_fail(s, 2,
             "replica %d: %s is said to be the same as no version since "
             "v%" PRIu64,
             r->number, world_name(it), seen->sent);
}

static void absence(struct sim *s, struct replica *r, struct sent *t)
{
    struct item *it = &s->world->items[t->item];
    struct seen *seen = &r->seen[t->item];
    const struct version *v = world_after(it, seen->sent, false);

    r->deletes_sent++;
    if (!it->gone_seen || (seen->sent != 0 && it->gone_version < seen->sent)) {
        sim_fail(s, 5, "replica %d: %s is deleted without evidence", r->number,
                 world_name(it));
    }
    if (v != NULL) {
        seen->sent = v->number;
    }
    t->version = seen->sent;
    t->ended = true;
}

static void on_change(struct sim *s, struct replica *r, enum wire_type type,
                      struct bytes body)
{
    struct wire_change *m = malloc(sizeof *m);
    struct err err;

    assert(m != NULL);
    if (wire_get_change(type, body, m, &err) != 0) {
        sim_fail(s, 0, "the core sent: %s", err.msg);
    }
    if (r->term != s->world->term) {
        sim_fail(s, 10,
                 "replica %d follows term %d and is sent a change by the "
                 "primary of term %d",
                 r->number, r->term, s->world->term);
    }
    struct sent *t = add_sent(s, r, type, m);
    const struct item *it = &s->world->items[t->item];
    sim_note(s, "to %d: %s %s #%" PRIu64, r->number, wire_type_name(type),
             world_name(it), m->seq);
    if (type == WIRE_SET) {
        whole_value(s, r, t, m->value);
    } else if (type == WIRE_SAME) {
        same_value(s, r, t, m->digest);
    } else if (type == WIRE_DELETE || type == WIRE_TABLE_DROP) {
        absence(s, r, t);
    } else if (type == WIRE_TABLE_SET) {
        const struct version *v = world_after(it, r->seen[t->item].sent, true);
        r->seen[t->item].sent = v != NULL ? v->number : r->seen[t->item].sent;
        t->version = r->seen[t->item].sent;
        t->ended = true;
    }
    free(m);
}

static void on_piece(struct sim *s, struct replica *r, enum wire_type type,
                     struct bytes body)
{
    struct wire_piece piece = {0};
    struct wire_zeros zeros = {0};
    struct wire_set_end end_of = {0};
    struct err err;
    uint64_t seq = 0;
    size_t at = 0;
    int rc = type == WIRE_PIECE     ? wire_get_piece(body, &piece, &err)
             : type == WIRE_ZEROS   ? wire_get_zeros(body, &zeros, &err)
             : type == WIRE_SET_END ? wire_get_set_end(body, &end_of, &err)
                                    : wire_get_set_abort(body, &seq, &err);

    if (rc != 0) {
        sim_fail(s, 0, "the core sent: %s", err.msg);
    }
    seq += piece.seq + zeros.seq + end_of.seq; /* one of the four */
    struct sent *t = find_sent(r, seq, &at);
    if (t == NULL) {
        return; /* refused meanwhile */
    }
    if (type == WIRE_PIECE) {
        buf_put(&t->value, piece.data.p, piece.data.len);
    } else if (type == WIRE_ZEROS) {
        for (uint64_t i = 0; i < zeros.length; i++) {
            buf_u8(&t->value, 0);
        }
    } else if (type == WIRE_SET_END) {
        sim_note(s, "to %d: SET_END #%" PRIu64, r->number, seq);
        whole_value(s, r, t, bytes_of(t->value.data, t->value.len));
    } else {
        sim_note(s, "to %d: SET_ABORT #%" PRIu64, r->number, seq);
        drop_sent(r, at);
    }
}

void tap_up(struct sim *s, struct replica *r, const void *p, size_t n)
{
    enum wire_type type;
    struct bytes body;
    struct err err;

    if (wire_in_add(&r->tap_up, p, n, &err) != 0) {
        abort();
    }
    while (wire_in_next(&r->tap_up, &type, &body, &err) == 1) {
        /* Types are the wire's numbers. */
        switch ((int)type) {
        case WIRE_SET:
        case WIRE_SAME:
        case WIRE_SET_BEGIN:
        case WIRE_DELETE:
        case WIRE_TABLE_SET:
        case WIRE_TABLE_DROP:
            on_change(s, r, type, body);
            break;
        case WIRE_PIECE:
        case WIRE_ZEROS:
        case WIRE_SET_END:
        case WIRE_SET_ABORT:
            on_piece(s, r, type, body);
            break;
        default:
            sim_note(s, "to %d: %s", r->number, wire_type_name(type));
            break;
        }
    }
}

/* --- toward the agent ---------------------------------------------------- */

static void on_ack(struct sim *s, struct replica *r, struct bytes body)
{
    struct wire_items m;
    struct err err;
    uint64_t seq;
    size_t at;

    if (wire_get_items(WIRE_ACK, body, &m, &err) != 0) {
        sim_fail(s, 0, "the receiver sent: %s", err.msg);
    }
    while (wire_item_ack(&m, &seq) == 1) {
        struct sent *t = find_sent(r, seq, &at);
        if (t == NULL || !t->ended) {
            sim_fail(s, 4,
                     "replica %d acknowledged #%" PRIu64 ", which was not sent",
                     r->number, seq);
        }
        const struct item *it = &s->world->items[t->item];
        bool is_set = t->type != WIRE_DELETE && t->type != WIRE_TABLE_DROP;
        sim_note(s, "from %d: ACK #%" PRIu64 " %s", r->number, seq,
                 world_name(it));
        /* What was sent before an edit may be gone by that. */
        if (t->edits == r->seen[t->item].edits) {
            r->seen[t->item].edited = false;
        }
        check_durable(s, r, world_of(s, r), t->item, t->version, is_set, 4,
                      "acknowledged");
        if (t->version > r->seen[t->item].acked) {
            r->seen[t->item].acked = t->version;
        }
        drop_sent(r, at);
    }
}

static void on_nak(struct sim *s, struct replica *r, struct bytes body)
{
    struct wire_nak m;
    struct err err;
    size_t at;

    if (wire_get_nak(body, &m, &err) != 0) {
        sim_fail(s, 0, "the receiver sent: %s", err.msg);
    }
    sim_note(s, "from %d: NAK #%" PRIu64 " %.*s", r->number, m.seq,
             (int)(m.text.len < 90 ? m.text.len : 90), (const char *)m.text.p);
    if (find_sent(r, m.seq, &at) != NULL) {
        drop_sent(r, at);
    }
}

void tap_down(struct sim *s, struct replica *r, const void *p, size_t n)
{
    enum wire_type type;
    struct bytes body;
    struct err err;

    if (wire_in_add(&r->tap_down, p, n, &err) != 0) {
        abort();
    }
    while (wire_in_next(&r->tap_down, &type, &body, &err) == 1) {
        if (type == WIRE_ACK) {
            on_ack(s, r, body);
        } else if (type == WIRE_NAK) {
            on_nak(s, r, body);
        } else {
            sim_note(s, "from %d: %s", r->number, wire_type_name(type));
        }
    }
}
