/* SPDX-License-Identifier: MIT
 *
 * receiver_end: frames out, and how the session ends; see receiver_core.h.
 */
#include <errno.h>
#include <string.h>

#include "store/base/quote.h"
#include "sync/errors/hint.h"
#include "sync/errors/state.h"
#include "sync/receiver/receiver_core.h"

int receiver_send(struct receiver *r, struct buf *b, struct err *err)
{
    int rc = 0;

    if (b->bad) {
        rc = err_set(err, ERR_NOMEM, 0, "no memory for an answer");
    } else if (b->len > 0) {
        (void)pthread_mutex_lock(&r->send_mutex);
        rc = r->ops->send(r->ctx, b->data, b->len, err);
        (void)pthread_mutex_unlock(&r->send_mutex);
    }
    buf_clear(b);
    return rc;
}

bool receiver_fatal(const struct err *err)
{
    switch (err->code) {
    case ERR_READONLY: /* the disk gave up, or was mounted so */
    case ERR_GONE:     /* the directory is not the one we opened */
    case ERR_CLOSED:   /* the shell must leave: another receiver took over */
    case ERR_REFUSED:
        return true;
    default:
        return err->sys == EIO || err->sys == EROFS || err->sys == EUCLEAN;
    }
}

static int dr_of(const struct err *err)
{
    if (err->id != DR_NONE) {
        return err->id;
    }
    if (err->sys == EIO || err->sys == EUCLEAN || err->code == ERR_READONLY) {
        return DR_REPLICA_IO;
    }
    switch (err->code) {
    case ERR_PROTO:
        return DR_PROTOCOL;
    case ERR_NOSPACE:
        return DR_REPLICA_FULL;
    case ERR_GONE:
    case ERR_PERM:
        return DR_REPLICA_DIR;
    default:
        return DR_INSTALL;
    }
}

void receiver_end(struct receiver *r, const struct err *err)
{
    (void)pthread_mutex_lock(&r->mutex);
    bool first = !r->ended;
    r->ended = true;
    (void)pthread_mutex_unlock(&r->mutex);
    if (!first || (err->code == ERR_CLOSED && err->id == DR_NONE)) {
        return;
    }
    struct err numbered = *err;
    numbered.id = dr_of(err);
    const char *hint = hint_of(&numbered);
    struct wire_error m = {
        .id = (uint16_t)numbered.id,
        .text = bytes_of(err->msg, strlen(err->msg)),
        .hint = bytes_of(hint, strlen(hint)),
    };
    struct buf b = BUF_NULL;
    struct err ignored; /* the agent learns it from the end of the stream */
    wire_put_error(&b, &m);
    (void)receiver_send(r, &b, &ignored);
    buf_deinit(&b);
}

void receiver_nak(struct buf *out, uint64_t seq, struct bytes table,
                  struct bytes key, const struct err *err)
{
    struct err e = *err;

    if (key.p != NULL) {
        err_wrap(&e, "table %s, key %s", QUOTED_TABLE(table.p, table.len),
                 QUOTED(key.p, key.len));
    } else {
        err_wrap(&e, "table %s", QUOTED_TABLE(table.p, table.len));
    }
    struct wire_nak m = {
        .seq = seq,
        .code = (uint16_t)-e.code,
        .sys = e.sys,
        .text = bytes_of(e.msg, strlen(e.msg)),
    };
    wire_put_nak(out, &m);
}

int receiver_sync_all(struct receiver *r, struct err *err)
{
    (void)pthread_mutex_lock(&r->mutex);
    bool relaxed = r->relaxed;
    (void)pthread_mutex_unlock(&r->mutex);
    if (relaxed || r->ops->sync_all == NULL) {
        return 0;
    }
    if (r->ops->sync_all(r->ctx, err) != 0) {
        return err_wrap(err, "make the database durable");
    }
    (void)pthread_mutex_lock(&r->mutex);
    r->all_synced = true;
    (void)pthread_mutex_unlock(&r->mutex);
    return 0;
}

int receiver_sync_earlier(struct receiver *r, struct err *err)
{
    (void)pthread_mutex_lock(&r->mutex);
    bool synced = r->all_synced;
    (void)pthread_mutex_unlock(&r->mutex);
    return synced ? 0 : receiver_sync_all(r, err);
}
