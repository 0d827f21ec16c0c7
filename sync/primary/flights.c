/* SPDX-License-Identifier: MIT
 *
 * flights: see flights.h.
 */
#include "sync/primary/flights.h"

#include <stdlib.h>

#include "sync/primary/primary_impl.h"

/* --- how far a replica is ------------------------------------------------ */

static bool is_idle(const struct primary *p, const struct repl *r)
{
    return p->log.pending[r->id] == 0 && r->flights.list == NULL;
}

bool flight_quiet(const struct primary *p, const struct repl *r)
{
    return is_idle(p, r) && is_idle(p, p->repl[p->index_id]);
}

uint64_t flight_watermark(const struct primary *p, const struct repl *r)
{
    uint64_t first = p->log.tail_seq + 1;
    const struct log_node *node = p->log.cursor[r->id];

    while (node != NULL && (node->mask & repl_bit(r)) == 0) {
        node = node->next;
    }
    if (node != NULL) {
        first = node->seq;
    }
    if (r->flights.list != NULL && r->flights.list->seq < first) {
        first = r->flights.list->seq;
    }
    return first - 1;
}
bool flight_reached(struct primary *p, struct repl *r, uint64_t barrier)
{
    struct flight *f;
    const struct log_node *node = changelog_next(&p->log, r->id);

    if (flight_watermark(p, r) >= barrier) {
        return true;
    }
    if (r->flights.stalled == 0 || (node != NULL && node->seq <= barrier)) {
        return false;
    }
    /* This may be asked often, and the list be long. */
    if (r->flights.reached_ms == p->now_ms) {
        return false;
    }
    DL_FOREACH(r->flights.list, f) {
        if (f->seq > barrier) {
            break;
        }
        if (!f->stalled && !stalled_waits(r, f)) {
            r->flights.reached_ms = p->now_ms;
            return false;
        }
    }
    return true;
}

bool flight_indexed(void *primary, uint64_t barrier)
{
    struct primary *p = primary;

    return flight_reached(p, p->repl[p->index_id], barrier);
}

/* --- lists --------------------------------------------------------------- */

bool flight_live(const struct repl *r)
{
    return r->is_index ||
           (r->session.state == SESSION_LIVE && !r->session.closing);
}

bool flight_timed(const struct flight *f)
{
    return f->state == FLIGHT_BACKOFF || f->state == FLIGHT_PIGGYBACK;
}

static void list_remove(struct repl *r, struct flight *f)
{
    r->flights.timed -= flight_timed(f);
    if (f->state == FLIGHT_WAIT) {
        r->flights.unread--;
        r->feed.read_ms = r->p->now_ms;
    } else if (f->state == FLIGHT_READY) {
        DL_DELETE2(r->flights.ready, f, ready_prev, ready_next);
        r->flights.ready_bytes -= f->bytes;
        r->flights.window_bytes -= f->bytes;
        f->bytes = 0;
    } else if (f->state == FLIGHT_LARGE) {
        if (r->stream.flight != f) {
            DL_DELETE2(r->flights.large, f, ready_prev, ready_next);
        }
    } else if (f->state == FLIGHT_SENT) {
        r->flights.window_bytes -= f->bytes;
        f->bytes = 0;
        f->blocked_ms = 0;
    }
}

/* Whether the replica has another unsent flight of the record. */
static bool has_unsent(const struct record *rec, int replica)
{
    for (const struct flight *f = rec->flights; f != NULL; f = f->rec_next) {
        if (f->replica == replica && f->state != FLIGHT_SENT) {
            return true;
        }
    }
    return false;
}

static void note_waiting(struct record *rec, int replica)
{
    uint64_t bit = UINT64_C(1) << replica;

    if (has_unsent(rec, replica)) {
        rec->waiting |= bit;
    } else {
        rec->waiting &= ~bit;
    }
}

/* A value that was read in vain again and again: also its next try, and its
 * turn for that, are stalled. */
static bool stays_stalled(const struct flight *f, enum flight_state s)
{
    if (stalled_is_refused(f)) {
        return true; /* one more try says nothing yet */
    }
    return f->changed && f->rec->read.changed > 1 &&
           (s == FLIGHT_WAIT || s == FLIGHT_LARGE || s == FLIGHT_PIGGYBACK ||
            s == FLIGHT_BACKOFF);
}

void flight_set(struct primary *p, struct flight *f, enum flight_state s)
{
    struct repl *r = p->repl[f->replica];

    list_remove(r, f);
    if (!stays_stalled(f, s)) {
        stalled_clear(r, f);
    }
    f->asked = false;
    f->state = (uint8_t)s;
    r->flights.timed += flight_timed(f);
    if (s == FLIGHT_WAIT && r->flights.unread++ == 0) {
        r->feed.read_ms = p->now_ms;
    }
    if (s == FLIGHT_READY) {
        f->bytes = f->rec->content.body_len + 64;
        r->flights.ready_bytes += f->bytes;
        r->flights.window_bytes += f->bytes;
        DL_APPEND2(r->flights.ready, f, ready_prev, ready_next);
    } else if (s == FLIGHT_LARGE) {
        DL_APPEND2(r->flights.large, f, ready_prev, ready_next);
    } else if (s == FLIGHT_SENT) {
        f->bytes = f->rec->content.body_len + 64;
        r->flights.window_bytes += f->bytes;
    }
    note_waiting(f->rec, f->replica);
}

void flight_link(struct repl *r, struct flight *f)
{
    struct flight *after =
        r->flights.list == NULL ? NULL : r->flights.list->prev;

    f->replica = r->id;
    f->rec_next = f->rec->flights;
    f->rec->flights = f;
    while (after != NULL && after->seq > f->seq) {
        after = after == r->flights.list ? NULL : after->prev;
    }
    if (after == NULL) {
        DL_PREPEND(r->flights.list, f);
    } else {
        DL_APPEND_ELEM(r->flights.list, after, f);
    }
    r->flights.count++;
    HASH_ADD(hh, r->flights.by_seq, seq, sizeof f->seq, f);
}

void flight_unlink(struct primary *p, struct flight *f)
{
    struct repl *r = p->repl[f->replica];
    struct flight **at = &f->rec->flights;

    list_remove(r, f);
    stalled_end(r, f);
    refused_end(r, f);
    while (*at != f) {
        at = &(*at)->rec_next;
    }
    *at = f->rec_next;
    DL_DELETE(r->flights.list, f);
    HASH_DEL(r->flights.by_seq, f);
    r->flights.count--;
    note_waiting(f->rec, f->replica);
}

/* Has the replica an earlier place for the record than `seq`? */
bool flight_due_before(const struct record *rec, int replica, uint64_t seq,
                       const struct flight *but)
{
    for (const struct flight *f = rec->flights; f != NULL; f = f->rec_next) {
        if (f->replica == replica && f->state != FLIGHT_SENT && f != but &&
            f->seq <= seq) {
            return true;
        }
    }
    for (const struct log_node *n = rec->nodes; n != NULL; n = n->rec_next) {
        if (((n->mask >> replica) & 1) != 0 && n->seq < seq) {
            return true;
        }
    }
    return false;
}

struct flight *flight_sent(struct repl *r, uint64_t seq)
{
    struct flight *f = NULL;

    HASH_FIND(hh, r->flights.by_seq, &seq, sizeof seq, f);
    return f != NULL && f->state == FLIGHT_SENT ? f : NULL;
}
/* --- their records ------------------------------------------------------- */

bool flight_fresh(const struct record *rec)
{
    return rec->content.kind != CONTENT_UNKNOWN &&
           rec->content.covers == rec->hints;
}

/* Forget the encoded value when no connected replica wants it any more. */
void flight_trim(struct primary *p, struct record *rec)
{
    if (rec->content.kind == CONTENT_UNKNOWN) {
        return;
    }
    for (const struct flight *f = rec->flights; f != NULL; f = f->rec_next) {
        if (f->state == FLIGHT_READY || f->state == FLIGHT_LARGE) {
            return;
        }
    }
    if (p->log.body_bytes < p->config.cache_max_bytes) {
        const struct repl *r;
        EACH_REPL(p, r) {
            if ((rec->pending & repl_bit(r)) != 0 && flight_live(r)) {
                return;
            }
        }
    }
    changelog_know(&p->log, rec, CONTENT_UNKNOWN);
}

/* A slow replica must not fill the memory with frames it cannot take yet: its
 * flights wait unread (`starved`) until it has sent what is ready. */
bool flight_can_take(struct repl *r)
{
    if (!flight_live(r)) {
        return false;
    }
    if (!r->is_index && r->flights.ready_bytes >= FLIGHT_READY_MAX_BYTES) {
        r->flights.starved = true;
        return false;
    }
    return true;
}

/* Does anyone who can take it wait for this record's content? */
bool flight_awaited(struct primary *p, const struct record *rec)
{
    for (const struct flight *f = rec->flights; f != NULL; f = f->rec_next) {
        if (f->state == FLIGHT_WAIT && flight_can_take(p->repl[f->replica])) {
            return true;
        }
    }
    return false;
}

void flight_release(struct primary *p, struct record *rec)
{
    if (rec->flights != NULL) {
        return;
    }
    stalled_still(p, rec); /* nobody reads it any more */
    if (rec->nodes != NULL) {
        return;
    }
    if (rec->read.queued) {
        DL_DELETE2(p->reads, rec, read.prev, read.next);
        rec->read.queued = false;
    }
    if (rec->read.retrying) {
        DL_DELETE2(p->retries, rec, read.retry_prev, read.retry_next);
        rec->read.retrying = false;
    }
    changelog_release(&p->log, rec);
}
