/* SPDX-License-Identifier: MIT
 *
 * look: a small replica, and what is wrong with it, one fault at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "sync/replica/check/look.h"

struct fix {
    char dir[64], path[80];
    struct meta_modes modes;
    struct findings out;
    struct look look;
};

/* In the test's directory. */
static void run(const struct fix *f, const char *what)
{
    char command[400];

    (void)snprintf(command, sizeof command, "cd %s && %s", f->dir, what);
    assert_int_equal(system(command), 0);
}

static int setup(void **state)
{
    struct fix *f = calloc(1, sizeof *f);

    assert_non_null(f);
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/drover-look-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->path, sizeof f->path, "%s/r", f->dir);
    f->modes = (struct meta_modes){
        .dir_mode = 0750, .file_mode = 0640, .group = getegid()};
    f->look = (struct look){.dir = f->path};
    run(f, "chmod 755 . && mkdir -p r/.drover r/a.tbl && chmod 755 r && chmod "
           "750 r/a.tbl && "
           "echo 12345 >r/a.tbl/k.kv && chmod 640 r/a.tbl/k.kv");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fix *f = *state;

    findings_deinit(&f->out);
    run(f, "chmod -R u+rwX . && rm -rf \"$PWD\"");
    free(f);
    return 0;
}

static const struct finding *find(const struct fix *f, const char *what)
{
    for (size_t i = 0; i < f->out.count; i++) {
        if (strcmp(f->out.list[i].what, what) == 0) {
            return &f->out.list[i];
        }
    }
    return NULL;
}

static const struct finding *about(const struct fix *f, const char *what)
{
    const struct finding *d = find(f, what);

    if (d == NULL) {
        fail_msg("nothing was found of it");
        return &f->out.list[0];
    }
    return d;
}

static void identify(const struct fix *f)
{
    struct meta_ident ident = {.db_id = {7}, .epoch = 3};
    struct err err = {0};
    struct meta m;

    assert_int_equal(meta_inspect(&m, f->path, &err), 0);
    assert_int_equal(meta_ident_write(m.fd, &ident, &f->modes, &err), 0);
    meta_close(&m);
}

static void a_replica_in_order(void **state)
{
    struct fix *f = *state;

    identify(f);
    f->look.modes = &f->modes;
    look_all(&f->look, &f->out);
    assert_int_equal(findings_count(&f->out, FINDING_FAIL), 0);
    assert_non_null(strstr(about(f, "copy")->text, "epoch 3"));
    assert_non_null(strstr(about(f, "values")->text, "1 key in 2 tables"));
    assert_non_null(strstr(about(f, "values")->text, "6 B"));
    assert_int_equal(about(f, "modes")->level, FINDING_OK);
    assert_int_equal(about(f, "readers")->level, FINDING_OK);
    assert_int_equal(about(f, "writing")->level, FINDING_OK);
    assert_int_equal(about(f, "freshness")->level, FINDING_WARN); /* never */
    assert_non_null(find(f, "confinement"));
    assert_non_null(find(f, "space"));
}

static void a_directory_that_is_made_later(void **state)
{
    struct fix *f = *state;

    run(f, "rm -r r");
    look_all(&f->look, &f->out);
    assert_int_equal(about(f, "directory")->level, FINDING_WARN);
    assert_int_equal(access(f->path, F_OK), -1);
    findings_deinit(&f->out);
    /* Who was started for it is told nothing of a wrong path. */
    f->look.confined = f->look.unconfined = "";
    look_all(&f->look, &f->out);
    assert_int_equal(about(f, "directory")->level, FINDING_OK);
}

static void a_directory_that_cannot_be(void **state)
{
    struct fix *f = *state;
    char path[100];

    (void)snprintf(path, sizeof path, "%s/no/such", f->path);
    f->look.dir = path;
    look_all(&f->look, &f->out);
    assert_int_equal(about(f, "directory")->level, FINDING_FAIL);
    assert_int_equal(about(f, "directory")->id, DR_REPLICA_DIR);
    assert_non_null(strstr(about(f, "directory")->hint, path));
    findings_deinit(&f->out);

    (void)snprintf(path, sizeof path, "%s/a.tbl/k.kv", f->path);
    look_all(&f->look, &f->out);
    assert_int_equal(about(f, "directory")->id, DR_REPLICA_DIR);
}

static void other_modes_than_the_settings(void **state)
{
    struct fix *f = *state;

    run(f, "chmod 755 r/a.tbl");
    f->look.modes = &f->modes;
    look_all(&f->look, &f->out);
    assert_int_equal(about(f, "modes")->level, FINDING_WARN);
    assert_int_equal(about(f, "modes")->id, DR_REPLICA_MODES);
    assert_non_null(strstr(about(f, "modes")->text, "0755"));
    assert_non_null(strstr(about(f, "modes")->hint, "/r/a.tbl;"));
    findings_deinit(&f->out);
    /* Without settings there is nothing to be judged by. */
    f->look.modes = NULL;
    look_all(&f->look, &f->out);
    assert_int_equal(about(f, "modes")->level, FINDING_OK);
}

static void readers_that_stand_before_the_door(void **state)
{
    struct fix *f = *state;

    run(f, "chmod 700 r");
    f->look.modes = &f->modes;
    look_all(&f->look, &f->out);
    assert_int_equal(about(f, "readers")->level, FINDING_WARN);
    findings_deinit(&f->out);
    run(f, "chmod 755 r");
    f->modes.file_mode = 0600;
    look_all(&f->look, &f->out);
    assert_int_equal(about(f, "readers")->level, FINDING_WARN);
}

static void readers_that_cannot_come_to_the_door(void **state)
{
    struct fix *f = *state;

    run(f, "chmod 700 .");
    f->look.modes = &f->modes;
    look_all(&f->look, &f->out);
    assert_int_equal(about(f, "readers")->level, FINDING_WARN);
    assert_non_null(strstr(about(f, "readers")->text, f->dir));
}

/* --- whose rights count ---------------------------------------------------- */

enum { NOBODY = 65534 };

/* As that user, of a copy that is its own but for what `command` does. */
static void look_as_nobody(struct fix *f, const char *command)
{
    run(f, "chown -R 65534:65534 r");
    run(f, command);
    findings_deinit(&f->out);
    assert_int_equal(setegid(NOBODY), 0);
    assert_int_equal(seteuid(NOBODY), 0);
    look_all(&f->look, &f->out);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(setegid(0), 0);
}

static void what_the_receiver_may_not_write_is_named(void **state)
{
    static const struct {
        const char *command, *what, *named;
        int id;
    } ROWS[] = {
        {"chown 0 r/a.tbl && chmod 2750 r/a.tbl", "rights",
         "table a:", DR_REPLICA_PERM},
        {"chown 0:0 r/a.tbl/k.kv && chmod 600 r/a.tbl/k.kv", "rights",
         "table a, key k:", DR_REPLICA_PERM},
    };
    struct fix *f = *state;

    if (geteuid() != 0) {
        print_message("skipped: only root can look as another user\n");
        skip();
    }
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        look_as_nobody(f, "chmod 750 r/a.tbl; chmod 640 r/a.tbl/k.kv");
        assert_null(find(f, "rights"));
        look_as_nobody(f, ROWS[i].command);
        assert_int_equal(about(f, ROWS[i].what)->level, FINDING_FAIL);
        assert_int_equal(about(f, ROWS[i].what)->id, ROWS[i].id);
        assert_non_null(strstr(about(f, ROWS[i].what)->text, ROWS[i].named));
    }
    /* Who is not its user cannot tell. */
    look_as_nobody(f, "chown 0 r r/a.tbl");
    assert_null(find(f, "rights"));
    assert_int_equal(about(f, "writing")->level, FINDING_WARN);
    /* By its name it is. */
    f->look.account = "nobody";
    look_as_nobody(f, "chown 0 r");
    assert_int_equal(about(f, "writing")->level, FINDING_FAIL);
}

static void a_table_that_cannot_be_read_is_named(void **state)
{
    struct fix *f = *state;

    if (geteuid() != 0) {
        print_message("skipped: only root can look as another user\n");
        skip();
    }
    look_as_nobody(f, "chmod 0 r/a.tbl");
    bool named = false;
    for (size_t i = 0; i < f->out.count; i++) {
        const struct finding *d = &f->out.list[i];
        named = named || (d->id == DR_REPLICA_IO && d->level == FINDING_FAIL &&
                          strstr(d->text, "table a") != NULL);
    }
    assert_true(named);
}

static void a_table_that_is_immutable_is_named(void **state)
{
    struct fix *f = *state;
    char command[200];

    (void)snprintf(command, sizeof command, "chattr +i %s/a.tbl 2>/dev/null",
                   f->path);
    if (system(command) != 0) {
        print_message("skipped: nothing can be made immutable here\n");
        skip();
    }
    look_all(&f->look, &f->out);
    run(f, "chattr -i r/a.tbl");
    assert_int_equal(about(f, "rights")->id, DR_REPLICA_PERM);
    assert_non_null(strstr(about(f, "rights")->text, "immutable"));
}

static void root_is_told_that_it_owns_what_another_writes(void **state)
{
    struct fix *f = *state;

    if (geteuid() != 0) {
        print_message("skipped: only root can look as another user\n");
        skip();
    }
    look_become(&f->look, &f->out);
    assert_null(find(f, "owner"));
    f->look.account = "nobody";
    look_become(&f->look, &f->out);
    assert_int_equal(about(f, "owner")->level, FINDING_WARN);
    assert_int_equal(geteuid(), 0);
}

static void a_directory_of_something_else(void **state)
{
    struct fix *f = *state;

    /* A copy that has lost what says whose it is. */
    run(f, "rm -r r/.drover");
    look_all(&f->look, &f->out);
    assert_int_equal(about(f, "copy")->level, FINDING_WARN);
    assert_int_equal(about(f, "copy")->id, DR_REPLICA_NOT_EMPTY);
    findings_deinit(&f->out);

    run(f, "rm -r r/a.tbl && mkdir r/lost+found");
    look_all(&f->look, &f->out);
    assert_int_equal(about(f, "copy")->level, FINDING_OK);
    findings_deinit(&f->out);
    run(f, "echo 1 >r/passwd");
    look_all(&f->look, &f->out);
    assert_int_equal(about(f, "copy")->level, FINDING_WARN);
    assert_non_null(strstr(about(f, "copy")->text, "passwd"));
}

static void what_the_kernel_makes_up_is_no_place(void **state)
{
    static const char *const DIRS[] = {"/proc", "/proc/no-such", "/sys"};
    struct fix *f = *state;

    for (size_t i = 0; i < sizeof DIRS / sizeof DIRS[0]; i++) {
        f->look.dir = DIRS[i];
        look_all(&f->look, &f->out);
        assert_int_equal(about(f, "directory")->level, FINDING_FAIL);
        assert_int_equal(about(f, "directory")->id, DR_REPLICA_DIR);
        findings_deinit(&f->out);
    }
}

static void who_asks_for_another_database_is_told(void **state)
{
    struct fix *f = *state;
    struct wire_hello hello = {.db_id = {8}, .epoch = 3};

    identify(f);
    f->look.hello = &hello;
    look_all(&f->look, &f->out);
    assert_int_equal(about(f, "copy")->level, FINDING_FAIL);
    assert_int_equal(about(f, "copy")->id, DR_OTHER_DATABASE);
    findings_deinit(&f->out);

    hello.db_id[0] = 7;
    hello.epoch = 2;
    look_all(&f->look, &f->out);
    assert_int_equal(about(f, "copy")->id, DR_OLD_EPOCH);
    findings_deinit(&f->out);

    hello.epoch = 3;
    look_all(&f->look, &f->out);
    assert_int_equal(about(f, "copy")->level, FINDING_OK);
    findings_deinit(&f->out);

    hello.db_id[0] = 0; /* who has no id yet */
    look_all(&f->look, &f->out);
    assert_int_equal(about(f, "copy")->level, FINDING_OK);
}

static void keys_of_nobody(void **state)
{
    struct fix *f = *state;
    struct wire_hello hello = {.db_id = {8}, .epoch = 3};

    f->look.hello = &hello;
    look_all(&f->look, &f->out);
    assert_int_equal(about(f, "copy")->id, DR_REPLICA_NOT_EMPTY);
}

static void a_database_in_a_database(void **state)
{
    struct fix *f = *state;

    run(f, "mkdir r/in && mkdir .drover && echo 1 >.drover/id && "
           "rm -r r/.drover");
    look_all(&f->look, &f->out);
    assert_int_equal(about(f, "directory")->level, FINDING_OK);
    size_t nested = 0;
    for (size_t i = 0; i < f->out.count; i++) {
        nested += f->out.list[i].id == DR_NESTED;
    }
    assert_int_equal(nested, 1);
}

#define FRESH "r/.drover/freshness"
#define ID "07000000000000000000000000000000"

static void how_fresh_it_is(void **state)
{
    static const struct {
        const char *command;
        enum finding_level level;
    } ROWS[] = {
        {"echo db=" ID " epoch=3 seq=1 state=streaming >" FRESH, FINDING_OK},
        {"echo db=" ID " epoch=3 seq=1 state=differs >" FRESH, FINDING_WARN},
        {"echo db=" ID " epoch=3 seq=1 state=streaming >" FRESH
         " && touch -d @1700000000 " FRESH,
         FINDING_WARN},
        {"echo db=" ID " epoch=3 seq=1 state=streaming >" FRESH
         " && touch -d 'now + 1 hour' " FRESH,
         FINDING_WARN},
        {"echo nonsense >" FRESH, FINDING_WARN},
    };
    struct fix *f = *state;

    identify(f);
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        run(f, ROWS[i].command);
        look_all(&f->look, &f->out);
        assert_int_equal(about(f, "freshness")->level, ROWS[i].level);
        findings_deinit(&f->out);
    }
}

static void what_is_kept_and_what_was_left(void **state)
{
    struct fix *f = *state;

    identify(f);
    run(f, "mkdir r/.drover/trash r/.drover/undone && "
           "echo 1 >r/.drover/trash/0000000000000001 && "
           "echo 1 >r/.drover/undone/0000000000000001 && "
           ": >r/.drover/trash/log && : >r/.drover/undone/log && "
           "echo 1 >r/a.tbl/k.kv123 && mkdir r/a.tbl/d.kv");
    look_all(&f->look, &f->out);
    assert_non_null(strstr(about(f, "trash")->text, "1 deleted value is"));
    assert_int_equal(about(f, "undone")->level, FINDING_WARN);
    assert_int_equal(about(f, "undone")->id, DR_UNDONE);
    assert_non_null(find(f, "temporaries"));
}

static void an_identity_that_makes_no_sense(void **state)
{
    struct fix *f = *state;

    run(f, "echo nonsense >r/.drover/replica");
    look_all(&f->look, &f->out);
    assert_int_equal(about(f, "copy")->level, FINDING_FAIL);
}

static void a_receiver_says_what_it_lacks(void **state)
{
    struct fix *f = *state;

    f->look.confined = "Landlock and a filter";
    f->look.unconfined = "";
    look_all(&f->look, &f->out);
    assert_string_equal(about(f, "confinement")->text, "Landlock and a filter");
    /* What would be refused there is not asked. */
    assert_null(find(f, "clock"));
    assert_null(find(f, "watches"));
    findings_deinit(&f->out);
    f->look.unconfined = "no Landlock";
    look_all(&f->look, &f->out);
    assert_int_equal(about(f, "confinement")->level, FINDING_WARN);
}

static void nothing_is_left_behind(void **state)
{
    struct fix *f = *state;

    identify(f);
    run(f, "find r -printf '%p %m %T@ %C@ %i\\n' | sort >before");
    f->look.modes = &f->modes;
    look_all(&f->look, &f->out);
    run(f, "find r -printf '%p %m %T@ %C@ %i\\n' | sort >after");
    run(f, "cmp before after");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        CASE(a_replica_in_order),
        CASE(a_directory_that_is_made_later),
        CASE(a_directory_that_cannot_be),
        CASE(other_modes_than_the_settings),
        CASE(readers_that_stand_before_the_door),
        CASE(readers_that_cannot_come_to_the_door),
        CASE(what_the_receiver_may_not_write_is_named),
        CASE(a_table_that_cannot_be_read_is_named),
        CASE(a_table_that_is_immutable_is_named),
        CASE(root_is_told_that_it_owns_what_another_writes),
        CASE(a_directory_of_something_else),
        CASE(what_the_kernel_makes_up_is_no_place),
        CASE(who_asks_for_another_database_is_told),
        CASE(keys_of_nobody),
        CASE(a_database_in_a_database),
        CASE(how_fresh_it_is),
        CASE(what_is_kept_and_what_was_left),
        CASE(an_identity_that_makes_no_sense),
        CASE(a_receiver_says_what_it_lacks),
        CASE(nothing_is_left_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
