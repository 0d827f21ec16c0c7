/* SPDX-License-Identifier: MIT
 *
 * compare_walk: from name hashes to names, in one walk for all comparisons
 * that wait for names.
 *
 * The index keeps no names, so what is missing on a replica is named by walking
 * the primary's tables.  Ten replicas that connect together are served by one
 * walk: each found name goes into the log once, for all who want it, so it is
 * read and encoded once.  For that they go at one pace: the walk waits while a
 * member has enough to do.
 *
 * But nobody may hold it.  When some have kept others waiting for HOLD_MS (all
 * of them together, and an eighth of the time beyond that) they are passed by:
 * their names go to lists of their own (compare_feed.c), from which they are
 * served at their own pace, also when the walk is long over.  Who has emptied
 * its list is waited for again.  And as soon as somebody needs a walk who is no
 * member of this one, all are passed by: the walk runs through at the pace of
 * our own disk, and another one begins.
 *
 * A name that a complete walk did not find belongs to a table that went away
 * as a whole, or to a key whose removal nobody was told of yet; its index entry
 * is removed, if it is still the one compared.  What the replica has under that
 * name is named by the next comparison, which is due then. */
#include <stdlib.h>
#include <string.h>

#include "sync/primary/compare/compare.h"

enum {
    GATHER_MS = 1000, /* wait so long for others that are about to need one */
    HOLD_MS = 250,    /* so long members may keep others waiting */
    COUNT_MS = 50,    /* how often that is looked at */
    REGAIN = 8,       /* as long as this they must not, to make up for it */
    PASS_ROOM = 8192, /* names at a time when nobody is waited for */
};

/* Position of a name in a member's list, -1 when it is not there. */
static int64_t position(const struct walk_filter *f, size_t m,
                        struct digest name)
{
    const struct digest *at =
        f->names_count[m] == 0 ? NULL
                               : bsearch(&name, f->names[m], f->names_count[m],
                                         sizeof name, digest_compare);

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
    const struct compare *c = compare_current(r);

    return c != NULL && c->phase == COMPARE_WALKING && c->naming.walk_wanted;
}

/* Somebody is about to need a walk: better one for both.  But whoever waits
 * does not wait for a replica's answers longer than that. */
static bool others_come(struct primary *p)
{
    struct repl *r;

    EACH_REPL(p, r) {
        if (is_waiting(r) &&
            p->now_ms - compare_current(r)->naming.wanted_ms >= GATHER_MS) {
            return false;
        }
    }
    EACH_REPL(p, r) {
        const struct compare *c = compare_current(r);
        if (c != NULL && c->phase >= COMPARE_TOP &&
            c->phase <= COMPARE_RESOLVING && c->phase != COMPARE_NEXT_ROUND &&
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
    struct digest *names = calloc(c->diffs.count + 1, sizeof *names);
    uint8_t *found = calloc(1, c->diffs.count / 8 + 1);

    if (all == NULL || names == NULL || found == NULL) {
        free(all);
        free(names);
        free(found);
        return false;
    }
    memcpy(all, c->narrow.buckets_all, INDEX_BUCKETS / 8);
    for (size_t i = 0; i < c->diffs.count; i++) {
        if (c->diffs.list[i].kind != DIFF_EXTRA) {
            names[n++] = c->diffs.list[i].name; /* diffs are sorted */
        }
    }
    f->buckets_all[m] = all;
    f->names[m] = names;
    f->names_count[m] = n;
    w->members[m] = (struct walk_member){
        .replica = r->id, .compare = c->id, .found = found};
    f->members++;
    c->naming.walk_wanted = false;
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
    EACH_REPL(p, r) {
        if (is_waiting(r) && !add_member(w, r, compare_current(r))) {
            break;
        }
    }
    if (w->filter->members == 0) {
        free_filter(w);
        return;
    }
    w->id = primary_id(p);
    w->counted_ms = p->now_ms;
    struct action a = {.type = ACT_WALK, .id = w->id, .replica = -1};
    primary_act(p, &a);
}

/* --- going on ------------------------------------------------------------ */

static struct compare *compare_of(struct primary *p,
                                  const struct walk_member *m)
{
    struct repl *r = m->replica < 0 ? NULL : p->repl[m->replica];
    struct compare *c = r == NULL ? NULL : compare_current(r);

    return c != NULL && c->id == m->compare && c->phase == COMPARE_WALKING
               ? c
               : NULL;
}

/* Names that the member takes now; those of a verification go nowhere. */
static size_t room_of(const struct primary *p, const struct compare *c)
{
    if (!compare_repairs(c)) {
        return PASS_ROOM;
    }
    return c->naming.waiting.len > 0 ? 0 : feed_room(p, p->repl[c->replica]);
}

static bool any_waits(struct primary *p)
{
    struct repl *r;

    EACH_REPL(p, r) {
        if (is_waiting(r)) {
            return true;
        }
    }
    return false;
}

size_t primary_walk_room(struct primary *p, uint64_t id)
{
    struct walk *w = &p->walk;
    size_t room = PASS_ROOM;

    /* Let it come to its end. */
    if (w->id != id || w->stopping || any_waits(p)) {
        return PASS_ROOM;
    }
    for (size_t i = 0; i < w->filter->members; i++) {
        const struct compare *c = compare_of(p, &w->members[i]);
        if (c != NULL && !w->members[i].passed_by) {
            size_t own = room_of(p, c);
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

void walk_unsubscribe(struct primary *p, int replica)
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

/* Does a member without room hold up one that has some? */
static bool is_held(struct primary *p)
{
    const struct walk *w = &p->walk;
    bool with = false, without = false;

    for (size_t i = 0; i < w->filter->members; i++) {
        const struct compare *c = compare_of(p, &w->members[i]);
        bool room = c != NULL && room_of(p, c) > 0;
        with = with || room;
        without = without || (c != NULL && !room && !w->members[i].passed_by);
    }
    return with && without;
}

static void count_time(struct walk *w, bool held, int64_t ms)
{
    if (held) {
        w->held_ms += ms < COUNT_MS * INT64_C(2) ? ms : COUNT_MS * INT64_C(2);
        return;
    }
    w->free_ms += ms;
    w->held_ms -= w->free_ms / REGAIN;
    w->free_ms %= REGAIN;
    w->held_ms = w->held_ms > 0 ? w->held_ms : 0;
}

/* Who is waited for, and who is not any more; true: somebody waits. */
static bool choose_pace(struct primary *p)
{
    struct walk *w = &p->walk;
    bool held = is_held(p);

    count_time(w, held, p->now_ms - w->counted_ms);
    w->counted_ms = p->now_ms;
    for (size_t i = 0; i < w->filter->members; i++) {
        struct walk_member *m = &w->members[i];
        const struct compare *c = compare_of(p, m);
        bool room = c != NULL && room_of(p, c) > 0;
        if (!room && w->held_ms >= HOLD_MS) {
            m->passed_by = true;
        } else if (room && w->held_ms < HOLD_MS / 2) {
            m->passed_by = false;
        }
    }
    return held;
}

int64_t walk_step(struct primary *p)
{
    struct walk *w = &p->walk;

    if (w->id != 0) {
        return !w->stopping && choose_pace(p) ? p->now_ms + COUNT_MS
                                              : INT64_MAX;
    }
    if (!any_waits(p) || p->lost) {
        return INT64_MAX;
    }
    if (others_come(p)) {
        return p->now_ms + COUNT_MS;
    }
    begin(p);
    return INT64_MAX;
}

void walk_free(struct primary *p)
{
    free_filter(&p->walk);
}

static enum diff_kind kind_of(const struct compare *c, struct digest name)
{
    const struct diff *d = compare_find(c, name);

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
        compare_add_name(c, kind_of(c, name), is_table, table, key);
        if (compare_repairs(c)) {
            feed_name(p, c, is_table, table, key);
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
        sender_hint(p, rec, mask, HINT_FOUND);
        return;
    }
    if (index_get(p->ix, d->name, &e) && digest_equal(e.digest, d->here)) {
        index_remove(p->ix, d->name);
        if (d->kind == DIFF_VALUE) {
            due_soon(p, r); /* the replica must name it */
        }
    }
}

static void sweep(struct primary *p, const struct walk_filter *f, size_t m,
                  const struct walk_member *member, const struct compare *c)
{
    for (size_t i = 0; i < f->names_count[m]; i++) {
        const struct diff *d = compare_find(c, f->names[m][i]);
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
    return c->diffs.whole_count == 0;
}

void walk_finish(struct primary *p, uint64_t id, bool complete,
                 const struct err *err,
                 void (*tell)(struct primary *p, struct compare *c, bool all,
                              const struct err *err))
{
    struct walk done = p->walk;

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
        tell(p, c, all, err);
    }
    free_filter(&done);
}
