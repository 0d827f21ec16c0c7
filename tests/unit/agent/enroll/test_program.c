/* SPDX-License-Identifier: MIT
 *
 * program: words and input arrive as they are, and every end is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "agent/enroll/program.h"
#include "store/base/cleanup.h"

static int run_words(const char *const *argv, const char *input,
                     struct program_end *end, struct err *err)
{
    struct program p = {.argv = argv, .input = input, .user = (uid_t)-1};

    return program_run(&p, end, err);
}

#define RUN(input, ...)                                                        \
    run_words((const char *const[]){__VA_ARGS__, NULL}, input, &end, &err)

static void words_and_input_arrive_as_they_are(void **state)
{
    CLEANUP(program_end_deinit) struct program_end end = PROGRAM_END_NULL;
    struct err err = {0};

    (void)state;
    assert_int_equal(RUN("in\nput", "sh", "-c", "printf '<%s>' \"$@\"; cat",
                         "sh", "a b'\"$(x)", ""),
                     0);
    assert_int_equal(end.status, 0);
    assert_string_equal(program_text(&end.out), "<a b'\"$(x)><>in\nput");
    assert_int_equal(end.said.len, 0);
}

static void what_it_complains_of_last_is_told(void **state)
{
    CLEANUP(program_end_deinit) struct program_end end = PROGRAM_END_NULL;
    CLEANUP(program_end_deinit) struct program_end mute = PROGRAM_END_NULL;
    struct err err = {0};
    char last[PROGRAM_LAST_BYTES];

    (void)state;
    assert_int_equal(RUN(NULL, "sh", "-c",
                         "echo one >&2; printf 'tw\\033o\\r\\n' >&2; exit 3"),
                     0);
    assert_int_equal(end.status, 3);
    assert_string_equal(program_last(&end, last), "tw?o");
    assert_int_equal(
        run_words((const char *const[]){"sh", "-c", "kill -9 $$", NULL}, NULL,
                  &mute, &err),
        0);
    assert_int_equal(mute.status, 137);
    assert_string_equal(program_last(&mute, last), "exit status 137");
}

static void a_missing_program_names_the_package(void **state)
{
    CLEANUP(program_end_deinit) struct program_end end = PROGRAM_END_NULL;
    struct err err = {0};

    (void)state;
    assert_int_equal(RUN(NULL, "no-such-program-here"), ERR_NOTFOUND);
    assert_non_null(strstr(err.msg, "apt-get install openssh-client"));
}

/* More than a pipe holds, both ways; and one that never stops. */
static void much_goes_through_and_too_much_is_refused(void **state)
{
    CLEANUP(program_end_deinit) struct program_end end = PROGRAM_END_NULL;
    CLEANUP(program_end_deinit) struct program_end endless = PROGRAM_END_NULL;
    static char much[300001];
    struct err err = {0};

    (void)state;
    memset(much, 'x', sizeof much - 1);
    assert_int_equal(RUN(much, "cat"), 0);
    assert_int_equal(end.out.len, sizeof much - 1);
    assert_int_equal(
        run_words((const char *const[]){"yes", NULL}, NULL, &endless, &err),
        ERR_TOOBIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_and_input_arrive_as_they_are),
        cmocka_unit_test(what_it_complains_of_last_is_told),
        cmocka_unit_test(a_missing_program_names_the_package),
        cmocka_unit_test(much_goes_through_and_too_much_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
