/* SPDX-License-Identifier: MIT
 *
 * receiver_aside: changes that wait, because a reader holds their key's lock
 * or because an earlier change of the same name waits.
 *
 * Each has its own back-off, half a millisecond doubling to 50 ms (longer when
 * very many wait, so that trying costs a bounded share of the time).  What
 * comes later for the same key, or for the table whose drop waits, queues up
 * behind it; a table's drop supersedes what waits for its keys, and is
 * answered together with it.  Only the commit thread changes the list; the
 * mutex is for those who look (PONG, BLOCKED).
 */
#include <string.h>

#include "store/base/backoff.h"
#include "sync/receiver/receiver_core.h"

enum {
    BACKOFF_FIRST_US = 500,
    BACKOFF_MAX_US = 50 * 1000,
    BACKOFF_PER_CHANGE_US = 100,
    US_PER_MS = 1000,
    REPORT_AFTER_MS = 1000,
    REPORT_EVERY_MS = 5000,
    REPORTS_MAX = 100, /* BLOCKED frames of one tick */
};

static struct change **chain_of(struct receiver *r, struct digest name)
{
    return &r->deferred.chains[name.lo % DEFERRED_CHAINS];
}

static void link_chain(struct receiver *r, struct change *c)
{
    struct change **at = chain_of(r, c->name);

    while (*at != NULL) {
        at = &(*at)->chain;
    }
    c->chain = NULL;
    *at = c;
}

static void unlink_chain(struct receiver *r, struct change *c)
{
    struct change **at = chain_of(r, c->name);

    while (*at != c) {
        at = &(*at)->chain;
    }
    *at = c->chain;
}

static void back_off(struct receiver *r, struct change *c, bool at_once)
{
    int64_t most = (int64_t)r->deferred.count * BACKOFF_PER_CHANGE_US;
    int64_t now_us = r->commit.now_ms * US_PER_MS;

    most = most > BACKOFF_MAX_US ? most : BACKOFF_MAX_US;
    if (at_once) {
        c->due_us = now_us;
    } else {
        c->backoff_us = c->backoff_us == 0
                            ? BACKOFF_FIRST_US
                            : backoff_doubled(c->backoff_us, 1, most);
        c->due_us = now_us + c->backoff_us;
    }
    if (c->due_us < r->deferred.due_us) {
        r->deferred.due_us = c->due_us;
    }
}

bool deferred_put(struct receiver *r, struct change *c, bool busy, bool at_once)
{
    (void)pthread_mutex_lock(&r->mutex);
    /* Half of what may be pending: the rest must find its way past. */
    bool room = c->deferred || at_once ||
                r->deferred.count < (r->config.pending_max + 1) / 2;
    if (room && !c->deferred) {
        if (r->deferred.list == NULL) {
            r->deferred.due_us = INT64_MAX;
        }
        c->deferred = true;
        r->deferred.count++;
        DL_APPEND(r->deferred.list, c);
        link_chain(r, c);
    }
    if (room) {
        c->busy = busy;
        if (busy || at_once) {
            c->behind_ms = -1;
        } else if (c->behind_ms < 0) {
            c->behind_ms = r->commit.now_ms;
        }
        back_off(r, c, at_once);
    }
    (void)pthread_mutex_unlock(&r->mutex);
    return room;
}

void deferred_remove(struct receiver *r, struct change *c)
{
    (void)pthread_mutex_lock(&r->mutex);
    c->deferred = false;
    r->deferred.count--;
    DL_DELETE(r->deferred.list, c);
    unlink_chain(r, c);
    (void)pthread_mutex_unlock(&r->mutex);
}

static bool waits_before(struct receiver *r, struct digest name,
                         const struct change *c, bool any)
{
    for (const struct change *o = *chain_of(r, name); o != NULL; o = o->chain) {
        if (o->order < c->order && digest_equal(o->name, name) &&
            (any || o->type == WIRE_TABLE_DROP)) {
            return true;
        }
    }
    return false;
}

bool deferred_conflict(struct receiver *r, const struct change *c)
{
    return r->deferred.list != NULL &&
           (waits_before(r, c->name, c, true) ||
            waits_before(r, c->table_name, c, false));
}

void deferred_supersede(struct receiver *r, struct change *drop)
{
    struct change *c, *next;

    DL_FOREACH_SAFE(r->deferred.list, c, next) {
        if (c->type != WIRE_TABLE_DROP && c->order < drop->order &&
            digest_equal(c->table_name, drop->table_name)) {
            deferred_remove(r, c);
            DL_APPEND(drop->superseded, c);
        }
    }
}

size_t deferred_take_due(struct receiver *r)
{
    int64_t now_us = r->commit.now_ms * US_PER_MS;
    int64_t next_us = INT64_MAX;
    struct change *c;
    size_t n = 0;

    if (r->deferred.list == NULL || r->deferred.due_us > now_us) {
        return 0;
    }
    DL_FOREACH(r->deferred.list, c) {
        if (c->due_us <= now_us && n < RETRIES_MAX) {
            r->commit.due[n++] = c;
        } else if (c->due_us < next_us) {
            next_us = c->due_us;
        }
    }
    r->deferred.due_us = next_us;
    return n;
}

/* Since when it waits, for a lock or for the drop of its table; -1: it does
 * not. (What waits for an earlier change of its own name is known to the
 * agent.) */
static int64_t waits_since(struct receiver *r, const struct change *c)
{
    return c->busy ? c->since_ms
           : c->behind_ms >= 0 && waits_before(r, c->table_name, c, false)
               ? c->behind_ms
               : -1;
}

static bool is_due_report(struct receiver *r, const struct change *c,
                          int64_t now_ms)
{
    int64_t since_ms = waits_since(r, c);

    if (since_ms < 0 || now_ms - since_ms < REPORT_AFTER_MS) {
        return false;
    }
    return c->reported_ms < 0 || c->reported_pid != c->pid ||
           now_ms - c->reported_ms >= REPORT_EVERY_MS;
}

static void report(struct receiver *r, struct buf *out, int64_t now_ms,
                   bool first, int *n)
{
    struct change *c;

    DL_FOREACH(r->deferred.list, c) {
        if (*n == REPORTS_MAX) {
            break;
        }
        if ((c->reported_ms < 0) != first || !is_due_report(r, c, now_ms)) {
            continue;
        }
        struct wire_blocked m = {
            .seq = c->seq,
            .pid = c->pid,
            .comm = bytes_of(c->comm, strnlen(c->comm, sizeof c->comm)),
            .waited_ms = (uint64_t)(now_ms - waits_since(r, c)),
        };
        wire_put_blocked(out, &m);
        c->reported_ms = now_ms;
        c->reported_pid = c->pid;
        (*n)++;
    }
}

/* Those that were never reported come first, else with many of them the others
 * would take all the room each time. */
void deferred_report(struct receiver *r, struct buf *out, int64_t now_ms)
{
    int n = 0;

    report(r, out, now_ms, true, &n);
    report(r, out, now_ms, false, &n);
}
