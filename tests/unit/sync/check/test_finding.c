/* SPDX-License-Identifier: MIT
 *
 * finding: the list, its verdict, and its way as bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "sync/check/finding.h"

static void fill(struct findings *f)
{
    finding_ok(f, "path", "%s is %d", "/srv", 1);
    f->replica = "eu-1";
    finding_warn(f, "clock", 0, "chronyc", "off");
    finding_fail(f, "login", 205, "ssh x", "refused");
    f->replica = NULL;
}

static void the_worst_is_the_verdict(void **state)
{
    struct findings f = FINDINGS_NULL;
    struct err err = {.id = 304, .msg = "gone"};

    (void)state;
    assert_int_equal(findings_worst(&f), FINDING_OK);
    finding_ok(&f, "a", "b");
    assert_int_equal(findings_worst(&f), FINDING_OK);
    finding_warn(&f, "a", 0, "", "b");
    assert_int_equal(findings_worst(&f), FINDING_WARN);
    finding_err(&f, FINDING_FAIL, "dir", &err, "mkdir");
    assert_int_equal(findings_worst(&f), FINDING_FAIL);
    assert_int_equal(f.list[2].id, 304);
    assert_string_equal(f.list[2].text, "gone");
    assert_int_equal(findings_count(&f, FINDING_WARN), 1);
    findings_deinit(&f);
    f.bad = true;
    assert_int_equal(findings_worst(&f), FINDING_FAIL);
}

static void a_list_travels_as_bytes(void **state)
{
    struct findings f = FINDINGS_NULL, got = FINDINGS_NULL;
    struct buf b = BUF_NULL;
    struct err err = {0};

    (void)state;
    fill(&f);
    findings_encode(&f, &b);
    assert_false(b.bad);
    assert_int_equal(findings_decode(&got, b.data, b.len, &err), 0);
    assert_int_equal(got.count, f.count);
    for (size_t i = 0; i < f.count; i++) {
        assert_int_equal(got.list[i].level, f.list[i].level);
        assert_int_equal(got.list[i].id, f.list[i].id);
        assert_string_equal(got.list[i].replica, f.list[i].replica);
        assert_string_equal(got.list[i].what, f.list[i].what);
        assert_string_equal(got.list[i].text, f.list[i].text);
        assert_string_equal(got.list[i].hint, f.list[i].hint);
    }
    findings_deinit(&got);
    /* Cut anywhere but between two, it is broken. */
    size_t whole = 0;
    for (size_t n = 0; n < b.len; n++) {
        whole += findings_decode(&got, b.data, n, &err) == 0;
        findings_deinit(&got);
    }
    assert_int_equal(whole, f.count);
    buf_deinit(&b);
    findings_deinit(&f);
}

static void what_comes_from_elsewhere_is_harmless(void **state)
{
    struct findings f = FINDINGS_NULL, got = FINDINGS_NULL;
    struct buf b = BUF_NULL;
    struct err err = {0};

    (void)state;
    finding_ok(&f, "a", "red \033[31m and\nnew");
    findings_encode(&f, &b);
    assert_int_equal(findings_decode(&got, b.data, b.len, &err), 0);
    assert_null(strchr(got.list[0].text, '\033'));
    assert_null(strchr(got.list[0].text, '\n'));
    findings_deinit(&got);
    b.data[0] = 3; /* no such level */
    assert_int_equal(findings_decode(&got, b.data, b.len, &err), ERR_PROTO);
    findings_deinit(&got);
    buf_deinit(&b);
    findings_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worst_is_the_verdict),
        cmocka_unit_test(a_list_travels_as_bytes),
        cmocka_unit_test(what_comes_from_elsewhere_is_harmless),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
