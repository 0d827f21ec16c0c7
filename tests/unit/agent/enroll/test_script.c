/* SPDX-License-Identifier: MIT
 *
 * script: its settings arrive in a shell as they are, and what it says is
 * counted.  What it does: e2e_enroll. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "plan_fixture.h"

#include "agent/enroll/script.h"
#include "store/base/cleanup.h"

#define KEY                                                                    \
    "AAAAC3NzaC1lZDI1NTE5AAAAIEp1Eo2nDdMIo4o/pbk89ubPp4NkgLxclCkPYwdBttHG"

/* The value that a shell has of the setting. */
static void value_of(const struct buf *script, const char *name, char *out,
                     size_t room)
{
    char file[] = "/tmp/drover-script-XXXXXX";
    char command[200];
    const char *end = strstr((const char *)script->data, "\n\n");
    int fd = mkstemp(file);

    assert_true(fd >= 0);
    assert_non_null(end);
    size_t n = (size_t)(end - (const char *)script->data) + 1;
    assert_int_equal(write(fd, script->data, n), (ssize_t)n);
    (void)close(fd);
    (void)snprintf(command, sizeof command,
                   "sh -c '. %s; printf %%s \"$%s\"' && rm %s", file, name,
                   file);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    out[fread(out, 1, room - 1, p)] = '\0';
    assert_int_equal(pclose(p), 0);
}

static void assert_value(const struct buf *script, const char *name,
                         const char *want)
{
    char got[1000];

    value_of(script, name, got, sizeof got);
    assert_string_equal(got, want);
}

static void settings_arrive_as_they_are(void **state)
{
    struct plan_fix *f = *state;
    CLEANUP(buf_deinit) struct buf b = BUF_NULL;

    f->request.authorized_keys = "/etc/ssh/it's $keys";
    assert_int_equal(plan_make(f, "eu:/a 'b' $c \"d\\"), 0);
    assert_int_equal(enroll_script(&f->plan, SCRIPT_ADD,
                                   "ssh-ed25519 " KEY " drover:orders@it's `x`",
                                   &b, &f->err),
                     0);
    assert_value(&b, "mode", "add");
    assert_value(&b, "user", "drover-recv");
    assert_value(&b, "dir", "/a 'b' $c \"d\\");
    assert_value(&b, "group", "orders-read");
    assert_value(&b, "dir_mode", "2750");
    assert_value(&b, "receiver", "drover-replica");
    assert_value(&b, "keys", "/etc/ssh/it's $keys");
    assert_value(&b, "key", KEY);
    assert_value(&b, "comment", "drover:orders@it's `x`");
    assert_value(&b, "receive", "receive '/a '\\''b'\\'' $c \\\"d\\'");
    CLEANUP(freep)
    char *line = enroll_authorized_line(&f->plan, "ssh-ed25519 " KEY);
    assert_value(&b, "line", line);
    /* By what removing looks for, the line is found. */
    assert_non_null(strstr(line, "receive '/a '\\''b'\\'' $c \\\"d\\'"));
}

static void what_is_no_key_is_refused(void **state)
{
    static const char *const LINES[] = {
        "",
        "ssh-ed25519",
        "ssh-ed25519 AAAA",
        "ssh-rsa " KEY,
        "ssh-ed25519 " KEY " two\nlines",
    };
    struct plan_fix *f = *state;

    assert_int_equal(plan_make(f, "eu"), 0);
    for (size_t i = 0; i < sizeof LINES / sizeof *LINES; i++) {
        CLEANUP(buf_deinit) struct buf b = BUF_NULL;
        assert_int_equal(
            enroll_script(&f->plan, SCRIPT_ADD, LINES[i], &b, &f->err),
            ERR_INVALID);
    }
}

static void it_looks_without_a_key_and_removes_without_a_group(void **state)
{
    struct plan_fix *f = *state;
    CLEANUP(buf_deinit) struct buf look = BUF_NULL;
    CLEANUP(buf_deinit) struct buf remove = BUF_NULL;

    assert_int_equal(plan_make(f, "eu"), 0);
    assert_int_equal(
        enroll_script(&f->plan, SCRIPT_CHECK, NULL, &look, &f->err), 0);
    assert_value(&look, "mode", "check");
    f->request.removing = true;
    assert_int_equal(plan_make(f, "eu"), 0);
    assert_int_equal(enroll_script(&f->plan, SCRIPT_REMOVE, "ssh-ed25519 " KEY,
                                   &remove, &f->err),
                     0);
    assert_value(&remove, "mode", "remove");
    assert_value(&remove, "group", "");
    assert_value(&remove, "receive", "receive /srv/orders");
}

static void what_it_says_is_counted(void **state)
{
    struct script_said said = {0};

    (void)state;
    assert_string_equal(script_take_line(&said, "made: group x"), "group x");
    assert_non_null(script_take_line(&said, "made: "));
    assert_non_null(script_take_line(&said, "there: y"));
    assert_non_null(script_take_line(&said, "would: z"));
    assert_non_null(script_take_line(&said, "left: z"));
    assert_non_null(script_take_line(&said, "removed: z"));
    assert_null(script_take_line(&said, "Welcome to this host"));
    assert_null(script_take_line(&said, "made"));
    assert_int_equal(said.made, 2);
    assert_false(said.made_line || said.ended);
    assert_non_null(script_take_line(&said, "there: line 3 of keys"));
    assert_false(said.made_line);
    said.there--;
    assert_non_null(script_take_line(&said, "made: a line in keys"));
    assert_true(said.made_line);
    assert_null(script_take_line(&said, "say end x"));
    assert_false(said.ended);
    assert_null(script_take_line(&said, "end: add"));
    assert_true(said.ended);
    assert_int_equal(said.there + said.would + said.left + said.removed, 4);
}

#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, plan_setup, plan_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(settings_arrive_as_they_are),
        TEST(what_is_no_key_is_refused),
        TEST(it_looks_without_a_key_and_removes_without_a_group),
        TEST(what_it_says_is_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
