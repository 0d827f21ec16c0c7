/* SPDX-License-Identifier: MIT
 *
 * breaks: when a link breaks too often, and when that is over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/replica/breaks.h"

static void note(struct breaks *b, int64_t now_ms)
{
    struct err err;

    (void)err_set(&err, ERR_CLOSED, 0, "at %lld", (long long)now_ms);
    breaks_note(b, &err, now_ms);
}

static void a_break_or_two_are_not_many(void **state)
{
    struct breaks b = {0};

    (void)state;
    assert_int_equal(breaks_count(&b, 0), 0);
    assert_int_equal(breaks_last_ms(&b, 0), -1);
    assert_false(breaks_are_many(&b, 0));
    note(&b, 1000);
    note(&b, 2000);
    assert_int_equal(breaks_count(&b, 2000), 2);
    assert_int_equal(breaks_last_ms(&b, 2500), 500);
    assert_false(breaks_are_many(&b, 2500));
    note(&b, 3000);
    assert_true(breaks_are_many(&b, 3000));
    assert_string_equal(b.last.msg, "at 3000");
}

static void a_steady_session_ends_it(void **state)
{
    struct breaks b = {0};

    (void)state;
    for (int i = 0; i < BREAKS_MANY; i++) {
        note(&b, i);
    }
    int64_t last_ms = BREAKS_MANY - 1;
    assert_true(breaks_are_many(&b, last_ms + BREAKS_STEADY_MS - 1));
    assert_false(breaks_are_many(&b, last_ms + BREAKS_STEADY_MS));
    /* Remembered for longer: the next one counts with them. */
    note(&b, last_ms + BREAKS_STEADY_MS);
    assert_true(breaks_are_many(&b, last_ms + BREAKS_STEADY_MS));
    assert_int_equal(breaks_count(&b, 10 * BREAKS_WINDOW_MS), 0);
    assert_int_equal(breaks_last_ms(&b, 10 * BREAKS_WINDOW_MS), -1);
}

/* Each session lasts for longer than the back-off's memory, and still it breaks
 * all the time. */
static void slow_flapping_is_flapping(void **state)
{
    struct breaks b = {0};
    const int64_t each_ms = 90000;

    (void)state;
    for (int64_t i = 1; i <= 200; i++) {
        note(&b, i * each_ms);
        if (i >= BREAKS_MANY) {
            assert_true(breaks_are_many(&b, i * each_ms + each_ms - 1));
        }
    }
    for (int64_t i = 0; i < 1000; i++) {
        note(&b, 201 * each_ms);
    }
    assert_int_equal(breaks_count(&b, 201 * each_ms), BREAKS_KEPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_break_or_two_are_not_many),
        cmocka_unit_test(a_steady_session_ends_it),
        cmocka_unit_test(slow_flapping_is_flapping),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
