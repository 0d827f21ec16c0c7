/* SPDX-License-Identifier: MIT
 *
 * digest: 128 bits that stand for a value.
 *
 * The first half of a SHA-256 (FIPS 180-4), so that nobody who chooses values
 * finds two with one digest: equal digests are what replication calls equal.
 * Names of keys and tables are hashed with a key instead (hash.h).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero means "none". */
struct digest {
    uint64_t lo;
    uint64_t hi;
};

static inline bool digest_equal(struct digest a, struct digest b)
{
    return a.lo == b.lo && a.hi == b.hi;
}
/* Below 0, 0 or above: the order in which lists of digests are sorted. */
static inline int digest_order(struct digest a, struct digest b)
{
    if (a.hi != b.hi) {
        return a.hi < b.hi ? -1 : 1;
    }
    return a.lo == b.lo ? 0 : a.lo < b.lo ? -1 : 1;
}
/* The same for qsort() and bsearch() of digests, or of what begins with one. */
int digest_compare(const void *a, const void *b);
/* From 16 bytes: two little-endian halves, the low one first. */
struct digest digest_from_bytes(const uint8_t bytes[16]);

/* Thread-safe; cannot fail. */
struct digest digest_of(const void *data, size_t len);

/* Running digest of a value read in pieces.  new -> update* -> final. */
struct digest_stream;
struct digest_stream *digest_stream_new(void); /* NULL: out of memory */
void digest_stream_reset(struct digest_stream *s);
void digest_stream_update(struct digest_stream *s, const void *p, size_t n);
/* `n` zero bytes, as a hole has them: no cheaper to hash than others (some 0.8
 * s per GiB), so a caller goes in steps. */
void digest_stream_zeros(struct digest_stream *s, uint64_t n);
/* Of what came so far; the stream may go on. */
struct digest digest_stream_final(const struct digest_stream *s);
void digest_stream_free(struct digest_stream *s); /* accepts NULL */
