/* SPDX-License-Identifier: MIT
 *
 * json_out: see json_out.h. */
#include "store/base/json_out.h"

#include <inttypes.h>
#include <string.h>

#include "store/base/base64.h"
#include "store/base/quote.h"

static void put_text(struct buf *b, const char *text)
{
    buf_put(b, text, strlen(text));
}

/* One byte of a string's inside.  DEL and bytes above it stay as they are. */
static void put_escaped(struct buf *b, uint8_t c)
{
    switch (c) {
    case '"':
        put_text(b, "\\\"");
        break;
    case '\\':
        put_text(b, "\\\\");
        break;
    case '\n':
        put_text(b, "\\n");
        break;
    case '\r':
        put_text(b, "\\r");
        break;
    case '\t':
        put_text(b, "\\t");
        break;
    default:
        if (c < 0x20 || c == 0x7f) {
            buf_printf(b, "\\u%04x", c);
        } else {
            buf_u8(b, c);
        }
    }
}

/* Where a bad byte stands, U+FFFD is written. */
static void put_string(struct buf *b, const uint8_t *p, size_t len)
{
    buf_u8(b, '"');
    while (len > 0) {
        size_t n = 1;
        while (n < 4 && n <= len && !quote_is_utf8(p, n)) {
            n++;
        }
        if (n > len || !quote_is_utf8(p, n)) {
            put_text(b, "\xef\xbf\xbd");
            n = 1;
        } else if (n == 1) {
            put_escaped(b, *p);
        } else {
            buf_put(b, p, n);
        }
        p += n;
        len -= n;
    }
    buf_u8(b, '"');
}

/* Comma and "name": in front of a value. */
static void begin_member(struct json_out *j, const char *name)
{
    if (j->comma) {
        buf_u8(j->buf, ',');
    }
    j->comma = true;
    if (name != NULL) {
        put_string(j->buf, (const uint8_t *)name, strlen(name));
        buf_u8(j->buf, ':');
    }
}

void json_begin_object(struct json_out *j, const char *name)
{
    begin_member(j, name);
    buf_u8(j->buf, '{');
    j->comma = false;
}

void json_end_object(struct json_out *j)
{
    buf_u8(j->buf, '}');
    j->comma = true;
}

void json_begin_array(struct json_out *j, const char *name)
{
    begin_member(j, name);
    buf_u8(j->buf, '[');
    j->comma = false;
}

void json_end_array(struct json_out *j)
{
    buf_u8(j->buf, ']');
    j->comma = true;
}

void json_text(struct json_out *j, const char *name, const char *text)
{
    begin_member(j, name);
    put_string(j->buf, (const uint8_t *)text, strlen(text));
}

void json_uint(struct json_out *j, const char *name, uint64_t value)
{
    begin_member(j, name);
    buf_printf(j->buf, "%" PRIu64, value);
}

void json_int(struct json_out *j, const char *name, int64_t value)
{
    begin_member(j, name);
    buf_printf(j->buf, "%" PRId64, value);
}

void json_bool(struct json_out *j, const char *name, bool value)
{
    begin_member(j, name);
    put_text(j->buf, value ? "true" : "false");
}

void json_none(struct json_out *j, const char *name)
{
    begin_member(j, name);
    put_text(j->buf, "null");
}

void json_bytes(struct json_out *j, const char *name, const void *bytes,
                size_t len)
{
    begin_member(j, name);
    put_string(j->buf, bytes, len);
    if (!quote_is_utf8(bytes, len)) {
        buf_u8(j->buf, ',');
        buf_printf(j->buf, "\"%s_b64\":\"", name);
        base64_encode(j->buf, bytes, len);
        buf_u8(j->buf, '"');
    }
}
