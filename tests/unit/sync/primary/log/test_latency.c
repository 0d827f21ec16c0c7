/* SPDX-License-Identifier: MIT
 *
 * latency: quantiles of the last changes, and a histogram of all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sync/primary/log/latency.h"

static void nothing_is_known_before_the_first(void **state)
{
    (void)state;
    struct latency *l = latency_new();
    int64_t p50, p99;

    assert_non_null(l);
    latency_recent(l, &p50, &p99);
    assert_int_equal(p50, -1);
    assert_int_equal(p99, -1);
    assert_int_equal(latency_totals(l)->count, 0);
    latency_free(l);
    latency_free(NULL);
}

static void each_is_in_the_first_bucket_that_holds_it(void **state)
{
    (void)state;
    struct latency *l = latency_new();
    const struct latency_totals *t = latency_totals(l);

    for (size_t i = 0; i < LATENCY_BUCKETS; i++) {
        latency_note(l, latency_bounds_us[i]);     /* a bound is inside */
        latency_note(l, latency_bounds_us[i] + 1); /* and this in the next */
    }
    assert_int_equal(t->buckets[0], 1);
    for (size_t i = 1; i < LATENCY_BUCKETS; i++) {
        assert_int_equal(t->buckets[i], 2);
        assert_true(latency_bounds_us[i] > latency_bounds_us[i - 1]);
    }
    assert_int_equal(t->count, 2 * LATENCY_BUCKETS);
    latency_free(l);
}

/* A clock that was set back, and one that stood for hours. */
static void any_number_is_taken(void **state)
{
    (void)state;
    struct latency *l = latency_new();

    latency_note(l, -5);
    latency_note(l, INT64_MAX);
    assert_int_equal(latency_totals(l)->count, 2);
    assert_int_equal(latency_totals(l)->buckets[0], 1);
    assert_int_equal(latency_totals(l)->sum_us, UINT32_MAX);
    latency_free(l);
}

static void quantiles_forget_and_totals_do_not(void **state)
{
    (void)state;
    struct latency *l = latency_new();
    int64_t p50, p99;

    for (int i = 0; i < 5000; i++) {
        latency_note(l, 1000000);
    }
    for (int i = 1; i <= 1024; i++) {
        latency_note(l, i);
    }
    latency_recent(l, &p50, &p99);
    assert_int_equal(p50, 513);
    assert_int_equal(p99, 1014);
    assert_int_equal(latency_totals(l)->count, 6024);
    latency_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_known_before_the_first),
        cmocka_unit_test(each_is_in_the_first_bucket_that_holds_it),
        cmocka_unit_test(any_number_is_taken),
        cmocka_unit_test(quantiles_forget_and_totals_do_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
