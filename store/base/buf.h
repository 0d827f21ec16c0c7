/* SPDX-License-Identifier: MIT
 *
 * buf: growable bytes, and a bounds-checked reader over bytes.
 *
 * A buf remembers an allocation failure (`bad`) so that a run of appends needs
 * one check at its end; after a failure appends do nothing.  Integers are
 * little-endian.  Owns its memory; not thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    uint8_t *data;
    size_t len;
    size_t cap;
    bool bad; /* an allocation failed; contents are not to be used */
};

#define BUF_NULL                                                               \
    {                                                                          \
        NULL, 0, 0, false                                                      \
    }

void buf_deinit(struct buf *b);
/* Forget the contents, keep the memory, clear `bad`. */
void buf_clear(struct buf *b);
/* Make room for `n` more bytes; false (and `bad`) when out of memory. */
bool buf_reserve(struct buf *b, size_t n);
void buf_put(struct buf *b, const void *data, size_t n);
void buf_u8(struct buf *b, uint8_t v);
void buf_u16(struct buf *b, uint16_t v);
void buf_u32(struct buf *b, uint32_t v);
void buf_u64(struct buf *b, uint64_t v);
/* Formatted text, without its terminating NUL. */
void buf_printf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Drop `n` bytes from the front (n <= len); moves what remains. */
void buf_drop(struct buf *b, size_t n);

/* A reader over borrowed bytes.  Reading past the end sets `bad` and yields
 * zeros; check `bad` once at the end. */
struct cur {
    const uint8_t *p;
    size_t left;
    bool bad;
};

struct cur cur_of(const void *data, size_t n);
uint8_t cur_u8(struct cur *c);
uint16_t cur_u16(struct cur *c);
uint32_t cur_u32(struct cur *c);
uint64_t cur_u64(struct cur *c);
/* A pointer to the next `n` bytes, or NULL (and `bad`). Borrowed. */
const uint8_t *cur_take(struct cur *c, size_t n);
