/* SPDX-License-Identifier: MIT
 *
 * suggest: see suggest.h. */
#include "store/cmdline/suggest.h"

#include <stddef.h>
#include <string.h>

enum { WORD_MAX = 63, FAR = 1000 };

static unsigned smaller(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

unsigned suggest_distance(const char *a, const char *b)
{
    size_t na = strlen(a);
    size_t nb = strlen(b);
    unsigned d[WORD_MAX + 1][WORD_MAX + 1];

    if (na > WORD_MAX || nb > WORD_MAX) {
        return FAR;
    }
    for (size_t i = 0; i <= na; i++) {
        d[i][0] = (unsigned)i;
    }
    for (size_t j = 0; j <= nb; j++) {
        d[0][j] = (unsigned)j;
    }
    for (size_t i = 1; i <= na; i++) {
        for (size_t j = 1; j <= nb; j++) {
            unsigned swap = a[i - 1] == b[j - 1] ? 0 : 1;

            d[i][j] = smaller(smaller(d[i - 1][j], d[i][j - 1]) + 1,
                              d[i - 1][j - 1] + swap);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
                a[i - 2] == b[j - 1]) {
                d[i][j] = smaller(d[i][j], d[i - 2][j - 2] + 1);
            }
        }
    }
    return d[na][nb];
}

const char *suggest_nearest(const char *word, const char *const *known)
{
    size_t len = strlen(word);
    unsigned limit = len < 4 ? 1 : len < 8 ? 2 : 3;
    const char *best = NULL;

    for (; *known != NULL; known++) {
        unsigned distance = suggest_distance(word, *known);

        /* A beginning counts as near: "verif", "stat". */
        if (len >= 3 && strncmp(word, *known, len) == 0) {
            distance = smaller(distance, 1);
        }
        if (distance <= limit) {
            limit = distance > 0 ? distance - 1 : 0;
            best = *known;
            if (distance == 0) {
                break;
            }
        }
    }
    return best;
}
