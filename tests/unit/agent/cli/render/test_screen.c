/* SPDX-License-Identifier: MIT
 *
 * screen: whatever the text and the terminal, no line wraps and none scrolls.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/render/screen.h"

static char *fit(const char *text, size_t table, unsigned rows,
                 unsigned columns)
{
    char *out = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&out, &len);

    screen_fit(f, text, table, rows, columns, "drover status");
    (void)fclose(f);
    return out;
}

static void expect(const char *text, unsigned rows, unsigned columns,
                   const char *wanted)
{
    char *out = fit(text, strlen(text), rows, columns);

    assert_string_equal(out, wanted);
    free(out);
}

static void what_fits_is_not_touched(void **state)
{
    (void)state;
    expect("one\ntwo\n", 2, 3, "one\ntwo\n");
    expect("", 1, 1, "");
    expect("\033[1mone\033[0m\n", 1, 3, "\033[1mone\033[0m\n");
    expect("\xc3\xa4\xc3\xb6\xe2\x82\xac\n", 1, 3,
           "\xc3\xa4\xc3\xb6\xe2\x82\xac\n");
}

static void a_long_line_is_cut(void **state)
{
    (void)state;
    expect("abcdef\n", 1, 4, "abc\xe2\x80\xa6\n");
    /* A color ends where the line does. */
    expect("a\033[31mbcdef\033[0mg\n", 1, 4,
           "a\033[31mbc\033[0m\xe2\x80\xa6\n");
    expect("\xc3\xa4\xc3\xb6\xc3\xbc\n", 1, 2, "\xc3\xa4\xe2\x80\xa6\n");
}

static void what_does_not_fit_is_counted(void **state)
{
    (void)state;
    expect("1\n2\n3\n4\n", 3, 40, "1\n2\n2 more lines: drover status\n");
    expect("1\n2\n", 1, 40, "2 more lines: drover status\n");
    expect("1\n2\n", 1, 4, "2 m\xe2\x80\xa6\n");
}

/* A table keeps its shape; what is said below it is there to be read. */
static void below_the_table_lines_go_on(void **state)
{
    (void)state;
    char *out = fit("table\nHINT: type this\n", 6, 9, 4);

    assert_string_equal(out, "tab\xe2\x80\xa6\nHINT\n: ty\npe t\nhis\n");
    free(out);
    out = fit("table\nHINT: type this\n", 6, 4, 4);
    assert_string_equal(out, "tab\xe2\x80\xa6\nHINT\n: ty\n2 m\xe2\x80\xa6\n");
    free(out);
}

/* As many lines as there are rows at most, none wider than the columns. */
static void any_text_fits_any_screen(void **state)
{
    (void)state;
    static const char PIECES[][8] = {"a",        "\n",   "\033[1m", "\033[0m",
                                     "\xc3\xa4", "\033", "\x80",    "x y"};
    char text[512];
    unsigned seed = 1;

    for (int round = 0; round < 2000; round++) {
        size_t len = 0;
        while (len < 400) {
            seed = seed * 1103515245U + 12345U;
            const char *piece = PIECES[seed / 65536U % 8];
            memcpy(text + len, piece, strlen(piece) + 1);
            len += strlen(piece);
        }
        unsigned rows = 1 + seed % 20, columns = 1 + seed / 7 % 40;
        char *out = fit(text, seed % 400, rows, columns);
        unsigned lines = 0, wide = 0;
        for (const char *p = out; *p != '\0'; p++) {
            if (*p == '\n') {
                lines++;
                wide = 0;
            } else if (p[0] == '\033' && p[1] == '[') {
                p += 1 + strspn(p + 2, "0123456789;") + 1;
            } else if (((unsigned char)*p & 0xc0U) != 0x80U) {
                wide++;
            }
            assert_true(wide <= columns);
        }
        assert_true(lines <= rows);
        free(out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_is_not_touched),
        cmocka_unit_test(a_long_line_is_cut),
        cmocka_unit_test(what_does_not_fit_is_counted),
        cmocka_unit_test(below_the_table_lines_go_on),
        cmocka_unit_test(any_text_fits_any_screen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
