/* SPDX-License-Identifier: MIT
 *
 * reads: see reading.h.
 */
#include "sync/primary/delivery/reading.h"

#include <stdio.h>
#include <string.h>

#include "store/base/backoff.h"
#include "sync/errors/state.h"
#include "sync/primary/delivery/delivery.h"

enum {
    BUSY_FIRST_MS = 2,
    BUSY_MAX_MS = 1000, /* thousands of keys may be locked for long */
    TOGETHER_MS = 64,   /* retries after a longer wait are due together */
    ERROR_FIRST_MS = 500,
    ERROR_MAX_MS = 30000,
};

/* --- what is to be read -------------------------------------------------- */

void read_want(struct primary *p, struct record *rec)
{
    if (rec->read.retrying) {
        DL_DELETE2(p->retries, rec, read.retry_prev, read.retry_next);
        rec->read.retrying = false;
    }
    if (rec->read.id == 0 && !rec->read.queued) {
        rec->read.queued = true;
        DL_APPEND2(p->reads, rec, read.prev, read.next);
    }
}

void read_later(struct primary *p, struct record *rec, int64_t in_ms)
{
    rec->read.retry_ms = p->now_ms + in_ms;
    if (in_ms > TOGETHER_MS) {
        /* Each tick goes through all that wait. */
        rec->read.retry_ms += TOGETHER_MS - 1;
        rec->read.retry_ms -= rec->read.retry_ms % TOGETHER_MS;
    }
    if (rec->read.retry_ms < p->retry_ms) {
        p->retry_ms = rec->read.retry_ms;
    }
    if (!rec->read.retrying && !rec->read.queued && rec->read.id == 0) {
        rec->read.retrying = true;
        DL_APPEND2(p->retries, rec, read.retry_prev, read.retry_next);
    }
}

struct record *read_next(struct primary *p)
{
    if (p->lost || p->reads_active >= READS_MAX) {
        return NULL;
    }
    while (p->reads != NULL) {
        struct record *rec = p->reads;
        DL_DELETE2(p->reads, rec, read.prev, read.next);
        rec->read.queued = false;
        if (flight_awaited(p, rec)) {
            rec->read.covers = rec->hints;
            rec->read.missed.seq = 0;
            rec->read.why = rec->why;
            rec->why = HINT_REMOVED;
            return rec;
        }
        flight_release(p, rec);
    }
    return NULL;
}

/* Whatever was read or is being read does not account for this hint. */
void read_missed(struct primary *p, struct record *rec, int64_t now_us)
{
    struct missed missed = {p->log.tail_seq + 1, p->now_ms, now_us};
    struct repl *r;
    bool used = false;

    if (rec->read.id != 0 && rec->read.missed.seq == 0) {
        rec->read.missed = missed;
        used = true;
    }
    if (rec->content.kind != CONTENT_UNKNOWN && rec->content.missed.seq == 0) {
        rec->content.missed = missed;
        used = true;
    }
    EACH_REPL(p, r) {
        struct stream *s = &r->stream;
        if (s->flight != NULL && s->flight->rec == rec && s->missed.seq == 0) {
            s->missed = missed;
            used = true;
        }
    }
    p->log.tail_seq += used ? 1 : 0;
}

/* The key is there, so its table is: a read that did not find the table may be
 * older than this one, and must not drop the key on a replica. */
void read_found(struct primary *p, const struct record *key)
{
    struct record *t = NULL;

    if (p->log.tables > 0 && !key->is_table) {
        t = changelog_find(&p->log, index_name_table(index_key(p->ix),
                                                     record_table(key).p,
                                                     key->table_len));
    }
    if (t != NULL && (t->read.id != 0 || t->content.kind == CONTENT_NO_TABLE)) {
        t->hints++;
        read_missed(p, t, 0);
    }
}

/* --- how it went --------------------------------------------------------- */

void read_done(struct primary *p, struct record *rec)
{
    if (rec->content.kind == CONTENT_VALUE ||
        rec->content.kind == CONTENT_LARGE) {
        read_found(p, rec);
    }
    if (rec->content.kind != CONTENT_LARGE) {
        stalled_still(p, rec); /* a large value is yet to be read */
    }
    rec->read.tries = 0;
    rec->read.blocked_ms = 0;
    rec->moved_out_ms = 0;
    if (rec->read.unreadable != 0) {
        rec->read.unreadable = 0;
        p->log.unreadable--;
    }
    rec->content.covers = rec->read.covers;
    rec->content.missed = rec->read.missed;
}

/* The read told nothing: what was known before it counts for the next. */
void read_told_nothing(struct record *rec)
{
    if (rec->hints == rec->read.covers) {
        rec->why = rec->read.why;
    }
}

void read_again(struct primary *p, struct record *rec, int64_t in_ms)
{
    if (rec->hints != rec->read.covers) {
        read_want(p, rec); /* a hint came already */
        return;
    }
    read_told_nothing(rec);
    read_later(p, rec, in_ms);
}

void read_failed(struct primary *p, struct record *rec,
                 const struct read_answer *l)
{
    read_told_nothing(rec);
    unsigned tries = (unsigned)rec->read.tries;
    int64_t wait_ms = l->result == READ_ERROR
                          ? backoff_doubled(ERROR_FIRST_MS, tries, ERROR_MAX_MS)
                          : backoff_doubled(BUSY_FIRST_MS, tries, BUSY_MAX_MS);

    if (rec->read.tries < 30) {
        rec->read.tries++;
    }
    if (l->result == READ_ERROR) {
        (void)snprintf(p->unreadable_text, sizeof p->unreadable_text, "%.*s",
                       (int)sizeof p->unreadable_text - 1,
                       l->err != NULL ? l->err->msg : "unreadable");
        p->unreadable_name = rec->name;
        p->log.unreadable += rec->read.unreadable == 0 ? 1 : 0;
        rec->read.unreadable =
            (uint16_t)(l->err != NULL && l->err->id != DR_NONE ? l->err->id
                                                               : DR_UNREADABLE);
        if (rec->read.tries == 1) {
            primary_log(p, -1, LOG_WARNING, rec->read.unreadable, "%s",
                        p->unreadable_text);
        }
    } else if (l->result == READ_BUSY) {
        if (rec->read.blocked_ms == 0) {
            rec->read.blocked_ms = p->now_ms;
        }
        if (l->pid != 0) {
            rec->read.pid = l->pid;
            memcpy(rec->read.comm, l->comm, sizeof rec->read.comm);
        }
    } else if (l->result == READ_CHANGING) {
        stalled_changed(p, rec);
    }
    stalled_note(p, rec);
    read_later(p, rec, wait_ms);
}

/* --- time ---------------------------------------------------------------- */

int64_t read_tick(struct primary *p)
{
    struct record *rec, *next;
    int64_t soonest = INT64_MAX;

    DL_FOREACH_SAFE2(p->retries, rec, next, read.retry_next) {
        if (rec->read.retry_ms <= p->now_ms) {
            read_want(p, rec);
        } else if (rec->read.retry_ms < soonest) {
            soonest = rec->read.retry_ms;
        }
    }
    return soonest;
}
