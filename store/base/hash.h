/* SPDX-License-Identifier: MIT
 *
 * hash: short hashes that others cannot steer, and a checksum that says no more
 * than "not damaged".
 *
 * Whoever may choose the names that are hashed (tenants, uploads) must not be
 * able to find two with one hash, or many for one place of a table.  So hashes
 * have a secret key: SipHash-2-4 (Aumasson and Bernstein, 2012), by libsodium.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "store/base/digest.h"

struct hash_key {
    uint8_t bytes[16];
};

/* 128 bits, the same on every host that has the key. */
struct digest hash_keyed(const struct hash_key *key, const void *p, size_t n);

/* For tables in memory: the key is made at the process's first call.
 * Thread-safe. */
uint64_t hash_local(const void *p, size_t n);

/* XXH3.  Tells damage, not malice: for files that only their owner writes. */
uint64_t checksum_of(const void *p, size_t n);
