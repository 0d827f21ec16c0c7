/* SPDX-License-Identifier: MIT
 *
 * xxh3_pair: two inputs of one length with one XXH3-128, made by hand.
 *
 * Above 240 bytes XXH3 adds, per 64-byte stripe and 8-byte lane, the product of
 * the two halves of (input ^ secret) to one accumulator and the input itself to
 * another, and without a seed the secret is public.  Where the low half of the
 * input equals the secret's the product is 0 whatever the high half is.  So of
 * one lane in two stripes the high halves may be exchanged: products and sum
 * stay the same.  Hence digests of values are cryptographic, and hashes of
 * names keyed. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Fill `a` and `b`, of `len` bytes (241 to 1024), which differ, have one
 * XXH3-128, and hold no NUL, '/' or newline.  The first `keep` bytes (at most
 * 64), set by the caller alike in both, stay.  Aborts when that cannot be. */
void xxh3_pair(uint8_t *a, uint8_t *b, size_t len, size_t keep);
