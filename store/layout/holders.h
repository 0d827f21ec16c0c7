/* SPDX-License-Identifier: MIT
 *
 * holders: who holds locks that others wait for, at a bounded cost.
 *
 * /proc/locks is read whole each time and is as long as there are locks, so
 * with thousands of keys locked, asking for each would take all of the time.
 * An answer is kept for a second, and at most a twentieth of the time is spent
 * asking, by one thread at a time; beyond that an older answer, or none, must
 * do.
 */
#pragma once

#include <pthread.h>
#include <stdint.h>
#include <sys/stat.h>

enum { HOLDERS_KEPT = 256 };

struct holders {
    int exclusive_only; /* see lock_holder() */
    pthread_mutex_t mutex;
    int64_t next_ns; /* no asking before */
    uint64_t asked;  /* times /proc/locks was read */
    struct holder {
        dev_t dev;
        ino_t ino;
        int64_t seen_ns;
        uint32_t pid;
        char comm[16];
    } kept[HOLDERS_KEPT];
};

void holders_init(struct holders *h, int exclusive_only);
void holders_deinit(struct holders *h);
/* The pid and command name of who holds a lock on the file of these numbers; 0
 * and "" when unknown. */
void holders_find(struct holders *h, dev_t dev, ino_t ino, uint32_t *pid_out,
                  char comm[16]);
