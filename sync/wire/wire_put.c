/* SPDX-License-Identifier: MIT
 *
 * wire_put: the encoders of wire.h.  Each appends one whole frame: the header
 * is written with an empty length, the body after it, and the length is filled
 * in at the end.  An allocation failure is remembered in the buffer.
 */
#include "sync/wire/wire.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

static size_t frame_begin(struct buf *out, enum wire_type type)
{
    size_t start = out->len;

    buf_u32(out, 0);
    buf_u8(out, (uint8_t)type);
    return start;
}

static void frame_end(struct buf *out, size_t start)
{
    if (out->bad) {
        return;
    }
    size_t length = out->len - start - sizeof(uint32_t);
    assert(length <= WIRE_FRAME_MAX);
    uint32_t le = htole32((uint32_t)length);
    memcpy(out->data + start, &le, sizeof le);
}

/* Texts are for people: a long one is cut rather than refused. */
static void put_text(struct buf *out, struct bytes text)
{
    size_t n = text.len < WIRE_TEXT_MAX ? text.len : WIRE_TEXT_MAX;

    buf_u16(out, (uint16_t)n);
    buf_put(out, text.p, n);
}

static void put_digest(struct buf *out, struct digest d)
{
    buf_u64(out, d.lo);
    buf_u64(out, d.hi);
}

/* A table name as its components: count, then length and bytes of each. */
static void put_table(struct buf *out, struct bytes table)
{
    const uint8_t *p = table.p;
    size_t left = table.len;
    size_t count_at = out->len;
    unsigned count = 0;

    assert(table.len <= TABLE_MAX_BYTES);
    buf_u8(out, 0);
    while (left > 0) {
        const uint8_t *slash = memchr(p, '/', left);
        size_t n = slash != NULL ? (size_t)(slash - p) : left;
        assert(n > 0 && n <= UINT8_MAX);
        buf_u8(out, (uint8_t)n);
        buf_put(out, p, n);
        count++;
        n += slash != NULL;
        p += n;
        left -= n;
    }
    assert(count <= TABLE_MAX_DEPTH);
    if (!out->bad) {
        out->data[count_at] = (uint8_t)count;
    }
}

static void put_key(struct buf *out, struct bytes key)
{
    assert(key.len <= KEY_MAX_BYTES);
    buf_u8(out, (uint8_t)key.len);
    buf_put(out, key.p, key.len);
}

void wire_put_magic(struct buf *out)
{
    buf_put(out, WIRE_MAGIC, WIRE_MAGIC_BYTES);
}

void wire_put_hello(struct buf *out, const struct wire_hello *m)
{
    size_t start = frame_begin(out, WIRE_HELLO);

    buf_u16(out, m->proto_min);
    buf_u16(out, m->proto_max);
    buf_u32(out, m->features);
    buf_put(out, m->db_id, sizeof m->db_id);
    buf_u64(out, m->epoch);
    buf_put(out, m->instance, sizeof m->instance);
    buf_u32(out, m->heartbeat_ms);
    buf_u32(out, m->silence_ms);
    buf_u8(out, m->durability);
    put_text(out, m->replica);
    put_text(out, m->version);
    if (m->proto_max >= 2) {
        buf_put(out, m->key, sizeof m->key);
    }
    if (m->proto_max >= 3) {
        buf_put(out, m->expected, sizeof m->expected);
        buf_u8(out, m->anew);
    }
    frame_end(out, start);
}

void wire_put_hello_ok(struct buf *out, const struct wire_hello_ok *m)
{
    size_t start = frame_begin(out, WIRE_HELLO_OK);

    buf_u16(out, m->proto);
    buf_u32(out, m->features);
    buf_u64(out, m->epoch);
    buf_u8(out, m->was_empty);
    put_text(out, m->version);
    put_text(out, m->host);
    if (m->proto >= 3) {
        buf_put(out, m->dirid, sizeof m->dirid);
    }
    frame_end(out, start);
}

void wire_set_body(struct buf *out, const struct wire_change *m)
{
    assert(m->value.len <= WIRE_INLINE_MAX);
    put_table(out, m->table);
    put_key(out, m->key);
    put_digest(out, m->digest);
    buf_u32(out, (uint32_t)m->value.len);
    buf_put(out, m->value.p, m->value.len);
}

void wire_put_set(struct buf *out, uint64_t seq, const struct buf *body)
{
    size_t start = frame_begin(out, WIRE_SET);

    buf_u64(out, seq);
    buf_put(out, body->data, body->len);
    frame_end(out, start);
}

void wire_put_change(struct buf *out, enum wire_type type,
                     const struct wire_change *m)
{
    size_t start = frame_begin(out, type);

    assert(type == WIRE_SAME || type == WIRE_SET_BEGIN || type == WIRE_DELETE ||
           type == WIRE_TABLE_SET ||
           (type == WIRE_TABLE_DROP && m->table.len > 0));
    buf_u64(out, m->seq);
    put_table(out, m->table);
    if (type == WIRE_SAME || type == WIRE_SET_BEGIN || type == WIRE_DELETE) {
        put_key(out, m->key);
    }
    if (type == WIRE_SAME) {
        put_digest(out, m->digest);
    }
    if (type == WIRE_SET_BEGIN) {
        buf_u64(out, m->size);
    }
    frame_end(out, start);
}

void wire_put_piece(struct buf *out, uint64_t seq, const void *p, size_t n)
{
    size_t start = frame_begin(out, WIRE_PIECE);

    assert(n <= WIRE_PIECE_MAX);
    buf_u64(out, seq);
    buf_u32(out, (uint32_t)n);
    buf_put(out, p, n);
    frame_end(out, start);
}

void wire_put_zeros(struct buf *out, uint64_t seq, uint64_t length)
{
    size_t start = frame_begin(out, WIRE_ZEROS);

    assert(length > 0 && length <= WIRE_ZEROS_MAX);
    buf_u64(out, seq);
    buf_u64(out, length);
    frame_end(out, start);
}

void wire_put_set_end(struct buf *out, uint64_t seq, struct digest digest)
{
    size_t start = frame_begin(out, WIRE_SET_END);

    buf_u64(out, seq);
    put_digest(out, digest);
    frame_end(out, start);
}

void wire_put_set_abort(struct buf *out, uint64_t seq)
{
    size_t start = frame_begin(out, WIRE_SET_ABORT);

    buf_u64(out, seq);
    frame_end(out, start);
}

void wire_put_ping(struct buf *out, const struct wire_ping *m)
{
    size_t start = frame_begin(out, WIRE_PING);

    buf_u64(out, m->id);
    buf_u64(out, (uint64_t)m->fresh_ns);
    buf_u64(out, m->seq);
    buf_u8(out, m->state);
    frame_end(out, start);
}

void wire_put_pong(struct buf *out, const struct wire_pong *m)
{
    size_t start = frame_begin(out, WIRE_PONG);

    buf_u64(out, m->id);
    put_digest(out, m->root);
    buf_u64(out, m->keys);
    buf_u64(out, m->bytes);
    buf_u64(out, m->replaced);
    buf_u64(out, m->waiting);
    buf_u8(out, m->scanning);
    buf_u64(out, m->scan_keys);
    frame_end(out, start);
}

static void put_result(struct buf *out, const struct wire_ready *m)
{
    put_digest(out, m->root);
    buf_u64(out, m->keys);
    buf_u64(out, m->tables);
    buf_u64(out, m->reread);
    buf_u64(out, m->errors);
    put_text(out, m->first_error);
}

void wire_put_ready(struct buf *out, const struct wire_ready *m)
{
    size_t start = frame_begin(out, WIRE_READY);

    put_result(out, m);
    frame_end(out, start);
}

void wire_put_scan(struct buf *out, const struct wire_scan *m)
{
    size_t start = frame_begin(out, WIRE_SCAN);

    buf_u64(out, m->id);
    buf_u8(out, m->how);
    frame_end(out, start);
}

void wire_put_scan_done(struct buf *out, const struct wire_scan_done *m)
{
    size_t start = frame_begin(out, WIRE_SCAN_DONE);

    buf_u64(out, m->id);
    put_result(out, &m->result);
    frame_end(out, start);
}

void wire_put_tree(struct buf *out, const struct wire_tree *m)
{
    size_t start = frame_begin(out, WIRE_TREE);

    buf_u64(out, m->id);
    buf_u16(out, m->node);
    frame_end(out, start);
}

void wire_put_nodes(struct buf *out, uint64_t id, uint16_t node,
                    const struct digest digests[256])
{
    size_t start = frame_begin(out, WIRE_NODES);

    buf_u64(out, id);
    buf_u16(out, node);
    for (unsigned i = 0; i < 256; i++) {
        put_digest(out, digests[i]);
    }
    frame_end(out, start);
}

void wire_put_list(struct buf *out, uint64_t id, const uint16_t *buckets,
                   uint16_t count)
{
    size_t start = frame_begin(out, WIRE_LIST);

    assert(count <= WIRE_BATCH_MAX);
    buf_u64(out, id);
    buf_u16(out, count);
    for (unsigned i = 0; i < count; i++) {
        buf_u16(out, buckets[i]);
    }
    frame_end(out, start);
}

void wire_put_listing(struct buf *out, uint64_t id, bool last,
                      const struct digest (*items)[2], uint16_t count)
{
    size_t start = frame_begin(out, WIRE_LISTING);

    assert(count <= WIRE_BATCH_MAX);
    buf_u64(out, id);
    buf_u8(out, last);
    buf_u16(out, count);
    for (unsigned i = 0; i < count; i++) {
        put_digest(out, items[i][0]);
        put_digest(out, items[i][1]);
    }
    frame_end(out, start);
}

void wire_put_resolve(struct buf *out, uint64_t id, bool last,
                      const struct digest *names, uint16_t count)
{
    size_t start = frame_begin(out, WIRE_RESOLVE);

    assert(count <= WIRE_BATCH_MAX);
    buf_u64(out, id);
    buf_u8(out, last);
    buf_u16(out, count);
    for (unsigned i = 0; i < count; i++) {
        put_digest(out, names[i]);
    }
    frame_end(out, start);
}

enum { NAMES_LAST_AT = WIRE_HEADER_BYTES + 8 };

void wire_names_begin(struct buf *out, struct wire_names_out *n, uint64_t id)
{
    n->start = frame_begin(out, WIRE_NAMES);
    n->count = 0;
    buf_u64(out, id);
    buf_u8(out, 0);
    buf_u16(out, 0);
}

bool wire_names_add(struct buf *out, struct wire_names_out *n,
                    const struct wire_name *m)
{
    /* The component form is one byte longer than the joined one; root and
     * leaf need at most four more. */
    size_t most = 16 + 4 + m->table.len + 1 + m->key.len;

    if (n->count == WIRE_BATCH_MAX ||
        out->len - n->start + most > WIRE_FRAME_MAX) {
        return false;
    }
    put_digest(out, m->name);
    buf_u8(out, m->is_table != 0);
    put_table(out, m->table);
    if (!m->is_table) {
        put_key(out, m->key);
    }
    n->count++;
    return true;
}

void wire_names_end(struct buf *out, struct wire_names_out *n, bool last)
{
    if (!out->bad) {
        uint16_t le = htole16(n->count);
        out->data[n->start + NAMES_LAST_AT] = last;
        memcpy(out->data + n->start + NAMES_LAST_AT + 1, &le, sizeof le);
    }
    frame_end(out, n->start);
}

void wire_put_ack(struct buf *out, const uint64_t *seqs, uint16_t count)
{
    size_t start = frame_begin(out, WIRE_ACK);

    assert(count <= WIRE_BATCH_MAX);
    buf_u16(out, count);
    for (unsigned i = 0; i < count; i++) {
        buf_u64(out, seqs[i]);
    }
    frame_end(out, start);
}

void wire_put_nak(struct buf *out, const struct wire_nak *m)
{
    size_t start = frame_begin(out, WIRE_NAK);

    buf_u64(out, m->seq);
    buf_u16(out, m->code);
    buf_u32(out, (uint32_t)m->sys);
    put_text(out, m->text);
    frame_end(out, start);
}

void wire_put_blocked(struct buf *out, const struct wire_blocked *m)
{
    size_t start = frame_begin(out, WIRE_BLOCKED);
    size_t n = m->comm.len < WIRE_COMM_MAX ? m->comm.len : WIRE_COMM_MAX;

    buf_u64(out, m->seq);
    buf_u32(out, m->pid);
    put_text(out, (struct bytes){.p = m->comm.p, .len = n});
    buf_u64(out, m->waited_ms);
    frame_end(out, start);
}

void wire_put_unread(struct buf *out, const struct wire_unread *m)
{
    size_t start = frame_begin(out, WIRE_UNREAD);

    buf_u64(out, m->id);
    buf_u8(out, m->busy);
    buf_u32(out, (uint32_t)m->sys);
    buf_u8(out, m->is_table);
    put_table(out, m->table);
    if (!m->is_table) {
        put_key(out, m->key);
    }
    frame_end(out, start);
}

void wire_put_modes(struct buf *out, const struct wire_modes *m)
{
    size_t start = frame_begin(out, WIRE_MODES);

    buf_u64(out, m->id);
    buf_u64(out, m->set);
    buf_u64(out, m->unset);
    buf_u32(out, (uint32_t)m->sys);
    buf_u8(out, m->is_table);
    put_table(out, m->table);
    if (!m->is_table) {
        put_key(out, m->key);
    }
    frame_end(out, start);
}

void wire_put_edited(struct buf *out, const struct wire_edited *m)
{
    size_t start = frame_begin(out, WIRE_EDITED);

    buf_u64(out, m->count);
    buf_u8(out, m->how);
    buf_u8(out, m->is_table);
    put_table(out, m->table);
    if (!m->is_table) {
        put_key(out, m->key);
    }
    frame_end(out, start);
}

void wire_put_blind(struct buf *out, const struct wire_blind *m)
{
    size_t start = frame_begin(out, WIRE_BLIND);

    buf_u64(out, m->errors);
    put_text(out, m->first_error);
    frame_end(out, start);
}

void wire_put_finding(struct buf *out, const struct wire_finding *m)
{
    size_t start = frame_begin(out, WIRE_FINDING);

    buf_u8(out, m->level);
    buf_u16(out, m->id);
    put_text(out, m->what);
    put_text(out, m->text);
    put_text(out, m->hint);
    frame_end(out, start);
}

void wire_put_notice(struct buf *out, const char *text)
{
    size_t start = frame_begin(out, WIRE_NOTICE);

    put_text(out, bytes_of(text, strlen(text)));
    frame_end(out, start);
}

void wire_put_error(struct buf *out, const struct wire_error *m)
{
    size_t start = frame_begin(out, WIRE_ERROR);

    buf_u16(out, m->id);
    put_text(out, m->text);
    put_text(out, m->hint);
    frame_end(out, start);
}

void wire_put_bye(struct buf *out)
{
    frame_end(out, frame_begin(out, WIRE_BYE));
}
