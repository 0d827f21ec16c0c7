/* SPDX-License-Identifier: MIT
 *
 * A relaxed session's freshness speaks of what is on the disk: its time waits
 * for a sync of the file system that began after it was told.
 */
#include "tests/support/store_fixture.h"

#include <stdatomic.h>
#include <string.h>

#include "store/base/clock.h"
#include "sync/replica/meta/fresh.h"

/* What syncfs() of the moment does, and what was there when it began. */
static struct {
    atomic_int calls;
    atomic_bool fails;
    pthread_mutex_t gate;
} sync_lab = {.gate = PTHREAD_MUTEX_INITIALIZER};

int __wrap_syncfs(int fd);
int __wrap_syncfs(int fd)
{
    (void)fd;
    atomic_fetch_add(&sync_lab.calls, 1);
    (void)pthread_mutex_lock(&sync_lab.gate);
    (void)pthread_mutex_unlock(&sync_lab.gate);
    errno = EIO;
    return atomic_load(&sync_lab.fails) ? -1 : 0;
}

struct bench {
    struct fixture f;
    struct meta m;
    struct fresh fresh;
    atomic_uint_fast64_t changes;
};

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    struct meta_modes modes = {.dir_mode = META_DIR_MODE,
                               .file_mode = META_FILE_MODE,
                               .group = (gid_t)-1};

    assert_non_null(b);
    fixture_begin(&b->f);
    atomic_store(&sync_lab.calls, 0);
    atomic_store(&sync_lab.fails, false);
    assert_int_equal(meta_open(&b->m, b->f.path, &modes, &b->f.err), 0);
    assert_int_equal(
        fresh_init(&b->fresh, &b->m, &modes, &b->changes, &b->f.err), 0);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    fresh_deinit(&b->fresh);
    meta_close(&b->m);
    fixture_end(&b->f);
    free(b);
    return 0;
}

static int tell(struct bench *b, int64_t fresh_s)
{
    struct meta_freshness f = {.epoch = 1,
                               .seq = 1,
                               .state = "streaming",
                               .fresh_ns = fresh_s * NS_PER_S};

    return fresh_report(&b->fresh, &f, &b->f.err);
}

/* In seconds; -1: there is none. */
static int64_t told(struct bench *b)
{
    struct meta_freshness f;
    struct err err;

    return meta_freshness_read(b->m.fd, &f, &err) == 0 ? f.fresh_ns / NS_PER_S
                                                       : -1;
}

static void until_syncing(int calls)
{
    while (atomic_load(&sync_lab.calls) < calls) {
        clock_sleep_ns(NS_PER_MS);
    }
}

static void a_relaxed_time_waits_for_the_disk(void **state)
{
    struct bench *b = *state;

    assert_int_equal(fresh_begin(&b->fresh, true, &b->f.err), 0);
    (void)pthread_mutex_lock(&sync_lab.gate);
    assert_int_equal(tell(b, 5), 0);
    until_syncing(1);
    assert_true(told(b) == -1);
    /* While it syncs, something comes: the next time is not covered. */
    atomic_fetch_add(&b->changes, 1);
    assert_int_equal(tell(b, 6), 0);
    (void)pthread_mutex_unlock(&sync_lab.gate);
    while (told(b) != 5) {
        clock_sleep_ns(NS_PER_MS);
    }
    /* What waits is written at the end, after a sync of its own. */
    fresh_deinit(&b->fresh);
    assert_int_equal(atomic_load(&sync_lab.calls), 2);
    assert_true(told(b) == 6);
}

static void without_changes_no_sync_is_needed(void **state)
{
    struct bench *b = *state;

    assert_int_equal(fresh_begin(&b->fresh, true, &b->f.err), 0);
    assert_int_equal(tell(b, 5), 0);
    while (told(b) != 5) {
        clock_sleep_ns(NS_PER_MS);
    }
    for (int s = 6; s < 20; s++) {
        assert_int_equal(tell(b, s), 0);
        assert_true(told(b) == s);
    }
    assert_int_equal(atomic_load(&sync_lab.calls), 1);
}

static void a_sync_that_failed_moves_nothing_and_is_told(void **state)
{
    struct bench *b = *state;

    atomic_store(&sync_lab.fails, true);
    assert_int_equal(fresh_begin(&b->fresh, true, &b->f.err), 0);
    while (tell(b, 5) == 0) {
        clock_sleep_ns(NS_PER_MS);
    }
    assert_non_null(strstr(b->f.err.msg, "syncfs"));
    /* The kernel tells of a lost write once: that the next sync is silent
     * proves nothing, not even where nothing changes any more. */
    atomic_store(&sync_lab.fails, false);
    assert_true(tell(b, 6) < 0);
    atomic_fetch_add(&b->changes, 1);
    assert_true(tell(b, 7) < 0);
    fresh_deinit(&b->fresh);
    assert_true(told(b) == -1);
}

static void a_durable_time_waits_for_nothing(void **state)
{
    struct bench *b = *state;

    assert_int_equal(fresh_begin(&b->fresh, false, &b->f.err), 0);
    atomic_fetch_add(&b->changes, 1);
    assert_int_equal(tell(b, 5), 0);
    assert_true(told(b) == 5);
    assert_int_equal(atomic_load(&sync_lab.calls), 0);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_relaxed_time_waits_for_the_disk),
        T(without_changes_no_sync_is_needed),
        T(a_sync_that_failed_moves_nothing_and_is_told),
        T(a_durable_time_waits_for_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
