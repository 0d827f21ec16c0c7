/* SPDX-License-Identifier: MIT
 *
 * watch_queue: which directories are to be listed: they are asked for here, and
 * listed by watch_list.c. */
#include <stdlib.h>
#include <utlist.h>

#include "agent/watch/watch_impl.h"
#include "store/base/dir.h"

void list_free(struct listing *l)
{
    dir_end(&l->dir);
    buf_deinit(&l->batch);
    free(l);
}

void list_ask(struct watch *w, struct wnode *n, enum list_mode mode,
              uint64_t ticket)
{
    struct listing *l = n->listing;

    if (l != NULL && l->number != 0) {
        if (!l->again || ticket < l->again_ticket) {
            l->again_ticket = ticket;
        }
        l->again_mode = l->again && l->again_mode > mode ? l->again_mode : mode;
        l->again = true;
        return;
    }
    if (l != NULL) {
        if (mode > l->mode) {
            l->mode = mode;
        }
        if (ticket < l->ticket) {
            l->ticket = ticket;
        }
        return;
    }
    l = calloc(1, sizeof *l);
    if (l == NULL) {
        /* What is in there is not known: as if events had been lost. */
        w->overflowed = true;
        return;
    }
    *l = (struct listing){.watch = w,
                          .node = n,
                          .mode = mode,
                          .ticket = ticket,
                          .batch = BUF_NULL};
    n->listing = l;
    w->idle_due = true;
    DL_APPEND(w->listings, l);
}

/* The node goes: whatever step comes next drops the listing.  One that runs on
 * the pool leaves the queue now and is freed when it comes back. */
void list_orphan(struct watch *w, struct listing *l)
{
    l->node->listing = NULL;
    l->node = NULL;
    if (l == w->running) {
        DL_DELETE(w->listings, l);
    }
}

void list_drop_all(struct watch *w)
{
    while (w->listings != NULL) {
        struct listing *l = w->listings;
        if (l->node != NULL) {
            l->node->listing = NULL;
        }
        l->node = NULL;
        DL_DELETE(w->listings, l);
        if (l != w->running) {
            list_free(l);
        }
    }
    w->idle_due = false;
}
