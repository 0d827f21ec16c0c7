/* SPDX-License-Identifier: MIT
 *
 * Nothing a hostile peer sends is believed before it was checked: every
 * truncation, every flipped bit and random bytes are refused or decode to what
 * has exactly that encoding.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sync/errors/state.h"
#include "sync/wire/wire.h"
#include "tests/support/wire_recode.h"

static uint64_t rng_next(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t seed_of_run(const char *test)
{
    const char *given = getenv("DROVER_SEED");
    uint64_t seed =
        given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);

    print_message("%s: DROVER_SEED=%" PRIu64 "\n", test, seed);
    return seed;
}

/* Decode a body that stands alone in memory, so that a sanitizer sees a read
 * beyond it. */
static int recode_alone(enum wire_type type, const uint8_t *body, size_t n,
                        struct buf *out, struct err *err)
{
    uint8_t *copy = malloc(n > 0 ? n : 1);

    assert_non_null(copy);
    if (n > 0) {
        memcpy(copy, body, n);
    }
    int rc = wire_recode(type, bytes_of(copy, n), out, err);
    free(copy);
    return rc;
}

/* --- hostile bodies ------------------------------------------------------ */

static void every_truncated_body_is_refused(void **state)
{
    (void)state;
    for (const enum wire_type *t = wire_types; *t != 0; t++) {
        struct buf frame = BUF_NULL, again = BUF_NULL;

        wire_samples(&frame, *t);
        size_t n = frame.len - WIRE_HEADER_BYTES;
        for (size_t cut = 0; cut < n; cut++) {
            struct err err = {0};
            int rc = recode_alone(*t, frame.data + WIRE_HEADER_BYTES, cut,
                                  &again, &err);
            if (rc != ERR_PROTO) {
                fail_msg("%s cut to %zu of %zu bytes decodes",
                         wire_type_name(*t), cut, n);
            }
            assert_int_equal(err.id, DR_PROTOCOL);
            assert_non_null(strstr(err.msg, wire_type_name(*t)));
        }
        buf_deinit(&frame);
        buf_deinit(&again);
    }
}

static void bytes_beyond_a_body_are_refused(void **state)
{
    (void)state;
    for (const enum wire_type *t = wire_types; *t != 0; t++) {
        struct buf frame = BUF_NULL, again = BUF_NULL;
        struct err err;

        wire_samples(&frame, *t);
        buf_u8(&frame, 0);
        assert_int_equal(recode_alone(*t, frame.data + WIRE_HEADER_BYTES,
                                      frame.len - WIRE_HEADER_BYTES, &again,
                                      &err),
                         ERR_PROTO);
        buf_deinit(&frame);
        buf_deinit(&again);
    }
}

/* What decodes has one encoding; what does not is refused; nothing crashes. */
static void check_hostile(enum wire_type type, const uint8_t *body, size_t n)
{
    struct buf again = BUF_NULL;
    struct err err;

    int rc = recode_alone(type, body, n, &again, &err);
    if (rc == ERR_INVALID) { /* no type of the protocol */
        assert_int_equal(again.len, 0);
    } else if (rc == 0 && type != WIRE_HELLO) {
        assert_int_equal(again.len, n + WIRE_HEADER_BYTES);
        assert_memory_equal(again.data + WIRE_HEADER_BYTES, body, n);
    } else if (rc != 0) {
        assert_int_equal(rc, ERR_PROTO);
        assert_int_equal(again.len, 0);
    }
    buf_deinit(&again);
}

static void every_flipped_bit_is_refused_or_means_something_else(void **state)
{
    (void)state;
    for (const enum wire_type *t = wire_types; *t != 0; t++) {
        struct buf frame = BUF_NULL;

        wire_samples(&frame, *t);
        uint8_t *body = frame.data + WIRE_HEADER_BYTES;
        size_t n = frame.len - WIRE_HEADER_BYTES;
        for (size_t bit = 0; bit < n * 8; bit++) {
            body[bit / 8] = (uint8_t)(body[bit / 8] ^ (1U << bit % 8));
            check_hostile(*t, body, n);
            body[bit / 8] = (uint8_t)(body[bit / 8] ^ (1U << bit % 8));
        }
        buf_deinit(&frame);
    }
}

static void random_bodies_are_refused_or_decode_exactly(void **state)
{
    uint64_t rng = seed_of_run(__func__);
    uint8_t body[300];

    (void)state;
    for (int i = 0; i < 20000; i++) {
        size_t n = rng_next(&rng) % sizeof body;
        for (size_t j = 0; j < n; j++) {
            /* Small numbers get farther. */
            uint64_t r = rng_next(&rng);
            body[j] = (uint8_t)(r & 0x300 ? r % 4 : r);
        }
        check_hostile((enum wire_type)(rng_next(&rng) % 44), body, n);
    }
}

static void random_streams_end_in_frames_or_an_error(void **state)
{
    uint64_t rng = seed_of_run(__func__);

    (void)state;
    for (int i = 0; i < 500; i++) {
        struct wire_in in;
        struct err err;
        int rc = 0;

        wire_in_init(&in);
        assert_int_equal(wire_in_add(&in, WIRE_MAGIC, 8, &err), 0);
        for (int j = 0; j < 50 && rc >= 0; j++) {
            uint8_t noise[64];
            size_t n = 1 + rng_next(&rng) % sizeof noise;
            for (size_t k = 0; k < n; k++) {
                uint64_t r = rng_next(&rng);
                noise[k] = (uint8_t)(r & 0x700 ? 0 : r);
            }
            enum wire_type type;
            struct bytes body;
            assert_int_equal(wire_in_add(&in, noise, n, &err), 0);
            while ((rc = wire_in_next(&in, &type, &body, &err)) > 0) {
                check_hostile(type, body.p, body.len);
            }
        }
        wire_in_deinit(&in);
    }
}

/* --- names on the wire --------------------------------------------------- */

static int get_delete(const char *table_part, size_t table_len, const char *key,
                      size_t key_len)
{
    static struct wire_change m;
    struct buf b = BUF_NULL;
    struct err err;

    buf_u64(&b, 1);
    buf_put(&b, table_part, table_len);
    buf_u8(&b, (uint8_t)key_len);
    buf_put(&b, key, key_len);
    int rc = wire_get_change(WIRE_DELETE, bytes_of(b.data, b.len), &m, &err);
    buf_deinit(&b);
    return rc;
}

#define TABLE(bytes) (bytes), sizeof(bytes) - 1

static void table_components_cannot_lead_out(void **state)
{
    (void)state;
    assert_int_equal(get_delete(TABLE("\1\1t"), "k", 1), 0);
    assert_int_equal(get_delete(TABLE("\1\1."), "k", 1), ERR_PROTO);
    assert_int_equal(get_delete(TABLE("\1\2.."), "k", 1), ERR_PROTO);
    assert_int_equal(get_delete(TABLE("\2\2..\1t"), "k", 1), ERR_PROTO);
    assert_int_equal(get_delete(TABLE("\1\0"), "k", 1), ERR_PROTO);
    assert_int_equal(get_delete(TABLE("\2\1t\0"), "k", 1), ERR_PROTO);
    assert_int_equal(get_delete(TABLE("\1\3a/b"), "k", 1), ERR_PROTO);
    assert_int_equal(get_delete(TABLE("\1\1/"), "k", 1), ERR_PROTO);
    assert_int_equal(get_delete(TABLE("\1\3a\0b"), "k", 1), ERR_PROTO);
}

static void no_table_lies_in_the_metadata_directory(void **state)
{
    (void)state;
    assert_int_equal(get_delete(TABLE("\2\7.drover\1t"), "k", 1), ERR_PROTO);
    assert_int_equal(get_delete(TABLE("\3\7.drover\5stage\1t"), "k", 1),
                     ERR_PROTO);
    /* ".drover.tbl" and "x/.drover" are ordinary tables. */
    assert_int_equal(get_delete(TABLE("\1\7.drover"), "k", 1), 0);
    assert_int_equal(get_delete(TABLE("\3\1x\7.drover\1t"), "k", 1), 0);
    assert_int_equal(get_delete(TABLE("\2\10.drover2\1t"), "k", 1), 0);
}

static void a_table_name_is_bounded(void **state)
{
    struct buf b = BUF_NULL;
    char part[256];

    (void)state;
    memset(part, 'p', sizeof part);
    buf_u8(&b, TABLE_MAX_DEPTH + 1);
    for (int i = 0; i <= TABLE_MAX_DEPTH; i++) {
        buf_put(&b, "\1x", 2);
    }
    assert_int_equal(get_delete((char *)b.data, b.len, "k", 1), ERR_PROTO);
    buf_clear(&b);
    buf_u8(&b, 5); /* 5 * 250 bytes */
    for (int i = 0; i < 5; i++) {
        buf_u8(&b, 250);
        buf_put(&b, part, 250);
    }
    assert_int_equal(get_delete((char *)b.data, b.len, "k", 1), ERR_PROTO);
    buf_clear(&b);
    buf_u8(&b, 1);
    buf_u8(&b, 252); /* with ".tbl" too long for a directory entry */
    buf_put(&b, part, 252);
    assert_int_equal(get_delete((char *)b.data, b.len, "k", 1), ERR_PROTO);
    buf_deinit(&b);
}

static void keys_that_cannot_be_are_refused(void **state)
{
    char key[255];

    (void)state;
    memset(key, 'k', sizeof key);
    assert_int_equal(get_delete(TABLE("\0"), key, KEY_MAX_BYTES), 0);
    assert_int_equal(get_delete(TABLE("\0"), key, KEY_MAX_BYTES + 1),
                     ERR_PROTO);
    assert_int_equal(get_delete(TABLE("\0"), "a/b", 3), ERR_PROTO);
    assert_int_equal(get_delete(TABLE("\0"), "a\0b", 3), ERR_PROTO);
}

static void the_root_table_cannot_be_dropped(void **state)
{
    struct wire_change m;
    struct buf b = BUF_NULL;
    struct err err;

    (void)state;
    buf_u64(&b, 1);
    buf_u8(&b, 0);
    struct bytes body = bytes_of(b.data, b.len);
    assert_int_equal(wire_get_change(WIRE_TABLE_DROP, body, &m, &err),
                     ERR_PROTO);
    assert_int_equal(wire_get_change(WIRE_TABLE_SET, body, &m, &err), 0);
    buf_deinit(&b);
}

/* --- bounds of members --------------------------------------------------- */

/* Decode a sample with the byte at `at` replaced. */
static int with_byte(enum wire_type type, size_t at, uint8_t value)
{
    struct buf frame = BUF_NULL, again = BUF_NULL;
    struct err err;

    wire_samples(&frame, type);
    frame.data[WIRE_HEADER_BYTES + at] = value;
    int rc = recode_alone(type, frame.data + WIRE_HEADER_BYTES,
                          frame.len - WIRE_HEADER_BYTES, &again, &err);
    buf_deinit(&frame);
    buf_deinit(&again);
    return rc;
}

static void members_beyond_their_range_are_refused(void **state)
{
    (void)state;
    assert_int_equal(with_byte(WIRE_PING, 24, REPLICA_DIFFERS), 0);
    assert_int_equal(with_byte(WIRE_PING, 24, REPLICA_DIFFERS + 1), ERR_PROTO);
    assert_int_equal(with_byte(WIRE_PING, 15, 0x80), ERR_PROTO); /* time < 0 */
    assert_int_equal(with_byte(WIRE_SCAN, 8, 7), 0);
    assert_int_equal(with_byte(WIRE_SCAN, 8, 8), ERR_PROTO);
    assert_int_equal(with_byte(WIRE_SCAN, 0, 0), ERR_PROTO);    /* id 0 */
    assert_int_equal(with_byte(WIRE_TREE, 9, 1), ERR_PROTO);    /* node 511 */
    assert_int_equal(with_byte(WIRE_LIST, 9, 0x21), ERR_PROTO); /* count */
    assert_int_equal(with_byte(WIRE_RESOLVE, 8, 7), ERR_PROTO); /* last */
    assert_int_equal(with_byte(WIRE_NAK, 8, 0), ERR_PROTO);     /* code 0 */
    assert_int_equal(with_byte(WIRE_HELLO, 56, 2), ERR_PROTO);  /* durability */
    assert_int_equal(with_byte(WIRE_HELLO, 0, 0), ERR_PROTO);   /* proto 0 */
    assert_int_equal(with_byte(WIRE_HELLO, 0, 9), ERR_PROTO);   /* min > max */
}

static void too_many_items_are_refused(void **state)
{
    struct wire_items m;
    struct buf b = BUF_NULL;
    struct err err;

    (void)state;
    buf_u16(&b, WIRE_BATCH_MAX + 1);
    for (int i = 0; i <= WIRE_BATCH_MAX; i++) {
        buf_u64(&b, 1);
    }
    assert_int_equal(
        wire_get_items(WIRE_ACK, bytes_of(b.data, b.len), &m, &err), ERR_PROTO);
    buf_deinit(&b);
}

static void a_value_too_large_for_its_frame_is_refused(void **state)
{
    static uint8_t value[WIRE_INLINE_MAX + 1];
    static struct wire_change m;
    struct wire_piece piece;
    struct buf b = BUF_NULL;
    struct err err;

    (void)state;
    buf_u64(&b, 1);
    buf_put(&b, "\0\1k", 3);
    buf_u64(&b, 0);
    buf_u64(&b, 0);
    buf_u32(&b, sizeof value);
    buf_put(&b, value, sizeof value);
    assert_int_equal(
        wire_get_change(WIRE_SET, bytes_of(b.data, b.len), &m, &err),
        ERR_PROTO);
    buf_clear(&b);
    buf_u64(&b, 1);
    buf_u32(&b, WIRE_PIECE_MAX + 1);
    buf_put(&b, value, WIRE_PIECE_MAX + 1);
    assert_int_equal(wire_get_piece(bytes_of(b.data, b.len), &piece, &err),
                     ERR_PROTO);
    buf_deinit(&b);
}

/* A run of zeros costs its sender nothing: so it is bounded. */
static void a_run_of_zeros_has_its_bounds(void **state)
{
    static const struct {
        uint64_t length;
        int rc;
    } tries[] = {{0, ERR_PROTO},
                 {1, 0},
                 {WIRE_ZEROS_MAX, 0},
                 {WIRE_ZEROS_MAX + UINT64_C(1), ERR_PROTO},
                 {UINT64_MAX, ERR_PROTO}};
    struct wire_zeros m;
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        struct buf b = BUF_NULL;
        buf_u64(&b, 1);
        buf_u64(&b, tries[i].length);
        assert_int_equal(wire_get_zeros(bytes_of(b.data, b.len), &m, &err),
                         tries[i].rc);
        buf_deinit(&b);
    }
}

static void assert_bytes(struct bytes b, const char *text)
{
    assert_int_equal(b.len, strlen(text));
    assert_memory_equal(b.p, text, b.len);
}

static void a_later_hello_may_say_more(void **state)
{
    struct buf frame = BUF_NULL;
    struct wire_hello m;
    struct err err;

    (void)state;
    wire_samples(&frame, WIRE_HELLO);
    buf_put(&frame, "and more", 8);
    struct bytes body = bytes_of(frame.data + 5, frame.len - 5);
    assert_int_equal(wire_get_hello(body, &m, &err), ERR_PROTO);
    frame.data[5 + 2] = WIRE_PROTO_MAX + 1;
    assert_int_equal(wire_get_hello(body, &m, &err), 0);
    assert_bytes(m.version, "0.1.0");
    buf_deinit(&frame);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_truncated_body_is_refused),
        cmocka_unit_test(bytes_beyond_a_body_are_refused),
        cmocka_unit_test(every_flipped_bit_is_refused_or_means_something_else),
        cmocka_unit_test(random_bodies_are_refused_or_decode_exactly),
        cmocka_unit_test(random_streams_end_in_frames_or_an_error),
        cmocka_unit_test(table_components_cannot_lead_out),
        cmocka_unit_test(no_table_lies_in_the_metadata_directory),
        cmocka_unit_test(a_table_name_is_bounded),
        cmocka_unit_test(keys_that_cannot_be_are_refused),
        cmocka_unit_test(the_root_table_cannot_be_dropped),
        cmocka_unit_test(members_beyond_their_range_are_refused),
        cmocka_unit_test(too_many_items_are_refused),
        cmocka_unit_test(a_value_too_large_for_its_frame_is_refused),
        cmocka_unit_test(a_run_of_zeros_has_its_bounds),
        cmocka_unit_test(a_later_hello_may_say_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
