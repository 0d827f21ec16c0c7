/* SPDX-License-Identifier: MIT
 *
 * sync_group: the choice between syncfs and threads, and that both report what
 * the kernel says. */
#include "tests/support/store_fixture.h"

#include "sync/replica/disk/sync_group.h"

enum { COST_SYNCFS = 100, COST_THREADS = 200 };

/* Run `groups` groups of `n` files on a disk with these costs per file;
 * returns how many went through syncfs. */
static int play(struct sync_choice *c, size_t n, int groups, int64_t syncfs_ns,
                int64_t threads_ns)
{
    int by_syncfs = 0;

    for (int i = 0; i < groups; i++) {
        enum sync_way way = sync_choice_next(c, n);
        bool s = way == SYNC_WAY_SYNCFS;
        by_syncfs += s;
        sync_choice_took(c, n, way, (s ? syncfs_ns : threads_ns) * (int64_t)n);
    }
    return by_syncfs;
}

static void the_faster_way_gets_nearly_all_groups(void **state)
{
    struct sync_choice c = {0};

    (void)state;
    assert_true(play(&c, 100, 1000, COST_SYNCFS, COST_THREADS) > 980);
    struct sync_choice d = {0};
    assert_true(play(&d, 100, 1000, COST_THREADS, COST_SYNCFS) < 20);
}

static void
the_slower_way_is_tried_again_and_wins_when_it_got_faster(void **state)
{
    struct sync_choice c = {0};

    (void)state;
    (void)play(&c, 100, 1000, COST_SYNCFS, COST_THREADS);
    /* The disk changes: threads are cheap now, syncfs is not dearer. */
    int n = play(&c, 100, 4000, COST_SYNCFS, COST_SYNCFS / 4);
    assert_true(n < 2500);
    assert_true(play(&c, 100, 1000, COST_SYNCFS, COST_SYNCFS / 4) < 50);
}

static void a_way_that_becomes_slow_is_left_at_once(void **state)
{
    struct sync_choice c = {0};

    (void)state;
    (void)play(&c, 100, 200, COST_SYNCFS, COST_THREADS);
    /* Somebody else writes gigabytes: syncfs takes a hundred times longer. */
    assert_true(play(&c, 100, 30, COST_SYNCFS * 100, COST_THREADS) <= 2);
}

static void group_sizes_are_judged_apart(void **state)
{
    struct sync_choice c = {0};

    (void)state;
    (void)play(&c, 40, 30, COST_THREADS, COST_SYNCFS);
    (void)play(&c, 500, 30, COST_SYNCFS, COST_THREADS);
    assert_int_equal(sync_choice_next(&c, 40), SYNC_WAY_THREADS);
    assert_int_equal(sync_choice_next(&c, 500), SYNC_WAY_SYNCFS);
}

/* Live changes do not wait for what others wrote. */
static void a_small_group_never_goes_through_syncfs(void **state)
{
    struct sync_choice c = {0};

    (void)state;
    assert_int_equal(
        play(&c, SYNC_GROUP_MANY - 1, 5000, COST_SYNCFS, COST_THREADS), 0);
}

enum { FILES = 40 };

static void groups_of_all_sizes_are_synced(void **state)
{
    struct fixture *f = *state;
    struct sync_group *g = sync_group_new(f->fd);
    int fds[FILES];

    assert_non_null(g);
    for (int i = 0; i < FILES; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "f%d", i);
        put_text(f->fd, name, "x");
        fds[i] = openat(f->fd, name, O_WRONLY | O_CLOEXEC);
        assert_true(fds[i] >= 0);
    }
    /* Twice each size: once by syncfs, once by threads. */
    for (size_t n = 0; n <= FILES; n++) {
        assert_int_equal(sync_group_run(g, fds, n, &f->err), 0);
        assert_int_equal(sync_group_run(g, fds, n, &f->err), 0);
    }
    assert_int_equal(sync_group_all(g, &f->err), 0);
    for (int i = 0; i < FILES; i++) {
        (void)close(fds[i]);
    }
    sync_group_free(g);
}

/* fsync of a pipe is EINVAL: a stand-in for a failing disk. */
static void one_failure_fails_the_group(void **state)
{
    struct fixture *f = *state;
    int pipe_fds[2], fds[FILES];

    assert_int_equal(pipe(pipe_fds), 0);
    for (int i = 0; i < FILES; i++) {
        fds[i] = f->fd;
    }
    fds[0] = pipe_fds[1];
    struct sync_group *g = sync_group_new(f->fd);
    assert_non_null(g);
    assert_int_equal(sync_group_run(g, fds, SYNC_GROUP_FEW, &f->err), ERR_IO);
    assert_int_equal(f->err.sys, EINVAL);
    /* syncfs comes first and does not look at single files ... */
    assert_int_equal(sync_group_run(g, fds, FILES, &f->err), 0);
    memset(&f->err, 0, sizeof f->err);
    /* ... then the threads. */
    assert_int_equal(sync_group_run(g, fds, FILES, &f->err), ERR_IO);
    assert_int_equal(f->err.sys, EINVAL);
    sync_group_free(g);
    (void)close(pipe_fds[0]);
    (void)close(pipe_fds[1]);
}

/* syncfs tells of a lost write once, whichever file it was: the next group may
 * hold that file, so it must be asked itself.  syncfs on O_PATH is EBADF. */
static void after_a_failed_syncfs_each_file_is_asked(void **state)
{
    struct fixture *f = *state;
    int pipe_fds[2], fds[FILES];
    int path_fd = open(f->path, O_PATH | O_DIRECTORY | O_CLOEXEC);

    assert_true(path_fd >= 0);
    assert_int_equal(pipe(pipe_fds), 0);
    for (int i = 0; i < FILES; i++) {
        fds[i] = f->fd;
    }
    struct sync_group *g = sync_group_new(path_fd);
    assert_non_null(g);
    assert_true(sync_group_run(g, fds, FILES, &f->err) < 0);
    assert_int_equal(f->err.sys, EBADF);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(sync_group_run(g, fds, FILES, &f->err), 0);
    }
    fds[FILES - 1] = pipe_fds[1];
    assert_int_equal(sync_group_run(g, fds, FILES, &f->err), ERR_IO);
    assert_int_equal(f->err.sys, EINVAL);
    sync_group_free(g);
    (void)close(path_fd);
    (void)close(pipe_fds[0]);
    (void)close(pipe_fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_faster_way_gets_nearly_all_groups),
        cmocka_unit_test(
            the_slower_way_is_tried_again_and_wins_when_it_got_faster),
        cmocka_unit_test(a_way_that_becomes_slow_is_left_at_once),
        cmocka_unit_test(group_sizes_are_judged_apart),
        cmocka_unit_test(a_small_group_never_goes_through_syncfs),
        FIXTURE_TEST(groups_of_all_sizes_are_synced),
        FIXTURE_TEST(one_failure_fails_the_group),
        FIXTURE_TEST(after_a_failed_syncfs_each_file_is_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
