/* SPDX-License-Identifier: MIT
 *
 * startemp: see startemp.h. */
#include "store/layout/startemp.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "store/layout/name.h"

enum { DIGITS_MAX = 10, OLD_DIGITS = 9, WRITERS_MODE = 0600 };

/* Could Go have drawn these? */
static bool is_drawn(const char *p, unsigned digits)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < digits; i++) {
        if (p[i] < '0' || p[i] > '9') {
            return false;
        }
        n = n * 10 + (uint64_t)(p[i] - '0');
    }
    return digits == OLD_DIGITS ||
           (n <= UINT32_MAX && (p[0] != '0' || digits == 1));
}

/* The last '*' was replaced, so there is none behind the digits. */
static size_t first_place(const struct startemp *s)
{
    const char *star = s->len > 0 ? memrchr(s->key, '*', s->len) : NULL;

    return star != NULL ? (size_t)(star - s->key) + 1 : 0;
}

static size_t fill(const struct startemp *s, char *out)
{
    size_t after = s->at + s->digits;

    memcpy(out, s->key, s->at);
    out[s->at] = '*';
    memcpy(out + s->at + 1, s->key + after, s->len - after);
    return s->len - s->digits + 1;
}

bool startemp_next(struct startemp *s, char *out, size_t *len_out)
{
    size_t first = first_place(s);

    assert(s->len <= KEY_MAX_BYTES);
    if (s->digits == 0) {
        s->digits = DIGITS_MAX;
        s->at = first;
    } else {
        s->at++;
    }
    for (; s->digits > 0; s->digits--, s->at = first) {
        for (; s->at + s->digits <= s->len; s->at++) {
            if (!is_drawn(s->key + s->at, s->digits)) {
                continue;
            }
            if (s->tries == STARTEMP_TRIES) {
                return false;
            }
            s->tries++;
            *len_out = fill(s, out);
            return true;
        }
    }
    return false;
}

bool startemp_file(const struct stat *st)
{
    return S_ISREG(st->st_mode) && st->st_nlink == 1 &&
           (st->st_mode & 07777 & ~(mode_t)WRITERS_MODE) == 0 &&
           st->st_mtim.tv_sec == st->st_ctim.tv_sec &&
           st->st_mtim.tv_nsec == st->st_ctim.tv_nsec;
}
