/* SPDX-License-Identifier: MIT
 *
 * watch_list: lists directories for the watch, in pieces.
 *
 * Happy path: list_ask() queues a directory whose watch is in place; list_run()
 * reads entries of the first one: up to INLINE_ENTRIES in a turn on the loop's
 * thread, since most new tables are small; what is longer goes on in pieces on
 * the pool.  Directories that are found get a watch and join the queue with
 * their parent's ticket.  At the end of a complete listing children that were
 * not seen are looked for and dropped.
 * Failures: a directory that went or cannot be opened ends its listing (the
 * event that tells is on its way; when it has past names its listing waits for
 * that); a readdir error ends it as incomplete, and
 * then nothing is dropped, and of a new directory the owner is told that it was
 * not seen.  A node that is removed meanwhile leaves its listing
 * without a node, which drops it at the next step.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utlist.h>

#include "agent/watch/watch_impl.h"
#include "store/base/dir.h"
#include "store/layout/name.h"

enum {
    INLINE_ENTRIES = 4096,
    POOL_ENTRIES = 4096,
    PARKED_MAX = 3,
    TOLD_MAX = 1000000 /* as many as a new table of a million keys is told in */
};
enum { KIND_DIR = 'd', KIND_KEY = 'k' };

/* What one entry is: KIND_*, or 0 for what the listing does not want. */
static int kind_of(const struct listing *l, const struct dirent *e)
{
    size_t len;

    unsigned char type = dir_type(dirfd(l->dir.stream), e->d_name, e->d_type);
    if (type == DT_DIR) {
        return KIND_DIR;
    }
    if (type != DT_UNKNOWN && l->with_keys && name_is_key(e->d_name, &len)) {
        return KIND_KEY;
    }
    return 0;
}

/* Read up to `max` entries into the batch.  On the loop or on the pool: touches
 * nothing but the listing.  Returns how many were read. */
static size_t list_read(struct listing *l, size_t max)
{
    buf_clear(&l->batch);
    size_t i;
    for (i = 0; i < max && !l->at_end && !l->failed; i++) {
        const struct dirent *e = dir_next(&l->dir);
        if (e == NULL) {
            l->at_end = l->dir.sys == 0;
            l->failed = l->dir.sys != 0;
            break;
        }
        int kind = kind_of(l, e);
        if (kind == 0) {
            continue;
        }
        buf_u8(&l->batch, (uint8_t)kind);
        buf_put(&l->batch, e->d_name, strlen(e->d_name) + 1);
    }
    if (l->batch.bad) {
        l->failed = true;
    }
    return i;
}

/* The core remembers each name it is told of: a large table that moved many
 * times in no time is left to a scan. */
static void report_key(struct watch *w, struct wnode *n, const char *key,
                       size_t len)
{
    if (n->is_table) {
        w->on.key(w->arg, n->path, n->table_len, key, len, HINT_FOUND);
    }
    for (const struct past *p = n->past; p != NULL; p = p->next) {
        w->on.moved(w->arg, p->path, p->table_len, key, len);
        w->told++;
    }
    if (w->told > TOLD_MAX) {
        w->left = true;
        past_free(&n->past, &w->tree.pasts);
    }
}

static void report_directory(struct watch *w, struct wnode *n, const char *name,
                             enum list_mode mode)
{
    if (wnode_is_in(&w->tree, n)) {
        watch_directory(w, n, name, mode);
    } else if (wtree_child(n, name) == NULL) {
        w->left = true; /* it went out before we knew it */
    }
}

/* Report what list_read() found. */
static void list_report(struct listing *l)
{
    struct watch *w = l->watch;

    if (l->batch.bad) {
        w->overflowed = true;
        return;
    }
    const char *p = (const char *)l->batch.data;
    const char *end = p + l->batch.len;
    while (p < end && l->node != NULL) {
        char kind = *p++;
        struct wnode *n = l->node;
        size_t len;
        if (kind == KIND_KEY && name_is_key(p, &len)) {
            report_key(w, n, p, len);
        } else if (kind == KIND_DIR) {
            report_directory(w, n, p, l->mode);
        }
        p += strlen(p) + 1;
    }
}

/* Children the complete listing did not show: gone, unless a look at the name
 * says otherwise.  Names are collected first: dropping one node may take others
 * along. */
static void drop_unseen(struct listing *l)
{
    struct wnode *child, *next;

    buf_clear(&l->batch);
    HASH_ITER(hh, l->node->children, child, next) {
        if (child->seen < l->number) {
            buf_put(&l->batch, child->name, strlen(child->name) + 1);
        }
    }
    if (l->batch.bad) {
        l->watch->overflowed = true;
        return;
    }
    const char *p = (const char *)l->batch.data;
    const char *end = p + l->batch.len;
    enum list_mode mode = l->mode == LIST_HINT ? LIST_HINT : LIST_SYNC;
    for (; p < end && l->node != NULL; p += strlen(p) + 1) {
        watch_directory(l->watch, l->node, p, mode);
    }
}

/* Directories below one that is outside are listed in their turn, those too
 * that were not seen in it. */
static void ask_below(struct watch *w, const struct wnode *n, uint64_t ticket)
{
    struct wnode *child, *next;

    HASH_ITER(hh, n->children, child, next) {
        list_ask(w, child, LIST_HINT, ticket);
    }
}

/* What the listing of `n` means for the names it is and was known by. */
static void list_conclude(const struct listing *l, struct wnode *n)
{
    struct watch *w = l->watch;
    bool complete = l->at_end && !l->failed;

    if (complete && l->mode == LIST_HINT) {
        past_told(&n->past, &w->tree.pasts, l->number);
    }
    if (complete || l->again) {
        return;
    }
    /* A new directory, and nobody knows what is in it; or one that moved, and
     * nobody knows what was. */
    w->left = w->left || (l->failed && l->mode == LIST_HINT) || wnode_due(n);
    past_free(&n->past, &w->tree.pasts);
}

static void list_finish(struct listing *l)
{
    struct watch *w = l->watch;
    struct wnode *n = l->node;

    /* What went while it was listed is told by events that may still be in the
     * queue; the past names are needed for these. */
    if (n != NULL && n->past != NULL && l->at_end) {
        watch_read_queue(w);
        n = l->node;
    }
    bool in = n != NULL && wnode_is_in(&w->tree, n);
    if (in && l->at_end && !l->failed) {
        drop_unseen(l);
    }
    n = l->node;
    if (n != NULL && !in) {
        ask_below(w, n, l->ticket);
    }
    DL_DELETE(w->listings, l);
    if (n != NULL) {
        list_conclude(l, n);
        n->listing = NULL;
        if (l->again) {
            list_ask(w, n, l->again_mode, l->again_ticket);
        }
        watch_outside_step(w, n);
    }
    list_free(l);
}

/* Its directory is not to be found.  What became of it is told by an event that
 * is queued, or about to be: try again when all has been read once more. False:
 * that was so often enough. */
static bool list_park(struct listing *l)
{
    if (!wnode_due(l->node) || ++l->parked > PARKED_MAX) {
        return false;
    }
    l->parked_at = l->watch->drains;
    l->number = 0;
    return true;
}

enum begun { BEGUN, PARKED, CANNOT };

/* CANNOT: finish it. */
static enum begun list_begin(struct listing *l)
{
    struct watch *w = l->watch;

    l->number = ++w->numbers;
    l->with_keys =
        l->mode == LIST_HINT && (l->node->is_table || l->node->past != NULL);
    int fd = watch_open_node(w, l->node);
    if (fd < 0) {
        l->failed = errno != ENOENT && errno != ENOTDIR && errno != ELOOP;
        l->at_end = !l->failed && watch_is_removed(l->node);
        return !l->failed && !l->at_end && list_park(l) ? PARKED : CANNOT;
    }
    l->dir = dir_take(fd);
    l->failed = l->dir.stream == NULL;
    return l->failed ? CANNOT : BEGUN;
}

/* The first that need not wait for another reading of the queue. */
static struct listing *list_next(const struct watch *w)
{
    struct listing *l;

    DL_FOREACH(w->listings, l) {
        if (l->node == NULL || l->parked == 0 || l->number != 0 ||
            l->parked_at != w->drains) {
            return l;
        }
    }
    return NULL;
}

static void on_pool(uv_work_t *work)
{
    (void)list_read(work->data, POOL_ENTRIES);
}

static void on_pool_done(uv_work_t *work, int status)
{
    struct listing *l = work->data;
    struct watch *w = l->watch;

    assert(w->running == l);
    w->running = NULL;
    if (status != 0) {
        l->failed = true;
    }
    if (l->node == NULL) {
        /* Not in the queue any more: the watch was stopped, or the node
         * removed. */
        list_free(l);
        watch_try_free(w);
        if (w->db != NULL) {
            list_run(w);
        }
        watch_notify_unseen(w);
        watch_notify_due(w);
        return;
    }
    list_report(l);
    if (l->at_end || l->failed || l->node == NULL) {
        list_finish(l);
    }
    list_run(w);
    watch_notify_unseen(w);
    watch_notify_due(w);
}

static bool list_on_pool(struct listing *l)
{
    l->work.data = l;
    if (uv_queue_work(l->watch->loop, &l->work, on_pool, on_pool_done) != 0) {
        return false;
    }
    l->watch->running = l;
    return true;
}

void list_run_later(struct watch *w)
{
    struct listing *l;

    if (w->running != NULL) {
        return;
    }
    /* Asked for and orphaned by the same events. */
    while ((l = list_next(w)) != NULL && l->node == NULL) {
        DL_DELETE(w->listings, l);
        list_free(l);
    }
    if (l == NULL) {
        return;
    }
    enum begun begun = l->number == 0 ? list_begin(l) : BEGUN;
    if (begun == PARKED) {
        return;
    }
    l->failed = l->failed || begun == CANNOT;
    /* When the pool does not take it, the next drain runs it. */
    (void)list_on_pool(l);
}

void list_run(struct watch *w)
{
    size_t budget = INLINE_ENTRIES;
    struct listing *l;

    while (w->running == NULL && (l = list_next(w)) != NULL) {
        enum begun begun = l->node == NULL || l->failed ? CANNOT
                           : l->number == 0             ? list_begin(l)
                                                        : BEGUN;
        if (begun == CANNOT) {
            list_finish(l);
        }
        if (begun != BEGUN) {
            continue;
        }
        if (budget == 0 && list_on_pool(l)) {
            return;
        }
        size_t used = list_read(l, budget > 0 ? budget : INLINE_ENTRIES);
        list_report(l);
        /* Opening and watching cost as much as some entries. */
        used += 32;
        budget = used < budget ? budget - used : 0;
        if (l->at_end || l->failed || l->node == NULL) {
            list_finish(l);
        }
    }
    if (w->listings == NULL && w->running == NULL) {
        w->told = 0;
    }
    if (w->listings == NULL && w->running == NULL && w->idle_due) {
        w->idle_due = false;
        watch_notify_limit(w);
        w->on.idle(w->arg);
    }
}
