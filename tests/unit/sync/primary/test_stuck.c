/* SPDX-License-Identifier: MIT
 *
 * The primary's core and changes that do not come to a replica: whatever they
 * wait for is named, and no replica is said to keep up that lacks something for
 * longer than the limit.
 */
#include "sync/errors/state.h"
#include "tests/support/primary_fixture.h"

/* What is not acknowledged makes lag grow, whatever it waits for. */
static void test_what_is_never_acknowledged_is_named(void **state)
{
    struct fx *f = fx_new();
    struct err why;

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    r->pong = true;
    assert_true(fx_keeps_up(f, r, &why));
    fx_set(f, "t", "a", "1");
    fx_beat(f, FX_LIMIT_MS / 1000);
    assert_true(fx_keeps_up(f, r, &why));
    fx_set(f, "t", "b", "1");
    fx_wait(f, 1);
    assert_false(fx_keeps_up(f, r, &why));
    assert_int_equal(why.id, DR_LAG);
    fx_says(&why,
            "5 s behind, 2 changes pending, such as: table t key a is not "
            "acknowledged");
    fx_ack(f, r, 1);
    assert_true(fx_keeps_up(f, r, &why));
    fx_free(f);
}

static void test_a_lock_on_either_side_is_named(void **state)
{
    struct fx *f = fx_new();
    struct err why;

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    r->pong = true;
    fx_set(f, "t", "a", "1");
    struct wire_blocked m = {
        .seq = 1, .pid = 4711, .comm = bytes_of("report", 6)};
    wire_put_blocked(&r->say, &m);
    fx_beat(f, 6);
    assert_false(fx_keeps_up(f, r, &why));
    assert_int_equal(why.id, DR_LOCKED_THERE);
    fx_says(&why,
            "table t key a is locked on the replica for 6 s by report (pid "
            "4711)");
    fx_ack(f, r, 1);
    assert_true(fx_keeps_up(f, r, &why));

    fx_put(f, "t", "b", "1")->busy = true;
    fx_hint(f, "t", "b", HINT_COMMITTED);
    fx_beat(f, 6);
    assert_false(fx_keeps_up(f, r, &why));
    assert_int_equal(why.id, DR_BLOCKED);
    fx_says(&why, "table t key b is locked on the primary for");
    fx_free(f);
}

static void test_what_waits_for_somebody_can_be_gone_through(void **state)
{
    struct fx *f = fx_new();
    struct err err;

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    const struct repl *repl = f->p->repl[r->replica];
    assert_null(stuck_next(repl, NULL));
    fx_set(f, "t", "a", "1");
    fx_set(f, "t", "flows", "1");
    fx_put(f, "t", "locked", "1")->busy = true;
    fx_hint(f, "t", "locked", HINT_COMMITTED);
    fx_nak(f, r, 1);
    const struct flight *at = stuck_next(repl, NULL);
    assert_non_null(at);
    assert_int_equal(stuck_why(at), STUCK_REFUSED);
    stuck_describe(f->p, at, 2, &err);
    assert_string_equal(err.msg,
                        "table t key a: disk full, and 2 more like it");
    at = stuck_next(repl, at);
    assert_non_null(at);
    assert_int_equal(stuck_why(at), STUCK_LOCKED_HERE);
    assert_null(stuck_next(repl, at));
    fx_free(f);
}

/* Each in its own words, whichever was read last, and none of one that is
 * readable again. */
static void test_no_key_has_the_words_of_another(void **state)
{
    struct fx *f = fx_new();
    struct primary_counts c;
    struct err err;

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    fx_put(f, "t", "one", "1")->unreadable = true;
    fx_hint(f, "t", "one", HINT_COMMITTED);
    fx_put(f, "t", "two", "1")->unreadable = true;
    fx_hint(f, "t", "two", HINT_COMMITTED);
    const struct repl *repl = f->p->repl[r->replica];
    const struct flight *at = stuck_next(repl, NULL);
    assert_non_null(at);
    stuck_describe(f->p, at, 0, &err);
    assert_string_equal(err.msg,
                        "table t key one cannot be read on the primary");
    at = stuck_next(repl, at);
    assert_non_null(at);
    stuck_describe(f->p, at, 0, &err);
    assert_string_equal(err.msg,
                        "table t key two cannot be read on the primary: "
                        "t/two: permission denied");
    primary_counts(f->p, &c);
    assert_string_equal(c.unreadable_text, "t/two: permission denied");

    fx_put(f, "t", "two", "1")->unreadable = false;
    fx_hint(f, "t", "two", HINT_COMMITTED);
    primary_counts(f->p, &c);
    assert_int_equal(c.unreadable, 1);
    assert_int_equal(c.unreadable_id, DR_UNREADABLE);
    assert_string_equal(c.unreadable_text,
                        "table t key one cannot be read on the primary");
    at = stuck_next(repl, NULL);
    stuck_describe(f->p, at, 0, &err);
    assert_string_equal(err.msg,
                        "table t key one cannot be read on the primary");
    fx_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_never_acknowledged_is_named),
        cmocka_unit_test(test_a_lock_on_either_side_is_named),
        cmocka_unit_test(test_what_waits_for_somebody_can_be_gone_through),
        cmocka_unit_test(test_no_key_has_the_words_of_another),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
