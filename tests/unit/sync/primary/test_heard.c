/* SPDX-License-Identifier: MIT
 *
 * The primary's core and replicas that answer pings and nothing else: a
 * comparison ends without them, and what it asked for is taken back.
 */
#include "tests/support/plain_key.h"
#include "tests/support/primary_fixture.h"

static int64_t ask(struct fx *f, const struct fx_peer *r, bool scan)
{
    struct err err;
    const struct compare_options o = {.mode = COMPARE_VERIFY,
                                      .scan = scan,
                                      .content = scan,
                                      .barrier = primary_tail(f->p)};

    return primary_compare(f->p, r->replica, &o, f->now_ms, &err);
}

static const struct compare_result *result_of(struct fx *f, int64_t id)
{
    const struct compare_result *res =
        primary_compare_result(f->p, (uint64_t)id);

    assert_non_null(res);
    return res;
}

static void assert_given_up(struct fx *f, int64_t id)
{
    const struct compare_result *res = result_of(f, id);

    assert_true(res->done && res->failed);
    assert_int_equal(res->err.id, DR_TIMED_OUT);
    assert_string_equal(res->err.msg,
                        "not compared: no answer to the comparison for 60 s");
    primary_compare_free(f->p, (uint64_t)id);
}

static struct fx *begin(struct fx_peer **r_out)
{
    struct fx *f = fx_new();

    fx_put(f, "t", "x", "one");
    *r_out = fx_real_equal(f);
    return f;
}

static void test_a_scan_that_does_not_get_on_is_given_up(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    f->no_scans = true;
    int64_t id = ask(f, r, true);
    fx_beat(f, 58);
    assert_false(result_of(f, id)->done);
    fx_beat(f, 4);
    assert_given_up(f, id);
    assert_true(r->up && !f->closed[r->replica]);
    /* It is not to go on for nobody. */
    assert_true(r->store->scan_stopped);
    f->no_scans = false;
    fx_beat(f, 2);
    id = ask(f, r, true);
    fx_beat(f, 2);
    assert_true(result_of(f, id)->done && !result_of(f, id)->failed);
    assert_int_equal(result_of(f, id)->unread, 0);
    fx_free(f);
}

/* Whoever tries again and again while the disk hangs does not end the session.
 */
static void test_what_is_given_up_does_not_queue_up(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    f->no_scans = true;
    for (int i = 0; i < 100; i++) {
        int64_t id = ask(f, r, true);
        fx_beat(f, 1);
        primary_compare_free(f->p, (uint64_t)id);
        fx_beat(f, 1);
    }
    assert_false(f->closed[r->replica]);
    f->no_scans = false;
    fx_beat(f, 2);
    int64_t id = ask(f, r, true);
    fx_beat(f, 2);
    assert_true(result_of(f, id)->done && !result_of(f, id)->failed);
    fx_free(f);
}

static void test_a_scan_that_gets_on_may_take_hours(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    f->no_scans = true;
    int64_t id = ask(f, r, true);
    for (int i = 1; i < 7200; i++) {
        if (i % 50 == 0) {
            receiver_progress(r->receiver, true, (uint64_t)i);
        }
        fx_beat(f, 1);
    }
    assert_false(result_of(f, id)->done);
    f->no_scans = false;
    fx_beat(f, 2);
    assert_true(result_of(f, id)->done && !result_of(f, id)->failed);
    fx_free(f);
}

static void test_a_committer_that_hangs_is_not_waited_for(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    r->hung = true;
    fx_set(f, "t", "x", "two");
    fx_beat(f, 1);
    int64_t id = ask(f, r, false);
    fx_beat(f, 58);
    assert_false(result_of(f, id)->done);
    fx_beat(f, 4);
    assert_given_up(f, id);
    r->hung = false;
    id = ask(f, r, false);
    fx_beat(f, 2);
    assert_true(result_of(f, id)->done && !result_of(f, id)->failed);
    fx_free(f);
}

/* The primary's own disk hangs: that is nothing a replica can help. */
static void test_a_slow_primary_is_not_the_replicas_fault(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    f->by_hand = true;
    fx_set(f, "t", "x", "two");
    int64_t id = ask(f, r, false);
    fx_beat(f, 200);
    assert_false(result_of(f, id)->done);
    fx_answer(f, "t", "x");
    fx_beat(f, 2);
    assert_true(result_of(f, id)->done && !result_of(f, id)->failed);
    fx_free(f);
}

/* One that is in turn behind another. */
static void test_what_waits_behind_it_is_given_up_too(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    f->no_scans = true;
    int64_t first = ask(f, r, true);
    fx_beat(f, 30);
    int64_t second = ask(f, r, false);
    fx_beat(f, 32);
    assert_given_up(f, first);
    fx_beat(f, 2);
    assert_true(result_of(f, second)->done && !result_of(f, second)->failed);
    fx_free(f);
}

/* Nobody else ends one of our own: it is tried again, and the state says why.
 */
static void test_our_own_is_given_up_and_begun_anew(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);
    struct replica_status st;

    (void)state;
    memstore_edit(r->store, "t", "x", "2", 1);
    int64_t id = ask(f, r, true);
    fx_beat(f, 1);
    assert_int_equal(result_of(f, id)->different, 1);
    primary_compare_free(f->p, (uint64_t)id);
    f->no_scans = true; /* from here on: the repair's */
    fx_beat(f, 60);
    assert_string_equal(fx_there(r, "t", "x"), "2");
    fx_beat(f, 10);
    primary_status(f->p, r->replica, f->now_ms, &st);
    assert_int_equal(st.last_error.id, DR_TIMED_OUT);
    assert_non_null(strstr(st.last_error.msg, "no answer to the comparison"));
    assert_true(r->store->scan_stopped);
    f->no_scans = false;
    fx_beat(f, 20);
    assert_string_equal(fx_there(r, "t", "x"), "one");
    primary_status(f->p, r->replica, f->now_ms, &st);
    assert_int_equal(st.last_error.id, 0);
    fx_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_scan_that_does_not_get_on_is_given_up),
        cmocka_unit_test(test_what_is_given_up_does_not_queue_up),
        cmocka_unit_test(test_a_scan_that_gets_on_may_take_hours),
        cmocka_unit_test(test_a_committer_that_hangs_is_not_waited_for),
        cmocka_unit_test(test_a_slow_primary_is_not_the_replicas_fault),
        cmocka_unit_test(test_what_waits_behind_it_is_given_up_too),
        cmocka_unit_test(test_our_own_is_given_up_and_begun_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
