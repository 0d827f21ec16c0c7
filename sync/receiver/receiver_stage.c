/* SPDX-License-Identifier: MIT
 *
 * receiver_stage: from a frame to a change in the queue; input thread.
 *
 * A small value (SET) is checked against its digest, staged and queued at
 * once.  A large one (SET_BEGIN, PIECE*, SET_END) is staged piece by piece
 * with a running digest and queued at its end, while small ones pass.
 * Failures: what cannot be staged (disk full, wrong digest) is answered with
 * NAK at once and leaves nothing behind; later frames of a refused stream are
 * ignored.  A failing disk ends the session.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sync/errors/state.h"
#include "sync/receiver/receiver_core.h"

/* --- changes ------------------------------------------------------------- */

static struct change *change_new(struct receiver *r, enum wire_type type,
                                 const struct wire_change *m, struct err *err)
{
    struct change *c = calloc(1, sizeof *c + m->table.len + m->key.len);

    if (c == NULL) {
        err_set(err, ERR_NOMEM, 0, "no memory for a change");
        return NULL;
    }
    c->type = type;
    c->seq = m->seq;
    c->order = r->input.next_order++;
    c->since_ms = c->behind_ms = c->reported_ms = -1;
    c->digest = m->digest;
    c->size = m->size;
    c->table_len = m->table.len;
    c->key_len = m->key.len;
    memcpy(c->names, m->table.p, m->table.len);
    if (m->key.len > 0) {
        memcpy(c->names + m->table.len, m->key.p, m->key.len);
    }
    const struct index_key *k = index_key(r->ix);
    c->table_name = index_name_table(k, m->table.p, m->table.len);
    bool of_key = type == WIRE_SET || type == WIRE_DELETE;
    c->name = of_key ? index_name_key(k, c->names, c->table_len,
                                      c->names + c->table_len, c->key_len)
                     : c->table_name;
    return c;
}

void change_free(struct receiver *r, struct change *c)
{
    while (c->superseded != NULL) {
        struct change *older = c->superseded;
        DL_DELETE(c->superseded, older);
        change_free(r, older);
    }
    if (c->stage != 0) {
        r->ops->stage_drop(r->ctx, c->stage);
    }
    free(c);
}

static void enqueue(struct receiver *r, struct change *c)
{
    (void)pthread_mutex_lock(&r->mutex);
    DL_APPEND(r->queue, c);
    r->pending++;
    r->drops += c->type == WIRE_TABLE_DROP;
    r->queued_bytes += c->stage != 0 ? c->size : 0;
    (void)pthread_mutex_unlock(&r->mutex);
}

/* A change that failed before it was queued: NAK, unless the session ends. */
static int refuse(struct receiver *r, const struct wire_change *m,
                  const struct err *err)
{
    if (receiver_fatal(err)) {
        return err->code;
    }
    receiver_nak(&r->input.out, m->seq, m->table, m->key, err);

    return 0;
}

/* --- small values -------------------------------------------------------- */

/* Is this very value in place already, and on disk?  Only an equal stat of a
 * file that we installed and synced proves it (a file that a scan found, put
 * there by hand or by a receiver that died, may be in memory alone), and only
 * when no table drop is under way that could take the key with it.  Looked at
 * again when it is applied. */
static bool is_same(struct receiver *r, const struct change *c)
{
    struct index_entry e;
    struct vstat now;
    struct err err;

    (void)pthread_mutex_lock(&r->mutex);
    bool drops = r->drops > 0;
    (void)pthread_mutex_unlock(&r->mutex);
    return !drops && index_get(r->ix, c->name, &e) && !e.is_table &&
           (e.durable || r->relaxed) && digest_equal(e.digest, c->digest) &&
           r->ops->stat(r->ctx, change_table(c), change_key(c), &now, &err) ==
               0 &&
           vstat_equal(e.stat, now);
}

static int stage_value(struct receiver *r, struct change *c, struct bytes value,
                       struct err *err)
{
    uint64_t stage = r->input.next_stage++;

    int rc =
        r->ops->stage_begin(r->ctx, stage, change_table(c), value.len, err);
    if (rc != 0) {
        return rc;
    }
    c->stage = stage; /* from here change_free() drops it */
    if (value.len > 0) {
        rc = r->ops->stage_write(r->ctx, stage, value.p, value.len, err);
    }
    return rc != 0 ? rc : r->ops->stage_end(r->ctx, stage, err);
}

static int wrong_digest(struct err *err)
{
    return err_set(err, ERR_CORRUPT, 0,
                   "the value does not have the digest it came with");
}

int stage_set(struct receiver *r, struct bytes body, struct err *err)
{
    struct wire_change *m = &r->input.frame;

    int rc = wire_get_change(WIRE_SET, body, m, err);
    if (rc != 0) {
        return rc;
    }
    if (!digest_equal(digest_of(m->value.p, m->value.len), m->digest)) {
        (void)wrong_digest(err);
        return refuse(r, m, err);
    }
    struct change *c = change_new(r, WIRE_SET, m, err);
    if (c == NULL) {
        return err->code;
    }
    c->same = is_same(r, c);
    if (!c->same && stage_value(r, c, m->value, err) != 0) {
        change_free(r, c);
        return refuse(r, m, err);
    }
    enqueue(r, c);
    return 0;
}

/* The agent believes that this very value is here.  Where it is not (an older
 * one, none, or one that may not be on disk yet), it is asked for whole. */
int stage_same(struct receiver *r, struct bytes body, struct err *err)
{
    struct wire_change *m = &r->input.frame;

    int rc = wire_get_change(WIRE_SAME, body, m, err);
    if (rc != 0) {
        return rc;
    }
    struct change *c = change_new(r, WIRE_SET, m, err);
    if (c == NULL) {
        return err->code;
    }
    c->same = is_same(r, c);
    if (!c->same) {
        change_free(r, c);
        (void)err_set(err, ERR_NOTFOUND, 0,
                      "another value is here, or none; it is needed whole");
        return refuse(r, m, err);
    }
    enqueue(r, c);
    return 0;
}

/* --- large values -------------------------------------------------------- */

static struct stream *find_stream(struct receiver *r, uint64_t seq)
{
    for (size_t i = 0; i < r->config.streams_max; i++) {
        struct stream *s = &r->input.streams[i];
        if (s->change != NULL && s->change->seq == seq) {
            return s;
        }
    }
    return NULL;
}

static struct stream *free_stream(struct receiver *r)
{
    for (size_t i = 0; i < r->config.streams_max; i++) {
        if (r->input.streams[i].change == NULL) {
            return &r->input.streams[i];
        }
    }
    return NULL;
}

/* Remember a refused stream: frames of it may be on their way. */
static void bury(struct receiver *r, uint64_t seq)
{
    r->input.dead[r->input.dead_at] = seq;
    r->input.dead_at = (r->input.dead_at + 1) % DEAD_STREAMS;
}

/* 0 when frames of this unknown stream are to be ignored. */
static int check_dead(struct receiver *r, uint64_t seq, const char *frame,
                      struct err *err)
{
    for (size_t i = 0; i < DEAD_STREAMS; i++) {
        if (r->input.dead[i] == seq) {
            return 0;
        }
    }
    err_set(err, ERR_PROTO, 0,
            "%s: no value with sequence %" PRIu64 " has begun", frame, seq);

    err->id = DR_PROTOCOL;
    return err->code;
}

static void close_stream(struct receiver *r, struct stream *s)
{
    if (s->change != NULL) {
        change_free(r, s->change);
    }
    digest_stream_free(s->running);
    *s = (struct stream){NULL, NULL};
}

void stage_close(struct receiver *r)
{
    for (size_t i = 0; i < r->config.streams_max; i++) {
        close_stream(r, &r->input.streams[i]);
    }
}

/* A stream's disk failed: NAK it and forget it, or end the session. */
static int fail_stream(struct receiver *r, struct stream *s, struct err *err)
{
    struct change *c = s->change;

    if (receiver_fatal(err)) {
        return err->code;
    }
    receiver_nak(&r->input.out, c->seq, change_table(c), change_key(c), err);
    bury(r, c->seq);
    close_stream(r, s);
    return 0;
}

static int open_stream(struct receiver *r, struct stream *s, struct err *err)
{
    struct change *c = s->change;
    uint64_t stage = r->input.next_stage++;

    s->running = digest_stream_new();
    if (s->running == NULL) {
        return err_set(err, ERR_NOMEM, 0, "no memory for a large value");
    }
    int rc = r->ops->stage_begin(r->ctx, stage, change_table(c), c->size, err);
    if (rc == 0) {
        c->stage = stage;
        c->size = 0; /* counted as it comes */
    }
    return rc;
}

int stage_set_begin(struct receiver *r, struct bytes body, struct err *err)
{
    struct wire_change *m = &r->input.frame;

    int rc = wire_get_change(WIRE_SET_BEGIN, body, m, err);
    if (rc != 0) {
        return rc;
    }
    if (find_stream(r, m->seq) != NULL) {
        err_set(err, ERR_PROTO, 0,
                "SET_BEGIN: sequence %" PRIu64 " has begun already", m->seq);
        err->id = DR_PROTOCOL;
        return err->code;
    }
    struct stream *s = free_stream(r);
    if (s == NULL) {
        err_set(err, ERR_TOOBIG, 0, "more than %zu large values at once",
                r->config.streams_max);
        bury(r, m->seq);
        return refuse(r, m, err);
    }
    s->change = change_new(r, WIRE_SET, m, err);
    if (s->change == NULL) {
        return err->code;
    }
    rc = open_stream(r, s, err);
    return rc != 0 ? fail_stream(r, s, err) : 0;
}

int stage_piece(struct receiver *r, struct bytes body, struct err *err)
{
    struct wire_piece m;

    int rc = wire_get_piece(body, &m, err);
    if (rc != 0) {
        return rc;
    }
    struct stream *s = find_stream(r, m.seq);
    if (s == NULL) {
        return check_dead(r, m.seq, "PIECE", err);
    }
    if (m.data.len == 0) {
        return 0;
    }
    rc = r->ops->stage_write(r->ctx, s->change->stage, m.data.p, m.data.len,
                             err);
    if (rc != 0) {
        return fail_stream(r, s, err);
    }
    digest_stream_update(s->running, m.data.p, m.data.len);
    s->change->size += m.data.len;
    return 0;
}

int stage_zeros(struct receiver *r, struct bytes body, struct err *err)
{
    struct wire_zeros m;

    int rc = wire_get_zeros(body, &m, err);
    if (rc != 0) {
        return rc;
    }
    struct stream *s = find_stream(r, m.seq);
    if (s == NULL) {
        return check_dead(r, m.seq, "ZEROS", err);
    }
    rc = r->ops->stage_zeros(r->ctx, s->change->stage, m.length, err);
    if (rc != 0) {
        return fail_stream(r, s, err);
    }
    digest_stream_zeros(s->running, m.length);
    return 0;
}

int stage_set_end(struct receiver *r, struct bytes body, struct err *err)
{
    struct wire_set_end m;

    int rc = wire_get_set_end(body, &m, err);
    if (rc != 0) {
        return rc;
    }
    struct stream *s = find_stream(r, m.seq);
    if (s == NULL) {
        return check_dead(r, m.seq, "SET_END", err);
    }
    if (!digest_equal(digest_stream_final(s->running), m.digest)) {
        (void)wrong_digest(err);
        return fail_stream(r, s, err);
    }
    rc = r->ops->stage_end(r->ctx, s->change->stage, err);
    if (rc != 0) {
        return fail_stream(r, s, err);
    }
    struct change *c = s->change;
    s->change = NULL;
    close_stream(r, s);
    c->digest = m.digest;
    c->order = r->input.next_order++; /* its place is that of its end */
    enqueue(r, c);
    return 0;
}

int stage_set_abort(struct receiver *r, struct bytes body, struct err *err)
{
    uint64_t seq;

    int rc = wire_get_set_abort(body, &seq, err);
    if (rc != 0) {
        return rc;
    }
    struct stream *s = find_stream(r, seq);
    if (s == NULL) {
        return check_dead(r, seq, "SET_ABORT", err);
    }
    close_stream(r, s);
    return 0;
}

/* --- DELETE, TABLE_SET, TABLE_DROP --------------------------------------- */

int stage_other(struct receiver *r, enum wire_type type, struct bytes body,
                struct err *err)
{
    struct wire_change *m = &r->input.frame;

    int rc = wire_get_change(type, body, m, err);
    if (rc != 0) {
        return rc;
    }
    struct change *c = change_new(r, type, m, err);
    if (c == NULL) {
        return err->code;
    }
    enqueue(r, c);
    return 0;
}
