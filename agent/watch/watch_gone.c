/* SPDX-License-Identifier: MIT
 *
 * watch_gone: directories that are not watched any more: their nodes go, and
 * the owner is told of their tables. */
#include <sys/inotify.h>
#include <utlist.h>

#include "agent/watch/watch_impl.h"

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

/* A node is about to be freed. */
void watch_on_gone(void *arg, struct wnode *n)
{
    struct watch *w = arg;

    if (n->listing != NULL) {
        list_orphan(w, n->listing);
    }
    watch_unkeep(w, n);
    /* EINVAL when the kernel dropped it already. */
    if (n->wd >= 0 && w->in != NULL) {
        (void)inotify_rm_watch(w->in->fd, n->wd);
    }
}

static void note_moved_out(void *arg, struct wnode *n)
{
    struct watch *w = arg;

    w->left = w->left || n->is_table || n->past != NULL;
}

void watch_removed(struct watch *w, struct wnode *n)
{
    if (n->children != NULL || (n->wd < 0 && !n->ended)) {
        watch_forget(w, n);
        return;
    }
    watch_notify_table(w, n);
    watch_loose(w, n);
    wtree_remove(&w->tree, n, watch_on_gone, w);
}

void watch_forget(struct watch *w, struct wnode *n)
{
    watch_loose(w, n);
    wtree_each_up(n, note_moved_out, w);
    wtree_each_up(n, watch_notify_table, w);
    wtree_remove(&w->tree, n, watch_on_gone, w);
}
