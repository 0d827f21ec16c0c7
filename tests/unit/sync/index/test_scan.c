/* SPDX-License-Identifier: MIT
 *
 * A scan: it reads what may have changed and nothing else, overwrites no news,
 * and lets an entry go only when all of the database was seen without its key.
 *
 * The linker puts this file between the scan and clock_real_ns(), value_read()
 * and walk_db(): time can be moved instead of waited for, and things can happen
 * at the worst moment every time. */
#include "tests/support/store_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>

#include "store/base/buf.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/layout/db.h"
#include "store/layout/value.h"
#include "store/layout/walk.h"
#include "sync/index/index.h"
#include "sync/index/scan.h"
#include "tests/support/plain_key.h"

/* --- between the scan and the store ----------------------------------------
 */

static int64_t time_offset_ns;
static void (*after_look)(
    int rc);                   /* called once, after the next value_read() */
static const char *hidden_key; /* the next walk does not see this key */

int64_t __real_clock_real_ns(void);
int64_t __wrap_clock_real_ns(void);
int64_t __wrap_clock_real_ns(void)
{
    return __real_clock_real_ns() + time_offset_ns;
}

int __real_value_read(int dir_fd, const void *key, size_t key_len,
                      size_t inline_max, struct buf *value,
                      struct reading *reading_out, struct err *err);
int __wrap_value_read(int dir_fd, const void *key, size_t key_len,
                      size_t inline_max, struct buf *value,
                      struct reading *reading_out, struct err *err);
int __wrap_value_read(int dir_fd, const void *key, size_t key_len,
                      size_t inline_max, struct buf *value,
                      struct reading *reading_out, struct err *err)
{
    int rc = __real_value_read(dir_fd, key, key_len, inline_max, value,
                               reading_out, err);
    void (*hook)(int) = after_look;

    after_look = NULL;
    if (hook != NULL) {
        hook(rc);
    }
    return rc;
}

struct blind_walk {
    const struct walk_ops *ops;
    void *arg;
    const char *hidden;
};

static int blind_begin(void *arg, const char *table, size_t len, int dir_fd)
{
    struct blind_walk *b = arg;

    return b->ops->table_begin(b->arg, table, len, dir_fd);
}

static int blind_key(void *arg, const char *table, size_t len, int dir_fd,
                     const char *key, size_t key_len)
{
    struct blind_walk *b = arg;

    if (key_len == strlen(b->hidden) && memcmp(key, b->hidden, key_len) == 0) {
        return 0;
    }
    return b->ops->key(b->arg, table, len, dir_fd, key, key_len);
}

static int blind_end(void *arg, const char *table, size_t len, bool complete,
                     const struct err *err)
{
    struct blind_walk *b = arg;

    return b->ops->table_end(b->arg, table, len, complete, err);
}

int __real_walk_db(const struct db *db, const struct walk_ops *ops, void *arg,
                   struct walk_counts *counts_out, struct err *err);
int __wrap_walk_db(const struct db *db, const struct walk_ops *ops, void *arg,
                   struct walk_counts *counts_out, struct err *err);
int __wrap_walk_db(const struct db *db, const struct walk_ops *ops, void *arg,
                   struct walk_counts *counts_out, struct err *err)
{
    struct blind_walk b = {.ops = ops, .arg = arg, .hidden = hidden_key};
    const struct walk_ops lag_unknown = {
        .table_begin = blind_begin, .key = blind_key, .table_end = blind_end};

    if (hidden_key == NULL) {
        return __real_walk_db(db, ops, arg, counts_out, err);
    }
    hidden_key = NULL;
    return __real_walk_db(db, &lag_unknown, &b, counts_out, err);
}

/* --- a database, its index, and what the scan told --------------------------
 */

struct world {
    struct fixture f;
    struct db db;
    struct index *ix;
    struct scan_options opt;
    struct scan_result result;
    struct buf unread; /* "ELOOP t/key;" ... */
    struct buf notes;  /* "CHANGED t/key " ... */
    int rc;
};

static struct world *current; /* for hooks */

static int world_setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    fixture_begin(&w->f);
    assert_int_equal(db_open(&w->db, w->f.path, false, &w->f.err), 0);
    w->ix = index_new();
    assert_non_null(w->ix);
    w->opt.settle_ms = 1000;
    time_offset_ns = 0;
    after_look = NULL;
    hidden_key = NULL;
    current = w;
    *state = w;
    return 0;
}

static int world_teardown(void **state)
{
    struct world *w = *state;

    index_free(w->ix);
    db_close(&w->db);
    buf_deinit(&w->notes);
    buf_deinit(&w->unread);
    fixture_end(&w->f);
    free(w);
    return 0;
}

#define WORLD_TEST(fn)                                                         \
    cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

static void on_note(void *arg, enum scan_note note, const char *table,
                    size_t table_len, const char *key, size_t key_len)
{
    static const char *const names[] = {"", "CHANGED", "TENTATIVE", "BUSY",
                                        "UNREADABLE"};
    struct world *w = arg;

    buf_printf(&w->notes, "%s %.*s", names[note], (int)table_len, table);
    if (key != NULL) {
        buf_printf(&w->notes, "/%.*s", (int)key_len, key);
    }
    buf_printf(&w->notes, " ");
}

static void on_unread(void *arg, bool busy, const struct err *why,
                      const char *table, size_t table_len, const char *key,
                      size_t key_len)
{
    struct world *w = arg;

    assert_false(busy);
    buf_printf(&w->unread, "%s %.*s%s%.*s;",
               why->sys == ELOOP     ? "ELOOP"
               : why->sys == ENXIO   ? "ENXIO"
               : why->sys == ENOTDIR ? "ENOTDIR"
                                     : "?",
               (int)table_len, table, key != NULL ? "/" : "", (int)key_len,
               key != NULL ? key : "");
}

/* Each of these was told, in whatever order. */
static void assert_unread(struct world *w, ...)
{
    const char *want;
    va_list names;

    buf_u8(&w->unread, '\0');
    va_start(names, w);
    while ((want = va_arg(names, const char *)) != NULL) {
        assert_non_null(strstr((const char *)w->unread.data, want));
    }
    va_end(names);
}

static void scan(struct world *w)
{
    buf_clear(&w->notes);
    buf_clear(&w->unread);
    w->opt.scan++;
    w->rc = scan_run(&w->db, w->ix, &w->opt, on_note, w, &w->result, &w->f.err);
}

static void assert_notes(struct world *w, const char *want)
{
    buf_u8(&w->notes, '\0');
    assert_string_equal((const char *)w->notes.data, want);
}

/* Files become so old that an equal stat proves an equal value. */
static void time_passes(void)
{
    time_offset_ns += 60 * NS_PER_S;
}

static void make_table(struct world *w, const char *dir)
{
    assert_int_equal(mkdirat(w->f.fd, dir, 0755), 0);
}

static bool get(struct world *w, const char *table, const char *key,
                struct index_entry *out)
{
    return index_get(
        w->ix,
        index_name_key(&plain_key, table, strlen(table), key, strlen(key)),
        out);
}

static bool has(struct world *w, const char *table, const char *key)
{
    struct index_entry e;

    return get(w, table, key, &e);
}

static void assert_value(struct world *w, const char *table, const char *key,
                         const char *value)
{
    struct index_entry e;

    assert_true(get(w, table, key, &e));
    assert_true(digest_equal(e.digest, digest_of(value, strlen(value))));
}

static struct vstat stat_of(struct world *w, const char *path)
{
    struct stat st;

    assert_int_equal(fstatat(w->f.fd, path, &st, 0), 0);
    return vstat_of(&st);
}

/* Two tables with three keys, scanned, long ago. */
static void begin_scanned(struct world *w)
{
    make_table(w, "t.tbl");
    put_text(w->f.fd, "one.kv", "1");
    put_text(w->f.fd, "t.tbl/two.kv", "22");
    put_text(w->f.fd, "t.tbl/three.kv", "333");
    time_passes();
    scan(w);
    assert_int_equal(w->rc, 0);
    assert_true(index_count(w->ix) >= 3);
}

/* --- what is found ----------------------------------------------------------
 */

static void first_scan_indexes_every_key_and_table(void **state)
{
    struct world *w = *state;

    begin_scanned(w);
    assert_value(w, "", "one", "1");
    assert_value(w, "t", "two", "22");
    assert_value(w, "t", "three", "333");
    assert_int_equal(index_tables(w->ix), 2); /* the root is one */
    assert_int_equal(index_bytes(w->ix), 6);
    assert_int_equal(w->result.reread, 3);
    assert_int_equal(w->result.changed, 5);
    assert_int_equal(w->result.counts.keys, 3);
    assert_int_equal(w->result.counts.tables, 2);
}

static void unchanged_keys_are_not_read_again(void **state)
{
    struct world *w = *state;
    atomic_uint_fast64_t done = 0;

    begin_scanned(w);
    struct digest root = index_root(w->ix);
    w->opt.keys_done = &done;
    scan(w);
    assert_int_equal(w->rc, 0);
    assert_int_equal(w->result.reread, 0);
    assert_int_equal(w->result.changed, 0);
    assert_int_equal(w->result.vanished, 0);
    assert_int_equal(done, 3);
    assert_notes(w, "");
    assert_true(digest_equal(root, index_root(w->ix)));
}

static void two_ends_with_equal_contents_have_equal_digests(void **state)
{
    struct world *w = *state;
    struct index *all = index_new();
    struct index *mine = w->ix;

    begin_scanned(w);
    w->ix = all;
    scan(w); /* another index, scanned from nothing */
    assert_true(digest_equal(index_root(all), index_root(mine)));
    w->ix = mine;
    index_free(all);
}

static void changed_in_place_at_equal_size_is_found(void **state)
{
    struct world *w = *state;

    begin_scanned(w);
    struct vstat before = stat_of(w, "t.tbl/two.kv");
    while (stat_of(w, "t.tbl/two.kv").ctime_ns == before.ctime_ns) {
        put_text(w->f.fd, "t.tbl/two.kv", "99"); /* until the clock ticks */
    }
    scan(w);
    assert_int_equal(w->result.reread, 1);
    assert_int_equal(w->result.changed, 1);
    assert_notes(w, "CHANGED t/two ");
    assert_value(w, "t", "two", "99");
}

/* No clock ticks between the two writes, or it does: either way. */
static void change_in_the_same_clock_tick_is_found(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < 50; i++) {
        put_text(w->f.fd, "k.kv", "old");
        scan(w);
        assert_value(w, "", "k", "old");
        put_text(w->f.fd, "k.kv", "new");
        scan(w);
        assert_value(w, "", "k", "new");
    }
}

static void young_value_is_read_again_until_it_is_old(void **state)
{
    struct world *w = *state;

    put_text(w->f.fd, "k.kv", "v");
    scan(w);
    scan(w);
    assert_int_equal(w->result.reread, 1);
    assert_int_equal(w->result.changed, 0); /* read, and found the same */
    assert_notes(w, "");
    time_passes();
    scan(w);
    assert_int_equal(w->result.reread, 1);
    scan(w);
    assert_int_equal(w->result.reread, 0);
}

static void content_scan_finds_what_the_stat_hides(void **state)
{
    struct world *w = *state;
    struct index_entry e;

    begin_scanned(w);
    assert_true(get(w, "t", "two", &e));
    e.digest = digest_of("wrong", 5);
    assert_int_equal(index_put(w->ix, &e, &w->f.err), 0);
    scan(w);
    assert_int_equal(w->result.changed, 0);
    w->opt.content = true;
    scan(w);
    assert_int_equal(w->result.reread, 3);
    assert_int_equal(w->result.changed, 1);
    assert_notes(w, "CHANGED t/two ");
    assert_value(w, "t", "two", "22");
}

static void large_value_is_digested_in_pieces(void **state)
{
    struct world *w = *state;
    size_t n = 3 * 1024 * 1024 + 17;
    uint8_t *data = malloc(n);
    struct index_entry e;

    assert_non_null(data);
    for (size_t i = 0; i < n; i++) {
        data[i] = (uint8_t)(i * 7 + i / 1000);
    }
    put_file(w->f.fd, "big.kv", data, n);
    scan(w);
    assert_int_equal(w->rc, 0);
    assert_true(get(w, "", "big", &e));
    assert_true(digest_equal(e.digest, digest_of(data, n)));
    free(data);
}

static void odd_names_are_keys_like_others(void **state)
{
    struct world *w = *state;
    char longest[256];

    memset(longest, 'x', 252);
    (void)snprintf(longest + 252, sizeof longest - 252, ".kv");
    make_table(w, "\xff\n.tbl");
    put_text(w->f.fd, ".kv", "empty key");
    put_text(w->f.fd, "a\nb.kv", "newline");
    put_text(w->f.fd, "\xc3\x28.kv", "not UTF-8");
    put_text(w->f.fd, "x.kv.kv", "twice");
    put_text(w->f.fd, longest, "long");
    put_text(w->f.fd, "\xff\n.tbl/*.kv", "star");
    time_passes();
    scan(w);
    assert_int_equal(w->rc, 0);
    assert_int_equal(index_count(w->ix), 6);
    assert_value(w, "", "", "empty key");
    assert_value(w, "", "a\nb", "newline");
    assert_value(w, "", "\xc3\x28", "not UTF-8");
    assert_value(w, "", "x.kv", "twice");
    assert_value(w, "\xff\n", "*", "star");
    longest[252] = '\0';
    assert_value(w, "", longest, "long");
    scan(w);
    assert_int_equal(w->result.reread, 0);
    assert_int_equal(w->result.vanished, 0);
}

static void tables_nest_and_what_is_no_key_is_left_out(void **state)
{
    struct world *w = *state;

    make_table(w, "a");
    make_table(w, "a/b.tbl");
    make_table(w, "a/b.tbl/c.tbl");
    make_table(w, META_DIR);
    make_table(w, META_DIR "/stage.tbl");
    put_text(w->f.fd, "a/b.tbl/k.kv", "1");
    put_text(w->f.fd, "a/b.tbl/c.tbl/k.kv", "2");
    put_text(w->f.fd, "a/k.kv", "in a plain directory");
    put_text(w->f.fd, META_DIR "/k.kv", "ours");
    put_text(w->f.fd, META_DIR "/stage.tbl/k.kv", "ours");
    put_text(w->f.fd, "k.kv123", "temporary");
    put_text(w->f.fd, "notes.txt", "foreign");
    assert_int_equal(symlinkat("/etc/passwd", w->f.fd, "link.kv"), 0);
    assert_int_equal(mkfifoat(w->f.fd, "fifo.kv", 0600), 0);
    assert_int_equal(mkdirat(w->f.fd, "dir.kv", 0700), 0);
    scan(w);
    assert_int_equal(w->rc, 0);
    assert_int_equal(index_count(w->ix), 2);
    assert_int_equal(index_tables(w->ix), 3);
    assert_value(w, "a/b", "k", "1");
    assert_value(w, "a/b.tbl/c", "k", "2");
    assert_int_equal(w->result.counts.temps, 1);
}

/* --- empty files ------------------------------------------------------------
 */

static void young_empty_file_is_doubtful_until_it_has_settled(void **state)
{
    struct world *w = *state;

    put_text(w->f.fd, "ghost.kv", "");
    scan(w);
    assert_notes(w, "CHANGED  TENTATIVE /ghost ");
    assert_int_equal(w->result.reread, 0); /* not even locked */
    assert_false(has(w, "", "ghost"));
    time_offset_ns = -100 * NS_PER_S; /* its ctime is in the future */
    scan(w);
    assert_notes(w, "TENTATIVE /ghost ");
    time_offset_ns = 5 * NS_PER_S;
    scan(w);
    assert_notes(w, "CHANGED /ghost ");
    assert_value(w, "", "ghost", "");
}

static void doubtful_key_keeps_its_entry(void **state)
{
    struct world *w = *state;

    begin_scanned(w);
    assert_int_equal(unlinkat(w->f.fd, "one.kv", 0), 0);
    put_text(w->f.fd, "one.kv", "");
    time_offset_ns = 0;
    scan(w);
    assert_notes(w, "TENTATIVE /one ");
    assert_int_equal(w->result.vanished, 0);
    assert_value(w, "", "one", "1");
}

static void empty_files_are_trusted_without_a_settle_time(void **state)
{
    struct world *w = *state;

    w->opt.settle_ms = 0;
    put_text(w->f.fd, "k.kv", "");
    scan(w);
    assert_value(w, "", "k", "");
}

static void empty_after_the_stat(int rc)
{
    assert_int_equal(rc, READ_LARGE);
    put_text(current->f.fd, "k.kv", "");
}

/* The stat showed a value, the read found none: doubtful all the same. */
static void value_that_turns_empty_under_the_read_is_doubtful(void **state)
{
    struct world *w = *state;
    size_t n = 2 * 1024 * 1024;
    void *data = calloc(1, n);

    put_file(w->f.fd, "k.kv", data, n);
    free(data);
    after_look = empty_after_the_stat;
    scan(w);
    assert_notes(w, "CHANGED  TENTATIVE /k ");
    assert_false(has(w, "", "k"));
}

/* --- locks ------------------------------------------------------------------
 */

static void locked_key_is_busy_and_keeps_its_entry(void **state)
{
    struct world *w = *state;

    begin_scanned(w);
    put_text(w->f.fd, "one.kv", "other");
    CLEANUP(fd_closep) int fd = hold_lock(w->f.fd, "one.kv", LOCK_EX);
    scan(w);
    assert_int_equal(w->rc, 0);
    assert_int_equal(w->result.busy, 1);
    assert_int_equal(w->result.vanished, 0);
    assert_notes(w, "BUSY /one ");
    assert_value(w, "", "one", "1");
    fd_closep(&fd);
    scan(w);
    assert_int_equal(w->result.busy, 0);
    assert_value(w, "", "one", "other");
}

static int held_fd;

static void release_lock(int rc)
{
    assert_int_equal(rc, READ_BUSY);
    (void)close(held_fd);
}

static void busy_key_is_looked_at_again_in_the_same_scan(void **state)
{
    struct world *w = *state;

    begin_scanned(w);
    put_text(w->f.fd, "t.tbl/two.kv", "other");
    held_fd = hold_lock(w->f.fd, "t.tbl/two.kv", LOCK_EX);
    after_look = release_lock;
    scan(w);
    assert_int_equal(w->result.busy, 0);
    assert_notes(w, "CHANGED t/two ");
    assert_value(w, "t", "two", "other");
}

static void remove_busy_table(int rc)
{
    assert_int_equal(rc, READ_BUSY);
    assert_int_equal(unlinkat(current->f.fd, "t.tbl/two.kv", 0), 0);
    assert_int_equal(unlinkat(current->f.fd, "t.tbl/three.kv", 0), 0);
    assert_int_equal(unlinkat(current->f.fd, "t.tbl", AT_REMOVEDIR), 0);
}

static void busy_key_that_is_deleted_meanwhile_has_vanished(void **state)
{
    struct world *w = *state;

    begin_scanned(w);
    put_text(w->f.fd, "t.tbl/two.kv", "other");
    CLEANUP(fd_closep) int fd = hold_lock(w->f.fd, "t.tbl/two.kv", LOCK_EX);
    after_look = remove_busy_table;
    scan(w);
    fd_closep(&fd);
    assert_int_equal(w->rc, 0);
    assert_int_equal(w->result.busy, 0);
    assert_false(has(w, "t", "two"));
    scan(w); /* the table had been seen before it went */
    assert_int_equal(index_tables(w->ix), 1);
    assert_int_equal(index_count(w->ix), 1);
}

/* --- what has vanished -------------------------------------------------------
 */

static void deleted_key_and_table_vanish(void **state)
{
    struct world *w = *state;

    begin_scanned(w);
    assert_int_equal(unlinkat(w->f.fd, "t.tbl/two.kv", 0), 0);
    scan(w);
    assert_int_equal(w->result.vanished, 1);
    assert_false(has(w, "t", "two"));
    assert_int_equal(unlinkat(w->f.fd, "t.tbl/three.kv", 0), 0);
    assert_int_equal(unlinkat(w->f.fd, "t.tbl", AT_REMOVEDIR), 0);
    scan(w);
    assert_int_equal(w->result.vanished, 2); /* the key and the table */
    assert_int_equal(index_tables(w->ix), 1);
    assert_int_equal(index_count(w->ix), 1);
}

static void key_that_one_listing_missed_stays(void **state)
{
    struct world *w = *state;

    begin_scanned(w);
    hidden_key = "two";
    scan(w);
    assert_null(hidden_key);
    assert_int_equal(w->rc, 0);
    assert_int_equal(w->result.vanished, 0);
    assert_true(has(w, "t", "two"));
}

/* As root every directory can be read, so become nobody; false: cannot. */
static bool drop_root(struct world *w)
{
    if (geteuid() != 0) {
        return true;
    }
    if (fchown(w->f.fd, 65534, 65534) < 0 || seteuid(65534) < 0) {
        return false;
    }
    if (!db_root_is_same(&w->db)) { /* the way to TMPDIR is closed */
        assert_int_equal(seteuid(0), 0);
        return false;
    }
    return true;
}

static void regain_root(void)
{
    if (getuid() == 0) {
        assert_int_equal(seteuid(0), 0);
    }
}

static void nothing_vanishes_from_a_table_that_is_unreadable(void **state)
{
    struct world *w = *state;

    if (!drop_root(w)) {
        print_message("skipped: cannot become another user\n");
        skip();
    }
    begin_scanned(w);
    assert_int_equal(unlinkat(w->f.fd, "one.kv", 0), 0);
    assert_int_equal(fchmodat(w->f.fd, "t.tbl", 0, 0), 0);
    scan(w);
    int rc = w->rc;
    assert_int_equal(fchmodat(w->f.fd, "t.tbl", 0755, 0), 0);
    regain_root();
    assert_int_equal(rc, 0);
    assert_int_equal(w->result.counts.incomplete, 1);
    assert_non_null(strstr(w->result.first_error, "Permission denied"));
    assert_notes(w, "UNREADABLE t ");
    assert_true(has(w, "t", "two") && has(w, "t", "three"));
    assert_false(has(w, "", "one")); /* the root was read completely */
    assert_int_equal(w->result.vanished, 1);
    scan(w);
    assert_int_equal(w->result.vanished, 0);
    assert_true(has(w, "t", "two"));
}

/* The index goes through a file, as at a restart. */
static void restart(struct world *w)
{
    static const struct index_ident ident = {.root_ino = 0};
    struct index *back = index_new();

    assert_non_null(back);
    assert_int_equal(
        index_save(w->ix, w->f.fd, "index", &ident, clock_real_ns(), &w->f.err),
        0);
    assert_int_equal(index_load(back, w->f.fd, "index", &ident, &w->f.err), 0);
    assert_int_equal(unlinkat(w->f.fd, "index", 0), 0);
    index_free(w->ix);
    w->ix = back;
}

static bool has_table(struct world *w, const char *table)
{
    struct index_entry e;

    return index_get(w->ix, index_name_table(&plain_key, table, strlen(table)),
                     &e);
}

static void remove_all(struct world *w, const char *dir, const char *key)
{
    char path[64];

    (void)snprintf(path, sizeof path, "%s/%s.kv", dir, key);
    assert_int_equal(unlinkat(w->f.fd, path, 0), 0);
    assert_int_equal(unlinkat(w->f.fd, dir, AT_REMOVEDIR), 0);
}

/* Tables u, v, a/b and c/d with a key each, beside those of begin_scanned(). */
static void begin_with_more(struct world *w)
{
    static const char *const dirs[] = {"u.tbl",   "v.tbl", "a",
                                       "a/b.tbl", "c",     "c/d.tbl"};

    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
        make_table(w, dirs[i]);
    }
    put_text(w->f.fd, "u.tbl/k.kv", "u");
    put_text(w->f.fd, "u.tbl/stays.kv", "u");
    put_text(w->f.fd, "v.tbl/k.kv", "v");
    put_text(w->f.fd, "a/b.tbl/k.kv", "b");
    put_text(w->f.fd, "c/d.tbl/k.kv", "d");
    begin_scanned(w);
}

/* A link is in a table's place: what is gone elsewhere is gone all the same,
 * keys and whole tables. */
static void what_is_gone_beside_what_is_covered(void **state)
{
    struct world *w = *state;

    begin_with_more(w);
    restart(w);
    assert_int_equal(renameat(w->f.fd, "t.tbl", w->f.fd, "aside"), 0);
    assert_int_equal(symlinkat("aside", w->f.fd, "t.tbl"), 0);
    assert_int_equal(unlinkat(w->f.fd, "u.tbl/k.kv", 0), 0);
    remove_all(w, "v.tbl", "k");
    remove_all(w, "c/d.tbl", "k");
    w->opt.files_cover = true;
    scan(w);
    assert_int_equal(w->rc, 0);
    assert_int_equal(w->result.counts.incomplete, 1);
    assert_int_equal(w->result.vanished, 5);
    assert_true(has(w, "t", "two") && has(w, "t", "three"));
    assert_true(has_table(w, "t"));
    assert_false(has(w, "u", "k"));
    assert_true(has(w, "u", "stays") && has(w, "a/b", "k"));
    assert_false(has(w, "v", "k") || has_table(w, "v"));
    assert_false(has(w, "c/d", "k") || has_table(w, "c/d"));
}

/* A directory that hides tables hides them all, whatever they are called. */
static void what_may_lie_below_what_is_covered_stays(void **state)
{
    struct world *w = *state;

    if (!drop_root(w)) {
        print_message("skipped: cannot become another user\n");
        skip();
    }
    begin_with_more(w);
    restart(w);
    remove_all(w, "v.tbl", "k");
    assert_int_equal(fchmodat(w->f.fd, "c", 0, 0), 0);
    scan(w);
    assert_int_equal(fchmodat(w->f.fd, "c", 0755, 0), 0);
    regain_root();
    assert_int_equal(w->rc, 0);
    assert_int_equal(w->result.counts.incomplete, 1);
    assert_true(has(w, "c/d", "k") && has_table(w, "c/d"));
    assert_false(has(w, "v", "k") || has_table(w, "v"));
    assert_int_equal(w->result.vanished, 2);
}

/* Of a file of an older version nothing is concluded. */
static void an_index_without_tags_keeps_what_is_not_seen(void **state)
{
    struct world *w = *state;
    struct index_entry e;

    begin_with_more(w);
    assert_true(get(w, "u", "k", &e));
    index_remove(w->ix, e.name);
    e.table = 0;
    assert_int_equal(index_put(w->ix, &e, &w->f.err), 0);
    assert_int_equal(renameat(w->f.fd, "t.tbl", w->f.fd, "aside"), 0);
    assert_int_equal(symlinkat("aside", w->f.fd, "t.tbl"), 0);
    assert_int_equal(unlinkat(w->f.fd, "u.tbl/k.kv", 0), 0);
    w->opt.files_cover = true;
    scan(w);
    assert_int_equal(w->result.vanished, 0);
    assert_true(has(w, "u", "k"));
}

static void another_key_keeps_the_tags_true(void **state)
{
    struct world *w = *state;
    struct index_key other = plain_key;
    struct index_entry e;

    begin_with_more(w);
    other.names.bytes[0] ^= 1;
    struct index *to = index_new();
    assert_non_null(to);
    index_set_key(to, &other);
    assert_int_equal(scan_rekey(&w->db, w->ix, to, &w->f.err), 0);
    assert_true(index_get(to, index_name_key(&other, "a/b", 3, "k", 1), &e));
    assert_int_equal(e.table, index_table_tag(&other, "a/b", 3));
    assert_true(index_get(to, index_name_table(&other, "a/b", 3), &e));
    assert_int_equal(e.table, index_top_tag(&other, "a/b.tbl"));
    index_free(to);
}

/* What a reader on a replica would open, and is neither key nor table. */
static void what_is_foreign_is_told(void **state)
{
    struct world *w = *state;

    begin_scanned(w);
    make_table(w, "x.kv"); /* tables may be in it */
    make_table(w, "plain");
    put_text(w->f.fd, "notes.txt", "1");
    put_text(w->f.fd, "plain/k.kv", "1");
    w->opt.unread = on_unread;
    scan(w);
    assert_int_equal(w->result.foreign, 0);
    assert_int_equal(symlinkat("nowhere", w->f.fd, "t.tbl/l.kv"), 0);
    assert_int_equal(symlinkat("t.tbl", w->f.fd, "l.tbl"), 0);
    assert_int_equal(symlinkat("t.tbl", w->f.fd, "other"), 0);
    assert_int_equal(mkfifoat(w->f.fd, "t.tbl/p.kv", 0600), 0);
    put_text(w->f.fd, "plain/f.tbl", "1");
    assert_int_equal(symlinkat("nowhere", w->f.fd, "plain/l.kv"), 0);
    scan(w);
    assert_int_equal(w->result.foreign, 0); /* a primary says so otherwise */
    w->opt.foreign_counts = true;
    scan(w);
    assert_int_equal(w->result.foreign, 5);
    assert_int_equal(w->result.errors, 0);
    assert_unread(w, "ELOOP t/l", "ENXIO t/p", "ELOOP l", "ELOOP other",
                  "ENOTDIR plain/f", NULL);
    assert_non_null(strstr(w->result.first_error, "is not the primary's"));
    /* In the place of what it has: that is missing, or covered. */
    assert_int_equal(unlinkat(w->f.fd, "t.tbl/two.kv", 0), 0);
    assert_int_equal(symlinkat("nowhere", w->f.fd, "t.tbl/two.kv"), 0);
    scan(w);
    assert_int_equal(w->result.foreign, 5);
    assert_int_equal(w->result.vanished, 1);
}

static bool foreign(struct world *w, const char *dir, const char *name)
{
    char path[SCAN_FOREIGN_BYTES];
    struct scan_name at;
    struct err why;

    return scan_is_foreign(&w->db, w->ix, dir, name, path, &at, &why);
}

static void assert_name(const char *p, size_t len, const char *want)
{
    assert_int_equal(len, strlen(want));
    assert_memory_equal(p, want, len);
}

static void one_foreign_thing_is_known_by_its_name(void **state)
{
    struct world *w = *state;
    char path[SCAN_FOREIGN_BYTES];
    struct scan_name at;
    struct err why;

    begin_scanned(w);
    make_table(w, "plain");
    assert_int_equal(symlinkat("nowhere", w->f.fd, "t.tbl/l.kv"), 0);
    assert_int_equal(symlinkat("t.tbl", w->f.fd, "other"), 0);
    put_text(w->f.fd, "plain/f.tbl", "1");
    assert_true(
        scan_is_foreign(&w->db, w->ix, "t.tbl", "l.kv", path, &at, &why));
    assert_name(at.table, at.table_len, "t");
    assert_name(at.key, at.key_len, "l");
    assert_int_equal(why.sys, ELOOP);
    assert_true(
        scan_is_foreign(&w->db, w->ix, "plain", "f.tbl", path, &at, &why));
    assert_name(at.table, at.table_len, "plain/f");
    assert_null(at.key);
    assert_int_equal(why.sys, ENOTDIR);
    assert_true(foreign(w, "", "other"));
    put_text(w->f.fd, "notes.txt", "1");
    put_text(w->f.fd, "t.tbl/new.kv", "1");
    make_table(w, "t.tbl/dir.kv"); /* tables may be in it */
    assert_false(foreign(w, "", "notes.txt"));
    assert_false(foreign(w, "", "none.kv"));
    assert_false(foreign(w, "", "t.tbl"));
    assert_false(foreign(w, "no.tbl", "k.kv"));
    assert_false(foreign(w, "t.tbl", "new.kv"));
    assert_false(foreign(w, "t.tbl", "dir.kv"));
    /* In the place of what it has: that is missing. */
    assert_int_equal(unlinkat(w->f.fd, "t.tbl/two.kv", 0), 0);
    assert_int_equal(symlinkat("nowhere", w->f.fd, "t.tbl/two.kv"), 0);
    assert_false(foreign(w, "t.tbl", "two.kv"));
    assert_int_equal(unlinkat(w->f.fd, "t.tbl/l.kv", 0), 0);
    assert_false(foreign(w, "t.tbl", "l.kv"));
}

static void unreadable_key_keeps_its_entry(void **state)
{
    struct world *w = *state;

    if (!drop_root(w)) {
        print_message("skipped: cannot become another user\n");
        skip();
    }
    begin_scanned(w);
    put_text(w->f.fd, "t.tbl/two.kv", "other");
    assert_int_equal(fchmodat(w->f.fd, "t.tbl/two.kv", 0, 0), 0);
    put_text(w->f.fd, "new.kv", "secret");
    assert_int_equal(fchmodat(w->f.fd, "new.kv", 0, 0), 0);
    scan(w);
    regain_root();
    assert_int_equal(w->rc, 0);
    assert_int_equal(w->result.errors, 2);
    assert_int_equal(w->result.vanished, 0);
    assert_notes(w, "UNREADABLE /new UNREADABLE t/two ");
    assert_non_null(strstr(w->result.first_error, "new.kv"));
    assert_value(w, "t", "two", "22");
    assert_false(has(w, "", "new"));
}

/* The directory can be listed, but nothing in it can be looked at. */
static void table_without_search_permission_deletes_nothing(void **state)
{
    struct world *w = *state;

    if (!drop_root(w)) {
        print_message("skipped: cannot become another user\n");
        skip();
    }
    begin_scanned(w);
    assert_int_equal(fchmodat(w->f.fd, "t.tbl", 0444, 0), 0);
    scan(w);
    assert_int_equal(fchmodat(w->f.fd, "t.tbl", 0755, 0), 0);
    regain_root();
    assert_int_equal(w->rc, 0);
    assert_int_equal(w->result.errors, 2);
    assert_int_equal(w->result.vanished, 0);
    assert_true(has(w, "t", "two") && has(w, "t", "three"));
}

static void replace_root(int rc)
{
    char moved[300];

    (void)rc;
    (void)snprintf(moved, sizeof moved, "%s.moved", current->f.path);
    assert_int_equal(rename(current->f.path, moved), 0);
    assert_int_equal(mkdir(current->f.path, 0755), 0);
}

static void lost_root_deletes_nothing(void **state)
{
    struct world *w = *state;
    char moved[300];

    begin_scanned(w);
    assert_int_equal(unlinkat(w->f.fd, "one.kv", 0), 0);
    put_text(w->f.fd, "t.tbl/two.kv", "other");
    after_look = replace_root; /* in the middle of the scan */
    scan(w);
    assert_int_equal(w->rc, ERR_GONE);
    assert_int_equal(w->result.vanished, 0);
    assert_int_equal(index_count(w->ix), 3);
    scan(w); /* and an empty directory in its place */
    assert_int_equal(w->rc, ERR_GONE);
    assert_int_equal(index_count(w->ix), 3);

    (void)snprintf(moved, sizeof moved, "%s.moved", w->f.path);
    assert_int_equal(rmdir(w->f.path), 0);
    assert_int_equal(rename(moved, w->f.path), 0);
    scan(w);
    assert_int_equal(w->rc, 0);
    assert_int_equal(w->result.vanished, 1);
}

static atomic_int stop_flag;

static void stop_now(int rc)
{
    (void)rc;
    stop_flag = 1;
}

static void stopped_scan_deletes_nothing(void **state)
{
    struct world *w = *state;

    begin_scanned(w);
    assert_int_equal(unlinkat(w->f.fd, "one.kv", 0), 0);
    put_text(w->f.fd, "t.tbl/two.kv", "other");
    stop_flag = 0;
    w->opt.stop = &stop_flag;
    after_look = stop_now;
    scan(w);
    assert_int_equal(w->rc, ERR_CLOSED);
    assert_int_equal(index_count(w->ix), 3);
    stop_flag = 0;
    scan(w);
    assert_int_equal(w->rc, 0);
    assert_int_equal(w->result.vanished, 1);
}

/* --- news while the scan runs ------------------------------------------------
 */

static struct index_entry news_of(const char *key, const char *value)
{
    return (struct index_entry){
        .name = index_name_key(&plain_key, "", 0, key, strlen(key)),
        .digest = digest_of(value, strlen(value)),
        .stat = {.ino = 4242, .ctime_ns = 4242, .size = strlen(value)}};
}

static void put_news(int rc)
{
    struct index_entry e = news_of("k", "newer");

    assert_int_equal(rc, READ_VALUE);
    assert_int_equal(index_put(current->ix, &e, &current->f.err), 0);
}

static void news_that_come_during_the_read_stay(void **state)
{
    struct world *w = *state;

    put_text(w->f.fd, "k.kv", "read");
    after_look = put_news; /* its entry was absent when the scan peeked */
    scan(w);
    assert_value(w, "", "k", "newer");
    assert_int_equal(w->result.vanished, 0);
    assert_notes(w, "CHANGED  ");
    after_look = put_news; /* now it is replaced by an equal one: no news */
    scan(w);
    assert_value(w, "", "k", "read");
    struct index_entry e = news_of("k", "old");
    assert_int_equal(index_put(w->ix, &e, &w->f.err), 0);
    after_look = put_news; /* and now by another one */
    scan(w);
    assert_value(w, "", "k", "newer");
}

static void delete_with_event(int rc)
{
    assert_int_equal(rc, READ_VALUE);
    assert_int_equal(unlinkat(current->f.fd, "k.kv", 0), 0);
    index_remove(current->ix, index_name_key(&plain_key, "", 0, "k", 1));
}

static void key_deleted_during_the_read_does_not_come_back(void **state)
{
    struct world *w = *state;

    put_text(w->f.fd, "k.kv", "v"); /* no entry yet */
    after_look = delete_with_event;
    scan(w);
    assert_int_equal(w->rc, 0);
    assert_false(has(w, "", "k"));
    assert_notes(w, "CHANGED  ");
}

static void create_behind_the_scan(int rc)
{
    struct index_entry e = news_of("late", "v");

    assert_int_equal(rc, READ_VALUE);
    hidden_key = NULL;
    assert_int_equal(index_put(current->ix, &e, &current->f.err), 0);
}

/* Its event was handled, but neither walk has it: it must not be swept. */
static bool leave_all_but_b(void *arg, const char *table, size_t table_len,
                            const char *key, size_t key_len)
{
    (void)arg, (void)table, (void)table_len, (void)key_len;
    return key[0] != 'b';
}

static void a_key_that_is_new_may_be_left_unread(void **state)
{
    struct world *w = *state;

    make_table(w, "t.tbl");
    put_text(w->f.fd, "t.tbl/a.kv", "1");
    put_text(w->f.fd, "t.tbl/b.kv", "2");
    w->opt.skip = leave_all_but_b;
    scan(w);
    assert_int_equal(w->rc, 0);
    assert_int_equal(w->result.left, 1);
    assert_int_equal(w->result.reread, 1);
    assert_false(has(w, "t", "a"));
    assert_true(has(w, "t", "b"));
    /* What is in the index is the scan's own, whatever changed. */
    time_passes();
    put_text(w->f.fd, "t.tbl/b.kv", "new");
    put_text(w->f.fd, "t.tbl/c.kv", "3");
    w->opt.skip = NULL;
    scan(w);
    assert_true(has(w, "t", "a"));
    w->opt.skip = leave_all_but_b;
    put_text(w->f.fd, "t.tbl/a.kv", "newer");
    scan(w);
    assert_int_equal(w->result.left, 0);
}

static void key_put_while_the_scan_runs_is_not_swept(void **state)
{
    struct world *w = *state;

    begin_scanned(w);
    put_text(w->f.fd, "one.kv", "other");
    assert_int_equal(unlinkat(w->f.fd, "t.tbl/two.kv", 0), 0);
    after_look = create_behind_the_scan;
    scan(w);
    assert_int_equal(w->result.vanished, 1);
    assert_true(has(w, "", "late"));
    scan(w); /* but the next scan knows */
    assert_false(has(w, "", "late"));
}

struct writer {
    struct world *w;
    int done;
};

/* As the watch does: change a key, then look at it and put what is there. */
static void *write_and_put(void *arg)
{
    struct writer *writer = arg;
    struct world *w = writer->w;
    struct err err;

    for (unsigned i = 0; i < 3000; i++) {
        char key[16], file[32], value[32];
        int key_len = snprintf(key, sizeof key, "k%u", i * 7 % 40);
        (void)snprintf(file, sizeof file, "%s.kv", key);
        int n = snprintf(value, sizeof value, "value %u", i);
        struct digest name =
            index_name_key(&plain_key, "", 0, key, (size_t)key_len);
        if (i % 5 == 0) {
            (void)unlinkat(w->f.fd, file, 0);
            index_remove(w->ix, name);
            continue;
        }
        put_file(w->f.fd, "temp", value, (size_t)n);
        assert_int_equal(renameat(w->f.fd, "temp", w->f.fd, file), 0);
        struct index_entry e = {.name = name,
                                .digest = digest_of(value, (size_t)n),
                                .stat = index_unproven(stat_of(w, file))};
        assert_int_equal(index_put(w->ix, &e, &err), 0);
    }
    __atomic_store_n(&writer->done, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void scans_beside_a_writer_leave_the_truth(void **state)
{
    struct world *w = *state;
    struct writer writer = {.w = w};
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, write_and_put, &writer), 0);
    do {
        scan(w);
        assert_int_equal(w->rc, 0);
        assert_int_equal(w->result.errors, 0);
    } while (!__atomic_load_n(&writer.done, __ATOMIC_ACQUIRE));
    assert_int_equal(pthread_join(thread, NULL), 0);

    struct digest root = index_root(w->ix);
    struct index *mine = w->ix;
    struct index *fresh = index_new();
    w->ix = fresh;
    scan(w);
    w->ix = mine;
    uint64_t count = index_count(fresh);
    struct digest truth = index_root(fresh);
    index_free(fresh);
    assert_int_equal(index_count(mine), count);
    assert_true(digest_equal(root, truth));
}

/* --- names -------------------------------------------------------------------
 */

struct names {
    struct digest want[2];
    struct buf text;
    int stop;
};

static bool want_name(void *arg, struct digest name)
{
    const struct names *q = arg;

    return digest_equal(name, q->want[0]) || digest_equal(name, q->want[1]);
}

static int found_name(void *arg, struct digest name, bool is_table,
                      const char *table, size_t table_len, const char *key,
                      size_t key_len)
{
    struct names *q = arg;

    assert_true(want_name(q, name));
    assert_int_equal(is_table, key == NULL);
    buf_printf(&q->text, "%.*s/%.*s ", (int)table_len, table, (int)key_len,
               key != NULL ? key : "");
    return q->stop;
}

static void names_are_found_by_their_hashes(void **state)
{
    struct world *w = *state;
    struct names q = {.want = {index_name_key(&plain_key, "t", 1, "two", 3),
                               index_name_table(&plain_key, "t", 1)}};
    bool complete = false;

    begin_scanned(w);
    assert_int_equal(scan_names(&w->db, &plain_key, want_name, found_name, &q,
                                &complete, &w->f.err),
                     0);
    assert_true(complete);
    assert_int_equal(q.text.len, strlen("t/ t/two "));
    assert_memory_equal(q.text.data, "t/ t/two ", q.text.len);

    buf_clear(&q.text);
    q.stop = 5; /* enough after the first one */
    assert_int_equal(scan_names(&w->db, &plain_key, want_name, found_name, &q,
                                &complete, &w->f.err),
                     5);
    assert_false(complete);
    assert_int_equal(q.text.len, strlen("t/ "));
    buf_deinit(&q.text);
}

static void names_of_a_lost_root_are_not_complete(void **state)
{
    struct world *w = *state;
    struct names q = {.stop = 0};
    bool complete = true;

    assert_int_equal(rmdir(w->f.path), 0);
    assert_int_equal(scan_names(&w->db, &plain_key, want_name, found_name, &q,
                                &complete, &w->f.err),
                     ERR_GONE);
    assert_false(complete);
}

/* --- one name ------------------------------------------------------------ */

static void one(struct world *w, const char *table, const char *key)
{
    struct scan_name at = {.table = table,
                           .table_len = strlen(table),
                           .key = key,
                           .key_len = key != NULL ? strlen(key) : 0};

    at.name = key != NULL
                  ? index_name_key(&plain_key, at.table, at.table_len, at.key,
                                   at.key_len)
                  : index_name_table(&plain_key, at.table, at.table_len);
    w->rc = scan_one(&w->db, w->ix, &w->opt, &at, &w->result, &w->f.err);
    assert_int_equal(w->rc, 0);
}

static bool known(struct world *w, const char *key, bool written)
{
    struct scan_name at = {
        .table = "t", .table_len = 1, .key = key, .key_len = strlen(key)};
    struct vstat now;

    at.name = index_name_key(&plain_key, "t", 1, key, at.key_len);
    return scan_is_known(&w->db, w->ix, &at, written, &now);
}

static void one_key_is_settled_alone(void **state)
{
    struct world *w = *state;

    make_table(w, "t.tbl");
    put_text(w->f.fd, "t.tbl/a.kv", "1");
    put_text(w->f.fd, "t.tbl/b.kv", "1");
    time_passes();
    scan(w);
    assert_true(known(w, "a", false) && known(w, "absent", false));
    put_text(w->f.fd, "t.tbl/a.kv", "another");
    put_text(w->f.fd, "t.tbl/b.kv", "another");
    assert_false(known(w, "a", false));
    one(w, "t", "a");
    assert_int_equal(w->result.changed, 1);
    assert_value(w, "t", "a", "another");
    assert_value(w, "t", "b", "1");
    one(w, "t", "a");
    assert_int_equal(w->result.changed + w->result.vanished, 0);
    assert_int_equal(unlinkat(w->f.fd, "t.tbl/a.kv", 0), 0);
    assert_false(known(w, "a", false));
    one(w, "t", "a");
    assert_int_equal(w->result.vanished, 1);
    assert_false(has(w, "t", "a"));
    one(w, "t", "a");
    assert_int_equal(w->result.vanished, 0);
}

struct seen_stat {
    struct vstat seen;
    int agree; /* so often, whatever is asked */
    struct world *w;
    const char *then; /* before the next look the key has this value */
};

static bool is_as_seen(void *arg, struct vstat now)
{
    struct seen_stat *q = arg;

    if (q->agree > 0) {
        q->agree--;
        put_text(q->w->f.fd, "t.tbl/new", q->then);
        assert_int_equal(
            renameat(q->w->f.fd, "t.tbl/new", q->w->f.fd, "t.tbl/a.kv"), 0);
        return true;
    }
    return vstat_equal(q->seen, now);
}

/* What came after the caller's look is left, found before the read or by it. */
static void what_came_later_is_left(void **state)
{
    struct world *w = *state;
    struct seen_stat q = {.w = w, .then = "3"};

    make_table(w, "t.tbl");
    put_text(w->f.fd, "t.tbl/a.kv", "1");
    time_passes();
    scan(w);
    w->opt.still = is_as_seen;
    w->opt.still_arg = &q;
    put_text(w->f.fd, "t.tbl/a.kv", "22");
    one(w, "t", "a"); /* not what was seen */
    assert_int_equal(w->result.left, 1);
    assert_int_equal(w->result.reread, 0);
    q.agree = 1; /* replaced when the read begins */
    one(w, "t", "a");
    assert_int_equal(w->result.left, 1);
    assert_int_equal(w->result.reread, 1);
    assert_int_equal(w->result.changed, 0);
    assert_value(w, "t", "a", "1");
    assert_int_equal(unlinkat(w->f.fd, "t.tbl/a.kv", 0), 0);
    q.seen.ino = 1; /* something was there, and is gone */
    one(w, "t", "a");
    assert_int_equal(w->result.left, 1);
    assert_true(has(w, "t", "a"));
    q.seen = (struct vstat){0, 0, 0};
    one(w, "t", "a");
    assert_int_equal(w->result.vanished, 1);
    assert_false(has(w, "t", "a"));
}

/* A write in the same tick of the clock leaves the stat as it is. */
static void a_young_stat_proves_nothing_of_what_was_written(void **state)
{
    struct world *w = *state;

    make_table(w, "t.tbl");
    put_text(w->f.fd, "t.tbl/a.kv", "1");
    time_passes();
    scan(w);
    assert_true(known(w, "a", true));
    time_offset_ns = 0;
    assert_true(known(w, "a", false));
    assert_false(known(w, "a", true));
}

static void what_is_no_value_any_more_has_no_entry(void **state)
{
    struct world *w = *state;

    make_table(w, "t.tbl");
    put_text(w->f.fd, "t.tbl/a.kv", "1");
    put_text(w->f.fd, "t.tbl/b.kv", "1");
    time_passes();
    scan(w);
    assert_int_equal(unlinkat(w->f.fd, "t.tbl/a.kv", 0), 0);
    assert_int_equal(symlinkat("b.kv", w->f.fd, "t.tbl/a.kv"), 0);
    assert_int_equal(unlinkat(w->f.fd, "t.tbl/b.kv", 0), 0);
    make_table(w, "t.tbl/b.kv");
    one(w, "t", "a");
    one(w, "t", "b");
    assert_false(has(w, "t", "a") || has(w, "t", "b"));
    assert_true(known(w, "a", false) && known(w, "b", false));
}

static void a_table_alone_comes_and_goes(void **state)
{
    struct world *w = *state;

    scan(w);
    make_table(w, "t.tbl");
    put_text(w->f.fd, "t.tbl/a.kv", "1");
    one(w, "t", NULL);
    assert_int_equal(w->result.changed, 1);
    assert_int_equal(index_tables(w->ix), 2);
    assert_false(has(w, "t", "a"));
    assert_int_equal(renameat(w->f.fd, "t.tbl", w->f.fd, "away"), 0);
    one(w, "t", NULL);
    assert_int_equal(w->result.vanished, 1);
    assert_int_equal(index_tables(w->ix), 1);
}

static void a_locked_key_is_busy_alone(void **state)
{
    struct world *w = *state;

    make_table(w, "t.tbl");
    put_text(w->f.fd, "t.tbl/a.kv", "1");
    time_passes();
    scan(w);
    put_text(w->f.fd, "t.tbl/a.kv", "another");
    int fd = openat(w->f.fd, "t.tbl/a.kv", O_RDONLY | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    one(w, "t", "a");
    assert_int_equal(w->result.busy, 1);
    assert_value(w, "t", "a", "1");
    (void)close(fd);
    one(w, "t", "a");
    assert_value(w, "t", "a", "another");
}

static bool leave_all(void *arg, const char *table, size_t table_len,
                      const char *key, size_t key_len)
{
    (void)arg, (void)table, (void)table_len, (void)key, (void)key_len;
    return true;
}

/* They are told, not read, and not swept. */
static void what_changed_may_be_left_unread(void **state)
{
    struct world *w = *state;

    make_table(w, "t.tbl");
    put_text(w->f.fd, "t.tbl/a.kv", "1");
    time_passes();
    scan(w);
    put_text(w->f.fd, "t.tbl/a.kv", "another");
    put_text(w->f.fd, "t.tbl/b.kv", "new");
    make_table(w, "u.tbl");
    w->opt.skip = leave_all;
    w->opt.skip_changed = true;
    scan(w);
    assert_int_equal(w->rc, 0);
    assert_int_equal(w->result.left, 2);
    assert_int_equal(w->result.reread + w->result.vanished, 0);
    assert_value(w, "t", "a", "1");
    assert_false(has(w, "t", "b"));
    assert_int_equal(index_tables(w->ix), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(first_scan_indexes_every_key_and_table),
        WORLD_TEST(unchanged_keys_are_not_read_again),
        WORLD_TEST(two_ends_with_equal_contents_have_equal_digests),
        WORLD_TEST(changed_in_place_at_equal_size_is_found),
        WORLD_TEST(change_in_the_same_clock_tick_is_found),
        WORLD_TEST(young_value_is_read_again_until_it_is_old),
        WORLD_TEST(content_scan_finds_what_the_stat_hides),
        WORLD_TEST(large_value_is_digested_in_pieces),
        WORLD_TEST(odd_names_are_keys_like_others),
        WORLD_TEST(tables_nest_and_what_is_no_key_is_left_out),
        WORLD_TEST(young_empty_file_is_doubtful_until_it_has_settled),
        WORLD_TEST(doubtful_key_keeps_its_entry),
        WORLD_TEST(empty_files_are_trusted_without_a_settle_time),
        WORLD_TEST(value_that_turns_empty_under_the_read_is_doubtful),
        WORLD_TEST(locked_key_is_busy_and_keeps_its_entry),
        WORLD_TEST(busy_key_is_looked_at_again_in_the_same_scan),
        WORLD_TEST(busy_key_that_is_deleted_meanwhile_has_vanished),
        WORLD_TEST(deleted_key_and_table_vanish),
        WORLD_TEST(key_that_one_listing_missed_stays),
        WORLD_TEST(nothing_vanishes_from_a_table_that_is_unreadable),
        WORLD_TEST(what_is_gone_beside_what_is_covered),
        WORLD_TEST(what_may_lie_below_what_is_covered_stays),
        WORLD_TEST(an_index_without_tags_keeps_what_is_not_seen),
        WORLD_TEST(another_key_keeps_the_tags_true),
        WORLD_TEST(what_is_foreign_is_told),
        WORLD_TEST(one_foreign_thing_is_known_by_its_name),
        WORLD_TEST(unreadable_key_keeps_its_entry),
        WORLD_TEST(table_without_search_permission_deletes_nothing),
        WORLD_TEST(lost_root_deletes_nothing),
        WORLD_TEST(stopped_scan_deletes_nothing),
        WORLD_TEST(news_that_come_during_the_read_stay),
        WORLD_TEST(key_deleted_during_the_read_does_not_come_back),
        WORLD_TEST(key_put_while_the_scan_runs_is_not_swept),
        WORLD_TEST(a_key_that_is_new_may_be_left_unread),
        WORLD_TEST(what_changed_may_be_left_unread),
        WORLD_TEST(one_key_is_settled_alone),
        WORLD_TEST(what_came_later_is_left),
        WORLD_TEST(a_young_stat_proves_nothing_of_what_was_written),
        WORLD_TEST(what_is_no_value_any_more_has_no_entry),
        WORLD_TEST(a_table_alone_comes_and_goes),
        WORLD_TEST(a_locked_key_is_busy_alone),
        WORLD_TEST(scans_beside_a_writer_leave_the_truth),
        WORLD_TEST(names_are_found_by_their_hashes),
        WORLD_TEST(names_of_a_lost_root_are_not_complete),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
