/* SPDX-License-Identifier: MIT
 *
 * base64: see base64.h. */
#include "store/base/base64.h"

#include <stdint.h>
#include <string.h>

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct buf *out, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;

    for (size_t i = 0; i < len; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16;
        v |= i + 1 < len ? (uint32_t)p[i + 1] << 8 : 0;
        v |= i + 2 < len ? p[i + 2] : 0U;
        char quad[4] = {alphabet[v >> 18], alphabet[v >> 12 & 63],
                        i + 1 < len ? alphabet[v >> 6 & 63] : '=',
                        i + 2 < len ? alphabet[v & 63] : '='};
        buf_put(out, quad, sizeof quad);
    }
}

static int value_of(char c)
{
    const char *at = c != '\0' ? strchr(alphabet, c) : NULL;

    return at != NULL ? (int)(at - alphabet) : -1;
}

bool base64_decode(struct buf *out, const char *text, size_t len)
{
    uint32_t bits = 0;
    unsigned have = 0, digits = 0, pads = 0;

    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
            continue;
        }
        if (c == '=') {
            pads++;
            continue;
        }
        int v = value_of(c);
        if (v < 0 || pads > 0) {
            return false;
        }
        bits = (bits << 6) | (uint32_t)v;
        have += 6;
        digits++;
        if (have >= 8) {
            have -= 8;
            buf_u8(out, (uint8_t)(bits >> have));
        }
    }
    return !out->bad && pads <= 2 && (digits + pads) % 4 == 0;
}
