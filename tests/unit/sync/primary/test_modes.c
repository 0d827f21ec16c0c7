/* SPDX-License-Identifier: MIT
 *
 * Files on a replica that keep modes which readers cannot open: a state until a
 * scan says that there are none, and never equal.
 */
#include "sync/errors/state.h"
#include "tests/support/primary_fixture.h"

static void hear(struct fx *f, struct fx_peer *r, uint64_t unset, int sys)
{
    const struct wire_modes m = {.unset = unset,
                                 .set = 5,
                                 .sys = sys,
                                 .is_table = unset == 0,
                                 .table = bytes_of("t", 1),
                                 .key = bytes_of("k", unset == 0 ? 0 : 1)};

    receiver_modes(r->receiver, &m);
    fx_pump(f);
}

static void test_what_readers_cannot_open_is_a_state(void **state)
{
    struct fx *f = fx_new();
    struct err why;

    (void)state;
    fx_put(f, "t", "k", "v");
    struct fx_peer *r = fx_real_equal(f);
    assert_true(fx_keeps_up(f, r, &why));
    hear(f, r, 3, EPERM);
    fx_beat(f, 2);
    assert_false(fx_keeps_up(f, r, &why));
    assert_int_equal(why.id, DR_REPLICA_MODES);
    fx_says(&why, "3 files are not of the owner, group or mode of the "
                  "receiver's settings, such as: table t key k: Operation not "
                  "permitted");
    /* Of a scan that was only to look. */
    hear(f, r, 1, 0);
    assert_false(fx_keeps_up(f, r, &why));
    fx_says(&why, "1 file is not of");
    hear(f, r, 0, 0);
    if (!fx_keeps_up(f, r, &why)) {
        fail_msg("%s", why.msg);
    }
    fx_free(f);
}

static uint64_t unread(struct fx *f, const struct fx_peer *r,
                       enum compare_mode mode)
{
    const struct compare_options o = {.mode = mode, .names_max = 9};
    struct err err;

    int64_t id = primary_compare(f->p, r->replica, &o, f->now_ms, &err);
    assert_true(id > 0);
    fx_beat(f, 2);
    const struct compare_result *res =
        primary_compare_result(f->p, (uint64_t)id);
    assert_true(res->done && !res->failed);
    assert_int_equal(res->missing + res->extra + res->different, 0);
    uint64_t n = res->unread;
    if (n > 0) {
        assert_int_equal(res->unread_err.id, DR_REPLICA_MODES);
        assert_int_equal(res->uncompared_count, 1);
        assert_int_equal(res->uncompared[0].sys, EPERM);
        assert_int_equal(res->uncompared[0].why, UNCOMPARED_REFUSED);
    }
    primary_compare_free(f->p, (uint64_t)id);
    return n;
}

static void test_no_comparison_calls_it_equal(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_put(f, "t", "k", "v");
    struct fx_peer *r = fx_real_equal(f);
    for (int mode = COMPARE_VERIFY; mode <= COMPARE_REPAIR; mode++) {
        assert_int_equal(unread(f, r, (enum compare_mode)mode), 0);
    }
    hear(f, r, 4, EPERM);
    for (int mode = COMPARE_VERIFY; mode <= COMPARE_REPAIR; mode++) {
        assert_int_equal(unread(f, r, (enum compare_mode)mode), 4);
    }
    fx_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_readers_cannot_open_is_a_state),
        cmocka_unit_test(test_no_comparison_calls_it_equal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
