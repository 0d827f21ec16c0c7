/* SPDX-License-Identifier: MIT
 *
 * bench_data: see bench_data.h. */
#include "tests/bench/bench_data.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/base/clock.h"

enum { NAME_MIN = 32, NAME_MAX_LETTERS = 128 };

void data_fail(const char *what)
{
    (void)fprintf(stderr, "bench_tool: %s: %s\n", what, strerror(errno));
    exit(1);
}

int64_t data_now_ns(void)
{
    return clock_mono_ns();
}

void data_sleep_until(int64_t at_ns)
{
    struct timespec ts = {.tv_sec = (time_t)(at_ns / NS_PER_S),
                          .tv_nsec = (long)(at_ns % NS_PER_S)};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) ==
           EINTR) {
        ;
    }
}

uint64_t data_random(uint64_t seed, uint64_t i)
{
    uint64_t z = seed + (i + 1) * UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void data_open(struct data *d)
{
    int root = open(d->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (root < 0) {
        data_fail(d->root);
    }
    d->table_fds = calloc(d->tables, sizeof *d->table_fds);
    if (d->table_fds == NULL) {
        data_fail("tables");
    }
    for (unsigned t = 0; t < d->tables; t++) {
        char name[32];
        (void)snprintf(name, sizeof name, "t%u.tbl", t);
        if (mkdirat(root, name, 0755) != 0 && errno != EEXIST) {
            data_fail(name);
        }
        d->table_fds[t] =
            openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (d->table_fds[t] < 0) {
            data_fail(name);
        }
    }
    (void)close(root);
}

unsigned data_name(const struct data *d, uint64_t i, char out[DATA_NAME_BYTES])
{
    uint64_t r = data_random(d->seed, i);
    size_t len = NAME_MIN + r % (NAME_MAX_LETTERS - NAME_MIN + 1);

    for (size_t k = 0; k < len; k += 8) {
        uint64_t bits = data_random(r, k);
        for (size_t b = 0; b < 8 && k + b < len; b++) {
            out[k + b] = (char)('a' + (bits >> (8 * b)) % 26);
        }
    }
    memcpy(out + len, ".kv", 4);
    return (unsigned)(i % d->tables);
}

size_t data_value(const struct data *d, uint64_t i, uint64_t version,
                  uint64_t mark, unsigned char *out)
{
    uint64_t r = data_random(d->seed ^ 0x5a5a, i * 1000003 + version);
    size_t len = d->min_bytes + r % (d->max_bytes - d->min_bytes + 1);

    len = len < 8 ? 8 : len;
    memcpy(out, &mark, 8);
    for (size_t k = 8; k < len; k += 8) {
        uint64_t bits = data_random(r, k);
        memcpy(out + k, &bits, len - k < 8 ? len - k : 8);
    }
    return len;
}

static void write_all(int fd, const unsigned char *p, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, p, n);
        if (done < 0) {
            data_fail("write");
        }
        p += done;
        n -= (size_t)done;
    }
}

static unsigned char *scratch(const struct data *d)
{
    static unsigned char *buf;

    if (buf == NULL) {
        buf = malloc(d->max_bytes + 16);
    }
    if (buf == NULL) {
        data_fail("memory");
    }
    return buf;
}

void data_put(const struct data *d, uint64_t i, uint64_t version)
{
    char name[DATA_NAME_BYTES];
    unsigned t = data_name(d, i, name);
    unsigned char *value = scratch(d);
    size_t len = data_value(d, i, version, i + 1, value);
    int fd = openat(d->table_fds[t], name,
                    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0) {
        data_fail(name);
    }
    write_all(fd, value, len);
    (void)close(fd);
}

void data_set(const struct data *d, uint64_t i, uint64_t version, uint64_t mark)
{
    static uint64_t temps;
    char name[DATA_NAME_BYTES], temp[DATA_NAME_BYTES + 24];
    unsigned t = data_name(d, i, name);
    unsigned char *value = scratch(d);
    size_t len = data_value(d, i, version, mark, value);
    int dir = d->table_fds[t];

    (void)snprintf(temp, sizeof temp, "%s%d%" PRIu64, name, (int)getpid(),
                   ++temps);
    int fd = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX) != 0) {
        data_fail(temp);
    }
    write_all(fd, value, len);
    int old = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (old < 0 || flock(old, LOCK_EX) != 0 ||
        renameat(dir, temp, dir, name) != 0) {
        data_fail(name);
    }
    (void)close(old);
    (void)close(fd);
}

uint64_t data_mark(const struct data *d, uint64_t i)
{
    char name[DATA_NAME_BYTES];
    unsigned t = data_name(d, i, name);
    uint64_t mark = 0;
    int fd = openat(d->table_fds[t], name, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        return 0;
    }
    if (flock(fd, LOCK_SH) != 0 || pread(fd, &mark, 8, 0) != 8) {
        mark = 0;
    }
    (void)close(fd);
    return mark;
}
