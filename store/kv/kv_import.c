/* SPDX-License-Identifier: MIT
 *
 * kv_import: a file becomes a value. */
#include "store/kv/kv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int kv_import(struct kv *kv)
{
    struct drover_error err;

    if (access(kv->argv[1], R_OK) < 0) {
        (void)fprintf(stderr, "drover-kv: %s: %s\n", kv->argv[1],
                      strerror(errno));
        return errno == EACCES ? KV_NO_PERMISSION : KV_NO_DB;
    }
    int rc = drover_import(kv->db, kv->table, drover_text(kv->argv[0]),
                           kv->argv[1], kv->timeout_ms, &err);
    return rc < 0 ? kv_fail(&err) : KV_OK;
}
