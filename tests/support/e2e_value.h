/* SPDX-License-Identifier: MIT
 *
 * e2e_value: values that check themselves.  Each names its table and key, its
 * version and its length, and ends in bytes that follow from them, so a reader
 * can tell a whole value of this key from an empty, cut, mixed or foreign one.
 *
 *     NAME(16 hex) VERSION(20) LENGTH(10) DIGEST(16 hex)\n bytes...
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { E2E_HEAD_BYTES = 16 + 1 + 20 + 1 + 10 + 1 + 16 + 1 };

/* Which key: a number made of both names. */
uint64_t e2e_name(const char *table, const char *key);
/* Fill out[0..len), len >= E2E_HEAD_BYTES. */
void e2e_value_make(char *out, size_t len, uint64_t name, uint64_t version);
/* NULL when it is a whole value of this key, else what is wrong with it. */
const char *e2e_value_check(const char *value, size_t len, uint64_t name,
                            uint64_t *version_out);

/* A seeded generator: the same numbers on every host. */
uint64_t e2e_random(uint64_t *state);
