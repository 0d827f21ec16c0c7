/* SPDX-License-Identifier: MIT
 *
 * digest: SHA-256 by libcrypto; see digest.h.
 *
 * By its plain functions, which later versions of libcrypto call deprecated in
 * favour of objects that are looked up by name and allocated: these here work
 * on the stack, cannot fail, read no configuration file, and cost half as much
 * for a small value.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "store/base/digest.h"

#include <endian.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

int digest_compare(const void *a, const void *b)
{
    return digest_order(*(const struct digest *)a, *(const struct digest *)b);
}

struct digest digest_from_bytes(const uint8_t bytes[16])
{
    uint64_t half[2];

    memcpy(half, bytes, sizeof half);
    return (struct digest){.lo = le64toh(half[0]), .hi = le64toh(half[1])};
}

static struct digest end(SHA256_CTX *state)
{
    uint8_t out[SHA256_DIGEST_LENGTH];

    (void)SHA256_Final(out, state);
    return digest_from_bytes(out);
}

struct digest digest_of(const void *data, size_t len)
{
    SHA256_CTX state;

    (void)SHA256_Init(&state);
    (void)SHA256_Update(&state, data, len);
    return end(&state);
}

/* --- in pieces ----------------------------------------------------------- */

struct digest_stream {
    SHA256_CTX state;
};

struct digest_stream *digest_stream_new(void)
{
    struct digest_stream *s = malloc(sizeof *s);

    if (s != NULL) {
        digest_stream_reset(s);
    }
    return s;
}

void digest_stream_reset(struct digest_stream *s)
{
    (void)SHA256_Init(&s->state);
}

void digest_stream_update(struct digest_stream *s, const void *p, size_t n)
{
    (void)SHA256_Update(&s->state, p, n);
}

void digest_stream_zeros(struct digest_stream *s, uint64_t n)
{
    static const uint8_t zeros[64 * 1024];

    while (n > 0) {
        size_t some = n < sizeof zeros ? (size_t)n : sizeof zeros;
        digest_stream_update(s, zeros, some);
        n -= some;
    }
}

struct digest digest_stream_final(const struct digest_stream *s)
{
    SHA256_CTX last = s->state;

    return end(&last);
}

void digest_stream_free(struct digest_stream *s)
{
    free(s);
}
