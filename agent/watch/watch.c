/* SPDX-License-Identifier: MIT
 *
 * watch: see watch.h.
 *
 * Happy path: the descriptor becomes readable, watch_drain() reads what is in
 * the queue and turns each event into a hint (watch_events.c).  A new directory
 * gets its watch (watch_dir.c) and is listed afterwards (watch_list.c).
 *
 * Failures.  Overflow: the directories are walked again and the owner is told
 * to scan.  The root moved, removed or unmounted: everything is dropped and the
 * owner told; no hint comes from it.  Limits: the directory stays known but
 * unwatched; watch_resync() tries again.
 */
#include "agent/watch/watch.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/watch/watch_impl.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"

enum {
    KEPT_MAX = 1024,
    KEPT_SHARE = 4, /* of the descriptors that this process may have */
};

static void after_events(struct watch *w)
{
    if (w->lost[0] != '\0') {
        char why[sizeof w->lost];
        memcpy(why, w->lost, sizeof why);
        watch_stop(w);
        w->on.root_lost(w->arg, why);
        return;
    }
    if (w->overflowed) {
        w->overflowed = false;
        watch_resync(w);
        w->on.overflow(w->arg);
    }
    list_run(w);
    watch_notify_unseen(w);
}

void watch_drain(struct watch *w)
{
    if (w->db == NULL) {
        return;
    }
    int64_t wall_ns = clock_real_ns();
    w->drains++;
    watch_read_queue(w);
    after_events(w);
    watch_notify_due(w);
    if (w->db != NULL && w->in != NULL && w->due_wall_ns == 0) {
        w->due_wall_ns = wall_ns;
        w->due_marker = w->tickets;
        watch_notify_due(w);
    }
}

void watch_check_root(struct watch *w)
{
    if (w->db == NULL || db_root_is_same(w->db)) {
        return;
    }
    watch_root_gone(w, "removed, moved or mounted over");
    after_events(w);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct inotify *in = poll->data;
    if (in->watch != NULL) {
        watch_drain(in->watch);
    }
}

/* --- life ---------------------------------------------------------------- */

static void on_inotify_closed(uv_handle_t *handle)
{
    struct inotify *in = handle->data;
    struct watch *w = in->watch;

    (void)close(in->fd);
    free(in);
    w->closing--;
    watch_try_free(w);
}

/* Closing the descriptor drops all watches at once; uv has to let go of it
 * first. */
static void inotify_shut(struct watch *w)
{
    if (w->in == NULL) {
        return;
    }
    w->closing++;
    uv_close((uv_handle_t *)&w->in->poll, on_inotify_closed);
    w->in = NULL;
}

/* An instance of inotify, on the loop.  Without one everything is unwatched. */
static void inotify_open(struct watch *w)
{
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

    if (fd < 0) {
        w->limit_sys = errno == ENOSPC ? EMFILE : errno;
        return;
    }
    struct inotify *in = calloc(1, sizeof *in);
    if (in == NULL || uv_poll_init(w->loop, &in->poll, fd) != 0) {
        (void)close(fd);
        free(in);
        return;
    }
    in->fd = fd;
    in->watch = w;
    in->poll.data = in;
    w->in = in;
    if (uv_poll_start(&in->poll, UV_READABLE, on_readable) != 0) {
        inotify_shut(w);
    }
}

/* Watch the root itself; false when it is gone. */
static bool watch_root(struct watch *w)
{
    CLEANUP(fd_closep) int fd = watch_open_dir(w->db, "");

    if (fd < 0) {
        return false;
    }
    int wd = w->in != NULL ? watch_add(w, "", fd) : -1;
    if (wd >= 0 && wd != w->tree.root->wd) {
        watch_set(w, w->tree.root, wd);
    }
    return true;
}

/* Descriptors of directories that may be kept open. */
static size_t kept_max(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0) {
        return 0;
    }
    return files.rlim_cur / KEPT_SHARE < KEPT_MAX
               ? (size_t)files.rlim_cur / KEPT_SHARE
               : KEPT_MAX;
}

struct watch *watch_new(uv_loop_t *loop, const struct watch_events *events,
                        void *arg)
{
    struct watch *w = calloc(1, sizeof *w);

    if (w == NULL) {
        return NULL;
    }
    /* malloc aligns for any type, so for struct inotify_event too. */
    w->read_buf = malloc(WATCH_READ_BYTES);

    if (w->read_buf == NULL) {
        free(w);
        return NULL;
    }
    w->loop = loop;
    w->on = *events;
    w->arg = arg;
    w->kept_max = kept_max();
    return w;
}

int watch_start(struct watch *w, const struct db *db, struct err *err)
{
    assert(w->db == NULL);
    w->lost[0] = '\0';
    w->overflowed = w->left = false;
    w->due_wall_ns = 0;
    w->trouble_told = false;
    w->limit_sys = 0;
    w->counts.unreadable = 0;
    if (!wtree_init(&w->tree)) {
        return err_set(err, ERR_NOMEM, 0, "out of memory");
    }
    w->db = db;
    inotify_open(w);
    if (!watch_root(w)) {
        int sys = errno;
        watch_stop(w);
        return err_set(err, ERR_GONE, sys, "%s", db->path);
    }
    list_ask(w, w->tree.root, LIST_QUIET, ++w->tickets);
    list_run_later(w);
    return 0;
}

void watch_stop(struct watch *w)
{
    if (w->db == NULL) {
        return;
    }
    list_drop_all(w);
    inotify_shut(w);
    while (w->moves_count > 0) {
        wtree_remove(&w->tree, w->moves[--w->moves_count].node, watch_on_gone,
                     w);
    }
    while (w->outside != NULL) {
        struct wnode *n = w->outside;
        watch_loose(w, n);
        wtree_remove(&w->tree, n, watch_on_gone, w);
    }
    wtree_deinit(&w->tree, watch_on_gone, w);
    w->db = NULL;
}

void watch_free(struct watch *w, void (*freed)(void *arg), void *arg)
{
    watch_stop(w);
    w->freeing = true;
    w->freed = freed;
    w->freed_arg = arg;
    watch_try_free(w);
}

void watch_resync(struct watch *w)
{
    if (w->db == NULL) {
        return;
    }
    w->counts.unreadable = 0;
    if (w->tree.watched == w->tree.nodes) {
        w->trouble_told = false;
    }
    if (w->in == NULL) {
        inotify_open(w);
    }
    if (watch_root(w)) {
        list_ask(w, w->tree.root, LIST_SYNC, ++w->tickets);
    }
    list_run_later(w);
}

void watch_counts(const struct watch *w, struct watch_counts *out)
{
    *out = w->counts;
    out->directories = w->tree.nodes;
    out->tables = w->tree.tables;
    out->watched = w->tree.watched;
    out->unwatched = w->tree.nodes - w->tree.watched;
}
