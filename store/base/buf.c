/* SPDX-License-Identifier: MIT
 *
 * buf: growable bytes and the bounds-checked reader; see buf.h. */
#include "store/base/buf.h"

#include <assert.h>
#include <endian.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_deinit(struct buf *b)
{
    free(b->data);
    *b = (struct buf)BUF_NULL;
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->bad = false;
}

bool buf_reserve(struct buf *b, size_t n)
{
    if (b->bad) {
        return false;
    }
    if (n <= b->cap - b->len) {
        return true;
    }
    size_t want = b->cap ? b->cap : 256;
    while (want - b->len < n) {
        if (want > SIZE_MAX / 2) {
            b->bad = true;
            return false;
        }
        want *= 2;
    }
    uint8_t *data = realloc(b->data, want);
    if (data == NULL) {
        b->bad = true;
        return false;
    }
    b->data = data;
    b->cap = want;
    return true;
}

void buf_put(struct buf *b, const void *data, size_t n)
{
    if (n > 0 && buf_reserve(b, n)) {
        memcpy(b->data + b->len, data, n);
        b->len += n;
    }
}

void buf_u8(struct buf *b, uint8_t v)
{
    buf_put(b, &v, sizeof v);
}

void buf_u16(struct buf *b, uint16_t v)
{
    v = htole16(v);
    buf_put(b, &v, sizeof v);
}

void buf_u32(struct buf *b, uint32_t v)
{
    v = htole32(v);
    buf_put(b, &v, sizeof v);
}

void buf_u64(struct buf *b, uint64_t v)
{
    v = htole64(v);
    buf_put(b, &v, sizeof v);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || !buf_reserve(b, (size_t)n + 1)) {
        b->bad = true;
        return;
    }
    va_start(ap, fmt);
    (void)vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
}

void buf_drop(struct buf *b, size_t n)
{
    assert(n <= b->len);
    b->len -= n;
    if (b->len > 0) {
        memmove(b->data, b->data + n, b->len);
    }
}

struct cur cur_of(const void *data, size_t n)
{
    return (struct cur){.p = data, .left = n, .bad = false};
}

const uint8_t *cur_take(struct cur *c, size_t n)
{
    if (c->bad || n > c->left) {
        c->bad = true;
        return NULL;
    }
    const uint8_t *p = c->p;
    c->p += n;
    c->left -= n;
    return p;
}

uint8_t cur_u8(struct cur *c)
{
    const uint8_t *p = cur_take(c, 1);

    return p ? *p : 0;
}

uint16_t cur_u16(struct cur *c)
{
    uint16_t v = 0;
    const uint8_t *p = cur_take(c, sizeof v);

    if (p != NULL) {
        memcpy(&v, p, sizeof v);
    }
    return le16toh(v);
}

uint32_t cur_u32(struct cur *c)
{
    uint32_t v = 0;
    const uint8_t *p = cur_take(c, sizeof v);

    if (p != NULL) {
        memcpy(&v, p, sizeof v);
    }
    return le32toh(v);
}

uint64_t cur_u64(struct cur *c)
{
    uint64_t v = 0;
    const uint8_t *p = cur_take(c, sizeof v);

    if (p != NULL) {
        memcpy(&v, p, sizeof v);
    }
    return le64toh(v);
}
