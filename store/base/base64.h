/* SPDX-License-Identifier: MIT
 *
 * base64: bytes as text, of RFC 4648's first alphabet, with padding. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "store/base/buf.h"

/* Appends the digits of `bytes`. */
void base64_encode(struct buf *out, const void *bytes, size_t len);
/* Appends the decoded bytes; white space is skipped.  False: not base64, or
 * out of memory (out->bad). */
bool base64_decode(struct buf *out, const char *text, size_t len);
