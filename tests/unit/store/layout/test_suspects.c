/* SPDX-License-Identifier: MIT
 *
 * suspects: what may be a dead writer's temporary is named, and nothing is
 * removed. */
#include "tests/support/store_fixture.h"

#include "store/lib/drover.h"

struct seen {
    unsigned count;
    int answer;
    char text[400];
};

static int note(void *arg, struct drover_bytes table, struct drover_bytes key,
                struct drover_bytes of)
{
    struct seen *s = arg;
    size_t at = strlen(s->text);

    s->count++;
    (void)snprintf(s->text + at, sizeof s->text - at, "%.*s|%.*s|%.*s\n",
                   (int)table.len, (const char *)table.data, (int)key.len,
                   (const char *)key.data, (int)of.len, (const char *)of.data);
    return s->answer;
}

static int find(struct fixture *f, struct seen *s)
{
    struct drover *db;
    struct drover_error e;

    memset(s->text, 0, sizeof s->text);
    s->count = 0;
    assert_int_equal(drover_open(f->path, DROVER_OPEN_READONLY, &db, &e), 0);
    int rc = drover_suspects(db, note, s, &e);
    drover_close(db);
    return rc;
}

/* What a writer leaves that is killed before its rename. */
static void leave(struct fixture *f, const char *path)
{
    put_text(f->fd, path, "half a va");
}

static void what_may_be_a_temporary_is_named(void **state)
{
    struct fixture *f = *state;
    struct seen s = {0};

    assert_int_equal(mkdirat(f->fd, "t.tbl", 0755), 0);
    assert_int_equal(mkdirat(f->fd, "u.tbl", 0755), 0);
    put_text(f->fd, "t.tbl/a*b.kv", "value");
    leave(f, "t.tbl/a1234567b.kv");
    leave(f, "t.tbl/a1234567x.kv"); /* of no key */
    leave(f, "t.tbl/a01b.kv");      /* no number of Go's */
    leave(f, "u.tbl/a1234567b.kv"); /* the key is in another table */
    leave(f, "*.kv");
    leave(f, "77.kv");
    assert_int_equal(find(f, &s), 0);
    assert_int_equal(s.count, 2);
    assert_non_null(strstr(s.text, "t|a1234567b|a*b\n"));
    assert_non_null(strstr(s.text, "|77|*\n"));
    assert_true(exists(f->fd, "t.tbl/a1234567b.kv"));
}

/* Renamed into place, as a set does it; times move in steps. */
static void put_renamed(struct fixture *f, const char *path)
{
    struct stat st;

    put_text(f->fd, path, "value");
    do {
        assert_int_equal(renameat(f->fd, path, f->fd, "temp"), 0);
        assert_int_equal(renameat(f->fd, "temp", f->fd, path), 0);
        assert_int_equal(fstatat(f->fd, path, &st, 0), 0);
    } while (st.st_ctim.tv_sec == st.st_mtim.tv_sec &&
             st.st_ctim.tv_nsec == st.st_mtim.tv_nsec);
}

static void what_is_a_key_for_certain_is_not(void **state)
{
    struct fixture *f = *state;
    struct seen s = {0};

    put_text(f->fd, "a*b.kv", "value");
    put_renamed(f, "a1b.kv");
    leave(f, "a2b.kv");
    assert_int_equal(fchmodat(f->fd, "a2b.kv", 0644, 0), 0);
    leave(f, "a3b.kv");
    assert_int_equal(linkat(f->fd, "a3b.kv", f->fd, "other", 0), 0);
    assert_int_equal(mkdirat(f->fd, "a4b.kv", 0700), 0);
    assert_int_equal(symlinkat("other", f->fd, "a5b.kv"), 0);
    /* Its writer lives. */
    leave(f, "a6b.kv");
    int fd = hold_lock(f->fd, "a6b.kv", LOCK_EX);
    /* A placeholder, whose lock must not be asked for. */
    int empty = openat(f->fd, "a7b.kv", O_RDWR | O_CREAT | O_EXCL, 0600);
    assert_int_equal(find(f, &s), 0);
    assert_string_equal(s.text, "");
    (void)close(empty);
    (void)close(fd);
    assert_int_equal(find(f, &s), 0);
    assert_non_null(strstr(s.text, "|a6b|a*b\n"));
}

static void the_search_ends_when_it_is_told_to(void **state)
{
    struct fixture *f = *state;
    struct seen s = {.answer = 3};

    put_text(f->fd, "a*b.kv", "value");
    leave(f, "a1b.kv");
    leave(f, "a2b.kv");
    assert_int_equal(find(f, &s), 3);
    assert_int_equal(s.count, 1);
}

static void
a_table_that_cannot_be_read_is_an_error_after_the_others(void **state)
{
    struct fixture *f = *state;
    struct seen s = {0};

    if (geteuid() == 0) {
        print_message("skipped: root may read everything\n");
        skip();
    }
    assert_int_equal(mkdirat(f->fd, "a.tbl", 0755), 0);
    assert_int_equal(mkdirat(f->fd, "b.tbl", 0755), 0);
    put_text(f->fd, "b.tbl/a*b.kv", "value");
    leave(f, "b.tbl/a1b.kv");
    assert_int_equal(fchmodat(f->fd, "a.tbl", 0, 0), 0);
    assert_int_equal(find(f, &s), DROVER_E_PERM);
    assert_int_equal(s.count, 1);
    assert_int_equal(fchmodat(f->fd, "a.tbl", 0755, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(what_may_be_a_temporary_is_named),
        FIXTURE_TEST(what_is_a_key_for_certain_is_not),
        FIXTURE_TEST(the_search_ends_when_it_is_told_to),
        FIXTURE_TEST(a_table_that_cannot_be_read_is_an_error_after_the_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
