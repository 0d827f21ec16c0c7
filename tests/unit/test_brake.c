/* SPDX-License-Identifier: MIT
 *
 * The brake: what it holds, what it lets through, and what an approval is good
 * for. */
#include "tests/unit/primary_fixture.h"

enum { KEYS = 20 };

static const char *name_of(int i)
{
    static char name[16];

    (void)snprintf(name, sizeof name, "k%02d", i);
    return name;
}

/* KEYS keys, equal on one replica; more than 2 and more than 20 % is too much. */
static struct fx *begin(struct fx_peer **r_out)
{
    struct primary_config c;

    primary_config_default(&c);
    c.brake_min = 2;
    struct fx *f = fx_new_with(&c);
    for (int i = 0; i < KEYS; i++) {
        fx_put(f, "t", name_of(i), "value");
    }
    *r_out = fx_real_equal(f);
    return f;
}

static void lose(struct fx *f, int from, int to)
{
    for (int i = from; i < to; i++) {
        fx_delete(f, "t", name_of(i));
    }
}

static int kept(const struct fx_peer *r, int from, int to)
{
    int n = 0;

    for (int i = from; i < to; i++) {
        n += strcmp(fx_there(r, "t", name_of(i)), "value") == 0;
    }
    return n;
}

static struct primary_held held(struct fx *f, const struct fx_peer *r)
{
    struct primary_held h;

    if (!primary_held(f->p, r->replica, f->now_ms, &h)) {
        assert_int_equal(h.held, 0);
    }
    return h;
}

static enum replica_state state_of(struct fx *f, const struct fx_peer *r)
{
    struct replica_status s;

    primary_status(f->p, r->replica, f->now_ms, &s);
    return s.state;
}

static uint64_t approve(struct fx *f, const struct fx_peer *r, uint64_t token)
{
    uint64_t count = 0;
    struct err err;

    assert_int_equal(
        primary_approve(f->p, r->replica, token, f->now_ms, &count, &err), 0);
    fx_beat(f, 15);
    return count;
}

static void test_a_burst_of_deletes_is_held_and_sets_flow(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    lose(f, 0, 15);
    assert_int_equal(state_of(f, r), REPLICA_HELD);
    assert_int_equal(kept(r, 0, 15), 11); /* 4 of 20 are 20 % */
    fx_set(f, "t", "new", "flows");
    assert_string_equal(fx_there(r, "t", "new"), "flows");
    fx_beat(f, 15);
    struct primary_held h = held(f, r);
    assert_int_equal(h.held, 11);
    assert_int_equal(h.shown, 11);
    assert_int_not_equal(h.token, 0);
    assert_int_equal(h.tables_count, 1);
    assert_int_equal(h.tables[0].count, 11);
    assert_memory_equal(h.tables[0].table.p, "t", 1);
    assert_int_equal(h.names_count, 11);
    assert_int_equal(h.names[0].key.len, 3);
    assert_false(fx_passed(f, r));
    assert_int_equal(approve(f, r, h.token), 11);
    assert_int_equal(kept(r, 0, 15), 0);
    assert_int_equal(state_of(f, r), REPLICA_STREAMING);
    assert_true(fx_passed(f, r));
    fx_free(f);
}

static void test_keys_that_come_and_go_trip_nothing(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < KEYS; i++) {
            fx_delete(f, "t", name_of(i));
            fx_set(f, "t", name_of(i), "value");
        }
        fx_beat(f, 1);
    }
    assert_int_equal(state_of(f, r), REPLICA_STREAMING);
    assert_int_equal(kept(r, 0, KEYS), KEYS);
    fx_free(f);
}

static void test_slow_losses_trip_nothing(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    for (int i = 0; i < 18; i += 2) {
        lose(f, i, i + 2);
        fx_beat(f, 130);
    }
    assert_int_equal(state_of(f, r), REPLICA_STREAMING);
    assert_int_equal(kept(r, 0, 18), 0);
    fx_free(f);
}

static void test_an_approval_is_for_what_was_shown(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    lose(f, 0, 12);
    fx_beat(f, 15);
    uint64_t token = held(f, r).token;
    assert_int_equal(held(f, r).shown, 8);
    lose(f, 12, 14);                       /* later: not shown */
    fx_set(f, "t", name_of(11), "value"); /* is there again */
    fx_beat(f, 15);
    assert_int_equal(held(f, r).shown, 9);
    assert_int_not_equal(held(f, r).token, token);
    assert_int_equal(approve(f, r, token), 7);
    assert_int_equal(kept(r, 0, 11), 0);
    assert_int_equal(kept(r, 11, 14), 3);
    assert_int_equal(state_of(f, r), REPLICA_HELD); /* however few they are */
    assert_int_equal(held(f, r).shown, 2);
    assert_int_equal(approve(f, r, 0), 2);
    assert_int_equal(state_of(f, r), REPLICA_STREAMING);
    assert_int_equal(kept(r, 0, KEYS), 7);
    fx_free(f);
}

static void test_what_came_back_and_went_again_is_not_approved(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    lose(f, 0, 12);
    fx_beat(f, 15);
    uint64_t token = held(f, r).token;
    fx_set(f, "t", name_of(11), "value");
    fx_beat(f, 15);
    lose(f, 11, 12);
    fx_beat(f, 15);
    assert_int_equal(held(f, r).shown, 8); /* the same names ... */
    assert_int_equal(approve(f, r, token), 7);
    assert_int_equal(kept(r, 11, 12), 1); /* ... but not the same deletes */
    fx_free(f);
}

static void test_another_token_approves_nothing(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);
    uint64_t count;
    struct err err;

    (void)state;
    assert_int_equal(
        primary_approve(f->p, r->replica, 0, f->now_ms, &count, &err),
        ERR_NOTFOUND);
    lose(f, 0, 12);
    fx_beat(f, 15);
    assert_int_equal(primary_approve(f->p, r->replica, held(f, r).token + 1,
                                     f->now_ms, &count, &err),
                     ERR_REFUSED);
    assert_int_equal(err.id, DR_BRAKE);
    fx_beat(f, 15);
    assert_int_equal(kept(r, 0, 12), 8);
    fx_free(f);
}

/* What a restart of the agent leaves: the note, and another core. */
static void restart(struct fx *f, struct fx_peer *r, uint64_t noted)
{
    struct replica_options o = {.name = "r0"};
    struct err err;

    fx_down(f, r);
    primary_replica_remove(f->p, r->replica);
    r->replica = primary_replica_add(f->p, &o, f->now_ms, &err);
    assert_true(r->replica >= 0);
    if (noted > 0) {
        primary_brake_on(f->p, r->replica, noted, f->now_ms - 5000);
    }
    fx_up(f, r);
}

static void test_the_brake_outlives_the_agent(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    lose(f, 0, 7); /* 4 went, 3 are held: fewer than a comparison would hold */
    fx_beat(f, 15);
    uint64_t token = held(f, r).token;
    restart(f, r, held(f, r).held);
    assert_int_equal(state_of(f, r), REPLICA_HELD);
    assert_int_equal(held(f, r).since_ms, 5000);
    fx_beat(f, 15);
    assert_int_equal(kept(r, 0, 7), 3);
    assert_int_equal(held(f, r).token, token); /* the same set */
    /* One more: the old token is not for that, and no longer for anything. */
    restart(f, r, 3);
    lose(f, 7, 8);
    fx_beat(f, 15);
    assert_int_not_equal(held(f, r).token, token);
    uint64_t count;
    struct err err;
    restart(f, r, 3);
    fx_beat(f, 15);
    assert_int_equal(
        primary_approve(f->p, r->replica, token, f->now_ms, &count, &err),
        ERR_REFUSED);
    assert_int_equal(approve(f, r, 0), 4);
    assert_int_equal(kept(r, 0, 8), 0);
    assert_int_equal(state_of(f, r), REPLICA_STREAMING);
    fx_free(f);
}

static void test_nothing_is_approved_before_it_was_compared(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);
    uint64_t count;
    struct err err;

    (void)state;
    fx_down(f, r);
    primary_brake_on(f->p, r->replica, 12, f->now_ms);
    assert_int_equal(
        primary_approve(f->p, r->replica, 0, f->now_ms, &count, &err),
        ERR_REFUSED);
    fx_free(f);
}

static void test_the_brake_goes_off_when_all_is_back(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    lose(f, 0, 12);
    fx_beat(f, 15);
    for (int i = 4; i < 12; i++) {
        fx_set(f, "t", name_of(i), "value");
    }
    fx_beat(f, 15);
    assert_int_equal(state_of(f, r), REPLICA_STREAMING);
    assert_int_equal(kept(r, 0, KEYS), 16);
    fx_free(f);
}

static void test_a_table_stays_with_keys_that_are_not_approved(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    fx_set(f, "u", "x", "value");
    fx_beat(f, 2);
    lose(f, 0, KEYS);
    fx_hint_table(f, "t", false);
    fx_beat(f, 15);
    assert_int_equal(held(f, r).shown, 17); /* 16 keys and the table */
    uint64_t token = held(f, r).token;
    fx_set(f, "t", "late", "value");
    fx_beat(f, 5);
    fx_delete(f, "t", "late");
    fx_hint_table(f, "t", false);
    fx_beat(f, 15);
    (void)approve(f, r, token);
    assert_int_equal(kept(r, 0, KEYS), 0);
    assert_string_equal(fx_there(r, "t", "late"), "value");
    (void)approve(f, r, 0);
    assert_string_equal(fx_there(r, "t", "late"), "-");
    assert_int_equal(state_of(f, r), REPLICA_STREAMING);
    assert_true(digest_equal(index_root(f->ix), index_root(r->index)));
    fx_free(f);
}

static void test_with_a_stale_index_few_deletes_go_and_no_table(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    fx_put(f, "u", "x", "value"); /* of which no event told */
    primary_index_stale(f->p);
    lose(f, 0, 3);
    assert_int_equal(kept(r, 0, 3), 0);
    lose(f, 3, 15);
    fx_hint_table(f, "t", false); /* were it so */
    assert_int_equal(kept(r, 0, KEYS), 16);
    fx_hint_table(f, "t", true);
    fx_ready(f);
    fx_beat(f, 15);
    assert_int_equal(state_of(f, r), REPLICA_HELD);
    assert_int_equal(kept(r, 0, KEYS), 16);
    fx_free(f);
}

static void test_a_replica_that_differs_by_more_than_is_held_is_mended(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    lose(f, 0, 12);
    fx_beat(f, 15);
    assert_int_equal(state_of(f, r), REPLICA_HELD);
    memstore_erase(r->store, "t", name_of(15)); /* by hand */
    index_remove(r->index, index_name_key("t", 1, name_of(15), 3));
    fx_beat(f, 30);
    assert_string_equal(fx_there(r, "t", name_of(15)), "value");
    assert_int_equal(state_of(f, r), REPLICA_HELD);
    assert_int_equal(kept(r, 0, 12), 8);
    fx_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_burst_of_deletes_is_held_and_sets_flow),
        cmocka_unit_test(test_keys_that_come_and_go_trip_nothing),
        cmocka_unit_test(test_slow_losses_trip_nothing),
        cmocka_unit_test(test_an_approval_is_for_what_was_shown),
        cmocka_unit_test(test_what_came_back_and_went_again_is_not_approved),
        cmocka_unit_test(test_another_token_approves_nothing),
        cmocka_unit_test(test_the_brake_outlives_the_agent),
        cmocka_unit_test(test_nothing_is_approved_before_it_was_compared),
        cmocka_unit_test(test_the_brake_goes_off_when_all_is_back),
        cmocka_unit_test(test_a_table_stays_with_keys_that_are_not_approved),
        cmocka_unit_test(test_with_a_stale_index_few_deletes_go_and_no_table),
        cmocka_unit_test(
            test_a_replica_that_differs_by_more_than_is_held_is_mended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
