/* SPDX-License-Identifier: MIT
 *
 * wire: the byte stream's frames.  The encoders are in wire_put.c, the
 * decoders of frame bodies in wire_get.c.
 *
 * Happy path: received bytes are appended with wire_in_add(); wire_in_next()
 * finds the magic once, and then hands out one whole frame after the other,
 * each in place.  Consumed bytes stay in the buffer until room is needed, so a
 * frame costs neither a copy nor an allocation.
 * Failures: no magic within WIRE_NOISE_MAX bytes, an impossible length.  After
 * either the stream is lost: nothing tells where the next frame would begin.
 */
#include "sync/wire/wire.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "store/base/quote.h"
#include "sync/errors/state.h"

enum {
    NOISE_KEPT_BYTES = 200,
    LENGTH_BYTES = 4,
};

static const char *known_name(enum wire_type type)
{
#define NAME(name, number) [number] = #name,
    static const char *const names[] = {WIRE_FRAMES(NAME)};
#undef NAME

    return (size_t)type < sizeof names / sizeof *names ? names[type] : NULL;
}

const char *wire_type_name(enum wire_type type)
{
    static _Thread_local char other[32];
    const char *name = known_name(type);

    if (name != NULL) {
        return name;
    }
    (void)snprintf(other, sizeof other, "frame %u", (unsigned)type);
    return other;
}

void wire_in_init(struct wire_in *w)
{
    *w = (struct wire_in){.peer = "a drover receiver"};
}

void wire_in_deinit(struct wire_in *w)
{
    buf_deinit(&w->in);
    buf_deinit(&w->noise);
}

size_t wire_in_pending(const struct wire_in *w)
{
    return w->in.len - w->at;
}

int wire_in_add(struct wire_in *w, const void *p, size_t n, struct err *err)
{
    /* Before the magic `at` is only how far was searched. */
    if (w->greeted && w->at == w->in.len) {
        w->at = w->in.len = 0;
    } else if (w->greeted && w->in.cap - w->in.len < n) {
        buf_drop(&w->in, w->at);
        w->at = 0;
    }
    buf_put(&w->in, p, n);
    if (w->in.bad) {
        return err_set(err, ERR_NOMEM, 0, "no memory for a frame");
    }
    return 0;
}

static int noise_error(const struct wire_in *w, struct err *err)
{
    char text[QUOTE_ROOM(NOISE_KEPT_BYTES)];
    bool cut = w->in.len > w->noise.len;

    (void)quote_log(text, sizeof text, w->noise.data, w->noise.len);
    err_set(err, ERR_PROTO, 0, "expected %s, got: \"%s%s\"", w->peer, text,
            cut ? "..." : "");
    err->id = DR_NOISE;
    return err->code;
}

/* Keep the start of the first `n` bytes: they came before the magic. */
static void keep_noise(struct wire_in *w, size_t n)
{
    size_t want = n < NOISE_KEPT_BYTES ? n : NOISE_KEPT_BYTES;

    w->noisy = n > 0;
    if (want > w->noise.len) {
        buf_put(&w->noise, w->in.data + w->noise.len, want - w->noise.len);
    } else {
        w->noise.len = want; /* its tail was the start of the magic */
    }
}

/* 1: the magic was found, 0: more bytes are needed. */
static int find_magic(struct wire_in *w, struct err *err)
{
    const uint8_t *data = w->in.data;
    const uint8_t *found = NULL;

    if (w->in.len - w->at >= WIRE_MAGIC_BYTES) {
        found = memmem(data + w->at, w->in.len - w->at, WIRE_MAGIC,
                       WIRE_MAGIC_BYTES);
    }
    if (found != NULL && (size_t)(found - data) <= WIRE_NOISE_MAX) {
        keep_noise(w, (size_t)(found - data));
        w->at = (size_t)(found - data) + WIRE_MAGIC_BYTES;
        w->greeted = true;
        return 1;
    }
    /* A tail that may be the start of the magic is searched again. */
    if (w->in.len - w->at >= WIRE_MAGIC_BYTES) {
        w->at = w->in.len - (WIRE_MAGIC_BYTES - 1);
    }
    keep_noise(w, w->in.len);
    return w->at > WIRE_NOISE_MAX ? noise_error(w, err) : 0;
}

int wire_in_next(struct wire_in *w, enum wire_type *type_out,
                 struct bytes *body_out, struct err *err)
{
    if (!w->greeted) {
        int rc = find_magic(w, err);
        if (rc <= 0) {
            return rc;
        }
    }
    struct cur c = cur_of(w->in.data + w->at, w->in.len - w->at);
    if (c.left < LENGTH_BYTES) {
        return 0;
    }
    size_t length = cur_u32(&c);
    if (length == 0 || length > WIRE_FRAME_MAX) {
        err_set(err, ERR_PROTO, 0,
                "a frame claims a length of %zu bytes; allowed are 1 to %d",
                length, WIRE_FRAME_MAX);
        err->id = DR_PROTOCOL;
        return err->code;
    }
    if (c.left < length) {
        return 0;
    }
    *type_out = (enum wire_type)cur_u8(&c);
    *body_out = bytes_of(c.p, length - 1);
    w->at += LENGTH_BYTES + length;
    return 1;
}

int wire_in_ended(const struct wire_in *w, struct err *err)
{
    if (!w->greeted && w->in.len > 0) {
        return noise_error(w, err);
    }
    if (!w->greeted) {
        err_set(err, ERR_CLOSED, 0,
                "expected %s, but the stream ended without a byte", w->peer);
    } else if (w->at < w->in.len) {
        err_set(err, ERR_CLOSED, 0,
                "the stream ended in the middle of a frame");
    } else {
        err_set(err, ERR_CLOSED, 0, "the stream ended");
    }
    return err->code;
}
