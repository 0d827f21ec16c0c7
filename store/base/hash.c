/* SPDX-License-Identifier: MIT
 *
 * hash: see hash.h.  libsodium's hashes need no sodium_init(), which is for its
 * random numbers and for what it chooses by processor. */
#include "store/base/hash.h"

#include <pthread.h>
#include <sodium/crypto_shorthash.h>
#include <sodium/crypto_shorthash_siphash24.h>
#include <string.h>
#include <xxhash.h>

#include "store/base/rand.h"

_Static_assert(sizeof(struct hash_key) == crypto_shorthash_siphashx24_KEYBYTES,
               "a key of SipHash");

struct digest hash_keyed(const struct hash_key *key, const void *p, size_t n)
{
    uint8_t out[crypto_shorthash_siphashx24_BYTES];

    (void)crypto_shorthash_siphashx24(out, p, n, key->bytes);
    return digest_from_bytes(out);
}

/* --- of this process ----------------------------------------------------- */

static struct hash_key local_key;

static void make_local_key(void)
{
    struct err ignored;

    if (rand_bytes(local_key.bytes, sizeof local_key.bytes, &ignored) < 0) {
        uint64_t seed = rand_seed();
        memcpy(local_key.bytes, &seed, sizeof seed);
    }
}

uint64_t hash_local(const void *p, size_t n)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    uint64_t out;

    (void)pthread_once(&once, make_local_key);
    (void)crypto_shorthash((uint8_t *)&out, p, n, local_key.bytes);
    return out;
}

uint64_t checksum_of(const void *p, size_t n)
{
    return XXH3_128bits(p, n).low64;
}
