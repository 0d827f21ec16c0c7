/* SPDX-License-Identifier: MIT
 *
 * index_impl: the inside of struct index, for index.c and index_file.c alone.
 *
 * A bucket is a sorted array of entries.  It grows by a quarter, not by
 * doubling, which keeps a key under 96 bytes; with some 15 entries per bucket
 * at a million keys, moving half of an array costs less than a cache miss.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/base/err.h"
#include "sync/index/index.h"

struct bucket {
    struct index_entry *entries; /* by name, ascending */
    uint32_t len;
    uint32_t cap;
    struct digest digest; /* XOR of the entries' leaves */
};

struct index {
    struct index_key key;  /* see index_key() */
    pthread_mutex_t mutex; /* guards everything below */
    struct digest root;
    uint64_t keys;
    uint64_t tables;
    uint64_t bytes;
    size_t heap_bytes; /* in the buckets' arrays */
    uint64_t changes;  /* see index_changes() */
    bool scanning;     /* between index_scan_begin() and _end() ... */
    uint16_t scan;     /* ... of this number */
    struct ages ages;
    unsigned settled; /* index_age(): the next bucket to look through */
    struct digest nodes[INDEX_NODES];
    struct bucket buckets[INDEX_BUCKETS];
};

/* Fill one empty bucket of an index that no other thread knows yet, with `n`
 * entries of that bucket in ascending order.  False: out of memory. */
bool index_fill_bucket(struct index *ix, const struct index_entry *entries,
                       size_t n);
/* Put the contents of `from` in place of those of `ix`; frees `from`. */
void index_take(struct index *ix, struct index *from);
