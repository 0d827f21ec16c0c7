/* SPDX-License-Identifier: MIT
 *
 * The primary's core and flockd's temporaries of keys with '*', which look like
 * keys: while their writer has them locked they are no change of anything, and
 * whatever may be a real key is never held back.
 */
#include "tests/support/plain_key.h"
#include "tests/support/primary_fixture.h"

/* A new file with a key's name; locked, and like a temporary. */
static struct fx_key *make(struct fx *f, const char *key)
{
    struct fx_key *k = fx_put(f, "t", key, "half");

    k->busy = k->startemp = true;
    fx_hint(f, "t", key, HINT_CREATED);
    return k;
}

/* The replica has all of a database with the key "a*b". */
static struct fx *begin(struct fx_peer **r_out)
{
    struct fx *f = fx_new();

    fx_put(f, "t", "a*b", "one");
    *r_out = fx_real_equal(f);
    return f;
}

static size_t blocked(struct fx *f)
{
    struct blocked_key b[4];

    return primary_blocked(f->p, -1, f->now_ms, b, 4);
}

static size_t unborn(struct fx *f)
{
    struct blocked_key b[4];

    return primary_unborn(f->p, f->now_ms, b, 4);
}

static bool passes(struct fx *f, const struct fx_peer *r)
{
    uint64_t barrier = primary_tail(f->p);

    fx_pump(f);
    return primary_passed(f->p, r->replica, barrier);
}

/* It is no change, nobody is told of it, and everything is claimed. */
static void expect_nothing(struct fx *f, const struct fx_peer *r,
                           const char *key)
{
    assert_int_equal(unborn(f), 1);
    assert_int_equal(blocked(f), 0);
    assert_int_equal(fx_lag(f, r), 0);
    assert_true(passes(f, r));
    assert_int_equal(fx_lag(f, r), 0);
    assert_string_equal(fx_there(r, "t", key), "-");
}

static void expect_blocked(struct fx *f, const struct fx_peer *r)
{
    fx_beat(f, 3);
    assert_int_equal(unborn(f), 0);
    assert_int_equal(blocked(f), 1);
    assert_int_not_equal(fx_lag(f, r), 0);
    assert_false(passes(f, r));
}

static void expect_arrives(struct fx *f, const struct fx_peer *r,
                           const char *key, const char *value)
{
    assert_string_equal(fx_there(r, "t", key), value);
    assert_int_equal(unborn(f), 0);
    assert_int_equal(blocked(f), 0);
    assert_true(passes(f, r));
}

static void test_a_writers_temporary_is_no_change(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    make(f, "a1234567b");
    for (int i = 0; i < 50; i++) {
        expect_nothing(f, r, "a1234567b");
        fx_beat(f, 1);
    }
    assert_true(r->store->fresh_ns > 0);
    int64_t fresh_ns = r->store->fresh_ns;
    fx_beat(f, 3);
    assert_true(r->store->fresh_ns > fresh_ns);
    /* The rename: the key's own event is its change. */
    fx_erase(f, "t", "a1234567b");
    fx_key(f, false, "t", "a1234567b")->busy = false;
    fx_put(f, "t", "a*b", "two");
    fx_hint(f, "t", "a1234567b", HINT_REMOVED);
    fx_hint(f, "t", "a*b", HINT_COMMITTED);
    fx_beat(f, 1);
    assert_string_equal(fx_there(r, "t", "a*b"), "two");
    expect_arrives(f, r, "a1234567b", "-");
    fx_free(f);
}

/* Nothing tells it from a key that was written in place. */
static void test_what_a_killed_writer_leaves_is_a_key(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    struct fx_key *k = make(f, "a1234567b");
    expect_nothing(f, r, "a1234567b");
    k->busy = false;
    fx_hint(f, "t", "a1234567b", HINT_CLOSED);
    fx_beat(f, 1);
    expect_arrives(f, r, "a1234567b", "half");
    fx_free(f);
}

/* It may stay open; no event tells. */
static void test_a_lock_given_back_is_found(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    struct fx_key *k = make(f, "a7b");
    fx_beat(f, 30);
    expect_nothing(f, r, "a7b");
    k->busy = false;
    fx_wait(f, 1100);
    expect_arrives(f, r, "a7b", "half");
    fx_free(f);
}

static void test_a_barrier_does_not_wait_for_the_next_look(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    struct fx_key *k = make(f, "a7b");
    fx_beat(f, 30);
    expect_nothing(f, r, "a7b");
    k->busy = false;
    uint64_t barrier = primary_tail(f->p);
    assert_false(primary_passed(f->p, r->replica, barrier));
    fx_pump(f);
    assert_true(primary_passed(f->p, r->replica, barrier));
    expect_arrives(f, r, "a7b", "half");
    fx_free(f);
}

/* Whatever says that it may be a key with a value: it is one. */
static void test_a_real_key_is_never_taken_for_a_temporary(void **state)
{
    struct fx_peer *r;

    (void)state;
    for (int kind = 0; kind < 7; kind++) {
        struct fx *f = begin(&r);
        const char *key = kind == 0 ? "a12x" : "a12b";
        struct fx_key *k;
        if (kind == 1) { /* the index, and the replica, have it */
            fx_set(f, "t", key, "old");
            fx_beat(f, 2);
        }
        if (kind >= 2 && kind <= 4) {
            k = fx_put(f, "t", key, "half");
            k->busy = true;
            k->startemp = kind != 4; /* 4: its stat is none of a temporary */
            /* 2, 3: no event told that it was made */
            fx_hint(f, "t", key,
                    kind == 2   ? HINT_FOUND
                    : kind == 3 ? HINT_CLOSED
                                : HINT_CREATED);
        } else {
            k = make(f, key);
        }
        if (kind == 5) { /* somebody closed it after writing */
            fx_hint(f, "t", key, HINT_CLOSED);
        } else if (kind == 6) {
            fx_hint(f, "t", key, HINT_COMMITTED);
        }
        expect_blocked(f, r);
        k->busy = false;
        fx_beat(f, 3);
        expect_arrives(f, r, key, "half");
        fx_free(f);
    }
}

/* Of a key that is new, too; but neither for ever: what looks so may be a key
 * whose writer gave its lock back and took it again. */
static void test_it_is_no_change_for_a_minute(void **state)
{
    static const char *const keys[] = {"other", "a*b"};

    (void)state;
    for (size_t k = 0; k < 2; k++) {
        struct fx *f = fx_new();
        fx_put(f, "t", keys[k], "one");
        struct fx_peer *r = fx_real_equal(f);
        make(f, "a1234567890b");
        for (int i = 0; i < 59; i++) {
            expect_nothing(f, r, "a1234567890b");
            fx_beat(f, 1);
        }
        expect_blocked(f, r);
        fx_free(f);
    }
}

static void test_when_events_were_lost_it_is_a_key(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    make(f, "a1234567b");
    expect_nothing(f, r, "a1234567b");
    primary_index_stale(f->p);
    fx_pump(f);
    primary_index_ready(f->p, f->now_ms);
    expect_blocked(f, r);
    fx_free(f);
}

/* A scan meets it, the first or another. */
static void test_a_scan_does_not_make_it_a_key(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    make(f, "a1234567b");
    fx_beat(f, 2);
    for (int i = 0; i < 3; i++) {
        fx_hint(f, "t", "a1234567b", HINT_FOUND);
        fx_beat(f, 2);
        expect_nothing(f, r, "a1234567b");
    }
    fx_free(f);
}

/* A replica that is still to drop an old key of that name must hear of it. */
static void test_a_delete_on_its_way_is_not_forgotten(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    fx_set(f, "t", "a7b", "old");
    fx_beat(f, 2);
    assert_string_equal(fx_there(r, "t", "a7b"), "old");
    fx_down(f, r);
    fx_erase(f, "t", "a7b");
    fx_hint(f, "t", "a7b", HINT_REMOVED);
    make(f, "a7b");
    fx_beat(f, 2);
    assert_int_equal(unborn(f), 0);
    assert_int_equal(blocked(f), 1);
    fx_up(f, r);
    fx_beat(f, 5);
    assert_false(passes(f, r));
    fx_key(f, false, "t", "a7b")->busy = false;
    fx_erase(f, "t", "a7b");
    fx_hint(f, "t", "a7b", HINT_REMOVED);
    fx_beat(f, 5);
    expect_arrives(f, r, "a7b", "-");
    fx_free(f);
}

static void test_their_number_is_bounded(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);
    char key[16];

    (void)state;
    f->by_hand = true;
    for (int i = 0; i < 1100; i++) {
        (void)snprintf(key, sizeof key, "a%db", 1000 + i);
        primary_hint_key(f->p, "t", 1, key, strlen(key), HINT_CREATED,
                         f->now_ms);
        struct action a;
        while (primary_next_action(f->p, &a)) {
            if (a.type == ACT_READ) {
                struct read_answer l = {.result = READ_BUSY};
                l.reading.startemp = true;
                primary_key_read(f->p, a.id, &l, f->now_ms);
            }
        }
    }
    f->now_ms += 3000;
    assert_int_equal(unborn(f), 1024);
    assert_int_equal(blocked(f), 1100 - 1024);
    fx_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_writers_temporary_is_no_change),
        cmocka_unit_test(test_what_a_killed_writer_leaves_is_a_key),
        cmocka_unit_test(test_a_lock_given_back_is_found),
        cmocka_unit_test(test_a_barrier_does_not_wait_for_the_next_look),
        cmocka_unit_test(test_a_real_key_is_never_taken_for_a_temporary),
        cmocka_unit_test(test_it_is_no_change_for_a_minute),
        cmocka_unit_test(test_when_events_were_lost_it_is_a_key),
        cmocka_unit_test(test_a_scan_does_not_make_it_a_key),
        cmocka_unit_test(test_a_delete_on_its_way_is_not_forgotten),
        cmocka_unit_test(test_their_number_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
