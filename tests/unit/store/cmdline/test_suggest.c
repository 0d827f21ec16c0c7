/* SPDX-License-Identifier: MIT
 *
 * suggest: what a mistyped word may have been, and when that is not clear. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "store/cmdline/suggest.h"

static void the_nearest_word_is_suggested_only_when_near(void **state)
{
    static const char *const WORDS[] = {"status", "resync", "resume", NULL};

    (void)state;
    assert_string_equal(suggest_nearest("statsu", WORDS), "status");
    assert_string_equal(suggest_nearest("resinc", WORDS), "resync");
    assert_string_equal(suggest_nearest("resu", WORDS), "resume");
    assert_string_equal(suggest_nearest("resync", WORDS), "resync");
    assert_null(suggest_nearest("frobnicate", WORDS));
    assert_null(suggest_nearest("", WORDS));
    assert_int_equal(suggest_distance("ab", "ba"), 1);
    assert_int_equal(suggest_distance("", "abc"), 3);
}

/* Not even to itself: a longer table would be needed. */
static void a_very_long_word_is_far_from_everything(void **state)
{
    char word[200];
    const char *known[] = {word, NULL};

    (void)state;
    memset(word, 'x', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    assert_true(suggest_distance(word, "xx") > 100);
    assert_null(suggest_nearest("xxxy", known));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nearest_word_is_suggested_only_when_near),
        cmocka_unit_test(a_very_long_word_is_far_from_everything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
