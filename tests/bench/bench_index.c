/* SPDX-License-Identifier: MIT
 *
 * bench_index: speed and memory of the index and of scans.
 *
 *     bench_index [KEYS...]        default: 10000 100000 1000000
 *
 * Puts a database of that many keys of 16 bytes in 10 tables under
 * ${TMPDIR:-/tmp} and removes it again.  "bare walk" is readdir and fstatat
 * alone, the speed that a scan of unchanged keys is measured against. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/layout/db.h"
#include "sync/index/index.h"
#include "sync/index/scan.h"
#include "tests/support/plain_key.h"

enum { TABLES = 10, ROUNDS = 3 };

static void die(const char *what, const struct err *err)
{
    (void)fprintf(stderr, "bench_index: %s: %s\n", what,
                  err != NULL ? err->msg : strerror(errno));
    exit(1);
}

static void report(const char *what, uint64_t n, int64_t ns)
{
    double rate = ns > 0 ? (double)n * 1e9 / (double)ns : 0;

    (void)printf("%9" PRIu64 " keys  %-24s %9.1f ms  %11.0f keys/s\n", n, what,
                 (double)ns / 1e6, rate);
    (void)fflush(stdout);
}

static int64_t rss_bytes(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");

    if (f == NULL || fscanf(f, "%*s %ld", &pages) != 1) {
        pages = 0;
    }
    if (f != NULL) {
        (void)fclose(f);
    }
    return pages * sysconf(_SC_PAGESIZE);
}

/* --- the index alone -------------------------------------------------------
 */

static struct index_entry entry_of(uint64_t n)
{
    char key[32];
    int len = snprintf(key, sizeof key, "key%08" PRIu64, n);

    return (struct index_entry){
        .name = index_name_key(&plain_key, "table", 5, key, (size_t)len),
        .digest = {n, ~n},
        .stat = {.ino = n + 1, .ctime_ns = 1, .size = 16}};
}

/* The entries are made beforehand: the index is measured, not snprintf(). */
static struct index_entry *make_entries(uint64_t n)
{
    struct index_entry *entries = malloc(n * sizeof *entries);

    if (entries == NULL) {
        die("malloc", NULL);
    }
    for (uint64_t i = 0; i < n; i++) {
        entries[i] = entry_of(i);
    }
    return entries;
}

static struct index *bench_put(const struct index_entry *entries, uint64_t n)
{
    struct err err;
    int64_t rss = rss_bytes();
    struct index *ix = index_new();

    if (ix == NULL) {
        die("index_new", NULL);
    }
    size_t fixed = index_memory_bytes(ix);
    int64_t start = clock_mono_ns();
    for (uint64_t i = 0; i < n; i++) {
        if (index_put(ix, &entries[i], &err) < 0) {
            die("index_put", &err);
        }
    }
    report("put", n, clock_mono_ns() - start);
    rss = rss_bytes() - rss;
    (void)printf("%9" PRIu64 " keys  memory: %.1f bytes/key beside %zu fixed; "
                 "resident %.1f bytes/key in all\n",
                 n, (double)(index_memory_bytes(ix) - fixed) / (double)n, fixed,
                 (double)rss / (double)n);
    return ix;
}

static void bench_get(struct index *ix, const struct index_entry *entries,
                      uint64_t n)
{
    struct index_entry out;
    uint64_t hits = 0;
    int64_t start = clock_mono_ns();

    for (uint64_t i = 0; i < n; i++) {
        hits += index_get(ix, entries[i].name, &out);
    }
    report("lookup", hits, clock_mono_ns() - start);
}

static void bench_mark(struct index *ix, const struct index_entry *entries,
                       uint64_t n)
{
    enum { BATCH = 64 };
    struct index_probe probes[BATCH];
    int64_t start = clock_mono_ns();

    for (uint64_t i = 0; i + BATCH <= n; i += BATCH) {
        for (size_t at = 0; at < BATCH; at++) {
            probes[at].name = entries[i + at].name;
            probes[at].stat = entries[i + at].stat;
        }
        index_mark_same(ix, probes, BATCH, 1, 0);
    }
    report("lookup in batches", n, clock_mono_ns() - start);
}

static void bench_file(struct index *ix, uint64_t n, int dir_fd)
{
    static const struct index_ident ident = {.root_dev = 1, .root_ino = 2};
    struct err err;

    int64_t start = clock_mono_ns();
    if (index_save(ix, dir_fd, "index", &ident, clock_real_ns(), &err) < 0) {
        die("index_save", &err);
    }
    report("save", n, clock_mono_ns() - start);
    struct index *back = index_new();
    if (back == NULL) {
        die("index_new", NULL);
    }
    start = clock_mono_ns();
    if (index_load(back, dir_fd, "index", &ident, &err) < 0) {
        die("index_load", &err);
    }
    report("load", n, clock_mono_ns() - start);
    if (!digest_equal(index_root(ix), index_root(back))) {
        (void)fprintf(stderr, "bench_index: loaded index differs\n");
        exit(1);
    }
    index_free(back);
    (void)unlinkat(dir_fd, "index", 0);
}

/* --- scans ------------------------------------------------------------------
 */

static void make_database(int dir_fd, uint64_t n)
{
    char path[64];

    for (unsigned t = 0; t < TABLES; t++) {
        (void)snprintf(path, sizeof path, "table%u.tbl", t);
        if (mkdirat(dir_fd, path, 0755) < 0) {
            die(path, NULL);
        }
        CLEANUP(fd_closep)
        int table = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        for (uint64_t i = t; i < n; i += TABLES) {
            char file[32];
            (void)snprintf(file, sizeof file, "key%08" PRIu64 ".kv", i);
            CLEANUP(fd_closep)
            int fd = openat(table, file, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
            if (fd < 0 || write(fd, "sixteen bytes...", 16) != 16) {
                die(file, NULL);
            }
        }
    }
}

static void bench_bare(int dir_fd)
{
    uint64_t keys = 0;
    int64_t start = clock_mono_ns();

    for (unsigned t = 0; t < TABLES; t++) {
        char path[64];
        struct stat st;
        (void)snprintf(path, sizeof path, "table%u.tbl", t);
        DIR *dir =
            fdopendir(openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (dir == NULL) {
            die(path, NULL);
        }
        for (struct dirent *e; (e = readdir(dir)) != NULL;) {
            keys +=
                fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                S_ISREG(st.st_mode);
        }
        (void)closedir(dir);
    }
    report("bare walk", keys, clock_mono_ns() - start);
}

static void bench_scan(const struct db *db, struct index *ix, uint16_t number,
                       const char *what)
{
    struct scan_options opt = {.scan = number, .settle_ms = 1000};
    struct scan_result result;
    struct err err;
    char text[64];

    int64_t start = clock_mono_ns();
    if (scan_run(db, ix, &opt, NULL, NULL, &result, &err) < 0) {
        die("scan_run", &err);
    }
    int64_t ns = clock_mono_ns() - start;
    (void)snprintf(text, sizeof text, "%s (%" PRIu64 " read)", what,
                   result.reread);
    report(text, result.counts.keys, ns);
}

static void bench_scans(const char *path, int dir_fd, uint64_t n)
{
    struct db db;
    struct err err;
    struct index *ix = index_new();

    make_database(dir_fd, n);
    if (ix == NULL || db_open(&db, path, false, &err) < 0) {
        die("db_open", &err);
    }
    clock_sleep_ns(UNPROVEN_NS); /* else the first scan proves nothing */
    bench_scan(&db, ix, 1, "scan, new");
    for (uint16_t round = 0; round < ROUNDS; round++) {
        bench_bare(dir_fd);
        bench_scan(&db, ix, (uint16_t)(2 + round), "scan, unchanged");
    }
    db_close(&db);
    index_free(ix);
}

/* --- all of it --------------------------------------------------------------
 */

static int remove_one(const char *path, const struct stat *st, int flag,
                      struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static void bench(uint64_t n)
{
    const char *tmp = getenv("TMPDIR");
    char path[256];

    (void)snprintf(path, sizeof path, "%s/drover-bench-XXXXXX",
                   tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(path) == NULL) {
        die(path, NULL);
    }
    CLEANUP(fd_closep) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct index_entry *entries = make_entries(n);
    struct index *ix = bench_put(entries, n);
    bench_get(ix, entries, n);
    bench_mark(ix, entries, n);
    bench_file(ix, n, fd);
    index_free(ix);
    free(entries);
    bench_scans(path, fd, n);
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int main(int argc, char **argv)
{
    static const uint64_t sizes[] = {10000, 100000, 1000000};

    for (int i = 1; i < argc; i++) {
        char *end;
        uint64_t n = strtoull(argv[i], &end, 10);
        if (n == 0 || *end != '\0') {
            (void)fprintf(stderr, "usage: bench_index [KEYS...]\n");
            return 2;
        }
        bench(n);
    }
    for (size_t i = 0; argc < 2 && i < sizeof sizes / sizeof sizes[0]; i++) {
        bench(sizes[i]);
    }
    return 0;
}
