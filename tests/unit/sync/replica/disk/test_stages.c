/* SPDX-License-Identifier: MIT
 *
 * stages and tables: nothing counts as durable that is not, and a value is born
 * where it will live.  fsync(), syncfs() and linkat() of the modules come to
 * this file.  All is tried twice: with files that have no name until they are
 * whole, and where none can be made. */
#include "tests/support/store_fixture.h"

#include <ftw.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/layout/install.h"
#include "store/layout/placeholder.h"
#include "store/layout/temps.h"
#include "sync/replica/disk/stages.h"
#include "sync/replica/disk/tables.h"

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

/* A file without a name cannot get one: no such files. */
static bool only_named;

int __real_linkat(int from, const char *a, int to, const char *b, int flags);
int __wrap_linkat(int from, const char *a, int to, const char *b, int flags);
int __wrap_linkat(int from, const char *a, int to, const char *b, int flags)
{
    if (only_named && flags != 0) {
        errno = EPERM;
        return -1;
    }
    return __real_linkat(from, a, to, b, flags);
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
    assert_int_equal(stages_init(&r->stages, &r->db, &m, r->sync, &r->f.err),
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

/* Where it can be. */
static void make_table(struct rig *r, const char *table)
{
    struct tables_one *t;

    if (tables_get(&r->tables, table, strlen(table), true, &t, &r->f.err) < 0) {
        print_message("no table %s\n", table);
    }
    tables_forget(&r->tables, table, strlen(table));
}

static void begin_in(struct rig *r, uint64_t number, const char *table,
                     uint64_t size)
{
    make_table(r, table);
    assert_int_equal(stages_begin(&r->stages, number,
                                  bytes_of(table, strlen(table)), size,
                                  &r->f.err),
                     0);
}

static void put_in(struct rig *r, uint64_t number, const char *table,
                   const char *value)
{
    begin_in(r, number, table, strlen(value));
    assert_int_equal(
        stages_write(&r->stages, number, value, strlen(value), &r->f.err), 0);
}

static void put(struct rig *r, uint64_t number)
{
    put_in(r, number, "t", "v");
}

static void end(struct rig *r, uint64_t number)
{
    assert_int_equal(stages_end(&r->stages, number, &r->f.err), 0);
}

static void end_synced(struct rig *r, uint64_t number)
{
    end(r, number);
    assert_int_equal(stages_sync(&r->stages, &number, 1, &r->f.err), 0);
}

static int install(struct rig *r, uint64_t number, const char *table,
                   const char *key, struct stat *st)
{
    struct tables_one *t;

    assert_int_equal(
        tables_get(&r->tables, table, strlen(table), true, &t, &r->f.err), 0);
    return stages_install(&r->stages, number, t, bytes_of(key, strlen(key)), 0,
                          st, &r->f.err);
}

/* Names of files in the database, and which of them are temporary. */
static struct {
    int files, temps;
} seen;

static int see(const char *path, const struct stat *st, int kind,
               struct FTW *where)
{
    (void)st;
    seen.files += kind == FTW_F;
    seen.temps += kind == FTW_F && name_is_temp(path + where->base);
    return 0;
}

static void look(const struct rig *r)
{
    memset(&seen, 0, sizeof seen);
    assert_int_equal(nftw(r->f.path, see, 16, FTW_PHYS), 0);
}

static int temporaries(const struct rig *r)
{
    look(r);
    return seen.temps;
}

/* In place within the step of the clock that it was made in, its times would be
 * those of a placeholder. */
static void an_empty_value_is_no_placeholder(void **state)
{
    struct rig *r = *state;
    struct stat st;

    for (uint64_t i = 1; i <= 50; i++) {
        begin_in(r, i, "", 0);
        end_synced(r, i);
        assert_int_equal(install(r, i, "", "k", &st), INSTALL_DONE);
        assert_int_equal(fstatat(r->f.fd, "k.kv", &st, 0), 0);
        assert_int_equal(st.st_size, 0);
        assert_false(placeholder_is_at(r->f.fd, "k.kv", &st));
    }
}

/* --- durable, and then closed -------------------------------------------- */

static void a_value_is_durable_before_its_descriptor_is_closed(void **state)
{
    struct rig *r = *state;
    uint64_t numbers[] = {1, 2};
    struct stat st;

    r->stages.open_max = 1;
    put(r, 1);
    end(r, 1);
    forget_syncs();
    put(r, 2);
    assert_int_equal(r->stages.open, 2);
    end(r, 2);
    assert_int_equal(disk.calls, 1);
    ino_t early = disk.synced[1];
    assert_int_equal(r->stages.open, 1);
    /* The sync of the group has the other one left to do. */
    assert_int_equal(stages_sync(&r->stages, numbers, 2, &r->f.err), 0);
    assert_int_equal(disk.calls, 2);
    assert_int_equal(install(r, 2, "t", "b", &st), INSTALL_DONE);
    assert_true(st.st_ino == early);
    assert_int_equal(install(r, 1, "t", "a", &st), INSTALL_DONE);
    assert_true(st.st_ino == disk.synced[2]);
    assert_int_equal(r->stages.open, 0);
    assert_int_equal(temporaries(r), 0);
}

static void a_value_that_cannot_be_synced_early_is_refused(void **state)
{
    struct rig *r = *state;

    r->stages.open_max = 0;
    put(r, 1);
    forget_syncs();
    disk.fails_at = 1;
    assert_int_equal(stages_end(&r->stages, 1, &r->f.err), ERR_NOSPACE);
    stages_drop(&r->stages, 1);
    assert_int_equal(temporaries(r), 0);
    assert_int_equal(r->stages.open, 0);
}

static void a_failed_sync_drops_all_values_of_its_group(void **state)
{
    struct rig *r = *state;
    uint64_t numbers[] = {1, 2, 3};

    for (uint64_t n = 1; n <= 3; n++) {
        put(r, n);
        end(r, n);
    }
    forget_syncs();
    disk.fails_at = 2;
    assert_int_equal(stages_sync(&r->stages, numbers, 3, &r->f.err),
                     ERR_NOSPACE);
    assert_int_equal(temporaries(r), 0);
    assert_int_equal(r->stages.open, 0);
    stages_drop(&r->stages, 1); /* once more is harmless */
}

static void what_was_reserved_and_not_used_is_given_back(void **state)
{
    struct rig *r = *state;
    struct stat st;

    begin_in(r, 1, "t", 8 << 20);
    assert_int_equal(stages_write(&r->stages, 1, "v", 1, &r->f.err), 0);
    end_synced(r, 1);
    assert_int_equal(install(r, 1, "t", "k", &st), INSTALL_DONE);
    assert_int_equal(st.st_size, 1);
    assert_true(st.st_blocks * 512 < 1 << 20);
}

/* Values that wait for locks hold no descriptors that others need, and are not
 * synced a second time. */
static void values_that_wait_give_their_descriptors_back(void **state)
{
    enum { WAIT = 40 };
    struct rig *r = *state;
    struct stat st;

    r->stages.open_max = 20;
    for (uint64_t n = 1; n <= WAIT; n++) {
        put(r, n);
        end_synced(r, n);
    }
    assert_true(r->stages.open <= 12);
    assert_int_equal(disk.calls, WAIT + 2); /* and the table's making */
    for (uint64_t n = 1; n <= WAIT; n++) {
        char key[16];
        (void)snprintf(key, sizeof key, "k%d", (int)n);
        assert_int_equal(install(r, n, "t", key, &st), INSTALL_DONE);
    }
    look(r);
    assert_int_equal(seen.files, WAIT);
    assert_int_equal(seen.temps, 0);
}

/* --- in the way of nobody ------------------------------------------------ */

static void what_is_not_in_place_has_no_name(void **state)
{
    struct rig *r = *state;
    struct stat st;

    put_in(r, 1, "t", "one");
    put_in(r, 2, "", "two");
    assert_int_equal(temporaries(r), only_named ? 2 : 0);
    end_synced(r, 1);
    end_synced(r, 2);
    look(r);
    assert_int_equal(seen.files, only_named ? 2 : 0);
    assert_int_equal(install(r, 1, "t", "k", &st), INSTALL_DONE);
    assert_int_equal(install(r, 2, "", "k", &st), INSTALL_DONE);
    put_in(r, 3, "t", "newer");
    end_synced(r, 3);
    assert_int_equal(install(r, 3, "t", "k", &st), INSTALL_DONE);
    assert_file(r->f.fd, "t.tbl/k.kv", "newer");
    assert_file(r->f.fd, "k.kv", "two");
    look(r);
    assert_int_equal(seen.files, 2);
}

/* What a receiver leaves that died with closed values: the next one's sweep
 * finds it, and takes no value that is newer than itself. */
static void what_is_left_is_found_by_a_sweep(void **state)
{
    struct rig *r = *state;
    uint64_t removed;
    struct stat st;

    r->stages.open_max = 0;
    put(r, 1);
    end(r, 1);
    put_in(r, 2, "a/b", "v");
    end(r, 2);
    assert_int_equal(temporaries(r), 2);
    assert_int_equal(fstatat(r->f.fd, "t.tbl", &st, 0), 0);
    int64_t before = clock_of_timespec(st.st_ctim) - NS_PER_S;
    assert_int_equal(temps_sweep(&r->db, before, &removed, &r->f.err), 0);
    assert_int_equal(removed, 0);
    before = clock_real_ns() + NS_PER_S;
    assert_int_equal(temps_sweep(&r->db, before, &removed, &r->f.err), 0);
    assert_int_equal(removed, 2);
    assert_int_equal(temporaries(r), 0);
    /* Not there any more: asked for again, nothing else happens. */
    assert_int_equal(install(r, 1, "t", "k", &st), ERR_NOTFOUND);
    assert_false(exists(r->f.fd, "t.tbl/k.kv"));
}

/* --- what the directory gives -------------------------------------------- */

static void a_new_value_has_its_mode_whatever_the_umask(void **state)
{
    struct rig *r = *state;
    struct stat st;
    mode_t was = umask(0077);

    put(r, 1);
    (void)umask(was);
    end_synced(r, 1);
    assert_int_equal(install(r, 1, "t", "k", &st), INSTALL_DONE);
    assert_int_equal(st.st_mode & 07777, 0640);
}

/* A default ACL as the kernel keeps it. */
struct acl {
    uint32_t version;
    struct {
        uint16_t tag, perm;
        uint32_t id;
    } entry[5];
};

/* The owner all, user 4321 and the mask to read, nobody else. */
static bool give_acl(const struct rig *r, const char *dir, uint16_t mask)
{
    struct acl acl = {2,
                      {{0x01, 7, UINT32_MAX},
                       {0x02, 4, 4321},
                       {0x04, 0, UINT32_MAX},
                       {0x10, mask, UINT32_MAX},
                       {0x20, 0, UINT32_MAX}}};
    CLEANUP(fd_closep)
    int fd = openat(r->f.fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(fd >= 0);
    if (fsetxattr(fd, "system.posix_acl_default", &acl, sizeof acl, 0) == 0) {
        return true;
    }
    assert_int_equal(errno, EOPNOTSUPP);
    return false;
}

static ssize_t acl_of(const struct rig *r, const char *file)
{
    CLEANUP(fd_closep) int fd = openat(r->f.fd, file, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    return fgetxattr(fd, "system.posix_acl_access", NULL, 0);
}

static void need_acls(const struct rig *r)
{
    if (!give_acl(r, ".", 4)) {
        print_message("SKIP: this file system has no ACLs\n");
        skip();
    }
}

/* The file mode bounds what the ACL gives, and widens nothing. */
static void a_value_has_the_default_acl_of_its_table(void **state)
{
    struct rig *r = *state;
    struct stat st;

    need_acls(r);
    put(r, 1);
    end_synced(r, 1);
    assert_int_equal(install(r, 1, "t", "k", &st), INSTALL_DONE);
    assert_true(acl_of(r, "t.tbl/k.kv") == sizeof(struct acl));
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_true(give_acl(r, "t.tbl", 0));
    put(r, 2);
    end_synced(r, 2);
    assert_int_equal(install(r, 2, "t", "k", &st), INSTALL_DONE);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void a_value_has_the_group_of_its_table(void **state)
{
    struct rig *r = *state;
    struct stat st;

    if (geteuid() != 0) {
        print_message("SKIP: giving a directory to a group needs root\n");
        skip();
    }
    assert_int_equal(mkdirat(r->f.fd, "t.tbl", 0750), 0);
    assert_int_equal(fchownat(r->f.fd, "t.tbl", (uid_t)-1, 4321, 0), 0);
    assert_int_equal(fchmodat(r->f.fd, "t.tbl", 02750, 0), 0);
    put(r, 1);
    end_synced(r, 1);
    assert_int_equal(install(r, 1, "t", "k", &st), INSTALL_DONE);
    assert_int_equal(st.st_gid, 4321);
}

/* --- the table is another one by then ------------------------------------ */

static void remove_table(const struct rig *r)
{
    CLEANUP(fd_closep)
    int fd = openat(r->f.fd, "t.tbl", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_int_equal(temps_sweep_table(fd, INT64_MAX, &(struct err){0}),
                     temporaries(r));
    assert_int_equal(unlinkat(r->f.fd, "t.tbl", AT_REMOVEDIR), 0);
}

static void a_table_that_was_made_anew_gets_its_values(void **state)
{
    struct rig *r = *state;
    struct stat st;

    put_in(r, 1, "t", "value");
    end_synced(r, 1);
    remove_table(r);
    forget_syncs();
    assert_int_equal(install(r, 1, "t", "k", &st), INSTALL_DONE);
    assert_file(r->f.fd, "t.tbl/k.kv", "value");
    /* Linked, as nothing about the directory is different; or a copy that is
     * durable (beside the table). */
    assert_int_equal(disk.calls, only_named ? 3 : 2);
    assert_int_equal(temporaries(r), 0);
}

/* A root without the setgid bit, and a table that the receiver makes with it:
 * as the group is one, no value of a first copy is written twice. */
static void a_value_of_a_table_to_be_made_is_not_written_twice(void **state)
{
    struct rig *r = *state;
    struct stat st;

    assert_int_equal(fchmod(r->f.fd, 0750), 0);
    assert_int_equal(
        stages_begin(&r->stages, 1, bytes_of("new", 3), 5, &r->f.err), 0);
    assert_int_equal(stages_write(&r->stages, 1, "value", 5, &r->f.err), 0);
    end_synced(r, 1);
    ino_t staged = disk.synced[1];
    assert_int_equal(install(r, 1, "new", "k", &st), INSTALL_DONE);
    assert_file(r->f.fd, "new.tbl/k.kv", "value");
    assert_true(only_named || st.st_ino == staged);
    assert_int_equal(fstatat(r->f.fd, "new.tbl", &st, 0), 0);
    assert_true((st.st_mode & S_ISGID) != 0);
}

static void a_table_that_gives_other_things_gets_a_copy(void **state)
{
    struct rig *r = *state;
    struct stat st;

    need_acls(r);
    assert_int_equal(removexattr(r->f.path, "system.posix_acl_default"), 0);
    begin_in(r, 1, "t", 64 << 10);
    assert_int_equal(stages_write(&r->stages, 1, "value", 5, &r->f.err), 0);
    end_synced(r, 1);
    assert_int_equal(renameat(r->f.fd, "t.tbl", r->f.fd, "was"), 0);
    assert_int_equal(mkdirat(r->f.fd, "t.tbl", 0750), 0);
    assert_true(give_acl(r, "t.tbl", 4));
    forget_syncs();
    assert_int_equal(install(r, 1, "t", "k", &st), INSTALL_DONE);
    assert_file(r->f.fd, "t.tbl/k.kv", "value");
    assert_true(acl_of(r, "t.tbl/k.kv") == sizeof(struct acl));
    assert_int_equal(disk.calls, 1);
    assert_true(disk.synced[1] == st.st_ino);
    look(r);
    assert_int_equal(seen.files, only_named ? 2 : 1); /* in the one that went */
}

/* The value may be given up, and the table be dropped before it. */
static void a_value_that_is_given_up_leaves_no_table(void **state)
{
    struct rig *r = *state;
    struct stat st;

    assert_int_equal(
        stages_begin(&r->stages, 1, bytes_of("new", 3), 5, &r->f.err), 0);
    assert_int_equal(stages_write(&r->stages, 1, "value", 5, &r->f.err), 0);
    end_synced(r, 1);
    assert_int_equal(fstatat(r->f.fd, "new.tbl", &st, 0), -1);
    stages_drop(&r->stages, 1);
    assert_int_equal(fstatat(r->f.fd, "new.tbl", &st, 0), -1);
    assert_int_equal(temporaries(r), 0);
    assert_int_equal(
        stages_begin(&r->stages, 2, bytes_of("new", 3), 5, &r->f.err), 0);
    assert_int_equal(stages_write(&r->stages, 2, "value", 5, &r->f.err), 0);
    end_synced(r, 2);
    assert_int_equal(install(r, 2, "new", "k", &st), INSTALL_DONE);
    assert_file(r->f.fd, "new.tbl/k.kv", "value");
}

static void
a_value_whose_table_cannot_be_made_yet_waits_in_the_root(void **state)
{
    struct rig *r = *state;
    struct stat st;

    put_text(r->f.fd, "t.tbl", "in the way");
    put_in(r, 1, "t", "value");
    end_synced(r, 1);
    assert_int_equal(unlinkat(r->f.fd, "t.tbl", 0), 0);
    assert_int_equal(install(r, 1, "t", "k", &st), INSTALL_DONE);
    assert_file(r->f.fd, "t.tbl/k.kv", "value");
    look(r);
    assert_int_equal(seen.files, 1);
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
        RIG_TEST(an_empty_value_is_no_placeholder),
        RIG_TEST(a_value_is_durable_before_its_descriptor_is_closed),
        RIG_TEST(a_value_that_cannot_be_synced_early_is_refused),
        RIG_TEST(a_failed_sync_drops_all_values_of_its_group),
        RIG_TEST(what_was_reserved_and_not_used_is_given_back),
        RIG_TEST(values_that_wait_give_their_descriptors_back),
        RIG_TEST(what_is_not_in_place_has_no_name),
        RIG_TEST(what_is_left_is_found_by_a_sweep),
        RIG_TEST(a_new_value_has_its_mode_whatever_the_umask),
        RIG_TEST(a_value_has_the_default_acl_of_its_table),
        RIG_TEST(a_value_has_the_group_of_its_table),
        RIG_TEST(a_table_that_was_made_anew_gets_its_values),
        RIG_TEST(a_value_of_a_table_to_be_made_is_not_written_twice),
        RIG_TEST(a_table_that_gives_other_things_gets_a_copy),
        RIG_TEST(a_value_that_is_given_up_leaves_no_table),
        RIG_TEST(a_value_whose_table_cannot_be_made_yet_waits_in_the_root),
        RIG_TEST(each_touched_directory_is_synced_however_many_they_are),
        RIG_TEST(a_directory_that_is_let_go_is_synced_before),
        RIG_TEST(after_a_failed_directory_sync_no_later_one_is_believed),
    };

    /* In a process of its own: what works is found out once. */
    pid_t child = fork();
    if (child == 0) {
        only_named = true;
        _exit(cmocka_run_group_tests_name("named", tests, NULL, NULL));
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    int rc = cmocka_run_group_tests_name("unnamed", tests, NULL, NULL);
    return rc != 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}
