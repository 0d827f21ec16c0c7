/* SPDX-License-Identifier: MIT
 *
 * sim_check: the promises, as they can be seen from outside. */
#include <inttypes.h>
#include <string.h>

#include "tests/sim/sim.h"

/* From a change to the end of the drain that tells of it: half a second, and
 * the longest step of time. */
enum { DRAINED_MS = 4000 };

/* --- what readers see (P1, P2) ------------------------------------------- */

struct view {
    struct sim *s;
    struct replica *r;
    bool there[ITEMS];
};

static bool is_text(struct bytes value, const char *text)
{
    return value.len == strlen(text) && memcmp(value.p, text, value.len) == 0;
}

static void see_value(struct view *v, int i, struct bytes value)
{
    struct sim *s = v->s;
    const struct item *it = &world_of(s, v->r)->items[i];
    struct seen *seen = &v->r->seen[i];

    if (seen->planted &&
        (is_text(value, "edited") || is_text(value, "planted"))) {
        return;
    }
    const struct version *found = world_identify(it, value, seen->version);
    if (found == NULL && seen->planted) {
        found = world_identify(it, value, 0);
    }
    if (found == NULL && seen->inherited && term_left(s, v->r, i, value)) {
        return;
    }
    if (found == NULL) {
        sim_fail(s, 1,
                 "replica %d shows a value of %s that no writer "
                 "committed (%zu bytes, at or after v%" PRIu64 ")",
                 v->r->number, world_name(it), value.len, seen->version);
    }
    if (found->number < seen->version) {
        sim_fail(s, 2,
                 "replica %d goes back from v%" PRIu64 " to v%" PRIu64 " of %s",
                 v->r->number, seen->version, found->number, world_name(it));
    }
    seen->version = found->number;
    seen->planted = seen->inherited = false;
}

static void see(void *arg, struct bytes table, struct bytes key,
                struct bytes value, struct vstat stat)
{
    struct view *v = arg;
    bool is_table = key.p == NULL;
    int i = world_item(v->s, table, key, is_table);
    struct seen *seen = &v->r->seen[i];

    v->there[i] = true;
    if (!is_table && (!vstat_equal(seen->stat, stat) || !seen->there)) {
        see_value(v, i, value);
        seen->stat = stat;
    }
    seen->there = true;
}

/* It is not there (any more): the primary must have removed it after what was
 * seen of it. */
static void see_absence(struct view *v, int i)
{
    struct sim *s = v->s;
    const struct item *it = &world_of(s, v->r)->items[i];
    struct seen *seen = &v->r->seen[i];

    if (!seen->there || seen->planted || it->is_table) {
        seen->there = false;
        return;
    }
    if (seen->inherited &&
        (it->count == 0 || it->history[0].number > world_of(s, v->r)->began)) {
        seen->there = false; /* this term began without it */
        return;
    }
    const struct version *gone = world_after(it, seen->version, false);
    if (gone == NULL) {
        sim_fail(s, 2,
                 "replica %d dropped %s v%" PRIu64
                 ", which the primary never removed",
                 v->r->number, world_name(it), seen->version);
    }
    seen->there = false;
    seen->version = gone->number;
}

void check_replica(struct sim *s, struct replica *r)
{
    struct view v = {.s = s, .r = r};

    memstore_each(r->store, see, &v);
    for (int i = 0; i < ITEMS; i++) {
        if (!v.there[i]) {
            see_absence(&v, i);
        }
    }
    if (r->store->fresh_ns != r->fresh_ns) {
        r->fresh_ns = r->store->fresh_ns;
        const struct world *w = world_of(s, r);
        check_covered(s, r, w, world_before(w, r->fresh_ns), 9, "fresh");
    }
}

/* --- what is durable (P4, P9) -------------------------------------------- */

void check_durable(struct sim *s, struct replica *r, const struct world *w,
                   int item, uint64_t version, bool is_set, int promise,
                   const char *claim)
{
    const struct item *it = &w->items[item];
    struct bytes value;

    /* A repair of it may be visible, and not yet on the disk. */
    if (r->seen[item].planted || r->seen[item].edited) {
        return;
    }
    if (it->is_table) {
        bool there = memstore_has_table_durable(r->store, it->table_name);
        if (there != is_set && world_after(it, version, !is_set) == NULL &&
            it->table != 0) {
            sim_fail(s, promise,
                     "replica %d: %s: table %s is %s, although v%" PRIu64
                     " says otherwise",
                     r->number, claim, it->table_name,
                     there ? "there" : "missing", version);
        }
        return;
    }
    if (!memstore_get_durable(r->store, it->table_name, it->key, &value)) {
        if (is_set && world_after(it, version, false) == NULL) {
            sim_fail(s, promise,
                     "replica %d: %s: %s v%" PRIu64
                     " is not durable: nothing is",
                     r->number, claim, world_name(it), version);
        }
        return;
    }
    const struct version *v = world_identify(it, value, version);
    if (v == NULL || v->number < version || (!is_set && v->number == version)) {
        sim_fail(s, promise,
                 "replica %d: %s: %s v%" PRIu64 "%s is not "
                 "durable, but v%" PRIu64 " (%zu bytes)",
                 r->number, claim, world_name(it), version,
                 is_set ? "" : " (deletion)", v == NULL ? 0 : v->number,
                 value.len);
    }
}

void check_covered(struct sim *s, struct replica *r, const struct world *w,
                   uint64_t version, int promise, const char *claim)
{
    for (int i = 0; i < ITEMS; i++) {
        const struct version *v = world_at(&w->items[i], version);
        if (v != NULL) {
            check_durable(s, r, w, i, v->number, v->is_set, promise, claim);
        }
    }
}

/* What was acknowledged is still there; a reader may fall back to it, but not
 * behind it. */
void check_after_crash(struct sim *s, struct replica *r)
{
    const struct world *w = world_of(s, r);

    for (int i = 0; i < ITEMS; i++) {
        struct seen *seen = &r->seen[i];
        const struct version *v = world_version(&w->items[i], seen->acked);
        /* A repair that was not acknowledged is undone. */
        seen->planted = seen->planted || seen->edited;
        if (v != NULL) {
            check_durable(s, r, w, i, v->number, v->is_set, 4, "acknowledged");
        }
        /* What was there before this term may be there again. */
        seen->inherited = seen->inherited || (v == NULL && s->terms > 1);
        seen->version = seen->acked;
        seen->stat = (struct vstat){0, 0, 0};
        /* The table of a key that survived is made by hand. */
        if (v == NULL || !v->is_set) {
            seen->there = false;
        }
    }
    check_replica(s, r);
}

/* --- what the core says and holds (P6, P9) ------------------------------- */

static void check_bounds(struct sim *s, const struct replica *r)
{
    const struct primary *p = s->agent.p;
    const struct repl *q = p->repl[r->id];

    for (const struct flight *f = q->flights.list; f != NULL; f = f->next) {
        if (f->next != NULL && f->next->seq <= f->seq) {
            sim_fail(s, 0, "flights of replica %d are out of order", r->number);
        }
    }
    /* What stands aside is outside the window: of each key one that was refused
     * and what it missed, which waits for it. */
    if (q->flights.count - q->flights.stalled >
            p->config.window_changes + ITEMS ||
        q->flights.stalled > 2 * ITEMS) {
        sim_fail(
            s, 6,
            "replica %d: %zu flights, %zu of them aside, the window is %zu",
            r->number, q->flights.count, q->flights.stalled,
            p->config.window_changes);
    }
    if (q->session.out.len - q->session.out_at > ((size_t)1 << 20)) {
        sim_fail(s, 6, "replica %d: %zu bytes of output", r->number,
                 q->session.out.len - q->session.out_at);
    }
}

/* What the agent's status says of the replica; without a good state it says so,
 * and of the primary's own troubles, too. */
static bool is_healthy(struct sim *s, const struct replica *r,
                       const struct replica_status *st)
{
    struct primary_counts n;
    struct err why;

    primary_counts(s->agent.p, &n);
    if (st->state != REPLICA_STREAMING || n.lost || n.unreadable > 0 ||
        n.changing > 0 || s->agent.stale || s->agent.lost_told) {
        return false;
    }
    return s->broken == BREAK_HEALTH ||
           primary_keeps_up(s->agent.p, r->id, LAG_LIMIT_MS, sim_now_ms(s),
                            &why);
}

/* Nothing that is older than the limit, and than a drain of the events takes,
 * is missing where all is said to be well. */
static void check_health(struct sim *s, struct replica *r,
                         const struct replica_status *st)
{
    int64_t age_us = (LAG_LIMIT_MS + DRAINED_MS) * INT64_C(1000);

    if (st->lag_ms != 0 && is_healthy(s, r, st)) {
        check_covered(
            s, r, s->world,
            world_before(s->world, WALL_0_NS + (s->now_us - age_us) * 1000), 9,
            "healthy");
    }
}

static void check_status(struct sim *s, struct replica *r)
{
    struct replica_status st;

    primary_status(s->agent.p, r->id, sim_now_ms(s), &st);
    if (st.lag_ms == 0) {
        if (st.pending_keys != 0) {
            sim_fail(s, 9, "replica %d: lag 0 with %" PRIu64 " pending",
                     r->number, st.pending_keys);
        }
        check_covered(s, r, s->world, agent_hinted(s), 9, "lag 0");
    }
    check_health(s, r, &st);
    if (st.equal_wall_ns != r->equal_ns) {
        r->equal_ns = st.equal_wall_ns;
        if (r->equal_ns != 0) {
            check_covered(s, r, s->world, world_before(s->world, r->equal_ns),
                          9, "equal");
        }
    }
}

static void check_barriers(struct sim *s)
{
    struct agent *a = &s->agent;

    for (size_t b = 0; b < a->barriers_count; b++) {
        bool all = true;
        for (int i = 0; i < s->replicas_count; i++) {
            struct replica *r = &s->replicas[i];
            if (primary_passed(a->p, r->id, a->barriers[b].tail)) {
                check_covered(s, r, s->world, a->barriers[b].version, 9,
                              "barrier");
            } else {
                all = false;
            }
        }
        if (all) {
            a->barriers[b--] = a->barriers[--a->barriers_count];
        }
    }
}

void check_core(struct sim *s)
{
    const struct primary *p = s->agent.p;
    size_t slack = (size_t)READ_JOBS * (VALUE_MAX + 100);

    if (p->log.nodes > p->config.log_max_changes + ITEMS * REPLICAS) {
        sim_fail(s, 6, "%zu places in the log, %zu are allowed", p->log.nodes,
                 p->config.log_max_changes);
    }
    /* The least that a place takes; others are taken from at the next hint. */
    if (p->log.bytes > p->config.log_max_bytes + ITEMS * REPLICAS * 1000) {
        sim_fail(s, 6, "the log takes %zu bytes, %zu are allowed", p->log.bytes,
                 p->config.log_max_bytes);
    }
    if (p->log.body_bytes > p->config.cache_max_bytes + slack) {
        sim_fail(s, 6, "%zu bytes cached, %zu are allowed", p->log.body_bytes,
                 p->config.cache_max_bytes);
    }
    for (int i = 0; i < s->replicas_count; i++) {
        check_bounds(s, &s->replicas[i]);
        check_status(s, &s->replicas[i]);
    }
    check_barriers(s);
}

/* --- in the end (P3) ----------------------------------------------------- */

void check_equal(struct sim *s, struct replica *r)
{
    for (int i = 0; i < ITEMS; i++) {
        const struct item *it = &s->world->items[i];
        struct bytes value;
        bool want = world_exists(it);
        bool have = it->is_table ? memstore_has_table(r->store, it->table_name)
                                 : memstore_get(r->store, it->table_name,
                                                it->key, &value);
        if (want != have) {
            sim_fail(s, 3, "replica %d: %s is %s", r->number, world_name(it),
                     have ? "there and should not be" : "missing");
        }
        if (!have || it->is_table) {
            continue;
        }
        const struct version *newest = world_newest(it);
        const struct version *v = world_identify(it, value, newest->number);
        if (v != newest) {
            sim_fail(s, 3, "replica %d: %s has v%" PRIu64 ", not v%" PRIu64,
                     r->number, world_name(it), v == NULL ? 0 : v->number,
                     newest->number);
        }
    }
    if (!digest_equal(index_root(r->index), index_root(s->agent.ix))) {
        sim_fail(s, 3, "replica %d: the roots differ", r->number);
    }
}
