/* SPDX-License-Identifier: MIT
 *
 * finding: what a check found: a list of lines, each ok, warn or fail, with
 * what it is about and, where something is wrong, what to do.
 *
 * Whoever looks at one thing appends what it saw; nothing is printed here
 * (finding_show.h), so the same look serves a command on the replica's host, an
 * agent's question over a link and a child that has become another user: a list
 * travels as bytes.  A list that ran out of memory is `bad`, and never passes
 * for a good one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/base/buf.h"
#include "store/base/err.h"

enum finding_level { FINDING_OK = 0, FINDING_WARN = 1, FINDING_FAIL = 2 };

struct finding {
    enum finding_level level;
    int id;        /* DR-nnn; 0: none */
    char *replica; /* whose it is; "": the host's own */
    char *what;    /* one or two words */
    char *text;    /* one line */
    char *hint;    /* what to type; "": nothing */
};

struct findings {
    struct finding *list;
    size_t count;
    bool bad;            /* out of memory: some are missing */
    const char *replica; /* whose are appended now, borrowed; NULL: the host's
                          */
};
#define FINDINGS_NULL                                                          \
    {                                                                          \
        .list = NULL                                                           \
    }

void findings_deinit(struct findings *f);

void finding_ok(struct findings *f, const char *what, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* `hint` may be "". */
void finding_warn(struct findings *f, const char *what, int id,
                  const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
void finding_fail(struct findings *f, const char *what, int id,
                  const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* An error value, with its number. */
void finding_err(struct findings *f, enum finding_level level, const char *what,
                 const struct err *err, const char *hint);
/* All of these strings are copied. */
void finding_put(struct findings *f, const struct finding *found);

/* The worst of them; a bad list is a failure. */
enum finding_level findings_worst(const struct findings *f);
size_t findings_count(const struct findings *f, enum finding_level level);
/* "ok", "warn", "fail" */
const char *finding_word(enum finding_level level);

/* --- as bytes ------------------------------------------------------------- */

enum { FINDING_TEXT_MAX = 4000 }; /* longer ones are cut */

/* Append the list to `b`. */
void findings_encode(const struct findings *f, struct buf *b);
/* Append to `f` what these bytes hold, to their end; whatever would act on a
 * terminal is gone from it.  ERR_PROTO: they are no list. */
int findings_decode(struct findings *f, const void *bytes, size_t n,
                    struct err *err) MUSTCHECK;
