/* SPDX-License-Identifier: MIT
 *
 * state: the words for a replica's state, the same in status, logs, JSON, the
 * freshness file and the documents; and the numbers of operator-visible errors.
 */
#pragma once

#include <stdbool.h>

#include "store/base/err.h"

enum replica_state {
    REPLICA_CONNECTING = 0, /* no session yet, first attempts */
    REPLICA_INITIAL = 1,    /* first copy: it never was equal */
    REPLICA_CATCHUP = 2,    /* connected, comparing or behind after an outage */
    REPLICA_STREAMING = 3,  /* connected, changes flow as they come */
    REPLICA_RETRYING = 4,   /* the link is down; will try again by itself */
    REPLICA_PAUSED = 5,     /* by the operator */
    REPLICA_HELD = 6,       /* the brake holds deletes: needs `approve` */
    REPLICA_FAILED = 7,     /* needs the operator: key, permission, identity */
    /* Of the freshness file alone: it is known that something differs, or
     * cannot be read there. */
    REPLICA_DIFFERS = 8,
};

/* "streaming"...; "unknown" outside the range. */
const char *replica_state_word(enum replica_state s);

/* Operator-visible error numbers (DR-nnn), each a row of errors.def. */
enum dr_id {
    DR_NONE = 0,
#define DR(name, number, exit, again, text, remedy) DR_##name = number,
#include "sync/errors/errors.def"
#undef DR
};

/* One line telling the operator what to do; "" when there is nothing. */
const char *dr_hint(int id);
/* One line saying what the number means; used by the manual's table. */
const char *dr_text(int id);
/* A link that ended with it is not tried again by itself. */
bool dr_is_permanent(int id);
/* The exit code of a command that ends with the error, by its number or its
 * code; `otherwise` where neither has one. */
int dr_exit(const struct err *err, int otherwise);
