/* SPDX-License-Identifier: MIT
 *
 * unread: see unread.h.
 */
#include "sync/primary/unread.h"

#include <inttypes.h>
#include <string.h>

#include "sync/errors/state.h"
#include "sync/primary/primary_impl.h"

void unread_heard(struct repl *r, uint64_t count, struct bytes why)
{
    size_t n = why.len < UNREAD_WHY_BYTES - 1 ? why.len : UNREAD_WHY_BYTES - 1;

    r->unread_there = (struct unread){.count = count};
    if (count > 0 && n > 0) {
        memcpy(r->unread_there.why, why.p, n);
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
