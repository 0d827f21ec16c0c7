/* SPDX-License-Identifier: MIT
 *
 * reign: all orders in which four agents of two primaries can come. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "sync/reign.h"
#include "sync/state.h"

static struct wire_hello hello_of(uint8_t origin, uint8_t process,
                                  uint64_t epoch)
{
    struct wire_hello h = {.epoch = epoch};

    memset(h.db_id, 1, sizeof h.db_id);
    memset(h.instance, process, sizeof h.instance);
    memset(h.instance, origin, WIRE_ORIGIN_BYTES);
    return h;
}

static int come(struct reign *r, struct wire_hello h)
{
    struct err err = {0};
    int rc = reign_check(r, &h, &err);

    if (rc == 0) {
        (void)reign_follow(r, &h);
        return 0;
    }
    assert_int_equal(rc, ERR_REFUSED);
    return err.id;
}

/* Every sequence of six hellos out of: two primaries, two agents each, two
 * epochs.  Whatever comes, the epoch never falls, within an epoch the origin
 * stays, and nobody who was replaced in it comes back. */
static void no_order_of_agents_lets_two_primaries_in(void **state)
{
    (void)state;
    for (unsigned order = 0; order < 8u * 8 * 8 * 8 * 8 * 8; order++) {
        struct reign r = {.epoch = 0};
        uint8_t last = 0xff;
        unsigned over = 0; /* bit per kind: was replaced in this epoch */
        memset(r.db_id, 1, sizeof r.db_id);
        for (unsigned i = 0; i < 6; i++) {
            uint8_t kind = order >> (3 * i) & 7;
            struct reign was = r;
            uint64_t epoch = 1 + (kind >> 2);
            int refused = come(&r, hello_of(1 + (kind & 1), 1 + kind, epoch));
            assert_true(r.epoch >= was.epoch);
            if (r.epoch != was.epoch) {
                over = 0;
            } else if (refused == 0) {
                assert_memory_equal(r.origin, was.origin, sizeof r.origin);
                assert_false(over >> kind & 1);
                over |= last != kind ? 1u << last : 0;
            } else {
                assert_memory_equal(&r, &was, sizeof r);
            }
            last = refused == 0 ? kind : last;
        }
    }
}

static void refusals_have_their_numbers(void **state)
{
    struct reign r = {.epoch = 0};
    struct wire_hello other = hello_of(1, 1, 9);
    (void)state;

    memset(r.db_id, 1, sizeof r.db_id);
    assert_int_equal(come(&r, hello_of(1, 1, 3)), 0);
    assert_int_equal(come(&r, hello_of(1, 1, 2)), DR_OLD_EPOCH);
    assert_int_equal(come(&r, hello_of(2, 1, 3)), DR_TWO_PRIMARIES);
    other.db_id[0] = 2;
    assert_int_equal(come(&r, other), DR_OTHER_DATABASE);
    assert_int_equal(come(&r, hello_of(1, 2, 3)), 0);
    assert_int_equal(come(&r, hello_of(1, 1, 3)), DR_TWO_PRIMARIES);
    assert_int_equal(come(&r, hello_of(2, 1, 4)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_order_of_agents_lets_two_primaries_in),
        cmocka_unit_test(refusals_have_their_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
