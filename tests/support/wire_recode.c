/* SPDX-License-Identifier: MIT
 *
 * wire_recode: see wire_recode.h. */
#include "tests/support/wire_recode.h"

#include <stdlib.h>
#include <string.h>

const enum wire_type wire_types[] = {
    WIRE_HELLO,      WIRE_SET,       WIRE_SET_BEGIN,    WIRE_PIECE,
    WIRE_SET_END,    WIRE_SET_ABORT, WIRE_DELETE,       WIRE_TABLE_SET,
    WIRE_TABLE_DROP, WIRE_PING,      WIRE_SCAN,         WIRE_TREE,
    WIRE_LIST,       WIRE_RESOLVE,   WIRE_BYE,          WIRE_ERROR,
    WIRE_SAME,       WIRE_ZEROS,     WIRE_HELLO_OK,     WIRE_READY,
    WIRE_ACK,        WIRE_NAK,       WIRE_BLOCKED,      WIRE_PONG,
    WIRE_SCAN_DONE,  WIRE_NODES,     WIRE_LISTING,      WIRE_NAMES,
    WIRE_NOTICE,     WIRE_UNREAD,    WIRE_MODES,        WIRE_EDITED,
    WIRE_BLIND,      WIRE_FINDING,   (enum wire_type)0,
};

/* --- decode and encode again -------------------------------------------------
 */

static int recode_set(struct bytes b, struct buf *out, struct err *err)
{
    struct buf body = BUF_NULL;
    struct wire_change m;

    int rc = wire_get_change(WIRE_SET, b, &m, err);
    if (rc == 0) {
        wire_set_body(&body, &m);
        wire_put_set(out, m.seq, &body);
    }
    buf_deinit(&body);
    return rc;
}

static int recode_change(enum wire_type type, struct bytes b, struct buf *out,
                         struct err *err)
{
    struct wire_change m;

    int rc = wire_get_change(type, b, &m, err);
    if (rc == 0) {
        wire_put_change(out, type, &m);
    }
    return rc;
}

static int recode_list(struct bytes b, struct buf *out, struct err *err)
{
    static struct wire_list m;

    int rc = wire_get_list(b, &m, err);
    if (rc == 0) {
        wire_put_list(out, m.id, m.buckets, m.count);
    }
    return rc;
}

static int recode_nodes(struct bytes b, struct buf *out, struct err *err)
{
    static struct wire_nodes m;

    int rc = wire_get_nodes(b, &m, err);
    if (rc == 0) {
        wire_put_nodes(out, m.id, m.node, m.digests);
    }
    return rc;
}

static int recode_names(struct wire_items *m, struct buf *out, struct err *err)
{
    struct wire_names_out frame;
    static struct wire_name name;
    size_t start = out->len;
    int rc;

    wire_names_begin(out, &frame, m->id);
    while ((rc = wire_item_name(m, &name, err)) > 0) {
        if (!wire_names_add(out, &frame, &name)) {
            abort(); /* what fitted in a frame fits again */
        }
    }
    wire_names_end(out, &frame, m->last != 0);
    if (rc < 0) {
        out->len = start;
    }
    return rc;
}

static int recode_items(enum wire_type type, struct bytes b, struct buf *out,
                        struct err *err)
{
    static struct digest pairs[WIRE_BATCH_MAX + 1][2];
    static struct digest names[WIRE_BATCH_MAX + 1];
    static uint64_t seqs[WIRE_BATCH_MAX + 1];
    struct wire_items m;
    uint16_t n = 0;

    int rc = wire_get_items(type, b, &m, err);
    if (rc != 0) {
        return rc;
    }
    switch ((int)type) {
    case WIRE_LISTING:
        while (wire_item_listing(&m, &pairs[n][0], &pairs[n][1]) > 0) {
            n++;
        }
        wire_put_listing(out, m.id, m.last != 0,
                         (const struct digest(*)[2])pairs, n);
        return 0;
    case WIRE_RESOLVE:
        while (wire_item_resolve(&m, &names[n]) > 0) {
            n++;
        }
        wire_put_resolve(out, m.id, m.last != 0, names, n);
        return 0;
    case WIRE_ACK:
        while (wire_item_ack(&m, &seqs[n]) > 0) {
            n++;
        }
        wire_put_ack(out, seqs, n);
        return 0;
    default:
        return recode_names(&m, out, err);
    }
}

static int recode_modes(struct bytes b, struct buf *out, struct err *err)
{
    struct wire_modes m;

    int rc = wire_get_modes(b, &m, err);
    if (rc == 0) {
        wire_put_modes(out, &m);
    }
    return rc;
}

static int recode_blind(struct bytes b, struct buf *out, struct err *err)
{
    struct wire_blind m;

    int rc = wire_get_blind(b, &m, err);
    if (rc == 0) {
        wire_put_blind(out, &m);
    }
    return rc;
}

static int recode_finding(struct bytes b, struct buf *out, struct err *err)
{
    struct wire_finding m;

    int rc = wire_get_finding(b, &m, err);
    if (rc == 0) {
        wire_put_finding(out, &m);
    }
    return rc;
}

static int recode_edited(struct bytes b, struct buf *out, struct err *err)
{
    struct wire_edited m;

    int rc = wire_get_edited(b, &m, err);
    if (rc == 0) {
        wire_put_edited(out, &m);
    }
    return rc;
}

static int recode_unread(struct bytes b, struct buf *out, struct err *err)
{
    struct wire_unread m;

    int rc = wire_get_unread(b, &m, err);
    if (rc == 0) {
        wire_put_unread(out, &m);
    }
    return rc;
}

static int recode_notice(struct bytes b, struct buf *out, struct err *err)
{
    char text[WIRE_TEXT_MAX + 1];
    struct bytes t;

    int rc = wire_get_notice(b, &t, err);
    if (rc == 0) {
        memcpy(text, t.p, t.len);
        text[t.len] = '\0';
        if (strlen(text) != t.len) {
            /* A NUL inside cannot be encoded again. */
            return err_set(err, ERR_PROTO, 0, "NOTICE frame: NUL in a text");
        }
        wire_put_notice(out, text);
    }
    return rc;
}

/* recode_NAME() of one decoder and one encoder that go together. */
#define RECODE(name)                                                           \
    static int recode_##name(struct bytes b, struct buf *out, struct err *err) \
    {                                                                          \
        struct wire_##name m;                                                  \
        int rc = wire_get_##name(b, &m, err);                                  \
        if (rc == 0) {                                                         \
            wire_put_##name(out, &m);                                          \
        }                                                                      \
        return rc;                                                             \
    }

/* clang-format off */
RECODE(hello)
RECODE(hello_ok)
RECODE(ping)
RECODE(pong)
RECODE(ready)
RECODE(scan)
RECODE(scan_done)
RECODE(tree)
RECODE(nak)
RECODE(blocked)
RECODE(error)
/* clang-format on */

static int recode_piece(struct bytes b, struct buf *out, struct err *err)
{
    struct wire_piece m;

    int rc = wire_get_piece(b, &m, err);
    if (rc == 0) {
        wire_put_piece(out, m.seq, m.data.p, m.data.len);
    }
    return rc;
}

static int recode_zeros(struct bytes b, struct buf *out, struct err *err)
{
    struct wire_zeros m;

    int rc = wire_get_zeros(b, &m, err);
    if (rc == 0) {
        wire_put_zeros(out, m.seq, m.length);
    }
    return rc;
}

static int recode_set_end(struct bytes b, struct buf *out, struct err *err)
{
    struct wire_set_end m;

    int rc = wire_get_set_end(b, &m, err);
    if (rc == 0) {
        wire_put_set_end(out, m.seq, m.digest);
    }
    return rc;
}

static int recode_set_abort(struct bytes b, struct buf *out, struct err *err)
{
    uint64_t seq;

    int rc = wire_get_set_abort(b, &seq, err);
    if (rc == 0) {
        wire_put_set_abort(out, seq);
    }
    return rc;
}

static int recode_bye(struct bytes b, struct buf *out, struct err *err)
{
    int rc = wire_get_bye(b, err);

    if (rc == 0) {
        wire_put_bye(out);
    }
    return rc;
}

int wire_recode(enum wire_type type, struct bytes b, struct buf *out,
                struct err *err)
{
    switch (type) {
    case WIRE_HELLO:
        return recode_hello(b, out, err);
    case WIRE_SET:
        return recode_set(b, out, err);
    case WIRE_SAME:
    case WIRE_SET_BEGIN:
    case WIRE_DELETE:
    case WIRE_TABLE_SET:
    case WIRE_TABLE_DROP:
        return recode_change(type, b, out, err);
    case WIRE_ZEROS:
        return recode_zeros(b, out, err);
    case WIRE_PIECE:
        return recode_piece(b, out, err);
    case WIRE_SET_END:
        return recode_set_end(b, out, err);
    case WIRE_SET_ABORT:
        return recode_set_abort(b, out, err);
    case WIRE_PING:
        return recode_ping(b, out, err);
    case WIRE_SCAN:
        return recode_scan(b, out, err);
    case WIRE_TREE:
        return recode_tree(b, out, err);
    case WIRE_LIST:
        return recode_list(b, out, err);
    case WIRE_RESOLVE:
    case WIRE_ACK:
    case WIRE_LISTING:
    case WIRE_NAMES:
        return recode_items(type, b, out, err);
    case WIRE_BYE:
        return recode_bye(b, out, err);
    case WIRE_ERROR:
        return recode_error(b, out, err);
    case WIRE_HELLO_OK:
        return recode_hello_ok(b, out, err);
    case WIRE_READY:
        return recode_ready(b, out, err);
    case WIRE_NAK:
        return recode_nak(b, out, err);
    case WIRE_BLOCKED:
        return recode_blocked(b, out, err);
    case WIRE_PONG:
        return recode_pong(b, out, err);
    case WIRE_SCAN_DONE:
        return recode_scan_done(b, out, err);
    case WIRE_NODES:
        return recode_nodes(b, out, err);
    case WIRE_NOTICE:
        return recode_notice(b, out, err);
    case WIRE_UNREAD:
        return recode_unread(b, out, err);
    case WIRE_MODES:
        return recode_modes(b, out, err);
    case WIRE_EDITED:
        return recode_edited(b, out, err);
    case WIRE_BLIND:
        return recode_blind(b, out, err);
    case WIRE_FINDING:
        return recode_finding(b, out, err);
    }
    return err_set(err, ERR_INVALID, 0, "no such frame");
}

/* --- samples ------------------------------------------------------------- */

static struct bytes text(const char *s)
{
    return bytes_of(s, strlen(s));
}

static const struct digest sample_digest = {UINT64_C(0x1122334455667788),
                                            UINT64_C(0x99aabbccddeeff00)};
static const struct digest other_digest = {UINT64_C(0x0102030405060708),
                                           UINT64_C(0x090a0b0c0d0e0f10)};

static struct wire_change sample_change(void)
{
    return (struct wire_change){
        .seq = 7,
        .table = text("a/users"),
        .key = text("bob"),
        .digest = digest_of("hello", 5),
        .size = 1048576,
        .value = text("hello"),
    };
}

static const struct wire_ready sample_ready = {
    .root = {3, 4},
    .keys = 1000,
    .tables = 12,
    .reread = 34,
    .errors = 1,
    .first_error = {(const uint8_t *)"users/eve: Permission denied", 28},
};

static void sample_hello(struct buf *out)
{
    struct wire_hello m = {
        .proto_min = WIRE_PROTO_MIN,
        .proto_max = WIRE_PROTO_MAX,
        .features = 0,
        .epoch = 3,
        .heartbeat_ms = 1000,
        .silence_ms = 15000,
        .durability = WIRE_DURABLE,
        .replica = text("eu-1"),
        .version = text("0.1.0"),
    };

    for (uint8_t i = 0; i < 16; i++) {
        m.db_id[i] = i;
        m.instance[i] = (uint8_t)(0xf0 + i);
    }
    for (uint8_t i = 0; i < WIRE_KEY_BYTES; i++) {
        m.key[i] = (uint8_t)(0x10 + i);
    }
    for (uint8_t i = 0; i < WIRE_DIRID_BYTES; i++) {
        m.expected[i] = (uint8_t)(0x30 + i);
    }
    wire_put_hello(out, &m);
}

static void sample_set(struct buf *out)
{
    struct wire_change m = sample_change();
    struct buf body = BUF_NULL;

    wire_set_body(&body, &m);
    wire_put_set(out, m.seq, &body);
    buf_deinit(&body);
}

static void sample_names(struct buf *out)
{
    struct wire_name key = {
        .name = sample_digest, .table = text("a/users"), .key = text("bob")};
    struct wire_name table = {
        .name = other_digest, .is_table = 1, .table = text("empty")};
    struct wire_names_out n;

    wire_names_begin(out, &n, 24);
    (void)wire_names_add(out, &n, &key);
    (void)wire_names_add(out, &n, &table);
    wire_names_end(out, &n, true);
}

static void sample_nodes(struct buf *out)
{
    static const struct digest d[256] = {[0] = {1, 2}, [1] = {3, 4}};

    wire_put_nodes(out, 22, 255, d);
}

static void sample_unread(struct buf *out)
{
    wire_put_unread(out, &(struct wire_unread){.id = 21,
                                               .sys = 13,
                                               .table = text("users"),
                                               .key = text("eve")});
}

static void sample_modes(struct buf *out)
{
    wire_put_modes(out, &(struct wire_modes){.id = 21,
                                             .set = 48211,
                                             .unset = 3,
                                             .sys = 1,
                                             .table = text("users"),
                                             .key = text("eve")});
}

static void sample_edited(struct buf *out)
{
    wire_put_edited(out, &(struct wire_edited){.count = 2,
                                               .how = WIRE_EDIT_REMOVED,
                                               .table = text("users"),
                                               .key = text("eve")});
}

static void sample_finding(struct buf *out)
{
    wire_put_finding(out, &(struct wire_finding){.level = 1,
                                                 .id = 305,
                                                 .what = text("space"),
                                                 .text = text("4 % free"),
                                                 .hint = text("df -h /r")});
}

static void sample_blind(struct buf *out)
{
    wire_put_blind(
        out, &(struct wire_blind){
                 .errors = 1, .first_error = text("users: a link is there")});
}

static void sample_pong(struct buf *out)
{
    struct wire_pong m = {.id = 9,
                          .root = sample_digest,
                          .keys = 1000,
                          .bytes = 65536,
                          .replaced = 2,
                          .waiting = 1,
                          .scanning = 1,
                          .scan_keys = 500};

    wire_put_pong(out, &m);
}

static void sample_question(struct buf *out, enum wire_type type)
{
    static const uint16_t buckets[] = {0, 4660, 65535};
    static const struct digest names[] = {{1, 2}, {3, 4}};
    struct wire_ping ping = {
        .id = 9, .fresh_ns = 1700000000123456789, .seq = 88, .state = 3};

    switch ((int)type) {
    case WIRE_PING:
        wire_put_ping(out, &ping);
        break;
    case WIRE_SCAN:
        wire_put_scan(out, &(struct wire_scan){.id = 21, .how = 1});
        break;
    case WIRE_TREE:
        wire_put_tree(out, &(struct wire_tree){.id = 22, .node = 255});
        break;
    case WIRE_LIST:
        wire_put_list(out, 23, buckets, 3);
        break;
    default:
        wire_put_resolve(out, 24, true, names, 2);
    }
}

static void sample_answer(struct buf *out, enum wire_type type)
{
    static const struct digest pairs[][2] = {{{1, 2}, {3, 4}}};
    static const uint64_t seqs[] = {7, 9, 8};
    struct wire_nak nak = {.seq = 7,
                           .code = 10,
                           .sys = 28,
                           .text = text("table users, key bob: write: No "
                                        "space left on device")};
    struct wire_blocked blocked = {
        .seq = 7, .pid = 4711, .comm = text("report"), .waited_ms = 1500};
    struct wire_scan_done done = {.id = 21, .result = sample_ready};

    switch ((int)type) {
    case WIRE_ACK:
        wire_put_ack(out, seqs, 3);
        break;
    case WIRE_NAK:
        wire_put_nak(out, &nak);
        break;
    case WIRE_BLOCKED:
        wire_put_blocked(out, &blocked);
        break;
    case WIRE_SCAN_DONE:
        wire_put_scan_done(out, &done);
        break;
    default:
        wire_put_listing(out, 23, true, pairs, 1);
    }
}

static void sample_session(struct buf *out, enum wire_type type)
{
    struct wire_hello_ok ok = {.proto = WIRE_PROTO_MAX,
                               .features = 0,
                               .epoch = 3,
                               .was_empty = 1,
                               .version = text("0.1.0"),
                               .host = text("eu-1.example.net")};
    struct wire_error error = {
        .id = 302,
        .text = text("this replica is a copy of another database"),
        .hint = text("is the target path right?")};

    for (uint8_t i = 0; i < WIRE_DIRID_BYTES; i++) {
        ok.dirid[i] = (uint8_t)(0x30 + i);
    }
    switch ((int)type) {
    case WIRE_BYE:
        wire_put_bye(out);
        break;
    case WIRE_ERROR:
        wire_put_error(out, &error);
        break;
    case WIRE_HELLO_OK:
        wire_put_hello_ok(out, &ok);
        break;
    default:
        wire_put_notice(out, "sandbox: Landlock is not available");
    }
}

static void sample(struct buf *out, enum wire_type type)
{
    struct wire_change change = sample_change();

    switch (type) {
    case WIRE_HELLO:
        sample_hello(out);
        break;
    case WIRE_SET:
        sample_set(out);
        break;
    case WIRE_SAME:
    case WIRE_SET_BEGIN:
    case WIRE_DELETE:
    case WIRE_TABLE_SET:
    case WIRE_TABLE_DROP:
        wire_put_change(out, type, &change);
        break;
    case WIRE_ZEROS:
        wire_put_zeros(out, 7, 1048576);
        break;
    case WIRE_PIECE:
        wire_put_piece(out, 7, "some bytes", 10);
        break;
    case WIRE_SET_END:
        wire_put_set_end(out, 7, sample_digest);
        break;
    case WIRE_SET_ABORT:
        wire_put_set_abort(out, 7);
        break;
    case WIRE_PING:
    case WIRE_SCAN:
    case WIRE_TREE:
    case WIRE_LIST:
    case WIRE_RESOLVE:
        sample_question(out, type);
        break;
    case WIRE_BYE:
    case WIRE_ERROR:
    case WIRE_HELLO_OK:
    case WIRE_NOTICE:
        sample_session(out, type);
        break;
    case WIRE_READY:
        wire_put_ready(out, &sample_ready);
        break;
    case WIRE_ACK:
    case WIRE_NAK:
    case WIRE_BLOCKED:
    case WIRE_SCAN_DONE:
    case WIRE_LISTING:
        sample_answer(out, type);
        break;
    case WIRE_UNREAD:
        sample_unread(out);
        break;
    case WIRE_MODES:
        sample_modes(out);
        break;
    case WIRE_EDITED:
        sample_edited(out);
        break;
    case WIRE_BLIND:
        sample_blind(out);
        break;
    case WIRE_FINDING:
        sample_finding(out);
        break;
    case WIRE_PONG:
        sample_pong(out);
        break;
    case WIRE_NODES:
        sample_nodes(out);
        break;
    case WIRE_NAMES:
        sample_names(out);
        break;
    }
}

void wire_samples(struct buf *out, enum wire_type which)
{
    for (const enum wire_type *t = wire_types; *t != 0; t++) {
        if (which == 0 || which == *t) {
            sample(out, *t);
        }
    }
}
