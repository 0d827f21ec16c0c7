/* SPDX-License-Identifier: MIT
 *
 * behind: see behind.h.
 */
#include "agent/replica/behind.h"

#include "agent/base/log.h"
#include "agent/base/object.h"
#include "agent/config/hint_names.h"
#include "agent/replica/replica.h"
#include "store/base/clock.h"
#include "sync/errors/state.h"

/* What a replica lacks that is copied, compared or away, its state says; but
 * who refuses it or holds its lock, nothing else does. */
static bool is_told_by(enum replica_state state, const struct err *why)
{
    bool quiet = state == REPLICA_STREAMING || state == REPLICA_PAUSED;

    return !quiet && why->id == DR_LAG;
}

bool behind_why(const struct replica *r, bool index_ready, struct err *why)
{
    struct replica_status st;

    if (primary_keeps_up(r->all->core, r->number, r->all->config->lag_limit_ms,
                         clock_mono_ms(), why)) {
        return false;
    }
    primary_status(r->all->core, r->number, clock_mono_ms(), &st);

    /* An index that is being read says so itself. */
    if (is_told_by(st.state, why) ||
        (st.lag_ms < 0 && !index_ready && why->id == DR_LAG)) {
        return false;
    }
    (void)err_wrap(why, "replica %s%s", r->name,
                   st.state == REPLICA_PAUSED ? ", which is paused" : "");
    return true;
}

bool behind_flaps(const struct replica *r, struct err *why)
{
    int64_t now_ms = clock_mono_ms();

    if (!breaks_are_many(&r->breaks, now_ms)) {
        return false;
    }
    (void)err_set(why, ERR_CLOSED, 0,
                  "replica %s: the link broke %u times in %s, the last time %s "
                  "ago: DR-%03d %.300s",
                  r->name, breaks_count(&r->breaks, now_ms),
                  DURATION_TEXT(BREAKS_WINDOW_MS * NS_PER_MS),
                  DURATION_TEXT(breaks_last_ms(&r->breaks, now_ms) * NS_PER_MS),
                  r->breaks.last.id, r->breaks.last.msg);
    why->id = DR_FLAPPING;
    return true;
}

/* --- the log ------------------------------------------------------------- */

/* A replica that went away does not keep up for that. */
static bool is_there(const struct replica *r)
{
    struct replica_status st;

    primary_status(r->all->core, r->number, clock_mono_ms(), &st);
    return st.state == REPLICA_STREAMING || st.state == REPLICA_PAUSED;
}

static void caught_up(struct replica *r, int64_t now_ms)
{
    log_event(LOG_NOTICE, "keeps_up", r->name, 0, "again, after %s",
              DURATION_TEXT((now_ms - r->behind.since_ms) * NS_PER_MS));
    r->behind = (struct behind){0};
}

void behind_second(struct replica *r, bool index_ready)
{
    struct behind *b = &r->behind;
    struct err why = {0};
    int64_t now_ms = clock_mono_ms();

    if (!behind_flaps(r, &why) && !behind_why(r, index_ready, &why)) {
        if (b->id != 0 && is_there(r)) {
            caught_up(r, now_ms);
        }
        return;
    }
    if (b->id == 0) {
        b->since_ms = now_ms;
    }
    if (b->id != why.id || now_ms - b->logged_ms >= BEHIND_LOG_MS) {
        b->logged_ms = now_ms;
        log_event(LOG_WARNING, "behind", r->name, why.id, "err=\"%s\"",
                  why.msg);
    }
    b->id = why.id;
}

/* --- for status ---------------------------------------------------------- */

json_t *behind_refused_json(const struct replica *r, bool with_keys)
{
    struct primary_refused x;

    if (!primary_refused(r->all->core, r->number, clock_mono_ms(), &x)) {
        return json_null();
    }
    json_t *o =
        json_pack("{s:I, s:o, s:b}", "count", (json_int_t)x.count, "since_s",
                  object_seconds(x.since_ms), "is_table", x.is_table);
    if (with_keys) {
        object_set_name(o, "table", x.table);
        if (!x.is_table) {
            object_set_name(o, "key", x.key);
        }
    }
    (void)json_object_set_new(o, "errno", json_integer(x.err.sys));
    (void)json_object_set_new(
        o, "error", hint_names_error(&x.err, r->all->config, r->config));
    return o;
}

json_t *behind_breaks_json(const struct replica *r)
{
    int64_t now_ms = clock_mono_ms();
    unsigned count = breaks_count(&r->breaks, now_ms);

    if (count == 0) {
        return json_null();
    }
    return json_pack(
        "{s:i, s:o, s:o, s:b, s:o}", "count", (int)count, "window_s",
        object_seconds(BREAKS_WINDOW_MS), "last_s",
        object_seconds(breaks_last_ms(&r->breaks, now_ms)), "flapping",
        breaks_are_many(&r->breaks, now_ms), "error",
        hint_names_error(&r->breaks.last, r->all->config, r->config));
}
