/* SPDX-License-Identifier: MIT
 *
 * bench_data: the data of the benchmarks, made from a seed: keys in tables,
 * names of 32 to 128 letters, values of a given range of sizes.  A value begins
 * with 8 bytes that a caller may set and find again on a replica.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { DATA_NAME_BYTES = 160, DATA_TABLES_MAX = 20000 };

struct data {
    const char *root;
    uint64_t seed;
    unsigned tables;
    size_t min_bytes, max_bytes; /* of values */
    int *table_fds;
};

/* A number that depends on `seed` and `i` alone (SplitMix64, Steele and others,
 * OOPSLA 2014). */
uint64_t data_random(uint64_t seed, uint64_t i);

/* Open the tables below `root`, made if missing.  Ends the program on failure,
 * as everything here does: a benchmark has nothing to save. */
void data_open(struct data *d);
/* "NAME.kv" of the key `i`, and its table. */
unsigned data_name(const struct data *d, uint64_t i, char out[DATA_NAME_BYTES]);
/* Its value in version `version`: `mark`, then bytes that do not compress.
 * Returns the length (at least 8). */
size_t data_value(const struct data *d, uint64_t i, uint64_t version,
                  uint64_t mark, unsigned char *out);

/* Write the key's file at once, for a database nobody uses yet. */
void data_put(const struct data *d, uint64_t i, uint64_t version);
/* Set it as flockd does (temporary, locks, rename), but without its fsync,
 * which costs the same whoever replicates. */
void data_set(const struct data *d, uint64_t i, uint64_t version,
              uint64_t mark);
/* The mark of the key's value, 0 when there is none. */
uint64_t data_mark(const struct data *d, uint64_t i);

void data_fail(const char *what) __attribute__((noreturn));
int64_t data_now_ns(void);
void data_sleep_until(int64_t at_ns);
