/* SPDX-License-Identifier: MIT
 *
 * looks: see reader.h.
 *
 * Happy path: reader_key() puts a request in the queue; reader_flush() takes up
 * to BATCH_READS of them into a job, which is worked here when there are only a
 * few and the pool is idle, else on the pool; the answers are handed on and the
 * requests kept for reuse.
 * Failures: a job that grew too large in memory gives back what it did not get
 * to; when the pool takes no work the job is done here.
 */
#include "agent/read/reader.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "agent/read/reader_impl.h"

enum {
    /* So few are done at once: a look at a warm file takes 8 us, the way to
     * the pool and back 20 to 50 us. */
    INLINE_READS = 8,
    JOBS_MAX = 4,
    SPARES_MAX = 256,
    DIRS_MAX = 256,
    ARENA_KEEP_BYTES = 1024 * 1024,
    COPY_EACH_BYTES = 32 << 20, /* in memory; copied in some 3 ms */
    COPY_MEMORY_BYTES = 64 << 20,
};

struct reader *reader_new(uv_loop_t *loop, const struct reader_events *events,
                          void *arg)
{
    struct reader *l = calloc(1, sizeof *l);

    if (l == NULL) {
        return NULL;
    }
    holders_init(&l->holders, 1);
    l->loop = loop;

    l->on = *events;
    l->arg = arg;
    l->copies = (struct copy_room){.each_bytes = COPY_EACH_BYTES,
                                   .memory_bytes = COPY_MEMORY_BYTES,
                                   .dir_fd = -1};
    dircache_init(&l->dirs, DIRS_MAX);
    return l;
}

void reader_set_copies(struct reader *l, int dir_fd)
{
    l->copies.dir_fd = dir_fd;
}

void reader_set_root(struct reader *l, struct root *root)
{
    root_unref(l->root);
    l->root = root != NULL ? root_ref(root) : NULL;
    dircache_clear(&l->dirs);
}

static struct request *request_new(struct reader *l, uint64_t id)
{
    struct request *q = l->spare;

    if (q != NULL) {
        l->spare = q->next;
        l->spares--;
    } else {
        q = malloc(sizeof *q);
    }
    if (q == NULL) {
        struct err err = {0};
        (void)err_set(&err, ERR_NOMEM, 0, "out of memory");
        l->on.key_read(
            l->arg, id,
            &(struct read_answer){.result = READ_ERROR, .err = &err});
        return NULL;
    }
    q->id = id;
    q->dir = NULL;
    q->err = (struct err){0};
    return q;
}

static void request_free(struct reader *l, struct request *q)
{
    if (l->spares == SPARES_MAX) {
        free(q);
        return;
    }
    q->next = l->spare;
    l->spare = q;
    l->spares++;
}

static void enqueue(struct reader *l, struct request *q, struct bytes table,
                    struct bytes key)
{
    assert(table.len + key.len <= sizeof q->names);
    q->table_len = table.len;
    q->key_len = key.len;
    if (table.len > 0) {
        memcpy(q->names, table.p, table.len);
    }
    if (key.len > 0) {
        memcpy(q->names + table.len, key.p, key.len);
    }
    DL_APPEND(l->queue, q);
    l->queued++;
}

void reader_key(struct reader *l, uint64_t id, struct bytes table,
                struct bytes key, size_t inline_max)
{
    struct request *q = request_new(l, id);

    if (q == NULL) {
        return;
    }
    q->is_table = false;

    q->inline_max = inline_max;
    enqueue(l, q, table, key);
}

void reader_table(struct reader *l, uint64_t id, struct bytes table)
{
    struct request *q = request_new(l, id);

    if (q == NULL) {
        return;
    }
    q->is_table = true;

    enqueue(l, q, table, (struct bytes){0});
}

bool reader_busy(const struct reader *l)
{
    return l->queued > 0 || l->jobs > 0;
}

/* --- jobs ---------------------------------------------------------------- */

static struct read_batch *job_take(struct reader *l)
{
    struct read_batch *job = l->idle;

    if (job != NULL) {
        l->idle = job->next;
    } else {
        job = calloc(1, sizeof *job);
    }
    if (job == NULL) {
        return NULL;
    }
    job->reader = l;
    job->root = root_ref(l->root);
    job->count = 0;
    job->work.data = job;
    return job;
}

static void job_give(struct reader *l, struct read_batch *job)
{
    root_unref(job->root);
    job->root = NULL;
    if (job->arena.cap > ARENA_KEEP_BYTES) {
        buf_deinit(&job->arena);
    }
    job->next = l->idle;
    l->idle = job;
}

/* Move requests from the queue's head into the job. */
static void job_load(struct reader *l, struct read_batch *job, size_t max)
{
    while (l->queue != NULL && job->count < max) {
        struct request *q = l->queue;
        if (!q->is_table) {
            q->dir = dircache_take(&l->dirs, q->names, q->table_len);
            if (q->dir == NULL) {
                return; /* no memory now: the next flush tries again */
            }
        }
        DL_DELETE(l->queue, q);
        l->queued--;
        job->reqs[job->count++] = q;
    }
}

static void answer(struct reader *l, struct request *q)
{
    if (l->freeing) {
        return;
    }
    if (q->is_table) {
        l->on.table_read(l->arg, q->id, q->r.result, q->r.err);
    } else {
        l->on.key_read(l->arg, q->id, &q->r);
    }
}

static void job_finish(struct reader *l, struct read_batch *job)
{
    for (size_t i = 0; i < job->done; i++) {
        struct request *q = job->reqs[i];
        if (q->dir != NULL) {
            dircache_give(&l->dirs, q->dir);
        }
        answer(l, q);
        request_free(l, q);
    }
    for (size_t i = job->count; i > job->done; i--) {
        struct request *q = job->reqs[i - 1];
        if (q->dir != NULL) {
            dircache_give(&l->dirs, q->dir);
        }
        q->dir = NULL;
        DL_PREPEND(l->queue, q);
        l->queued++;
    }
    job_give(l, job);
}

static void on_work(uv_work_t *work)
{
    struct read_batch *job = work->data;

    reader_work(job, &job->reader->holders);
}

static void on_worked(uv_work_t *work, int status)
{
    struct read_batch *job = work->data;
    struct reader *l = job->reader;

    (void)status; /* never cancelled */
    l->jobs--;
    job_finish(l, job);
    if (l->freeing) {
        reader_try_free(l);
    } else {
        reader_flush(l);
    }
}

static void answer_lost(struct reader *l)
{
    while (l->queue != NULL) {
        struct request *q = l->queue;
        DL_DELETE(l->queue, q);
        l->queued--;
        q->r = (struct read_answer){.result = READ_ROOT_LOST};
        answer(l, q);
        request_free(l, q);
    }
}

/* One job; false: nothing more can be begun now. */
static bool begin_job(struct reader *l)
{
    bool here = l->queued <= INLINE_READS && l->jobs == 0;

    if (l->queued == 0 || (!here && l->jobs == JOBS_MAX)) {
        return false;
    }
    struct read_batch *job = job_take(l);
    if (job == NULL) {
        return false;
    }
    size_t half = (l->queued + 1) / 2;
    job_load(l, job, half < 16 ? 16 : half < BATCH_READS ? half : BATCH_READS);
    if (job->count == 0) {
        job_give(l, job);
        return false;
    }
    if (!here && uv_queue_work(l->loop, &job->work, on_work, on_worked) == 0) {
        l->jobs++;
        return true;
    }
    reader_work(job, &l->holders);
    job_finish(l, job);
    return true;
}

void reader_flush(struct reader *l)
{
    /* Answers may bring new requests and another flush: this loop sees them. */
    if (l->flushing) {
        return;
    }
    l->flushing = true;
    if (l->root == NULL) {
        answer_lost(l);
    } else {
        while (begin_job(l)) {
            ;
        }
    }
    l->flushing = false;
}

/* --- end ----------------------------------------------------------------- */

void reader_try_free(struct reader *l)
{
    if (!l->freeing || l->jobs > 0 || l->streams_busy > 0) {
        return;
    }
    while (l->queue != NULL) {
        struct request *q = l->queue;
        DL_DELETE(l->queue, q);
        free(q);
    }
    while (l->spare != NULL) {
        struct request *q = l->spare;
        l->spare = q->next;
        free(q);
    }
    while (l->idle != NULL) {
        struct read_batch *job = l->idle;
        l->idle = job->next;
        buf_deinit(&job->arena);
        buf_deinit(&job->scratch);
        free(job);
    }
    dircache_clear(&l->dirs);
    root_unref(l->root);
    holders_deinit(&l->holders);
    void (*freed)(void *arg) = l->freed;
    void *arg = l->freed_arg;
    free(l);
    if (freed != NULL) {
        freed(arg);
    }
}

void reader_free(struct reader *l, void (*freed)(void *arg), void *arg)
{
    l->freeing = true;
    l->freed = freed;
    l->freed_arg = arg;
    reader_streams_drop(l);
    reader_try_free(l);
}
