/* SPDX-License-Identifier: MIT
 *
 * unread: see unread.h.
 */
#include "sync/primary/unread.h"

#include <inttypes.h>
#include <string.h>

#include "sync/errors/state.h"
#include "sync/primary/primary_impl.h"

enum { LOG_MS = 60000 }; /* for what came and goes over and over */

void unread_heard(struct repl *r, uint64_t count, struct bytes why)
{
    size_t n = why.len < UNREAD_WHY_BYTES - 1 ? why.len : UNREAD_WHY_BYTES - 1;

    r->unread_there =
        (struct unread){.count = count, .logged_ms = r->unread_there.logged_ms};
    if (count > 0 && n > 0) {
        memcpy(r->unread_there.why, why.p, n);
    }
}

void unread_told(struct primary *p, struct repl *r, const struct wire_blind *m)
{
    struct unread *u = &r->unread_there;
    bool news = (u->count == 0) != (m->errors == 0);
    struct err err;

    unread_heard(r, m->errors, m->first_error);
    if (!news || (u->logged_ms != 0 && p->now_ms - u->logged_ms < LOG_MS)) {
        return;
    }
    if (unread_describe(r, &err)) {
        primary_log(p, r->id, LOG_WARNING, err.id, "%s", err.msg);
        u->logged_ms = p->now_ms;
    }
}

bool unread_describe(const struct repl *r, struct err *err)
{
    const struct unread *u = &r->unread_there;

    if (u->count == 0) {
        return false;
    }
    (void)err_set(err, ERR_IO, 0,
                  "%" PRIu64 " %s cannot be read on the replica%s%s", u->count,
                  u->count == 1 ? "key or table" : "keys or tables",
                  u->why[0] != '\0' ? ", such as: " : "", u->why);
    err->id = DR_REPLICA_IO;
    return true;
}
