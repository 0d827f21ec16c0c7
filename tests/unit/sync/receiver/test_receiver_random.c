/* SPDX-License-Identifier: MIT
 *
 * The receiver's core under random changes, locks and power losses: what is
 * acknowledged is never lost, no key ever has a value that nobody sent or goes
 * back, and at the end the disk is what the changes say, in order.
 */
#include "tests/support/receiver_fixture.h"

#include <inttypes.h>
#include <time.h>

#include "tests/support/wire_recode.h"

enum {
    TABLES = 3,
    KEYS = 4,
    STEPS = 250,
    HISTORY = STEPS + 1,
};

static const char *const tables[TABLES] = {"", "t", "a/b"};
static const char *const keys[KEYS] = {"k0", "k1", "k2", ""};

/* What became of one key, change by change; value 0: absent. */
struct history {
    uint64_t seq[HISTORY];
    uint64_t value[HISTORY];
    size_t len;
    bool locked;
};

struct world {
    struct rig *g;
    uint64_t rng;
    uint64_t seq;
    struct history key[TABLES][KEYS];
    bool acked[STEPS + 2];
    uint64_t open; /* sequence of a large value that has begun */
    unsigned open_table, open_key;
};

static uint64_t rng_next(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static unsigned pick(struct world *w, unsigned n)
{
    return (unsigned)(rng_next(&w->rng) % n);
}

static void note(struct history *h, uint64_t seq, uint64_t value)
{
    assert_true(h->len < HISTORY);
    h->seq[h->len] = seq;
    h->value[h->len] = value;
    h->len++;
}

static const char *value_of(uint64_t seq)
{
    static char text[32];

    (void)snprintf(text, sizeof text, "value %" PRIu64, seq);
    return text;
}

/* --- steps --------------------------------------------------------------- */

static void step_stream(struct world *w, unsigned t, unsigned k)
{
    if (w->open == 0) {
        w->open = ++w->seq;
        w->open_table = t;
        w->open_key = k;
        rig_begin(w->g, w->open, tables[t], keys[k]);
        return;
    }
    const char *value = value_of(w->open);
    wire_put_piece(&w->g->out, w->open, value, strlen(value));
    wire_put_set_end(&w->g->out, w->open, digest_of(value, strlen(value)));
    note(&w->key[w->open_table][w->open_key], w->open, w->open);
    w->open = 0;
}

static void step_drop(struct world *w, unsigned t)
{
    uint64_t seq = ++w->seq;

    rig_change(w->g, WIRE_TABLE_DROP, seq, tables[t], "");
    for (unsigned k = 0; k < KEYS; k++) {
        note(&w->key[t][k], seq, 0);
    }
}

static void step_lock(struct world *w, unsigned t, unsigned k)
{
    struct history *h = &w->key[t][k];

    if (h->locked) {
        memstore_unlock(w->g->m, tables[t], keys[k]);
    } else {
        memstore_lock(w->g->m, tables[t], keys[k], 7, "reader");
    }
    h->locked = !h->locked;
}

static void read_acks(struct world *w)
{
    const char *p = rig_answers(w->g);

    assert_null(strstr(p, "NAK"));
    assert_null(strstr(p, "ERROR"));
    while ((p = strstr(p, "ACK")) != NULL) {
        p += 3;
        while (*p == ' ') {
            char *end;
            uint64_t seq = strtoull(p, &end, 10);
            assert_in_range(seq, 1, w->seq);
            assert_false(w->acked[seq]);
            w->acked[seq] = true;
            p = end;
        }
    }
}

static void step(struct world *w)
{
    struct rig *g = w->g;
    unsigned t = pick(w, TABLES), k = pick(w, KEYS), what = pick(w, 20);

    if (what < 8) {
        uint64_t seq = ++w->seq;
        rig_set(g, seq, tables[t], keys[k], value_of(seq));
        note(&w->key[t][k], seq, seq);
    } else if (what < 10) {
        uint64_t seq = ++w->seq;
        rig_change(g, WIRE_DELETE, seq, tables[t], keys[k]);
        note(&w->key[t][k], seq, 0);
    } else if (what < 12) {
        step_stream(w, t, k);
    } else if (what == 12 && t > 0) {
        step_drop(w, t);
    } else if (what == 13) {
        rig_change(g, WIRE_TABLE_SET, ++w->seq, tables[t], "");
    } else if (what < 16) {
        step_lock(w, t, k);
    } else {
        assert_int_equal(rig_send(g, 1 + pick(w, 100)), 0);
        assert_int_equal(rig_commit(g), 0);
        assert_int_equal(rig_tick(g), 0);
        rig_sleep(g, pick(w, 30));
        read_acks(w);
    }
}

/* --- checks -------------------------------------------------------------- */

/* Which change of the key's history the disk shows; 0: the time before. */
static size_t shown(struct world *w, unsigned t, unsigned k, size_t from)
{
    const struct history *h = &w->key[t][k];
    uint64_t value = 0;
    struct bytes got;

    if (memstore_get(w->g->m, tables[t], keys[k], &got)) {
        char text[32] = "";
        assert_true(got.len < sizeof text);
        memcpy(text, got.p, got.len);
        if (sscanf(text, "value %" SCNu64, &value) != 1) {
            fail_msg("%s/%s has a value nobody sent: \"%s\"", tables[t],
                     keys[k], text);
        }
    }
    for (size_t i = from; i <= h->len; i++) {
        if ((i == 0 ? 0 : h->value[i - 1]) == value) {
            return i;
        }
    }
    fail_msg("%s/%s went back or was lost: it shows change %" PRIu64, tables[t],
             keys[k], value);
    return 0;
}

static void check_nothing_acknowledged_is_lost(struct world *w)
{
    for (unsigned t = 0; t < TABLES; t++) {
        for (unsigned k = 0; k < KEYS; k++) {
            const struct history *h = &w->key[t][k];
            size_t from = 0;
            for (size_t i = 0; i < h->len; i++) {
                if (w->acked[h->seq[i]]) {
                    from = i + 1;
                }
            }
            (void)shown(w, t, k, from);
        }
    }
}

static void check_all_is_applied(struct world *w)
{
    for (uint64_t seq = 1; seq <= w->seq; seq++) {
        assert_true(w->acked[seq]);
    }
    for (unsigned t = 0; t < TABLES; t++) {
        for (unsigned k = 0; k < KEYS; k++) {
            (void)shown(w, t, k, w->key[t][k].len);
        }
    }
    assert_index_true(w->g);

    assert_int_equal(memstore_stages(w->g->m), 0);
}

static void finish(struct world *w)
{
    if (w->open != 0) {
        step_stream(w, 0, 0);
    }
    for (unsigned t = 0; t < TABLES; t++) {
        for (unsigned k = 0; k < KEYS; k++) {
            if (w->key[t][k].locked) {
                step_lock(w, t, k);
            }
        }
    }
    assert_int_equal(rig_send(w->g, 0), 0);
    for (int i = 0; receiver_has_work(w->g->r); i++) {
        assert_true(i < 1000);
        assert_int_equal(rig_commit(w->g), 0);
        rig_sleep(w->g, 20);
    }
    read_acks(w);
}

static void run(uint64_t seed, bool crash)
{
    static struct world w;
    static struct rig g;

    w = (struct world){.g = &g, .rng = seed};
    rig_init(&g);
    g.config.group_changes = 1 + pick(&w, 30);
    regreet(&g);
    unsigned steps = crash ? pick(&w, STEPS) : STEPS;
    for (unsigned i = 0; i < steps && w.seq < STEPS; i++) {
        step(&w);
    }
    if (crash) {
        receiver_free(g.r);
        g.r = NULL;
        memstore_crash(g.m, rng_next(&w.rng) | 1);
        check_nothing_acknowledged_is_lost(&w);
    } else {
        finish(&w);
        check_all_is_applied(&w);
    }
    rig_deinit(&g);
}

static uint64_t seed_of_run(const char *test)
{
    const char *given = getenv("DROVER_SEED");
    uint64_t seed =
        given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);

    print_message("%s: DROVER_SEED=%" PRIu64 "\n", test, seed);
    return seed;
}

static void all_changes_end_on_the_disk_in_order(void **state)
{
    uint64_t seed = seed_of_run(__func__);

    (void)state;
    for (uint64_t i = 0; i < 300; i++) {
        run(seed + i * 1000003, false);
    }
}

static void no_power_loss_takes_what_was_acknowledged(void **state)
{
    uint64_t seed = seed_of_run(__func__);

    (void)state;
    for (uint64_t i = 0; i < 600; i++) {
        run(seed + i * 1000003, true);
    }
}

/* --- hostile agents ------------------------------------------------------ */

/* Frames of all kinds, some bytes changed, in random chunks. */
static void run_hostile(uint64_t seed)
{
    static struct world w;
    static struct rig g;
    struct buf frames = BUF_NULL;
    int rc = 0;

    w = (struct world){.g = &g, .rng = seed};
    rig_init(&g);
    rig_greet(&g);
    for (int i = 0; i < 40; i++) {
        enum wire_type type = (enum wire_type)(2 + pick(&w, 13));
        buf_clear(&frames);
        wire_samples(&frames, type);
        if (pick(&w, 3) == 0) {
            size_t at = 5 + pick(&w, (unsigned)frames.len - 5);
            frames.data[at] = (uint8_t)rng_next(&w.rng);
        }
        buf_put(&g.out, frames.data, frames.len);
    }
    buf_clear(&frames);
    buf_put(&frames, g.out.data, g.out.len);
    for (size_t at = 0; at < frames.len && rc == 0;) {
        size_t n = 1 + pick(&w, 200);
        n = n < frames.len - at ? n : frames.len - at;
        buf_clear(&g.out);
        buf_put(&g.out, frames.data + at, n);
        rc = rig_send(&g, 0);
        at += n;
        rc = rc == 0 && pick(&w, 4) == 0 ? rig_commit(&g) : rc;
        if (rc == 0 && g.m->names_wanted) {
            rc = memstore_names_answer(g.m, g.r, 1, &g.err);
        }
        if (rc == 0 && g.m->scan_wanted) {
            rc = memstore_scan_answer(g.m, g.r, g.ix, &g.err);
        }
    }
    (void)rig_answers(&g); /* every answer decodes */
    receiver_free(g.r);
    g.r = NULL;
    assert_int_equal(memstore_stages(g.m), 0);
    buf_deinit(&frames);
    rig_deinit(&g);
}

static void a_hostile_agent_breaks_only_its_own_session(void **state)
{
    uint64_t seed = seed_of_run(__func__);

    (void)state;
    for (uint64_t i = 0; i < 1000; i++) {
        run_hostile(seed + i * 1000003);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_changes_end_on_the_disk_in_order),
        cmocka_unit_test(no_power_loss_takes_what_was_acknowledged),
        cmocka_unit_test(a_hostile_agent_breaks_only_its_own_session),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
