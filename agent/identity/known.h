/* SPDX-License-Identifier: MIT
 *
 * known: a database whose META_DIR was lost (a clean-up, a backup without dot
 * files), recognised.
 *
 * The agent's state directory still says which id the database at a path had,
 * which epoch, and, in its index, which keys.  So nobody needs a new id, after
 * which every replica would want a new copy: the old one is named, and written
 * again by `drover init --id`.
 *
 * Blocking.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/identity/identity.h"
#include "store/layout/db.h"
#include "sync/index/index.h"

/* What an agent's state says of the database that is at this place. */
struct known_state {
    char dir[PATH_MAX]; /* the state directory */
    uint8_t id[IDENTITY_BYTES];
    uint64_t epoch; /* 0: not recorded */
};

/* Find the state directory, `dir` itself or one in it, whose record is of the
 * database's path.  False: there is none, or this user may not read it. */
bool known_find(const char *dir, const struct db *db, struct known_state *out);

/* Do the keys look like those of an index?  A sample is looked at. */
struct known_keys {
    unsigned sampled, known;
};
enum { KNOWN_SAMPLE = 1000 };
/* `live` (NULL: there is none yet) is taken when it holds something, else the
 * saved index of database `id` in the state directory.  Without either: 0 of 0.
 */
struct known_keys known_count(const struct db *db, struct index *live,
                              int state_fd, const uint8_t id[IDENTITY_BYTES]);
/* No key is there, as in a directory that its disk is not mounted on. */
bool known_is_empty(const struct db *db);
/* Most of them. */
bool known_alike(const struct known_keys *k);
