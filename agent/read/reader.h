/* SPDX-License-Identifier: MIT
 *
 * looks: looks at keys and tables, and reads large values, for the core.
 *
 * A few reads are done at once on the loop's thread (a read never blocks on a
 * lock and reads little; the way to the pool and back would cost more than the
 * look); many go to the pool in batches.  Large values are read on the pool,
 * one piece at a time.
 *
 * A key or table is reported as gone only with evidence: the directory it was
 * missed in is the one behind the table's name, and the root is our database
 * (see identity_check()).  Results come through callbacks, always on the loop's
 * thread, never before reader_flush() or a stream call is made; a callback may
 * ask for more.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "agent/identity/root.h"
#include "sync/primary/primary.h"

struct reader;

/* As primary_key_read() and its kin; `data` and `r` are borrowed for the call.
 */
struct reader_events {
    void (*key_read)(void *arg, uint64_t id, const struct read_answer *r);
    void (*table_read)(void *arg, uint64_t id, int result,
                       const struct err *err);
    void (*stream_opened)(void *arg, uint64_t id, const struct read_answer *r);
    void (*stream_data)(void *arg, uint64_t id, const void *data, size_t n,
                        const struct read_answer *r);
    void (*stream_zeros)(void *arg, uint64_t id, uint64_t n);
};

/* NULL: out of memory. */
struct reader *reader_new(uv_loop_t *loop, const struct reader_events *events,
                          void *arg);
/* Where to look from now on; NULL: the root is lost, and everything is answered
 * with READ_ROOT_LOST.  Takes a reference. */
void reader_set_root(struct reader *l, struct root *root);
/* Copies of values that are too large for memory go, without a name, to this
 * directory; borrowed, must outlive `l`. */
void reader_set_copies(struct reader *l, int dir_fd);
/* Look at a key, or at a table; queued until reader_flush(). */
void reader_key(struct reader *l, uint64_t id, struct bytes table,
                struct bytes key, size_t inline_max);
void reader_table(struct reader *l, uint64_t id, struct bytes table);
void reader_flush(struct reader *l);
/* True while reads are queued or under way. */
bool reader_busy(const struct reader *l);

/* copy: read it into a copy first (large_copy()). */
void reader_stream_open(struct reader *l, uint64_t id, struct bytes table,
                        struct bytes key, bool copy);
void reader_stream_read(struct reader *l, uint64_t id, size_t bytes);
void reader_stream_close(struct reader *l, uint64_t id);

/* No callback follows; `freed` is called when the pool has let go. */
void reader_free(struct reader *l, void (*freed)(void *arg), void *arg);
