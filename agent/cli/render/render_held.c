/* SPDX-License-Identifier: MIT
 *
 * render_held: what the brake holds (HELD in control.h) as text for people. */
#include <inttypes.h>

#include "agent/cli/render/render.h"
#include "agent/cli/render/render_field.h"
#include "store/base/units.h"

enum { TABLES_IN_LINE = 5 };

static uint64_t count_of(const json_t *o, const char *name)
{
    uint64_t n = 0;

    (void)field_count(o, name, &n);
    return n;
}

static void since(FILE *out, const json_t *held)
{
    int64_t ns = 0;

    if (field_seconds(held, "since_s", &ns)) {
        (void)fprintf(out, " since %s", DURATION_TEXT(ns));
    }
}

/* "280 in users, 20 in sessions" */
static void tables(FILE *out, const json_t *held, size_t max,
                   const char *before, const char *between)
{
    const json_t *list = json_object_get(held, "tables");
    const json_t *t;
    size_t i;

    json_array_foreach(list, i, t) {
        if (i == max) {
            break;
        }
        (void)fprintf(out, "%s%s in ", i == 0 ? before : between,
                      COUNT_TEXT(count_of(t, "count")));
        render_print_name(out, t);
    }
    uint64_t all = count_of(held, "all_tables");
    if (i > 0 && all > i) {
        (void)fprintf(out, "%s... and %s more tables", between,
                      COUNT_TEXT(all - i));
    }
}

static void sample_note(FILE *out, const json_t *held)
{
    uint64_t named = count_of(held, "named"), shown = count_of(held, "shown");

    if (named > 0 && named < shown) {
        (void)fprintf(out, " (of the first %s)", COUNT_TEXT(named));
    }
}

void render_held_line(FILE *out, const json_t *held)
{
    const char *token = field_text(held, "token", NULL);

    if (!json_is_object(held)) {
        return;
    }
    (void)fputs("      held", out);
    since(out, held);
    if (token == NULL) {
        (void)fputs(", being compared", out);
    } else {
        (void)fprintf(out, ", token ");
        render_clean(out, token);
        tables(out, held, TABLES_IN_LINE, ": ", ", ");
        sample_note(out, held);
    }
    const json_t *name;
    size_t i;
    json_array_foreach(json_object_get(held, "names"), i, name) {
        (void)fputs(i == 0 ? "\n      such as " : ", ", out);
        render_print_name(out, name);
    }
    (void)fputc('\n', out);
}

void render_held(FILE *out, const char *replica, const json_t *held)
{
    const char *token = field_text(held, "token", NULL);
    uint64_t shown = count_of(held, "shown");

    if (!json_is_object(held)) {
        (void)fprintf(out, "%s: nothing is held\n", replica);
        return;
    }
    (void)fprintf(out, "%s: %s deletes are held", replica,
                  COUNT_TEXT(token != NULL ? shown : count_of(held, "count")));
    since(out, held);
    if (count_of(held, "approved") > 0) {
        (void)fprintf(out, ", %s of them approved and under way",
                      COUNT_TEXT(count_of(held, "approved")));
    }
    tables(out, held, SIZE_MAX, "\n  ", "\n  ");
    sample_note(out, held);
    (void)fputc('\n', out);
    const json_t *names = json_object_get(held, "names"), *name;
    size_t i;
    json_array_foreach(names, i, name) {
        (void)fputs(json_is_true(json_object_get(name, "is_table"))
                        ? "  delete  table "
                        : "  delete  ",
                    out);
        render_print_name(out, name);
        (void)fputc('\n', out);
    }
    if (shown > json_array_size(names)) {
        (void)fprintf(out, "  and %s more\n",
                      COUNT_TEXT(shown - json_array_size(names)));
    }
    if (token == NULL) {
        (void)fputs("They are still being compared; look again in a moment.\n",
                    out);
        return;
    }
    const json_t *covered = json_object_get(held, "covered");
    if (json_is_object(covered)) {
        (void)fputs("Nothing was changed, and this is nothing to approve: ",
                    out);
        render_error_line(out, covered);
        (void)fputc('\n', out);
        render_hint(out, covered);
        return;
    }
    (void)fprintf(out,
                  "Nothing was changed. To release exactly these: "
                  "drover approve %s ",
                  replica);
    render_clean(out, token);
    (void)fputc('\n', out);
}
