/* SPDX-License-Identifier: MIT
 *
 * Walking a database: what is a table, a key, a temporary, or nothing of ours,
 * and what is said about what could not be seen. */
#include "tests/support/store_fixture.h"

#include <sched.h>
#include <sys/mount.h>

#include "store/base/buf.h"
#include "store/layout/walk.h"

/* The walk as one line of text: "+table key key -table ". */
struct story {
    struct buf text;
    int stop_at_key; /* return 7 at this many keys; 0: never */
};

static int on_begin(void *arg, const char *table, size_t len, int dir_fd)
{
    struct story *s = arg;

    assert_true(fcntl(dir_fd, F_GETFD) >= 0);
    buf_printf(&s->text, "+%.*s ", (int)len, table);
    return 0;
}

static int on_key(void *arg, const char *table, size_t len, int dir_fd,
                  const char *key, size_t key_len)
{
    struct story *s = arg;
    struct stat st;

    (void)table;
    (void)len;
    assert_int_equal(fstatat(dir_fd, key, &st, 0), 0);
    buf_printf(&s->text, "%.*s ", (int)key_len, key);
    return s->stop_at_key > 0 && --s->stop_at_key == 0 ? 7 : 0;
}

static int on_end(void *arg, const char *table, size_t len, bool complete,
                  const struct err *err)
{
    struct story *s = arg;

    assert_int_equal(complete, err == NULL);
    buf_printf(&s->text, "%c%.*s ", complete ? '-' : '!', (int)len, table);
    return 0;
}

static int on_plain(void *arg, const char *path, int dir_fd)
{
    struct story *s = arg;

    assert_true(fcntl(dir_fd, F_GETFD) >= 0);
    buf_printf(&s->text, "(%s) ", path);
    return 0;
}

static int on_plain_bad(void *arg, const char *path, const struct err *err)
{
    struct story *s = arg;

    assert_true(err->code < 0);
    buf_printf(&s->text, "!(%s) ", path);
    return 0;
}

static const struct walk_ops OPS = {.table_begin = on_begin,
                                    .key = on_key,
                                    .table_end = on_end,
                                    .plain_dir = on_plain,
                                    .plain_incomplete = on_plain_bad};

static void make_dir(struct fixture *f, const char *path)
{
    assert_int_equal(mkdirat(f->fd, path, 0755), 0);
}

static void assert_walk(struct fixture *f, const char *want,
                        struct walk_counts *counts)
{
    struct story s = {.text = BUF_NULL};
    struct walk_counts unused;
    struct db db;

    assert_int_equal(db_open(&db, f->path, false, &f->err), 0);
    assert_int_equal(walk_db(&db, &OPS, &s, counts ? counts : &unused, &f->err),
                     0);
    buf_u8(&s.text, 0);
    assert_string_equal((char *)s.text.data, want);
    buf_deinit(&s.text);
    db_close(&db);
}

static void as_another_user(struct fixture *f, const char *want,
                            struct walk_counts *counts)
{
    assert_int_equal(seteuid(65534), 0);
    assert_walk(f, want, counts);
    assert_int_equal(seteuid(0), 0);
}

static void tables_are_told_parents_first_with_their_own_keys(void **state)
{
    struct fixture *f = *state;

    put_text(f->fd, "r.kv", "");
    make_dir(f, "a.tbl");
    put_text(f->fd, "a.tbl/k.kv", "");
    make_dir(f, "a.tbl/b.tbl");
    put_text(f->fd, "a.tbl/b.tbl/.kv", "");
    make_dir(f, "a.tbl/b.tbl/p");
    make_dir(f, "a.tbl/b.tbl/p/c.tbl");
    assert_walk(f,
                "+ r - +a k -a +a.tbl/b  -a.tbl/b (a.tbl/b.tbl/p) "
                "+a.tbl/b.tbl/p/c -a.tbl/b.tbl/p/c ",
                NULL);
}

static void all_else_is_ignored_and_counted(void **state)
{
    struct fixture *f = *state;
    struct walk_counts c;

    put_text(f->fd, "r.kv", "");
    put_text(f->fd, "r.kv123", "");
    put_text(f->fd, ".drover-tmp.0011223344556677", "");
    put_text(f->fd, "README", "");
    put_text(f->fd, "t.tbl", "");
    assert_int_equal(symlinkat("r.kv", f->fd, "l.kv"), 0);
    assert_int_equal(mkfifoat(f->fd, "f.kv", 0600), 0);
    make_dir(f, "p");
    put_text(f->fd, "p/no.kv", "");
    put_text(f->fd, "p/no.kv1", "");
    make_dir(f, ".drover");
    put_text(f->fd, ".drover/x.kv", "");
    make_dir(f, ".drover/y.tbl");
    assert_walk(f, "+ r - (p) ", &c);
    assert_int_equal(c.tables, 1);
    assert_int_equal(c.keys, 1);
    assert_int_equal(c.temps, 2);
    assert_int_equal(c.ignored, 6);
    assert_int_equal(c.incomplete, 0);
}

static void links_are_never_followed(void **state)
{
    struct fixture *f = *state;

    make_dir(f, "d");
    make_dir(f, "d/t.tbl");
    assert_int_equal(symlinkat("d", f->fd, "e"), 0);
    assert_int_equal(symlinkat("d/t.tbl", f->fd, "t.tbl"), 0);
    assert_walk(f, "+ - (d) +d/t -d/t ", NULL);
}

static void more_entries_than_one_buffer_are_all_seen_once(void **state)
{
    struct fixture *f = *state;
    struct walk_counts c;
    struct db db;
    char name[64];

    for (int i = 0; i < 5000; i++) {
        (void)snprintf(name, sizeof name, "key-with-a-long-name-%06d.kv", i);
        put_text(f->fd, name, "");
    }
    assert_int_equal(db_open(&db, f->path, false, &f->err), 0);
    assert_int_equal(
        walk_db(&db, &(struct walk_ops){.key = NULL}, NULL, &c, &f->err), 0);
    assert_int_equal(c.keys, 5000);
    db_close(&db);
}

static void a_callbacks_word_stops_the_walk(void **state)
{
    struct fixture *f = *state;
    struct story s = {.text = BUF_NULL, .stop_at_key = 2};
    struct walk_counts c;
    struct db db;

    put_text(f->fd, "a.kv", "");
    put_text(f->fd, "b.kv", "");
    put_text(f->fd, "c.kv", "");
    make_dir(f, "t.tbl");
    assert_int_equal(db_open(&db, f->path, false, &f->err), 0);
    assert_int_equal(walk_db(&db, &OPS, &s, &c, &f->err), 7);
    assert_int_equal(c.keys, 2);
    buf_deinit(&s.text);
    db_close(&db);
}

static void a_lost_root_says_so(void **state)
{
    struct fixture *f = *state;
    struct walk_counts c;
    char path[300];
    struct db db;

    (void)snprintf(path, sizeof path, "%s/db", f->path);
    assert_int_equal(db_open(&db, path, true, &f->err), 0);
    assert_int_equal(unlinkat(f->fd, "db", AT_REMOVEDIR), 0);
    assert_int_equal(
        walk_db(&db, &(struct walk_ops){.key = NULL}, NULL, &c, &f->err),
        ERR_GONE);
    make_dir(f, "db");
    assert_int_equal(
        walk_db(&db, &(struct walk_ops){.key = NULL}, NULL, &c, &f->err),
        ERR_GONE);
    db_close(&db);
}

/* The root is exchanged while its only table is listed. */
static int on_key_swap(void *arg, const char *table, size_t len, int dir_fd,
                       const char *key, size_t key_len)
{
    struct fixture *f = arg;

    (void)table;
    (void)len;
    (void)dir_fd;
    (void)key;
    (void)key_len;
    return renameat(f->fd, "db", f->fd, "away");
}

static void a_root_lost_in_mid_walk_says_so(void **state)
{
    struct fixture *f = *state;
    struct walk_counts c;
    char path[300];
    struct db db;

    (void)snprintf(path, sizeof path, "%s/db", f->path);
    assert_int_equal(db_open(&db, path, true, &f->err), 0);
    put_text(db.root_fd, "k.kv", "");
    assert_int_equal(
        walk_db(&db, &(struct walk_ops){.key = on_key_swap}, f, &c, &f->err),
        ERR_GONE);
    db_close(&db);
}

static void an_unreadable_directory_is_incomplete(void **state)
{
    struct fixture *f = *state;
    struct walk_counts c;

    if (geteuid() == 0) {
        print_message("skipped: root may read everything\n");
        skip();
    }
    make_dir(f, "t.tbl");
    assert_int_equal(fchmodat(f->fd, "t.tbl", 0, 0), 0);
    assert_walk(f, "+ - !t ", &c);
    assert_int_equal(c.incomplete, 1);
    assert_int_equal(unlinkat(f->fd, "t.tbl", AT_REMOVEDIR), 0);
    make_dir(f, "p");
    assert_int_equal(fchmodat(f->fd, "p", 0, 0), 0);
    assert_walk(f, "+ - !(p) ", &c);
    assert_int_equal(c.incomplete, 1);
    assert_int_equal(fchmodat(f->fd, "p", 0755, 0), 0);
}

/* The one that mkfs made and root alone may read is nobody's business; one of
 * that name elsewhere, or somebody else's, is. */
static void a_lost_found_that_only_root_reads_is_passed_over(void **state)
{
    struct fixture *f = *state;
    struct walk_counts c;

    if (geteuid() != 0) {
        print_message("skipped: needs root to make a directory of root's\n");
        skip();
    }
    assert_int_equal(fchmod(f->fd, 0755), 0);
    make_dir(f, "lost+found");
    assert_int_equal(fchmodat(f->fd, "lost+found", 0700, 0), 0);
    assert_walk(f, "+ - (lost+found) ", NULL);
    as_another_user(f, "+ - ", &c);
    assert_int_equal(c.incomplete, 0);
    assert_int_equal(fchownat(f->fd, "lost+found", 65533, 65533, 0), 0);
    as_another_user(f, "+ - !(lost+found) ", &c);
    assert_int_equal(c.incomplete, 1);
    assert_int_equal(unlinkat(f->fd, "lost+found", AT_REMOVEDIR), 0);
    make_dir(f, "t.tbl");
    make_dir(f, "t.tbl/lost+found");
    assert_int_equal(fchmodat(f->fd, "t.tbl/lost+found", 0700, 0), 0);
    as_another_user(f, "+ - +t -t !(t.tbl/lost+found) ", &c);
    assert_int_equal(c.incomplete, 1);
}

/* A mount inside the database hides what was there: nothing follows from it. */
static void a_mount_inside_is_incomplete(void **state)
{
    struct fixture *f = *state;
    struct walk_counts c;
    char path[300];

    if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        print_message("skipped: needs the right to mount\n");
        skip();
    }
    make_dir(f, "t.tbl");
    put_text(f->fd, "t.tbl/k.kv", "");
    (void)snprintf(path, sizeof path, "%s/t.tbl", f->path);
    assert_int_equal(mount("none", path, "tmpfs", 0, NULL), 0);
    assert_walk(f, "+ - !t ", &c);
    assert_int_equal(c.incomplete, 1);
    assert_int_equal(umount2(path, MNT_DETACH), 0);
    /* The same filesystem: the device tells nothing. */
    make_dir(f, ".drover"); /* not walked */
    char empty[300];
    (void)snprintf(empty, sizeof empty, "%s/.drover", f->path);
    assert_int_equal(mount(empty, path, NULL, MS_BIND, NULL), 0);
    assert_walk(f, "+ - !t ", &c);
    assert_int_equal(c.incomplete, 1);
    assert_int_equal(umount2(path, MNT_DETACH), 0);
}

static bool t_was_there(void *arg, const char *table, size_t len, bool is_file)
{
    (void)arg;
    (void)is_file;
    return len == 1 && table[0] == 't';
}

static void what_is_in_a_known_tables_place_is_incomplete(void **state)
{
    struct fixture *f = *state;
    struct story s = {.text = BUF_NULL};
    struct walk_ops with = OPS;
    struct walk_counts c;
    struct db db;

    with.expected = t_was_there;
    assert_int_equal(symlinkat("r.kv", f->fd, "t.tbl"), 0);
    put_text(f->fd, "u.tbl", "never a table");
    assert_int_equal(db_open(&db, f->path, false, &f->err), 0);
    assert_int_equal(walk_db(&db, &with, &s, &c, &f->err), 0);
    assert_int_equal(c.incomplete, 1);
    assert_int_equal(c.ignored, 2);
    assert_int_equal(unlinkat(f->fd, "t.tbl", 0), 0);
    assert_int_equal(mkfifoat(f->fd, "t.tbl", 0600), 0);
    assert_int_equal(walk_db(&db, &with, &s, &c, &f->err), 0);
    assert_int_equal(c.incomplete, 1);
    /* A file may have been exchanged for it, and so whoever knows of the table
     * is asked. */
    assert_int_equal(unlinkat(f->fd, "t.tbl", 0), 0);
    put_text(f->fd, "t.tbl", "a file");
    assert_int_equal(walk_db(&db, &with, &s, &c, &f->err), 0);
    assert_int_equal(c.incomplete, 1);
    assert_int_equal(c.ignored, 2);
    buf_u8(&s.text, 0);
    assert_string_equal((char *)s.text.data, "+ !t - + !t - + !t - ");
    buf_deinit(&s.text);
    db_close(&db);
}

static void another_database_below_is_not_entered(void **state)
{
    struct fixture *f = *state;
    struct walk_counts c;

    make_dir(f, ".drover");
    make_dir(f, "a.tbl");
    make_dir(f, "a.tbl/b.tbl");
    make_dir(f, "a.tbl/b.tbl/.drover");
    put_text(f->fd, "a.tbl/b.tbl/k.kv", "");
    make_dir(f, "p");
    make_dir(f, "p/.drover");
    make_dir(f, "p/t.tbl");
    put_text(f->fd, "p/t.tbl/k.kv", "");
    /* A file of that name makes none. */
    make_dir(f, "a.tbl/q");
    put_text(f->fd, "a.tbl/q/.drover", "");
    assert_walk(f, "+ - +a -a (a.tbl/q) ", &c);
    assert_int_equal(c.others, 2);
    assert_int_equal(c.incomplete, 0);
    assert_int_equal(c.keys, 0);
}

static bool was_there(void *arg, const char *table, size_t len, bool is_file)
{
    (void)arg;
    (void)is_file;
    return len == 1 && table[0] == 'a';
}

static void another_database_in_a_known_tables_place_is_incomplete(void **state)
{
    struct fixture *f = *state;
    struct walk_ops ops = OPS;
    struct story s = {.text = BUF_NULL};
    struct walk_counts c;
    struct db db;

    ops.expected = was_there;
    make_dir(f, "a.tbl");
    make_dir(f, "a.tbl/.drover");
    make_dir(f, "b.tbl");
    make_dir(f, "b.tbl/.drover");
    assert_int_equal(db_open(&db, f->path, false, &f->err), 0);
    assert_int_equal(walk_db(&db, &ops, &s, &c, &f->err), 0);
    buf_u8(&s.text, 0);
    assert_string_equal((char *)s.text.data, "+ - !a ");
    assert_int_equal(c.incomplete, 1);
    assert_int_equal(c.others, 2);
    assert_int_equal(walk_below(&db, "a", 1, true, &ops, &s, &c, &f->err),
                     ERR_NOTTABLE);
    buf_deinit(&s.text);
    db_close(&db);
}

static void walk_below_begins_at_a_table_or_plain_directory(void **state)
{
    struct fixture *f = *state;
    struct story s = {.text = BUF_NULL};
    struct walk_counts c;
    struct db db;

    make_dir(f, "p");
    make_dir(f, "p/t.tbl");
    put_text(f->fd, "p/t.tbl/k.kv", "");
    make_dir(f, "p/t.tbl/u.tbl");
    make_dir(f, "other.tbl");
    assert_int_equal(db_open(&db, f->path, false, &f->err), 0);
    assert_int_equal(walk_below(&db, "p/t", 3, true, &OPS, &s, &c, &f->err), 0);
    assert_int_equal(walk_below(&db, "p", 1, false, &OPS, &s, &c, &f->err), 0);
    buf_u8(&s.text, 0);
    assert_string_equal((char *)s.text.data,
                        "+p/t k -p/t +p/t.tbl/u -p/t.tbl/u "
                        "(p) +p/t k -p/t +p/t.tbl/u -p/t.tbl/u ");
    assert_int_equal(walk_below(&db, "no", 2, true, &OPS, &s, &c, &f->err),
                     ERR_NOTFOUND);
    assert_int_equal(walk_below(&db, "..", 2, false, &OPS, &s, &c, &f->err),
                     ERR_BADTABLE);
    buf_deinit(&s.text);
    db_close(&db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(tables_are_told_parents_first_with_their_own_keys),
        FIXTURE_TEST(all_else_is_ignored_and_counted),
        FIXTURE_TEST(links_are_never_followed),
        FIXTURE_TEST(more_entries_than_one_buffer_are_all_seen_once),
        FIXTURE_TEST(a_callbacks_word_stops_the_walk),
        FIXTURE_TEST(a_lost_root_says_so),
        FIXTURE_TEST(a_root_lost_in_mid_walk_says_so),
        FIXTURE_TEST(an_unreadable_directory_is_incomplete),
        FIXTURE_TEST(a_lost_found_that_only_root_reads_is_passed_over),
        FIXTURE_TEST(a_mount_inside_is_incomplete),
        FIXTURE_TEST(what_is_in_a_known_tables_place_is_incomplete),
        FIXTURE_TEST(another_database_below_is_not_entered),
        FIXTURE_TEST(another_database_in_a_known_tables_place_is_incomplete),
        FIXTURE_TEST(walk_below_begins_at_a_table_or_plain_directory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
