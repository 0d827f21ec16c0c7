/* SPDX-License-Identifier: MIT
 *
 * stages and tables: nothing counts as durable that is not.  fsync() and
 * syncfs() of the modules come to this file. */
#include "store_fixture.h"

#include <stdatomic.h>

#include "sync/replica/stages.h"
#include "sync/replica/tables.h"

/* Descriptors that were synced, and the one call that is to fail. */
static struct {
    atomic_int calls;
    int fails_at; /* 0: none */
    ino_t synced[1200];
} disk;

int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
    struct stat st;

    assert_int_equal(fstat(fd, &st), 0);
    int call = ++disk.calls;
    if (call == disk.fails_at) {
        errno = ENOSPC;
        return -1;
    }
    disk.synced[call] = st.st_ino;
    return 0;
}

static void forget_syncs(void)
{
    disk.calls = 0;
    disk.fails_at = 0;
    memset(disk.synced, 0, sizeof disk.synced);
}

/* After a failure each file is asked by itself. */
int __wrap_syncfs(int fd);
int __wrap_syncfs(int fd)
{
    (void)fd;
    errno = EIO;
    return -1;
}

struct rig {
    struct fixture f;
    struct sync_group *sync;
    struct stages stages;
    struct db db;
    struct tables tables;
};

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof *r);
    struct meta_modes m = {
        .dir_mode = 02750, .file_mode = 0640, .group = (gid_t)-1};

    assert_non_null(r);
    forget_syncs();
    fixture_begin(&r->f);
    assert_int_equal(db_open(&r->db, r->f.path, false, &r->f.err), 0);
    r->sync = sync_group_new(r->f.fd);
    assert_non_null(r->sync);
    assert_int_equal(sync_group_all(r->sync, &r->f.err), ERR_IO);
    assert_int_equal(stages_init(&r->stages, r->f.fd, &m, r->sync, &r->f.err),
                     0);
    tables_init(&r->tables, &r->db, &m, r->sync);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;

    tables_deinit(&r->tables);
    stages_deinit(&r->stages);
    sync_group_free(r->sync);
    db_close(&r->db);
    fixture_end(&r->f);
    free(r);
    return 0;
}

static ino_t inode(const struct rig *r, uint64_t number)
{
    char name[STAGE_NAME_BYTES];
    struct stat st;

    stages_name(number, name);
    assert_int_equal(fstatat(r->f.fd, name, &st, 0), 0);
    return st.st_ino;
}

static void put(struct rig *r, uint64_t number)
{
    assert_int_equal(stages_begin(&r->stages, number, 1, &r->f.err), 0);
    assert_int_equal(stages_write(&r->stages, number, "v", 1, &r->f.err), 0);
}

static void a_value_is_durable_before_its_descriptor_is_closed(void **state)
{
    struct rig *r = *state;
    uint64_t numbers[] = {1, 2};

    r->stages.open_max = 1;
    put(r, 1);
    assert_int_equal(stages_end(&r->stages, 1, &r->f.err), 0);
    assert_int_equal(disk.calls, 0);
    put(r, 2);
    assert_int_equal(stages_end(&r->stages, 2, &r->f.err), 0);
    assert_int_equal(disk.calls, 1);
    assert_int_equal(disk.synced[1], inode(r, 2));
    /* The sync of the group has the other one left to do. */
    assert_int_equal(stages_sync(&r->stages, numbers, 2, &r->f.err), 0);
    assert_int_equal(disk.calls, 2);
    assert_int_equal(disk.synced[2], inode(r, 1));
}

static void a_value_that_cannot_be_synced_early_is_refused(void **state)
{
    struct rig *r = *state;

    r->stages.open_max = 0;
    disk.fails_at = 1;
    put(r, 1);
    assert_int_equal(stages_end(&r->stages, 1, &r->f.err), ERR_NOSPACE);
    stages_drop(&r->stages, 1);
    assert_int_equal(stages_count(r->f.fd), 0);
    assert_int_equal(r->stages.open, 0);
}

static void a_failed_sync_drops_all_values_of_its_group(void **state)
{
    struct rig *r = *state;
    uint64_t numbers[] = {1, 2, 3};

    for (uint64_t n = 1; n <= 3; n++) {
        put(r, n);
        assert_int_equal(stages_end(&r->stages, n, &r->f.err), 0);
    }
    disk.fails_at = 2;
    assert_int_equal(stages_sync(&r->stages, numbers, 3, &r->f.err),
                     ERR_NOSPACE);
    assert_int_equal(stages_count(r->f.fd), 0);
    assert_int_equal(r->stages.open, 0);
    stages_drop(&r->stages, 1); /* once more is harmless */
}

static void what_was_reserved_and_not_used_is_given_back(void **state)
{
    struct rig *r = *state;
    char name[STAGE_NAME_BYTES];
    struct stat st;

    assert_int_equal(stages_begin(&r->stages, 1, 8 << 20, &r->f.err), 0);
    assert_int_equal(stages_write(&r->stages, 1, "v", 1, &r->f.err), 0);
    assert_int_equal(stages_end(&r->stages, 1, &r->f.err), 0);
    stages_name(1, name);
    assert_int_equal(fstatat(r->f.fd, name, &st, 0), 0);
    assert_int_equal(st.st_size, 1);
    assert_true(st.st_blocks * 512 < 1 << 20);
}

static bool is_in(const struct rig *r, const char *dir, uint64_t number)
{
    char name[STAGE_NAME_BYTES], path[STAGE_NAME_BYTES + 8];
    struct stat st;

    stages_name(number, name);
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    return fstatat(r->f.fd, path, &st, 0) == 0;
}

static void many_values_are_spread_over_directories(void **state)
{
    struct rig *r = *state;
    const uint64_t numbers[] = {999, 1000, 7999, 8000};
    const char *const dirs[] = {".", "1", "7", "."};

    for (size_t i = 0; i < 4; i++) {
        put(r, numbers[i]);
        assert_int_equal(stages_end(&r->stages, numbers[i], &r->f.err), 0);
        assert_true(is_in(r, dirs[i], numbers[i]));
        assert_true(stages_dir(&r->stages, numbers[i]) >= 0);
    }
    assert_int_equal(stages_sync(&r->stages, numbers, 4, &r->f.err), 0);
    assert_int_equal(stages_count(r->f.fd), 4);
    stages_drop(&r->stages, 1000);
    assert_false(is_in(r, "1", 1000));
    assert_int_equal(stages_count(r->f.fd), 3);
    stages_drop(&r->stages, 7999);
    stages_deinit(&r->stages);
    /* Where nothing is left, the directory goes with the session. */
    assert_false(exists(r->f.fd, "1"));
    assert_false(exists(r->f.fd, "7"));
    assert_int_equal(stages_count(r->f.fd), 2);
    assert_int_equal(
        stages_init(&r->stages, r->f.fd, &r->stages.modes, r->sync, &r->f.err),
        0);
}

static void a_sweep_takes_the_directories_along(void **state)
{
    struct rig *r = *state;

    put(r, 1);
    put(r, 1000);
    put(r, 2000);
    assert_int_equal(mkdirat(r->f.fd, "theirs", 0755), 0);
    put_text(r->f.fd, "theirs/file", "not a value");
    assert_int_equal(stages_sweep(r->f.fd, &r->f.err), 0);
    assert_false(exists(r->f.fd, "1"));
    assert_false(exists(r->f.fd, "2"));
    assert_true(exists(r->f.fd, "theirs/file"));
    assert_true(stages_lost(&r->stages));
}

static void a_new_value_has_its_mode_whatever_the_directory_gives(void **state)
{
    struct rig *r = *state;
    struct stat st;
    char name[STAGE_NAME_BYTES];
    mode_t was = umask(0077);

    put(r, 1);
    (void)umask(was);
    assert_int_equal(stages_end(&r->stages, 1, &r->f.err), 0);
    stages_name(1, name);
    assert_int_equal(fstatat(r->f.fd, name, &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
}

static void touch(struct rig *r, int number)
{
    char name[16];
    struct tables_one *t;

    int n = snprintf(name, sizeof name, "t%d", number);
    assert_int_equal(
        tables_get(&r->tables, name, (size_t)n, true, &t, &r->f.err), 0);
    t->touched = true;
}

/* Those that make way are synced before they are closed. */
static void each_touched_directory_is_synced_however_many_they_are(void **state)
{
    enum { MANY = TABLES_OPEN_MAX + 40 };
    struct rig *r = *state;
    static ino_t want[MANY];
    int found = 0;

    for (int i = 0; i < MANY; i++) {
        char path[32];
        struct stat st;
        touch(r, i);
        (void)snprintf(path, sizeof path, "t%d.tbl", i);
        assert_int_equal(fstatat(r->f.fd, path, &st, 0), 0);
        want[i] = st.st_ino;
    }
    assert_int_equal(tables_sync(&r->tables, &r->f.err), 0);
    for (int i = 0; i < MANY; i++) {
        int times = 0;
        for (int k = 1; k <= disk.calls; k++) {
            times += disk.synced[k] == want[i];
        }
        found += times == 2; /* when it was made, and in the end */
    }
    assert_int_equal(found, MANY);
}

static void a_directory_that_is_let_go_is_synced_before(void **state)
{
    struct rig *r = *state;

    touch(r, 1);
    forget_syncs();
    tables_forget(&r->tables, "t1", 2);
    assert_int_equal(disk.calls, 1);
}

static void after_a_failed_directory_sync_no_later_one_is_believed(void **state)
{
    struct rig *r = *state;

    touch(r, 1);
    forget_syncs();
    disk.fails_at = 1;
    assert_int_equal(tables_sync(&r->tables, &r->f.err), ERR_NOSPACE);
    assert_int_equal(tables_sync(&r->tables, &r->f.err), ERR_NOSPACE);
    disk.fails_at = 0;
    touch(r, 2);
    assert_int_equal(tables_sync(&r->tables, &r->f.err), ERR_NOSPACE);
}

#define RIG_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(a_value_is_durable_before_its_descriptor_is_closed),
        RIG_TEST(a_value_that_cannot_be_synced_early_is_refused),
        RIG_TEST(a_failed_sync_drops_all_values_of_its_group),
        RIG_TEST(what_was_reserved_and_not_used_is_given_back),
        RIG_TEST(many_values_are_spread_over_directories),
        RIG_TEST(a_sweep_takes_the_directories_along),
        RIG_TEST(a_new_value_has_its_mode_whatever_the_directory_gives),
        RIG_TEST(each_touched_directory_is_synced_however_many_they_are),
        RIG_TEST(a_directory_that_is_let_go_is_synced_before),
        RIG_TEST(after_a_failed_directory_sync_no_later_one_is_believed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
