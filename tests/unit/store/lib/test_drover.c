/* SPDX-License-Identifier: MIT
 *
 * The public library, by its own header: each function, each error. */
#include "tests/support/store_fixture.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>

#include "store/base/clock.h"
#include "store/lib/drover.h"

#define T(s) drover_text(s)
static const struct drover_bytes ROOT = {NULL, 0};

struct box {
    struct fixture f;
    struct drover *db;
    struct drover_error e;
};

static int setup(void **state)
{
    struct box *b = calloc(1, sizeof *b);

    assert_non_null(b);
    fixture_begin(&b->f);
    assert_int_equal(drover_open(b->f.path, 0, &b->db, &b->e), 0);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct box *b = *state;

    drover_close(b->db);
    fixture_end(&b->f);
    free(b);
    return 0;
}

#define BOX_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

static void assert_value(struct box *b, const char *table, const char *key,
                         const char *want)
{
    void *value;
    size_t len;

    assert_int_equal(
        drover_get(b->db, T(table), T(key), 0, &value, &len, &b->e), 0);
    assert_int_equal(len, strlen(want));
    assert_string_equal(value, want);
    drover_free(value);
}

/* Names in a directory, with none of ours left over. */
static int count_entries(int dir_fd, const char *path)
{
    int n = 0;
    DIR *dir = fdopendir(openat(dir_fd, path, O_RDONLY | O_CLOEXEC));

    assert_non_null(dir);
    while (readdir(dir) != NULL) {
        n++;
    }
    (void)closedir(dir);
    return n - 2; /* . and .. */
}

static void a_set_key_is_got_back_and_is_a_file_of_flockd(void **state)
{
    struct box *b = *state;
    struct stat st;

    assert_int_equal(drover_set(b->db, ROOT, T("k"), T("v"), 0, &b->e), 0);
    assert_int_equal(
        drover_set(b->db, T("eu/users"), T("bob"), T("42"), 0, &b->e), 0);
    assert_value(b, "", "k", "v");
    assert_value(b, "eu/users", "bob", "42");
    assert_file(b->f.fd, "k.kv", "v");
    assert_file(b->f.fd, "eu/users.tbl/bob.kv", "42");
    assert_int_equal(fstatat(b->f.fd, "k.kv", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(count_entries(b->f.fd, "eu/users.tbl"), 1);
}

static void a_set_replaces_the_file_and_leaves_nothing_locked(void **state)
{
    struct box *b = *state;
    struct stat was;
    struct stat now;

    assert_int_equal(drover_set(b->db, ROOT, T("k"), T("1"), 0, &b->e), 0);
    assert_int_equal(fstatat(b->f.fd, "k.kv", &was, 0), 0);
    int old = openat(b->f.fd, "k.kv", O_RDONLY | O_CLOEXEC);
    assert_int_equal(drover_set(b->db, ROOT, T("k"), T(""), 0, &b->e), 0);
    assert_int_equal(fstatat(b->f.fd, "k.kv", &now, 0), 0);
    assert_true(was.st_ino != now.st_ino);
    (void)close(old);
    assert_value(b, "", "k", "");
    int fd = hold_lock(b->f.fd, "k.kv", LOCK_EX | LOCK_NB);
    (void)close(fd);
}

static void create_wants_no_key_and_update_wants_one(void **state)
{
    struct box *b = *state;

    assert_int_equal(drover_update(b->db, T("t"), T("k"), T("0"), 0, &b->e),
                     DROVER_E_NOTFOUND);
    assert_false(exists(b->f.fd, "t.tbl"));
    assert_int_equal(drover_create(b->db, T("t"), T("k"), T("1"), &b->e), 0);
    assert_int_equal(drover_create(b->db, T("t"), T("k"), T("2"), &b->e),
                     DROVER_E_EXISTS);
    assert_non_null(strstr(b->e.message, "key k in table t"));
    assert_value(b, "t", "k", "1");
    assert_int_equal(drover_update(b->db, T("t"), T("k"), T("3"), 0, &b->e), 0);
    assert_value(b, "t", "k", "3");
    assert_int_equal(drover_update(b->db, T("t"), T("x"), T("3"), 0, &b->e),
                     DROVER_E_NOTFOUND);
    assert_int_equal(count_entries(b->f.fd, "t.tbl"), 1);
}

static void delete_and_has_know_what_is_there(void **state)
{
    struct box *b = *state;

    assert_int_equal(drover_has(b->db, ROOT, T("k"), &b->e), 0);
    assert_int_equal(drover_has(b->db, T("no"), T("k"), &b->e), 0);
    assert_int_equal(drover_delete(b->db, ROOT, T("k"), 0, &b->e), 0);
    assert_int_equal(drover_delete(b->db, T("no"), T("k"), 0, &b->e), 0);
    assert_int_equal(drover_set(b->db, ROOT, T("k"), T("v"), 0, &b->e), 0);
    assert_int_equal(drover_has(b->db, ROOT, T("k"), &b->e), 1);
    assert_int_equal(drover_delete(b->db, ROOT, T("k"), 0, &b->e), 1);
    assert_int_equal(drover_has(b->db, ROOT, T("k"), &b->e), 0);
    assert_int_equal(count_entries(b->f.fd, "."), 0);
}

static void a_read_creates_nothing(void **state)
{
    struct box *b = *state;
    void *value;
    size_t len;

    assert_int_equal(drover_get(b->db, ROOT, T("k"), 50, &value, &len, &b->e),
                     DROVER_E_NOTFOUND);
    assert_int_equal(drover_get(b->db, T("t"), T("k"), 50, &value, &len, &b->e),
                     DROVER_E_NOTFOUND);
    assert_non_null(strstr(b->e.message, "get key k in table t"));
    assert_int_equal(count_entries(b->f.fd, "."), 0);
}

static void get_into_says_how_much_room_it_needs(void **state)
{
    struct box *b = *state;
    char out[8];
    size_t len = 0;

    assert_int_equal(drover_set(b->db, ROOT, T("k"), T("12345678"), 0, &b->e),
                     0);
    assert_int_equal(
        drover_get_into(b->db, ROOT, T("k"), 0, out, 8, &len, &b->e), 0);
    assert_int_equal(len, 8);
    assert_memory_equal(out, "12345678", 8);
    len = 0;
    assert_int_equal(
        drover_get_into(b->db, ROOT, T("k"), 0, out, 7, &len, &b->e),
        DROVER_E_TOOBIG);
    assert_int_equal(len, 8);
}

/* Two seconds after the last change a shorter way is taken. */
static void an_old_value_is_got_the_same_way(void **state)
{
    struct box *b = *state;
    char out[8] = "";
    size_t len = 0;
    struct stat st;

    assert_int_equal(drover_set(b->db, T("t"), T("k"), T("1234"), 0, &b->e), 0);
    do {
        clock_sleep_ns(100 * NS_PER_MS);
        assert_int_equal(fstatat(b->f.fd, "t.tbl/k.kv", &st, 0), 0);
    } while (clock_real_ns() - clock_of_timespec(st.st_ctim) <
             2100 * NS_PER_MS);
    assert_value(b, "t", "k", "1234");
    assert_int_equal(
        drover_get_into(b->db, T("t"), T("k"), 0, out, 4, &len, &b->e), 0);
    assert_int_equal(len, 4);
    assert_memory_equal(out, "1234", 4);
    assert_int_equal(
        drover_get_into(b->db, T("t"), T("k"), 0, out, 3, &len, &b->e),
        DROVER_E_TOOBIG);
    int held = hold_lock(b->f.fd, "t.tbl/k.kv", LOCK_EX);
    assert_int_equal(
        drover_get_into(b->db, T("t"), T("k"), 0, out, 4, &len, &b->e),
        DROVER_E_TIMEOUT);
    (void)close(held);
    assert_int_equal(drover_set(b->db, T("t"), T("k"), T("5"), 0, &b->e), 0);
    assert_value(b, "t", "k", "5");
}

/* Every way to name something impossible, for every function. */
static void bad_names_are_refused_everywhere(void **state)
{
    struct box *b = *state;
    char long_key[253];
    void *value;
    size_t len;
    uint64_t size;
    struct drover_reader *r;
    struct drover_writer *w;

    struct {
        struct drover_bytes table;
        struct drover_bytes key;
        int code;
    } rows[] = {
        {ROOT, T("a/b"), DROVER_E_BADKEY},
        {ROOT, {"a\0b", 3}, DROVER_E_BADKEY},
        {ROOT, {long_key, sizeof long_key}, DROVER_E_BADKEY},
        {T(".."), T("k"), DROVER_E_BADTABLE},
        {T("../x"), T("k"), DROVER_E_BADTABLE},
        {T("/x"), T("k"), DROVER_E_BADTABLE},
        {T("x//y"), T("k"), DROVER_E_BADTABLE},
        {T("x/"), T("k"), DROVER_E_BADTABLE},
        {T(".drover/x"), T("k"), DROVER_E_BADTABLE},
        {{"a\0b", 3}, T("k"), DROVER_E_BADTABLE},
    };

    memset(long_key, 'k', sizeof long_key);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct drover_bytes t = rows[i].table;
        struct drover_bytes k = rows[i].key;
        int want = rows[i].code;
        assert_int_equal(drover_get(b->db, t, k, 0, &value, &len, &b->e), want);
        assert_int_equal(b->e.code, want);
        assert_int_equal(drover_get_into(b->db, t, k, 0, NULL, 0, &len, &b->e),
                         want);
        assert_int_equal(drover_read_open(b->db, t, k, 0, &r, &size, &b->e),
                         want);
        assert_int_equal(drover_has(b->db, t, k, &b->e), want);
        assert_int_equal(drover_set(b->db, t, k, T("v"), 0, &b->e), want);
        assert_int_equal(drover_create(b->db, t, k, T("v"), &b->e), want);
        assert_int_equal(drover_update(b->db, t, k, T("v"), 0, &b->e), want);
        assert_int_equal(drover_delete(b->db, t, k, 0, &b->e), want);
        assert_int_equal(drover_import(b->db, t, k, "/dev/null", 0, &b->e),
                         want);
        assert_int_equal(
            drover_write_begin(b->db, t, k, DROVER_WRITE_SET, &w, &b->e), want);
        assert_int_equal(drover_set(b->db, t, k, T("v"), 0, NULL), want);
        if (want == DROVER_E_BADTABLE) {
            assert_int_equal(drover_table_create(b->db, t, &b->e), want);
            assert_int_equal(drover_table_has(b->db, t, &b->e), want);
            assert_int_equal(drover_table_drop(b->db, t, 0, &b->e), want);
        }
    }
    assert_int_equal(count_entries(b->f.fd, "."), 0);
}

static void the_longest_key_works(void **state)
{
    struct box *b = *state;
    char key[252];
    struct drover_bytes k = {key, sizeof key};
    void *value;
    size_t len;

    memset(key, '\xff', sizeof key);
    assert_int_equal(drover_set(b->db, T("t"), k, T("1"), 0, &b->e), 0);
    assert_int_equal(drover_set(b->db, T("t"), k, T("2"), 0, &b->e), 0);
    assert_int_equal(drover_get(b->db, T("t"), k, 0, &value, &len, &b->e), 0);
    assert_string_equal(value, "2");
    drover_free(value);
    assert_int_equal(drover_create(b->db, T("t"), k, T("3"), &b->e),
                     DROVER_E_EXISTS);
    assert_int_equal(drover_delete(b->db, T("t"), k, 0, &b->e), 1);
    assert_int_equal(count_entries(b->f.fd, "t.tbl"), 0);
}

static void what_is_no_file_is_said_to_be_none(void **state)
{
    struct box *b = *state;
    void *value;
    size_t len;

    assert_int_equal(mkdirat(b->f.fd, "dir.kv", 0700), 0);
    assert_int_equal(symlinkat("/etc/passwd", b->f.fd, "link.kv"), 0);
    put_text(b->f.fd, "file.tbl", "");
    assert_int_equal(drover_get(b->db, ROOT, T("dir"), 0, &value, &len, &b->e),
                     DROVER_E_NOTTABLE);
    assert_int_equal(drover_set(b->db, ROOT, T("dir"), T("v"), 0, &b->e),
                     DROVER_E_NOTTABLE);
    assert_int_equal(drover_get(b->db, ROOT, T("link"), 0, &value, &len, &b->e),
                     DROVER_E_NOTTABLE);
    assert_int_equal(drover_set(b->db, ROOT, T("link"), T("v"), 0, &b->e),
                     DROVER_E_NOTTABLE);
    assert_int_equal(drover_delete(b->db, ROOT, T("dir"), 0, &b->e),
                     DROVER_E_NOTTABLE);
    assert_int_equal(drover_has(b->db, ROOT, T("link"), &b->e), 0);
    assert_int_equal(drover_set(b->db, T("file"), T("k"), T("v"), 0, &b->e),
                     DROVER_E_NOTTABLE);
    /* To read: there is no such table, and so no key of it. */
    assert_int_equal(
        drover_get(b->db, T("file"), T("k"), 0, &value, &len, &b->e),
        DROVER_E_NOTFOUND);
    assert_int_equal(drover_has(b->db, T("file.tbl/t"), T("k"), &b->e), 0);
    assert_int_equal(drover_delete(b->db, T("file"), T("k"), 0, &b->e), 0);
    assert_int_equal(drover_table_has(b->db, T("file.tbl/t"), &b->e), 0);
    assert_int_equal(drover_table_drop(b->db, T("file"), 0, &b->e), 0);
    assert_int_equal(drover_table_drop(b->db, T("file.tbl/t"), 0, &b->e), 0);
    assert_int_equal(count_entries(b->f.fd, "."), 3);
}

static void a_busy_lock_times_out_and_changes_nothing(void **state)
{
    struct box *b = *state;
    void *value;
    size_t len;

    assert_int_equal(drover_set(b->db, ROOT, T("k"), T("1"), 0, &b->e), 0);
    int held = hold_lock(b->f.fd, "k.kv", LOCK_SH);
    assert_value(b, "", "k", "1");
    int64_t t0 = clock_mono_ns();
    assert_int_equal(drover_set(b->db, ROOT, T("k"), T("2"), 20, &b->e),
                     DROVER_E_TIMEOUT);
    assert_true(clock_mono_ns() - t0 >= 20 * NS_PER_MS);
    assert_non_null(strstr(b->e.message, "key k"));
    assert_int_equal(drover_update(b->db, ROOT, T("k"), T("2"), 0, &b->e),
                     DROVER_E_TIMEOUT);
    assert_int_equal(drover_delete(b->db, ROOT, T("k"), 0, &b->e),
                     DROVER_E_TIMEOUT);
    assert_int_equal(drover_create(b->db, ROOT, T("k"), T("2"), &b->e),
                     DROVER_E_EXISTS);
    (void)close(held);
    held = hold_lock(b->f.fd, "k.kv", LOCK_EX);
    assert_int_equal(drover_get(b->db, ROOT, T("k"), 0, &value, &len, &b->e),
                     DROVER_E_TIMEOUT);
    (void)close(held);
    assert_value(b, "", "k", "1");
    assert_int_equal(count_entries(b->f.fd, "."), 1);
    assert_int_equal(drover_set(b->db, ROOT, T("k"), T("2"), -2, &b->e),
                     DROVER_E_INVALID);
}

static void a_value_written_in_pieces_appears_at_the_commit(void **state)
{
    struct box *b = *state;
    struct drover_writer *w;

    assert_int_equal(
        drover_write_begin(b->db, ROOT, T("k"), DROVER_WRITE_SET, &w, &b->e),
        0);
    assert_int_equal(drover_write(w, T("one "), &b->e), 0);
    assert_int_equal(drover_write(w, T("two"), &b->e), 0);
    assert_int_equal(drover_has(b->db, ROOT, T("k"), &b->e), 0);
    assert_int_equal(drover_write_commit(w, 0, &b->e), 0);
    assert_value(b, "", "k", "one two");

    assert_int_equal(
        drover_write_begin(b->db, ROOT, T("k"), DROVER_WRITE_UPDATE, &w, &b->e),
        0);
    assert_int_equal(drover_write(w, T("lost"), &b->e), 0);
    drover_write_abort(w);
    drover_write_abort(NULL);
    assert_value(b, "", "k", "one two");
    assert_int_equal(count_entries(b->f.fd, "."), 1);
}

static void a_commit_that_timed_out_can_be_repeated(void **state)
{
    struct box *b = *state;
    struct drover_writer *w;

    assert_int_equal(drover_set(b->db, ROOT, T("k"), T("1"), 0, &b->e), 0);
    int held = hold_lock(b->f.fd, "k.kv", LOCK_SH);
    assert_int_equal(
        drover_write_begin(b->db, ROOT, T("k"), DROVER_WRITE_SET, &w, &b->e),
        0);
    assert_int_equal(drover_write(w, T("2"), &b->e), 0);
    assert_int_equal(drover_write_commit(w, 0, &b->e), DROVER_E_TIMEOUT);
    assert_value(b, "", "k", "1");
    (void)close(held);
    assert_int_equal(drover_write_commit(w, 0, &b->e), 0);
    assert_value(b, "", "k", "2");
}

static void a_stream_holds_the_share_lock_until_it_is_closed(void **state)
{
    struct box *b = *state;
    struct drover_reader *r;
    uint64_t size;
    char out[4];

    assert_int_equal(drover_set(b->db, ROOT, T("k"), T("12345"), 0, &b->e), 0);
    assert_int_equal(drover_read_open(b->db, ROOT, T("k"), 0, &r, &size, &b->e),
                     0);
    assert_int_equal(size, 5);
    assert_int_equal(drover_read(r, out, 4, &b->e), 4);
    assert_int_equal(drover_set(b->db, ROOT, T("k"), T("x"), 0, &b->e),
                     DROVER_E_TIMEOUT);
    assert_int_equal(drover_read(r, out, 4, &b->e), 1);
    assert_int_equal(drover_read(r, out, 4, &b->e), 0);
    drover_read_close(r);
    drover_read_close(NULL);
    assert_int_equal(drover_set(b->db, ROOT, T("k"), T("x"), 0, &b->e), 0);
}

static void a_stream_notices_a_writer_that_does_not_lock(void **state)
{
    struct box *b = *state;
    struct drover_reader *r;
    char out[4];

    assert_int_equal(drover_set(b->db, ROOT, T("k"), T("12345"), 0, &b->e), 0);
    assert_int_equal(drover_read_open(b->db, ROOT, T("k"), 0, &r, NULL, &b->e),
                     0);
    assert_int_equal(drover_read(r, out, 4, &b->e), 4);
    put_text(b->f.fd, "k.kv", "abcdefgh");
    assert_int_equal(drover_read(r, out, 4, &b->e), 1);
    assert_int_equal(drover_read(r, out, 4, &b->e), DROVER_E_TIMEOUT);
    drover_read_close(r);

    /* Replaced without the lock: what we hold still is whole. */
    assert_int_equal(drover_read_open(b->db, ROOT, T("k"), 0, &r, NULL, &b->e),
                     0);
    put_text(b->f.fd, "other", "x");
    assert_int_equal(renameat(b->f.fd, "other", b->f.fd, "k.kv"), 0);
    assert_int_equal(drover_read(r, out, 4, &b->e), 4);
    assert_int_equal(drover_read(r, out, 4, &b->e), 4);
    assert_int_equal(drover_read(r, out, 4, &b->e), 0);
    drover_read_close(r);
}

static void a_file_is_imported(void **state)
{
    struct box *b = *state;
    char path[300];
    void *value;
    size_t len;
    size_t size = 600 * 1000;
    char *data = malloc(size);

    memset(data, 'z', size);
    put_file(b->f.fd, "input", data, size);
    (void)snprintf(path, sizeof path, "%s/input", b->f.path);
    assert_int_equal(drover_import(b->db, T("t"), T("k"), path, 0, &b->e), 0);
    assert_int_equal(drover_get(b->db, T("t"), T("k"), 0, &value, &len, &b->e),
                     0);
    assert_int_equal(len, size);
    assert_memory_equal(value, data, size);
    drover_free(value);
    free(data);
    assert_int_equal(drover_import(b->db, T("u"), T("k"), "/none", 0, &b->e),
                     DROVER_E_NOTFOUND);
    assert_int_equal(drover_import(b->db, T("t"), T("k2"), b->f.path, 0, &b->e),
                     DROVER_E_IO);
    assert_int_equal(count_entries(b->f.fd, "t.tbl"), 1);
    assert_false(exists(b->f.fd, "u.tbl"));
}

/* --- lists --------------------------------------------------------------- */

struct list {
    char text[400];
    int stop_after; /* 0: never */
};

static int on_name(void *arg, struct drover_bytes name)
{
    struct list *l = arg;
    size_t n = strlen(l->text);

    (void)snprintf(l->text + n, sizeof l->text - n, "%.*s|", (int)name.len,
                   (const char *)name.data);
    return l->stop_after > 0 && --l->stop_after == 0 ? 5 : 0;
}

static int on_pair(void *arg, struct drover_bytes key,
                   struct drover_bytes value)
{
    (void)on_name(arg, key);
    return on_name(arg, value);
}

static void keys_are_listed_by_prefix_in_order(void **state)
{
    struct box *b = *state;
    struct list l = {.text = ""};
    static const char *const keys[] = {"b2", "a", "b", "", "b1", "\xff"};

    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(
            drover_set(b->db, T("t"), T(keys[i]), T("v"), 0, &b->e), 0);
    }
    put_text(b->f.fd, "t.tbl/README", "");
    put_text(b->f.fd, "t.tbl/b.kv77", "");
    assert_int_equal(mkdirat(b->f.fd, "t.tbl/bdir.kv", 0700), 0);
    assert_int_equal(drover_keys(b->db, T("t"), ROOT, DROVER_LIST_SORTED,
                                 on_name, &l, &b->e),
                     0);
    assert_string_equal(l.text, "|a|b|b1|b2|\xff|");
    l = (struct list){.text = ""};
    assert_int_equal(drover_keys(b->db, T("t"), T("b"), DROVER_LIST_SORTED,
                                 on_name, &l, &b->e),
                     0);
    assert_string_equal(l.text, "b|b1|b2|");
    l = (struct list){.stop_after = 2};
    assert_int_equal(drover_keys(b->db, T("t"), T("b"), DROVER_LIST_SORTED,
                                 on_name, &l, &b->e),
                     5);
    assert_string_equal(l.text, "b|b1|");
    l = (struct list){.text = ""};
    assert_int_equal(drover_keys(b->db, T("t"), T("b1"), 0, on_name, &l, &b->e),
                     0);
    assert_string_equal(l.text, "b1|");
    assert_int_equal(drover_keys(b->db, T("no"), ROOT, 0, on_name, &l, &b->e),
                     DROVER_E_NOTFOUND);
    assert_int_equal(drover_keys(b->db, T("t"), ROOT, 8, on_name, &l, &b->e),
                     DROVER_E_INVALID);
}

static void each_gives_keys_with_values(void **state)
{
    struct box *b = *state;
    struct list l = {.text = ""};

    assert_int_equal(drover_set(b->db, ROOT, T("a"), T("1"), 0, &b->e), 0);
    assert_int_equal(drover_set(b->db, ROOT, T("b"), T(""), 0, &b->e), 0);
    assert_int_equal(drover_each(b->db, ROOT, ROOT, DROVER_LIST_SORTED, 0,
                                 on_pair, &l, &b->e),
                     0);
    assert_string_equal(l.text, "a|1|b||");
    int held = hold_lock(b->f.fd, "b.kv", LOCK_EX);
    assert_int_equal(drover_each(b->db, ROOT, ROOT, DROVER_LIST_SORTED, 0,
                                 on_pair, &l, &b->e),
                     DROVER_E_TIMEOUT);
    (void)close(held);
}

static int on_pair_delete(void *arg, struct drover_bytes key,
                          struct drover_bytes value)
{
    struct box *b = arg;

    (void)key;
    (void)value;
    assert_true(drover_delete(b->db, ROOT, T("a"), 0, &b->e) >= 0);
    assert_true(drover_delete(b->db, ROOT, T("b"), 0, &b->e) >= 0);
    return 0;
}

static void a_callback_may_delete_what_is_listed(void **state)
{
    struct box *b = *state;

    assert_int_equal(drover_set(b->db, ROOT, T("a"), T("1"), 0, &b->e), 0);
    assert_int_equal(drover_set(b->db, ROOT, T("b"), T("2"), 0, &b->e), 0);
    assert_int_equal(
        drover_each(b->db, ROOT, ROOT, 0, 0, on_pair_delete, b, &b->e), 0);
    assert_int_equal(count_entries(b->f.fd, "."), 0);
}

static void tables_are_listed_and_metadata_is_not(void **state)
{
    struct box *b = *state;
    struct list l = {.text = ""};

    assert_int_equal(drover_table_create(b->db, T("t"), &b->e), 1);
    assert_int_equal(drover_table_create(b->db, T("t"), &b->e), 0);
    assert_int_equal(drover_table_create(b->db, T("a/b"), &b->e), 1);
    assert_int_equal(drover_table_create(b->db, T("t.tbl/u"), &b->e), 1);
    assert_int_equal(mkdirat(b->f.fd, ".drover", 0700), 0);
    assert_int_equal(mkdirat(b->f.fd, ".drover/x.tbl", 0700), 0);
    assert_int_equal(
        drover_tables(b->db, DROVER_LIST_SORTED, on_name, &l, &b->e), 0);
    assert_string_equal(l.text, "|a/b|t|t.tbl/u|");
    assert_int_equal(drover_table_has(b->db, T("a/b"), &b->e), 1);
    assert_int_equal(drover_table_has(b->db, T("a"), &b->e), 0);
    assert_int_equal(drover_table_has(b->db, ROOT, &b->e), 1);
}

static void drop_takes_keys_and_dead_temporaries_only(void **state)
{
    struct box *b = *state;

    assert_int_equal(drover_table_drop(b->db, T("t"), 0, &b->e), 0);
    assert_int_equal(drover_set(b->db, T("t"), T("a"), T("1"), 0, &b->e), 0);
    assert_int_equal(drover_set(b->db, T("t"), T("b"), T("1"), 0, &b->e), 0);
    put_text(b->f.fd, "t.tbl/a.kv99", "dead");
    put_text(b->f.fd, "t.tbl/.drover-tmp.0123456789abcdef", "dead");
    assert_int_equal(drover_table_create(b->db, T("t.tbl/u"), &b->e), 1);
    assert_int_equal(drover_table_drop(b->db, T("t"), 0, &b->e),
                     DROVER_E_EXISTS);
    assert_non_null(strstr(b->e.message, "u.tbl"));
    assert_value(b, "t", "a", "1");
    assert_int_equal(drover_table_drop(b->db, T("t.tbl/u"), 0, &b->e), 1);
    put_text(b->f.fd, "t.tbl/README", "mine");
    assert_int_equal(drover_table_drop(b->db, T("t"), 0, &b->e),
                     DROVER_E_EXISTS);
    assert_value(b, "t", "a", "1");
    assert_int_equal(unlinkat(b->f.fd, "t.tbl/README", 0), 0);
    int held = hold_lock(b->f.fd, "t.tbl/b.kv", LOCK_SH);
    assert_int_equal(drover_table_drop(b->db, T("t"), 0, &b->e),
                     DROVER_E_TIMEOUT);
    (void)close(held);
    assert_int_equal(drover_table_drop(b->db, T("t"), 0, &b->e), 1);
    assert_false(exists(b->f.fd, "t.tbl"));
    assert_int_equal(drover_table_drop(b->db, ROOT, 0, &b->e),
                     DROVER_E_INVALID);
}

static void a_writer_whose_table_was_dropped_is_told(void **state)
{
    struct box *b = *state;
    struct drover_writer *w;

    assert_int_equal(
        drover_write_begin(b->db, T("t"), T("k"), DROVER_WRITE_SET, &w, &b->e),
        0);
    /* Its temporary is alive, so the drop stops. */
    assert_int_equal(drover_table_drop(b->db, T("t"), 0, &b->e),
                     DROVER_E_EXISTS);
    drover_write_abort(w);
    assert_int_equal(drover_table_drop(b->db, T("t"), 0, &b->e), 1);
}

/* --- opening ------------------------------------------------------------- */

static void read_only_and_replicas_refuse_to_write(void **state)
{
    struct box *b = *state;
    struct drover *db;
    struct drover_writer *w;

    assert_int_equal(drover_set(b->db, ROOT, T("k"), T("1"), 0, &b->e), 0);
    assert_int_equal(drover_open(b->f.path, DROVER_OPEN_READONLY, &db, &b->e),
                     0);
    assert_int_equal(drover_set(db, ROOT, T("k"), T("2"), 0, &b->e),
                     DROVER_E_READONLY);
    assert_int_equal(drover_create(db, ROOT, T("k"), T("2"), &b->e),
                     DROVER_E_READONLY);
    assert_int_equal(drover_delete(db, ROOT, T("k"), 0, &b->e),
                     DROVER_E_READONLY);
    assert_int_equal(drover_table_create(db, T("t"), &b->e), DROVER_E_READONLY);
    assert_int_equal(drover_table_drop(db, T("t"), 0, &b->e),
                     DROVER_E_READONLY);
    assert_int_equal(
        drover_write_begin(db, ROOT, T("k"), DROVER_WRITE_SET, &w, &b->e),
        DROVER_E_READONLY);
    assert_value(b, "", "k", "1");
    drover_close(db);

    assert_int_equal(mkdirat(b->f.fd, ".drover", 0700), 0);
    put_text(b->f.fd, ".drover/replica", "");
    assert_int_equal(drover_open(b->f.path, 0, &db, &b->e), DROVER_E_READONLY);
    assert_non_null(strstr(b->e.message, "replica"));
    assert_int_equal(drover_open(b->f.path, DROVER_OPEN_READONLY, &db, &b->e),
                     0);
    drover_close(db);
    assert_int_equal(drover_open(b->f.path, DROVER_OPEN_FORCE, &db, &b->e), 0);
    assert_int_equal(drover_set(db, ROOT, T("k"), T("2"), 0, &b->e), 0);
    drover_close(db);
    drover_close(NULL);
}

static void open_reports_what_is_wrong(void **state)
{
    struct box *b = *state;
    struct drover *db;
    char path[300];

    (void)snprintf(path, sizeof path, "%s/sub/db", b->f.path);
    assert_int_equal(drover_open(path, 0, &db, &b->e), DROVER_E_NOTFOUND);
    assert_non_null(strstr(b->e.message, path));
    assert_int_equal(b->e.sys, ENOENT);
    assert_int_equal(drover_open(path, DROVER_OPEN_READONLY, &db, &b->e),
                     DROVER_E_NOTFOUND);
    assert_int_equal(drover_open(path, DROVER_OPEN_CREATE, &db, &b->e), 0);
    drover_close(db);
    assert_int_equal(drover_open(path,
                                 DROVER_OPEN_CREATE | DROVER_OPEN_READONLY, &db,
                                 &b->e),
                     DROVER_E_INVALID);
    assert_int_equal(drover_open(path, 64, &db, &b->e), DROVER_E_INVALID);
    assert_string_equal(drover_error_name(DROVER_E_INVALID),
                        "DROVER_E_INVALID");
    assert_string_equal(drover_error_name(-13), "DROVER_E_UNKNOWN");
    assert_string_equal(drover_error_name(5), "DROVER_E_UNKNOWN");
    assert_string_not_equal(drover_version(), "");
}

static void freshness_is_read_from_the_file_and_its_time(void **state)
{
    struct box *b = *state;
    struct drover_freshness f;
    struct timespec times[2] = {{.tv_sec = 1000000000, .tv_nsec = 5},
                                {.tv_sec = 1000000000, .tv_nsec = 5}};
    static const char *const bad[] = {
        "", "db= epoch=1 seq=1 state=x", "db=ab epoch=x seq=1 state=x",
        "db=ab epoch=1 seq=99999999999999999999999 state=x",
        "db=ab epoch=1 seq=1"};

    assert_int_equal(drover_freshness(b->db, &f, &b->e), DROVER_E_NOTFOUND);
    assert_int_equal(mkdirat(b->f.fd, ".drover", 0700), 0);
    put_text(b->f.fd, ".drover/freshness",
             "db=0011aabb epoch=3 new=field seq=88123 state=streaming\n");
    assert_int_equal(utimensat(b->f.fd, ".drover/freshness", times, 0), 0);
    assert_int_equal(drover_freshness(b->db, &f, &b->e), 0);
    assert_string_equal(f.db, "0011aabb");
    assert_string_equal(f.state, "streaming");
    assert_int_equal(f.epoch, 3);
    assert_int_equal(f.seq, 88123);
    assert_true(f.time_ns == INT64_C(1000000000000000005));
    assert_true(f.age_ns > 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        put_text(b->f.fd, ".drover/freshness", bad[i]);
        assert_int_equal(drover_freshness(b->db, &f, &b->e), DROVER_E_CORRUPT);
    }
}

/* A full disk, told by the file size limit: the old value stays, and nothing
 * is left over. */
static void a_failed_write_leaves_the_old_value_and_no_temporary(void **state)
{
    struct box *b = *state;
    struct rlimit was;
    char big[20000] = {0};

    assert_int_equal(drover_set(b->db, ROOT, T("k"), T("old"), 0, &b->e), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    struct rlimit small = {.rlim_cur = 10000, .rlim_max = was.rlim_max};
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int rc = drover_set(b->db, ROOT, T("k"), drover_bytes(big, sizeof big), 0,
                        &b->e);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_int_equal(rc, DROVER_E_IO);
    assert_int_equal(b->e.sys, EFBIG);
    assert_value(b, "", "k", "old");
    assert_int_equal(count_entries(b->f.fd, "."), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOX_TEST(a_set_key_is_got_back_and_is_a_file_of_flockd),
        BOX_TEST(a_set_replaces_the_file_and_leaves_nothing_locked),
        BOX_TEST(create_wants_no_key_and_update_wants_one),
        BOX_TEST(delete_and_has_know_what_is_there),
        BOX_TEST(a_read_creates_nothing),
        BOX_TEST(get_into_says_how_much_room_it_needs),
        BOX_TEST(an_old_value_is_got_the_same_way),
        BOX_TEST(bad_names_are_refused_everywhere),
        BOX_TEST(the_longest_key_works),
        BOX_TEST(what_is_no_file_is_said_to_be_none),
        BOX_TEST(a_busy_lock_times_out_and_changes_nothing),
        BOX_TEST(a_value_written_in_pieces_appears_at_the_commit),
        BOX_TEST(a_commit_that_timed_out_can_be_repeated),
        BOX_TEST(a_stream_holds_the_share_lock_until_it_is_closed),
        BOX_TEST(a_stream_notices_a_writer_that_does_not_lock),
        BOX_TEST(a_file_is_imported),
        BOX_TEST(keys_are_listed_by_prefix_in_order),
        BOX_TEST(each_gives_keys_with_values),
        BOX_TEST(a_callback_may_delete_what_is_listed),
        BOX_TEST(tables_are_listed_and_metadata_is_not),
        BOX_TEST(drop_takes_keys_and_dead_temporaries_only),
        BOX_TEST(a_writer_whose_table_was_dropped_is_told),
        BOX_TEST(read_only_and_replicas_refuse_to_write),
        BOX_TEST(open_reports_what_is_wrong),
        BOX_TEST(freshness_is_read_from_the_file_and_its_time),
        BOX_TEST(a_failed_write_leaves_the_old_value_and_no_temporary),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
