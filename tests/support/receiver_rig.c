/* SPDX-License-Identifier: MIT
 *
 * receiver_rig: see receiver_rig.h. */
#include "tests/support/receiver_rig.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static struct bytes text(const char *s)
{
    return bytes_of(s, strlen(s));
}

static void begin(struct rig *g)
{
    g->r = receiver_new(&g->config, &memstore_ops, g->m, g->ix);
    assert(g->r != NULL);
    wire_in_init(&g->in);
}

void rig_init(struct rig *g)
{
    *g = (struct rig){.now_ms = 1000000};
    g->m = memstore_new();
    g->ix = index_new();
    assert(g->ix != NULL);
    g->config = (struct receiver_config){.version = "1.2.3"};
    g->hello = (struct wire_hello){
        .proto_min = WIRE_PROTO_MIN,
        .proto_max = WIRE_PROTO_MAX,
        .db_id = {1, 2, 3},
        .epoch = 5,
        .instance = {9},
        .heartbeat_ms = 1000,
        .silence_ms = 15000,
        .replica = text("eu-1"),
        .version = text("1.2.3"),
    };
    begin(g);
}

static void end(struct rig *g)
{
    receiver_free(g->r);
    wire_in_deinit(&g->in);
    buf_clear(&g->out);
    buf_clear(&g->m->sent);
}

void rig_deinit(struct rig *g)
{
    end(g);
    memstore_free(g->m);
    index_free(g->ix);
    buf_deinit(&g->out);
    buf_deinit(&g->answers);
}

void rig_restart(struct rig *g)
{
    end(g);
    begin(g);
}

void rig_greet(struct rig *g)
{
    int rc = receiver_start(g->r, &g->err);

    wire_put_magic(&g->out);
    wire_put_hello(&g->out, &g->hello);
    rc = rc != 0 ? rc : rig_send(g, 0);
    rc = rc != 0 ? rc : memstore_scan_answer(g->m, g->r, g->ix, &g->err);
    assert(rc == 0);
    (void)rig_answers(g);
    buf_clear(&g->m->trace);
}

void rig_set(struct rig *g, uint64_t seq, const char *table, const char *key,
             const char *value)
{
    struct buf body = BUF_NULL;
    struct wire_change m = {
        .table = text(table), .key = text(key), .value = text(value)};

    m.digest = digest_of(value, strlen(value));
    wire_set_body(&body, &m);
    wire_put_set(&g->out, seq, &body);
    buf_deinit(&body);
}

void rig_same(struct rig *g, uint64_t seq, const char *table, const char *key,
              const char *value)
{
    struct wire_change m = {.seq = seq, .table = text(table), .key = text(key)};

    m.digest = digest_of(value, strlen(value));
    wire_put_change(&g->out, WIRE_SAME, &m);
}

void rig_change(struct rig *g, enum wire_type type, uint64_t seq,
                const char *table, const char *key)
{
    struct wire_change m = {.seq = seq, .table = text(table), .key = text(key)};

    wire_put_change(&g->out, type, &m);
}

void rig_begin(struct rig *g, uint64_t seq, const char *table, const char *key)
{
    rig_change(g, WIRE_SET_BEGIN, seq, table, key);
}

void rig_ping(struct rig *g, uint64_t id, int64_t fresh_ns)
{
    struct wire_ping m = {
        .id = id, .fresh_ns = fresh_ns, .seq = id * 10, .state = 3};

    wire_put_ping(&g->out, &m);
}

int rig_send(struct rig *g, size_t chunk)
{
    int rc = 0;

    assert(!g->out.bad);
    for (size_t at = 0; at < g->out.len && rc == 0;) {
        size_t n = g->out.len - at;
        n = chunk > 0 && chunk < n ? chunk : n;
        rc = receiver_input(g->r, g->out.data + at, n, g->now_ms, &g->err);
        at += n;
    }
    buf_clear(&g->out);
    return rc;
}

int rig_commit(struct rig *g)
{
    return receiver_commit(g->r, g->now_ms, &g->again_ms, &g->err);
}

int rig_settle(struct rig *g)
{
    int rc;

    do {
        rc = rig_commit(g);
    } while (rc == 0 && g->again_ms == 0);
    return rc;
}

int rig_tick(struct rig *g)
{
    return receiver_tick(g->r, g->now_ms, &g->err);
}

void rig_sleep(struct rig *g, int64_t ms)
{
    g->now_ms += ms;
}

/* --- answers as text ----------------------------------------------------- */

static void print_items(struct rig *g, enum wire_type type, struct bytes body)
{
    struct wire_items m;
    struct digest a, b;
    uint64_t seq;

    int rc = wire_get_items(type, body, &m, &g->err);
    assert(rc == 0);
    if (type == WIRE_ACK) {
        while (wire_item_ack(&m, &seq) > 0) {
            buf_printf(&g->answers, " %" PRIu64, seq);
        }
        return;
    }
    buf_printf(&g->answers, " %" PRIu64 "%s %u", m.id, m.last ? " last" : "",
               m.count);
    while (type == WIRE_LISTING && wire_item_listing(&m, &a, &b) > 0) {
    }
    if (type == WIRE_NAMES) {
        static struct wire_name name;
        while ((rc = wire_item_name(&m, &name, &g->err)) > 0) {
            buf_printf(&g->answers, " %.*s", (int)name.table.len,
                       (const char *)name.table.p);
            if (!name.is_table) {
                buf_printf(&g->answers, ":%.*s", (int)name.key.len,
                           (const char *)name.key.p);
            }
        }
        assert(rc == 0);
    }
}

static void print_nak(struct rig *g, struct bytes body)
{
    struct wire_nak m;

    int rc = wire_get_nak(body, &m, &g->err);
    assert(rc == 0);
    buf_printf(&g->answers, " %" PRIu64 " %s %.*s", m.seq,
               err_name(-(int)m.code) + strlen("ERR_"), (int)m.text.len,
               (const char *)m.text.p);
}

static void print_result(struct rig *g, const struct wire_ready *m)
{
    buf_printf(&g->answers, " keys %" PRIu64 " tables %" PRIu64, m->keys,
               m->tables);
    if (m->errors > 0) {
        buf_printf(&g->answers, " errors %" PRIu64, m->errors);
    }
}

static void print_other(struct rig *g, enum wire_type type, struct bytes body)
{
    static struct wire_nodes nodes;
    struct wire_blocked blocked;
    struct wire_hello_ok ok;
    struct wire_scan_done done;
    struct wire_pong pong;
    struct wire_error error;
    struct wire_finding finding;
    struct bytes b;
    int rc = 0;

    switch ((int)type) {
    case WIRE_BLOCKED:
        rc = wire_get_blocked(body, &blocked, &g->err);
        buf_printf(&g->answers, " %" PRIu64 " %u %.*s %" PRIu64, blocked.seq,
                   blocked.pid, (int)blocked.comm.len,
                   (const char *)blocked.comm.p, blocked.waited_ms);
        break;
    case WIRE_HELLO_OK:
        rc = wire_get_hello_ok(body, &ok, &g->err);
        buf_printf(&g->answers, " %u %" PRIu64 "%s %.*s", ok.proto, ok.epoch,
                   ok.was_empty ? " empty" : "", (int)ok.version.len,
                   (const char *)ok.version.p);
        break;
    case WIRE_READY:
        rc = wire_get_ready(body, &done.result, &g->err);
        print_result(g, &done.result);
        break;
    case WIRE_SCAN_DONE:
        rc = wire_get_scan_done(body, &done, &g->err);
        buf_printf(&g->answers, " %" PRIu64, done.id);
        print_result(g, &done.result);
        break;
    case WIRE_PONG:
        rc = wire_get_pong(body, &pong, &g->err);
        g->root = pong.root;
        buf_printf(&g->answers,
                   " %" PRIu64 " keys %" PRIu64 " waiting %" PRIu64
                   " replaced %" PRIu64 "%s",
                   pong.id, pong.keys, pong.waiting, pong.replaced,
                   pong.scanning ? " scanning" : "");
        break;
    case WIRE_NODES:
        rc = wire_get_nodes(body, &nodes, &g->err);
        memcpy(g->nodes, nodes.digests, sizeof g->nodes);
        buf_printf(&g->answers, " %" PRIu64 " %u", nodes.id, nodes.node);
        break;
    case WIRE_NOTICE:
        rc = wire_get_notice(body, &b, &g->err);
        buf_printf(&g->answers, " %.*s", (int)b.len, (const char *)b.p);
        break;
    case WIRE_FINDING:
        rc = wire_get_finding(body, &finding, &g->err);
        buf_printf(&g->answers, " %u %u %.*s: %.*s", finding.level, finding.id,
                   (int)finding.what.len, (const char *)finding.what.p,
                   (int)finding.text.len, (const char *)finding.text.p);
        break;
    case WIRE_BYE:
        rc = wire_get_bye(body, &g->err);
        break;
    case WIRE_ERROR:
        rc = wire_get_error(body, &error, &g->err);
        assert(error.hint.len > 0);
        buf_printf(&g->answers, " %u %.*s", error.id, (int)error.text.len,
                   (const char *)error.text.p);
        break;
    default:
        abort(); /* a frame that a receiver does not send */
    }
    assert(rc == 0);
}

const char *rig_answers(struct rig *g)
{
    enum wire_type type;
    struct bytes body;
    int rc = wire_in_add(&g->in, g->m->sent.data, g->m->sent.len, &g->err);

    assert(rc == 0);
    buf_clear(&g->m->sent);
    buf_clear(&g->answers);
    while ((rc = wire_in_next(&g->in, &type, &body, &g->err)) > 0) {
        buf_printf(&g->answers, "%s", wire_type_name(type));
        if (type == WIRE_ACK || type == WIRE_LISTING || type == WIRE_NAMES) {
            print_items(g, type, body);
        } else if (type == WIRE_NAK) {
            print_nak(g, body);
        } else {
            print_other(g, type, body);
        }
        buf_u8(&g->answers, '\n');
    }
    assert(rc == 0 && wire_in_pending(&g->in) == 0);
    buf_u8(&g->answers, '\0');
    assert(!g->answers.bad);
    return (const char *)g->answers.data;
}

const char *rig_trace(struct rig *g)
{
    buf_u8(&g->m->trace, '\0');
    g->m->trace.len = 0; /* stays readable until the next line is traced */
    return (const char *)g->m->trace.data;
}
