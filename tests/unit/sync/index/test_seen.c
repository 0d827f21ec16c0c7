/* SPDX-License-Identifier: MIT
 *
 * What a scan did not meet is gone only where nothing can hide it. */
#include "tests/support/store_fixture.h"

#include "sync/index/seen.h"
#include "tests/support/plain_key.h"

static struct index_entry key_of(const char *table)
{
    return (struct index_entry){
        .table = index_table_tag(&plain_key, table, strlen(table))};
}

static struct index_entry table_of(const char *table)
{
    return (struct index_entry){
        .name = index_name_table(&plain_key, table, strlen(table)),
        .is_table = 1,
        .table = index_top_of(&plain_key, table, strlen(table))};
}

static void meet(struct seen *s, const char *table, bool complete)
{
    seen_table(s, &plain_key, table, strlen(table), complete);
}

static bool table_gone(struct seen *s, const char *table)
{
    const struct index_entry e = table_of(table);

    return seen_table_gone(s, &e);
}

static bool key_gone(const struct seen *s, const char *table)
{
    const struct index_entry e = key_of(table);

    return seen_key_gone(s, &e);
}

static void of_a_table_that_was_listed(void **state)
{
    struct seen s = {.all_covered = false};

    (void)state;
    meet(&s, "covered", false);
    assert_false(key_gone(&s, "t")); /* nobody looked */
    meet(&s, "", true);
    meet(&s, "t", true);
    assert_true(key_gone(&s, "t") && key_gone(&s, ""));
    assert_false(key_gone(&s, "u"));
}

static void where_nothing_is_covered(void **state)
{
    struct seen s = {.all_covered = false};
    const struct index_entry untagged = {.table = 0};

    (void)state;
    meet(&s, "", true);
    assert_true(key_gone(&s, "t") && table_gone(&s, "t"));
    assert_true(seen_key_gone(&s, &untagged));
}

static void of_a_table_that_is_gone(void **state)
{
    struct seen s = {.all_covered = false};

    (void)state;
    meet(&s, "", true);
    meet(&s, "covered", false);
    assert_true(table_gone(&s, "u"));
    assert_true(key_gone(&s, "u"));
    assert_false(key_gone(&s, "covered"));
    assert_false(table_gone(&s, "covered"));
    /* Its directory is not to be seen in the one that is covered. */
    assert_false(table_gone(&s, "covered.tbl/below"));
    assert_false(key_gone(&s, "covered.tbl/below"));
}

static void below_a_directory(void **state)
{
    struct seen s = {.all_covered = false};

    (void)state;
    meet(&s, "", true);
    seen_dir_covered(&s, &plain_key, "a/deep");
    assert_false(table_gone(&s, "a/deep/t"));
    assert_false(table_gone(&s, "a/t")); /* not known better */
    assert_true(table_gone(&s, "ab/t"));
    assert_false(key_gone(&s, "a/deep/t"));
    assert_true(key_gone(&s, "ab/t"));
}

static void what_was_covered_once_is_covered(void **state)
{
    struct seen s = {.all_covered = false};

    (void)state;
    meet(&s, "t", false);
    meet(&s, "u", true);
    seen_again(&s);
    meet(&s, "t", true);
    assert_false(key_gone(&s, "t"));
    assert_false(key_gone(&s, "u")); /* the second walk did not come there */
}

static void the_root(void **state)
{
    struct seen s = {.all_covered = false};

    (void)state;
    meet(&s, "t", true);
    meet(&s, "", false);
    assert_false(key_gone(&s, "t") || key_gone(&s, ""));
    assert_false(table_gone(&s, "u"));
}

static void without_a_tag(void **state)
{
    struct seen s = {.all_covered = false};
    struct index_entry e = table_of("u");

    (void)state;
    meet(&s, "", true);
    meet(&s, "covered", false);
    e.table = 0;
    assert_false(seen_table_gone(&s, &e));
    assert_false(key_gone(&s, "u"));
    e = key_of("");
    e.table = 0;
    assert_false(seen_key_gone(&s, &e));
}

/* Of two tables with one tag, the one that is covered counts. */
static void with_the_tag_of_a_covered_one(void **state)
{
    struct seen s = {.all_covered = false};
    const uint16_t tag = key_of("covered").table;
    char name[32];
    unsigned n = 0;

    (void)state;
    do {
        (void)snprintf(name, sizeof name, "t%u", n++);
    } while (key_of(name).table != tag);
    meet(&s, "", true);
    meet(&s, name, true);
    assert_true(key_gone(&s, name));
    meet(&s, "covered", false);
    assert_false(key_gone(&s, name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_a_table_that_was_listed),
        cmocka_unit_test(where_nothing_is_covered),
        cmocka_unit_test(of_a_table_that_is_gone),
        cmocka_unit_test(below_a_directory),
        cmocka_unit_test(what_was_covered_once_is_covered),
        cmocka_unit_test(the_root),
        cmocka_unit_test(without_a_tag),
        cmocka_unit_test(with_the_tag_of_a_covered_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
