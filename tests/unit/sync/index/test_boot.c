/* SPDX-License-Identifier: MIT
 *
 * The boot and the mount are told from others, and the write-back time is never
 * shorter than what the kernel may take.
 */
#include "tests/support/store_fixture.h"

#include <string.h>

#include "store/base/clock.h"
#include "sync/index/boot.h"

static void a_boot_is_itself_and_no_other(void **state)
{
    struct fixture *f = *state;
    struct boot a, b, none = {.mount = 0};

    boot_now(f->fd, &a);
    boot_now(f->fd, &b);
    assert_true(memcmp(a.id, none.id, sizeof a.id) != 0);
    assert_true(boot_same(&a, &b));
    assert_true(a.mount == b.mount);
    b.id[0] ^= 1;
    assert_false(boot_same(&a, &b));
    assert_false(boot_same(&none, &none));
}

static void another_mount_is_another_life(void **state)
{
    (void)state;
    struct boot a = {.id = {1}, .mount = 7}, b = a;

    b.mount = 8;
    assert_false(boot_same(&a, &b));
    b.mount = 0; /* not known */
    assert_true(boot_same(&a, &b));
    assert_true(boot_same(&b, &a));
}

static void write_back_takes_what_the_kernel_says_and_a_margin(void **state)
{
    (void)state;
    /* expire and interval, twice, and the file system's log */
    assert_true(boot_writeback_ns(3000, 500) == 100 * NS_PER_S);
    assert_true(boot_writeback_ns(60000, 6000) == 1350 * NS_PER_S);
    /* never shorter than by default, also when it cannot be read */
    assert_true(boot_writeback_ns(1, 1) == 100 * NS_PER_S);
    assert_true(boot_writeback_ns(-1, -1) == 100 * NS_PER_S);
    /* no rounds: age makes nothing durable */
    assert_true(boot_writeback_ns(3000, 0) == INT64_MAX);
    assert_true(boot_writeback_ns(INT64_MAX, 500) == INT64_MAX);
    assert_true(boot_writeback_ns(3000, INT64_MAX) == INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_boot_is_itself_and_no_other),
        cmocka_unit_test(another_mount_is_another_life),
        cmocka_unit_test(write_back_takes_what_the_kernel_says_and_a_margin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
