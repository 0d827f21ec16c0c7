/* SPDX-License-Identifier: MIT
 *
 * render_key: where one key is (KEY in control.h, with the "file" that the
 * command found on disk) as text for people. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/render/render.h"
#include "agent/cli/render/render_field.h"
#include "store/base/cleanup.h"
#include "store/base/units.h"

/* --- here ---------------------------------------------------------------- */

/* "214 B, changed 2026-01-31T12:00:00.000Z" */
static void size_and_time(FILE *out, const json_t *o, const json_t *time_of)
{
    const char *changed = field_text(time_of, "changed", NULL);
    uint64_t size = 0;

    (void)field_count(o, "size", &size);
    (void)fputs(BYTES_TEXT(size), out);
    if (changed != NULL) { /* in ms */
        (void)fprintf(out, ", changed %.23sZ", changed);
    }
}

/* The agent keeps no time of a file that was young when it was read. */
static const json_t *time_of(const json_t *result)
{
    const json_t *file = json_object_get(result, "file");

    return json_is_null(json_object_get(result, "changed")) &&
                   json_is_null(json_object_get(file, "as_read"))
               ? file
               : result;
}

static void entry(FILE *out, const json_t *result)
{
    const char *state = field_text(result, "state", "unknown");

    render_print_name(out, result);
    (void)fputs(": ", out);
    if (strcmp(state, "present") == 0) {
        size_and_time(out, result, time_of(result));
        (void)fputs(", digest ", out);
        render_clean(out, field_text(result, "digest", "not known"));
    } else if (strcmp(state, "absent") != 0) {
        (void)fputs("not known here yet", out);
    } else {
        (void)fputs(json_is_false(json_object_get(result, "table_here"))
                        ? "no such table here"
                        : "no such key here",
                    out);
    }
    (void)fputc('\n', out);
}

static void holder(FILE *out, const json_t *o)
{
    uint64_t pid = 0;

    if (field_count(o, "pid", &pid) && pid > 0) {
        (void)fputs("  locked here now by ", out);
        render_clean(out, field_text(o, "comm", "an unknown process"));
        (void)fprintf(out, " (pid %" PRIu64 ")\n", pid);
    }
}

/* What is on disk, where that is not what the agent told. */
static void on_disk(FILE *out, const json_t *file)
{
    const char *state = field_text(file, "state", "unknown");

    if (strcmp(state, "unknown") == 0) {
        (void)fputs("  not looked at on disk: ", out);
        render_clean(out, field_text(file, "error", "no reason is known"));
        (void)fputc('\n', out);
    } else if (json_is_false(json_object_get(file, "as_read"))) {
        (void)fputs("  on disk now: ", out);
        if (strcmp(state, "present") == 0) {
            size_and_time(out, file, file);
        } else {
            (void)fputs(strcmp(state, "absent") == 0 ? "no such file"
                                                     : "something else than a "
                                                       "file has the name",
                        out);
        }
        (void)fputs("; the agent has yet to read that\n", out);
    }
    holder(out, file);
}

static void waits_here(FILE *out, const json_t *primary)
{
    const json_t *error = json_object_get(primary, "error");

    if (json_is_object(error)) {
        (void)fputs("  ", out);
        render_error_line(out, error);
        (void)fputc('\n', out);
        render_hint(out, error);
    }
}

/* --- there --------------------------------------------------------------- */

static const char *state_text(const char *state)
{
    static const struct {
        const char *state, *text;
    } TEXTS[] = {{"has", "has it"},         {"had", "had it"},
                 {"gone", "has none"},      {"was-gone", "had none"},
                 {"unknown", "not known"},  {"differs", "differs"},
                 {"held", "delete is held"}};

    for (size_t i = 0; i < sizeof TEXTS / sizeof *TEXTS; i++) {
        if (strcmp(TEXTS[i].state, state) == 0) {
            return TEXTS[i].text;
        }
    }
    return state;
}

/* The error, and how many changes come first; a new string. */
static char *why_text(const json_t *place)
{
    const json_t *error = json_object_get(place, "error");
    uint64_t ahead = 0;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    if (out == NULL) {
        return NULL;
    }
    if (json_is_object(error)) {
        render_error_line(out, error);
    }
    if (field_count(place, "ahead", &ahead) && ahead > 0) {
        (void)fprintf(out, ", %s changes before it", COUNT_TEXT(ahead));
    } else if (json_is_null(json_object_get(place, "ahead"))) {
        (void)fputs(", very many changes before it", out);
    }
    (void)fclose(out);
    return text;
}

static void add_replica(struct table *t, const json_t *place)
{
    CLEANUP(freep) char *why = why_text(place);
    int64_t ns = 0;
    bool since = field_seconds(place, "pending_s", &ns);
    const char *cells[] = {field_text(place, "name", "?"),
                           state_text(field_text(place, "state", "unknown")),
                           since ? DURATION_TEXT(ns) : "-",
                           why != NULL ? why : "?"};

    table_row(t, cells);
}

void render_key(FILE *out, const json_t *result)
{
    static const char *const HEAD[] = {"REPLICA", "STATE", "PENDING", "WHY"};
    const json_t *list = json_object_get(result, "replicas");
    CLEANUP(table_deinit) struct table t = {.columns = 4};
    const json_t *place;
    size_t i;

    entry(out, result);
    on_disk(out, json_object_get(result, "file"));
    waits_here(out, json_object_get(result, "primary"));
    table_row(&t, HEAD);
    json_array_foreach(list, i, place) {
        add_replica(&t, place);
    }
    if (json_array_size(list) > 0) {
        table_print(&t, out, NULL);
    }
    json_array_foreach(list, i, place) {
        const json_t *error = json_object_get(place, "error");
        if (json_is_object(error)) {
            render_hint(out, error);
        }
    }
}
