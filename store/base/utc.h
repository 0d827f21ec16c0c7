/* SPDX-License-Identifier: MIT
 *
 * utc: moments of the wall clock as ISO 8601 text. */
#pragma once

#include <stdint.h>

enum { UTC_TEXT_BYTES = 40 };

/* "2026-01-31T12:00:00.000Z".  Writes to `out` and returns it. */
char *utc_text(int64_t ns, char out[UTC_TEXT_BYTES]);
/* "2026-01-31T12:00:00.000000000Z": two moments are the same when their texts
 * are. */
char *utc_nano(int64_t ns, char out[UTC_TEXT_BYTES]);
/* "2026-01-31T12:00:00Z". */
char *utc_second(int64_t s, char out[UTC_TEXT_BYTES]);

/* For printf arguments: live until the end of the enclosing block. */
#define UTC_TEXT(ns) utc_text((ns), (char[UTC_TEXT_BYTES]){0})
#define UTC_NANO(ns) utc_nano((ns), (char[UTC_TEXT_BYTES]){0})
#define UTC_SECOND(s) utc_second((s), (char[UTC_TEXT_BYTES]){0})
