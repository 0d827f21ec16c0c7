/* SPDX-License-Identifier: MIT
 *
 * age: see age.h.
 *
 * Names that went are in two hash tables.  When the newer one is full or old it
 * takes the place of the older, which is forgotten.  A name that comes back is
 * not removed from them but marked, because an entry in the newer one hides
 * what the older says of the same name. */
#include "sync/index/age.h"

#include <stdlib.h>
#include <string.h>

enum { GONE_FIRST = 64 };

enum how { FREE, WENT_YOUNG, WENT_ESTABLISHED, WENT_MADE_UP, CAME_BACK };

struct gone_name {
    struct digest name;
    uint16_t at; /* the step in which it went */
    uint16_t table;
    uint8_t how; /* enum how */
};

/* Open addressing, at most two thirds full. */
struct age_gone {
    size_t cap; /* a power of two */
    size_t used;
    struct gone_name slots[];
};

/* --- steps --------------------------------------------------------------- */

static unsigned steps_since(const struct ages *a, uint16_t stamp)
{
    return a->now >= stamp ? (unsigned)(a->now - stamp)
                           : (unsigned)(a->now + AGE_LAST - stamp);
}

bool age_is_young(const struct ages *a, uint16_t stamp)
{
    return a->now != 0 && stamp != 0 && steps_since(a, stamp) < AGE_STEPS;
}

void age_count(struct ages *a, uint16_t stamp, bool is_in)
{
    /* Unsigned arithmetic: adding -1 subtracts. */
    uint64_t one = is_in ? 1 : UINT64_MAX;

    if (age_is_young(a, stamp)) {
        a->young[stamp % AGE_STEPS] += one;
        a->young_sum += one;
    }
}

void age_advance(struct ages *a)
{
    memset(a->young, 0, sizeof a->young);
    memset(a->replaced, 0, sizeof a->replaced);
    a->young_sum = 0;
}

/* --- tables that were replaced ------------------------------------------- */

static struct age_replaced *replaced(struct ages *a, uint16_t table)
{
    for (size_t i = 0; table != 0 && i < AGE_REPLACED; i++) {
        if (a->replaced[i].table == table) {
            return &a->replaced[i];
        }
    }
    return NULL;
}

void age_replace(struct ages *a, uint16_t table)
{
    struct age_replaced *t = replaced(a, table);

    for (size_t i = 0; t == NULL && i < AGE_REPLACED; i++) {
        t = a->replaced[i].table == 0 ? &a->replaced[i] : NULL;
    }
    if (t != NULL && a->now != 0) {
        t->table = table;
        t->since = a->now;
    }
}

uint64_t age_made_up(const struct ages *a)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < AGE_REPLACED; i++) {
        const struct age_replaced *t = &a->replaced[i];
        sum += t->went < t->came_sum ? t->went : t->came_sum;
    }
    return sum;
}

static bool is_open(const struct ages *a, const struct age_replaced *t)
{
    return steps_since(a, t->since) < AGE_STEPS;
}

/* Those that came with the step that is long ago now are established: what they
 * made up for is settled, and others may not make up for it again. */
static void step_replaced(struct ages *a, struct age_replaced *t)
{
    uint64_t settled = t->came[a->now % AGE_STEPS];

    t->went -= settled < t->went ? settled : t->went;
    t->came_sum -= settled;
    t->came[a->now % AGE_STEPS] = 0;
    if (t->came_sum == 0 && steps_since(a, t->since) >= AGE_STEPS) {
        memset(t, 0, sizeof *t);
    }
}

static void came_to(struct ages *a, uint16_t table, bool was_away)
{
    struct age_replaced *t = replaced(a, table);

    if (t == NULL) {
        return;
    }
    if (was_away) {
        t->went -= t->went > 0;
        return;
    }
    if (!is_open(a, t)) {
        return;
    }
    t->came[a->now % AGE_STEPS]++;
    t->came_sum++;
}

static enum how went_from(struct ages *a, const struct age_key *k, bool young)
{
    struct age_replaced *t = replaced(a, k->table);

    if (young) {
        if (t != NULL && t->came[k->stamp % AGE_STEPS] > 0) {
            t->came[k->stamp % AGE_STEPS]--;
            t->came_sum--;
        }
        return WENT_YOUNG;
    }
    if (t == NULL || !is_open(a, t)) {
        return WENT_ESTABLISHED;
    }
    t->went++;
    return t->went <= t->came_sum ? WENT_MADE_UP : WENT_ESTABLISHED;
}

/* --- names that went ----------------------------------------------------- */

static struct gone_name *slot_of(struct age_gone *g, struct digest name)
{
    size_t i = (size_t)name.lo & (g->cap - 1);

    while (g->slots[i].how != FREE && !digest_equal(g->slots[i].name, name)) {
        i = (i + 1) & (g->cap - 1);
    }
    return &g->slots[i];
}

static struct gone_name *find_in(struct age_gone *g, struct digest name)
{
    struct gone_name *n = g != NULL ? slot_of(g, name) : NULL;

    return n != NULL && n->how != FREE ? n : NULL;
}

static struct gone_name *find(const struct ages *a, struct digest name)
{
    struct gone_name *n = find_in(a->gone, name);

    return n != NULL ? n : find_in(a->gone_before, name);
}

static size_t bytes_of(const struct age_gone *g)
{
    return g != NULL ? sizeof *g + g->cap * sizeof g->slots[0] : 0;
}

/* A table with room for one more name; NULL: out of memory, `g` stays. */
static struct age_gone *with_room(struct age_gone *g)
{
    size_t cap = g != NULL ? 2 * g->cap : GONE_FIRST;

    if (g != NULL && (g->used + 1) * 3 <= g->cap * 2) {
        return g;
    }
    struct age_gone *larger =
        calloc(1, sizeof *larger + cap * sizeof larger->slots[0]);
    if (larger == NULL) {
        return NULL;
    }
    larger->cap = cap;
    for (size_t i = 0; g != NULL && i < g->cap; i++) {
        if (g->slots[i].how != FREE) {
            *slot_of(larger, g->slots[i].name) = g->slots[i];
            larger->used++;
        }
    }
    free(g);
    return larger;
}

static void turn(struct ages *a)
{
    free(a->gone_before);
    a->gone_before = a->gone;
    a->gone = NULL;
    a->gone_steps = 0;
}

void age_go(struct ages *a, const struct age_key *k)
{
    if (a->now == 0) {
        return;
    }
    enum how how = went_from(a, k, age_is_young(a, k->stamp));
    if (a->gone != NULL && a->gone->used >= AGE_GONE_MAX) {
        turn(a);
    }
    struct age_gone *g = with_room(a->gone);
    if (g == NULL) {
        return;
    }
    a->gone = g;
    struct gone_name *n = slot_of(g, k->name);
    g->used += n->how == FREE;
    *n = (struct gone_name){k->name, a->now, k->table, (uint8_t)how};
}

uint16_t age_come(struct ages *a, const struct age_key *k)
{
    struct gone_name *n = a->now != 0 ? find(a, k->name) : NULL;
    bool was_away = n != NULL &&
                    (n->how == WENT_ESTABLISHED || n->how == WENT_MADE_UP) &&
                    steps_since(a, n->at) < AGE_AWAY_STEPS;

    if (n != NULL) {
        n->how = CAME_BACK;
    }
    came_to(a, k->table, was_away);
    return was_away ? 0 : a->now;
}

enum age_end age_end_of(const struct ages *a, struct digest name)
{
    const struct gone_name *n = find(a, name);

    if (n == NULL || n->how == CAME_BACK) {
        return AGE_UNKNOWN;
    }
    if (n->how != WENT_ESTABLISHED) {
        return AGE_FREE;
    }
    for (size_t i = 0; n->table != 0 && i < AGE_REPLACED; i++) {
        if (a->replaced[i].table == n->table) {
            return AGE_REPLACED_ONE;
        }
    }
    return AGE_UNKNOWN;
}

/* --- life ---------------------------------------------------------------- */

void age_step(struct ages *a)
{
    a->now = (uint16_t)(a->now % AGE_LAST + 1);
    /* The place of the new stamp is that of those who are established now. */
    a->young_sum -= a->young[a->now % AGE_STEPS];
    a->young[a->now % AGE_STEPS] = 0;
    for (size_t i = 0; i < AGE_REPLACED; i++) {
        if (a->replaced[i].table != 0) {
            step_replaced(a, &a->replaced[i]);
        }
    }
    if (++a->gone_steps >= AGE_GONE_STEPS) {
        turn(a);
    }
}

void age_deinit(struct ages *a)
{
    free(a->gone);
    free(a->gone_before);
    a->gone = a->gone_before = NULL;
}

size_t age_memory_bytes(const struct ages *a)
{
    return bytes_of(a->gone) + bytes_of(a->gone_before);
}
