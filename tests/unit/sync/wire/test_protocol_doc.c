/* SPDX-License-Identifier: MIT
 *
 * sync/PROTOCOL.md says what the code does: each example is what the encoder
 * makes and what the decoder takes, each frame has one, and the numbers in its
 * tables are the code's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/buf.h"
#include "sync/errors/state.h"
#include "sync/wire/wire.h"
#include "tests/support/wire_recode.h"

#define FENCE "```frame "

static char *doc; /* the document's text */

static int read_doc(void **state)
{
    struct buf b = BUF_NULL;
    char part[4096];
    size_t n;

    (void)state;
    FILE *f = fopen(DROVER_PROTOCOL_MD, "r");
    if (f == NULL) {
        return -1;
    }
    while ((n = fread(part, 1, sizeof part, f)) > 0) {
        buf_put(&b, part, n);
    }
    (void)fclose(f);
    buf_u8(&b, '\0');
    doc = (char *)b.data;
    return b.bad ? -1 : 0;
}

static int free_doc(void **state)
{
    (void)state;
    free(doc);
    return 0;
}

/* --- examples ------------------------------------------------------------ */

static unsigned hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return (unsigned)(c - '0');
    }
    assert_in_range(c, 'a', 'f');
    return (unsigned)(c - 'a') + 10;
}

/* One line up to '|': bytes as two hex digits, or NN*COUNT. */
static void parse_line(const char *p, const char *end, struct buf *out)
{
    while (p < end && *p != '|') {
        if (*p == ' ') {
            p++;
            continue;
        }
        uint8_t byte = (uint8_t)(hex_digit(p[0]) * 16 + hex_digit(p[1]));
        unsigned long count = 1;
        p += 2;
        if (*p == '*') {
            char *after;
            count = strtoul(p + 1, &after, 10);
            assert_in_range(count, 1, WIRE_FRAME_MAX);
            p = after;
        }
        assert_true(*p == ' ' || *p == '\n' || *p == '|');
        for (; count > 0; count--) {
            buf_u8(out, byte);
        }
    }
}

/* The block after a fence; returns its end. */
static const char *parse_block(const char *p, struct buf *out)
{
    while (strncmp(p, "```", 3) != 0) {
        const char *end = strchr(p, '\n');
        assert_non_null(end);
        parse_line(p, end, out);
        p = end + 1;
    }
    return p;
}

/* The only example of `name`. */
static void example(const char *name, struct buf *out)
{
    char abort_ping[64];
    int n = snprintf(abort_ping, sizeof abort_ping, FENCE "%s\n", name);
    const char *at = strstr(doc, abort_ping);

    if (at == NULL) {
        fail_msg("PROTOCOL.md has no example of %s", name);
        return;
    }
    at = parse_block(at + n, out);
    if (strstr(at, abort_ping) != NULL) {
        fail_msg("PROTOCOL.md has two examples of %s", name);
    }
}

static void each_example_is_what_the_encoder_makes(void **state)
{
    (void)state;
    for (const enum wire_type *t = wire_types; *t != 0; t++) {
        struct buf want = BUF_NULL, got = BUF_NULL;

        wire_samples(&want, *t);
        example(wire_type_name(*t), &got);
        if (got.len != want.len || memcmp(got.data, want.data, got.len) != 0) {
            fail_msg("the example of %s is not what the code encodes",
                     wire_type_name(*t));
        }
        buf_deinit(&want);
        buf_deinit(&got);
    }
}

static void each_example_decodes_and_encodes_to_itself(void **state)
{
    struct buf stream = BUF_NULL, again = BUF_NULL;
    struct wire_in in;
    enum wire_type type;
    struct bytes body;
    struct err err;
    int rc;

    (void)state;
    example("MAGIC", &stream);
    for (const enum wire_type *t = wire_types; *t != 0; t++) {
        example(wire_type_name(*t), &stream);
    }
    wire_in_init(&in);
    assert_int_equal(wire_in_add(&in, stream.data, stream.len, &err), 0);
    wire_put_magic(&again);
    while ((rc = wire_in_next(&in, &type, &body, &err)) > 0) {
        assert_int_equal(wire_recode(type, body, &again, &err), 0);
    }
    assert_int_equal(rc, 0);
    assert_int_equal(again.len, stream.len);
    assert_memory_equal(again.data, stream.data, stream.len);
    wire_in_deinit(&in);
    buf_deinit(&stream);
    buf_deinit(&again);
}

static void there_are_no_examples_of_other_frames(void **state)
{
    size_t want = 1, got = 0; /* MAGIC */

    (void)state;
    for (const enum wire_type *t = wire_types; *t != 0; t++) {
        want++;
    }
    for (const char *p = doc; (p = strstr(p, FENCE)) != NULL; p++) {
        got++;
    }
    assert_int_equal(got, want);
}

/* --- tables -------------------------------------------------------------- */

static void assert_row(const char *row)
{
    if (strstr(doc, row) == NULL) {
        fail_msg("PROTOCOL.md lacks the row: %s", row);
    }
}

static void frame_numbers_are_those_of_the_code(void **state)
{
    (void)state;
    for (const enum wire_type *t = wire_types; *t != 0; t++) {
        char row[64];
        (void)snprintf(row, sizeof row, "\n| %u | %s | ", (unsigned)*t,
                       wire_type_name(*t));
        assert_row(row);
    }
}

static void limits_are_those_of_the_code(void **state)
{
#define LIMIT(name)                                                            \
    {                                                                          \
#name, name                                                            \
    }
    static const struct {
        const char *name;
        int value;
    } limits[] = {
        LIMIT(WIRE_FRAME_MAX),  LIMIT(WIRE_INLINE_MAX), LIMIT(WIRE_PIECE_MAX),
        LIMIT(WIRE_ZEROS_MAX),  LIMIT(WIRE_TEXT_MAX),   LIMIT(WIRE_COMM_MAX),
        LIMIT(WIRE_BATCH_MAX),  LIMIT(WIRE_NOISE_MAX),  LIMIT(KEY_MAX_BYTES),
        LIMIT(TABLE_MAX_BYTES), LIMIT(TABLE_MAX_DEPTH),
    };

    (void)state;
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        char row[64];
        (void)snprintf(row, sizeof row, "\n| %s | %d | ", limits[i].name,
                       limits[i].value);
        assert_row(row);
    }
}

static void error_numbers_and_texts_are_those_of_the_code(void **state)
{
    static const int ids[] = {
        DR_PROTOCOL,   DR_RECEIVER_BUSY,     DR_OTHER_DATABASE,
        DR_OLD_EPOCH,  DR_REPLICA_DIR,       DR_REPLICA_FULL,
        DR_REPLICA_IO, DR_REPLICA_NOT_EMPTY, DR_INSTALL};

    (void)state;
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        char row[256];
        (void)snprintf(row, sizeof row, "\n| %d | %s |\n", ids[i],
                       dr_text(ids[i]));
        assert_row(row);
    }
}

static void nak_codes_are_those_of_the_code(void **state)
{
    static const int codes[] = {
        ERR_IO,       ERR_NOMEM, ERR_NOTFOUND, ERR_EXISTS,  ERR_TIMEOUT,
        ERR_NOTTABLE, ERR_PERM,  ERR_NOSPACE,  ERR_CORRUPT, ERR_TOOBIG};

    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        char row[64];
        (void)snprintf(row, sizeof row, "\n| %d | %s | ", -codes[i],
                       err_name(codes[i]));
        assert_row(row);
    }
}

static void state_numbers_are_those_of_the_code(void **state)
{
    (void)state;
    for (int s = REPLICA_CONNECTING; s <= REPLICA_FAILED; s++) {
        char text[64];
        (void)snprintf(text, sizeof text, "%d %s", s,
                       replica_state_word((enum replica_state)s));
        assert_row(text);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_example_is_what_the_encoder_makes),
        cmocka_unit_test(each_example_decodes_and_encodes_to_itself),
        cmocka_unit_test(there_are_no_examples_of_other_frames),
        cmocka_unit_test(frame_numbers_are_those_of_the_code),
        cmocka_unit_test(limits_are_those_of_the_code),
        cmocka_unit_test(error_numbers_and_texts_are_those_of_the_code),
        cmocka_unit_test(nak_codes_are_those_of_the_code),
        cmocka_unit_test(state_numbers_are_those_of_the_code),
    };

    return cmocka_run_group_tests(tests, read_doc, free_doc);
}
