/* SPDX-License-Identifier: MIT
 *
 * watch_dir: a directory that was found, or is to be looked at again: it gets
 * its watch and is listed.
 *
 * A watch descriptor that turns up in a second place means that the directory
 * was moved and its events are still to come: its node is moved at once
 * (watch_move.c).
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent/watch/watch_impl.h"
#include "store/base/cleanup.h"
#include "store/layout/name.h"

/* A new node, for what is open. */
static struct wnode *begin_anew(struct watch *w, int fd, struct wnode *parent,
                                const char *name)
{
    struct wnode *n = wtree_add(&w->tree, parent, name);
    int wd = n != NULL ? watch_add(w, n->path, fd) : -1;

    if (wd >= 0) {
        watch_set(w, n, wd);
    }
    return n;
}

/* The watch descriptor of what is at `*n` is another node's, or new.  A new
 * node takes its place where the old one's directory is elsewhere by now; NULL:
 * there is none. */
static enum put_result settle(struct watch *w, struct wnode **n, int wd, int fd,
                              struct wnode *parent, const char *name)
{
    struct wnode *other = wtree_by_wd(&w->tree, wd);

    if (other != NULL && wnode_is_below(*n, other)) {
        /* A directory cannot be below itself but for bind mounts; following
         * them would never end. */
        watch_forget(w, *n);
        *n = NULL;
        return PUT_SAME;
    }
    if (other == NULL && (*n)->wd < 0) {
        watch_set(w, *n, wd);
        return PUT_NEW;
    }
    bool twin = other != NULL;
    watch_displace(w, *n);
    other = wtree_by_wd(&w->tree, wd); /* it may have gone, from below it */
    if (other != NULL && watch_relocate(w, other, parent, name)) {
        *n = other;
    } else {
        *n = begin_anew(w, fd, parent, name);
    }
    w->left = w->left || *n == NULL;
    return twin ? PUT_TWIN : PUT_NEW;
}

/* Put the watch on an open directory. */
static enum put_result put(struct watch *w, struct wnode **n, int fd,
                           struct wnode *parent, const char *name)
{
    int wd = w->in != NULL ? watch_add(w, (*n)->path, fd) : -1;

    if (wd < 0 || wd == (*n)->wd) {
        return PUT_SAME;
    }
    return settle(w, n, wd, fd, parent, name);
}

/* The ticket of what is found in a directory: that of its listing, which is not
 * over before. */
static uint64_t ticket_in(struct watch *w, const struct wnode *parent)
{
    return parent->listing != NULL && parent->listing->number != 0
               ? parent->listing->ticket
               : ++w->tickets;
}

/* There is no directory of ours by this name (any more). */
static void no_directory(struct watch *w, struct wnode *n, struct wnode *parent,
                         const char *path, enum list_mode mode)
{
    int sys = errno;
    bool other = sys == DB_OTHER; /* not a part of this one */
    bool gone = sys == ENOENT || sys == ENOTDIR || sys == ELOOP;

    /* It moved on, or was removed: events that are still to be read tell which,
     * and of its keys.  (A listing after lost events does not count on them.)
     * Until then the listing that is due for its past names waits. */
    bool due = n != NULL && gone && wnode_due(n);
    if (due) {
        list_ask(w, n, LIST_HINT, ticket_in(w, parent));
    }
    if (due || (n != NULL && gone && n->wd >= 0 && mode == LIST_HINT)) {
        return;
    }
    if (n != NULL) {
        watch_forget(w, n);
    }
    if (gone || other ||
        (sys == EACCES && parent->parent == NULL &&
         db_is_lost_found(w->db, path))) {
        return;
    }
    w->counts.unreadable++;
    /* New, and nobody knows what is in it; nor would a change of its mode tell
     * when it can be read.  (Other listings belong to a scan.) */
    w->left = w->left || mode == LIST_HINT;
    if (sys != EXDEV) {
        watch_notify_trouble(w, sys, path);
    }
}

/* How what is at a place is to be listed, and whether its table is to be told
 * of. */
static enum list_mode mode_of(struct watch *w, const struct wnode *n,
                              enum list_mode mode, enum put_result put,
                              bool known)
{
    /* A known directory that is another one now, or could not be watched until
     * now, or has moved: report what is in it. */
    if (mode == LIST_SYNC && (put == PUT_TWIN || (put == PUT_NEW && known))) {
        mode = LIST_HINT;
    }
    if (n->past != NULL) {
        mode = LIST_HINT;
    }
    if (n->is_table && (mode == LIST_HINT || (mode == LIST_SYNC && !known))) {
        w->on.table(w->arg, n->path, n->table_len);
    }
    return mode;
}

void watch_directory(struct watch *w, struct wnode *parent, const char *name,
                     enum list_mode mode)
{
    if (strcmp(name, META_DIR) == 0) {
        /* Below the root it makes its directory another database. */
        if (parent->parent != NULL) {
            watch_directory(w, parent->parent, parent->name, mode);
        }
        return;
    }
    struct wnode *n = wtree_child(parent, name);
    bool known = n != NULL;

    if (!known) {
        n = wtree_add(&w->tree, parent, name);
    }
    if (n == NULL) {
        w->counts.ignored++; /* too long or too deep for a table */
        return;
    }
    n->seen = w->numbers;
    CLEANUP(fd_closep) int fd = watch_open_child(w, parent, name);
    if (fd < 0) {
        int sys = errno;
        if (!known) {
            wtree_remove(&w->tree, n, watch_on_gone, w);
        }
        errno = sys;
        no_directory(w, known ? n : NULL, parent, name, mode);
        return;
    }
    enum put_result result = put(w, &n, fd, parent, name);
    if (n == NULL) {
        return;
    }
    n->seen = w->numbers;
    watch_keep(w, n, TAKE_FD(fd));
    list_ask(w, n, mode_of(w, n, mode, result, known), ticket_in(w, parent));
}
