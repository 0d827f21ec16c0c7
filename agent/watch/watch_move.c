/* SPDX-License-Identifier: MIT
 *
 * watch_move: directories that move.
 *
 * MOVED_FROM takes the node out of the tree, MOVED_TO with the same cookie puts
 * it in its new place, with all that is below (watch_events.c).  It keeps its
 * watches all the while, and remembers the names its tables had (watch_past.h)
 * until a listing has told of their keys under these, too; so what has to be
 * looked at after a move is what moved, and nothing else.
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
#include <sys/stat.h>
#include <utlist.h>

#include "agent/watch/watch_impl.h"

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
void watch_depart(struct watch *w, struct wnode *n)
{
    bool any = false;

    wtree_each_up(n, note_tables, &any);
    if (!any) {
        return;
    }
    w->on.moving(w->arg);
    wtree_each_up(n, note_past, w);
    wtree_each_up(n, watch_notify_table, w);
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
void watch_put_outside(struct watch *w, struct wnode *n)
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
    watch_depart(w, n);
    wtree_detach(&w->tree, n);
    watch_put_outside(w, n);
}

bool watch_relocate(struct watch *w, struct wnode *n, struct wnode *parent,
                    const char *name)
{
    struct wnode *above = n->parent;

    watch_depart(w, n);
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

void watch_moves_end(struct watch *w)
{
    while (w->moves_count > 0) {
        watch_put_outside(w, w->moves[--w->moves_count].node);
    }
}
