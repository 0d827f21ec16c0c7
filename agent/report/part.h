/* SPDX-License-Identifier: MIT
 *
 * part: one part of a report: what a program prints, or a function of ours,
 * within a bounded time.
 *
 * Whatever is asked may hang: a disk, an agent, a remote host.  So each part is
 * made by a child process that is killed when its time is over, and is left
 * behind when even that does not end it.  What it printed until then is kept.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "store/base/buf.h"

enum { PART_BYTES_MAX = 4 << 20, PART_WHY_BYTES = 200 };

struct part {
    const char *const *argv; /* a program and its words; NULL: `print` */
    /* In the child.  0 or an errno. */
    int (*print)(FILE *out, const void *arg);
    const void *arg;
    int64_t timeout_ms;
    bool with_stderr; /* what it says there belongs to it; else it is lost */
    int to_fd;        /* > 0: its output goes there, and is not taken */
};

struct part_end {
    struct buf out;
    int status;               /* of the exit; -1: it had none in time */
    char why[PART_WHY_BYTES]; /* why it is not whole; "": it is */
};
#define PART_END_NULL                                                          \
    {                                                                          \
        .out = BUF_NULL, .status = -1                                          \
    }

void part_run(const struct part *p, struct part_end *end);
static inline void part_end_deinit(struct part_end *end)
{
    buf_deinit(&end->out);
}
