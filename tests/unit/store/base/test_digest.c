/* SPDX-License-Identifier: MIT
 *
 * Tests of store/base/digest: the published examples of SHA-256, and pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/base/digest.h"
#include "tests/support/xxh3_pair.h"

static void assert_digest(struct digest got, const char *bytes16)
{
    struct digest want = digest_from_bytes((const uint8_t *)bytes16);

    assert_true(digest_equal(got, want));
}

/* FIPS 180-4's examples, cut. */
static void a_digest_is_the_head_of_a_sha_256(void **state)
{
    (void)state;
    assert_digest(digest_of("abc", 3), "\xba\x78\x16\xbf\x8f\x01\xcf\xea"
                                       "\x41\x41\x40\xde\x5d\xae\x22\x23");
    assert_digest(digest_of("", 0), "\xe3\xb0\xc4\x42\x98\xfc\x1c\x14"
                                    "\x9a\xfb\xf4\xc8\x99\x6f\xb9\x24");
}

static void halves_are_little_endian(void **state)
{
    struct digest d = digest_of("abc", 3);

    (void)state;
    assert_true(d.lo == UINT64_C(0xeacf018fbf1678ba));
    assert_true(d.hi == UINT64_C(0x2322ae5dde404141));
}

static void pieces_give_what_the_whole_gives(void **state)
{
    struct digest_stream *s = digest_stream_new();
    uint8_t data[1000];

    (void)state;
    assert_non_null(s);
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)(i * 7);
    }
    for (size_t at = 0; at < sizeof data; at += 125) {
        digest_stream_update(s, data + at, 125);
        assert_true(
            digest_equal(digest_stream_final(s), digest_of(data, at + 125)));
    }
    digest_stream_reset(s);
    assert_true(digest_equal(digest_stream_final(s), digest_of("", 0)));
    digest_stream_free(s);
    digest_stream_free(NULL);
}

/* The pair that fooled the digest of protocol 1. */
static void values_that_xxh3_takes_for_one_are_two(void **state)
{
    uint8_t a[512], b[512];

    (void)state;
    xxh3_pair(a, b, sizeof a, 0);
    assert_false(digest_equal(digest_of(a, sizeof a), digest_of(b, sizeof b)));
}

static void names_are_sorted_high_half_first(void **state)
{
    struct digest d[] = {{.lo = 1, .hi = 2}, {.lo = 9, .hi = 1}, {.lo = 2}};
    struct digest want = {.lo = 9, .hi = 1};

    (void)state;
    qsort(d, 3, sizeof d[0], digest_compare);
    assert_int_equal(d[0].lo, 2);
    assert_int_equal(d[2].lo, 1);
    assert_ptr_equal(bsearch(&want, d, 3, sizeof d[0], digest_compare), &d[1]);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_sorted_high_half_first),
        cmocka_unit_test(a_digest_is_the_head_of_a_sha_256),
        cmocka_unit_test(halves_are_little_endian),
        cmocka_unit_test(pieces_give_what_the_whole_gives),
        cmocka_unit_test(values_that_xxh3_takes_for_one_are_two),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
