/* SPDX-License-Identifier: MIT
 *
 * as_user: here, in a child that is somebody else, and what a child that is
 * lost leaves. */
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/check/as_user.h"

enum { MANY = 2000 };

static void say_who(void *arg, struct findings *out)
{
    (void)arg;
    finding_ok(out, "who", "%u", (unsigned)geteuid());
}

static void say_much(void *arg, struct findings *out)
{
    (void)arg;
    for (int i = 0; i < MANY; i++) {
        finding_ok(out, "line", "%d of the lines that a pipe cannot hold", i);
    }
}

static void die(void *arg, struct findings *out)
{
    (void)arg;
    finding_ok(out, "lost", "never seen");
    (void)kill(getpid(), SIGKILL);
}

static void one_s_own_rights_need_no_child(void **state)
{
    struct findings f = FINDINGS_NULL;
    struct err err = {0};

    (void)state;
    assert_int_equal(as_user(geteuid(), say_who, NULL, &f, &err), 0);
    assert_int_equal(f.count, 1);
    findings_deinit(&f);
}

static void another_user_looks_in_a_child(void **state)
{
    struct findings f = FINDINGS_NULL;
    struct err err = {0};
    const struct passwd *pw = getpwnam("nobody");

    (void)state;
    if (geteuid() != 0 || pw == NULL) {
        print_message("skipped: only root can become another user\n");
        skip();
    }
    uid_t uid = pw->pw_uid;
    f.replica = "eu-1";
    assert_int_equal(as_user(uid, say_who, NULL, &f, &err), 0);
    assert_string_equal(f.list[0].text, "65534");
    assert_string_equal(f.list[0].replica, "eu-1");
    assert_int_equal(as_user(uid, say_much, NULL, &f, &err), 0);
    assert_int_equal(f.count, MANY + 1);
    assert_int_equal(as_user(uid, die, NULL, &f, &err), ERR_IO);
    assert_int_equal(f.count, MANY + 1);
    findings_deinit(&f);
}

static void a_number_without_an_account_is_refused(void **state)
{
    struct findings f = FINDINGS_NULL;
    struct err err = {0};

    (void)state;
    assert_int_equal(as_user(3999999, say_who, NULL, &f, &err), ERR_NOTFOUND);
    assert_int_equal(f.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_s_own_rights_need_no_child),
        cmocka_unit_test(another_user_looks_in_a_child),
        cmocka_unit_test(a_number_without_an_account_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
