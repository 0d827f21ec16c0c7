/* SPDX-License-Identifier: MIT
 *
 * unread: what a replica's own scan could not read.
 *
 * The replica's index holds what was there before, so its digests prove nothing
 * of it: a directory that lost its rights, a link or a mount in a table's
 * place.  It is a state, told by each scan, at the session's begin or asked
 * for, and by a receiver that sees it come and go (BLIND), until everything was
 * read.  Such a replica does not keep up, and is not equal as of any time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/base/err.h"
#include "sync/wire/wire.h"

struct primary;
struct repl;

enum { UNREAD_WHY_BYTES = 256 };

struct unread {
    uint64_t count; /* keys and tables; 0: everything was read */
    char why[UNREAD_WHY_BYTES];
    int64_t logged_ms; /* the log had a line of it; 0: not yet */
};

/* A scan's word: so many, and the first of them. */
void unread_heard(struct repl *r, uint64_t count, struct bytes why);
/* The receiver's word between scans: a receiver may send it at any rate. */
void unread_told(struct primary *p, struct repl *r, const struct wire_blind *m);
/* false: there are none.  Else DR_REPLICA_IO, in a sentence. */
bool unread_describe(const struct repl *r, struct err *err);
