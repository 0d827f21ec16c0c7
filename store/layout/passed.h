/* SPDX-License-Identifier: MIT
 *
 * passed: what a walk passes over: entries of a database's directories that are
 * neither keys nor tables of it, counted, with an example for each directory.
 *
 * Most of them are nobody's business.  Some are what a program on the primary
 * takes for data, as flockd follows links and knows no limit for names: a table
 * or a key that is a symbolic link, a table deeper or longer than a name may
 * be. Copies lack these, which is to be said aloud.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/layout/name.h"

enum passed_why {
    PASSED_NO_KEY,   /* a file with another name than a key's */
    PASSED_NO_TABLE, /* one with a key's name in a directory that is no table */
    PASSED_SPECIAL,  /* neither file, directory nor link */
    PASSED_DIR,      /* a directory in a table, with a key's name */
    PASSED_LINK,     /* a symbolic link */
    PASSED_LINK_DIR, /* ... to a directory: tables may be behind it */
    PASSED_LONG,     /* a directory deeper or longer than a table may be */
};

enum { PASSED_PLACES = 8 };

struct passed_place {
    uint64_t count;
    char dir[TABLE_PATH_BYTES]; /* below the root; "" is the root */
    char name[NAME_MAX + 1];    /* an example, the worst that was seen first */
    enum passed_why why;        /* ... and why it was passed over */
    bool seen;                  /* programs on the primary see data there */
};

struct passed {
    uint64_t count;
    uint64_t seen; /* of these, what programs on the primary see */
    struct passed_place places[PASSED_PLACES]; /* of the first directories */
    size_t n;
};

/* Count `name` in `dir`. */
void passed_note(struct passed *p, const char *dir, const char *name,
                 enum passed_why why);
/* The first place where programs on the primary see what copies lack, or NULL.
 */
const struct passed_place *passed_seen(const struct passed *p);
/* "a symbolic link" and the like. */
const char *passed_word(enum passed_why why);
