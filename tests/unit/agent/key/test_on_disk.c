/* SPDX-License-Identifier: MIT
 *
 * on_disk: a key's file from outside, and who holds its lock.
 */
#include "agent/key/on_disk.h"
#include "tests/support/store_fixture.h"

static struct on_disk find(const char *root, const char *table, const char *key)
{
    struct on_disk d;
    struct err err = {0};

    if (on_disk_find(root, bytes_of(table, strlen(table)),
                     bytes_of(key, strlen(key)), &d, &err) < 0) {
        fail_msg("%s", err.msg);
    }
    return d;
}

static void test_what_is_there_is_told(void **state)
{
    const struct fixture *f = *state;
    const char *root = f->path;
    int dir = f->fd;

    assert_int_equal(mkdirat(dir, "t.tbl", 0755), 0);
    int fd = openat(dir, "t.tbl/a.kv", O_CREAT | O_WRONLY, 0644);
    assert_int_equal(write(fd, "value", 5), 5);
    struct on_disk d = find(root, "t", "a");
    assert_int_equal(d.state, ON_DISK_FILE);
    assert_int_equal(d.st.st_size, 5);
    assert_int_equal(d.pid, 0);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    d = find(root, "t", "a");
    assert_int_equal(d.pid, getpid());
    assert_string_not_equal(d.comm, "");
    (void)close(fd);
    assert_int_equal(find(root, "t", "b").state, ON_DISK_ABSENT);
    assert_int_equal(find(root, "", "b").state, ON_DISK_ABSENT);
    assert_int_equal(find(root, "u", "b").state, ON_DISK_NO_TABLE);
    assert_int_equal(mkdirat(dir, "t.tbl/d.kv", 0755), 0);
    assert_int_equal(find(root, "t", "d").state, ON_DISK_OTHER);
}

static void test_a_database_that_is_not_there_is_an_error(void **state)
{
    struct on_disk d;
    struct err err;

    (void)state;
    assert_int_equal(on_disk_find("/nonexistent/db", bytes_of("", 0),
                                  bytes_of("a", 1), &d, &err),
                     ERR_NOTFOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_there_is_told,
                                        fixture_setup, fixture_teardown),
        cmocka_unit_test(test_a_database_that_is_not_there_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
