/* SPDX-License-Identifier: MIT
 *
 * e2e_twins: values and names that a hash without a secret takes for one.
 *
 *   e2e_twins value FILE FILE   writes two values
 *   e2e_twins key TABLE         prints two keys of that table, a line each
 *   e2e_twins table             prints two tables */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/xxh3_pair.h"

enum { VALUE_BYTES = 512, NAME_BYTES = 250 };

static void put(const char *path, const uint8_t *p, size_t n)
{
    FILE *f = path != NULL ? fopen(path, "w") : stdout;

    if (f == NULL || fwrite(p, 1, n, f) != n ||
        (path == NULL ? putchar('\n') == EOF : fclose(f) != 0)) {
        perror(path != NULL ? path : "stdout");
        exit(1);
    }
}

/* Two names after the first `keep` bytes of `head`, which are hashed, too. */
static void names(const char *head, size_t keep)
{
    uint8_t a[64 + NAME_BYTES], b[64 + NAME_BYTES];

    memcpy(a, head, keep);
    memcpy(b, head, keep);
    xxh3_pair(a, b, keep + NAME_BYTES, keep);
    put(NULL, a + keep, NAME_BYTES);
    put(NULL, b + keep, NAME_BYTES);
}

int main(int argc, char **argv)
{
    uint8_t a[VALUE_BYTES], b[VALUE_BYTES];

    if (argc == 4 && strcmp(argv[1], "value") == 0) {
        xxh3_pair(a, b, sizeof a, 0);
        put(argv[2], a, sizeof a);
        put(argv[3], b, sizeof b);
    } else if (argc == 3 && strcmp(argv[1], "key") == 0 &&
               strlen(argv[2]) < 64) {
        names(argv[2], strlen(argv[2]) + 1); /* with its NUL */
    } else if (argc == 2 && strcmp(argv[1], "table") == 0) {
        names("", 0);
    } else {
        (void)fputs("usage: e2e_twins value FILE FILE | key TABLE | table\n",
                    stderr);
        return 64;
    }
    return 0;
}
