/* SPDX-License-Identifier: MIT
 *
 * sim_world: the primary's database.  Writers behave as flockd's do: a new key
 * stands as an empty placeholder before the rename, a value is written under
 * the exclusive lock or renamed into place, tables come and go, also as a
 * whole.  What each deed tells inotify goes into a queue that may overflow. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

static const char *const table_names[TABLES] = {"", "t", "users", "deep/v",
                                                "a.tbl/b"};
static const char *const key_names[KEYS] = {"",   "\xff\xfe", "k2", "k3", "k4",
                                            "k5", "k6",       "k7", "k8", "k9"};

/* --- names --------------------------------------------------------------- */

static void commit(struct sim *s, struct item *it, bool is_set, uint32_t len);

static void name_items(struct world *w, const struct index_key *k)
{
    for (int i = 0; i < ITEMS; i++) {
        struct item *it = &w->items[i];
        size_t len = strlen(it->table_name);
        it->name = it->is_table ? index_name_table(k, it->table_name, len)
                                : index_name_key(k, it->table_name, len,
                                                 it->key, strlen(it->key));
    }
}

void world_rekey(struct sim *s)
{
    for (int i = 0; i < s->terms; i++) {
        name_items(s->worlds[i], &s->agent.key);
    }
}

struct world *world_new(struct sim *s, uint64_t epoch)
{
    struct world *w = calloc(1, sizeof *w);

    assert(w != NULL && s->terms < TERMS);
    w->term = s->terms;
    w->epoch = epoch;
    s->worlds[s->terms++] = w;
    for (int i = 0; i < ITEMS; i++) {
        struct item *it = &w->items[i];
        it->is_table = i < TABLES;
        it->table = i < TABLES ? i : (i - TABLES) / KEYS;
        it->table_name = table_names[it->table];
        it->key = it->is_table ? NULL : key_names[(i - TABLES) % KEYS];
    }
    name_items(w, &s->agent.key);
    w->next_ino = 1;
    w->complete_version = UINT64_MAX;
    return w;
}

void world_init(struct sim *s)
{
    s->world = world_new(s, 1);
    commit(s, &s->world->items[0], true, 0);
}

void world_free(struct sim *s)
{
    for (int n = 0; n < s->terms; n++) {
        struct world *w = s->worlds[n];
        for (int i = 0; i < ITEMS; i++) {
            free(w->items[i].history);
        }
        free(w->walls);
        free(w);
    }
}

static bool is_text(struct bytes b, const char *text)
{
    return b.len == strlen(text) &&
           (b.len == 0 || memcmp(b.p, text, b.len) == 0);
}

int world_item(struct sim *s, struct bytes table, struct bytes key,
               bool is_table)
{
    int t = 0, k = 0;

    while (t < TABLES && !is_text(table, table_names[t])) {
        t++;
    }
    if (t == TABLES) {
        sim_fail(s, 0, "a table named %.*s appeared", (int)table.len,
                 (const char *)table.p);
    }
    if (is_table) {
        return t;
    }
    while (k < KEYS && !is_text(key, key_names[k])) {
        k++;
    }
    if (k == KEYS) {
        sim_fail(s, 0, "a key named %.*s appeared", (int)key.len,
                 (const char *)key.p);
    }
    return TABLES + t * KEYS + k;
}

const char *world_name(const struct item *it)
{
    static char text[2][64];
    static int at;

    at = !at;
    (void)snprintf(text[at], sizeof text[at], "%s%s%s",
                   it->table_name[0] != '\0' ? it->table_name : "(root)",
                   it->is_table ? "" : "/",
                   it->is_table           ? ""
                   : it->key[0] == '\xff' ? "\\xff\\xfe"
                                          : it->key);
    return text[at];
}

/* --- versions ------------------------------------------------------------ */

const struct version *world_newest(const struct item *it)
{
    return it->count == 0 ? NULL : &it->history[it->count - 1];
}

bool world_exists(const struct item *it)
{
    return it->count > 0 && it->history[it->count - 1].is_set;
}

bool world_present(struct sim *s, const struct item *it)
{
    return world_exists(it) ||
           (it->placeholder && world_exists(&s->world->items[it->table]));
}

const struct version *world_at(const struct item *it, uint64_t at)
{
    size_t i = it->count;

    while (i > 0 && it->history[i - 1].number > at) {
        i--;
    }
    return i == 0 ? NULL : &it->history[i - 1];
}

const struct version *world_version(const struct item *it, uint64_t number)
{
    const struct version *v = world_at(it, number);

    return v != NULL && v->number == number ? v : NULL;
}

const struct version *world_after(const struct item *it, uint64_t number,
                                  bool is_set)
{
    const struct version *found = NULL;

    for (size_t i = it->count; i > 0; i--) {
        const struct version *v = &it->history[i - 1];
        if (v->number <= number) {
            break;
        }
        if (v->is_set == is_set) {
            found = v;
        }
    }
    return found;
}

/* "<name> <version> <term> <length>|" and a pattern: bytes that tell where
 * they come from, so that no mixture of two values is a value. */
void world_value(const struct item *it, const struct version *v, uint8_t *out)
{
    char head[96];
    int n = snprintf(head, sizeof head, "%s %" PRIu64 " %d %u|", world_name(it),
                     v->content, v->term, v->len);

    if (v->term == TERM_EDITED) {
        memcpy(out, "edited", v->len);
        return;
    }
    for (uint32_t i = 0; i < v->len; i++) {
        out[i] = i < (uint32_t)n ? (uint8_t)head[i]
                                 : (uint8_t)('a' + (v->content * 7 + i) % 26);
    }
}

static bool says_where(struct bytes value, uint64_t *number, int *term)
{
    char text[128];
    size_t n = value.len < sizeof text - 1 ? value.len : sizeof text - 1;

    if (value.len == 6 && memcmp(value.p, "edited", 6) == 0) {
        *number = 0;
        *term = TERM_EDITED;
        return true;
    }
    memcpy(text, value.p, n);
    text[n] = '\0';
    const char *space = strchr(text, ' ');
    return space != NULL && sscanf(space, " %" SCNu64 " %d", number, term) == 2;
}

const struct version *world_identify(const struct item *it, struct bytes value,
                                     uint64_t from)
{
    uint8_t want[VALUE_MAX];
    uint64_t number;
    int term;

    if (value.len == 0) {
        for (size_t i = 0; i < it->count; i++) {
            const struct version *v = &it->history[i];
            if (v->is_set && v->len == 0 && v->number >= from) {
                return v;
            }
        }
        return NULL;
    }
    if (!says_where(value, &number, &term)) {
        return NULL;
    }
    /* What the term began with comes first, and once. */
    const struct version *v = it->history;
    if (it->count == 0 || v->content != number || v->term != term) {
        v = world_version(it, number);
    }
    if (v == NULL || !v->is_set || v->len != value.len || v->term != term) {
        return NULL;
    }
    world_value(it, v, want);
    return memcmp(want, value.p, value.len) == 0 ? v : NULL;
}

uint64_t world_before(const struct world *w, int64_t wall_ns)
{
    uint64_t v = w->version;

    while (v > 0 && w->walls[v] >= wall_ns) {
        v--;
    }
    return v;
}

/* The world's next version, made at wall_ns. */
static struct version *add_version(struct world *w, struct item *it,
                                   int64_t wall_ns)
{
    if (it->count == it->cap) {
        it->cap = it->cap == 0 ? 16 : it->cap * 2;
        it->history = realloc(it->history, it->cap * sizeof *it->history);
        assert(it->history != NULL);
    }
    w->version++;
    if (w->version >= w->walls_cap) {
        w->walls_cap = w->walls_cap == 0 ? 1024 : w->walls_cap * 2;
        w->walls = realloc(w->walls, w->walls_cap * sizeof *w->walls);
        assert(w->walls != NULL);
    }
    w->walls[w->version] = wall_ns;
    struct version *v = &it->history[it->count++];
    *v = (struct version){
        .number = w->version, .term = w->term, .content = w->version};
    return v;
}

void world_inherit(struct sim *s, struct world *w, int item, struct bytes value)
{
    struct item *it = &w->items[item];
    struct version *v = add_version(w, it, 1);

    it->ino = ++w->next_ino;
    it->ctime_ns = sim_wall(s);
    v->is_set = true;
    v->len = (uint32_t)value.len;
    if (value.len > 0 && !says_where(value, &v->content, &v->term)) {
        sim_fail(s, 1, "a promoted replica has a value of %s that nobody wrote",
                 world_name(it));
    }
}

static void commit(struct sim *s, struct item *it, bool is_set, uint32_t len)
{
    struct world *w = s->world;
    struct version *v = add_version(w, it, sim_wall(s));

    v->is_set = is_set;
    v->len = len;
    sim_note(s, "world: %s %s v%" PRIu64 " len %u", is_set ? "set" : "delete",
             world_name(it), w->version, len);
}

/* --- events -------------------------------------------------------------- */

static void report_since(struct sim *s, struct item *it, enum hint why,
                         uint64_t version)
{
    struct world *w = s->world;

    if (s->broken == BREAK_EVENT && sim_chance(s, 300)) {
        return;
    }
    if (w->overflow || (w->root_lost && s->broken != BREAK_ROOT) ||
        w->events_count == EVENTS_MAX ||
        (!s->calm && sim_chance(s, s->fault_rate / 8))) {
        if (!w->overflow) {
            sim_note(s, "world: events are lost from v%" PRIu64, w->version);
            w->complete_version = version - 1;
        }
        w->overflow = true;
        return;
    }
    w->events[w->events_count++] = (struct event){
        .item = (int)(it - w->items), .why = why, .version = version};
}

static void tell(struct sim *s, struct item *it, enum hint why)
{
    report_since(s, it, why, s->world->version);
}

/* --- writers ------------------------------------------------------------- */

static uint32_t some_length(struct sim *s)
{
    switch (sim_below(s, 12)) {
    case 0:
        return 0;
    case 1:
        return LARGE_BYTES + 1 +
               (uint32_t)sim_below(s, VALUE_MAX - LARGE_BYTES - 1);
    default:
        return 60 + (uint32_t)sim_below(s, 100);
    }
}

static void new_file(struct sim *s, struct item *it)
{
    it->ino = ++s->world->next_ino;

    it->ctime_ns = sim_wall(s);
}

static void need_table(struct sim *s, struct item *it)
{
    struct item *t = &s->world->items[it->table];

    if (!world_exists(t)) {
        commit(s, t, true, 0);
        tell(s, t, HINT_COMMITTED);
    }
}

/* A rename puts the value in place. */
static void rename_in(struct sim *s, struct item *it)
{
    it->placeholder = it->ghost = false;
    it->commit_us = 0;
    new_file(s, it);
    commit(s, it, true, some_length(s));
    tell(s, it, HINT_COMMITTED);
}

static void write_in_place(struct sim *s, struct item *it)
{
    it->commit_us = 0;
    it->ctime_ns = sim_wall(s);
    commit(s, it, true, 60 + (uint32_t)sim_below(s, 300));
    tell(s, it, HINT_CLOSED);
}

static void begin_set(struct sim *s, struct item *it)
{
    need_table(s, it);
    if (world_exists(it)) {
        if (sim_chance(s, 200)) { /* in place, under the lock */
            it->commit_us = it->locked_us =
                s->now_us + (int64_t)sim_below(s, 20000);
            it->commit_in_place = true;
        } else {
            rename_in(s, it);
        }
        return;
    }
    if (!it->placeholder) {
        if (sim_chance(s, 100)) { /* link(2): no placeholder, CREATE alone */
            new_file(s, it);
            commit(s, it, true, 60 + (uint32_t)sim_below(s, 100));
            tell(s, it, HINT_CREATED);
            return;
        }
        it->placeholder = true;
        new_file(s, it);
        sim_note(s, "world: placeholder %s", world_name(it));
        tell(s, it, HINT_CREATED);
    }
    it->ghost = sim_chance(s, 100); /* the writer dies */
    it->commit_in_place = false;
    it->commit_us = it->ghost ? 0 : s->now_us + (int64_t)sim_below(s, 30000);
    if (sim_chance(s, 500)) {
        it->locked_us = s->now_us + (int64_t)sim_below(s, 30000);
    }
}

/* The key's file goes; silently with its table. */
static void remove_key(struct sim *s, struct item *it, bool silently)
{
    bool was = world_exists(it);

    if (!was && !it->placeholder) {
        return;
    }
    it->placeholder = it->ghost = false;
    it->commit_us = it->locked_us = 0;
    it->unreadable = false;
    if (was) {
        commit(s, it, false, 0);
    }
    if (!silently) {
        tell(s, it, HINT_REMOVED);
    }
}

static void drop_table(struct sim *s, int table, bool as_a_whole)
{
    struct item *t = &s->world->items[table];
    uint64_t first = s->world->version + 1;

    if (table == 0 || !world_exists(t)) {
        return;
    }
    sim_note(s, "world: table %s %s", t->table_name,
             as_a_whole ? "moves away" : "is removed");
    for (int k = 0; k < KEYS; k++) {
        remove_key(s, &s->world->items[TABLES + table * KEYS + k], as_a_whole);
    }
    commit(s, t, false, 0);
    report_since(s, t, HINT_COMMITTED, as_a_whole ? first : s->world->version);
    if (as_a_whole && s->world->events_count > 0 && !s->world->overflow) {
        s->world->events[s->world->events_count - 1].whole = true;
    }
}

/* A directory with some keys is moved in: the watch lists it. */
static void move_table_in(struct sim *s, int table)
{
    struct item *t = &s->world->items[table];

    if (table == 0 || world_exists(t)) {
        return;
    }
    commit(s, t, true, 0);
    tell(s, t, HINT_COMMITTED);
    for (int k = 0; k < KEYS; k++) {
        struct item *it = &s->world->items[TABLES + table * KEYS + k];
        if (sim_chance(s, 500)) {
            new_file(s, it);
            it->ctime_ns -= INT64_C(5000000000); /* it is an old file */
            commit(s, it, true, 60 + (uint32_t)sim_below(s, 100));
            tell(s, it, HINT_CREATED);
        }
    }
}

static void lock_or_spoil(struct sim *s, struct item *it)
{
    if (!world_exists(it)) {
        return;
    }
    if (sim_chance(s, 700)) {
        /* Now and then for longer than anything waits in order. */
        uint64_t most_us = sim_chance(s, 100) ? 20000000 : 300000;
        int64_t until_us = s->now_us + (int64_t)sim_below(s, most_us);
        it->locked_us = until_us > it->locked_us ? until_us : it->locked_us;
    } else {
        it->unreadable = !it->unreadable;
        sim_note(s, "world: %s is %sreadable", world_name(it),
                 it->unreadable ? "un" : "");
    }
}

void world_write(struct sim *s)
{
    /* Few hot keys, many cold ones. */
    int key = sim_chance(s, 500) ? (int)sim_below(s, 4)
                                 : (int)sim_below(s, TABLES * KEYS);
    struct item *it = &s->world->items[TABLES + key];
    uint64_t what = sim_below(s, 100);

    if (s->world->restless && sim_chance(s, 300)) {
        what = 90 + sim_below(s, 10); /* tables come and go */
        it = &s->world->items[TABLES + KEYS + (int)sim_below(s, 2 * KEYS)];
    }
    if (it->commit_us != 0) {
        return; /* a writer is at it and holds the lock */
    }
    if (what < 70) {
        begin_set(s, it);
    } else if (what < 85) {
        remove_key(s, it, false);
    } else if (what < 90) {
        lock_or_spoil(s, it);
    } else if (what < 93) {
        drop_table(s, it->table, sim_chance(s, 400));
    } else if (what < 96) {
        move_table_in(s, it->table);
    } else {
        need_table(s, it);
    }
}

void world_touch(struct sim *s, uint64_t which)
{
    struct item *it = &s->world->items[TABLES + which];

    if (world_exists(it) && !it->placeholder && it->commit_us == 0) {
        it->ctime_ns = sim_wall(s);
        sim_note(s, "world: touch %s", world_name(it));
        tell(s, it, HINT_CLOSED);
    }
}

int world_hot(struct sim *s, bool in_place)
{
    const int key = TABLES; /* of the root, which is always there */
    struct item *it = &s->world->items[key];

    it->placeholder = it->ghost = false;
    it->commit_us = 0;
    if (in_place && world_exists(it)) {
        it->ctime_ns = sim_wall(s);
    } else {
        new_file(s, it);
    }
    commit(s, it, true, VALUE_MAX - 1 - (uint32_t)(s->world->version % 7));
    tell(s, it, in_place ? HINT_CLOSED : HINT_COMMITTED);
    return key;
}

void world_tick(struct sim *s)
{
    int64_t settle_ns = SETTLE_MS * INT64_C(1000000);

    for (int i = TABLES; i < ITEMS; i++) {
        struct item *it = &s->world->items[i];
        if (it->commit_us != 0 && it->commit_us <= s->now_us) {
            if (it->commit_in_place) {
                write_in_place(s, it);
            } else {
                rename_in(s, it);
            }
        }
        if (it->placeholder &&
            sim_wall(s) - it->ctime_ns >= settle_ns - 2000000) {
            /* Nobody has come back to it: by convention a value now.  Shortly
             * before the core may think so. */
            it->placeholder = it->ghost = false;
            commit(s, it, true, 0);
        }
    }
    if (s->world->root_lost && s->now_us >= s->world->root_back_us) {
        s->world->root_lost = false;
        sim_note(s, "world: the root is back");
    }
}

void world_calm(struct sim *s)
{
    for (int i = TABLES; i < ITEMS; i++) {
        struct item *it = &s->world->items[i];
        it->unreadable = false;
        it->locked_us = 0;
        if (it->placeholder && it->commit_us == 0) {
            it->ghost = true;
        }
    }
    s->world->root_lost = false;
}
