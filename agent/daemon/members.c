/* SPDX-License-Identifier: MIT
 *
 * members: see members.h. */
#include "agent/daemon/members.h"

#include <stdio.h>
#include <utlist.h>

#include "agent/notes/held.h"
#include "agent/notes/pauses.h"
#include "agent/replica/left_out.h"
#include "sync/errors/state.h"

struct replica *members_take(struct daemon *d, const struct config_replica *c,
                             struct err *err)
{
    struct replica *r = replica_add(&d->replicas, c, err);

    if (r == NULL) {
        left_out_add(&d->replicas, c, err);
        return NULL;
    }
    held_recall(d->state_fd, r);
    pauses_recall(d->state_fd, r);
    dirids_recall(&d->dirids, r);
    unclean_add(&d->unclean, r);
    return r;
}

static int no_such(struct daemon *d, const char *name, struct err *err)
{
    char known[300] = "";
    size_t at = 0;
    struct replica *r;

    DL_FOREACH(d->replicas.list, r) {
        if (at < sizeof known) {
            at += (size_t)snprintf(known + at, sizeof known - at, "%s%s",
                                   at > 0 ? ", " : "", r->name);
        }
    }
    (void)err_set(err, ERR_NOTFOUND, 0, "no replica \"%s\"; there %s %s", name,
                  d->replicas.list == NULL ? "are" : "is:",
                  d->replicas.list == NULL ? "none" : known);
    err->id = DR_NO_SUCH_REPLICA;
    return err->code;
}

int members_named(struct daemon *d, const char *name, struct replica **out,
                  struct err *err)
{
    *out = replica_find(&d->replicas, name);
    if (*out == NULL && left_out_is(&d->replicas, name, err)) {
        return err->code;
    }
    return *out != NULL ? 0 : no_such(d, name, err);
}
