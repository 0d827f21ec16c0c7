/* SPDX-License-Identifier: MIT
 *
 * cmd_demote: `drover-replica demote`: what was kept, and what to type next.
 * What it does is in role.h. */
#include <inttypes.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/quote.h"
#include "sync/replica/commands/commands.h"
#include "sync/replica/role/role.h"

static void report_demoted(FILE *out, const char *dir,
                           const struct role_demoted *d, bool kept)
{
    const char *path = QUOTED(dir, strlen(dir));

    (void)fprintf(
        out,
        "%s is a replica now, for a primary with an epoch higher than "
        "%" PRIu64 "\n",
        dir, d->epoch);
    if (kept) {
        (void)fprintf(
            out,
            "kept      its %" PRIu64 " values, in %s/" META_DIR "/" META_KEPT
            "%" PRIu64 " (as links: they take space "
            "only where\n"
            "          something changes); what the new primary lacks "
            "or has otherwise, when the\n"
            "          copy is complete: drover-replica kept %s\n",
            d->kept, dir, d->epoch, path);
    }
    (void)fprintf(out,
                  "next      1. the receiver's user must own it, with the "
                  "readers' group, as for a new replica:\n"
                  "             chown -Rh drover-recv:GROUP %s\n"
                  "             chmod -R u=rwX,g=rX,o= %s\n"
                  "             find %s -type d -exec chmod g+s {} +\n"
                  "          2. a line for the new primary's key in "
                  "~drover-recv/.ssh/authorized_keys:\n"
                  "             restrict,command=\"drover-replica receive %s "
                  "--group GROUP\" ssh-ed25519 ...\n"
                  "          3. on the new primary: a [replica ...] for this "
                  "host, then drover reload\n",
                  path, path, path, dir);
}

static void print_json(struct cmdline *line, const char *dir,
                       const struct role_demoted *d, bool kept)
{
    CLEANUP(buf_deinit) struct buf b = BUF_NULL;
    struct json_out j = commands_json(&b, dir);

    json_text(&j, "role", "replica");
    json_uint(&j, "epoch", d->epoch);
    if (kept) {
        json_uint(&j, "kept", d->kept);
    } else {
        json_none(&j, "kept");
    }
    cmdline_json_end(line, &j);
}

int cmd_demote(struct cmdline *line)
{
    struct role_demoted d;
    struct err err = {0};
    struct meta m;
    char room[PATH_MAX];
    bool discard = replica_line_of(line)->discard;
    int rc = role_open(&m, line->words[0], &err);
    const char *dir = commands_whole_path(line->words[0], room);

    if (rc != 0) {
        return commands_refused(line, dir, &err);
    }
    rc = role_demote(&m, discard, &d, &err);
    meta_close(&m);
    if (rc < 0) {
        return commands_refused(line, dir, &err);
    }
    if (line->json) {
        print_json(line, dir, &d, rc != ROLE_THERE && !discard);
    } else if (rc == ROLE_THERE) {
        (void)fprintf(line->out, "%s is a replica already, epoch %" PRIu64 "\n",
                      dir, d.epoch);
    } else {
        report_demoted(line->out, dir, &d, !discard);
    }
    return EXIT_GOOD;
}
