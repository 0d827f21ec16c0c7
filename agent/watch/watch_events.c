/* SPDX-License-Identifier: MIT
 *
 * watch_events: what each event of inotify means.
 *
 * MOVED_FROM takes a node out of the tree, MOVED_TO with the same cookie puts
 * it in its new place (watch_move.c); what is new gets its watch (watch_dir.c);
 * the name of a key is told at once.  Calls no listing: it may run inside one.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent/watch/watch_impl.h"
#include "store/base/cleanup.h"
#include "store/layout/name.h"

enum { EXTRA_READS = 8 };

/* --- moves --------------------------------------------------------------- */

/* Is the node's directory behind its name now? */
static bool is_there(struct watch *w, const struct wnode *n)
{
    CLEANUP(fd_closep) int fd = watch_open_child(w, n->parent, n->name);

    return fd >= 0 && watch_is_of(w, n, fd);
}

static void moved_from(struct watch *w, struct wnode *parent, const char *name,
                       uint32_t cookie)
{
    struct wnode *n = wtree_child(parent, name);
    bool in = wnode_is_in(&w->tree, parent);

    if (n == NULL || (in && is_there(w, n))) {
        return;
    }
    watch_depart(w, n);

    wtree_detach(&w->tree, n);
    if (w->moves_count < PENDING_MOVES) {
        w->moves[w->moves_count++] =
            (struct pending_move){.cookie = cookie, .node = n};
    } else {
        watch_put_outside(w, n);
    }
    /* Two directories that were exchanged: the other one is here already, and
     * its own events may have been handled before. */
    if (in) {
        watch_directory(w, parent, name, LIST_HINT);
    } else {
        watch_outside_step(w, parent);
    }
}

static struct wnode *take_move(struct watch *w, uint32_t cookie)
{
    for (size_t i = 0; i < w->moves_count; i++) {
        struct wnode *n = w->moves[i].node;
        if (w->moves[i].cookie != cookie) {
            continue;
        }
        w->moves[i] = w->moves[--w->moves_count];
        return n;
    }
    return NULL;
}

static void attach(struct watch *w, struct wnode *n, struct wnode *parent,
                   const char *name)
{
    struct wnode *there = wtree_child(parent, name);

    if (there != NULL) {
        watch_displace(w, there);
    }
    /* Too deep: what is not is found anew, and the rest is nobody's table. */
    if (!wtree_attach(&w->tree, n, parent, name)) {
        watch_forget(w, n);
    }
}

static void moved_to(struct watch *w, struct wnode *parent, const char *name,
                     uint32_t cookie)
{
    struct wnode *n = take_move(w, cookie);
    bool in = wnode_is_in(&w->tree, parent);

    if (n != NULL && in) {
        attach(w, n, parent, name);
    } else if (n != NULL) {
        watch_put_outside(w, n);
    }
    if (in) {
        watch_directory(w, parent, name, LIST_HINT);
    }
}

/* --- events -------------------------------------------------------------- */

static void directory_event(struct watch *w, struct wnode *n,
                            const struct inotify_event *e)
{
    /* What comes into a directory that is outside, or on its way, is found when
     * that one comes in. */
    if ((e->mask & IN_CREATE) && wnode_is_in(&w->tree, n)) {
        watch_directory(w, n, e->name, LIST_HINT);
    } else if (e->mask & IN_MOVED_TO) {
        moved_to(w, n, e->name, e->cookie);
    } else if (e->mask & IN_MOVED_FROM) {
        moved_from(w, n, e->name, e->cookie);
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

/* An event of the directory itself. */
static void self_event(struct watch *w, struct wnode *n, uint32_t mask)
{
    bool root = n == w->tree.root;

    if (root && (mask & IN_MOVE_SELF)) {
        watch_root_gone(w, "moved away");
    }
    if (root && (mask & IN_DELETE_SELF)) {
        watch_root_gone(w, "removed");
    }
    if (root && (mask & IN_UNMOUNT)) {
        watch_root_gone(w, "unmounted");
    }
    if (mask & IN_IGNORED) {
        (void)wtree_set_wd(&w->tree, n, -1);
        n->ended = true;
        if (root) {
            watch_root_gone(w, "removed");
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
    ssize_t n = read(w->in->fd, w->read_buf, WATCH_READ_BYTES);

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
