/* SPDX-License-Identifier: MIT
 *
 * heard: see heard.h.
 */
#include "sync/primary/heard.h"

#include "sync/primary/primary_impl.h"

enum {
    SCANS_OPEN_MAX = 16, /* what an older receiver lets wait */
};

/* What the replica owes the comparison in turn. */
enum awaits {
    AWAITS_NOTHING, /* the primary is at work */
    AWAITS_READY,   /* its first scan */
    AWAITS_COMMIT,  /* acknowledgements */
    AWAITS_ANSWER,
};

static enum awaits awaits(const struct primary *p, const struct repl *r,
                          const struct compare *c)
{
    switch (c->phase) {
    case COMPARE_QUEUED:
        if (!p->index_ready || p->lost) {
            return AWAITS_NOTHING;
        }
        return r->session.digests_known ? AWAITS_COMMIT : AWAITS_READY;
    case COMPARE_NEXT_ROUND:
    case COMPARE_DRAINING:
    case COMPARE_FEEDING: /* into the log, as acknowledgements make room */
        return AWAITS_COMMIT;
    case COMPARE_SCANNING:
    case COMPARE_TOP:
    case COMPARE_BUCKETS:
    case COMPARE_LISTING:
        return AWAITS_ANSWER;
    case COMPARE_RESOLVING:
        return c->resolve.done ? AWAITS_COMMIT : AWAITS_ANSWER;
    case COMPARE_WALKING:
    case COMPARE_ENDED:
        return AWAITS_NOTHING;
    }
    return AWAITS_NOTHING;
}

static enum awaits awaits_now(const struct primary *p, struct repl *r)
{
    const struct compare *c = compare_current(r);

    return c != NULL ? awaits(p, r, c) : AWAITS_NOTHING;
}

void heard_answer(const struct primary *p, struct repl *r)
{
    r->heard.at_ms = p->now_ms;
}

void heard_commit(const struct primary *p, struct repl *r)
{
    if (awaits_now(p, r) == AWAITS_COMMIT) {
        r->heard.at_ms = p->now_ms;
    }
}

void heard_pong(const struct primary *p, struct repl *r,
                const struct wire_pong *m)
{
    struct heard *a = &r->heard;
    bool moved = m->scan_keys != a->scan_keys || m->scanning != a->scanning;

    a->scan_keys = m->scan_keys;
    a->scanning = m->scanning;
    if (moved && awaits_now(p, r) != AWAITS_COMMIT) {
        a->at_ms = p->now_ms;
    }
}

/* Something was sent and is not acknowledged, and the comparison does wait for
 * it (stalled.c). */
static bool has_unanswered(const struct repl *r)
{
    const struct flight *f;

    DL_FOREACH(r->flights.list, f) {
        if (f->state == FLIGHT_SENT && !f->stalled) {
            return true;
        }
    }
    return false;
}

bool heard_is_waited_for(const struct primary *p, struct repl *r)
{
    bool waited = awaits_now(p, r) != AWAITS_COMMIT || has_unanswered(r);

    if (!waited) {
        r->heard.at_ms = p->now_ms;
    }
    return waited;
}

int64_t heard_since(const struct primary *p, struct repl *r)
{
    if (awaits_now(p, r) == AWAITS_NOTHING ||
        r->session.state != SESSION_LIVE || r->session.closing) {
        r->heard.at_ms = p->now_ms;
        return INT64_MAX;
    }
    return r->heard.at_ms;
}

void heard_give_back(struct primary *p, struct repl *r, const struct compare *c)
{
    bool open = c->phase == COMPARE_SCANNING ||
                (c->phase == COMPARE_RESOLVING && !c->resolve.done);

    if (open && r->session.state == SESSION_LIVE && !r->session.closing &&
        (r->session.features & WIRE_FEATURE_NEWEST) != 0) {
        wire_put_resolve(&r->session.out, primary_id(p), true, NULL, 0);
    }
}

bool heard_may_scan(const struct repl *r)
{
    return (r->session.features & WIRE_FEATURE_NEWEST) != 0 ||
           r->session.scans_open <= SCANS_OPEN_MAX;
}
