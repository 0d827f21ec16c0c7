/* SPDX-License-Identifier: MIT
 *
 * kv_table: mktable, drop and sweep. */
#include <string.h>

#include "store/base/json_out.h"
#include "store/base/quote.h"
#include "store/kv/kv.h"

/* What was done with the table that is named, as JSON. */
static int answer(struct kv *kv, const char *done)
{
    struct drover_bytes table = drover_text(kv->line.words[0]);

    if (kv->line.json) {
        struct json_out j = kv_json_begin(kv);
        json_bytes(&j, "table", table.data, table.len);
        json_bool(&j, done, true);
        kv_json_end(kv, &j);
    }
    return EXIT_GOOD;
}

int kv_mktable(struct cmdline *line)
{
    struct kv *kv = kv_of(line);
    struct drover_error err;

    return drover_table_create(kv->db, drover_text(kv->line.words[0]), &err) < 0
               ? kv_fail(kv, &err)
               : answer(kv, "there");
}

int kv_drop(struct cmdline *line)
{
    struct kv *kv = kv_of(line);
    struct drover_error err;

    return drover_table_drop(kv->db, drover_text(kv->line.words[0]),
                             kv->timeout_ms, &err) < 0
               ? kv_fail(kv, &err)
               : answer(kv, "dropped");
}

/* Nothing removes it but its name, typed by somebody who knows. */
static void say_suspect(const struct kv *kv, struct buf *line,
                        struct drover_bytes table, struct drover_bytes key,
                        struct drover_bytes of)
{
    buf_printf(line, "%s: a key, or what a killed writer of key ",
               QUOTED(key.data, key.len));
    buf_printf(line, "%s left in table ", QUOTED(of.data, of.len));
    buf_printf(line, "%s; if nothing needs it: drover-kv ",
               QUOTED_TABLE(table.data, table.len));
    quote_shell_buf(line, kv->line.place, strlen(kv->line.place));
    buf_printf(line, " delete --table ");
    quote_shell_buf(line, table.data, table.len);
    buf_printf(line, " -- ");
    quote_shell_buf(line, key.data, key.len);
    buf_u8(line, '\n');
}

static int on_suspect(void *arg, struct drover_bytes table,
                      struct drover_bytes key, struct drover_bytes of)
{
    struct kv *kv = arg;

    if (kv->line.json) {
        struct json_out j = kv_json_begin(kv);
        json_bytes(&j, "table", table.data, table.len);
        json_bytes(&j, "key", key.data, key.len);
        json_bytes(&j, "of", of.data, of.len);
        kv_json_end(kv, &j);
        return 0;
    }
    say_suspect(kv, &kv->out, table, key, of);
    kv_print_line(kv);
    return 0;
}

int kv_sweep(struct cmdline *line)
{
    struct kv *kv = kv_of(line);
    struct drover_error err;

    return drover_sweep(kv->db, &err) < 0 ||
                   drover_suspects(kv->db, on_suspect, kv, &err) < 0
               ? kv_fail(kv, &err)
               : EXIT_GOOD;
}
