/* SPDX-License-Identifier: MIT
 *
 * reconcile_diff: which name hashes differ between the index and a replica.
 *
 * From the top: 256 node digests, then the 256 bucket digests below each node
 * that differs (TOP, BUCKETS), then the entries of the buckets that differ
 * (LISTING), merged with ours.  A bucket that is empty on the replica is kept
 * as one bit, so that a first copy needs no list of what is missing.
 *
 * A *round* ends when all listings are in.  Differences that must be certain
 * are looked at again after a barrier (SETTLING) until they stood still twice;
 * what keeps moving is being replicated, not different.
 *
 * Memory is bounded whatever a replica lists.  One answer holds at most GOT_MAX
 * entries; as many buckets are asked for as should give half of that.  Beyond
 * config.diffs_max differences the rest is only counted: the brake and the
 * operator see the whole number, and what is repaired is a part; another
 * comparison follows for the rest.  Deletes have one half of that room: where
 * they are held, sets still find theirs. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "sync/primary/compare/compare.h"

enum {
    GOT_MAX = 1 << 18,     /* entries of one LIST answer */
    GOT_MAX_ONE = 1 << 20, /* ... when only one bucket was asked for */
};

static bool bit_get(const uint8_t *map, unsigned i)
{
    return (map[i / 8] >> (i % 8)) & 1;
}

static void bit_set(uint8_t *map, unsigned i)
{
    map[i / 8] = (uint8_t)(map[i / 8] | (1u << (i % 8)));
}

/* --- rounds -------------------------------------------------------------- */

static void count_diffs(struct compare *c)
{
    c->result.missing = c->diffs.whole_count + c->diffs.beyond[DIFF_MISSING];
    c->result.extra = c->diffs.beyond[DIFF_EXTRA];
    c->result.different = c->diffs.beyond[DIFF_VALUE];
    for (size_t i = 0; i < c->diffs.count; i++) {
        switch ((enum diff_kind)c->diffs.list[i].kind) {
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
 * all of them did long enough (those that are kept: of more it is not asked).
 */
static bool all_proven(struct compare *c)
{
    bool all = true;

    for (size_t i = 0; i < c->diffs.count; i++) {
        struct diff *d = &c->diffs.list[i];
        const struct diff *was =
            c->diffs.last_count == 0
                ? NULL
                : bsearch(d, c->diffs.last, c->diffs.last_count,
                          sizeof *c->diffs.last, digest_compare);
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

/* What does not get on is not known to differ; it is listed as that. */
static void drop_unread(struct primary *p, struct compare *c)
{
    const struct repl *r = p->repl[c->replica];
    size_t n = 0;

    for (size_t i = 0; i < c->diffs.count; i++) {
        if (!uncompared_has(p, r, c->opt.barrier, c->diffs.list[i].name)) {
            c->diffs.list[n++] = c->diffs.list[i];
        }
    }
    c->diffs.count = n;
}

/* Keys that kept changing through all rounds are in motion, not different. */
static void drop_unproven(struct compare *c)
{
    size_t n = 0;

    for (size_t i = 0; i < c->diffs.count; i++) {
        if (c->diffs.list[i].rounds >= NAME_ROUNDS) {
            c->diffs.list[n++] = c->diffs.list[i];
        }
    }
    c->diffs.count = n;
}

static void settle(struct primary *p, struct compare *c)
{
    /* Look again where something differed; what was only counted may be
     * anywhere. */
    if (compare_beyond(c) == 0) {
        memset(c->narrow.buckets_todo, 0, INDEX_BUCKETS / 8);
        for (size_t i = 0; i < c->diffs.count; i++) {
            bit_set(c->narrow.buckets_todo,
                    index_bucket(c->diffs.list[i].name));
        }
        for (unsigned b = 0; b < INDEX_BUCKETS / 8; b++) {
            c->narrow.buckets_todo[b] |= c->narrow.buckets_all[b];
        }
    }
    memset(c->narrow.buckets_all, 0, INDEX_BUCKETS / 8);
    c->diffs.whole_count = 0;
    free(c->diffs.last);
    c->diffs.last = c->diffs.list;
    c->diffs.last_count = c->diffs.count;
    c->diffs.list = NULL;
    c->diffs.count = c->diffs.cap = 0;
    compare_keep_none(c);
    c->narrow.bucket_at = 0;
    c->barrier = p->log.tail_seq;
    c->phase = COMPARE_NEXT_ROUND;
}

/* All listings of a round are in. */
static void round_done(struct primary *p, struct compare *c)
{
    struct repl *r = p->repl[c->replica];
    bool proven, braked;

    if (c->diffs.count > 0) {
        qsort(c->diffs.list, c->diffs.count, sizeof *c->diffs.list,
              digest_compare);
    }
    c->round++;
    if (!compare_repairs(c)) {
        drop_unread(p, c);
    }
    proven = all_proven(c);
    count_diffs(c);
    braked = brake_trips(p, c);
    if ((!compare_repairs(c) || braked) && !proven && c->round < ROUNDS_MAX) {
        settle(p, c);
        return;
    }
    if (!compare_repairs(c) && !proven) {
        drop_unproven(c);
        count_diffs(c);
    }
    c->result.compared = index_count(p->ix) + index_tables(p->ix);
    c->result.replica_keys = r->figures.keys;
    brake_judge(p, c, braked);
    if (c->result.missing + c->result.extra + c->result.different == 0) {
        compare_drain(p, c);
        return;
    }
    compare_name_diffs(p, c);
}

static bool add_diff(const struct primary *p, struct compare *c,
                     enum diff_kind kind, bool is_table, struct digest name,
                     struct digest here, struct digest there)
{
    size_t *kept =
        kind == DIFF_EXTRA ? &c->diffs.kept_extra : &c->diffs.kept_other;

    if (*kept >= c->diffs.kept_max) {
        c->diffs.beyond[kind]++;
        if (kind == DIFF_EXTRA) {
            index_mix_leaf(index_key(p->ix), &c->diffs.beyond_leaves, name,
                           there);
        }
        return true;
    }
    (*kept)++;
    if (c->diffs.count == c->diffs.cap) {
        size_t cap = c->diffs.cap ? c->diffs.cap * 2 : 256;
        struct diff *diffs = realloc(c->diffs.list, cap * sizeof *diffs);
        if (diffs == NULL) {
            return false;
        }
        c->diffs.list = diffs;
        c->diffs.cap = cap;
    }
    c->diffs.list[c->diffs.count++] = (struct diff){.name = name,
                                                    .here = here,
                                                    .there = there,
                                                    .kind = (uint8_t)kind,
                                                    .is_table = is_table};
    return true;
}

/* Only the replica has it.  It is about to be removed there, if a change of it
 * is on its way. */
static bool add_extra(struct primary *p, struct compare *c,
                      const struct digest there[2])
{
    const struct digest none = {0, 0};
    size_t before = c->diffs.count;
    const struct record *rec = changelog_find(&p->log, there[0]);
    uint64_t bit = repl_bit(p->repl[c->replica]);
    bool moving = rec != NULL && (rec->pending & bit) != 0;

    enum age_end end = index_end_of(p->ix, there[0]);
    c->diffs.went_free += end == AGE_FREE;
    c->diffs.went_replaced += end == AGE_REPLACED_ONE;
    for (const struct flight *f = rec != NULL ? rec->flights : NULL; f != NULL;
         f = f->rec_next) {
        moving = moving || f->replica == c->replica;
    }
    if (!add_diff(p, c, DIFF_EXTRA, false, there[0], none, there[1])) {
        return false;
    }
    if (c->diffs.count > before) {
        c->diffs.list[before].moving = moving;
    }
    return true;
}

/* One bucket, both sides sorted by name. */
static bool merge(struct primary *p, struct compare *c,
                  const struct index_entry *here, size_t n,
                  const struct digest (*there)[2], size_t m)
{
    const struct digest none = {0, 0};
    size_t i = 0, j = 0;
    bool ok = true;

    while (ok && (i < n || j < m)) {
        int o = i == n   ? 1
                : j == m ? -1
                         : digest_order(here[i].name, there[j][0]);
        if (o < 0) {
            ok = add_diff(p, c, DIFF_MISSING, here[i].is_table, here[i].name,
                          here[i].digest, none);
            i++;
        } else if (o > 0) {
            ok = add_extra(p, c, there[j]);
            j++;
        } else {
            if (!digest_equal(here[i].digest, there[j][1])) {
                ok = add_diff(p, c, DIFF_VALUE, here[i].is_table, here[i].name,
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

    if (c->narrow.got_count > 0) {
        qsort(c->narrow.got, c->narrow.got_count, sizeof *c->narrow.got,
              digest_compare);
    }
    for (unsigned k = 0; ok && k < c->narrow.asked_count; k++) {
        unsigned bucket = c->narrow.asked[k];
        size_t from = at;
        while (at < c->narrow.got_count &&
               index_bucket(c->narrow.got[at][0]) == bucket) {
            at++;
        }
        int n = index_list(p->ix, bucket, &here, &cap, &err);
        if (n < 0) {
            ok = false;
        } else if (at == from && compare_repairs(c) &&
                   p->repl[c->replica]->compares.fails == 0) {
            /* The replica has nothing there: every name of it is wanted.  That
             * spares the list of a first copy; but who compares in vain needs
             * the list, to find names that only the index has. */
            if (n > 0) {
                bit_set(c->narrow.buckets_all, bucket);
                c->diffs.whole_count += (uint64_t)n;
            }
        } else {
            if (n > 1) {
                qsort(here, (size_t)n, sizeof *here, digest_compare);
            }
            ok = merge(p, c, here, (size_t)n,
                       (const struct digest(*)[2])(c->narrow.got + from),
                       at - from);
        }
    }
    free(here);
    c->narrow.got_count = 0;
    return ok;
}

/* --- listings ------------------------------------------------------------ */

/* How many buckets may be asked for at once. */
static unsigned list_batch(struct primary *p, const struct repl *r)
{
    uint64_t here = index_count(p->ix) + index_tables(p->ix);
    uint64_t keys = r->figures.keys > here ? r->figures.keys : here;
    uint64_t batch = GOT_MAX / 2 / (keys / INDEX_BUCKETS + 1);

    return batch > LIST_BATCH ? LIST_BATCH : batch > 1 ? (unsigned)batch : 1;
}

/* Ask for the next differing buckets; false when there are none left. */
static bool ask_listing(struct primary *p, struct compare *c)
{
    struct repl *r = p->repl[c->replica];
    unsigned batch = list_batch(p, r);

    c->narrow.asked_count = 0;
    while (c->narrow.bucket_at < INDEX_BUCKETS &&
           c->narrow.asked_count < batch) {
        if (bit_get(c->narrow.buckets_todo, c->narrow.bucket_at)) {
            c->narrow.asked[c->narrow.asked_count++] =
                (uint16_t)c->narrow.bucket_at;
        }
        c->narrow.bucket_at++;
    }
    if (c->narrow.asked_count == 0) {
        return false;
    }
    c->request = compare_request(p, c);
    wire_put_list(&r->session.out, c->request, c->narrow.asked,
                  (uint16_t)c->narrow.asked_count);
    return true;
}

void compare_list(struct primary *p, struct compare *c)
{
    c->phase = COMPARE_LISTING;
    c->narrow.bucket_at = 0;
    if (!ask_listing(p, c)) {
        round_done(p, c);
    }
}

static bool was_asked(const struct compare *c, struct digest name)
{
    return bit_get(c->narrow.buckets_todo, index_bucket(name)) &&
           index_bucket(name) >= c->narrow.asked[0] &&
           index_bucket(name) <= c->narrow.asked[c->narrow.asked_count - 1];
}

static bool keep_listed(struct compare *c, const struct digest item[2])
{
    if (c->narrow.got_count == c->narrow.got_cap) {
        size_t cap = c->narrow.got_cap ? c->narrow.got_cap * 2 : 1024;
        void *got = realloc(c->narrow.got, cap * sizeof *c->narrow.got);
        if (got == NULL) {
            return false;
        }
        c->narrow.got = got;
        c->narrow.got_cap = cap;
    }
    memcpy(c->narrow.got[c->narrow.got_count++], item, sizeof *c->narrow.got);
    return true;
}

int compare_listing(struct primary *p, struct repl *r, struct wire_items *m,
                    struct err *err)
{
    struct compare *c = compare_current(r);
    struct digest item[2];

    if (c == NULL || c->phase != COMPARE_LISTING || m->id != c->request) {
        return 0;
    }
    heard_answer(p, r);
    while (wire_item_listing(m, &item[0], &item[1]) == 1) {
        if (c->narrow.got_count >=
                (c->narrow.asked_count > 1 ? GOT_MAX : GOT_MAX_ONE) ||
            !was_asked(c, item[0])) {
            return err_set(err, ERR_PROTO, 0,
                           "LISTING holds entries that were not asked for");
        }
        if (!keep_listed(c, item)) {
            compare_no_memory(p, c);
            return 0;
        }
    }
    if (!m->last) {
        return 0;
    }
    if (!merge_asked(p, c)) {
        compare_no_memory(p, c);
    } else if (!ask_listing(p, c)) {
        round_done(p, c);
    }
    return 0;
}

/* --- tree digests -------------------------------------------------------- */

static bool ask_buckets(struct primary *p, struct compare *c)
{
    struct repl *r = p->repl[c->replica];

    while (c->narrow.node_at < INDEX_NODES &&
           !c->narrow.nodes_todo[c->narrow.node_at]) {
        c->narrow.node_at++;
    }
    if (c->narrow.node_at == INDEX_NODES) {
        return false;
    }
    struct wire_tree m = {.id = c->request,
                          .node = (uint16_t)c->narrow.node_at};
    wire_put_tree(&r->session.out, &m);
    c->narrow.node_at++;
    c->narrow.nodes_left++;
    return true;
}

static void compare_top(struct primary *p, struct compare *c,
                        const struct wire_nodes *m)
{
    struct digest *own = calloc(INDEX_NODES, sizeof *own);

    if (own == NULL) {
        compare_no_memory(p, c);
        return;
    }
    index_nodes(p->ix, own);
    for (unsigned i = 0; i < INDEX_NODES; i++) {
        c->narrow.nodes_todo[i] = !digest_equal(own[i], m->digests[i]);
    }
    free(own);
    c->phase = COMPARE_BUCKETS;
    c->narrow.node_at = 0;
    c->narrow.nodes_left = 0;
    c->request = compare_request(p, c);
    while (c->narrow.nodes_left < 16 && ask_buckets(p, c)) {
        ;
    }
    if (c->narrow.nodes_left == 0) {
        round_done(p, c);
    }
}

static void compare_buckets(struct primary *p, struct compare *c,
                            const struct wire_nodes *m)
{
    struct digest *own = calloc(INDEX_NODES, sizeof *own);

    if (own == NULL) {
        compare_no_memory(p, c);
        return;
    }
    index_buckets(p->ix, m->node, own);
    for (unsigned i = 0; i < INDEX_NODES; i++) {
        if (!digest_equal(own[i], m->digests[i])) {
            bit_set(c->narrow.buckets_todo,
                    (unsigned)m->node * INDEX_NODES + i);
        }
    }
    free(own);
    c->narrow.nodes_todo[m->node] = 0;
    c->narrow.nodes_left--;
    (void)ask_buckets(p, c);
    if (c->narrow.nodes_left == 0) {
        compare_list(p, c);
    }
}

int compare_nodes(struct primary *p, struct repl *r, const struct wire_nodes *m)
{
    struct compare *c = compare_current(r);

    if (c == NULL || m->id != c->request) {
        return 0;
    }
    heard_answer(p, r);
    if (c->phase == COMPARE_TOP && m->node == WIRE_TREE_TOP) {
        compare_top(p, c, m);
    } else if (c->phase == COMPARE_BUCKETS && m->node < INDEX_NODES &&
               m->node < c->narrow.node_at && c->narrow.nodes_todo[m->node]) {
        compare_buckets(p, c, m);
    }
    return 0;
}

void compare_narrow(struct primary *p, struct compare *c)
{
    struct repl *r = p->repl[c->replica];

    c->diffs.kept_max = p->config.diffs_max / 2;
    c->narrow.buckets_todo = calloc(1, INDEX_BUCKETS / 8);
    c->narrow.buckets_all = calloc(1, INDEX_BUCKETS / 8);
    c->narrow.asked = calloc(LIST_BATCH, sizeof *c->narrow.asked);
    if (c->narrow.buckets_todo == NULL || c->narrow.buckets_all == NULL ||
        c->narrow.asked == NULL) {
        compare_no_memory(p, c);
        return;
    }
    brake_compared(r);
    c->phase = COMPARE_TOP;
    c->request = compare_request(p, c);
    struct wire_tree m = {.id = c->request, .node = WIRE_TREE_TOP};
    wire_put_tree(&r->session.out, &m);
}
