/* SPDX-License-Identifier: MIT
 *
 * role: is a directory a replica or a primary, and the change from one to the
 * other (promote, demote).
 *
 * META_DIR/replica alone decides: with it the directory is a replica, whatever
 * else is there; without it META_DIR/id makes it a primary.  So each change has
 * exactly one step that counts, and before and after it the directory is whole:
 *
 *     promote   write id, epoch (stored + 1)  |  remove `replica`  |  clean up
 *     demote    keep the values aside         |  write `replica`   |  clean up
 *
 * Whatever was cut off in the middle is finished by the same command typed
 * again.  Agents and receivers look at the same file: an agent refuses a
 * directory with it, a receiver one without it (but with an id).
 *
 * Who is kept out meanwhile: promote holds the receivers' lock (session.h);
 * agents hold a share lock on META_DIR/agent while they run, and demote takes
 * it exclusively.  That file is private: a lock that every reader can take
 * would let every reader keep the operator out for ever.  An agent that cannot
 * open it, and one of Drover 0.1, holds META_DIR/id, which counts only when its
 * holder could have opened the private file, too: root, an owner, or who may
 * read everything.  An agent that is not seen so finds the new role, or epoch,
 * within seconds by itself.
 *
 * Kept values: what a demoted primary had and nobody else ever got must not
 * vanish when its new primary overwrites it.  demote links every value into
 * META_DIR/kept-EPOCH/ (kept.h reads it); as values are replaced by renaming,
 * the links cost space only where something changes.  What differs once the new
 * primary's copy is here is exactly what was lost on the way.
 *
 * Nothing here prints; blocking.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sync/replica/meta/meta.h"
#include "sync/replica/meta/session.h"

#define META_FILE_PROMOTED "promoted"
#define META_KEPT "kept-"

enum role { ROLE_NONE, ROLE_REPLICA, ROLE_PRIMARY };

struct role_facts {
    enum role role;
    uint8_t db_id[META_ID_BYTES];
    uint64_t epoch;          /* a primary's, or the last one followed */
    struct meta_ident ident; /* of a replica */
};

/* ERR_CORRUPT when the deciding file makes no sense. */
int role_inspect(int meta_fd, struct role_facts *out,
                 struct err *err) MUSTCHECK;

/* Open DIR for a change of its role: as meta_inspect(), and only for root and
 * the owner of META_DIR, because what is written there stays his (ERR_PERM says
 * how to become him). */
int role_open(struct meta *m, const char *dir, struct err *err) MUSTCHECK;

/* Keep agents away from a primary until the descriptors are closed.
 * ERR_TIMEOUT names the agent that runs. */
struct role_hold {
    int agent_fd, id_fd; /* -1: none */
};
int role_hold_primary(const struct meta *m, struct role_hold *out,
                      struct err *err) MUSTCHECK;
void role_hold_end(struct role_hold *h);

/* --- promote ------------------------------------------------------------- */

struct role_promote {
    bool force;     /* also from a live receiver, also an incomplete copy */
    uint64_t epoch; /* 0: the next one */
};

/* How it was, for the operator. */
struct role_promoted {
    uint64_t was, epoch;
    bool fresh_known;
    struct meta_freshness fresh; /* of the copy, when it was promoted */
};

enum { ROLE_THERE = 1 }; /* it is what it should become already */

/* Make the replica a primary; a primary (ROLE_THERE) is cleaned up, and given
 * o->epoch if that is higher than its own.  Refusals have a number. */
int role_promote(struct meta *m, const struct role_promote *o,
                 struct role_promoted *out, struct err *err) MUSTCHECK;

/* --- demote -------------------------------------------------------------- */

struct role_demoted {
    uint64_t epoch; /* of the term that ended */
    uint64_t kept;  /* values */
};

/* Make the primary a replica that waits for a primary with a higher epoch.
 * `discard`: keep no values aside. */
int role_demote(struct meta *m, bool discard, struct role_demoted *out,
                struct err *err) MUSTCHECK;

/* --- kept values --------------------------------------------------------- */

/* Link all values into META_KEPT EPOCH; an unfinished or older one of that
 * name is replaced. */
int role_keep(struct meta *m, uint64_t epoch, uint64_t *values_out,
              struct err *err) MUSTCHECK;

/* One kept value that is not what the database has now; `fd` reads it (from its
 * beginning with pread() only).  A failure ends the comparison. */
typedef int (*role_differs_fn)(void *arg, struct bytes table, struct bytes key,
                               bool gone, int fd, struct err *err);

struct role_kept {
    uint64_t epoch;
    uint64_t values, gone, different;
    uint64_t added; /* keys that are here now and were not kept */
};

/* The oldest kept term after epoch `after`; ERR_NOTFOUND when there is none.
 */
int role_kept_next(int meta_fd, uint64_t after, uint64_t *epoch_out,
                   struct err *err) MUSTCHECK;
int role_kept_compare(struct meta *m, uint64_t epoch, role_differs_fn fn,
                      void *arg, struct role_kept *out,
                      struct err *err) MUSTCHECK;
int role_kept_remove(struct meta *m, uint64_t epoch, struct err *err) MUSTCHECK;
