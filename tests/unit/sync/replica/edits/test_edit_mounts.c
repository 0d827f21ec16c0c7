/* SPDX-License-Identifier: MIT
 *
 * edit_mounts: a mount in a replica and its end are told, others are not.
 */
#include "tests/support/store_fixture.h"

#include <poll.h>
#include <sched.h>
#include <sys/mount.h>

#include "sync/replica/edits/edit_mounts.h"

/* The kernel says that there is something to look for, and then it is one of
 * ours or not. */
static bool told(struct edit_mounts *m, int64_t *now_ms)
{
    struct pollfd p = {.fd = edit_mounts_fd(m), .events = edit_mounts_events()};

    assert_int_equal(poll(&p, 1, -1), 1);
    edit_mounts_told(m);
    *now_ms += 10;
    int wait_ms = edit_mounts_wait_ms(m, *now_ms);
    assert_true(wait_ms > 0);
    assert_false(edit_mounts_changed(m, *now_ms)); /* too soon */
    *now_ms += wait_ms;
    bool changed = edit_mounts_changed(m, *now_ms);
    assert_int_equal(edit_mounts_wait_ms(m, *now_ms), -1);
    return changed;
}

static void a_mount_in_the_replica_is_told_and_its_end(void **state)
{
    struct fixture *f = *state;
    struct edit_mounts m;
    char root[4096 + 8], table[4096 + 16], beside[4096 + 8];
    int64_t now_ms = 1000000;

    if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        print_message("SKIP: only root may have mounts of its own\n");
        skip();
    }
    (void)snprintf(root, sizeof root, "%s/db", f->path);
    (void)snprintf(table, sizeof table, "%s/t.tbl", root);
    (void)snprintf(beside, sizeof beside, "%s/db2", f->path);
    assert_int_equal(mkdirat(f->fd, "db", 0755), 0);
    assert_int_equal(mkdirat(f->fd, "db/t.tbl", 0755), 0);
    assert_int_equal(mkdirat(f->fd, "db2", 0755), 0);
    edit_mounts_open(&m);
    edit_mounts_root(&m, root);
    m.looked_ms = now_ms;
    assert_int_equal(edit_mounts_wait_ms(&m, now_ms), -1);
    assert_false(edit_mounts_changed(&m, now_ms));
    assert_int_equal(mount("none", beside, "tmpfs", 0, "size=64k"), 0);
    assert_false(told(&m, &now_ms));
    assert_int_equal(mount("none", table, "tmpfs", 0, "size=64k"), 0);
    assert_true(told(&m, &now_ms));
    assert_int_equal(umount(beside), 0);
    assert_false(told(&m, &now_ms));
    assert_int_equal(umount(table), 0);
    assert_true(told(&m, &now_ms));
    edit_mounts_close(&m);
}

static void where_nothing_can_be_known_nothing_is_told(void **state)
{
    struct edit_mounts m;

    (void)state;
    edit_mounts_open(&m);
    edit_mounts_root(&m, "/nowhere/at/all");
    assert_int_equal(edit_mounts_fd(&m), -1);
    edit_mounts_told(&m);
    assert_false(edit_mounts_changed(&m, 1000000));
    edit_mounts_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_mount_in_the_replica_is_told_and_its_end),
        cmocka_unit_test(where_nothing_can_be_known_nothing_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
