/* SPDX-License-Identifier: MIT
 *
 * unread: what a replica's own scan could not read.
 *
 * The replica's index holds what was there before, so its digests prove nothing
 * of it: a directory that lost its rights, a link or a mount in a table's
 * place.  It is a state, told by each scan, at the session's begin or asked
 * for, until one has read everything.  Such a replica does not keep up, and is
 * not equal as of any time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/base/err.h"
#include "sync/wire/wire.h"

struct repl;

enum { UNREAD_WHY_BYTES = 256 };

struct unread {
    uint64_t count; /* keys and tables; 0: everything was read */
    char why[UNREAD_WHY_BYTES];
};

/* A scan's word: so many, and the first of them. */
void unread_heard(struct repl *r, uint64_t count, struct bytes why);
/* false: there are none.  Else DR_REPLICA_IO, in a sentence. */
bool unread_describe(const struct repl *r, struct err *err);
