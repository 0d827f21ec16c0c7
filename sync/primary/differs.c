/* SPDX-License-Identifier: MIT
 *
 * differs: see differs.h.
 */
#include "sync/primary/differs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "store/base/quote.h"
#include "sync/errors/state.h"
#include "sync/primary/primary_impl.h"

enum {
    REPAIR_MS = 5000, /* after it was found: an operator may pause before */
    AGAIN_MS = 60000, /* after a repair that could not look at everything */
    EDITS_QUICK = 16, /* so many repairs of edits come as soon, ... */
    EDITS_SLOW_MS = 60000, /* ... then one in such a time */
};

static enum differs_depth depth_of(const struct compare *c)
{
    /* A scan that is no mere look tells the index what it finds. */
    if (!c->view && !compare_repairs(c)) {
        return DIFFERS_RECORDED;
    }
    return c->opt.content ? DIFFERS_CONTENT
           : c->opt.scan  ? DIFFERS_STAT
                          : DIFFERS_RECORDED;
}

/* What it takes to see what was found: a key too much or too few is seen
 * without its value. */
static enum differs_depth depth_found(const struct compare *c)
{
    enum differs_depth depth = depth_of(c);

    return depth == DIFFERS_CONTENT && c->result.different == 0 ? DIFFERS_STAT
                                                                : depth;
}

static void name_example(struct differs *d, const struct compare *c)
{
    static const char *const HOW[] = {[DIFF_MISSING] = "is missing there",
                                      [DIFF_EXTRA] = "is only there",
                                      [DIFF_VALUE] = "has another value there"};
    const struct diff_name *n = c->names;

    d->example[0] = '\0';
    if (c->names_count > 0) {
        (void)snprintf(d->example, sizeof d->example, "table %s%s%s %s",
                       QUOTED_TABLE((const char *)n->table.p, n->table.len),
                       n->is_table ? "" : " key ",
                       n->is_table ? "" : QUOTED(n->key.p, n->key.len),
                       HOW[n->kind]);
    }
}

bool differs_names(const struct repl *r, struct bytes table, struct bytes key)
{
    const char *name = r->differs.example;
    char want[DIFFERS_NAME_BYTES];

    if (r->differs.count == 0 || QUOTE_ROOM(table.len) > QUOTE_MSG_BYTES ||
        QUOTE_ROOM(key.len) > QUOTE_MSG_BYTES) {
        return false;
    }
    int n = snprintf(want, sizeof want, "table %s key %s ",
                     QUOTED_TABLE((const char *)table.p, table.len),
                     QUOTED(key.p, key.len));
    return n > 0 && (size_t)n < sizeof want &&
           strncmp(name, want, (size_t)n) == 0;
}

static uint64_t count_of(const struct compare_result *res)
{
    return res->missing + res->extra + res->different;
}

static void found(struct primary *p, struct repl *r, const struct compare *c)
{
    struct differs *d = &r->differs;

    if (d->count == 0) {
        d->since_ms = p->now_ms;
    }
    d->by_hand = false;
    d->count = count_of(&c->result);
    d->open = 0;
    d->depth = depth_found(c) > d->depth ? depth_found(c) : d->depth;
    name_example(d, c);
    if (c->opt.mode == COMPARE_VERIFY && c->view) {
        d->repair_ms = p->now_ms + REPAIR_MS;
        primary_log(p, r->id, LOG_WARNING, DR_NONE,
                    "verify: %" PRIu64 " missing, %" PRIu64 " extra, %" PRIu64
                    " different: repaired "
                    "in %d s unless it is paused",
                    c->result.missing, c->result.extra, c->result.different,
                    REPAIR_MS / 1000);
    }
}

static void clear(struct differs *d)
{
    *d = (struct differs){
        .edits = d->edits, .edit_ms = d->edit_ms, .heard = d->heard};
}

/* --- edits ------------------------------------------------------------------
 */

static int64_t edit_wait_ms(struct differs *d, int64_t now_ms)
{
    int64_t back = (now_ms - d->edit_ms) / EDITS_SLOW_MS;

    if (back >= d->edits) {
        d->edits = 0;
        d->edit_ms = now_ms;
    } else {
        d->edits -= (unsigned)back;
        d->edit_ms += back * EDITS_SLOW_MS;
    }
    if (d->edits >= EDITS_QUICK) {
        return EDITS_SLOW_MS;
    }
    d->edits++;
    return REPAIR_MS;
}

static void name_edit(struct differs *d, const struct wire_edited *m)
{
    static const char *const HOW[] = {[WIRE_EDIT_CHANGED] = "was changed there",
                                      [WIRE_EDIT_ADDED] = "was added there",
                                      [WIRE_EDIT_REMOVED] = "was removed there",
                                      [WIRE_EDIT_UNREAD] =
                                          "cannot be read there any more"};

    if (m->how != WIRE_EDIT_UNNAMED) {
        (void)snprintf(d->example, sizeof d->example, "table %s%s%s %s",
                       QUOTED_TABLE((const char *)m->table.p, m->table.len),
                       m->is_table ? "" : " key ",
                       m->is_table ? "" : QUOTED(m->key.p, m->key.len),
                       HOW[m->how]);
    }
}

/* What is known already has its time, and its log line: a receiver may say
 * this at any rate. */
void differs_edited(struct primary *p, struct repl *r,
                    const struct wire_edited *m)
{
    struct differs *d = &r->differs;
    bool waits = d->repair_ms != 0;

    if (m->count == 0) {
        return;
    }
    d->heard++;
    r->heartbeat.ping_tail = 0; /* its answer may have been made before */
    if (d->count == 0) {
        d->since_ms = p->now_ms;
        d->by_hand = true;
    }
    d->count += d->count < UINT64_MAX - m->count ? m->count : 0;
    if (d->example[0] == '\0') {
        name_edit(d, m);
    }
    if (waits) {
        return;
    }
    int64_t wait_ms = edit_wait_ms(d, p->now_ms);
    d->repair_ms = p->now_ms + wait_ms;
    primary_log(p, r->id, LOG_WARNING, DR_DIFFERENT,
                "changed on the replica, not by the primary: %s; repaired in "
                "%" PRId64 " s unless it is paused",
                d->example[0] != '\0' ? d->example : "names are not known",
                wait_ms / 1000);
}

bool differs_waits(const struct repl *r)
{
    return r->differs.by_hand && r->differs.repair_ms != 0;
}

/* --- comparisons ------------------------------------------------------------
 */

void differs_compared(struct primary *p, struct repl *r,
                      const struct compare *c)
{
    struct differs *d = &r->differs;
    bool looked = depth_of(c) >= d->depth;

    if (!compare_repairs(c) && count_of(&c->result) > 0) {
        found(p, r, c);
    } else if (looked && c->result.unread == 0 && c->result.left == 0) {
        if (c->edits == d->heard) { /* else there was one meanwhile */
            clear(d);
        }
    } else if (looked && compare_repairs(c) && d->count > 0 &&
               d->depth > DIFFERS_RECORDED) {
        /* The key in question may be among those; what could be compared is
         * repaired. */
        d->open = c->result.unread;
        d->repair_ms = p->now_ms + AGAIN_MS;
    }
}

void differs_again(const struct primary *p, struct repl *r,
                   const struct compare *c)
{
    struct differs *d = &r->differs;

    if (compare_repairs(c) && (c->opt.scan || d->by_hand) && d->count > 0 &&
        d->repair_ms == 0) {
        d->repair_ms = p->now_ms + REPAIR_MS;
    }
}

void differs_equal(struct repl *r)
{
    if (r->differs.depth == DIFFERS_RECORDED) {
        clear(&r->differs);
    }
}

void differs_scanned(struct repl *r)
{
    if (r->differs.depth == DIFFERS_STAT) {
        r->differs.depth = DIFFERS_RECORDED;
    }
}

bool differs_due(const struct primary *p, const struct repl *r)
{
    return r->differs.repair_ms != 0 && p->now_ms >= r->differs.repair_ms;
}

/* --- in words ---------------------------------------------------------------
 */

/* Comparisons that repaired what they found, and heartbeats that differ all the
 * same. */
static bool in_vain(const struct repl *r)
{
    return r->compares.fails > 0 && r->heartbeat.mismatches > 0;
}

bool differs_describe(const struct primary *p, const struct repl *r,
                      struct err *err)
{
    const struct differs *d = &r->differs;

    if (d->count == 0 && !in_vain(r)) {
        return false;
    }
    if (d->count == 0) {
        (void)err_set(err, ERR_CORRUPT, 0,
                      "it differs from the primary after %u comparisons that "
                      "repaired what they found",
                      r->compares.fails);
    } else if (d->by_hand) {
        (void)err_set(err, ERR_CORRUPT, 0,
                      "changed on the replica, not by the primary: %" PRIu64
                      " edit%s of keys or tables, the first %" PRId64
                      " s ago%s%s",
                      d->count, d->count == 1 ? "" : "s",
                      (p->now_ms - d->since_ms) / 1000,
                      d->example[0] != '\0' ? ", such as: " : "", d->example);
    } else if (d->open > 0) {
        (void)err_set(err, ERR_CORRUPT, 0,
                      "differences were found %" PRId64 " s ago, and %" PRIu64
                      " %s not be compared since",
                      (p->now_ms - d->since_ms) / 1000, d->open,
                      d->open == 1 ? "key or table could"
                                   : "keys or tables could");
    } else {
        (void)err_set(
            err, ERR_CORRUPT, 0,
            "%" PRIu64 " %s from the primary, found %" PRId64 " s ago%s%s%s",
            d->count,
            d->count == 1 ? "key or table differs" : "keys or tables differ",
            ((p->now_ms - d->since_ms) / 1000),
            d->example[0] != '\0' ? ", such as: " : "", d->example,
            d->depth == DIFFERS_CONTENT
                ? " (seen by reading the values: resync --content)"
                : "");
    }
    err->id = DR_DIFFERENT;
    return true;
}
