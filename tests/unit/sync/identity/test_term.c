/* SPDX-License-Identifier: MIT
 *
 * term: all orders in which four agents of two primaries can come. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "store/base/hex.h"
#include "sync/errors/state.h"
#include "sync/identity/term.h"

static struct wire_hello hello_of(uint8_t origin, uint8_t process,
                                  uint64_t epoch)
{
    struct wire_hello h = {.epoch = epoch};

    memset(h.db_id, 1, sizeof h.db_id);
    memset(h.instance, process, sizeof h.instance);
    memset(h.instance, origin, WIRE_ORIGIN_BYTES);
    return h;
}

static int come(struct term *r, struct wire_hello h)
{
    struct err err = {0};
    int rc = term_check(r, &h, &err);

    if (rc == 0) {
        (void)term_follow(r, &h);
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
        struct term r = {.epoch = 0};
        uint8_t last = 0xff;
        unsigned over = 0; /* bit per kind: was replaced in this epoch */
        memset(r.db_id, 1, sizeof r.db_id);
        for (unsigned i = 0; i < 6; i++) {
            uint8_t kind = order >> (3 * i) & 7;
            struct term was = r;
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
    struct term r = {.epoch = 0};
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

/* Whoever holds the key of a primary may come with any number; the next real
 * primary must still find room above it. */
static void no_hello_uses_up_the_epochs(void **state)
{
    (void)state;
    static const uint64_t followed[] = {1,
                                        7,
                                        TERM_JUMP_MAX,
                                        TERM_FIRST_MAX,
                                        UINT64_MAX - TERM_JUMP_MAX - 1,
                                        UINT64_MAX - 1,
                                        UINT64_MAX};
    for (size_t i = 0; i < sizeof followed / sizeof followed[0]; i++) {
        struct term r = {.epoch = followed[i]};
        memset(r.db_id, 1, sizeof r.db_id);
        struct term was = r;
        uint64_t room = UINT64_MAX - followed[i];
        if (room > TERM_JUMP_MAX) {
            uint64_t far = followed[i] + TERM_JUMP_MAX + 1;
            assert_int_equal(come(&r, hello_of(1, 1, far)), DR_EPOCH_JUMP);
            assert_int_equal(come(&r, hello_of(1, 1, UINT64_MAX)),
                             DR_EPOCH_JUMP);
            assert_memory_equal(&r, &was, sizeof r);
        }
        uint64_t near = room < TERM_JUMP_MAX ? room : TERM_JUMP_MAX;
        assert_int_equal(come(&r, hello_of(1, 1, followed[i] + near)), 0);
    }
}

/* Epoch 0: adopted by hand, or nothing is known: any primary may be first. */
static void the_first_primary_may_have_a_high_epoch_but_not_any(void **state)
{
    struct term r = {.epoch = 0};

    (void)state;

    memset(r.db_id, 1, sizeof r.db_id);
    assert_int_equal(come(&r, hello_of(1, 1, UINT64_MAX)), DR_EPOCH_JUMP);
    assert_int_equal(come(&r, hello_of(1, 1, TERM_FIRST_MAX + 1)),
                     DR_EPOCH_JUMP);
    assert_int_equal(come(&r, hello_of(1, 1, TERM_FIRST_MAX)), 0);
}

static void a_stranger_is_not_told_the_database_id(void **state)
{
    struct term r = {.epoch = 3};
    struct wire_hello h = hello_of(1, 1, 3);
    struct err err = {0};
    char mine[2 * sizeof r.db_id + 1];

    (void)state;

    for (size_t i = 0; i < sizeof r.db_id; i++) {
        r.db_id[i] = (uint8_t)(0x90 + i);
    }
    assert_int_equal(term_check(&r, &h, &err), ERR_REFUSED);
    assert_int_equal(err.id, DR_OTHER_DATABASE);
    (void)hex_encode(mine, r.db_id, sizeof r.db_id);
    for (size_t i = 0; i + 8 <= sizeof mine - 1; i++) { /* nor a part of it */
        char part[9] = "";
        memcpy(part, mine + i, 8);
        assert_null(strstr(err.msg, part));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_hello_uses_up_the_epochs),
        cmocka_unit_test(the_first_primary_may_have_a_high_epoch_but_not_any),
        cmocka_unit_test(a_stranger_is_not_told_the_database_id),
        cmocka_unit_test(no_order_of_agents_lets_two_primaries_in),
        cmocka_unit_test(refusals_have_their_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
