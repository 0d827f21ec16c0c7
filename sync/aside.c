/* SPDX-License-Identifier: MIT
 *
 * aside: keys of the primary that cannot be read for long, and what may go on
 * without them.
 *
 * A key that stays locked, or that the agent has no permission to read, keeps
 * its places in the log.  Waiting for it in order would stop every comparison
 * and, with enough of them, fill the window.  So after a while its unsent
 * flights stand *aside*: they keep their sequences, so the watermark does not
 * pass them and no barrier is passed too early, but the window does not count
 * them and a comparison does not wait for them.
 *
 * A comparison that ends without them has not shown that the replica holds
 * what these keys held before: one of them may be older there than any
 * sequence in the log tells.  So those flights are marked *passed*, and while
 * there is one nothing is claimed for the replica, neither freshness nor a
 * barrier.  They end as any flight does: the key is read, sent, acknowledged. */
#include <stdio.h>
#include <string.h>

#include "store/base/quote.h"
#include "sync/primary_impl.h"
#include "sync/state.h"

enum {
    ERRORS_BEFORE = 2,    /* looks in a row that ended in an error */
    BUSY_BEFORE_MS = 2000 /* of waiting for the lock */
};

static bool is_held_up(const struct primary *p, const struct record *rec)
{
    return (rec->unreadable && rec->tries >= ERRORS_BEFORE) ||
           (rec->blocked_ms != 0 &&
            p->now_ms - rec->blocked_ms >= BUSY_BEFORE_MS);
}

/* Of all the replica's flights of the key, one is under way there. */
static bool is_sent(const struct record *rec, int replica)
{
    for (const struct flight *f = rec->flights; f != NULL; f = f->rec_next) {
        if (f->replica == replica && f->state == FLIGHT_SENT) {
            return true;
        }
    }
    return false;
}

void aside_note(struct primary *p, struct record *rec)
{
    if (!is_held_up(p, rec)) {
        return;
    }
    for (struct flight *f = rec->flights; f != NULL; f = f->rec_next) {
        bool waits = f->state == FLIGHT_WAIT || (f->state == FLIGHT_HELD &&
                                                 !is_sent(rec, f->replica));
        if (waits && !f->aside) {
            f->aside = true;
            p->repl[f->replica]->aside++;
        }
    }
}

void aside_clear(struct repl *r, struct flight *f)
{
    if (f->aside) {
        f->aside = false;
        r->aside--;
    }
}

void aside_end(struct repl *r, struct flight *f)
{
    aside_clear(r, f);
    if (f->passed) {
        f->passed = false;
        r->passed--;
    }
}

bool aside_reached(struct primary *p, struct repl *r, uint64_t barrier)
{
    const struct flight *f;
    const struct log_node *node = changelog_next(&p->log, r->id);

    if (session_watermark(p, r) >= barrier) {
        return true;
    }
    if (r->aside == 0 || (node != NULL && node->seq <= barrier)) {
        return false;
    }
    /* This may be asked often, and the list be long. */
    if (r->reached_ms == p->now_ms) {
        return false;
    }
    DL_FOREACH(r->flights, f)
    {
        if (f->seq > barrier) {
            break;
        }
        if (!f->aside) {
            r->reached_ms = p->now_ms;
            return false;
        }
    }
    return true;
}

void aside_adopt(struct primary *p, struct repl *r)
{
    struct repl *own = p->repl[p->index_id];
    const struct flight *f;

    if (own->aside == 0) {
        return;
    }
    DL_FOREACH(own->flights, f)
    {
        if (f->aside && !changelog_add(&p->log, f->rec, repl_bit(r), p->now_ms,
                                       0)) {
            reconcile_owe(p, r);
            return;
        }
    }
    sender_advance(p, r);
}

bool aside_is_unread(struct primary *p, struct digest name)
{
    const struct record *rec = changelog_find(&p->log, name);

    if (rec == NULL) {
        return false;
    }
    for (const struct flight *f = rec->flights; f != NULL; f = f->rec_next) {
        if (f->aside) {
            return true;
        }
    }
    return false;
}

static void say_why(const struct primary *p, const struct record *rec,
                    uint64_t count, struct err *err)
{
    char more[64] = "";

    if (count > 1) {
        (void)snprintf(more, sizeof more, ", and %llu more keys like it",
                       (unsigned long long)(count - 1));
    }
    if (rec->blocked_ms == 0) {
        (void)err_set(err, ERR_PERM, 0, "%s%s", p->unreadable_text, more);
        err->id = DR_UNREADABLE;
        return;
    }
    (void)err_set(err, ERR_TIMEOUT, 0,
                  "table %s key %s is locked on the primary for %lld s by "
                  "%s (pid %lu)%s",
                  QUOTED_TABLE(record_table(rec), rec->table_len),
                  QUOTED(record_key(rec), rec->key_len),
                  (long long)((p->now_ms - rec->blocked_ms) / 1000),
                  rec->comm[0] != '\0' ? rec->comm : "an unknown process",
                  (unsigned long)rec->pid, more);
    err->id = DR_BLOCKED;
}

static uint64_t count_aside(const struct primary *p, const struct repl *r,
                            uint64_t barrier, struct err *err)
{
    const struct flight *f;
    const struct record *first = NULL;
    uint64_t count = 0;

    DL_FOREACH(r->flights, f)
    {
        if (f->aside && f->seq <= barrier) {
            first = first == NULL ? f->rec : first;
            count++;
        }
    }
    if (first != NULL) {
        say_why(p, first, count, err);
    }
    return count;
}

uint64_t aside_unread(struct primary *p, uint64_t barrier, struct err *err)
{
    return count_aside(p, p->repl[p->index_id], barrier, err);
}

uint64_t aside_pass(struct primary *p, struct repl *r, uint64_t barrier,
                    struct err *err)
{
    struct flight *f;

    DL_FOREACH(r->flights, f)
    {
        if (f->aside && f->seq <= barrier && !f->passed) {
            f->passed = true;
            r->passed++;
        }
    }
    return count_aside(p, r, barrier, err);
}
