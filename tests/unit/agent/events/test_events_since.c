/* SPDX-License-Identifier: MIT
 *
 * events_since: each way to write a time, in a zone that has a summer time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "agent/events/events_since.h"
#include "store/base/clock.h"

/* 2026-03-29 12:00:00 in Berlin, where the night before had one hour less. */
#define NOW_S INT64_C(1774778400)

static void each_way_to_write_it(void **state)
{
    static const struct {
        const char *text;
        int64_t s;
    } ROWS[] = {
        {"8h", NOW_S - 8 * 3600},
        {"90s", NOW_S - 90},
        {"12:00", NOW_S},
        {"11:59:30", NOW_S - 30},
        {"12:01", NOW_S - 23 * 3600 + 60 + 0}, /* of yesterday */
        {"2026-03-29 12:00", NOW_S},
        {"2026-03-29T12:00:01", NOW_S + 1},
        {"2026-03-29T10:00:00Z", NOW_S},
        {"2026-03-29T10:00Z", NOW_S},
        {"10:00Z", NOW_S},
        {"10:01Z", NOW_S - 24 * 3600 + 60},
        {"2026-03-29T10:00:00.758Z", NOW_S},
        {"2026-03-29 12:00:00.758", NOW_S},
        {"2026-03-29", NOW_S - 11 * 3600},
        {"2026-01-31 22:00", INT64_C(1769893200)},
    };
    struct events_since since;
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        assert_int_equal(
            events_since_parse(ROWS[i].text, NOW_S * NS_PER_S, &since, &err),
            0);
        if (since.ns != ROWS[i].s * NS_PER_S || since.number != 0) {
            fail_msg("%s: %lld", ROWS[i].text,
                     (long long)(since.ns / NS_PER_S - ROWS[i].s));
        }
    }
    assert_int_equal(events_since_parse("417", NOW_S, &since, &err), 0);
    assert_int_equal(since.number, 417);
}

static void anything_else_is_refused(void **state)
{
    static const char *const ROWS[] = {
        "",           "yesterday",  "12:00 x", "2026-02-30 10:00",
        "2026-02-30", "12:00.5",    "10:00ZZ", "2026-02-29T10:00Z",
        "25:00",      "2026-13-01", "8",       "99999999999999999999"};
    struct events_since since;
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        int rc = events_since_parse(ROWS[i], NOW_S * NS_PER_S, &since, &err);
        bool is_number = ROWS[i][0] == '8';
        if ((rc == 0) != is_number) {
            fail_msg("%s", ROWS[i]);
        }
    }
}

int main(void)
{
    (void)setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    tzset();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_way_to_write_it),
        cmocka_unit_test(anything_else_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
