/* SPDX-License-Identifier: MIT
 *
 * uncompared: keys and tables that a comparison ends without, each with the
 * reason.
 *
 * Whatever was changed before an operator's question and is not acknowledged by
 * the replica was not compared: it is locked, it changes while it is read, it
 * cannot be read, the replica refuses it, or it is just on its way.  Such a key
 * is no difference, for nobody knows; but whoever is told "equal" must not
 * believe that it is.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/base/err.h"
#include "sync/wire/wire.h"

enum uncompared_why {
    UNCOMPARED_LOCKED = 1,
    UNCOMPARED_CHANGING,
    UNCOMPARED_UNREADABLE,
    UNCOMPARED_REFUSED, /* the replica cannot put it in place */
    UNCOMPARED_PENDING, /* on its way, or waiting for its turn */
};

struct uncompared_key {
    enum uncompared_why why;
    bool on_primary; /* the reason is there, else on the replica */
    bool is_table;
    struct bytes table, key; /* with `text` in one block of the list's, at
                                table.p */
    struct bytes text;       /* a sentence with the names and the reason */
    int sys;                 /* errno there, 0: not known */
    int id;                  /* DR-nnn */
};

struct uncompared {
    struct uncompared_key *keys; /* at most `max` of them */
    size_t n, cap, max;
    uint64_t count; /* of all */
};

struct flight;
struct primary;
struct record;
struct repl;

/* Add what the replica, or the index, has not got of what was hinted up to
 * `barrier`, and what is stalled (stalled.c) of later changes. */
void uncompared_gather(struct primary *p, const struct repl *r,
                       uint64_t barrier, struct uncompared *out);
/* Is that key one of them? */
bool uncompared_has(struct primary *p, const struct repl *r, uint64_t barrier,
                    struct digest name);
/* The record's oldest flight to that member of the log which counts, or NULL.
 */
const struct flight *uncompared_oldest(const struct record *rec, int replica,
                                       uint64_t barrier);
/* Why that change is not there, but for the names: into *out, and in a
 * sentence; `f`: NULL when it is still in the log. */
void uncompared_explain(const struct primary *p, const struct record *rec,
                        const struct flight *f, struct uncompared_key *out,
                        struct err *said);
/* Add one more; names and text are copied.  It is counted whatever happens. */
void uncompared_add(struct uncompared *u, const struct uncompared_key *k);
/* Is it one of the names that are kept? */
bool uncompared_lists(const struct uncompared *u, bool is_table,
                      struct bytes table, struct bytes key);
void uncompared_free(struct uncompared *u);

/* "locked", "changing", "unreadable", "refused" or "pending". */
const char *uncompared_word(enum uncompared_why why);
/* The text as an error. */
void uncompared_err(const struct uncompared_key *k, struct err *err);
