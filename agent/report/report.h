/* SPDX-License-Identifier: MIT
 *
 * report: what a bug report should hold, gathered into one archive: versions,
 * configuration, what the agent says, the host.
 *
 * No value of a key is in it, nor a private key, nor, unless they are asked
 * for, the name of a table or key (redact.h).  Each part has its own time and
 * may fail without harm to the others; what is missing is named in MISSING.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "agent/report/bundle.h"
#include "store/base/err.h"

struct report {
    /* What to look at, as far as it is known; owned.  NULL: found out. */
    char *file; /* the configuration */
    char *socket;
    const char *program; /* drover itself */
    bool names;          /* of tables and keys, as they are */
    /* Told before each part; may be NULL. */
    void (*begins)(void *arg, const char *name);
    void *arg;
    /* Found out. */
    char *database, *name, *state_dir;
    pid_t pid; /* of the agent; 0: none answers */
    struct buf missing;
    struct bundle files;
};

/* Takes its time: up to two minutes with things that hang.  Keeps going. */
void report_gather(struct report *r);
void report_deinit(struct report *r);
