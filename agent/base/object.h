/* SPDX-License-Identifier: MIT
 *
 * object: what the JSON objects of control.h have in common: errors, names of
 * tables and keys, spans of time.  Returns new references. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/base/err.h"
#include "sync/wire/wire.h"

/* ERROR: {"id", "text", "hint"}; NULL: out of memory. */
json_t *object_error(const struct err *err);
/* The same, or JSON null when err->code is 0. */
json_t *object_error_or_null(const struct err *err);
/* A text of any bytes, such as a path: quoted where it is not UTF-8. */
json_t *object_text(const char *text);
/* Set "table"/"key", or "table_b64"/"key_b64" for what is not UTF-8. */
void object_set_name(json_t *object, const char *field, struct bytes name);
/* Both, of a key; the first alone of a table. */
void object_set_key(json_t *object, struct bytes table, struct bytes key,
                    bool is_table);
/* Seconds from ms; null when negative. */
json_t *object_seconds(int64_t ms);
