/* SPDX-License-Identifier: MIT
 *
 * units: durations, sizes and counts as people write and read them.
 *
 * All programs read and print them through here, so that a setting, a flag and
 * a status line use one notation.  A bare number is refused: "10" says neither
 * seconds nor milliseconds.  Only "0" needs no unit.
 */
#pragma once

#include <stdint.h>

#include "store/base/err.h"

enum { UNITS_TEXT_BYTES = 32 };

/* "250ms", "10s", "5m", "6h", "2d", "1.5s", "100us", "0".  ERR_INVALID. */
int units_parse_duration(const char *text, int64_t *ns_out,
                         struct err *err) MUSTCHECK;
/* "512B", "64K", "20M", "1G", "2T" (also KiB, MiB, ...), "1.5G", "0"; powers
 * of 1024.  ERR_INVALID. */
int units_parse_size(const char *text, uint64_t *bytes_out,
                     struct err *err) MUSTCHECK;

/* "0 s", "870 us", "12 ms", "3.2 s", "4 m 7 s", "6 h 3 m", "12 d 4 h".
 * Writes to `out` (UNITS_TEXT_BYTES) and returns it. */
char *units_duration(char *out, int64_t ns);
/* "0 B", "512 B", "8.1 KiB", "87.3 MiB", "1.4 GiB". */
char *units_bytes(char *out, uint64_t bytes);
/* "48,211". */
char *units_count(char *out, uint64_t n);

/* For printf arguments: live until the end of the enclosing block. */
#define DURATION_TEXT(ns) units_duration((char[UNITS_TEXT_BYTES]){0}, (ns))
#define BYTES_TEXT(n) units_bytes((char[UNITS_TEXT_BYTES]){0}, (n))
#define COUNT_TEXT(n) units_count((char[UNITS_TEXT_BYTES]){0}, (n))
