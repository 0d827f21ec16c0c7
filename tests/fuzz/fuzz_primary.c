/* SPDX-License-Identifier: MIT
 *
 * fuzz_primary: the agent's core with one hostile replica and one honest one.
 *
 * Input: steps.  Below 0x40: a frame of that type with a 16-bit length and its
 * body; above: raw bytes, well-made answers to what the core asked (right,
 * nearly right or wrong), changes of the database, time, cuts of the link,
 * comparisons asked for by the operator.
 *
 * Whatever comes: what the core sends are whole frames; its watermark stays
 * below its tail; it claims equality only when it was shown its own digest;
 * and at the end the honest replica has every value, and no lag.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/support/plain_key.h"
#include "tests/support/primary_fixture.h"

enum { INPUT_MAX = 8192, SENT_MAX = 256 };

struct hostile {
    int replica;
    bool up, deaf;
    bool truth; /* it was given a digest of the whole that is right */
    struct wire_in in;
    struct buf say;
    uint64_t sent[SENT_MAX]; /* sequences of changes, a ring */
    size_t sent_count;
    uint64_t ping, tree, list, resolve, scan; /* ids of the last question */
    uint16_t node;
    struct digest names[64]; /* asked for */
    size_t names_count;
};

struct world {
    struct fx *f;
    struct hostile h;
    struct fx_peer *honest;
    uint64_t job;
};

/* --- what the core asks -------------------------------------------------- */

static void hear_question(struct hostile *h, enum wire_type type,
                          struct bytes body)
{
    struct cur c = cur_of(body.p, body.len);
    uint64_t id = cur_u64(&c);

    if (type == WIRE_PING) {
        h->ping = id;
    } else if (type == WIRE_TREE) {
        h->tree = id;
        h->node = cur_u16(&c);
    } else if (type == WIRE_LIST) {
        h->list = id;
    } else if (type == WIRE_SCAN) {
        h->scan = id;
    } else if (type == WIRE_RESOLVE) {
        struct wire_items m;
        struct err err;
        must(wire_get_items(type, body, &m, &err) == 0);
        h->resolve = id;
        h->names_count = 0;
        while (h->names_count < 64 &&
               wire_item_resolve(&m, &h->names[h->names_count]) > 0) {
            h->names_count++;
        }
    }
}

static void hear(struct hostile *h, const uint8_t *p, size_t n)
{
    static struct wire_change m;
    enum wire_type type;
    struct bytes body;
    struct err err;
    int rc;

    must(wire_in_add(&h->in, p, n, &err) == 0);
    while ((rc = wire_in_next(&h->in, &type, &body, &err)) > 0) {
        if (type == WIRE_SET || type == WIRE_SAME || type == WIRE_SET_BEGIN ||
            type == WIRE_DELETE || type == WIRE_TABLE_SET ||
            type == WIRE_TABLE_DROP) {
            must(wire_get_change(type, body, &m, &err) == 0);
            h->sent[h->sent_count++ % SENT_MAX] = m.seq;
        } else {
            must(type <= WIRE_ERROR || type == WIRE_ZEROS);
            hear_question(h, type, body);
        }
    }
    must(rc == 0);
}

/* --- the shell ----------------------------------------------------------- */

static void act(struct world *w, const struct action *a)
{
    bool look = a->type == ACT_READ || a->type == ACT_READ_TABLE;

    if (look && (a->table.len >= 32 || a->key.len >= 32)) {
        /* A name that only the hostile replica can have come up with. */
        struct read_answer gone = {.result = READ_GONE};
        if (a->type == ACT_READ) {
            primary_key_read(w->f->p, a->id, &gone, w->f->now_ms);
        } else {
            primary_table_read(w->f->p, a->id, READ_GONE, NULL, w->f->now_ms);
        }
        return;
    }
    if (a->type == ACT_COMPARED && a->id == w->job) {
        primary_compare_free(w->f->p, w->job);
        w->job = 0;
    }
    fx_do(w->f, a);
}

static bool exchange(struct world *w)
{
    static uint8_t out[65536];
    struct hostile *h = &w->h;
    bool moved = false;

    if (h->up && w->f->closed[h->replica]) {
        h->up = false;
        buf_clear(&h->say);
        primary_link_down(w->f->p, h->replica, &w->f->closed_err[h->replica],
                          false, w->f->now_ms);
        return true;
    }
    if (h->up && h->say.len > 0) {
        struct buf say = h->say;
        h->say = (struct buf)BUF_NULL;
        primary_input(w->f->p, h->replica, say.data, say.len, w->f->now_ms);
        buf_deinit(&say);
        moved = true;
    }
    if (h->up && !h->deaf) {
        size_t n =
            primary_fill(w->f->p, h->replica, out, sizeof out, w->f->now_ms);
        hear(h, out, n);
        moved = moved || n > 0;
    }
    if (w->f->closed[w->honest->replica]) {
        fuzz_fail("the honest replica's link stays", __FILE__, __LINE__);
    }
    return fx_exchange(w->f, w->honest) || moved;
}

static void answer_looks(struct fx *f)
{
    while (f->reader_count > 0) {
        struct fx_look l = f->reads[0];
        f->reader_count--;
        memmove(f->reads, f->reads + 1, f->reader_count * sizeof *f->reads);
        if (l.is_table) {
            fx_answer_table(f, &l);
        } else {
            fx_answer_look(f, &l);
        }
    }
}

static void pump(struct world *w)
{
    bool moved = true;

    for (int i = 0; moved; i++) {
        struct action a;
        must(i < 10000);
        moved = false;
        while (primary_next_action(w->f->p, &a)) {
            act(w, &a);
            moved = true;
        }
        moved = exchange(w) || moved || w->f->reader_count > 0;
        answer_looks(w->f);
        while (fx_stream(w->f)) {
            moved = true;
        }
        if (w->f->walk_id != 0) {
            fx_walk(w->f, true);
            moved = true;
        }
    }
}

static void wait_ms(struct world *w, int64_t ms)
{
    while (ms > 0) {
        int64_t some = ms < 500 ? ms : 500;
        w->f->now_ms += some;
        (void)primary_tick(w->f->p, w->f->now_ms);
        pump(w);
        ms -= some;
    }
}

static void beat(struct world *w)
{
    primary_drained(w->f->p, fx_wall(w->f), w->f->now_ms);
    pump(w);
    wait_ms(w, 1000);
}

static void link_up(struct world *w)
{
    struct hostile *h = &w->h;

    wire_in_deinit(&h->in);
    wire_in_init(&h->in);
    h->up = true;
    h->deaf = false;
    w->f->closed[h->replica] = false;
    primary_link_up(w->f->p, h->replica, w->f->now_ms);
    wire_put_magic(&h->say);
}

/* --- answers ------------------------------------------------------------- */

static uint64_t seq_of(const struct hostile *h, uint8_t which)
{
    size_t have = h->sent_count < SENT_MAX ? h->sent_count : SENT_MAX;

    if (have == 0 || which >= 250) {
        return which;
    }
    return h->sent[(h->sent_count - 1 - which % have) % SENT_MAX];
}

static struct digest root_of(struct world *w, uint8_t how)
{
    struct digest d = index_root(w->f->ix);

    if (how & 1) {
        d.lo ^= how;
    } else {
        w->h.truth = true;
    }
    return d;
}

static void say_nodes(struct world *w, struct cur *in)
{
    static struct digest nodes[INDEX_NODES];
    struct hostile *h = &w->h;
    uint8_t changes = cur_u8(in);

    if (h->node == WIRE_TREE_TOP) {
        index_nodes(w->f->ix, nodes);
        h->truth = h->truth || changes == 0;
    } else {
        index_buckets(w->f->ix, h->node, nodes);
    }
    for (unsigned i = 0; i < (changes & 0x1fU); i++) {
        nodes[cur_u8(in)].lo ^= 1 + i;
    }
    if (changes == 0xff) {
        memset(nodes, 0x55, sizeof nodes);
    }
    wire_put_nodes(&h->say, h->tree, changes & 0x80 ? cur_u8(in) : h->node,
                   nodes);
}

static void say_listing(struct world *w, struct cur *in)
{
    static struct digest items[4096][2];
    uint8_t how = cur_u8(in);
    size_t n = (how & 0x3fU) << (how & 0x40 ? 6 : 0), k = 0;

    for (size_t i = 0; i < n; i++) {
        const struct fx_key *key = &w->f->keys[i % w->f->keys_count];
        uint64_t tweak = cur_u8(in);
        items[i][0] = index_name_key(&plain_key, key->table, strlen(key->table),
                                     key->key, strlen(key->key));
        items[i][1] = digest_of(key->value, key->len < 64 ? key->len : 0);
        items[i][0].lo ^= tweak >> 1;
        items[i][1].lo ^= tweak & 1;
        k++;
    }
    wire_put_listing(&w->h.say, w->h.list, (how & 0x80) == 0,
                     (const struct digest(*)[2])items, (uint16_t)k);
}

static void say_names(struct world *w, struct cur *in)
{
    static struct wire_name name;
    struct hostile *h = &w->h;
    struct wire_names_out out;
    uint8_t how = cur_u8(in);

    wire_names_begin(&h->say, &out, h->resolve);
    for (size_t i = 0; i < (how & 0x1fU) && i < h->names_count; i++) {
        struct cur text = fuzz_take(in, cur_u8(in));
        struct err err;
        name = (struct wire_name){.name = h->names[i], .is_table = how & 0x20};
        name.table = bytes_of("t", 1);
        name.key = bytes_of(text.p, text.left);
        if (key_check(text.p, text.left, &err) == 0) {
            (void)wire_names_add(&h->say, &out, &name);
        }
    }
    wire_names_end(&h->say, &out, (how & 0x80) == 0);
}

static void say_result(struct world *w, uint8_t op, struct cur *in)
{
    struct wire_ready ready = {.root = root_of(w, cur_u8(in)),
                               .keys = cur_u16(in),
                               .errors = cur_u8(in) & 1,
                               .first_error = bytes_of("\033[2J", 4)};
    struct wire_scan_done done = {.id = w->h.scan, .result = ready};
    struct wire_pong pong = {.id = w->h.ping - (ready.keys & 1),
                             .root = ready.root,
                             .keys = ready.keys};

    if (op == 0) {
        wire_put_ready(&w->h.say, &ready);
    } else if (op == 1) {
        wire_put_scan_done(&w->h.say, &done);
    } else {
        wire_put_pong(&w->h.say, &pong);
    }
}

static void say_verdict(struct world *w, uint8_t op, struct cur *in)
{
    uint64_t seqs[64];
    uint64_t seq = seq_of(&w->h, cur_u8(in));
    struct wire_nak nak = {.seq = seq,
                           .code = (uint16_t)(1 + cur_u8(in) % 20),
                           .text = bytes_of("no \033[31m", 8)};
    struct wire_blocked blocked = {
        .seq = seq, .pid = 1, .comm = bytes_of("\xc2\x9bx", 3)};

    if (op == 0) {
        uint8_t n = cur_u8(in) & 0x3f;
        for (unsigned i = 0; i < n; i++) {
            seqs[i] = seq_of(&w->h, (uint8_t)i);
        }
        wire_put_ack(&w->h.say, n > 0 ? seqs : &seq, n > 0 ? n : 1);
    } else if (op == 1) {
        wire_put_nak(&w->h.say, &nak);
    } else {
        wire_put_blocked(&w->h.say, &blocked);
    }
}

static void say_frame(struct world *w, unsigned type, struct cur *in)
{
    struct cur body = fuzz_take(in, cur_u16(in));

    buf_u32(&w->h.say, (uint32_t)body.left + 1);
    buf_u8(&w->h.say, (uint8_t)type);
    buf_put(&w->h.say, body.p, body.left);
}

/* --- steps --------------------------------------------------------------- */

static void change_key(struct world *w, uint8_t how)
{
    static const char *const tables[] = {"", "t", "a/b", "u"};
    char key[4] = {'k', (char)('0' + (how >> 2) % 8), '\0'};
    const char *table = tables[how & 3];
    char value[16];

    (void)snprintf(value, sizeof value, "v%" PRIu64, w->f->next_ino);
    if ((how >> 5) == 0 && fx_find(w->f, false, table, key) != NULL) {
        fx_erase(w->f, table, key);
        primary_hint_key(w->f->p, table, strlen(table), key, 2, HINT_REMOVED,
                         w->f->now_ms);
    } else {
        bool fresh = fx_find(w->f, true, table, NULL) == NULL;
        fx_put(w->f, table, key, value)->len =
            (how >> 5) == 1 ? 9000 : strlen(value);
        if (fresh) {
            primary_hint_table(w->f->p, table, strlen(table), w->f->now_ms);
        }
        primary_hint_key(w->f->p, table, strlen(table), key, 2, HINT_COMMITTED,
                         w->f->now_ms);
    }
}

static void operate(struct world *w, uint8_t how)
{
    struct compare_options o = {.mode = (enum compare_mode)(how % 3),
                                .scan = how & 4,
                                .content = how & 8,
                                .names_max = 8};
    struct err err;
    uint64_t count;

    if (how & 0x80) {
        int rc = primary_approve(w->f->p, w->h.replica, 0, w->f->now_ms, &count,
                                 &err);
        must(rc == 0 || rc == ERR_NOTFOUND || rc == ERR_REFUSED);
        return;
    }
    if (w->job != 0) {
        primary_compare_free(w->f->p, w->job);
        w->job = 0;
    }
    int64_t id = primary_compare(w->f->p, w->h.replica, &o, w->f->now_ms, &err);
    w->job = id > 0 ? (uint64_t)id : 0;
}

static void relink(struct world *w)
{
    if (w->h.up) {
        w->h.up = false;
        buf_clear(&w->h.say);
        primary_link_down(w->f->p, w->h.replica, NULL, false, w->f->now_ms);
    } else {
        link_up(w);
    }
}

static void step(struct world *w, uint8_t op, struct cur *in)
{
    struct wire_hello_ok ok = {.proto = 1, .epoch = 1};

    if (op < 0x40) {
        say_frame(w, op, in);
    } else if (op < 0x60) {
        change_key(w, cur_u8(in));
    } else if (op < 0x68) {
        struct cur raw = fuzz_take(in, cur_u8(in));
        buf_put(&w->h.say, raw.p, raw.left);
    } else if (op < 0x70) {
        wire_put_hello_ok(&w->h.say, &ok);
    } else if (op < 0x80) {
        say_result(w, op % 3, in);
    } else if (op < 0xa0) {
        say_verdict(w, op & 3, in);
    } else if (op < 0xb0) {
        say_nodes(w, in);
    } else if (op < 0xc0) {
        say_listing(w, in);
    } else if (op < 0xd0) {
        say_names(w, in);
    } else if (op < 0xd8) {
        operate(w, cur_u8(in));
    } else if (op < 0xe0) {
        relink(w);
    } else if (op < 0xe8) {
        w->h.deaf = !w->h.deaf;
    } else if (op < 0xf0) {
        wait_ms(w, cur_u16(in) & 0x3fff);
    } else {
        beat(w);
    }
    pump(w);
}

static void check(struct world *w)
{
    struct replica_status s;
    struct blocked_key blocked[8];

    primary_status(w->f->p, w->h.replica, w->f->now_ms, &s);
    must(s.watermark <= primary_tail(w->f->p));
    must(w->h.truth || s.equal_wall_ns == 0);
    must(replica_state_word(s.state) != NULL);
    (void)primary_blocked(w->f->p, w->h.replica, w->f->now_ms, blocked, 8);
}

/* The hostile one stays as it is: linked and silent, or gone. */
static void check_honest(struct world *w)
{
    const struct fx_key *k;

    for (int i = 0; i < 30; i++) {
        beat(w);
    }
    must(fx_lag(w->f, w->honest) == 0);
    must(fx_passed(w->f, w->honest));
    for (size_t i = 0; i < w->f->keys_count; i++) {
        k = &w->f->keys[i];
        struct bytes got;
        if (k->is_table) {
            must(!k->exists || memstore_has_table(w->honest->store, k->table));
            continue;
        }
        bool there = memstore_get(w->honest->store, k->table, k->key, &got);
        must(there == k->exists);
        must(!there || (got.len == k->len && memcmp(got.p, k->value, 1) == 0));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct primary_config c;
    struct cur in = cur_of(data, size);
    struct world w = {.f = NULL};
    struct err err;

    if (size < 1 || size > INPUT_MAX) {
        return 0;
    }
    primary_config_default(&c);
    c.window_changes = 32;
    c.log_max_changes = 64;
    w.f = fx_new_with(&c);
    w.honest = fx_add(w.f, 1, true);
    struct replica_options o = {.name = "hostile"};
    w.h.replica = primary_replica_add(w.f->p, &o, w.f->now_ms, &err);
    must(w.h.replica >= 0);
    change_key(&w, 0x41);
    change_key(&w, 0x45);
    fx_ready(w.f);
    fx_up(w.f, w.honest);
    link_up(&w);
    while (in.left > 0 && !in.bad) {
        step(&w, cur_u8(&in), &in);
        check(&w);
    }
    check_honest(&w);
    if (w.job != 0) {
        primary_compare_free(w.f->p, w.job);
    }
    wire_in_deinit(&w.h.in);
    buf_deinit(&w.h.say);
    fx_free(w.f);
    return 0;
}
