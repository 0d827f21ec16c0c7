/* SPDX-License-Identifier: MIT
 *
 * kv_table: mktable, drop and sweep. */
#include "store/kv/kv.h"

int kv_mktable(struct kv *kv)
{
    struct drover_error err;

    return drover_table_create(kv->db, drover_text(kv->argv[0]), &err) < 0
               ? kv_fail(&err)
               : KV_OK;
}

int kv_drop(struct kv *kv)
{
    struct drover_error err;

    return drover_table_drop(kv->db, drover_text(kv->argv[0]), kv->timeout_ms,
                             &err) < 0
               ? kv_fail(&err)
               : KV_OK;
}

int kv_sweep(struct kv *kv)
{
    struct drover_error err;

    return drover_sweep(kv->db, &err) < 0 ? kv_fail(&err) : KV_OK;
}
