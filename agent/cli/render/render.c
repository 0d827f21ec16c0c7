/* SPDX-License-Identifier: MIT
 *
 * render: see render.h.
 */
#include "agent/cli/render/render.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/render/render_field.h"
#include "store/base/base64.h"
#include "store/base/cleanup.h"
#include "store/base/quote.h"

/* --- names --------------------------------------------------------------- */

/* The bytes of "table" or "table_b64"; false when there is neither. */
static bool put_bytes(struct buf *out, const json_t *object, const char *plain,
                      const char *coded)
{
    const json_t *text = json_object_get(object, plain);

    if (json_is_string(text)) {
        buf_put(out, json_string_value(text), json_string_length(text));
        return true;
    }
    text = json_object_get(object, coded);
    if (json_is_string(text)) {
        (void)base64_decode(out, json_string_value(text),
                            json_string_length(text));
        return true;
    }
    return false;
}

void render_name(struct buf *out, const json_t *object)
{
    CLEANUP(buf_deinit) struct buf name = BUF_NULL;
    CLEANUP(buf_deinit) struct buf key = BUF_NULL;

    bool has_table = put_bytes(&name, object, "table", "table_b64");
    bool is_table = json_is_true(json_object_get(object, "is_table"));
    if (!is_table && put_bytes(&key, object, "key", "key_b64")) {
        if (name.len > 0) {
            buf_u8(&name, '/');
        }
        if (key.len > 0) {
            buf_put(&name, key.data, key.len);
        }
    } else if (has_table && name.len == 0) {
        buf_printf(out, "(root)");
        return;
    } else if (!has_table) {
        buf_printf(out, "a key");
        return;
    }
    quote_shell_buf(out, name.data, name.len);
}

void render_path(struct buf *out, const json_t *object)
{
    CLEANUP(buf_deinit) struct buf path = BUF_NULL;

    if (put_bytes(&path, object, "path", "path_b64") && path.len > 0) {
        quote_shell_buf(out, path.data, path.len);
    }
}

/* A string for one line of a terminal, without its NUL. */
static void put_clean(struct buf *out, const char *text)
{
    size_t len = strlen(text);
    CLEANUP(freep) char *clean = malloc(QUOTE_ROOM(len));

    if (clean == NULL) {
        out->bad = true;
        return;
    }
    (void)quote_log(clean, QUOTE_ROOM(len), text, len);
    /* What only matters inside C quotes is taken back. */
    for (const char *p = clean; *p != '\0'; p++) {
        if (*p == '\\' && (p[1] == '"' || p[1] == '\\')) {
            p++;
        }
        buf_put(out, p, 1);
    }
}

void render_clean(FILE *out, const char *text)
{
    CLEANUP(buf_deinit) struct buf clean = BUF_NULL;

    put_clean(&clean, text);
    if (!clean.bad && clean.len > 0) {
        (void)fwrite(clean.data, 1, clean.len, out);
    }
}

void render_print_name(FILE *out, const json_t *object)
{
    CLEANUP(buf_deinit) struct buf name = BUF_NULL;

    render_name(&name, object);
    if (!name.bad && name.len > 0) {
        (void)fwrite(name.data, 1, name.len, out);
    }
}

/* --- errors -------------------------------------------------------------- */

void render_error_line(FILE *out, const json_t *error)
{
    uint64_t id = 0;

    if (field_count(error, "id", &id) && id > 0) {
        (void)fprintf(out, "DR-%03" PRIu64 " ", id);
    }
    render_clean(out, field_text(error, "text", "unknown error"));
}

void render_hint(FILE *out, const json_t *error)
{
    const char *hint = field_text(error, "hint", "");

    if (hint[0] != '\0') {
        (void)fputs("      HINT: ", out);
        render_clean(out, hint);
        (void)fputc('\n', out);
    }
}

void render_error(FILE *out, const json_t *error)
{
    (void)fputs("drover: ", out);
    render_error_line(out, error);
    (void)fputc('\n', out);
    render_hint(out, error);
}

/* --- comparisons --------------------------------------------------------- */

static uint64_t count_of(const json_t *o, const char *name)
{
    uint64_t n = 0;

    return field_count(o, name, &n) ? n : 0;
}

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

static void compare_verdict(FILE *out, const char *mode, const json_t *r)
{
    uint64_t missing = count_of(r, "missing");
    uint64_t extra = count_of(r, "extra");
    uint64_t different = count_of(r, "different");
    uint64_t wrong = missing + extra + different;
    uint64_t unread = count_of(r, "unread");

    if (json_is_true(json_object_get(r, "failed"))) {
        (void)fprintf(out, "failed");
    } else if (!json_is_true(json_object_get(r, "done"))) {
        (void)fprintf(out, "not finished");
    } else if (wrong == 0) {
        uint64_t compared = count_of(r, "compared");
        (void)fprintf(out, "%s, %s %s compared",
                      unread > 0 ? "no difference found" : "equal",
                      COUNT_TEXT(compared),
                      compared == 1 ? "key or table" : "keys and tables");
    } else {
        (void)fprintf(out,
                      "%s difference%s: %s missing, %s extra, %s "
                      "different",
                      COUNT_TEXT(wrong), plural(wrong), COUNT_TEXT(missing),
                      COUNT_TEXT(extra), COUNT_TEXT(different));
    }
    if (strcmp(mode, "resync") == 0 && wrong > 0) {
        (void)fprintf(out, "; %s repaired",
                      COUNT_TEXT(count_of(r, "repaired")));
    }
    if (count_of(r, "reread") > 0) {
        (void)fprintf(out, "; %s value%s read there",
                      COUNT_TEXT(count_of(r, "reread")),
                      plural(count_of(r, "reread")));
    }
    uint64_t modes = count_of(r, "modes_set");
    if (modes > 0) {
        (void)fprintf(out, "; owner, group or mode set of %s file%s",
                      COUNT_TEXT(modes), plural(modes));
    }
    if (unread > 0) {
        (void)fprintf(out, "; %s not compared", COUNT_TEXT(unread));
    }
    (void)fputc('\n', out);
}

static const char *kind_of(const json_t *name)
{
    static const char *const KINDS[] = {"missing", "extra", "different"};
    const char *kind = field_text(name, "kind", "");

    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++) {
        if (strcmp(kind, KINDS[i]) == 0) {
            return kind;
        }
    }
    return "?";
}

static void compare_names(FILE *out, const json_t *r, size_t names_max)
{
    const json_t *names = json_object_get(r, "names");
    const json_t *name;
    uint64_t all = count_of(r, "missing") + count_of(r, "extra") +
                   count_of(r, "different");
    size_t shown = 0;
    size_t i;

    json_array_foreach(names, i, name) {
        if (shown == names_max) {
            break;
        }
        (void)fprintf(out, "  %-9s  %s", kind_of(name),
                      json_is_true(json_object_get(name, "is_table")) ? "table "
                                                                      : "");
        render_print_name(out, name);
        (void)fputs(json_is_true(json_object_get(name, "repaired"))
                        ? "  (repaired meanwhile)\n"
                        : "\n",
                    out);
        shown++;
    }
    if (all > shown && shown > 0) {
        (void)fprintf(out, "  and %s more\n", COUNT_TEXT(all - shown));
    }
}

/* Key by key, why it is `what`, of `all`. */
static void reasons(FILE *out, const json_t *list, uint64_t all,
                    const char *what, size_t names_max)
{
    const json_t *key;
    size_t i;

    json_array_foreach(list, i, key) {
        if (i == names_max) {
            break;
        }
        (void)fprintf(out, "  %s  ", what);
        render_clean(out,
                     field_text(json_object_get(key, "error"), "text", ""));
        (void)fputc('\n', out);
    }
    size_t shown = json_array_size(list);
    shown = shown < names_max ? shown : names_max;
    if (all > shown && shown > 0) {
        (void)fprintf(out, "  and %s more %s\n", COUNT_TEXT(all - shown), what);
    }
}

/* A change that the agent met while it looked, such as of a key written through
 * a descriptor that is open still: it is sent like any other. */
static bool is_any_repaired(const json_t *replicas)
{
    const json_t *r, *name;
    size_t i, k;

    json_array_foreach(replicas, i, r) {
        json_array_foreach(json_object_get(r, "names"), k, name) {
            if (json_is_true(json_object_get(name, "repaired"))) {
                return true;
            }
        }
    }
    return false;
}

/* What becomes of the differences. */
static void compare_last_word(FILE *out, const char *mode,
                              const json_t *replicas, uint64_t wrong, bool held)
{
    if (strcmp(mode, "dry-run") == 0 && is_any_repaired(replicas)) {
        (void)fputs(
            "Nothing was changed for this; what the agent found changed "
            "here meanwhile was sent, as ever. Run without --dry-run "
            "to do the rest.\n",
            out);
    } else if (strcmp(mode, "dry-run") == 0) {
        (void)fputs("Nothing was changed. Run without --dry-run to do it.\n",
                    out);
    } else if (strcmp(mode, "verify") == 0 && wrong > 0 && held) {
        (void)fputs("What differs is repaired by itself in some seconds, but "
                    "for the deletes that the brake holds: these wait for "
                    "drover approve.\n",
                    out);
    } else if (strcmp(mode, "verify") == 0 && wrong > 0) {
        (void)fputs(
            "What differs is repaired by itself in some seconds; drover "
            "pause keeps it as it is.\n",
            out);
    }
}

void render_compared(FILE *out, const char *mode, const json_t *r,
                     size_t names_max)
{
    const json_t *error = json_object_get(r, "error");

    render_clean(out, field_text(r, "name", "?"));
    (void)fputs(": ", out);
    compare_verdict(out, mode, r);
    if (json_is_object(error)) {
        (void)fputs("      ", out);
        render_error_line(out, error);
        (void)fputc('\n', out);
        render_hint(out, error);
    }
    if (json_is_true(json_object_get(r, "held"))) {
        (void)fprintf(out,
                      "      The brake holds %s delete%s. See which: "
                      "drover approve --dry-run ",
                      COUNT_TEXT(count_of(r, "held_deletes")),
                      plural(count_of(r, "held_deletes")));
        render_clean(out, field_text(r, "name", "?"));
        (void)fputc('\n', out);
    }
    compare_names(out, r, names_max);
    reasons(out, json_object_get(r, "not_compared"), count_of(r, "unread"),
            "not compared", names_max);
}

void render_compare(FILE *out, const json_t *result, size_t names_max,
                    const json_t *told)
{
    const json_t *replicas = json_object_get(result, "replicas");
    const char *mode = field_text(result, "mode", "verify");
    const json_t *r;
    uint64_t wrong = 0;
    bool held = false;
    size_t i;

    json_array_foreach(replicas, i, r) {
        held = held || json_is_true(json_object_get(r, "held"));
        wrong += count_of(r, "missing") + count_of(r, "extra") +
                 count_of(r, "different");
        if (json_object_get(told, field_text(r, "name", "?")) == NULL) {
            render_compared(out, mode, r, names_max);
        }
    }
    compare_last_word(out, mode, replicas, wrong, held);
}

void render_wait(FILE *out, const json_t *result, size_t names_max)
{
    const json_t *replicas = json_object_get(result, "replicas");
    const json_t *r;
    size_t i;

    json_array_foreach(replicas, i, r) {
        const json_t *error = json_object_get(r, "error");

        render_clean(out, field_text(r, "name", "?"));
        if (json_is_true(json_object_get(r, "done"))) {
            (void)fputs(": has every change\n", out);
            continue;
        }
        (void)fputs(": not yet, ", out);
        render_clean(out, field_text(r, "state", "unknown"));
        uint64_t pending = count_of(r, "pending_keys");
        (void)fprintf(out, ", %s key%s pending\n", COUNT_TEXT(pending),
                      plural(pending));
        if (json_is_object(error)) {
            (void)fputs("      ", out);
            render_error_line(out, error);
            (void)fputc('\n', out);
            render_hint(out, error);
        }
        reasons(out, json_object_get(r, "not_there"), count_of(r, "lacks"),
                "not there", names_max);
    }
}

static void progress_of(struct buf *out, const json_t *r)
{
    const char *state = field_text(r, "state", NULL);
    const char *phase = field_text(r, "phase", state != NULL ? state : "");
    uint64_t to_repair = count_of(r, "to_repair");
    uint64_t scanned = count_of(r, "scan_keys");

    put_clean(out, field_text(r, "name", "?"));
    if (json_is_true(json_object_get(r, "done"))) {
        buf_printf(out, " done");
        return;
    }
    buf_printf(out, " ");
    put_clean(out, phase);
    if (to_repair > 0) {
        buf_printf(out, " %s of %s", COUNT_TEXT(count_of(r, "repaired")),
                   COUNT_TEXT(to_repair));
    } else if (scanned > 0) {
        buf_printf(out, " %s key%s", COUNT_TEXT(scanned), plural(scanned));
    } else if (count_of(r, "pending_keys") > 0) {
        buf_printf(out, " %s pending", COUNT_TEXT(count_of(r, "pending_keys")));
    }
}

void render_progress(struct buf *out, const json_t *object)
{
    const json_t *replicas = json_object_get(object, "replicas");
    const json_t *r;
    size_t i;

    json_array_foreach(replicas, i, r) {
        if (i > 0) {
            buf_printf(out, "  ");
        }
        progress_of(out, r);
    }
}
