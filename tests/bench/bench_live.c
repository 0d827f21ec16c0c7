/* SPDX-License-Identifier: MIT
 *
 * bench_live: changes while a replica follows.
 *
 * latency waits for a value the way an application would that wants to know at
 * once: inotify on the replica's tables, then a locked read.  So the tool does
 * not spin on one of the cores that the measured programs need.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "tests/bench/bench_verbs.h"

enum { GIVE_UP_S = 90, MISSED_MS = 5000 };

static struct data replica_of(const struct data *d, const char *root)
{
    struct data r = *d;

    r.root = root;
    data_open(&r);
    return r;
}

/* --- churn --------------------------------------------------------------- */

struct last {
    uint64_t key, mark;
};

/* The last mark of each key that was set, in the order of these sets. */
static size_t collect(const uint64_t *marks, uint64_t keys, uint64_t first,
                      uint64_t count, const uint64_t *keys_of, struct last *out)
{
    size_t n = 0;

    (void)keys;
    for (uint64_t i = 0; i < count; i++) {
        if (marks[keys_of[i]] == first + i) {
            out[n++] = (struct last){keys_of[i], first + i};
        }
    }
    return n;
}

/* Newest first: as long as that is missing, no other is asked for. */
static int64_t wait_for(const struct data *replica, const struct last *all,
                        size_t n, int64_t since_ns)
{
    int64_t end_ns = since_ns + (int64_t)GIVE_UP_S * 1000000000;

    while (n > 0) {
        if (data_mark(replica, all[n - 1].key) == all[n - 1].mark) {
            n--;
        } else if (data_now_ns() > end_ns) {
            return -1;
        } else {
            data_sleep_until(data_now_ns() + 2000000);
        }
    }
    return data_now_ns() - since_ns;
}

int verb_churn(int argc, char **argv, struct data *d)
{
    struct data replica = replica_of(d, argv[1]);
    uint64_t keys = strtoull(argv[2], NULL, 10);
    uint64_t count = strtoull(argv[3], NULL, 10);
    uint64_t rate = strtoull(argv[4], NULL, 10);
    uint64_t first = (uint64_t)data_now_ns();
    uint64_t *marks = calloc(keys, sizeof *marks);
    uint64_t *keys_of = calloc(count + 1, sizeof *keys_of);
    struct last *all = calloc(count + 1, sizeof *all);

    (void)argc;
    if (marks == NULL || keys_of == NULL || all == NULL) {
        data_fail("memory");
    }
    int64_t began_ns = data_now_ns();
    for (uint64_t i = 0; i < count; i++) {
        uint64_t key = data_random(first, i) % keys;
        data_set(d, key, first + i, first + i);
        marks[key] = first + i;
        keys_of[i] = key;
        if (rate > 0) {
            data_sleep_until(began_ns +
                             (int64_t)((i + 1) * UINT64_C(1000000000) / rate));
        }
    }
    int64_t ended_ns = data_now_ns();
    size_t n = collect(marks, keys, first, count, keys_of, all);
    int64_t lag_ns = wait_for(&replica, all, n, ended_ns);
    printf("write_s=%.3f rate=%.0f lag_s=%.3f\n",
           (double)(ended_ns - began_ns) / 1e9,
           (double)count * 1e9 / (double)(ended_ns - began_ns),
           lag_ns < 0 ? -1.0 : (double)lag_ns / 1e9);
    free(marks);
    free(keys_of);
    free(all);
    return lag_ns < 0 ? 1 : 0;
}

/* --- latency ------------------------------------------------------------- */

static int watch_tables(const struct data *replica)
{
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

    if (fd < 0) {
        data_fail("inotify_init1");
    }
    for (unsigned t = 0; t < replica->tables; t++) {
        char path[PATH_MAX];
        (void)snprintf(path, sizeof path, "%s/t%u.tbl", replica->root, t);
        if (inotify_add_watch(fd, path, IN_MOVED_TO | IN_CLOSE_WRITE) < 0) {
            data_fail(path);
        }
    }
    return fd;
}

static void drain(int fd)
{
    char events[16384];

    while (read(fd, events, sizeof events) > 0) {
        ;
    }
}

/* Nanoseconds until the replica's value has the mark, -1: it did not come. */
static int64_t wait_mark(const struct data *replica, int fd, uint64_t key,
                         uint64_t mark, int64_t since_ns)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    while (data_mark(replica, key) != mark) {
        if (data_now_ns() - since_ns > (int64_t)MISSED_MS * 1000000) {
            return -1;
        }
        (void)poll(&p, 1, 100);
        drain(fd);
    }
    return data_now_ns() - since_ns;
}

int verb_latency(int argc, char **argv, struct data *d)
{
    struct data replica = replica_of(d, argv[1]);
    uint64_t count = strtoull(argv[2], NULL, 10);
    int64_t gap_ns = (int64_t)strtoull(argv[3], NULL, 10) * 1000;
    uint64_t keys = strtoull(argv[4], NULL, 10);
    uint64_t first = (uint64_t)data_now_ns();
    int fd = watch_tables(&replica);

    (void)argc;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t key = data_random(first, i) % keys;
        /* Not in step with anyone's timers. */
        int64_t jitter_ns = (int64_t)(data_random(~first, i) % 1000) * gap_ns;
        data_sleep_until(data_now_ns() + gap_ns / 2 + jitter_ns / 1000);
        drain(fd);
        data_set(d, key, first + i, first + i);
        int64_t since_ns = data_now_ns();
        int64_t took_ns = wait_mark(&replica, fd, key, first + i, since_ns);
        printf("us=%.1f\n", took_ns < 0 ? -1.0 : (double)took_ns / 1e3);
    }
    return 0;
}
