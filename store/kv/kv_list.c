/* SPDX-License-Identifier: MIT
 *
 * kv_list: keys, each and tables. */
#include "store/base/json_out.h"
#include "store/base/quote.h"
#include "store/kv/kv.h"

static int on_key(void *arg, struct drover_bytes key)
{
    struct kv *kv = arg;

    if (kv->line.json) {
        struct json_out j = kv_json_begin(kv);
        kv_json_place(&j, kv, key);
        kv_json_end(kv, &j);
    } else {
        kv_print_name(kv, key);
    }
    return 0;
}

/* A table that is missing is another answer than one that is empty. */
static int end_of(struct kv *kv, int rc, const struct drover_error *err)
{
    return rc < 0 ? kv_fail(kv, err) : EXIT_GOOD;
}

int kv_keys(struct cmdline *line)
{
    struct kv *kv = kv_of(line);
    struct drover_error err;

    return end_of(kv,
                  drover_keys(kv->db, kv->table, kv->prefix, DROVER_LIST_SORTED,
                              on_key, kv, &err),
                  &err);
}

static int on_pair(void *arg, struct drover_bytes key,
                   struct drover_bytes value)
{
    struct kv *kv = arg;

    if (kv->line.json) {
        struct json_out j = kv_json_begin(kv);
        kv_json_place(&j, kv, key);
        json_uint(&j, "size", value.len);
        json_bytes(&j, "value", value.data, value.len);
        kv_json_end(kv, &j);
    } else if (kv->null) {
        kv_print_name(kv, key);
        kv_print_name(kv, value);
    } else {
        quote_shell_buf(&kv->out, key.data, key.len);
        buf_u8(&kv->out, '\t');
        quote_shell_buf(&kv->out, value.data, value.len);
        buf_u8(&kv->out, '\n');
        kv_print_line(kv);
    }
    return 0;
}

int kv_each(struct cmdline *line)
{
    struct kv *kv = kv_of(line);
    struct drover_error err;

    return end_of(kv,
                  drover_each(kv->db, kv->table, kv->prefix, DROVER_LIST_SORTED,
                              kv->timeout_ms, on_pair, kv, &err),
                  &err);
}

static int on_table(void *arg, struct drover_bytes table)
{
    struct kv *kv = arg;

    if (kv->line.json) {
        struct json_out j = kv_json_begin(kv);
        json_bytes(&j, "table", table.data, table.len);
        kv_json_end(kv, &j);
    } else {
        kv_print_name(kv, table);
    }
    return 0;
}

int kv_tables(struct cmdline *line)
{
    struct kv *kv = kv_of(line);
    struct drover_error err;

    return end_of(kv,
                  drover_tables(kv->db, DROVER_LIST_SORTED, on_table, kv, &err),
                  &err);
}
