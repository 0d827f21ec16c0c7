/* SPDX-License-Identifier: MIT
 *
 * e2e_writer: changes a database in every way that a program may.
 *
 *     e2e_writer KIND TABLE_DIR KEY [VALUE]     one change; kinds: see KINDS
 *     e2e_writer exchange TABLE_DIR KEY KEY     RENAME_EXCHANGE
 *     e2e_writer exchange-dirs DIR NAME NAME    the same of directories
 *     e2e_writer truncate TABLE_DIR KEY LENGTH  truncate(2) by path
 *     e2e_writer linked FILE VALUE              in place, by any name of it
 *     e2e_writer map TABLE_DIR KEY VALUE READY  stored through a mapping that
 *                                               stays until SIGTERM
 *     e2e_writer hold-shared FILE READY         hold its lock until SIGTERM
 *     e2e_writer hold-exclusive FILE READY VALUE   the same, in the middle of
 *                                               writing VALUE in place; the
 *                                               rest follows on SIGTERM
 *     e2e_writer hold-temp TABLE_DIR KEY DIGITS READY VALUE   a set as flockd
 *                                               does it, in the middle of its
 *                                               temporary; goes on at SIGTERM
 *     e2e_writer big TABLE_DIR KEY BYTES SEED   a large value, temp + rename
 *     e2e_writer many TABLE_DIR COUNT KEYS SIZE sets, as flockd does, unsynced
 *     e2e_writer creates TABLE_DIR COUNT KEYS   deletes and creates, as flockd
 *                                               does; none may fail
 *     e2e_writer fill TABLE_DIR FROM COUNT SIZE the keys k-FROM... in place
 *     e2e_writer churn DB SEED OPS RATE         self-checking values in many
 *                                               ways, RATE a second; 0: ever
 *
 * READY is a file made when that state is reached.  Exit status 0, 1 with a
 * message, 64 usage.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/e2e_calls.h"
#include "tests/support/e2e_value.h"

static volatile sig_atomic_t stopped;

static void on_signal(int sig)
{
    (void)sig;
    stopped = 1;
}

static int fail(const char *what)
{
    (void)fprintf(stderr, "e2e_writer: %s: %s\n", what, strerror(errno));
    return 1;
}

static int open_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0) {
        exit(fail(path));
    }
    return fd;
}

static const char *file_of(const char *key)
{
    static char file[300];

    (void)snprintf(file, sizeof file, "%.255s.kv", key);
    return file;
}

static int ready(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    return fd < 0 ? fail(path) : close(fd);
}

static void await_signal(void)
{
    sigset_t none;

    (void)sigemptyset(&none);
    while (!stopped) {
        (void)sigsuspend(&none); /* SIGTERM is blocked elsewhere */
    }
}

/* --- one change ---------------------------------------------------------- */

/* A lock opened with O_CREAT that finds no key: a ghost. */
static int make_ghost(int dir, const char *file, const void *value, size_t len)
{
    int fd = openat(dir, file, O_CREAT | O_RDONLY | O_CLOEXEC, 0600);

    (void)value;
    (void)len;
    return fd < 0 ? -1 : close(fd);
}

/* Opened for writing and closed unchanged. */
static int open_only(int dir, const char *file, const void *value, size_t len)
{
    int fd = openat(dir, file, O_WRONLY | O_CLOEXEC);

    (void)value;
    (void)len;
    return fd < 0 ? -1 : close(fd);
}

static int touch(int dir, const char *file, const void *value, size_t len)
{
    (void)value;
    (void)len;
    return utimensat(dir, file, NULL, 0) < 0 || fchmodat(dir, file, 0640, 0) < 0
               ? -1
               : 0;
}

static int flockd_delete(int dir, const char *file, const void *value,
                         size_t len)
{
    (void)value;
    (void)len;
    return e2e_flockd_delete(dir, file);
}

static int delete (int dir, const char *file, const void *value, size_t len)
{
    (void)value;
    (void)len;
    return unlinkat(dir, file, 0);
}

/* To a name that is no key. */
static int rename_away(int dir, const char *file, const void *value, size_t len)
{
    char to[310];

    (void)value;
    (void)len;
    (void)snprintf(to, sizeof to, "%s.away", file);
    return renameat(dir, file, dir, to);
}

static const struct kind {
    const char *name;
    int (*run)(int dir, const char *file, const void *value, size_t len);
} KINDS[] = {
    {"flockd-set", e2e_flockd_set},
    {"flockd-create", e2e_flockd_create},
    {"flockd-update", e2e_flockd_update},
    {"flockd-delete", flockd_delete},
    {"in-place", e2e_in_place},
    {"trunc", e2e_truncate_and_write},
    {"rename", e2e_rename},
    {"link", e2e_link},
    {"tmpfile", e2e_tmpfile},
    {"mmap", e2e_mmap},
    {"ghost", make_ghost},
    {"open", open_only},
    {"touch", touch},
    {"delete", delete},
    {"away", rename_away},
};

static int run_kind(const struct kind *kind, const char *dir, const char *key,
                    const char *value)
{
    int rc = kind->run(open_dir(dir), file_of(key), value, strlen(value));

    if (rc < 0) {
        return fail(kind->name);
    }
    if (rc > 0) {
        (void)fprintf(stderr, "e2e_writer: %s: %s\n", kind->name,
                      rc == E2E_BUSY     ? "the lock is busy"
                      : rc == E2E_EXISTS ? "the key exists"
                                         : "there is no such key");
    }
    return rc != 0;
}

static int run_exchange(const char *dir, const char *a, const char *b)
{
    int fd = open_dir(dir);

    return renameat2(fd, a, fd, b, RENAME_EXCHANGE) < 0 ? fail("exchange") : 0;
}

static int run_exchange_keys(const char *dir, const char *a, const char *b)
{
    char file[300];

    (void)snprintf(file, sizeof file, "%s", file_of(a));
    return run_exchange(dir, file, file_of(b));
}

static int run_truncate(const char *dir, const char *key, const char *len)
{
    char path[4500];

    (void)snprintf(path, sizeof path, "%s/%s", dir, file_of(key));
    return truncate(path, (off_t)strtoull(len, NULL, 10)) < 0 ? fail(path) : 0;
}

static int run_linked(const char *path, const char *value)
{
    size_t len = strlen(value);
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || flock(fd, LOCK_EX) < 0 ||
        write(fd, value, len) != (ssize_t)len ||
        ftruncate(fd, (off_t)len) < 0) {
        return fail(path);
    }
    return close(fd);
}

static int run_map(const char *dir, const char *key, const char *value,
                   const char *ready_file)
{
    size_t len = strlen(value);
    int fd = openat(open_dir(dir), file_of(key), O_RDWR | O_CLOEXEC);

    if (fd < 0 || ftruncate(fd, (off_t)len) < 0) {
        return fail(key);
    }
    char *map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        return fail("mmap");
    }
    memcpy(map, value, len);
    if (msync(map, len, MS_SYNC) < 0 || ready(ready_file) != 0) {
        return fail("msync");
    }
    await_signal();
    return 0;
}

/* --- locks --------------------------------------------------------------- */

static int run_hold_shared(const char *path, const char *ready_file)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || flock(fd, LOCK_SH) < 0 || ready(ready_file) != 0) {
        return fail(path);
    }
    await_signal();
    return close(fd);
}

static int run_hold_exclusive(const char *path, const char *ready_file,
                              const char *value)
{
    size_t len = strlen(value), half = len / 2;
    int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0 || flock(fd, LOCK_EX) < 0 ||
        write(fd, value, half) != (ssize_t)half) {
        return fail(path);
    }
    /* The agent hears of the key while it is half written. */
    int other = open(path, O_WRONLY | O_CLOEXEC);
    if (other < 0 || close(other) < 0 || ready(ready_file) != 0) {
        return fail(path);
    }
    await_signal();
    if (write(fd, value + half, len - half) != (ssize_t)(len - half) ||
        ftruncate(fd, (off_t)len) < 0) {
        return fail(path);
    }
    return close(fd);
}

/* The descriptor that writes stays open until after the rename. */
static int run_hold_temp(const char *dir_path, const char *key, uint32_t digits,
                         const char *ready_file, const char *value)
{
    const char *file = file_of(key);
    size_t len = strlen(value), half = len / 2;
    int dir = open_dir(dir_path);
    char temp[300];

    e2e_flockd_temp_name(file, digits, temp);
    int fd = openat(dir, temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int lock = openat(dir, temp, O_CREAT | O_RDONLY | O_CLOEXEC, 0600);
    if (fd < 0 || lock < 0 || flock(lock, LOCK_EX) < 0 ||
        write(fd, value, half) != (ssize_t)half || ready(ready_file) != 0) {
        return fail(temp);
    }
    await_signal();
    if (write(fd, value + half, len - half) != (ssize_t)(len - half) ||
        fsync(fd) < 0) {
        return fail(temp);
    }
    int key_lock = openat(dir, file, O_CREAT | O_RDONLY | O_CLOEXEC, 0600);
    if (key_lock < 0 || flock(key_lock, LOCK_EX) < 0 ||
        renameat(dir, temp, dir, file) < 0) {
        return fail(file);
    }
    (void)close(key_lock);
    (void)close(lock);
    return close(fd);
}

/* --- many ---------------------------------------------------------------- */

static int run_big(const char *dir, const char *key, uint64_t bytes,
                   uint64_t seed)
{
    enum { PIECE = 1 << 20 };
    static uint64_t piece[PIECE / 8];
    int dir_fd = open_dir(dir);
    int fd =
        openat(dir_fd, ".big", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    for (size_t i = 0; i < PIECE / 8; i++) {
        piece[i] = e2e_random(&seed);
    }
    for (uint64_t at = 0; fd >= 0 && at < bytes;) {
        size_t want = bytes - at < PIECE ? (size_t)(bytes - at) : PIECE;
        for (size_t i = 0; i < PIECE / 8; i += 512) {
            piece[i] = e2e_random(&seed); /* no two pages are equal */
        }
        ssize_t n = write(fd, piece, want);
        if (n < 0) {
            return fail(key);
        }
        at += (uint64_t)n;
    }
    if (fd < 0 || close(fd) < 0 ||
        renameat(dir_fd, ".big", dir_fd, file_of(key)) < 0) {
        return fail(key);
    }
    return 0;
}

static int run_many(const char *dir, unsigned count, unsigned keys, size_t size)
{
    int fd = open_dir(dir);
    char key[32], *value = malloc(size + 1);

    if (value == NULL) {
        return fail("memory");
    }
    e2e_flockd_settings(1000, false);
    for (unsigned i = 0; i < count; i++) {
        memset(value, 'a' + (int)(i % 26), size);
        (void)snprintf(value, size + 1, "%u", i);
        (void)snprintf(key, sizeof key, "k-%06u.kv", i % keys);
        if (e2e_flockd_set(fd, key, value, size) != 0) {
            return fail(key);
        }
    }
    free(value);
    return 0;
}

/* Nobody else writes here, so a lock that is busy is a reader's. */
static int run_creates(const char *dir, unsigned count, unsigned keys)
{
    int fd = open_dir(dir);
    unsigned failed = 0;
    char key[32];

    e2e_flockd_settings(2000, false);
    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(key, sizeof key, "c-%04u.kv", i % keys);
        int rc = e2e_flockd_delete(fd, key);
        if (rc == 0) {
            rc = e2e_flockd_create(fd, key, "value", 5);
        }
        if (rc < 0) {
            return fail(key);
        }
        failed += rc != 0;
    }
    (void)printf("%u of %u creates failed\n", failed, count);
    return failed > 0;
}

static int run_fill(const char *dir, unsigned from, unsigned count, size_t size)
{
    int fd = open_dir(dir);
    char key[32], *value = malloc(size + 16);

    if (value == NULL) {
        return fail("memory");
    }
    memset(value, '.', size + 16);
    for (unsigned i = from; i < from + count; i++) {
        int n = snprintf(value, 16, "%u", i);
        value[n] = '.';
        (void)snprintf(key, sizeof key, "k-%06u.kv", i);
        if (e2e_truncate_and_write(fd, key, value, size) < 0) {
            return fail(key);
        }
    }
    free(value);
    return 0;
}

/* --- churn --------------------------------------------------------------- */

/* Keys of four tables; a quarter of them, stay-*, are never deleted.  The
 * fifth table comes and goes, with its keys. */
enum { TABLES = 4, KEYS = 40, SIZE_MAX_BYTES = 40000, COMING = TABLES };

static const char *const TABLE_NAMES[TABLES + 1] = {
    "", "users", "eu/orders", "users.tbl/nested", "coming"};

struct churn {
    int db_fd;
    int dir[TABLES + 1]; /* -1: no such table now */
    bool there[TABLES + 1][KEYS];
    uint64_t version, random;
    uint64_t done, busy;
};

static int table_path(int table, char *out, size_t room)
{
    return snprintf(out, room, "%s%s", TABLE_NAMES[table],
                    table > 0 ? ".tbl" : ".");
}

/* "stay-NN" is never deleted, as e2e_reader knows; "key-NN" is. */
static void key_name(int key, char out[32])
{
    (void)snprintf(out, 32, "%s-%02d", key % 4 == 0 ? "stay" : "key", key);
}

/* Make a table with all that is above it. */
static int make_table(struct churn *c, int table)
{
    char path[100], key[32];
    int n = table_path(table, path, sizeof path);

    for (int i = 1; i <= n; i++) {
        if (path[i] == '/' || path[i] == '\0') {
            char kept = path[i];
            path[i] = '\0';
            if (mkdirat(c->db_fd, path, 0755) < 0 && errno != EEXIST) {
                return -1;
            }
            path[i] = kept;
        }
    }
    c->dir[table] = openat(c->db_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int k = 0; c->dir[table] >= 0 && k < KEYS; k++) {
        key_name(k, key); /* an earlier run may have left it */
        c->there[table][k] =
            faccessat(c->dir[table], file_of(key), F_OK, 0) == 0;
    }
    return c->dir[table] < 0 ? -1 : 0;
}

static int change_there(struct churn *c, int dir, const char *file,
                        const char *value, size_t len)
{
    switch (e2e_random(&c->random) % 6) {
    case 0:
    case 1:
        return e2e_flockd_set(dir, file, value, len);
    case 2:
        return e2e_flockd_update(dir, file, value, len);
    case 3:
        return e2e_in_place(dir, file, value, len);
    default:
        return e2e_rename(dir, file, value, len);
    }
}

static int change_missing(struct churn *c, int dir, const char *file,
                          const char *value, size_t len)
{
    switch (e2e_random(&c->random) % 5) {
    case 0:
        return e2e_flockd_set(dir, file, value, len);
    case 1:
        return e2e_flockd_create(dir, file, value, len);
    case 2:
        return e2e_link(dir, file, value, len);
    case 3:
        return e2e_tmpfile(dir, file, value, len);
    default:
        return e2e_rename(dir, file, value, len);
    }
}

static int remove_key(struct churn *c, int dir, const char *file)
{
    return e2e_random(&c->random) % 2 == 0 ? e2e_flockd_delete(dir, file)
                                           : unlinkat(dir, file, 0);
}

static int drop_table(struct churn *c, int table)
{
    char key[32], path[100];

    for (int k = 0; k < KEYS; k++) {
        key_name(k, key);
        if (c->there[table][k]) {
            int rc = unlinkat(c->dir[table], file_of(key), 0);
            if (rc != 0) {
                return rc;
            }
        }
        c->there[table][k] = false;
    }
    (void)close(c->dir[table]);
    c->dir[table] = -1;
    (void)table_path(table, path, sizeof path);
    return unlinkat(c->db_fd, path, AT_REMOVEDIR);
}

static size_t random_size(struct churn *c)
{
    uint64_t r = e2e_random(&c->random);
    size_t most = r % 16 == 0 ? SIZE_MAX_BYTES : 800;

    return E2E_HEAD_BYTES + (size_t)((r >> 8) % (most - E2E_HEAD_BYTES));
}

/* One change; 0, E2E_BUSY, or -1. */
static int churn_step(struct churn *c)
{
    static char value[SIZE_MAX_BYTES];
    uint64_t r = e2e_random(&c->random);
    int table = (int)(r % (TABLES + 1));
    int key = (int)((r >> 16) % KEYS);
    char name[32];
    int rc;

    if (c->dir[table] < 0) {
        return make_table(c, table);
    }
    if (table == COMING && (r >> 32) % 50 == 0) {
        return drop_table(c, table);
    }
    if (table == COMING && key % 4 == 0) {
        key++; /* nothing stays in a table that goes */
    }
    key_name(key, name);
    bool *there = &c->there[table][key];
    if (*there && key % 4 != 0 && (r >> 40) % 5 == 0) {
        rc = remove_key(c, c->dir[table], file_of(name));
        *there = *there && rc != 0;
        return rc;
    }
    size_t len = random_size(c);
    e2e_value_make(value, len, e2e_name(TABLE_NAMES[table], name),
                   ++c->version);
    rc = *there ? change_there(c, c->dir[table], file_of(name), value, len)
                : change_missing(c, c->dir[table], file_of(name), value, len);
    if (rc == E2E_BUSY && !*there) {
        /* The create left its empty file; a careful program sets it. */
        c->busy++;
        rc = e2e_flockd_set(c->dir[table], file_of(name), value, len);
    }
    *there = *there || rc == 0;
    return rc;
}

static int run_churn(const char *db, uint64_t seed, uint64_t ops, unsigned rate)
{
    struct churn c = {.db_fd = open_dir(db), .random = seed};
    struct timespec next;

    (void)printf("seed %" PRIu64 "\n", seed);
    e2e_flockd_settings(2000, false);
    for (int t = 0; t <= TABLES; t++) {
        c.dir[t] = -1;
    }
    (void)clock_gettime(CLOCK_REALTIME, &next);
    c.version = (uint64_t)next.tv_sec * 1000000; /* above an earlier run's */
    (void)clock_gettime(CLOCK_MONOTONIC, &next);
    while (!stopped && (ops == 0 || c.done < ops)) {
        int rc = churn_step(&c);
        if (rc < 0 || rc > E2E_BUSY) {
            (void)fprintf(stderr, "e2e_writer: step %" PRIu64 ": %d\n", c.done,
                          rc);
            return fail("churn");
        }
        c.busy += rc == E2E_BUSY;
        c.done++;
        next.tv_nsec += 1000000000 / (long)rate;
        next.tv_sec += next.tv_nsec / 1000000000;
        next.tv_nsec %= 1000000000;
        (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    }
    (void)printf("%" PRIu64 " changes, %" PRIu64 " not made: lock busy\n",
                 c.done - c.busy, c.busy);
    return 0;
}

/* --- command line -------------------------------------------------------- */

static uint64_t number(const char *text)
{
    char *end;
    uint64_t v = strtoull(text, &end, 10);

    if (*text == '\0' || *end != '\0') {
        (void)fprintf(stderr, "e2e_writer: %s is not a number\n", text);
        exit(64);
    }
    return v;
}

static int run_locks(int argc, char **argv)
{
    const char *what = argv[1];
    struct sigaction sa = {.sa_handler = on_signal};
    sigset_t block;

    (void)sigemptyset(&block);
    (void)sigaddset(&block, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &block, NULL);
    (void)sigaction(SIGTERM, &sa, NULL);
    if (argc == 4 && strcmp(what, "hold-shared") == 0) {
        return run_hold_shared(argv[2], argv[3]);
    }
    if (argc == 5 && strcmp(what, "hold-exclusive") == 0) {
        return run_hold_exclusive(argv[2], argv[3], argv[4]);
    }
    if (argc == 7 && strcmp(what, "hold-temp") == 0) {
        return run_hold_temp(argv[2], argv[3], (uint32_t)number(argv[4]),
                             argv[5], argv[6]);
    }
    if (argc == 6 && strcmp(what, "map") == 0) {
        return run_map(argv[2], argv[3], argv[4], argv[5]);
    }
    return 64;
}

static int run_bulk(int argc, char **argv)
{
    const char *what = argv[1];

    if (argc == 5 && strcmp(what, "exchange") == 0) {
        return run_exchange_keys(argv[2], argv[3], argv[4]);
    }
    if (argc == 5 && strcmp(what, "exchange-dirs") == 0) {
        return run_exchange(argv[2], argv[3], argv[4]);
    }
    if (argc == 5 && strcmp(what, "truncate") == 0) {
        return run_truncate(argv[2], argv[3], argv[4]);
    }
    if (argc == 4 && strcmp(what, "linked") == 0) {
        return run_linked(argv[2], argv[3]);
    }
    if (argc == 5 && strcmp(what, "creates") == 0) {
        return run_creates(argv[2], (unsigned)number(argv[3]),
                           (unsigned)number(argv[4]));
    }
    if (argc != 6) {
        return 64;
    }
    if (strcmp(what, "big") == 0) {
        return run_big(argv[2], argv[3], number(argv[4]), number(argv[5]));
    }
    if (strcmp(what, "many") == 0) {
        return run_many(argv[2], (unsigned)number(argv[3]),
                        (unsigned)number(argv[4]), number(argv[5]));
    }
    if (strcmp(what, "fill") == 0) {
        return run_fill(argv[2], (unsigned)number(argv[3]),
                        (unsigned)number(argv[4]), number(argv[5]));
    }
    if (strcmp(what, "churn") == 0 && number(argv[5]) > 0) {
        (void)signal(SIGTERM, on_signal);
        return run_churn(argv[2], number(argv[3]), number(argv[4]),
                         (unsigned)number(argv[5]));
    }
    return 64;
}

int main(int argc, char **argv)
{
    int rc = 64;

    if (argc >= 3) {
        for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++) {
            if (strcmp(argv[1], KINDS[i].name) == 0 && argc >= 4) {
                return run_kind(&KINDS[i], argv[2], argv[3],
                                argc > 4 ? argv[4] : "");
            }
        }
        bool locks =
            strncmp(argv[1], "hold-", 5) == 0 || strcmp(argv[1], "map") == 0;
        rc = locks ? run_locks(argc, argv) : run_bulk(argc, argv);
    }
    if (rc == 64) {
        (void)fprintf(stderr, "e2e_writer: usage: see the file's beginning\n");
    }
    return rc;
}
