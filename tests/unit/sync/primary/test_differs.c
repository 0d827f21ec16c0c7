/* SPDX-License-Identifier: MIT
 *
 * What a comparison found different is a state until it is repaired: the
 * replica does not keep up, and what differs is named.
 */
#include "sync/errors/state.h"
#include "tests/support/plain_key.h"
#include "tests/support/primary_fixture.h"

static const struct compare_result *ask(struct fx *f, struct fx_peer *r,
                                        enum compare_mode mode, bool scan,
                                        bool content)
{
    struct compare_options o = {
        .mode = mode, .scan = scan, .content = content, .names_max = 9};
    struct err err;

    int64_t id = primary_compare(f->p, r->replica, &o, f->now_ms, &err);
    assert_true(id > 0);
    fx_pump(f);
    for (int i = 0; i < 5 && f->compared != (uint64_t)id; i++) {
        f->now_ms += 1; /* no heartbeat */
        fx_tick(f);
    }
    assert_int_equal(f->compared, id);
    const struct compare_result *res =
        primary_compare_result(f->p, (uint64_t)id);
    assert_true(res->done && !res->failed);
    return res;
}

static void assert_differs(struct fx *f, struct fx_peer *r, const char *text)
{
    struct err why;

    assert_false(fx_keeps_up(f, r, &why));
    assert_int_equal(why.id, DR_DIFFERENT);
    fx_says(&why, text);
}

static void assert_keeps_up(struct fx *f, struct fx_peer *r)
{
    struct err why;

    if (!fx_keeps_up(f, r, &why)) {
        fail_msg("%s", why.msg);
    }
}

static void
test_what_a_verify_found_is_a_state_until_it_is_repaired(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_put(f, "t", "a", "1");
    fx_put(f, "t", "b", "1");
    struct fx_peer *r = fx_real_equal(f);
    assert_keeps_up(f, r);
    memstore_edit(r->store, "t", "a", "2", 1);
    assert_int_equal(ask(f, r, COMPARE_VERIFY, true, false)->different, 1);
    assert_differs(f, r,
                   "1 key or table differs from the primary, found 0 s "
                   "ago, such as: table t key a has another value there");
    /* The digests are equal meanwhile: nothing is said to the index. */
    fx_beat(f, 3);
    assert_string_equal(fx_there(r, "t", "a"), "2");
    assert_differs(f, r, "table t key a");
    fx_beat(f, 4);
    assert_string_equal(fx_there(r, "t", "a"), "1");
    assert_keeps_up(f, r);
    fx_free(f);
}

/* Nothing repairs what a dry run finds; nor does a read that is less close
 * prove that it is gone. */
static void test_what_a_dry_run_found_stays_until_it_is_repaired(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_put(f, "t", "a", "1");
    fx_put(f, "t", "b", "1");
    struct fx_peer *r = fx_real_equal(f);
    memstore_erase(r->store, "t", "b");
    memstore_edit(r->store, "t", "c", "1", 1);
    const struct compare_result *res = ask(f, r, COMPARE_DRY_RUN, true, true);
    assert_int_equal(res->missing + res->extra, 2);
    assert_differs(f, r, "2 keys or tables differ");
    fx_beat(f, 20);
    assert_int_equal(ask(f, r, COMPARE_VERIFY, false, false)->missing, 0);
    assert_differs(f, r,
                   "2 keys or tables differ from the primary, found 20 s");
    (void)ask(f, r, COMPARE_REPAIR, true, true);
    assert_string_equal(fx_there(r, "t", "b"), "1");
    assert_string_equal(fx_there(r, "t", "c"), "-");
    assert_keeps_up(f, r);
    fx_free(f);
}

/* A key too much is seen without reading values, however it was found; a value
 * that only a read tells from another is not. */
static void test_it_ends_with_what_can_see_it(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_put(f, "t", "a", "1");
    struct fx_peer *r = fx_real_equal(f);
    memstore_edit(r->store, "t", "more", "1", 1);
    assert_int_equal(ask(f, r, COMPARE_DRY_RUN, true, true)->extra, 1);
    assert_differs(f, r, "table t key more is only there");
    (void)ask(f, r, COMPARE_REPAIR, true, false);
    assert_keeps_up(f, r);

    memstore_edit(r->store, "t", "a", "2", 1);
    assert_int_equal(ask(f, r, COMPARE_DRY_RUN, true, true)->different, 1);
    assert_differs(f, r, "(seen by reading the values: resync --content)");
    (void)ask(f, r, COMPARE_VERIFY, true, false);
    assert_differs(f, r, "key a");
    (void)ask(f, r, COMPARE_REPAIR, true, true);
    assert_keeps_up(f, r);
    fx_free(f);
}

/* "Fresh as of" would be a lie meanwhile, also to receivers of before. */
static void test_what_differs_is_not_fresh_until_it_is_repaired(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_put(f, "t", "a", "1");
    struct fx_peer *r = fx_real_equal(f);
    fx_beat(f, 2);
    assert_true(r->store->fresh_ns > 0);
    memstore_edit(r->store, "t", "a", "2", 1);
    assert_int_equal(ask(f, r, COMPARE_DRY_RUN, true, false)->different, 1);
    int64_t then_ns = r->store->fresh_ns;
    fx_beat(f, 20);
    assert_int_equal(r->store->fresh_ns, then_ns);
    assert_int_equal(r->store->fresh_state, REPLICA_DIFFERS);
    (void)ask(f, r, COMPARE_REPAIR, true, false);
    fx_beat(f, 2);
    assert_true(r->store->fresh_ns > then_ns);
    assert_int_equal(r->store->fresh_state, REPLICA_STREAMING);
    fx_free(f);
}

/* Somebody else repaired it: a read that finds nothing is proof. */
static void test_a_verify_that_finds_nothing_ends_it(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_put(f, "t", "a", "1");
    struct fx_peer *r = fx_real_equal(f);
    memstore_edit(r->store, "t", "more", "1", 1);
    assert_int_equal(ask(f, r, COMPARE_DRY_RUN, true, false)->extra, 1);
    assert_differs(f, r, "table t key more is only there");
    memstore_erase(r->store, "t", "more");
    assert_int_equal(ask(f, r, COMPARE_VERIFY, true, false)->extra, 0);
    assert_keeps_up(f, r);
    fx_free(f);
}

/* Its index knows: the heartbeats repair it, and end it. */
static void test_what_both_ends_remember_ends_with_equal_digests(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_put(f, "t", "a", "1");
    struct fx_peer *r = fx_real_equal(f);
    fx_put(f, "t", "b", "2");
    fx_index(f); /* behind the log */
    assert_int_equal(ask(f, r, COMPARE_VERIFY, false, false)->missing, 1);
    assert_differs(f, r, "table t key b is missing there");
    fx_beat(f, 20);
    assert_string_equal(fx_there(r, "t", "b"), "2");
    assert_keeps_up(f, r);
    fx_free(f);
}

/* The link breaks before the repair: the state outlives it, and the new
 * session's scan takes the edit up. */
static void test_it_outlives_the_session(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_put(f, "t", "a", "1");
    struct fx_peer *r = fx_real_equal(f);
    memstore_edit(r->store, "t", "a", "2", 1);
    assert_int_equal(ask(f, r, COMPARE_DRY_RUN, true, false)->different, 1);
    fx_down(f, r);
    assert_differs(f, r, "table t key a has another value there");
    fx_up(f, r);
    fx_beat(f, 6);
    assert_string_equal(fx_there(r, "t", "a"), "1");
    assert_keeps_up(f, r);
    fx_free(f);
}

/* Somebody changes a key on the replica, and its receiver notices. */
static void edit(struct fx *f, struct fx_peer *r, const char *key,
                 const char *value)
{
    struct wire_edited m = {.count = 1,
                            .how = WIRE_EDIT_CHANGED,
                            .table = bytes_of("t", 1),
                            .key = bytes_of(key, strlen(key))};
    struct index_entry e = {
        .name = index_name_key(&plain_key, "t", 1, key, strlen(key)),
        .digest = digest_of(value, strlen(value)),
        .stat = {.ino = 999, .ctime_ns = f->now_ms, .size = strlen(value)}};
    struct err err;

    memstore_edit(r->store, "t", key, value, strlen(value));
    assert_int_equal(index_put(r->index, &e, &err), 0);
    assert_int_equal(receiver_edited(r->receiver, 1, &m, &err), 0);
    fx_pump(f);
}

static void test_an_edit_that_the_receiver_tells_is_repaired(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_put(f, "t", "a", "1");
    struct fx_peer *r = fx_real_equal(f);
    edit(f, r, "a", "2");
    assert_differs(f, r,
                   "changed on the replica, not by the primary: 1 edit of keys "
                   "or tables, the first 0 s ago, such as: table t key a was "
                   "changed there");
    /* Long enough for an operator to pause it, however the digests differ. */
    fx_beat(f, 4);
    assert_string_equal(fx_there(r, "t", "a"), "2");
    assert_differs(f, r, "table t key a");
    fx_beat(f, 3);
    assert_string_equal(fx_there(r, "t", "a"), "1");
    assert_keeps_up(f, r);
    fx_free(f);
}

/* Undone by its author: equal digests end it, and nothing is compared. */
static void test_an_edit_that_is_taken_back_ends_it(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_put(f, "t", "a", "1");
    struct fx_peer *r = fx_real_equal(f);
    edit(f, r, "a", "2");
    edit(f, r, "a", "1");
    assert_differs(f, r, "2 edits");
    fx_beat(f, 2);
    assert_keeps_up(f, r);
    fx_free(f);
}

/* One that comes while the repair of another is under way is not forgotten with
 * that. */
static void test_an_edit_beside_a_repair_has_its_own(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_put(f, "t", "a", "1");
    fx_put(f, "t", "b", "1");
    struct fx_peer *r = fx_real_equal(f);
    edit(f, r, "a", "2");
    r->hung = true;
    fx_beat(f, 6);
    edit(f, r, "b", "2");
    r->hung = false;
    fx_beat(f, 1);
    assert_string_equal(fx_there(r, "t", "a"), "1");
    assert_differs(f, r, "changed on the replica");
    fx_beat(f, 8);
    assert_string_equal(fx_there(r, "t", "b"), "1");
    assert_keeps_up(f, r);
    fx_free(f);
}

/* Over and over: the comparisons become few, the log lines too, and it is
 * repaired in the end. */
static void test_who_edits_all_the_time_costs_little(void **state)
{
    struct fx *f = fx_new();
    char value[8];

    (void)state;
    fx_put(f, "t", "a", "1");
    struct fx_peer *r = fx_real_equal(f);
    unsigned walks = f->walks, logs = f->logs;
    for (int i = 0; i < 1200; i++) {
        (void)snprintf(value, sizeof value, "e%d", i);
        edit(f, r, "a", value);
        fx_beat(f, 1);
    }
    assert_in_range(f->walks - walks, 16, 16 + 1200 / 60 + 20);
    assert_in_range(f->logs - logs, 16, 3 * (16 + 1200 / 60 + 20));
    fx_beat(f, 70);
    assert_string_equal(fx_there(r, "t", "a"), "1");
    assert_keeps_up(f, r);
    fx_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_what_a_verify_found_is_a_state_until_it_is_repaired),
        cmocka_unit_test(test_what_a_dry_run_found_stays_until_it_is_repaired),
        cmocka_unit_test(test_it_ends_with_what_can_see_it),
        cmocka_unit_test(test_what_differs_is_not_fresh_until_it_is_repaired),
        cmocka_unit_test(test_a_verify_that_finds_nothing_ends_it),
        cmocka_unit_test(test_what_both_ends_remember_ends_with_equal_digests),
        cmocka_unit_test(test_it_outlives_the_session),
        cmocka_unit_test(test_an_edit_that_the_receiver_tells_is_repaired),
        cmocka_unit_test(test_an_edit_that_is_taken_back_ends_it),
        cmocka_unit_test(test_an_edit_beside_a_repair_has_its_own),
        cmocka_unit_test(test_who_edits_all_the_time_costs_little),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
