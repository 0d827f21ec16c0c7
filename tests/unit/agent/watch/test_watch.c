/* SPDX-License-Identifier: MIT
 *
 * watch: what each kind of writer leads to, on real directories.
 *
 * The watch runs on a loop of its own test; `settle` returns when everything
 * that happened before it has been reported, so no test sleeps.
 */
#include "tests/support/store_fixture.h"

#include <ftw.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "agent/watch/watch.h"
#include "store/base/rand.h"
#include "store/layout/walk.h"
#include "sync/errors/state.h"

struct bench {
    struct fixture f;
    uv_loop_t loop;
    struct watch *watch;
    struct db db;
    char **seen; /* "C table|key" created, "F" found, "W" closed, "M" committed,
                    "D" removed, "P" moved away, "T table" */
    size_t count, cap;
    unsigned settled, overflows, left, moving, lost, troubles, drained;
    size_t drained_at;     /* what was seen at the first `drained` since 0 */
    unsigned drained_left; /* ... and `left` then */
    char why[200];
    struct err trouble;
};

static void note(struct bench *b, char what, const char *table, size_t tlen,
                 const char *key, size_t klen)
{
    if (b->count == b->cap) {
        b->cap = b->cap == 0 ? 64 : b->cap * 2;
        b->seen = realloc(b->seen, b->cap * sizeof *b->seen);
        assert_non_null(b->seen);
    }
    char *line;
    assert_true(asprintf(&line, "%c %.*s%s%.*s", what, (int)tlen, table,
                         key != NULL ? "|" : "", (int)klen,
                         key != NULL ? key : "") > 0);
    b->seen[b->count++] = line;
}

static void on_key(void *arg, const char *table, size_t tlen, const char *key,
                   size_t klen, enum hint why)
{
    static const char words[] = {
        [HINT_CREATED] = 'C',   [HINT_FOUND] = 'F',   [HINT_CLOSED] = 'W',
        [HINT_COMMITTED] = 'M', [HINT_REMOVED] = 'D', [HINT_AWAY] = 'A'};

    note(arg, words[why], table, tlen, key, klen);
}

static void on_moved(void *arg, const char *table, size_t tlen, const char *key,
                     size_t klen)
{
    note(arg, 'P', table, tlen, key, klen);
}

static void on_table(void *arg, const char *table, size_t tlen)
{
    note(arg, 'T', table, tlen, NULL, 0);
}

static void on_overflow(void *arg)
{
    ((struct bench *)arg)->overflows++;
}

static void on_moving(void *arg)
{
    ((struct bench *)arg)->moving++;
}

static void on_moved_out(void *arg)
{
    ((struct bench *)arg)->left++;
}

static void on_lost(void *arg, const char *why)
{
    struct bench *b = arg;

    b->lost++;
    (void)snprintf(b->why, sizeof b->why, "%s", why);
}

static void on_drained(void *arg, int64_t wall_ns)
{
    struct bench *b = arg;

    assert_true(wall_ns > 0);
    if (b->drained++ == 0) {
        b->drained_at = b->count;
        b->drained_left = b->left;
    }
}

static void on_watch_idle(void *arg)
{
    ((struct bench *)arg)->settled++;
}

static void on_trouble(void *arg, const struct err *err)
{
    struct bench *b = arg;

    b->troubles++;
    b->trouble = *err;
}

static const struct watch_events events = {
    .key = on_key,
    .moved = on_moved,
    .table = on_table,
    .moving = on_moving,
    .moved_out = on_moved_out,
    .overflow = on_overflow,
    .root_lost = on_lost,
    .drained = on_drained,
    .idle = on_watch_idle,
    .trouble = on_trouble,
};

static void settle(struct bench *b)
{
    watch_drain(b->watch);
    uint64_t abort_ping = watch_marker(b->watch);
    while (!watch_marker_passed(b->watch, abort_ping)) {
        (void)uv_run(&b->loop, UV_RUN_ONCE);
    }
    watch_drain(b->watch);
}

static void forget(struct bench *b)
{
    for (size_t i = 0; i < b->count; i++) {
        free(b->seen[i]);
    }
    b->count = 0;
}

static size_t times(const struct bench *b, const char *line)
{
    size_t n = 0;

    for (size_t i = 0; i < b->count; i++) {
        n += strcmp(b->seen[i], line) == 0;
    }
    return n;
}

#define assert_seen(b, line)                                                   \
    do {                                                                       \
        if (times((b), (line)) == 0) {                                         \
            for (size_t i_ = 0; i_ < (b)->count; i_++)                         \
                print_message("seen: %s\n", (b)->seen[i_]);                    \
            fail_msg("not seen: %s", (line));                                  \
        }                                                                      \
    } while (0)

static void begin(struct bench *b)
{
    b->watch = watch_new(&b->loop, &events, b);
    assert_non_null(b->watch);
    assert_int_equal(db_open(&b->db, b->f.path, false, &b->f.err), 0);
    assert_int_equal(watch_start(b->watch, &b->db, &b->f.err), 0);
    while (b->settled == 0 && b->lost == 0) {
        (void)uv_run(&b->loop, UV_RUN_ONCE);
    }
    settle(b);
    forget(b);
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);

    assert_non_null(b);
    fixture_begin(&b->f);
    assert_int_equal(uv_loop_init(&b->loop), 0);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    if (b->watch != NULL) {
        watch_free(b->watch, NULL, NULL);
    }
    while (uv_run(&b->loop, UV_RUN_DEFAULT) != 0) {
        ;
    }
    assert_int_equal(uv_loop_close(&b->loop), 0);
    if (b->db.path != NULL) {
        db_close(&b->db);
    }
    forget(b);
    free(b->seen);
    fixture_end(&b->f);
    free(b);
    return 0;
}

static void make_dir(struct bench *b, const char *path)
{
    assert_int_equal(mkdirat(b->f.fd, path, 0755), 0);
}

static void write_file(struct bench *b, const char *path, const char *text)
{
    int fd =
        openat(b->f.fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(close(fd), 0);
}

/* What flockd's Set does, call by call. */
static void flockd_set(struct bench *b, const char *dir, const char *key,
                       const char *text)
{
    char tmp[512], file[512];

    (void)snprintf(tmp, sizeof tmp, "%s%s.kv123456", dir, key);
    (void)snprintf(file, sizeof file, "%s%s.kv", dir, key);
    int fd = openat(b->f.fd, tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(fsync(fd), 0);
    assert_int_equal(close(fd), 0);
    int lock = openat(b->f.fd, file, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(lock >= 0);
    assert_int_equal(flock(lock, LOCK_EX), 0);
    assert_int_equal(renameat(b->f.fd, tmp, b->f.fd, file), 0);
    assert_int_equal(close(lock), 0);
}

static void remove_file(struct bench *b, const char *path)
{
    assert_int_equal(unlinkat(b->f.fd, path, 0), 0);
}

/* --- single writers ------------------------------------------------------ */

static void flockd_set_gives_created_then_committed(void **state)
{
    struct bench *b = *state;

    make_dir(b, "t.tbl");
    begin(b);
    flockd_set(b, "t.tbl/", "k", "one");
    settle(b);
    assert_int_equal(b->count, 2);
    assert_string_equal(b->seen[0], "C t|k");
    assert_string_equal(b->seen[1], "M t|k");
    forget(b);
    flockd_set(b, "t.tbl/", "k", "two");
    settle(b);
    assert_int_equal(b->count, 1);
    assert_string_equal(b->seen[0], "M t|k");
}

static void writing_in_place_gives_closed(void **state)
{
    struct bench *b = *state;

    begin(b);
    write_file(b, "k.kv", "one");
    settle(b);
    assert_seen(b, "C |k");
    assert_string_equal(b->seen[b->count - 1], "W |k");
    forget(b);
    write_file(b, "k.kv", "two");
    settle(b);
    assert_int_equal(b->count, 1);
    assert_string_equal(b->seen[0], "W |k");
}

static void closing_a_replaced_inode_gives_nothing(void **state)
{
    struct bench *b = *state;

    begin(b);
    write_file(b, "k.kv", "one");
    int fd = openat(b->f.fd, "k.kv", O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    write_file(b, "n.kv1", "two");
    assert_int_equal(renameat(b->f.fd, "n.kv1", b->f.fd, "k.kv"), 0);
    settle(b);
    forget(b);
    assert_int_equal(close(fd), 0);
    settle(b);
    assert_int_equal(b->count, 0);
}

static void placeholder_gives_created_only(void **state)
{
    struct bench *b = *state;

    begin(b);
    int fd = openat(b->f.fd, "k.kv", O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    settle(b);
    assert_int_equal(b->count, 1);
    assert_string_equal(b->seen[0], "C |k");
}

static void link_gives_created_only(void **state)
{
    struct bench *b = *state;

    begin(b);
    write_file(b, "x.kv9", "one");
    assert_int_equal(linkat(b->f.fd, "x.kv9", b->f.fd, "k.kv", 0), 0);
    remove_file(b, "x.kv9");
    settle(b);
    assert_int_equal(b->count, 1);
    assert_string_equal(b->seen[0], "C |k");
}

static void delete_gives_removed_and_rename_away(void **state)
{
    struct bench *b = *state;

    write_file(b, "k.kv", "one");
    write_file(b, "m.kv", "one");
    begin(b);
    remove_file(b, "k.kv");
    assert_int_equal(renameat(b->f.fd, "m.kv", b->f.fd, "gone"), 0);
    settle(b);
    assert_int_equal(b->count, 2);
    assert_seen(b, "D |k");
    assert_seen(b, "A |m");
}

static void exchange_gives_both_names(void **state)
{
    struct bench *b = *state;

    write_file(b, "k.kv", "one");
    write_file(b, "m.kv", "two");
    begin(b);
    assert_int_equal(
        renameat2(b->f.fd, "k.kv", b->f.fd, "m.kv", RENAME_EXCHANGE), 0);
    settle(b);
    assert_seen(b, "M |k");
    assert_seen(b, "M |m");
}

static void odd_keys_keep_their_bytes(void **state)
{
    struct bench *b = *state;
    char long_name[256], line[300];

    begin(b);
    memset(long_name, 'n', 252);
    (void)snprintf(long_name + 252, 4, ".kv");
    write_file(b, ".kv", "empty key");
    write_file(b, "a\nb c.kv", "newline");
    write_file(b, "\xff\xfe.kv", "no UTF-8");
    write_file(b, long_name, "longest");
    settle(b);
    assert_seen(b, "W |");
    assert_seen(b, "W |a\nb c");
    assert_seen(b, "W |\xff\xfe");
    (void)snprintf(line, sizeof line, "W |%.252s", long_name);
    assert_seen(b, line);
}

static void other_names_are_counted_not_reported(void **state)
{
    struct bench *b = *state;

    make_dir(b, "plain");
    begin(b);
    write_file(b, "notes.txt", "x");
    write_file(b, "k.kv77", "x");
    write_file(b, "plain/k.kv", "a key file outside any table");
    settle(b);
    assert_int_equal(b->count, 0);
    struct watch_counts c;
    watch_counts(b->watch, &c);
    assert_int_equal(c.temps, 2);
    assert_int_equal(c.ignored, 4);
}

static void metadata_directory_is_not_watched(void **state)
{
    struct bench *b = *state;

    make_dir(b, ".drover");
    begin(b);
    write_file(b, ".drover/id", "x");
    write_file(b, ".drover/k.kv", "x");
    settle(b);
    assert_int_equal(b->count, 0);
}

/* --- directories --------------------------------------------------------- */

static void start_reports_no_keys(void **state)
{
    struct bench *b = *state;

    make_dir(b, "t.tbl");
    write_file(b, "t.tbl/k.kv", "one");
    b->watch = watch_new(&b->loop, &events, b);
    assert_int_equal(db_open(&b->db, b->f.path, false, &b->f.err), 0);
    assert_int_equal(watch_start(b->watch, &b->db, &b->f.err), 0);
    assert_int_equal(b->settled, 0);
    while (b->settled == 0) {
        (void)uv_run(&b->loop, UV_RUN_ONCE);
    }
    assert_int_equal(b->count, 0);
    struct watch_counts c;
    watch_counts(b->watch, &c);
    assert_int_equal(c.tables, 2);
    assert_int_equal(c.unwatched, 0);
}

static void new_nested_table_is_reported_with_what_is_in_it(void **state)
{
    struct bench *b = *state;

    begin(b);
    make_dir(b, "plain");
    make_dir(b, "plain/in.tbl");
    make_dir(b, "plain/in.tbl/deep.tbl");
    write_file(b, "plain/in.tbl/deep.tbl/k.kv", "one");
    settle(b);
    assert_seen(b, "T plain/in");
    assert_seen(b, "T plain/in.tbl/deep");
    assert_seen(b, "F plain/in.tbl/deep|k");
    forget(b);
    write_file(b, "plain/in.tbl/deep.tbl/k.kv", "two");
    settle(b);
    assert_seen(b, "W plain/in.tbl/deep|k");
}

static void table_moved_within_keeps_reporting_under_its_new_name(void **state)
{
    struct bench *b = *state;

    make_dir(b, "a.tbl");
    make_dir(b, "a.tbl/sub.tbl");
    write_file(b, "a.tbl/k.kv", "one");
    write_file(b, "a.tbl/sub.tbl/s.kv", "one");
    begin(b);
    assert_int_equal(renameat(b->f.fd, "a.tbl", b->f.fd, "b.tbl"), 0);
    settle(b);
    /* Gone ones children first, so that they can be removed in this order. */
    assert_string_equal(b->seen[0], "T a.tbl/sub");
    assert_string_equal(b->seen[1], "T a");
    assert_int_equal(b->left, 0);
    assert_true(b->moving > 0);
    assert_seen(b, "T b");
    assert_seen(b, "F b|k");
    assert_seen(b, "F b.tbl/sub|s");
    /* And what is gone from where they were. */
    assert_seen(b, "P a|k");
    assert_seen(b, "P a.tbl/sub|s");
    forget(b);
    write_file(b, "b.tbl/sub.tbl/s.kv", "two");
    settle(b);
    assert_int_equal(b->count, 1);
    assert_string_equal(b->seen[0], "W b.tbl/sub|s");
    struct watch_counts c;
    watch_counts(b->watch, &c);
    assert_int_equal(c.directories, 3);
}

static void table_moved_out_is_reported_once_and_then_silent(void **state)
{
    struct bench *b = *state;
    struct fixture other;

    fixture_begin(&other);
    make_dir(b, "a.tbl");
    write_file(b, "a.tbl/k.kv", "one");
    begin(b);
    assert_int_equal(renameat(b->f.fd, "a.tbl", other.fd, "a.tbl"), 0);
    settle(b);
    assert_int_equal(b->count, 2);
    assert_string_equal(b->seen[0], "T a");
    assert_string_equal(b->seen[1], "P a|k");
    assert_int_equal(b->left, 0);
    forget(b);
    int fd = openat(other.fd, "a.tbl/k.kv", O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    settle(b);
    assert_int_equal(b->count, 0);
    /* And back in: everything is new. */
    assert_int_equal(renameat(other.fd, "a.tbl", b->f.fd, "c.tbl"), 0);
    settle(b);
    assert_seen(b, "T c");
    assert_seen(b, "F c|k");
    fixture_end(&other);
}

/* The usual way to put a new table in the place of an old one, seen only when
 * it is over: the old one's keys are told by the events of their removal alone.
 */
static void replaced_table_is_told_of_when_it_is_gone_already(void **state)
{
    struct bench *b = *state;

    make_dir(b, "t.tbl");
    make_dir(b, "t.tbl/in.tbl");
    write_file(b, "t.tbl/old.kv", "one");
    write_file(b, "t.tbl/in.tbl/i.kv", "one");
    begin(b);
    make_dir(b, "t.new.tbl");
    write_file(b, "t.new.tbl/new.kv", "two");
    assert_int_equal(renameat(b->f.fd, "t.tbl", b->f.fd, "t.old.tbl"), 0);
    assert_int_equal(renameat(b->f.fd, "t.new.tbl", b->f.fd, "t.tbl"), 0);
    remove_file(b, "t.old.tbl/in.tbl/i.kv");
    assert_int_equal(unlinkat(b->f.fd, "t.old.tbl/in.tbl", AT_REMOVEDIR), 0);
    remove_file(b, "t.old.tbl/old.kv");
    assert_int_equal(unlinkat(b->f.fd, "t.old.tbl", AT_REMOVEDIR), 0);
    settle(b);
    assert_seen(b, "P t|old");
    assert_seen(b, "F t|new");
    assert_seen(b, "P t.tbl/in|i");
    assert_seen(b, "T t.tbl/in");
    assert_int_equal(b->left, 0);
    struct watch_counts c;
    watch_counts(b->watch, &c);
    assert_int_equal(c.directories, 2);
}

/* A folder with tables in it moves out and back in, again and again, and to a
 * place where it is no table. */
static void every_name_a_table_had_is_told_of(void **state)
{
    struct bench *b = *state;
    struct fixture other;

    fixture_begin(&other);
    make_dir(b, "p");
    make_dir(b, "p/t.tbl");
    write_file(b, "p/t.tbl/k.kv", "one");
    begin(b);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(renameat(b->f.fd, "p", other.fd, "p"), 0);
        assert_int_equal(renameat(other.fd, "p", b->f.fd, "q"), 0);
        assert_int_equal(renameat(b->f.fd, "q/t.tbl", b->f.fd, "q/t.bak"), 0);
        assert_int_equal(renameat(b->f.fd, "q/t.bak", b->f.fd, "u.tbl"), 0);
        if (i == 1) {
            settle(b);
        }
        assert_int_equal(renameat(b->f.fd, "u.tbl", b->f.fd, "q/t.tbl"), 0);
        assert_int_equal(renameat(b->f.fd, "q", b->f.fd, "p"), 0);
    }
    assert_int_equal(renameat(b->f.fd, "p", other.fd, "p"), 0);
    settle(b);
    assert_seen(b, "P p/t|k");
    assert_seen(b, "P u|k");
    assert_seen(b, "T p/t");
    assert_int_equal(b->left, 0);
    struct watch_counts c;
    watch_counts(b->watch, &c);
    assert_int_equal(c.directories, 1);
    assert_int_equal(c.tables, 1);
    fixture_end(&other);
}

static void more_names_than_are_followed_are_left_to_a_scan(void **state)
{
    struct bench *b = *state;
    char from[32] = "t.tbl", to[32];

    make_dir(b, from);
    write_file(b, "t.tbl/k.kv", "one");
    begin(b);
    for (int i = 0; i < 70; i++) {
        (void)snprintf(to, sizeof to, "t%d.tbl", i);
        assert_int_equal(renameat(b->f.fd, from, b->f.fd, to), 0);
        memcpy(from, to, sizeof from);
    }
    settle(b);
    assert_seen(b, "F t69|k");
    assert_seen(b, "P t|k");
    assert_true(b->left > 0);
}

/* There are fewer descriptors than directories. */
static void without_a_descriptor_what_moved_out_is_left_to_a_scan(void **state)
{
    struct bench *b = *state;
    struct fixture other;
    struct rlimit was, few;

    fixture_begin(&other);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    few = was;
    few.rlim_cur = 64; /* 16 are kept */
    for (int i = 0; i < 20; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "%d.tbl", i);
        make_dir(b, name);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    begin(b);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
    for (int i = 0; i < 20; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "%d.tbl", i);
        assert_int_equal(renameat(b->f.fd, name, other.fd, name), 0);
    }
    settle(b);
    assert_true(b->left > 0);
    struct watch_counts c;
    watch_counts(b->watch, &c);
    assert_int_equal(c.directories, 1);
    fixture_end(&other);
}

static void removed_table_leaves_nothing_unseen(void **state)
{
    struct bench *b = *state;

    make_dir(b, "a.tbl");
    make_dir(b, "a.tbl/sub.tbl");
    write_file(b, "a.tbl/sub.tbl/k.kv", "one");
    begin(b);
    assert_int_equal(unlinkat(b->f.fd, "a.tbl/sub.tbl/k.kv", 0), 0);
    assert_int_equal(unlinkat(b->f.fd, "a.tbl/sub.tbl", AT_REMOVEDIR), 0);
    assert_int_equal(unlinkat(b->f.fd, "a.tbl", AT_REMOVEDIR), 0);
    settle(b);
    assert_string_equal(b->seen[0], "D a.tbl/sub|k");
    assert_string_equal(b->seen[1], "T a.tbl/sub");
    assert_string_equal(b->seen[2], "T a");
    assert_int_equal(b->left, 0);
}

static void plain_directory_may_move_unnoticed(void **state)
{
    struct bench *b = *state;

    make_dir(b, "p");
    begin(b);
    assert_int_equal(renameat(b->f.fd, "p", b->f.fd, "q"), 0);
    settle(b);
    assert_int_equal(b->left, 0);
}

static void new_table_that_cannot_be_read_is_told_as_unseen(void **state)
{
    struct bench *b = *state;

    begin(b);
    if (geteuid() == 0) {
        print_message("skipped: root may read everything\n");
        skip();
    }
    assert_int_equal(mkdirat(b->f.fd, "a.tbl", 0), 0);
    settle(b);
    assert_int_equal(b->left, 1);
    watch_resync(b->watch); /* the scan's: not told again */
    settle(b);
    assert_int_equal(b->left, 1);
    assert_int_equal(fchmodat(b->f.fd, "a.tbl", 0755, 0), 0);
}

static void removed_and_made_again_table_is_watched_again(void **state)
{
    struct bench *b = *state;

    make_dir(b, "a.tbl");
    begin(b);
    assert_int_equal(unlinkat(b->f.fd, "a.tbl", AT_REMOVEDIR), 0);
    make_dir(b, "a.tbl");
    write_file(b, "a.tbl/k.kv", "one");
    settle(b);
    assert_seen(b, "T a");
    assert_seen(b, "F a|k");
    forget(b);
    assert_int_equal(unlinkat(b->f.fd, "a.tbl/k.kv", 0), 0);
    settle(b);
    assert_seen(b, "D a|k");
}

static void swapped_tables_change_places(void **state)
{
    struct bench *b = *state;

    make_dir(b, "a.tbl");
    make_dir(b, "b.tbl");
    write_file(b, "a.tbl/x.kv", "one");
    begin(b);
    assert_int_equal(
        renameat2(b->f.fd, "a.tbl", b->f.fd, "b.tbl", RENAME_EXCHANGE), 0);
    settle(b);
    assert_seen(b, "F b|x");
    assert_seen(b, "P a|x");
    assert_int_equal(b->left, 0);
    forget(b);
    write_file(b, "a.tbl/y.kv", "one");
    write_file(b, "b.tbl/x.kv", "two");
    settle(b);
    assert_seen(b, "W a|y");
    assert_seen(b, "W b|x");
    assert_int_equal(times(b, "W b|y"), 0);
}

static void symbolic_link_to_a_table_is_not_followed(void **state)
{
    struct bench *b = *state;
    struct fixture other;

    fixture_begin(&other);
    begin(b);
    assert_int_equal(symlinkat(other.path, b->f.fd, "l.tbl"), 0);
    settle(b);
    assert_int_equal(b->count, 0);
    struct watch_counts c;
    watch_counts(b->watch, &c);
    assert_int_equal(c.directories, 1);
    fixture_end(&other);
}

static void large_new_table_is_listed_whole(void **state)
{
    struct bench *b = *state;
    struct fixture other;

    enum { KEYS = 20000 };
    fixture_begin(&other);
    assert_int_equal(mkdirat(other.fd, "big.tbl", 0755), 0);
    for (int i = 0; i < KEYS; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "big.tbl/%d.kv", i);
        int fd = openat(other.fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(close(fd), 0);
    }
    begin(b);
    unsigned drained = b->drained;
    assert_int_equal(renameat(other.fd, "big.tbl", b->f.fd, "big.tbl"), 0);
    watch_drain(b->watch);
    /* Not all is reported yet, and nobody is told that it was. */
    assert_int_equal(b->drained, drained);
    assert_true(b->count < KEYS);
    settle(b);
    /* As of the first drain when the listing was over, and as of the last. */
    assert_int_equal(b->drained, drained + 2);
    assert_int_equal(b->count, KEYS + 1);
    fixture_end(&other);
}

struct storm {
    struct bench *b;
    uint64_t seed;
    char names[4000][80];
    size_t count;
    _Atomic int done;
};

/* Nested tables made and written into at once, from another thread. */
static void *storm_run(void *arg)
{
    struct storm *s = arg;
    struct prng r = prng_of(s->seed);
    char dirs[64][40], made[40];
    size_t n = 1;

    dirs[0][0] = '\0';
    for (size_t i = 0; i < sizeof s->names / sizeof s->names[0]; i++) {
        if (n < 64 && prng_below(&r, 40) == 0) {
            size_t up = prng_below(&r, n < 12 ? n : 12);
            if (strlen(dirs[up]) < 24) {
                (void)snprintf(made, sizeof made, "%.28s%zu.tbl/", dirs[up], n);
                if (mkdirat(s->b->f.fd, made, 0755) == 0) {
                    memcpy(dirs[n++], made, sizeof made);
                }
            }
        }
        char tmp[100], file[100];
        const char *dir = dirs[prng_below(&r, n)];
        (void)snprintf(tmp, sizeof tmp, "%s%zu.kv1", dir, i);
        (void)snprintf(file, sizeof file, "%s%zu.kv", dir, i);
        int fd = openat(s->b->f.fd, tmp, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0 || close(fd) != 0 ||
            renameat(s->b->f.fd, tmp, s->b->f.fd, file) != 0) {
            break;
        }
        size_t tlen = strlen(dir);
        (void)snprintf(s->names[s->count++], sizeof s->names[0], "%.*s|%zu",
                       (int)(tlen == 0 ? 0 : tlen - 5), dir, i);
    }
    s->done = 1;
    return NULL;
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void new_tables_under_fire_lose_nothing(void **state)
{
    struct bench *b = *state;
    struct storm *s = calloc(1, sizeof *s);

    assert_non_null(s);
    s->b = b;
    s->seed = rand_seed();
    print_message("seed %llu\n", (unsigned long long)s->seed);
    begin(b);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, storm_run, s), 0);
    while (!s->done) {
        settle(b);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    settle(b);
    assert_int_equal(b->overflows, 0);
    assert_int_equal(s->count, sizeof s->names / sizeof s->names[0]);
    qsort(b->seen, b->count, sizeof *b->seen, compare_text);
    for (size_t i = 0; i < s->count; i++) {
        char line[100];
        const char *p = line;
        (void)snprintf(line, sizeof line, "C %s", s->names[i]);
        bool there =
            bsearch(&p, b->seen, b->count, sizeof p, compare_text) != NULL;
        line[0] = 'F';
        there = there ||
                bsearch(&p, b->seen, b->count, sizeof p, compare_text) != NULL;
        line[0] = 'M';
        there = there ||
                bsearch(&p, b->seen, b->count, sizeof p, compare_text) != NULL;
        if (!there) {
            fail_msg("lost: %s", s->names[i]);
        }
    }
    free(s);
}

/* --- moves at random ----------------------------------------------------- */

enum { PLACES = 16 };
static const char *const places[PLACES] = {
    "a.tbl",  "b.tbl",   "c.tbl",   "a.tbl/n.tbl", "b.tbl/n.tbl", "p",
    "q",      "p/t.tbl", "q/t.tbl", "p/r",         "p/r/t.tbl",   "e.bak",
    "!1.tbl", "!2.tbl",  "!3",      "!3/t.tbl"};

struct mover {
    struct bench *b;
    int out_fd;
    struct prng rand;
    unsigned keys;
    _Atomic int done;
};

static int base_of(const struct mover *m, const char **path)
{
    if (**path != '!') {
        return m->b->f.fd;
    }
    ++*path;
    return m->out_fd;
}

/* Any of these may fail: nothing there, something in the way, into itself. */
static void move_something(struct mover *m)
{
    const char *from = places[prng_below(&m->rand, PLACES)];
    const char *to = places[prng_below(&m->rand, PLACES)];
    int from_fd = base_of(m, &from), to_fd = base_of(m, &to);
    uint64_t what = prng_below(&m->rand, 10);
    char name[64];

    if (what == 0) {
        (void)mkdirat(from_fd, from, 0755);
    } else if (what <= 3) {
        /* Keys of their own, so that none is told of for another's sake. */
        (void)snprintf(name, sizeof name, "%s/k%u.kv", from, m->keys++);
        int fd = openat(from_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd >= 0) {
            (void)close(fd);
        }
    } else if (what == 4) {
        (void)snprintf(name, sizeof name, "%s/k%u.kv", from,
                       (unsigned)prng_below(&m->rand, m->keys + 1));
        (void)unlinkat(from_fd, name, 0);
    } else {
        (void)renameat2(from_fd, from, to_fd, to,
                        what < 7 ? RENAME_EXCHANGE : 0);
    }
}

static void *mover_run(void *arg)
{
    struct mover *m = arg;

    for (int i = 0; i < 60; i++) {
        move_something(m);
    }
    m->done = 1;

    return NULL;
}

struct names {
    char *list[4000];
    size_t count;
};

static int add_key(void *arg, const char *table, size_t len, int dir_fd,
                   const char *key, size_t key_len)
{
    struct names *n = arg;

    (void)dir_fd;
    assert_true(n->count < 4000);
    assert_true(asprintf(&n->list[n->count++], "%.*s|%.*s", (int)len, table,
                         (int)key_len, key) > 0);
    return 0;
}

static void drop_names(struct names *n)
{
    for (size_t i = 0; i < n->count; i++) {
        free(n->list[i]);
    }
    n->count = 0;
}

static void take_names(struct bench *b, struct names *n)
{
    static const struct walk_ops ops = {.key = add_key};

    drop_names(n);
    assert_int_equal(walk_db(&b->db, &ops, n, NULL, &b->f.err), 0);
    qsort(n->list, n->count, sizeof *n->list, compare_text);
}

static bool has(const struct names *n, const char *name)
{
    return bsearch(&name, n->list, n->count, sizeof name, compare_text) != NULL;
}

static bool was_told(const struct bench *b, const char *name)
{
    for (size_t i = 0; i < b->count; i++) {
        if (b->seen[i][0] != 'T' && strcmp(b->seen[i] + 2, name) == 0) {
            return true;
        }
    }
    return false;
}

static void assert_told(const struct bench *b, const struct names *these,
                        const struct names *not_those, const char *what)
{
    for (size_t i = 0; i < these->count; i++) {
        if (!has(not_those, these->list[i]) && !was_told(b, these->list[i])) {
            fail_msg("nobody told of %s, which %s", these->list[i], what);
        }
    }
}

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *at)
{
    (void)st;

    (void)type;
    return at->level == 0 ? 0 : remove(path);
}

/* Nests grow, and what is too deep for a table is not followed. */
static void begin_over(struct bench *b, const char *outside, struct names *was)
{
    assert_int_equal(nftw(b->f.path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    assert_int_equal(nftw(outside, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    settle(b);
    take_names(b, was);
}

/* Whatever moves, at once or while the watch looks on: each key that came or
 * went in between is told of, or a scan is asked for. */
static void moves_at_random_lose_no_name(void **state)
{
    struct bench *b = *state;
    struct fixture other;
    struct names *was = calloc(1, sizeof *was), *is = calloc(1, sizeof *is);
    unsigned scans = 0;
    const char *seed = getenv("WATCH_SEED");

    assert_true(was != NULL && is != NULL);
    fixture_begin(&other);
    begin(b);
    struct mover m = {.b = b, .out_fd = other.fd};
    uint64_t seeded = seed != NULL ? strtoull(seed, NULL, 10) : rand_seed();
    print_message("seed %llu\n", (unsigned long long)seeded);
    m.rand = prng_of(seeded);
    for (int round = 0; round < 400; round++) {
        pthread_t thread;
        if (round % 6 == 0) {
            begin_over(b, other.path, was);
        }
        m.done = 0;
        b->left = 0;
        forget(b);
        assert_int_equal(pthread_create(&thread, NULL, mover_run, &m), 0);
        while (round % 2 == 0 && !m.done) {
            settle(b);
        }
        assert_int_equal(pthread_join(thread, NULL), 0);
        settle(b);
        take_names(b, is);
        scans += b->left > 0;
        if (b->left == 0) {
            assert_told(b, was, is, "went");
            assert_told(b, is, was, "came");
        }
        struct names *swap = was;
        was = is;
        is = swap;
    }
    assert_int_equal(b->overflows, 0);
    print_message("%u of 400 rounds left to a scan\n", scans);
    assert_true(scans < 200);
    struct watch_counts c;
    watch_counts(b->watch, &c);
    assert_int_equal(c.watched, c.directories);
    drop_names(was);
    drop_names(is);
    free(was);
    free(is);
    fixture_end(&other);
}

/* The pool has read a directory, and the loop has not heard of it yet. */
static void wait_for_pool(struct bench *b)
{
    struct pollfd p = {.fd = uv_backend_fd(&b->loop), .events = POLLIN};

    assert_int_equal(poll(&p, 1, 30000), 1);
}

static void move_to(struct bench *b, const char *from, const char *to)
{
    assert_int_equal(renameat(b->f.fd, from, b->f.fd, to), 0);
}

/* A listing meets, at a name, the directory that had been below the one it
 * knows there. */
static void what_was_below_a_name_may_take_it(void **state)
{
    struct bench *b = *state;

    make_dir(b, "a");
    make_dir(b, "a/b");
    begin(b);
    watch_resync(b->watch);
    wait_for_pool(b);
    move_to(b, "a", "x");
    move_to(b, "x/b", "a");
    (void)uv_run(&b->loop, UV_RUN_ONCE); /* the pool's answer before events */
    settle(b);
    make_dir(b, "a/t.tbl");
    write_file(b, "a/t.tbl/k.kv", "v");
    settle(b);
    assert_true(times(b, "F a/t|k") + times(b, "C a/t|k") > 0);
    struct watch_counts c;
    watch_counts(b->watch, &c);
    assert_int_equal(c.watched, c.directories);
}

/* A directory that is no table moves on before it is listed, with tables in it:
 * their keys are told before the first move counts as drained. */
static void what_moves_on_unlisted_is_owed(void **state)
{
    struct bench *b = *state;
    struct rlimit was, few;
    char name[32], to[32];

    make_dir(b, "large");
    for (int i = 0; i < 5000; i++) { /* more than are listed at once */
        (void)snprintf(name, sizeof name, "large/%d", i);
        write_file(b, name, "");
    }
    make_dir(b, "p");
    make_dir(b, "p/t.tbl");
    write_file(b, "p/t.tbl/k.kv", "v");
    for (int i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof name, "d%d", i);
        make_dir(b, name);
    }
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    few = was;
    few.rlim_cur = 64; /* 16 are kept, so not that of `p` */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    begin(b);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
    move_to(b, "large", "moved");
    move_to(b, "p", "q");
    for (int i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof name, "d%d", i);
        (void)snprintf(to, sizeof to, "e%d", i);
        move_to(b, name, to);
    }
    b->drained = 0;
    watch_drain(b->watch);
    assert_int_equal(b->drained, 0);
    wait_for_pool(b);
    move_to(b, "q", "r");
    while (b->drained == 0) {
        (void)uv_run(&b->loop, UV_RUN_ONCE);
    }
    size_t n = 0;
    for (size_t i = 0; i < b->drained_at; i++) {
        n += strcmp(b->seen[i], "P p/t|k") == 0;
    }
    assert_true(n > 0 || b->drained_left > 0);
}

/* --- trouble ------------------------------------------------------------- */

static void overflow_is_told_and_directories_are_put_in_order(void **state)
{
    struct bench *b = *state;

    make_dir(b, "old.tbl");
    begin(b);
    /* Two names in turn: equal neighbours would be merged. */
    for (int i = 0; i < 20000; i++) {
        int fd = openat(b->f.fd, i % 2 ? "a.kv" : "b.kv",
                        O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(close(fd), 0);
    }
    make_dir(b, "new.tbl");
    make_dir(b, "new.tbl/in.tbl");
    assert_int_equal(unlinkat(b->f.fd, "old.tbl", AT_REMOVEDIR), 0);
    settle(b);
    assert_int_equal(b->overflows, 1);
    settle(b);
    assert_seen(b, "T new");
    assert_seen(b, "T new.tbl/in");
    assert_seen(b, "T old");
    forget(b);
    write_file(b, "new.tbl/in.tbl/k.kv", "one");
    settle(b);
    assert_seen(b, "W new.tbl/in|k");
    struct watch_counts c;
    watch_counts(b->watch, &c);
    assert_int_equal(c.overflows, 1);
    assert_int_equal(c.directories, 3);
}

/* One drain asks for the directory's listing, drops it and asks again; then the
 * overflow asks for the root's. */
static void overflow_after_a_removed_directory_is_put_in_order(void **state)
{
    struct bench *b = *state;

    begin(b);
    make_dir(b, "a.tbl");
    assert_int_equal(unlinkat(b->f.fd, "a.tbl", AT_REMOVEDIR), 0);
    make_dir(b, "a.tbl");
    for (int i = 0; i < 20000; i++) {
        write_file(b, i % 2 ? "a.kv" : "b.kv", "");
    }
    settle(b);
    settle(b);
    assert_int_equal(b->overflows, 1);
    assert_seen(b, "T a");
    forget(b);
    write_file(b, "a.tbl/k.kv", "one");
    settle(b);
    assert_seen(b, "W a|k");
}

static void removed_root_is_lost_without_a_hint(void **state)
{
    struct bench *b = *state;

    make_dir(b, "db");
    make_dir(b, "db/t.tbl");
    write_file(b, "db/t.tbl/k.kv", "one");
    char path[300], aside[300];
    (void)snprintf(path, sizeof path, "%s", b->f.path);
    (void)snprintf(b->f.path, sizeof b->f.path, "%.240s/db", path);
    begin(b);
    (void)snprintf(b->f.path, sizeof b->f.path, "%.255s", path);
    (void)snprintf(aside, sizeof aside, "%.250s/aside", path);
    assert_int_equal(renameat(b->f.fd, "db", b->f.fd, "aside"), 0);
    settle(b);
    assert_int_equal(b->lost, 1);
    assert_non_null(strstr(b->why, "moved"));
    assert_int_equal(b->count, 0);
    /* And it can be started again, at what is there now. */
    db_close(&b->db);
    assert_int_equal(db_open(&b->db, aside, false, &b->f.err), 0);
    b->settled = 0;
    assert_int_equal(watch_start(b->watch, &b->db, &b->f.err), 0);
    while (b->settled == 0) {
        (void)uv_run(&b->loop, UV_RUN_ONCE);
    }
    write_file(b, "aside/t.tbl/k.kv", "two");
    settle(b);
    assert_seen(b, "W t|k");
    /* Removed for good. */
    forget(b);
    remove_file(b, "aside/t.tbl/k.kv");
    assert_int_equal(unlinkat(b->f.fd, "aside/t.tbl", AT_REMOVEDIR), 0);
    assert_int_equal(unlinkat(b->f.fd, "aside", AT_REMOVEDIR), 0);
    settle(b);
    watch_check_root(b->watch);
    assert_int_equal(b->lost, 2);
    assert_non_null(strstr(b->why, "removed"));
}

/* What is mounted from now on shows in no other namespace.  The root of a
 * chroot is no mount, and nothing can be said of the one it lies in. */
static bool mounts_stay_here(void)
{
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0) {
        return true;
    }
    FILE *f = fopen("/proc/self/mountinfo", "re");
    if (f == NULL) {
        return false;
    }
    char line[4096];
    bool shared = false;
    while (fgets(line, sizeof line, f) != NULL) {
        shared = shared || strstr(line, " shared:") != NULL;
    }
    (void)fclose(f);

    return !shared;
}

static void unmounted_root_is_lost(void **state)
{
    struct bench *b = *state;

    if (unshare(CLONE_NEWNS) != 0) {
        print_message("skipped: no mount namespace (%s)\n", strerror(errno));
        skip();
    }
    if (!mounts_stay_here()) {
        print_message("skipped: a chroot whose mounts are shared\n");
        skip();
    }
    char path[256];

    (void)snprintf(path, sizeof path, "%s", b->f.path);
    if (mount("none", path, "tmpfs", 0, NULL) != 0) {
        print_message("skipped: no mount (%s)\n", strerror(errno));
        skip();
    }
    begin(b);
    assert_int_equal(umount2(path, MNT_DETACH), 0);
    db_close(&b->db);
    b->db.path = NULL;
    while (b->lost == 0) {
        (void)uv_run(&b->loop, UV_RUN_ONCE);
    }
    assert_int_equal(b->count, 0);
}

/* Run in a child with its own user namespace, where the limits can be set. */
static int limited_child(struct bench *b, const char *limit, int value)
{
    char path[100], text[32];
    int uid = (int)getuid(), gid = (int)getgid();

    if (unshare(CLONE_NEWUSER) != 0) {
        return 77;
    }
    (void)snprintf(text, sizeof text, "0 %d 1", uid);
    int fd = open("/proc/self/setgroups", O_WRONLY);

    if (fd >= 0) {
        (void)!write(fd, "deny", 4);
        (void)close(fd);
    }
    fd = open("/proc/self/uid_map", O_WRONLY);
    if (fd < 0 || write(fd, text, strlen(text)) < 0) {
        return 77;
    }
    (void)close(fd);
    (void)snprintf(text, sizeof text, "0 %d 1", gid);
    fd = open("/proc/self/gid_map", O_WRONLY);
    if (fd < 0 || write(fd, text, strlen(text)) < 0) {
        return 77;
    }
    (void)close(fd);
    (void)snprintf(path, sizeof path, "/proc/sys/user/%s", limit);
    (void)snprintf(text, sizeof text, "%d", value);
    fd = open(path, O_WRONLY);
    if (fd < 0 || write(fd, text, strlen(text)) < 0) {
        return 77;
    }
    (void)close(fd);
    b->watch = watch_new(&b->loop, &events, b);
    if (b->watch == NULL || db_open(&b->db, b->f.path, false, &b->f.err) != 0 ||
        watch_start(b->watch, &b->db, &b->f.err) != 0) {
        return 1;
    }
    while (b->settled == 0) {
        (void)uv_run(&b->loop, UV_RUN_ONCE);
    }
    struct watch_counts c;
    watch_counts(b->watch, &c);
    (void)fprintf(stderr, "%s\n", b->trouble.msg);
    if (b->troubles != 1 || c.unwatched == 0 || c.tables != 6) {
        return 2;
    }
    bool watches = strcmp(limit, "max_inotify_watches") == 0;
    if (b->trouble.id != (watches ? DR_WATCH_LIMIT : DR_INSTANCE_LIMIT) ||
        strstr(b->trouble.msg, watches
                                   ? "fs.inotify.max_user_watches"
                                   : "fs.inotify.max_user_instances") == NULL) {
        return 3;
    }
    return 0;
}

static void run_limited(struct bench *b, const char *limit, int value)
{
    for (int i = 0; i < 5; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "%d.tbl", i);
        make_dir(b, name);
    }
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        (void)uv_loop_fork(&b->loop);
        _exit(limited_child(b, limit, value));
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        print_message("skipped: no user namespace\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void watch_limit_names_the_sysctl(void **state)
{
    run_limited(*state, "max_inotify_watches", 3);
}

static void instance_limit_names_the_sysctl(void **state)
{
    run_limited(*state, "max_inotify_instances", 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* First: these fork before the pool has threads. */
        T(watch_limit_names_the_sysctl),
        T(instance_limit_names_the_sysctl),
        T(flockd_set_gives_created_then_committed),
        T(writing_in_place_gives_closed),
        T(closing_a_replaced_inode_gives_nothing),
        T(placeholder_gives_created_only),
        T(link_gives_created_only),
        T(delete_gives_removed_and_rename_away),
        T(exchange_gives_both_names),
        T(odd_keys_keep_their_bytes),
        T(other_names_are_counted_not_reported),
        T(metadata_directory_is_not_watched),
        T(start_reports_no_keys),
        T(new_nested_table_is_reported_with_what_is_in_it),
        T(table_moved_within_keeps_reporting_under_its_new_name),
        T(table_moved_out_is_reported_once_and_then_silent),
        T(replaced_table_is_told_of_when_it_is_gone_already),
        T(every_name_a_table_had_is_told_of),
        T(more_names_than_are_followed_are_left_to_a_scan),
        T(without_a_descriptor_what_moved_out_is_left_to_a_scan),
        T(removed_table_leaves_nothing_unseen),
        T(plain_directory_may_move_unnoticed),
        T(new_table_that_cannot_be_read_is_told_as_unseen),
        T(removed_and_made_again_table_is_watched_again),
        T(swapped_tables_change_places),
        T(symbolic_link_to_a_table_is_not_followed),
        T(large_new_table_is_listed_whole),
        T(new_tables_under_fire_lose_nothing),
        T(moves_at_random_lose_no_name),
        T(what_was_below_a_name_may_take_it),
        T(what_moves_on_unlisted_is_owed),
        T(overflow_is_told_and_directories_are_put_in_order),
        T(overflow_after_a_removed_directory_is_put_in_order),
        T(removed_root_is_lost_without_a_hint),
        T(unmounted_root_is_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
