/* SPDX-License-Identifier: MIT
 *
 * metrics: see metrics.h.
 *
 * A family is written with all its samples in one go, as both formats ask for:
 * over the one database, or over all replicas.
 */
#include "agent/metrics/metrics.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/prom.h"
#include "sync/errors/state.h"

enum kind { GAUGE, COUNTER };

struct family {
    const char *name; /* without drover_ and _total */
    enum kind kind;
    const char *path; /* in the status object or one of its replicas */
    const char *help;
};

static const struct family OF_DATABASE[] = {
    {"healthy", GAUGE, "healthy", "1 if drover status would exit with 0."},
    {"uptime_seconds", GAUGE, "uptime_s", "Since the agent started."},
    {"resident_memory_bytes", GAUGE, "rss_bytes", "Memory of the agent."},
    {"index_memory_bytes", GAUGE, "database.index_memory_bytes",
     "Memory for what is known of each key."},
    {"epoch", GAUGE, "database.epoch", "The primary's epoch."},
    {"keys", GAUGE, "database.keys", "Keys on the primary."},
    {"tables", GAUGE, "database.tables", "Tables on the primary."},
    {"values_bytes", GAUGE, "database.bytes", "Values on the primary."},
    {"watched_directories", GAUGE, "database.watches",
     "Directories with an inotify watch."},
    {"unwatched_directories", GAUGE, "database.unwatched",
     "Directories without one: only scans see changes there."},
    {"watch_events", COUNTER, "database.events", "Events from inotify."},
    {"watch_overflows", COUNTER, "database.overflows",
     "Times that events were lost and the database was scanned."},
    {"unreadable_keys", GAUGE, "database.unreadable",
     "Keys and tables that cannot be read."},
    {"ignored_files", GAUGE, "database.ignored",
     "Files that are neither keys nor tables."},
    {"scan_running", GAUGE, "database.scan_running", "1 during a scan."},
    {"scan_age_seconds", GAUGE, "database.scan_age_s",
     "Since the last scan ended."},
    {"reads", COUNTER, "database.looks", "Keys looked at after events."},
    {"values_read", COUNTER, "database.values_read", "Values read."},
    {"log_changes", GAUGE, "database.log_changes",
     "Changes remembered for replicas that have not got them."},
    {"log_bytes", GAUGE, "database.log_bytes", "Memory for these."},
    {"cache_bytes", GAUGE, "database.cache_bytes",
     "Memory for values that several replicas get."},
    {"blocked_keys", GAUGE, "blocked_count",
     "Keys that a lock or a steady change keeps from being replicated."},
};

static const struct family OF_REPLICA[] = {
    {"lag_seconds", GAUGE, "lag_s",
     "Age of the oldest change that is not acknowledged."},
    {"silence_seconds", GAUGE, "silence_s", "Since it was last heard from."},
    {"ack_age_seconds", GAUGE, "ack_age_s", "Since it last acknowledged."},
    {"pending_keys", GAUGE, "pending_keys", "Changes not acknowledged."},
    {"pending_bytes", GAUGE, "pending_bytes", "Of those whose size is known."},
    {"keys", GAUGE, "replica_keys", "Keys on the replica, as it last said."},
    {"values_bytes", GAUGE, "replica_bytes", "Values on the replica."},
    {"held_deletes", GAUGE, "held_deletes", "Deletes that the brake holds."},
    {"refused_keys", GAUGE, "refused.count",
     "Changes that the replica answers no to."},
    {"recent_breaks", GAUGE, "breaks.count",
     "Sessions that broke in the last ten minutes."},
    {"failed_attempts", GAUGE, "attempts",
     "Attempts to connect since the last success."},
    {"sessions", COUNTER, "sessions", "Sessions that began."},
    {"acked_changes", COUNTER, "acked_changes", "Changes acknowledged."},
    {"sent_bytes", COUNTER, "sent_bytes", "Bytes sent to it."},
    {"received_bytes", COUNTER, "received_bytes", "Bytes received from it."},
};

struct text {
    FILE *out;
    enum metrics_format format;
    const char *database;
    const json_t *replicas;
};

/* --- writing -------------------------------------------------------------- */

const char *metrics_content_type(enum metrics_format format)
{
    return format == METRICS_OPENMETRICS
               ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
               : "text/plain; version=0.0.4; charset=utf-8";
}

static void put_label(struct text *t, const char *name, const char *value)
{
    (void)fputc(',', t->out);
    prom_label(t->out, name, value);
}

/* "drover_replica_NAME{db="orders",replica="eu-1""; the caller goes on. */
static void begin_sample(struct text *t, const char *name, const char *suffix,
                         const json_t *replica)
{
    const char *who = json_string_value(json_object_get(replica, "name"));

    (void)fprintf(t->out, "drover_%s%s%s{", replica != NULL ? "replica_" : "",
                  name, suffix);
    prom_label(t->out, "db", t->database);
    if (replica != NULL) {
        put_label(t, "replica", who != NULL ? who : "");
    }
}

/* In the older format a counter's name ends in _total everywhere. */
static void put_head(struct text *t, const char *scope, const char *name,
                     const char *type, const char *help)
{
    const char *suffix =
        t->format == METRICS_PROMETHEUS && strcmp(type, "counter") == 0
            ? "_total"
            : "";

    char whole[128];

    (void)snprintf(whole, sizeof whole, "drover_%s%s%s", scope, name, suffix);
    prom_head(t->out, whole, type, help);
}

/* --- families from the tables --------------------------------------------- */

static const json_t *at(const json_t *o, const char *path)
{
    char word[64];

    while (o != NULL && *path != '\0') {
        size_t len = strcspn(path, ".");
        (void)snprintf(word, sizeof word, "%.*s", (int)len, path);
        o = json_object_get(o, word);
        path += path[len] == '.' ? len + 1 : len;
    }
    return o;
}

/* NAN: not known, so no sample.  What is null because there is nothing of it
 * ("refused": null) counts 0. */
static double number_of(const json_t *o, const char *path)
{
    const json_t *v = at(o, path);

    if (json_is_number(v)) {
        return json_number_value(v);
    }
    if (json_is_boolean(v)) {
        return json_is_true(v) ? 1 : 0;
    }
    char parent[64];
    (void)snprintf(parent, sizeof parent, "%.*s", (int)strcspn(path, "."),
                   path);
    return v == NULL && json_is_null(at(o, parent)) ? 0 : (double)NAN;
}

static void put_number(struct text *t, const struct family *f,
                       const json_t *object, const json_t *replica)
{
    double value = number_of(object, f->path);

    if (!isnan(value)) {
        begin_sample(t, f->name, f->kind == COUNTER ? "_total" : "", replica);
        prom_end(t->out, value);
    }
}

static void put_tables(struct text *t, const json_t *status)
{
    size_t i;
    const json_t *replica;

    for (i = 0; i < sizeof OF_DATABASE / sizeof OF_DATABASE[0]; i++) {
        const struct family *f = &OF_DATABASE[i];
        put_head(t, "", f->name, f->kind == COUNTER ? "counter" : "gauge",
                 f->help);
        put_number(t, f, status, NULL);
    }
    for (size_t k = 0; k < sizeof OF_REPLICA / sizeof OF_REPLICA[0]; k++) {
        const struct family *f = &OF_REPLICA[k];
        put_head(t, "replica_", f->name,
                 f->kind == COUNTER ? "counter" : "gauge", f->help);
        json_array_foreach(t->replicas, i, replica) {
            put_number(t, f, replica, replica);
        }
    }
}

/* --- families with labels of their own ------------------------------------ */

static void put_build(struct text *t, const json_t *status)
{
    const char *version = json_string_value(json_object_get(status, "version"));

    put_head(t, "", "build_info", "gauge", "The agent's version.");
    begin_sample(t, "build_info", "", NULL);
    put_label(t, "version", version != NULL ? version : "");
    prom_end(t->out, 1);
}

static void put_database_state(struct text *t, const json_t *status)
{
    static const char *const STATES[] = {"ok", "scanning", "lost"};
    const char *state = json_string_value(at(status, "database.state"));

    put_head(t, "", "database_state", "gauge",
             "1 for the state that the database is in.");
    for (size_t i = 0; i < sizeof STATES / sizeof STATES[0]; i++) {
        begin_sample(t, "database_state", "", NULL);
        put_label(t, "state", STATES[i]);
        prom_end(t->out, state != NULL && strcmp(state, STATES[i]) == 0);
    }
}

static void put_replica_state(struct text *t)
{
    size_t i;
    const json_t *replica;

    put_head(t, "replica_", "state", "gauge",
             "1 for the state that the replica is in.");
    json_array_foreach(t->replicas, i, replica) {
        const char *state =
            json_string_value(json_object_get(replica, "state"));
        for (int s = 0; s <= REPLICA_FAILED; s++) {
            const char *word = replica_state_word((enum replica_state)s);
            begin_sample(t, "state", "", replica);
            put_label(t, "state", word);
            prom_end(t->out, state != NULL && strcmp(state, word) == 0);
        }
    }
}

static void put_error_id(struct text *t, const json_t *error)
{
    char id[16];

    (void)snprintf(id, sizeof id, "DR-%03d",
                   (int)json_integer_value(json_object_get(error, "id")) %
                       1000);
    put_label(t, "id", id);
}

/* A number that is there twice is one sample. */
static bool seen_before(const json_t *list, size_t i)
{
    json_int_t id =
        json_integer_value(json_object_get(json_array_get(list, i), "id"));

    for (size_t k = 0; k < i; k++) {
        if (json_integer_value(
                json_object_get(json_array_get(list, k), "id")) == id) {
            return true;
        }
    }
    return false;
}

static void put_errors(struct text *t, const json_t *status)
{
    size_t i;
    const json_t *o;
    const json_t *warnings = json_object_get(status, "warnings");

    put_head(t, "", "warning", "gauge",
             "1 for each number of drover-errors(7) that status warns with.");
    json_array_foreach(warnings, i, o) {
        if (!seen_before(warnings, i)) {
            begin_sample(t, "warning", "", NULL);
            put_error_id(t, o);
            prom_end(t->out, 1);
        }
    }
    put_head(t, "replica_", "error", "gauge",
             "1 for the number of drover-errors(7) that a replica has.");
    json_array_foreach(t->replicas, i, o) {
        const json_t *error = json_object_get(o, "error");
        if (json_is_object(error)) {
            begin_sample(t, "error", "", o);
            put_error_id(t, error);
            prom_end(t->out, 1);
        }
    }
}

static void put_blocked_oldest(struct text *t, const json_t *status)
{
    size_t i;
    const json_t *o;
    double oldest = 0;

    json_array_foreach(json_object_get(status, "blocked"), i, o) {
        double s = json_number_value(json_object_get(o, "waited_s"));
        oldest = s > oldest ? s : oldest;
    }
    put_head(t, "", "blocked_oldest_seconds", "gauge",
             "How long the key that waits longest has waited.");
    begin_sample(t, "blocked_oldest_seconds", "", NULL);
    prom_end(t->out, oldest);
}

static void put_histogram(struct text *t, const json_t *replica)
{
    size_t i;
    const json_t *bucket;
    const json_t *latency = json_object_get(replica, "latency");
    double count = json_number_value(json_object_get(latency, "count"));

    json_array_foreach(json_object_get(latency, "buckets"), i, bucket) {
        double le_s = json_number_value(json_object_get(bucket, "le_s"));
        char bound[32];
        /* OpenMetrics asks for a point in it. */
        (void)snprintf(bound, sizeof bound,
                       le_s - floor(le_s) > 0 ? "%.9g" : "%.1f", le_s);
        begin_sample(t, "latency_seconds", "_bucket", replica);
        put_label(t, "le", bound);
        prom_end(t->out, json_number_value(json_object_get(bucket, "count")));
    }
    begin_sample(t, "latency_seconds", "_bucket", replica);
    put_label(t, "le", "+Inf");
    prom_end(t->out, count);
    begin_sample(t, "latency_seconds", "_sum", replica);
    prom_end(t->out, json_number_value(json_object_get(latency, "sum_s")));
    begin_sample(t, "latency_seconds", "_count", replica);
    prom_end(t->out, count);
}

static void put_latency(struct text *t)
{
    size_t i;
    const json_t *replica;

    put_head(t, "replica_", "latency_seconds", "histogram",
             "From a change's event until it is durable on the replica.");
    json_array_foreach(t->replicas, i, replica) {
        if (json_is_object(json_object_get(replica, "latency"))) {
            put_histogram(t, replica);
        }
    }
}

char *metrics_text(const json_t *status, enum metrics_format format,
                   size_t *len_out)
{
    char *out = NULL;
    size_t len = 0;
    const char *database = json_string_value(at(status, "database.name"));
    struct text t = {.out = open_memstream(&out, &len),
                     .format = format,
                     .database = database != NULL ? database : "",
                     .replicas = json_object_get(status, "replicas")};

    if (t.out == NULL) {
        return NULL;
    }
    put_build(&t, status);
    put_tables(&t, status);
    put_database_state(&t, status);
    put_replica_state(&t);
    put_errors(&t, status);
    put_blocked_oldest(&t, status);
    put_latency(&t);
    if (format == METRICS_OPENMETRICS) {
        (void)fputs("# EOF\n", t.out);
    }
    bool whole = !ferror(t.out);
    if (fclose(t.out) != 0 || !whole) {
        free(out);
        return NULL;
    }
    *len_out = len;
    return out;
}
