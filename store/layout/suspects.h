/* SPDX-License-Identifier: MIT
 *
 * suspects: keys that may be what a killed flockd writer left.
 *
 * flockd's temporary of a key with '*' in its name is named like the file of
 * another key (startemp.h), and once its writer is dead nothing tells the one
 * from the other: it is a key, for flockd's readers, for libdrover and for
 * replicas, and no sweep removes it.  This names those that may be none to
 * somebody who knows: beside the key that they would be of, with the stat of a
 * temporary, and not locked by a writer.
 *
 * Reads only.  Asks for a share lock, never waiting, and not for the lock of a
 * placeholder (placeholder.h).
 */
#pragma once

#include <stddef.h>

#include "store/base/err.h"
#include "store/layout/db.h"

/* One, and the key it may be a temporary of; borrowed for the call.  A result
 * other than 0 ends the search. */
typedef int (*suspect_fn)(void *arg, const char *table, size_t table_len,
                          const char *key, size_t key_len, const char *of,
                          size_t of_len);

/* Of the whole database.  0, what `fn` returned, or the first ERR_* met after
 * all was visited. */
int suspects_find(const struct db *db, suspect_fn fn, void *arg,
                  struct err *err) MUSTCHECK;
