/* SPDX-License-Identifier: MIT
 *
 * bytes: a borrowed run of bytes: names, values, texts of others. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct bytes {
    const uint8_t *p;
    size_t len;
};

static inline struct bytes bytes_of(const void *p, size_t len)
{
    return (struct bytes){.p = (const uint8_t *)p, .len = len};
}
