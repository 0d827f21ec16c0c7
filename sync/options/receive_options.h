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
#include "store/cmdline/cmdline.h"

/* What was typed; NULL or the value of RECEIVE_LINE_NULL: it was not given. */
struct receive_line {
    struct cmdline line; /* first */
    const char *group, *dir_mode, *file_mode, *policy;
    int64_t lock_timeout_ns, trash_keep_ns;
    uint64_t trash_max_bytes;
    bool no_sandbox;
};
#define RECEIVE_LINE_NULL                                                      \
    {                                                                          \
        .lock_timeout_ns = -1, .trash_keep_ns = -1,                            \
        .trash_max_bytes = UINT64_MAX,                                         \
    }

/* The rows, for a program whose struct begins with a struct receive_line. */
extern const struct cmdline_option RECEIVE_OPTIONS[];
#define RECEIVE_OPTION_NAMES                                                   \
    "group,dir-mode,file-mode,lock-timeout,on-lock-timeout,trash-keep,"        \
    "trash-max,no-sandbox"

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

/* What is not given stays in *out. */
int receive_options_take(const struct receive_line *line,
                         struct receive_options *out,
                         struct err *err) MUSTCHECK;
/* The same for words that a configuration has: argv[0] is "receive". */
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
