/* SPDX-License-Identifier: MIT
 *
 * receive_options: the command line of `drover-replica receive`.  A room of its
 * own, so that whoever checks a configuration for a local replica reads it as
 * the receiver will.
 *
 * Each function returns 0, or ERR_INVALID with a message that shows what would
 * be right.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/base/err.h"

struct receive_options {
    const char *dir; /* borrowed from argv */
    gid_t group;     /* (gid_t)-1: none */
    mode_t dir_mode, file_mode;
    int64_t lock_timeout_ms;
    bool replace; /* --on-lock-timeout replace */
    bool sandbox;
    int64_t trash_keep_ns;
    uint64_t trash_max_bytes;
};

/* argv[0] is "receive"; may be permuted.  What is not given stays in *out. */
int receive_options_parse(int argc, char **argv, struct receive_options *out,
                          struct err *err) MUSTCHECK;

/* --- values -------------------------------------------------------------- */

/* An octal mode such as 0640 or 2750.  `must` are bits it has to have. */
int receive_mode(const char *text, mode_t must, mode_t *out,
                 struct err *err) MUSTCHECK;
/* A group by name or number. */
int receive_group(const char *text, gid_t *out, struct err *err) MUSTCHECK;
/* "wait" or "replace". */
int receive_policy(const char *text, bool *replace_out,
                   struct err *err) MUSTCHECK;
