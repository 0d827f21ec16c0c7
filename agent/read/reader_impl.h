/* SPDX-License-Identifier: MIT
 *
 * looks_impl: what reader.c (queue, batches, loop) and reader_work.c (what is
 * done on a worker) and reader_stream.c share.  Not for others.
 */
#pragma once

#include "agent/read/dircache.h"
#include "agent/read/reader.h"
#include "store/base/buf.h"
#include "store/layout/copy.h"
#include "store/layout/holders.h"
#include "store/layout/name.h"

enum {
    BATCH_READS = 64,              /* reads per job on the pool */
    BATCH_BYTES = 4 * 1024 * 1024, /* values per job: then the rest waits */
};

/* One look, from the queue through a job to its answer. */
struct request {
    struct request *prev, *next;
    uint64_t id;
    bool is_table;
    size_t inline_max;
    size_t table_len, key_len;
    struct dircache_entry *dir; /* NULL for a table */
    bool used_dir;
    /* the answer */
    struct read_answer r;
    struct err err;
    size_t value_at, value_len; /* in the job's arena */
    uint8_t names[TABLE_MAX_BYTES + KEY_MAX_BYTES];
};

struct read_batch {
    struct read_batch *next;
    uv_work_t work;
    struct reader *reader;
    struct root *root;
    struct request *reqs[BATCH_READS];
    size_t count;
    size_t done; /* answered; the others go back to the queue */
    struct buf arena, scratch;
};

/* On a worker (or, for few, on the loop): answer the job's requests. */
void reader_work(struct read_batch *job, struct holders *holders);
/* `rc` of value_read() or large_open(), or READ_NOT_A_KEY where it is no
 * evidence that the key is gone. */
int looks_evidence(int rc, int dir_fd, const void *key, size_t key_len);
/* Look whether what was not found is really gone; turns the answer into
 * READ_ROOT_LOST when the root is not ours. */
void reader_prove_gone(const struct root *root, struct read_answer *r,
                       struct err *err);
/* Fill in who holds the lock that made the read BUSY. */
void reader_find_holder(struct holders *holders, struct read_answer *r);
/* ... and the age of what was found. */
void reader_set_age(struct read_answer *r);

/* A large value that is being read (reader_stream.c). */
struct large_stream;

struct reader {
    uv_loop_t *loop;
    struct reader_events on;
    void *arg;
    struct root *root;
    struct dircache dirs;
    struct holders holders;
    struct copy_room copies;
    struct request *queue; /* utlist DL */
    struct request *spare;
    size_t queued, spares;
    struct read_batch *idle; /* jobs to reuse */
    size_t jobs;             /* on the pool */
    bool flushing;
    struct large_stream *streams;
    size_t streams_busy;
    bool freeing;
    void (*freed)(void *arg);
    void *freed_arg;
};
void reader_try_free(struct reader *l);
void reader_streams_drop(struct reader *l);
