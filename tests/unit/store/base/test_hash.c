/* SPDX-License-Identifier: MIT
 *
 * Tests of store/base/hash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "store/base/hash.h"
#include "tests/support/xxh3_pair.h"

/* The examples of SipHash's authors: key 00 01 .. 0f, inputs of 0 and 1 byte.
 */
static void a_keyed_hash_is_siphash_2_4_of_128_bits(void **state)
{
    static const uint8_t none[] = {0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25,
                                   0xa8, 0xe6, 0x6d, 0xf6, 0x72, 0x14,
                                   0xc7, 0x55, 0x02, 0x93};
    static const uint8_t one[] = {0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99,
                                  0xaf, 0x44, 0x34, 0x76, 0x59, 0x11,
                                  0x9b, 0x22, 0xfc, 0x45};
    struct hash_key key;

    (void)state;
    for (uint8_t i = 0; i < sizeof key.bytes; i++) {
        key.bytes[i] = i;
    }
    assert_true(digest_equal(hash_keyed(&key, "", 0), digest_from_bytes(none)));
    assert_true(digest_equal(hash_keyed(&key, "", 1), digest_from_bytes(one)));
}

static void another_key_gives_another_hash(void **state)
{
    struct hash_key a = {{0}}, b = {{1}};

    (void)state;
    assert_false(
        digest_equal(hash_keyed(&a, "name", 4), hash_keyed(&b, "name", 4)));
}

static void a_local_hash_is_one_of_the_process(void **state)
{
    uint64_t is = hash_local("name", 4);

    (void)state;
    assert_true(is == hash_local("name", 4));
    assert_true(is != hash_local("nama", 4));
    assert_true(is != checksum_of("name", 4));
}

/* XXH3's own examples: what is on disk must not change its meaning. */
static void a_checksum_stays_what_it_was(void **state)
{
    (void)state;
    assert_true(checksum_of("", 0) == UINT64_C(0x6001c324468d497f));
}

static void names_that_xxh3_takes_for_one_are_two(void **state)
{
    struct hash_key key = {{7}};
    uint8_t a[252], b[252];

    (void)state;
    xxh3_pair(a, b, sizeof a, 0);
    assert_true(checksum_of(a, sizeof a) == checksum_of(b, sizeof b));
    assert_false(digest_equal(hash_keyed(&key, a, sizeof a),
                              hash_keyed(&key, b, sizeof b)));
    assert_true(hash_local(a, sizeof a) != hash_local(b, sizeof b));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_keyed_hash_is_siphash_2_4_of_128_bits),
        cmocka_unit_test(another_key_gives_another_hash),
        cmocka_unit_test(a_local_hash_is_one_of_the_process),
        cmocka_unit_test(a_checksum_stays_what_it_was),
        cmocka_unit_test(names_that_xxh3_takes_for_one_are_two),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
