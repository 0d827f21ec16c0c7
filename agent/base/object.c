/* SPDX-License-Identifier: MIT
 *
 * object: see object.h. */
#include "agent/base/object.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/base64.h"
#include "store/base/buf.h"
#include "store/base/cleanup.h"
#include "store/base/quote.h"
#include "sync/errors/hint.h"
#include "sync/errors/state.h"

/* A message may quote bytes of a key or of a stranger's greeting; JSON holds
 * UTF-8 only. */
json_t *object_error(const struct err *err)
{
    char text[QUOTE_ROOM(ERR_MSG_BYTES)];
    const char *msg = err->msg;

    if (!quote_is_utf8(msg, strlen(msg))) {
        msg = quote_log(text, sizeof text, msg, strlen(msg));
    }
    return json_pack("{s:i, s:s, s:s}", "id", err->id, "text", msg, "hint",
                     hint_of(err));
}

json_t *object_error_or_null(const struct err *err)
{
    if (err->code == 0) {
        return json_null();
    }
    json_t *e = object_error(err);
    /* A message with bytes that are no UTF-8 must not take the rest along. */
    return e != NULL ? e
                     : json_pack("{s:i, s:s, s:s}", "id", err->id, "text",
                                 "(not printable)", "hint", dr_hint(err->id));
}

static json_t *base64(struct bytes b)
{
    CLEANUP(buf_deinit) struct buf text = BUF_NULL;

    base64_encode(&text, b.p, b.len);
    return text.bad ? NULL
                    : json_stringn_nocheck((const char *)text.data, text.len);
}

json_t *object_text(const char *text)
{
    size_t len = strlen(text);

    return json_string(quote_is_utf8(text, len) ? text : QUOTED(text, len));
}

void object_set_name(json_t *object, const char *field, struct bytes name)
{
    char other[32];
    const char *p = name.len > 0 ? (const char *)name.p : "";

    if (quote_is_utf8(p, name.len)) {
        (void)json_object_set_new(object, field, json_stringn(p, name.len));
        return;
    }
    (void)snprintf(other, sizeof other, "%s_b64", field);

    (void)json_object_set_new(object, other, base64(name));
}

void object_set_key(json_t *object, struct bytes table, struct bytes key,
                    bool is_table)
{
    object_set_name(object, "table", table);
    if (!is_table) {
        object_set_name(object, "key", key);
    }
}

json_t *object_seconds(int64_t ms)
{
    return ms < 0 ? json_null() : json_real((double)ms / 1000.0);
}
