/* SPDX-License-Identifier: MIT
 *
 * gate: which sequences it holds, and until when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sync/primary/log/gate.h"

static bool is_passed(void *arg, uint64_t to)
{
    return to <= *(const uint64_t *)arg;
}

static void test_it_holds_from_its_opening_to_its_end(void **state)
{
    struct gates g = {.count = 0};
    uint64_t at = 0;

    (void)state;
    uint64_t id = gate_open(&g, 10);
    assert_false(gate_holds(&g, 10, 0));
    assert_true(gate_holds(&g, 11, 0));
    assert_true(gate_holds(&g, 1000, 0));
    assert_true(gate_holds(&g, 3, id)); /* an older place in the log */
    assert_false(gate_holds(&g, 3, id + 1));
    gate_close(&g, id, 20);
    assert_true(gate_holds(&g, 3, id));
    assert_true(gate_holds(&g, 20, 0));
    assert_false(gate_holds(&g, 21, 0));
    at = 19;
    gate_drop(&g, is_passed, &at);
    assert_true(gate_holds(&g, 15, 0));
    at = 20;
    gate_drop(&g, is_passed, &at);
    assert_false(gate_holds(&g, 15, 0));
    gate_close(&g, id, 30); /* it is gone */
    assert_int_equal(g.count, 0);
}

static void test_each_stands_for_itself(void **state)
{
    struct gates g = {.count = 0};
    uint64_t at = 100;

    (void)state;
    uint64_t a = gate_open(&g, 10);
    uint64_t b = gate_open(&g, 20);
    gate_close(&g, a, 15);
    gate_drop(&g, is_passed, &at);
    assert_false(gate_holds(&g, 12, 0));
    assert_true(gate_holds(&g, 21, 0));
    gate_close(&g, b, 30);
    gate_drop(&g, is_passed, &at);
    assert_int_equal(g.count, 0);
}

static void test_there_are_not_too_many(void **state)
{
    struct gates g = {.count = 0};

    (void)state;
    for (int i = 0; i < GATES_MAX; i++) {
        assert_int_not_equal(gate_open(&g, 1), 0);
    }
    assert_int_equal(gate_open(&g, 1), 0);
    gate_close(&g, 0, 5);
    assert_int_equal(g.count, GATES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_holds_from_its_opening_to_its_end),
        cmocka_unit_test(test_each_stands_for_itself),
        cmocka_unit_test(test_there_are_not_too_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
