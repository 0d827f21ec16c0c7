/* SPDX-License-Identifier: MIT
 *
 * heartbeat: see heartbeat.h.
 */
#include "sync/primary/heartbeat.h"

#include "sync/errors/state.h"
#include "sync/primary/primary_impl.h"

/* The newest drain that this replica's watermark covers. */
static const struct mark *fresh_mark(const struct primary *p,
                                     const struct repl *r)
{
    uint64_t watermark = flight_watermark(p, r);

    for (size_t i = p->marks_count; i > 0; i--) {
        if (p->marks[i - 1].tail <= watermark) {
            return &p->marks[i - 1];
        }
    }
    return NULL;
}

/* Something is not there as it is here, or nobody knows whether it is. */
static bool is_known_to_differ(const struct repl *r)
{
    return r->differs.count > 0 || r->unread_there.count > 0;
}

static enum replica_state word_for_freshness(const struct repl *r)
{
    if (is_known_to_differ(r) &&
        (r->session.features & WIRE_FEATURE_DIFFERS) != 0) {
        return REPLICA_DIFFERS;
    }
    if (r->held > 0) {
        return REPLICA_HELD;
    }
    return due_any(r) || is_known_to_differ(r) ? REPLICA_CATCHUP
                                               : REPLICA_STREAMING;
}

void heartbeat_ping(struct primary *p, struct repl *r)
{
    struct wire_ping m = {.id = ++r->heartbeat.ping_id};
    const struct mark *mark =
        p->lost || !p->index_ready ? NULL : fresh_mark(p, r);

    /* "Fresh as of" needs a comparison since the connect: before it, the
     * watermark says nothing about what happened while we were apart.  Nor is
     * a replica fresh that is known to differ, until that is repaired. */
    if (mark != NULL && !due_any(r) && !is_known_to_differ(r)) {
        m.fresh_ns = mark->wall_ns;
        m.seq = mark->tail;
        undone_ended(p, r);
    }
    if (mark != NULL) {
        r->heartbeat.ping_wall_ns = mark->wall_ns;
    }
    r->heartbeat.ping_generation = r->due.generation;
    m.state = (uint8_t)word_for_freshness(r);
    r->heartbeat.ping_tail =
        flight_quiet(p, r) && mark != NULL ? p->log.tail_seq + 1 : 0;
    wire_put_ping(&r->session.out, &m);
    pace_probed(&r->pace, m.id, session_at(r), p->now_ms);
    r->heartbeat.next_ms = p->now_ms + p->config.heartbeat_ms;
}

/* A ping that claims nothing, so that nothing is written for it. */
uint64_t heartbeat_ping_now(struct primary *p, struct repl *r)
{
    struct wire_ping m = {.id = ++r->heartbeat.ping_id};

    m.state = (uint8_t)word_for_freshness(r);
    wire_put_ping(&r->session.out, &m);
    r->heartbeat.ping_tail = 0; /* its answer is not the heartbeat's */
    pace_probed(&r->pace, m.id, session_at(r), p->now_ms);
    return m.id;
}

void heartbeat_probe(struct primary *p, struct repl *r)
{
    if (pace_wants_probe(&r->pace, session_at(r))) {
        (void)heartbeat_ping_now(p, r);
    }
}
