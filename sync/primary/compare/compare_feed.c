/* SPDX-License-Identifier: MIT
 *
 * reconcile_feed: names that a comparison found go into the change log as fast
 * as its replica takes them.
 *
 * A replica has at most config.repair_room places in the log for repairs, and
 * on a slow link only as many as pace.h allows, for a change that somebody
 * makes meanwhile takes its place behind them; but never none, also where
 * changes keep the link full.  Names beyond wait in a list of the comparison's
 * own, so that neither the walk that finds them nor anybody who needs that walk
 * waits for this replica.  The list is bounded by config.names_bytes, and all
 * lists together by eight times that; of which every comparison may have an
 * eighth of its own bound, however much the others have.  What finds no room is
 * counted and left for another comparison, as are differences beyond
 * config.diffs_max. */
#include "sync/primary/compare/compare.h"

enum {
    SHARES = 8,      /* bounds of one comparison that all may have together */
    ENTRY_HEAD = 5,  /* kind and two lengths */
    DROP_MIN = 4096, /* bytes read before the rest is moved to the front */
    UNREAD_MS = 100,
    LEAST = 16, /* repairs of one replica in a log that is half full */
    /* On a link that changes keep full, repairs get on all the same. */
    SHARE = 2,
    SHARE_MS = 200,
};

/* Taken from the log and not sent yet.  Those that have not been read for a
 * while are locked, or their disk is slow: they must not count for ever. */
static size_t not_sent(const struct primary *p, const struct repl *r)
{
    size_t unread = r->flights.unread > r->flights.stalled
                        ? r->flights.unread - r->flights.stalled
                        : 0;

    return r->flights.ready_bytes / (r->pace.each + 1) +
           (p->now_ms - r->feed.read_ms < UNREAD_MS ? unread : 0);
}

static size_t share_left(const struct primary *p, const struct repl *r)
{
    bool anew = p->now_ms - r->feed.began_ms >= SHARE_MS;

    return anew ? SHARE : r->feed.count < SHARE ? SHARE - r->feed.count : 0;
}

size_t feed_room(const struct primary *p, const struct repl *r)
{
    size_t most = p->config.repair_room;
    size_t used = (size_t)p->log.pending[r->id];

    if (p->log.bytes >= p->config.log_max_bytes / 2) {
        most = most < LEAST ? most : LEAST; /* the other half is for changes */
    }
    if (pace_is_open(&r->pace) || r->session.state != SESSION_LIVE) {
        return used < most ? most - used : 0;
    }
    size_t share = share_left(p, r);
    size_t ahead = pace_ahead(&r->pace);
    most = ahead < most ? ahead : most;
    used += not_sent(p, r);
    return used + share < most ? most - used : share;
}

void feed_fed(const struct primary *p, struct repl *r)
{
    if (p->now_ms - r->feed.began_ms >= SHARE_MS) {
        r->feed.began_ms = p->now_ms;
        r->feed.count = 0;
    }
    r->feed.count++;
}

/* How much may wait for this comparison. */
static size_t bound(const struct primary *p, const struct compare *c)
{
    size_t most = p->config.names_bytes;
    size_t others = p->waiting_bytes - compare_waiting(c);
    size_t left = others < SHARES * most ? SHARES * most - others : 0;

    left = left < most ? left : most;
    return left > most / SHARES ? left : most / SHARES;
}

static bool put(struct primary *p, struct compare *c, bool is_table,
                struct bytes table, struct bytes key)
{
    size_t n = ENTRY_HEAD + table.len + key.len;
    struct buf *b = &c->naming.waiting;

    if (compare_waiting(c) + n > bound(p, c)) {
        return false;
    }
    if (!buf_reserve(b, n)) {
        b->bad = false; /* what is in it stays */
        return false;
    }
    buf_u8(b, is_table);
    buf_u16(b, (uint16_t)table.len);
    buf_u16(b, (uint16_t)key.len);
    buf_put(b, table.p, table.len);
    buf_put(b, key.p, key.len);
    p->waiting_bytes += n;
    return true;
}

static void repair(struct primary *p, struct compare *c, bool is_table,
                   struct bytes table, struct bytes key)
{
    struct record *rec =
        changelog_record(&p->log, is_table, table.p, table.len, key.p, key.len);

    if (rec == NULL) {
        return; /* the roots will differ again, and so will we compare */
    }
    c->result.to_repair++;
    feed_fed(p, p->repl[c->replica]);
    sender_hint(p, rec, UINT64_C(1) << c->replica, HINT_FOUND);
    changelog_release(&p->log, rec);
}

void feed_name(struct primary *p, struct compare *c, bool is_table,
               struct bytes table, struct bytes key)
{
    if (feed_step(p, c) && feed_room(p, p->repl[c->replica]) > 0) {
        repair(p, c, is_table, table, key);
        sender_advance(p, p->repl[c->replica]);
    } else if (!put(p, c, is_table, table, key)) {
        c->naming.left_out++;
    }
}

static void take(struct primary *p, struct compare *c)
{
    struct cur cur = cur_of(c->naming.waiting.data + c->naming.waiting_at,
                            compare_waiting(c));
    size_t before = cur.left;
    bool is_table = cur_u8(&cur) != 0;
    size_t table_len = cur_u16(&cur);
    size_t key_len = cur_u16(&cur);
    struct bytes table = {cur_take(&cur, table_len), table_len};
    struct bytes key = {cur_take(&cur, key_len), key_len};

    repair(p, c, is_table, table, key);
    c->naming.waiting_at += before - cur.left;
    p->waiting_bytes -= before - cur.left;
}

bool feed_step(struct primary *p, struct compare *c)
{
    struct repl *r = p->repl[c->replica];

    while (compare_waiting(c) > 0 && feed_room(p, r) > 0) {
        while (compare_waiting(c) > 0 && feed_room(p, r) > 0) {
            take(p, c);
        }
        sender_advance(p, r); /* that makes room again */
    }
    if (compare_waiting(c) == 0) {
        buf_deinit(&c->naming.waiting);
        c->naming.waiting_at = 0;
        return true;
    }
    if (c->naming.waiting_at >= DROP_MIN &&
        c->naming.waiting_at >= c->naming.waiting.len / 2) {
        buf_drop(&c->naming.waiting, c->naming.waiting_at);
        c->naming.waiting_at = 0;
    }
    return false;
}
