/* SPDX-License-Identifier: MIT
 *
 * What is known of one key on one replica: each state, and no claim where
 * something is not known.
 */
#include "sync/errors/state.h"
#include "tests/support/plain_key.h"
#include "tests/support/primary_fixture.h"

static struct bytes word(const char *s)
{
    return bytes_of(s, strlen(s));
}

static struct primary_where where(struct fx *f, const struct fx_peer *r,
                                  const char *key)
{
    struct primary_where w;

    primary_where(f->p, r != NULL ? r->replica : -1, word("t"), word(key),
                  f->now_ms, &w);
    return w;
}

static void assert_where(struct fx *f, const struct fx_peer *r, const char *key,
                         enum where_state want)
{
    struct primary_where w = where(f, r, key);

    if (w.state != want) {
        fail_msg("%s: %d, not %d: %s", key, (int)w.state, (int)want,
                 w.err.code != 0 ? w.err.msg : "");
    }
}

static void assert_why(struct fx *f, const struct fx_peer *r, const char *key,
                       const char *text)
{
    struct primary_where w = where(f, r, key);

    fx_says(&w.err, text);
}

static void test_a_change_is_pending_until_it_is_acknowledged(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    assert_where(f, r, "a", WHERE_SAME); /* as absent as here */
    fx_set(f, "t", "a", "1");
    fx_set(f, "t", "b", "1");
    fx_wait(f, 700);
    struct primary_where w = where(f, r, "b");
    assert_int_equal(w.state, WHERE_PENDING);
    assert_int_equal(w.why, UNCOMPARED_PENDING);
    assert_true(w.sent && w.connected);
    assert_int_equal(w.pending_ms, 700);
    assert_int_equal(w.ahead, 1);
    assert_where(f, NULL, "b", WHERE_SAME); /* it was read */
    fx_ack(f, r, 2);
    assert_where(f, r, "a", WHERE_PENDING);
    assert_where(f, r, "b", WHERE_SAME);
    fx_free(f);
}

static void test_who_holds_a_lock_is_told_on_both_sides(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    r->pong = true;
    fx_set(f, "t", "a", "1");
    struct wire_blocked m = {
        .seq = 1, .pid = 4711, .comm = bytes_of("report", 6)};
    wire_put_blocked(&r->say, &m);
    fx_beat(f, 3);
    struct primary_where w = where(f, r, "a");
    assert_int_equal(w.why, UNCOMPARED_LOCKED);
    assert_false(w.on_primary);
    assert_int_equal(w.pid, 4711);
    assert_string_equal(w.comm, "report");
    assert_int_equal(w.err.id, DR_LOCKED_THERE);

    fx_put(f, "t", "b", "1")->busy = true;
    fx_hint(f, "t", "b", HINT_COMMITTED);
    fx_beat(f, 3);
    w = where(f, r, "b");
    assert_int_equal(w.why, UNCOMPARED_LOCKED);
    assert_true(w.on_primary);
    w = where(f, NULL, "b");
    assert_int_equal(w.state, WHERE_PENDING);
    assert_int_equal(w.why, UNCOMPARED_LOCKED);
    fx_free(f);
}

static void test_what_is_refused_has_its_number(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    fx_set(f, "t", "a", "1");
    fx_nak(f, r, 1);
    struct primary_where w = where(f, r, "a");
    assert_int_equal(w.state, WHERE_PENDING);
    assert_int_equal(w.why, UNCOMPARED_REFUSED);
    assert_int_equal(w.sys, 28);
    fx_says(&w.err, "disk full");
    fx_free(f);
}

static void test_without_a_session_it_is_what_was(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_put(f, "t", "a", "1");
    struct fx_peer *r = fx_real_equal(f);
    assert_where(f, r, "a", WHERE_SAME);
    fx_down(f, r);
    assert_where(f, r, "a", WHERE_WAS_SAME);
    assert_false(where(f, r, "a").connected);
    fx_set(f, "t", "a", "2");
    assert_where(f, r, "a", WHERE_PENDING);
    fx_free(f);
}

static void test_before_a_comparison_nothing_is_known(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_put(f, "t", "a", "1");
    struct fx_peer *r = fx_add(f, 0, true);
    fx_index(f);
    assert_where(f, r, "a", WHERE_UNKNOWN);
    assert_why(f, r, "a", "has not seen all of the database");
    primary_index_ready(f->p, f->now_ms);
    fx_drained(f);
    assert_where(f, r, "a", WHERE_UNKNOWN);
    assert_why(f, r, "a", "before it was compared");
    fx_up(f, r);
    fx_beat(f, 5);
    assert_where(f, r, "a", WHERE_SAME);
    primary_root_lost(f->p, "it is gone");
    assert_where(f, r, "a", WHERE_UNKNOWN);
    assert_why(f, r, "a", "it is gone");
    fx_free(f);
}

static const char *name_of(int i)
{
    static char name[16];

    (void)snprintf(name, sizeof name, "k%02d", i);
    return name;
}

static void test_a_held_delete_is_told_from_the_others(void **state)
{
    struct primary_config c;

    (void)state;
    primary_config_default(&c);
    c.brake_min = 2;
    struct fx *f = fx_new_with(&c);
    for (int i = 0; i < 20; i++) {
        fx_put(f, "t", name_of(i), "value");
    }
    struct fx_peer *r = fx_real_equal(f);
    for (int i = 0; i < 15; i++) {
        fx_delete(f, "t", name_of(i));
    }
    fx_beat(f, 15);
    unsigned held = 0;
    for (int i = 0; i < 15; i++) {
        struct primary_where w = where(f, r, name_of(i));
        held += w.state == WHERE_HELD && w.err.id == DR_BRAKE;
        assert_int_equal(w.state == WHERE_SAME,
                         strcmp(fx_there(r, "t", name_of(i)), "-") == 0);
    }
    assert_true(held > 0);
    assert_where(f, r, name_of(19), WHERE_SAME);
    fx_free(f);
}

static void test_what_a_verify_found_is_told_of_that_key_alone(void **state)
{
    struct compare_options o = {
        .mode = COMPARE_DRY_RUN, .scan = true, .names_max = 9};
    struct fx *f = fx_new();
    struct err err;

    (void)state;
    fx_put(f, "t", "a", "1");
    fx_put(f, "t", "b", "1");
    struct fx_peer *r = fx_real_equal(f);
    memstore_edit(r->store, "t", "a", "2", 1);
    int64_t id = primary_compare(f->p, r->replica, &o, f->now_ms, &err);
    assert_true(id > 0);
    fx_pump(f);
    for (int i = 0; i < 5 && f->compared != (uint64_t)id; i++) {
        f->now_ms += 1;
        fx_tick(f);
    }
    assert_where(f, r, "a", WHERE_DIFFERS);
    assert_int_equal(where(f, r, "a").err.id, DR_DIFFERENT);
    /* One is named, of one: but the core does not know that b is not it. */
    assert_where(f, r, "b", WHERE_UNKNOWN);
    assert_why(f, r, "b", "perhaps this key, too");
    fx_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_change_is_pending_until_it_is_acknowledged),
        cmocka_unit_test(test_who_holds_a_lock_is_told_on_both_sides),
        cmocka_unit_test(test_what_is_refused_has_its_number),
        cmocka_unit_test(test_without_a_session_it_is_what_was),
        cmocka_unit_test(test_before_a_comparison_nothing_is_known),
        cmocka_unit_test(test_a_held_delete_is_told_from_the_others),
        cmocka_unit_test(test_what_a_verify_found_is_told_of_that_key_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
