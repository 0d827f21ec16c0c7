/* SPDX-License-Identifier: MIT
 *
 * status: see status.h; the object is described in control.h.
 *
 * Reads counters only: it walks no table, takes no lock that is held for long,
 * and asks no replica, so it answers at once whatever they do.  In addition to
 * what control.h names, "database" has "epoch", "directories", "unwatched",
 * "temps" (of the last scan), "ignored", "scan_progress" (keys),
 * "index_memory_bytes", "log_changes", "log_bytes", "cache_bytes", and the top
 * has "rss_bytes".
 */
#include "agent/daemon/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

#include "agent/base/object.h"
#include "agent/config/hint_names.h"
#include "agent/notes/held.h"
#include "agent/replica/left_out.h"
#include "store/base/hex.h"
#include "store/base/quote.h"
#include "store/base/utc.h"
#include "store/cmdline/version.h"
#include "sync/errors/state.h"

enum { BLOCKED_MAX = 20, US_PER_S = 1000000 };

/* ERROR with the names of the database in its hint, or null. */
static json_t *error_here(const struct daemon *d, const struct err *err)
{
    return hint_names_error(err, d->config, NULL);
}

/* The same with those of a replica. */
static json_t *error_of(const struct replica *r, const struct err *err)
{
    return hint_names_error(err, r->all->config, r->config);
}

static json_t *number(uint64_t n)
{
    return json_integer((json_int_t)n);
}

static json_t *text_or_null(const char *s)
{
    return s[0] != '\0' && quote_is_utf8(s, strlen(s)) ? json_string(s)
                                                       : json_null();
}

static json_t *micros(int64_t us)
{
    return us < 0 ? json_null() : json_integer((json_int_t)us);
}

static json_t *moment(int64_t wall_ns)
{
    return wall_ns <= 0 ? json_null() : json_string(UTC_TEXT(wall_ns));
}

static uint64_t resident_bytes(void)
{
    unsigned long long total, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    if (f == NULL) {
        return 0;
    }
    if (fscanf(f, "%llu %llu", &total, &resident) != 2) {
        resident = 0;
    }
    (void)fclose(f);

    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static const char *database_state(const struct daemon *d)
{
    if (d->coverage.root == ROOT_LOST) {
        return "lost";
    }
    return coverage_complete(&d->coverage) ? "ok" : "scanning";
}

static json_t *database_json(struct daemon *d)
{
    struct watch_counts w;
    struct primary_counts p;
    char id[IDENTITY_HEX_BYTES];
    const struct scan_result *scan = &d->last_scan.result;
    bool scanned = d->last_scan.took_ms >= 0;

    watch_counts(d->watch, &w);
    primary_counts(d->core, &p);
    json_t *o = json_pack(
        "{s:s?, s:s?, s:s?, s:s, s:s, s:o, s:b}", "name", d->config->name,
        "path", d->config->path, "file", d->config->file, "id",
        hex_encode(id, d->self.id, sizeof d->self.id), "state",
        database_state(d), "error", error_here(d, &d->lost.err), "scan_running",
        scans_busy(d->scans));
    if (o == NULL) {
        return json_object();
    }
    (void)json_object_set_new(
        o, "scan_age_s",
        scanned ? object_seconds(daemon_ms() - d->coverage.ended_ms)
                : json_null());
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
        {"epoch", d->self.epoch},
        {"keys", index_count(d->ix)},
        {"tables", index_tables(d->ix)},
        {"bytes", index_bytes(d->ix)},
        {"watches", w.watched},
        {"directories", w.directories},
        {"unwatched", w.unwatched},
        {"overflows", w.overflows},
        {"events", w.events},
        {"unreadable", p.unreadable + d->coverage.unread},
        {"temps", scan->counts.temps},
        {"ignored", ignored_count(d->ignored)},
        {"scan_progress", scans_progress(d->scans)},
        {"index_memory_bytes", index_memory_bytes(d->ix)},
        {"log_changes", p.log_changes},
        {"log_bytes", p.log_bytes},
        {"cache_bytes", p.cache_bytes},
        {"looks", p.reads},
        {"values_read", p.values_read},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        (void)json_object_set_new(o, numbers[i].name, number(numbers[i].value));
    }
    return o;
}

/* All of them since the start; each bucket counts what the ones before do. */
static json_t *latency_json(const struct latency_totals *l)
{
    json_t *buckets = json_array();
    uint64_t count = 0;

    for (size_t i = 0; i < LATENCY_BUCKETS; i++) {
        count += l->buckets[i];
        (void)json_array_append_new(
            buckets, json_pack("{s:f, s:o}", "le_s",
                               (double)latency_bounds_us[i] / US_PER_S, "count",
                               number(count)));
    }
    return json_pack("{s:o, s:f, s:o}", "count", number(l->count), "sum_s",
                     (double)l->sum_us / US_PER_S, "buckets", buckets);
}

static void set_numbers(json_t *o, const struct replica *r,
                        const struct replica_status *st)
{
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
        {"pending_keys", st->pending_keys},
        {"pending_bytes", st->pending_bytes},
        {"attempts", st->attempts},
        {"held_deletes", st->held_deletes},
        {"sessions", st->sessions},
        {"acked_changes", st->acked_changes},
        {"sent_bytes", st->sent_bytes},
        {"received_bytes", st->received_bytes},
        {"replica_keys", st->replica_keys},
        {"replica_bytes", st->replica_bytes},
        {"replaced", st->replaced},
        {"watermark", st->watermark},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        (void)json_object_set_new(o, numbers[i].name, number(numbers[i].value));
    }
    (void)json_object_set_new(o, "rate", json_real(r->rate));
    (void)json_object_set_new(o, "lag_s", object_seconds(st->lag_ms));
    (void)json_object_set_new(o, "ack_age_s", object_seconds(st->ack_age_ms));
    (void)json_object_set_new(o, "silence_s", object_seconds(st->silence_ms));
    (void)json_object_set_new(o, "latency_p50_us", micros(st->latency_p50_us));
    (void)json_object_set_new(o, "latency_p99_us", micros(st->latency_p99_us));
    (void)json_object_set_new(o, "latency", latency_json(st->latency));
}

static json_t *replica_json(struct daemon *d, const struct replica *r,
                            const struct replica_status *st, bool with_keys)
{
    char target[300];
    int64_t next_ms = r->next_try_ms != 0 ? r->next_try_ms - daemon_ms() : -1;
    bool quiet = st->state == REPLICA_STREAMING || st->state == REPLICA_PAUSED;
    json_t *o = json_object();

    (void)json_object_set_new(o, "name", json_string(r->name));
    (void)json_object_set_new(
        o, "target", text_or_null(replica_target(r, target, sizeof target)));
    (void)json_object_set_new(o, "state",
                              json_string(replica_state_word(st->state)));
    set_numbers(o, r, st);
    (void)json_object_set_new(o, "version", text_or_null(st->version));
    (void)json_object_set_new(o, "host", text_or_null(st->host));
    (void)json_object_set_new(o, "equal_as_of", moment(st->equal_wall_ns));
    (void)json_object_set_new(o, "next_try_s",
                              r->next_try_ms != 0
                                  ? object_seconds(next_ms > 0 ? next_ms : 0)
                                  : json_null());
    json_t *held =
        held_json(r, d->root != NULL ? &d->root->db : NULL, with_keys, false);
    (void)json_object_set_new(o, "held", held);
    (void)json_object_set_new(o, "undone", unclean_json(r, with_keys));
    (void)json_object_set_new(o, "refused", behind_refused_json(r, with_keys));
    (void)json_object_set_new(o, "breaks", behind_breaks_json(r));
    /* What went wrong before is history once it works again, and stays so. */
    const struct err *err = &st->last_error;
    if ((quiet || err->code == 0) && breaks_are_many(&r->breaks, daemon_ms())) {
        err = &r->breaks.last;
        quiet = false;
    }
    json_t *error = quiet ? json_null() : error_of(r, err);
    /* Nothing to approve, but something to put right. */
    json_t *covered = json_object_get(held, "covered");
    if (st->state == REPLICA_HELD && json_is_object(covered)) {
        json_decref(error);
        error = json_incref(covered);
    }
    (void)json_object_set_new(o, "error", error);
    return o;
}

static json_t *blocked_json(const struct blocked_key *b, const char *replica,
                            bool with_keys)
{
    json_t *o = json_object();

    (void)json_object_set_new(
        o, "side", json_string(b->on_primary ? "primary" : "replica"));
    (void)json_object_set_new(
        o, "replica", replica != NULL ? json_string(replica) : json_null());
    if (with_keys) {
        object_set_name(o, "table", b->table);
        object_set_name(o, "key", b->key);
    }
    (void)json_object_set_new(o, "pid",
                              b->pid != 0 ? number(b->pid) : json_null());
    (void)json_object_set_new(o, "comm", text_or_null(b->comm));
    (void)json_object_set_new(o, "waited_s", object_seconds(b->waited_ms));
    (void)json_object_set_new(
        o, "changed_tries", b->changed > 0 ? number(b->changed) : json_null());
    return o;
}

static void add_blocked(struct daemon *d, struct replica *r, bool with_keys,
                        json_t *list, uint64_t *count)
{
    struct blocked_key keys[BLOCKED_MAX];
    size_t n = primary_blocked(d->core, r != NULL ? r->number : -1, daemon_ms(),
                               keys, BLOCKED_MAX);
    size_t have = n < BLOCKED_MAX ? n : BLOCKED_MAX;

    *count += n;
    for (size_t i = 0; i < have; i++) {
        /* A lock held for a moment is how a database works. */
        if (keys[i].changed == 0 &&
            keys[i].waited_ms < d->config->lock_timeout_ms) {
            --*count;
            continue;
        }
        if (json_array_size(list) < BLOCKED_MAX) {
            (void)json_array_append_new(
                list,
                blocked_json(&keys[i], r != NULL ? r->name : NULL, with_keys));
        }
    }
}

/* Said, but neither trouble nor a change: new files that may be temporaries. */
static json_t *unborn_json(struct daemon *d, bool with_keys)
{
    struct blocked_key keys[BLOCKED_MAX];
    json_t *list = json_array();
    size_t n = primary_unborn(d->core, daemon_ms(), keys, BLOCKED_MAX);

    for (size_t i = 0; i < n && i < BLOCKED_MAX; i++) {
        if (keys[i].waited_ms >= d->config->lock_timeout_ms) {
            (void)json_array_append_new(
                list, blocked_json(&keys[i], NULL, with_keys));
        }
    }
    return list;
}

/* It is tried again, but until then what it was for is not known. */
static json_t *scan_error(const struct daemon *d)
{
    struct err err = d->last_scan.err;

    (void)err_wrap(&err, "the last scan failed");
    if (err.id == 0) {
        err.id = DR_UNREADABLE;
    }
    return error_here(d, &err);
}

void status_add_ignored(const struct daemon *d, bool with_names,
                        json_t *warnings)
{
    struct err err;

    if (ignored_warning(d->ignored, index_count(d->ix), with_names, &err)) {
        (void)json_array_append_new(warnings, error_here(d, &err));
    }
}

static json_t *warnings_json(struct daemon *d, bool with_keys)
{
    struct primary_counts p;
    json_t *list = json_array();

    primary_counts(d->core, &p);
    const struct err *const here[] = {&d->watch_err, &d->saved.err,
                                      &d->metrics_err, &d->events_err};
    for (size_t i = 0; i < sizeof here / sizeof *here; i++) {
        if (here[i]->code != 0) {
            (void)json_array_append_new(list, error_here(d, here[i]));
        }
    }
    if (d->last_scan.rc < 0 && d->coverage.root == ROOT_HERE) {
        (void)json_array_append_new(list, scan_error(d));
    }
    if (d->coverage.unread > 0) {
        (void)json_array_append_new(list, error_here(d, &d->unread_err));
    }
    struct replica *r;
    struct err err = {0};
    DL_FOREACH(d->replicas.list, r) {
        if (unclean_warning(r, &err)) {
            (void)json_array_append_new(list, error_of(r, &err));
        }
        if (behind_why(r, d->coverage.index_ready, &err)) {
            (void)json_array_append_new(list, error_of(r, &err));
        }
        if (behind_flaps(r, &err)) {
            (void)json_array_append_new(list, error_of(r, &err));
        }
    }
    status_add_ignored(d, with_keys, list);
    if (p.unreadable > 0) {
        (void)err_set(&err, ERR_PERM, 0, "%s%" PRIu64 " %s cannot be read%s%s",
                      p.unreadable_id == DR_COVERED
                          ? "something else is in a table's place: "
                      : p.unreadable_id == DR_PASSED_OVER
                          ? "something else is in a key's place: "
                          : "",
                      p.unreadable,
                      p.unreadable == 1 ? "key or table" : "keys or tables",
                      with_keys && p.unreadable_text[0] != '\0' ? ": " : "",
                      with_keys ? p.unreadable_text : "");
        err.id = p.unreadable_id;
        (void)json_array_append_new(list, error_here(d, &err));
    }
    return list;
}

void status_add_poor(const struct daemon *d, json_t *warnings)
{
    if (d->poor_err.code != 0) {
        (void)json_array_append_new(warnings, error_here(d, &d->poor_err));
    }
}

/* Some key is not on the replicas as it is here, for it never holds still. */
static bool is_changing(struct daemon *d)
{
    struct primary_counts p;

    primary_counts(d->core, &p);
    return p.changing > 0;
}

json_t *daemon_status(struct daemon *d, bool with_keys)
{
    json_t *replicas = json_array();
    json_t *blocked = json_array();
    uint64_t blocked_count = 0;
    json_t *warnings = warnings_json(d, with_keys);
    bool healthy = coverage_complete(&d->coverage) &&
                   json_array_size(warnings) == 0 && !is_changing(d);

    status_add_poor(d, warnings); /* said, but nothing is wrong with it now */
    struct replica *r;
    add_blocked(d, NULL, with_keys, blocked, &blocked_count);
    DL_FOREACH(d->replicas.list, r) {
        struct replica_status st;
        primary_status(d->core, r->number, daemon_ms(), &st);
        healthy = healthy &&
                  (st.state == REPLICA_STREAMING || st.state == REPLICA_PAUSED);
        (void)json_array_append_new(replicas,
                                    replica_json(d, r, &st, with_keys));
        add_blocked(d, r, with_keys, blocked, &blocked_count);
    }
    healthy = !left_out_json(&d->replicas, replicas) && healthy;
    return json_pack("{s:i, s:s, s:i, s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:o, "
                     "s:o, s:o}",
                     "schema", 1, "version", version_text(), "pid",
                     (int)getpid(), "uptime_s",
                     object_seconds(daemon_ms() - d->began_ms), "rss_bytes",
                     number(resident_bytes()), "healthy", healthy, "database",
                     database_json(d), "replicas", replicas, "blocked", blocked,
                     "blocked_count", number(blocked_count), "unborn",
                     unborn_json(d, with_keys), "ignored",
                     with_keys ? ignored_json(d->ignored) : json_array(),
                     "warnings", warnings);
}

json_t *daemon_events(struct daemon *d, const struct events_query *q)
{
    return d->events != NULL ? events_answer(d->events, q) : NULL;
}
