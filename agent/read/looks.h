/* SPDX-License-Identifier: MIT
 *
 * looks: looks at keys and tables, and reads large values, for the core.
 *
 * A few looks are done at once on the loop's thread (a look never blocks on a
 * lock and reads little; the way to the pool and back would cost more than the
 * look); many go to the pool in batches.  Large values are read on the pool,
 * one piece at a time.
 *
 * A key or table is reported as gone only with evidence: the directory it was
 * missed in is the one behind the table's name, and the root is our database
 * (see identity_check()).  Results come through callbacks, always on the loop's
 * thread, never before looks_flush() or a stream call is made; a callback may
 * ask for more.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "agent/identity/root.h"
#include "sync/primary/primary.h"

struct looks;

/* As primary_looked() and its kin; `data` and `r` are borrowed for the call. */
struct looks_events {
    void (*looked)(void *arg, uint64_t id, const struct looked *r);
    void (*looked_table)(void *arg, uint64_t id, int result,
                         const struct err *err);
    void (*stream_opened)(void *arg, uint64_t id, const struct looked *r);
    void (*stream_data)(void *arg, uint64_t id, const void *data, size_t n,
                        const struct looked *r);
    void (*stream_zeros)(void *arg, uint64_t id, uint64_t n);
};

/* NULL: out of memory. */
struct looks *looks_new(uv_loop_t *loop, const struct looks_events *events,
                        void *arg);
/* Where to look from now on; NULL: the root is lost, and everything is answered
 * with LOOK_ROOT_LOST.  Takes a reference. */
void looks_set_root(struct looks *l, struct root *root);
/* Copies of values that are too large for memory go, without a name, to this
 * directory; borrowed, must outlive `l`. */
void looks_set_copies(struct looks *l, int dir_fd);
/* Look at a key, or at a table; queued until looks_flush(). */
void looks_key(struct looks *l, uint64_t id, struct bytes table,
               struct bytes key, size_t inline_max);
void looks_table(struct looks *l, uint64_t id, struct bytes table);
void looks_flush(struct looks *l);
/* True while looks are queued or under way. */
bool looks_busy(const struct looks *l);

/* copy: read it into a copy first (large_copy()). */
void looks_stream_open(struct looks *l, uint64_t id, struct bytes table,
                       struct bytes key, bool copy);
void looks_stream_read(struct looks *l, uint64_t id, size_t bytes);
void looks_stream_close(struct looks *l, uint64_t id);

/* No callback follows; `freed` is called when the pool has let go. */
void looks_free(struct looks *l, void (*freed)(void *arg), void *arg);
