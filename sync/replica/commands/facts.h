/* SPDX-License-Identifier: MIT
 *
 * facts: what any local user that may read a replica can learn about it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/cmdline/cmdline.h"
#include "sync/replica/meta/meta.h"
#include "sync/replica/meta/session.h"
#include "sync/replica/role/role.h"

struct facts {
    const char *dir;
    struct role_facts role;
    bool known; /* it has an identity */
    struct meta_ident ident;
    bool fresh_known;
    bool fresh_broken; /* the file makes no sense */
    struct meta_freshness fresh;
    int live; /* 1, 0, or ERR_* */
    struct session_holder holder;
    int64_t undone;
};

/* Of the directory that the command line names.  0, or the exit code after
 * printing why not. */
int facts_gather(struct cmdline *line, struct facts *out) MUSTCHECK;
