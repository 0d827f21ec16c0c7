/* SPDX-License-Identifier: MIT
 *
 * kv: see kv.h. */
#include "store/kv/kv.h"

#include "store/base/quote.h"

/* What this program tells apart, and others do not. */
static int exit_of(int code)
{
    switch (code) {
    case DROVER_E_NOTFOUND:
    case DROVER_E_EXISTS:
        return EXIT_BAD;
    case DROVER_E_NOTTABLE:
    case DROVER_E_CORRUPT:
        return EX_DATAERR;
    case DROVER_E_GONE:
        return EX_NOINPUT;
    case DROVER_E_NOMEM:
        return EX_OSERR;
    case DROVER_E_NOSPACE:
        return EX_CANTCREAT;
    case DROVER_E_READONLY:
        return EX_NOPERM;
    default:
        return err_exit(code, EX_IOERR);
    }
}

int kv_fail_hint(struct kv *kv, const struct drover_error *err, int status,
                 const char *hint)
{
    struct err e = {.code = err->code};

    (void)snprintf(e.msg, sizeof e.msg, "%s", err->message);
    return cmdline_fail_err(
        &kv->line, status != 0 ? status : exit_of(err->code), &e, hint);
}

int kv_fail(struct kv *kv, const struct drover_error *err)
{
    return kv_fail_hint(kv, err, 0, "");
}

void kv_print_line(struct kv *kv)
{
    if (kv->out.bad) {
        /* Seen by main(). */
        return;
    }
    (void)fwrite(kv->out.data, 1, kv->out.len, kv->line.out);
    buf_clear(&kv->out);
}

void kv_print_name(struct kv *kv, struct drover_bytes name)
{
    if (kv->null) {
        buf_put(&kv->out, name.data, name.len);
        buf_u8(&kv->out, 0);
    } else {
        quote_shell_buf(&kv->out, name.data, name.len);
        buf_u8(&kv->out, '\n');
    }
    kv_print_line(kv);
}

struct json_out kv_json_begin(struct kv *kv)
{
    return cmdline_json_begin(&kv->out);
}

void kv_json_place(struct json_out *j, const struct kv *kv,
                   struct drover_bytes key)
{
    json_bytes(j, "table", kv->table.data, kv->table.len);
    json_bytes(j, "key", key.data, key.len);
}

void kv_say_set(struct kv *kv)
{
    if (kv->line.json) {
        struct json_out j = kv_json_begin(kv);
        kv_json_place(&j, kv, drover_text(kv->line.words[0]));
        json_bool(&j, "set", true);
        kv_json_end(kv, &j);
    }
}

void kv_json_end(struct kv *kv, struct json_out *j)
{
    cmdline_json_end(&kv->line, j);
}
