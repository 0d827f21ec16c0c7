/* SPDX-License-Identifier: MIT
 *
 * The wire: what is encoded comes out as it went in, in chunks of any size, and
 * what precedes it is passed over and shown.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync/errors/state.h"
#include "sync/wire/wire.h"
#include "tests/support/wire_recode.h"

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

/* --- round trips --------------------------------------------------------- */

static void every_frame_decodes_to_the_bytes_it_was_made_of(void **state)
{
    (void)state;
    for (const enum wire_type *t = wire_types; *t != 0; t++) {
        struct buf frame = BUF_NULL, again = BUF_NULL;
        struct err err = {0};

        wire_samples(&frame, *t);
        assert_false(frame.bad);
        uint32_t length;
        memcpy(&length, frame.data, sizeof length);
        assert_int_equal(le32toh(length), frame.len - 4);
        assert_int_equal(frame.data[4], *t);
        int rc = recode_alone(*t, frame.data + WIRE_HEADER_BYTES,
                              frame.len - WIRE_HEADER_BYTES, &again, &err);
        if (rc != 0) {
            fail_msg("%s: %s", wire_type_name(*t), err.msg);
        }
        assert_int_equal(frame.len, again.len);
        assert_memory_equal(frame.data, again.data, frame.len);
        buf_deinit(&frame);
        buf_deinit(&again);
    }
}

static void assert_bytes(struct bytes b, const char *text)
{
    assert_int_equal(b.len, strlen(text));
    assert_memory_equal(b.p, text, b.len);
}

static void a_set_carries_names_digest_and_value(void **state)
{
    struct buf frame = BUF_NULL;
    struct wire_change m;
    struct err err;

    (void)state;
    wire_samples(&frame, WIRE_SET);
    struct bytes body = bytes_of(frame.data + 5, frame.len - 5);
    assert_int_equal(wire_get_change(WIRE_SET, body, &m, &err), 0);
    assert_int_equal(m.seq, 7);
    assert_bytes(m.table, "a/users");
    assert_bytes(m.key, "bob");
    assert_bytes(m.value, "hello");
    assert_true(digest_equal(m.digest, digest_of("hello", 5)));
    assert_int_equal(m.size, 5);
    buf_deinit(&frame);
}

static void a_hello_carries_all_its_members(void **state)
{
    struct buf frame = BUF_NULL;
    struct wire_hello m;
    struct err err;

    (void)state;
    wire_samples(&frame, WIRE_HELLO);
    struct bytes body = bytes_of(frame.data + 5, frame.len - 5);
    assert_int_equal(wire_get_hello(body, &m, &err), 0);
    assert_int_equal(m.proto_min, WIRE_PROTO_MIN);
    assert_int_equal(m.proto_max, WIRE_PROTO_MAX);
    assert_int_equal(m.db_id[15], 15);
    assert_int_equal(m.epoch, 3);
    assert_int_equal(m.instance[0], 0xf0);
    assert_int_equal(m.heartbeat_ms, 1000);
    assert_int_equal(m.silence_ms, 15000);
    assert_int_equal(m.durability, WIRE_DURABLE);
    assert_bytes(m.replica, "eu-1");
    assert_bytes(m.version, "0.1.0");
    assert_int_equal(m.key[0], 0x10);
    assert_int_equal(m.key[WIRE_KEY_BYTES - 1], 0x2f);
    assert_int_equal(m.expected[WIRE_DIRID_BYTES - 1], 0x3f);
    assert_int_equal(m.anew, 0);
    buf_deinit(&frame);
}

static void a_pong_carries_all_its_members(void **state)
{
    struct buf frame = BUF_NULL;
    struct wire_pong m;
    struct err err;

    (void)state;
    wire_samples(&frame, WIRE_PONG);
    struct bytes body = bytes_of(frame.data + 5, frame.len - 5);
    assert_int_equal(wire_get_pong(body, &m, &err), 0);
    assert_int_equal(m.id, 9);
    assert_int_equal(m.root.lo, UINT64_C(0x1122334455667788));
    assert_int_equal(m.root.hi, UINT64_C(0x99aabbccddeeff00));
    assert_int_equal(m.keys, 1000);
    assert_int_equal(m.bytes, 65536);
    assert_int_equal(m.replaced, 2);
    assert_int_equal(m.waiting, 1);
    assert_int_equal(m.scanning, 1);
    assert_int_equal(m.scan_keys, 500);
    buf_deinit(&frame);
}

static void names_of_any_bytes_survive(void **state)
{
    static const uint8_t key[] = {0x01, 0xff, '\n', ' ', '.', 0xc3, 0x28};
    struct wire_change m = {.seq = UINT64_MAX,
                            .table = bytes_of("\xff\x01.tbl/ /..x", 12),
                            .key = bytes_of(key, sizeof key)};
    struct wire_change got;
    struct buf frame = BUF_NULL;
    struct err err;

    (void)state;
    wire_put_change(&frame, WIRE_DELETE, &m);
    struct bytes body = bytes_of(frame.data + 5, frame.len - 5);
    assert_int_equal(wire_get_change(WIRE_DELETE, body, &got, &err), 0);
    assert_int_equal(got.seq, UINT64_MAX);
    assert_int_equal(got.table.len, 12);
    assert_memory_equal(got.table.p, m.table.p, 12);
    assert_int_equal(got.key.len, sizeof key);
    assert_memory_equal(got.key.p, key, sizeof key);
    buf_deinit(&frame);
}

static void the_root_table_and_the_empty_key_are_names(void **state)
{
    struct wire_change m = {
        .seq = 1, .table = bytes_of("", 0), .key = bytes_of("", 0)};
    struct wire_change got;
    struct buf frame = BUF_NULL;
    struct err err;

    (void)state;
    wire_put_change(&frame, WIRE_DELETE, &m);
    struct bytes body = bytes_of(frame.data + 5, frame.len - 5);
    assert_int_equal(wire_get_change(WIRE_DELETE, body, &got, &err), 0);
    assert_int_equal(got.table.len, 0);
    assert_int_equal(got.key.len, 0);
    buf_deinit(&frame);
}

static void a_set_frame_is_thirteen_bytes_longer_than_its_body(void **state)
{
    struct wire_change m = {.table = bytes_of("t", 1),
                            .key = bytes_of("k", 1),
                            .value = bytes_of("v", 1)};
    struct buf body = BUF_NULL, frame = BUF_NULL;

    (void)state;
    wire_set_body(&body, &m);
    wire_put_set(&frame, 5, &body);
    assert_int_equal(frame.len, body.len + 13);
    buf_deinit(&body);
    buf_deinit(&frame);
}

static void the_largest_value_with_the_longest_name_fits_a_frame(void **state)
{
    static uint8_t value[WIRE_INLINE_MAX];
    char table[TABLE_MAX_BYTES], key[KEY_MAX_BYTES];
    struct buf body = BUF_NULL, stream = BUF_NULL;
    struct wire_change got;
    struct wire_in in;
    struct bytes b;
    enum wire_type type;
    struct err err;

    (void)state;
    memset(key, 'k', sizeof key);
    memset(table, 't', sizeof table);
    for (size_t i = 200; i < sizeof table; i += 201) {
        table[i] = '/';
    }
    struct wire_change m = {.table = bytes_of(table, sizeof table),
                            .key = bytes_of(key, sizeof key),
                            .digest = digest_of(value, sizeof value),
                            .value = bytes_of(value, sizeof value)};
    wire_put_magic(&stream);
    wire_set_body(&body, &m);
    wire_put_set(&stream, 1, &body);
    wire_in_init(&in);
    assert_int_equal(wire_in_add(&in, stream.data, stream.len, &err), 0);
    assert_int_equal(wire_in_next(&in, &type, &b, &err), 1);
    assert_int_equal(wire_get_change(WIRE_SET, b, &got, &err), 0);
    assert_int_equal(got.table.len, sizeof table);
    assert_memory_equal(got.table.p, table, sizeof table);
    assert_int_equal(got.value.len, WIRE_INLINE_MAX);
    wire_in_deinit(&in);
    buf_deinit(&body);
    buf_deinit(&stream);
}

static void long_texts_are_cut_at_their_bound(void **state)
{
    char text[WIRE_TEXT_MAX + 100];
    struct buf frame = BUF_NULL;
    struct bytes got;
    struct err err;

    (void)state;
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    wire_put_notice(&frame, text);
    assert_int_equal(
        wire_get_notice(bytes_of(frame.data + 5, frame.len - 5), &got, &err),
        0);
    assert_int_equal(got.len, WIRE_TEXT_MAX);
    buf_deinit(&frame);
}

static void a_names_frame_takes_what_fits_and_no_more(void **state)
{
    char table[TABLE_MAX_BYTES], key[KEY_MAX_BYTES];
    struct wire_name m = {.table = bytes_of(table, sizeof table),
                          .key = bytes_of(key, sizeof key)};
    struct wire_names_out n;
    struct wire_items items;
    struct wire_name got;
    struct buf out = BUF_NULL;
    struct err err;
    unsigned added = 0, seen = 0;

    (void)state;
    memset(key, 'k', sizeof key);
    memset(table, 't', sizeof table);
    for (size_t i = 31; i < sizeof table - 1; i += 33) {
        table[i] = '/';
    }
    wire_names_begin(&out, &n, 3);
    while (wire_names_add(&out, &n, &m)) {
        added++;
    }
    size_t full = out.len;
    assert_false(wire_names_add(&out, &n, &m));
    assert_int_equal(out.len, full);
    wire_names_end(&out, &n, false);
    assert_true(out.len - 4 <= WIRE_FRAME_MAX);
    assert_true(out.len + sizeof table + sizeof key + 64 > WIRE_FRAME_MAX);
    struct bytes body = bytes_of(out.data + 5, out.len - 5);
    assert_int_equal(wire_get_items(WIRE_NAMES, body, &items, &err), 0);
    assert_int_equal(items.count, added);
    assert_int_equal(items.last, 0);
    while (wire_item_name(&items, &got, &err) > 0) {
        assert_int_equal(got.table.len, sizeof table);
        assert_memory_equal(got.table.p, table, sizeof table);
        seen++;
    }
    assert_int_equal(seen, added);
    buf_deinit(&out);
}

static void a_names_frame_is_full_at_its_item_bound(void **state)
{
    struct wire_name m = {.table = bytes_of("t", 1), .key = bytes_of("k", 1)};
    struct wire_names_out n;
    struct buf out = BUF_NULL;
    unsigned added = 0;

    (void)state;
    wire_names_begin(&out, &n, 3);
    while (wire_names_add(&out, &n, &m)) {
        added++;
    }
    assert_int_equal(added, WIRE_BATCH_MAX);
    buf_deinit(&out);
}

static void full_batches_fit_a_frame(void **state)
{
    static uint64_t seqs[WIRE_BATCH_MAX];
    static struct digest pairs[WIRE_BATCH_MAX][2];
    struct buf out = BUF_NULL, again = BUF_NULL;
    struct err err;

    (void)state;
    wire_put_ack(&out, seqs, WIRE_BATCH_MAX);
    assert_int_equal(
        recode_alone(WIRE_ACK, out.data + 5, out.len - 5, &again, &err), 0);
    buf_clear(&out);
    buf_clear(&again);
    wire_put_listing(&out, 1, false, (const struct digest(*)[2])pairs,
                     WIRE_BATCH_MAX);
    assert_true(out.len - 4 <= WIRE_FRAME_MAX);
    assert_int_equal(
        recode_alone(WIRE_LISTING, out.data + 5, out.len - 5, &again, &err), 0);
    buf_deinit(&out);
    buf_deinit(&again);
}

/* --- the stream ---------------------------------------------------------- */

/* Take all frames of `stream`, given in pieces of `chunk` bytes, and encode
 * them again into `out`. */
static void restream(const struct buf *stream, size_t chunk, struct buf *out)
{
    struct wire_in in;
    struct err err = {0};

    wire_in_init(&in);
    for (size_t at = 0; at < stream->len; at += chunk) {
        size_t n = stream->len - at < chunk ? stream->len - at : chunk;
        enum wire_type type;
        struct bytes body;
        int rc;

        assert_int_equal(wire_in_add(&in, stream->data + at, n, &err), 0);
        while ((rc = wire_in_next(&in, &type, &body, &err)) > 0) {
            assert_int_equal(wire_recode(type, body, out, &err), 0);
        }
        assert_int_equal(rc, 0);
    }
    assert_int_equal(wire_in_pending(&in), 0);
    wire_in_deinit(&in);
}

static void chunks_of_any_size_give_the_same_frames(void **state)
{
    struct buf stream = BUF_NULL;

    (void)state;
    wire_put_magic(&stream);
    wire_samples(&stream, 0);
    for (size_t chunk = 1; chunk < 40; chunk++) {
        struct buf out = BUF_NULL;
        restream(&stream, chunk, &out);
        assert_int_equal(out.len, stream.len - WIRE_MAGIC_BYTES);
        assert_memory_equal(out.data, stream.data + WIRE_MAGIC_BYTES, out.len);
        buf_deinit(&out);
    }
    buf_deinit(&stream);
}

static void a_long_stream_costs_the_memory_of_one_frame(void **state)
{
    static uint8_t piece[WIRE_PIECE_MAX];
    struct buf frames = BUF_NULL;
    struct wire_in in;
    struct err err;
    unsigned seen = 0;

    (void)state;
    for (int i = 0; i < 3; i++) {
        wire_put_piece(&frames, 1, piece, sizeof piece);
        wire_put_set_abort(&frames, 1);
    }
    wire_in_init(&in);
    assert_int_equal(wire_in_add(&in, WIRE_MAGIC, WIRE_MAGIC_BYTES, &err), 0);
    for (int i = 0; i < 40; i++) {
        for (size_t at = 0; at < frames.len;) {
            size_t n = frames.len - at < 60000 ? frames.len - at : 60000;
            enum wire_type type;
            struct bytes body;
            assert_int_equal(wire_in_add(&in, frames.data + at, n, &err), 0);
            while (wire_in_next(&in, &type, &body, &err) > 0) {
                seen++;
            }
            at += n;
        }
    }
    assert_int_equal(seen, 40 * 6);
    assert_true(in.in.cap <= 2 * WIRE_FRAME_MAX);
    wire_in_deinit(&in);
    buf_deinit(&frames);
}

static int next_after(struct wire_in *in, const void *p, size_t n,
                      struct err *err)
{
    enum wire_type type;
    struct bytes body;

    assert_int_equal(wire_in_add(in, p, n, err), 0);
    return wire_in_next(in, &type, &body, err);
}

static void impossible_lengths_are_refused_before_their_bytes_come(void **state)
{
    static const uint8_t zero[] = {0, 0, 0, 0};
    static const uint8_t huge[] = {1, 0, 8, 0}; /* WIRE_FRAME_MAX + 1 */
    static const uint8_t all[] = {0xff, 0xff, 0xff, 0xff};

    static const struct {
        const uint8_t *p;
    } rows[] = {{zero}, {huge}, {all}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wire_in in;
        struct err err;
        wire_in_init(&in);
        assert_int_equal(next_after(&in, WIRE_MAGIC, 8, &err), 0);
        assert_int_equal(next_after(&in, rows[i].p, 4, &err), ERR_PROTO);
        assert_int_equal(err.id, DR_PROTOCOL);
        wire_in_deinit(&in);
    }
}

static void noise_before_the_magic_is_passed_over_and_kept(void **state)
{
    struct buf stream = BUF_NULL;
    struct wire_in in;
    struct bytes body;
    enum wire_type type;
    struct err err;

    (void)state;
    buf_printf(&stream, "Welcome to eu-1!\n\x89"
                        "DRV");
    wire_put_magic(&stream);
    wire_put_bye(&stream);
    wire_in_init(&in);
    for (size_t i = 0; i < stream.len; i++) {
        int rc = next_after(&in, stream.data + i, 1, &err);
        if (i + 1 < stream.len) {
            assert_int_equal(rc, 0);
        } else {
            assert_int_equal(rc, 1);
        }
    }
    assert_true(in.greeted);
    assert_true(in.noisy);
    assert_int_equal(in.noise.len, 21);
    assert_memory_equal(in.noise.data, "Welcome to eu-1!\n", 17);
    assert_int_equal(wire_in_next(&in, &type, &body, &err), 0);
    wire_in_deinit(&in);
    buf_deinit(&stream);
}

static void a_nologin_text_is_shown_in_the_error(void **state)
{
    static const char text[] = "This account is currently not available.\n";
    struct wire_in in;
    struct err err;

    (void)state;
    wire_in_init(&in);
    assert_int_equal(next_after(&in, text, sizeof text - 1, &err), 0);
    assert_int_equal(wire_in_ended(&in, &err), ERR_PROTO);
    assert_int_equal(err.id, DR_NOISE);
    assert_string_equal(err.msg,
                        "expected a drover receiver, got: \"This account is "
                        "currently not available.\\n\"");
    wire_in_deinit(&in);
}

static void endless_noise_is_given_up(void **state)
{
    static char noise[4096];
    struct wire_in in;
    struct err err;
    int rc = 0;
    size_t sent = 0;

    (void)state;
    memset(noise, 'n', sizeof noise);
    wire_in_init(&in);
    while (rc == 0) {
        rc = next_after(&in, noise, sizeof noise, &err);
        sent += sizeof noise;
        assert_true(sent <= WIRE_NOISE_MAX + 2 * sizeof noise);
    }
    assert_int_equal(rc, ERR_PROTO);
    assert_int_equal(err.id, DR_NOISE);
    assert_non_null(strstr(err.msg, "nnn"));
    assert_non_null(strstr(err.msg, "...\""));
    wire_in_deinit(&in);
}

static void the_end_of_a_stream_says_where_it_was(void **state)
{
    struct wire_in in;
    struct err err;

    (void)state;
    wire_in_init(&in);
    assert_int_equal(wire_in_ended(&in, &err), ERR_CLOSED);
    assert_non_null(strstr(err.msg, "without a byte"));
    assert_int_equal(next_after(&in, WIRE_MAGIC, 8, &err), 0);
    assert_int_equal(wire_in_ended(&in, &err), ERR_CLOSED);
    assert_null(strstr(err.msg, "middle"));
    assert_int_equal(next_after(&in, "\5\0\0\0", 4, &err), 0);
    assert_int_equal(wire_in_ended(&in, &err), ERR_CLOSED);
    assert_non_null(strstr(err.msg, "middle"));
    wire_in_deinit(&in);
}

static void every_type_has_a_name(void **state)
{
    (void)state;
    for (const enum wire_type *t = wire_types; *t != 0; t++) {
        assert_null(strstr(wire_type_name(*t), "frame"));
    }
    assert_string_equal(wire_type_name((enum wire_type)77), "frame 77");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_frame_decodes_to_the_bytes_it_was_made_of),
        cmocka_unit_test(a_set_carries_names_digest_and_value),
        cmocka_unit_test(a_hello_carries_all_its_members),
        cmocka_unit_test(a_pong_carries_all_its_members),
        cmocka_unit_test(names_of_any_bytes_survive),
        cmocka_unit_test(the_root_table_and_the_empty_key_are_names),
        cmocka_unit_test(a_set_frame_is_thirteen_bytes_longer_than_its_body),
        cmocka_unit_test(the_largest_value_with_the_longest_name_fits_a_frame),
        cmocka_unit_test(long_texts_are_cut_at_their_bound),
        cmocka_unit_test(a_names_frame_takes_what_fits_and_no_more),
        cmocka_unit_test(a_names_frame_is_full_at_its_item_bound),
        cmocka_unit_test(full_batches_fit_a_frame),
        cmocka_unit_test(chunks_of_any_size_give_the_same_frames),
        cmocka_unit_test(a_long_stream_costs_the_memory_of_one_frame),
        cmocka_unit_test(
            impossible_lengths_are_refused_before_their_bytes_come),
        cmocka_unit_test(noise_before_the_magic_is_passed_over_and_kept),
        cmocka_unit_test(a_nologin_text_is_shown_in_the_error),
        cmocka_unit_test(endless_noise_is_given_up),
        cmocka_unit_test(the_end_of_a_stream_says_where_it_was),
        cmocka_unit_test(every_type_has_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
