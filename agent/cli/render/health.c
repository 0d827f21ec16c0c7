/* SPDX-License-Identifier: MIT
 *
 * health: see health.h.
 */
#include "agent/cli/render/health.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "agent/cli/render/render_field.h"
#include "store/base/clock.h"
#include "store/base/units.h"
#include "sync/errors/state.h"

/* What is wrong, worst first, as it is found. */
struct verdict {
    enum health_code code;
    struct buf *text;
    unsigned said;
};

enum { SAID_MAX = 5 };

const char *health_word(enum health_code code)
{
    static const char *const WORDS[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};

    return WORDS[code];
}

static void say(struct verdict *v, enum health_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void say(struct verdict *v, enum health_code code, const char *fmt, ...)
{
    char text[300];
    va_list ap;

    v->code = code > v->code ? code : v->code;
    if (v->said++ >= SAID_MAX) {
        return;
    }
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    /* Figures follow the first bar, and more lines the first newline. */
    for (char *p = text; *p != '\0'; p++) {
        *p = *p == '|' || (unsigned char)*p < ' ' ? '/' : *p;
    }
    buf_printf(v->text, "%s%s", v->said > 1 ? "; " : "", text);
}

/* Seconds of the status as nanoseconds; -1: not known. */
static int64_t ns_of(const json_t *o, const char *name)
{
    int64_t ns;

    return field_seconds(o, name, &ns) ? ns : -1;
}

/* States in which nothing is wrong, but not all is there yet. */
static bool on_its_way(const char *state)
{
    return strcmp(state, "initial") == 0 || strcmp(state, "catchup") == 0 ||
           strcmp(state, "connecting") == 0;
}

static void judge_replica(struct verdict *v, const json_t *r,
                          const struct health_limits *limits)
{
    const char *name = field_text(r, "name", "-");
    const char *state = field_text(r, "state", "-");
    const json_t *error = json_object_get(r, "error");
    int64_t lag_ns = ns_of(r, "lag_s"), silence_ns = ns_of(r, "silence_s");

    if (json_is_object(error)) {
        say(v, HEALTH_CRITICAL, "%s %s DR-%03d", name, state,
            (int)json_integer_value(json_object_get(error, "id")));
    } else if (on_its_way(state)) {
        say(v, HEALTH_WARNING, "%s %s", name, state);
    } else if (strcmp(state, "streaming") != 0 &&
               strcmp(state, "paused") != 0) {
        say(v, HEALTH_CRITICAL, "%s %s", name, state);
    }
    if (limits->lag_ns >= 0 && (lag_ns < 0 || lag_ns > limits->lag_ns)) {
        say(v, HEALTH_CRITICAL, "%s lag %s", name,
            lag_ns < 0 ? "unknown" : DURATION_TEXT(lag_ns));
    }
    if (limits->silence_ns >= 0 &&
        (silence_ns < 0 || silence_ns > limits->silence_ns)) {
        say(v, HEALTH_CRITICAL, "%s silent %s", name,
            silence_ns < 0 ? "always" : DURATION_TEXT(silence_ns));
    }
}

static void judge(struct verdict *v, const json_t *status,
                  const struct health_limits *limits)
{
    const json_t *database = json_object_get(status, "database");
    const char *state = field_text(database, "state", "-");
    json_int_t blocked =
        json_integer_value(json_object_get(status, "blocked_count"));
    size_t i;
    const json_t *o;

    if (strcmp(state, "lost") == 0) {
        say(v, HEALTH_CRITICAL, "database lost");
    } else if (strcmp(state, "ok") != 0) {
        say(v, HEALTH_WARNING, "database %s", state);
    }
    json_array_foreach(json_object_get(status, "replicas"), i, o) {
        judge_replica(v, o, limits);
    }
    json_array_foreach(json_object_get(status, "warnings"), i, o) {
        if (json_integer_value(json_object_get(o, "id")) !=
            DR_POOR_FILESYSTEM) {
            say(v, HEALTH_CRITICAL, "DR-%03d %s",
                (int)json_integer_value(json_object_get(o, "id")),
                field_text(o, "text", ""));
        }
    }
    if (limits->blocked >= 0 && blocked > limits->blocked) {
        say(v, HEALTH_CRITICAL, "%" JSON_INTEGER_FORMAT " keys blocked",
            blocked);
    }
    if (!json_is_true(json_object_get(status, "healthy")) &&
        v->code == HEALTH_OK) {
        say(v, HEALTH_CRITICAL, "a key changes faster than it can be read");
    }
}

/* --- figures ---------------------------------------------------------------- */

/* "'eu-1 lag'=0.250s;;30;0": a limit of monitoring is its critical value. */
static void put_seconds(struct buf *line, const char *replica, const char *what,
                        int64_t ns, int64_t limit_ns)
{
    buf_printf(line, " '%s %s'=", replica, what);
    if (ns < 0) {
        buf_printf(line, "U");
        return;
    }
    buf_printf(line, "%.3fs;;", (double)ns / NS_PER_S);
    if (limit_ns >= 0) {
        buf_printf(line, "%.3f", (double)limit_ns / NS_PER_S);
    }
    buf_printf(line, ";0");
}

static void put_count(struct buf *line, const char *what, const json_t *o,
                      const char *name)
{
    buf_printf(line, " '%s'=%" JSON_INTEGER_FORMAT ";;;0", what,
               json_integer_value(json_object_get(o, name)));
}

static void put_figures(struct buf *line, const json_t *status,
                        const struct health_limits *limits)
{
    size_t i;
    const json_t *r;
    char label[96];

    buf_printf(line, " |");
    put_count(line, "keys", json_object_get(status, "database"), "keys");
    put_count(line, "blocked", status, "blocked_count");
    json_array_foreach(json_object_get(status, "replicas"), i, r) {
        const char *name = field_text(r, "name", "-");
        put_seconds(line, name, "lag", ns_of(r, "lag_s"), limits->lag_ns);
        put_seconds(line, name, "silence", ns_of(r, "silence_s"),
                    limits->silence_ns);
        (void)snprintf(label, sizeof label, "%s pending", name);
        put_count(line, label, r, "pending_keys");
    }
}

/* "2 streaming, 1 paused" */
static void put_states(struct buf *line, const json_t *replicas)
{
    size_t i;
    const json_t *r;
    const char *gap = "";

    if (json_array_size(replicas) == 0) {
        buf_printf(line, "no replicas");
    }
    for (int s = 0; s <= REPLICA_FAILED; s++) {
        const char *word = replica_state_word((enum replica_state)s);
        unsigned n = 0;
        json_array_foreach(replicas, i, r) {
            n += strcmp(field_text(r, "state", ""), word) == 0;
        }
        if (n > 0) {
            buf_printf(line, "%s%u %s", gap, n, word);
            gap = ", ";
        }
    }
}

enum health_code health_line(const json_t *status,
                             const struct health_limits *limits,
                             struct buf *line)
{
    struct buf why = {0};
    struct verdict v = {.code = HEALTH_OK, .text = &why};
    const json_t *database = json_object_get(status, "database");

    judge(&v, status, limits);
    buf_printf(line, "DROVER %s - %s: ", health_word(v.code),
               field_text(database, "name", "-"));
    put_states(line, json_object_get(status, "replicas"));
    if (v.said > 0) {
        buf_printf(line, "; %.*s", (int)why.len, (const char *)why.data);
    }
    if (v.said > SAID_MAX) {
        buf_printf(line, "; %u more: drover status", v.said - SAID_MAX);
    }
    put_figures(line, status, limits);
    buf_deinit(&why);
    return v.code;
}
