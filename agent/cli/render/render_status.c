/* SPDX-License-Identifier: MIT
 *
 * render_status: the table of `drover status`.
 *
 *     orders  /srv/orders   48,211 keys, 87.3 MiB in 12 tables, epoch 1 ...
 *     REPLICA  STATE      LAG  PENDING  LAST ACK  SILENT  RATE  RECEIVER
 *     eu-1     streaming  0 s  -        0.8 s     0.8 s   41/s  0.1.0
 *     refused  users/bob  41 s  on us-1: write a staged value: No space ...
 *     blocked  users/alice  41 s  on primary: pid 8123 billing
 *     writing  users/a1234567b  9 s  on primary: pid 8123 billing
 *     ignored  3, such as users.tbl/notes.txt: its name is not a key's
 *     us-1: DR-202 ...
 *           HINT: ...
 */
#include <inttypes.h>
#include <string.h>

#include "agent/cli/render/render.h"
#include "agent/cli/render/render_field.h"
#include "store/base/cleanup.h"
#include "store/base/units.h"

enum { CELL_BYTES = 128 };

static const char *span(char *out, const json_t *o, const char *name)
{
    int64_t ns;

    return field_seconds(o, name, &ns) ? units_duration(out, ns) : "-";
}

/* --- head ---------------------------------------------------------------- */

static void head_scan(FILE *out, const json_t *db)
{
    char text[UNITS_TEXT_BYTES];
    const char *state = field_text(db, "state", "ok");

    if (strcmp(state, "lost") == 0) {
        (void)fputs("   DATABASE LOST", out);
    } else if (json_is_true(json_object_get(db, "scan_running")) ||
               strcmp(state, "scanning") == 0) {
        (void)fputs("   scanning", out);
    } else if (json_is_number(json_object_get(db, "scan_age_s"))) {
        (void)fprintf(out, "   scanned %s ago", span(text, db, "scan_age_s"));
    }
}

static void head(FILE *out, const json_t *status)
{
    const json_t *db = json_object_get(status, "database");
    char text[UNITS_TEXT_BYTES];
    uint64_t n = 0;

    render_clean(out, field_text(db, "name", "?"));
    (void)fputs("  ", out);
    render_clean(out, field_text(db, "path", "?"));
    if (field_count(db, "keys", &n)) {
        (void)fprintf(out, "   %s key%s", COUNT_TEXT(n), n == 1 ? "" : "s");
    }
    if (field_count(db, "bytes", &n)) {
        (void)fprintf(out, ", %s", BYTES_TEXT(n));
    }
    if (field_count(db, "tables", &n)) {
        (void)fprintf(out, " in %s table%s", COUNT_TEXT(n), n == 1 ? "" : "s");
    }
    if (field_count(db, "epoch", &n)) {
        (void)fprintf(out, ", epoch %" PRIu64, n);
    }
    (void)fputs("   agent ", out);
    render_clean(out, field_text(status, "version", "?"));
    (void)fprintf(out, ", up %s", span(text, status, "uptime_s"));
    head_scan(out, db);
    (void)fputc('\n', out);
}

/* --- replicas ------------------------------------------------------------ */

static void pending_cell(char *out, const json_t *r)
{
    uint64_t keys = 0;
    uint64_t bytes = 0;

    if (!field_count(r, "pending_keys", &keys) || keys == 0) {
        (void)snprintf(out, CELL_BYTES, "-");
        return;
    }
    if (field_count(r, "pending_bytes", &bytes) && bytes > 0) {
        (void)snprintf(out, CELL_BYTES, "%s / %s", COUNT_TEXT(keys),
                       BYTES_TEXT(bytes));
        return;
    }
    (void)snprintf(out, CELL_BYTES, "%s", COUNT_TEXT(keys));
}

static void rate_cell(char *out, const json_t *r)
{
    double rate = json_number_value(json_object_get(r, "rate"));

    if (rate < 0.05) {
        (void)snprintf(out, CELL_BYTES, "-");
    } else if (rate < 10) {
        (void)snprintf(out, CELL_BYTES, "%.1f keys/s", rate);
    } else {
        (void)snprintf(out, CELL_BYTES, "%.0f keys/s", rate);
    }
}

/* "first copy 58 %, 58,750 of 100,000 keys, about 10 s": what the replica has
 * of what is here, at the rate of now. */
static bool first_copy(char *out, const json_t *r, uint64_t all)
{
    uint64_t have = 0;
    double rate = json_number_value(json_object_get(r, "rate"));

    if (strcmp(field_text(r, "state", ""), "initial") != 0 || all == 0 ||
        !field_count(r, "replica_keys", &have)) {
        return false;
    }
    have = have < all ? have : all;
    int n =
        snprintf(out, CELL_BYTES, "first copy %" PRIu64 " %%, %s of %s keys",
                 have * 100 / all, COUNT_TEXT(have), COUNT_TEXT(all));
    if (rate >= 1 && have < all && n > 0 && n < CELL_BYTES) {
        (void)snprintf(
            out + n, (size_t)(CELL_BYTES - n), ", about %s",
            DURATION_TEXT((int64_t)((double)(all - have) / rate) * NS_PER_S));
    }
    return true;
}

void render_replica_line(struct buf *out, const json_t *status,
                         const json_t *replica)
{
    const json_t *error = json_object_get(replica, "error");
    char cell[CELL_BYTES];
    uint64_t all = 0, id = 0;

    (void)field_count(json_object_get(status, "database"), "keys", &all);
    buf_printf(out, "%s: ", field_text(replica, "name", "?"));
    if (first_copy(cell, replica, all)) {
        buf_printf(out, "%s", cell);
        return;
    }
    buf_printf(out, "%s", field_text(replica, "state", "unknown"));
    if (json_is_object(error) && field_count(error, "id", &id)) {
        buf_printf(out, ": DR-%" PRIu64 " %s", id,
                   field_text(error, "text", ""));
    }
}

static void note_cell(char *out, const json_t *r, uint64_t all)
{
    const char *phase = field_text(r, "phase", "");
    uint64_t held = 0;

    out[0] = '\0';
    if (first_copy(out, r, all)) {
        return;
    }
    if (field_count(r, "held_deletes", &held) && held > 0) {
        (void)snprintf(out, CELL_BYTES, "%s delete%s held", COUNT_TEXT(held),
                       held == 1 ? "" : "s");
    } else {
        (void)snprintf(out, CELL_BYTES, "%.60s", phase);
    }
}

static void replica_row(struct table *t, const json_t *r, uint64_t all)
{
    char lag[UNITS_TEXT_BYTES];
    char ack[UNITS_TEXT_BYTES];
    char silent[UNITS_TEXT_BYTES];
    char pending[CELL_BYTES];
    char rate[CELL_BYTES];
    char note[CELL_BYTES];

    pending_cell(pending, r);
    rate_cell(rate, r);
    note_cell(note, r, all);
    const char *cells[] = {
        field_text(r, "name", "?"),
        field_text(r, "state", "unknown"),
        span(lag, r, "lag_s"),
        pending,
        span(ack, r, "ack_age_s"),
        span(silent, r, "silence_s"),
        rate,
        field_text(r, "version", "-"),
        note,
    };
    table_row(t, cells);
}

static const char *color_of(const char *state)
{
    static const struct {
        const char *state, *color;
    } COLORS[] = {
        {"streaming", "\033[32m"}, {"retrying", "\033[33m"},
        {"held", "\033[31m"},      {"failed", "\033[1;31m"},
        {"paused", "\033[2m"},
    };

    for (size_t i = 0; i < sizeof COLORS / sizeof *COLORS; i++) {
        if (strcmp(COLORS[i].state, state) == 0) {
            return COLORS[i].color;
        }
    }
    return NULL;
}

static void decorate(FILE *out, size_t row, size_t column, const char *cell,
                     bool before)
{
    const char *color = row == 0      ? "\033[1m"
                        : column == 1 ? color_of(cell)
                                      : NULL;

    if (color != NULL) {
        (void)fputs(before ? color : "\033[0m", out);
    }
}

static void table_of_replicas(FILE *out, const json_t *replicas, uint64_t all,
                              bool color)
{
    static const char *const HEAD[] = {"REPLICA", "STATE",    "LAG",
                                       "PENDING", "LAST ACK", "SILENT",
                                       "RATE",    "RECEIVER", NULL};
    CLEANUP(table_deinit) struct table t = {.columns = 9};
    const json_t *r;
    size_t i;

    if (json_array_size(replicas) == 0) {
        (void)fputs("no replicas are set up; to add one: drover replica add "
                    "NAME HOST\n",
                    out);
        return;
    }
    table_row(&t, HEAD);
    json_array_foreach(replicas, i, r) {
        replica_row(&t, r, all);
    }
    table_print(&t, out, color ? decorate : NULL);
}

/* --- below the table ----------------------------------------------------- */

static void blocked_row(struct table *t, const json_t *b, const char *word)
{
    CLEANUP(buf_deinit) struct buf name = BUF_NULL;
    CLEANUP(buf_deinit) struct buf where = BUF_NULL;
    char waited[UNITS_TEXT_BYTES];
    uint64_t pid = 0, tries = 0;
    bool changing = field_count(b, "changed_tries", &tries);

    render_name(&name, b);
    buf_u8(&name, '\0');
    if (strcmp(field_text(b, "side", "primary"), "replica") == 0) {
        buf_printf(&where, "on %s", field_text(b, "replica", "a replica"));
    } else {
        buf_printf(&where, "on primary");
    }
    if (changing) {
        buf_printf(&where, ": changes while it is read, %" PRIu64 " tries",
                   tries);
    } else if (field_count(b, "pid", &pid) && pid > 0) {
        const char *comm = field_text(b, "comm", "");
        buf_printf(&where, ": pid %" PRIu64 " %s", pid,
                   comm[0] != '\0' ? comm
                                   : "has ended or is hidden (fuser -v FILE "
                                     "shows who inherited the file)");
    } else {
        buf_printf(&where, ": holder unknown (fuser -v FILE may show it)");
    }
    buf_u8(&where, '\0');
    if (name.bad || where.bad) {
        return;
    }
    const char *cells[] = {changing ? "changing" : word,
                           (const char *)name.data, span(waited, b, "waited_s"),
                           (const char *)where.data};
    table_row(t, cells);
}

/* "refused  users/bob  41 s  on r1: write a staged value: No space left on
 * device, and 11 more" */
static void refused_row(struct table *t, const json_t *r)
{
    const json_t *refused = json_object_get(r, "refused");
    CLEANUP(buf_deinit) struct buf name = BUF_NULL;
    CLEANUP(buf_deinit) struct buf where = BUF_NULL;
    char since[UNITS_TEXT_BYTES];
    uint64_t count = 0;

    if (!json_is_object(refused)) {
        return;
    }
    render_name(&name, refused);
    buf_u8(&name, '\0');
    buf_printf(&where, "on %s: %s", field_text(r, "name", "a replica"),
               field_text(json_object_get(refused, "error"), "text", "?"));
    if (field_count(refused, "count", &count) && count > 1) {
        buf_printf(&where, ", and %s more", COUNT_TEXT(count - 1));
    }
    buf_u8(&where, '\0');
    if (name.bad || where.bad) {
        return;
    }
    const char *cells[] = {"refused", (const char *)name.data,
                           span(since, refused, "since_s"),
                           (const char *)where.data};
    table_row(t, cells);
}

static void blocked_keys(FILE *out, const json_t *status)
{
    const json_t *blocked = json_object_get(status, "blocked");
    CLEANUP(table_deinit) struct table t = {.columns = 4};
    const json_t *b;
    uint64_t all = 0;
    size_t i;

    json_array_foreach(json_object_get(status, "replicas"), i, b) {
        refused_row(&t, b);
    }
    json_array_foreach(blocked, i, b) {
        blocked_row(&t, b, "blocked");
    }
    json_array_foreach(json_object_get(status, "unborn"), i, b) {
        blocked_row(&t, b, "writing");
    }
    table_print(&t, out, NULL);
    if (field_count(status, "blocked_count", &all) &&
        all > json_array_size(blocked)) {
        (void)fprintf(out, "blocked  %s key%s%s\n", COUNT_TEXT(all),
                      all == 1 ? "" : "s",
                      json_array_size(blocked) > 0 ? " in all" : "");
    }
}

/* What lies beside keys and tables: a line for each directory. */
static void ignored_files(FILE *out, const json_t *status)
{
    const json_t *o;
    size_t i;

    json_array_foreach(json_object_get(status, "ignored"), i, o) {
        CLEANUP(buf_deinit) struct buf path = BUF_NULL;
        uint64_t n = 0;
        render_path(&path, o);
        buf_u8(&path, '\0');
        if (!path.bad && field_count(o, "count", &n)) {
            (void)fprintf(out, "ignored  %s, such as %s: ", COUNT_TEXT(n),
                          (const char *)path.data);
            render_clean(out, field_text(o, "why", "?"));
            (void)fputc('\n', out);
        }
    }
}

static void replica_error(FILE *out, const json_t *r)
{
    const json_t *error = json_object_get(r, "error");
    char text[UNITS_TEXT_BYTES];
    uint64_t attempts = 0;

    if (!json_is_object(error)) {
        return;
    }
    render_clean(out, field_text(r, "name", "?"));
    (void)fputs(": ", out);
    render_error_line(out, error);
    if (json_is_number(json_object_get(r, "next_try_s"))) {
        (void)fprintf(out, ". Next try in %s", span(text, r, "next_try_s"));
        if (field_count(r, "attempts", &attempts) && attempts > 0) {
            (void)fprintf(out, " (attempt %" PRIu64 ")", attempts + 1);
        }
    }
    (void)fputc('\n', out);
    render_held_line(out, json_object_get(r, "held"));
    render_hint(out, error);
}

/* A link that flaps has a warning. */
static void broken_link(FILE *out, const json_t *r)
{
    const json_t *breaks = json_object_get(r, "breaks");
    char window[UNITS_TEXT_BYTES], last[UNITS_TEXT_BYTES];
    uint64_t count = 0;

    if (!json_is_object(breaks) || !field_count(breaks, "count", &count) ||
        json_is_true(json_object_get(breaks, "flapping"))) {
        return;
    }
    render_clean(out, field_text(r, "name", "?"));
    (void)fprintf(out, ": the link broke %s in %s, the last time %s ago: ",
                  count == 1   ? "once"
                  : count == 2 ? "twice"
                               : "often",
                  span(window, breaks, "window_s"),
                  span(last, breaks, "last_s"));
    render_error_line(out, json_object_get(breaks, "error"));
    (void)fputc('\n', out);
}

static void warning(FILE *out, const char *what, const json_t *error)
{
    if (!json_is_object(error)) {
        return;
    }
    (void)fprintf(out, "%s: ", what);
    render_error_line(out, error);
    (void)fputc('\n', out);
    render_hint(out, error);
}

void render_warnings(FILE *out, const json_t *result)
{
    const json_t *o;
    size_t i;

    json_array_foreach(json_object_get(result, "warnings"), i, o) {
        warning(out, "warning", o);
    }
}

void render_status_table(FILE *out, const json_t *status, bool color)
{
    uint64_t keys = 0;

    (void)field_count(json_object_get(status, "database"), "keys", &keys);
    head(out, status);
    table_of_replicas(out, json_object_get(status, "replicas"), keys, color);
}

void render_status_rest(FILE *out, const json_t *status)
{
    const json_t *o;
    size_t i;

    blocked_keys(out, status);
    ignored_files(out, status);
    warning(out, "database",
            json_object_get(json_object_get(status, "database"), "error"));
    render_warnings(out, status);
    json_array_foreach(json_object_get(status, "replicas"), i, o) {
        broken_link(out, o);
        replica_error(out, o);
    }
}

void render_status(FILE *out, const json_t *status, bool color)
{
    render_status_table(out, status, color);
    render_status_rest(out, status);
}
