/* SPDX-License-Identifier: MIT
 *
 * test_evil_primary: the real `drover-replica receive` under a hostile agent,
 * and with somebody who swaps directories and links under its hands.
 *
 * Nothing outside the replica's directory (nor in its metadata directory)
 * changes, memory stays bounded, and whatever it was at when the agent went,
 * no lock is held and nothing is staged afterwards. */
#include "tests/support/store_fixture.h"

#include <dirent.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../support/replica_drive.h"
#include "store/base/clock.h"
#include "sync/errors/state.h"

/* A receiver with its threads and buffers needs some 10 MiB, many times that
 * where memory is watched. */
#if defined(__SANITIZE_ADDRESS__)
enum { PEAK_KIB = 700 * 1024 };
#else
enum { PEAK_KIB = 160 * 1024 };
#endif

struct rig {
    struct fixture f; /* holds the replica, and what must not change */
    char dir[300], outside[300];
    int dir_fd, outside_fd;
    struct drive d;
    pid_t attacker;
};

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof *r);

    assert_non_null(r);
    fixture_begin(&r->f);
    (void)snprintf(r->dir, sizeof r->dir, "%s/db", r->f.path);
    (void)snprintf(r->outside, sizeof r->outside, "%s/outside", r->f.path);
    assert_int_equal(mkdir(r->dir, 0750), 0);
    assert_int_equal(mkdir(r->outside, 0750), 0);
    r->dir_fd = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    r->outside_fd = open(r->outside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(r->dir_fd >= 0 && r->outside_fd >= 0);
    *state = r;
    return 0;
}

static void end_attacker(struct rig *r)
{
    if (r->attacker > 0) {
        (void)kill(r->attacker, SIGKILL);
        (void)waitpid(r->attacker, NULL, 0);
        r->attacker = 0;
    }
}

static int teardown(void **state)
{
    struct rig *r = *state;

    end_attacker(r);
    if (r->d.pid > 0) {
        drive_kill(&r->d, SIGKILL);
    }
    (void)close(r->dir_fd);
    (void)close(r->outside_fd);
    fixture_end(&r->f);
    free(r);
    return 0;
}

static void start(struct rig *r)
{
    drive_start(&r->d, r->dir, NULL);
    drive_hello(&r->d, 1, 1, 1);
}

/* --- what must not happen ------------------------------------------------ */

static int entries(int dir_fd, const char *path, const char *suffix)
{
    int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int n = 0;

    assert_true(fd >= 0);
    DIR *dir = fdopendir(fd);
    assert_non_null(dir);
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        size_t len = strlen(e->d_name), end = strlen(suffix);
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
             len >= end && strcmp(e->d_name + len - end, suffix) == 0;
    }
    (void)closedir(dir);
    return n;
}

static void put_outside(struct rig *r)
{
    put_text(r->outside_fd, "k0.kv", "untouched");
    put_text(r->outside_fd, "victim", "untouched");
    assert_int_equal(mkdirat(r->outside_fd, "sub.tbl", 0750), 0);
}

static void assert_outside_is_untouched(struct rig *r)
{
    assert_int_equal(entries(r->outside_fd, ".", ""), 3);
    assert_int_equal(entries(r->outside_fd, "sub.tbl", ""), 0);
    assert_file(r->outside_fd, "k0.kv", "untouched");
    assert_file(r->outside_fd, "victim", "untouched");
    /* Beside the two folders: the receiver's stderr. */
    assert_int_equal(entries(r->f.fd, ".", ""), 3);
    assert_int_equal(entries(r->dir_fd, ".drover", ".kv"), 0);
    assert_int_equal(entries(r->dir_fd, ".drover", ".tbl"), 0);
}

static int check_unlocked(const char *path, const struct stat *st, int type,
                          struct FTW *at)
{
    (void)st;
    (void)at;
    if (type != FTW_F) {
        return 0;
    }
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        print_error("%s is locked\n", path);
        (void)close(fd);
        return 1;
    }
    (void)close(fd);
    return 0;
}

static void assert_nothing_is_left(struct rig *r)
{
    assert_int_equal(nftw(r->dir, check_unlocked, 16, FTW_PHYS), 0);
    assert_int_equal(drive_temporaries(r->dir_fd), 0);
}

static long peak_kib(pid_t pid)
{
    char path[64], line[128];
    long kib = -1;

    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    while (fgets(line, sizeof line, f) != NULL) {
        (void)sscanf(line, "VmHWM: %ld", &kib);
    }
    (void)fclose(f);
    return kib; /* -1: it has ended */
}

/* --- names that lead out ------------------------------------------------- */

static void put_raw(struct drive *d, enum wire_type type, const void *body,
                    size_t n)
{
    buf_u32(&d->tx, (uint32_t)n + 1);
    buf_u8(&d->tx, (uint8_t)type);
    buf_put(&d->tx, body, n);
}

static void names_that_lead_out_end_the_session(void **state)
{
    struct rig *r = *state;

    /* Of a DELETE, behind its sequence: components, key. */
    static const struct {
        const char *bytes;
        size_t n;
    } names[] = {
#define NAME(text) {text, sizeof text - 1}
        NAME("\1\2..\1k"),
        NAME("\2\2..\7outside\1k"),
        NAME("\3\1a\2..\2..\1k"),
        NAME("\1\1.\1k"),
        NAME("\1\1/\1k"),
        NAME("\1\x0b../outside/\1k"),
        NAME("\1\3a\0b\1k"),
        NAME("\1\0\1k"),
        NAME("\2\7.drover\5stage\1k"),
        NAME("\0\14../outside/k"),
        NAME("\0\3k\0k"),
        NAME("\0\xff"
             "k"),
        NAME("\xff\1a\1k"),
#undef NAME
    };

    put_outside(r);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct buf body = BUF_NULL;
        start(r);
        buf_u64(&body, 1);
        buf_put(&body, names[i].bytes, names[i].n);
        put_raw(&r->d, WIRE_DELETE, body.data, body.len);
        buf_deinit(&body);
        drive_until(&r->d, drive_is_eof, 0);
        assert_int_equal(r->d.error_id, DR_PROTOCOL);
        assert_int_not_equal(drive_end(&r->d), 0);
        assert_outside_is_untouched(r);
        assert_nothing_is_left(r);
    }
}

/* A table that does not lead out, but would if its name were a path. */
static void names_that_only_look_like_paths_stay_inside(void **state)
{
    struct rig *r = *state;
    struct drive *d = &r->d;

    put_outside(r);
    start(r);
    drive_set_text(d, "...", "..", "dots");
    drive_set_text(d, ".drover", "id", "a table of that name");
    drive_set_text(d, "~", "$HOME", "no shell");
    drive_set_text(d, "%2e%2e", "..%2f", "no decoding");
    drive_wait_all_acked(d, d->seq);
    assert_file(r->dir_fd, "....tbl/...kv", "dots");
    assert_file(r->dir_fd, ".drover.tbl/id.kv", "a table of that name");
    assert_file(r->dir_fd, "~.tbl/$HOME.kv", "no shell");
    assert_file(r->dir_fd, "%2e%2e.tbl/..%2f.kv", "no decoding");
    assert_outside_is_untouched(r);
    assert_int_equal(drive_bye(d), 0);
}

/* --- a race for directories and links ------------------------------------ */

static void swap(int fd, const char *a, int other_fd, const char *b)
{
    (void)syscall(SYS_renameat2, fd, a, other_fd, b, 2 /* RENAME_EXCHANGE */);
}

static int open_here(int dir_fd, const char *name)
{
    return openat(dir_fd, name,
                  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Tables, keys, parents and the staging directory turn into links to outside,
 * to the metadata and to each other, and back, as fast as it goes.  The
 * attacker itself follows no link: what changes outside, the receiver did. */
static _Noreturn void attack(int dir_fd, unsigned round)
{
    static const struct {
        const char *parent, *name, *other;
    } pairs[] = {
        {".", "t.tbl", "evil.t"},     {".", "a", "evil.a"},
        {"a", "b.tbl", "evil.t"},     {"t.tbl", "k0.kv", "evil.k"},
        {"a", "b.tbl", "evil.meta"},  {".", "t.tbl", "evil.meta"},
        {"a", "b.tbl", "t.tbl"},      {"t.tbl", "k1.kv", "evil.t"},
        {"t.tbl", "k2.kv", "evil.a"},
    };
    size_t count = sizeof pairs / sizeof *pairs;

    for (;;) {
        round = round * 1103515245U + 12345U;
        size_t i = (round >> 16) % count;
        int parent = open_here(dir_fd, pairs[i].parent);
        swap(parent, pairs[i].name, dir_fd, pairs[i].other);
        if ((round >> 24) % 4 != 0) {
            swap(parent, pairs[i].name, dir_fd, pairs[i].other); /* back */
        }
        (void)close(parent);
    }
}

static void begin_attack(struct rig *r, unsigned round)
{
    char path[400];

    (void)snprintf(path, sizeof path, "%s/victim", r->outside);
    assert_int_equal(symlinkat(r->outside, r->dir_fd, "evil.t"), 0);
    assert_int_equal(symlinkat("../outside", r->dir_fd, "evil.a"), 0);
    assert_int_equal(symlinkat(path, r->dir_fd, "evil.k"), 0);
    assert_int_equal(symlinkat(".drover", r->dir_fd, "evil.meta"), 0);
    r->attacker = fork();
    assert_true(r->attacker >= 0);
    if (r->attacker == 0) {
        attack(r->dir_fd, round);
    }
}

static void change_something(struct drive *d, int i)
{
    static const char *const tables[] = {"t", "a/b", "t", "a/c"};
    const char *table = tables[i % 4];
    char key[8];

    (void)snprintf(key, sizeof key, "k%d", i % 3);
    switch (i % 11) {
    case 3:
        drive_change(d, WIRE_DELETE, table, key);
        break;
    case 7:
        drive_change(d, WIRE_TABLE_DROP, table, "");
        break;
    case 8:
        drive_change(d, WIRE_TABLE_SET, table, "");
        break;
    default:
        drive_set_text(d, table, key, "from the primary");
    }
}

static bool is_answered(const struct drive *d, uint64_t seq)
{
    return d->acked[seq] || d->naked[seq] || d->eof;
}

static void swapped_links_lead_nothing_outside(void **state)
{
    struct rig *r = *state;
    struct drive *d = &r->d;
    unsigned sessions = 0, answered = 0;
    unsigned seed = (unsigned)clock_real_ns();

    print_message("seed %u\n", seed);
    put_outside(r);
    start(r);
    drive_set_text(d, "t", "k0", "1");
    drive_set_text(d, "t", "k1", "1");
    drive_set_text(d, "t", "k2", "1");
    drive_set_text(d, "a/b", "k0", "1");
    drive_wait_all_acked(d, d->seq);
    assert_int_equal(drive_bye(d), 0);
    begin_attack(r, seed);
    /* A session may end (its directory was moved away): then another. */
    while (answered < 4000 && sessions < 200) {
        drive_start(d, r->dir, NULL);
        drive_put_hello(d, 1, 1, 1, 30 * 1000);
        sessions++;
        for (int i = 0; i < 1000 && !d->eof; i++) {
            change_something(d, i);
            if (i % 16 == 15) {
                drive_until(d, is_answered, d->seq);
            }
            answered += !d->eof;
        }
        wire_put_bye(&d->tx);
        (void)drive_end(d);
    }
    end_attacker(r);
    print_message("%u changes in %u sessions\n", answered, sessions);
    assert_true(answered >= 1000);
    assert_outside_is_untouched(r);
}

/* --- memory and locks ---------------------------------------------------- */

/* Send without reading, until the receiver takes no more for a second, or
 * leaves.  Its largest size until then. */
static long stuff(struct drive *d, void (*more)(struct drive *d), size_t most)
{
    size_t sent = 0;
    long peak = 0;

    while (sent < most) {
        long kib = peak_kib(d->pid);
        peak = kib > peak ? kib : peak;
        struct pollfd p = {.fd = d->in, .events = POLLOUT};
        if (d->tx.len == 0) {
            more(d);
            assert_false(d->tx.bad);
        }
        if (poll(&p, 1, 1000) <= 0) {
            break;
        }
        ssize_t n = write(d->in, d->tx.data, d->tx.len);
        if (n <= 0) {
            break;
        }
        buf_drop(&d->tx, (size_t)n);
        sent += (size_t)n;
    }
    return peak;
}

static void more_lists(struct drive *d)
{
    static uint16_t buckets[WIRE_BATCH_MAX];

    for (uint16_t i = 0; i < WIRE_BATCH_MAX; i++) {
        buckets[i] = i;
    }
    for (uint64_t i = 0; i < 16; i++) {
        wire_put_list(&d->tx, i + 1, buckets, WIRE_BATCH_MAX);
    }
}

static void more_trees(struct drive *d)
{
    struct wire_tree m = {.id = 1, .node = WIRE_TREE_TOP};

    for (int i = 0; i < 1000; i++) {
        wire_put_tree(&d->tx, &m);
    }
}

static void more_resolves(struct drive *d)
{
    static struct digest names[WIRE_BATCH_MAX];
    static uint64_t n;

    for (size_t i = 0; i < WIRE_BATCH_MAX; i++) {
        n++;
        names[i] = (struct digest){n, n};
    }
    /* Never the last part. */
    wire_put_resolve(&d->tx, 1, false, names, WIRE_BATCH_MAX);
}

static void more_scans(struct drive *d)
{
    static uint64_t n;
    struct wire_scan m = {.id = ++n, .how = 1};

    wire_put_scan(&d->tx, &m);
}

static void more_pings(struct drive *d)
{
    struct wire_ping m = {.id = 1, .state = REPLICA_STREAMING};

    for (int i = 0; i < 1000; i++) {
        m.id++;
        wire_put_ping(&d->tx, &m);
    }
}

static void more_begins(struct drive *d)
{
    struct wire_change m = {
        .table = bytes_of("t", 1), .key = bytes_of("large", 5), .size = 1};

    for (int i = 0; i < 100; i++) {
        m.seq = ++d->seq % (DRIVE_SEQS - 1) + 1;
        wire_put_change(&d->tx, WIRE_SET_BEGIN, &m);
    }
}

static void more_sets(struct drive *d)
{
    static uint8_t value[64 * 1024];
    struct wire_change m = {.table = bytes_of("t", 1),
                            .key = bytes_of("locked", 6),
                            .value = bytes_of(value, sizeof value)};
    struct buf body = BUF_NULL;

    m.digest = digest_of(value, sizeof value);
    wire_set_body(&body, &m);
    for (int i = 0; i < 10; i++) {
        wire_put_set(&d->tx, ++d->seq % (DRIVE_SEQS - 1) + 1, &body);
    }
    buf_deinit(&body);
}

static void floods_of_questions_and_changes_cost_bounded_memory(void **state)
{
    struct rig *r = *state;
    void (*const floods[])(struct drive *) = {
        more_lists, more_trees,  more_resolves, more_scans,
        more_pings, more_begins, more_sets,
    };

    for (size_t i = 0; i < sizeof floods / sizeof *floods; i++) {
        start(r);
        drive_set_text(&r->d, "t", "locked", "1");
        drive_wait_all_acked(&r->d, 1);
        /* A reader that never lets go. */
        int reader = openat(r->dir_fd, "t.tbl/locked.kv", O_RDONLY | O_CLOEXEC);
        assert_true(reader >= 0 && flock(reader, LOCK_SH) == 0);
        long kib = stuff(&r->d, floods[i], (size_t)48 << 20);
        print_message("flood %zu: %ld KiB\n", i, kib);
        assert_in_range(kib, 1, PEAK_KIB);
        (void)close(reader);
        /* The agent goes in the middle of it. */
        buf_clear(&r->d.tx);
        (void)close(r->d.in);
        r->d.in = -1;
        while (!r->d.eof) {
            uint8_t rest[65536];
            ssize_t n = read(r->d.out, rest, sizeof rest);
            r->d.eof = n <= 0;
        }
        (void)drive_end(&r->d);
        assert_nothing_is_left(r);
    }
}

/* More than it may hold at once: refused or held up, and gone at the end. */
static void values_that_never_end_leave_nothing(void **state)
{
    struct rig *r = *state;
    struct drive *d = &r->d;
    static uint8_t piece[WIRE_PIECE_MAX];

    start(r);
    for (int i = 0; i < 5; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "l%d", i);
        uint64_t seq = drive_change(d, WIRE_SET_BEGIN, "t", key);
        for (int j = 0; j < 8; j++) {
            wire_put_piece(&d->tx, seq, piece, sizeof piece);
        }
    }
    drive_until(d, drive_is_naked, 5); /* four at once */
    uint64_t bytes;
    assert_int_equal(drive_held(d, &bytes) + drive_temporaries(r->dir_fd), 4);
    assert_true(peak_kib(d->pid) < PEAK_KIB);
    drive_kill(d, SIGKILL);
    start(r);
    assert_int_equal(drive_temporaries(r->dir_fd), 0);
    assert_int_equal(drive_bye(d), 0);
    assert_nothing_is_left(r);
    assert_false(exists(r->dir_fd, "t.tbl/l0.kv"));
}

/* Announcing costs the agent nothing, so it must not cost the disk much. */
static void an_announced_size_does_not_fill_the_disk(void **state)
{
    struct rig *r = *state;
    struct drive *d = &r->d;
    struct wire_change m = {.table = bytes_of("t", 1),
                            .key = bytes_of("huge", 4)};
    struct statvfs fs;

    assert_int_equal(fstatvfs(r->dir_fd, &fs), 0);
    start(r);
    for (m.seq = 1; m.seq <= 4; m.seq++) {
        d->seq = m.seq;
        m.size = m.seq > 2 ? UINT64_MAX >> (m.seq - 3)
                           : (uint64_t)fs.f_bavail * fs.f_frsize * m.seq / 2;
        wire_put_change(&d->tx, WIRE_SET_BEGIN, &m);
    }
    drive_set_text(d, "t", "small", "goes on");
    drive_until(d, drive_is_acked, 5);
    uint64_t bytes;
    (void)drive_held(d, &bytes);
    print_message("%llu MiB reserved\n", (unsigned long long)bytes >> 20);
    assert_true(bytes <= UINT64_C(5) << 28);
    assert_int_equal(drive_bye(d), 0);
    assert_nothing_is_left(r);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(names_that_lead_out_end_the_session),
        TEST(names_that_only_look_like_paths_stay_inside),
        TEST(swapped_links_lead_nothing_outside),
        TEST(floods_of_questions_and_changes_cost_bounded_memory),
        TEST(values_that_never_end_leave_nothing),
        TEST(an_announced_size_does_not_fill_the_disk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
