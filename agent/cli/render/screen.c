/* SPDX-License-Identifier: MIT
 *
 * screen: see screen.h.
 */
#include "agent/cli/render/screen.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* The bytes of one color or character at p, and how many columns it takes. */
static size_t step(const char *p, unsigned *columns_out)
{
    size_t n = 1;

    *columns_out = 1;
    if (p[0] == '\033' && p[1] == '[') {
        *columns_out = 0;
        n = 2 + strspn(p + 2, "0123456789;");
        return p[n] == 'm' ? n + 1 : n;
    }
    while (((unsigned char)p[n] & 0xc0U) == 0x80U) {
        n++;
    }
    return n;
}

static bool line_is_wider(const char *line, size_t len, unsigned columns)
{
    unsigned wide = 0, w;

    for (size_t i = 0; i < len; i += step(line + i, &w)) {
        (void)step(line + i, &w);
        wide += w;
    }
    return wide > columns;
}

static void put_line(FILE *out, const char *line, size_t len, unsigned columns)
{
    bool cut = line_is_wider(line, len, columns), colored = false;
    unsigned room = cut ? columns - 1 : columns, w = 0;
    size_t i = 0;

    while (i < len) {
        size_t n = step(line + i, &w);
        if (w > room) {
            break;
        }
        room -= w;
        colored = w == 0 ? strncmp(line + i, "\033[0m", n) != 0 : colored;
        (void)fwrite(line + i, 1, n, out);
        i += n;
    }
    (void)fputs(colored ? "\033[0m" : "", out);
    (void)fputs(cut ? "\xe2\x80\xa6\n" : "\n", out); /* an ellipsis */
}

static unsigned lines_of(const char *text)
{
    unsigned n = 0;

    for (; *text != '\0'; text++) {
        n += *text == '\n';
    }
    return n;
}

void screen_fit(FILE *out, const char *text, unsigned rows, unsigned columns,
                const char *more)
{
    unsigned lines = lines_of(text);
    unsigned shown = lines <= rows ? lines : rows - 1;

    for (unsigned i = 0; i < shown; i++) {
        size_t len = strcspn(text, "\n");
        put_line(out, text, len, columns);
        text += len + 1;
    }
    if (lines > shown) {
        char last[128];
        int n = snprintf(last, sizeof last, "%u more lines: %s", lines - shown,
                         more);
        put_line(out, last,
                 (size_t)n < sizeof last ? (size_t)n : sizeof last - 1,
                 columns);
    }
}
