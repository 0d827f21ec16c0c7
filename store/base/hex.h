/* SPDX-License-Identifier: MIT
 *
 * hex: ids as lower-case hexadecimal text. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Write 2 * len digits and NUL to `out` (2 * len + 1 bytes); returns `out`. */
char *hex_encode(char *out, const void *bytes, size_t len);
/* Read exactly 2 * len digits, of either case; false (and `out` untouched)
 * when text_len or a character is wrong. */
bool hex_decode(void *out, size_t len, const char *text, size_t text_len);
