/* SPDX-License-Identifier: MIT
 *
 * receiver: the session's life and the frames that come in; see receiver.h for
 * the story and receiver_core.h for the parts.
 *
 * A session is: magic, HELLO -> HELLO_OK, the scan at start -> READY, and
 * meanwhile and afterwards changes and questions in any order.  It ends with
 * BYE, with ERROR in either direction, with silence, or because a send fails.
 * Whatever ends it sets `ended`; later calls return ERR_CLOSED.
 */
#include "sync/receiver/receiver.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/quote.h"
#include "sync/errors/hint.h"
#include "sync/errors/state.h"
#include "sync/receiver/receiver_core.h"

enum {
    HELLO_TIMEOUT_MS = 30 * 1000,
    SILENCE_DEFAULT_MS = 30 * 1000, /* when the hello leaves it open */
    SILENCE_MIN_MS = 1000,
    SILENCE_MAX_MS = 10 * 60 * 1000,
    QUEUED_GROUPS = 8, /* as many group_bytes may be staged ahead */
};

/* --- life -------------------------------------------------------------------
 */

static struct receiver_config with_defaults(const struct receiver_config *c)
{
    struct receiver_config out = *c;

    out.group_changes = c->group_changes ? c->group_changes : 1000;
    out.group_bytes = c->group_bytes ? c->group_bytes : (size_t)8 << 20;
    out.streams_max = c->streams_max ? c->streams_max : 4;
    out.pending_max = c->pending_max ? c->pending_max : 16384;
    out.version = c->version ? c->version : "";
    return out;
}

struct receiver *receiver_new(const struct receiver_config *config,
                              const struct receiver_ops *ops, void *ctx,
                              struct index *ix)
{
    struct receiver *r = calloc(1, sizeof *r);

    if (r == NULL) {
        return NULL;
    }
    r->config = with_defaults(config);
    r->ops = ops;
    r->ctx = ctx;
    r->ix = ix;
    r->life_ms = -1;
    r->input.next_stage = 1;
    (void)pthread_mutex_init(&r->mutex, NULL);
    (void)pthread_mutex_init(&r->send_mutex, NULL);
    wire_in_init(&r->input.in);
    r->input.in.peer = "a drover agent";
    r->input.streams = calloc(r->config.streams_max, sizeof *r->input.streams);
    r->input.items = calloc(WIRE_BATCH_MAX, sizeof *r->input.items);
    r->commit.stages =
        calloc(r->config.group_changes, sizeof *r->commit.stages);
    r->commit.seqs = calloc(WIRE_BATCH_MAX, sizeof *r->commit.seqs);
    if (r->input.streams == NULL || r->input.items == NULL ||
        r->commit.stages == NULL || r->commit.seqs == NULL) {
        receiver_free(r);
        return NULL;
    }
    return r;
}

static void free_list(struct receiver *r, struct change *head)
{
    struct change *c, *next;

    DL_FOREACH_SAFE(head, c, next) {
        change_free(r, c);
    }
}

void receiver_free(struct receiver *r)
{
    if (r == NULL) {
        return;
    }
    if (r->input.streams != NULL) {
        stage_close(r);
    }
    free_list(r, r->queue);

    free_list(r, r->commit.group);
    free_list(r, r->commit.done);
    free_list(r, r->deferred.list);
    query_close(r);
    wire_in_deinit(&r->input.in);
    buf_deinit(&r->input.out);
    buf_deinit(&r->commit.out);
    free(r->input.streams);
    free(r->input.items);
    free(r->commit.stages);
    free(r->commit.seqs);
    (void)pthread_mutex_destroy(&r->mutex);
    (void)pthread_mutex_destroy(&r->send_mutex);
    free(r);
}

/* --- sending ----------------------------------------------------------------
 */

int receiver_start(struct receiver *r, struct err *err)
{
    struct buf b = BUF_NULL;

    wire_put_magic(&b);
    int rc = receiver_send(r, &b, err);
    buf_deinit(&b);
    if (rc != 0) {
        receiver_end(r, err);
    }
    return rc;
}

/* --- hello ------------------------------------------------------------------
 */

int64_t receiver_silence_ms(const struct wire_hello *hello)
{
    int64_t ms = hello->silence_ms;

    if (ms == 0) {
        return SILENCE_DEFAULT_MS;
    }
    return ms < SILENCE_MIN_MS   ? SILENCE_MIN_MS
           : ms > SILENCE_MAX_MS ? SILENCE_MAX_MS
                                 : ms;
}

bool receiver_is_asked(const struct wire_hello *hello)
{
    return hello->proto_min == WIRE_PROTO_NONE &&
           (hello->features & WIRE_FEATURE_CHECK) != 0;
}

int receiver_check_proto(const struct wire_hello *hello, const char *version,
                         struct err *err)
{
    if (hello->proto_min <= WIRE_PROTO_MAX &&
        hello->proto_max >= WIRE_PROTO_MIN) {
        return 0;
    }
    (void)err_set(err, ERR_REFUSED, 0,
                  "the agent speaks protocol %u to %u, this receiver (version "
                  "%s) %d to %d",
                  hello->proto_min, hello->proto_max, version, WIRE_PROTO_MIN,
                  WIRE_PROTO_MAX);
    err->id = DR_PROTOCOL;
    return err->code;
}

/* Find out whether the two ends and their databases fit. */
static int check_hello(struct receiver *r, const struct wire_hello *hello,
                       struct wire_hello_ok *ok, struct err *err)
{
    int rc = receiver_check_proto(hello, r->config.version, err);

    if (rc == 0) {
        rc = r->ops->identify(r->ctx, hello, ok, err);
    }
    if (rc != 0) {
        return rc;
    }
    ok->proto =
        hello->proto_max < WIRE_PROTO_MAX ? hello->proto_max : WIRE_PROTO_MAX;

    ok->features = hello->features & WIRE_FEATURES_ALL;
    if (r->ops->keep_undone == NULL) {
        ok->features &= ~(uint32_t)WIRE_FEATURE_KEEP;
    }
    r->input.keeping = (ok->features & WIRE_FEATURE_KEEP) != 0;
    r->views = (ok->features & WIRE_FEATURE_VIEW) != 0;
    r->tells_modes = (ok->features & WIRE_FEATURE_MODES) != 0;
    r->tells_edits = (ok->features & WIRE_FEATURE_EDITS) != 0;
    r->tells_blind = (ok->features & WIRE_FEATURE_BLIND) != 0;
    if (r->input.keeping && r->ops->keep_undone(r->ctx, true, err) != 0) {
        return err->code;
    }
    ok->version = bytes_of(r->config.version, strlen(r->config.version));
    return 0;
}

/* Names and leaves are hashed as the agent does.  What the index knows under
 * another key is of no use: the scan that follows finds it again. */
static int use_key(struct receiver *r, const struct wire_hello *hello,
                   struct err *err)
{
    struct index_key key;

    _Static_assert(sizeof key == sizeof hello->key, "the key as it travels");
    memcpy(&key, hello->key, sizeof key);
    if (memcmp(&key, index_key(r->ix), sizeof key) == 0) {
        return 0;
    }
    struct index *old = index_split(r->ix, &key);
    if (old == NULL) {
        return err_set(err, ERR_NOMEM, 0, "no memory for the index");
    }
    index_free(old);
    return 0;
}

/* The answer, and the end. */
static int on_question(struct receiver *r, const struct wire_hello *hello,
                       struct err *err)
{
    r->ops->check(r->ctx, hello, &r->input.out);
    wire_put_bye(&r->input.out);
    int rc = receiver_send(r, &r->input.out, err);
    return rc != 0 ? rc : RECEIVER_BYE;
}

static int on_hello(struct receiver *r, struct bytes body, struct err *err)
{
    struct wire_hello hello;
    struct wire_hello_ok ok = {0};

    int rc = wire_get_hello(body, &hello, err);
    if (rc == 0 && receiver_is_asked(&hello) && r->ops->check != NULL) {
        return on_question(r, &hello, err);
    }
    if (rc == 0) {
        rc = check_hello(r, &hello, &ok, err);
    }
    if (rc == 0) {
        rc = use_key(r, &hello, err);
    }
    if (rc != 0) {
        return rc;
    }
    (void)pthread_mutex_lock(&r->mutex);
    r->greeted = true;
    r->relaxed = hello.durability == WIRE_RELAXED;
    r->silence_ms = receiver_silence_ms(&hello);
    (void)pthread_mutex_unlock(&r->mutex);
    wire_put_hello_ok(&r->input.out, &ok);
    /* Before the scan, which may answer READY from another thread. */
    rc = receiver_send(r, &r->input.out, err);
    if (rc == 0) {
        query_scan_begin(r, 0, 0);
    }
    return rc;
}

/* --- frames in ---------------------------------------------------------------
 */

static int on_error(struct bytes body, struct err *err)
{
    struct wire_error m;

    int rc = wire_get_error(body, &m, err);
    if (rc != 0) {
        return rc;
    }
    char text[QUOTE_MSG_BYTES * 2];
    return err_set(err, ERR_CLOSED, 0, "the agent ended the session: %s",
                   quote_log(text, sizeof text, m.text.p, m.text.len));
}

static int on_bye(struct bytes body, struct err *err)
{
    int rc = wire_get_bye(body, err);

    return rc != 0 ? rc : RECEIVER_BYE;
}

static int unexpected(enum wire_type type, const char *why, struct err *err)
{
    err_set(err, ERR_PROTO, 0, "%s: %s", wire_type_name(type), why);
    err->id = DR_PROTOCOL;
    return err->code;
}

static bool is_too_early(const struct receiver *r, enum wire_type type)
{
    /* Only this thread writes `greeted`. */
    return !r->greeted && type != WIRE_HELLO && type != WIRE_BYE &&
           type != WIRE_ERROR;
}

static int on_frame(struct receiver *r, enum wire_type type, struct bytes body,
                    struct err *err)
{
    if (is_too_early(r, type)) {
        return unexpected(type, "before HELLO", err);
    }
    switch (type) {
    case WIRE_HELLO:
        return r->greeted ? unexpected(type, "a second time", err)
                          : on_hello(r, body, err);
    case WIRE_SET:
        return stage_set(r, body, err);
    case WIRE_SAME:
        return stage_same(r, body, err);
    case WIRE_SET_BEGIN:
        return stage_set_begin(r, body, err);
    case WIRE_PIECE:
        return stage_piece(r, body, err);
    case WIRE_ZEROS:
        return stage_zeros(r, body, err);
    case WIRE_SET_END:
        return stage_set_end(r, body, err);
    case WIRE_SET_ABORT:
        return stage_set_abort(r, body, err);
    case WIRE_DELETE:
    case WIRE_TABLE_SET:
    case WIRE_TABLE_DROP:
        return stage_other(r, type, body, err);
    case WIRE_PING:
        return query_ping(r, body, err);
    case WIRE_SCAN:
        return query_scan(r, body, err);
    case WIRE_TREE:
        return query_tree(r, body, err);
    case WIRE_LIST:
        return query_list(r, body, err);
    case WIRE_RESOLVE:
        return query_resolve(r, body, err);
    case WIRE_BYE:
        return on_bye(body, err);
    case WIRE_ERROR:
        return on_error(body, err);
    case WIRE_HELLO_OK:
    case WIRE_READY:
    case WIRE_ACK:
    case WIRE_NAK:
    case WIRE_BLOCKED:
    case WIRE_PONG:
    case WIRE_SCAN_DONE:
    case WIRE_NODES:
    case WIRE_LISTING:
    case WIRE_NAMES:
    case WIRE_NOTICE:
    case WIRE_UNREAD:
    case WIRE_MODES:
    case WIRE_EDITED:
    case WIRE_BLIND:
    case WIRE_FINDING:
        return unexpected(type, "a frame that only receivers send", err);
    }
    return unexpected(type, "not a frame of this protocol", err);
}

static int take_frames(struct receiver *r, struct err *err)
{
    for (;;) {
        enum wire_type type;
        struct bytes body;
        int rc = wire_in_next(&r->input.in, &type, &body, err);
        if (rc < 0 && err->id == DR_NOISE) {
            err->id = DR_PROTOCOL; /* no login shell on this side */
        }
        if (rc <= 0) {
            return rc;
        }
        rc = on_frame(r, type, body, err);
        if (rc == 0 && r->input.out.len >= SEND_AT_BYTES) {
            rc = receiver_send(r, &r->input.out, err);
        }
        if (rc != 0) {
            return rc;
        }
    }
}

static bool note_life(struct receiver *r, int64_t now_ms)
{
    (void)pthread_mutex_lock(&r->mutex);
    bool live = !r->ended;
    /* Before the hello, bytes are no sign of an agent. */
    if (r->greeted || r->life_ms < 0) {
        r->life_ms = now_ms;
    }
    (void)pthread_mutex_unlock(&r->mutex);
    return live;
}

static int already_ended(struct err *err)
{
    return err_set(err, ERR_CLOSED, 0, "the session has ended");
}

int receiver_input(struct receiver *r, const void *p, size_t n, int64_t now_ms,
                   struct err *err)
{
    if (!note_life(r, now_ms)) {
        return already_ended(err);
    }
    r->input.now_ms = now_ms;
    int rc = wire_in_add(&r->input.in, p, n, err);
    if (rc == 0) {
        rc = take_frames(r, err);
    }
    if (r->input.out.len > 0) {
        struct err other;
        int sent = receiver_send(r, &r->input.out, rc < 0 ? &other : err);
        rc = rc >= 0 && sent < 0 ? sent : rc;
    }
    if (rc < 0) {
        receiver_end(r, err);
    }
    return rc;
}

/* --- what the shell asks ------------------------------------------------- */

static bool full_locked(const struct receiver *r)
{
    return r->pending >= r->config.pending_max ||
           r->queued_bytes / QUEUED_GROUPS >= r->config.group_bytes;
}

bool receiver_full(struct receiver *r)
{
    (void)pthread_mutex_lock(&r->mutex);
    bool full = full_locked(r);
    (void)pthread_mutex_unlock(&r->mutex);
    return full;
}

bool receiver_has_work(struct receiver *r)
{
    (void)pthread_mutex_lock(&r->mutex);
    bool work = r->queue != NULL || r->deferred.list != NULL;
    (void)pthread_mutex_unlock(&r->mutex);
    return work;
}

static int check_silence(struct receiver *r, int64_t now_ms, struct err *err)
{
    int64_t allowed = r->greeted ? r->silence_ms : HELLO_TIMEOUT_MS;

    if (r->life_ms < 0 || (r->greeted && full_locked(r))) {
        /* Full: it is us who do not listen. */
        r->life_ms = now_ms;
    }
    if (now_ms - r->life_ms < allowed) {
        return 0;
    }
    return err_set(err, ERR_CLOSED, 0,
                   r->greeted ? "the agent was silent for %" PRId64 " ms"
                              : "no HELLO within %" PRId64 " ms",
                   now_ms - r->life_ms);
}

int receiver_tick(struct receiver *r, int64_t now_ms, struct err *err)
{
    struct buf b = BUF_NULL;

    (void)pthread_mutex_lock(&r->mutex);
    int rc = r->ended ? already_ended(err) : check_silence(r, now_ms, err);
    if (rc == 0) {
        deferred_report(r, &b, now_ms);
    }
    (void)pthread_mutex_unlock(&r->mutex);
    if (rc == 0) {
        rc = receiver_send(r, &b, err);
    }
    buf_deinit(&b);
    if (rc < 0) {
        receiver_end(r, err);
    }
    return rc;
}
