/* SPDX-License-Identifier: MIT
 *
 * The primary's core and names that may be gone: what was moved away is gone
 * when it stays missing, and what has something else in its place is not gone
 * at all.
 */
#include "tests/support/plain_key.h"
#include "tests/support/primary_fixture.h"

enum { SETTLE_MS = 1000 };

static struct fx *begin(struct fx_peer **r_out)
{
    struct fx *f = fx_new();

    fx_put(f, "t", "k", "value");
    fx_put(f, "t", "l", "value");
    fx_put(f, "u", "x", "value");
    *r_out = fx_real_equal(f);
    return f;
}

static bool passes(struct fx *f, const struct fx_peer *r)
{
    uint64_t barrier = primary_tail(f->p);

    fx_pump(f);
    return primary_passed(f->p, r->replica, barrier);
}

static struct primary_counts counts(struct fx *f)
{
    struct primary_counts c;

    primary_counts(f->p, &c);
    return c;
}

static void move_key(struct fx *f, const char *key)
{
    fx_erase(f, "t", key);
    fx_hint(f, "t", key, HINT_AWAY);
}

/* As the watch tells it. */
static void move_table(struct fx *f)
{
    uint64_t move = primary_moving(f->p);

    fx_erase(f, "t", "k");
    fx_erase(f, "t", "l");
    fx_hint_table(f, "t", false);
    primary_hint_moved(f->p, "t", 1, "k", 1, f->now_ms);
    primary_hint_moved(f->p, "t", 1, "l", 1, f->now_ms);
    fx_pump(f);
    primary_moved(f->p, move, f->now_ms);
    fx_pump(f);
}

static void test_a_key_moved_away_is_gone_when_it_stays_missing(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    move_key(f, "k");
    fx_wait(f, SETTLE_MS - 100);
    assert_string_equal(fx_there(r, "t", "k"), "value");
    assert_false(passes(f, r));
    /* News of it do not begin it anew, and others are not kept waiting. */
    fx_hint(f, "t", "k", HINT_FOUND);
    fx_hint(f, "t", "k", HINT_AWAY);
    fx_set(f, "u", "x", "flows");
    assert_string_equal(fx_there(r, "u", "x"), "flows");
    fx_wait(f, 200);
    assert_string_equal(fx_there(r, "t", "k"), "-");
    assert_true(passes(f, r));
    fx_free(f);
}

static void test_a_key_that_was_removed_is_gone_at_once(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    fx_delete(f, "t", "k");
    assert_string_equal(fx_there(r, "t", "k"), "-");
    assert_true(passes(f, r));
    fx_free(f);
}

/* A writer's temporary is moved over its key, and may look like a key itself.
 */
static void test_what_nobody_has_is_not_waited_for(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    fx_hint(f, "t", "a123b", HINT_AWAY);
    assert_true(passes(f, r));
    fx_free(f);
}

static void test_a_key_with_a_link_in_its_place_is_not_gone(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    move_key(f, "k");
    fx_key(f, false, "t", "k")->odd = true;
    fx_hint(f, "t", "k", HINT_CREATED);
    fx_beat(f, 100);
    assert_string_equal(fx_there(r, "t", "k"), "value");
    assert_false(passes(f, r));
    assert_int_equal(counts(f).unreadable, 1);
    assert_int_equal(counts(f).unreadable_id, DR_PASSED_OVER);
    assert_non_null(strstr(counts(f).unreadable_text, "table t, key k"));
    fx_set(f, "u", "x", "flows");
    assert_string_equal(fx_there(r, "u", "x"), "flows");
    /* The link is removed; or the key is back. */
    fx_key(f, false, "t", "k")->odd = false;
    fx_hint(f, "t", "k", HINT_REMOVED);
    assert_string_equal(fx_there(r, "t", "k"), "-");
    assert_int_equal(counts(f).unreadable, 0);
    assert_true(passes(f, r));
    fx_free(f);
}

static void test_a_link_that_never_was_a_key_is_nobodys_business(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    fx_key(f, false, "t", "new")->odd = true;
    fx_hint(f, "t", "new", HINT_CREATED);
    assert_true(passes(f, r));
    assert_int_equal(counts(f).unreadable, 0);
    fx_free(f);
}

/* After a restart the index lacks it, for a scan does not see it as a key. */
static void test_a_comparison_does_not_remove_it_either(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);
    struct digest k = index_name_key(&plain_key, "t", 1, "k", 1);

    (void)state;
    fx_key(f, false, "t", "k")->odd = true;
    (void)index_remove(f->ix, k);
    primary_compare_soon(f->p);
    fx_beat(f, 30);
    assert_string_equal(fx_there(r, "t", "k"), "value");
    assert_int_equal(counts(f).unreadable_id, DR_PASSED_OVER);
    assert_false(passes(f, r));
    fx_key(f, false, "t", "k")->odd = false;
    fx_hint(f, "t", "k", HINT_COMMITTED);
    fx_beat(f, 30);
    assert_true(passes(f, r));
    fx_free(f);
}

static void test_a_table_linked_to_where_it_was_moved_stays(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    move_table(f);
    fx_wait(f, SETTLE_MS / 2);
    assert_string_equal(fx_there(r, "t", "k"), "value");
    fx_key(f, true, "t", NULL)->odd = true;
    primary_hint_table(f->p, "t", 1, f->now_ms);
    fx_beat(f, 100);
    assert_string_equal(fx_there(r, "t", "k"), "value");
    assert_string_equal(fx_there(r, "t", "l"), "value");
    assert_int_equal(counts(f).unreadable_id, DR_COVERED);
    struct index_entry e;
    assert_true(index_get(f->ix, index_name_table(&plain_key, "t", 1), &e));
    assert_true(
        index_get(f->ix, index_name_key(&plain_key, "t", 1, "k", 1), &e));
    fx_free(f);
}

static void test_a_table_that_was_moved_away_is_gone_in_the_end(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    move_table(f);
    fx_wait(f, SETTLE_MS - 100);
    assert_string_equal(fx_there(r, "t", "k"), "value");
    fx_beat(f, 3);
    assert_string_equal(fx_there(r, "t", "k"), "-");
    assert_string_equal(fx_there(r, "t", "l"), "-");
    assert_true(passes(f, r));
    fx_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_key_moved_away_is_gone_when_it_stays_missing),
        cmocka_unit_test(test_a_key_that_was_removed_is_gone_at_once),
        cmocka_unit_test(test_what_nobody_has_is_not_waited_for),
        cmocka_unit_test(test_a_key_with_a_link_in_its_place_is_not_gone),
        cmocka_unit_test(test_a_link_that_never_was_a_key_is_nobodys_business),
        cmocka_unit_test(test_a_comparison_does_not_remove_it_either),
        cmocka_unit_test(test_a_table_linked_to_where_it_was_moved_stays),
        cmocka_unit_test(test_a_table_that_was_moved_away_is_gone_in_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
