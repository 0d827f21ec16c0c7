/* SPDX-License-Identifier: MIT
 *
 * bundle: the archive holds the files, is nobody else's, and never takes the
 * place of another.
 */
#include "agent/report/bundle.h"
#include "agent/report/part.h"
#include "store/base/dir.h"
#include "tests/support/store_fixture.h"

static void fill(struct bundle *b)
{
    *b = (struct bundle){.root = "report"};
    buf_put(bundle_add(b, "a.txt"), "alpha", 5);
    (void)bundle_add(b, "empty");
}

static void test_the_archive_holds_the_files(void **state)
{
    struct fixture *f = *state;
    struct bundle b;
    char path[300];
    struct stat st;

    fill(&b);
    (void)snprintf(path, sizeof path, "%s/r.tar.gz", f->path);
    assert_int_equal(setenv("TMPDIR", f->path, 1), 0);
    assert_int_equal(bundle_may_write(path, &f->err), 0);
    if (bundle_write(&b, path, &f->err) < 0) {
        fail_msg("%s", f->err.msg);
    }
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    const char *argv[] = {"sh", "-c", "tar -tzf $0; tar -xzOf $0 report/a.txt",
                          path, NULL};
    const struct part p = {.argv = argv, .timeout_ms = 60000};
    struct part_end end = PART_END_NULL;
    part_run(&p, &end);
    buf_u8(&end.out, '\0');
    assert_string_equal((const char *)end.out.data,
                        "report/\nreport/a.txt\nreport/empty\nalpha");
    part_end_deinit(&end);

    assert_int_equal(bundle_may_write(path, &f->err), ERR_EXISTS);
    assert_true(bundle_write(&b, path, &f->err) < 0);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size > 0);
    /* Nothing else is left. */
    size_t n = 0;
    struct dir dir = dir_list(f->fd, ".");
    while (dir_next(&dir) != NULL) {
        n++;
    }
    dir_end(&dir);
    assert_int_equal(n, 1);
    bundle_deinit(&b);
    assert_int_equal(unsetenv("TMPDIR"), 0);
}

static void test_a_failure_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct bundle b;
    char path[300];

    fill(&b);
    (void)snprintf(path, sizeof path, "%s/r.tar.gz", f->path);
    assert_int_equal(setenv("TMPDIR", "/nonexistent", 1), 0);
    assert_true(bundle_write(&b, path, &f->err) < 0);
    assert_int_equal(unsetenv("TMPDIR"), 0);
    assert_int_equal(access(path, F_OK), -1);
    (void)snprintf(path, sizeof path, "%s/none/r.tar.gz", f->path);
    assert_int_equal(bundle_may_write(path, &f->err), 0);
    assert_int_equal(bundle_write(&b, path, &f->err), ERR_NOTFOUND);
    bundle_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_archive_holds_the_files,
                                        fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_a_failure_leaves_nothing,
                                        fixture_setup, fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
