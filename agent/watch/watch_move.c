/* SPDX-License-Identifier: MIT
 *
 * watch_move: directories that move.
 *
 * MOVED_FROM takes the node out of the tree, MOVED_TO with the same cookie puts
 * it in its new place, with all that is below.  It keeps its watches all the
 * while, and remembers the names its tables had (watch_past.h) until a listing
 * has told of their keys under these, too; so what has to be looked at after a
 * move is what moved, and nothing else.
 *
 * Events tell of the past, and a directory may have moved on: what is found at
 * a name is told by its watch descriptor.  A MOVED_FROM whose directory is
 * (again) there counts for nothing, since its MOVED_TO is behind it or was
 * seen; one that turns up before its event comes is relocated at once
 * (watch_relocate()); one whose name another has by now is displaced.
 *
 * What has no new place when the queue is empty is outside.  It is listed
 * through a descriptor that was kept for that, for the names it had, and let
 * go. The other half of its move may still come: then it is found by its watch
 * descriptor, outside or as something new.  Descriptors are kept of as many
 * directories as this process can afford, those that were looked at last: what
 * is moved out again and again was moved in not long ago.
 *
 * Failures: no descriptor, no watch, too many names, no memory: the owner has
 * to scan (`left`).
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/watch/watch_impl.h"
#include "store/base/cleanup.h"

/* --- leaving a name ------------------------------------------------------ */

static void note_past(void *arg, struct wnode *n)
{
    struct watch *w = arg;

    if (!n->is_table) {
        return;
    }
    /* Of one that was removed events told all. */
    if ((n->wd < 0 && !n->ended) || !past_add(&n->past, &w->tree.pasts, n->path,
                                              n->table_len, w->numbers)) {
        w->left = true;
    }
}

static void note_tables(void *arg, struct wnode *n)
{
    bool *any = arg;

    *any = *any || n->is_table || n->past != NULL;
}

/* Everything in it leaves its name. */
static void depart(struct watch *w, struct wnode *n)
{
    bool any = false;

    wtree_each_up(n, note_tables, &any);
    if (!any) {
        return;
    }
    w->on.moving(w->arg);
    wtree_each_up(n, note_past, w);
    wtree_each_up(n, watch_tell_table, w);
}

void watch_loose(struct watch *w, struct wnode *n)
{
    for (size_t i = 0; i < w->moves_count; i++) {
        if (w->moves[i].node == n) {
            w->moves[i] = w->moves[--w->moves_count];
        }
    }
    if (n->out_prev != NULL) {
        DL_DELETE2(w->outside, n, out_prev, out_next);
        n->out_prev = n->out_next = NULL;
    }
}

bool watch_is_removed(const struct wnode *n)
{
    struct stat st;

    return (n->wd < 0 && n->ended) ||
           (n->fd >= 0 && fstat(n->fd, &st) == 0 && st.st_nlink == 0);
}

static void let_go(struct watch *w, struct wnode *n)
{
    watch_loose(w, n);
    wtree_remove(&w->tree, n, watch_on_gone, w);
}

/* A detached node is nowhere in the database. */
static void put_outside(struct watch *w, struct wnode *n)
{
    bool any = false;

    wtree_outlaw(&w->tree, n);
    wtree_each_up(n, note_tables, &any);
    if (!any || (n->children == NULL && n->wd < 0 && n->ended)) {
        let_go(w, n);
        return;
    }
    if (n->fd < 0) {
        w->left = true;
        let_go(w, n);
        return;
    }
    DL_APPEND2(w->outside, n, out_prev, out_next);
    list_ask(w, n, LIST_HINT, ++w->tickets);
}

void watch_displace(struct watch *w, struct wnode *n)
{
    if (n->wd < 0 && n->children == NULL && n->listing == NULL) {
        let_go(w, n); /* known by its name alone */
        return;
    }
    depart(w, n);
    wtree_detach(&w->tree, n);
    put_outside(w, n);
}

bool watch_relocate(struct watch *w, struct wnode *n, struct wnode *parent,
                    const char *name)
{
    struct wnode *above = n->parent;

    depart(w, n);
    watch_loose(w, n);
    wtree_detach(&w->tree, n);
    bool good = wtree_attach(&w->tree, n, parent, name);
    if (!good) {
        watch_forget(w, n);
    }
    if (above != NULL) {
        watch_outside_step(w, above);
    }
    return good;
}

void watch_outside_step(struct watch *w, struct wnode *n)
{
    if (wnode_is_in(&w->tree, n)) {
        return;
    }
    while (n != NULL && n->listing == NULL && n->children == NULL &&
           n->past == NULL) {
        struct wnode *above = n->parent;
        /* A pending move's place may still come. */
        if (above == NULL && n->out_prev == NULL) {
            return;
        }
        let_go(w, n);
        n = above;
    }
}

/* --- events -------------------------------------------------------------- */

/* Is the node's directory behind its name now? */
static bool is_there(struct watch *w, const struct wnode *n)
{
    CLEANUP(fd_closep) int fd = watch_open_child(w, n->parent, n->name);

    return fd >= 0 && watch_is_of(w, n, fd);
}

void watch_moved_from(struct watch *w, struct wnode *parent, const char *name,
                      uint32_t cookie)
{
    struct wnode *n = wtree_child(parent, name);
    bool in = wnode_is_in(&w->tree, parent);
    if (n == NULL || (in && is_there(w, n))) {
        return;
    }
    depart(w, n);

    wtree_detach(&w->tree, n);
    if (w->moves_count < PENDING_MOVES) {
        w->moves[w->moves_count++] =
            (struct pending_move){.cookie = cookie, .node = n};
    } else {
        put_outside(w, n);
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

void watch_moved_to(struct watch *w, struct wnode *parent, const char *name,
                    uint32_t cookie)
{
    struct wnode *n = take_move(w, cookie);
    bool in = wnode_is_in(&w->tree, parent);

    if (n != NULL && in) {
        attach(w, n, parent, name);
    } else if (n != NULL) {
        put_outside(w, n);
    }
    if (in) {
        watch_directory(w, parent, name, LIST_HINT);
    }
}

void watch_moves_end(struct watch *w)
{
    while (w->moves_count > 0) {
        put_outside(w, w->moves[--w->moves_count].node);
    }
}

/* --- descriptors --------------------------------------------------------- */

void watch_unkeep(struct watch *w, struct wnode *n)
{
    if (n->fd < 0) {
        return;
    }
    DL_DELETE2(w->kept, n, kept_prev, kept_next);
    w->kept_count--;
    (void)close(n->fd);
    n->fd = -1;
}

void watch_keep(struct watch *w, struct wnode *n, int fd)
{
    watch_unkeep(w, n);
    if (w->kept_max == 0) {
        (void)close(fd);
        return;
    }
    if (w->kept_count == w->kept_max) {
        watch_unkeep(w, w->kept);
    }
    n->fd = fd;
    DL_APPEND2(w->kept, n, kept_prev, kept_next);
    w->kept_count++;
}

bool watch_is_of(struct watch *w, const struct wnode *n, int fd)
{
    if (n->wd < 0 || w->in == NULL) {
        return false;
    }
    int wd = watch_add(w, n->path, fd);
    if (wd >= 0 && wtree_by_wd(&w->tree, wd) == NULL) {
        (void)inotify_rm_watch(w->in->fd, wd);
    }
    return wd == n->wd;
}

/* Names lead to what has them now, a descriptor to what it was opened on. */
int watch_open_node(struct watch *w, const struct wnode *n)
{
    if (n->fd >= 0) {
        return openat(n->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    CLEANUP(fd_closep) int fd = -1;
    if (n->parent != NULL) {
        fd = watch_open_child(w, n->parent, n->name);
    } else if (n == w->tree.root) {
        return watch_open_dir(w->db, "");
    }
    if (fd >= 0 && n->wd >= 0 && !watch_is_of(w, n, fd)) {
        errno = ENOENT;
        return -1;
    }
    return TAKE_FD(fd);
}

int watch_open_child(struct watch *w, const struct wnode *parent,
                     const char *name)
{
    if (parent->fd >= 0) {
        return watch_open_step(w->db, parent->fd, name);
    }
    errno = ENOENT;
    CLEANUP(fd_closep) int above = watch_open_node(w, parent);
    return above < 0 ? -1 : watch_open_step(w->db, above, name);
}
