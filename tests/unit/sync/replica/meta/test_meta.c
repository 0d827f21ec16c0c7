/* SPDX-License-Identifier: MIT
 *
 * meta and options: the replica's directory, its small files, and the values
 * of the command line. */
#include "tests/support/store_fixture.h"

#include <grp.h>
#include <pwd.h>
#include <sys/wait.h>

#include "store/base/clock.h"
#include "sync/options/receive_options.h"
#include "sync/replica/meta/meta.h"

static const struct meta_modes modes = {
    .dir_mode = META_DIR_MODE, .file_mode = META_FILE_MODE, .group = (gid_t)-1};

static void mode_is(int fd, const char *name, mode_t mode)
{
    struct stat st;

    assert_int_equal(fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(st.st_mode & 07777, mode);
}

static void open_makes_the_directory_with_its_own_modes(void **state)
{
    struct fixture *f = *state;
    struct meta m;
    char path[300];

    (void)umask(077);
    (void)snprintf(path, sizeof path, "%s/db", f->path);
    assert_int_equal(meta_open(&m, path, &modes, &f->err), 0);
    mode_is(f->fd, "db", 02750);
    mode_is(f->fd, "db/.drover", 02750);
    meta_close(&m);
    (void)umask(022);
}

static void open_sets_changed_modes_of_its_metadata(void **state)
{
    struct fixture *f = *state;
    struct meta_modes other = modes;
    struct meta m;

    assert_int_equal(meta_open(&m, f->path, &modes, &f->err), 0);
    meta_close(&m);
    other.dir_mode = 0755;
    assert_int_equal(meta_open(&m, f->path, &other, &f->err), 0);
    mode_is(f->fd, ".drover", 0755);
    meta_close(&m);
}

static void open_does_not_make_missing_parents(void **state)
{
    struct fixture *f = *state;
    struct meta m;
    char path[300];

    (void)snprintf(path, sizeof path, "%s/a/b", f->path);
    assert_int_equal(meta_open(&m, path, &modes, &f->err), ERR_NOTFOUND);
    assert_int_equal(f->err.id, DR_REPLICA_DIR);
    assert_non_null(strstr(f->err.msg, path));
    assert_false(exists(f->fd, "a"));
}

static void a_primary_is_refused(void **state)
{
    struct fixture *f = *state;
    struct meta m;

    assert_int_equal(mkdirat(f->fd, ".drover", 0755), 0);
    put_text(f->fd, ".drover/id", "x\n");
    assert_int_equal(meta_open(&m, f->path, &modes, &f->err), ERR_REFUSED);
    assert_int_equal(f->err.id, DR_IS_PRIMARY);
    assert_non_null(strstr(f->err.msg, "is a primary"));
    assert_false(exists(f->fd, ".drover/lock"));
    /* With `replica` it is one, whatever a cut off promotion left. */
    put_text(f->fd, ".drover/replica", "x\n");
    assert_int_equal(meta_open(&m, f->path, &modes, &f->err), 0);
    meta_close(&m);
}

static void a_link_in_place_of_the_metadata_is_refused(void **state)
{
    struct fixture *f = *state;
    struct meta m;

    assert_int_equal(mkdirat(f->fd, "elsewhere", 0755), 0);
    assert_int_equal(symlinkat("elsewhere", f->fd, ".drover"), 0);
    assert_true(meta_open(&m, f->path, &modes, &f->err) < 0);
    assert_int_equal(f->err.id, DR_REPLICA_DIR);
    assert_false(exists(f->fd, "elsewhere/lock"));
}

static void a_file_as_the_directory_is_refused(void **state)
{
    struct fixture *f = *state;
    struct meta m;
    char path[300];

    put_text(f->fd, "plain", "x");
    (void)snprintf(path, sizeof path, "%s/plain", f->path);
    assert_true(meta_open(&m, path, &modes, &f->err) < 0);
    assert_int_equal(f->err.id, DR_REPLICA_DIR);
}

/* Open the fixture's directory as an ordinary user who is in no other group;
 * the exit status is 0 when that worked, 1 when it was refused with advice. */
static int open_as_outsider(struct fixture *f, gid_t group)
{
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        struct meta_modes asked = modes;
        struct meta m;

        asked.group = group;
        if (setgroups(0, NULL) != 0 || setgid(65534) != 0 ||
            setuid(65534) != 0) {
            _exit(2);
        }
        if (meta_open(&m, f->path, &asked, &f->err) == 0) {
            _exit(0);
        }
        _exit(f->err.id == DR_REPLICA_DIR &&
                      strstr(f->err.msg, "usermod -aG daemon nobody") != NULL
                  ? 1
                  : 3);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_group_that_its_user_is_not_in_is_refused_at_once(void **state)
{
    struct fixture *f = *state;
    const struct group *daemon = getgrnam("daemon");
    const struct passwd *nobody = getpwuid(65534);

    if (geteuid() != 0 || daemon == NULL || nobody == NULL ||
        strcmp(nobody->pw_name, "nobody") != 0) {
        print_message("SKIP: only root can give a directory to another user\n");
        skip();
    }
    gid_t other = daemon->gr_gid;
    assert_int_equal(fchown(f->fd, 65534, 65534), 0);
    assert_int_equal(open_as_outsider(f, (gid_t)-1), 0);
    assert_int_equal(open_as_outsider(f, other), 1);
    /* Its tables would inherit the group, but nested ones lose it. */
    assert_int_equal(fchown(f->fd, 65534, other), 0);
    assert_int_equal(fchmod(f->fd, 02750), 0);
    assert_int_equal(open_as_outsider(f, (gid_t)-1), 1);
}

static void identity_survives_writing_and_reading(void **state)
{
    struct fixture *f = *state;
    struct meta_ident out, in = {.epoch = UINT64_MAX,
                                 .watermark = UINT64_MAX,
                                 .origin = {0xab, 1},
                                 .agents = {{1}, {2}, {3}}};
    struct meta m;

    memset(in.db_id, 0xa5, sizeof in.db_id);
    assert_int_equal(meta_open(&m, f->path, &modes, &f->err), 0);
    assert_int_equal(meta_ident_read(m.fd, &out, &f->err), ERR_NOTFOUND);
    assert_int_equal(meta_ident_write(m.fd, &in, &modes, &f->err), 0);
    assert_int_equal(meta_ident_read(m.fd, &out, &f->err), 0);
    assert_memory_equal(&out, &in, sizeof in);
    mode_is(m.fd, "replica", 0640);
    assert_false(exists(m.fd, "replica.new"));
    meta_close(&m);
}

static void an_identity_without_origin_and_agents_is_believed(void **state)
{
    struct fixture *f = *state;
    static const uint8_t none[sizeof(struct meta_ident)];
    struct meta_ident out;

    put_text(f->fd, "replica",
             "drover-replica 1\ndatabase 000102030405060708090a0b0c0d0e0f\n"
             "epoch 3\nwatermark 9\n");
    assert_int_equal(meta_ident_read(f->fd, &out, &f->err), 0);
    assert_int_equal(out.epoch, 3);
    assert_memory_equal(out.origin, none, sizeof out.origin);
    assert_memory_equal(out.agents, none, sizeof out.agents);
}

static void a_damaged_identity_is_not_believed(void **state)
{
    static const char *const texts[] = {
        "", "drover-replica 1\n", "drover-replica 1\ndatabase 00\nepoch 1\n",
        ("drover-replica 2\ndatabase 00000000000000000000000000000000\n"
         "epoch 1\nwatermark 0\n")};
    struct fixture *f = *state;
    struct meta_ident out;

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        put_text(f->fd, "replica", texts[i]);
        assert_int_equal(meta_ident_read(f->fd, &out, &f->err), ERR_CORRUPT);
    }
}

static void a_small_file_that_is_a_link_or_too_long_is_not_read(void **state)
{
    struct fixture *f = *state;
    char text[8];

    put_text(f->fd, "long", "12345678");
    assert_int_equal(meta_read(f->fd, "long", text, sizeof text, NULL, &f->err),
                     ERR_CORRUPT);
    assert_int_equal(symlinkat("long", f->fd, "link"), 0);
    assert_int_equal(meta_read(f->fd, "link", text, sizeof text, NULL, &f->err),
                     ERR_NOTTABLE);
}

static void freshness_survives_writing_and_reading(void **state)
{
    struct fixture *f = *state;
    struct meta_freshness out, in = {.epoch = 3, .seq = 88};
    char text[META_TEXT_MAX];
    struct small_how how = {.mode = 0640,
                            .group = (gid_t)-1,
                            .set_mtime = true,
                            .mtime_ns = INT64_C(1700000000123456789)};

    memcpy(in.state, "streaming", sizeof "streaming");
    size_t len = meta_freshness_text(&in, text);
    assert_int_equal(meta_replace(f->fd, "freshness", text, len, &how, &f->err),
                     0);
    assert_int_equal(meta_freshness_read(f->fd, &out, &f->err), 0);
    assert_true(out.epoch == 3 && out.seq == 88);
    assert_string_equal(out.state, "streaming");
    assert_true(out.fresh_ns == how.mtime_ns);
    put_text(f->fd, "freshness", "");
    assert_int_equal(meta_freshness_read(f->fd, &out, &f->err), ERR_CORRUPT);
}

static int holds(struct fixture *f)
{
    struct db db;

    assert_int_equal(db_open(&db, f->path, false, &f->err), 0);
    int rc = meta_holds_data(&db, &f->err);
    db_close(&db);
    return rc;
}

static void keys_and_tables_are_data_and_metadata_is_not(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(mkdirat(f->fd, ".drover", 0755), 0);
    put_text(f->fd, "lost+found", "");
    assert_int_equal(holds(f), 0);
    assert_int_equal(mkdirat(f->fd, "plain", 0755), 0);
    assert_int_equal(holds(f), 0);
    assert_int_equal(mkdirat(f->fd, "plain/t.tbl", 0755), 0);
    assert_int_equal(holds(f), 1);
    assert_int_equal(unlinkat(f->fd, "plain/t.tbl", AT_REMOVEDIR), 0);
    put_text(f->fd, "k.kv", "");
    assert_int_equal(holds(f), 1);
}

static void ids_are_read_with_and_without_dashes(void **state)
{
    uint8_t id[META_ID_BYTES];
    char text[META_ID_TEXT];

    (void)state;
    assert_true(meta_id_parse("00112233-4455-6677-8899-AABBCCDDEEFF", id));
    meta_id_text(id, text);
    assert_string_equal(text, "00112233445566778899aabbccddeeff");
    assert_true(meta_id_parse(text, id));
    assert_false(meta_id_parse("00112233445566778899aabbccddeef", id));
    assert_false(meta_id_parse("00112233445566778899aabbccddeefff", id));
    assert_false(meta_id_parse("00112233445566778899aabbccddeefg", id));
    assert_false(meta_id_parse("", id));
}

static void modes_are_octal_and_do_not_lock_the_receiver_out(void **state)
{
    struct fixture *f = *state;
    mode_t mode;

    assert_int_equal(receive_mode("0640", 0600, &mode, &f->err), 0);
    assert_int_equal(mode, 0640);
    assert_int_equal(receive_mode("2750", 0700, &mode, &f->err), 0);
    assert_int_equal(mode, 02750);
    assert_int_equal(receive_mode("0440", 0600, &mode, &f->err), ERR_INVALID);
    assert_int_equal(receive_mode("rw", 0600, &mode, &f->err), ERR_INVALID);
    assert_int_equal(receive_mode("0698", 0600, &mode, &f->err), ERR_INVALID);
    assert_int_equal(receive_mode("17777", 0600, &mode, &f->err), ERR_INVALID);
    assert_int_equal(receive_mode("", 0600, &mode, &f->err), ERR_INVALID);
}

static void groups_are_names_or_numbers(void **state)
{
    struct fixture *f = *state;
    gid_t gid = 5;

    assert_int_equal(receive_group("1234", &gid, &f->err), 0);
    assert_int_equal(gid, 1234);
    assert_int_equal(receive_group("root", &gid, &f->err), 0);
    assert_int_equal(gid, 0);
    assert_int_equal(receive_group("no-such-group", &gid, &f->err),
                     ERR_INVALID);
    assert_non_null(strstr(f->err.msg, "groupadd"));
    assert_int_equal(receive_group("4294967295", &gid, &f->err), ERR_INVALID);
    assert_int_equal(receive_group("", &gid, &f->err), ERR_INVALID);
}

static void refused_as_nested(struct fixture *f, const char *dir)
{
    struct meta m;
    char path[300];

    (void)snprintf(path, sizeof path, "%s/%s", f->path, dir);
    f->err.id = 0;
    assert_int_equal(meta_open(&m, path, &modes, &f->err), ERR_REFUSED);
    assert_int_equal(f->err.id, DR_NESTED);
    assert_non_null(strstr(f->err.msg, "lies inside the database"));
    (void)snprintf(path, sizeof path, "%s/.drover", dir);
    assert_false(exists(f->fd, path));
}

static void a_directory_inside_a_database_is_refused(void **state)
{
    struct fixture *f = *state;
    struct meta m;

    assert_int_equal(mkdirat(f->fd, "p", 0755), 0);
    assert_int_equal(mkdirat(f->fd, "p/a", 0755), 0);
    assert_int_equal(mkdirat(f->fd, "p/a/b", 0755), 0);
    assert_int_equal(mkdirat(f->fd, "p/.drover", 0755), 0);
    /* That alone is a settings folder, maybe. */
    char path[300];
    (void)snprintf(path, sizeof path, "%s/p/a/b", f->path);
    assert_int_equal(meta_open(&m, path, &modes, &f->err), 0);
    meta_close(&m);
    assert_int_equal(unlinkat(f->fd, "p/a/b/.drover", AT_REMOVEDIR), 0);
    put_text(f->fd, "p/.drover/id", "01010101010101010101010101010101\n");
    refused_as_nested(f, "p/a/b");
    refused_as_nested(f, "p/a");
    assert_int_equal(unlinkat(f->fd, "p/.drover/id", 0), 0);
    put_text(f->fd, "p/.drover/replica", "");
    refused_as_nested(f, "p/a/b");
}

static void a_database_below_is_no_data_to_be_emptied(void **state)
{
    struct fixture *f = *state;
    struct db db;

    put_text(f->fd, "k.kv", "");
    assert_int_equal(mkdirat(f->fd, "t.tbl", 0755), 0);
    assert_int_equal(mkdirat(f->fd, "z", 0755), 0);
    assert_int_equal(mkdirat(f->fd, "z/.drover", 0755), 0);
    assert_int_equal(db_open(&db, f->path, false, &f->err), 0);
    assert_int_equal(meta_holds_data(&db, &f->err), ERR_REFUSED);
    assert_int_equal(f->err.id, DR_NESTED);
    assert_non_null(strstr(f->err.msg, "contains another database, z"));
    db_close(&db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(open_makes_the_directory_with_its_own_modes),
        FIXTURE_TEST(open_sets_changed_modes_of_its_metadata),
        FIXTURE_TEST(open_does_not_make_missing_parents),
        FIXTURE_TEST(a_primary_is_refused),
        FIXTURE_TEST(a_directory_inside_a_database_is_refused),
        FIXTURE_TEST(a_database_below_is_no_data_to_be_emptied),
        FIXTURE_TEST(a_link_in_place_of_the_metadata_is_refused),
        FIXTURE_TEST(a_file_as_the_directory_is_refused),
        FIXTURE_TEST(a_group_that_its_user_is_not_in_is_refused_at_once),
        FIXTURE_TEST(identity_survives_writing_and_reading),
        FIXTURE_TEST(an_identity_without_origin_and_agents_is_believed),
        FIXTURE_TEST(a_damaged_identity_is_not_believed),
        FIXTURE_TEST(a_small_file_that_is_a_link_or_too_long_is_not_read),
        FIXTURE_TEST(freshness_survives_writing_and_reading),
        FIXTURE_TEST(keys_and_tables_are_data_and_metadata_is_not),
        cmocka_unit_test(ids_are_read_with_and_without_dashes),
        FIXTURE_TEST(modes_are_octal_and_do_not_lock_the_receiver_out),
        FIXTURE_TEST(groups_are_names_or_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
