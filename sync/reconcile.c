/* SPDX-License-Identifier: MIT
 *
 * reconcile: compare one replica with the index, and repair what differs.
 *
 * Happy path of a comparison (struct compare), one at a time per replica:
 *
 *   QUEUED -> (SCANNING) -> TOP -> BUCKETS -> LISTING -> [SETTLING -> LISTING]*
 *          -> RESOLVING -> WALKING -> DRAINING -> ENDED
 *
 * TOP and BUCKETS narrow 65,536 buckets down to those whose digests differ;
 * LISTING fetches their entries (name hash, value digest); what differs is a
 * *diff*.  RESOLVING asks the replica for the names of what only it has,
 * WALKING finds the names of what the primary has (reconcile_walk.c); each name
 * goes into the change log for this replica alone, where the ordinary path
 * looks at the key and sends what is there.  So a comparison may be wrong about
 * a key that changes meanwhile, and still only true values are sent, and a
 * delete is sent only when the look proved that the key is gone.
 *
 * What must be certain (verify, dry run, and deletes beyond the brake) is found
 * in two rounds with a barrier between them: a difference counts when both
 * ends had the same two digests in both rounds.
 *
 * Failures: the link goes down -> an own comparison is dropped (another is owed
 * on connect), an operator's begins anew; the walk was not complete -> nothing
 * is concluded from what it did not find. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "sync/primary_impl.h"

enum {
    GOT_MAX = 1 << 20, /* entries of one LIST answer */
    AGAIN_FIRST_MS = 1000,
    AGAIN_MAX_MS = 60000,
    RESOLVE_CHUNK = 65536, /* names asked for at once */
    SOON_MS = 10000,       /* wait no longer for a quiet moment */
    IN_VAIN = 2,           /* comparisons, before the replica scans */
};

static bool bit_get(const uint8_t *map, unsigned i)
{
    return (map[i / 8] >> (i % 8)) & 1;
}

static void bit_set(uint8_t *map, unsigned i)
{
    map[i / 8] = (uint8_t)(map[i / 8] | (1u << (i % 8)));
}

static int order_of(struct digest a, struct digest b)
{
    if (a.hi != b.hi) {
        return a.hi < b.hi ? -1 : 1;
    }
    return a.lo == b.lo ? 0 : a.lo < b.lo ? -1 : 1;
}

static int by_name(const void *a, const void *b)
{
    return order_of(((const struct diff *)a)->name,
                    ((const struct diff *)b)->name);
}

static int by_first(const void *a, const void *b)
{
    return order_of(*(const struct digest *)a, *(const struct digest *)b);
}

static int entry_order(const void *a, const void *b)
{
    return order_of(((const struct index_entry *)a)->name,
                    ((const struct index_entry *)b)->name);
}

/* --- jobs ---------------------------------------------------------------- */

bool reconcile_repairs(const struct compare *c)
{
    return c->opt.mode == COMPARE_REPAIR;
}

struct compare *reconcile_current(struct repl *r)
{
    struct compare *c = r->jobs;

    while (c != NULL && c->phase == COMPARE_ENDED) {
        c = c->next;
    }
    return c;
}

static void clear_work(struct compare *c)
{
    free(c->buckets_todo);
    free(c->buckets_all);
    free(c->asked);
    free(c->got);
    free(c->diffs);
    free(c->last);
    free(c->resolve);
    c->buckets_todo = c->buckets_all = NULL;
    c->asked = NULL;
    c->got = NULL;
    c->got_count = c->got_cap = 0;
    c->diffs = c->last = NULL;
    c->diffs_count = c->diffs_cap = c->last_count = 0;
    c->resolve = NULL;
    c->resolve_count = c->resolve_at = 0;
    c->whole_count = 0;
    c->round = 0;
    c->resolved = false;
}

static void free_names(struct compare *c)
{
    for (size_t i = 0; i < c->names_count; i++) {
        free((void *)(uintptr_t)c->names[i].table.p);
    }
    free(c->names);
    c->names = NULL;
    c->names_count = c->names_cap = 0;
}

static void free_job(struct repl *r, struct compare *c)
{
    struct compare **at = &r->jobs;

    while (*at != c) {
        at = &(*at)->next;
    }
    *at = c->next;
    clear_work(c);
    free_names(c);
    free(c);
}

static struct compare *add_job(struct primary *p, struct repl *r,
                               const struct compare_options *o)
{
    struct compare *c = calloc(1, sizeof *c);
    struct compare **at = &r->jobs;

    if (c == NULL) {
        return NULL;
    }
    c->id = primary_id(p);
    c->replica = r->id;
    c->opt = *o;
    c->began_ms = p->now_ms;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = c;
    return c;
}

void reconcile_restart(struct compare *c)
{
    clear_work(c);
    c->opt.scan = c->opt.content = false;
    c->phase = COMPARE_QUEUED;
    c->walk_wanted = false;
}

static const char *phase_word(enum compare_phase phase)
{
    static const char *const words[] = {
        "waiting",  "scanning",  "comparing", "comparing", "comparing",
        "settling", "comparing", "repairing", "repairing", "done"};

    return words[phase];
}

/* Over: the operator's job stays for its owner, ours is freed. */
static void end(struct primary *p, struct compare *c)
{
    struct repl *r = p->repl[c->replica];

    walk_leave(p, c->replica);
    c->phase = COMPARE_ENDED;
    c->result.done = true;
    clear_work(c);
    if (c->automatic || c->abandoned) {
        free_job(r, c);
        return;
    }
    c->result.names = c->names;
    c->result.names_count = c->names_count;
    struct action a = {.type = ACT_COMPARED, .id = c->id, .replica = r->id};
    primary_act(p, &a);
}

static void note_again(struct primary *p, struct repl *r, bool found)
{
    int64_t wait_ms = AGAIN_FIRST_MS;

    if (!found) {
        r->compare_fails = 0;
        r->compare_after_ms = p->now_ms;
        return;
    }
    for (unsigned i = 0; i < r->compare_fails && wait_ms < AGAIN_MAX_MS; i++) {
        wait_ms *= 2;
    }
    r->compare_fails++;
    r->compare_after_ms =
        p->now_ms + (wait_ms < AGAIN_MAX_MS ? wait_ms : AGAIN_MAX_MS);
}

void reconcile_fail(struct primary *p, struct compare *c, const struct err *err)
{
    struct repl *r = p->repl[c->replica];

    c->result.failed = true;
    c->result.err = *err;
    if (reconcile_repairs(c)) {
        note_again(p, r, true);
        r->owed = r->owed || r->blind; /* what it was to settle is open */
    }
    if (c->automatic) {
        primary_log(p, r->id, 4, err->id, "comparison: %s", err->msg);
    }
    end(p, c);
}

static void no_memory(struct primary *p, struct compare *c)
{
    struct err err;

    (void)err_set(&err, ERR_NOMEM, 0, "out of memory for a comparison");
    reconcile_fail(p, c, &err);
}

/* --- the answer, once both sides are known ------------------------------- */

static void finish(struct primary *p, struct compare *c)
{
    struct repl *r = p->repl[c->replica];
    const struct compare_result *res = &c->result;
    bool found = res->missing + res->extra + res->different > 0;

    if (reconcile_repairs(c)) {
        if (found && c->automatic) {
            primary_log(p, r->id, 5, DR_NONE,
                        "compared: %llu missing, %llu extra, %llu different%s",
                        (unsigned long long)res->missing,
                        (unsigned long long)res->extra,
                        (unsigned long long)res->different,
                        res->held ? " (deletes held by the brake)" : "");
        }
        reconcile_settled(r, c->debts);
        r->blind = r->blind || res->held; /* until they are approved and done */
        r->initial = false;
        r->mismatches = 0;
        note_again(p, r, found);
        c->result.repaired = c->result.to_repair;
        r->next_ping_ms = p->now_ms; /* prove it */
    }
    end(p, c);
}

/* --- repairs and names --------------------------------------------------- */

void reconcile_add_name(struct compare *c, enum diff_kind kind, bool is_table,
                        struct bytes table, struct bytes key)
{
    if (c->names_count >= c->opt.names_max) {
        return;
    }
    if (c->names_count == c->names_cap) {
        size_t cap = c->names_cap ? c->names_cap * 2 : 64;
        struct diff_name *names = realloc(c->names, cap * sizeof *names);
        if (names == NULL) {
            return;
        }
        c->names = names;
        c->names_cap = cap;
    }
    uint8_t *copy = malloc(table.len + key.len + 1);
    if (copy == NULL) {
        return;
    }
    if (table.len > 0) {
        memcpy(copy, table.p, table.len);
    }
    if (key.len > 0) {
        memcpy(copy + table.len, key.p, key.len);
    }
    c->names[c->names_count++] = (struct diff_name){
        .kind = kind,
        .is_table = is_table,
        .table = {copy, table.len},
        .key = {copy + table.len, key.len},
    };
}

struct diff *reconcile_find(const struct compare *c, struct digest name)
{
    struct diff want = {.name = name};

    return c->diffs_count == 0 ? NULL
                               : bsearch(&want, c->diffs, c->diffs_count,
                                         sizeof *c->diffs, by_name);
}

static void drain(struct primary *p, struct compare *c)
{
    if (!reconcile_repairs(c)) {
        finish(p, c);
        return;
    }
    c->phase = COMPARE_DRAINING;
    c->barrier = p->log.tail_seq;
}

/* The walk gave (or could not give) its names. */
void reconcile_names_done(struct primary *p, struct compare *c, bool complete,
                          const struct err *err)
{
    struct err own;

    if (complete || (err == NULL && !reconcile_repairs(c))) {
        drain(p, c);
        return;
    }
    if (err == NULL || err->code == 0) {
        (void)err_set(&own, ERR_IO, 0,
                      "not all tables could be read, so not all differences "
                      "have names");
        own.id = DR_UNREADABLE;
        err = &own;
    }
    reconcile_fail(p, c, err);
}

static void begin_walk(struct primary *p, struct compare *c)
{
    if (c->result.missing + c->result.different == 0) {
        drain(p, c);
        return;
    }
    c->phase = COMPARE_WALKING;
    c->walk_wanted = true;
    walk_step(p);
}

static void ask_names(struct primary *p, struct compare *c)
{
    struct repl *r = p->repl[c->replica];
    size_t end_at = c->resolve_at + RESOLVE_CHUNK;

    if (end_at > c->resolve_count) {
        end_at = c->resolve_count;
    }
    c->request = primary_id(p);
    while (c->resolve_at < end_at) {
        size_t n = end_at - c->resolve_at;
        n = n < RESOLVE_BATCH ? n : RESOLVE_BATCH;
        wire_put_resolve(&r->out, c->request, c->resolve_at + n == end_at,
                         c->resolve + c->resolve_at, (uint16_t)n);
        c->resolve_at += n;
    }
}

/* EXTRA names: which, in the order of the buckets. */
static void begin_resolve(struct primary *p, struct compare *c)
{
    size_t want = 0;
    uint64_t most =
        c->result.held || !reconcile_repairs(c) ? c->opt.names_max : UINT64_MAX;

    c->resolve = calloc(c->result.extra + 1, sizeof *c->resolve);
    if (c->resolve == NULL) {
        no_memory(p, c);
        return;
    }
    for (size_t i = 0; i < c->diffs_count && want < most; i++) {
        if (c->diffs[i].kind == DIFF_EXTRA) {
            c->resolve[want++] = c->diffs[i].name;
        }
    }
    c->resolve_count = want;
    c->resolve_at = 0;
    if (want == 0) {
        begin_walk(p, c);
        return;
    }
    c->phase = COMPARE_RESOLVING;
    ask_names(p, c);
}

void reconcile_repair(struct primary *p, struct compare *c, bool is_table,
                      struct bytes table, struct bytes key)
{
    struct record *rec =
        changelog_record(&p->log, is_table, table.p, table.len, key.p, key.len);

    if (rec == NULL) {
        return; /* the roots will differ again, and so will we compare */
    }
    c->result.to_repair++;
    sender_hint(p, rec, UINT64_C(1) << c->replica, HINT_CREATED);
    changelog_release(&p->log, rec);
}

int reconcile_names(struct primary *p, struct repl *r, struct wire_items *m,
                    struct err *err)
{
    struct compare *c = reconcile_current(r);
    struct wire_name name;
    int rc;

    if (c == NULL || c->phase != COMPARE_RESOLVING || m->id != c->request) {
        return 0; /* of a comparison that is over */
    }
    while ((rc = wire_item_name(m, &name, err)) == 1) {
        const struct diff *d = reconcile_find(c, name.name);
        struct digest truth =
            name.is_table ? index_name_table(name.table.p, name.table.len)
                          : index_name_key(name.table.p, name.table.len,
                                           name.key.p, name.key.len);
        if (d == NULL || d->kind != DIFF_EXTRA ||
            !digest_equal(truth, name.name)) {
            return err_set(err, ERR_PROTO, 0,
                           "NAMES holds a name that was not asked for");
        }
        reconcile_add_name(c, DIFF_EXTRA, name.is_table, name.table, name.key);
        if (reconcile_repairs(c) && !c->result.held) {
            reconcile_repair(p, c, name.is_table, name.table, name.key);
        }
    }
    if (rc < 0) {
        return rc;
    }
    if (m->last) {
        c->resolved = true;
    }
    return 0;
}

/* --- rounds -------------------------------------------------------------- */

static bool trips_brake(const struct primary *p, const struct compare *c)
{
    uint64_t keys = p->repl[c->replica]->replica_keys;

    if (c->opt.ignore_brake && c->result.extra <= c->opt.approve_max) {
        return false;
    }
    return c->result.extra > p->config.brake_min &&
           c->result.extra * 100 > keys * p->config.brake_percent;
}

static void count_diffs(struct compare *c)
{
    c->result.missing = c->whole_count;
    c->result.extra = c->result.different = 0;
    for (size_t i = 0; i < c->diffs_count; i++) {
        switch ((enum diff_kind)c->diffs[i].kind) {
        case DIFF_MISSING:
            c->result.missing++;
            break;
        case DIFF_EXTRA:
            c->result.extra++;
            break;
        case DIFF_VALUE:
            c->result.different++;
            break;
        }
    }
}

/* Carry over from the round before which differences stood still; true when
 * all of them did long enough. */
static bool all_proven(struct compare *c)
{
    bool all = true;

    for (size_t i = 0; i < c->diffs_count; i++) {
        struct diff *d = &c->diffs[i];
        const struct diff *was =
            c->last_count == 0
                ? NULL
                : bsearch(d, c->last, c->last_count, sizeof *c->last, by_name);
        d->rounds = 1;
        if (was != NULL && was->kind == d->kind &&
            digest_equal(was->here, d->here) &&
            digest_equal(was->there, d->there)) {
            d->rounds = (uint8_t)(was->rounds < 200 ? was->rounds + 1 : 200);
        }
        all = all && d->rounds >= NAME_ROUNDS;
    }
    return all;
}

/* Keys that kept changing through all rounds are in motion, not different. */
static void drop_unproven(struct compare *c)
{
    size_t n = 0;

    for (size_t i = 0; i < c->diffs_count; i++) {
        if (c->diffs[i].rounds >= NAME_ROUNDS) {
            c->diffs[n++] = c->diffs[i];
        }
    }
    c->diffs_count = n;
}

static void settle(struct primary *p, struct compare *c)
{
    memset(c->buckets_todo, 0, INDEX_BUCKETS / 8);
    for (size_t i = 0; i < c->diffs_count; i++) {
        bit_set(c->buckets_todo, index_bucket(c->diffs[i].name));
    }
    for (unsigned b = 0; b < INDEX_BUCKETS / 8; b++) {
        c->buckets_todo[b] |= c->buckets_all[b];
    }
    memset(c->buckets_all, 0, INDEX_BUCKETS / 8);
    c->whole_count = 0;
    free(c->last);
    c->last = c->diffs;
    c->last_count = c->diffs_count;
    c->diffs = NULL;
    c->diffs_count = c->diffs_cap = 0;
    c->bucket_at = 0;
    c->barrier = p->log.tail_seq;
    c->phase = COMPARE_SETTLING;
}

static void hold(struct primary *p, struct compare *c)
{
    struct repl *r = p->repl[c->replica];

    c->result.held = true;
    if (!reconcile_repairs(c)) {
        return;
    }
    if (r->held != c->result.extra) {
        primary_log(p, r->id, 4, DR_BRAKE,
                    "%llu of %llu keys would be deleted: held",
                    (unsigned long long)c->result.extra,
                    (unsigned long long)r->replica_keys);
    }
    r->held = c->result.extra;
}

/* All listings of a round are in. */
static void round_done(struct primary *p, struct compare *c)
{
    struct repl *r = p->repl[c->replica];
    bool proven, braked;

    if (c->diffs_count > 0) {
        qsort(c->diffs, c->diffs_count, sizeof *c->diffs, by_name);
    }
    c->round++;
    proven = all_proven(c);
    count_diffs(c);
    braked = trips_brake(p, c);
    if ((!reconcile_repairs(c) || braked) && !proven && c->round < ROUNDS_MAX) {
        settle(p, c);
        return;
    }
    if (!reconcile_repairs(c) && !proven) {
        drop_unproven(c);
        count_diffs(c);
    }
    c->result.compared = index_count(p->ix) + index_tables(p->ix);
    c->result.replica_keys = r->replica_keys;
    if (braked) {
        hold(p, c);
    } else if (reconcile_repairs(c)) {
        r->held = 0;
    }
    if (c->result.missing + c->result.extra + c->result.different == 0) {
        drain(p, c);
        return;
    }
    begin_resolve(p, c);
}

static bool add_diff(struct compare *c, enum diff_kind kind, bool is_table,
                     struct digest name, struct digest here,
                     struct digest there)
{
    if (c->diffs_count == c->diffs_cap) {
        size_t cap = c->diffs_cap ? c->diffs_cap * 2 : 256;
        struct diff *diffs = realloc(c->diffs, cap * sizeof *diffs);
        if (diffs == NULL) {
            return false;
        }
        c->diffs = diffs;
        c->diffs_cap = cap;
    }
    c->diffs[c->diffs_count++] = (struct diff){.name = name,
                                               .here = here,
                                               .there = there,
                                               .kind = (uint8_t)kind,
                                               .is_table = is_table};
    return true;
}

/* One bucket, both sides sorted by name. */
static bool merge(struct compare *c, const struct index_entry *here, size_t n,
                  const struct digest (*there)[2], size_t m)
{
    const struct digest none = {0, 0};
    size_t i = 0, j = 0;
    bool ok = true;

    while (ok && (i < n || j < m)) {
        int o = i == n ? 1 : j == m ? -1 : order_of(here[i].name, there[j][0]);
        if (o < 0) {
            ok = add_diff(c, DIFF_MISSING, here[i].is_table, here[i].name,
                          here[i].digest, none);
            i++;
        } else if (o > 0) {
            ok = add_diff(c, DIFF_EXTRA, false, there[j][0], none, there[j][1]);
            j++;
        } else {
            if (!digest_equal(here[i].digest, there[j][1])) {
                ok = add_diff(c, DIFF_VALUE, here[i].is_table, here[i].name,
                              here[i].digest, there[j][1]);
            }
            i++;
            j++;
        }
    }
    return ok;
}

/* The answer to one LIST is complete: compare its buckets. */
static bool merge_asked(struct primary *p, struct compare *c)
{
    struct index_entry *here = NULL;
    size_t cap = 0, at = 0;
    struct err err;
    bool ok = true;

    if (c->got_count > 0) {
        qsort(c->got, c->got_count, sizeof *c->got, by_first);
    }
    for (unsigned k = 0; ok && k < c->asked_count; k++) {
        unsigned bucket = c->asked[k];
        size_t from = at;
        while (at < c->got_count && index_bucket(c->got[at][0]) == bucket) {
            at++;
        }
        int n = index_list(p->ix, bucket, &here, &cap, &err);
        if (n < 0) {
            ok = false;
        } else if (at == from && reconcile_repairs(c) &&
                   p->repl[c->replica]->compare_fails == 0) {
            /* The replica has nothing there: every name of it is wanted.  That
             * spares the list of a first copy; but who compares in vain needs
             * the list, to find names that only the index has. */
            if (n > 0) {
                bit_set(c->buckets_all, bucket);
                c->whole_count += (uint64_t)n;
            }
        } else {
            if (n > 1) {
                qsort(here, (size_t)n, sizeof *here, entry_order);
            }
            ok = merge(c, here, (size_t)n,
                       (const struct digest(*)[2])(c->got + from), at - from);
        }
    }
    free(here);
    c->got_count = 0;
    return ok;
}

/* --- listings ------------------------------------------------------------ */

/* Ask for the next differing buckets; false when there are none left. */
static bool ask_listing(struct primary *p, struct compare *c)
{
    struct repl *r = p->repl[c->replica];

    c->asked_count = 0;
    while (c->bucket_at < INDEX_BUCKETS && c->asked_count < LIST_BATCH) {
        if (bit_get(c->buckets_todo, c->bucket_at)) {
            c->asked[c->asked_count++] = (uint16_t)c->bucket_at;
        }
        c->bucket_at++;
    }
    if (c->asked_count == 0) {
        return false;
    }
    c->request = primary_id(p);
    wire_put_list(&r->out, c->request, c->asked, (uint16_t)c->asked_count);
    return true;
}

static void begin_listing(struct primary *p, struct compare *c)
{
    c->phase = COMPARE_LISTING;
    c->bucket_at = 0;
    if (!ask_listing(p, c)) {
        round_done(p, c);
    }
}

static bool was_asked(const struct compare *c, struct digest name)
{
    return bit_get(c->buckets_todo, index_bucket(name)) &&
           index_bucket(name) >= c->asked[0] &&
           index_bucket(name) <= c->asked[c->asked_count - 1];
}

static bool keep_listed(struct compare *c, const struct digest item[2])
{
    if (c->got_count == c->got_cap) {
        size_t cap = c->got_cap ? c->got_cap * 2 : 1024;
        void *got = realloc(c->got, cap * sizeof *c->got);
        if (got == NULL) {
            return false;
        }
        c->got = got;
        c->got_cap = cap;
    }
    memcpy(c->got[c->got_count++], item, sizeof *c->got);
    return true;
}

int reconcile_listing(struct primary *p, struct repl *r, struct wire_items *m)
{
    struct compare *c = reconcile_current(r);
    struct digest item[2];

    if (c == NULL || c->phase != COMPARE_LISTING || m->id != c->request) {
        return 0;
    }
    while (wire_item_listing(m, &item[0], &item[1]) == 1) {
        struct err err;
        if (c->got_count >= GOT_MAX || !was_asked(c, item[0])) {
            (void)err_set(&err, ERR_PROTO, 0,
                          "LISTING holds entries that were not asked for");
            err.id = DR_PROTOCOL;
            session_close(p, r, &err, false);
            return 0;
        }
        if (!keep_listed(c, item)) {
            no_memory(p, c);
            return 0;
        }
    }
    if (!m->last) {
        return 0;
    }
    if (!merge_asked(p, c)) {
        no_memory(p, c);
    } else if (!ask_listing(p, c)) {
        round_done(p, c);
    }
    return 0;
}

/* --- tree digests -------------------------------------------------------- */

static bool ask_buckets(struct primary *p, struct compare *c)
{
    struct repl *r = p->repl[c->replica];

    while (c->node_at < INDEX_NODES && !c->nodes_todo[c->node_at]) {
        c->node_at++;
    }
    if (c->node_at == INDEX_NODES) {
        return false;
    }
    struct wire_tree m = {.id = c->request, .node = (uint16_t)c->node_at};
    wire_put_tree(&r->out, &m);
    c->node_at++;
    c->nodes_left++;
    return true;
}

static void compare_top(struct primary *p, struct compare *c,
                        const struct wire_nodes *m)
{
    struct digest *own = calloc(INDEX_NODES, sizeof *own);

    if (own == NULL) {
        no_memory(p, c);
        return;
    }
    index_nodes(p->ix, own);
    for (unsigned i = 0; i < INDEX_NODES; i++) {
        c->nodes_todo[i] = !digest_equal(own[i], m->digests[i]);
    }
    free(own);
    c->phase = COMPARE_BUCKETS;
    c->node_at = 0;
    c->nodes_left = 0;
    c->request = primary_id(p);
    while (c->nodes_left < 16 && ask_buckets(p, c)) {
        ;
    }
    if (c->nodes_left == 0) {
        round_done(p, c);
    }
}

static void compare_buckets(struct primary *p, struct compare *c,
                            const struct wire_nodes *m)
{
    struct digest *own = calloc(INDEX_NODES, sizeof *own);

    if (own == NULL) {
        no_memory(p, c);
        return;
    }
    index_buckets(p->ix, m->node, own);
    for (unsigned i = 0; i < INDEX_NODES; i++) {
        if (!digest_equal(own[i], m->digests[i])) {
            bit_set(c->buckets_todo, (unsigned)m->node * INDEX_NODES + i);
        }
    }
    free(own);
    c->nodes_todo[m->node] = 0;
    c->nodes_left--;
    (void)ask_buckets(p, c);
    if (c->nodes_left == 0) {
        begin_listing(p, c);
    }
}

int reconcile_nodes(struct primary *p, struct repl *r,
                    const struct wire_nodes *m)
{
    struct compare *c = reconcile_current(r);

    if (c == NULL || m->id != c->request) {
        return 0;
    }
    if (c->phase == COMPARE_TOP && m->node == WIRE_TREE_TOP) {
        compare_top(p, c, m);
    } else if (c->phase == COMPARE_BUCKETS && m->node < INDEX_NODES &&
               m->node < c->node_at && c->nodes_todo[m->node]) {
        compare_buckets(p, c, m);
    }
    return 0;
}

/* --- beginnings ---------------------------------------------------------- */

static void ask_top(struct primary *p, struct compare *c)
{
    struct repl *r = p->repl[c->replica];

    c->buckets_todo = calloc(1, INDEX_BUCKETS / 8);
    c->buckets_all = calloc(1, INDEX_BUCKETS / 8);
    c->asked = calloc(LIST_BATCH, sizeof *c->asked);
    if (c->buckets_todo == NULL || c->buckets_all == NULL || c->asked == NULL) {
        no_memory(p, c);
        return;
    }
    c->phase = COMPARE_TOP;
    c->request = primary_id(p);
    struct wire_tree m = {.id = c->request, .node = WIRE_TREE_TOP};
    wire_put_tree(&r->out, &m);
}

static void begin(struct primary *p, struct compare *c)
{
    struct repl *r = p->repl[c->replica];

    c->debts = r->debts;
    if (c->opt.scan || c->opt.content) {
        c->phase = COMPARE_SCANNING;
        c->request = primary_id(p);
        struct wire_scan m = {.id = c->request, .content = c->opt.content};
        wire_put_scan(&r->out, &m);
        return;
    }
    ask_top(p, c);
}

int reconcile_scanned(struct primary *p, struct repl *r,
                      const struct wire_scan_done *m)
{
    struct compare *c = reconcile_current(r);

    if (c == NULL || c->phase != COMPARE_SCANNING || m->id != c->request) {
        return 0;
    }
    r->root = m->result.root;
    r->replica_keys = m->result.keys;
    c->result.reread = m->result.reread;
    if (m->result.errors > 0 && !reconcile_repairs(c)) {
        struct err err;
        (void)err_set(&err, ERR_IO, 0,
                      "%llu keys cannot be read on the replica: %.*s",
                      (unsigned long long)m->result.errors,
                      (int)m->result.first_error.len,
                      (const char *)m->result.first_error.p);
        err.id = DR_REPLICA_IO;
        reconcile_fail(p, c, &err);
        return 0;
    }
    ask_top(p, c);
    return 0;
}

/* Time for one of our own? */
static void maybe_own(struct primary *p, struct repl *r)
{
    /* Comparisons in vain: the replica may believe to have what is not on its
     * disk, and finds no name for it until it has scanned. */
    const struct compare_options o = {.mode = COMPARE_REPAIR,
                                      .scan = r->compare_fails >= IN_VAIN,
                                      .names_max = 20};
    bool now =
        r->owed || (r->owed_soon && (session_quiet(p, r) ||
                                     p->now_ms - r->owed_soon_ms >= SOON_MS));

    if (!now || p->now_ms < r->compare_after_ms) {
        return;
    }
    struct compare *c = add_job(p, r, &o);
    if (c != NULL) {
        c->automatic = true;
    }
}

static bool may_compare(struct primary *p, struct repl *r)
{
    return r->session == SESSION_LIVE && !r->closing && r->digests_known &&
           p->index_ready && !p->lost &&
           session_watermark(p, p->repl[p->index_id]) >= r->live_tail;
}

static void go_on(struct primary *p, struct repl *r, struct compare *c)
{
    uint64_t mark = session_watermark(p, r);
    uint64_t own = session_watermark(p, p->repl[p->index_id]);

    if (c->phase == COMPARE_QUEUED) {
        if (p->log.pending[r->id] < REPAIR_ROOM / 4) {
            begin(p, c);
        }
    } else if (c->phase == COMPARE_SETTLING && mark >= c->barrier &&
               own >= c->barrier) {
        begin_listing(p, c);
    } else if (c->phase == COMPARE_RESOLVING && c->resolved &&
               p->log.pending[r->id] < REPAIR_ROOM) {
        c->resolved = false;
        if (c->resolve_at < c->resolve_count) {
            ask_names(p, c);
        } else {
            begin_walk(p, c);
        }
    } else if (c->phase == COMPARE_DRAINING && mark >= c->barrier) {
        finish(p, c);
    }
}

void reconcile_step(struct primary *p, struct repl *r)
{
    if (r->is_index || !may_compare(p, r)) {
        return;
    }
    if (reconcile_current(r) == NULL) {
        maybe_own(p, r);
    }
    struct compare *c = reconcile_current(r);
    if (c != NULL) {
        go_on(p, r, c);
    }
}

void reconcile_owe(struct primary *p, struct repl *r)
{
    r->owed = true;
    r->blind = true;
    r->debts++;
    r->live_tail = p->log.tail_seq;
}

void reconcile_owe_soon(struct primary *p, struct repl *r)
{
    if (!r->owed_soon) {
        r->owed_soon_ms = p->now_ms;
    }
    r->owed_soon = true;
    r->blind = true;
    r->debts++;
    r->live_tail = p->log.tail_seq;
}

bool reconcile_is_owed(const struct repl *r)
{
    return r->owed || r->owed_soon || r->blind || r->held > 0;
}

void reconcile_settled(struct repl *r, unsigned debts)
{
    if (r->debts == debts) {
        r->owed = r->owed_soon = r->blind = false;
    }
}

void reconcile_connected(struct primary *p, struct repl *r)
{
    r->owed = true;
    r->debts++;
    r->compare_after_ms = 0;
    r->compare_fails = 0;
    reconcile_step(p, r);
}

void reconcile_disconnected(struct primary *p, struct repl *r,
                            const struct err *err)
{
    struct compare *c, *next;

    (void)p;
    (void)err;
    for (c = r->jobs; c != NULL; c = next) {
        next = c->next;
        if (c->phase == COMPARE_ENDED) {
            continue;
        }
        if (c->automatic || c->abandoned) {
            free_job(r, c);
            continue;
        }
        clear_work(c);
        free_names(c);
        c->phase = COMPARE_QUEUED;
        memset(&c->result, 0, sizeof c->result);
    }
    r->owed = true;
}

void reconcile_free_jobs(struct primary *p, struct repl *r)
{
    (void)p;
    while (r->jobs != NULL) {
        free_job(r, r->jobs);
    }
}

/* --- for the shell ------------------------------------------------------- */

int64_t primary_compare(struct primary *p, int replica,
                        const struct compare_options *o, int64_t now_ms,
                        struct err *err)
{
    struct repl *r = primary_repl(p, replica);

    p->now_ms = now_ms;
    struct compare *c = add_job(p, r, o);
    if (c == NULL) {
        return err_set(err, ERR_NOMEM, 0, "out of memory for a comparison");
    }
    int64_t id = (int64_t)c->id;
    reconcile_step(p, r);
    return id;
}

static struct compare *find_job(struct primary *p, uint64_t id)
{
    struct repl *r;

    EACH_REPL(p, r)
    {
        for (struct compare *c = r->jobs; c != NULL; c = c->next) {
            if (c->id == id) {
                return c;
            }
        }
    }
    return NULL;
}

const struct compare_result *primary_compare_result(struct primary *p,
                                                    uint64_t id)
{
    struct compare *c = find_job(p, id);

    if (c == NULL) {
        return NULL;
    }
    const struct repl *r = p->repl[c->replica];
    c->result.phase = phase_word(c->phase);
    if (c->phase == COMPARE_DRAINING || c->phase == COMPARE_WALKING) {
        uint64_t open = p->log.pending[r->id] + r->flights_count;
        c->result.repaired =
            open < c->result.to_repair ? c->result.to_repair - open : 0;
    }
    return &c->result;
}

void primary_compare_free(struct primary *p, uint64_t id)
{
    struct compare *c = find_job(p, id);

    if (c == NULL) {
        return;
    }
    struct repl *r = p->repl[c->replica];
    if (c->phase == COMPARE_WALKING) {
        walk_leave(p, c->replica);
    }
    free_job(r, c);
}

int primary_approve(struct primary *p, int replica, int64_t now_ms,
                    uint64_t *count_out, struct err *err)
{
    struct repl *r = primary_repl(p, replica);
    struct compare_options o = {.mode = COMPARE_REPAIR, .ignore_brake = true};

    p->now_ms = now_ms;
    if (r->held == 0) {
        return err_set(err, ERR_NOTFOUND, 0, "nothing is held for replica %s",
                       r->name);
    }
    o.approve_max = r->held;
    struct compare *c = add_job(p, r, &o);
    if (c == NULL) {
        return err_set(err, ERR_NOMEM, 0, "out of memory for a comparison");
    }
    c->automatic = true;
    *count_out = r->held;
    reconcile_step(p, r);
    return 0;
}
