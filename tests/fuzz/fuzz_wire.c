/* SPDX-License-Identifier: MIT
 *
 * fuzz_wire: the bytes of a connection, in either direction.
 *
 * Input: a byte that chooses how the rest is cut into pieces, then the stream;
 * with the top bit set the magic is put before it.  A stream gives the same
 * frames and the same error however it is cut.  A body that decodes is encoded
 * to the very same bytes (but a HELLO of a later protocol, which may say more);
 * one that does not is ERR_PROTO with a text that a terminal may show.
 */
#include "tests/fuzz/fuzz.h"

#include "tests/support/wire_recode.h"

struct outcome {
    size_t frames, bytes;
    int end;
};

static void check_body(enum wire_type type, struct bytes body)
{
    static struct buf again;
    struct err err = {0};

    /* A copy that ends where the body ends. */
    char *copy = fuzz_text(body.p, body.len);

    buf_clear(&again);
    int rc = wire_recode(type, bytes_of(copy, body.len), &again, &err);
    if (rc == 0 && type != WIRE_HELLO) {
        must(again.len == body.len + WIRE_HEADER_BYTES);
        must(memcmp(again.data + WIRE_HEADER_BYTES, copy, body.len) == 0);
    }
    if (rc < 0) {
        must(rc == ERR_PROTO || rc == ERR_INVALID);
        must(again.len == 0);
        fuzz_is_tame(err.msg, strlen(err.msg), "");
    }
    free(copy);
}

static struct outcome run(const uint8_t *data, size_t size, size_t piece,
                          bool check)
{
    struct outcome o = {0};
    struct wire_in in;
    struct err err = {0};
    int rc = 0;

    wire_in_init(&in);
    for (size_t at = 0; at < size && rc >= 0;) {
        enum wire_type type;
        struct bytes body;
        size_t n = piece < size - at ? piece : size - at;
        must(wire_in_add(&in, data + at, n, &err) == 0);
        at += n;
        while ((rc = wire_in_next(&in, &type, &body, &err)) > 0) {
            o.frames++;
            o.bytes += body.len;
            if (check) {
                check_body(type, body);
            }
        }
        /* Never more than a frame and what came with it. */
        must(wire_in_pending(&in) <= WIRE_FRAME_MAX + 4 + WIRE_NOISE_MAX + n);
    }
    if (rc >= 0) {
        rc = wire_in_ended(&in, &err);
        must(rc == ERR_PROTO || rc == ERR_CLOSED);
    }
    fuzz_is_tame(err.msg, strlen(err.msg), "");
    o.end = rc;
    wire_in_deinit(&in);
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct buf stream;

    if (size < 1) {
        return 0;
    }
    buf_clear(&stream);
    if (data[0] & 0x80) {
        buf_put(&stream, WIRE_MAGIC, WIRE_MAGIC_BYTES);
    }
    buf_put(&stream, data + 1, size - 1);
    must(!stream.bad);
    struct outcome whole = run(stream.data, stream.len, stream.len, true);
    size_t piece = 1 + (data[0] & 0x7f);
    struct outcome cut = run(stream.data, stream.len, piece, false);
    must(whole.frames == cut.frames && whole.bytes == cut.bytes);
    must(whole.end == cut.end);
    return 0;
}
