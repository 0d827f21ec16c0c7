/* SPDX-License-Identifier: MIT
 *
 * watch_tell: what the watch tells its owner when something is over or cannot
 * be, and the markers that say when it is over. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "agent/watch/watch_impl.h"
#include "store/base/quote.h"
#include "sync/errors/state.h"

/* Tables that went are told children first: that is the order in which they can
 * be removed elsewhere. */
void watch_notify_table(void *arg, struct wnode *n)
{
    struct watch *w = arg;

    if (n->is_table && n != w->tree.root) {
        w->on.table(w->arg, n->path, n->table_len);
    }
}

uint64_t watch_marker(const struct watch *w)
{
    return w->tickets;
}

bool watch_marker_passed(const struct watch *w, uint64_t marker)
{
    const struct listing *l;

    if (w->running != NULL && w->running->ticket <= marker) {
        return false;
    }
    DL_FOREACH(w->listings, l) {
        if (l->ticket <= marker) {
            return false;
        }
    }
    return true;
}

void watch_notify_due(struct watch *w)
{
    if (w->due_wall_ns == 0 || w->db == NULL || w->overflowed || w->left ||
        !watch_marker_passed(w, w->due_marker)) {
        return;
    }
    int64_t wall_ns = w->due_wall_ns;
    w->due_wall_ns = 0;
    w->on.drained(w->arg, wall_ns);
}

void watch_notify_unseen(struct watch *w)
{
    if (!w->left || w->db == NULL) {
        return;
    }
    w->left = false;
    w->on.moved_out(w->arg);
}

/* Told when all directories have been found, so that the numbers are right. */
void watch_notify_limit(struct watch *w)
{
    int sys = w->limit_sys;

    w->limit_sys = 0;
    if (sys == 0 || w->trouble_told) {
        return;
    }
    w->trouble_told = true;
    struct err err = {0};
    if (sys != ENOSPC) {
        (void)err_set(&err, ERR_NOSPACE, sys,
                      "no inotify instance for %s (%zu tables): raise the "
                      "sysctl fs.inotify.max_user_instances; until then the "
                      "database is scanned every few seconds",
                      w->db->path, w->tree.tables);
    } else {
        (void)err_set(&err, ERR_NOSPACE, sys,
                      "%zu of %zu directories (%zu tables) of %s cannot be "
                      "watched: raise the sysctl fs.inotify.max_user_watches; "
                      "until then the database is scanned every few seconds",
                      w->tree.nodes - w->tree.watched, w->tree.nodes,
                      w->tree.tables, w->db->path);
    }
    err.id = sys != ENOSPC ? DR_INSTANCE_LIMIT : DR_WATCH_LIMIT;
    w->on.trouble(w->arg, &err);
}

void watch_notify_trouble(struct watch *w, int sys, const char *path)
{
    if (w->trouble_told) {
        return;
    }
    w->trouble_told = true;
    struct err err = {0};
    (void)err_sys(&err, sys, "watch %s in %s", QUOTED_STR(path), w->db->path);
    err.id = err.code == ERR_PERM ? DR_UNREADABLE : 0;
    w->on.trouble(w->arg, &err);
}

void watch_root_gone(struct watch *w, const char *what)
{
    if (w->lost[0] == '\0') {
        (void)snprintf(w->lost, sizeof w->lost,
                       "the database's directory was %s", what);
    }
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
