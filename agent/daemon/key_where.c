/* SPDX-License-Identifier: MIT
 *
 * key_where: what is known of one key, here and on each replica, as KEY of
 * control.h.
 *
 * All of it comes from the index and the core (primary_where()); neither the
 * disk nor a replica is asked, so it answers at once.  What cannot be known is
 * said to be unknown.
 */
#include <string.h>
#include <utlist.h>

#include "agent/base/object.h"
#include "agent/config/hint_names.h"
#include "agent/daemon/daemon_impl.h"
#include "agent/replica/left_out.h"
#include "store/base/hex.h"
#include "store/base/quote.h"
#include "store/base/utc.h"
#include "sync/errors/state.h"

enum { DIGEST_HEX_BYTES = 2 * sizeof(struct digest) + 1 };

/* The SHA-256 half as others print it: first byte first. */
static json_t *digest_json(struct digest d)
{
    char hex[DIGEST_HEX_BYTES];
    uint8_t bytes[sizeof d];

    for (size_t i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(d.lo >> (8 * i));
        bytes[8 + i] = (uint8_t)(d.hi >> (8 * i));
    }
    return json_string(hex_encode(hex, bytes, sizeof bytes));
}

/* --- one place ----------------------------------------------------------- */

static const char *state_word(const struct primary_where *w, bool present)
{
    switch (w->state) {
    case WHERE_SAME:
        return present ? "has" : "gone";
    case WHERE_WAS_SAME:
        return present ? "had" : "was-gone";
    case WHERE_PENDING:
        return uncompared_word(w->why);
    case WHERE_HELD:
        return "held";
    case WHERE_DIFFERS:
        return "differs";
    case WHERE_UNKNOWN:
        break;
    }
    return "unknown";
}

static void set_pending(json_t *o, const struct primary_where *w)
{
    bool comm = w->comm[0] != '\0' && quote_is_utf8(w->comm, strlen(w->comm));

    (void)json_object_set_new(
        o, "side", json_string(w->on_primary ? "primary" : "replica"));
    (void)json_object_set_new(o, "sent", json_boolean(w->sent));
    (void)json_object_set_new(o, "pending_s", object_seconds(w->pending_ms));
    (void)json_object_set_new(o, "waits_s", object_seconds(w->waits_ms));
    (void)json_object_set_new(
        o, "ahead", w->ahead >= 0 ? json_integer(w->ahead) : json_null());
    (void)json_object_set_new(o, "errno",
                              w->sys != 0 ? json_integer(w->sys) : json_null());
    (void)json_object_set_new(o, "pid",
                              w->pid != 0 ? json_integer(w->pid) : json_null());
    (void)json_object_set_new(o, "comm",
                              comm ? json_string(w->comm) : json_null());
}

/* Adds PLACE to `o`; takes `error`. */
static void set_place(json_t *o, const struct primary_where *w, bool present,
                      json_t *error)
{
    (void)json_object_set_new(o, "state", json_string(state_word(w, present)));
    (void)json_object_set_new(o, "connected", json_boolean(w->connected));
    (void)json_object_set_new(o, "error", error);
    if (w->state == WHERE_PENDING) {
        set_pending(o, w);
    }
}

/* --- the replicas -------------------------------------------------------- */

/* Without a session the reason is why there is none, unless the key has one of
 * its own. */
static void find_why(const struct primary_where *w,
                     const struct replica_status *st, struct err *why)
{
    bool own = w->state == WHERE_PENDING && w->why != UNCOMPARED_PENDING;

    *why = w->err;
    if (own || w->connected || w->state == WHERE_HELD ||
        w->state == WHERE_DIFFERS) {
        return;
    }
    if (st->state == REPLICA_PAUSED) {
        (void)err_set(why, ERR_CLOSED, 0, "paused by the operator");
        why->id = DR_NONE;
    } else if (st->last_error.code != 0) {
        *why = st->last_error;
    } else {
        (void)err_set(why, ERR_CLOSED, 0, "not connected yet");
        why->id = DR_NONE;
    }
}

static json_t *replica_place(struct daemon *d, const struct replica *r,
                             struct bytes table, struct bytes key, bool present,
                             bool *good)
{
    struct primary_where w;
    struct replica_status st;
    struct err why;

    primary_where(d->core, r->number, table, key, daemon_ms(), &w);
    primary_status(d->core, r->number, daemon_ms(), &st);
    find_why(&w, &st, &why);
    json_t *o = json_pack("{s:s, s:s}", "name", r->name, "replica_state",
                          replica_state_word(st.state));
    set_place(o, &w, present, hint_names_error(&why, d->config, r->config));
    *good = *good && w.state == WHERE_SAME;
    return o;
}

static json_t *replicas_json(struct daemon *d, struct bytes table,
                             struct bytes key, bool present, bool *good)
{
    json_t *list = json_array();
    const struct replica *r;

    DL_FOREACH(d->replicas.list, r) {
        (void)json_array_append_new(
            list, replica_place(d, r, table, key, present, good));
    }
    *good = !left_out_json(&d->replicas, list) && *good;
    return list;
}

/* --- all of it ----------------------------------------------------------- */

static json_t *primary_json(struct daemon *d, const struct primary_where *w,
                            bool present)
{
    json_t *o = json_object();
    const struct err *why =
        d->coverage.root == ROOT_LOST ? &d->lost.err : &w->err;

    set_place(o, w, present, hint_names_error(why, d->config, NULL));
    return o;
}

/* What the index has of it. */
static void set_entry(json_t *o, const struct index_entry *e)
{
    bool proven = e->stat.ino != 0;

    (void)json_object_set_new(o, "size",
                              json_integer((json_int_t)e->stat.size));
    (void)json_object_set_new(o, "digest", digest_json(e->digest));
    (void)json_object_set_new(o, "changed",
                              proven ? json_string(UTC_NANO(e->stat.ctime_ns))
                                     : json_null());
}

/* What was written just now is known of, too. */
static void catch_up(struct daemon *d)
{
    if (d->coverage.root == ROOT_HERE && d->watch != NULL) {
        watch_drain(d->watch);
        daemon_dirty(d);
    }
}

json_t *daemon_key(struct daemon *d, struct bytes table, struct bytes key,
                   int *exit_out)
{
    struct primary_where here;
    struct index_entry e, t;
    const struct index_key *secret = index_key(d->ix);

    catch_up(d);
    bool present = index_get(
        d->ix, index_name_key(secret, table.p, table.len, key.p, key.len), &e);
    bool table_here =
        table.len == 0 ||
        index_get(d->ix, index_name_table(secret, table.p, table.len), &t);
    primary_where(d->core, -1, table, key, daemon_ms(), &here);
    bool known = coverage_complete(&d->coverage) && here.state == WHERE_SAME;
    bool good = known;
    json_t *o =
        json_pack("{s:s, s:b, s:s}", "state",
                  present ? "present"
                  : known ? "absent"
                          : "unknown",
                  "table_here", table_here, "database", d->config->path);
    object_set_key(o, table, key, false);
    if (present) {
        set_entry(o, &e);
    }
    (void)json_object_set_new(o, "primary", primary_json(d, &here, present));
    (void)json_object_set_new(o, "replicas",
                              replicas_json(d, table, key, present, &good));
    *exit_out = known && !present ? EX_NOINPUT : good ? EXIT_GOOD : EXIT_BAD;
    return o;
}
