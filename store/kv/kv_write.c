/* SPDX-License-Identifier: MIT
 *
 * kv_write: set, create, update and delete. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/json_out.h"
#include "store/base/sys.h"
#include "store/kv/kv.h"

enum { PIECE_BYTES = 256 * 1024 };

/* Copy stdin to the writer. */
static int copy_stdin(struct drover_writer *writer)
{
    CLEANUP(freep) char *piece = malloc(PIECE_BYTES);
    struct drover_error err;

    if (piece == NULL) {
        (void)fputs("drover-kv: out of memory\n", stderr);
        return KV_OS;
    }
    for (;;) {
        ssize_t n = sys_read(STDIN_FILENO, piece, PIECE_BYTES);
        if (n < 0) {
            (void)fprintf(stderr, "drover-kv: read stdin: %s\n",
                          strerror(errno));
            return KV_IO;
        }
        if (n == 0) {
            return KV_OK;
        }
        if (drover_write(writer, drover_bytes(piece, (size_t)n), &err) < 0) {
            return kv_fail(&err);
        }
    }
}

/* The value is the second argument, or all of stdin. */
static int fill(struct kv *kv, struct drover_writer *writer)
{
    struct drover_error err;

    if (kv->argc < 2) {
        return copy_stdin(writer);
    }
    return drover_write(writer, drover_text(kv->argv[1]), &err) < 0
               ? kv_fail(&err)
               : KV_OK;
}

static int write_key(struct kv *kv, enum drover_write_mode mode)
{
    struct drover_writer *writer;
    struct drover_error err;

    if (drover_write_begin(kv->db, kv->table, drover_text(kv->argv[0]), mode,
                           &writer, &err) < 0) {
        return kv_fail(&err);
    }
    int rc = fill(kv, writer);
    if (rc == KV_OK && drover_write_commit(writer, kv->timeout_ms, &err) == 0) {
        return KV_OK;
    }
    if (rc == KV_OK) {
        rc = kv_fail(&err);
    }
    drover_write_abort(writer);
    return rc;
}

int kv_set(struct kv *kv)
{
    return write_key(kv, DROVER_WRITE_SET);
}

/* The answer may be clear before stdin is read. */
int kv_create(struct kv *kv)
{
    struct drover_error err;

    if (drover_has(kv->db, kv->table, drover_text(kv->argv[0]), &err) == 1) {
        (void)fputs("drover-kv: the key exists already\n", stderr);
        return KV_NO;
    }
    return write_key(kv, DROVER_WRITE_CREATE);
}

int kv_update(struct kv *kv)
{
    return write_key(kv, DROVER_WRITE_UPDATE);
}

int kv_delete(struct kv *kv)
{
    int rc = KV_OK;

    for (int i = 0; i < kv->argc; i++) {
        struct drover_bytes key = drover_text(kv->argv[i]);
        struct drover_error err;
        int deleted =
            drover_delete(kv->db, kv->table, key, kv->timeout_ms, &err);
        if (deleted < 0) {
            rc = kv_fail(&err);
            continue;
        }
        if (kv->json) {
            struct json_out j = kv_json_begin(kv);
            kv_json_place(&j, kv, key);
            json_bool(&j, "deleted", deleted == 1);
            kv_json_end(kv, &j);
        }
    }
    return rc;
}
