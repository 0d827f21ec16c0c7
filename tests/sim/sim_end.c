/* SPDX-License-Identifier: MIT
 *
 * sim_end: writers rest, faults end, and all replicas must become equal (P3),
 * even while one of them is stuck or takes nothing more of its first copy (P6);
 * repairs that are asked for the others end, too.  Then a verification must
 * find nothing, and of planted differences all and nothing else. */
#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "sync/errors/state.h"
#include "tests/sim/sim.h"

enum {
    PATIENCE_S = 600,
    RESYNC_S = 60, /* the operator's, to another resync */
};

/* What a dry run found the operator repairs. */
static bool keeps_up(struct sim *s, struct replica *r)
{
    const struct compare_options o = {
        .mode = COMPARE_REPAIR, .scan = true, .content = true};
    struct err err;

    if (primary_keeps_up(s->agent.p, r->id, LAG_LIMIT_MS, sim_now_ms(s),
                         &err)) {
        return true;
    }
    if (err.id == DR_DIFFERENT && s->now_us >= r->resync_us) {
        r->resync_us = s->now_us + RESYNC_S * INT64_C(1000000);
        sim_note(s, "resync of replica %d: %s", r->number, err.msg);
        int64_t id =
            primary_compare(s->agent.p, r->id, &o, sim_now_ms(s), &err);
        assert(id > 0);
        agent_act(s);
    }
    return false;
}

static bool is_settled(struct sim *s, struct replica *r)
{
    struct replica_status st;
    uint64_t count;
    struct err err;

    primary_status(s->agent.p, r->id, sim_now_ms(s), &st);
    if (st.state == REPLICA_HELD &&
        primary_approve(s->agent.p, r->id, 0, sim_now_ms(s), &count, &err) ==
            0) {
        sim_note(s, "approve %" PRIu64 " deletes on replica %d", count,
                 r->number);
        agent_act(s);
    }
    return st.state == REPLICA_STREAMING && st.lag_ms == 0 && keeps_up(s, r) &&
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

static uint64_t begin(struct sim *s, struct replica *r, enum compare_mode mode)
{
    struct compare_options o = {
        .mode = mode, .scan = true, .content = true, .names_max = 100};
    struct err err;
    int64_t id = primary_compare(s->agent.p, r->id, &o, sim_now_ms(s), &err);

    assert(id > 0);
    agent_act(s);
    return (uint64_t)id;
}

/* Scan, compare, and wait for the answer, which is promised. */
static const struct compare_result *verify(struct sim *s, struct replica *r,
                                           enum compare_mode mode, int promise,
                                           int64_t *id_out)
{
    int64_t until_us = s->now_us + PATIENCE_S * INT64_C(1000000);

    *id_out = (int64_t)begin(s, r, mode);
    for (;;) {
        const struct compare_result *res =
            primary_compare_result(s->agent.p, (uint64_t)*id_out);
        if (res->done) {
            return res;
        }
        if (s->now_us > until_us) {
            sim_fail(s, promise,
                     "a comparison with replica %d does not end: %s", r->number,
                     res->phase);
        }
        sim_one(s);
    }
}

static void verify_equal(struct sim *s, struct replica *r)
{
    int64_t id;
    const struct compare_result *res = verify(s, r, COMPARE_VERIFY, 3, &id);

    if (res->failed || res->missing + res->extra + res->different > 0) {
        sim_fail(s, 3,
                 "verify of replica %d: %" PRIu64 " missing, %" PRIu64
                 " extra, %" PRIu64 " different, %s",
                 r->number, res->missing, res->extra, res->different,
                 res->err.msg);
    }
    primary_compare_free(s->agent.p, (uint64_t)id);
}

/* Until its repair is acknowledged it may be visible, and not on the disk. */
static void mark(struct replica *r, const bool planted[ITEMS])
{
    for (int i = 0; i < ITEMS; i++) {
        if (planted[i]) {
            r->seen[i].planted = r->seen[i].edited = true;
            r->seen[i].edits++;
            r->seen[i].stat = (struct vstat){0, 0, 0};
        }
    }
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
    mark(r, planted);
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
    const struct compare_result *res = verify(s, r, COMPARE_VERIFY, 3, &id);
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
    (void)verify(s, r, COMPARE_REPAIR, 3, &id);
    primary_compare_free(s->agent.p, (uint64_t)id);
}

/* --- a key that never holds still ---------------------------------------- */

enum { HOT_EVERY = 40, HOT_STEPS = 40000, HOT_INSTALLS = 4 };

/* Another large value before the one before can have been read: one step in
 * three belongs to the agent, and a value takes it some ten. */
static void keep_hot(struct sim *s, bool in_place)
{
    if (s->step % HOT_EVERY == 0) {
        (void)world_hot(s, in_place);
    }
}

/* While one key changes all the time, versions of it come through to every
 * replica (P6), the others are not held up, and a comparison ends. */
static void hot_key(struct sim *s, bool in_place)
{
    int item = world_hot(s, in_place);
    uint64_t last[REPLICAS] = {0};
    int installs[REPLICAS] = {0};
    int64_t id = -1;
    struct err err;
    const struct compare_options o = {.mode = COMPARE_REPAIR, .names_max = 5};

    for (int i = 0; i < HOT_STEPS; i++) {
        keep_hot(s, in_place);
        sim_one(s);
        if (i == 2000) {
            id = primary_compare(s->agent.p, s->replicas[0].id, &o,
                                 sim_now_ms(s), &err);
            assert(id > 0);
            agent_act(s);
        }
        for (int n = 0; n < s->replicas_count; n++) {
            const struct seen *seen = &s->replicas[n].seen[item];
            installs[n] += seen->acked > last[n];
            last[n] = seen->acked;
        }
    }
    for (int n = 0; n < s->replicas_count; n++) {
        if (installs[n] < HOT_INSTALLS) {
            sim_fail(s, 6,
                     "a key that changes all the time (%s): %d of its versions "
                     "came to replica %d",
                     in_place ? "in place" : "replaced", installs[n], n);
        }
    }
    if (!primary_compare_result(s->agent.p, (uint64_t)id)->done) {
        sim_fail(s, 6,
                 "a comparison waits for a key that changes all the time");
    }
    primary_compare_free(s->agent.p, (uint64_t)id);
}

/* Edits that no scan has seen yet. */
static void repair_edits(struct sim *s)
{
    for (int i = 0; i < s->replicas_count; i++) {
        int64_t id;
        (void)verify(s, &s->replicas[i], COMPARE_REPAIR, 3, &id);
        primary_compare_free(s->agent.p, (uint64_t)id);
    }
}

/* It has nothing any more, is to get everything, and takes none of it. */
static void hang(struct sim *s, struct replica *r)
{
    bool planted[ITEMS] = {false};

    for (int i = TABLES; i < ITEMS; i++) {
        const struct item *it = &s->world->items[i];
        struct bytes value;
        if (memstore_get(r->store, it->table_name, it->key, &value)) {
            memstore_erase(r->store, it->table_name, it->key);
            planted[i] = true;
        }
    }
    mark(r, planted);
    r->hung = true;
    sim_note(s, "replica %d is empty and commits nothing", r->number);
    (void)begin(s, r, COMPARE_REPAIR);
    for (int n = 0; n < 2000; n++) {
        sim_one(s);
    }
}

/* Nobody waits for this one's troubles. */
static void beside(struct sim *s, int stuck)
{
    bool planted[ITEMS] = {false};
    int64_t id;

    if (s->seed % 2 == 0) {
        s->replicas[stuck].stuck_us = INT64_MAX;
    } else {
        hang(s, &s->replicas[stuck]);
    }
    settle(s, stuck, 6, "one is stuck");
    for (int i = 0; i < s->replicas_count; i++) {
        if (i == stuck) {
            continue;
        }
        plant(s, &s->replicas[i], planted);
        (void)verify(s, &s->replicas[i], COMPARE_REPAIR, 6, &id);
        primary_compare_free(s->agent.p, (uint64_t)id);
    }
    settle(s, stuck, 6, "repaired while one is stuck");
    s->replicas[stuck].stuck_us = 0;
    s->replicas[stuck].hung = false;
}

void sim_end(struct sim *s)
{
    int stuck = s->replicas_count > 1 && sim_chance(s, 500)
                    ? (int)sim_below(s, (uint64_t)s->replicas_count)
                    : -1;

    term_end(s);
    sim_note(s, "the end: calm");
    s->calm = true;
    world_calm(s);
    for (int i = 0; i < s->replicas_count; i++) {
        replica_calm(s, &s->replicas[i]);
    }
    if (stuck >= 0) {
        beside(s, stuck);
    }
    settle(s, -1, 3, "the end");
    repair_edits(s);
    settle(s, -1, 3, "after repairs");
    if (s->seed % 8 < 2) {
        hot_key(s, s->seed % 8 == 1);
        settle(s, -1, 3, "after a hot key");
    }
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
