/* SPDX-License-Identifier: MIT
 *
 * restore: values that were kept aside, copied into a directory of their own.
 *
 * A replica is read only, so nothing is put back in place: the values come into
 * a new directory, laid out as a database, from where they are given to the
 * primary.  Names of tables and keys come from a disk that others may write to,
 * and are checked like names from the wire.
 */
#pragma once

#include "store/base/err.h"
#include "store/layout/db.h"
#include "sync/wire/wire.h"

/* Make the directory (0700), or take an empty one, and open it as a database.
 * The caller closes it.  ERR_EXISTS: there is something in it. */
int restore_open(struct db *out, const char *path, struct err *err) MUSTCHECK;
/* Copy what can be read from descriptor `from` (a regular file) to this key;
 * an earlier value is replaced.  Durable but for the name. */
int restore_value(const struct db *out, struct bytes table, struct bytes key,
                  int from, struct err *err) MUSTCHECK;
