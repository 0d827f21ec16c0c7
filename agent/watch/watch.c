/* SPDX-License-Identifier: MIT
 *
 * watch: see watch.h.
 *
 * Happy path: the descriptor becomes readable, watch_drain() reads what is in
 * the queue and turns each event into a hint.  A new directory gets its watch
 * (watch_dir.c) and is listed afterwards (watch_list.c).
 *
 * Moves are in watch_move.c.
 *
 * Failures.  Overflow: the directories are walked again and the owner is told
 * to scan.  The root moved, removed or unmounted: everything is dropped and the
 * owner told; no hint comes from it.  Limits: the directory stays known but
 * unwatched; watch_resync() tries again.
 */
#include "agent/watch/watch.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <utlist.h>

#include "agent/watch/watch_impl.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/layout/name.h"

enum {
    READ_BYTES = 65536,
    EXTRA_READS = 8,
    KEPT_MAX = 1024,
    KEPT_SHARE = 4, /* of the descriptors that this process may have */
};

/* --- events -------------------------------------------------------------- */

static void directory_event(struct watch *w, struct wnode *n,
                            const struct inotify_event *e)
{
    /* What comes into a directory that is outside, or on its way, is found when
     * that one comes in. */
    if ((e->mask & IN_CREATE) && wnode_is_in(&w->tree, n)) {
        watch_directory(w, n, e->name, LIST_HINT);
    } else if (e->mask & IN_MOVED_TO) {
        watch_moved_to(w, n, e->name, e->cookie);
    } else if (e->mask & IN_MOVED_FROM) {
        watch_moved_from(w, n, e->name, e->cookie);
    } else if (e->mask & IN_DELETE) {
        struct wnode *child = wtree_child(n, e->name);
        if (child != NULL) {
            watch_removed(w, child);
        }
        watch_outside_step(w, n);
    }
}

static void file_event(struct watch *w, struct wnode *n,
                       const struct inotify_event *e)
{
    size_t len;

    if ((!n->is_table && n->past == NULL) || !name_is_key(e->name, &len)) {
        if (name_is_temp(e->name)) {
            w->counts.temps++;
        } else {
            w->counts.ignored++;
        }
        return;
    }
    enum hint why = HINT_COMMITTED;
    if (e->mask & IN_DELETE) {
        why = HINT_REMOVED;
    } else if (e->mask & IN_MOVED_FROM) {
        why = HINT_AWAY;
    } else if (e->mask & IN_CREATE) {
        why = HINT_CREATED;
    } else if (e->mask & IN_CLOSE_WRITE) {
        why = HINT_CLOSED;
    }
    if (n->is_table) {
        w->on.key(w->arg, n->path, n->table_len, e->name, len, why);
    }
    for (const struct past *p = n->past; p != NULL; p = p->next) {
        w->on.moved(w->arg, p->path, p->table_len, e->name, len);
    }
}

static void root_gone(struct watch *w, const char *what)
{
    if (w->lost[0] == '\0') {
        (void)snprintf(w->lost, sizeof w->lost,
                       "the database's directory was %s", what);
    }
}

/* An event of the directory itself. */
static void self_event(struct watch *w, struct wnode *n, uint32_t mask)
{
    bool root = n == w->tree.root;

    if (root && (mask & IN_MOVE_SELF)) {
        root_gone(w, "moved away");
    }
    if (root && (mask & IN_DELETE_SELF)) {
        root_gone(w, "removed");
    }
    if (root && (mask & IN_UNMOUNT)) {
        root_gone(w, "unmounted");
    }
    if (mask & IN_IGNORED) {
        (void)wtree_set_wd(&w->tree, n, -1);
        n->ended = true;
        if (root) {
            root_gone(w, "removed");
        }
    }
    /* Else the parent's event tells, except for what was mounted there. */
    if (!root && (mask & IN_UNMOUNT)) {
        watch_forget(w, n);
    }
}

static void handle(struct watch *w, const struct inotify_event *e)
{
    w->counts.events++;
    if (e->mask & IN_Q_OVERFLOW) {
        w->counts.overflows++;
        w->overflowed = true;
        return;
    }
    struct wnode *n = wtree_by_wd(&w->tree, e->wd);
    if (n == NULL || w->lost[0] != '\0') {
        return; /* of a watch that was removed */
    }
    if (e->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED)) {
        self_event(w, n, e->mask);
        return;
    }
    if (e->len == 0) {
        return;
    }
    if (e->mask & IN_ISDIR) {
        directory_event(w, n, e);
    } else {
        file_event(w, n, e);
    }
}

/* One read of the queue; false when it is empty. */
static bool read_some(struct watch *w, size_t *got_out)
{
    ssize_t n = read(w->in->fd, w->read_buf, READ_BYTES);

    if (n <= 0) {
        /* EINTR counts as data: come again.  Nothing else but EAGAIN happens
         * on a good descriptor and a large enough buffer. */
        return n < 0 && errno == EINTR;
    }
    size_t at = 0;
    while (at + sizeof(struct inotify_event) <= (size_t)n) {
        /* The kernel pads names, so records stay aligned; the cast goes
         * through void * for that reason. */
        const struct inotify_event *e = (const void *)(w->read_buf + at);
        handle(w, e);
        at += sizeof *e + e->len;
    }
    *got_out += (size_t)n;
    return true;
}

/* Read until the queue is empty, or until everything has been read that was in
 * it at the call: writers that never pause must not hold the loop. */
void watch_read_queue(struct watch *w)
{
    if (w->in == NULL) {
        return;
    }
    int queued = 0;
    if (ioctl(w->in->fd, FIONREAD, &queued) != 0) {
        queued = INT_MAX;
    }
    size_t got = 0;
    unsigned extra = 0;
    while (read_some(w, &got)) {
        if (got < (size_t)queued) {
            continue;
        }
        /* The second half of a move is right behind the first. */
        if (extra++ >= (w->moves_count > 0 ? EXTRA_READS : 1)) {
            break;
        }
    }
    watch_moves_end(w);
}

void watch_tell_due(struct watch *w)
{
    if (w->due_wall_ns == 0 || w->db == NULL || w->overflowed || w->left ||
        !watch_fence_passed(w, w->due_fence)) {
        return;
    }
    int64_t wall_ns = w->due_wall_ns;
    w->due_wall_ns = 0;
    w->on.drained(w->arg, wall_ns);
}

void watch_tell_unseen(struct watch *w)
{
    if (!w->left || w->db == NULL) {
        return;
    }
    w->left = false;
    w->on.left(w->arg);
}

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
    watch_tell_unseen(w);
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
    watch_tell_due(w);
    if (w->db != NULL && w->in != NULL && w->due_wall_ns == 0) {
        w->due_wall_ns = wall_ns;
        w->due_fence = w->tickets;
        watch_tell_due(w);
    }
}

void watch_check_root(struct watch *w)
{
    if (w->db == NULL || db_root_is_same(w->db)) {
        return;
    }
    root_gone(w, "removed, moved or mounted over");
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
    w->read_buf = malloc(READ_BYTES);

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

bool watch_started(const struct watch *w)
{
    return w->db != NULL;
}

void watch_try_free(struct watch *w)
{
    if (!w->freeing || w->closing > 0 || w->running != NULL) {
        return;
    }
    void (*freed)(void *arg) = w->freed;
    void *arg = w->freed_arg;
    free(w->read_buf);
    free(w);
    if (freed != NULL) {
        freed(arg);
    }
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

uint64_t watch_fence(const struct watch *w)
{
    return w->tickets;
}

bool watch_fence_passed(const struct watch *w, uint64_t fence)
{
    const struct listing *l;

    if (w->running != NULL && w->running->ticket <= fence) {
        return false;
    }
    DL_FOREACH(w->listings, l) {
        if (l->ticket <= fence) {
            return false;
        }
    }
    return true;
}

void watch_counts(const struct watch *w, struct watch_counts *out)
{
    *out = w->counts;
    out->directories = w->tree.nodes;
    out->tables = w->tree.tables;
    out->watched = w->tree.watched;
    out->unwatched = w->tree.nodes - w->tree.watched;
}

const char *watch_poor_filesystem(const struct db *db)
{
    static const struct {
        unsigned long magic;
        const char *name;
    } poor[] = {
        {NFS_SUPER_MAGIC, "NFS"},   {SMB_SUPER_MAGIC, "SMB"},
        {0xff534d42UL, "CIFS"},     {0xfe534d42UL, "SMB"},
        {FUSE_SUPER_MAGIC, "FUSE"}, {OVERLAYFS_SUPER_MAGIC, "overlayfs"},
        {V9FS_MAGIC, "9p"},         {CEPH_SUPER_MAGIC, "Ceph"},
        {AFS_SUPER_MAGIC, "AFS"},
    };
    struct statfs fs;
    if (fstatfs(db->root_fd, &fs) != 0) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof poor / sizeof poor[0]; i++) {
        if ((unsigned long)fs.f_type == poor[i].magic) {
            return poor[i].name;
        }
    }
    return NULL;
}
