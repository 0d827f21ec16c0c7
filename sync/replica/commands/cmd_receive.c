/* SPDX-License-Identifier: MIT
 *
 * cmd_receive: `drover-replica receive`: its options, and what they are when
 * they are not given. */
#include "sync/replica/commands/commands.h"

enum { LOCK_TIMEOUT_PRESET_MS = 10000 };
#define TRASH_MAX_PRESET (UINT64_C(1) << 30)

int cmd_receive(struct cmdline *line)
{
    struct err err = {0};
    struct receive_options o = {.group = (gid_t)-1,
                                .dir_mode = META_DIR_MODE,
                                .file_mode = META_FILE_MODE,
                                .lock_timeout_ms = LOCK_TIMEOUT_PRESET_MS,
                                .sandbox = true,
                                .trash_max_bytes = TRASH_MAX_PRESET};

    if (receive_options_take(&replica_line_of(line)->receive, &o, &err) != 0) {
        return cmdline_fail_err(line, EX_USAGE, &err, "");
    }
    const struct replica_settings set = {
        .dir = o.dir,
        .modes = {.dir_mode = o.dir_mode,
                  .file_mode = o.file_mode,
                  .group = o.group},
        .policy = o.replace ? LOCK_POLICY_REPLACE : LOCK_POLICY_WAIT,
        .lock_timeout_ms = o.lock_timeout_ms,
        .sandbox = o.sandbox,
        .trash = {.keep_ns = o.trash_keep_ns, .max_bytes = o.trash_max_bytes},
    };

    return receive_run(&set);
}
