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
static int copy_stdin(struct kv *kv, struct drover_writer *writer)
{
    CLEANUP(freep) char *piece = malloc(PIECE_BYTES);
    struct drover_error err;

    if (piece == NULL) {
        return cmdline_fail(&kv->line, EX_OSERR, "out of memory");
    }
    for (;;) {
        ssize_t n = sys_read(STDIN_FILENO, piece, PIECE_BYTES);
        if (n < 0) {
            return cmdline_fail(&kv->line, EX_IOERR, "read stdin: %s",
                                strerror(errno));
        }
        if (n == 0) {
            return EXIT_GOOD;
        }
        if (drover_write(writer, drover_bytes(piece, (size_t)n), &err) < 0) {
            return kv_fail(kv, &err);
        }
    }
}

/* The value is the second argument, or all of stdin. */
static int fill(struct kv *kv, struct drover_writer *writer)
{
    struct drover_error err;

    if (kv->line.count < 2) {
        return copy_stdin(kv, writer);
    }
    return drover_write(writer, drover_text(kv->line.words[1]), &err) < 0
               ? kv_fail(kv, &err)
               : EXIT_GOOD;
}

static int write_key(struct kv *kv, enum drover_write_mode mode)
{
    struct drover_writer *writer;
    struct drover_error err;

    if (drover_write_begin(kv->db, kv->table, drover_text(kv->line.words[0]),
                           mode, &writer, &err) < 0) {
        return kv_fail(kv, &err);
    }
    int rc = fill(kv, writer);
    if (rc == EXIT_GOOD &&
        drover_write_commit(writer, kv->timeout_ms, &err) == 0) {
        kv_say_set(kv);
        return EXIT_GOOD;
    }
    if (rc == EXIT_GOOD) {
        rc = kv_fail(kv, &err);
    }
    drover_write_abort(writer);
    return rc;
}

int kv_set(struct cmdline *line)
{
    return write_key(kv_of(line), DROVER_WRITE_SET);
}

/* The answer may be clear before stdin is read. */
int kv_create(struct cmdline *line)
{
    struct kv *kv = kv_of(line);
    struct drover_error err;

    if (drover_has(kv->db, kv->table, drover_text(kv->line.words[0]), &err) ==
        1) {
        return cmdline_fail(line, EXIT_BAD, "the key exists already");
    }
    return write_key(kv, DROVER_WRITE_CREATE);
}

int kv_update(struct cmdline *line)
{
    return write_key(kv_of(line), DROVER_WRITE_UPDATE);
}

int kv_delete(struct cmdline *line)
{
    struct kv *kv = kv_of(line);
    int rc = EXIT_GOOD;

    for (size_t i = 0; i < line->count; i++) {
        struct drover_bytes key = drover_text(kv->line.words[i]);
        struct drover_error err;
        int deleted =
            drover_delete(kv->db, kv->table, key, kv->timeout_ms, &err);
        if (deleted < 0) {
            rc = kv_fail(kv, &err);
            continue;
        }
        if (kv->line.json) {
            struct json_out j = kv_json_begin(kv);
            kv_json_place(&j, kv, key);
            json_bool(&j, "deleted", deleted == 1);
            kv_json_end(kv, &j);
        }
    }
    return rc;
}
