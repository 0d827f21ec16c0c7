/* SPDX-License-Identifier: MIT
 *
 * The primary's core and its walks: replicas share one as long as that costs
 * nobody anything, and none holds up another's comparison, first copy, repair
 * or job, whatever it does or leaves undone.
 *
 * A *hung* replica answers pings and lists what it has, and acknowledges
 * nothing.  The room for repairs is small here, so that few keys fill it.
 */
#include "tests/support/primary_fixture.h"

enum { ROOM = 4, MANY = 60 };

static void put_many(struct fx *f)
{
    for (int i = 0; i < MANY; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "k%d", i);
        fx_put(f, "t", key, "value");
    }
}

static struct fx *fx_new_small(size_t names_bytes)
{
    struct primary_config c;

    primary_config_default(&c);
    c.repair_room = ROOM;
    c.window_changes = ROOM;
    c.names_bytes = names_bytes;
    struct fx *f = fx_new_with(&c);
    put_many(f);
    return f;
}

static struct fx *fx_new_ready(size_t names_bytes)
{
    struct fx *f = fx_new_small(names_bytes);

    fx_ready(f);
    return f;
}

static size_t keys_there(const struct fx_peer *r)
{
    size_t n = 0;

    for (int i = 0; i < MANY; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "k%d", i);
        n += strcmp(fx_there(r, "t", key), "value") == 0;
    }
    return n;
}

/* So many milliseconds, in the steps of a busy loop. */
static void fx_busy(struct fx *f, int64_t ms)
{
    for (int64_t i = 0; i < ms; i += 10) {
        fx_wait(f, 10);
    }
}

/* A first copy that does not move. */
static struct fx_peer *fx_stuck(struct fx *f, size_t i)
{
    struct fx_peer *r = fx_add(f, i, true);

    r->hung = true;
    fx_up(f, r);
    fx_busy(f, 3000);
    assert_int_equal(keys_there(r), 0);
    return r;
}

static const struct compare_result *job(struct fx *f, const struct fx_peer *r,
                                        enum compare_mode mode)
{
    struct compare_options o = {.mode = mode, .scan = true, .names_max = 100};
    struct err err;
    int64_t id = primary_compare(f->p, r->replica, &o, f->now_ms, &err);

    assert_true(id > 0);
    fx_pump(f);
    fx_busy(f, 1500);
    const struct compare_result *res =
        primary_compare_result(f->p, (uint64_t)id);
    if (!res->done) {
        print_error("still %s\n", res->phase);
    }
    assert_true(res->done);
    assert_false(res->failed);
    return res;
}

static void test_a_stuck_first_copy_holds_up_no_other(void **state)
{
    struct fx *f = fx_new_ready(1 << 20);
    const struct fx_peer *stuck = fx_stuck(f, 0);
    struct fx_peer *good = fx_add(f, 1, true);

    (void)state;
    assert_true(f->walk_id != 0); /* alone, it may keep its walk */
    fx_up(f, good);
    fx_busy(f, 2000);
    assert_int_equal(keys_there(good), MANY);
    fx_beat(f, 3);
    assert_true(fx_passed(f, good));
    assert_false(fx_passed(f, stuck));
    fx_free(f);
}

/* Both are members of one walk: it waits for the stuck one, but not for long.
 */
static void test_a_stuck_member_is_passed_by(void **state)
{
    struct fx *f = fx_new_small(1 << 20);
    struct fx_peer *stuck = fx_add(f, 0, true), *good = fx_add(f, 1, true);

    (void)state;
    stuck->hung = true;
    fx_up(f, stuck);
    fx_up(f, good);
    fx_ready(f);
    fx_busy(f, 2000);
    assert_int_equal(keys_there(good), MANY);
    assert_int_equal(f->walks, 1);
    fx_free(f);
}

/* An agent began anew beside a stuck replica: what an established one missed
 * meanwhile reaches it, and the operator's jobs for it end. */
static void
test_an_established_replica_is_repaired_beside_a_stuck_one(void **state)
{
    struct fx *f = fx_new_ready(1 << 20);
    struct fx_peer *old = fx_add(f, 1, true);

    (void)state;
    fx_up(f, old);
    fx_busy(f, 2000);
    fx_beat(f, 3);
    assert_true(fx_passed(f, old));
    fx_down(f, old);
    (void)fx_stuck(f, 0);
    fx_put(f, "t", "k7", "newer");
    fx_index(f); /* the scan saw it, nobody was told */
    fx_up(f, old);
    fx_busy(f, 2000);
    assert_string_equal(fx_there(old, "t", "k7"), "newer");
    memstore_edit(old->store, "t", "k8", "edited", 6);
    memstore_erase(old->store, "t", "k9");
    const struct compare_result *res = job(f, old, COMPARE_VERIFY);
    assert_int_equal(res->names_count, 2);
    memstore_edit(old->store, "t", "k3", "edited", 6);
    memstore_erase(old->store, "t", "k4");
    (void)job(f, old, COMPARE_REPAIR);
    assert_int_equal(keys_there(old), MANY - 1); /* k7 is newer */
    fx_free(f);
}

/* Passed by, it is not forgotten: its names wait for it, and no other walk or
 * comparison is needed when it works again. */
static void test_names_wait_for_who_was_passed_by(void **state)
{
    struct fx *f = fx_new_ready(1 << 20);
    struct fx_peer *stuck = fx_stuck(f, 0);
    struct fx_peer *good = fx_add(f, 1, true);

    (void)state;
    fx_up(f, good);
    fx_busy(f, 2000);
    assert_int_equal(f->walks, 2);
    assert_true(f->p->waiting_bytes > 0);
    stuck->hung = false;
    fx_busy(f, 100);
    assert_int_equal(keys_there(stuck), MANY);
    assert_int_equal(f->p->waiting_bytes, 0);
    fx_beat(f, 3);
    assert_true(fx_passed(f, stuck));
    assert_int_equal(f->walks, 2);
    fx_free(f);
}

/* The list is bounded; what found no room in it is for another comparison. */
static void test_what_finds_no_room_is_left_for_another_comparison(void **state)
{
    struct fx *f = fx_new_ready(64);
    struct fx_peer *stuck = fx_stuck(f, 0);
    struct fx_peer *good = fx_add(f, 1, true);

    (void)state;
    fx_up(f, good);
    fx_busy(f, 2000);
    assert_int_equal(keys_there(good), MANY);
    assert_true(f->p->waiting_bytes > 0 && f->p->waiting_bytes <= 64);
    stuck->hung = false;
    fx_busy(f, 100);
    assert_true(keys_there(stuck) < MANY);
    assert_false(fx_passed(f, stuck)); /* nothing is claimed */
    fx_beat(f, 30);
    assert_int_equal(keys_there(stuck), MANY);
    assert_true(fx_passed(f, stuck));
    fx_free(f);
}

/* However much the others have waiting, each may have an eighth. */
static void test_lists_have_a_bound_for_all_and_a_share_for_each(void **state)
{
    struct fx *f = fx_new_ready(400);
    struct fx_peer *stuck[3];

    (void)state;
    f->p->waiting_bytes += (size_t)8 * 400; /* as if many others had */
    for (size_t i = 0; i < 3; i++) {
        stuck[i] = fx_add(f, i, true);
        stuck[i]->hung = true;
        fx_up(f, stuck[i]);
    }
    struct fx_peer *good = fx_add(f, 3, true);
    fx_busy(f, 2000);
    fx_up(f, good);
    fx_busy(f, 2000);
    assert_int_equal(keys_there(good), MANY);
    f->p->waiting_bytes -= (size_t)8 * 400;
    assert_true(f->p->waiting_bytes > 3 * 25);
    assert_true(f->p->waiting_bytes <= 3 * 50);
    fx_down(f, stuck[0]);
    fx_down(f, stuck[1]);
    fx_down(f, stuck[2]);
    assert_int_equal(f->p->waiting_bytes, 0);
    fx_free(f);
}

/* Who takes one repair now and then may hold the walk for a quarter of a second
 * and an eighth of the time beyond, not for its own pace. */
static void test_a_trickle_does_not_hold_the_walk(void **state)
{
    struct fx *f = fx_new_small(1 << 20);
    struct fx_peer *slow = fx_add(f, 0, true), *good = fx_add(f, 1, true);

    (void)state;
    slow->hung = true;
    fx_up(f, slow);
    fx_up(f, good);
    fx_ready(f);
    int64_t began_ms = f->now_ms;
    while (keys_there(good) < MANY) {
        /* One commit when it has held up the others long enough. */
        fx_busy(f, 300);
        slow->hung = false;
        fx_work(f, slow);
        slow->hung = true;
        assert_true(f->now_ms - began_ms < 2000);
    }
    fx_free(f);
}

/* Replicas that keep pace share one walk and one read of each value. */
static void test_replicas_that_keep_pace_share_a_walk(void **state)
{
    struct fx *f = fx_new_small(1 << 20);
    struct fx_peer *r[3];
    struct primary_counts counts;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        r[i] = fx_add(f, i, true);
        fx_up(f, r[i]);
    }
    fx_ready(f);
    fx_busy(f, 2000);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(keys_there(r[i]), MANY);
    }
    primary_counts(f->p, &counts);
    assert_int_equal(counts.values_read, MANY);
    assert_int_equal(f->walks, 1);
    fx_free(f);
}

/* One that comes again and again, and is always about to need a walk. */
static void test_nobody_waits_for_who_is_about_to_need_a_walk(void **state)
{
    struct fx *f = fx_new_ready(1 << 20);
    struct fx_peer *good = fx_add(f, 1, true);
    struct fx_peer *restless = fx_add(f, 0, false);
    const struct wire_ready ready = {.keys = 3};

    (void)state;
    fx_up(f, restless);
    wire_put_ready(&restless->say, &ready);
    fx_pump(f);
    fx_up(f, good);
    for (int i = 0; i < 8; i++) {
        fx_busy(f, 400);
        fx_down(f, restless);
        fx_up(f, restless);
        wire_put_ready(&restless->say, &ready);
        fx_pump(f);
    }
    assert_int_equal(keys_there(good), MANY);
    fx_free(f);
}

/* Nothing is known of the link yet, and no read was answered: few repairs are
 * taken from what the walk finds, for they cannot be overtaken. */
static void test_repairs_of_an_unknown_link_are_few(void **state)
{
    struct primary_config c;

    (void)state;
    primary_config_default(&c);
    struct fx *f = fx_new_with(&c);
    put_many(f);
    fx_ready(f);
    f->by_hand = true;
    const struct fx_peer *r = fx_add(f, 0, true);
    fx_up(f, &f->peers[0]);
    const struct repl *q = f->p->repl[r->replica];
    size_t taken = q->flights.count + (size_t)f->p->log.pending[q->id];
    assert_true(taken > 0 && taken <= 3 * PACE_AHEAD_MIN);
    fx_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_stuck_first_copy_holds_up_no_other),
        cmocka_unit_test(test_a_stuck_member_is_passed_by),
        cmocka_unit_test(
            test_an_established_replica_is_repaired_beside_a_stuck_one),
        cmocka_unit_test(test_names_wait_for_who_was_passed_by),
        cmocka_unit_test(
            test_what_finds_no_room_is_left_for_another_comparison),
        cmocka_unit_test(test_lists_have_a_bound_for_all_and_a_share_for_each),
        cmocka_unit_test(test_a_trickle_does_not_hold_the_walk),
        cmocka_unit_test(test_repairs_of_an_unknown_link_are_few),
        cmocka_unit_test(test_replicas_that_keep_pace_share_a_walk),
        cmocka_unit_test(test_nobody_waits_for_who_is_about_to_need_a_walk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
