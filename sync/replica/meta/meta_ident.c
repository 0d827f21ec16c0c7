/* SPDX-License-Identifier: MIT
 *
 * meta_ident: META_DIR/replica, the file that says whose copy a replica is.
 *
 *     drover-replica 1
 *     database 0f3c...
 *     epoch 2
 *     watermark 88123
 *     self 5f0b6b4ce1d04b4f8e4ad8a8a0e9d3c1
 *     origin 8f14e45fceea167a
 *     agent 6c8349cc7260ae62e3b1396831a8398f
 */
#include "sync/replica/meta/meta.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "store/base/hex.h"

/* The lines after the first three; older files lack them. */
static void read_others(const char *text, struct meta_ident *id)
{
    char hex[META_ID_TEXT];
    const char *at = strstr(text, "\nself ");

    if (at != NULL && (sscanf(at, "\nself %32[0-9a-f]", hex) != 1 ||
                       !meta_id_parse(hex, id->self))) {
        memset(id->self, 0, sizeof id->self);
    }
    at = strstr(text, "\norigin ");
    if (at != NULL && sscanf(at, "\norigin %16[0-9a-f]", hex) == 1) {
        (void)hex_decode(id->origin, sizeof id->origin, hex, strlen(hex));
    }
    at = text;
    for (size_t i = 0; i < META_AGENTS; i++) {
        at = strstr(at, "\nagent ");
        if (at == NULL || sscanf(at, "\nagent %32[0-9a-f]", hex) != 1 ||
            !meta_id_parse(hex, id->agents[i])) {
            return;
        }
        at++;
    }
}

int meta_ident_read(int meta_fd, struct meta_ident *out, struct err *err)
{
    char text[META_TEXT_MAX];
    int rc =
        meta_read(meta_fd, META_FILE_REPLICA, text, sizeof text, NULL, err);

    if (rc != 0) {
        return rc;
    }
    struct meta_ident id = {.epoch = 0};
    char hex[META_ID_TEXT];
    int n = sscanf(text,
                   "drover-replica 1\ndatabase %32[0-9a-f]\nepoch %" SCNu64
                   "\nwatermark %" SCNu64,
                   hex, &id.epoch, &id.watermark);
    if (n != 3 || !meta_id_parse(hex, id.db_id)) {
        return err_set(err, ERR_CORRUPT, 0,
                       META_DIR "/" META_FILE_REPLICA " makes no sense");
    }
    read_others(text, &id);
    *out = id;
    return 0;
}

static bool is_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] != 0) {
            return false;
        }
    }
    return true;
}

static int ident_write(int meta_fd, const struct meta_ident *ident,
                       const struct small_how *how, struct err *err)
{
    char hex[META_ID_TEXT], text[META_TEXT_MAX];

    meta_id_text(ident->db_id, hex);
    int n = snprintf(text, sizeof text,
                     "drover-replica 1\ndatabase %s\nepoch %" PRIu64
                     "\nwatermark %" PRIu64 "\norigin %s\n",
                     hex, ident->epoch, ident->watermark,
                     hex_encode((char[2 *WIRE_ORIGIN_BYTES + 1]){0},
                                ident->origin, sizeof ident->origin));
    if (!is_zero(ident->self, META_ID_BYTES)) {
        meta_id_text(ident->self, hex);
        n += snprintf(text + n, sizeof text - (size_t)n, "self %s\n", hex);
    }
    for (size_t i = 0; i < META_AGENTS; i++) {
        if (is_zero(ident->agents[i], META_ID_BYTES)) {
            break;
        }
        meta_id_text(ident->agents[i], hex);
        n += snprintf(text + n, sizeof text - (size_t)n, "agent %s\n", hex);
    }
    assert(n > 0 && (size_t)n < sizeof text);
    return meta_replace(meta_fd, META_FILE_REPLICA, text, (size_t)n, how, err);
}

int meta_ident_write(int meta_fd, const struct meta_ident *ident,
                     const struct meta_modes *modes, struct err *err)
{
    struct small_how how = {
        .mode = modes->file_mode, .group = modes->group, .durable = true};

    return ident_write(meta_fd, ident, &how, err);
}

int meta_ident_write_as_owner(int meta_fd, const struct meta_ident *ident,
                              struct err *err)
{
    struct small_how how = {.mode = META_FILE_MODE,
                            .group = (gid_t)-1,
                            .durable = true,
                            .like_dir = true};

    return ident_write(meta_fd, ident, &how, err);
}
