/* SPDX-License-Identifier: MIT
 *
 * lock: one at a time, the second knows of the first, and nothing but a
 * regular file is a lock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "plan_fixture.h"

#include <sys/stat.h>

#include "agent/enroll/lock.h"
#include "store/base/cleanup.h"

/* What the waiting one was told; it lets the first one go. */
struct waiting {
    char text[400];
    int *first;
};

static void told(void *arg, const char *text)
{
    struct waiting *w = arg;

    (void)snprintf(w->text, sizeof w->text, "%s", text);
    if (w->first != NULL) {
        fd_closep(w->first);
    }
}

static void the_second_knows_whom_it_waits_for(void **state)
{
    struct plan_fix *f = *state;
    char file[120], link[120], mine[40];
    CLEANUP(fd_closep) int first = -1;
    CLEANUP(fd_closep) int second = -1;
    struct waiting w = {.first = &first};

    (void)snprintf(file, sizeof file, "%s/orders.conf", f->dir);
    (void)snprintf(link, sizeof link, "%s/link.conf", f->dir);
    (void)snprintf(mine, sizeof mine, "(process %ld has ", (long)getpid());
    plan_config(f, "orders", PLAN_DATABASE);
    assert_int_equal(symlink("orders.conf", link), 0);
    assert_int_equal(enroll_lock(file, told, &w, &first, &f->err), 0);
    assert_true(first >= 0);
    assert_string_equal(w.text, "");
    /* By whatever name the file is called. */
    assert_int_equal(enroll_lock(link, told, &w, &second, &f->err), 0);
    assert_non_null(strstr(w.text, mine));
    assert_true(second >= 0);
}

static void where_there_is_nothing_to_lock_nothing_is(void **state)
{
    struct plan_fix *f = *state;
    char file[120];
    int fd = 0;

    (void)snprintf(file, sizeof file, "%s/none/known_hosts", f->dir);
    assert_int_equal(enroll_lock(file, told, NULL, &fd, &f->err), 0);
    assert_int_equal(fd, -1);
}

static void what_is_planted_in_its_place_is_refused(void **state)
{
    struct plan_fix *f = *state;
    char file[120], lock[130];
    int fd = 0;

    (void)snprintf(file, sizeof file, "%s/known_hosts", f->dir);
    (void)snprintf(lock, sizeof lock, "%s.lock", file);
    assert_int_equal(mkfifo(lock, 0600), 0);
    assert_true(enroll_lock(file, told, NULL, &fd, &f->err) < 0);
    assert_non_null(strstr(f->err.msg, lock));
    assert_int_equal(unlink(lock), 0);
    assert_int_equal(symlink("elsewhere", lock), 0);
    assert_true(enroll_lock(file, told, NULL, &fd, &f->err) < 0);
    assert_int_equal(fd, -1);
}

#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, plan_setup, plan_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_second_knows_whom_it_waits_for),
        TEST(where_there_is_nothing_to_lock_nothing_is),
        TEST(what_is_planted_in_its_place_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
