/* SPDX-License-Identifier: MIT
 *
 * json_out: writes JSON to a buf, one compact line per document.
 *
 * Commas are put by the writer.  A byte string that is not UTF-8 cannot be a
 * JSON string: json_bytes() writes it as "NAME_b64" in base 64 instead, and
 * callers that promise the plain name too write a readable form themselves. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/base/buf.h"

struct json_out {
    struct buf *buf;
    bool comma; /* the next member needs one */
};

/* {"name": ... }; `name` NULL for an array's element or the document. */
void json_begin_object(struct json_out *j, const char *name);
void json_end_object(struct json_out *j);
void json_begin_array(struct json_out *j, const char *name);
void json_end_array(struct json_out *j);

void json_text(struct json_out *j, const char *name, const char *text);
void json_uint(struct json_out *j, const char *name, uint64_t value);
void json_int(struct json_out *j, const char *name, int64_t value);
/* null; jansson has the other name. */
void json_none(struct json_out *j, const char *name);
void json_bool(struct json_out *j, const char *name, bool value);

/* "NAME": the bytes, where they are UTF-8.  Where not: "NAME": the bytes with
 * each bad one as U+FFFD, for people, and "NAME_b64": exactly, for programs. */
void json_bytes(struct json_out *j, const char *name, const void *bytes,
                size_t len);
