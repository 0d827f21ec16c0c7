/* SPDX-License-Identifier: MIT
 *
 * xxh3_pair: see xxh3_pair.h. */
#include "tests/support/xxh3_pair.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The public secret is a constant of the header. */
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { STRIPE = 64, LANE = 8, SECRET_STEP = 8 };

static bool is_plain(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] == 0 || p[i] == '/' || p[i] == '\n') {
            return false;
        }
    }
    return true;
}

/* A lane whose low half may hold the secret of both stripes. */
static size_t find_lane(size_t stripe)
{
    const uint8_t *one = XXH3_kSecret + stripe * SECRET_STEP;
    const uint8_t *two = one + SECRET_STEP;

    for (size_t lane = 0; lane < STRIPE; lane += LANE) {
        if (is_plain(one + lane, 4) && is_plain(two + lane, 4)) {
            return lane;
        }
    }
    abort();
}

void xxh3_pair(uint8_t *a, uint8_t *b, size_t len, size_t keep)
{
    size_t stripe = keep > 0 ? 1 : 0, lane = find_lane(stripe);
    size_t one = stripe * STRIPE + lane, two = one + STRIPE;

    memset(a + keep, 'x', len - keep);
    memcpy(a + one, XXH3_kSecret + stripe * SECRET_STEP + lane, 4);
    memcpy(a + two, XXH3_kSecret + (stripe + 1) * SECRET_STEP + lane, 4);
    memcpy(b + keep, a + keep, len - keep);
    memcpy(a + one + 4, "left", 4);
    memcpy(a + two + 4, "side", 4);
    memcpy(b + one + 4, "side", 4);
    memcpy(b + two + 4, "left", 4);
    XXH128_hash_t x = XXH3_128bits(a, len), y = XXH3_128bits(b, len);
    if (keep > STRIPE || two + LANE > (len - 1) / STRIPE * STRIPE ||
        !XXH128_isEqual(x, y) || memcmp(a, b, len) == 0) {
        abort();
    }
}
