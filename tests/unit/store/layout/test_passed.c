/* SPDX-License-Identifier: MIT
 *
 * What a walk passes over: counted, with the examples that matter. */
#include "tests/support/store_fixture.h"

#include "store/layout/passed.h"
#include "store/layout/walk.h"

static void make_dir(struct fixture *f, const char *path)
{
    assert_int_equal(mkdirat(f->fd, path, 0755), 0);
}

static void on_passed(void *arg, const char *dir, const char *name,
                      enum passed_why why)
{
    passed_note(arg, dir, name, why);
}

static struct passed *passed_in(struct fixture *f)
{
    static struct passed p;
    struct walk_counts c;
    struct db db;

    p = (struct passed){.count = 0};
    assert_int_equal(db_open(&db, f->path, false, &f->err), 0);
    assert_int_equal(
        walk_db(&db, &(struct walk_ops){.passed = on_passed}, &p, &c, &f->err),
        0);
    assert_int_equal(p.count, c.ignored);
    db_close(&db);
    return &p;
}

static void assert_place(const struct passed_place *at, const char *dir,
                         const char *name, enum passed_why why)
{
    assert_string_equal(at->dir, dir);
    assert_string_equal(at->name, name);
    assert_int_equal(at->why, why);
}

static void the_example_is_what_readers_see(void **state)
{
    struct fixture *f = *state;

    put_text(f->fd, "k.kv", "");
    put_text(f->fd, "k.kv12", "");
    assert_null(passed_seen(passed_in(f)));
    assert_int_equal(passed_in(f)->count, 0);
    make_dir(f, "t.tbl");
    put_text(f->fd, "t.tbl/notes", "");
    make_dir(f, "t.tbl/d.kv");
    assert_int_equal(mkfifoat(f->fd, "t.tbl/f.kv", 0600), 0);
    assert_int_equal(symlinkat("k.kv", f->fd, "t.tbl/l"), 0);
    const struct passed *p = passed_in(f);
    assert_int_equal(p->count, 4);
    assert_int_equal(p->n, 1);
    assert_int_equal(p->places[0].count, 4);
    assert_null(passed_seen(p));
    assert_int_equal(symlinkat("nowhere", f->fd, "t.tbl/l.kv"), 0);
    assert_place(passed_seen(passed_in(f)), "t.tbl", "l.kv", PASSED_LINK);
    assert_int_equal(unlinkat(f->fd, "t.tbl/l.kv", 0), 0);
    assert_int_equal(symlinkat("t.tbl", f->fd, "u.tbl"), 0);
    p = passed_in(f);
    assert_place(passed_seen(p), "", "u.tbl", PASSED_LINK_DIR);
    assert_int_equal(p->seen, 1);
    assert_int_equal(unlinkat(f->fd, "u.tbl", 0), 0);
    make_dir(f, "plain");
    assert_int_equal(symlinkat("plain", f->fd, "other"), 0);
    assert_place(passed_seen(passed_in(f)), "", "other", PASSED_LINK_DIR);
    put_text(f->fd, "plain/k.kv", "");
    p = passed_in(f);
    assert_place(&p->places[p->n - 1], "plain", "k.kv", PASSED_NO_TABLE);
}

/* However many directories there are, what matters is among them. */
static void what_readers_see_is_not_crowded_out(void **state)
{
    struct fixture *f = *state;
    struct passed p = {.count = 0};
    char dir[32];

    (void)f;
    for (int i = 0; i < 3 * PASSED_PLACES; i++) {
        (void)snprintf(dir, sizeof dir, "t%d.tbl", i);
        passed_note(&p, dir, "a.txt", PASSED_NO_KEY);
    }
    assert_int_equal(p.n, PASSED_PLACES);
    passed_note(&p, "z.tbl", "l.kv", PASSED_LINK);
    passed_note(&p, "z.tbl", "b.txt", PASSED_NO_KEY);
    passed_note(&p, "z.tbl", "l", PASSED_LINK);
    assert_place(passed_seen(&p), "z.tbl", "l.kv", PASSED_LINK);
    assert_int_equal(passed_seen(&p)->count, 3);
    assert_int_equal(p.count, 3 * PASSED_PLACES + 3);
    assert_int_equal(p.seen, 1);
}

/* A table that is too deep for us is none to flockd. */
static void a_table_that_is_too_deep_is_told(void **state)
{
    struct fixture *f = *state;
    char path[8 * TABLE_MAX_DEPTH] = "";
    size_t len = 0;

    for (int i = 0; i <= TABLE_MAX_DEPTH; i++) {
        len += (size_t)snprintf(path + len, sizeof path - len, "%sd.tbl",
                                i > 0 ? "/" : "");
        make_dir(f, path);
    }
    const struct passed *p = passed_in(f);
    assert_int_equal(p->count, 1);
    assert_non_null(passed_seen(p));
    assert_int_equal(p->places[0].why, PASSED_LONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(the_example_is_what_readers_see),
        FIXTURE_TEST(what_readers_see_is_not_crowded_out),
        FIXTURE_TEST(a_table_that_is_too_deep_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
