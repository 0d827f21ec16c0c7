/* SPDX-License-Identifier: MIT
 *
 * facts: see facts.h. */
#include "sync/replica/commands/facts.h"

#include "sync/replica/commands/commands.h"
#include "sync/replica/disk/stages.h"

static int gather(const struct meta *m, struct facts *f, struct err *err)
{
    int rc = role_inspect(m->fd, &f->role, err);

    if (rc != 0) {
        return rc;
    }
    f->known = f->role.role == ROLE_REPLICA;
    f->ident = f->role.ident;
    rc = meta_freshness_read(m->fd, &f->fresh, err);
    f->fresh_known = rc == 0 && f->fresh.fresh_ns > 0;
    f->fresh_broken = rc == ERR_CORRUPT;
    if (rc != 0 && rc != ERR_NOTFOUND && rc != ERR_CORRUPT) {
        return rc;
    }
    f->live = session_live(m->fd, &f->holder, err);
    f->undone = trash_count(m->fd, UNDONE_DIR);
    return 0;
}

int facts_gather(struct cmdline *line, struct facts *out)
{
    struct err err = {0};
    struct meta m;

    *out = (struct facts){.dir = line->words[0]};
    int rc = meta_inspect(&m, out->dir, &err);
    if (rc == 0) {
        rc = gather(&m, out, &err);
        meta_close(&m);
    }
    if (rc == ERR_NOTFOUND) {
        return cmdline_fail(line, EX_UNAVAILABLE, "%s is not a replica: %s",
                            out->dir, err.msg);
    }
    return rc != 0 ? commands_fail(line, &err) : EXIT_GOOD;
}
