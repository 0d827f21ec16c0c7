/* SPDX-License-Identifier: MIT
 *
 * local: a small database, and what is wrong with it, one fault at a time. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/check/local.h"
#include "agent/identity/identity.h"
#include "sync/errors/state.h"

struct fix {
    char dir[64], path[80], state[80], name[8];
    struct config c;
};

/* In the test's directory. */
static void run(const struct fix *f, const char *what)
{
    char command[300];

    (void)snprintf(command, sizeof command, "cd %s && %s", f->dir, what);
    assert_int_equal(system(command), 0);
}

static int setup(void **state)
{
    struct fix *f = calloc(1, sizeof *f);
    uint8_t id[IDENTITY_BYTES];
    struct err err = {0};
    struct db db;

    assert_non_null(f);
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/drover-local-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->path, sizeof f->path, "%s/db", f->dir);
    (void)snprintf(f->state, sizeof f->state, "%s/state", f->dir);
    (void)snprintf(f->name, sizeof f->name, "db");
    run(f, "mkdir -p db/a.tbl db/plain/b.tbl state && echo 1 >db/a.tbl/k.kv");
    assert_int_equal(db_open(&db, f->path, false, &err), 0);
    assert_int_equal(identity_make(&db, id, &err), 0);
    db_close(&db);
    f->c = (struct config){
        .path = f->path, .state_dir = f->state, .name = f->name};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fix *f = *state;

    run(f, "chmod -R u+rwX . && rm -rf \"$PWD\"");
    free(f);
    return 0;
}

static const struct finding *about(const struct findings *f, const char *what)
{
    for (size_t i = 0; i < f->count; i++) {
        if (strcmp(f->list[i].what, what) == 0) {
            return &f->list[i];
        }
    }
    fail_msg("nothing was found of it");
    return &f->list[0];
}

static void a_good_database_is_good(void **state)
{
    struct fix *f = *state;
    struct findings out = FINDINGS_NULL;
    struct survey s;

    assert_true(local_database(&f->c, &s, &out));
    assert_int_equal(s.tables, 3); /* the root is one */
    assert_int_equal(s.directories, 4);
    assert_int_equal(s.keys, 1);
    assert_int_equal(s.sampled, 1);
    assert_int_equal(about(&out, "identity")->level, FINDING_OK);
    assert_int_equal(about(&out, "read access")->level, FINDING_OK);
    assert_non_null(strstr(about(&out, "path")->text, f->path));
    local_state(&f->c, &out);
    assert_int_equal(about(&out, "state")->level, FINDING_OK);
    findings_deinit(&out);
}

static void a_database_that_is_not_there(void **state)
{
    struct fix *f = *state;
    struct findings out = FINDINGS_NULL;
    struct survey s;

    run(f, "rm -rf db");
    assert_false(local_database(&f->c, &s, &out));
    assert_int_equal(about(&out, "path")->level, FINDING_FAIL);
    assert_int_equal(about(&out, "path")->id, DR_NOT_OUR_DATABASE);
    assert_non_null(strstr(about(&out, "path")->hint, f->path));
    findings_deinit(&out);
}

static void a_database_without_an_id_is_told_what_makes_one(void **state)
{
    struct fix *f = *state;
    struct findings out = FINDINGS_NULL;
    struct survey s;

    run(f, "rm -rf db/.drover");
    assert_true(local_database(&f->c, &s, &out));
    assert_int_equal(about(&out, "identity")->level, FINDING_WARN);
    assert_int_equal(about(&out, "identity")->id, DR_NO_IDENTITY);
    assert_non_null(strstr(about(&out, "identity")->hint, "drover init"));
    findings_deinit(&out);
}

static void another_database_than_the_state_remembers(void **state)
{
    struct fix *f = *state;
    struct findings out = FINDINGS_NULL;
    const uint8_t other[IDENTITY_BYTES] = {1, 2, 3};
    struct survey s;
    struct err err = {0};
    int fd = open(f->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_int_equal(identity_record(fd, f->path, other, &err), 0);
    (void)close(fd);
    assert_true(local_database(&f->c, &s, &out));
    assert_int_equal(about(&out, "identity")->level, FINDING_FAIL);
    assert_int_equal(about(&out, "identity")->id, DR_NOT_OUR_DATABASE);
    findings_deinit(&out);
}

static void what_cannot_be_read_is_named(void **state)
{
    struct fix *f = *state;
    struct findings out = FINDINGS_NULL;
    struct survey s;

    if (geteuid() == 0) {
        skip(); /* reads everything; e2e_check has it as a user */
    }
    run(f, "chmod 0 db/a.tbl/k.kv");
    assert_true(local_database(&f->c, &s, &out));
    assert_int_equal(about(&out, "read access")->level, FINDING_FAIL);
    assert_int_equal(about(&out, "read access")->id, DR_UNREADABLE);
    assert_non_null(strstr(about(&out, "read access")->text, "k.kv"));
    findings_deinit(&out);
}

static void a_state_directory_that_is_none(void **state)
{
    struct fix *f = *state;
    struct findings out = FINDINGS_NULL;

    run(f, "rmdir state");
    local_state(&f->c, &out);
    assert_int_equal(about(&out, "state")->level, FINDING_OK);
    findings_deinit(&out);
    run(f, "touch state");
    local_state(&f->c, &out);
    assert_int_equal(about(&out, "state")->level, FINDING_FAIL);
    assert_int_equal(about(&out, "state")->id, DR_STATE_DIR);
    findings_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        CASE(a_good_database_is_good),
        CASE(a_database_that_is_not_there),
        CASE(a_database_without_an_id_is_told_what_makes_one),
        CASE(another_database_than_the_state_remembers),
        CASE(what_cannot_be_read_is_named),
        CASE(a_state_directory_that_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
