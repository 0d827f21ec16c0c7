/* SPDX-License-Identifier: MIT
 *
 * cmd_adopt: `drover-replica adopt`: a copy made by other means becomes a
 * replica. */
#include <string.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "sync/replica/commands/commands.h"

/* Epoch 0: the first agent that comes with this id is taken, whatever its
 * epoch. */
static int adopt(const char *dir, const uint8_t id[META_ID_BYTES],
                 struct err *err)
{
    struct meta_modes modes = {.dir_mode = META_DIR_MODE,
                               .file_mode = META_FILE_MODE,
                               .group = (gid_t)-1};
    struct meta m;
    struct meta_ident ident = {.epoch = 0};
    int rc = meta_open(&m, dir, &modes, err);

    if (rc != 0) {
        return rc;
    }
    rc = meta_ident_read(m.fd, &ident, err);
    if (rc == 0 && memcmp(ident.db_id, id, META_ID_BYTES) != 0) {
        char hex[META_ID_TEXT];
        meta_id_text(ident.db_id, hex);
        rc = err_set(err, ERR_REFUSED, 0,
                     "%s is a copy of database %s already; to give it up "
                     "remove %s/" META_DIR "/" META_FILE_REPLICA,
                     dir, hex, dir);
        err->id = DR_OTHER_DATABASE;
    } else if (rc == ERR_NOTFOUND) {
        memcpy(ident.db_id, id, META_ID_BYTES);
        rc = geteuid() == 0 ? meta_ident_write_as_owner(m.fd, &ident, err)
                            : meta_ident_write(m.fd, &ident, &modes, err);
    }
    meta_close(&m);
    return rc;
}

int cmd_adopt(struct cmdline *line)
{
    const char *dir = line->words[0], *hex = line->words[1];
    CLEANUP(buf_deinit) struct buf b = BUF_NULL;
    uint8_t id[META_ID_BYTES];
    struct err err = {0};

    if (!meta_id_parse(hex, id)) {
        return cmdline_fail_usage(line,
                                  "a database id has 32 hexadecimal digits");
    }
    if (adopt(dir, id, &err) != 0) {
        return commands_fail(line, &err);
    }
    if (line->json) {
        struct json_out j = commands_json(&b, dir);
        json_text(&j, "role", "replica");
        json_text(&j, "database", hex);
        cmdline_json_end(line, &j);
        return EXIT_GOOD;
    }
    (void)fprintf(line->out,
                  "%s: a replica of %s; the first session compares and repairs "
                  "it\n",
                  dir, hex);
    return EXIT_GOOD;
}
