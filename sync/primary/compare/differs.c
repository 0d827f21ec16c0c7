/* SPDX-License-Identifier: MIT
 *
 * differs: see differs.h.
 */
#include "sync/primary/compare/differs.h"

#include <inttypes.h>
#include <stdio.h>

#include "store/base/quote.h"
#include "sync/errors/state.h"
#include "sync/primary/primary_impl.h"

enum {
    REPAIR_MS = 5000, /* after it was found: an operator may pause before */
    AGAIN_MS = 60000, /* after a repair that could not look at everything */
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

static uint64_t count_of(const struct compare_result *res)
{
    return res->missing + res->extra + res->different;
}

static void found(struct primary *p, struct repl *r, const struct compare *c)
{
    struct differs *d = &r->differs;

    if (d->count == 0) {
        *d = (struct differs){.since_ms = p->now_ms};
    }
    d->count = count_of(&c->result);
    d->depth = depth_of(c) > d->depth ? depth_of(c) : d->depth;
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
    *d = (struct differs){.count = 0};
}

void differs_compared(struct primary *p, struct repl *r,
                      const struct compare *c)
{
    struct differs *d = &r->differs;
    bool looked = depth_of(c) >= d->depth;

    if (!compare_repairs(c) && count_of(&c->result) > 0) {
        found(p, r, c);
    } else if (looked && c->result.unread == 0 && c->result.left == 0) {
        clear(d);
    } else if (looked && compare_repairs(c) && d->count > 0 &&
               d->depth > DIFFERS_RECORDED) {
        /* The key in question may be among those. */
        d->repair_ms = p->now_ms + AGAIN_MS;
    }
}

void differs_again(const struct primary *p, struct repl *r,
                   const struct compare *c)
{
    struct differs *d = &r->differs;

    if (compare_repairs(c) && c->opt.scan && d->count > 0 &&
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
    } else {
        (void)err_set(
            err, ERR_CORRUPT, 0,
            "%" PRIu64 " %s from the primary, found %" PRId64 " s ago%s%s",
            d->count,
            d->count == 1 ? "key or table differs" : "keys or tables differ",
            ((p->now_ms - d->since_ms) / 1000),
            d->example[0] != '\0' ? ", such as: " : "", d->example);
    }
    err->id = DR_DIFFERENT;
    return true;
}
