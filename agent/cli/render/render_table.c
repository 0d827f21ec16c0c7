/* SPDX-License-Identifier: MIT
 *
 * render_table: text in columns as wide as their widest cell.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/render/render.h"
#include "store/base/quote.h"

/* Characters, not bytes: continuation bytes of UTF-8 take no place. */
static size_t width(const char *s)
{
    size_t n = 0;

    for (; *s != '\0'; s++) {
        n += ((unsigned char)*s & 0xC0) != 0x80 ? 1 : 0;
    }
    return n;
}

void table_row(struct table *t, const char *const *cells)
{
    char **more;
    bool ended = false;

    assert(t->columns > 0 && t->columns <= TABLE_COLUMNS_MAX);
    more = realloc(t->cells, (t->rows + 1) * t->columns * sizeof *more);
    if (more == NULL) {
        t->bad = true;
        return;
    }
    t->cells = more;
    for (size_t i = 0; i < t->columns; i++) {
        ended = ended || cells[i] == NULL;
        char *copy = strdup(ended ? "" : cells[i]);
        if (copy == NULL) {
            while (i > 0) {
                free(more[t->rows * t->columns + --i]);
            }
            t->bad = true;
            return;
        }
        quote_tame(copy); /* some of it comes from other hosts */
        more[t->rows * t->columns + i] = copy;
    }
    t->rows++;
}

static const char *cell(const struct table *t, size_t row, size_t column)
{
    return t->cells[row * t->columns + column];
}

/* One past the last cell of the row that is not empty. */
static size_t row_end(const struct table *t, size_t row)
{
    size_t end = t->columns;

    while (end > 0 && cell(t, row, end - 1)[0] == '\0') {
        end--;
    }
    return end;
}

static void
print_row(const struct table *t, FILE *out, size_t row, const size_t *widths,
          void (*decorate)(FILE *, size_t, size_t, const char *, bool))
{
    size_t end = row_end(t, row);

    for (size_t i = 0; i < end; i++) {
        const char *text = cell(t, row, i);

        if (decorate != NULL) {
            decorate(out, row, i, text, true);
        }
        (void)fputs(text, out);
        if (decorate != NULL) {
            decorate(out, row, i, text, false);
        }
        if (i + 1 < end) {
            (void)fprintf(out, "%*s", (int)(widths[i] + 2 - width(text)), "");
        }
    }
    (void)fputc('\n', out);
}

void table_print(const struct table *t, FILE *out,
                 void (*decorate)(FILE *out, size_t row, size_t column,
                                  const char *cell, bool before))
{
    size_t widths[TABLE_COLUMNS_MAX] = {0};

    for (size_t row = 0; row < t->rows; row++) {
        for (size_t i = 0; i < t->columns; i++) {
            size_t w = width(cell(t, row, i));
            widths[i] = w > widths[i] ? w : widths[i];
        }
    }
    for (size_t row = 0; row < t->rows; row++) {
        print_row(t, out, row, widths, decorate);
    }
}

void table_deinit(struct table *t)
{
    for (size_t i = 0; i < t->rows * t->columns; i++) {
        free(t->cells[i]);
    }
    free(t->cells);

    *t = (struct table){.columns = t->columns};
}
