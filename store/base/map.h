/* SPDX-License-Identifier: MIT
 *
 * map: the project's one configured include of uthash and utlist.
 *
 * Out of memory is not fatal: HASH_ADD leaves the element out and sets
 * hh.tbl to NULL, which map_added() tells.  Hashes have a key of the process,
 * so that no choice of names fills one place. */
#pragma once

#include "store/base/hash.h"

#define HASH_NONFATAL_OOM 1
#define HASH_FUNCTION(keyptr, keylen, hashv)                                   \
    ((hashv) = (unsigned)hash_local((keyptr), (keylen)))
#include <uthash.h>
#include <utlist.h>

#define map_added(elt) ((elt)->hh.tbl != NULL)
