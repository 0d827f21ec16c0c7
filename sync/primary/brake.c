/* SPDX-License-Identifier: MIT
 *
 * brake: see brake.h.
 *
 * Happy path: brake_asks() says go; a comparison's brake_trips() says no.
 * On: brake_judge() makes a batch of what only the replica has, its names are
 * resolved for people, primary_approve() turns a batch into `approved`, the
 * next comparison repairs these, and the one after that finds the rest, or
 * nothing and takes the brake off.
 *
 * How much is too much while deletes come one by one: the most established keys
 * (age.h) within the last minute or two, less those of now.  So keys that come
 * and go do not count, nor those that were young when they went, and no number
 * of young ones hides a loss or allows a larger one (but in a table that was
 * replaced by another directory, one for one).  The minutes are the
 * replica's: while it is behind, what it has is not of now, and the primary's
 * loss since then is still to come there; so they go on only when the replica
 * has all that there was when the last one began.  And a replica loses no more
 * than it says it had.
 *
 * In a comparison all that only the replica has counts, but what is known to
 * have been young when it went, or to be made up for.  (For the rest it is not
 * known whether the primary ever had it.)  Where nothing else is left and all
 * established keys are back the brake goes off again: a table was away for the
 * moment in which another took its place.  Not less than the loss of
 * established keys, though: a name may have been both, one after the other,
 * while the replica was away.
 *
 * While the index is not ready, or the replica has not said what it has, that
 * cannot be known: then as many deletes go as are allowed at once, and the rest
 * is left to the comparison that follows.  The drop of a table waits: how many
 * keys it takes along nobody knows then.  While directories move, deletes wait
 * (gate.h).
 *
 * Failures: out of memory for a batch -> nothing can be approved, nothing
 * goes out. */
#include "sync/primary/brake.h"

#include <endian.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sync/errors/state.h"
#include "sync/index/age.h"
#include "sync/primary/primary_impl.h"

/* --- bounds -------------------------------------------------------------- */

static bool is_too_much(const struct primary *p, uint64_t deletes,
                        uint64_t keys)
{
    return p->config.brake_percent < 100 && deletes > p->config.brake_min &&
           deletes * 100 > keys * p->config.brake_percent;
}

static uint64_t most_of(const uint64_t most[2])
{
    return most[0] > most[1] ? most[0] : most[1];
}

/* The most keys that can be lost. */
static uint64_t most_keys(const struct brake *b)
{
    uint64_t most = b->most > b->most_before ? b->most : b->most_before;
    uint64_t established = most_of(b->established);

    return established < most ? established : most;
}

/* Established keys that the primary has lost since the replica had all. */
static uint64_t lost_keys(const struct primary *p, const struct brake *b)
{
    uint64_t most = most_keys(b), now = index_established(p->ix);

    return most > now ? most - now : 0;
}

static void begin_established(struct primary *p, struct brake *b, uint64_t keys)
{
    b->established[0] = b->established[1] = keys;
    b->established_ms = p->now_ms;
    b->established_tail = p->log.tail_seq;
}

static void note_established(struct primary *p, struct brake *b)
{
    uint64_t keys = index_established(p->ix);

    b->established[0] = keys > b->established[0] ? keys : b->established[0];
}

/* A replica of which nothing is known yet says how many keys it has: all of
 * them are taken for established but those that are known not to be. */
static void meet(struct primary *p, struct brake *b, uint64_t keys)
{
    uint64_t now = index_established(p->ix);
    uint64_t young = index_count(p->ix) - now;

    keys = keys > young ? keys - young : 0;
    begin_established(p, b, keys > now ? keys : now);
    b->met = true;
}

static bool has_caught_up(struct primary *p, struct repl *r)
{
    return r->session.state == SESSION_LIVE && r->session.digests_known &&
           r->compares.jobs == NULL && !due_any(r) &&
           flight_reached(p, r, r->brake.established_tail);
}

static void count_established(struct primary *p, struct repl *r, uint64_t keys)
{
    struct brake *b = &r->brake;

    if (!b->met) {
        meet(p, b, keys);
    }
    note_established(p, b);
    if (p->now_ms - b->established_ms >= BRAKE_WINDOW_MS &&
        has_caught_up(p, r)) {
        uint64_t before = b->established[0];
        begin_established(p, b, index_established(p->ix));
        b->established[1] = before;
    }
}

/* What the first scan finds was there before, and what it leaves to the core:
 * all of that is in the index before names get older. */
static bool begins_to_age(struct primary *p)
{
    if (!p->index_ready) {
        return false;
    }
    if (p->age_tail == 0) {
        p->age_tail = p->log.tail_seq + 1;
    }
    return flight_indexed(p, p->age_tail - 1);
}

void brake_tick(struct primary *p)
{
    struct repl *r;

    if (!p->aging) {
        p->aging = begins_to_age(p);
        p->aged_ms = p->now_ms - AGE_STEP_MS;
    }
    if (!p->aging) {
        return;
    }
    /* After a standstill of the clock as many as make everything established.
     */
    int64_t most_ms = (int64_t)(AGE_STEPS + 1) * AGE_STEP_MS;
    if (p->now_ms - p->aged_ms > most_ms) {
        p->aged_ms = p->now_ms - most_ms;
    }
    for (; p->now_ms - p->aged_ms >= AGE_STEP_MS; p->aged_ms += AGE_STEP_MS) {
        index_age(p->ix);
        EACH_REPL(p, r) {
            note_established(p, &r->brake);
        }
    }
}

void brake_count(struct primary *p, struct repl *r, uint64_t keys, bool anew)
{
    struct brake *b = &r->brake;

    count_established(p, r, keys);
    if (anew) {
        b->most = b->most_before = keys;
        b->window_ms = p->now_ms;
        return;
    }
    if (p->now_ms - b->window_ms >= BRAKE_WINDOW_MS) {
        bool stale = p->now_ms - b->window_ms >= 2 * BRAKE_WINDOW_MS;
        b->most_before = stale ? keys : b->most;
        b->most = keys;
        b->window_ms = p->now_ms;
    }
    b->most = keys > b->most ? keys : b->most;
}

/* --- on and off ---------------------------------------------------------- */

static bool is_on(const struct repl *r)
{
    return r->brake.since_ms != 0;
}

static void tell_shell(struct primary *p, const struct repl *r)
{
    struct action a = {.type = ACT_BRAKE, .replica = r->id};

    primary_act(p, &a);
}

static void engage(struct primary *p, struct repl *r)
{
    if (!is_on(r)) {
        r->brake.since_ms = p->now_ms > 0 ? p->now_ms : 1;
        tell_shell(p, r);
    }
}

static void forget_batch(struct brake *b)
{
    free(b->names);
    free(b->approved);
    b->names = NULL;
    b->approved = NULL;
    b->count = b->approved_count = 0;
    memset(&b->leaves, 0, sizeof b->leaves);
}

static void forget_names(struct brake *b)
{
    struct held_in_table *t, *next;

    HASH_ITER(hh, b->tables, t, next) {
        HASH_DEL(b->tables, t);
        free(t);
    }
    for (size_t i = 0; i < b->samples_count; i++) {
        free((void *)(uintptr_t)b->samples[i].table.p);
    }
    free(b->samples);
    b->samples = NULL;
    b->samples_count = 0;
    b->asked = 0;
    b->named = 0;
}

void brake_deinit(struct brake *b)
{
    forget_batch(b);
    forget_names(b);
}

void brake_release(struct primary *p, struct repl *r)
{
    struct brake *b = &r->brake;

    r->held = 0;
    b->withheld = 0;
    if (!is_on(r)) {
        return;
    }
    forget_batch(b);
    forget_names(b);
    memset(b->tokens, 0, sizeof b->tokens);
    b->since_ms = 0;
    /* What was approved must not count against what comes now. */
    b->most = b->most_before = r->figures.keys;
    b->window_ms = p->now_ms;
    begin_established(p, b, index_established(p->ix));
    primary_log(p, r->id, LOG_NOTICE, DR_NONE, "no deletes are held any more");
    tell_shell(p, r);
}

void primary_brake_on(struct primary *p, int replica, uint64_t held,
                      int64_t since_ms)
{
    struct repl *r = primary_repl(p, replica);

    r->brake.since_ms = since_ms != 0 ? since_ms : 1;
    r->held = held > 0 ? held : 1;
}

/* --- deletes seen while they happen -------------------------------------- */

bool brake_holds(const struct repl *r, struct digest name)
{
    const struct brake *b = &r->brake;

    return b->count > 0 && bsearch(&name, b->names, b->count, sizeof *b->names,
                                   digest_compare) != NULL;
}

static bool is_approved(const struct brake *b, struct digest name)
{
    return b->approved_count > 0 &&
           bsearch(&name, b->approved, b->approved_count, sizeof name,
                   digest_compare) != NULL;
}

/* The database's loss cannot be judged now. */
static enum brake_word asks_unsure(struct primary *p, struct repl *r,
                                   bool is_table)
{
    struct brake *b = &r->brake;

    /* What waits must not fill the window: sets flow. */
    if (is_table && r->flights.count < p->config.window_changes / 2) {
        return BRAKE_WAIT;
    }
    if (is_table || is_too_much(p, b->unsure + 1, most_keys(b))) {
        due_soon(p, r);
        return BRAKE_HOLD;
    }
    b->unsure++;
    return BRAKE_GO;
}

static bool is_loss(const struct primary *p, const struct brake *b)
{
    return is_too_much(p, lost_keys(p, b), most_keys(b));
}

static void log_loss(struct primary *p, const struct repl *r)
{
    primary_log(p, r->id, LOG_WARNING, DR_BRAKE,
                "%" PRIu64 " of %" PRIu64 " keys went within a minute or two: "
                "further deletes are held",
                lost_keys(p, &r->brake), most_keys(&r->brake));
}

/* It may be part of a move of which not all is known.  What waits must not fill
 * the window. */
static enum brake_word asks_moving(const struct primary *p,
                                   const struct repl *r)
{
    return r->flights.count < p->config.window_changes / 2 ? BRAKE_WAIT
                                                           : BRAKE_FULL;
}

/* A move that is not known as a whole yet may have made this delete. */
static bool is_gated(struct primary *p, const struct flight *f)
{
    gate_drop(&p->gates, flight_indexed, p);
    return gate_holds(&p->gates, f->seq, f->rec->gate);
}

enum brake_word brake_asks(struct primary *p, struct repl *r,
                           const struct flight *f)
{
    struct brake *b = &r->brake;
    const struct record *rec = f->rec;

    bool gated = is_gated(p, f);

    if (!is_on(r)) {
        if (!p->index_ready || !r->session.digests_known) {
            return asks_unsure(p, r, rec->is_table);
        }
        b->unsure = 0;
        if ((rec->is_table || rec->moved) && gated) {
            return asks_moving(p, r);
        }
        if (!is_loss(p, b)) {
            return BRAKE_GO;
        }
        /* What seems lost may be on its way to another place. */
        if (p->gates.count > 0 && p->now_ms - f->time_ms < BRAKE_MOVE_MS) {
            return asks_moving(p, r);
        }
        log_loss(p, r);
        engage(p, r);
    } else if (is_approved(b, rec->name) &&
               (!rec->is_table || b->withheld == 0)) {
        return BRAKE_GO;
    }
    b->withheld++;
    r->held++;
    due_soon(p, r);
    return BRAKE_HOLD;
}

/* --- showings ------------------------------------------------------------ */

void brake_compared(struct repl *r)
{
    r->brake.withheld = 0;
}

bool brake_trips(const struct primary *p, const struct compare *c)
{
    const struct repl *r = p->repl[c->replica];
    uint64_t extra = c->result.extra, lost = lost_keys(p, &r->brake);
    uint64_t keys = most_of(r->brake.established);

    keys = keys < r->figures.keys ? keys : r->figures.keys;
    lost = lost < extra ? lost : extra;
    uint64_t made_up = index_made_up(p->ix);
    made_up =
        made_up < c->diffs.went_replaced ? made_up : c->diffs.went_replaced;
    made_up += c->diffs.went_free;
    extra -= made_up < extra ? made_up : extra;
    extra = extra > lost ? extra : lost;
    return is_on(r) ? extra > 0 : is_too_much(p, extra, keys);
}

static void remember_token(struct brake *b, uint64_t token)
{
    size_t oldest = 0;

    for (size_t i = 1; i < BRAKE_TOKENS; i++) {
        if (b->tokens[i].shown < b->tokens[oldest].shown) {
            oldest = i;
        }
    }
    b->tokens[oldest].shown = b->shown;
    b->tokens[oldest].token = token;
}

/* 48 bits: short enough to be typed. */
static uint64_t token_of(const struct held_name *names, size_t n)
{
    struct digest_stream *s = digest_stream_new();
    uint64_t token = 0;

    if (s == NULL) {
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        const uint64_t words[2] = {htole64(names[i].name.lo),
                                   htole64(names[i].name.hi)};
        digest_stream_update(s, words, sizeof words);
    }
    token = digest_stream_final(s).lo & ((UINT64_C(1) << 48) - 1);
    digest_stream_free(s);
    return token != 0 ? token : 1;
}

static const struct held_name *find_name(const struct brake *b,
                                         struct digest name)
{
    return b->count == 0 ? NULL
                         : bsearch(&name, b->names, b->count, sizeof *b->names,
                                   digest_compare);
}

/* The names that only the replica has, with the batch that first had them;
 * NULL: out of memory.  (A comparison may count more than it has names of.) */
static struct held_name *collect(const struct brake *b, const struct compare *c,
                                 size_t *count_out, size_t *old_out)
{
    struct held_name *names = calloc(c->diffs.count + 1, sizeof *names);
    size_t n = 0, old = 0;

    for (size_t i = 0; names != NULL && i < c->diffs.count; i++) {
        if (c->diffs.list[i].kind != DIFF_EXTRA) {
            continue;
        }
        const struct held_name *was = find_name(b, c->diffs.list[i].name);
        names[n].name = c->diffs.list[i].name;
        names[n++].shown = was != NULL ? was->shown : b->shown + 1;
        old += was != NULL;
    }
    *count_out = n;
    *old_out = old;
    return names;
}

/* Names that are no longer held are no longer approved either. */
static void prune_approved(struct brake *b)
{
    size_t n = 0;

    for (size_t i = 0; i < b->approved_count; i++) {
        if (find_name(b, b->approved[i]) != NULL) {
            b->approved[n++] = b->approved[i];
        }
    }
    b->approved_count = n;
}

static void sum_leaves(struct brake *b, const struct compare *c,
                       const struct index_key *k)
{
    b->leaves = c->diffs.beyond_leaves;
    for (size_t i = 0; i < c->diffs.count; i++) {
        if (c->diffs.list[i].kind == DIFF_EXTRA) {
            index_mix_leaf(k, &b->leaves, c->diffs.list[i].name,
                           c->diffs.list[i].there);
        }
    }
}

static bool show(struct brake *b, const struct compare *c,
                 const struct index_key *k)
{
    size_t n = 0, old = 0;
    struct held_name *names = collect(b, c, &n, &old);

    if (names == NULL) {
        return false;
    }
    bool changed = old != n || n != b->count;
    free(b->names);
    b->names = names;
    b->count = n;
    sum_leaves(b, c, k);
    if (changed) {
        uint64_t token = token_of(names, n);
        b->shown++;
        if (token != 0) {
            remember_token(b, token);
        }
    }
    prune_approved(b);
    return true;
}

void brake_judge(struct primary *p, struct compare *c, bool trips)
{
    struct repl *r = p->repl[c->replica];
    struct brake *b = &r->brake;

    c->result.held = trips;
    if (!compare_repairs(c)) {
        return;
    }
    if (!trips) {
        if (b->withheld == 0) {
            brake_release(p, r);
        }
        return;
    }
    uint32_t was = b->shown;
    b->lost = lost_keys(p, b);
    engage(p, r);
    if (!show(b, c, index_key(p->ix))) {
        forget_batch(b);
        primary_log(p, r->id, LOG_ERR, DR_BRAKE,
                    "out of memory for what the brake holds");
    }
    c->applies = b->approved_count > 0;
    c->result.held = b->approved_count < c->result.extra;
    r->held = c->result.extra + b->withheld;
    if (b->shown != was && b->approved_count == 0) {
        primary_log(p, r->id, LOG_WARNING, DR_BRAKE,
                    "%" PRIu64 " of %" PRIu64 " keys would be deleted: held",
                    c->result.extra, r->figures.keys);
    }
}

/* A table goes only with all that it holds on the replica, and some of that may
 * not be approved. */
bool brake_passes(const struct primary *p, const struct compare *c,
                  struct digest name, bool is_table)
{
    const struct brake *b = &p->repl[c->replica]->brake;

    if (b->since_ms == 0) {
        return !c->result.held;
    }
    return is_approved(b, name) && (!is_table || !c->result.held);
}

/* --- for people ---------------------------------------------------------- */

size_t brake_ask_names(struct repl *r, struct compare *c)
{
    if (!c->result.held || !compare_repairs(c) ||
        r->brake.named == r->brake.shown) {
        return 0;
    }
    forget_names(&r->brake);
    c->names_asked = true;
    return BRAKE_NAMED;
}

static void count_in_table(struct brake *b, struct bytes table)
{
    struct held_in_table *t = NULL;
    const void *key = table.len > 0 ? (const void *)table.p : "";

    HASH_FIND(hh, b->tables, key, table.len, t);
    if (t == NULL && HASH_COUNT(b->tables) < BRAKE_TABLES) {
        t = calloc(1, sizeof *t + table.len + 1);
        if (t == NULL) {
            return;
        }
        t->len = table.len;
        memcpy(t->table, key, table.len);
        HASH_ADD_KEYPTR(hh, b->tables, t->table, t->len, t);
        if (!map_added(t)) {
            free(t);
            return;
        }
    }
    if (t != NULL) {
        t->count++;
    }
}

static void keep_sample(struct brake *b, const struct wire_name *name)
{
    if (b->samples == NULL) {
        b->samples = calloc(BRAKE_SAMPLES, sizeof *b->samples);
    }
    if (b->samples == NULL || b->samples_count == BRAKE_SAMPLES) {
        return;
    }
    struct diff_name *s = &b->samples[b->samples_count];
    if (compare_copy_name(s, name->table, name->key)) {
        s->kind = DIFF_EXTRA;
        s->is_table = name->is_table;
        b->samples_count++;
    }
}

void brake_named(struct repl *r, const struct wire_name *name)
{
    struct brake *b = &r->brake;

    if (b->asked < BRAKE_NAMED) {
        b->asked++;
        count_in_table(b, name->table);
        keep_sample(b, name);
    }
}

void brake_all_named(struct repl *r, const struct compare *c)
{
    if (c->names_asked) {
        r->brake.named = r->brake.shown;
    }
}

static uint64_t newest_token(const struct brake *b)
{
    for (size_t i = 0; i < BRAKE_TOKENS; i++) {
        if (b->tokens[i].shown == b->shown && b->tokens[i].token != 0) {
            return b->tokens[i].token;
        }
    }
    return 0;
}

static void top_tables(const struct brake *b, struct primary_held *out)
{
    const struct held_in_table *t;

    for (t = b->tables; t != NULL; t = t->hh.next) {
        size_t at = out->tables_count;
        while (at > 0 && out->tables[at - 1].count < t->count) {
            at--;
        }
        if (at == PRIMARY_HELD_TABLES) {
            continue;
        }
        if (out->tables_count < PRIMARY_HELD_TABLES) {
            out->tables_count++;
        }
        memmove(out->tables + at + 1, out->tables + at,
                (out->tables_count - 1 - at) * sizeof *out->tables);
        out->tables[at].table =
            (struct bytes){(const uint8_t *)t->table, t->len};
        out->tables[at].count = t->count;
    }
}

bool primary_held(struct primary *p, int replica, int64_t now_ms,
                  struct primary_held *out)
{
    const struct repl *r = primary_repl(p, replica);
    const struct brake *b = &r->brake;

    memset(out, 0, sizeof *out);
    if (!is_on(r)) {
        return false;
    }
    out->held = r->held;
    out->shown = b->count;
    out->token = b->count > 0 ? newest_token(b) : 0;
    out->approved = b->approved_count;
    out->since_ms = now_ms - b->since_ms;
    out->all_tables = HASH_COUNT(b->tables);
    out->named = b->asked;
    top_tables(b, out);
    out->names = b->samples;
    out->names_count = b->samples_count;
    return true;
}

/* --- approval ------------------------------------------------------------ */

static int find_batch(const struct repl *r, uint64_t token, uint32_t *shown_out,
                      struct err *err)
{
    const struct brake *b = &r->brake;

    if (!is_on(r)) {
        return err_set(err, ERR_NOTFOUND, 0, "nothing is held for replica %s",
                       r->name);
    }
    for (size_t i = 0; b->count > 0 && i < BRAKE_TOKENS; i++) {
        if (b->tokens[i].token != 0 &&
            (token == 0 ? b->tokens[i].shown == b->shown
                        : b->tokens[i].token == token)) {
            *shown_out = b->tokens[i].shown;
            return 0;
        }
    }
    (void)err_set(err, ERR_REFUSED, 0,
                  b->count == 0
                      ? "what is held for replica %s has not been compared yet"
                      : "that is not what is held for replica %s now",
                  r->name);
    err->id = DR_BRAKE;
    return err->code;
}

int brake_approve(struct primary *p, struct repl *r, uint64_t token,
                  uint64_t *count_out, struct err *err)
{
    struct brake *b = &r->brake;
    uint32_t shown = 0;

    int rc = find_batch(r, token, &shown, err);
    if (rc < 0) {
        return rc;
    }
    struct digest *approved = calloc(b->count, sizeof *approved);
    if (approved == NULL) {
        return err_set(err, ERR_NOMEM, 0, "out of memory for an approval");
    }
    size_t n = 0;
    for (size_t i = 0; i < b->count; i++) {
        /* What was approved before stays so. */
        if (b->names[i].shown <= shown || is_approved(b, b->names[i].name)) {
            approved[n++] = b->names[i].name;
        }
    }
    free(b->approved);
    b->approved = approved;
    b->approved_count = n;
    *count_out = n;
    due_now(p, r);
    r->compares.after_ms = p->now_ms;
    return 0;
}

void brake_applied(struct primary *p, struct repl *r, const struct compare *c)
{
    struct brake *b = &r->brake;

    if (!c->applies || !is_on(r)) {
        return;
    }
    free(b->approved);
    b->approved = NULL;
    b->approved_count = 0;
    due_now(p, r);
    r->compares.after_ms = p->now_ms;
}

bool brake_explains(const struct primary *p, const struct repl *r)
{
    struct digest root = index_root(p->ix);

    if (r->brake.lost > 0 && lost_keys(p, &r->brake) == 0) {
        return false; /* all are back, or made up for */
    }
    root.lo ^= r->brake.leaves.lo;
    root.hi ^= r->brake.leaves.hi;
    return is_on(r) && r->brake.count > 0 &&
           digest_equal(root, r->heartbeat.root);
}
