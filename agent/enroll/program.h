/* SPDX-License-Identifier: MIT
 *
 * program: runs one of OpenSSH's programs and takes what it prints.
 *
 * No shell is between: the words arrive as they are.  A program that asks for
 * something does it on the terminal itself, as ssh and ssh-keygen do.
 * Blocking.
 */
#pragma once

#include <sys/types.h>

#include "store/base/buf.h"
#include "store/base/err.h"

enum { PROGRAM_OUTPUT_MAX = 1 << 20 };

struct program {
    const char *const *argv; /* argv[0] is looked up in PATH; ends with NULL */
    const char *input;       /* its standard input; NULL: nothing */
    uid_t user;              /* (uid_t)-1: ours; else we are root */
    bool talks; /* its standard error is ours; else it goes into `said` */
};

struct program_end {
    struct buf out;  /* standard output, with a NUL that is not counted */
    struct buf said; /* standard error, the same */
    int status;      /* the exit status, or 128 and the signal's number */
};
#define PROGRAM_END_NULL                                                       \
    {                                                                          \
        BUF_NULL, BUF_NULL, 0                                                  \
    }

/* 0: it ran and ended, however.  Failures: ERR_NOTFOUND (there is no such
 * program), ERR_TOOBIG (it prints more than PROGRAM_OUTPUT_MAX), ERR_IO.
 * *end must be PROGRAM_END_NULL, and is ended in any case. */
int program_run(const struct program *p, struct program_end *end,
                struct err *err) MUSTCHECK;
void program_end_deinit(struct program_end *end);

static inline const char *program_text(const struct buf *b)
{
    return b->data != NULL ? (const char *)b->data : "";
}
/* The last line of what it said, cut and made harmless: for a message. */
enum { PROGRAM_LAST_BYTES = 300 };
const char *program_last(const struct program_end *end,
                         char out[PROGRAM_LAST_BYTES]);
