/* SPDX-License-Identifier: MIT
 *
 * finding_show: the screen, the object and the exit code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sync/check/finding_show.h"

static char *printed(const struct findings *f, bool quiet)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    assert_non_null(out);
    findings_print(f, quiet, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void fill(struct findings *f)
{
    finding_ok(f, "path", "/srv/db, 3 tables, ext4");
    f->replica = "eu-1";
    finding_fail(f, "login", 205, "on eu-1: journalctl -u ssh -n 20",
                 "eu-1, login: the host refused the key, and so this is a text "
                 "that goes on");
    f->replica = NULL;
}

static void lines_fit_the_screen(void **state)
{
    struct findings f = FINDINGS_NULL;

    (void)state;
    fill(&f);
    char *text = printed(&f, false);
    assert_string_equal(
        text,
        "ok    path           /srv/db, 3 tables, ext4\n"
        "eu-1:\n"
        "fail  login          DR-205 eu-1, login: the host refused the key, "
        "and so this\n"
        "                     is a text that goes on\n"
        "      HINT: on eu-1: journalctl -u ssh -n 20\n"
        "1 ok, 0 warnings, 1 failure\n");
    for (const char *p = text; *p != '\0'; p += strcspn(p, "\n") + 1) {
        assert_true(strcspn(p, "\n") < 80);
    }
    free(text);
    text = printed(&f, true);
    assert_null(strstr(text, "ok"));
    assert_non_null(strstr(text, "fail  login"));
    free(text);
    f.bad = true;
    text = printed(&f, false);
    assert_non_null(strstr(text, "out of memory"));
    free(text);
    findings_deinit(&f);
}

static void the_object_has_every_line(void **state)
{
    struct findings f = FINDINGS_NULL;
    struct buf b = BUF_NULL;
    struct json_out j = {.buf = &b};

    (void)state;
    fill(&f);
    json_begin_object(&j, NULL);
    findings_json(&f, &j);
    json_end_object(&j);
    buf_u8(&b, '\0');
    assert_false(b.bad);
    assert_string_equal(
        (const char *)b.data,
        "{\"verdict\":\"fail\",\"ok\":1,\"warn\":0,\"fail\":1,\"findings\":["
        "{\"replica\":null,\"level\":\"ok\",\"what\":\"path\",\"text\":"
        "\"/srv/db, 3 tables, ext4\",\"id\":null,\"hint\":null},"
        "{\"replica\":\"eu-1\",\"level\":\"fail\",\"what\":\"login\",\"text\":"
        "\"eu-1, login: the host refused the key, and so this is a text that "
        "goes on\",\"id\":205,\"hint\":\"on eu-1: journalctl -u ssh -n "
        "20\"}]}");
    buf_deinit(&b);
    findings_deinit(&f);
}

static void a_warning_fails_when_asked_to(void **state)
{
    struct findings f = FINDINGS_NULL;

    (void)state;
    finding_ok(&f, "a", "b");
    assert_int_equal(findings_exit(&f, true), 0);
    finding_warn(&f, "a", 0, "", "b");
    assert_int_equal(findings_exit(&f, false), 0);
    assert_int_equal(findings_exit(&f, true), 1);
    finding_fail(&f, "a", 0, "", "b");
    assert_int_equal(findings_exit(&f, false), 1);
    findings_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_fit_the_screen),
        cmocka_unit_test(the_object_has_every_line),
        cmocka_unit_test(a_warning_fails_when_asked_to),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
