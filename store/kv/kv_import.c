/* SPDX-License-Identifier: MIT
 *
 * kv_import: a file becomes a value. */
#include "store/kv/kv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int kv_import(struct cmdline *line)
{
    struct kv *kv = kv_of(line);
    struct drover_error err;

    if (access(kv->line.words[1], R_OK) < 0) {
        return cmdline_fail(line, errno == EACCES ? EX_NOPERM : EX_NOINPUT,
                            "%s: %s", line->words[1], strerror(errno));
    }
    int rc = drover_import(kv->db, kv->table, drover_text(kv->line.words[0]),
                           kv->line.words[1], kv->timeout_ms, &err);
    if (rc < 0) {
        return kv_fail(kv, &err);
    }
    kv_say_set(kv);
    return EXIT_GOOD;
}
