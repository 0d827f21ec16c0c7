/* SPDX-License-Identifier: MIT
 *
 * covered: is what a delete would be for really gone, or does something else
 * stand in its place?  A link that was put where a table was is no removal, so
 * what the brake holds because of it is nothing to approve. */
#pragma once

#include <stdbool.h>

#include "store/layout/db.h"
#include "sync/primary/primary.h"

/* The first of what is held whose table or key, or a directory above it, is
 * something else now: DR_COVERED, or DR_PASSED_OVER for a key, with
 * a text.  False: there is none among the names that are known. */
bool covered_held(const struct db *db, const struct primary_held *held,
                  struct err *out);
