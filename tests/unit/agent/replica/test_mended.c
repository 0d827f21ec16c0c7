/* SPDX-License-Identifier: MIT
 *
 * mended: a file put right in each way there is, and which errors it is looked
 * at for. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/replica/mended.h"
#include "store/base/cleanup.h"
#include "sync/errors/state.h"

static char dir[] = "/tmp/drover-mended.XXXXXX";
static char key[100], hosts[100], program[100], other[100];

static char WORD[] = "drover-no-such-program";
static char *by_path[] = {program, NULL};
static char *by_name[] = {WORD, NULL};

static const struct config_replica SSH = {
    .kind = REPLICA_SSH, .identity = key, .known_hosts = hosts};
static const struct config_replica BY_PATH = {
    .kind = REPLICA_EXEC, .argv = by_path, .known_hosts = hosts};
static const struct config_replica BY_NAME = {
    .kind = REPLICA_EXEC, .argv = by_name, .known_hosts = hosts};

static void make(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
    (void)state;
    memcpy(strchr(dir, 'X'), "XXXXXX", 6);
    assert_non_null(mkdtemp(dir));
    (void)snprintf(key, sizeof key, "%s/key", dir);
    (void)snprintf(hosts, sizeof hosts, "%s/hosts", dir);
    (void)snprintf(program, sizeof program, "%s/%s", dir, WORD);
    (void)snprintf(other, sizeof other, "%s/other", dir);
    make(key, "a");
    make(hosts, "a");
    make(program, "a");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    (void)unlink(key);
    (void)unlink(hosts);
    (void)unlink(program);
    (void)unlink(other);
    assert_int_equal(rmdir(dir), 0);
    /* for the next setup */
    (void)snprintf(dir, sizeof dir, "/tmp/drover-mended.XXXXXX");
    return 0;
}

static bool since(const struct mended *m, int id)
{
    return mended_since(m, &SSH, id);
}

static void each_file_counts_for_its_own_errors(void **state)
{
    struct mended m;

    (void)state;
    mended_note(&m, &SSH);
    assert_false(since(&m, DR_KEY_FILE));
    assert_false(since(&m, DR_KNOWN_HOSTS));
    make(key, "longer");
    assert_true(since(&m, DR_KEY_FILE));
    assert_true(since(&m, DR_AUTH));
    assert_true(since(&m, DR_RSA_KEY));
    assert_false(since(&m, DR_KNOWN_HOSTS));
    assert_false(since(&m, DR_CONNECT));
    assert_false(since(&m, 0));
    mended_note(&m, &SSH);
    assert_false(since(&m, DR_KEY_FILE));
    make(hosts, "longer");
    assert_true(since(&m, DR_KNOWN_HOSTS));
    assert_true(since(&m, DR_HOST_KEY_UNKNOWN));
    assert_true(since(&m, DR_HOST_KEY_CHANGED));
    assert_false(since(&m, DR_AUTH));
    assert_false(since(&m, DR_CHILD));
}

static void every_way_to_put_it_right_is_seen(void **state)
{
    struct timespec then[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    struct mended m;

    (void)state;
    /* another file of the same size and time is moved to its place */
    make(other, "b");
    assert_int_equal(utimensat(AT_FDCWD, key, then, 0), 0);
    assert_int_equal(utimensat(AT_FDCWD, other, then, 0), 0);
    mended_note(&m, &SSH);
    assert_int_equal(rename(other, key), 0);
    assert_true(since(&m, DR_KEY_FILE));
    /* written again in place, with as many bytes */
    mended_note(&m, &SSH);
    then[1].tv_sec++;
    assert_int_equal(utimensat(AT_FDCWD, key, then, 0), 0);
    assert_true(since(&m, DR_KEY_FILE));
    /* there, and not there */
    mended_note(&m, &SSH);
    assert_int_equal(unlink(key), 0);
    assert_true(since(&m, DR_KEY_FILE));
    mended_note(&m, &SSH);
    assert_false(since(&m, DR_KEY_FILE));
    make(key, "a");
    assert_true(since(&m, DR_KEY_FILE));
}

static void a_mode_is_a_change(void **state)
{
    struct mended m;
    struct stat st;

    (void)state;
    mended_note(&m, &SSH);
    /* The kernel's clock for files goes by ticks: some calls until the next. */
    do {
        assert_int_equal(chmod(key, 0600), 0);
        assert_int_equal(stat(key, &st), 0);
    } while (st.st_ctim.tv_sec == m.identity.changed.tv_sec &&
             st.st_ctim.tv_nsec == m.identity.changed.tv_nsec);
    assert_true(since(&m, DR_KEY_FILE));
}

static void a_program_is_found_as_the_shell_would(void **state)
{
    struct mended m;
    char path[200];
    const char *was = getenv("PATH");
    CLEANUP(freep) char *saved = strdup(was != NULL ? was : "");

    (void)state;
    assert_int_equal(unlink(program), 0);
    mended_note(&m, &BY_PATH);
    assert_false(mended_since(&m, &BY_PATH, DR_CHILD));
    make(program, "a");
    assert_true(mended_since(&m, &BY_PATH, DR_CHILD));
    assert_true(mended_since(&m, &BY_PATH, DR_NO_RECEIVER));

    (void)snprintf(path, sizeof path, "/nonexistent:%s", dir);
    assert_int_equal(setenv("PATH", path, 1), 0);
    mended_note(&m, &BY_NAME);
    assert_int_equal(m.program.sys, 0);
    assert_int_equal(unlink(program), 0);
    assert_true(mended_since(&m, &BY_NAME, DR_CHILD));
    mended_note(&m, &BY_NAME);
    assert_int_not_equal(m.program.sys, 0);
    make(program, "a");
    assert_true(mended_since(&m, &BY_NAME, DR_CHILD));
    assert_int_equal(unsetenv("PATH"), 0);
    mended_note(&m, &BY_NAME);
    assert_int_not_equal(m.program.sys, 0);
    assert_int_equal(setenv("PATH", saved, 1), 0);
}

/* An SSH agent's key is in no file. */
static void what_has_no_file_does_not_change(void **state)
{
    struct config_replica c = SSH;
    struct mended m;

    (void)state;
    c.identity = NULL;
    mended_note(&m, &c);
    assert_false(mended_since(&m, &c, DR_AUTH));
    assert_false(mended_since(&m, &c, DR_CHILD));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_file_counts_for_its_own_errors),
        TEST(every_way_to_put_it_right_is_seen),
        TEST(a_mode_is_a_change),
        TEST(a_program_is_found_as_the_shell_would),
        TEST(what_has_no_file_does_not_change),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
