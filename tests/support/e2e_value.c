/* SPDX-License-Identifier: MIT
 *
 * e2e_value: see e2e_value.h. */
#include "tests/support/e2e_value.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <xxhash.h>

enum { DIGEST_AT = 16 + 1 + 20 + 1 + 10 + 1 };

uint64_t e2e_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t e2e_name(const char *table, const char *key)
{
    return XXH3_64bits(table, strlen(table)) * 31 +
           XXH3_64bits(key, strlen(key));
}

/* The digest is over the head before it and all bytes after it. */
static uint64_t digest_of(const char *value, size_t len)
{
    return XXH3_64bits_withSeed(value + E2E_HEAD_BYTES, len - E2E_HEAD_BYTES,
                                XXH3_64bits(value, DIGEST_AT));
}

void e2e_value_make(char *out, size_t len, uint64_t name, uint64_t version)
{
    char head[E2E_HEAD_BYTES + 1];
    char digest[18];
    uint64_t state = name ^ version;

    assert(len >= E2E_HEAD_BYTES && len < UINT32_MAX);
    (void)snprintf(head, sizeof head, "%016" PRIx64 " %020" PRIu64 " %010zu ",
                   name, version, len);
    memcpy(out, head, DIGEST_AT);
    for (size_t at = E2E_HEAD_BYTES; at < len; at += 8) {
        uint64_t word = e2e_random(&state);
        memcpy(out + at, &word, len - at < 8 ? len - at : 8);
    }
    (void)snprintf(digest, sizeof digest, "%016" PRIx64 "\n",
                   digest_of(out, len));
    memcpy(out + DIGEST_AT, digest, sizeof digest - 1);
}

const char *e2e_value_check(const char *value, size_t len, uint64_t name,
                            uint64_t *version_out)
{
    char head[E2E_HEAD_BYTES + 1] = "";
    uint64_t has_name = 0, digest = 0;
    size_t has_len = 0;

    if (len == 0) {
        return "empty";
    }
    if (len < E2E_HEAD_BYTES) {
        return "cut within its head";
    }
    memcpy(head, value, E2E_HEAD_BYTES);
    if (sscanf(head, "%16" SCNx64 " %20" SCNu64 " %10zu %16" SCNx64, &has_name,
               version_out, &has_len, &digest) != 4) {
        return "no value of this test";
    }
    if (has_name != name) {
        return "the value of another key";
    }
    if (has_len != len) {
        return len < has_len ? "cut short" : "too long";
    }
    return digest == digest_of(value, len) ? NULL : "mixed of several values";
}
