/* SPDX-License-Identifier: MIT
 *
 * bench_write: databases to copy, and changes made while nobody looks. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/bench/bench_verbs.h"

int verb_fill(int argc, char **argv, struct data *d)
{
    uint64_t keys = strtoull(argv[1], NULL, 10);
    int64_t began_ns = data_now_ns();

    (void)argc;
    for (uint64_t i = 0; i < keys; i++) {
        data_put(d, i, 0);
    }
    printf("keys=%" PRIu64 " seconds=%.3f\n", keys,
           (double)(data_now_ns() - began_ns) / 1e9);
    return 0;
}

/* Spread over the whole database; the same ones for the same seed. */
int verb_change(int argc, char **argv, struct data *d)
{
    uint64_t keys = strtoull(argv[1], NULL, 10);
    uint64_t count = strtoull(argv[2], NULL, 10);
    uint64_t version = (uint64_t)data_now_ns();

    (void)argc;
    for (uint64_t i = 0; i < count; i++) {
        data_set(d, i * (keys / count), version, version + i);
    }
    printf("changed=%" PRIu64 "\n", count);
    return 0;
}

int verb_large(int argc, char **argv, struct data *d)
{
    enum { PIECE = 1 << 20 };
    uint64_t count = strtoull(argv[1], NULL, 10);
    uint64_t bytes = strtoull(argv[2], NULL, 10);
    uint64_t *piece = malloc(PIECE);

    (void)argc;
    if (piece == NULL) {
        data_fail("memory");
    }
    for (uint64_t i = 0; i < count; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "large%04" PRIu64 ".kv", i);
        int fd = openat(d->table_fds[0], name,
                        O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0) {
            data_fail(name);
        }
        for (uint64_t at = 0; at < bytes; at += PIECE) {
            size_t n = bytes - at < PIECE ? (size_t)(bytes - at) : PIECE;
            for (size_t k = 0; k < PIECE / 8; k++) {
                piece[k] = data_random(d->seed + i, at / 8 + k);
            }
            if (write(fd, piece, n) != (ssize_t)n) {
                data_fail("write");
            }
        }
        (void)close(fd);
    }
    free(piece);
    printf("keys=%" PRIu64 " bytes=%" PRIu64 "\n", count, count * bytes);
    return 0;
}
