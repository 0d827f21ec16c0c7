/* SPDX-License-Identifier: MIT
 *
 * compare_names: from the differences of a comparison to their names, and to
 * repairs.
 *
 * What only the replica has is named by the replica (RESOLVE -> NAMES, in
 * chunks, because each costs it a walk), what the primary has by a walk here
 * (compare_walk.c).  A name is shown to the operator, or put in the change
 * log for this one replica; then the comparison waits until all of that is
 * acknowledged (DRAINING).  What the replica has and cannot name is for another
 * comparison; until then nothing is claimed.  A name that was not asked for, or
 * does not hash to what was asked, ends the session. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "sync/primary/compare/compare.h"

enum {
    RESOLVE_CHUNK = 65536, /* names asked for at once */
};

/* --- repairs and names --------------------------------------------------- */

void compare_drain(struct primary *p, struct compare *c)
{
    if (!compare_repairs(c)) {
        compare_finish(p, c);
        return;
    }
    c->phase = COMPARE_DRAINING;
    c->barrier = p->log.tail_seq;
}

void compare_fed(struct primary *p, struct compare *c)
{
    if (c->naming.walk_err.code == 0) {
        compare_drain(p, c);
    } else {
        compare_fail(p, c, &c->naming.walk_err);
    }
}

/* The walk gave (or could not give) its names.  What it found is repaired in
 * any case. */
static void names_done(struct primary *p, struct compare *c, bool complete,
                       const struct err *err)
{
    if (!complete && (err != NULL || compare_repairs(c))) {
        if (err != NULL && err->code != 0) {
            c->naming.walk_err = *err;
        } else {
            (void)err_set(&c->naming.walk_err, ERR_IO, 0,
                          "not all tables could be read, so not all "
                          "differences have names");
            c->naming.walk_err.id = DR_UNREADABLE;
        }
    }
    c->phase = COMPARE_FEEDING;
    if (feed_step(p, c)) {
        compare_fed(p, c);
    }
}

void primary_walk_ended(struct primary *p, uint64_t id, bool complete,
                        const struct err *err, int64_t now_ms)
{
    p->now_ms = now_ms;
    walk_finish(p, id, complete, err, names_done);
}

void compare_walk(struct primary *p, struct compare *c)
{
    if (c->result.missing + c->result.different == 0) {
        compare_drain(p, c);
        return;
    }
    c->phase = COMPARE_WALKING;
    c->naming.walk_wanted = true;
    c->naming.wanted_ms = p->now_ms;
    (void)walk_step(p);
}

void compare_ask_names(struct primary *p, struct compare *c)
{
    struct repl *r = p->repl[c->replica];
    size_t end_at = c->resolve.at + RESOLVE_CHUNK;

    if (end_at > c->resolve.count) {
        end_at = c->resolve.count;
    }
    c->request = primary_id(p);
    c->resolve.awaited = end_at - c->resolve.at;
    while (c->resolve.at < end_at) {
        size_t n = end_at - c->resolve.at;
        n = n < RESOLVE_BATCH ? n : RESOLVE_BATCH;
        wire_put_resolve(&r->session.out, c->request,
                         c->resolve.at + n == end_at,
                         c->resolve.list + c->resolve.at, (uint16_t)n);
        c->resolve.at += n;
    }
}

/* EXTRA names: which, in the order of the buckets.  All that may go, and of the
 * rest as many as people want to see. */
void compare_name_diffs(struct primary *p, struct compare *c)
{
    struct repl *r = p->repl[c->replica];
    size_t want = 0, seen = 0;
    size_t most = brake_ask_names(r, c);

    most = most > c->opt.names_max ? most : c->opt.names_max;
    c->resolve.list = calloc(c->diffs.count + 1, sizeof *c->resolve.list);
    if (c->resolve.list == NULL) {
        compare_no_memory(p, c);
        return;
    }
    for (size_t i = 0; i < c->diffs.count; i++) {
        if (c->diffs.list[i].kind != DIFF_EXTRA) {
            continue;
        }
        bool goes = compare_repairs(c) &&
                    brake_passes(p, c, c->diffs.list[i].name, false);
        if (goes || seen++ < most) {
            c->resolve.list[want++] = c->diffs.list[i].name;
        }
    }
    c->resolve.count = want;
    c->resolve.at = 0;
    if (want == 0) {
        compare_walk(p, c);
        return;
    }
    c->phase = COMPARE_RESOLVING;
    compare_ask_names(p, c);
}

/* The replica said all names of a chunk that it found.  What it left out may be
 * in a directory that it cannot list: as long as nothing was about to remove
 * it, it is there for all we know. */
static void check_left_out(struct primary *p, struct repl *r, struct compare *c)
{
    bool open = false;

    for (size_t i = 0; i < c->resolve.at && c->resolve.awaited > 0; i++) {
        const struct diff *d = compare_find(c, c->resolve.list[i]);
        open = open || (d != NULL && !d->named && !d->moving);
    }
    if (open && compare_repairs(c)) {
        due_soon(p, r);
    }
}

int compare_names(struct primary *p, struct repl *r, struct wire_items *m,
                  struct err *err)
{
    struct compare *c = compare_current(r);
    const struct index_key *k = index_key(p->ix);
    struct wire_name name;
    int rc;

    if (c == NULL || c->phase != COMPARE_RESOLVING || m->id != c->request) {
        return 0; /* of a comparison that is over */
    }
    heard_answer(p, r);
    while ((rc = wire_item_name(m, &name, err)) == 1) {
        struct diff *d = compare_find(c, name.name);
        struct digest truth =
            name.is_table ? index_name_table(k, name.table.p, name.table.len)
                          : index_name_key(k, name.table.p, name.table.len,
                                           name.key.p, name.key.len);
        if (d == NULL || d->kind != DIFF_EXTRA || c->resolve.awaited == 0 ||
            !digest_equal(truth, name.name)) {
            return err_set(err, ERR_PROTO, 0,
                           "NAMES holds a name that was not asked for");
        }
        d->named = true;
        c->resolve.awaited--;
        compare_add_name(c, DIFF_EXTRA, name.is_table, name.table, name.key);
        if (compare_repairs(c) &&
            brake_passes(p, c, name.name, name.is_table)) {
            feed_name(p, c, name.is_table, name.table, name.key);
        } else if (c->names_asked) {
            brake_named(r, &name);
        }
    }
    if (rc < 0) {
        return rc;
    }
    if (m->last) {
        check_left_out(p, r, c);
        c->resolve.done = true;
        if (c->resolve.at == c->resolve.count) {
            brake_all_named(r, c);
        }
    }
    return 0;
}
