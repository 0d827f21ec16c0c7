/* SPDX-License-Identifier: MIT
 *
 * Locks on key files: kinds, deadlines, replaced inodes, holders. */
#include "tests/support/store_fixture.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/layout/lock.h"

static void share_locks_go_together_and_stop_exclusive(void **state)
{
    struct fixture *f = *state;
    struct stat st;

    put_text(f->fd, "k.kv", "v");
    int a = lock_open(f->fd, "k.kv", LOCK_SHARE, 0, &st, &f->err);
    int b = lock_open(f->fd, "k.kv", LOCK_SHARE, 0, NULL, &f->err);
    assert_true(a >= 0 && b >= 0);
    assert_int_equal(st.st_size, 1);
    assert_int_equal(lock_open(f->fd, "k.kv", LOCK_EXCLUSIVE, 0, NULL, &f->err),
                     ERR_TIMEOUT);
    assert_non_null(strstr(f->err.msg, "k.kv"));
    (void)close(a);
    (void)close(b);
    a = lock_open(f->fd, "k.kv", LOCK_EXCLUSIVE, 0, NULL, &f->err);
    assert_true(a >= 0);
    assert_int_equal(lock_open(f->fd, "k.kv", LOCK_SHARE, 0, NULL, &f->err),
                     ERR_TIMEOUT);
    (void)close(a);
}

static void a_deadline_is_waited_for_and_kept(void **state)
{
    struct fixture *f = *state;

    put_text(f->fd, "k.kv", "v");
    int held = hold_lock(f->fd, "k.kv", LOCK_EX);
    int64_t t0 = clock_mono_ns();
    assert_int_equal(lock_open(f->fd, "k.kv", LOCK_SHARE, 30, NULL, &f->err),
                     ERR_TIMEOUT);
    assert_true(clock_mono_ns() - t0 >= 30 * NS_PER_MS);
    (void)close(held);
}

static void a_missing_key_is_not_made(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(
        lock_open(f->fd, "k.kv", LOCK_EXCLUSIVE, LOCK_FOREVER, NULL, &f->err),
        ERR_NOTFOUND);
    assert_false(exists(f->fd, "k.kv"));
}

static void only_regular_files_are_locked(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"dir.kv", "fifo.kv", "link.kv"};

    put_text(f->fd, "k.kv", "v");
    assert_int_equal(mkdirat(f->fd, "dir.kv", 0755), 0);
    assert_int_equal(mkfifoat(f->fd, "fifo.kv", 0600), 0);
    assert_int_equal(symlinkat("k.kv", f->fd, "link.kv"), 0);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(
            lock_open(f->fd, names[i], LOCK_SHARE, 0, NULL, &f->err),
            ERR_NOTTABLE);
    }
}

static int try_once(struct fixture *f, const char *file)
{
    CLEANUP(fd_closep) int fd = -1;
    struct stat st;
    int rc = lock_file(f->fd, file, 0, &fd, &f->err);

    return rc != 0 ? rc
                   : lock_try(f->fd, file, fd, LOCK_EXCLUSIVE, &st, &f->err);
}

static void one_try_says_what_is_in_the_way(void **state)
{
    struct fixture *f = *state;

    put_text(f->fd, "k.kv", "v");
    assert_int_equal(mkdirat(f->fd, "dir.kv", 0755), 0);
    assert_int_equal(mkfifoat(f->fd, "fifo.kv", 0600), 0);
    assert_int_equal(symlinkat("k.kv", f->fd, "link.kv"), 0);
    assert_int_equal(try_once(f, "k.kv"), LOCK_GRANTED);
    int held = hold_lock(f->fd, "k.kv", LOCK_SH);
    assert_int_equal(try_once(f, "k.kv"), LOCK_BUSY);
    (void)close(held);
    assert_int_equal(try_once(f, "none.kv"), LOCK_ABSENT);
    assert_int_equal(f->err.code, ERR_NOTFOUND);
    assert_int_equal(try_once(f, "dir.kv"), LOCK_DIRECTORY);
    assert_int_equal(f->err.code, ERR_NOTTABLE);
    assert_int_equal(try_once(f, "fifo.kv"), LOCK_NOT_A_FILE);
    assert_int_equal(f->err.code, ERR_NOTTABLE);
    assert_int_equal(try_once(f, "link.kv"), LOCK_NOT_A_FILE);
    assert_int_equal(f->err.code, ERR_NOTTABLE);
}

static void one_try_does_not_take_another_file_for_the_key(void **state)
{
    struct fixture *f = *state;
    CLEANUP(fd_closep) int fd = -1;
    struct stat st;

    put_text(f->fd, "k.kv", "old");
    put_text(f->fd, "new", "new");
    assert_int_equal(lock_file(f->fd, "k.kv", 0, &fd, &f->err), 0);
    assert_int_equal(renameat(f->fd, "new", f->fd, "k.kv"), 0);
    assert_int_equal(lock_try(f->fd, "k.kv", fd, LOCK_SHARE, &st, &f->err),
                     LOCK_STALE);
    assert_int_equal(unlinkat(f->fd, "k.kv", 0), 0);
    assert_int_equal(lock_try(f->fd, "k.kv", fd, LOCK_SHARE, &st, &f->err),
                     LOCK_STALE);
}

struct waiter {
    struct fixture *f;
    struct stat st;
    struct err err;
    int fd;
};

static void *wait_share(void *arg)
{
    struct waiter *w = arg;

    w->fd = lock_open(w->f->fd, "k.kv", LOCK_SHARE, 20000, &w->st, &w->err);
    return NULL;
}

/* Return once some descriptor besides `held` is open on its file: the waiter's.
 * From then on it can only wait, for the lock is ours. */
static void wait_until_opened(int held)
{
    struct stat want;
    bool found = false;

    assert_int_equal(fstat(held, &want), 0);
    while (!found) {
        DIR *dir = opendir("/proc/self/fd");
        assert_non_null(dir);
        for (struct dirent *e; (e = readdir(dir)) != NULL;) {
            int fd = (int)strtol(e->d_name, NULL, 10);
            struct stat st;
            char path[300];
            (void)snprintf(path, sizeof path, "/proc/self/fd/%s", e->d_name);
            found |= fd != held && e->d_name[0] != '.' &&
                     stat(path, &st) == 0 && st.st_ino == want.st_ino &&
                     st.st_dev == want.st_dev;
        }
        (void)closedir(dir);
    }
}

/* The old inode stays locked for ever; only noticing the new one ends it. */
static void a_waiter_follows_the_name_to_the_new_inode(void **state)
{
    struct fixture *f = *state;
    struct waiter w = {.f = f};
    struct stat st;
    pthread_t thread;

    put_text(f->fd, "k.kv", "old");
    put_text(f->fd, "new", "newer");
    int held = hold_lock(f->fd, "k.kv", LOCK_EX);
    assert_int_equal(pthread_create(&thread, NULL, wait_share, &w), 0);
    wait_until_opened(held);
    assert_int_equal(renameat(f->fd, "new", f->fd, "k.kv"), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(w.fd >= 0);
    assert_int_equal(fstatat(f->fd, "k.kv", &st, 0), 0);
    assert_int_equal(w.st.st_ino, st.st_ino);
    (void)close(w.fd);
    (void)close(held);
}

static void a_waiter_learns_that_the_key_was_removed(void **state)
{
    struct fixture *f = *state;
    struct waiter w = {.f = f};
    pthread_t thread;

    put_text(f->fd, "k.kv", "old");
    int held = hold_lock(f->fd, "k.kv", LOCK_EX);
    assert_int_equal(pthread_create(&thread, NULL, wait_share, &w), 0);
    wait_until_opened(held);
    assert_int_equal(unlinkat(f->fd, "k.kv", 0), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(w.fd, ERR_NOTFOUND);
    (void)close(held);
}

struct crowd {
    struct fixture *f;
    int inside;   /* how many believe to have the lock; atomic */
    int overlaps; /* how often it was more than one; atomic */
    int passed;   /* atomic */
};

/* Lock, be alone, replace the file: the next one may come to a file that has
 * lost its name, and must not believe its lock. */
static void *replace_often(void *arg)
{
    struct crowd *c = arg;
    char temp[32];

    for (int i = 0; i < 500; i++) {
        struct err err;
        int fd = lock_open(c->f->fd, "k.kv", LOCK_EXCLUSIVE, LOCK_FOREVER, NULL,
                           &err);
        if (fd < 0) {
            return NULL;
        }
        if (__atomic_add_fetch(&c->inside, 1, __ATOMIC_ACQ_REL) != 1) {
            __atomic_add_fetch(&c->overlaps, 1, __ATOMIC_RELAXED);
        }
        (void)snprintf(temp, sizeof temp, "temp-%lx",
                       (unsigned long)pthread_self());
        int made = openat(c->f->fd, temp, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        (void)close(made);
        (void)sched_yield();
        __atomic_sub_fetch(&c->inside, 1, __ATOMIC_ACQ_REL);
        (void)renameat(c->f->fd, temp, c->f->fd, "k.kv");
        (void)close(fd);
        __atomic_add_fetch(&c->passed, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void a_lock_on_a_replaced_inode_is_not_believed(void **state)
{
    struct crowd c = {.f = *state};
    pthread_t threads[4];

    put_text(c.f->fd, "k.kv", "v");
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, replace_often, &c),
                         0);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(c.passed, 2000);
    assert_int_equal(c.overlaps, 0);
}

static void the_holder_is_found_by_inode_and_kind(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    char comm[16];

    put_text(f->fd, "k.kv", "v");
    int held = lock_open(f->fd, "k.kv", LOCK_SHARE, 0, &st, &f->err);
    assert_true(held >= 0);
    pid_t pid = lock_holder(&st, 0, comm);
    if (pid == 0) {
        (void)close(held);
        print_message("skipped: /proc/locks does not show our locks here\n");
        skip();
    }
    assert_int_equal(pid, getpid());
    assert_string_not_equal(comm, "");
    assert_int_equal(lock_holder(&st, 1, comm), 0);
    assert_string_equal(comm, "");
    (void)close(held);
    assert_int_equal(lock_holder(&st, 0, comm), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(share_locks_go_together_and_stop_exclusive),
        FIXTURE_TEST(a_deadline_is_waited_for_and_kept),
        FIXTURE_TEST(a_missing_key_is_not_made),
        FIXTURE_TEST(only_regular_files_are_locked),
        FIXTURE_TEST(one_try_says_what_is_in_the_way),
        FIXTURE_TEST(one_try_does_not_take_another_file_for_the_key),
        FIXTURE_TEST(a_waiter_follows_the_name_to_the_new_inode),
        FIXTURE_TEST(a_waiter_learns_that_the_key_was_removed),
        FIXTURE_TEST(a_lock_on_a_replaced_inode_is_not_believed),
        FIXTURE_TEST(the_holder_is_found_by_inode_and_kind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
