/* SPDX-License-Identifier: MIT
 *
 * bench_kv: local gets and sets by 1 to 64 threads, through libdrover and by
 * the bare system calls that a set or get cannot do without. */
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "store/lib/drover.h"
#include "tests/bench/bench_verbs.h"

enum { THREADS_MAX = 64, TIMEOUT_MS = 10000 };

struct run {
    const struct data *d;
    struct drover *db; /* NULL: bare system calls */
    uint64_t keys;
    bool writes;
    int64_t end_ns;
    atomic_uint_fast64_t done;
};

struct worker {
    struct run *run;
    pthread_t thread;
    uint64_t seed;
    unsigned char *buf;
    uint64_t temps;
};

static void raw_get(struct worker *w, unsigned table, const char *file)
{
    int fd = openat(w->run->d->table_fds[table], file, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || flock(fd, LOCK_SH) != 0 ||
        read(fd, w->buf, w->run->d->max_bytes) < 0) {
        data_fail(file);
    }
    (void)close(fd);
}

static void raw_set(struct worker *w, unsigned table, const char *file,
                    size_t len)
{
    int dir = w->run->d->table_fds[table];
    char temp[64];

    (void)snprintf(temp, sizeof temp, ".raw%" PRIx64 "-%" PRIu64, w->seed,
                   ++w->temps);
    int fd = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, w->buf, len) != (ssize_t)len || fsync(fd) != 0) {
        data_fail(temp);
    }
    int old = openat(dir, file, O_RDONLY | O_CLOEXEC);
    if (old < 0 || flock(old, LOCK_EX) != 0 ||
        renameat(dir, temp, dir, file) != 0) {
        data_fail(file);
    }
    (void)close(old);
    (void)close(fd);
    /* The name, too, as a set by the library does. */
    if (fsync(dir) != 0) {
        data_fail("directory");
    }
}

static void drover_one(struct worker *w, unsigned table, const char *file,
                       size_t len)
{
    char name[16];
    struct drover_error e;

    (void)snprintf(name, sizeof name, "t%u", table);
    struct drover_bytes key = {file, strlen(file) - 3};
    size_t got;
    int rc =
        w->run->writes
            ? drover_set(w->run->db, drover_text(name), key,
                         (struct drover_bytes){w->buf, len}, TIMEOUT_MS, &e)
            : drover_get_into(w->run->db, drover_text(name), key, TIMEOUT_MS,
                              w->buf, w->run->d->max_bytes, &got, &e);

    if (rc < 0) {
        (void)fprintf(stderr, "bench_tool: %s\n", e.message);
        exit(1);
    }
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct run *run = w->run;
    uint64_t n = 0;

    for (; n % 16 != 0 || data_now_ns() < run->end_ns; n++) {
        uint64_t i = data_random(w->seed, n) % run->keys;
        char file[DATA_NAME_BYTES];
        unsigned table = data_name(run->d, i, file);
        size_t len = run->writes ? data_value(run->d, i, n, n, w->buf) : 0;
        if (run->db != NULL) {
            drover_one(w, table, file, len);
        } else if (run->writes) {
            raw_set(w, table, file, len);
        } else {
            raw_get(w, table, file);
        }
    }
    atomic_fetch_add(&run->done, n);
    return NULL;
}

static void open_db(struct run *run, const char *how)
{
    struct drover_error e;

    if (strcmp(how, "drover") != 0) {
        return;
    }
    if (drover_open(run->d->root, run->writes ? 0 : DROVER_OPEN_READONLY,
                    &run->db, &e) < 0) {
        (void)fprintf(stderr, "bench_tool: %s\n", e.message);
        exit(1);
    }
}

static int run_all(char **argv, struct data *d, bool writes)
{
    static struct worker workers[THREADS_MAX];
    struct run run = {.d = d, .writes = writes};
    unsigned threads = (unsigned)strtoul(argv[3], NULL, 10);
    double seconds = strtod(argv[4], NULL);

    run.keys = strtoull(argv[1], NULL, 10);
    threads = threads < 1 ? 1 : threads > THREADS_MAX ? THREADS_MAX : threads;
    open_db(&run, argv[2]);
    int64_t began_ns = data_now_ns();
    run.end_ns = began_ns + (int64_t)(seconds * 1e9);
    for (unsigned i = 0; i < threads; i++) {
        workers[i] = (struct worker){.run = &run, .seed = i + 1};
        workers[i].buf = malloc(d->max_bytes + 16);
        if (workers[i].buf == NULL ||
            pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) {
            data_fail("thread");
        }
    }
    for (unsigned i = 0; i < threads; i++) {
        (void)pthread_join(workers[i].thread, NULL);
        free(workers[i].buf);
    }
    double took = (double)(data_now_ns() - began_ns) / 1e9;
    printf("ops_per_s=%.0f\n", (double)atomic_load(&run.done) / took);
    drover_close(run.db);
    return 0;
}

int verb_read(int argc, char **argv, struct data *d)
{
    (void)argc;
    return run_all(argv, d, false);
}

int verb_write(int argc, char **argv, struct data *d)
{
    (void)argc;
    return run_all(argv, d, true);
}
