/* SPDX-License-Identifier: MIT
 *
 * met: what a verify's own scan met.
 *
 * The scan that comes before a comparison brings the index up to date, and what
 * it finds changed is sent to the replicas at once.  So the comparison that
 * follows may find both ends equal, though the replica had a wrong value when
 * the operator asked.  Here the scan's findings are kept, less what was moving:
 * keys that an event told of meanwhile are being replicated, not different.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sync/wire/wire.h"

enum { MET_NAMES_MAX = 1000, MET_MOVED_MAX = 1 << 17 };

struct met;

struct met_name {
    bool is_table;
    struct bytes table, key; /* owned */
};

struct met *met_new(void); /* NULL: out of memory */
void met_free(struct met *m);
/* An event told of this key (NULL: of this table). */
void met_moved(struct met *m, struct bytes table, const struct bytes *key);
/* The scan found that the index was wrong about it. */
void met_found(struct met *m, struct bytes table, const struct bytes *key);
/* The scan is over and all events up to its end were told. */
void met_close(struct met *m);
/* After met_close(): what was found and did not move.  More than MET_NAMES_MAX
 * have no names: *beyond_out.  With more events than can be remembered nothing
 * is known to stand still: 0. */
size_t met_names(const struct met *m, const struct met_name **names_out,
                 uint64_t *beyond_out);
