/* SPDX-License-Identifier: MIT
 *
 * Byte strings for terminals, shells and logs. */
#include "tests/support/store_fixture.h"

#include <sys/wait.h>

#include "store/base/quote.h"
#include "store/base/rand.h"

static void shell_words_are_bare_quoted_or_escaped(void **state)
{
    static const struct {
        const char *bytes;
        const char *want;
    } rows[] = {
        {"bob", "bob"},
        {"eu/users", "eu/users"},
        {"a-b_c.d:e,f+g@h%i=j", "a-b_c.d:e,f+g@h%i=j"},
        {"", "''"},
        {"a b", "'a b'"},
        {"$HOME", "'$HOME'"},
        {"it's", "'it'\\''s'"},
        {"=x", "'=x'"},
        {"~", "'~'"},
        {"\xc3\xa4", "\xc3\xa4"},
        {"a\nb", "$'a\\nb'"},
        {"\x1b[31m", "$'\\x1b[31m'"},
        {"\xff'\\", "$'\\xff\\'\\\\'"},
        {"\xc2\x9b", "$'\\xc2\\x9b'"}, /* C1: a terminal's CSI */
        {"a\xe2\x80\xae"
         "b",
         "$'a\\xe2\\x80\\xaeb'"}, /* right-to-left */
    };
    char out[200];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t len = strlen(rows[i].bytes);
        assert_string_equal(quote_shell(out, sizeof out, rows[i].bytes, len),
                            rows[i].want);
        struct buf b = BUF_NULL;
        quote_shell_buf(&b, rows[i].bytes, len);
        assert_int_equal(b.len, strlen(rows[i].want));
        assert_memory_equal(b.data, rows[i].want, b.len);
        buf_deinit(&b);
    }
}

static void a_long_text_is_cut_between_characters(void **state)
{
    char out[16];

    (void)state;
    quote_shell(out, sizeof out, "abcdefghijklmnopqrstuvwxyz", 26);
    assert_string_equal(out, "abcdefghijkl...");
    /* Two-byte characters: 12 bytes hold 6. */
    quote_shell(out, sizeof out,
                "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"
                "\xc3\xa4",
                16);
    assert_true(quote_is_utf8(out, strlen(out)));
    /* An escape is not cut in two either. */
    quote_log(out, sizeof out, "\x01\x02\x03\x04\x05", 5);
    assert_string_equal(out, "\\x01\\x02\\x03...");
}

static void log_text_has_no_line_ends_or_quotes_left(void **state)
{
    char out[100];

    (void)state;
    quote_log(out, sizeof out, "a\"b\\c\n\xff\xc3\xa4", 9);
    assert_string_equal(out, "a\\\"b\\\\c\\n\\xff\xc3\xa4");
}

static void utf8_is_judged_strictly(void **state)
{
    static const char *const good[] = {"",
                                       "a",
                                       "\xc3\xa4",
                                       "\xe2\x82\xac",
                                       "\xf0\x9f\x98\x80",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {
        "\xff",         "\xc3",         "\xc0\x80",         "\xc1\xbf",
        "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80",
        "\x80",         "a\xe2\x82"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(quote_is_utf8(good[i], strlen(good[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(quote_is_utf8(bad[i], strlen(bad[i])));
    }
}

/* What bash makes of the word is what went in. */
static void bash_reads_the_words_back(void **state)
{
    struct fixture *f = *state;
    uint64_t seed = rand_seed();
    struct prng prng = prng_of(seed);
    struct buf script = BUF_NULL;
    struct buf want = BUF_NULL;

    if (access("/bin/bash", X_OK) != 0) {
        print_message("skipped: no bash\n");
        skip();
    }
    print_message("seed %llu\n", (unsigned long long)seed);
    for (int i = 0; i < 300; i++) {
        uint8_t bytes[20];
        size_t len = prng_below(&prng, sizeof bytes);
        for (size_t k = 0; k < len; k++) {
            bytes[k] = (uint8_t)(1 + prng_below(&prng, 255));
        }
        buf_printf(&script, "printf '%%s\\0' ");
        quote_shell_buf(&script, bytes, len);
        buf_printf(&script, " >>out\n");
        buf_put(&want, bytes, len);
        buf_u8(&want, 0);
    }
    put_file(f->fd, "script", script.data, script.len);
    pid_t pid = fork();
    if (pid == 0) {
        (void)!fchdir(f->fd);
        (void)setenv("LC_ALL", "C.UTF-8", 1);
        (void)execl("/bin/bash", "bash", "script", (char *)NULL);
        _exit(127);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    uint8_t *got = malloc(want.len + 1);
    int fd = openat(f->fd, "out", O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, got, want.len + 1), (ssize_t)want.len);
    assert_memory_equal(got, want.data, want.len);
    (void)close(fd);
    free(got);
    buf_deinit(&script);
    buf_deinit(&want);
}

static void tamed_text_keeps_its_letters_and_its_length(void **state)
{
    char text[] = "it's \"a\\b\"\t\033[2J\x7f \xc3\xa4\xc2\x9b\xe2\x80\xae\xff";

    (void)state;
    quote_tame(text);
    assert_string_equal(text, "it's \"a\\b\"??[2J? \xc3\xa4??????");
}

static void any_bytes_fit_in_the_promised_room(void **state)
{
    uint8_t bytes[64];
    char out[QUOTE_ROOM(sizeof bytes)];

    (void)state;
    for (int c = 0; c < 256; c++) {
        memset(bytes, c, sizeof bytes);
        quote_shell(out, sizeof out, bytes, sizeof bytes);
        if (c != '.') {
            assert_null(strstr(out, "..."));
        }
        assert_true(quote_is_utf8(out, strlen(out)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shell_words_are_bare_quoted_or_escaped),
        cmocka_unit_test(a_long_text_is_cut_between_characters),
        cmocka_unit_test(log_text_has_no_line_ends_or_quotes_left),
        cmocka_unit_test(utf8_is_judged_strictly),
        FIXTURE_TEST(bash_reads_the_words_back),
        cmocka_unit_test(tamed_text_keeps_its_letters_and_its_length),
        cmocka_unit_test(any_bytes_fit_in_the_promised_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
