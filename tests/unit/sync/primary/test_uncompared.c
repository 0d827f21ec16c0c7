/* SPDX-License-Identifier: MIT
 *
 * The invariant of verify and resync: while something that was changed before
 * the question is not on the replica, the answer comes all the same, and is
 * never "equal": the key is listed with the reason.
 */
#include <errno.h>

#include "tests/support/plain_key.h"
#include "tests/support/primary_fixture.h"

static const struct compare_options QUESTIONS[] = {
    {.mode = COMPARE_VERIFY, .names_max = 9},
    {.mode = COMPARE_VERIFY, .scan = true, .names_max = 9},
    {.mode = COMPARE_VERIFY, .scan = true, .content = true, .names_max = 9},
    {.mode = COMPARE_DRY_RUN, .scan = true, .names_max = 9},
    {.mode = COMPARE_REPAIR, .scan = true, .names_max = 9},
    {.mode = COMPARE_REPAIR, .scan = true, .content = true, .names_max = 9},
};
enum { QUESTIONS_COUNT = sizeof QUESTIONS / sizeof QUESTIONS[0] };

/* A replica that has everything but the newest value of t/bad. */
static struct fx_peer *begin(struct fx *f,
                             void (*spoil)(struct fx *f, struct fx_peer *r))
{
    fx_put(f, "t", "good", "one");
    fx_put(f, "t", "bad", "one");
    struct fx_peer *r = fx_real_equal(f);

    spoil(f, r);
    fx_hint(f, "t", "bad", HINT_COMMITTED);
    return r;
}

static struct replica_status status_of(struct fx *f, struct fx_peer *r)
{
    struct replica_status st;

    primary_status(f->p, r->replica, f->now_ms, &st);
    return st;
}

/* Answered within a minute, and the key is named. */
static void ask(struct fx *f, struct fx_peer *r,
                const struct compare_options *q, enum uncompared_why why,
                bool on_primary)
{
    struct compare_options o = *q;
    const struct compare_result *res = NULL;
    struct err err, said;

    fx_drained(f);
    o.barrier = primary_tail(f->p);
    assert_true(status_of(f, r).pending_keys > 0);
    int64_t id = primary_compare(f->p, r->replica, &o, f->now_ms, &err);
    assert_true(id > 0);
    for (int i = 0; i < 60; i++) {
        fx_beat(f, 1);
        assert_int_equal(receiver_tick(r->receiver, f->now_ms, &err), 0);
        res = primary_compare_result(f->p, (uint64_t)id);
        if (res->done) {
            break;
        }
    }
    assert_true(res->done && !res->failed);
    assert_int_equal(res->unread, 1);
    assert_int_equal(res->missing + res->extra, 0);
    assert_int_equal(res->uncompared_count, 1);
    const struct uncompared_key *k = &res->uncompared[0];
    assert_int_equal(k->why, why);
    assert_int_equal(k->on_primary, on_primary);
    assert_int_equal(k->key.len, 3);
    assert_memory_equal(k->key.p, "bad", 3);
    uncompared_err(k, &said);
    assert_non_null(strstr(said.msg, "table t key bad"));
    primary_compare_free(f->p, (uint64_t)id);
}

static void ask_all(void (*spoil)(struct fx *f, struct fx_peer *r),
                    enum uncompared_why why, bool on_primary)
{
    for (int i = 0; i < QUESTIONS_COUNT; i++) {
        struct fx *f = fx_new();
        ask(f, begin(f, spoil), &QUESTIONS[i], why, on_primary);
        fx_free(f);
    }
}

static void refuse(struct fx *f, struct fx_peer *r)
{
    memstore_fail(r->store, MEMOP_INSTALL, 0, UINT32_MAX, ERR_PERM, EPERM);

    fx_put(f, "t", "bad", "two");
}

static void test_a_refused_key_is_listed(void **state)
{
    (void)state;
    ask_all(refuse, UNCOMPARED_REFUSED, false);
}

static void lock_there(struct fx *f, struct fx_peer *r)
{
    memstore_lock(r->store, "t", "bad", 4711, "report");
    fx_put(f, "t", "bad", "two");
}

static void test_a_key_locked_by_a_reader_there_is_listed(void **state)
{
    (void)state;
    ask_all(lock_there, UNCOMPARED_LOCKED, false);
}

static void lock_here(struct fx *f, struct fx_peer *r)
{
    (void)r;
    fx_put(f, "t", "bad", "two")->busy = true;
}

static void test_a_key_locked_here_is_listed(void **state)
{
    (void)state;
    ask_all(lock_here, UNCOMPARED_LOCKED, true);
}

static void forbid(struct fx *f, struct fx_peer *r)
{
    (void)r;
    fx_put(f, "t", "bad", "two")->unreadable = true;
}

static void test_an_unreadable_key_is_listed(void **state)
{
    (void)state;
    ask_all(forbid, UNCOMPARED_UNREADABLE, true);
}

/* The last one that could not be read says nothing of the others. */
static void test_an_unreadable_keys_number_is_its_own(void **state)
{
    struct fx *f = fx_new();
    struct fx_peer *r = begin(f, forbid);

    (void)state;
    fx_beat(f, 2);
    fx_put(f, "u", "k", "one");
    fx_key(f, true, "u", NULL)->odd = true;
    fx_hint(f, "u", "k", HINT_COMMITTED);
    fx_beat(f, 2);
    struct uncompared u = {.max = 9};
    primary_uncompared(f->p, r->replica, primary_tail(f->p), f->now_ms, &u);
    assert_int_equal(u.n, 2);
    for (size_t i = 0; i < u.n; i++) {
        bool is_odd = u.keys[i].table.p[0] == 'u';
        assert_int_equal(u.keys[i].id, is_odd ? DR_COVERED : DR_UNREADABLE);
    }
    uncompared_free(&u);
    fx_free(f);
}

static void never_still(struct fx *f, struct fx_peer *r)
{
    (void)r;
    f->never_still = true;
    fx_put_large(f, "t", "bad", "two", 20000);
}

static void test_a_key_that_never_holds_still_is_listed(void **state)
{
    (void)state;
    ask_all(never_still, UNCOMPARED_CHANGING, true);
}

/* What is only slow is waited for, and can be asked for meanwhile. */
static void hang(struct fx *f, struct fx_peer *r)
{
    r->hung = true;
    fx_put(f, "t", "bad", "two");
}

static void test_what_is_on_its_way_is_not_equal(void **state)
{
    struct err err;

    (void)state;
    for (int i = 0; i < QUESTIONS_COUNT; i++) {
        struct fx *f = fx_new();
        struct fx_peer *r = begin(f, hang);
        struct compare_options o = QUESTIONS[i];
        struct uncompared u = {.max = 9};

        o.barrier = primary_tail(f->p);
        int64_t id = primary_compare(f->p, r->replica, &o, f->now_ms, &err);
        fx_beat(f, 20);
        assert_false(primary_compare_result(f->p, (uint64_t)id)->done);
        primary_uncompared(f->p, r->replica, o.barrier, f->now_ms, &u);
        assert_int_equal(u.count, 1);
        assert_int_equal(u.keys[0].why, UNCOMPARED_PENDING);
        assert_memory_equal(u.keys[0].key.p, "bad", 3);
        uncompared_free(&u);

        r->hung = false;
        fx_beat(f, 20);
        const struct compare_result *res =
            primary_compare_result(f->p, (uint64_t)id);
        assert_true(res->done && !res->failed);
        assert_int_equal(res->unread, 0);
        assert_int_equal(res->missing + res->extra, 0);
        assert_int_equal(res->different, res->repaired); /* by a resync */
        primary_compare_free(f->p, (uint64_t)id);
        fx_free(f);
    }
}

/* More of them than the window holds up neither others nor the answer. */
static void test_a_window_full_of_refused_keys_holds_up_nothing(void **state)
{
    struct primary_config c;
    struct compare_options o = {.mode = COMPARE_REPAIR, .names_max = 9};
    struct err err;

    (void)state;
    primary_config_default(&c);
    c.window_changes = 4;
    struct fx *f = fx_new_with(&c);
    fx_put(f, "t", "good", "one");
    struct fx_peer *r = fx_real_equal(f);
    memstore_fail(r->store, MEMOP_INSTALL, 0, UINT32_MAX, ERR_NOSPACE, ENOSPC);
    for (int i = 0; i < 20; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "k%d", i);
        fx_put(f, "t", key, "one");
        fx_hint(f, "t", key, HINT_COMMITTED);
    }
    o.barrier = primary_tail(f->p);
    int64_t id = primary_compare(f->p, r->replica, &o, f->now_ms, &err);
    fx_beat(f, 60);
    const struct compare_result *res =
        primary_compare_result(f->p, (uint64_t)id);
    assert_true(res->done && !res->failed);
    assert_int_equal(res->unread, 20);
    assert_int_equal(res->uncompared_count, 9);
    assert_int_equal(res->uncompared[0].sys, ENOSPC);
    primary_compare_free(f->p, (uint64_t)id);
    assert_false(fx_passed(f, r));
    memstore_fail(r->store, MEMOP_INSTALL, 0, 0, 0, 0);
    fx_beat(f, 120);
    assert_true(fx_passed(f, r));
    assert_string_equal(fx_there(r, "t", "k19"), "one");
    fx_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_refused_key_is_listed),
        cmocka_unit_test(test_a_key_locked_by_a_reader_there_is_listed),
        cmocka_unit_test(test_a_key_locked_here_is_listed),
        cmocka_unit_test(test_an_unreadable_key_is_listed),
        cmocka_unit_test(test_an_unreadable_keys_number_is_its_own),
        cmocka_unit_test(test_a_key_that_never_holds_still_is_listed),
        cmocka_unit_test(test_what_is_on_its_way_is_not_equal),
        cmocka_unit_test(test_a_window_full_of_refused_keys_holds_up_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
