/* SPDX-License-Identifier: MIT
 *
 * test_replica: the real `drover-replica receive` over pipes, driven with
 * frames as an agent makes them. */
#include "tests/support/store_fixture.h"

#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "../support/replica_drive.h"
#include "store/base/clock.h"
#include "sync/errors/state.h"
#include "sync/index/index.h"
#include "sync/replica/meta/meta.h"
#include "tests/support/plain_key.h"

struct rig {
    struct fixture f; /* holds the replica and its stderr */
    char dir[300];
    int dir_fd;
    struct drive d, other;
};

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof *r);

    assert_non_null(r);
    fixture_begin(&r->f);
    (void)snprintf(r->dir, sizeof r->dir, "%s/db", r->f.path);
    assert_int_equal(mkdir(r->dir, 0750), 0);
    r->dir_fd = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(r->dir_fd >= 0);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;

    if (r->d.pid > 0) {
        drive_kill(&r->d, SIGKILL);
    }
    if (r->other.pid > 0) {
        drive_kill(&r->other, SIGKILL);
    }
    (void)close(r->dir_fd);
    fixture_end(&r->f);
    free(r);
    return 0;
}

static void start(struct rig *r, const char *const *options)
{
    drive_start(&r->d, r->dir, options);
    drive_hello(&r->d, 1, 1, 1);
}

static void restart(struct rig *r)
{
    start(r, NULL);
}

static size_t staged(const struct rig *r)
{
    return drive_temporaries(r->dir_fd);
}

/* --- what is installed --------------------------------------------------- */

static void values_tables_and_deletes_arrive(void **state)
{
    struct rig *r = *state;
    struct drive *d = &r->d;
    struct stat st;

    start(r, NULL);
    assert_true(d->was_empty);
    drive_set_text(d, "", "root", "in the root");
    drive_set_text(d, "users", "bob", "hello");
    drive_set_text(d, "a/b/c", "deep", "nested");
    drive_set_text(d, "users", "empty", "");
    drive_change(d, WIRE_TABLE_SET, "void", "");
    drive_set_text(d, "users", "gone", "soon");
    drive_wait_all_acked(d, d->seq);
    drive_change(d, WIRE_DELETE, "users", "gone");
    drive_wait_all_acked(d, d->seq);
    assert_file(r->dir_fd, "root.kv", "in the root");
    assert_file(r->dir_fd, "users.tbl/bob.kv", "hello");
    assert_file(r->dir_fd, "a/b/c.tbl/deep.kv", "nested");
    assert_file(r->dir_fd, "users.tbl/empty.kv", "");
    assert_true(exists(r->dir_fd, "void.tbl"));
    assert_false(exists(r->dir_fd, "users.tbl/gone.kv"));
    assert_int_equal(fstatat(r->dir_fd, "users.tbl/bob.kv", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(fstatat(r->dir_fd, "users.tbl", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 02750);
    assert_int_equal(fstatat(r->dir_fd, ".drover", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 02750);
    drive_change(d, WIRE_TABLE_DROP, "users", "");
    drive_wait_all_acked(d, d->seq);
    assert_false(exists(r->dir_fd, "users.tbl"));
    drive_ping(d, 0, REPLICA_STREAMING);
    assert_int_equal(d->pong.keys, 2);
    assert_int_equal(drive_bye(d), 0);
    assert_int_equal(staged(r), 0);
}

static void modes_and_group_come_from_the_command_line(void **state)
{
    struct rig *r = *state;
    const char *options[] = {"--file-mode", "0600", "--dir-mode", "0700",
                             "--group",     "0",    NULL};
    struct stat st;

    if (geteuid() != 0) {
        options[4] = NULL;
    }
    start(r, options);
    drive_set_text(&r->d, "t", "k", "v");
    drive_wait_all_acked(&r->d, r->d.seq);
    assert_int_equal(fstatat(r->dir_fd, "t.tbl/k.kv", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(fstatat(r->dir_fd, "t.tbl", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(drive_bye(&r->d), 0);
}

static void odd_keys_arrive_byte_for_byte(void **state)
{
    struct rig *r = *state;
    char longest[KEY_MAX_BYTES], file[KEY_FILE_BYTES];

    static const struct {
        const char *key;
        size_t len;
    } keys[] = {{"", 0},
                {" a b ", 5},
                {"new\nline", 8},
                {"\xff\xfe", 2},
                {"\xc3\xa9t\xc3\xa9", 5},
                {".hidden", 7},
                {"..", 2},
                {"*?[", 3},
                {"x.kv", 4}};

    start(r, NULL);
    memset(longest, 'k', sizeof longest);
    drive_set(&r->d, "t", longest, sizeof longest, "long", 4);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        drive_set(&r->d, "t", keys[i].key, keys[i].len, "odd", 3);
    }
    drive_wait_all_acked(&r->d, r->d.seq);
    int fd = openat(r->dir_fd, "t.tbl", O_RDONLY | O_DIRECTORY);
    assert_true(fd >= 0);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        key_file(keys[i].key, keys[i].len, file);
        assert_file(fd, file, "odd");
    }
    key_file(longest, sizeof longest, file);
    assert_file(fd, file, "long");
    (void)close(fd);
    assert_int_equal(drive_bye(&r->d), 0);
}

enum { PIECES = 200 };

/* 50 MiB in pieces, with small keys between them. */
static void a_large_value_streams_while_small_keys_pass(void **state)
{
    struct rig *r = *state;
    struct drive *d = &r->d;
    static uint8_t piece[WIRE_PIECE_MAX];
    struct digest_stream *ds = digest_stream_new();
    struct stat st;

    assert_non_null(ds);
    start(r, NULL);
    struct wire_change m = {.seq = ++d->seq,
                            .table = bytes_of("t", 1),
                            .key = bytes_of("large", 5),
                            .size = (uint64_t)PIECES * sizeof piece};
    uint64_t large = m.seq, small = 0;
    wire_put_change(&d->tx, WIRE_SET_BEGIN, &m);
    for (int i = 0; i < PIECES; i++) {
        memset(piece, i, sizeof piece);
        digest_stream_update(ds, piece, sizeof piece);
        wire_put_piece(&d->tx, large, piece, sizeof piece);
        if (i == PIECES / 2) {
            small = drive_set_text(d, "t", "small", "v");
            drive_until(d, drive_is_acked, small);
            assert_false(exists(r->dir_fd, "t.tbl/large.kv"));
        }
        drive_flush(d);
    }
    wire_put_set_end(&d->tx, large, digest_stream_final(ds));
    digest_stream_free(ds);
    drive_until(d, drive_is_acked, large);
    assert_int_equal(fstatat(r->dir_fd, "t.tbl/large.kv", &st, 0), 0);
    assert_int_equal(st.st_size, PIECES * (int)sizeof piece);
    assert_int_equal(drive_bye(d), 0);
}

static void many_changes_in_many_tables_are_acknowledged(void **state)
{
    enum { MANY = 6000 };
    struct rig *r = *state;

    start(r, NULL);
    for (int i = 0; i < MANY; i++) {
        char table[32], key[32];
        (void)snprintf(table, sizeof table, "t%d", i % 7);
        (void)snprintf(key, sizeof key, "k%d", i);
        drive_set_text(&r->d, table, key, key);
    }
    drive_wait_all_acked(&r->d, r->d.seq);
    assert_file(r->dir_fd, "t0.tbl/k0.kv", "k0");
    drive_ping(&r->d, 0, REPLICA_STREAMING);
    assert_int_equal(r->d.pong.keys, MANY);
    assert_int_equal(drive_bye(&r->d), 0);
}

/* --- locks --------------------------------------------------------------- */

static void a_held_key_waits_is_reported_and_others_flow(void **state)
{
    struct rig *r = *state;
    struct drive *d = &r->d;

    start(r, NULL);
    drive_set_text(d, "", "held", "old");
    drive_wait_all_acked(d, d->seq);
    int fd = hold_lock(r->dir_fd, "held.kv", LOCK_SH);
    uint64_t held = drive_set_text(d, "", "held", "new");
    uint64_t other = drive_set_text(d, "", "other", "v");
    drive_until(d, drive_is_acked, other);
    drive_until(d, drive_is_blocked, held);
    assert_int_equal(d->blocked_pid, getpid());
    assert_true(d->blocked_comm[0] != '\0');
    assert_false(drive_is_acked(d, held));
    assert_file(r->dir_fd, "held.kv", "old");
    (void)close(fd);
    drive_until(d, drive_is_acked, held);
    assert_file(r->dir_fd, "held.kv", "new");
    assert_int_equal(drive_bye(d), 0);
}

static void policy_replace_goes_past_a_reader_that_keeps_its_value(void **state)
{
    static const char *const options[] = {"--on-lock-timeout", "replace",
                                          "--lock-timeout", "50ms", NULL};
    struct rig *r = *state;
    struct drive *d = &r->d;
    char got[4] = "";

    start(r, options);
    drive_set_text(d, "", "held", "old");
    drive_wait_all_acked(d, d->seq);
    int fd = hold_lock(r->dir_fd, "held.kv", LOCK_SH);
    drive_set_text(d, "", "held", "new");
    drive_wait_all_acked(d, d->seq);
    assert_file(r->dir_fd, "held.kv", "new");
    assert_int_equal(read(fd, got, 3), 3);
    assert_string_equal(got, "old");
    (void)close(fd);
    drive_ping(d, 0, REPLICA_STREAMING);
    assert_int_equal(d->pong.replaced, 1);
    assert_int_equal(drive_bye(d), 0);
}

/* --- ends and beginnings ------------------------------------------------- */

static void the_end_in_mid_frame_keeps_whole_changes_only(void **state)
{
    struct rig *r = *state;
    struct drive *d = &r->d;

    start(r, NULL);
    uint64_t whole = drive_set_text(d, "", "whole", "v");
    drive_set_text(d, "", "torn", "vvvvvvvvvv");
    d->tx.len -= 5;
    assert_int_equal(drive_end(d), 0);
    assert_true(drive_is_acked(d, whole));
    assert_file(r->dir_fd, "whole.kv", "v");
    assert_false(exists(r->dir_fd, "torn.kv"));
    assert_int_equal(staged(r), 0);
}

static void a_stream_that_was_cut_leaves_nothing(void **state)
{
    struct rig *r = *state;
    struct drive *d = &r->d;

    start(r, NULL);
    struct wire_change m = {
        .seq = ++d->seq, .key = bytes_of("large", 5), .size = 1000000};
    wire_put_change(&d->tx, WIRE_SET_BEGIN, &m);
    wire_put_piece(&d->tx, m.seq, "abc", 3);
    assert_int_equal(drive_end(d), 0);
    assert_false(exists(r->dir_fd, "large.kv"));
    assert_int_equal(staged(r), 0);
}

/* A file of the very tick in which a session begins may be its own. */
static void until_older(int at, const char *file)
{
    struct stat st;

    assert_int_equal(fstatat(at, file, &st, 0), 0);
    int64_t made_ns =
        (int64_t)st.st_ctim.tv_sec * 1000000000 + (int64_t)st.st_ctim.tv_nsec;
    while (clock_of_files_ns() <= made_ns) {
        (void)sched_yield();
    }
}

static void a_kill_leaves_no_half_value_and_the_next_start_sweeps(void **state)
{
    struct rig *r = *state;
    struct drive *d = &r->d;

    start(r, NULL);
    drive_set_text(d, "", "k", "acknowledged");
    drive_wait_all_acked(d, d->seq);
    struct wire_change m = {
        .seq = ++d->seq, .key = bytes_of("large", 5), .size = 3};
    wire_put_change(&d->tx, WIRE_SET_BEGIN, &m);
    wire_put_piece(&d->tx, m.seq, "abc", 3);
    uint64_t bytes;
    do { /* "k" is acknowledged a moment before its descriptor is closed */
        drive_ping(d, 0, REPLICA_STREAMING);
    } while (staged(r) + drive_held(d, &bytes) > 1);
    assert_int_equal(staged(r) + drive_held(d, &bytes), 1);
    drive_kill(d, SIGKILL);
    /* As a receiver leaves it that died between a link and its rename. */
    put_text(r->dir_fd, ".drover-tmp.0123456789abcdef", "abc");
    until_older(r->dir_fd, ".drover-tmp.0123456789abcdef");
    restart(r);
    assert_int_equal(staged(r), 0);
    assert_false(r->d.was_empty);
    assert_int_equal(r->d.ready_keys, 1);
    assert_file(r->dir_fd, "k.kv", "acknowledged");
    assert_int_equal(drive_bye(&r->d), 0);
}

static void a_signal_to_end_is_a_clean_end(void **state)
{
    struct rig *r = *state;

    start(r, NULL);
    drive_set_text(&r->d, "", "k", "v");
    drive_wait_all_acked(&r->d, r->d.seq);
    (void)kill(r->d.pid, SIGTERM);
    drive_until(&r->d, drive_is_eof, 0);
    assert_int_equal(drive_end(&r->d), 0);
    assert_true(exists(r->dir_fd, ".drover/index"));
}

/* Values written by hand must be found by a scan though an index was saved. */
static void an_edit_on_the_replica_is_seen_by_the_next_session(void **state)
{
    struct rig *r = *state;
    struct digest before;

    start(r, NULL);
    drive_set_text(&r->d, "", "k", "right");
    drive_wait_all_acked(&r->d, r->d.seq);
    drive_ping(&r->d, 0, REPLICA_STREAMING);
    before = r->d.pong.root;
    assert_int_equal(drive_bye(&r->d), 0);
    restart(r);
    drive_ping(&r->d, 0, REPLICA_STREAMING);
    assert_true(digest_equal(before, r->d.pong.root));
    assert_int_equal(drive_bye(&r->d), 0);
    put_text(r->dir_fd, "k.kv", "wrong");
    restart(r);
    drive_ping(&r->d, 0, REPLICA_STREAMING);
    assert_false(digest_equal(before, r->d.pong.root));
    assert_int_equal(drive_bye(&r->d), 0);
}

static void scans_and_names_are_answered_on_demand(void **state)
{
    enum { MANY = 300 };
    struct rig *r = *state;
    struct drive *d = &r->d;
    static struct digest names[MANY + 2];

    start(r, NULL);
    for (int i = 0; i < MANY; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "k%d", i);
        drive_set_text(d, "a/b", key, "v");
        names[i] = index_name_key(&plain_key, "a/b", 3, key, strlen(key));
    }
    drive_wait_all_acked(d, d->seq);
    names[MANY] = index_name_table(&plain_key, "a/b", 3);
    names[MANY + 1] = index_name_table(&plain_key, "no such table", 13);
    struct wire_scan scan = {.id = 7, .how = 1};
    wire_put_scan(&d->tx, &scan);
    drive_until(d, drive_is_scanned, 7);
    assert_int_equal(d->scan_reread, MANY);
    wire_put_resolve(&d->tx, 8, true, names, MANY + 2);
    drive_until(d, drive_is_named, 8);
    assert_int_equal(d->names, MANY + 1);
    d->names = 0;
    wire_put_resolve(&d->tx, 9, true, &names[5], 1);
    drive_until(d, drive_is_named, 9);
    assert_int_equal(d->names, 1);
    assert_string_equal(d->name, "a/b/k5");
    assert_int_equal(drive_bye(d), 0);
}

/* The value would take a quarter of an hour to read. */
static void a_scan_that_was_given_up_ends_early(void **state)
{
    struct rig *r = *state;
    struct drive *d = &r->d;

    start(r, NULL);
    drive_set_text(d, "t", "small", "v");
    drive_wait_all_acked(d, d->seq);
    drive_until(d, drive_is_scanned, 0);
    int fd = openat(r->dir_fd, "t.tbl/huge.kv", O_CREAT | O_WRONLY | O_CLOEXEC,
                    0600);
    assert_true(fd >= 0 && ftruncate(fd, (off_t)1 << 40) == 0);
    (void)close(fd);
    for (uint64_t id = 7; id <= 57; id++) {
        struct wire_scan scan = {.id = id, .how = WIRE_SCAN_CONTENT};
        wire_put_scan(&d->tx, &scan);
        drive_flush(d);
    }
    /* The last but one never began; the first was under way. */
    drive_until(d, drive_is_scanned, 7);
    assert_true(d->scan_errors > 0);
    wire_put_resolve(&d->tx, 99, true, NULL, 0);
    drive_until(d, drive_is_scanned, 57);
    assert_true(d->scan_errors > 0);
    assert_int_equal(unlinkat(r->dir_fd, "t.tbl/huge.kv", 0), 0);
    struct wire_scan scan = {.id = 100, .how = WIRE_SCAN_CONTENT};
    wire_put_scan(&d->tx, &scan);
    drive_until(d, drive_is_scanned, 100);
    assert_int_equal(d->scan_errors, 0);
    assert_int_equal(drive_bye(d), 0);
}

/* Run the program with stdin from this file; its exit code. */
static int run_with_stdin(const struct rig *r, const char *file, char *said,
                          size_t room)
{
    char err_path[350];
    int status;

    (void)snprintf(err_path, sizeof err_path, "%s/said", r->f.path);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int in = open(file, O_RDONLY);
        int out = open("/dev/null", O_WRONLY);
        int err = open(err_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        (void)dup2(in, 0);
        (void)dup2(out, 1);
        (void)dup2(err, 2);
        (void)execl(drive_program(), "drover-replica", "receive", r->dir,
                    (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    int fd = open(err_path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t n = read(fd, said, room - 1);
    said[n > 0 ? n : 0] = '\0';
    (void)close(fd);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void stdin_may_be_a_file_or_nothing(void **state)
{
    struct rig *r = *state;
    char path[350], said[2000];
    struct drive d = {.in = -1, .out = -1};

    assert_int_equal(run_with_stdin(r, "/dev/null", said, sizeof said), 76);
    assert_non_null(strstr(said, "before an agent said hello"));
    assert_null(strstr(said, "HINT:")); /* the text says what it is for */
    drive_put_hello(&d, 1, 1, 1, 1000);
    drive_set_text(&d, "t", "k", "from a file");
    wire_put_bye(&d.tx);
    put_file(r->f.fd, "input", d.tx.data, d.tx.len);
    buf_deinit(&d.tx);
    (void)snprintf(path, sizeof path, "%s/input", r->f.path);
    assert_int_equal(run_with_stdin(r, path, said, sizeof said), 0);
    assert_file(r->dir_fd, "t.tbl/k.kv", "from a file");
    put_text(r->f.fd, "input", "GET / HTTP/1.0\r\n\r\n");
    assert_int_equal(run_with_stdin(r, path, said, sizeof said), 76);
}

/* --- two receivers ------------------------------------------------------- */

static void the_same_agent_takes_over_its_own_replica(void **state)
{
    struct rig *r = *state;

    start(r, NULL);
    drive_start(&r->other, r->dir, NULL);
    drive_hello(&r->other, 1, 1, 1);
    drive_until(&r->d, drive_is_eof, 0);
    assert_int_equal(drive_end(&r->d), 75);
    drive_set_text(&r->other, "", "k", "v");
    drive_wait_all_acked(&r->other, 1);
    assert_int_equal(drive_bye(&r->other), 0);
}

static void another_agent_is_refused_and_told_who_is_there(void **state)
{
    struct rig *r = *state;
    char pid[32];

    start(r, NULL);
    (void)snprintf(pid, sizeof pid, "pid %d ", (int)r->d.pid);
    drive_start(&r->other, r->dir, NULL);
    drive_put_hello(&r->other, 1, 2, 1, 1000);
    drive_until(&r->other, drive_is_eof, 0);
    assert_int_equal(r->other.error_id, DR_RECEIVER_BUSY);
    assert_non_null(strstr(r->other.error_text, pid));
    assert_int_equal(drive_end(&r->other), 75);
    drive_set_text(&r->d, "", "k", "v");
    drive_wait_all_acked(&r->d, 1);
    assert_int_equal(drive_bye(&r->d), 0);
}

/* One epoch belongs to one primary, also when the first one is gone. */
static void a_second_primary_of_the_same_epoch_is_refused(void **state)
{
    struct rig *r = *state;

    start(r, NULL);
    drive_set_text(&r->d, "", "k", "v");
    drive_wait_all_acked(&r->d, 1);
    assert_int_equal(drive_bye(&r->d), 0);
    drive_start(&r->d, r->dir, NULL);
    drive_put_hello(&r->d, 1, DRIVE_OTHER_ORIGIN, 1, 1000);
    drive_until(&r->d, drive_is_eof, 0);
    assert_int_equal(r->d.error_id, DR_TWO_PRIMARIES);
    assert_non_null(strstr(r->d.error_text, "promote --epoch 2"));
    assert_int_equal(drive_end(&r->d), 78);
    /* The same directory's next process, and then the first one's return. */
    drive_start(&r->d, r->dir, NULL);
    drive_hello(&r->d, 1, 2, 1);
    assert_int_equal(drive_bye(&r->d), 0);
    drive_start(&r->d, r->dir, NULL);
    drive_put_hello(&r->d, 1, 1, 1, 1000);
    drive_until(&r->d, drive_is_eof, 0);
    assert_int_equal(r->d.error_id, DR_TWO_PRIMARIES);
    assert_int_equal(drive_end(&r->d), 78);
    /* With a higher epoch the other one is right. */
    drive_start(&r->d, r->dir, NULL);
    drive_hello(&r->d, 1, DRIVE_OTHER_ORIGIN, 2);
    assert_int_equal(drive_bye(&r->d), 0);
}

/* What was fresh of the old primary says nothing of the new one. */
static void a_new_epoch_begins_without_freshness(void **state)
{
    struct rig *r = *state;

    start(r, NULL);
    put_text(r->dir_fd, ".drover/freshness", "old");
    assert_int_equal(drive_bye(&r->d), 0);
    drive_start(&r->d, r->dir, NULL);
    drive_hello(&r->d, 1, 2, 1);
    assert_true(exists(r->dir_fd, ".drover/freshness"));
    assert_int_equal(drive_bye(&r->d), 0);
    drive_start(&r->d, r->dir, NULL);
    drive_hello(&r->d, 1, 3, 2);
    assert_false(exists(r->dir_fd, ".drover/freshness"));
    assert_int_equal(drive_bye(&r->d), 0);
}

static void a_newer_primary_takes_over_and_the_older_is_locked_out(void **state)
{
    struct rig *r = *state;

    start(r, NULL);
    drive_start(&r->other, r->dir, NULL);
    drive_hello(&r->other, 1, 2, 2);
    drive_until(&r->d, drive_is_eof, 0);
    assert_int_equal(drive_end(&r->d), 75);
    drive_start(&r->d, r->dir, NULL);
    drive_put_hello(&r->d, 1, 1, 1, 1000);
    drive_until(&r->d, drive_is_eof, 0);
    assert_int_equal(r->d.error_id, DR_OLD_EPOCH);
    assert_int_equal(drive_end(&r->d), 78);
    assert_int_equal(drive_bye(&r->other), 0);
}

/* --- identity ------------------------------------------------------------ */

static void refused(struct rig *r, uint8_t db, int dr, int code)
{
    drive_start(&r->d, r->dir, NULL);
    drive_put_hello(&r->d, db, 1, 1, 1000);
    drive_until(&r->d, drive_is_eof, 0);
    assert_int_equal(r->d.error_id, dr);
    assert_int_equal(drive_end(&r->d), code);
}

static void another_database_is_refused(void **state)
{
    struct rig *r = *state;

    start(r, NULL);
    assert_int_equal(drive_bye(&r->d), 0);
    refused(r, 2, DR_OTHER_DATABASE, 78);
}

static int run(const char *a, const char *b, const char *c)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        int null_fd = open("/dev/null", O_WRONLY);
        (void)dup2(null_fd, 1);
        (void)dup2(null_fd, 2);
        (void)execl(drive_program(), "drover-replica", a, b, c, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_directory_with_keys_is_refused_until_it_is_adopted(void **state)
{
    struct rig *r = *state;

    put_text(r->dir_fd, "k.kv", "mine");
    refused(r, 1, DR_REPLICA_NOT_EMPTY, 78);
    assert_file(r->dir_fd, "k.kv", "mine");
    assert_int_equal(
        run("adopt", r->dir, "01010101-0101-0101-0101-010101010101"), 0);
    assert_int_equal(run("adopt", r->dir, "02020202020202020202020202020202"),
                     78);
    restart(r);
    assert_int_equal(r->d.ready_keys, 1);
    assert_int_equal(drive_bye(&r->d), 0);
}

static void a_primary_is_never_written_as_a_replica(void **state)
{
    struct rig *r = *state;

    assert_int_equal(mkdirat(r->dir_fd, ".drover", 0750), 0);
    put_text(r->dir_fd, ".drover/id", "x");
    refused(r, 1, DR_IS_PRIMARY, 78);
    assert_false(exists(r->dir_fd, ".drover/lock"));
}

static void a_directory_that_cannot_be_written_says_so(void **state)
{
    struct rig *r = *state;

    if (geteuid() == 0) {
        print_message("skipped: root may write everywhere\n");
        skip();
    }
    assert_int_equal(fchmod(r->dir_fd, 0550), 0);
    refused(r, 1, DR_REPLICA_DIR, 77);
    assert_int_equal(fchmod(r->dir_fd, 0750), 0);
}

/* --- hostile surroundings ------------------------------------------------ */

static void planted_links_are_refused_and_nothing_outside_changes(void **state)
{
    struct rig *r = *state;
    struct drive *d = &r->d;

    assert_int_equal(mkdirat(r->f.fd, "outside", 0755), 0);
    put_text(r->f.fd, "outside/secret", "secret");
    start(r, NULL);
    assert_int_equal(symlinkat("../outside", r->dir_fd, "t.tbl"), 0);
    assert_int_equal(symlinkat("../outside/secret", r->dir_fd, "k.kv"), 0);
    uint64_t table = drive_set_text(d, "t", "x", "evil");
    uint64_t key = drive_set_text(d, "", "k", "evil");
    uint64_t drop = drive_change(d, WIRE_TABLE_DROP, "t", "");
    uint64_t good = drive_set_text(d, "", "good", "v");
    drive_until(d, drive_is_naked, table);
    drive_until(d, drive_is_naked, key);
    drive_until(d, drive_is_naked, drop);
    drive_until(d, drive_is_acked, good);
    assert_false(exists(r->f.fd, "outside/x.kv"));
    assert_file(r->f.fd, "outside/secret", "secret");
    assert_int_equal(drive_bye(d), 0);
    assert_int_equal(staged(r), 0);
}

static void
a_full_disk_refuses_values_and_goes_on_when_there_is_room(void **state)
{
    struct rig *r = *state;
    struct drive *d = &r->d;
    static uint8_t value[200 * 1024];

    if (mount("none", r->dir, "tmpfs", 0, "size=1m,mode=0750") != 0) {
        print_message("skipped: no permission to mount a tmpfs\n");
        skip();
    }
    start(r, NULL);
    uint64_t first = 0, seq = 0;
    for (int i = 0; i < 10; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "k%d", i);
        seq = drive_set(d, "", key, strlen(key), value, sizeof value);
        first = first == 0 ? seq : first;
    }
    drive_until(d, drive_is_naked, seq);
    assert_int_equal(d->nak_sys, ENOSPC);
    assert_non_null(strstr(d->nak_text, "k9"));
    drive_until(d, drive_is_acked, first);
    for (int i = 0; i < 10; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "k%d", i);
        seq = drive_change(d, WIRE_DELETE, "", key);
    }
    drive_until(d, drive_is_acked, seq);
    seq = drive_set(d, "", "again", 5, value, sizeof value);
    drive_until(d, drive_is_acked, seq);
    int code = drive_bye(d);
    (void)umount2(r->dir, MNT_DETACH);
    assert_int_equal(code, 0);
}

/* --- edited by hand ------------------------------------------------------ */

/* A receiver that died between a mkdir and the directory's modes left it
 * closed to every reader. */
static void a_table_whose_making_was_cut_short_gets_its_modes(void **state)
{
    static const char *const dirs[] = {"half.tbl", "above", "above/t.tbl",
                                       "above/new.tbl"};
    struct rig *r = *state;
    struct stat st;

    start(r, NULL);
    assert_int_equal(mkdirat(r->dir_fd, "half.tbl", 0700), 0);
    assert_int_equal(mkdirat(r->dir_fd, "above", 0700), 0);
    assert_int_equal(mkdirat(r->dir_fd, "above/t.tbl", 0700), 0);
    assert_int_equal(mkdirat(r->dir_fd, "wider.tbl", 0755), 0);
    drive_change(&r->d, WIRE_TABLE_SET, "half", "");
    drive_set_text(&r->d, "above/t", "k", "v");
    drive_set_text(&r->d, "above/new", "k", "v");
    drive_set_text(&r->d, "wider", "k", "v");
    drive_wait_all_acked(&r->d, r->d.seq);
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
        assert_int_equal(fstatat(r->dir_fd, dirs[i], &st, 0), 0);
        assert_int_equal(st.st_mode & 07777, 02750);
    }
    /* Nothing is sent for it when the two ends are equal. */
    assert_int_equal(drive_bye(&r->d), 0);
    assert_int_equal(mkdirat(r->dir_fd, "equal.tbl", 0700), 0);
    restart(r);
    assert_int_equal(fstatat(r->dir_fd, "equal.tbl", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 02750);
    assert_int_equal(drive_bye(&r->d), 0);
}

static void assert_mode(const struct rig *r, const char *path, mode_t mode)
{
    struct stat st;

    assert_int_equal(fstatat(r->dir_fd, path, &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(st.st_mode & 07777, mode);
}

/* A copy made by hand keeps modes that its readers cannot open, and settings
 * change: the scan at start sets them, under the sandbox, and tells. */
static void a_copy_gets_the_modes_of_the_settings(void **state)
{
    static const char *const others[] = {"--file-mode", "0644", "--dir-mode",
                                         "0755", NULL};
    struct rig *r = *state;
    struct drive *d = &r->d;
    char said[2000];

    start(r, NULL);
    drive_set_text(d, "t", "seeded", "equal");
    drive_set_text(d, "t", "more", "equal");
    drive_wait_all_acked(d, d->seq);
    drive_ping(d, 0, REPLICA_STREAMING);
    struct digest root = d->pong.root;
    assert_int_equal(drive_bye(d), 0);
    assert_int_equal(fchmodat(r->dir_fd, "t.tbl/seeded.kv", 0600, 0), 0);
    assert_int_equal(fchmodat(r->dir_fd, "t.tbl", 0700, 0), 0);
    put_text(r->dir_fd, "secret", "");
    assert_int_equal(fchmodat(r->dir_fd, "secret", 0600, 0), 0);
    assert_int_equal(symlinkat("../secret", r->dir_fd, "t.tbl/l.kv"), 0);
    restart(r);
    assert_mode(r, "t.tbl/seeded.kv", 0640);
    assert_mode(r, "t.tbl", 02750);
    assert_mode(r, "secret", 0600);
    assert_int_equal(d->modes_set, 2);
    assert_int_equal(d->modes_unset, 0);
    drive_ping(d, 0, REPLICA_STREAMING);
    assert_true(digest_equal(root, d->pong.root));
    /* While it runs, a scan sets them. */
    assert_int_equal(fchmodat(r->dir_fd, "t.tbl/more.kv", 0600, 0), 0);
    struct wire_scan scan = {.id = 7};
    wire_put_scan(&d->tx, &scan);
    drive_until(d, drive_is_scanned, 7);
    assert_mode(r, "t.tbl/more.kv", 0640);
    assert_int_equal(d->modes_set, 1);
    assert_int_equal(drive_bye(d), 0);
    drive_stderr(d, said, sizeof said);
    assert_non_null(strstr(said, "set owner, group or mode of 2 files"));
    start(r, others);
    assert_mode(r, "t.tbl/seeded.kv", 0644);
    assert_mode(r, "t.tbl", 0755);
    assert_int_equal(d->modes_set, 3);
    assert_int_equal(drive_bye(d), 0);
}

/* What it may not set is told, and is no reason to end. */
static void what_may_not_be_set_is_told(void **state)
{
    struct rig *r = *state;
    struct drive *d = &r->d;
    char said[2000];

    if (geteuid() != 0) {
        (void)fprintf(stderr, "skipped: only root can give files away\n");
        skip();
    }
    start(r, NULL);
    drive_set_text(d, "", "k", "v");
    drive_set_text(d, "t", "kept", "v");
    drive_wait_all_acked(d, d->seq);
    assert_int_equal(drive_bye(d), 0);
    /* Root does not touch what others may have linked there: whose is it? */
    assert_int_equal(fchmod(r->dir_fd, 0770), 0);
    assert_int_equal(fchmodat(r->dir_fd, "k.kv", 0600, 0), 0);
    assert_int_equal(linkat(r->dir_fd, "k.kv", r->f.fd, "elsewhere", 0), 0);
    /* But what nobody else can have linked, as a demotion does. */
    assert_int_equal(fchmodat(r->dir_fd, "t.tbl/kept.kv", 0600, 0), 0);
    assert_int_equal(linkat(r->dir_fd, "t.tbl/kept.kv", r->f.fd, "kept", 0), 0);
    restart(r);
    assert_mode(r, "k.kv", 0600);
    assert_mode(r, "t.tbl/kept.kv", 0640);
    assert_int_equal(d->modes_unset, 1);
    assert_int_equal(d->modes_sys, EPERM);
    assert_string_equal(d->modes_name, "/k");
    assert_int_equal(drive_bye(d), 0);
    drive_stderr(d, said, sizeof said);
    assert_non_null(strstr(said, "key k: Operation not"));
}

static bool modes_came(const struct drive *d, uint64_t n)
{
    return d->modes >= n;
}

/* While what the primary undoes is kept aside, an old value is told by its
 * ctime, so keys have to wait until the two ends are equal. */
static void nothing_is_lost_for_a_mode(void **state)
{
    struct rig *r = *state;
    struct drive *d = &r->d;

    start(r, NULL);
    drive_set_text(d, "t", "undone", "newer than the primary's");
    drive_set_text(d, "t", "later", "v");
    drive_wait_all_acked(d, d->seq);
    assert_int_equal(drive_bye(d), 0);
    assert_int_equal(fchmodat(r->dir_fd, "t.tbl/undone.kv", 0600, 0), 0);
    assert_int_equal(fchmodat(r->dir_fd, "t.tbl/later.kv", 0600, 0), 0);
    drive_start(d, r->dir, NULL);
    d->features = WIRE_FEATURE_KEEP;
    drive_hello(d, 1, 1, 1);
    assert_int_equal(d->modes_set, 0);
    drive_change(d, WIRE_DELETE, "t", "undone");
    drive_wait_all_acked(d, d->seq);
    assert_true(exists(r->dir_fd, ".drover/undone"));
    assert_int_equal(run("undone", "list", r->dir), 0);
    assert_mode(r, "t.tbl/later.kv", 0600);
    unsigned before = d->modes;
    drive_ping(d, clock_real_ns(), REPLICA_STREAMING);
    drive_until(d, modes_came, before + 1);
    assert_int_equal(d->modes_set, 1);
    assert_mode(r, "t.tbl/later.kv", 0640);
    assert_int_equal(drive_bye(d), 0);
}

static void leaves_on_its_own(struct rig *r, const char *why)
{
    char said[2000];

    drive_until(&r->d, drive_is_eof, 0);
    assert_int_equal(drive_end(&r->d), 75);
    drive_stderr(&r->d, said, sizeof said);
    assert_non_null(strstr(said, why));
}

/* "A stale lock file": whoever removes it lets a second receiver in. */
static void a_receiver_whose_lock_file_was_removed_leaves(void **state)
{
    struct rig *r = *state;

    start(r, NULL);
    assert_int_equal(unlinkat(r->dir_fd, ".drover/lock", 0), 0);
    leaves_on_its_own(r, "lock was removed");
    restart(r);
    put_text(r->dir_fd, ".drover/other", "");
    assert_int_equal(
        renameat(r->dir_fd, ".drover/other", r->dir_fd, ".drover/lock"), 0);
    leaves_on_its_own(r, "lock was removed");
}

static void a_database_that_was_moved_away_ends_the_session(void **state)
{
    struct rig *r = *state;

    start(r, NULL);
    assert_int_equal(renameat(r->f.fd, "db", r->f.fd, "db.old"), 0);
    assert_int_equal(mkdirat(r->f.fd, "db", 0750), 0);
    leaves_on_its_own(r, "not the one that was opened");
    /* The next session begins an empty replica. */
    restart(r);
    assert_true(r->d.was_empty);
    assert_int_equal(drive_bye(&r->d), 0);
}

/* --- for readers --------------------------------------------------------- */

static void fresh_and_status_tell_readers_the_truth(void **state)
{
    struct rig *r = *state;
    struct drive *d = &r->d;
    struct stat st;
    int64_t now = clock_real_ns();

    assert_int_equal(run("fresh", "--max-age=10s", r->dir), 69);
    start(r, NULL);
    assert_int_equal(run("fresh", "--max-age=10s", r->dir), 69);
    drive_ping(d, now, REPLICA_STREAMING);
    assert_int_equal(fstatat(r->dir_fd, ".drover/freshness", &st, 0), 0);
    assert_true(clock_of_timespec(st.st_mtim) == now);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(run("fresh", "--max-age=1h", r->dir), 0);
    drive_ping(d, now - 7200 * NS_PER_S, REPLICA_CATCHUP);
    assert_int_equal(run("fresh", "--max-age=1h", r->dir), 1);
    assert_int_equal(run("fresh", "--max-age=3h", r->dir), 0);
    assert_int_equal(run("fresh", "--max-age=10", r->dir), 64);
    assert_int_equal(run("status", "--json", r->dir), 0);
    assert_int_equal(run("status", r->f.path, NULL), 69);
    assert_int_equal(run("nonsense", NULL, NULL), 64);
    drive_set_text(d, "", "k", "v");
    drive_wait_all_acked(d, d->seq);
    assert_int_equal(drive_bye(d), 0);
    assert_true(exists(r->dir_fd, ".drover/applied"));
    assert_true(exists(r->dir_fd, ".drover/index"));
}

#define RIG_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(values_tables_and_deletes_arrive),
        RIG_TEST(modes_and_group_come_from_the_command_line),
        RIG_TEST(odd_keys_arrive_byte_for_byte),
        RIG_TEST(a_large_value_streams_while_small_keys_pass),
        RIG_TEST(many_changes_in_many_tables_are_acknowledged),
        RIG_TEST(a_held_key_waits_is_reported_and_others_flow),
        RIG_TEST(policy_replace_goes_past_a_reader_that_keeps_its_value),
        RIG_TEST(the_end_in_mid_frame_keeps_whole_changes_only),
        RIG_TEST(a_stream_that_was_cut_leaves_nothing),
        RIG_TEST(a_kill_leaves_no_half_value_and_the_next_start_sweeps),
        RIG_TEST(a_signal_to_end_is_a_clean_end),
        RIG_TEST(an_edit_on_the_replica_is_seen_by_the_next_session),
        RIG_TEST(a_copy_gets_the_modes_of_the_settings),
        RIG_TEST(what_may_not_be_set_is_told),
        RIG_TEST(nothing_is_lost_for_a_mode),
        RIG_TEST(scans_and_names_are_answered_on_demand),
        RIG_TEST(a_scan_that_was_given_up_ends_early),
        RIG_TEST(stdin_may_be_a_file_or_nothing),
        RIG_TEST(the_same_agent_takes_over_its_own_replica),
        RIG_TEST(another_agent_is_refused_and_told_who_is_there),
        RIG_TEST(a_second_primary_of_the_same_epoch_is_refused),
        RIG_TEST(a_new_epoch_begins_without_freshness),
        RIG_TEST(a_newer_primary_takes_over_and_the_older_is_locked_out),
        RIG_TEST(another_database_is_refused),
        RIG_TEST(a_directory_with_keys_is_refused_until_it_is_adopted),
        RIG_TEST(a_primary_is_never_written_as_a_replica),
        RIG_TEST(a_directory_that_cannot_be_written_says_so),
        RIG_TEST(planted_links_are_refused_and_nothing_outside_changes),
        RIG_TEST(a_full_disk_refuses_values_and_goes_on_when_there_is_room),
        RIG_TEST(a_table_whose_making_was_cut_short_gets_its_modes),
        RIG_TEST(a_receiver_whose_lock_file_was_removed_leaves),
        RIG_TEST(a_database_that_was_moved_away_ends_the_session),
        RIG_TEST(fresh_and_status_tell_readers_the_truth),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
