/* SPDX-License-Identifier: MIT
 *
 * edit_watch: every kind of edit is told by name, reading and the receiver's
 * unnamed files are not, and what is too much is dropped and said.
 */
#include "tests/support/store_fixture.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>

#include "store/base/cleanup.h"
#include "sync/replica/edits/edit_watch.h"

struct world {
    struct fixture f;
    struct edit_watch *w;
    char said[1024]; /* of one round, each once in turn */
};

static void add(struct world *w, const char *path)
{
    CLEANUP(fd_closep)
    int fd = openat(w->f.fd, *path != '\0' ? path : ".",
                    O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(edit_watch_add(w->w, path, fd), 0);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    fixture_begin(&w->f);
    w->w = edit_watch_new();
    assert_non_null(w->w);
    assert_int_equal(mkdirat(w->f.fd, "t.tbl", 0755), 0);
    assert_int_equal(mkdirat(w->f.fd, "plain", 0755), 0);
    put_text(w->f.fd, "t.tbl/k.kv", "value");
    add(w, "");
    add(w, "t.tbl");
    add(w, "plain");
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    edit_watch_free(w->w);
    fixture_end(&w->f);
    free(w);
    return 0;
}

static void say(struct world *w, const struct edit_event *e)
{
    static const char *const KINDS[] = {"", "key", "dir", "lost", "other"};
    char line[2000];

    (void)snprintf(line, sizeof line, "%s%s%s%s%s%s%s; ", KINDS[e->kind],
                   e->kind == EDIT_LOST ? "" : " ",
                   e->kind == EDIT_LOST ? "" : e->path,
                   e->key[0] != '\0' ? " " : "", e->key,
                   e->kind == EDIT_DIR && e->came ? " came" : "",
                   e->kind == EDIT_DIR && e->moved ? " moved" : "");
    if (strstr(w->said, line) == NULL) {
        size_t at = strlen(w->said);
        (void)snprintf(w->said + at, sizeof w->said - at, "%s", line);
    }
}

static void assert_told(struct world *w, const char *want)
{
    struct edit_event e;

    w->said[0] = '\0';
    edit_watch_round(w->w);
    while (edit_watch_next(w->w, &e)) {
        if (e.kind == EDIT_DIR || e.kind == EDIT_LOST) {
            e.key[0] = '\0';
        }
        say(w, &e);
    }
    assert_string_equal(w->said, want);
}

static int open_key(const struct world *w, int flags)
{
    int fd = openat(w->f.fd, "t.tbl/k.kv", flags | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    return fd;
}

static void each_way_to_change_a_value_is_told(void **state)
{
    struct world *w = *state;
    int fd = open_key(w, O_WRONLY);

    assert_int_equal(write(fd, "V", 1), 1);
    assert_told(w, "key t.tbl k; "); /* before it is closed */
    assert_int_equal(ftruncate(fd, 3), 0);
    assert_told(w, "key t.tbl k; ");
    (void)close(fd);
    assert_told(w, "key t.tbl k; ");
    char path[300];
    (void)snprintf(path, sizeof path, "%s/t.tbl/k.kv", w->f.path);
    assert_int_equal(truncate(path, 1), 0);
    assert_told(w, "key t.tbl k; ");
    assert_int_equal(utimensat(w->f.fd, "t.tbl/k.kv", NULL, 0), 0);
    assert_told(w, "key t.tbl k; ");
    assert_int_equal(fchmodat(w->f.fd, "t.tbl/k.kv", 0600, 0), 0);
    assert_told(w, "key t.tbl k; ");
}

static void a_mapping_is_told_when_it_goes(void **state)
{
    struct world *w = *state;
    int fd = open_key(w, O_RDWR);
    char *p = mmap(NULL, 5, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    assert_ptr_not_equal(p, MAP_FAILED);
    (void)close(fd);
    p[0] = 'V';
    assert_told(w, "");
    assert_int_equal(munmap(p, 5), 0);
    assert_told(w, "key t.tbl k; ");
}

static void each_way_of_a_name_is_told(void **state)
{
    struct world *w = *state;
    int d = w->f.fd;

    put_text(d, "outside", "other");
    assert_told(w, "other  outside; "); /* links are made so, too */
    assert_int_equal(renameat(d, "outside", d, "t.tbl/k.kv"), 0);
    assert_told(w, "key t.tbl k; ");
    assert_int_equal(linkat(d, "t.tbl/k.kv", d, "t.tbl/l.kv", 0), 0);
    assert_told(w, "key t.tbl l; ");
    assert_int_equal(renameat(d, "t.tbl/l.kv", d, "l.kv"), 0);
    assert_told(w, "key t.tbl l; key  l; ");
    assert_int_equal(unlinkat(d, "t.tbl/k.kv", 0), 0);
    assert_told(w, "key t.tbl k; ");
    assert_int_equal(symlinkat("nowhere", d, "t.tbl/k.kv"), 0);
    assert_told(w, "key t.tbl k; ");
}

static void directories_are_told(void **state)
{
    struct world *w = *state;
    int d = w->f.fd;

    assert_int_equal(mkdirat(d, "plain/n.tbl", 0755), 0);
    assert_told(w, "dir plain/n.tbl came; ");
    assert_int_equal(fchmodat(d, "t.tbl", 0700, 0), 0);
    assert_told(w, "dir t.tbl; ");
    assert_int_equal(unlinkat(d, "plain/n.tbl", AT_REMOVEDIR), 0);
    assert_told(w, "dir plain/n.tbl; ");
    assert_int_equal(mkdirat(d, META_DIR, 0700), 0);
    assert_told(w, "");
}

/* It is watched no more until it is added by its new name. */
static void a_directory_that_moves_is_forgotten(void **state)
{
    struct world *w = *state;
    int d = w->f.fd;

    assert_int_equal(mkdirat(d, "plain/n.tbl", 0755), 0);
    add(w, "plain/n.tbl");
    assert_told(w, "dir plain/n.tbl came; ");
    assert_int_equal(edit_watch_count(w->w), 4);
    assert_int_equal(renameat(d, "plain", d, "other"), 0);
    assert_told(w, "dir plain moved; dir other came; ");
    assert_int_equal(edit_watch_count(w->w), 2);
    put_text(d, "other/n.tbl/k.kv", "value");
    assert_told(w, "");
    add(w, "other/n.tbl");
    assert_int_equal(unlinkat(d, "other/n.tbl/k.kv", 0), 0);
    assert_told(w, "key other/n.tbl k; ");
}

/* What was mounted over a table goes, and the table comes to light. */
static void an_unmount_is_told(void **state)
{
    struct world *w = *state;
    char path[300];

    (void)snprintf(path, sizeof path, "%s/t.tbl", w->f.path);
    if (unshare(CLONE_NEWNS) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", path, "tmpfs", 0, "size=64k") != 0) {
        print_message("SKIP: nothing can be mounted here\n");
        skip();
    }
    /* The fixture's descriptor is of the mounts before. */
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(edit_watch_add(w->w, "t.tbl", fd), 0);
    (void)close(fd);
    assert_told(w, "");
    assert_int_equal(umount(path), 0);
    assert_told(w, "lost; ");
}

static void what_is_no_key_is_not_told(void **state)
{
    struct world *w = *state;
    int d = w->f.fd, fd = open_key(w, O_RDONLY);
    char c;

    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(read(fd, &c, 1), 1);
    (void)close(fd);
    fd = openat(d, "t.tbl", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0) {
        assert_int_equal(write(fd, "value", 5), 5);
        (void)close(fd);
    }
    put_text(d, "t.tbl/k.kv123", "temporary");
    put_text(d, "t.tbl/" TEMP_PREFIX "0123456789abcdef", "temporary");
    assert_told(w, "");
    put_text(d, "plain/k.kv", "no table");
    put_text(d, "plain/k.kv", "again");
    assert_int_equal(symlinkat("t.tbl", d, "way"), 0);
    assert_int_equal(renameat(d, "way", d, "t.tbl/l.tbl"), 0);
    assert_int_equal(unlinkat(d, "t.tbl/l.tbl", 0), 0);
    assert_told(w, "other plain k.kv; other  way; other t.tbl l.tbl; ");
}

static void too_much_in_one_directory_costs_its_watch(void **state)
{
    struct world *w = *state;
    int d = w->f.fd;

    for (int i = 0; i <= EDIT_NOISY; i++) {
        put_text(d, "t.tbl/k.kv", i % 2 == 0 ? "even" : "odd");
        put_text(d, "t.tbl/l.kv", "in between");
    }
    assert_told(w, "key t.tbl k; key t.tbl l; lost; ");
    assert_int_equal(edit_watch_count(w->w), 2);
    put_text(d, "t.tbl/k.kv", "not heard");
    put_text(d, "r.kv", "heard");
    assert_told(w, "key  r; ");
    add(w, "t.tbl");
    put_text(d, "t.tbl/k.kv", "again");
    assert_told(w, "key t.tbl k; ");
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(each_way_to_change_a_value_is_told),
        TEST(a_mapping_is_told_when_it_goes),
        TEST(each_way_of_a_name_is_told),
        TEST(directories_are_told),
        TEST(a_directory_that_moves_is_forgotten),
        TEST(an_unmount_is_told),
        TEST(what_is_no_key_is_not_told),
        TEST(too_much_in_one_directory_costs_its_watch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
