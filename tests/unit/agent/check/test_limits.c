/* SPDX-License-Identifier: MIT
 *
 * limits: what the kernel allows beside what is needed, one row per case. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "agent/check/local.h"
#include "sync/errors/state.h"

static const struct finding *about(const struct findings *f, const char *what)
{
    for (size_t i = 0; i < f->count; i++) {
        if (strcmp(f->list[i].what, what) == 0) {
            return &f->list[i];
        }
    }
    fail_msg("nothing was found of it");
    return &f->list[0];
}

static void each_bound_is_judged(void **state)
{
    static const struct {
        struct limits limits;
        uint64_t directories;
        const char *what;
        enum finding_level level;
        int id;
    } ROWS[] = {
        {{1000, 128, 16384, 1024}, 500, "watches", FINDING_OK, 0},
        {{1000, 128, 16384, 1024}, 501, "watches", FINDING_WARN, 0},
        {{1000, 128, 16384, 1024},
         1001,
         "watches",
         FINDING_FAIL,
         DR_WATCH_LIMIT},
        {{-1, 128, 16384, 1024}, 5, "watches", FINDING_WARN, 0},
        {{1000, 0, 16384, 1024},
         5,
         "instances",
         FINDING_FAIL,
         DR_INSTANCE_LIMIT},
        {{1000, 7, 16384, 1024}, 5, "instances", FINDING_WARN, 0},
        {{1000, 128, 16383, 1024}, 5, "event queue", FINDING_WARN, 0},
        {{1000, 128, 16384, 1024}, 5, "event queue", FINDING_OK, 0},
        {{1000, 128, 16384, 143}, 5, "descriptors", FINDING_WARN, 0},
        {{1000, 128, 16384, 144}, 5, "descriptors", FINDING_OK, 0},
        {{1000, 128, 16384, INT64_MAX}, 5, "descriptors", FINDING_OK, 0},
    };
    const struct config c = {.replicas_count = 2};

    (void)state;
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        struct findings f = FINDINGS_NULL;
        struct survey s = {.directories = ROWS[i].directories};

        limits_judge(&ROWS[i].limits, &c, &s, &f);
        const struct finding *d = about(&f, ROWS[i].what);
        assert_int_equal(d->level, ROWS[i].level);
        assert_int_equal(d->id, ROWS[i].id);
        assert_int_equal(d->hint[0] == '\0',
                         d->level == FINDING_OK || ROWS[i].limits.watches < 0);
        findings_deinit(&f);
    }
}

static void this_host_has_bounds(void **state)
{
    struct limits l;

    (void)state;
    limits_read(&l);
    assert_true(l.descriptors > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_bound_is_judged),
        cmocka_unit_test(this_host_has_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
