/* SPDX-License-Identifier: MIT
 *
 * heard: see heard.h.
 */
#include "sync/primary/compare/heard.h"

#include "sync/primary/primary_impl.h"

enum {
    SCANS_OPEN_MAX = 16, /* what an older receiver lets wait */
};

/* What the replica owes the comparison in turn. */
enum owes {
    OWES_NOTHING, /* the primary is at work */
    OWES_READY,   /* its first scan */
    OWES_COMMIT,  /* acknowledgements */
    OWES_ANSWER,
};

static enum owes owes(const struct primary *p, const struct repl *r,
                      const struct compare *c)
{
    switch (c->phase) {
    case COMPARE_QUEUED:
        if (!p->index_ready || p->lost) {
            return OWES_NOTHING;
        }
        return r->digests_known ? OWES_COMMIT : OWES_READY;
    case COMPARE_SETTLING:
    case COMPARE_DRAINING:
    case COMPARE_FEEDING: /* into the log, as acknowledgements make room */
        return OWES_COMMIT;
    case COMPARE_SCANNING:
    case COMPARE_TOP:
    case COMPARE_BUCKETS:
    case COMPARE_LISTING:
        return OWES_ANSWER;
    case COMPARE_RESOLVING:
        return c->resolved ? OWES_COMMIT : OWES_ANSWER;
    case COMPARE_WALKING:
    case COMPARE_ENDED:
        return OWES_NOTHING;
    }
    return OWES_NOTHING;
}

static enum owes owes_now(const struct primary *p, struct repl *r)
{
    const struct compare *c = compare_current(r);

    return c != NULL ? owes(p, r, c) : OWES_NOTHING;
}

void heard_answer(const struct primary *p, struct repl *r)
{
    r->heard.at_ms = p->now_ms;
}

void heard_commit(const struct primary *p, struct repl *r)
{
    if (owes_now(p, r) == OWES_COMMIT) {
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
    if (moved && owes_now(p, r) != OWES_COMMIT) {
        a->at_ms = p->now_ms;
    }
}

/* Something was sent and is not acknowledged, and the comparison does wait for
 * it (aside.c). */
static bool has_unanswered(const struct repl *r)
{
    const struct flight *f;

    DL_FOREACH(r->flights, f) {
        if (f->state == FLIGHT_SENT && !f->aside) {
            return true;
        }
    }
    return false;
}

bool heard_is_waited_for(const struct primary *p, struct repl *r)
{
    bool waited = owes_now(p, r) != OWES_COMMIT || has_unanswered(r);

    if (!waited) {
        r->heard.at_ms = p->now_ms;
    }
    return waited;
}

int64_t heard_since(const struct primary *p, struct repl *r)
{
    if (owes_now(p, r) == OWES_NOTHING || r->session != SESSION_LIVE ||
        r->closing) {
        r->heard.at_ms = p->now_ms;
        return INT64_MAX;
    }
    return r->heard.at_ms;
}

void heard_give_back(struct primary *p, struct repl *r, const struct compare *c)
{
    bool open = c->phase == COMPARE_SCANNING ||
                (c->phase == COMPARE_RESOLVING && !c->resolved);

    if (open && r->session == SESSION_LIVE && !r->closing &&
        (r->features & WIRE_FEATURE_NEWEST) != 0) {
        wire_put_resolve(&r->out, primary_id(p), true, NULL, 0);
    }
}

bool heard_may_scan(const struct repl *r)
{
    return (r->features & WIRE_FEATURE_NEWEST) != 0 ||
           r->scans_open <= SCANS_OPEN_MAX;
}
