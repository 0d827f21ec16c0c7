/* SPDX-License-Identifier: MIT
 *
 * kv: see kv.h. */
#include "store/kv/kv.h"

#include <stdarg.h>
#include <stdio.h>

#include "store/base/json_out.h"
#include "store/base/quote.h"

static int exit_of(int code)
{
    switch (code) {
    case DROVER_E_NOTFOUND:
    case DROVER_E_EXISTS:
        return KV_NO;
    case DROVER_E_BADKEY:
    case DROVER_E_BADTABLE:
    case DROVER_E_INVALID:
        return KV_USAGE;
    case DROVER_E_NOTTABLE:
    case DROVER_E_CORRUPT:
        return KV_DATA;
    case DROVER_E_GONE:
        return KV_NO_DB;
    case DROVER_E_NOMEM:
        return KV_OS;
    case DROVER_E_NOSPACE:
        return KV_NO_SPACE;
    case DROVER_E_TIMEOUT:
        return KV_TIMEOUT;
    case DROVER_E_PERM:
    case DROVER_E_READONLY:
        return KV_NO_PERMISSION;
    default:
        return KV_IO;
    }
}

int kv_fail(const struct drover_error *err)
{
    (void)fprintf(stderr, "drover-kv: %s\n", err->message);
    return exit_of(err->code);
}

int kv_fail_usage(const char *fmt, ...)
{
    va_list ap;

    (void)fputs("drover-kv: ", stderr);
    va_start(ap, fmt);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
    (void)fputs("; see drover-kv --help\n", stderr);
    return KV_USAGE;
}

void kv_print_line(struct kv *kv)
{
    if (kv->line.bad) {
        /* Seen by main(), which looks at ferror() and at this. */
        return;
    }
    (void)fwrite(kv->line.data, 1, kv->line.len, stdout);
    buf_clear(&kv->line);
}

void kv_print_name(struct kv *kv, struct drover_bytes name)
{
    if (kv->null) {
        buf_put(&kv->line, name.data, name.len);
        buf_u8(&kv->line, 0);
    } else {
        quote_shell_buf(&kv->line, name.data, name.len);
        buf_u8(&kv->line, '\n');
    }
    kv_print_line(kv);
}

struct json_out kv_json_begin(struct kv *kv)
{
    struct json_out j = {.buf = &kv->line};

    json_begin_object(&j, NULL);
    return j;
}

void kv_json_place(struct json_out *j, const struct kv *kv,
                   struct drover_bytes key)
{
    json_bytes(j, "table", kv->table.data, kv->table.len);
    json_bytes(j, "key", key.data, key.len);
}

void kv_json_end(struct kv *kv, struct json_out *j)
{
    json_end_object(j);
    buf_u8(&kv->line, '\n');
    kv_print_line(kv);
}
