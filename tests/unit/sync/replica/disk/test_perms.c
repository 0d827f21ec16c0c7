/* SPDX-License-Identifier: MIT
 *
 * Owner, group and mode of what a scan meets: set where they may be, counted
 * and named where not, and nothing is followed. */
#include "tests/support/store_fixture.h"

#include <sys/xattr.h>

#include "sync/index/scan.h"
#include "sync/replica/disk/perms.h"

struct rig {
    struct fixture f;
    struct db db;
    struct index *ix;
    struct perms_pass d;
    struct scan_result res;
};

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof *r);
    struct err err;

    assert_non_null(r);
    fixture_begin(&r->f);
    assert_int_equal(db_open(&r->db, r->f.path, false, &err), 0);
    r->ix = index_new();
    assert_non_null(r->ix);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;

    index_free(r->ix);
    db_close(&r->db);
    fixture_end(&r->f);
    free(r);
    return 0;
}

static void scan(struct rig *r, mode_t dir_mode, mode_t file_mode)
{
    static uint16_t number;
    const struct perms_pass fresh = {.modes = {.dir_mode = dir_mode,
                                               .file_mode = file_mode,
                                               .group = r->d.modes.group},
                                     .count_only = r->d.count_only,
                                     .hold_keys = r->d.hold_keys};
    struct scan_options opt = {.scan = ++number,
                               .perms_dir = perms_pass_dir,
                               .perms_key = perms_pass_key,
                               .perms_arg = &r->d};
    struct err err;

    r->d = fresh;
    assert_int_equal(scan_run(&r->db, r->ix, &opt, NULL, NULL, &r->res, &err),
                     0);
}

static mode_t mode_of(const struct rig *r, const char *path)
{
    struct stat st;

    assert_int_equal(fstatat(r->f.fd, path, &st, AT_SYMLINK_NOFOLLOW), 0);
    return st.st_mode & 07777;
}

/* t.tbl 0700 with a and b 0600, and a table below a directory that is none. */
static void seed(struct rig *r)
{
    r->d.modes.group = (gid_t)-1;
    assert_int_equal(fchmod(r->f.fd, 0711), 0);
    assert_int_equal(mkdirat(r->f.fd, "t.tbl", 0700), 0);
    assert_int_equal(mkdirat(r->f.fd, "above", 0700), 0);
    assert_int_equal(mkdirat(r->f.fd, "above/u.tbl", 0700), 0);
    put_text(r->f.fd, "t.tbl/a.kv", "one");
    put_text(r->f.fd, "t.tbl/b.kv", "two");
    put_text(r->f.fd, "above/u.tbl/c.kv", "three");
    put_text(r->f.fd, "t.tbl/notes.txt", "no key");
    assert_int_equal(fchmodat(r->f.fd, "t.tbl/a.kv", 0600, 0), 0);
    assert_int_equal(fchmodat(r->f.fd, "t.tbl/b.kv", 0600, 0), 0);
    assert_int_equal(fchmodat(r->f.fd, "above/u.tbl/c.kv", 0666, 0), 0);
    assert_int_equal(fchmodat(r->f.fd, "t.tbl/notes.txt", 0600, 0), 0);
}

static void a_copy_gets_the_modes_of_the_settings(void **state)
{
    struct rig *r = *state;

    seed(r);
    scan(r, 02750, 0640);
    assert_int_equal(r->d.set, 6);
    assert_int_equal(r->d.unset, 0);
    assert_int_equal(mode_of(r, "t.tbl"), 02750);
    assert_int_equal(mode_of(r, "above"), 02750);
    assert_int_equal(mode_of(r, "above/u.tbl"), 02750);
    assert_int_equal(mode_of(r, "t.tbl/a.kv"), 0640);
    assert_int_equal(mode_of(r, "t.tbl/b.kv"), 0640);
    assert_int_equal(mode_of(r, "above/u.tbl/c.kv"), 0640);
    /* Nobody's business: no key, and the directory itself. */
    assert_int_equal(mode_of(r, "t.tbl/notes.txt"), 0600);
    assert_int_equal(mode_of(r, "."), 0711);
    scan(r, 02750, 0640);
    assert_int_equal(r->d.set, 0);
}

/* As if it had been read long after it was written. */
static void trust(struct rig *r, const char *table, const char *key,
                  const char *path)
{
    struct index_entry e;
    struct stat st;
    struct err err;

    assert_true(index_get(r->ix,
                          index_name_key(index_key(r->ix), table, strlen(table),
                                         key, strlen(key)),
                          &e));
    assert_int_equal(fstatat(r->f.fd, path, &st, AT_SYMLINK_NOFOLLOW), 0);
    e.stat = vstat_of(&st);
    assert_int_equal(index_put(r->ix, &e, &err), 0);
}

/* The ctime is another; what was known of the value stays known. */
static void nothing_is_read_again_for_it(void **state)
{
    struct rig *r = *state;

    seed(r);
    scan(r, 0700, 0600);
    assert_int_equal(r->res.reread, 3);
    trust(r, "t", "a", "t.tbl/a.kv");
    trust(r, "t", "b", "t.tbl/b.kv");
    trust(r, "above/u", "c", "above/u.tbl/c.kv");
    struct digest root = index_root(r->ix);
    for (mode_t mode = 0610; mode < 0700; mode += 010) {
        scan(r, 02750, mode);
        assert_int_equal(r->d.set, mode == 0610 ? 6 : 3);
        assert_int_equal(r->res.reread, 0);
        assert_int_equal(r->res.changed, 0);
        assert_int_equal(mode_of(r, "t.tbl/a.kv"), mode);
    }
    assert_true(digest_equal(root, index_root(r->ix)));
    /* But an edit beside it is no secret. */
    put_text(r->f.fd, "t.tbl/a.kv", "ONE");
    scan(r, 02750, 0640);
    assert_int_equal(r->res.reread, 1);
    assert_int_equal(r->res.changed, 1);
}

static void a_link_in_a_keys_place_is_not_followed(void **state)
{
    struct rig *r = *state;

    seed(r);
    put_text(r->f.fd, "target", "secret");
    assert_int_equal(fchmodat(r->f.fd, "target", 0600, 0), 0);
    assert_int_equal(unlinkat(r->f.fd, "t.tbl/a.kv", 0), 0);
    assert_int_equal(symlinkat("../target", r->f.fd, "t.tbl/a.kv"), 0);
    assert_int_equal(mkdirat(r->f.fd, "elsewhere", 0700), 0);
    assert_int_equal(symlinkat("elsewhere", r->f.fd, "l.tbl"), 0);
    assert_int_equal(mkfifoat(r->f.fd, "t.tbl/pipe.kv", 0600), 0);
    scan(r, 02750, 0640);
    assert_int_equal(r->d.unset, 0);
    assert_int_equal(mode_of(r, "target"), 0600);
    assert_int_equal(mode_of(r, "t.tbl/pipe.kv"), 0600);
    assert_int_equal(mode_of(r, "t.tbl/b.kv"), 0640);
    /* Put there after the scan's stat: what is opened then is looked at again.
     */
    struct perms_pass d = {.modes = {02750, 0640, (gid_t)-1}};
    struct stat st;
    assert_int_equal(fstatat(r->f.fd, "t.tbl/b.kv", &st, 0), 0);
    st.st_mode = S_IFREG | 0600;
    assert_int_equal(unlinkat(r->f.fd, "t.tbl/b.kv", 0), 0);
    assert_int_equal(symlinkat("../target", r->f.fd, "t.tbl/b.kv"), 0);
    int dir = openat(r->f.fd, "t.tbl", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_false(perms_pass_key(&d, "t", 1, "b", 1, dir, &st));
    assert_int_equal(unlinkat(r->f.fd, "t.tbl/b.kv", 0), 0);
    assert_int_equal(renameat(r->f.fd, "target", r->f.fd, "t.tbl/b.kv"), 0);
    assert_false(perms_pass_key(&d, "t", 1, "b", 1, dir, &st));
    assert_int_equal(mode_of(r, "t.tbl/b.kv"), 0600);
    assert_int_equal(d.set + d.unset, 0);
    (void)close(dir);
}

static void who_only_looks_sets_nothing_and_counts(void **state)
{
    struct rig *r = *state;

    seed(r);
    r->d.count_only = true;
    scan(r, 02750, 0640);
    assert_int_equal(r->d.set, 0);
    assert_int_equal(r->d.unset, 6);
    assert_int_equal(mode_of(r, "t.tbl"), 0700);
    assert_int_equal(mode_of(r, "t.tbl/a.kv"), 0600);
    assert_int_equal(r->d.sys, 0);
    assert_true(r->d.is_table);
    assert_true(r->d.table_len > 0);
}

/* Their ctimes tell what came since; directories have none to keep. */
static void keys_are_held_while_the_primary_may_undo(void **state)
{
    struct rig *r = *state;

    seed(r);
    r->d.hold_keys = true;
    scan(r, 02750, 0640);
    assert_int_equal(r->d.set, 3);
    assert_int_equal(r->d.held, 3);
    assert_int_equal(mode_of(r, "t.tbl/a.kv"), 0600);
    r->d.hold_keys = false;
    scan(r, 02750, 0640);
    assert_int_equal(r->d.set, 3);
    assert_int_equal(mode_of(r, "t.tbl/a.kv"), 0640);
}

/* --- as root: owners, groups, and what is not ours to change ------------- */

static void need_root(void)
{
    if (geteuid() != 0) {
        (void)fprintf(stderr, "skipped: only root can give files away\n");
        skip();
    }
}

static struct stat stat_of(const struct rig *r, const char *path)
{
    struct stat st;

    assert_int_equal(fstatat(r->f.fd, path, &st, AT_SYMLINK_NOFOLLOW), 0);
    return st;
}

static void owner_and_group_are_set_too(void **state)
{
    struct rig *r = *state;

    need_root();
    seed(r);
    assert_int_equal(fchownat(r->f.fd, "t.tbl/a.kv", 65534, 65533, 0), 0);
    r->d.modes.group = 65532;
    scan(r, 02750, 0640);
    assert_int_equal(r->d.unset, 0);
    assert_int_equal(stat_of(r, "t.tbl/a.kv").st_uid, 0);
    assert_int_equal(stat_of(r, "t.tbl/a.kv").st_gid, 65532);
    assert_int_equal(stat_of(r, "t.tbl").st_gid, 65532);
    assert_int_equal(mode_of(r, "t.tbl"), 02750);
    /* Without the setting: a group that was given on purpose stays, and values
     * get it; a directory of a copy gets what a new one would. */
    r->d.modes.group = (gid_t)-1;
    assert_int_equal(fchownat(r->f.fd, "above", 0, 0, 0), 0);
    assert_int_equal(fchmodat(r->f.fd, "above", 0700, 0), 0);
    assert_int_equal(fchownat(r->f.fd, ".", 0, 65531, 0), 0);
    assert_int_equal(fchmod(r->f.fd, 02750), 0);
    assert_int_equal(fchownat(r->f.fd, "t.tbl/b.kv", 0, 0, 0), 0);
    scan(r, 02750, 0640);
    assert_int_equal(stat_of(r, "t.tbl").st_gid, 65532);
    assert_int_equal(stat_of(r, "t.tbl/b.kv").st_gid, 65532);
    assert_int_equal(stat_of(r, "above").st_gid, 65531);
}

/* Somebody who may write to the directory could have put another's file there.
 */
static void root_leaves_what_others_may_have_put_there(void **state)
{
    struct rig *r = *state;

    need_root();
    seed(r);
    put_text(r->f.fd, "secret", "shadow");
    assert_int_equal(fchmodat(r->f.fd, "secret", 0600, 0), 0);
    assert_int_equal(fchownat(r->f.fd, "t.tbl", 65534, 65534, 0), 0);
    assert_int_equal(unlinkat(r->f.fd, "t.tbl/a.kv", 0), 0);
    assert_int_equal(linkat(r->f.fd, "secret", r->f.fd, "t.tbl/a.kv", 0), 0);
    assert_int_equal(fchownat(r->f.fd, "t.tbl/b.kv", 65534, 65534, 0), 0);
    struct perms_pass d = {.modes = {02750, 0640, (gid_t)-1}};
    int dir = openat(r->f.fd, "t.tbl", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(fstat(dir, &d.dir), 0);
    struct stat st = stat_of(r, "t.tbl/a.kv");
    assert_false(perms_pass_key(&d, "t", 1, "a", 1, dir, &st));
    assert_int_equal(mode_of(r, "secret"), 0600);
    st = stat_of(r, "t.tbl/b.kv");
    assert_true(perms_pass_key(&d, "t", 1, "b", 1, dir, &st));
    assert_int_equal(d.unset, 1);
    assert_int_equal(d.sys, EPERM);
    assert_int_equal(d.key_len, 1);
    assert_memory_equal(d.key, "a", 1);
    (void)close(dir);
}

/* What it does not own a plain user cannot set: it is counted, and named. */
static void what_a_user_may_not_set_is_counted(void **state)
{
    struct rig *r = *state;

    need_root();
    seed(r);
    assert_int_equal(fchownat(r->f.fd, ".", 65534, 65534, 0), 0);
    for (size_t i = 0; i < 2; i++) {
        static const char *const dirs[] = {"t.tbl", "above"};
        assert_int_equal(fchownat(r->f.fd, dirs[i], 65534, 65534, 0), 0);
    }
    assert_int_equal(fchownat(r->f.fd, "above/u.tbl", 65534, 65534, 0), 0);
    assert_int_equal(fchownat(r->f.fd, "t.tbl/b.kv", 65534, 65534, 0), 0);
    assert_int_equal(setegid(65534), 0);
    assert_int_equal(seteuid(65534), 0);
    scan(r, 02750, 0640);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(setegid(0), 0);
    assert_int_equal(r->d.set, 4);   /* three directories and b */
    assert_int_equal(r->d.unset, 2); /* a: not readable; c: not its own */
    assert_true(r->d.sys == EPERM || r->d.sys == EACCES);
    assert_int_equal(mode_of(r, "t.tbl/a.kv"), 0600);
    assert_int_equal(mode_of(r, "t.tbl/b.kv"), 0640);
    assert_int_equal(mode_of(r, "above/u.tbl/c.kv"), 0666);
}

/* An ACL says who may read, on purpose: chmod would change its mask. */
static void an_acl_stays(void **state)
{
    struct rig *r = *state;

    /* user::rwx user:65534:rwx group::--- mask::rwx other::--- */
    static const unsigned char acl[] = {2,  0, 0, 0, /* version */
                                        1,  0, 7, 0, 0xff, 0xff, 0xff, 0xff,
                                        2,  0, 7, 0, 0xfe, 0xff, 0,    0,
                                        4,  0, 0, 0, 0xff, 0xff, 0xff, 0xff,
                                        16, 0, 7, 0, 0xff, 0xff, 0xff, 0xff,
                                        32, 0, 0, 0, 0xff, 0xff, 0xff, 0xff};

    seed(r);
    int t = openat(r->f.fd, "t.tbl", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int c = openat(r->f.fd, "above/u.tbl/c.kv", O_RDONLY | O_CLOEXEC);
    assert_true(t >= 0 && c >= 0);
    if (fsetxattr(t, "system.posix_acl_default", acl, sizeof acl, 0) != 0) {
        (void)fprintf(stderr, "skipped: no ACLs here\n");
        (void)close(t);
        (void)close(c);
        skip();
    }
    assert_int_equal(
        fsetxattr(c, "system.posix_acl_access", acl, sizeof acl, 0), 0);
    mode_t of_c = mode_of(r, "above/u.tbl/c.kv");
    scan(r, 02750, 0640);
    assert_int_equal(r->d.unset, 0);
    assert_int_equal(mode_of(r, "t.tbl"), 0700);
    assert_int_equal(mode_of(r, "t.tbl/a.kv"), 0600);
    assert_int_equal(mode_of(r, "above/u.tbl/c.kv"), of_c);
    assert_int_equal(mode_of(r, "above/u.tbl"), 02750);
    (void)close(t);
    (void)close(c);
}

#define RIG_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(a_copy_gets_the_modes_of_the_settings),
        RIG_TEST(nothing_is_read_again_for_it),
        RIG_TEST(a_link_in_a_keys_place_is_not_followed),
        RIG_TEST(who_only_looks_sets_nothing_and_counts),
        RIG_TEST(keys_are_held_while_the_primary_may_undo),
        RIG_TEST(owner_and_group_are_set_too),
        RIG_TEST(root_leaves_what_others_may_have_put_there),
        RIG_TEST(what_a_user_may_not_set_is_counted),
        RIG_TEST(an_acl_stays),
    };

    (void)umask(022);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
