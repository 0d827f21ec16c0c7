/* SPDX-License-Identifier: MIT
 *
 * receiver_query: what the agent asks: heartbeats, scans, digests, listings of
 * buckets, and the names behind name hashes.
 *
 * PING, TREE and LIST are answered at once from the index, on the input
 * thread.  A SCAN or the walk for a RESOLVE is the shell's work on a thread of
 * its own, and may take hours.  The agent has one comparison at a time, so
 * whoever asks anew has given up what was asked before: that ends early, and is
 * answered, so that comparisons which nobody waits for never queue up.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "sync/errors/state.h"
#include "sync/receiver/receiver_core.h"

static int broken(struct err *err, const char *what)
{
    err_set(err, ERR_PROTO, 0, "%s", what);
    err->id = DR_PROTOCOL;
    return err->code;
}

/* --- heartbeat ---------------------------------------------------------------
 */

/* Tell the readers how current the copy is.  When that cannot be written the
 * file grows old, which is the truth for a reader; the agent hears it once. */
static void write_freshness(struct receiver *r, const struct wire_ping *m)
{
    struct err err;

    if (r->ops->freshness(r->ctx, m->fresh_ns, m->seq, m->state, &err) == 0) {
        r->input.fresh_failed = false;
    } else if (!r->input.fresh_failed) {
        r->input.fresh_failed = true;
        err_wrap(&err, "the freshness file cannot be written");
        wire_put_notice(&r->input.out, err.msg);
    }
}

int query_ping(struct receiver *r, struct bytes body, struct err *err)
{
    struct wire_ping m;

    int rc = wire_get_ping(body, &m, err);
    if (rc != 0) {
        return rc;
    }
    if (m.fresh_ns != 0 || m.state == REPLICA_DIFFERS) {
        write_freshness(r, &m);
    }
    /* The two ends were compared: what comes now is new. */
    if (m.fresh_ns != 0 && r->input.keeping) {
        r->input.keeping = false;
        rc = r->ops->keep_undone(r->ctx, false, err);
        if (rc != 0) {
            return rc;
        }
    }
    struct wire_pong pong = {
        .id = m.id,
        .root = index_root(r->ix),
        .keys = index_count(r->ix),
        .bytes = index_bytes(r->ix),
    };
    (void)pthread_mutex_lock(&r->mutex);
    pong.replaced = r->replaced;
    pong.waiting = r->deferred.count;
    pong.scanning = r->scan.running || r->scan.progress_scanning;
    pong.scan_keys = r->scan.progress_keys;
    (void)pthread_mutex_unlock(&r->mutex);
    wire_put_pong(&r->input.out, &pong);
    return 0;
}

void receiver_progress(struct receiver *r, bool scanning, uint64_t keys)
{
    (void)pthread_mutex_lock(&r->mutex);
    r->scan.progress_scanning = scanning;
    r->scan.progress_keys = keys;
    (void)pthread_mutex_unlock(&r->mutex);
}

/* --- what was given up --------------------------------------------------- */

/* Questions that a newer one ends. */
struct ended {
    bool scan_waited, names_waited; /* never begun: answered from here */
    bool scan_runs, names_run;      /* the shell is to end them */
    uint64_t scan_waited_id, names_waited_id;
    uint64_t scan_id, names_id;
};

static void free_resolve(struct resolve *q)
{
    if (q != NULL) {
        free(q->names);
        free(q);
    }
}

/* With the mutex held. */
static void forget_asked(struct receiver *r)
{
    r->resolve.names -= r->resolve.asked->count;
    free_resolve(r->resolve.asked);
    r->resolve.asked = NULL;
}

/* With the mutex held.  The scan at start (id 0) is nobody's question. */
static struct ended end_earlier(struct receiver *r)
{
    struct ended e = {
        .scan_waited = r->scan.waits,
        .scan_waited_id = r->scan.next.id,
        .scan_runs = r->scan.running && r->scan.id != 0,
        .scan_id = r->scan.id,
        .names_waited = r->resolve.asked != NULL,
        .names_run = r->resolve.walk != NULL,
    };

    if (e.names_waited) {
        e.names_waited_id = r->resolve.asked->id;
        forget_asked(r);
    }
    if (e.names_run) {
        e.names_id = r->resolve.walk->id;
    }
    r->scan.waits = false;
    r->scan.unwanted = r->scan.unwanted || e.scan_runs;
    r->resolve.walk_unwanted = r->resolve.walk_unwanted || e.names_run;
    return e;
}

static void stop_scan(const struct receiver *r, uint64_t id)
{
    if (r->ops->scan_stop != NULL) {
        r->ops->scan_stop(r->ctx, id);
    }
}

static void stop_walk(const struct receiver *r, uint64_t id)
{
    if (r->ops->names_stop != NULL) {
        r->ops->names_stop(r->ctx, id);
    }
}

/* Without the mutex, on the input thread. */
static void answer_ended(struct receiver *r, const struct ended *e)
{
    static const char why[] = "given up: something newer was asked";
    struct wire_names_out frame;

    if (e->scan_waited) {
        struct wire_scan_done m = {
            .id = e->scan_waited_id,
            .result = {.root = index_root(r->ix),
                       .keys = index_count(r->ix),
                       .tables = index_tables(r->ix),
                       .errors = 1,
                       .first_error = bytes_of(why, sizeof why - 1)}};
        wire_put_scan_done(&r->input.out, &m);
    }
    if (e->names_waited) {
        wire_names_begin(&r->input.out, &frame, e->names_waited_id);
        wire_names_end(&r->input.out, &frame, true);
    }
    if (e->scan_runs) {
        stop_scan(r, e->scan_id);
    }
    if (e->names_run) {
        stop_walk(r, e->names_id);
    }
}

/* --- scans --------------------------------------------------------------- */

void query_scan_begin(struct receiver *r, uint64_t id, unsigned how)
{
    (void)pthread_mutex_lock(&r->mutex);
    struct ended ended = end_earlier(r);
    bool start = !r->scan.running;
    if (start) {
        r->scan.running = true;
        r->scan.unwanted = false;
        r->scan.id = id;
        r->scan.progress_keys = 0;
    } else {
        r->scan.waits = true;
        r->scan.next = (struct wire_scan){id, (uint8_t)how};
    }
    (void)pthread_mutex_unlock(&r->mutex);
    answer_ended(r, &ended);
    if (start) {
        r->ops->scan_start(r->ctx, id, how);
    }
}

int query_scan(struct receiver *r, struct bytes body, struct err *err)
{
    struct wire_scan m;

    int rc = wire_get_scan(body, &m, err);
    if (rc == 0 && (m.how & WIRE_SCAN_VIEW) != 0 && !r->views) {
        return broken(err, "SCAN: to look only was not agreed on");
    }
    if (rc == 0 && (m.how & WIRE_SCAN_PERMS) != 0 && !r->tells_modes) {
        return broken(err, "SCAN: to set modes was not agreed on");
    }
    if (rc == 0) {
        query_scan_begin(r, m.id, m.how);
    }
    return rc;
}

/* The scan that ran is over; true when *next_out waits to be started. */
static bool next_scan(struct receiver *r, struct wire_scan *next_out)
{
    (void)pthread_mutex_lock(&r->mutex);
    bool more = r->scan.waits && !r->ended;
    if (more) {
        *next_out = r->scan.next;
        r->scan.id = r->scan.next.id;
    }
    r->scan.waits = r->scan.unwanted = false;
    r->scan.running = more;
    r->scan.progress_scanning = false;
    r->scan.progress_keys = 0;
    (void)pthread_mutex_unlock(&r->mutex);
    return more;
}

/* Equal digests count as if we had acknowledged what a scan found: values that
 * were put there by hand, or by a receiver that died before its sync. */
static int sync_found(struct receiver *r, uint64_t id, uint64_t found,
                      struct err *err)
{
    int rc = found > 0 ? receiver_sync_all(r, err)
             : id == 0 ? receiver_sync_earlier(r, err)
                       : 0;

    if (rc != 0) {
        receiver_end(r, err);
    }
    return rc;
}

/* It may have been given up between the moment when its turn came and its
 * start. */
static void start_next_scan(struct receiver *r, const struct wire_scan *next)
{
    r->ops->scan_start(r->ctx, next->id, next->how);
    (void)pthread_mutex_lock(&r->mutex);
    bool unwanted =
        r->scan.running && r->scan.unwanted && r->scan.id == next->id;
    (void)pthread_mutex_unlock(&r->mutex);
    if (unwanted) {
        stop_scan(r, next->id);
    }
}

static int answer_scan(struct receiver *r, uint64_t id,
                       const struct wire_ready *result, struct err *err)
{
    struct buf b = BUF_NULL;
    struct wire_scan_done m = {.id = id, .result = *result};
    struct wire_scan next;

    /* What is true now, changes that came meanwhile included. */
    m.result.root = index_root(r->ix);
    m.result.keys = index_count(r->ix);
    m.result.tables = index_tables(r->ix);
    if (id == 0) {
        wire_put_ready(&b, &m.result);
    } else {
        wire_put_scan_done(&b, &m);
    }
    bool more = next_scan(r, &next);
    int rc = receiver_send(r, &b, err);
    buf_deinit(&b);
    if (rc == 0 && more) {
        start_next_scan(r, &next);
    }
    if (rc < 0) {
        receiver_end(r, err);
    }
    return rc;
}

int receiver_scanned(struct receiver *r, uint64_t id,
                     const struct wire_ready *result, struct err *err)
{
    if (sync_found(r, id, result->reread, err) != 0) {
        return err->code;
    }
    return answer_scan(r, id, result, err);
}

int receiver_viewed(struct receiver *r, uint64_t id,
                    const struct wire_ready *result, struct view *view,
                    struct err *err)
{
    (void)pthread_mutex_lock(&r->mutex);
    struct view *before = r->scan.view;
    r->scan.view = view;
    (void)pthread_mutex_unlock(&r->mutex);
    view_free(before);
    return answer_scan(r, id, result, err);
}

void receiver_unread(struct receiver *r, const struct wire_unread *m)
{
    struct buf b = BUF_NULL;
    struct err err;

    if (r->views) {
        wire_put_unread(&b, m);
        (void)(receiver_send(r, &b, &err) == 0);
        buf_deinit(&b);
    }
}

void receiver_modes(struct receiver *r, const struct wire_modes *m)
{
    struct buf b = BUF_NULL;
    struct err err;

    if (r->tells_modes) {
        wire_put_modes(&b, m);
        (void)(receiver_send(r, &b, &err) == 0);
        buf_deinit(&b);
    }
}

int receiver_edited(struct receiver *r, uint64_t reread,
                    const struct wire_edited *m, struct err *err)
{
    struct buf b = BUF_NULL;

    if (sync_found(r, 1, reread, err) != 0) {
        return err->code;
    }
    if (!r->tells_edits || m->count == 0) {
        return 0;
    }
    wire_put_edited(&b, m);
    int rc = receiver_send(r, &b, err);
    buf_deinit(&b);
    if (rc < 0) {
        receiver_end(r, err);
    }
    return rc;
}

int receiver_blind(struct receiver *r, const struct wire_blind *m,
                   struct err *err)
{
    struct buf b = BUF_NULL;

    if (!r->tells_blind) {
        return 0;
    }
    wire_put_blind(&b, m);
    int rc = receiver_send(r, &b, err);
    buf_deinit(&b);
    return rc;
}

/* --- digests and listings ------------------------------------------------ */

/* NULL: the index is asked for.  With the mutex held, as long as it is used. */
static const struct view *view_for(const struct receiver *r, uint64_t id)
{
    return (id & WIRE_ID_VIEW) != 0 ? r->scan.view : NULL;
}

int query_tree(struct receiver *r, struct bytes body, struct err *err)
{
    struct digest digests[INDEX_NODES];
    struct wire_tree m;

    int rc = wire_get_tree(body, &m, err);
    if (rc != 0) {
        return rc;
    }
    (void)pthread_mutex_lock(&r->mutex);
    const struct view *view = view_for(r, m.id);
    if (view != NULL && m.node == WIRE_TREE_TOP) {
        view_nodes(view, r->ix, digests);
    } else if (view != NULL) {
        view_buckets(view, r->ix, m.node, digests);
    } else if (m.node == WIRE_TREE_TOP) {
        index_nodes(r->ix, digests);
    } else {
        index_buckets(r->ix, m.node, digests);
    }
    (void)pthread_mutex_unlock(&r->mutex);
    wire_put_nodes(&r->input.out, m.id, m.node, digests);
    return 0;
}

/* One LISTING frame after the other, sent as they fill. */
struct lister {
    struct receiver *r;
    uint64_t id;
    uint16_t count;
};

static int flush_listing(struct lister *l, bool last, struct err *err)
{
    struct receiver *r = l->r;

    wire_put_listing(&r->input.out, l->id, last,
                     (const struct digest(*)[2])r->input.items, l->count);
    l->count = 0;
    return receiver_send(r, &r->input.out, err);
}

static int list_bucket(struct lister *l, const struct index_entry *e, int n,
                       struct err *err)
{
    int rc = 0;

    for (int i = 0; i < n && rc == 0; i++) {
        if (l->count == WIRE_BATCH_MAX) {
            rc = flush_listing(l, false, err);
        }
        l->r->input.items[l->count][0] = e[i].name;
        l->r->input.items[l->count][1] = e[i].digest;
        l->count++;
    }
    return rc;
}

int query_list(struct receiver *r, struct bytes body, struct err *err)
{
    struct index_entry *entries = NULL;
    size_t cap = 0;

    int rc = wire_get_list(body, &r->input.list, err);
    struct lister l = {.r = r, .id = r->input.list.id};
    for (unsigned i = 0; rc == 0 && i < r->input.list.count; i++) {
        (void)pthread_mutex_lock(&r->mutex);
        const struct view *view = view_for(r, l.id);
        int n = view != NULL ? view_list(view, r->ix, r->input.list.buckets[i],
                                         &entries, &cap, err)
                             : index_list(r->ix, r->input.list.buckets[i],
                                          &entries, &cap, err);
        (void)pthread_mutex_unlock(&r->mutex);
        rc = n < 0 ? n : list_bucket(&l, entries, n, err);
    }
    free(entries);
    return rc != 0 ? rc : flush_listing(&l, true, err);
}

/* --- names --------------------------------------------------------------- */

void query_close(struct receiver *r)
{
    free_resolve(r->resolve.walk);
    free_resolve(r->resolve.asked);
    r->resolve.walk = r->resolve.asked = NULL;
    view_free(r->scan.view);
    r->scan.view = NULL;
}

/* The request being collected under this id, made if it is new. */
static struct resolve *collect(struct receiver *r, uint64_t id,
                               struct ended *ended_out, struct err *err)
{
    if (r->resolve.asked != NULL && r->resolve.asked->id == id &&
        !r->resolve.asked->complete) {
        return r->resolve.asked;
    }
    *ended_out = end_earlier(r);
    r->resolve.asked = calloc(1, sizeof *r->resolve.asked);
    if (r->resolve.asked == NULL) {
        err_set(err, ERR_NOMEM, 0, "no memory for names");
        return NULL;
    }
    r->resolve.asked->id = id;
    return r->resolve.asked;
}

static int add_names(struct receiver *r, struct resolve *q,
                     struct wire_items *m, struct err *err)
{
    size_t want = q->count + m->count;

    if (r->resolve.names + m->count > RESOLVE_NAMES_MAX) {
        return broken(err, "RESOLVE: more than a million names at once");
    }
    if (want > q->cap || q->names == NULL) {
        size_t cap = want > 2 * q->cap ? want : 2 * q->cap;
        cap = cap > 0 ? cap : 1;
        struct digest *names = realloc(q->names, cap * sizeof *names);
        if (names == NULL) {
            return err_set(err, ERR_NOMEM, 0, "no memory for names");
        }
        q->names = names;
        q->cap = cap;
    }
    r->resolve.names += m->count;
    while (wire_item_resolve(m, &q->names[q->count]) > 0) {
        q->count++;
    }
    q->complete = m->last != 0;
    return 0;
}

/* Hand a complete request to the shell, unless one is under way.  Called with
 * the mutex held; gives it up for the call. */
static void start_walk(struct receiver *r)
{
    struct resolve *q = r->resolve.asked;

    if (r->resolve.walk != NULL || r->ended || q == NULL || !q->complete) {
        return;
    }
    r->resolve.walk = q;
    r->resolve.asked = NULL;
    r->resolve.walk_unwanted = false;
    struct digest *names = q->names;
    q->names = NULL;
    uint64_t id = q->id;
    size_t count = q->count;
    (void)pthread_mutex_unlock(&r->mutex);
    r->ops->names_start(r->ctx, id, names, count);
    (void)pthread_mutex_lock(&r->mutex);
    /* It may have been given up before it was started. */
    if (r->resolve.walk != NULL && r->resolve.walk->id == id &&
        r->resolve.walk_unwanted) {
        (void)pthread_mutex_unlock(&r->mutex);
        stop_walk(r, id);
        (void)pthread_mutex_lock(&r->mutex);
    }
}

/* Nothing is asked for: whoever sends this has given up what was. */
static bool asks_for_nothing(const struct resolve *q)
{
    return q->complete && q->count == 0;
}

int query_resolve(struct receiver *r, struct bytes body, struct err *err)
{
    struct ended ended = {.scan_waited = false};
    struct ended itself = {.names_waited = false};
    struct wire_items m;

    int rc = wire_get_items(WIRE_RESOLVE, body, &m, err);
    if (rc != 0) {
        return rc;
    }
    (void)pthread_mutex_lock(&r->mutex);
    struct resolve *q = collect(r, m.id, &ended, err);
    rc = q == NULL ? err->code : add_names(r, q, &m, err);
    if (rc == 0 && asks_for_nothing(q)) {
        itself = (struct ended){.names_waited = true, .names_waited_id = q->id};
        forget_asked(r);
    } else if (rc == 0) {
        start_walk(r);
    }
    (void)pthread_mutex_unlock(&r->mutex);
    answer_ended(r, &ended);
    answer_ended(r, &itself);
    return rc;
}

/* As many of the names as fit in one frame; returns how many. */
static size_t put_names(struct buf *out, uint64_t id,
                        const struct wire_name *names, size_t n, bool last)
{
    struct wire_names_out frame;
    size_t i = 0;

    wire_names_begin(out, &frame, id);
    while (i < n && wire_names_add(out, &frame, &names[i])) {
        i++;
    }
    wire_names_end(out, &frame, last && i == n);
    return i;
}

static void end_walk(struct receiver *r)
{
    (void)pthread_mutex_lock(&r->mutex);
    assert(r->resolve.walk != NULL);
    r->resolve.names -= r->resolve.walk->count;
    free_resolve(r->resolve.walk);
    r->resolve.walk = NULL;
    start_walk(r);
    (void)pthread_mutex_unlock(&r->mutex);
}

int receiver_named(struct receiver *r, uint64_t id,
                   const struct wire_name *names, size_t n, bool last,
                   struct err *err)
{
    struct buf b = BUF_NULL;
    int rc;

    do {
        size_t some = put_names(&b, id, names, n, last);
        names += some;
        n -= some;
        rc = receiver_send(r, &b, err);
    } while (rc == 0 && n > 0);
    buf_deinit(&b);
    if (rc < 0) {
        receiver_end(r, err);
    }
    if (last) {
        end_walk(r);
    }
    return rc;
}
