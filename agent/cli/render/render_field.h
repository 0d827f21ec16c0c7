/* SPDX-License-Identifier: MIT
 *
 * render_field: what the files of render share: fields of JSON objects that
 * may be missing, and pieces of lines. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "store/base/clock.h"

static inline const char *field_text(const json_t *o, const char *name,
                                     const char *otherwise)
{
    const char *text = json_string_value(json_object_get(o, name));

    return text != NULL ? text : otherwise;
}

static inline bool field_count(const json_t *o, const char *name, uint64_t *out)
{
    const json_t *n = json_object_get(o, name);

    if (!json_is_integer(n) || json_integer_value(n) < 0) {
        return false;
    }
    *out = (uint64_t)json_integer_value(n);
    return true;
}

/* Seconds as nanoseconds. */
static inline bool field_seconds(const json_t *o, const char *name,
                                 int64_t *ns_out)
{
    const json_t *n = json_object_get(o, name);
    double s = json_number_value(n);

    if (!json_is_number(n) || s < 0 || s > 9e9) {
        return false;
    }
    *ns_out = (int64_t)(s * (double)NS_PER_S);
    return true;
}

/* One NAME for a terminal. */
void render_print_name(FILE *out, const json_t *object);
/* "held since 4 m, token 5d41402abc4b: 280 in users, 20 in sessions" */
void render_held_line(FILE *out, const json_t *held);
/* Text from outside, harmless for a terminal. */
void render_clean(FILE *out, const char *text);
/* "DR-203 text", and "      HINT: ...\n" if there is one. */
void render_error_line(FILE *out, const json_t *error);
void render_hint(FILE *out, const json_t *error);
