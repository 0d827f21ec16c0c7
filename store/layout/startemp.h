/* SPDX-License-Identifier: MIT
 *
 * startemp: flockd's temporary of a key with '*' in its name.
 *
 * flockd leaves the naming of its temporaries to Go, which puts its digits
 * where the last '*' of KEY.kv is, and only without a '*' at the end.  So the
 * temporary of the key "a*b" is named like the file of a key "a1234567b".  Such
 * a name may as well be that of a real key, and no name, mode or time proves
 * the one or the other; what is here says which names and files *may* be
 * temporaries, and of which keys.  A real key must never be lost for that: who
 * asks may wait with a file that somebody writes, or show it to people, and
 * nothing else.
 *
 * Go's digits are a 32-bit number without leading zeros (os.CreateTemp), or
 * nine digits, zeros in front (Go 1.11 to 1.16).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

/* The keys whose temporary may be named like `key`: begin with {.key, .len}. */
struct startemp {
    const char *key; /* borrowed; any bytes */
    size_t len;      /* at most KEY_MAX_BYTES */
    unsigned digits; /* of the last answer, 1 to 10 */
    size_t at;       /* ... and where they begin */
    unsigned tries;
};

enum {
    STARTEMP_TRIES = 256, /* for names of nothing but digits */
    /* 49 of 50 numbers have so many digits, nearly all others one less. */
    STARTEMP_DRAW_DIGITS = 9,
};

/* The next such key to `out` (KEY_MAX_BYTES), its length to *len_out; those for
 * more digits come first.  False: no more, or none of the first STARTEMP_TRIES.
 */
bool startemp_next(struct startemp *s, char *out, size_t *len_out);

/* As far as its stat tells, may the file be a temporary: its owner's alone,
 * with one name, and nothing has happened to it since it was last written. */
bool startemp_file(const struct stat *st);
