/* SPDX-License-Identifier: MIT
 *
 * hex: see hex.h. */
#include "store/base/hex.h"

#include <stdint.h>

static const char DIGITS[] = "0123456789abcdef";

char *hex_encode(char *out, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;

    for (size_t i = 0; i < len; i++) {
        out[2 * i] = DIGITS[p[i] >> 4];
        out[2 * i + 1] = DIGITS[p[i] & 15];
    }
    out[2 * len] = '\0';
    return out;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

bool hex_decode(void *out, size_t len, const char *text, size_t text_len)
{
    uint8_t *p = out;

    if (text_len != 2 * len) {
        return false;
    }
    for (size_t i = 0; i < text_len; i++) {
        if (digit_of(text[i]) < 0) {
            return false;
        }
    }
    for (size_t i = 0; i < len; i++) {
        int value = digit_of(text[2 * i]) * 16 + digit_of(text[2 * i + 1]);
        p[i] = (uint8_t)value;
    }
    return true;
}
