/* SPDX-License-Identifier: MIT
 *
 * edit_odd: what cannot be read is counted as a scan would count it, whatever
 * comes and goes beside one, within a bound.
 */
#include "tests/support/store_fixture.h"

#include "sync/replica/edits/edit_odd.h"

static struct edit_odd *add(struct edit_odds *o, const char *key)
{
    return edit_odds_add(o, "t", 1, key, strlen(key), key);
}

static struct edit_odd *meet(struct edit_odds *o, const char *key)
{
    return edit_odds_scan_met(o, "t", 1, key, strlen(key), key);
}

static void assert_knows(struct edit_odds *o, uint64_t count, const char *why)
{
    assert_int_equal(edit_odds_count(o), count);
    assert_string_equal(edit_odds_why(o), why);
    assert_true(o->untold);
    o->untold = false;
}

static void what_comes_and_goes_is_counted_once(void **state)
{
    struct edit_odds o = {.all = NULL};

    (void)state;
    struct edit_odd *a = add(&o, "a");
    assert_knows(&o, 1, "a");
    assert_ptr_equal(add(&o, "a"), a);
    assert_false(o.untold);
    struct edit_odd *table = edit_odds_add(&o, "t", 1, NULL, 0, "table");
    assert_true(table->is_table);
    assert_knows(&o, 2, "a");
    assert_false(edit_odds_drop(&o, a));
    assert_knows(&o, 1, "table");
    assert_false(edit_odds_drop(&o, table));
    assert_knows(&o, 0, "");
}

static void a_scan_has_the_last_word(void **state)
{
    struct edit_odds o = {.all = NULL};

    (void)state;
    (void)add(&o, "gone");
    (void)add(&o, "stays");
    edit_odds_scan_begin(&o);
    (void)meet(&o, "stays");
    (void)meet(&o, "new");
    (void)add(&o, "beside");
    /* It has met one that has no name. */
    edit_odds_scan_end(&o, 3, "stays");
    assert_knows(&o, 4, "stays");
    edit_odds_scan_begin(&o);
    (void)meet(&o, "new");
    edit_odds_scan_end(&o, 2, "nameless");
    assert_knows(&o, 2, "new");
    edit_odds_scan_begin(&o);
    edit_odds_scan_end(&o, 1, "nameless");
    assert_knows(&o, 1, "nameless");
    edit_odds_scan_begin(&o);
    edit_odds_scan_end(&o, 0, "");
    assert_knows(&o, 0, "");
}

/* One that did not end takes nothing away. */
static void a_scan_that_was_stopped_only_adds(void **state)
{
    struct edit_odds o = {.all = NULL};

    (void)state;
    (void)add(&o, "a");
    edit_odds_scan_begin(&o);
    (void)meet(&o, "b");
    assert_knows(&o, 2, "a");
    edit_odds_clear(&o);
}

static void there_is_a_bound(void **state)
{
    struct edit_odds o = {.all = NULL};
    char key[16];

    (void)state;
    edit_odds_scan_begin(&o);
    for (int i = 0; i < EDIT_ODD_MAX + 10; i++) {
        (void)snprintf(key, sizeof key, "%d", i);
        assert_int_equal(meet(&o, key) != NULL, i < EDIT_ODD_MAX);
    }
    edit_odds_scan_end(&o, EDIT_ODD_MAX + 10, "0");
    assert_knows(&o, EDIT_ODD_MAX + 10, "0");
    assert_null(add(&o, "live"));
    assert_false(o.untold);
    /* When all that is known by name has gone, somebody has to look. */
    while (o.all->hh.next != NULL) {
        assert_false(edit_odds_drop(&o, o.all));
    }
    assert_true(edit_odds_drop(&o, o.all));
    assert_int_equal(edit_odds_count(&o), 10);
    edit_odds_clear(&o);
}

static bool is_same(int fd, const struct edit_odd *odd,
                    struct edit_odd_stat *was)
{
    struct edit_odd_stat now = edit_odd_stat(fd, odd);
    bool same = edit_odd_same(&now, was);

    *was = now;
    return same;
}

static void a_stat_shows_that_something_happened(void **state)
{
    struct fixture *f = *state;
    struct edit_odds o = {.all = NULL};
    struct edit_odd *k = add(&o, "k");
    struct edit_odd *plain = edit_odds_add(&o, "a/p", 3, NULL, 0, "");
    struct edit_odd *root = edit_odds_add(&o, "", 0, "r", 1, "");
    struct edit_odd_stat was = {.there = false};

    assert_int_equal(mkdirat(f->fd, "t.tbl", 0755), 0);
    assert_int_equal(mkdirat(f->fd, "a", 0755), 0);
    assert_true(is_same(f->fd, k, &was));
    put_text(f->fd, "t.tbl/k.kv", "1");
    assert_false(is_same(f->fd, k, &was));
    assert_true(is_same(f->fd, k, &was));
    assert_int_equal(fchmodat(f->fd, "t.tbl/k.kv", 0, 0), 0);
    assert_false(is_same(f->fd, k, &was));
    was = edit_odd_stat(f->fd, root);
    assert_false(was.there);
    put_text(f->fd, "r.kv", "1");
    assert_false(is_same(f->fd, root, &was));
    /* What happens in a directory is its own. */
    assert_int_equal(mkdirat(f->fd, "a/p", 0755), 0);
    was = edit_odd_stat(f->fd, plain);
    assert_true(was.there);
    put_text(f->fd, "a/p/x", "1");
    assert_true(is_same(f->fd, plain, &was));
    assert_int_equal(fchmodat(f->fd, "a/p", 0700, 0), 0);
    assert_false(is_same(f->fd, plain, &was));
    assert_int_equal(mkdirat(f->fd, "a/p.tbl", 0755), 0);
    assert_false(is_same(f->fd, plain, &was));
    edit_odds_clear(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_and_goes_is_counted_once),
        cmocka_unit_test(a_scan_has_the_last_word),
        cmocka_unit_test(a_scan_that_was_stopped_only_adds),
        cmocka_unit_test(there_is_a_bound),
        FIXTURE_TEST(a_stat_shows_that_something_happened),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
