/* SPDX-License-Identifier: MIT
 *
 * The primary's core and keys that cannot be read there for long (locked, or
 * no permission): they stand aside, so that everything else is compared and
 * replicated, and nothing is claimed that would cover them.
 */
#include "tests/support/plain_key.h"
#include "tests/support/primary_fixture.h"

static void spoil(struct fx *f, const char *key, bool busy, bool spoilt)
{
    struct fx_key *k = fx_key(f, false, "t", key);

    k->busy = busy && spoilt;
    k->unreadable = !busy && spoilt;
}

/* The agent begins with a key that it cannot read: the scan hints it. */
static struct fx *begin_with(bool busy)
{
    struct fx *f = fx_new();

    fx_put(f, "t", "good", "one");
    fx_put(f, "t", "bad", "one");
    fx_ready(f);
    index_remove(f->ix, index_name_key(&plain_key, "t", 1, "bad", 3));
    spoil(f, "bad", busy, true);
    fx_hint(f, "t", "bad", HINT_CREATED);
    fx_drained(f);
    return f;
}

static void first_copy(bool busy)
{
    struct fx *f = begin_with(busy);
    struct fx_peer *r = fx_add(f, 0, true);
    uint64_t before = primary_tail(f->p);

    fx_up(f, r);
    fx_beat(f, 10);
    assert_string_equal(fx_there(r, "t", "good"), "one");
    assert_string_equal(fx_there(r, "t", "bad"), "-");
    assert_false(primary_passed(f->p, r->replica, before));
    assert_int_equal(r->store->fresh_ns, 0);
    fx_set(f, "t", "good", "two");
    fx_beat(f, 2);
    assert_string_equal(fx_there(r, "t", "good"), "two");
    assert_int_equal(r->store->fresh_ns, 0);

    spoil(f, "bad", busy, false);
    fx_beat(f, 40);
    assert_string_equal(fx_there(r, "t", "bad"), "one");
    assert_true(fx_passed(f, r));
    assert_true(r->store->fresh_ns > 0);
    fx_free(f);
}

static void test_a_first_copy_passes_a_locked_key(void **state)
{
    (void)state;
    first_copy(true);
}

static void test_a_first_copy_passes_an_unreadable_key(void **state)
{
    (void)state;
    first_copy(false);
}

/* It had an older value of the key and lost its places: nothing that is
 * claimed meanwhile may cover the newer one. */
static void
test_what_stands_aside_is_not_claimed_by_an_earlier_place(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_put(f, "t", "good", "one");
    fx_put(f, "t", "bad", "one");
    struct fx_peer *r = fx_real_equal(f);
    fx_down(f, r);
    memstore_edit(r->store, "t", "bad", "zero", 4);
    memstore_edit(r->store, "t", "good", "zero", 4);
    int64_t fresh_ns = r->store->fresh_ns;
    spoil(f, "bad", true, true);
    fx_up(f, r);
    struct err err;
    struct compare_options o = {.mode = COMPARE_REPAIR, .scan = true};
    int64_t id = primary_compare(f->p, r->replica, &o, f->now_ms, &err);
    for (int i = 0; i < 10; i++) {
        fx_drained(f);
        fx_beat(f, 1);
    }
    const struct compare_result *res =
        primary_compare_result(f->p, (uint64_t)id);
    assert_true(res->done);
    assert_int_equal(res->unread, 1);
    assert_int_equal(res->unread_err.id, DR_BLOCKED);
    assert_non_null(strstr(res->unread_err.msg, "key bad "));
    assert_true(res->repaired < res->to_repair);
    primary_compare_free(f->p, (uint64_t)id);
    assert_string_equal(fx_there(r, "t", "good"), "one");
    assert_string_equal(fx_there(r, "t", "bad"), "zero");
    assert_int_equal(r->store->fresh_ns, fresh_ns);
    assert_false(fx_passed(f, r));
    spoil(f, "bad", true, false);
    fx_beat(f, 10);
    assert_string_equal(fx_there(r, "t", "bad"), "one");
    assert_true(fx_passed(f, r));
    fx_free(f);
}

/* The index has it, and it is then written in place under every read. */
static void test_a_key_that_never_holds_still_holds_up_nothing(void **state)
{
    struct fx *f = fx_new();
    struct compare_options o = {.mode = COMPARE_REPAIR, .names_max = 9};
    struct blocked_key shown[4];
    struct err err;

    (void)state;
    fx_put(f, "t", "good", "one");
    fx_put_large(f, "t", "hot", "one", 20000);
    fx_ready(f);
    f->never_still = true;
    fx_hint(f, "t", "hot", HINT_CLOSED);
    struct fx_peer *r = fx_add(f, 0, true);
    fx_up(f, r);
    fx_beat(f, 20);
    assert_string_equal(fx_there(r, "t", "good"), "one");
    assert_string_equal(fx_there(r, "t", "hot"), "-");
    assert_false(fx_passed(f, r));
    int64_t id = primary_compare(f->p, r->replica, &o, f->now_ms, &err);
    fx_beat(f, 10);
    const struct compare_result *res =
        primary_compare_result(f->p, (uint64_t)id);
    assert_true(res->done);
    assert_int_equal(res->unread, 1);
    assert_int_equal(res->unread_err.id, DR_CHANGING);
    assert_non_null(strstr(res->unread_err.msg, "key hot changes while it is"));
    primary_compare_free(f->p, (uint64_t)id);
    assert_int_equal(primary_blocked(f->p, -1, f->now_ms, shown, 4), 1);
    assert_true(shown[0].changed >= 5);
    assert_true(shown[0].waited_ms >= 10000);
    assert_memory_equal(shown[0].key.p, "hot", 3);
    f->never_still = false;
    fx_beat(f, 5);
    assert_string_not_equal(fx_there(r, "t", "hot"), "-");
    fx_beat(f, 5);
    assert_true(fx_passed(f, r));
    assert_int_equal(primary_blocked(f->p, -1, f->now_ms, shown, 4), 0);
    fx_free(f);
}

/* Only one who is away still wants it: nobody reads it, so it is not shown as
 * changing, and nothing is left of it when that one is removed. */
static void test_what_nobody_reads_is_not_changing(void **state)
{
    struct fx *f = fx_new();
    struct blocked_key shown[4];

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_add(f, 0, true), *away = fx_add(f, 1, true);
    fx_up(f, r);
    fx_up(f, away);
    fx_beat(f, 5);
    fx_down(f, away);
    f->never_still = true;
    fx_put_large(f, "t", "hot", "one", 20000);
    fx_hint(f, "t", "hot", HINT_CLOSED);
    fx_beat(f, 20);
    assert_int_equal(primary_blocked(f->p, -1, f->now_ms, shown, 4), 1);
    f->never_still = false;
    fx_beat(f, 10);
    assert_true(fx_passed(f, r));
    assert_false(fx_passed(f, away));
    assert_int_equal(primary_blocked(f->p, -1, f->now_ms, shown, 4), 0);
    primary_replica_remove(f->p, away->replica);
    away->up = false;
    fx_hint(f, "t", "other", HINT_REMOVED);
    fx_beat(f, 3);
    assert_int_equal(primary_blocked(f->p, -1, f->now_ms, shown, 4), 0);
    fx_free(f);
}

static void test_verify_names_what_it_could_not_compare(void **state)
{
    struct fx *f = begin_with(false);
    struct compare_options o = {.mode = COMPARE_VERIFY, .names_max = 9};
    struct err err;

    (void)state;
    struct fx_peer *r = fx_add(f, 0, true);
    fx_up(f, r);
    fx_beat(f, 10);
    memstore_edit(r->store, "t", "bad", "zero", 4);
    memstore_edit(r->store, "t", "good", "zero", 4);
    o.scan = true;
    int64_t id = primary_compare(f->p, r->replica, &o, f->now_ms, &err);
    fx_beat(f, 10);
    const struct compare_result *res =
        primary_compare_result(f->p, (uint64_t)id);
    assert_true(res->done);
    assert_int_equal(res->unread, 1);
    assert_int_equal(res->unread_err.id, DR_UNREADABLE);
    assert_int_equal(res->extra + res->missing, 0);
    assert_int_equal(res->different, 1);
    assert_int_equal(res->names_count, 1);
    assert_memory_equal(res->names[0].key.p, "good", 4);
    primary_compare_free(f->p, (uint64_t)id);
    fx_free(f);
}

static void
test_more_unreadable_keys_than_the_window_hold_up_nothing(void **state)
{
    struct primary_config c;

    (void)state;
    primary_config_default(&c);
    c.window_changes = 4;
    struct fx *f = fx_new_with(&c);
    fx_put(f, "t", "good", "one");
    fx_ready(f);
    struct fx_peer *r = fx_add(f, 0, true);
    fx_up(f, r);
    fx_beat(f, 3);
    for (int i = 0; i < 20; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "k%d", i);
        fx_put(f, "t", key, "one");
        spoil(f, key, false, true);
        fx_hint(f, "t", key, HINT_COMMITTED);
    }
    fx_beat(f, 20);
    fx_set(f, "t", "good", "two");
    fx_beat(f, 5);
    assert_string_equal(fx_there(r, "t", "good"), "two");
    assert_false(fx_passed(f, r));
    for (int i = 0; i < 20; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "k%d", i);
        spoil(f, key, false, false);
    }
    fx_beat(f, 60);
    assert_true(fx_passed(f, r));
    assert_string_equal(fx_there(r, "t", "k19"), "one");
    fx_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_first_copy_passes_a_locked_key),
        cmocka_unit_test(test_a_first_copy_passes_an_unreadable_key),
        cmocka_unit_test(
            test_what_stands_aside_is_not_claimed_by_an_earlier_place),
        cmocka_unit_test(test_a_key_that_never_holds_still_holds_up_nothing),
        cmocka_unit_test(test_what_nobody_reads_is_not_changing),
        cmocka_unit_test(test_verify_names_what_it_could_not_compare),
        cmocka_unit_test(
            test_more_unreadable_keys_than_the_window_hold_up_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
