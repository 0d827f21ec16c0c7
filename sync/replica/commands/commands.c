/* SPDX-License-Identifier: MIT
 *
 * commands: see commands.h. */
#include "sync/replica/commands/commands.h"

#include <stdlib.h>
#include <string.h>

#include "sync/errors/hint.h"

int commands_fail(struct cmdline *line, const struct err *err)
{
    char hint[HINT_ROOM];

    replica_hint(hint, err);
    return cmdline_fail_err(line, replica_exit_of(err), err, hint);
}

int commands_refused(struct cmdline *line, const char *dir, struct err *err)
{
    bool by_directory = err->id != DR_RECEIVER_BUSY &&
                        (err->code == ERR_REFUSED || err->code == ERR_CORRUPT ||
                         err->code == ERR_NOTFOUND);

    (void)err_wrap(err, "%s", dir);
    return cmdline_fail_err(
        line, by_directory ? EX_CONFIG : replica_exit_of(err), err, "");
}

const char *commands_whole_path(const char *dir, char room[PATH_MAX])
{
    return realpath(dir, room) != NULL ? room : dir;
}

struct json_out commands_json(struct buf *b, const char *dir)
{
    struct json_out j = cmdline_json_begin(b);

    json_bytes(&j, "path", dir, strlen(dir));
    return j;
}
