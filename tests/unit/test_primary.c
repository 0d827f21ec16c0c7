/* SPDX-License-Identifier: MIT
 *
 * The primary's core: what it sends to whom, when, and what it claims.
 */
#include "tests/unit/primary_fixture.h"

/* --- happy path -------------------------------------------------------------- */

static void test_a_change_is_looked_at_sent_and_acknowledged(void **state)
{
    struct fx *f = fx_new();
    struct replica_status s;

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    fx_set(f, "t", "x", "one");
    fx_heard(r, "SET t/x=one #1\n");
    primary_status(f->p, r->replica, f->now_ms, &s);
    assert_int_equal(s.pending_keys, 1);
    assert_int_equal(s.watermark, 0);
    fx_ack(f, r, 1);
    primary_status(f->p, r->replica, f->now_ms, &s);
    assert_int_equal(s.pending_keys, 0);
    assert_int_equal(s.watermark, 1);
    assert_false(f->closed[r->replica]);
    fx_free(f);
}

static void test_a_removed_key_is_deleted_once_the_look_proved_it(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_put(f, "t", "x", "one");
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    f->by_hand = true;
    fx_delete(f, "t", "x");
    fx_heard(r, "");
    fx_answer(f, "t", "x");
    fx_heard(r, "DELETE t/x #1\n");
    fx_free(f);
}

static void test_one_look_serves_all_replicas(void **state)
{
    struct fx *f = fx_new();
    struct primary_counts c;

    (void)state;
    fx_ready(f);
    struct fx_peer *a = fx_scripted(f, 0), *b = fx_scripted(f, 1);
    fx_set(f, "t", "x", "one");
    fx_heard(a, "SET t/x=one #1\n");
    fx_heard(b, "SET t/x=one #1\n");
    primary_counts(f->p, &c);
    assert_int_equal(c.looks, 1);
    fx_free(f);
}

static void test_a_new_replica_gets_everything_and_is_proven_equal(void **state)
{
    struct fx *f = fx_new();
    struct replica_status s;

    (void)state;
    fx_put(f, "", "a", "1");
    fx_put(f, "t", "b", "22");
    fx_put_large(f, "t", "big", "0123456789", 20000);
    fx_key(f, true, "empty", NULL)->exists = true;
    fx_ready(f);
    struct fx_peer *r = fx_add(f, 0, true);
    fx_up(f, r);
    fx_wait(f, 3000);
    assert_string_equal(fx_there(r, "", "a"), "1");
    assert_string_equal(fx_there(r, "t", "b"), "22");
    assert_true(memstore_has_table(r->store, "empty"));
    assert_true(digest_equal(index_root(f->ix), index_root(r->index)));
    fx_drained(f);
    fx_wait(f, 1000);
    fx_wait(f, 1000);
    primary_status(f->p, r->replica, f->now_ms, &s);
    assert_int_equal(s.state, REPLICA_STREAMING);
    assert_int_equal(s.lag_ms, 0);
    assert_true(s.equal_wall_ns > 0);
    fx_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_change_is_looked_at_sent_and_acknowledged),
        cmocka_unit_test(test_a_removed_key_is_deleted_once_the_look_proved_it),
        cmocka_unit_test(test_one_look_serves_all_replicas),
        cmocka_unit_test(test_a_new_replica_gets_everything_and_is_proven_equal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
