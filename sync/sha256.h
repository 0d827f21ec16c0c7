/* SPDX-License-Identifier: MIT
 *
 * sha256: SHA-256 (FIPS 180-4) of a piece of memory, for showing fingerprints
 * of host keys the way OpenSSH does.  Nothing is kept secret by it and nothing
 * fast needs it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { SHA256_BYTES = 32 };

void sha256(const void *data, size_t n, uint8_t out[SHA256_BYTES]);
