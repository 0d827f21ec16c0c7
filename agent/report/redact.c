/* SPDX-License-Identifier: MIT
 *
 * redact: see redact.h.
 */
#include "agent/report/redact.h"

#include <stdlib.h>
#include <string.h>
#include <systemd/sd-id128.h>

#include "store/base/base64.h"
#include "store/base/cleanup.h"
#include "store/base/hex.h"
#include "store/base/rand.h"
#include "sync/errors/state.h"

/* Made once at random, and never to change. */
static const sd_id128_t REPORT_ID = {
    .bytes = {0xc1, 0x5e, 0x0b, 0x7a, 0x98, 0x42, 0x4f, 0x1d, 0x8a, 0x63, 0x27,
              0xbe, 0x90, 0x14, 0xd5, 0x3c}};

enum { SHOWN_BYTES = (REDACT_HEX_BYTES - 1) / 2 };

void redact_begin(struct redact *r)
{
    sd_id128_t id;

    if (sd_id128_get_machine_app_specific(REPORT_ID, &id) == 0) {
        memcpy(r->key.bytes, id.bytes, sizeof r->key.bytes);
    } else {
        uint64_t seeds[2] = {rand_seed(), rand_seed()};
        memcpy(r->key.bytes, seeds, sizeof r->key.bytes);
    }
}

char *redact_name(const struct redact *r, struct bytes name,
                  char out[REDACT_HEX_BYTES])
{
    struct digest d = hash_keyed(&r->key, name.p, name.len);

    return hex_encode(out, &d.hi, SHOWN_BYTES);
}

/* --- names --------------------------------------------------------------- */

static bool set_hash(const struct redact *r, json_t *o, const char *as,
                     struct bytes name)
{
    char hash[REDACT_HEX_BYTES];

    return json_object_set_new(
               o, as,
               name.len == 0 ? json_string("(root)")
                             : json_string(redact_name(r, name, hash))) == 0;
}

/* "table" or "table_b64", "key" or "key_b64". */
static bool hash_member(const struct redact *r, json_t *o, const char *plain,
                        const char *b64, const char *as)
{
    const json_t *text = json_object_get(o, plain);
    const json_t *coded = json_object_get(o, b64);
    CLEANUP(buf_deinit) struct buf bytes = BUF_NULL;
    bool ok = true;

    if (json_is_string(text)) {
        ok = set_hash(
            r, o, as,
            bytes_of(json_string_value(text), json_string_length(text)));
    } else if (json_is_string(coded) &&
               base64_decode(&bytes, json_string_value(coded),
                             json_string_length(coded))) {
        ok = set_hash(r, o, as, bytes_of(bytes.data, bytes.len));
    }
    if (!json_is_array(text)) { /* which is gone through */
        (void)json_object_del(o, plain);
    }
    (void)json_object_del(o, b64);
    return ok;
}

/* --- sentences ----------------------------------------------------------- */

static bool replace(json_t *o, const char *member, const char *with)
{
    if (json_object_get(o, member) == NULL) {
        return true;
    }
    return json_object_set_new(o, member,
                               with[0] != '\0' ? json_string(with)
                                               : json_null()) == 0;
}

/* In ERRORs, findings and events. */
static bool blunt(json_t *o)
{
    json_int_t id = json_integer_value(json_object_get(o, "id"));
    json_int_t dr = json_integer_value(json_object_get(o, "dr"));
    int number = (int)(id != 0 ? id : dr);

    return replace(o, "text", dr_text(number)) &&
           replace(o, "hint", dr_hint(number)) && replace(o, "message", "");
}

/* --- all of it ----------------------------------------------------------- */

static bool walk(const struct redact *r, json_t *value, const char *member);

static bool redact_members(const struct redact *r, json_t *o,
                           const char *member)
{
    const char *name;
    json_t *inner;
    void *next;
    bool ok = hash_member(r, o, "table", "table_b64", "table_hash") &&
              hash_member(r, o, "key", "key_b64", "key_hash") && blunt(o);

    if (strcmp(member, "ignored") == 0) { /* of what lies in the database */
        (void)json_object_del(o, "path");
        (void)json_object_del(o, "path_b64");
    }
    json_object_foreach_safe(o, next, name, inner)
    {
        ok = ok && walk(r, inner, name);
    }
    return ok;
}

static bool walk(const struct redact *r, json_t *value, const char *member)
{
    json_t *inner;
    size_t i;
    bool ok = true;

    if (json_is_object(value)) {
        return redact_members(r, value, member);
    }
    json_array_foreach(value, i, inner) {
        ok = ok && walk(r, inner, member);
    }
    return ok;
}

bool redact_object(const struct redact *r, json_t *object)
{
    return walk(r, object, "");
}

static bool redact_line(const struct redact *r, const char *line, size_t len,
                        struct buf *out)
{
    json_t *o = json_loadb(line, len, 0, NULL);

    if (o == NULL) {
        return true;
    }
    bool ok = redact_object(r, o);
    char *text = ok ? json_dumps(o, JSON_INDENT(1)) : NULL;
    json_decref(o);
    if (text != NULL) {
        buf_put(out, text, strlen(text));
        buf_u8(out, '\n');
    }
    free(text);
    return text != NULL && !out->bad;
}

bool redact_lines(const struct redact *r, struct bytes text, struct buf *out)
{
    const char *at = (const char *)text.p;
    size_t left = text.len;
    bool ok = true;

    while (left > 0 && ok) {
        const char *end = memchr(at, '\n', left);
        size_t len = end != NULL ? (size_t)(end - at) : left;
        ok = redact_line(r, at, len, out);
        left -= len + (end != NULL);
        at += len + (end != NULL);
    }
    return ok;
}
