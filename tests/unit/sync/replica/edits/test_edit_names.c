/* SPDX-License-Identifier: MIT
 *
 * edit_names: what the receiver's own commits explain is never foreign, what
 * they do not is, and there is a bound.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sync/replica/edits/edit_names.h"

static const struct vstat none = {0, 0, 0};
static const struct vstat one = {.ino = 1, .ctime_ns = 1, .size = 1};
static const struct vstat two = {.ino = 2, .ctime_ns = 2, .size = 1};

static struct edit_name *key(struct edit_names *n, const char *name)
{
    return edit_names_add(n, "t", 1, name, strlen(name));
}

static void what_the_index_knows_is_ours(void **state)
{
    struct edit_names n = {NULL};
    struct edit_name *a = key(&n, "a");

    (void)state;
    assert_int_equal(edit_names_judge(a, true, one, 5, 5, false), EDIT_OURS);
    edit_names_clear(&n);
}

/* Installed by commit 5, which tells the index of it later. */
static void a_commit_under_way_is_waited_for(void **state)
{
    struct edit_names n = {NULL};
    struct edit_name *a = key(&n, "a");

    (void)state;
    assert_int_equal(edit_names_judge(a, false, one, 5, 4, false), EDIT_WAIT);
    assert_int_equal(edit_names_judge(a, false, one, 6, 4, false), EDIT_WAIT);
    assert_int_equal(edit_names_judge(a, true, one, 6, 5, false), EDIT_OURS);
    edit_names_clear(&n);
}

static void what_no_commit_explains_is_foreign(void **state)
{
    struct edit_names n = {NULL};
    struct edit_name *a = key(&n, "a"), *b = key(&n, "b");

    (void)state;
    assert_int_equal(edit_names_judge(a, false, one, 5, 5, false), EDIT_WAIT);
    assert_int_equal(edit_names_judge(a, false, one, 5, 5, false),
                     EDIT_FOREIGN);
    /* Gone. */
    assert_int_equal(edit_names_judge(b, false, none, 5, 4, false), EDIT_WAIT);
    assert_int_equal(edit_names_judge(b, false, none, 9, 5, false),
                     EDIT_FOREIGN);
    edit_names_clear(&n);
}

/* A later commit may have installed it again since. */
static void another_file_is_another_suspicion(void **state)
{
    struct edit_names n = {NULL};
    struct edit_name *a = key(&n, "a");

    (void)state;
    assert_int_equal(edit_names_judge(a, false, one, 5, 4, false), EDIT_WAIT);
    assert_int_equal(edit_names_judge(a, false, two, 7, 6, false), EDIT_WAIT);
    assert_int_equal(edit_names_judge(a, false, two, 7, 6, false), EDIT_WAIT);
    assert_int_equal(edit_names_judge(a, false, two, 8, 7, false),
                     EDIT_FOREIGN);
    edit_names_clear(&n);
}

/* Who edits it all the time is noticed all the same. */
static void what_changes_while_no_commit_begins_is_foreign(void **state)
{
    struct edit_names n = {NULL};
    struct edit_name *a = key(&n, "a");

    (void)state;
    assert_int_equal(edit_names_judge(a, false, one, 5, 5, false), EDIT_WAIT);
    assert_int_equal(edit_names_judge(a, false, two, 5, 5, false),
                     EDIT_FOREIGN);
    struct edit_name *b = key(&n, "b");
    assert_int_equal(edit_names_judge(b, false, one, 5, 4, false), EDIT_WAIT);
    assert_int_equal(edit_names_judge(b, false, two, 5, 4, false), EDIT_WAIT);
    assert_int_equal(edit_names_judge(b, false, one, 5, 5, false),
                     EDIT_FOREIGN);
    edit_names_clear(&n);
}

static void what_never_rests_is_read_for_evidence(void **state)
{
    struct edit_names n = {NULL};
    struct edit_name *a = key(&n, "a");
    enum edit_verdict v = EDIT_WAIT;
    uint64_t commit = 5;

    (void)state;
    for (; v == EDIT_WAIT; commit++) {
        assert_true(commit < 50);
        v = edit_names_judge(a, false, commit % 2 != 0 ? one : two, commit,
                             commit - 1, false);
    }
    assert_int_equal(v, EDIT_READ);
    assert_true(commit > 10);
    struct edit_name found = {.tries = 2,
                              .evidence = {.read = true, .commit = commit + 1}};
    edit_names_merge(a, &found);
    assert_int_equal(a->tries, 2);
    /* A commit that may have made it has not told the index yet. */
    assert_int_equal(edit_names_judge(a, false, none, commit + 1, commit, true),
                     EDIT_WAIT);
    assert_int_equal(
        edit_names_judge(a, false, two, commit + 2, commit + 1, true),
        EDIT_RESTLESS);
    edit_names_clear(&n);
}

/* The index has heard of something: it may be just that. */
static void evidence_ends_with_the_entry_it_was_of(void **state)
{
    struct edit_names n = {NULL};
    struct edit_name *a = key(&n, "a");

    (void)state;
    a->evidence = (struct edit_evidence){.read = true, .commit = 7};
    assert_int_equal(edit_names_judge(a, false, one, 8, 6, true), EDIT_WAIT);
    assert_int_equal(edit_names_judge(a, false, two, 9, 6, false), EDIT_WAIT);
    assert_int_equal(edit_names_judge(a, false, one, 10, 9, true), EDIT_WAIT);
    assert_false(a->evidence.read);
    assert_int_equal(edit_names_judge(a, true, one, 11, 10, true), EDIT_OURS);
    edit_names_clear(&n);
}

/* Rights are not in the index; but its table may be on its way there. */
static void what_is_forced_is_settled_all_the_same(void **state)
{
    struct edit_names n = {NULL};
    struct edit_name *t = edit_names_add(&n, "t", 1, NULL, 0);

    (void)state;
    assert_true(t->is_table);
    t->force = true;
    assert_int_equal(edit_names_judge(t, true, none, 5, 4, false), EDIT_WAIT);
    assert_int_equal(edit_names_judge(t, true, none, 5, 5, false),
                     EDIT_FOREIGN);
    edit_names_clear(&n);
}

static void each_name_is_there_once_and_not_too_many(void **state)
{
    struct edit_names n = {NULL};
    char name[16];

    (void)state;
    struct edit_name *a = key(&n, "a");
    assert_ptr_equal(key(&n, "a"), a);
    assert_ptr_not_equal(edit_names_add(&n, "t", 1, NULL, 0),
                         edit_names_add(&n, "t", 1, "", 0));
    for (int i = 3; i < EDIT_NAMES_MAX; i++) {
        (void)snprintf(name, sizeof name, "%d", i);
        assert_non_null(key(&n, name));
    }
    assert_null(key(&n, "more"));
    assert_ptr_equal(key(&n, "a"), a);
    edit_names_drop(&n, a);
    assert_non_null(key(&n, "more"));
    edit_names_clear(&n);
    assert_null(n.all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_index_knows_is_ours),
        cmocka_unit_test(a_commit_under_way_is_waited_for),
        cmocka_unit_test(what_no_commit_explains_is_foreign),
        cmocka_unit_test(another_file_is_another_suspicion),
        cmocka_unit_test(what_changes_while_no_commit_begins_is_foreign),
        cmocka_unit_test(what_never_rests_is_read_for_evidence),
        cmocka_unit_test(evidence_ends_with_the_entry_it_was_of),
        cmocka_unit_test(what_is_forced_is_settled_all_the_same),
        cmocka_unit_test(each_name_is_there_once_and_not_too_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
