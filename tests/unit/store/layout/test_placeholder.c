/* SPDX-License-Identifier: MIT
 *
 * Empty files that a writer made only to lock them: told from values, never
 * locked by who reads, and waited for.  Clocks, sleeps, locks and birth times
 * go through this test. */
#include "tests/support/store_fixture.h"

#include <time.h>

#include "store/base/buf.h"
#include "store/base/clock.h"
#include "store/layout/lock.h"
#include "store/layout/placeholder.h"
#include "store/layout/value.h"
#include "store/lib/drover.h"

#define T(s) drover_text(s)
static const struct drover_bytes ROOT = {NULL, 0};

static int64_t clock_step_ns;
static long share_locks;
static bool no_btime;
static long sleeps;
static void (*on_sleep)(int dir_fd);
static int sleep_in;

int64_t __real_clock_real_ns(void);
int64_t __wrap_clock_real_ns(void);
int64_t __wrap_clock_real_ns(void)
{
    return __real_clock_real_ns() + clock_step_ns;
}

int64_t __real_clock_mono_ns(void);
int64_t __wrap_clock_mono_ns(void);
int64_t __wrap_clock_mono_ns(void)
{
    return __real_clock_mono_ns() + sleeps * 300 * NS_PER_MS;
}

/* Each sleep is 300 ms, in no time. */
void __wrap_clock_sleep_ns(int64_t ns);
void __wrap_clock_sleep_ns(int64_t ns)
{
    (void)ns;
    sleeps++;
    if (on_sleep != NULL) {
        on_sleep(sleep_in);
        on_sleep = NULL;
    }
}

int __real_flock(int fd, int how);
int __wrap_flock(int fd, int how);
int __wrap_flock(int fd, int how)
{
    share_locks += (how & LOCK_SH) != 0;
    return __real_flock(fd, how);
}

int __real_statx(int dir_fd, const char *path, int flags, unsigned mask,
                 struct statx *out);
int __wrap_statx(int dir_fd, const char *path, int flags, unsigned mask,
                 struct statx *out);
int __wrap_statx(int dir_fd, const char *path, int flags, unsigned mask,
                 struct statx *out)
{
    int rc = __real_statx(dir_fd, path, flags, mask, out);

    if (rc == 0 && no_btime) {
        out->stx_mask &= ~STATX_BTIME;
    }
    return rc;
}

struct lab {
    struct fixture f;
    struct drover *db;
};

static int setup(void **state)
{
    struct lab *l = calloc(1, sizeof *l);

    assert_non_null(l);
    fixture_begin(&l->f);
    assert_int_equal(drover_open(l->f.path, 0, &l->db, NULL), 0);
    clock_step_ns = 0;
    share_locks = sleeps = 0;
    no_btime = false;
    on_sleep = NULL;
    sleep_in = l->f.fd;
    *state = l;
    return 0;
}

static int teardown(void **state)
{
    struct lab *l = *state;

    drover_close(l->db);
    fixture_end(&l->f);
    free(l);
    return 0;
}

#define LAB_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

/* What flockd's locks do to a missing key. */
static void make(int dir_fd, const char *file)
{
    int fd =
        openat(dir_fd, file, O_CREAT | O_EXCL | O_RDONLY | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    (void)close(fd);
}

static struct stat stat_of(int dir_fd, const char *file)
{
    struct stat st;

    assert_int_equal(fstatat(dir_fd, file, &st, AT_SYMLINK_NOFOLLOW), 0);
    return st;
}

/* Both ways to ask must agree. */
static bool is_one(int dir_fd, const char *file)
{
    struct stat st = stat_of(dir_fd, file);
    int fd = openat(dir_fd, file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

    assert_true(fd >= 0);
    bool by_fd = placeholder_is(fd, &st);
    (void)close(fd);
    assert_int_equal(by_fd, placeholder_is_at(dir_fd, file, &st));
    return by_fd;
}

/* An empty value put in place by renames, the last in a later step of the
 * clock than the file was made in. */
static void rename_in(int dir_fd, const char *file)
{
    make(dir_fd, "other");
    struct stat made = stat_of(dir_fd, "other"), now;
    do {
        assert_int_equal(renameat(dir_fd, "other", dir_fd, file), 0);
        now = stat_of(dir_fd, file);
        if (clock_of_timespec(now.st_ctim) != clock_of_timespec(made.st_ctim)) {
            return;
        }
        assert_int_equal(renameat(dir_fd, file, dir_fd, "other"), 0);
    } while (true);
}

/* --- telling ------------------------------------------------------------- */

static void only_an_untouched_empty_file_is_one(void **state)
{
    struct lab *l = *state;
    int fd = l->f.fd;

    make(fd, "made.kv");
    assert_true(is_one(fd, "made.kv"));
    put_text(fd, "full.kv", "v");
    assert_false(is_one(fd, "full.kv"));
    assert_int_equal(mkdirat(fd, "dir.kv", 0755), 0);
    assert_false(is_one(fd, "dir.kv"));
    rename_in(fd, "renamed.kv");
    assert_false(is_one(fd, "renamed.kv"));

    put_text(fd, "cut.kv", "v");
    struct stat was = stat_of(fd, "cut.kv"), now;
    do {
        put_text(fd, "cut.kv", "v");
        put_text(fd, "cut.kv", "");
        now = stat_of(fd, "cut.kv");
    } while (clock_of_timespec(now.st_ctim) == clock_of_timespec(was.st_ctim));
    assert_false(is_one(fd, "cut.kv"));
}

static void without_birth_times_a_rename_still_tells(void **state)
{
    struct lab *l = *state;

    no_btime = true;
    make(l->f.fd, "made.kv");
    assert_true(is_one(l->f.fd, "made.kv"));
    rename_in(l->f.fd, "renamed.kv");
    assert_false(is_one(l->f.fd, "renamed.kv"));
}

static void an_old_one_is_a_value_also_when_the_clock_was_set(void **state)
{
    struct lab *l = *state;

    make(l->f.fd, "k.kv");
    clock_step_ns = PLACEHOLDER_NS / 2;
    assert_true(is_one(l->f.fd, "k.kv"));
    clock_step_ns = -PLACEHOLDER_NS / 2;
    assert_true(is_one(l->f.fd, "k.kv"));
    clock_step_ns = PLACEHOLDER_NS * 2;
    assert_false(is_one(l->f.fd, "k.kv"));
    /* Made "tomorrow": before the clock was set back. */
    clock_step_ns = -PLACEHOLDER_NS * 86400;
    assert_false(is_one(l->f.fd, "k.kv"));
}

static void a_value_can_be_marked(void **state)
{
    struct lab *l = *state;

    make(l->f.fd, "k.kv");
    int fd = openat(l->f.fd, "k.kv", O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    placeholder_disown(fd);
    (void)close(fd);
    assert_false(is_one(l->f.fd, "k.kv"));
    no_btime = true;
    assert_false(is_one(l->f.fd, "k.kv"));
}

/* --- reading ------------------------------------------------------------- */

static int get_len(struct lab *l, int64_t timeout_ms, size_t *len)
{
    void *v = NULL;
    int rc = drover_get(l->db, ROOT, T("k"), timeout_ms, &v, len, NULL);

    drover_free(v);
    return rc;
}

static int on_pair(void *arg, struct drover_bytes key,
                   struct drover_bytes value)
{
    (void)key, (void)value;
    ++*(int *)arg;
    return 0;
}

static void no_reader_asks_for_its_lock(void **state)
{
    struct lab *l = *state;
    struct drover_reader *r;
    struct drover_error e;
    struct buf value = BUF_NULL;
    struct large *large;
    struct reading reading;
    char out[8];
    size_t len;
    int seen = 0;

    make(l->f.fd, "k.kv");
    assert_int_equal(get_len(l, 0, &len), DROVER_E_NOTFOUND);
    assert_int_equal(
        drover_get_into(l->db, ROOT, T("k"), 0, out, sizeof out, &len, &e),
        DROVER_E_NOTFOUND);
    assert_non_null(strstr(e.message, "about to create"));
    assert_int_equal(drover_read_open(l->db, ROOT, T("k"), 0, &r, NULL, NULL),
                     DROVER_E_NOTFOUND);
    assert_int_equal(drover_each(l->db, ROOT, ROOT, 0, 0, on_pair, &seen, NULL),
                     0);
    assert_int_equal(seen, 0);
    assert_int_equal(
        value_read(l->f.fd, "k", 1, 100, &value, &reading, &l->f.err),
        READ_VALUE);
    assert_int_equal(reading.stat.size, 0);
    assert_int_equal(
        large_open(l->f.fd, "k", 1, 5, &large, &reading, &l->f.err),
        READ_CHANGING);
    assert_int_equal(share_locks, 0);
    buf_deinit(&value);
}

static void finish_it(int dir_fd)
{
    put_text(dir_fd, "temp", "value");
    assert_int_equal(renameat(dir_fd, "temp", dir_fd, "k.kv"), 0);
}

static void give_it_up(int dir_fd)
{
    assert_int_equal(unlinkat(dir_fd, "k.kv", 0), 0);
}

static void it_is_waited_for_until_it_is_a_value(void **state)
{
    struct lab *l = *state;
    size_t len = 0;

    make(l->f.fd, "k.kv");
    on_sleep = finish_it;
    assert_int_equal(get_len(l, 5000, &len), 0);
    assert_int_equal(len, 5);
    assert_int_equal(unlinkat(l->f.fd, "k.kv", 0), 0);
    make(l->f.fd, "k.kv");
    on_sleep = finish_it;
    assert_int_equal(drover_has(l->db, ROOT, T("k"), NULL), 1);
}

static void it_is_waited_for_until_it_is_gone(void **state)
{
    struct lab *l = *state;
    size_t len;

    make(l->f.fd, "k.kv");
    on_sleep = give_it_up;
    assert_int_equal(get_len(l, 5000, &len), DROVER_E_NOTFOUND);
    make(l->f.fd, "k.kv");
    on_sleep = give_it_up;
    assert_int_equal(drover_has(l->db, ROOT, T("k"), NULL), 0);
}

/* By its own clock the reader sees that it stays, whatever the wall clock
 * says meanwhile. */
static void what_stays_is_a_value(void **state)
{
    struct lab *l = *state;
    size_t len = 1;

    make(l->f.fd, "k.kv");
    assert_int_equal(get_len(l, DROVER_FOREVER, &len), 0);
    assert_int_equal(len, 0);
    assert_true(sleeps >= 3);
    sleeps = 0;
    assert_int_equal(drover_has(l->db, ROOT, T("k"), NULL), 1);
    assert_true(sleeps >= 3);
    sleeps = 0;
    assert_int_equal(get_len(l, 500, &len), DROVER_E_NOTFOUND);
}

static void one_that_is_written_in_place_is_waited_for(void **state)
{
    struct lab *l = *state;
    size_t len;

    make(l->f.fd, "k.kv");
    int writer = hold_lock(l->f.fd, "k.kv", LOCK_EX);
    assert_int_equal(get_len(l, 0, &len), DROVER_E_NOTFOUND);
    put_text(l->f.fd, "k.kv", "value");
    assert_int_equal(get_len(l, 0, &len), DROVER_E_TIMEOUT);
    (void)close(writer);
    assert_int_equal(get_len(l, 0, &len), 0);
}

/* --- writing ------------------------------------------------------------- */

/* Often enough that making the file and its rename fall into one step of the
 * clock. */
static void our_own_empty_values_are_there_at_once(void **state)
{
    struct lab *l = *state;
    size_t len = 1;

    for (int i = 0; i < 200; i++) {
        no_btime = i % 2 == 1;
        int rc = i % 3 == 0 ? drover_set(l->db, ROOT, T("k"), ROOT, 0, NULL)
                 : i % 3 == 1
                     ? drover_update(l->db, ROOT, T("k"), ROOT, 0, NULL)
                     : drover_create(l->db, ROOT, T("k"), ROOT, NULL);
        assert_int_equal(rc, 0);
        assert_int_equal(get_len(l, 0, &len), 0);
        assert_int_equal(len, 0);
        assert_int_equal(drover_has(l->db, ROOT, T("k"), NULL), 1);
        if (i % 3 == 1) {
            assert_int_equal(drover_delete(l->db, ROOT, T("k"), 0, NULL), 1);
        }
    }
    assert_int_equal(sleeps, 0);
}

static void create_does_not_wait_for_it(void **state)
{
    struct lab *l = *state;

    make(l->f.fd, "k.kv");
    assert_int_equal(drover_create(l->db, ROOT, T("k"), T("v"), NULL),
                     DROVER_E_EXISTS);
    assert_int_equal(sleeps, 0);
    assert_int_equal(stat_of(l->f.fd, "k.kv").st_size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(only_an_untouched_empty_file_is_one),
        LAB_TEST(without_birth_times_a_rename_still_tells),
        LAB_TEST(an_old_one_is_a_value_also_when_the_clock_was_set),
        LAB_TEST(a_value_can_be_marked),
        LAB_TEST(no_reader_asks_for_its_lock),
        LAB_TEST(it_is_waited_for_until_it_is_a_value),
        LAB_TEST(it_is_waited_for_until_it_is_gone),
        LAB_TEST(what_stays_is_a_value),
        LAB_TEST(one_that_is_written_in_place_is_waited_for),
        LAB_TEST(our_own_empty_values_are_there_at_once),
        LAB_TEST(create_does_not_wait_for_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
