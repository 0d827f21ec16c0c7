/* SPDX-License-Identifier: MIT
 *
 * reconcile_walk: from name hashes to names, in one walk for all comparisons
 * that wait for names.
 *
 * The index keeps no names, so what is missing on a replica is named by walking
 * the primary's tables.  Ten replicas that connect together are served by one
 * walk: each found name goes into the log once, for all who want it, so it is
 * read and encoded once.  A member that cannot keep pace is sent away after a
 * second and compares again when it has caught up: it delays nobody.
 *
 * A name that a complete walk did not find belongs to a table that went away
 * as a whole, or to a key whose removal nobody was told of yet; its index entry
 * is removed, if it is still the one compared.  What the replica has under that
 * name is named by the next comparison, which is owed then. */
#include <stdlib.h>
#include <string.h>

#include "sync/primary_impl.h"

enum {
    GATHER_MS = 2000, /* wait so long for others that are about to need one */
    STALL_MS = 1000,
};

static int order_names(const void *a, const void *b)
{
    const struct digest *x = a, *y = b;

    if (x->hi != y->hi) {
        return x->hi < y->hi ? -1 : 1;
    }
    return x->lo == y->lo ? 0 : x->lo < y->lo ? -1 : 1;
}

/* Position of a name in a member's list, -1 when it is not there. */
static int64_t position(const struct walk_filter *f, size_t m,
                        struct digest name)
{
    const struct digest *at =
        f->names_count[m] == 0 ? NULL
                               : bsearch(&name, f->names[m], f->names_count[m],
                                         sizeof name, order_names);
    return at == NULL ? -1 : at - f->names[m];
}

static bool wants(const struct walk_filter *f, size_t m, struct digest name)
{
    unsigned bucket = index_bucket(name);

    return ((f->buckets_all[m][bucket / 8] >> (bucket % 8)) & 1) != 0 ||
           position(f, m, name) >= 0;
}

bool primary_walk_wants(const void *walk, struct digest name)
{
    const struct walk_filter *f = walk;

    for (size_t m = 0; m < f->members; m++) {
        if (wants(f, m, name)) {
            return true;
        }
    }
    return false;
}

const void *primary_walk_filter(struct primary *p, uint64_t id)
{
    return p->walk.id == id ? p->walk.filter : NULL;
}

/* --- beginning ----------------------------------------------------------- */

static bool is_waiting(struct repl *r)
{
    const struct compare *c = reconcile_current(r);

    return c != NULL && c->phase == COMPARE_WALKING && c->walk_wanted;
}

/* Somebody is about to need a walk: better one for both. */
static bool others_come(struct primary *p)
{
    struct repl *r;

    EACH_REPL(p, r)
    {
        const struct compare *c = reconcile_current(r);
        if (c != NULL && c->phase >= COMPARE_TOP &&
            c->phase <= COMPARE_RESOLVING && c->phase != COMPARE_SETTLING &&
            p->now_ms - c->began_ms < GATHER_MS) {
            return true;
        }
    }
    return false;
}

static void free_filter(struct walk *w)
{
    struct walk_filter *f = w->filter;

    for (size_t m = 0; f != NULL && m < f->members; m++) {
        free((void *)(uintptr_t)f->buckets_all[m]);
        free(f->names[m]);
        free(w->members[m].found);
    }
    free(f);
    memset(w, 0, sizeof *w);
}

static bool add_member(struct walk *w, struct repl *r, struct compare *c)
{
    struct walk_filter *f = w->filter;
    size_t m = f->members, n = 0;
    uint8_t *all = malloc(INDEX_BUCKETS / 8);
    struct digest *names = calloc(c->diffs_count + 1, sizeof *names);
    uint8_t *found = calloc(1, c->diffs_count / 8 + 1);

    if (all == NULL || names == NULL || found == NULL) {
        free(all);
        free(names);
        free(found);
        return false;
    }
    memcpy(all, c->buckets_all, INDEX_BUCKETS / 8);
    for (size_t i = 0; i < c->diffs_count; i++) {
        if (c->diffs[i].kind != DIFF_EXTRA) {
            names[n++] = c->diffs[i].name; /* diffs are sorted */
        }
    }
    f->buckets_all[m] = all;
    f->names[m] = names;
    f->names_count[m] = n;
    w->members[m] = (struct walk_member){r->id, c->id, found};
    f->members++;
    c->walk_wanted = false;
    return true;
}

static void begin(struct primary *p)
{
    struct walk *w = &p->walk;
    struct repl *r;

    w->filter = calloc(1, sizeof *w->filter);
    if (w->filter == NULL) {
        return;
    }
    EACH_REPL(p, r)
    {
        if (is_waiting(r) && !add_member(w, r, reconcile_current(r))) {
            break;
        }
    }
    if (w->filter->members == 0) {
        free_filter(w);
        return;
    }
    w->id = primary_id(p);
    struct action a = {.type = ACT_WALK, .id = w->id, .replica = -1};
    primary_act(p, &a);
}

/* --- going on ------------------------------------------------------------ */

static struct compare *compare_of(struct primary *p,
                                  const struct walk_member *m)
{
    struct repl *r = m->replica < 0 ? NULL : p->repl[m->replica];
    struct compare *c = r == NULL ? NULL : reconcile_current(r);

    return c != NULL && c->id == m->compare && c->phase == COMPARE_WALKING
               ? c
               : NULL;
}

static size_t room_of(const struct primary *p, const struct walk_member *m,
                      const struct compare *c)
{
    if (!reconcile_repairs(c)) {
        return REPAIR_ROOM;
    }
    uint64_t pending = p->log.pending[m->replica];
    return pending < REPAIR_ROOM ? (size_t)(REPAIR_ROOM - pending) : 0;
}

size_t primary_walk_room(struct primary *p, uint64_t id)
{
    struct walk *w = &p->walk;
    size_t room = REPAIR_ROOM;

    if (w->id != id || w->stopping) {
        return REPAIR_ROOM; /* let it come to its end */
    }
    for (size_t i = 0; i < w->filter->members; i++) {
        const struct compare *c = compare_of(p, &w->members[i]);
        if (c != NULL) {
            size_t own = room_of(p, &w->members[i], c);
            room = own < room ? own : room;
        }
    }
    return room;
}

static void stop_if_alone(struct primary *p)
{
    struct walk *w = &p->walk;

    for (size_t i = 0; i < w->filter->members; i++) {
        if (w->members[i].replica >= 0) {
            return;
        }
    }
    if (!w->stopping) {
        w->stopping = true;
        struct action a = {.type = ACT_WALK_STOP, .id = w->id, .replica = -1};
        primary_act(p, &a);
    }
}

void walk_leave(struct primary *p, int replica)
{
    struct walk *w = &p->walk;
    bool left = false;

    if (w->id == 0) {
        return;
    }
    for (size_t i = 0; i < w->filter->members; i++) {
        if (w->members[i].replica == replica) {
            w->members[i].replica = -1;
            left = true;
        }
    }
    if (left) {
        stop_if_alone(p);
    }
}

/* Members without room hold up those that have some: after a while they go. */
static void send_laggards_away(struct primary *p)
{
    struct walk *w = &p->walk;
    size_t with = 0, without = 0;

    for (size_t i = 0; i < w->filter->members; i++) {
        const struct compare *c = compare_of(p, &w->members[i]);
        if (c != NULL) {
            size_t *n = room_of(p, &w->members[i], c) > 0 ? &with : &without;
            (*n)++;
        }
    }
    if (with == 0 || without == 0) {
        w->stalled_ms = 0;
        return;
    }
    if (w->stalled_ms == 0) {
        w->stalled_ms = p->now_ms;
    }
    if (p->now_ms - w->stalled_ms < STALL_MS) {
        return;
    }
    w->stalled_ms = 0;
    for (size_t i = 0; i < w->filter->members; i++) {
        struct compare *c = compare_of(p, &w->members[i]);
        if (c != NULL && room_of(p, &w->members[i], c) == 0) {
            w->members[i].replica = -1;
            reconcile_restart(c);
        }
    }
}

void walk_step(struct primary *p)
{
    if (p->walk.id != 0) {
        if (!p->walk.stopping) {
            send_laggards_away(p);
        }
        return;
    }
    struct repl *r;
    bool any = false;
    EACH_REPL(p, r)
    {
        any = any || is_waiting(r);
    }
    if (any && !others_come(p) && !p->lost) {
        begin(p);
    }
}

void walk_free(struct primary *p)
{
    free_filter(&p->walk);
}

static enum diff_kind kind_of(const struct compare *c, struct digest name)
{
    const struct diff *d = reconcile_find(c, name);

    return d == NULL ? DIFF_MISSING : (enum diff_kind)d->kind;
}

void primary_walk_found(struct primary *p, uint64_t id, struct digest name,
                        bool is_table, struct bytes table, struct bytes key,
                        int64_t now_ms)
{
    struct walk *w = &p->walk;

    p->now_ms = now_ms;
    if (w->id != id || w->stopping) {
        return;
    }
    for (size_t i = 0; i < w->filter->members; i++) {
        struct compare *c = compare_of(p, &w->members[i]);
        if (c == NULL || !wants(w->filter, i, name)) {
            continue;
        }
        int64_t at = position(w->filter, i, name);
        if (at >= 0) {
            uint8_t *byte = &w->members[i].found[at / 8];
            *byte = (uint8_t)(*byte | (1u << (at % 8)));
        }
        reconcile_add_name(c, kind_of(c, name), is_table, table, key);
        if (reconcile_repairs(c)) {
            reconcile_repair(p, c, is_table, table, key);
            sender_advance(p, p->repl[c->replica]);
        }
    }
}

/* A name that is not on disk any more: drop its index entry.  The replica may
 * have an old value under it, which must go before the comparison counts. */
static void sweep_name(struct primary *p, struct repl *r, const struct diff *d)
{
    struct record *rec = changelog_find(&p->log, d->name);
    uint64_t mask = UINT64_C(1) << p->index_id;
    struct index_entry e;

    if (rec != NULL) {
        /* Somebody is still to hear of it, perhaps one that is not there: the
         * index looks for itself. */
        mask |= d->kind == DIFF_VALUE ? repl_bit(r) : 0;
        sender_hint(p, rec, mask, HINT_CREATED);
        return;
    }
    if (index_get(p->ix, d->name, &e) && digest_equal(e.digest, d->here)) {
        index_remove(p->ix, d->name);
        if (d->kind == DIFF_VALUE) {
            reconcile_owe_soon(p, r); /* the replica must name it */
        }
    }
}

static void sweep(struct primary *p, const struct walk_filter *f, size_t m,
                  const struct walk_member *member, const struct compare *c)
{
    for (size_t i = 0; i < f->names_count[m]; i++) {
        const struct diff *d = reconcile_find(c, f->names[m][i]);
        if (((member->found[i / 8] >> (i % 8)) & 1) == 0 && d != NULL) {
            sweep_name(p, p->repl[c->replica], d);
        }
    }
}

/* Whatever a table could not tell, this member has all names it wanted. */
static bool found_all(const struct walk_filter *f, size_t m,
                      const struct walk_member *member, const struct compare *c)
{
    for (size_t i = 0; i < f->names_count[m]; i++) {
        if (((member->found[i / 8] >> (i % 8)) & 1) == 0) {
            return false;
        }
    }
    return c->whole_count == 0;
}

void primary_walk_ended(struct primary *p, uint64_t id, bool complete,
                        const struct err *err, int64_t now_ms)
{
    struct walk done = p->walk;

    p->now_ms = now_ms;
    if (done.id != id) {
        return;
    }
    memset(&p->walk, 0, sizeof p->walk);
    for (size_t i = 0; i < done.filter->members; i++) {
        struct compare *c = compare_of(p, &done.members[i]);
        if (c == NULL) {
            continue;
        }
        if (complete && !done.stopping) {
            sweep(p, done.filter, i, &done.members[i], c);
        }
        bool all = complete || found_all(done.filter, i, &done.members[i], c);
        reconcile_names_done(p, c, all, err);
    }
    free_filter(&done);
}
