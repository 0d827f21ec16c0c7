/* SPDX-License-Identifier: MIT
 *
 * breaks: how often a link that worked has broken lately, and why.
 *
 * A link that breaks right after each success looks as if it were about to
 * recover, whenever one looks.  So the breaks of sessions are remembered for a
 * while: BREAKS_MANY of them within BREAKS_WINDOW_MS are too many, until one
 * session has lasted for BREAKS_STEADY_MS.  Pure: no clock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/base/err.h"

enum {
    BREAKS_WINDOW_MS = 10 * 60 * 1000,
    BREAKS_MANY = 3,
    BREAKS_STEADY_MS = 3 * 60 * 1000,
    BREAKS_KEPT = 64, /* more are not counted */
};

struct breaks {
    int64_t at_ms[BREAKS_KEPT]; /* ring */
    unsigned next;
    unsigned kept;
    struct err last; /* code 0: none yet */
};

/* A session that was open ended, and not by our own wish. */
void breaks_note(struct breaks *b, const struct err *err, int64_t now_ms);
/* How many in the window that ends now. */
unsigned breaks_count(const struct breaks *b, int64_t now_ms);
/* Since the last one; -1: none in the window. */
int64_t breaks_last_ms(const struct breaks *b, int64_t now_ms);
/* It breaks again and again. */
bool breaks_are_many(const struct breaks *b, int64_t now_ms);
