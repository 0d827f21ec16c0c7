/* SPDX-License-Identifier: MIT
 *
 * identity: whose database is this? */
#include "tests/support/store_fixture.h"

#include "agent/identity/identity.h"
#include "sync/errors/state.h"

struct bench {
    struct fixture f;
    struct db db;
    int state_fd;
};

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    char path[300];

    assert_non_null(b);
    fixture_begin(&b->f);
    assert_int_equal(mkdirat(b->f.fd, "db", 0755), 0);
    assert_int_equal(mkdirat(b->f.fd, "state", 0700), 0);
    b->state_fd = openat(b->f.fd, "state", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(b->state_fd >= 0);
    (void)snprintf(path, sizeof path, "%s/db", b->f.path);
    assert_int_equal(db_open(&b->db, path, false, &b->f.err), 0);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    db_close(&b->db);
    (void)close(b->state_fd);
    fixture_end(&b->f);
    free(b);
    return 0;
}

static void made_id_is_read_back_and_stays(void **state)
{
    struct bench *b = *state;
    uint8_t id[16], again[16];

    assert_int_equal(identity_read(&b->db, id, &b->f.err), ERR_NOTFOUND);
    mode_t mask = umask(0077);
    assert_int_equal(identity_make(&b->db, id, &b->f.err), 0);
    (void)umask(mask);
    assert_int_equal(identity_read(&b->db, again, &b->f.err), 0);
    assert_memory_equal(id, again, 16);
    assert_int_equal(identity_make(&b->db, again, &b->f.err), IDENTITY_THERE);
    assert_memory_equal(id, again, 16);
    /* Others must be able to list the database whatever our umask. */
    struct stat st;
    assert_int_equal(fstatat(b->db.root_fd, ".drover", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_int_equal(fstatat(b->db.root_fd, ".drover/id", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0644);
}

static void two_databases_get_different_ids(void **state)
{
    struct bench *b = *state;
    uint8_t one[16], two[16];

    assert_int_equal(identity_make(&b->db, one, &b->f.err), 0);
    assert_int_equal(unlinkat(b->db.root_fd, ".drover/id", 0), 0);
    assert_int_equal(identity_make(&b->db, two, &b->f.err), 0);
    assert_memory_not_equal(one, two, 16);
}

static void root_without_or_with_another_id_is_not_ours(void **state)
{
    struct bench *b = *state;
    uint8_t id[16], other[16] = {1};

    assert_int_equal(identity_make(&b->db, id, &b->f.err), 0);
    assert_int_equal(identity_check(&b->db, id, &b->f.err), 0);
    assert_int_equal(identity_check(&b->db, other, &b->f.err), ERR_GONE);
    assert_int_equal(b->f.err.id, DR_NOT_OUR_DATABASE);
    assert_int_equal(unlinkat(b->db.root_fd, ".drover/id", 0), 0);
    assert_int_equal(identity_check(&b->db, id, &b->f.err), ERR_GONE);
    assert_int_equal(b->f.err.id, DR_NOT_OUR_DATABASE);
}

static void moved_root_is_not_ours_although_its_id_can_be_read(void **state)
{
    struct bench *b = *state;
    uint8_t id[16];

    assert_int_equal(identity_make(&b->db, id, &b->f.err), 0);
    assert_int_equal(renameat(b->f.fd, "db", b->f.fd, "aside"), 0);
    assert_int_equal(identity_check(&b->db, id, &b->f.err), ERR_GONE);
    assert_int_equal(mkdirat(b->f.fd, "db", 0755), 0);
    assert_int_equal(identity_check(&b->db, id, &b->f.err), ERR_GONE);
}

static void damaged_id_is_an_error_not_a_missing_id(void **state)
{
    struct bench *b = *state;
    uint8_t id[16];

    assert_int_equal(mkdirat(b->db.root_fd, ".drover", 0755), 0);
    int meta = openat(b->db.root_fd, ".drover", O_RDONLY | O_CLOEXEC);
    assert_true(meta >= 0);
    put_file(meta, "id", "0123", 4);
    assert_int_equal(identity_read(&b->db, id, &b->f.err), ERR_CORRUPT);
    put_file(meta, "id", "", 0);
    assert_int_equal(identity_read(&b->db, id, &b->f.err), ERR_CORRUPT);
    assert_int_equal(identity_make(&b->db, id, &b->f.err), ERR_CORRUPT);
    (void)close(meta);
}

static void epoch_is_one_unless_written(void **state)
{
    struct bench *b = *state;
    uint64_t epoch = 0;

    assert_int_equal(identity_epoch(&b->db, &epoch, &b->f.err), 0);
    assert_int_equal(epoch, 1);
    assert_int_equal(mkdirat(b->db.root_fd, ".drover", 0755), 0);
    int meta = openat(b->db.root_fd, ".drover", O_RDONLY | O_CLOEXEC);
    assert_true(meta >= 0);
    put_file(meta, "epoch", "42\n", 3);
    assert_int_equal(identity_epoch(&b->db, &epoch, &b->f.err), 0);
    assert_int_equal(epoch, 42);
    const char *const bad[] = {"",     "x",     "0\n",
                               "-1\n", "1 2\n", "99999999999999999999999\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        put_file(meta, "epoch", bad[i], strlen(bad[i]));
        assert_int_equal(identity_epoch(&b->db, &epoch, &b->f.err),
                         ERR_CORRUPT);
    }
    (void)close(meta);
}

static void record_belongs_to_one_path(void **state)
{
    struct bench *b = *state;
    uint8_t id[16] = {1, 2, 3}, back[16];

    assert_int_equal(identity_recall(b->state_fd, "/a", back, &b->f.err),
                     ERR_NOTFOUND);
    assert_int_equal(identity_record(b->state_fd, "/a b\n", id, &b->f.err), 0);
    assert_int_equal(identity_recall(b->state_fd, "/a b\n", back, &b->f.err),
                     0);
    assert_memory_equal(id, back, 16);
    assert_int_equal(identity_recall(b->state_fd, "/a", back, &b->f.err),
                     ERR_NOTFOUND);
    id[0] = 9;
    assert_int_equal(identity_record(b->state_fd, "/a", id, &b->f.err), 0);
    assert_int_equal(identity_recall(b->state_fd, "/a", back, &b->f.err), 0);
    assert_int_equal(back[0], 9);
}

static void damaged_record_is_refused(void **state)
{
    struct bench *b = *state;
    uint8_t back[16];

    put_file(b->state_fd, IDENTITY_RECORD, "zz /a", 5);
    assert_int_equal(identity_recall(b->state_fd, "/a", back, &b->f.err),
                     ERR_CORRUPT);
    put_file(b->state_fd, IDENTITY_RECORD, "", 0);
    assert_int_equal(identity_recall(b->state_fd, "/a", back, &b->f.err),
                     ERR_CORRUPT);
}

static void epochs_are_recorded_beside_the_record(void **state)
{
    struct bench *b = *state;
    uint64_t epoch = 0;

    assert_int_equal(identity_recall_epoch(b->state_fd, &epoch, &b->f.err),
                     ERR_NOTFOUND);
    assert_int_equal(identity_record_epoch(b->state_fd, 7, &b->f.err), 0);
    assert_int_equal(identity_record_epoch(b->state_fd, 8, &b->f.err), 0);
    assert_int_equal(identity_recall_epoch(b->state_fd, &epoch, &b->f.err), 0);
    assert_int_equal(epoch, 8);
    put_file(b->state_fd, IDENTITY_EPOCH, "x", 1);
    assert_int_equal(identity_recall_epoch(b->state_fd, &epoch, &b->f.err),
                     ERR_CORRUPT);
}

static void a_lost_id_is_given_back_with_an_epoch(void **state)
{
    struct bench *b = *state;
    uint8_t id[16] = {1, 2, 3}, back[16];
    uint64_t epoch = 0;

    assert_int_equal(identity_restore(&b->db, id, 5, &b->f.err), 0);
    assert_int_equal(identity_read(&b->db, back, &b->f.err), 0);
    assert_memory_equal(id, back, 16);
    assert_int_equal(identity_epoch(&b->db, &epoch, &b->f.err), 0);
    assert_int_equal(epoch, 5);
    assert_int_equal(identity_restore(&b->db, id, 9, &b->f.err), ERR_EXISTS);
    assert_int_equal(identity_epoch(&b->db, &epoch, &b->f.err), 0);
    assert_int_equal(epoch, 5);
}

/* The claim is on a file that only its owner may open. */
static void an_agent_claims_what_no_reader_can_lock(void **state)
{
    struct bench *b = *state;
    uint8_t id[16];
    struct stat st;

    assert_true(identity_claim(&b->db, &b->f.err) < 0);
    assert_int_equal(identity_make(&b->db, id, &b->f.err), 0);
    assert_int_equal(fstatat(b->db.root_fd, ".drover/agent", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    int one = identity_claim(&b->db, &b->f.err);
    int two = identity_claim(&b->db, &b->f.err);
    assert_true(one >= 0 && two >= 0);
    int fd = openat(b->db.root_fd, ".drover/agent", O_RDWR | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), -1);
    (void)close(one);
    (void)close(two);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    assert_int_equal(identity_claim(&b->db, &b->f.err), ERR_EXISTS);
    (void)close(fd);
    /* One that was made by a version without it gets it. */
    assert_int_equal(unlinkat(b->db.root_fd, ".drover/agent", 0), 0);
    assert_int_equal(identity_make(&b->db, id, &b->f.err), IDENTITY_THERE);
    assert_true(exists(b->db.root_fd, ".drover/agent"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(made_id_is_read_back_and_stays),
        T(two_databases_get_different_ids),
        T(root_without_or_with_another_id_is_not_ours),
        T(moved_root_is_not_ours_although_its_id_can_be_read),
        T(damaged_id_is_an_error_not_a_missing_id),
        T(epoch_is_one_unless_written),
        T(record_belongs_to_one_path),
        T(damaged_record_is_refused),
        T(epochs_are_recorded_beside_the_record),
        T(a_lost_id_is_given_back_with_an_epoch),
        T(an_agent_claims_what_no_reader_can_lock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
