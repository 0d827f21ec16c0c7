/* SPDX-License-Identifier: MIT
 *
 * exchanged: what stands where a key or a table was, and may have been
 * exchanged for it: no evidence that this is gone.
 *
 * Not so what flockd itself makes there: key x.kv has gone when tables are
 * below a directory of that name (`x.kv/t.tbl` is table x.kv/t), and these have
 * gone when a key has the name. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "store/layout/db.h"

/* Is `file`, a key's name, a directory in which no directory is seen?  (Also
 * one that cannot be listed.) */
bool exchanged_for_key(int dir_fd, const char *file);
/* Is a regular file that is no key in the place of the table's directory, or of
 * one above it? */
bool exchanged_for_table(const struct db *db, const void *table, size_t len);
