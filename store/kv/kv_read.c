/* SPDX-License-Identifier: MIT
 *
 * kv_read: get and has. */
#include <stdio.h>
#include <stdlib.h>

#include "store/base/cleanup.h"
#include "store/base/json_out.h"
#include "store/kv/kv.h"

enum {
    /* Up to this a value is read whole and its lock given back before it is
     * printed: a pager at the other end must not keep writers waiting. */
    WHOLE_MAX_BYTES = 64 << 20,
    PIECE_BYTES = 1 << 20,
};

/* A value too large for that, straight through; the share lock is held. */
static int print_pieces(struct kv *kv, struct drover_reader *reader)
{
    CLEANUP(freep) char *piece = malloc(PIECE_BYTES);
    struct drover_error err;
    int64_t n;

    if (piece == NULL) {
        return cmdline_fail(&kv->line, EX_OSERR, "out of memory");
    }
    while ((n = drover_read(reader, piece, PIECE_BYTES, &err)) > 0) {
        if (fwrite(piece, 1, (size_t)n, kv->line.out) != (size_t)n) {
            return EX_IOERR; /* cmdline_main() says why */
        }
    }
    return n < 0 ? kv_fail(kv, &err) : EXIT_GOOD;
}

static int print_value(struct kv *kv, struct drover_bytes key)
{
    struct drover_error err;
    void *value;
    size_t len;

    if (drover_get(kv->db, kv->table, key, kv->timeout_ms, &value, &len, &err) <
        0) {
        return kv_fail(kv, &err);
    }
    if (kv->line.json) {
        struct json_out j = kv_json_begin(kv);
        kv_json_place(&j, kv, key);
        json_uint(&j, "size", len);
        json_bytes(&j, "value", value, len);
        kv_json_end(kv, &j);
    } else {
        (void)fwrite(value, 1, len, kv->line.out);
    }
    drover_free(value);
    return EXIT_GOOD;
}

int kv_get(struct cmdline *line)
{
    struct kv *kv = kv_of(line);
    struct drover_bytes key = drover_text(kv->line.words[0]);
    struct drover_reader *reader;
    struct drover_error err;
    uint64_t size;

    if (drover_read_open(kv->db, kv->table, key, kv->timeout_ms, &reader, &size,
                         &err) < 0) {
        return kv_fail(kv, &err);
    }
    if (size > WHOLE_MAX_BYTES && !kv->line.json) {
        int rc = print_pieces(kv, reader);
        drover_read_close(reader);
        return rc;
    }
    drover_read_close(reader);
    return print_value(kv, key);
}

int kv_has(struct cmdline *line)
{
    struct kv *kv = kv_of(line);
    struct drover_bytes key = drover_text(kv->line.words[0]);
    struct drover_error err;

    int has = drover_has(kv->db, kv->table, key, &err);
    if (has < 0) {
        return kv_fail(kv, &err);
    }
    if (kv->line.json) {
        struct json_out j = kv_json_begin(kv);
        kv_json_place(&j, kv, key);
        json_bool(&j, "exists", has == 1);
        kv_json_end(kv, &j);
    }
    return has == 1 ? EXIT_GOOD : EXIT_BAD;
}
