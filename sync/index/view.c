/* SPDX-License-Identifier: MIT
 *
 * view: see view.h.  A sorted array: what differs is little, as a rule.
 */
#include "sync/index/view.h"

#include <stdlib.h>
#include <string.h>

struct seen {
    struct digest name;
    struct index_entry was, now;
    bool has_was, has_now;
};

struct view {
    struct seen *seen; /* by name, when closed */
    size_t n, cap;
};

struct view *view_new(void)
{
    return calloc(1, sizeof(struct view));
}

void view_free(struct view *v)
{
    if (v != NULL) {
        free(v->seen);
        free(v);
    }
}

int view_add(struct view *v, const struct index_entry *was,
             const struct index_entry *now, struct err *err)
{
    if (v->n == v->cap) {
        size_t cap = v->cap > 0 ? 2 * v->cap : 64;
        struct seen *seen = realloc(v->seen, cap * sizeof *seen);
        if (seen == NULL) {
            return err_set(err, ERR_NOMEM, 0, "no memory for what differs");
        }
        v->seen = seen;
        v->cap = cap;
    }
    struct seen *s = &v->seen[v->n++];
    memset(s, 0, sizeof *s);
    s->name = was != NULL ? was->name : now->name;
    s->has_was = was != NULL;
    s->has_now = now != NULL;
    if (was != NULL) {
        s->was = *was;
    }
    if (now != NULL) {
        s->now = *now;
    }
    return 0;
}

void view_close(struct view *v)
{
    if (v->n > 0) {
        qsort(v->seen, v->n, sizeof *v->seen, digest_compare);
    }
}

/* The first one whose bucket is not below `bucket`. */
static size_t first_of(const struct view *v, unsigned bucket)
{
    size_t low = 0, high = v->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (index_bucket(v->seen[mid].name) < bucket) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

/* The index has still what it had. */
static bool holds(const struct seen *s, struct index *ix)
{
    struct index_entry e;
    bool has = index_get(ix, s->name, &e);

    return has == s->has_was &&
           (!has || (vstat_equal(e.stat, s->was.stat) &&
                     digest_equal(e.digest, s->was.digest) &&
                     e.is_table == s->was.is_table));
}

/* How many of these still count.  One that does not never does again, so when
 * there are as many before and after a look at the index, they are the same,
 * and the index had what they say all the while. */
static size_t holding(const struct view *v, struct index *ix, size_t from,
                      size_t to)
{
    size_t n = 0;

    for (size_t i = from; i < to; i++) {
        n += holds(&v->seen[i], ix) ? 1 : 0;
    }
    return n;
}

static void mix(const struct seen *s, struct index *ix, struct digest *sum)
{
    const struct index_key *k = index_key(ix);

    if (!holds(s, ix)) {
        return;
    }
    if (s->has_was) {
        index_mix_leaf(k, sum, s->name, s->was.digest);
    }
    if (s->has_now) {
        index_mix_leaf(k, sum, s->name, s->now.digest);
    }
}

void view_nodes(const struct view *v, struct index *ix,
                struct digest out[INDEX_NODES])
{
    size_t before;

    do {
        before = holding(v, ix, 0, v->n);
        index_nodes(ix, out);
        for (size_t i = 0; i < v->n; i++) {
            const struct seen *s = &v->seen[i];
            mix(s, ix, &out[index_bucket(s->name) / INDEX_NODES]);
        }
    } while (holding(v, ix, 0, v->n) != before);
}

void view_buckets(const struct view *v, struct index *ix, unsigned node,
                  struct digest out[INDEX_NODES])
{
    size_t from = first_of(v, node * INDEX_NODES);
    size_t to = first_of(v, (node + 1) * INDEX_NODES);
    size_t before;

    do {
        before = holding(v, ix, from, to);
        index_buckets(ix, node, out);
        for (size_t i = from; i < to; i++) {
            const struct seen *s = &v->seen[i];
            mix(s, ix, &out[index_bucket(s->name) % INDEX_NODES]);
        }
    } while (holding(v, ix, from, to) != before);
}

/* Put, replace or take out one entry of the list; -1: no memory. */
static int patch(const struct seen *s, struct index_entry **list, size_t *cap,
                 size_t n)
{
    size_t at = 0;

    while (at < n && !digest_equal((*list)[at].name, s->name)) {
        at++;
    }
    if (!s->has_now) {
        if (at < n) {
            (*list)[at] = (*list)[n - 1];
        }
        return at < n ? (int)n - 1 : (int)n;
    }
    if (at == *cap) {
        size_t room = *cap > 0 ? 2 * *cap : 16;
        struct index_entry *more = realloc(*list, room * sizeof *more);
        if (more == NULL) {
            return -1;
        }
        *list = more;
        *cap = room;
    }
    (*list)[at] = s->now;
    return at < n ? (int)n : (int)n + 1;
}

/* The index's list with what the disk has; < 0: no memory. */
static int list_once(const struct view *v, struct index *ix, unsigned bucket,
                     struct index_entry **out, size_t *cap, struct err *err)
{
    size_t to = first_of(v, bucket + 1);
    int n = index_list(ix, bucket, out, cap, err);

    for (size_t i = first_of(v, bucket); n >= 0 && i < to; i++) {
        const struct seen *s = &v->seen[i];
        if (holds(s, ix)) {
            n = patch(s, out, cap, (size_t)n);
            if (n < 0) {
                return err_set(err, ERR_NOMEM, 0, "no memory for a listing");
            }
        }
    }
    return n;
}

int view_list(const struct view *v, struct index *ix, unsigned bucket,
              struct index_entry **out, size_t *cap, struct err *err)
{
    size_t from = first_of(v, bucket), to = first_of(v, bucket + 1);
    size_t before;
    int n;

    do {
        before = holding(v, ix, from, to);
        n = list_once(v, ix, bucket, out, cap, err);
    } while (n >= 0 && holding(v, ix, from, to) != before);
    return n;
}
