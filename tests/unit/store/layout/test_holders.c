/* SPDX-License-Identifier: MIT
 *
 * Who holds a lock: asked for at a bounded cost. */
#include "tests/support/store_fixture.h"

#include "store/base/clock.h"
#include "store/layout/holders.h"
#include "store/layout/lock.h"

enum { TAKES_MS = 5 };

static int64_t now_ms;
static pid_t answer;

int64_t __wrap_clock_mono_ns(void);
int64_t __wrap_clock_mono_ns(void)
{
    return now_ms * NS_PER_MS;
}

pid_t __wrap_lock_holder(const struct stat *st, int exclusive_only,
                         char comm[16]);
pid_t __wrap_lock_holder(const struct stat *st, int exclusive_only,
                         char comm[16])
{
    assert_int_equal(exclusive_only, 1);
    assert_true(st->st_dev == 7);
    now_ms += TAKES_MS;
    (void)snprintf(comm, 16, "%s", answer != 0 ? "app" : "");
    return answer;
}

static uint32_t holder(struct holders *h, ino_t ino)
{
    char comm[16];
    uint32_t pid;

    holders_find(h, 7, ino, &pid, comm);
    assert_string_equal(comm, pid != 0 ? "app" : "");
    return pid;
}

static void an_answer_is_kept_for_a_second_and_longer_if_there_is_none(void **s)
{
    static struct holders h;

    (void)s;
    now_ms = 1000;
    answer = 42;
    holders_init(&h, 1);
    assert_int_equal(holder(&h, 5), 42);
    answer = 43;
    now_ms += 999;
    assert_int_equal(holder(&h, 5), 42);
    assert_int_equal(h.asked, 1);
    now_ms += 1;
    assert_int_equal(holder(&h, 5), 43);
    now_ms += 1000;
    answer = 44;
    assert_int_equal(holder(&h, 6), 44);
    assert_int_equal(holder(&h, 5), 43); /* old, and no turn to ask */
    assert_int_equal(holder(&h, 0), 0);
    assert_int_equal(h.asked, 3);
    holders_deinit(&h);
}

static void asking_takes_a_twentieth_of_the_time(void **s)
{
    static struct holders h;

    (void)s;
    now_ms = 1000;
    answer = 42;
    holders_init(&h, 1);
    for (ino_t ino = 1; now_ms < 11000; ino++, now_ms++) {
        (void)holder(&h, ino);
    }
    assert_in_range(h.asked * TAKES_MS, 400, 500);
    holders_deinit(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            an_answer_is_kept_for_a_second_and_longer_if_there_is_none),
        cmocka_unit_test(asking_takes_a_twentieth_of_the_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
