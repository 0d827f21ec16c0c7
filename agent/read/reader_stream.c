/* SPDX-License-Identifier: MIT
 *
 * looks_stream: reads large values in pieces, one job on the pool per piece.
 *
 * Happy path: open -> read ... read -> end, where the piece of length 0 carries
 * the verdict of large_finish(); the core closes the stream.
 * What changed under an earlier read is copied first, as fast as it can be, and
 * the pieces come from the copy.
 * No share lock outlives a job: what comes between two pieces is a turn of the
 * loop at best and a replica that takes nothing at worst, and no writer may
 * have to wait for these.  The end of the value is where it is validated.
 * Failures: what cannot be opened is answered like a read; a value that changed
 * while it was read ends with READ_CHANGING.  A stream closed while a job runs
 * is freed when the job is back.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

#include "agent/read/reader_impl.h"

/* Writers often wait no longer than 10 ms for a lock. */
enum { HOLD_MS = 5 };

struct large_stream {
    struct large_stream *prev, *next;
    struct reader *reader;
    struct root *root;
    uint64_t id;
    int dir_fd;
    struct large *large;
    uv_work_t work;
    bool busy, closed, opening, copy;
    struct read_answer r;
    struct err err;
    uint8_t *data;
    size_t cap, want, got;
    uint64_t zeros;
    size_t table_len, key_len;
    uint8_t names[TABLE_MAX_BYTES + KEY_MAX_BYTES];
};

static void stream_free(struct reader *l, struct large_stream *s)
{
    DL_DELETE(l->streams, s);
    large_close(s->large);
    if (s->dir_fd >= 0) {
        (void)close(s->dir_fd);
    }
    root_unref(s->root);
    free(s->data);
    free(s);
}

static struct large_stream *find(struct reader *l, uint64_t id)
{
    struct large_stream *s;

    DL_FOREACH(l->streams, s) {
        if (s->id == id && !s->closed) {
            return s;
        }
    }
    return NULL;
}

static void failed(struct large_stream *s)
{
    s->r = (struct read_answer){.result = READ_ERROR, .err = &s->err};
}

/* On a worker.  Without room for a copy the file is read, as at the first try.
 */
static int copy_now(struct large_stream *s)
{
    int rc = large_copy(s->large, &s->reader->copies, &s->r.reading, &s->err);

    if (rc > 0) {
        s->r.result = rc;
    }
    return rc;
}

/* On a worker. */
static void open_now(struct large_stream *s)
{
    s->r = (struct read_answer){0};
    int rc = dircache_open(&s->root->db, s->names, s->table_len, &s->err);
    if (rc >= 0) {
        s->dir_fd = rc;
        rc = large_open(s->dir_fd, s->names + s->table_len, s->key_len, HOLD_MS,
                        &s->large, &s->r.reading, &s->err);
        if (rc > 0) {
            s->r.result = looks_evidence(rc, s->dir_fd, s->names + s->table_len,
                                         s->key_len);
        }
        if (rc == READ_VALUE && s->copy) {
            rc = copy_now(s);
        }
    } else if (rc == ERR_NOTFOUND) {
        s->r.result = READ_GONE;
        rc = 0;
    }
    if (rc < 0) {
        failed(s);
    }
    reader_prove_gone(s->root, &s->r, &s->err);
    if (s->r.result == READ_BUSY) {
        reader_find_holder(&s->reader->holders, &s->r);
    }
    if (s->r.result == READ_VALUE) {
        reader_set_age(&s->r);
    }
}

static bool is_zeros(const uint8_t *p, size_t n)
{
    return p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

/* On a worker: the next hole or piece, or the verdict. */
static void read_now(struct large_stream *s)
{
    s->got = 0;
    s->r = (struct read_answer){0};
    s->zeros = large_zeros(s->large, WIRE_ZEROS_MAX);
    if (s->zeros > 0) {
        return;
    }
    int64_t n = large_read(s->large, s->data, s->want, &s->err);
    if (n > 0) {
        if (is_zeros(s->data, (size_t)n)) {
            s->zeros = (uint64_t)n;
        } else {
            s->got = (size_t)n;
        }
        return;
    }
    if (n == LARGE_CHANGED) {
        s->r.result = READ_CHANGING;
        return;
    }
    int rc = n < 0 ? (int)n : large_finish(s->large, &s->r.reading, &s->err);
    if (rc < 0) {
        failed(s);
    } else {
        s->r.result = rc;
    }
}

static void on_work(uv_work_t *work)
{
    struct large_stream *s = work->data;

    if (s->opening) {
        open_now(s);
    } else {
        read_now(s);
    }
    if (s->large != NULL) {
        large_release(s->large);
    }
}

static void on_worked(uv_work_t *work, int status)
{
    struct large_stream *s = work->data;
    struct reader *l = s->reader;

    (void)status;
    l->streams_busy--;
    s->busy = false;
    if (s->closed) {
        stream_free(l, s);
        reader_try_free(l);
        return;
    }
    /* The callback may close the stream: take what it needs first. */
    struct read_answer r = s->r;
    struct err err = s->err;
    if (r.err != NULL) {
        r.err = &err;
    }
    if (s->opening) {
        l->on.stream_opened(l->arg, s->id, &r);
    } else if (s->zeros > 0) {
        l->on.stream_zeros(l->arg, s->id, s->zeros);
    } else {
        l->on.stream_data(l->arg, s->id, s->data, s->got,
                          s->got > 0 ? NULL : &r);
    }
}

static int submit(struct large_stream *s)
{
    int rc = uv_queue_work(s->reader->loop, &s->work, on_work, on_worked);

    if (rc == 0) {
        s->busy = true;
        s->reader->streams_busy++;
    }
    return rc;
}

static const struct err no_memory = {.code = ERR_NOMEM, .msg = "out of memory"};

static void open_failed(struct reader *l, uint64_t id)
{
    l->on.stream_opened(
        l->arg, id,
        &(struct read_answer){.result = READ_ERROR, .err = &no_memory});
}

void reader_stream_open(struct reader *l, uint64_t id, struct bytes table,
                        struct bytes key, bool copy)
{
    if (l->root == NULL) {
        l->on.stream_opened(l->arg, id,
                            &(struct read_answer){.result = READ_ROOT_LOST});
        return;
    }
    struct large_stream *s = calloc(1, sizeof *s);
    if (s == NULL) {
        open_failed(l, id);
        return;
    }
    assert(table.len + key.len <= sizeof s->names);
    s->reader = l;
    s->root = root_ref(l->root);
    s->id = id;
    s->dir_fd = -1;
    s->opening = true;
    s->copy = copy;
    s->work.data = s;
    s->table_len = table.len;
    s->key_len = key.len;
    if (table.len > 0) {
        memcpy(s->names, table.p, table.len);
    }
    if (key.len > 0) {
        memcpy(s->names + table.len, key.p, key.len);
    }
    DL_APPEND(l->streams, s);
    if (submit(s) != 0) {
        stream_free(l, s);
        open_failed(l, id);
    }
}

void reader_stream_read(struct reader *l, uint64_t id, size_t bytes)
{
    struct large_stream *s = find(l, id);
    const struct read_answer lost = {.result = READ_ERROR, .err = &no_memory};

    if (s == NULL) {
        return; /* closed: nobody waits for an answer */
    }
    assert(!s->busy && s->large != NULL);

    if (bytes > s->cap) {
        uint8_t *data = realloc(s->data, bytes);
        if (data == NULL) {
            l->on.stream_data(l->arg, id, NULL, 0, &lost);
            return;
        }
        s->data = data;
        s->cap = bytes;
    }
    s->want = bytes;
    s->opening = false;
    if (submit(s) != 0) {
        l->on.stream_data(l->arg, id, NULL, 0, &lost);
    }
}

void reader_stream_close(struct reader *l, uint64_t id)
{
    struct large_stream *s = find(l, id);

    if (s == NULL) {
        return;
    }
    s->closed = true;

    if (!s->busy) {
        stream_free(l, s);
    }
}

void reader_streams_drop(struct reader *l)
{
    struct large_stream *s, *next;

    DL_FOREACH_SAFE(l->streams, s, next) {
        s->closed = true;
        if (!s->busy) {
            stream_free(l, s);
        }
    }
}
