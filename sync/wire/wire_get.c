/* SPDX-License-Identifier: MIT
 *
 * wire_get: the decoders of wire.h.  Each reads one frame's body through a
 * bounds-checked cursor, checks every bound and name, and refuses trailing
 * bytes.  The other side is taken for hostile: nothing here allocates, and no
 * length is used before it was compared with what is there.
 */
#include "sync/wire/wire.h"

#include <string.h>

#include "sync/errors/state.h"

/* One body being decoded: the cursor, whose frame it is, and the first thing
 * found wrong with it. */
struct get {
    struct cur c;
    enum wire_type type;
    struct err *err;
    bool bad; /* *err is set */
};

static struct get get_of(enum wire_type type, struct bytes b, struct err *err)
{
    return (struct get){.c = cur_of(b.p, b.len), .type = type, .err = err};
}

/* Note what is wrong; only the first counts. */
static void wrong(struct get *g, const char *what)
{
    if (!g->bad) {
        g->bad = true;
        err_set(g->err, ERR_PROTO, 0, "%s frame: %s", wire_type_name(g->type),
                what);
        g->err->id = DR_PROTOCOL;
    }
}

/* A name was refused: *err says why. */
static void wrong_name(struct get *g)
{
    g->bad = true;
    err_wrap(g->err, "%s frame", wire_type_name(g->type));
    g->err->code = ERR_PROTO;
    g->err->id = DR_PROTOCOL;
}

static void check_short(struct get *g)
{
    if (g->c.bad) {
        wrong(g, "it is too short");
    }
}

static int get_end(struct get *g)
{
    check_short(g);
    if (g->c.left > 0) {
        wrong(g, "it has bytes beyond its end");
    }
    return g->bad ? g->err->code : 0;
}

static void get_raw(struct get *g, void *out, size_t n)
{
    const uint8_t *p = cur_take(&g->c, n);

    if (p != NULL) {
        memcpy(out, p, n);
    } else {
        memset(out, 0, n);
    }
}

static struct bytes get_run(struct get *g, size_t n)
{
    const uint8_t *p = cur_take(&g->c, n);

    return bytes_of(p, p != NULL ? n : 0);
}

static uint8_t get_flag(struct get *g)
{
    uint8_t v = cur_u8(&g->c);

    if (v > 1) {
        wrong(g, "a yes/no byte is neither 0 nor 1");
    }
    return v;
}

static struct digest get_digest(struct get *g)
{
    uint64_t lo = cur_u64(&g->c);

    return (struct digest){.lo = lo, .hi = cur_u64(&g->c)};
}

static struct bytes get_text(struct get *g)
{
    size_t n = cur_u16(&g->c);

    if (n > WIRE_TEXT_MAX) {
        wrong(g, "a text is too long");
        return bytes_of(NULL, 0);
    }
    return get_run(g, n);
}

/* Components to one name with '/' in `scratch`. */
static struct bytes get_table(struct get *g, char scratch[TABLE_MAX_BYTES])
{
    struct bytes none = {.p = (const uint8_t *)scratch, .len = 0};
    unsigned count = cur_u8(&g->c);
    size_t len = 0;

    if (count > TABLE_MAX_DEPTH) {
        wrong(g, "a table name has too many components");
        return none;
    }
    for (unsigned i = 0; i < count; i++) {
        struct bytes part = get_run(g, cur_u8(&g->c));
        if (g->c.bad) {
            return none;
        }
        if (part.len == 0 || memchr(part.p, '/', part.len) != NULL) {
            wrong(g, "a table name's component is empty or contains '/'");
            return none;
        }
        if (len + (i > 0) + part.len > TABLE_MAX_BYTES) {
            wrong(g, "a table name is too long");
            return none;
        }
        if (i > 0) {
            scratch[len++] = '/';
        }
        memcpy(scratch + len, part.p, part.len);
        len += part.len;
        /* Drover's own directory is not part of the database. */
        if (i == 0 && count > 1 && len == sizeof META_DIR - 1 &&
            memcmp(scratch, META_DIR, len) == 0) {
            wrong(g, "a table name leads into " META_DIR);
            return none;
        }
    }
    if (!g->bad && table_check(scratch, len, g->err) != 0) {
        wrong_name(g);
        return none;
    }
    return bytes_of(scratch, len);
}

static struct bytes get_key(struct get *g)
{
    struct bytes key = get_run(g, cur_u8(&g->c));

    if (!g->c.bad && !g->bad && key_check(key.p, key.len, g->err) != 0) {
        wrong_name(g);
        return bytes_of(NULL, 0);
    }
    return key;
}

int wire_get_hello(struct bytes b, struct wire_hello *m, struct err *err)
{
    struct get g = get_of(WIRE_HELLO, b, err);

    m->proto_min = cur_u16(&g.c);
    m->proto_max = cur_u16(&g.c);
    m->features = cur_u32(&g.c);
    get_raw(&g, m->db_id, sizeof m->db_id);
    m->epoch = cur_u64(&g.c);
    get_raw(&g, m->instance, sizeof m->instance);
    m->heartbeat_ms = cur_u32(&g.c);
    m->silence_ms = cur_u32(&g.c);
    m->durability = cur_u8(&g.c);
    m->replica = get_text(&g);
    m->version = get_text(&g);
    memset(m->key, 0, sizeof m->key);
    if (m->proto_max >= 2) {
        get_raw(&g, m->key, sizeof m->key);
    }
    memset(m->expected, 0, sizeof m->expected);
    m->anew = 0;
    if (m->proto_max >= 3) {
        get_raw(&g, m->expected, sizeof m->expected);
        m->anew = get_flag(&g);
    }
    if (m->proto_min == 0 || m->proto_max < m->proto_min) {
        wrong(&g, "its protocol range is empty");
    }
    /* A later version may say more after what is known here. */
    if (!g.c.bad && m->proto_max > WIRE_PROTO_MAX) {
        g.c.left = 0;
    } else if (m->durability > WIRE_RELAXED) {
        wrong(&g, "an unknown durability");
    }
    return get_end(&g);
}

int wire_get_hello_ok(struct bytes b, struct wire_hello_ok *m, struct err *err)
{
    struct get g = get_of(WIRE_HELLO_OK, b, err);

    m->proto = cur_u16(&g.c);
    m->features = cur_u32(&g.c);
    m->epoch = cur_u64(&g.c);
    m->was_empty = get_flag(&g);
    m->version = get_text(&g);
    m->host = get_text(&g);
    memset(m->dirid, 0, sizeof m->dirid);
    if (m->proto >= 3) {
        get_raw(&g, m->dirid, sizeof m->dirid);
    }
    return get_end(&g);
}

static struct bytes get_value(struct get *g, size_t max)
{
    size_t n = cur_u32(&g->c);

    if (n > max) {
        wrong(g, "its value is too long for this frame");
        return bytes_of(NULL, 0);
    }
    return get_run(g, n);
}

int wire_get_change(enum wire_type type, struct bytes b, struct wire_change *m,
                    struct err *err)
{
    struct get g = get_of(type, b, err);
    bool has_key = type == WIRE_SET || type == WIRE_SAME ||
                   type == WIRE_SET_BEGIN || type == WIRE_DELETE;

    m->seq = cur_u64(&g.c);
    m->table = get_table(&g, m->scratch);
    m->key = has_key ? get_key(&g) : bytes_of(NULL, 0);
    m->digest = (struct digest){0, 0};
    m->size = 0;
    m->value = bytes_of(NULL, 0);
    if (type == WIRE_SET) {
        m->digest = get_digest(&g);
        m->value = get_value(&g, WIRE_INLINE_MAX);
        m->size = m->value.len;
    } else if (type == WIRE_SAME) {
        m->digest = get_digest(&g);
    } else if (type == WIRE_SET_BEGIN) {
        m->size = cur_u64(&g.c);
    } else if (type == WIRE_TABLE_DROP && m->table.len == 0) {
        wrong(&g, "the root table cannot be dropped");
    }
    return get_end(&g);
}

int wire_get_piece(struct bytes b, struct wire_piece *m, struct err *err)
{
    struct get g = get_of(WIRE_PIECE, b, err);

    m->seq = cur_u64(&g.c);
    m->data = get_value(&g, WIRE_PIECE_MAX);
    return get_end(&g);
}

int wire_get_zeros(struct bytes b, struct wire_zeros *m, struct err *err)
{
    struct get g = get_of(WIRE_ZEROS, b, err);

    m->seq = cur_u64(&g.c);
    m->length = cur_u64(&g.c);
    if (m->length == 0 || m->length > WIRE_ZEROS_MAX) {
        wrong(&g, "its length is not between 1 and 64 MiB");
    }
    return get_end(&g);
}

int wire_get_set_end(struct bytes b, struct wire_set_end *m, struct err *err)
{
    struct get g = get_of(WIRE_SET_END, b, err);

    m->seq = cur_u64(&g.c);
    m->digest = get_digest(&g);
    return get_end(&g);
}

int wire_get_set_abort(struct bytes b, uint64_t *seq, struct err *err)
{
    struct get g = get_of(WIRE_SET_ABORT, b, err);

    *seq = cur_u64(&g.c);
    return get_end(&g);
}

int wire_get_ping(struct bytes b, struct wire_ping *m, struct err *err)
{
    struct get g = get_of(WIRE_PING, b, err);

    m->id = cur_u64(&g.c);
    m->fresh_ns = (int64_t)cur_u64(&g.c);
    m->seq = cur_u64(&g.c);
    m->state = cur_u8(&g.c);
    if (m->fresh_ns < 0) {
        wrong(&g, "its time lies before 1970");
    }
    if (m->state > REPLICA_DIFFERS) {
        wrong(&g, "an unknown replica state");
    }
    return get_end(&g);
}

int wire_get_pong(struct bytes b, struct wire_pong *m, struct err *err)
{
    struct get g = get_of(WIRE_PONG, b, err);

    m->id = cur_u64(&g.c);
    m->root = get_digest(&g);
    m->keys = cur_u64(&g.c);
    m->bytes = cur_u64(&g.c);
    m->replaced = cur_u64(&g.c);
    m->waiting = cur_u64(&g.c);
    m->scanning = get_flag(&g);
    m->scan_keys = cur_u64(&g.c);
    return get_end(&g);
}

static void get_result(struct get *g, struct wire_ready *m)
{
    m->root = get_digest(g);
    m->keys = cur_u64(&g->c);
    m->tables = cur_u64(&g->c);
    m->reread = cur_u64(&g->c);
    m->errors = cur_u64(&g->c);
    m->first_error = get_text(g);
}

int wire_get_ready(struct bytes b, struct wire_ready *m, struct err *err)
{
    struct get g = get_of(WIRE_READY, b, err);

    get_result(&g, m);
    return get_end(&g);
}

int wire_get_scan(struct bytes b, struct wire_scan *m, struct err *err)
{
    struct get g = get_of(WIRE_SCAN, b, err);

    m->id = cur_u64(&g.c);
    m->how = cur_u8(&g.c);
    if (m->how > (WIRE_SCAN_CONTENT | WIRE_SCAN_VIEW | WIRE_SCAN_PERMS)) {
        wrong(&g, "it asks for what is not known");
    }
    if (m->id == 0) {
        wrong(&g, "id 0 belongs to the scan at start");
    }
    return get_end(&g);
}

int wire_get_scan_done(struct bytes b, struct wire_scan_done *m,
                       struct err *err)
{
    struct get g = get_of(WIRE_SCAN_DONE, b, err);

    m->id = cur_u64(&g.c);
    get_result(&g, &m->result);
    return get_end(&g);
}

static uint16_t get_node(struct get *g)
{
    uint16_t node = cur_u16(&g->c);

    if (node > 255 && node != WIRE_TREE_TOP) {
        wrong(g, "there is no such node in the tree");
    }
    return node;
}

int wire_get_tree(struct bytes b, struct wire_tree *m, struct err *err)
{
    struct get g = get_of(WIRE_TREE, b, err);

    m->id = cur_u64(&g.c);
    m->node = get_node(&g);
    return get_end(&g);
}

int wire_get_nodes(struct bytes b, struct wire_nodes *m, struct err *err)
{
    struct get g = get_of(WIRE_NODES, b, err);

    m->id = cur_u64(&g.c);
    m->node = get_node(&g);
    for (unsigned i = 0; i < 256; i++) {
        m->digests[i] = get_digest(&g);
    }
    return get_end(&g);
}

static uint16_t get_count(struct get *g)
{
    uint16_t count = cur_u16(&g->c);

    if (count > WIRE_BATCH_MAX) {
        wrong(g, "it has too many items");
        return 0;
    }
    return count;
}

int wire_get_list(struct bytes b, struct wire_list *m, struct err *err)
{
    struct get g = get_of(WIRE_LIST, b, err);

    m->id = cur_u64(&g.c);
    m->count = get_count(&g);
    for (unsigned i = 0; i < m->count; i++) {
        m->buckets[i] = cur_u16(&g.c);
    }
    return get_end(&g);
}

enum {
    LISTING_ITEM_BYTES = 32,
    RESOLVE_ITEM_BYTES = 16,
    ACK_ITEM_BYTES = 8,
};

/* Bytes of one item, 0 where they differ. */
static size_t item_bytes(enum wire_type type)
{
    return type == WIRE_LISTING   ? LISTING_ITEM_BYTES
           : type == WIRE_RESOLVE ? RESOLVE_ITEM_BYTES
           : type == WIRE_ACK     ? ACK_ITEM_BYTES
                                  : 0;
}

int wire_get_items(enum wire_type type, struct bytes b, struct wire_items *m,
                   struct err *err)
{
    struct get g = get_of(type, b, err);
    bool has_id = type != WIRE_ACK;

    m->id = has_id ? cur_u64(&g.c) : 0;
    m->last = has_id ? get_flag(&g) : 0;
    m->count = get_count(&g);
    check_short(&g);
    m->items = g.c;
    /* NAMES have items of their own lengths: wire_item_name() checks them. */
    if (type != WIRE_NAMES && m->items.left != m->count * item_bytes(type)) {
        wrong(&g, "its length does not fit its number of items");
    }
    return g.bad ? err->code : 0;
}

int wire_item_listing(struct wire_items *m, struct digest *name,
                      struct digest *value)
{
    if (m->count == 0) {
        return 0;
    }
    m->count--;
    name->lo = cur_u64(&m->items);
    name->hi = cur_u64(&m->items);
    value->lo = cur_u64(&m->items);
    value->hi = cur_u64(&m->items);
    return 1;
}

int wire_item_resolve(struct wire_items *m, struct digest *name)
{
    if (m->count == 0) {
        return 0;
    }
    m->count--;
    name->lo = cur_u64(&m->items);
    name->hi = cur_u64(&m->items);
    return 1;
}

int wire_item_ack(struct wire_items *m, uint64_t *seq)
{
    if (m->count == 0) {
        return 0;
    }
    m->count--;
    *seq = cur_u64(&m->items);
    return 1;
}

int wire_item_name(struct wire_items *m, struct wire_name *name,
                   struct err *err)
{
    struct get g = {.c = m->items, .type = WIRE_NAMES, .err = err};

    if (m->count == 0) {
        return get_end(&g);
    }
    name->name = get_digest(&g);
    name->is_table = get_flag(&g);
    name->table = get_table(&g, name->scratch);
    name->key = name->is_table ? bytes_of(NULL, 0) : get_key(&g);
    check_short(&g);
    m->count--;
    m->items = g.c;
    return g.bad ? err->code : 1;
}

int wire_get_nak(struct bytes b, struct wire_nak *m, struct err *err)
{
    struct get g = get_of(WIRE_NAK, b, err);

    m->seq = cur_u64(&g.c);
    m->code = cur_u16(&g.c);
    m->sys = (int32_t)cur_u32(&g.c);
    m->text = get_text(&g);
    if (m->code == 0 || m->sys < 0) {
        wrong(&g, "an impossible error number");
    }
    return get_end(&g);
}

int wire_get_blocked(struct bytes b, struct wire_blocked *m, struct err *err)
{
    struct get g = get_of(WIRE_BLOCKED, b, err);

    m->seq = cur_u64(&g.c);
    m->pid = cur_u32(&g.c);
    m->comm = get_text(&g);
    m->waited_ms = cur_u64(&g.c);
    if (m->comm.len > WIRE_COMM_MAX) {
        wrong(&g, "a command name is too long");
    }
    return get_end(&g);
}

int wire_get_unread(struct bytes b, struct wire_unread *m, struct err *err)
{
    struct get g = get_of(WIRE_UNREAD, b, err);

    m->id = cur_u64(&g.c);
    m->busy = get_flag(&g);
    m->sys = (int32_t)cur_u32(&g.c);
    m->is_table = get_flag(&g);
    m->table = get_table(&g, m->scratch);
    m->key = m->is_table ? bytes_of(NULL, 0) : get_key(&g);
    return get_end(&g);
}

int wire_get_modes(struct bytes b, struct wire_modes *m, struct err *err)
{
    struct get g = get_of(WIRE_MODES, b, err);

    m->id = cur_u64(&g.c);
    m->set = cur_u64(&g.c);
    m->unset = cur_u64(&g.c);
    m->sys = (int32_t)cur_u32(&g.c);
    m->is_table = get_flag(&g);
    m->table = get_table(&g, m->scratch);
    m->key = m->is_table ? bytes_of(NULL, 0) : get_key(&g);
    return get_end(&g);
}

int wire_get_edited(struct bytes b, struct wire_edited *m, struct err *err)
{
    struct get g = get_of(WIRE_EDITED, b, err);

    m->count = cur_u64(&g.c);
    m->how = cur_u8(&g.c);
    if (m->how > WIRE_EDIT_UNNAMED) {
        wrong(&g, "an unknown kind of edit");
    }
    m->is_table = get_flag(&g);
    m->table = get_table(&g, m->scratch);
    m->key = m->is_table ? bytes_of(NULL, 0) : get_key(&g);
    return get_end(&g);
}

int wire_get_blind(struct bytes b, struct wire_blind *m, struct err *err)
{
    struct get g = get_of(WIRE_BLIND, b, err);

    m->errors = cur_u64(&g.c);
    m->first_error = get_text(&g);
    return get_end(&g);
}

int wire_get_finding(struct bytes b, struct wire_finding *m, struct err *err)
{
    struct get g = get_of(WIRE_FINDING, b, err);

    m->level = cur_u8(&g.c);
    if (m->level > WIRE_FINDING_WORST) {
        wrong(&g, "an unknown level");
    }
    m->id = cur_u16(&g.c);
    m->what = get_text(&g);
    m->text = get_text(&g);
    m->hint = get_text(&g);
    return get_end(&g);
}

int wire_get_notice(struct bytes b, struct bytes *text, struct err *err)
{
    struct get g = get_of(WIRE_NOTICE, b, err);

    *text = get_text(&g);
    return get_end(&g);
}

int wire_get_error(struct bytes b, struct wire_error *m, struct err *err)
{
    struct get g = get_of(WIRE_ERROR, b, err);

    m->id = cur_u16(&g.c);
    m->text = get_text(&g);
    m->hint = get_text(&g);
    return get_end(&g);
}

int wire_get_bye(struct bytes b, struct err *err)
{
    struct get g = get_of(WIRE_BYE, b, err);

    return get_end(&g);
}
