/* SPDX-License-Identifier: MIT
 *
 * units: see units.h.
 *
 * Numbers are read digit by digit in integers, because strtod() follows the
 * locale and takes "inf", "0x10" and signs. */
#include "store/base/units.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "store/base/quote.h"

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit DURATIONS[] = {
    {"us", UINT64_C(1000)},
    {"usec", UINT64_C(1000)},
    {"ms", UINT64_C(1000000)},
    {"msec", UINT64_C(1000000)},
    {"s", UINT64_C(1000000000)},
    {"sec", UINT64_C(1000000000)},
    {"second", UINT64_C(1000000000)},
    {"seconds", UINT64_C(1000000000)},
    {"m", UINT64_C(60000000000)},
    {"min", UINT64_C(60000000000)},
    {"minute", UINT64_C(60000000000)},
    {"minutes", UINT64_C(60000000000)},
    {"h", UINT64_C(3600000000000)},
    {"hour", UINT64_C(3600000000000)},
    {"hours", UINT64_C(3600000000000)},
    {"d", UINT64_C(86400000000000)},
    {"day", UINT64_C(86400000000000)},
    {"days", UINT64_C(86400000000000)},
    {NULL, 0},
};

static const struct unit SIZES[] = {
    {"B", 1},
    {"K", UINT64_C(1) << 10},
    {"KiB", UINT64_C(1) << 10},
    {"M", UINT64_C(1) << 20},
    {"MiB", UINT64_C(1) << 20},
    {"G", UINT64_C(1) << 30},
    {"GiB", UINT64_C(1) << 30},
    {"T", UINT64_C(1) << 40},
    {"TiB", UINT64_C(1) << 40},
    {NULL, 0},
};

/* A decimal with up to six places after the point, as value / scale. */
struct number {
    uint64_t value;
    uint64_t scale;
};

static bool add_digit(struct number *n, char c)
{
    if (n->value > (UINT64_MAX - 9) / 10) {
        return false;
    }
    n->value = n->value * 10 + (uint64_t)(c - '0');
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads "12" or "1.5" and moves *text behind it. */
static bool read_number(const char **text, struct number *out)
{
    const char *p = *text;
    struct number n = {.value = 0, .scale = 1};

    if (!is_digit(*p)) {
        return false;
    }
    for (; is_digit(*p); p++) {
        if (!add_digit(&n, *p)) {
            return false;
        }
    }
    if (*p == '.' && is_digit(p[1])) {
        for (p++; is_digit(*p); p++) {
            if (n.scale >= 1000000 || !add_digit(&n, *p)) {
                return false;
            }
            n.scale *= 10;
        }
    }
    *text = p;
    *out = n;
    return true;
}

static int parse(const char *text, const struct unit *units, uint64_t max,
                 const char *what, const char *examples, uint64_t *out,
                 struct err *err)
{
    const char *p = text;
    struct number n;

    if (!read_number(&p, &n)) {
        return err_set(err, ERR_INVALID, 0, "%s: not a %s; write it as %s",
                       QUOTED_STR(text), what, examples);
    }
    if (*p == '\0' && n.value == 0) {
        *out = 0;
        return 0;
    }
    if (*p == '\0') {
        return err_set(err, ERR_INVALID, 0,
                       "%s: a %s needs a unit; write it as %s",
                       QUOTED_STR(text), what, examples);
    }
    while (*p == ' ' || *p == '\t') {
        p++;
    }
    for (const struct unit *u = units; u->name != NULL; u++) {
        if (strcmp(p, u->name) != 0) {
            continue;
        }
        if (n.value > max / u->factor) {
            return err_set(err, ERR_INVALID, 0, "%s: this %s is too large",
                           QUOTED_STR(text), what);
        }
        *out = n.value * u->factor / n.scale;
        return 0;
    }
    return err_set(err, ERR_INVALID, 0, "%s: not a %s; write it as %s",
                   QUOTED_STR(text), what, examples);
}

int units_parse_duration(const char *text, int64_t *ns_out, struct err *err)
{
    uint64_t ns;

    int rc = parse(text, DURATIONS, INT64_MAX, "duration",
                   "250ms, 10s, 5m, 6h or 2d", &ns, err);
    if (rc == 0) {
        *ns_out = (int64_t)ns;
    }
    return rc;
}

int units_parse_size(const char *text, uint64_t *bytes_out, struct err *err)
{
    return parse(text, SIZES, UINT64_MAX, "size", "512B, 64K, 20M or 1G",
                 bytes_out, err);
}

static char *print_two(char *out, uint64_t big, const char *big_unit,
                       uint64_t small, const char *small_unit)
{
    if (small == 0) {
        (void)snprintf(out, UNITS_TEXT_BYTES, "%" PRIu64 " %s", big, big_unit);
    } else {
        (void)snprintf(out, UNITS_TEXT_BYTES, "%" PRIu64 " %s %" PRIu64 " %s",
                       big, big_unit, small, small_unit);
    }
    return out;
}

char *units_duration(char *out, int64_t ns)
{
    assert(ns > INT64_MIN);
    if (ns < 0) {
        char rest[UNITS_TEXT_BYTES];
        (void)snprintf(out, UNITS_TEXT_BYTES, "-%.30s",
                       units_duration(rest, -ns));
        return out;
    }
    uint64_t us = (uint64_t)ns / 1000;
    uint64_t s = us / 1000000;
    if (ns == 0) {
        (void)snprintf(out, UNITS_TEXT_BYTES, "0 s");
    } else if (us < 1000) {
        (void)snprintf(out, UNITS_TEXT_BYTES, "%" PRIu64 " us", us);
    } else if (s < 1) {
        (void)snprintf(out, UNITS_TEXT_BYTES, "%" PRIu64 " ms", us / 1000);
    } else if (s < 60) {
        (void)snprintf(out, UNITS_TEXT_BYTES, "%" PRIu64 ".%" PRIu64 " s", s,
                       us / 100000 % 10);
    } else if (s < 3600) {
        return print_two(out, s / 60, "m", s % 60, "s");
    } else if (s < 86400) {
        return print_two(out, s / 3600, "h", s / 60 % 60, "m");
    } else {
        return print_two(out, s / 86400, "d", s / 3600 % 24, "h");
    }
    return out;
}

char *units_bytes(char *out, uint64_t bytes)
{
    static const char *const names[] = {"KiB", "MiB", "GiB",
                                        "TiB", "PiB", "EiB"};
    uint64_t unit = 1024;
    size_t i = 0;

    if (bytes < unit) {
        (void)snprintf(out, UNITS_TEXT_BYTES, "%" PRIu64 " B", bytes);
        return out;
    }
    while (i < 5 && bytes / unit >= 1024) {
        unit *= 1024;
        i++;
    }
    (void)snprintf(out, UNITS_TEXT_BYTES, "%" PRIu64 ".%" PRIu64 " %s",
                   bytes / unit, bytes % unit * 10 / unit, names[i]);
    return out;
}

char *units_count(char *out, uint64_t n)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%" PRIu64, n);
    char *p = out;

    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0) {
            *p++ = ',';
        }
        *p++ = digits[i];
    }
    *p = '\0';
    return out;
}
