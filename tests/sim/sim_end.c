/* SPDX-License-Identifier: MIT
 *
 * sim_end: writers rest, faults end, and all replicas must become equal (P3),
 * even while one of them is stuck (P6).  Then a verification must find
 * nothing, and of planted differences all and nothing else. */
#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "tests/sim/sim.h"

enum { PATIENCE_S = 600 };

static bool is_settled(struct sim *s, struct replica *r)
{
    struct replica_status st;
    uint64_t count;
    struct err err;

    primary_status(s->agent.p, r->id, sim_now_ms(s), &st);
    if (st.state == REPLICA_HELD &&
        primary_approve(s->agent.p, r->id, 0, sim_now_ms(s), &count, &err) == 0) {
        sim_note(s, "approve %" PRIu64 " deletes on replica %d", count,
                 r->number);
        agent_act(s);
    }
    return st.state == REPLICA_STREAMING && st.lag_ms == 0 &&
           primary_passed(s->agent.p, r->id, primary_tail(s->agent.p)) &&
           digest_equal(index_root(r->index), index_root(s->agent.ix));
}

/* All but replica `but` (-1: all). */
static void settle(struct sim *s, int but, int promise, const char *when)
{
    int64_t until_us = s->now_us + PATIENCE_S * INT64_C(1000000);
    bool all = false;

    while (!all) {
        int i = 0;
        for (int n = 0; n < 200; n++) {
            sim_one(s);
        }
        all = !s->agent.stale && s->world->events_count == 0;
        while (all && i < s->replicas_count) {
            all = i == but || is_settled(s, &s->replicas[i]);
            i += all ? 1 : 0;
        }
        if (s->now_us > until_us) {
            struct replica_status st = {0};
            if (i < s->replicas_count) {
                primary_status(s->agent.p, s->replicas[i].id, sim_now_ms(s),
                               &st);
            }
            sim_fail(s, promise,
                     "%s: replica %d did not become equal: %s, lag "
                     "%" PRId64 ", %" PRIu64 " pending, %s",
                     when, i, replica_state_word(st.state), st.lag_ms,
                     st.pending_keys, st.last_error.msg);
        }
    }
}

/* Scan, compare, and wait for the answer. */
static const struct compare_result *verify(struct sim *s, struct replica *r,
                                           enum compare_mode mode,
                                           int64_t *id_out)
{
    struct compare_options o = {
        .mode = mode, .scan = true, .content = true, .names_max = 100};
    int64_t until_us = s->now_us + PATIENCE_S * INT64_C(1000000);
    struct err err;

    *id_out = primary_compare(s->agent.p, r->id, &o, sim_now_ms(s), &err);
    assert(*id_out > 0);
    agent_act(s);
    for (;;) {
        const struct compare_result *res =
            primary_compare_result(s->agent.p, (uint64_t)*id_out);
        if (res->done) {
            return res;
        }
        if (s->now_us > until_us) {
            sim_fail(s, 3, "a comparison with replica %d does not end: %s",
                     r->number, res->phase);
        }
        sim_one(s);
    }
}

static void verify_equal(struct sim *s, struct replica *r)
{
    int64_t id;
    const struct compare_result *res = verify(s, r, COMPARE_VERIFY, &id);

    if (res->failed || res->missing + res->extra + res->different > 0) {
        sim_fail(s, 3,
                 "verify of replica %d: %" PRIu64 " missing, %" PRIu64
                 " extra, %" PRIu64 " different, %s",
                 r->number, res->missing, res->extra, res->different,
                 res->err.msg);
    }
    primary_compare_free(s->agent.p, (uint64_t)id);
}

/* One difference of each kind that is possible. */
static void plant(struct sim *s, struct replica *r, bool planted[ITEMS])
{
    int different = -1, missing = -1, extra = -1;

    for (int i = TABLES; i < ITEMS; i++) {
        const struct item *it = &s->world->items[i];
        if (!world_exists(&s->world->items[it->table])) {
            continue;
        }
        int *at = !world_exists(it) ? &extra
                  : different < 0   ? &different
                                    : &missing;
        *at = i;
    }
    if (different >= 0) {
        const struct item *it = &s->world->items[different];
        memstore_edit(r->store, it->table_name, it->key, "planted", 7);
        planted[different] = true;
    }
    if (missing >= 0) {
        const struct item *it = &s->world->items[missing];
        memstore_erase(r->store, it->table_name, it->key);
        planted[missing] = true;
    }
    if (extra >= 0) {
        const struct item *it = &s->world->items[extra];
        memstore_edit(r->store, it->table_name, it->key, "planted", 7);
        planted[extra] = true;
    }
    for (int i = 0; i < ITEMS; i++) {
        r->seen[i].planted = r->seen[i].planted || planted[i];
        if (planted[i]) {
            r->seen[i].stat = (struct vstat){0, 0, 0};
        }
    }
}

static void verify_planted(struct sim *s, struct replica *r)
{
    bool planted[ITEMS] = {false};
    size_t count = 0;
    int64_t id;
    struct primary_config defaults;

    /* Every one is to have its name. */
    primary_config_default(&defaults);
    s->agent.config.diffs_max = defaults.diffs_max;
    primary_reconfigure(s->agent.p, &s->agent.config);
    plant(s, r, planted);
    const struct compare_result *res = verify(s, r, COMPARE_VERIFY, &id);
    for (int i = 0; i < ITEMS; i++) {
        count += planted[i];
    }
    for (size_t i = 0; i < res->names_count; i++) {
        const struct diff_name *n = &res->names[i];
        int item = world_item(s, n->table, n->key, n->is_table);
        if (!planted[item]) {
            sim_fail(s, 3, "verify of replica %d names %s, which is equal",
                     r->number, world_name(&s->world->items[item]));
        }
        planted[item] = false;
    }
    if (res->failed || res->names_count != count ||
        res->missing + res->extra + res->different != count) {
        sim_fail(s, 3,
                 "verify of replica %d found %zu names of %zu, %" PRIu64
                 " missing, %" PRIu64 " extra, %" PRIu64 " different: %s",
                 r->number, res->names_count, count, res->missing, res->extra,
                 res->different, res->err.msg);
    }
    primary_compare_free(s->agent.p, (uint64_t)id);
    (void)verify(s, r, COMPARE_REPAIR, &id);
    primary_compare_free(s->agent.p, (uint64_t)id);
}

/* Edits that no scan has seen yet. */
static void repair_edits(struct sim *s)
{
    for (int i = 0; i < s->replicas_count; i++) {
        int64_t id;
        (void)verify(s, &s->replicas[i], COMPARE_REPAIR, &id);
        primary_compare_free(s->agent.p, (uint64_t)id);
    }
}

void sim_end(struct sim *s)
{
    int stuck = s->replicas_count > 1 && sim_chance(s, 500)
                    ? (int)sim_below(s, (uint64_t)s->replicas_count)
                    : -1;

    reign_end(s);
    sim_note(s, "the end: calm");
    s->calm = true;
    world_calm(s);
    for (int i = 0; i < s->replicas_count; i++) {
        replica_calm(s, &s->replicas[i]);
    }
    if (stuck >= 0) {
        s->replicas[stuck].stuck_us = INT64_MAX;
        settle(s, stuck, 6, "one is stuck");
        s->replicas[stuck].stuck_us = 0;
    }
    settle(s, -1, 3, "the end");
    repair_edits(s);
    settle(s, -1, 3, "after repairs");
    for (int i = 0; i < s->replicas_count; i++) {
        check_equal(s, &s->replicas[i]);
        verify_equal(s, &s->replicas[i]);
    }
    for (int i = 0; i < s->replicas_count; i++) {
        verify_planted(s, &s->replicas[i]);
    }
    settle(s, -1, 3, "after planting");
    for (int i = 0; i < s->replicas_count; i++) {
        check_equal(s, &s->replicas[i]);
    }
}
