/* SPDX-License-Identifier: MIT
 *
 * holders: who holds the locks that hold up installs, at a bounded cost.
 *
 * A look reads all of /proc/locks, and with many locked keys the same question
 * comes many times a second.  An answer is kept for two seconds, and at most a
 * twentieth of the time is spent looking; beyond that an older answer, or none,
 * must do.
 *
 * Thread rule: one thread.
 */
#pragma once

#include <stdint.h>
#include <sys/stat.h>

enum { HOLDERS_KEPT = 256 };

struct holders {
    struct {
        dev_t dev;
        ino_t ino;
        int64_t read_ns;
        uint32_t pid;
        char comm[16];
    } kept[HOLDERS_KEPT];
    int64_t window_ns; /* start of the current second */
    int64_t spent_ns;  /* in it */
    uint64_t reads;    /* times /proc/locks was read */
};

/* The pid and command name; 0 and "" when unknown. */
void holders_find(struct holders *h, const struct stat *st, uint32_t *pid_out,
                  char comm[16]);
