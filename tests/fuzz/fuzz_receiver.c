/* SPDX-License-Identifier: MIT
 *
 * fuzz_receiver: the replica's core under a hostile agent.
 *
 * Input: a byte of flags, then steps.  A step below 0xc0 is a frame of type
 * (step & 0x3f) with a 16-bit length and its body; above are raw bytes,
 * commits, ticks, locks, disk faults, and answers to scans and walks.
 *
 * Whatever comes: what the core says are whole frames of its own side; it
 * acknowledges or refuses only sequences that were sent; it holds no more
 * values than it is allowed to; nothing is left staged at the end.
 */
#include "tests/fuzz/fuzz.h"

#include "tests/support/receiver_rig.h"

enum { PENDING_MAX = 64, SEQS_MAX = 4096, INPUT_MAX = 16384 };

struct world {
    struct rig g;
    struct buf stream; /* the bytes sent, to know the sequences in them */
    uint64_t seqs[SEQS_MAX];
    size_t seqs_count;
    unsigned locks[4];
    int rc;
};

static bool was_sent(const struct world *w, uint64_t seq)
{
    for (size_t i = 0; i < w->seqs_count; i++) {
        if (w->seqs[i] == seq) {
            return true;
        }
    }
    return false;
}

/* Every change begins with its sequence. */
static void note_seqs(struct world *w)
{
    struct wire_in in;
    enum wire_type type;
    struct bytes body;
    struct err err;

    w->seqs_count = 0;
    wire_in_init(&in);
    must(wire_in_add(&in, w->stream.data, w->stream.len, &err) == 0);
    while (wire_in_next(&in, &type, &body, &err) > 0) {
        struct cur c = cur_of(body.p, body.len);
        uint64_t seq = cur_u64(&c);
        if (((type >= WIRE_SET && type <= WIRE_TABLE_DROP) ||
             type == WIRE_SAME) &&
            w->seqs_count < SEQS_MAX) {
            w->seqs[w->seqs_count++] = seq;
        }
    }
    wire_in_deinit(&in);
}

/* rig_answers() ends the run at a frame that a receiver may not send. */
static void check_answers(struct world *w)
{
    const char *line = rig_answers(&w->g);

    if (strstr(line, "ACK ") != NULL || strstr(line, "NAK ") != NULL) {
        note_seqs(w);
    }
    for (; *line != '\0'; line += strcspn(line, "\n") + 1) {
        if (strncmp(line, "ACK", 3) != 0 && strncmp(line, "NAK", 3) != 0) {
            continue;
        }
        const char *p = line + 3;
        while (*p == ' ') {
            char *end;
            uint64_t seq = strtoull(p, &end, 10);
            must(w->seqs_count == SEQS_MAX || was_sent(w, seq));
            p = line[0] == 'N' ? "" : end;
        }
    }
}

static void say(struct world *w, const void *p, size_t n)
{
    if (w->rc == 0 && !receiver_full(w->g.r)) {
        buf_put(&w->stream, p, n);
        w->rc = receiver_input(w->g.r, p, n, w->g.now_ms, &w->g.err);
        must(w->rc <= 1);
    }
}

static void say_frame(struct world *w, unsigned type, struct cur *in)
{
    struct buf frame = BUF_NULL;
    struct cur body = fuzz_take(in, cur_u16(in));

    buf_u32(&frame, (uint32_t)body.left + 1);
    buf_u8(&frame, (uint8_t)type);
    buf_put(&frame, body.p, body.left);
    say(w, frame.data, frame.len);
    buf_deinit(&frame);
}

static void say_set(struct world *w, struct cur *in)
{
    static const char *const tables[] = {"", "t", "a/b", "t/u"};
    static const char *const keys[] = {"k", "", "l", "\xff"};
    static const char value[] = "a value of some bytes that is repeated";
    uint8_t how = cur_u8(in);
    struct rig *g = &w->g;
    uint64_t seq = 1 + (how >> 5) + (uint64_t)cur_u8(in) * 8;
    const char *table = tables[how & 3], *key = keys[(how >> 2) & 3];

    switch (cur_u8(in) % 8) {
    case 0:
        rig_set(g, seq, table, key, value + how % 8);
        break;
    case 1:
        rig_change(g, WIRE_DELETE, seq, table, key);
        break;
    case 2:
        rig_begin(g, seq, table, key);
        break;
    case 3:
        wire_put_piece(&g->out, seq, value, how % 30);
        break;
    case 4:
        wire_put_set_end(&g->out, seq, digest_of(value, how % 30));
        break;
    case 5:
        rig_same(g, seq, table, key, value + how % 8);
        break;
    case 6:
        wire_put_zeros(&g->out, seq, 1 + (uint64_t)how * how);
        break;
    default:
        rig_change(g, *table == '\0' ? WIRE_TABLE_SET : WIRE_TABLE_DROP, seq,
                   table, "");
    }
    say(w, g->out.data, g->out.len);
    buf_clear(&g->out);
}

static void lock(struct world *w, uint8_t how)
{
    const char *table = how & 1 ? "t" : "", *key = how & 2 ? "k" : "l";

    if (!(how & 4)) {
        memstore_lock(w->g.m, table, key, 7, "reader");
        w->locks[how & 3]++;
    } else if (w->locks[how & 3] > 0) {
        memstore_unlock(w->g.m, table, key);
        w->locks[how & 3]--;
    }
}

static void fault(struct world *w, uint8_t how)
{
    static const int codes[] = {ERR_NOSPACE, ERR_IO, ERR_PERM, ERR_NOMEM};
    enum memop op = (enum memop)(how % MEMOP_COUNT);

    if (op != MEMOP_STAGE_DROP && op != MEMOP_SEND) {
        memstore_fail(w->g.m, op, how >> 6, 1, codes[(how >> 4) & 3], 28);
    }
}

static void step(struct world *w, uint8_t op, struct cur *in)
{
    struct rig *g = &w->g;

    if (op < 0xc0) {
        say_frame(w, op & 0x3f, in);
        return;
    }
    switch (op & 0x0f) {
    case 0: {
        struct cur raw = fuzz_take(in, cur_u8(in));
        say(w, raw.p, raw.left);
        break;
    }
    case 1:
        rig_sleep(g, cur_u16(in));
        w->rc = rig_tick(g);
        break;
    case 2:
        lock(w, cur_u8(in));
        break;
    case 3:
        fault(w, cur_u8(in));
        break;
    case 4:
        if (g->m->scan_wanted && w->rc == 0) {
            w->rc = memstore_scan_answer(g->m, g->r, g->ix, &g->err);
        }
        break;
    case 5:
        if (g->m->names_wanted && w->rc == 0) {
            w->rc = memstore_names_answer(g->m, g->r, 1 + cur_u8(in), &g->err);
        }
        break;
    case 6:
    case 7:
    case 8:
        say_set(w, in);
        break;
    default:
        w->rc = rig_commit(g);
    }
}

static void greet(struct world *w, uint8_t flags)
{
    struct rig *g = &w->g;

    must(receiver_start(g->r, &g->err) == 0);
    if (flags & 1) {
        wire_put_magic(&g->out);
        g->hello.durability = (flags & 2) != 0;
        wire_put_hello(&g->out, &g->hello);
        say(w, g->out.data, g->out.len);
        buf_clear(&g->out);
    }
    if ((flags & 4) && g->m->scan_wanted) {
        w->rc = memstore_scan_answer(g->m, g->r, g->ix, &g->err);
    }
}

/* An index costs more to make than a run takes: one is kept, and emptied. */
static bool every_entry(void *arg, const struct index_entry *e)
{
    (void)arg;
    (void)e;
    return true;
}

static void forget(void *arg, struct bytes table, struct bytes key,
                   struct bytes value, struct vstat stat)
{
    (void)value;
    (void)stat;
    const struct index_key *k = index_key(arg);

    index_remove(arg, key.p != NULL ? index_name_key(k, table.p, table.len,
                                                     key.p, key.len)
                                    : index_name_table(k, table.p, table.len));
}

static void empty_index(struct index *ix, struct memstore *m)
{
    memstore_each(m, forget, ix);
    if (index_count(ix) + index_tables(ix) > 0) {
        index_sweep(ix, UINT16_MAX, every_entry, NULL);
    }
    must(index_count(ix) + index_tables(ix) == 0);
    index_set_key(ix, &(struct index_key){.names = {{0}}});
}

static void start(struct world *w, uint8_t flags)
{
    static struct index *kept;
    struct rig *g = &w->g;

    if (kept == NULL) {
        kept = index_new();
        must(kept != NULL);
    }
    *w = (struct world){.rc = 0};
    g->now_ms = 1000000;
    g->m = memstore_new();
    g->ix = kept;
    g->config = (struct receiver_config){
        .version = "1",
        .policy = flags & 8 ? LOCK_POLICY_REPLACE : LOCK_POLICY_WAIT,
        .lock_timeout_ms = 500,
        .pending_max = PENDING_MAX,
        .streams_max = 2,
        .group_changes = 8,
    };
    g->hello = (struct wire_hello){.proto_min = WIRE_PROTO_MIN,
                                   .proto_max = WIRE_PROTO_MAX,
                                   .db_id = {1, 2, 3},
                                   .epoch = 5,
                                   .heartbeat_ms = 1000,
                                   .silence_ms = 15000,
                                   .replica = bytes_of("eu", 2),
                                   .version = bytes_of("1", 1)};
    g->r = receiver_new(&g->config, &memstore_ops, g->m, g->ix);
    must(g->r != NULL);
    wire_in_init(&g->in);
    greet(w, flags);
}

static void finish(struct world *w)
{
    struct rig *g = &w->g;

    receiver_free(g->r);
    must(memstore_stages(g->m) == 0);
    empty_index(g->ix, g->m);
    memstore_free(g->m);
    wire_in_deinit(&g->in);
    buf_deinit(&g->out);
    buf_deinit(&g->answers);
    buf_deinit(&w->stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world w;

    if (size < 2 || size > INPUT_MAX) {
        return 0;
    }
    struct cur in = cur_of(data + 1, size - 1);
    start(&w, data[0]);
    while (in.left > 0 && !in.bad && w.rc == 0) {
        step(&w, cur_u8(&in), &in);
        must(memstore_stages(w.g.m) <= 2 * PENDING_MAX);
        check_answers(&w);
    }
    if (w.rc == RECEIVER_BYE) {
        (void)rig_commit(&w.g);
    }
    check_answers(&w);
    finish(&w);
    return 0;
}
