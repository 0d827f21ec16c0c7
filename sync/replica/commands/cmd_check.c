/* SPDX-License-Identifier: MIT
 *
 * cmd_check: `drover-replica check`: does the directory serve as a replica?
 * With the options of `receive`, beside which owners, groups and modes are
 * judged. */
#include "store/base/cleanup.h"
#include "sync/check/finding_show.h"
#include "sync/replica/check/look.h"
#include "sync/replica/commands/commands.h"

/* Were any of them given? */
static bool knows_modes(const struct receive_line *r)
{
    return r->group != NULL || r->dir_mode != NULL || r->file_mode != NULL;
}

static void print(struct cmdline *line, const struct findings *f)
{
    CLEANUP(buf_deinit) struct buf b = BUF_NULL;

    if (!line->json) {
        findings_print(f, false, line->out);
        return;
    }
    struct json_out j = commands_json(&b, line->words[0]);
    findings_json(f, &j);
    cmdline_json_end(line, &j);
}

int cmd_check(struct cmdline *line)
{
    CLEANUP(findings_deinit) struct findings f = FINDINGS_NULL;
    const struct replica_line *r = replica_line_of(line);
    struct receive_options o = {.group = (gid_t)-1,
                                .dir_mode = META_DIR_MODE,
                                .file_mode = META_FILE_MODE};
    struct err err = {0};

    if (receive_options_take(&r->receive, &o, &err) != 0) {
        return cmdline_fail_err(line, EX_USAGE, &err, "");
    }
    const struct meta_modes modes = {
        .dir_mode = o.dir_mode, .file_mode = o.file_mode, .group = o.group};
    char whole[PATH_MAX];
    const struct look l = {
        /* The directory's owner may not come to where root stands. */
        .dir = line->words[0][0] == '/'
                   ? line->words[0]
                   : commands_whole_path(line->words[0], whole),
        .modes = knows_modes(&r->receive) ? &modes : NULL,
        .account = "drover-recv",
    };

    look_become(&l, &f);
    look_all(&l, &f);
    print(line, &f);
    return findings_exit(&f, r->strict);
}
