/* SPDX-License-Identifier: MIT
 *
 * view: what a scan found on the disk, beside an index that stays as it is.
 *
 * Who only asks (verify, resync --dry-run) must not change anything.  If the
 * scan put what it finds into the index, the digests of both ends would differ
 * from then on, and that is repaired by itself.  So it is kept apart: a view
 * holds, for each name where the disk is not what the index says, both; and it
 * answers as the index would if it had been told.
 *
 * A live change that comes in meanwhile goes to the index, as ever.  An entry
 * of the view counts only while the index still has what it had when the scan
 * looked, so what was installed since is seen as installed.
 *
 * Filled by one thread; afterwards read only.
 */
#pragma once

#include <stddef.h>

#include "sync/index/index.h"

struct view;

/* NULL: out of memory. */
struct view *view_new(void);
void view_free(struct view *v);
/* The index has `was` and the disk has `now`; NULL: nothing of that name.
 * ERR_NOMEM. */
int view_add(struct view *v, const struct index_entry *was,
             const struct index_entry *now, struct err *err) MUSTCHECK;
/* All is added. */
void view_close(struct view *v);

/* As index_nodes(), index_buckets(), index_list(). */
void view_nodes(const struct view *v, struct index *ix,
                struct digest out[INDEX_NODES]);
void view_buckets(const struct view *v, struct index *ix, unsigned node,
                  struct digest out[INDEX_NODES]);
int view_list(const struct view *v, struct index *ix, unsigned bucket,
              struct index_entry **out, size_t *cap, struct err *err) MUSTCHECK;
