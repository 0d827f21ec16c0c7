/* SPDX-License-Identifier: MIT
 *
 * index: entries in buckets, and the digest tree over them; see index.h.  The
 * saved form is in index_file.c.
 *
 * Every change of an entry goes through account(), which adds or removes it in
 * all sums at once: leaf, bucket, node and root digest, counts, bytes.  XOR
 * undoes itself, so removing is adding once more.
 */
#include "sync/index/index.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "store/layout/name.h"
#include "sync/index/index_impl.h"

/* What the allocator adds to an array, about. */
enum {
    HEAP_OVERHEAD_BYTES = 16,
    /* Each step looks through so many buckets for stamps that say nothing any
     * more: all are, long before the stamps begin anew. */
    SETTLE_BUCKETS = 16,
};
_Static_assert(INDEX_BUCKETS / SETTLE_BUCKETS < AGE_LAST / 2, "see above");

struct digest index_name_key(const struct index_key *k, const void *table,
                             size_t table_len, const void *key, size_t key_len)
{
    char name[TABLE_MAX_BYTES + 1 + KEY_MAX_BYTES];

    assert(table_len <= TABLE_MAX_BYTES && key_len <= KEY_MAX_BYTES);
    if (table_len > 0) {
        memcpy(name, table, table_len);
    }
    name[table_len] = '\0';
    if (key_len > 0) {
        memcpy(name + table_len + 1, key, key_len);
    }
    return hash_keyed(&k->names, name, table_len + 1 + key_len);
}

/* Table names hold no NUL, so no table is ever hashed like a key. */
struct digest index_name_table(const struct index_key *k, const void *table,
                               size_t table_len)
{
    return hash_keyed(&k->names, table, table_len);
}

uint16_t index_tag_of(struct digest table_name)
{
    return (uint16_t)(table_name.lo % UINT16_MAX + 1);
}

uint16_t index_table_tag(const struct index_key *k, const void *table,
                         size_t table_len)
{
    return index_tag_of(index_name_table(k, table, table_len));
}

uint16_t index_top_tag(const struct index_key *k, const char *path)
{
    size_t len = strcspn(path, "/");

    return len > 0 ? index_table_tag(k, path, len) : 0;
}

uint16_t index_top_of(const struct index_key *k, const void *table,
                      size_t table_len)
{
    char path[TABLE_PATH_BYTES];

    table_path(table, table_len, path);
    return table_len > 0 ? index_top_tag(k, path) : 0;
}

/* --- sums ---------------------------------------------------------------- */

static struct digest leaf_of(const struct index_key *k, struct digest name,
                             struct digest value)
{
    /* Little-endian on every host: both ends compare these. */
    const uint64_t words[4] = {htole64(name.lo), htole64(name.hi),
                               htole64(value.lo), htole64(value.hi)};

    return hash_keyed(&k->leaves, words, sizeof words);
}

static void mix(struct digest *sum, struct digest d)
{
    sum->lo ^= d.lo;
    sum->hi ^= d.hi;
}

void index_mix_leaf(const struct index_key *k, struct digest *sum,
                    struct digest name, struct digest value)
{
    mix(sum, leaf_of(k, name, value));
}

static void account(struct index *ix, const struct index_entry *e, bool add)
{
    unsigned bucket = index_bucket(e->name);
    struct digest leaf = leaf_of(&ix->key, e->name, e->digest);

    /* Unsigned arithmetic: adding -1 subtracts. */
    uint64_t one = add ? 1 : UINT64_MAX;

    mix(&ix->buckets[bucket].digest, leaf);
    mix(&ix->nodes[bucket / INDEX_NODES], leaf);
    mix(&ix->root, leaf);
    if (e->is_table) {
        ix->tables += one;
    } else {
        ix->keys += one;
        age_count(&ix->ages, e->stamp, add);
        ix->bytes += add ? e->stat.size : 0 - e->stat.size;
    }
}

/* --- arrays -------------------------------------------------------------- */

static size_t heap_of(size_t cap)
{
    return cap ? cap * sizeof(struct index_entry) + HEAP_OVERHEAD_BYTES : 0;
}

static bool bucket_resize(struct index *ix, struct bucket *b, size_t cap)
{
    if (cap == 0) {
        free(b->entries);
        b->entries = NULL;
    } else {
        struct index_entry *entries =
            realloc(b->entries, cap * sizeof *entries);
        if (entries == NULL) {
            return false;
        }
        b->entries = entries;
    }
    ix->heap_bytes += heap_of(cap) - heap_of(b->cap);

    b->cap = (uint32_t)cap;
    return true;
}

/* Give memory back once half of an array is empty.  Failing is harmless. */
static void bucket_trim(struct index *ix, struct bucket *b)
{
    if (b->len <= b->cap / 2) {
        (void)bucket_resize(ix, b, b->len);
    }
}

/* Where `name` is, or would be inserted. */
static size_t bucket_find(const struct bucket *b, struct digest name,
                          bool *found_out)
{
    size_t low = 0;
    size_t high = b->len;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = digest_order(b->entries[middle].name, name);
        if (order == 0) {
            *found_out = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *found_out = false;
    return low;
}

static struct index_entry *find(struct index *ix, struct digest name)
{
    struct bucket *b = &ix->buckets[index_bucket(name)];
    bool found;
    size_t at = bucket_find(b, name, &found);

    return found ? &b->entries[at] : NULL;
}

static bool same_version(const struct index_entry *a,
                         const struct index_entry *b)
{
    return digest_equal(a->digest, b->digest) && vstat_equal(a->stat, b->stat);
}

/* --- new, free ----------------------------------------------------------- */

struct index *index_new(void)
{
    struct index *ix = calloc(1, sizeof *ix);

    if (ix == NULL) {
        return NULL;
    }
    if (pthread_mutex_init(&ix->mutex, NULL) != 0) {
        free(ix);
        return NULL;
    }
    return ix;
}

static void free_buckets(struct index *ix)
{
    for (size_t i = 0; i < INDEX_BUCKETS; i++) {
        free(ix->buckets[i].entries);
    }
}

void index_free(struct index *ix)
{
    if (ix == NULL) {
        return;
    }
    free_buckets(ix);

    age_deinit(&ix->ages);
    (void)pthread_mutex_destroy(&ix->mutex);
    free(ix);
}

/* `to` holds no arrays of its own. */
static void move_contents(struct index *to, struct index *from)
{
    to->key = from->key;
    to->root = from->root;
    to->keys = from->keys;
    to->tables = from->tables;
    to->bytes = from->bytes;
    to->heap_bytes = from->heap_bytes;
    age_advance(&to->ages);
    memcpy(to->nodes, from->nodes, sizeof to->nodes);
    memcpy(to->buckets, from->buckets, sizeof to->buckets);
    memset(from->buckets, 0, sizeof from->buckets);
}

static void lock(struct index *ix)
{
    int rc = pthread_mutex_lock(&ix->mutex);

    assert(rc == 0);
}

static void unlock(struct index *ix)
{
    int rc = pthread_mutex_unlock(&ix->mutex);

    assert(rc == 0);
}

/* --- the key ------------------------------------------------------------- */

_Static_assert(sizeof(struct index_key) == INDEX_KEY_BYTES, "no padding");

const struct index_key *index_key(const struct index *ix)
{
    return &ix->key;
}

void index_set_key(struct index *ix, const struct index_key *key)
{
    assert(ix->keys == 0 && ix->tables == 0);
    ix->key = *key;
}

struct index *index_split(struct index *ix, const struct index_key *key)
{
    struct index *old = index_new();
    struct index *empty = index_new();

    if (old == NULL || empty == NULL) {
        index_free(old);
        index_free(empty);
        return NULL;
    }
    move_contents(old, ix);
    empty->key = *key;
    index_take(ix, empty);
    return old;
}

/* --- entries ------------------------------------------------------------- */

bool index_get(struct index *ix, struct digest name, struct index_entry *out)
{
    lock(ix);
    const struct index_entry *e = find(ix, name);
    if (e != NULL) {
        *out = *e;
    }
    unlock(ix);
    return e != NULL;
}

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NOMEM, 0, "index: out of memory");
}

/* With the mutex held; `at` and `found` are what bucket_find() said. */
static int put_at(struct index *ix, struct bucket *b, size_t at, bool found,
                  const struct index_entry *e, struct err *err)
{
    struct age_key age = {e->name, 0, e->is_table ? 0 : e->table};
    uint16_t table = e->table;

    if (!found) {
        if (b->len == b->cap &&
            !bucket_resize(ix, b, b->cap + b->cap / 4 + (size_t)1)) {
            return no_memory(err);
        }
        memmove(&b->entries[at + 1], &b->entries[at],
                (b->len - at) * sizeof b->entries[0]);
        b->len++;
        age.stamp = age_come(&ix->ages, &age);
    } else {
        age.stamp = b->entries[at].stamp;
        table = e->table != 0 ? e->table : b->entries[at].table;
        account(ix, &b->entries[at], false);
    }
    if (!found || !same_version(&b->entries[at], e)) {
        ix->changes++;
    }
    b->entries[at] = *e;
    b->entries[at].stamp = age.stamp;
    b->entries[at].table = table;
    if (ix->scanning) {
        b->entries[at].scan = ix->scan;
    }
    account(ix, &b->entries[at], true);
    return 0;
}

int index_put(struct index *ix, const struct index_entry *e, struct err *err)
{
    lock(ix);
    struct bucket *b = &ix->buckets[index_bucket(e->name)];
    bool found;
    size_t at = bucket_find(b, e->name, &found);
    int rc = put_at(ix, b, at, found, e, err);
    unlock(ix);
    return rc;
}

int index_put_if(struct index *ix, const struct index_entry *was,
                 const struct index_entry *e, struct err *err)
{
    int rc = 0;

    lock(ix);
    struct bucket *b = &ix->buckets[index_bucket(e->name)];
    bool found;
    size_t at = bucket_find(b, e->name, &found);
    bool expected =
        found ? was != NULL && same_version(&b->entries[at], was) : was == NULL;
    if (expected) {
        rc = put_at(ix, b, at, found, e, err);
        rc = rc < 0 ? rc : 1;
    }
    unlock(ix);
    return rc;
}

static void account_gone(struct index *ix, const struct index_entry *e)
{
    const struct age_key age = {e->name, e->stamp, e->is_table ? 0 : e->table};

    account(ix, e, false);
    age_go(&ix->ages, &age);
}

static void remove_at(struct index *ix, struct bucket *b, size_t at)
{
    account_gone(ix, &b->entries[at]);
    b->len--;
    ix->changes++;
    memmove(&b->entries[at], &b->entries[at + 1],
            (b->len - at) * sizeof b->entries[0]);
    bucket_trim(ix, b);
}

void index_remove(struct index *ix, struct digest name)
{
    lock(ix);
    struct bucket *b = &ix->buckets[index_bucket(name)];
    bool found;
    size_t at = bucket_find(b, name, &found);
    if (found) {
        remove_at(ix, b, at);
    }
    unlock(ix);
}

void index_remove_if(struct index *ix, const struct index_entry *was)
{
    lock(ix);
    struct bucket *b = &ix->buckets[index_bucket(was->name)];
    bool found;
    size_t at = bucket_find(b, was->name, &found);
    if (found && same_version(&b->entries[at], was)) {
        remove_at(ix, b, at);
    }
    unlock(ix);
}

/* --- scans --------------------------------------------------------------- */

void index_mark(struct index *ix, struct digest name, uint16_t scan)
{
    lock(ix);
    struct index_entry *e = find(ix, name);
    if (e != NULL) {
        e->scan = scan;
    }
    unlock(ix);
}

void index_mark_table(struct index *ix, struct digest name, uint16_t scan,
                      uint16_t top)
{
    lock(ix);
    struct index_entry *e = find(ix, name);
    if (e != NULL) {
        e->scan = scan;
        e->table = top;
    }
    unlock(ix);
}

/* A lookup at a million keys is three cache misses, and the processor cannot
 * begin the next before it knows the last.  Asking for the lines of all probes
 * first makes the misses overlap. */
static void prefetch_probes(const struct index *ix,
                            const struct index_probe *probes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        __builtin_prefetch(&ix->buckets[index_bucket(probes[i].name)]);
    }
    for (size_t i = 0; i < n; i++) {
        const struct bucket *b = &ix->buckets[index_bucket(probes[i].name)];
        for (size_t at = 0; at < b->len && at < 32; at++) {
            __builtin_prefetch(&b->entries[at]);
        }
    }
}

void index_mark_same(struct index *ix, struct index_probe *probes, size_t n,
                     uint16_t scan, uint16_t table)
{
    lock(ix);

    prefetch_probes(ix, probes, n);
    for (size_t i = 0; i < n; i++) {
        struct index_entry *e = find(ix, probes[i].name);
        probes[i].same = e != NULL && e->stat.ino != 0 &&
                         vstat_equal(e->stat, probes[i].stat);
        if (probes[i].same) {
            e->scan = scan;
            e->table = table;
        }
    }
    unlock(ix);
}

/* Clearing old marks needs no moment in which all are clear: what is marked
 * with this number before the walk begins is still on disk for it to see. */
void index_scan_begin(struct index *ix, uint16_t scan)
{
    for (size_t i = 0; i < INDEX_BUCKETS; i++) {
        lock(ix);
        const struct bucket *b = &ix->buckets[i];
        for (size_t at = 0; at < b->len; at++) {
            if (b->entries[at].scan == scan) {
                b->entries[at].scan = (uint16_t)(scan - 1);
            }
        }
        unlock(ix);
    }
    lock(ix);

    assert(!ix->scanning);
    ix->scanning = true;
    ix->scan = scan;
    unlock(ix);
}

void index_scan_end(struct index *ix)
{
    lock(ix);
    ix->scanning = false;
    unlock(ix);
}

static void sweep_bucket(struct index *ix, struct bucket *b, uint16_t scan,
                         bool (*fn)(void *arg, const struct index_entry *e),
                         void *arg)
{
    uint32_t kept = 0;

    for (uint32_t at = 0; at < b->len; at++) {
        const struct index_entry *e = &b->entries[at];
        if (e->scan != scan && fn(arg, e)) {
            account_gone(ix, e);
        } else {
            b->entries[kept++] = *e;
        }
    }
    if (kept < b->len) {
        b->len = kept;
        bucket_trim(ix, b);
    }
}

void index_sweep(struct index *ix, uint16_t scan,
                 bool (*fn)(void *arg, const struct index_entry *e), void *arg)
{
    for (size_t i = 0; i < INDEX_BUCKETS; i++) {
        lock(ix);
        sweep_bucket(ix, &ix->buckets[i], scan, fn, arg);
        unlock(ix);
    }
}

/* --- established names --------------------------------------------------- */

static void age_bucket(const struct index *ix, struct bucket *b)
{
    for (size_t at = 0; at < b->len; at++) {
        if (!age_is_young(&ix->ages, b->entries[at].stamp)) {
            b->entries[at].stamp = 0;
        }
    }
}

void index_age(struct index *ix)
{
    lock(ix);

    age_step(&ix->ages);
    for (unsigned i = 0; i < SETTLE_BUCKETS; i++) {
        age_bucket(ix, &ix->buckets[ix->settled]);
        ix->settled = (ix->settled + 1) % INDEX_BUCKETS;
    }
    unlock(ix);
}

uint64_t index_established(struct index *ix)
{
    lock(ix);
    uint64_t n = ix->keys - ix->ages.young_sum + age_made_up(&ix->ages);
    unlock(ix);
    return n;
}

uint64_t index_made_up(struct index *ix)
{
    lock(ix);
    uint64_t n = age_made_up(&ix->ages);
    unlock(ix);
    return n;
}

enum age_end index_end_of(struct index *ix, struct digest name)
{
    lock(ix);
    enum age_end end = age_end_of(&ix->ages, name);
    unlock(ix);
    return end;
}

void index_table_moved(struct index *ix, const void *table, size_t table_len)
{
    lock(ix);
    const struct index_entry *e =
        find(ix, index_name_table(&ix->key, table, table_len));
    if (e != NULL && !age_is_young(&ix->ages, e->stamp)) {
        age_replace(&ix->ages, index_table_tag(&ix->key, table, table_len));
    }
    unlock(ix);
}

/* --- sums, as others see them -------------------------------------------- */

uint64_t index_count(struct index *ix)
{
    lock(ix);
    uint64_t n = ix->keys;
    unlock(ix);
    return n;
}

uint64_t index_tables(struct index *ix)
{
    lock(ix);
    uint64_t n = ix->tables;
    unlock(ix);
    return n;
}

uint64_t index_bytes(struct index *ix)
{
    lock(ix);
    uint64_t n = ix->bytes;
    unlock(ix);
    return n;
}

size_t index_memory_bytes(struct index *ix)
{
    lock(ix);
    size_t n = sizeof *ix + ix->heap_bytes + age_memory_bytes(&ix->ages);
    unlock(ix);
    return n;
}

uint64_t index_changes(struct index *ix)
{
    lock(ix);
    uint64_t changes = ix->changes;
    unlock(ix);
    return changes;
}

struct digest index_root(struct index *ix)
{
    lock(ix);
    struct digest root = ix->root;
    unlock(ix);
    return root;
}

void index_nodes(struct index *ix, struct digest out[INDEX_NODES])
{
    lock(ix);
    memcpy(out, ix->nodes, sizeof ix->nodes);
    unlock(ix);
}

void index_buckets(struct index *ix, unsigned node,
                   struct digest out[INDEX_NODES])
{
    assert(node < INDEX_NODES);
    lock(ix);
    for (size_t i = 0; i < INDEX_NODES; i++) {
        out[i] = ix->buckets[node * (size_t)INDEX_NODES + i].digest;
    }
    unlock(ix);
}

int index_list(struct index *ix, unsigned bucket, struct index_entry **out,
               size_t *cap, struct err *err)
{
    assert(bucket < INDEX_BUCKETS);
    lock(ix);
    const struct bucket *b = &ix->buckets[bucket];
    int n = (int)b->len;
    if (b->len > *cap) {
        struct index_entry *entries = realloc(*out, b->len * sizeof *entries);
        if (entries != NULL) {
            *out = entries;
            *cap = b->len;
        } else {
            n = no_memory(err);
        }
    }
    if (n > 0) {
        memcpy(*out, b->entries, b->len * sizeof b->entries[0]);
    }
    unlock(ix);
    return n;
}

/* --- for index_file.c ---------------------------------------------------- */

bool index_fill_bucket(struct index *ix, const struct index_entry *entries,
                       size_t n)
{
    struct bucket *b = &ix->buckets[index_bucket(entries[0].name)];

    assert(b->len == 0 && n > 0);
    if (!bucket_resize(ix, b, n)) {
        return false;
    }
    memcpy(b->entries, entries, n * sizeof entries[0]);
    b->len = (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        account(ix, &entries[i], true);
    }
    return true;
}

void index_take(struct index *ix, struct index *from)
{
    lock(ix);
    free_buckets(ix);
    move_contents(ix, from);
    ix->changes++;
    unlock(ix);
    index_free(from);
}
