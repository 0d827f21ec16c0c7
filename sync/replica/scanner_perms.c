/* SPDX-License-Identifier: MIT
 *
 * scanner_perms: a scan sets owners, groups and modes, and tells of it; see
 * scanner.h. */
#include <inttypes.h>
#include <string.h>

#include "store/base/quote.h"
#include "sync/index/scan.h"
#include "sync/replica/disk/perms.h"
#include "sync/replica/receive.h"

/* A value from before is told by its ctime while what the primary undoes is
 * kept aside (trash_link()): then keys stay as they are, and have their turn
 * later. */
void scanner_perms_begin(const struct receive *rv, unsigned how,
                         struct perms_pass *d, struct scan_options *opt)
{
    d->modes = rv->disk.modes;
    d->count_only = (how & WIRE_SCAN_VIEW) != 0 && (how & WIRE_SCAN_PERMS) == 0;
    d->hold_keys = atomic_load(&rv->disk.undo_since_ns) != 0;
    opt->perms_dir = perms_pass_dir;
    opt->perms_key = perms_pass_key;
    opt->perms_arg = d;
}

static void say_unset(const struct perms_pass *d)
{
    const char *why = d->sys != 0 ? strerror(d->sys) : "asked only to look";

    replica_say(
        "the owner, group or mode of %" PRIu64 " %s not set, such as of "
        "table %s%s%s: %s",
        d->unset, d->unset == 1 ? "file is" : "files are",
        QUOTED_TABLE(d->table, d->table_len), d->is_table ? "" : ", key ",
        d->is_table ? "" : QUOTED(d->key, d->key_len), why);
}

void scanner_perms_end(struct receive *rv, uint64_t id,
                       const struct perms_pass *d)
{
    struct scanner *s = &rv->scanner;
    struct wire_modes m = {.id = id,
                           .set = d->set,
                           .unset = d->unset,
                           .sys = d->sys,
                           .is_table = d->unset == 0 || d->is_table,
                           .table = bytes_of(d->table, d->table_len),
                           .key = bytes_of(d->key, d->key_len)};

    if (d->set > 0) {
        replica_say("set owner, group or mode of %" PRIu64 " %s", d->set,
                    d->set == 1 ? "file" : "files");
    }
    if (d->unset > 0) {
        say_unset(d);
    }
    s->perms_due = d->held > 0;
    s->modes_unset = d->unset > 0;
    s->young = s->young || d->set > 0;
    receiver_modes(rv->core, &m);
}
