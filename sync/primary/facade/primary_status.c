/* SPDX-License-Identifier: MIT
 *
 * primary_status: what `drover status` shows, from counters and short lists;
 * nothing here scans the database or waits for a replica. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync/primary/facade/facade.h"

enum { BLOCKED_SHOWN_AFTER_MS = 1000 };

static enum replica_state state_of(const struct primary *p,
                                   const struct repl *r)
{
    if (r->session.paused) {
        return REPLICA_PAUSED;
    }
    if (r->session.state != SESSION_LIVE) {
        if (r->session.failed) {
            return REPLICA_FAILED;
        }
        /* A link that is up for the first time is no second attempt. */
        return r->session.attempts > 0 ? REPLICA_RETRYING : REPLICA_CONNECTING;
    }
    if (r->held > 0) {
        return REPLICA_HELD;
    }
    if (due_any(r)) {
        return r->initial ? REPLICA_INITIAL : REPLICA_CATCHUP;
    }
    /* With the database lost nothing streams, whatever the link does. */
    return p->lost ? REPLICA_CATCHUP : REPLICA_STREAMING;
}

/* Age of the oldest change that is not acknowledged.  Unknown while there may
 * be some that the log does not hold. */
static int64_t lag_of(struct primary *p, const struct repl *r, int64_t now_ms)
{
    const struct log_node *node = changelog_next(&p->log, r->id);
    int64_t oldest = INT64_MAX;

    if (r->forgotten || r->due.lag_unknown || r->held > 0 || p->lost ||
        !p->index_ready) {
        return -1;
    }
    if (node != NULL) {
        oldest = node->time_ms;
    }
    if (r->flights.list != NULL && r->flights.list->time_ms < oldest) {
        oldest = r->flights.list->time_ms;
    }
    if (oldest == INT64_MAX) {
        return 0;
    }
    return now_ms > oldest ? now_ms - oldest : 1; /* 0 is for nothing at all */
}

void primary_status(struct primary *p, int replica, int64_t now_ms,
                    struct replica_status *out)
{
    const struct repl *r = primary_repl(p, replica);

    memset(out, 0, sizeof *out);
    out->state = state_of(p, r);
    out->lag_ms = lag_of(p, r, now_ms);
    out->pending_keys = p->log.pending[r->id] + r->flights.count;
    out->pending_bytes = r->flights.window_bytes;
    out->ack_age_ms = r->session.ack_ms < 0 ? -1 : now_ms - r->session.ack_ms;
    out->silence_ms = r->session.rx_ms < 0 ? -1 : now_ms - r->session.rx_ms;
    out->equal_wall_ns = r->heartbeat.equal_wall_ns;
    out->watermark = flight_watermark(p, r);
    out->sessions = r->figures.sessions;
    out->acked_changes = r->figures.acked;
    out->sent_bytes = r->figures.sent_bytes;
    out->received_bytes = r->figures.received_bytes;
    out->replica_keys = r->figures.keys;
    out->replica_bytes = r->figures.bytes;
    out->replaced = r->figures.replaced;
    out->held_deletes = r->held;
    out->attempts = r->session.attempts;
    out->last_error = r->session.last_error;
    if (out->state == REPLICA_HELD) {
        (void)err_set(&out->last_error, ERR_REFUSED, 0,
                      "%" PRIu64 " deletes are held; the replica has %" PRIu64
                      " keys",
                      r->held, r->figures.keys);
        out->last_error.id = DR_BRAKE;
    }
    out->connected_ms =
        r->session.state == SESSION_LIVE ? now_ms - r->session.up_ms : -1;
    memcpy(out->version, r->session.version, sizeof out->version);
    memcpy(out->host, r->session.host, sizeof out->host);
    latency_recent(r->figures.latency, &out->latency_p50_us,
                   &out->latency_p99_us);
    out->latency = latency_totals(r->figures.latency);
}

static struct blocked_key blocked_of(const struct record *rec, bool here,
                                     int64_t waited_ms, uint32_t pid,
                                     const char comm[16])
{
    struct blocked_key b = {
        .on_primary = here, .pid = pid, .waited_ms = waited_ms};

    b.table = record_table(rec);
    b.key = record_key(rec);
    memcpy(b.comm, comm, sizeof b.comm);
    return b;
}

/* Keep the `max` longest waiting, longest first. */
static void keep(struct blocked_key *out, size_t *n, size_t max,
                 struct blocked_key b)
{
    size_t at = *n;

    while (at > 0 && out[at - 1].waited_ms < b.waited_ms) {
        at--;
    }
    if (at == max) {
        return;
    }
    if (*n < max) {
        (*n)++;
    }
    memmove(out + at + 1, out + at, (*n - 1 - at) * sizeof *out);
    out[at] = b;
}

size_t primary_blocked(struct primary *p, int replica, int64_t now_ms,
                       struct blocked_key *out, size_t max)
{
    size_t n = 0, all = 0;

    if (replica < 0) {
        const struct record *rec;
        DL_FOREACH2(p->retries, rec, read.retry_next) {
            int64_t waited_ms = now_ms - rec->read.blocked_ms;
            if (rec->read.blocked_ms != 0 &&
                waited_ms >= BLOCKED_SHOWN_AFTER_MS) {
                all++;
                keep(out, &n, max,
                     blocked_of(rec, true, waited_ms, rec->read.pid,
                                rec->read.comm));
            }
        }
        DL_FOREACH2(p->hot, rec, read.hot_next) {
            int64_t waited_ms = now_ms - rec->read.changed_ms;
            /* It counts at once, so it is named at once. */
            if (rec->read.changed >= 2 && rec->read.blocked_ms == 0) {
                all++;
                struct blocked_key b =
                    blocked_of(rec, true, waited_ms, 0, rec->read.comm);
                b.changed = rec->read.changed;
                keep(out, &n, max, b);
            }
        }
        return all;
    }
    const struct flight *f;
    DL_FOREACH(primary_repl(p, replica)->flights.list, f) {
        if (f->blocked_ms != 0 && f->state == FLIGHT_SENT) {
            all++;
            keep(out, &n, max,
                 blocked_of(f->rec, false, now_ms - f->blocked_ms, f->pid,
                            f->comm));
        }
    }
    return all;
}

void primary_counts(struct primary *p, struct primary_counts *out)
{
    memset(out, 0, sizeof *out);
    out->tail = p->log.tail_seq;
    out->log_changes = p->log.nodes;
    out->log_bytes = p->log.bytes;
    out->cache_bytes = p->log.body_bytes;
    out->reads = p->reads_done;
    out->values_read = p->values_read;
    out->bytes_read = p->bytes_read;
    out->unreadable = p->log.unreadable;
    const struct record *rec;
    DL_FOREACH2(p->hot, rec, read.hot_next) {
        out->changing += rec->read.changed >= 2;
    }
    struct err unread;
    if (stuck_any_unread(p, &unread)) {
        out->unreadable_id = unread.id;
        (void)snprintf(out->unreadable_text, sizeof out->unreadable_text,
                       "%.*s", (int)sizeof out->unreadable_text - 1,
                       unread.msg);
    }
    out->lost = p->lost;
    memcpy(out->lost_why, p->lost_why, sizeof out->lost_why);
}

bool primary_keeps_up(struct primary *p, int replica, int64_t lag_limit_ms,
                      int64_t now_ms, struct err *why_out)
{
    const struct repl *r = primary_repl(p, replica);
    struct replica_status st;

    p->now_ms = now_ms;
    if (stuck_lasts(p, r, why_out) || differs_describe(p, r, why_out) ||
        modes_describe(r, why_out) || unread_describe(r, why_out)) {
        return false;
    }
    primary_status(p, replica, now_ms, &st);
    if (st.lag_ms >= 0 && st.lag_ms <= lag_limit_ms) {
        return true;
    }
    if (st.lag_ms < 0) {
        (void)err_set(why_out, ERR_TIMEOUT, 0,
                      "what it lacks is not known before it was compared");
        why_out->id = DR_LAG;
        return false;
    }
    stuck_say_oldest(p, r, lag_limit_ms, why_out);
    (void)err_wrap(
        why_out, "%" PRId64 " s behind, %" PRIu64 " change%s pending, such as",
        (st.lag_ms / 1000), st.pending_keys, st.pending_keys == 1 ? "" : "s");
    return false;
}
