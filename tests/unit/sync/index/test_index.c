/* SPDX-License-Identifier: MIT
 *
 * The index: its digests depend on what it holds and on nothing else, a scan's
 * put never overwrites news, and a saved index comes back whole or not at all.
 */
#include "tests/support/store_fixture.h"

#include <inttypes.h>
#include <time.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "sync/index/index.h"
#include "tests/support/plain_key.h"

static const struct index_ident ident = {
    .db_id = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
    .root_dev = 77,
    .root_ino = 2,
    .boot = {.id = {7}, .mount = 5, .writeback_ns = INT64_C(100000000000)}};

/* Long after every ctime made by entry_of(). */
static const int64_t later_ns = INT64_C(2000000000) * 1000000000;

/* --- a small random generator (splitmix64), seeded and printed ----------- */

static uint64_t rng_next(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t seed_of_run(const char *test)
{
    const char *given = getenv("DROVER_SEED");
    uint64_t seed =
        given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);

    print_message("%s: DROVER_SEED=%" PRIu64 "\n", test, seed);
    return seed;
}

/* --- entries ------------------------------------------------------------- */

/* Key number `n` with its value in version `version`. */
static struct index_entry entry_of(uint64_t n, uint64_t version)
{
    char key[32];
    uint64_t value[2] = {n, version};
    int len = snprintf(key, sizeof key, "key-%" PRIu64, n);

    return (struct index_entry){
        .name = index_name_key(&plain_key, "t", 1, key, (size_t)len),
        .digest = digest_of(value, sizeof value),
        .stat = {.ino = n + 1,
                 .ctime_ns = (int64_t)(1000 + version),
                 .size = 10 + version}};
}

static struct index_entry table_entry(const char *table)
{
    return (struct index_entry){
        .name = index_name_table(&plain_key, table, strlen(table)),
        .is_table = 1};
}

static void put(struct index *ix, struct index_entry e)
{
    struct err err;

    assert_int_equal(index_put(ix, &e, &err), 0);
}

static void assert_digest(struct digest a, struct digest b)
{
    assert_true(digest_equal(a, b));
}

static void xor_into(struct digest *sum, struct digest d)
{
    sum->lo ^= d.lo;
    sum->hi ^= d.hi;
}

/* Work the whole tree out again from what index_list() tells, with the formula
 * of the header, and compare all of it. */
static void assert_tree_is_exact(struct index *ix)
{
    struct index_entry *entries = NULL;
    size_t cap = 0;
    struct err err;
    struct digest root = {0, 0};
    struct digest nodes[INDEX_NODES];
    struct digest buckets[INDEX_NODES];
    uint64_t keys = 0, tables = 0, bytes = 0;

    index_nodes(ix, nodes);
    for (unsigned node = 0; node < INDEX_NODES; node++) {
        struct digest node_sum = {0, 0};
        index_buckets(ix, node, buckets);
        for (unsigned i = 0; i < INDEX_NODES; i++) {
            unsigned bucket = node * INDEX_NODES + i;
            struct digest sum = {0, 0};
            int n = index_list(ix, bucket, &entries, &cap, &err);
            assert_true(n >= 0);
            for (int at = 0; at < n; at++) {
                const struct index_entry *e = &entries[at];
                assert_int_equal(index_bucket(e->name), bucket);
                index_mix_leaf(index_key(ix), &sum, e->name, e->digest);
                keys += !e->is_table;
                tables += e->is_table;
                bytes += e->is_table ? 0 : e->stat.size;
            }
            assert_digest(sum, buckets[i]);
            xor_into(&node_sum, sum);
        }
        assert_digest(node_sum, nodes[node]);
        xor_into(&root, node_sum);
    }
    assert_digest(root, index_root(ix));
    assert_true(keys == index_count(ix));
    assert_true(tables == index_tables(ix));
    assert_true(bytes == index_bytes(ix));
    free(entries);
}

static void assert_same_contents(struct index *a, struct index *b)
{
    struct index_entry *of_a = NULL, *of_b = NULL;
    size_t cap_a = 0, cap_b = 0;
    struct err err;

    for (unsigned bucket = 0; bucket < INDEX_BUCKETS; bucket++) {
        int n = index_list(a, bucket, &of_a, &cap_a, &err);
        assert_int_equal(n, index_list(b, bucket, &of_b, &cap_b, &err));
        for (int i = 0; i < n; i++) {
            assert_digest(of_a[i].name, of_b[i].name);
            assert_digest(of_a[i].digest, of_b[i].digest);
            assert_true(vstat_equal(of_a[i].stat, of_b[i].stat));
            assert_int_equal(of_a[i].is_table, of_b[i].is_table);
        }
    }
    free(of_a);
    free(of_b);
}

/* --- names --------------------------------------------------------------- */

static void table_and_key_names_never_meet(void **state)
{
    (void)state;
    /* One string cut at different places, and as a table. */
    struct digest names[] = {
        index_name_key(&plain_key, "", 0, "ab", 2),
        index_name_key(&plain_key, "a", 1, "b", 1),
        index_name_key(&plain_key, "ab", 2, "", 0),
        index_name_key(&plain_key, "", 0, "", 0),
        index_name_table(&plain_key, "ab", 2),
        index_name_table(&plain_key, "", 0),
        index_name_key(&plain_key, "", 0, "a/b", 3),
        index_name_table(&plain_key, "a/b", 3),
    };
    size_t n = sizeof names / sizeof names[0];

    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < i; j++) {
            assert_false(digest_equal(names[i], names[j]));
        }
    }
    assert_digest(index_name_key(&plain_key, "a", 1, "b", 1),
                  hash_keyed(&plain_key.names, "a\0b", 3));
}

/* --- attacks ------------------------------------------------------------- */

enum { CHOICES = 192 }; /* more than the bits of a digest */

struct choice {
    struct digest leaf;              /* what choosing the other value changes */
    uint64_t combined[CHOICES / 64]; /* of which choices it is made up */
};

static bool bit_of(struct digest d, unsigned i)
{
    return ((i < 64 ? d.lo >> i : d.hi >> (i - 64)) & 1) != 0;
}

/* With a key that is known: a set of choices whose leaves XOR to zero, by
 * Gaussian elimination.  One row at least becomes zero: there are more rows
 * than columns. */
static const uint64_t *cancelling(struct choice rows[CHOICES])
{
    size_t done = 0;

    for (unsigned column = 0; column < 128; column++) {
        size_t pivot = done;
        while (pivot < CHOICES && !bit_of(rows[pivot].leaf, column)) {
            pivot++;
        }
        if (pivot == CHOICES) {
            continue;
        }
        struct choice swap = rows[pivot];
        rows[pivot] = rows[done];
        rows[done] = swap;
        for (size_t i = done + 1; i < CHOICES; i++) {
            if (bit_of(rows[i].leaf, column)) {
                xor_into(&rows[i].leaf, rows[done].leaf);
                for (size_t w = 0; w < CHOICES / 64; w++) {
                    rows[i].combined[w] ^= rows[done].combined[w];
                }
            }
        }
        done++;
    }
    return rows[done].combined;
}

static struct digest change_of(const struct index_key *k, uint64_t i)
{
    struct digest sum = {0, 0}, name = index_name_key(k, "t", 1, &i, sizeof i);

    index_mix_leaf(k, &sum, name, digest_of("old", 3));
    index_mix_leaf(k, &sum, name, digest_of("new", 3));
    return sum;
}

/* Somebody who may choose values wants the tree's root to stay as it was. */
static void chosen_leaves_cancel_only_for_who_has_the_key(void **state)
{
    static struct choice rows[CHOICES];
    struct index_key secret = {.leaves = {{1}}};
    struct digest known = {0, 0}, unknown = {0, 0};

    (void)state;
    for (size_t i = 0; i < CHOICES; i++) {
        rows[i] = (struct choice){.leaf = change_of(&plain_key, i)};
        rows[i].combined[i / 64] = UINT64_C(1) << (i % 64);
    }
    const uint64_t *set = cancelling(rows);
    for (size_t i = 0; i < CHOICES; i++) {
        if ((set[i / 64] >> (i % 64) & 1) != 0) {
            xor_into(&known, change_of(&plain_key, i));
            xor_into(&unknown, change_of(&secret, i));
        }
    }
    assert_digest(known, (struct digest){0, 0}); /* the attack is one */
    assert_false(digest_equal(unknown, (struct digest){0, 0}));
}

static void another_key_moves_names_to_other_buckets(void **state)
{
    struct index_key secret = {.names = {{1}}};
    unsigned same = 0;

    (void)state;
    for (uint64_t i = 0; i < 1000; i++) {
        same += index_bucket(index_name_key(&plain_key, "", 0, &i, 8)) ==
                index_bucket(index_name_key(&secret, "", 0, &i, 8));
    }
    assert_true(same < 10);
}

static void an_index_split_by_a_key_keeps_what_it_held(void **state)
{
    struct index *ix = index_new();
    struct index_key secret = {.names = {{1}}};
    struct index_entry e = entry_of(1, 1), got;
    struct err err;

    (void)state;
    assert_non_null(ix);
    assert_int_equal(index_put(ix, &e, &err), 0);
    struct digest root = index_root(ix);
    struct index *old = index_split(ix, &secret);
    assert_non_null(old);
    assert_int_equal(index_count(ix), 0);
    assert_digest(index_root(ix), (struct digest){0, 0});
    assert_memory_equal(index_key(ix), &secret, sizeof secret);
    assert_true(index_get(old, e.name, &got));
    assert_digest(index_root(old), root);
    assert_memory_equal(index_key(old), &plain_key, sizeof plain_key);
    assert_tree_is_exact(ix);
    assert_tree_is_exact(old);
    index_free(old);
    index_free(ix);
}

/* --- digests ------------------------------------------------------------- */

static void order_of_puts_does_not_matter(void **state)
{
    (void)state;
    enum { KEYS = 5000 };
    struct index *a = index_new();
    struct index *b = index_new();

    for (uint64_t i = 0; i < KEYS; i++) {
        put(a, entry_of(i, 1));
    }
    put(a, table_entry("t"));
    put(b, table_entry("t"));
    for (uint64_t i = KEYS; i-- > 0;) {
        put(b, entry_of(i, 9)); /* an older version on the way */
        put(b, entry_of(i, 1));
    }
    assert_digest(index_root(a), index_root(b));
    assert_same_contents(a, b);

    put(b, entry_of(17, 2));
    assert_false(digest_equal(index_root(a), index_root(b)));
    put(a, entry_of(17, 2));
    assert_digest(index_root(a), index_root(b));
    index_free(a);
    index_free(b);
}

static void stat_and_mark_are_not_part_of_the_digest(void **state)
{
    (void)state;
    struct index *ix = index_new();
    struct index_entry e = entry_of(1, 1);

    put(ix, e);
    struct digest before = index_root(ix);
    e.stat.ino = 999;
    e.stat.ctime_ns = 999;
    e.scan = 5;
    put(ix, e);
    assert_digest(before, index_root(ix));
    index_free(ix);
}

static void an_emptied_index_has_the_zero_digest(void **state)
{
    (void)state;
    struct index *ix = index_new();
    struct digest zero = {0, 0};
    size_t fixed = index_memory_bytes(ix);

    assert_digest(index_root(ix), zero);
    for (uint64_t i = 0; i < 1000; i++) {
        put(ix, entry_of(i, i));
    }
    for (uint64_t i = 0; i < 1000; i++) {
        index_remove(ix, entry_of(i, 0).name);
        index_remove(ix, entry_of(i, 0).name); /* nothing is there: no harm */
    }
    assert_digest(index_root(ix), zero);
    assert_true(index_count(ix) == 0 && index_bytes(ix) == 0);
    assert_int_equal(index_memory_bytes(ix), fixed);
    index_free(ix);
}

static void random_changes_keep_the_tree_exact(void **state)
{
    (void)state;
    enum { KEYS = 3000, STEPS = 60000 };
    struct index *ix = index_new();
    uint64_t rng = seed_of_run(__func__);
    uint16_t version[KEYS] = {0}; /* 0: absent */
    struct err err;

    put(ix, table_entry("t"));
    for (int step = 0; step < STEPS; step++) {
        uint64_t n = rng_next(&rng) % KEYS;
        uint16_t v = (uint16_t)(1 + rng_next(&rng) % 1000);
        struct index_entry e = entry_of(n, v);
        switch (rng_next(&rng) % 4) {
        case 0:
            index_remove(ix, e.name);
            version[n] = 0;
            break;
        case 1: { /* put_if with a guess that may be wrong */
            uint16_t guess = rng_next(&rng) % 2 ? version[n] : v;
            struct index_entry was = entry_of(n, guess);
            int rc = index_put_if(ix, guess != 0 ? &was : NULL, &e, &err);
            assert_int_equal(rc, guess == version[n]);
            version[n] = guess == version[n] ? v : version[n];
            break;
        }
        default:
            put(ix, e);
            version[n] = v;
        }
    }
    assert_tree_is_exact(ix);
    for (uint64_t n = 0; n < KEYS; n++) {
        struct index_entry want = entry_of(n, version[n]);
        struct index_entry got;
        assert_int_equal(index_get(ix, want.name, &got), version[n] != 0);
        if (version[n] != 0) {
            assert_digest(got.digest, want.digest);
            assert_true(vstat_equal(got.stat, want.stat));
        }
    }
    index_free(ix);
}

static void buckets_point_at_the_one_difference(void **state)
{
    (void)state;
    struct index *a = index_new();
    struct index *b = index_new();
    struct digest of_a[INDEX_NODES], of_b[INDEX_NODES];

    for (uint64_t i = 0; i < 2000; i++) {
        put(a, entry_of(i, 1));
        put(b, entry_of(i, i == 1234 ? 2 : 1));
    }
    unsigned bucket = index_bucket(entry_of(1234, 0).name);
    index_nodes(a, of_a);
    index_nodes(b, of_b);
    for (unsigned i = 0; i < INDEX_NODES; i++) {
        assert_int_equal(digest_equal(of_a[i], of_b[i]),
                         i != bucket / INDEX_NODES);
    }
    index_buckets(a, bucket / INDEX_NODES, of_a);
    index_buckets(b, bucket / INDEX_NODES, of_b);
    for (unsigned i = 0; i < INDEX_NODES; i++) {
        assert_int_equal(digest_equal(of_a[i], of_b[i]),
                         i != bucket % INDEX_NODES);
    }
    index_free(a);
    index_free(b);
}

/* --- put_if, marks, sweep ------------------------------------------------ */

static void put_if_gives_way_to_news(void **state)
{
    (void)state;
    struct index *ix = index_new();
    struct index_entry one = entry_of(1, 1), two = entry_of(1, 2), got;
    struct err err;

    assert_int_equal(index_put_if(ix, &one, &two, &err), 0); /* absent */
    assert_false(index_get(ix, one.name, &got));
    assert_int_equal(index_put_if(ix, NULL, &one, &err), 1);
    assert_int_equal(index_put_if(ix, NULL, &two, &err), 0); /* present */
    assert_int_equal(index_put_if(ix, &two, &two, &err), 0); /* other */

    struct index_entry moved = one; /* same digest, another stat */
    moved.stat.ino++;
    assert_int_equal(index_put_if(ix, &moved, &two, &err), 0);
    assert_int_equal(index_put_if(ix, &one, &two, &err), 1);
    assert_true(index_get(ix, one.name, &got));
    assert_digest(got.digest, two.digest);
    index_free(ix);
}

static void remove_if_gives_way_to_news(void **state)
{
    (void)state;
    struct index *ix = index_new();
    struct index_entry one = entry_of(1, 1), two = entry_of(1, 2), got;

    put(ix, two);
    index_remove_if(ix, &one);
    assert_true(index_get(ix, one.name, &got));
    index_remove_if(ix, &two);
    assert_false(index_get(ix, one.name, &got));
    index_free(ix);
}

static bool count_and_remove(void *arg, const struct index_entry *e)
{
    (void)e;
    ++*(int *)arg;
    return true;
}

static bool count_and_keep(void *arg, const struct index_entry *e)
{
    (void)e;
    ++*(int *)arg;
    return false;
}

static void sweep_takes_what_no_mark_or_put_protects(void **state)
{
    (void)state;
    struct index *ix = index_new();
    struct index_entry got;
    int n = 0;

    for (uint64_t i = 0; i < 100; i++) {
        struct index_entry e = entry_of(i, 1);
        e.scan = 7; /* left over from an older scan of the same number */
        put(ix, e);
    }
    index_scan_begin(ix, 7);
    for (uint64_t i = 0; i < 50; i++) {
        index_mark(ix, entry_of(i, 1).name, 7);
    }
    put(ix, entry_of(60, 2));  /* changed while the scan runs */
    put(ix, entry_of(200, 1)); /* created while the scan runs */
    index_scan_end(ix);

    index_sweep(ix, 7, count_and_keep, &n);
    assert_int_equal(n, 49);
    assert_true(index_count(ix) == 101);
    n = 0;
    index_sweep(ix, 7, count_and_remove, &n);
    assert_int_equal(n, 49);
    assert_true(index_count(ix) == 52);
    assert_true(index_get(ix, entry_of(60, 1).name, &got));
    assert_true(index_get(ix, entry_of(200, 1).name, &got));
    assert_false(index_get(ix, entry_of(99, 1).name, &got));
    assert_tree_is_exact(ix);
    index_free(ix);
}

static void mark_same_wants_the_exact_and_proven_stat(void **state)
{
    (void)state;
    struct index *ix = index_new();
    struct index_entry plain = entry_of(1, 1), other = entry_of(2, 1);
    struct index_entry unproven = entry_of(3, 1), got;

    unproven.stat = index_unproven(unproven.stat);
    put(ix, plain);
    put(ix, other);
    put(ix, unproven);
    struct index_probe probes[] = {
        {.name = plain.name, .stat = plain.stat},
        {.name = other.name, .stat = other.stat},
        {.name = unproven.name, .stat = unproven.stat},
        {.name = entry_of(4, 1).name, .stat = plain.stat},
    };
    probes[1].stat.ctime_ns++;
    index_mark_same(ix, probes, 4, 9, 0);
    assert_true(probes[0].same);
    assert_false(probes[1].same);
    assert_false(probes[2].same);
    assert_false(probes[3].same);
    assert_true(index_get(ix, plain.name, &got) && got.scan == 9);
    assert_true(index_get(ix, other.name, &got) && got.scan == 0);
    index_free(ix);
}

/* --- save and load ------------------------------------------------------- */

static void save(struct fixture *f, struct index *ix, int64_t now_ns)
{
    assert_int_equal(index_save(ix, f->fd, "index", &ident, now_ns, &f->err),
                     0);
}

static void saved_index_comes_back_whole(void **state)
{
    struct fixture *f = *state;
    static const uint64_t sizes[] = {0, 1, 1000, 100000};

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct index *ix = index_new();
        struct index *back = index_new();
        for (uint64_t n = 0; n < sizes[i]; n++) {
            put(ix, entry_of(n, n % 100));
        }
        put(ix, table_entry(""));
        put(ix, table_entry("a/b"));
        put(back, entry_of(424242, 1)); /* replaced by what is loaded */
        save(f, ix, later_ns);
        assert_false(exists(f->fd, "index.new"));
        assert_int_equal(index_load(back, f->fd, "index", &ident, &f->err), 0);
        assert_same_contents(ix, back);
        assert_digest(index_root(ix), index_root(back));
        assert_true(index_bytes(ix) == index_bytes(back));
        assert_tree_is_exact(back);
        index_free(ix);
        index_free(back);
    }
}

static void young_entries_are_saved_unproven(void **state)
{
    struct fixture *f = *state;
    struct index *ix = index_new();
    int64_t now_ns = later_ns;
    struct index_entry old = entry_of(1, 1), edge = entry_of(2, 1);
    struct index_entry future = entry_of(3, 1), got;

    old.stat.ctime_ns = now_ns - UNPROVEN_NS - 1;
    edge.stat.ctime_ns = now_ns - UNPROVEN_NS;
    future.stat.ctime_ns = now_ns + 5;
    put(ix, old);
    put(ix, edge);
    put(ix, future);
    save(f, ix, now_ns);
    assert_true(index_get(ix, edge.name, &got)); /* not changed by saving */
    assert_true(vstat_equal(got.stat, edge.stat));

    struct index *back = index_new();
    assert_int_equal(index_load(back, f->fd, "index", &ident, &f->err), 0);
    assert_true(index_get(back, old.name, &got));
    assert_true(vstat_equal(got.stat, old.stat));
    assert_true(index_get(back, edge.name, &got));
    assert_true(got.stat.ino == 0 && got.stat.ctime_ns == 0);
    assert_digest(got.digest, edge.digest);
    assert_true(index_get(back, future.name, &got));
    assert_true(got.stat.ino == 0 && got.stat.ctime_ns == 0);
    assert_digest(index_root(ix), index_root(back));
    assert_true(index_bytes(ix) == index_bytes(back));
    index_free(ix);
    index_free(back);
}

/* Save with `ident`, load as `who`: are the stats of an entry as old as the
 * write-back time, and of one that is older by a nanosecond, believed? */
static void loaded_by(struct fixture *f, const struct index_ident *saved,
                      const struct index_ident *who, bool young_wanted,
                      bool old_wanted)
{
    struct index *ix = index_new(), *back = index_new();
    struct index_entry young = entry_of(1, 1), old = entry_of(2, 1), got;

    young.stat.ctime_ns = later_ns - ident.boot.writeback_ns;
    old.stat.ctime_ns = young.stat.ctime_ns - 1;
    young.durable = 1;
    put(ix, young);
    put(ix, old);
    put(ix, table_entry("t"));
    assert_int_equal(index_save(ix, f->fd, "index", saved, later_ns, &f->err),
                     0);
    assert_int_equal(index_load(back, f->fd, "index", who, &f->err), 0);
    assert_digest(index_root(ix), index_root(back));
    assert_true(index_bytes(ix) == index_bytes(back));
    assert_true(index_get(back, young.name, &got));
    assert_int_equal(vstat_equal(got.stat, young.stat), young_wanted);
    assert_int_equal(got.stat.ino == 0, !young_wanted);
    assert_true(index_get(back, old.name, &got));
    assert_int_equal(vstat_equal(got.stat, old.stat), old_wanted);
    index_free(ix);
    index_free(back);
}

static void what_a_power_loss_may_take_back_is_not_believed(void **state)
{
    struct fixture *f = *state;
    struct index_ident boot = ident, mount = ident, unknown = ident;
    struct index_ident no_mount = ident, never = ident;

    boot.boot.id[15] ^= 1;
    mount.boot.mount++;
    memset(unknown.boot.id, 0, sizeof unknown.boot.id);
    no_mount.boot.mount = 0;
    never.boot.writeback_ns = INT64_MAX;
    loaded_by(f, &ident, &ident, true, true);
    loaded_by(f, &ident, &no_mount, true, true);
    loaded_by(f, &ident, &boot, false, true);
    loaded_by(f, &ident, &mount, false, true);
    loaded_by(f, &unknown, &unknown, false, true);
    loaded_by(f, &never, &never, true, true);
    loaded_by(f, &never, &boot, false, false);
    /* How long the saving boot kept bytes in memory counts, not this one. */
    loaded_by(f, &boot, &never, false, true);
}

static int load_code(struct fixture *f, const char *file,
                     const struct index_ident *who)
{
    struct index *ix = index_new();
    int rc = index_load(ix, f->fd, file, who, &f->err);

    if (rc < 0) { /* nothing of it may have got in */
        struct digest zero = {0, 0};
        assert_true(index_count(ix) == 0 && index_tables(ix) == 0);
        assert_digest(index_root(ix), zero);
    }
    index_free(ix);
    return rc;
}

static void another_identity_is_refused(void **state)
{
    struct fixture *f = *state;
    struct index *ix = index_new();
    struct index_ident other_db = ident, other_dev = ident, other_ino = ident;

    put(ix, entry_of(1, 1));
    save(f, ix, later_ns);
    other_db.db_id[15] ^= 1;
    other_dev.root_dev++;
    other_ino.root_ino++;
    assert_int_equal(load_code(f, "absent", &ident), ERR_NOTFOUND);
    assert_int_equal(load_code(f, "index", &other_db), ERR_REFUSED);
    assert_int_equal(load_code(f, "index", &other_dev), ERR_REFUSED);
    assert_int_equal(load_code(f, "index", &other_ino), ERR_REFUSED);
    assert_int_equal(load_code(f, "index", &ident), 0);
    index_free(ix);
}

static size_t slurp(int dir_fd, const char *file, uint8_t *out, size_t room)
{
    CLEANUP(fd_closep) int fd = openat(dir_fd, file, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    ssize_t n = read(fd, out, room);
    assert_true(n > 0 && (size_t)n < room);
    return (size_t)n;
}

/* A load makes a whole index, which takes a sanitizer its time: there one bit
 * of seven, so that each byte has one, and each of the eight its turn. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { BIT_STEP = 7 };
#else
enum { BIT_STEP = 1 };
#endif

static void no_flipped_bit_goes_unnoticed(void **state)
{
    struct fixture *f = *state;
    struct index *ix = index_new();
    uint8_t bytes[1024];

    for (uint64_t i = 0; i < 3; i++) {
        put(ix, entry_of(i, 1));
    }
    put(ix, table_entry("t"));
    save(f, ix, later_ns);
    size_t n = slurp(f->fd, "index", bytes, sizeof bytes);
    for (size_t bit = 0; bit < n * 8; bit += BIT_STEP) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        put_file(f->fd, "flipped", bytes, n);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(load_code(f, "flipped", &ident), ERR_CORRUPT);
    }
    put_file(f->fd, "flipped", bytes, n);
    assert_int_equal(load_code(f, "flipped", &ident), 0);
    index_free(ix);
}

static void cut_grown_and_foreign_files_are_corrupt(void **state)
{
    struct fixture *f = *state;
    struct index *ix = index_new();
    uint8_t bytes[1024] = {0};

    for (uint64_t i = 0; i < 8; i++) {
        put(ix, entry_of(i, 1));
    }
    save(f, ix, later_ns);
    size_t n = slurp(f->fd, "index", bytes, 700);
    for (size_t len = 0; len < n; len++) {
        put_file(f->fd, "cut", bytes, len);
        assert_int_equal(load_code(f, "cut", &ident), ERR_CORRUPT);
    }
    for (size_t len = n + 1; len < n + 130; len++) {
        put_file(f->fd, "grown", bytes, len);
        assert_int_equal(load_code(f, "grown", &ident), ERR_CORRUPT);
    }
    memset(bytes, 'x', sizeof bytes);
    put_file(f->fd, "text", bytes, sizeof bytes);
    assert_int_equal(load_code(f, "text", &ident), ERR_CORRUPT);
    assert_int_equal(mkdirat(f->fd, "directory", 0700), 0);
    assert_int_equal(load_code(f, "directory", &ident), ERR_CORRUPT);
    index_free(ix);
}

static void failed_save_keeps_the_old_file(void **state)
{
    struct fixture *f = *state;
    struct index *ix = index_new();
    uint8_t before[1024], after[1024];

    put(ix, entry_of(1, 1));
    save(f, ix, later_ns);
    size_t n = slurp(f->fd, "index", before, sizeof before);
    /* Something that cannot be unlinked is in the way of the temporary. */
    assert_int_equal(mkdirat(f->fd, "index.new", 0700), 0);
    put(ix, entry_of(2, 1));
    assert_true(index_save(ix, f->fd, "index", &ident, later_ns, &f->err) < 0);
    assert_int_equal(slurp(f->fd, "index", after, sizeof after), n);
    assert_memory_equal(before, after, n);
    index_free(ix);
}

/* --- memory -------------------------------------------------------------- */

static void a_million_keys_stay_under_96_bytes_each(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {10000, 100000, 1000000};
    struct index *ix = index_new();
    size_t fixed = index_memory_bytes(ix);
    uint64_t n = 0;

    assert_in_range(fixed, 2u << 20, 3u << 20);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (; n < sizes[i]; n++) {
            put(ix, entry_of(n, 1));
        }
        size_t all = index_memory_bytes(ix);
        print_message("%" PRIu64 " keys: %zu bytes, %.1f per key beside %zu\n",
                      n, all, (double)(all - fixed) / (double)n, fixed);
        assert_true(all - fixed < n * 96);
    }
    assert_true(index_memory_bytes(ix) < n * 96);
    index_free(ix);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_and_key_names_never_meet),
        cmocka_unit_test(chosen_leaves_cancel_only_for_who_has_the_key),
        cmocka_unit_test(another_key_moves_names_to_other_buckets),
        cmocka_unit_test(an_index_split_by_a_key_keeps_what_it_held),
        cmocka_unit_test(order_of_puts_does_not_matter),
        cmocka_unit_test(stat_and_mark_are_not_part_of_the_digest),
        cmocka_unit_test(an_emptied_index_has_the_zero_digest),
        cmocka_unit_test(random_changes_keep_the_tree_exact),
        cmocka_unit_test(buckets_point_at_the_one_difference),
        cmocka_unit_test(put_if_gives_way_to_news),
        cmocka_unit_test(remove_if_gives_way_to_news),
        cmocka_unit_test(sweep_takes_what_no_mark_or_put_protects),
        cmocka_unit_test(mark_same_wants_the_exact_and_proven_stat),
        FIXTURE_TEST(saved_index_comes_back_whole),
        FIXTURE_TEST(young_entries_are_saved_unproven),
        FIXTURE_TEST(what_a_power_loss_may_take_back_is_not_believed),
        FIXTURE_TEST(another_identity_is_refused),
        FIXTURE_TEST(no_flipped_bit_goes_unnoticed),
        FIXTURE_TEST(cut_grown_and_foreign_files_are_corrupt),
        FIXTURE_TEST(failed_save_keeps_the_old_file),
        cmocka_unit_test(a_million_keys_stay_under_96_bytes_each),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
