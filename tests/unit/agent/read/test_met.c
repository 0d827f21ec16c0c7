/* SPDX-License-Identifier: MIT
 *
 * What a verify's scan met: everything it found, less what was moving.
 */
#include "tests/support/store_fixture.h"

#include <stdio.h>
#include <string.h>

#include "agent/read/met.h"

static struct bytes text(const char *s)
{
    return bytes_of(s, strlen(s));
}

static void found(struct met *m, const char *table, const char *key)
{
    struct bytes k = text(key != NULL ? key : "");

    met_found(m, text(table), key != NULL ? &k : NULL);
}

static void moved(struct met *m, const char *table, const char *key)
{
    struct bytes k = text(key != NULL ? key : "");

    met_moved(m, text(table), key != NULL ? &k : NULL);
}

static void what_moved_before_or_after_is_left_out(void **state)
{
    (void)state;
    struct met *m = met_new();
    const struct met_name *names;
    uint64_t beyond;

    assert_non_null(m);
    moved(m, "t", "before");
    found(m, "t", "before");
    found(m, "t", "after");
    found(m, "t", "stood still");
    found(m, "", "stood still");
    found(m, "a table", NULL);
    found(m, "another", NULL);
    moved(m, "t", "after");
    moved(m, "another", NULL);
    moved(m, "u", "stood still"); /* another key */
    met_close(m);
    moved(m, "", "stood still"); /* too late to matter */
    found(m, "t", "after the end");
    assert_int_equal(met_names(m, &names, &beyond), 3);
    assert_true(beyond == 0);
    assert_memory_equal(names[0].key.p, "stood still", 11);
    assert_int_equal(names[0].table.len, 1);
    assert_int_equal(names[1].table.len, 0);
    assert_true(names[2].is_table && names[2].table.len == 7);
    met_free(m);
}

static void more_than_have_names_are_counted(void **state)
{
    (void)state;
    struct met *m = met_new();
    const struct met_name *names;
    uint64_t beyond;
    char key[32];

    for (int i = 0; i < MET_NAMES_MAX + 7; i++) {
        (void)snprintf(key, sizeof key, "%d", i);
        found(m, "t", key);
    }
    met_close(m);
    assert_int_equal(met_names(m, &names, &beyond), MET_NAMES_MAX);
    assert_true(beyond == 7);
    met_free(m);
}

/* Too many events to remember: nothing is known to have stood still. */
static void a_flood_of_events_proves_nothing(void **state)
{
    (void)state;
    struct met *m = met_new();
    const struct met_name *names;
    uint64_t beyond;
    char key[32];

    found(m, "t", "x");
    for (int i = 0; i <= MET_MOVED_MAX; i++) {
        (void)snprintf(key, sizeof key, "%d", i);
        moved(m, "t", key);
    }
    met_close(m);
    assert_int_equal(met_names(m, &names, &beyond), 0);
    assert_true(beyond == 0);
    met_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_moved_before_or_after_is_left_out),
        cmocka_unit_test(more_than_have_names_are_counted),
        cmocka_unit_test(a_flood_of_events_proves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
