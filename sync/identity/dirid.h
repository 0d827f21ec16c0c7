/* SPDX-License-Identifier: MIT
 *
 * dirid: is the directory that a replica's link leads to the one that was there
 * before?
 *
 * Each replica has a random id of its own in META_DIR/replica.  The primary's
 * end remembers per replica which id it met, whether that directory was
 * complete once, and how many keys it had then.  A complete one is asked for by
 * its id: a receiver that finds nothing in its place (a disk that is not
 * mounted), or another replica, refuses before it writes anything.  A directory
 * that never was complete is not asked for: nothing is lost with it.  And one
 * id behind two names is one directory, or a copy of one: the second is turned
 * away.
 *
 * The operator takes what is there: `anew`.  It gets another id then, so the
 * old directory, should it come back, is a stranger, and so is a copy to its
 * original.
 *
 * Pure; the shell keeps what is remembered (ACT_MET).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sync/wire/wire.h"

struct dirid {
    uint8_t id[WIRE_DIRID_BYTES]; /* zero: none was met */
    bool complete;                /* it was, once */
    uint64_t keys;                /* when it last was */
    bool anew;                    /* take what is there */
};

bool dirid_known(const uint8_t id[WIRE_DIRID_BYTES]);

/* What the hello says of it. */
void dirid_ask(const struct dirid *d, struct wire_hello *hello);
/* The receiver has refused with DR_REPLICA_BLANK or DR_REPLICA_OTHER: say it in
 * the operator's words.  Other errors stay as they are. */
void dirid_explain(const struct dirid *d, const char *name, struct err *err);
/* The receiver's id came.  0: as it was, DIRID_NEW: to be noted; ERR_REFUSED
 * when a receiver let a session begin that should not have. */
enum { DIRID_NEW = 1 };
int dirid_met(struct dirid *d, const char *name,
              const uint8_t id[WIRE_DIRID_BYTES], struct err *err) MUSTCHECK;
/* `name` has come with the id that is `owner`'s. */
int dirid_twice(const char *name, const char *owner, struct err *err);
/* It was proven equal, with so many keys.  True: to be noted. */
bool dirid_complete(struct dirid *d, uint64_t keys);
/* The operator takes what is there. */
void dirid_anew(struct dirid *d);
