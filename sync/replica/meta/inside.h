/* SPDX-License-Identifier: MIT
 *
 * inside: does a directory lie in a database, or a database in it?
 *
 * A replica in a directory of its primary would become a part of it, and be
 * copied into itself; one around another database would take that one's files
 * for its own.  A database is what has META_DIR/id or META_DIR/replica.
 */
#pragma once

#include "store/base/err.h"
#include "store/layout/db.h"

/* `dir_fd` is a directory: is one above it, or (`itself`) this one, a database?
 * 0 = no; ERR_REFUSED (DR_NESTED) names it. */
int inside_check(int dir_fd, bool itself, const char *path,
                 struct err *err) MUSTCHECK;
