/* SPDX-License-Identifier: MIT
 *
 * sim_term: handovers.  The primary dies and a replica is promoted, with what
 * it has at that moment; the old primary returns with its own database and its
 * own epoch, feeds whom it can, and goes again; in the end it is demoted and
 * takes the place of the replica that was promoted.
 *
 * One agent lives at a time; which world it reads is its primary's.  Two that
 * live at once are the receivers' matter (session.h), not the cores'. */
#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "tests/sim/sim.h"

static uint64_t below(struct sim *s, uint64_t limit)
{
    return prng_below(&s->term_rnd, limit);
}

struct world *world_of(const struct sim *s, const struct replica *r)
{
    return s->worlds[r->term];
}

/* --- what a replica accepts (P10) ---------------------------------------- */

void term_seen(struct sim *s, struct replica *r)
{
    const struct memstore *m = r->store;
    int now = m->term.origin[0] - 1;

    if (!m->has_id || now >= s->terms || (now == r->term && r->known)) {
        return;
    }
    if (r->known && s->worlds[now]->epoch <= s->worlds[r->term]->epoch) {
        sim_fail(s, 10,
                 "replica %d went from term %d (epoch %" PRIu64
                 ") to term %d (epoch %" PRIu64 ")",
                 r->number, r->term, s->worlds[r->term]->epoch, now,
                 s->worlds[now]->epoch);
    }
    sim_note(s, "replica %d: follows term %d, epoch %" PRIu64, r->number, now,
             s->worlds[now]->epoch);
    r->term = now;
    r->known = true;
    /* A time of the old primary's would be a claim about the new one. */
    r->fresh_ns = 0;
    for (int i = 0; i < ITEMS; i++) {
        struct seen *seen = &r->seen[i];
        seen->version = seen->sent = seen->acked = 0;
        seen->inherited = s->terms > 1;
    }
}

bool term_left(struct sim *s, struct replica *r, int item, struct bytes value)
{
    for (int i = 0; i < s->terms; i++) {
        if (i != r->term &&
            world_identify(&s->worlds[i]->items[item], value, 0) != NULL) {
            return true;
        }
    }
    return false;
}

/* --- promote ------------------------------------------------------------- */

struct legacy {
    struct sim *s;
    struct world *to;
};

static void inherit(void *arg, struct bytes table, struct bytes key,
                    struct bytes value, struct vstat stat)
{
    const struct legacy *l = arg;

    (void)stat;
    world_inherit(l->s, l->to, world_item(l->s, table, key, key.p == NULL),
                  value);
}

static void promote(struct sim *s, struct replica *r)
{
    sim_note(s, "operator: replica %d is promoted", r->number);
    agent_stop(s);
    replica_crash(s, r, below(s, 3) == 0);
    struct world *w = world_new(s, r->store->term.epoch + 1);
    w->restless = s->world->restless;
    struct legacy l = {.s = s, .to = w};
    memstore_each(r->store, inherit, &l);
    w->began = w->version;
    w->complete_version = UINT64_MAX;
    r->away = r->store->is_primary = true;
    s->deposed = s->world->term;
    s->newest = w->term;
    s->world = w;
    agent_start(s, false);
}

/* --- demote -------------------------------------------------------------- */

/* The deposed primary's database becomes the replica's whose place is free. */
static void demote(struct sim *s, struct replica *r)
{
    struct world *w = s->worlds[s->deposed];
    struct memstore *old = r->store;
    uint8_t value[VALUE_MAX];

    sim_note(s, "operator: the primary of term %d is demoted, as replica %d",
             w->term, r->number);
    replica_crash(s, r, false);
    tap_reset(r);
    r->store = memstore_new();
    r->store->send = old->send;
    r->store->send_arg = old->send_arg;
    r->store->lawless = old->lawless;
    r->store->has_id = true;
    r->store->term = (struct term){.epoch = w->epoch};
    memset(r->store->term.db_id, 7, sizeof r->store->term.db_id);
    memset(r->store->term.origin, 0xff, sizeof r->store->term.origin);
    memstore_free(old);
    index_free(r->index);
    r->index = index_new();
    assert(r->index != NULL);
    memset(r->seen, 0, sizeof r->seen);
    for (int i = TABLES; i < ITEMS; i++) {
        const struct item *it = &w->items[i];
        if (world_exists(it)) {
            world_value(it, world_newest(it), value);
            memstore_edit(r->store, it->table_name, it->key, value,
                          world_newest(it)->len);
        }
    }
    r->away = false;
    r->term = w->term;
    r->known = true;
    r->fresh_ns = r->equal_ns = 0;
    s->deposed = -1;
}

/* --- the operator -------------------------------------------------------- */

static struct replica *away(struct sim *s)
{
    for (int i = 0; i < s->replicas_count; i++) {
        if (s->replicas[i].away) {
            return &s->replicas[i];
        }
    }
    return NULL;
}

/* The other primary's agent runs instead of this one's. */
static void change_agent(struct sim *s, int term)
{
    sim_note(s, "operator: the agent of term %d runs", term);
    agent_stop(s);
    s->world = s->worlds[term];
    agent_start(s, false);
}

void term_step(struct sim *s)
{
    struct replica *place = away(s);
    struct replica *r = &s->replicas[below(s, (uint64_t)s->replicas_count)];

    if (place == NULL) {
        if (s->terms < TERMS && r->known && r->term == s->newest) {
            promote(s, r);
        }
    } else if (s->world->term != s->newest) {
        change_agent(s, s->newest);
    } else if (below(s, 3) != 0) {
        change_agent(s, s->deposed);
    } else {
        demote(s, place);
    }
}

void term_end(struct sim *s)
{
    struct replica *place = away(s);

    if (s->world->term != s->newest) {
        change_agent(s, s->newest);
    }
    if (place != NULL) {
        demote(s, place);
    }
}
