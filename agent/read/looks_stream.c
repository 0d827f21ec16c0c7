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
 * Failures: what cannot be opened is answered like a look; a value that changed
 * while it was read ends with LOOK_CHANGING.  A stream closed while a job runs
 * is freed when the job is back.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

#include "agent/read/looks_impl.h"

/* Writers often wait no longer than 10 ms for a lock. */
enum { HOLD_MS = 5 };

struct large_stream {
    struct large_stream *prev, *next;
    struct looks *looks;
    struct root *root;
    uint64_t id;
    int dir_fd;
    struct large *large;
    uv_work_t work;
    bool busy, closed, opening, copy;
    struct looked r;
    struct err err;
    uint8_t *data;
    size_t cap, want, got;
    uint64_t zeros;
    size_t table_len, key_len;
    uint8_t names[TABLE_MAX_BYTES + KEY_MAX_BYTES];
};

static void stream_free(struct looks *l, struct large_stream *s)
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

static struct large_stream *find(struct looks *l, uint64_t id)
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
    s->r = (struct looked){.result = LOOK_ERROR, .err = &s->err};
}

/* On a worker.  Without room for a copy the file is read, as at the first try.
 */
static int copy_now(struct large_stream *s)
{
    int rc = large_copy(s->large, &s->looks->copies, &s->r.look, &s->err);

    if (rc > 0) {
        s->r.result = rc;
    }
    return rc;
}

/* On a worker. */
static void open_now(struct large_stream *s)
{
    s->r = (struct looked){0};
    int rc = dircache_open(&s->root->db, s->names, s->table_len, &s->err);
    if (rc >= 0) {
        s->dir_fd = rc;
        rc = large_open(s->dir_fd, s->names + s->table_len, s->key_len, HOLD_MS,
                        &s->large, &s->r.look, &s->err);
        if (rc > 0) {
            s->r.result = looks_evidence(rc, s->dir_fd, s->names + s->table_len,
                                         s->key_len);
        }
        if (rc == LOOK_VALUE && s->copy) {
            rc = copy_now(s);
        }
    } else if (rc == ERR_NOTFOUND) {
        s->r.result = LOOK_GONE;
        rc = 0;
    }
    if (rc < 0) {
        failed(s);
    }
    looks_prove_gone(s->root, &s->r, &s->err);
    if (s->r.result == LOOK_BUSY) {
        looks_find_holder(&s->looks->holders, &s->r);
    }
    if (s->r.result == LOOK_VALUE) {
        looks_set_age(&s->r);
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
    s->r = (struct looked){0};
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
        s->r.result = LOOK_CHANGING;
        return;
    }
    int rc = n < 0 ? (int)n : large_finish(s->large, &s->r.look, &s->err);
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
    struct looks *l = s->looks;

    (void)status;
    l->streams_busy--;
    s->busy = false;
    if (s->closed) {
        stream_free(l, s);
        looks_try_free(l);
        return;
    }
    /* The callback may close the stream: take what it needs first. */
    struct looked r = s->r;
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
    int rc = uv_queue_work(s->looks->loop, &s->work, on_work, on_worked);

    if (rc == 0) {
        s->busy = true;
        s->looks->streams_busy++;
    }
    return rc;
}

static const struct err no_memory = {.code = ERR_NOMEM, .msg = "out of memory"};

static void open_failed(struct looks *l, uint64_t id)
{
    l->on.stream_opened(
        l->arg, id, &(struct looked){.result = LOOK_ERROR, .err = &no_memory});
}

void looks_stream_open(struct looks *l, uint64_t id, struct bytes table,
                       struct bytes key, bool copy)
{
    if (l->root == NULL) {
        l->on.stream_opened(l->arg, id,
                            &(struct looked){.result = LOOK_ROOT_LOST});
        return;
    }
    struct large_stream *s = calloc(1, sizeof *s);
    if (s == NULL) {
        open_failed(l, id);
        return;
    }
    assert(table.len + key.len <= sizeof s->names);
    s->looks = l;
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

void looks_stream_read(struct looks *l, uint64_t id, size_t bytes)
{
    struct large_stream *s = find(l, id);
    const struct looked lost = {.result = LOOK_ERROR, .err = &no_memory};

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

void looks_stream_close(struct looks *l, uint64_t id)
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

void looks_streams_drop(struct looks *l)
{
    struct large_stream *s, *next;

    DL_FOREACH_SAFE(l->streams, s, next) {
        s->closed = true;
        if (!s->busy) {
            stream_free(l, s);
        }
    }
}
