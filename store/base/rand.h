/* SPDX-License-Identifier: MIT
 *
 * rand: random bytes for ids, and a small seeded generator for jitter and
 * tests.  The generator is not for secrets. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "store/base/err.h"

/* Fill from the kernel's generator.  ERR_IO. */
int rand_bytes(void *out, size_t len, struct err *err) MUSTCHECK;
/* A seed: kernel randomness, or the clock and pid should that fail. */
uint64_t rand_seed(void);

struct prng {
    uint64_t state;
};

struct prng prng_of(uint64_t seed);
uint64_t prng_next(struct prng *p);
/* 0 <= result < limit; limit > 0.  Without modulo bias worth noting. */
uint64_t prng_below(struct prng *p, uint64_t limit);
