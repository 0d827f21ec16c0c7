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

/* How many bytes of the line fit. */
static size_t fitting(const char *line, size_t len, unsigned columns)
{
    unsigned wide = 0, w = 0;
    size_t i = 0;

    while (i < len) {
        size_t n = step(line + i, &w);
        if (wide + w > columns) {
            return i;
        }
        wide += w;
        i += n;
    }
    return len;
}

/* A color that is still on there. */
static bool is_colored(const char *line, size_t len)
{
    static const char OFF[] = "\033[0m";
    bool colored = false;
    unsigned w = 0;

    for (size_t i = 0, n = 0; i < len; i += n) {
        n = step(line + i, &w);
        colored =
            w == 0 ? strncmp(line + i, OFF, sizeof OFF - 1) != 0 : colored;
    }
    return colored;
}

static void put_cut(FILE *out, const char *line, size_t len, unsigned columns)
{
    bool cut = fitting(line, len, columns) < len;
    size_t n = cut ? fitting(line, len, columns - 1) : len;

    (void)fwrite(line, 1, n, out);
    (void)fputs(is_colored(line, n) ? "\033[0m" : "", out);
    (void)fputs(cut ? "\xe2\x80\xa6\n" : "\n", out); /* an ellipsis */
}

/* What is shown next of the text: a line, or as much of it as fits. */
static size_t next_row(const char *text, size_t done, size_t table,
                       unsigned columns)
{
    size_t len = strcspn(text, "\n");
    size_t n = done < table ? len : fitting(text, len, columns);

    /* One character is wider than the screen, if at all. */
    return n == 0 && len > 0 ? len : n;
}

static unsigned rows_of(const char *text, size_t table, unsigned columns)
{
    unsigned n = 0;

    for (size_t at = 0; text[at] != '\0'; n++) {
        at += next_row(text + at, at, table, columns);
        at += text[at] == '\n';
    }
    return n;
}

void screen_fit(FILE *out, const char *text, size_t table, unsigned rows,
                unsigned columns, const char *more)
{
    unsigned all = rows_of(text, table, columns);
    unsigned shown = all <= rows ? all : rows - 1;
    size_t at = 0;

    for (unsigned i = 0; i < shown; i++) {
        size_t n = next_row(text + at, at, table, columns);
        put_cut(out, text + at, n, columns);
        at += n;
        at += text[at] == '\n';
    }
    if (all > shown) {
        char last[128];
        int n =
            snprintf(last, sizeof last, "%u more lines: %s", all - shown, more);
        put_cut(out, last,
                (size_t)n < sizeof last ? (size_t)n : sizeof last - 1, columns);
    }
}
