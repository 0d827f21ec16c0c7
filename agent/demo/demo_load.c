/* SPDX-License-Identifier: MIT
 *
 * demo_load: the application of the demo, and its readers.  Not installed.
 *
 *     demo_load write DIR --rate 300 --seconds 20 [--keys 500]
 *     demo_load read REPLICA [--seconds N]        until SIGTERM without N
 *
 * `write` sets keys of a few tables at a steady rate.  Each value says which
 * key it belongs to, its version, when it was written, and a digest of all
 * that.  `read` waits for changes on a replica as a local application would
 * (inotify, then a locked read), and checks every value: whole, of this key,
 * and never older than one seen before.  It prints the time from write to
 * readable; writer and readers are on one host, so one clock serves both. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include <xxhash.h>

#include "store/lib/drover.h"

enum {
    TABLES = 3,
    KEYS_MAX = 100000,
    SAMPLES_MAX = 1 << 20,
    VALUE_MAX = 4096,
    LOCK_MS = 2000,
};

static const char *const tables[TABLES] = {"users", "sessions", "eu/orders"};
static volatile sig_atomic_t stopped;

static void on_signal(int sig)
{
    (void)sig;
    stopped = 1;
}

static int64_t wall_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* --- values -------------------------------------------------------------- */

/* "TABLE/KEY VERSION TIME_NS DIGEST padding", the digest over the rest. */
static size_t make_value(char out[VALUE_MAX], const char *table,
                         const char *key, uint64_t version, size_t pad)
{
    char head[512];

    int n = snprintf(head, sizeof head, "%s/%s %" PRIu64 " %" PRId64, table,
                     key, version, wall_ns());
    uint64_t digest = XXH3_64bits(head, (size_t)n);
    int m = snprintf(out, VALUE_MAX, "%s %016" PRIx64 " ", head, digest);
    size_t len = (size_t)m + pad;
    len = len < VALUE_MAX ? len : VALUE_MAX;
    memset(out + m, 'a' + (int)(version % 26), len - (size_t)m);
    return len;
}

/* False when the value is not whole or not of this key. */
static bool check_value(const char *value, size_t len, const char *table,
                        const char *key, uint64_t *version, int64_t *time_ns)
{
    char name[384], want[400];
    uint64_t digest;
    int used = 0;

    if (len == 0 || sscanf(value, "%383s %" SCNu64 " %" SCNd64 "%n %" SCNx64,
                           name, version, time_ns, &used, &digest) != 4) {
        return false;
    }
    (void)snprintf(want, sizeof want, "%s/%s", table, key);
    if (strcmp(name, want) != 0 || XXH3_64bits(value, (size_t)used) != digest) {
        return false;
    }
    for (size_t i = (size_t)used + 18; i < len; i++) {
        if (value[i] != 'a' + (int)(*version % 26)) {
            return false;
        }
    }
    return true;
}

/* --- writing ------------------------------------------------------------- */

struct write_options {
    const char *dir;
    unsigned rate, seconds, keys;
};

static void sleep_until(int64_t at_ns)
{
    while (!stopped) {
        int64_t left = at_ns - wall_ns();
        if (left <= 0) {
            return;
        }
        struct timespec t = {left / 1000000000, left % 1000000000};
        (void)nanosleep(&t, NULL);
    }
}

static int write_all(struct drover *db, const struct write_options *o)
{
    uint64_t total = (uint64_t)o->rate * o->seconds, failed = 0;
    int64_t began = wall_ns();
    char value[VALUE_MAX];
    struct drover_error e;

    srand(1);
    for (uint64_t i = 1; i <= total && !stopped; i++) {
        unsigned n = (unsigned)rand() % o->keys;
        const char *table = tables[n % TABLES];
        char key[32];
        (void)snprintf(key, sizeof key, "key-%05u", n);
        size_t len =
            make_value(value, table, key, i, 64 + (unsigned)rand() % 2000);
        if (drover_set(db, drover_text(table), drover_text(key),
                       drover_bytes(value, len), LOCK_MS, &e) < 0) {
            fprintf(stderr, "demo_load: %s\n", e.message);
            failed++;
        }
        sleep_until(began + (int64_t)(i * 1000000000 / o->rate));
    }
    printf("wrote for %.1f s, %" PRIu64 " failed\n",
           (double)(wall_ns() - began) / 1e9, failed);
    return failed > 0;
}

static int run_write(const struct write_options *o)
{
    struct drover *db;
    struct drover_error e;

    if (drover_open(o->dir, DROVER_OPEN_CREATE, &db, &e) < 0) {
        fprintf(stderr, "demo_load: %s\n", e.message);
        return 1;
    }
    int rc = write_all(db, o);
    drover_close(db);
    return rc;
}

/* --- reading ------------------------------------------------------------- */

struct reader {
    struct drover *db;
    int inotify;
    int wd[TABLES];
    uint64_t *versions; /* [TABLES][KEYS_MAX] */
    double *samples;
    size_t samples_count;
    uint64_t reads, broken, older, missing;
};

static void add_watches(struct reader *r, const char *dir)
{
    char path[4200];

    for (int t = 0; t < TABLES; t++) {
        if (r->wd[t] < 0) {
            (void)snprintf(path, sizeof path, "%s/%s.tbl", dir, tables[t]);
            r->wd[t] = inotify_add_watch(r->inotify, path, IN_MOVED_TO);
        }
    }
}

static void check_key(struct reader *r, int t, const char *key)
{
    unsigned n;
    void *value;
    size_t len;
    uint64_t version;
    int64_t time_ns;
    struct drover_error e;

    if (sscanf(key, "key-%u", &n) != 1 || n >= KEYS_MAX) {
        return;
    }
    if (drover_get(r->db, drover_text(tables[t]), drover_text(key), LOCK_MS,
                   &value, &len, &e) < 0) {
        r->missing++;
        return;
    }
    int64_t now = wall_ns();
    uint64_t *seen = &r->versions[(size_t)t * KEYS_MAX + n];
    r->reads++;
    if (!check_value(value, len, tables[t], key, &version, &time_ns)) {
        r->broken++;
    } else if (version < *seen) {
        r->older++;
    } else if (version > *seen) {
        *seen = version;
        if (r->samples_count < SAMPLES_MAX) {
            r->samples[r->samples_count++] = (double)(now - time_ns) / 1e6;
        }
    }
    drover_free(value);
}

static void read_events(struct reader *r)
{
    char buf[65536] __attribute__((aligned(8)));
    ssize_t n = read(r->inotify, buf, sizeof buf);

    for (ssize_t at = 0; at < n;) {
        struct inotify_event ev;
        memcpy(&ev, buf + at, sizeof ev);
        char *name = buf + at + sizeof ev;
        size_t len = ev.len > 0 ? strlen(name) : 0;
        at += (ssize_t)sizeof ev + (ssize_t)ev.len;
        if (len <= 3 || strcmp(name + len - 3, ".kv") != 0) {
            continue;
        }
        name[len - 3] = '\0';
        for (int t = 0; t < TABLES; t++) {
            if (r->wd[t] == ev.wd) {
                check_key(r, t, name);
            }
        }
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void report(struct reader *r)
{
    size_t n = r->samples_count;

    qsort(r->samples, n, sizeof *r->samples, by_value);
    printf("%" PRIu64 " reads, %" PRIu64 " broken, %" PRIu64 " older, %" PRIu64
           " missing",
           r->reads, r->broken, r->older, r->missing);
    if (n > 0) {
        printf("; write to readable: p50 %.1f ms, p99 %.1f ms, max %.0f ms",
               r->samples[n / 2], r->samples[n * 99 / 100], r->samples[n - 1]);
    }
    printf("\n");
}

static int read_all(struct reader *r, const char *dir, unsigned seconds)
{
    int64_t end = wall_ns() + (int64_t)seconds * 1000000000;

    for (int t = 0; t < TABLES; t++) {
        r->wd[t] = -1;
    }
    while (!stopped && (seconds == 0 || wall_ns() < end)) {
        struct pollfd p = {.fd = r->inotify, .events = POLLIN};
        add_watches(r, dir);
        if (poll(&p, 1, 100) > 0) {
            read_events(r);
        }
    }
    report(r);
    return r->broken + r->older > 0;
}

static int run_read(const char *dir, unsigned seconds)
{
    struct reader r = {0};
    struct drover_error e;

    if (drover_open(dir, DROVER_OPEN_READONLY, &r.db, &e) < 0) {
        fprintf(stderr, "demo_load: %s\n", e.message);
        return 1;
    }
    r.inotify = inotify_init1(IN_CLOEXEC);
    r.versions = calloc((size_t)TABLES * KEYS_MAX, sizeof *r.versions);
    r.samples = calloc(SAMPLES_MAX, sizeof *r.samples);
    int rc = 1;
    if (r.inotify < 0 || r.versions == NULL || r.samples == NULL) {
        fprintf(stderr, "demo_load: %s\n", strerror(errno));
    } else {
        rc = read_all(&r, dir, seconds);
    }
    free(r.samples);
    free(r.versions);
    if (r.inotify >= 0) {
        (void)close(r.inotify);
    }
    drover_close(r.db);
    return rc;
}

/* --- command line -------------------------------------------------------- */

static int usage(void)
{
    fprintf(stderr, "usage: demo_load write DIR [--rate N] [--seconds N] "
                    "[--keys N]\n"
                    "       demo_load read REPLICA [--seconds N]\n");
    return 64;
}

static unsigned number(const char *text)
{
    char *end;
    unsigned long v = strtoul(text, &end, 10);

    return *text == '\0' || *end != '\0' || v > KEYS_MAX ? 0 : (unsigned)v;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"rate", 1, NULL, 'r'},
                                            {"seconds", 1, NULL, 's'},
                                            {"keys", 1, NULL, 'k'},
                                            {NULL, 0, NULL, 0}};
    struct write_options o = {.rate = 300, .seconds = 0, .keys = 500};
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        unsigned *at = c == 'r'   ? &o.rate
                       : c == 's' ? &o.seconds
                       : c == 'k' ? &o.keys
                                  : NULL;
        if (at == NULL || (*at = number(optarg)) == 0) {
            return usage();
        }
    }
    if (argc - optind != 2) {
        return usage();
    }
    (void)signal(SIGTERM, on_signal);
    (void)signal(SIGINT, on_signal);
    o.dir = argv[optind + 1];
    if (strcmp(argv[optind], "write") == 0) {
        o.seconds = o.seconds != 0 ? o.seconds : 10;
        return run_write(&o);
    }
    return strcmp(argv[optind], "read") == 0 ? run_read(o.dir, o.seconds)
                                             : usage();
}
