/* SPDX-License-Identifier: MIT
 *
 * sim_scan: the agent's scans, which bring the index up to date with the
 * database in small steps while writers go on, and its walks for names. */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

/* --- scans --------------------------------------------------------------- */

static void begin(struct sim *s)
{
    struct agent *a = &s->agent;

    a->scanning = true;
    a->scan_again = a->scan_incomplete = a->scan_changed = false;
    a->scan_at = 0;
    a->scan_number++;
    index_scan_begin(a->ix, a->scan_number);
    sim_note(s, "agent: scan %u begins", a->scan_number);
}

void agent_scan_start(struct sim *s, bool stale)
{
    struct agent *a = &s->agent;

    if (stale) {
        a->stale = true;
        primary_index_stale(a->p);
    }
    if (!a->scanning) {
        begin(s);
    } else {
        a->scan_again = a->scan_again || stale;
    }
}

static void put(struct sim *s, const struct item *it,
                const struct index_entry *e)
{
    struct agent *a = &s->agent;
    struct index_entry was;
    struct err err;
    bool had = index_get(a->ix, it->name, &was);

    if (had && digest_equal(was.digest, e->digest) &&
        vstat_equal(was.stat, e->stat)) {
        index_mark(a->ix, it->name, a->scan_number);
        return;
    }
    if (index_put_if(a->ix, had ? &was : NULL, e, &err) < 0) {
        abort();
    }
    a->scan_changed = true;
}

/* What cannot be read now is left to the core. */
static void later(struct sim *s, const struct item *it)
{
    index_mark(s->agent.ix, it->name, s->agent.scan_number);
    primary_hint_key(s->agent.p, it->table_name, strlen(it->table_name),
                     it->key, strlen(it->key), HINT_FOUND, sim_now_ms(s));
}

static void scan_item(struct sim *s, const struct item *it)
{
    struct index_entry was, e = {.name = it->name, .is_table = it->is_table};
    uint8_t value[VALUE_MAX];

    if (!world_present(s, it)) {
        return; /* swept at the end */
    }
    if (!it->is_table &&
        (it->unreadable || it->placeholder || it->locked_us > s->now_us)) {
        later(s, it);
        return;
    }
    if (!it->is_table && !index_get(s->agent.ix, it->name, &was) &&
        primary_skip_room(s->agent.p) > 0 && sim_chance(s, 50)) {
        if (!primary_hint_skipped(
                s->agent.p, bytes_of(it->table_name, strlen(it->table_name)),
                bytes_of(it->key, strlen(it->key)), sim_now_ms(s))) {
            abort();
        }
        return;
    }
    if (!it->is_table) {
        const struct version *v = world_newest(it);
        world_value(it, v, value);
        e.digest = digest_of(value, v->len);
        e.stat = (struct vstat){
            .ino = it->ino, .ctime_ns = it->ctime_ns, .size = v->len};
    }
    put(s, it, &e);
}

static bool sweep(void *arg, const struct index_entry *e)
{
    struct agent *a = arg;

    (void)e;
    a->scan_changed = true;
    return true;
}

static void end(struct sim *s)
{
    struct agent *a = &s->agent;

    if (!a->scan_incomplete) {
        index_sweep(a->ix, a->scan_number, sweep, a);
    }
    index_scan_end(a->ix);
    a->scanning = false;
    sim_note(s, "agent: scan %u ends%s", a->scan_number,
             a->scan_incomplete ? " incomplete" : "");
    if (a->scan_again || a->scan_incomplete) {
        begin(s);
        return;
    }
    if (a->stale) {
        a->stale = false;
        s->world->complete_version =
            s->world->overflow ? s->world->complete_version : UINT64_MAX;
        primary_index_ready(a->p, sim_now_ms(s));
    } else if (a->scan_changed) {
        primary_compare_soon(a->p);
    }
    agent_act(s);
}

bool agent_scan(struct sim *s)
{
    struct agent *a = &s->agent;

    if (!a->scanning) {
        return false;
    }
    if (s->world->root_lost) {
        a->scan_incomplete = true;
        a->scan_at = ITEMS;
        if (!s->calm && !sim_chance(s, 100)) {
            return false; /* it is tried again now and then */
        }
    }
    int n = 1 + (int)sim_below(s, 10);
    while (n-- > 0 && a->scan_at < ITEMS) {
        scan_item(s, &s->world->items[a->scan_at++]);
    }
    agent_act(s);
    if (a->scan_at == ITEMS) {
        end(s);
    }
    return true;
}

/* --- walks --------------------------------------------------------------- */

static void walk_end(struct sim *s)
{
    struct agent *a = &s->agent;
    uint64_t id = a->walk_id;

    a->walk_id = 0;
    primary_walk_ended(a->p, id, !a->walk_stop && !a->walk_incomplete, NULL,
                       sim_now_ms(s));
    agent_act(s);
}

bool agent_walk(struct sim *s)
{
    struct agent *a = &s->agent;

    if (a->walk_id == 0) {
        return false;
    }
    if (s->world->root_lost || (!s->calm && sim_chance(s, 5))) {
        a->walk_incomplete = true;
    }
    if (a->walk_stop || a->walk_incomplete || a->walk_at == ITEMS) {
        walk_end(s);
        return true;
    }
    if (primary_walk_room(a->p, a->walk_id) == 0) {
        return false;
    }
    const struct item *it = &s->world->items[a->walk_at++];
    const void *filter = primary_walk_filter(a->p, a->walk_id);
    if (world_present(s, it) && primary_walk_wants(filter, it->name)) {
        primary_walk_found(
            a->p, a->walk_id, it->name, it->is_table,
            bytes_of(it->table_name, strlen(it->table_name)),
            bytes_of(it->key, it->is_table ? 0 : strlen(it->key)),
            sim_now_ms(s));
        agent_act(s);
    }
    return true;
}
