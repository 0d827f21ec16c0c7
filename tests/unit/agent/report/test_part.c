/* SPDX-License-Identifier: MIT
 *
 * part: what programs and functions print, and that none of them holds us up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent/report/part.h"

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct part_end run(struct part p)
{
    struct part_end end = PART_END_NULL;

    if (p.timeout_ms == 0) {
        p.timeout_ms = 60000;
    }
    part_run(&p, &end);
    buf_u8(&end.out, '\0');
    return end;
}

static void expect(struct part p, const char *out, const char *why)
{
    struct part_end end = run(p);

    assert_string_equal((const char *)end.out.data, out);
    assert_string_equal(end.why, why);
    part_end_deinit(&end);
}

static int print_some(FILE *out, const void *arg)
{
    (void)fprintf(out, "some %s", (const char *)arg);
    return 0;
}

static int print_and_fail(FILE *out, const void *arg)
{
    (void)print_some(out, arg);
    return EACCES;
}

static void test_output_is_taken_and_errors_are_named(void **state)
{
    (void)state;
    expect((struct part){.argv = WORDS("sh", "-c", "echo out; echo err >&2")},
           "out\n", "");
    expect((struct part){.argv = WORDS("sh", "-c", "echo out; echo err >&2"),
                         .with_stderr = true},
           "out\nerr\n", "");
    expect((struct part){.argv = WORDS("sh", "-c", "echo out; exit 3")},
           "out\n", "sh ended with 3");
    expect((struct part){.argv = WORDS("/nonexistent/program")}, "",
           "there is no program /nonexistent/program");
    expect((struct part){.print = print_some, .arg = "text"}, "some text", "");
    expect((struct part){.print = print_and_fail, .arg = "text"}, "some text",
           "Permission denied");
    /* Standard input is at its end. */
    expect((struct part){.argv = WORDS("cat")}, "", "");
}

static void
test_what_does_not_end_is_given_up_with_what_it_printed(void **state)
{
    (void)state;
    expect((struct part){.argv = WORDS("sh", "-c", "echo some; sleep 1000"),
                         .timeout_ms = 300},
           "some\n", "given up after 300 ms: it does not end");
    /* Nor when its output has ended. */
    expect((struct part){.argv = WORDS("sh", "-c",
                                       "echo some; exec >&- 2>&-; sleep 1000"),
                         .timeout_ms = 300},
           "some\n", "given up after 300 ms: it does not end");
    /* Nor when a child of it holds the pipe. */
    expect((struct part){.argv = WORDS("sh", "-c", "sleep 1000 & echo some"),
                         .timeout_ms = 300},
           "some\n", "given up after 300 ms: it does not end");
}

static void test_what_prints_on_and_on_is_cut(void **state)
{
    (void)state;
    struct part_end end = run((struct part){.argv = WORDS("yes")});

    assert_true(end.out.len <= PART_BYTES_MAX + 1);
    assert_non_null(strstr(end.why, "cut after"));
    part_end_deinit(&end);
}

static void test_output_may_go_to_a_file(void **state)
{
    int fds[2];
    char some[8] = "";

    (void)state;
    assert_int_equal(pipe(fds), 0);
    expect((struct part){.argv = WORDS("echo", "out"), .to_fd = fds[1]}, "",
           "");
    assert_int_equal(read(fds[0], some, sizeof some - 1), 4);
    assert_string_equal(some, "out\n");
    (void)close(fds[0]);
    (void)close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output_is_taken_and_errors_are_named),
        cmocka_unit_test(
            test_what_does_not_end_is_given_up_with_what_it_printed),
        cmocka_unit_test(test_what_prints_on_and_on_is_cut),
        cmocka_unit_test(test_output_may_go_to_a_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
