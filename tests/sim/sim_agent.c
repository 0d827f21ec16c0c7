/* SPDX-License-Identifier: MIT
 *
 * sim_agent: what the agent does around the core.  Events wait in a queue and
 * are told late; looks and streams are answered late, out of order, and also
 * when nobody wants the answer any more; the agent dies and comes back, with
 * or without the index it had. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

/* --- life ---------------------------------------------------------------- */

/* A saved index is older than what died: some of its entries are, too. */
static void age_index(struct sim *s)
{
    for (int i = TABLES; i < ITEMS; i++) {
        const struct item *it = &s->world->items[i];
        struct index_entry e = {.name = it->name};
        uint8_t value[VALUE_MAX];
        struct err err;
        if (it->count < 2 || !sim_chance(s, 200)) {
            continue;
        }
        const struct version *old = &it->history[it->count - 2];
        if (!old->is_set) {
            index_remove(s->agent.ix, it->name);
            continue;
        }
        world_value(it, old, value);
        e.digest = digest_of(value, old->len);
        e.stat = (struct vstat){.ino = 1, .ctime_ns = 1, .size = old->len};
        if (index_put(s->agent.ix, &e, &err) != 0) {
            abort();
        }
    }
}

/* Its own generator: a key decides nothing that a seed stands for. */
static void new_key(struct sim *s)
{
    struct prng rnd = prng_of(s->seed + ++s->agent.keys);
    uint64_t words[INDEX_KEY_BYTES / 8];

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        words[i] = prng_next(&rnd);
    }
    memcpy(&s->agent.key, words, sizeof s->agent.key);
    index_set_key(s->agent.ix, &s->agent.key);
    world_rekey(s);
}

void agent_start(struct sim *s, bool keep_index)
{
    struct agent *a = &s->agent;

    if (!keep_index) {
        index_free(a->ix);
        a->ix = index_new();
        assert(a->ix != NULL);
        new_key(s);
    } else {
        age_index(s);
    }
    a->config.seed = prng_next(&s->rnd);
    a->config.epoch = s->world->epoch;
    s->processes++;
    memset(a->config.instance, s->world->term + 1, WIRE_ORIGIN_BYTES);
    memcpy(a->config.instance + WIRE_ORIGIN_BYTES, &s->processes,
           sizeof s->processes);
    a->p = primary_new(&a->config, a->ix);
    assert(a->p != NULL);
    for (int i = 0; i < s->replicas_count; i++) {
        struct replica *r = &s->replicas[i];
        struct replica_options o = {.name = "replica"};
        struct err err;
        r->id = primary_replica_add(a->p, &o, sim_now_ms(s), &err);
        assert(r->id >= 0);
        if (r->braked > 0) {
            primary_brake_on(a->p, r->id, r->braked, sim_now_ms(s));
        }
        r->paused = false;
    }
    /* The watch begins: what was in the queue is gone, the scan sees it. */
    s->world->events_count = 0;
    s->world->overflow = false;
    s->world->complete_version = 0;
    a->lost_told = false;
    a->next_tick_us = a->next_drain_us = s->now_us;
    agent_scan_start(s, true);
    agent_act(s);
}

void agent_stop(struct sim *s)
{
    struct agent *a = &s->agent;

    for (int i = 0; i < s->replicas_count; i++) {
        if (s->replicas[i].up) {
            replica_cut(s, &s->replicas[i]);
            replica_link_close(s, &s->replicas[i]);
        }
    }
    primary_free(a->p);
    a->p = NULL;
    if (a->scanning) {
        index_scan_end(a->ix);
    }
    a->scanning = a->scan_again = a->stale = false;
    a->reader_count = a->streams_count = a->barriers_count = 0;
    a->walk_id = 0;
}

/* --- actions ------------------------------------------------------------- */

static struct stream_task *stream_of(struct agent *a, uint64_t id)
{
    for (size_t i = 0; i < a->streams_count; i++) {
        if (a->streams[i].id == id && !a->streams[i].closed) {
            return &a->streams[i];
        }
    }
    return NULL;
}

static void on_look(struct sim *s, const struct action *act)
{
    struct agent *a = &s->agent;

    assert(a->reader_count < READ_JOBS);
    struct look_task *t = &a->looks[a->reader_count++];
    t->id = act->id;
    t->done = false;
    t->item = world_item(s, act->table, act->key, act->type == ACT_READ_TABLE);
}

static void on_stream_open(struct sim *s, const struct action *act)
{
    struct agent *a = &s->agent;

    assert(a->streams_count < STREAM_JOBS);
    struct stream_task *t = &a->streams[a->streams_count++];
    memset(t, 0, sizeof *t);
    t->id = act->id;
    t->item = world_item(s, act->table, act->key, false);
    t->copy = act->copy;
    t->asked = ACT_STREAM_OPEN;
}

static void on_link_close(struct sim *s, const struct action *act)
{
    for (int i = 0; i < s->replicas_count; i++) {
        struct replica *r = &s->replicas[i];
        if (r->id == act->replica) {
            sim_note(s, "core: close link %d: %s", i, act->err.msg);
            if (act->err.id == DR_PROTOCOL) {
                sim_fail(s, 0, "replica %d broke the protocol: %s", i,
                         act->err.msg);
            }
            if (r->up) {
                replica_cut(s, r);
                replica_link_close(s, r);
            } else {
                primary_link_down(s->agent.p, r->id, &act->err, false,
                                  sim_now_ms(s));
            }
        }
    }
}

static void note_brake(struct sim *s, const struct action *act)
{
    for (int i = 0; i < s->replicas_count; i++) {
        struct replica *r = &s->replicas[i];
        struct primary_held held;
        if (r->id == act->replica) {
            r->braked = primary_held(s->agent.p, r->id, sim_now_ms(s), &held)
                            ? held.held + 1
                            : 0;
        }
    }
}

static void act_one(struct sim *s, const struct action *act)
{
    struct agent *a = &s->agent;
    struct stream_task *t;

    switch (act->type) {
    case ACT_READ:
    case ACT_READ_TABLE:
        on_look(s, act);
        break;
    case ACT_STREAM_OPEN:
        on_stream_open(s, act);
        break;
    case ACT_STREAM_READ:
        t = stream_of(a, act->id);
        assert(t != NULL && t->asked == 0);
        t->asked = ACT_STREAM_READ;
        t->bytes = act->bytes;
        break;
    case ACT_STREAM_CLOSE:
        t = stream_of(a, act->id);
        assert(t != NULL);
        t->closed = true;
        break;
    case ACT_WALK:
        assert(a->walk_id == 0);
        a->walk_id = act->id;
        a->walk_at = 0;
        a->walk_stop = a->walk_incomplete = false;
        break;
    case ACT_WALK_STOP:
        assert(a->walk_id == act->id);
        a->walk_stop = true;
        break;
    case ACT_LINK_CLOSE:
        on_link_close(s, act);
        break;
    case ACT_LOG:
        sim_note(s, "core[%d]: %s", act->replica, act->err.msg);
        break;
    case ACT_COMPARED:
        a->compared = act->id;
        break;
    case ACT_BRAKE:
        note_brake(s, act);
        break;
    case ACT_MET:
    case ACT_UNDONE:
        break; /* the agent's note of it is not part of this */
    }
}

void agent_act(struct sim *s)
{
    struct action act;

    while (primary_next_action(s->agent.p, &act)) {
        act_one(s, &act);
    }
}

/* --- looks --------------------------------------------------------------- */

static struct err unreadable_err;

static void look_value(struct sim *s, struct item *it, struct look_task *t)
{
    const struct version *v = world_newest(it);
    struct reading *l = &t->r.reading;

    if (s->broken == BREAK_READ_OLD && sim_chance(s, 50) && it->count > 2 &&
        it->history[it->count - 3].is_set) {
        v = &it->history[it->count - 3];
    }
    l->stat = (struct vstat){
        .ino = it->ino, .ctime_ns = it->ctime_ns, .size = v->len};
    t->r.age_ms = (sim_wall(s) - it->ctime_ns) / 1000000;
    if (v->len > LARGE_BYTES) {
        t->r.result = READ_LARGE;
        return;
    }
    world_value(it, v, t->value);
    t->r.result = READ_VALUE;
    t->r.value = t->value;
    t->r.value_len = v->len;
    l->digest = digest_of(t->value, v->len);
}

static void read_placeholder(struct sim *s, const struct item *it,
                             struct look_task *t)
{
    t->r.result = READ_VALUE;
    t->r.value = t->value;
    t->r.reading.stat =
        (struct vstat){.ino = it->ino, .ctime_ns = it->ctime_ns};
    t->r.reading.digest = digest_of(t->value, 0);
    t->r.age_ms = s->broken == BREAK_PLACEHOLDER
                      ? 10000
                      : (sim_wall(s) - it->ctime_ns) / 1000000;
}

static void look_now(struct sim *s, struct look_task *t)
{
    struct item *it = &s->world->items[t->item];

    t->done = true;
    memset(&t->r, 0, sizeof t->r);
    if (s->world->root_lost && s->broken != BREAK_ROOT) {
        (void)err_set(&unreadable_err, ERR_GONE, 0, "the root is not there");
        t->r.result = READ_ROOT_LOST;
        t->r.err = &unreadable_err;
    } else if (!world_present(s, it) || s->world->root_lost) {
        t->r.result = READ_GONE;
        it->gone_seen = true;
        it->gone_version = s->world->root_lost ? 0 : s->world->version;
    } else if (it->is_table) {
        t->r.result = READ_VALUE;
    } else if (it->unreadable) {
        (void)err_set(&unreadable_err, ERR_PERM, 0, "permission denied");
        t->r.result = READ_ERROR;
        t->r.err = &unreadable_err;
    } else if (it->locked_us > s->now_us) {
        t->r.result = READ_BUSY;
        t->r.pid = 77;
    } else if (sim_chance(s, s->calm ? 0 : 10)) {
        t->r.result = READ_CHANGING;
    } else if (it->placeholder) {
        read_placeholder(s, it, t);
    } else {
        look_value(s, it, t);
    }
}

bool agent_look(struct sim *s)
{
    struct agent *a = &s->agent;

    if (a->reader_count == 0) {
        return false;
    }
    size_t i = (size_t)sim_below(s, a->reader_count);
    struct look_task *t = &a->looks[i];
    if (!t->done) {
        look_now(s, t);
        return true;
    }
    struct look_task done = *t;
    *t = a->looks[--a->reader_count];
    done.r.value = done.value;
    a->lost_told = a->lost_told || done.r.result == READ_ROOT_LOST;
    if (s->world->items[done.item].is_table) {
        primary_table_read(a->p, done.id, done.r.result, done.r.err,
                           sim_now_ms(s));
    } else {
        primary_key_read(a->p, done.id, &done.r, sim_now_ms(s));
    }
    return true;
}

/* --- streams ------------------------------------------------------------- */

static void stream_open(struct sim *s, struct stream_task *t)
{
    struct item *it = &s->world->items[t->item];
    struct read_answer r = {.result = READ_VALUE};
    const struct version *v = world_newest(it);

    if (s->world->root_lost) {
        r.result = READ_ROOT_LOST;
        s->agent.lost_told = true;
    } else if (!world_present(s, it)) {
        r.result = READ_GONE;
    } else if (it->unreadable) {
        r.result = READ_ERROR;
        r.err = &unreadable_err;
    } else if (it->locked_us > s->now_us) {
        r.result = READ_BUSY;
    } else {
        t->ino = it->ino;
        t->ctime_ns = it->ctime_ns;
        t->version = it->placeholder ? 0 : v->number;
        t->len = it->placeholder ? 0 : v->len;
        r.reading.stat = (struct vstat){
            .ino = it->ino, .ctime_ns = it->ctime_ns, .size = t->len};
    }
    t->asked = 0;
    primary_stream_opened(s->agent.p, t->id, &r, sim_now_ms(s));
}

/* Written in place since it was opened, and not copied then. */
static bool is_mixed(const struct item *it, const struct stream_task *t)
{
    return !t->copy && it->ino == t->ino && it->ctime_ns != t->ctime_ns;
}

/* What was read is the version it was opened at, whatever is there by now. */
static void stream_end(struct sim *s, struct stream_task *t, bool early)
{
    struct item *it = &s->world->items[t->item];
    struct read_answer r = {.result = READ_VALUE};
    uint8_t value[VALUE_MAX];

    if (s->world->root_lost) {
        r.result = READ_ROOT_LOST;
        s->agent.lost_told = true;
    } else if (early || is_mixed(it, t)) {
        r.result = READ_CHANGING;
    } else {
        world_value(it, world_version(it, t->version), value);
        r.reading.digest = digest_of(value, t->len);
        r.reading.replaced = it->ino != t->ino || !world_exists(it);
        r.reading.stat = (struct vstat){
            .ino = t->ino, .ctime_ns = t->ctime_ns, .size = t->len};
    }
    t->asked = 0;
    primary_stream_data(s->agent.p, t->id, NULL, 0, &r, sim_now_ms(s));
}

static void stream_read(struct sim *s, struct stream_task *t)
{
    const struct item *it = &s->world->items[t->item];
    uint8_t value[VALUE_MAX];
    size_t n = t->len - t->at;

    bool early = n > 0 && sim_chance(s, s->calm ? 0 : 5);
    if (n == 0 || early) {
        stream_end(s, t, early);
        return;
    }
    size_t most = 1 + (size_t)sim_below(s, 400);
    n = n < most ? n : most;
    n = n < t->bytes ? n : t->bytes;
    const struct version *v = world_version(it, t->version);
    world_value(it, v, value);
    size_t at = t->at;
    t->at += (uint32_t)n;
    t->asked = 0;
    primary_stream_data(s->agent.p, t->id, value + at, n, NULL, sim_now_ms(s));
}

bool agent_stream(struct sim *s)
{
    struct agent *a = &s->agent;

    if (a->streams_count == 0) {
        return false;
    }
    size_t i = (size_t)sim_below(s, a->streams_count);
    struct stream_task *t = &a->streams[i];
    if (t->asked == 0) {
        if (t->closed) {
            *t = a->streams[--a->streams_count];
        }
        return t->closed;
    }
    /* The core's next action may move the array: work on a copy's fields only
     * before the call. */
    if (t->asked == ACT_STREAM_OPEN) {
        stream_open(s, t);
    } else {
        stream_read(s, t);
    }
    return true;
}

/* --- events -------------------------------------------------------------- */

static void deliver(struct sim *s, const struct event *e)
{
    const struct item *it = &s->world->items[e->item];
    struct primary *p = s->agent.p;

    if (it->is_table) {
        primary_hint_table(p, it->table_name, strlen(it->table_name),
                           sim_now_ms(s));
    } else {
        primary_hint_key(p, it->table_name, strlen(it->table_name), it->key,
                         strlen(it->key), e->why, sim_now_ms(s));
    }
    if (e->whole) {
        /* No event names the keys that went with it. */
        agent_scan_start(s, true);
    }
    agent_act(s);
}

void agent_drain(struct sim *s, bool all)
{
    struct world *w = s->world;
    int64_t wall_ns = sim_wall(s);
    size_t n =
        all ? w->events_count : (size_t)sim_below(s, w->events_count + 1);

    if (s->broken == BREAK_DRAIN && sim_chance(s, 900)) {
        primary_drained(s->agent.p, wall_ns, sim_now_ms(s));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        deliver(s, &w->events[i]);
    }
    memmove(w->events, w->events + n,
            (w->events_count - n) * sizeof *w->events);
    w->events_count -= n;
    if (!all) {
        return;
    }
    if (w->root_lost && !s->agent.lost_told && s->broken != BREAK_ROOT) {
        s->agent.lost_told = true;
        primary_root_lost(s->agent.p, "the root is not there");
    }
    if (w->overflow) {
        w->overflow = false;
        sim_note(s, "agent: events were lost");
        agent_scan_start(s, true);
    }
    if (!w->root_lost && s->agent.lost_told) {
        s->agent.lost_told = false;
        primary_root_back(s->agent.p, sim_now_ms(s));
        agent_scan_start(s, true);
    }
    if (!s->agent.stale && !s->agent.lost_told) {
        primary_drained(s->agent.p, wall_ns, sim_now_ms(s));
    }
    agent_act(s);
}

uint64_t agent_hinted(const struct sim *s)
{
    const struct world *w = s->world;
    uint64_t known =
        w->events_count > 0 ? w->events[0].version - 1 : w->version;

    return known < w->complete_version ? known : w->complete_version;
}

void agent_tick(struct sim *s)
{
    struct agent *a = &s->agent;
    int64_t in_ms = primary_tick(a->p, sim_now_ms(s));

    a->next_tick_us = s->now_us + in_ms * 1000;
    agent_act(s);
}

/* Take a barrier over everything written up to now. */
void agent_barrier(struct sim *s)
{
    struct agent *a = &s->agent;

    agent_drain(s, true);
    if (a->stale || a->lost_told || a->barriers_count == BARRIERS) {
        return;
    }
    a->barriers[a->barriers_count++] = (struct barrier){
        .tail = primary_tail(a->p), .version = s->world->version};
}
