/* SPDX-License-Identifier: MIT
 *
 * watch_dir: puts watches on directories for the watch, and takes them off.
 *
 * A directory is opened from the one that it was found in, or component by
 * component below the root, never through a link, and the watch is put on that
 * very inode (through /proc/self/fd), so no race can lead it elsewhere.  A
 * watch descriptor that turns up in a second place means that the directory was
 * moved and its events are still to come: its node is moved at once
 * (watch_move.c).  What cannot be watched stays known, and the owner is told
 * why, once.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/watch/watch_impl.h"
#include "store/base/cleanup.h"
#include "store/base/quote.h"
#include "store/layout/name.h"
#include "sync/errors/state.h"

/* No MODIFY, ATTRIB, OPEN, ACCESS or CLOSE_NOWRITE: our own reads would flood
 * the queue.  EXCL_UNLINK: writers close replaced inodes later. */
#define WATCH_MASK                                                             \
    (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE |    \
     IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK |             \
     IN_DONT_FOLLOW)

/* `fd`, or -1 when it is not ours. */
static int if_ours(const struct db *db, int fd)
{
    CLEANUP(fd_closep) int mine = fd;
    struct stat st;

    if (mine < 0 || fstat(mine, &st) != 0) {
        return -1;
    }
    if (db_is_mounted(db, mine, &st)) {
        errno = EXDEV;
        return -1;
    }
    return TAKE_FD(mine);
}

int watch_open_dir(const struct db *db, const char *path)
{
    return if_ours(db, db_open_dir(db, *path != '\0' ? path : "."));
}

int watch_open_step(const struct db *db, int fd, const char *name)
{
    return if_ours(db, db_open_step(fd, name));
}

/* Tables that went are told children first: that is the order in which they can
 * be removed elsewhere. */
void watch_tell_table(void *arg, struct wnode *n)
{
    struct watch *w = arg;

    if (n->is_table && n != w->tree.root) {
        w->on.table(w->arg, n->path, n->table_len);
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

static void note_left(void *arg, struct wnode *n)
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
    watch_tell_table(w, n);
    watch_loose(w, n);
    wtree_remove(&w->tree, n, watch_on_gone, w);
}

void watch_forget(struct watch *w, struct wnode *n)
{
    watch_loose(w, n);
    wtree_each_up(n, note_left, w);
    wtree_each_up(n, watch_tell_table, w);
    wtree_remove(&w->tree, n, watch_on_gone, w);
}

/* Told when all directories have been found, so that the numbers are right. */
void watch_tell_limit(struct watch *w)
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

static void tell_trouble(struct watch *w, int sys, const char *path)
{
    if (w->trouble_told) {
        return;
    }
    w->trouble_told = true;
    struct err err = {0};
    (void)err_sys(&err, sys, "watch %s in %s", QUOTED(path, strlen(path)),
                  w->db->path);
    err.id = err.code == ERR_PERM ? DR_UNREADABLE : 0;
    w->on.trouble(w->arg, &err);
}

int watch_add(struct watch *w, const char *path, int fd)
{
    char proc[64];

    (void)snprintf(proc, sizeof proc, "/proc/self/fd/%d/.", fd);
    int wd = inotify_add_watch(w->in->fd, proc, WATCH_MASK);
    if (wd < 0 && errno == ENOSPC) {
        w->limit_sys = ENOSPC;
    } else if (wd < 0) {
        tell_trouble(w, errno, path);
    }
    return wd;
}

void watch_set(struct watch *w, struct wnode *n, int wd)
{
    if (n->wd >= 0) {
        (void)inotify_rm_watch(w->in->fd, n->wd);
    }
    if (!wtree_set_wd(&w->tree, n, wd)) {
        (void)inotify_rm_watch(w->in->fd, wd);
    }
}

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
     * Until then the listing that is owed for its past names waits. */
    bool owes = n != NULL && gone && wnode_owes(n);
    if (owes) {
        list_ask(w, n, LIST_HINT, ticket_in(w, parent));
    }
    if (owes || (n != NULL && gone && n->wd >= 0 && mode == LIST_HINT)) {
        return;
    }
    if (n != NULL) {
        watch_forget(w, n);
    }
    if (gone || other) {
        return;
    }
    w->counts.unreadable++;
    /* New, and nobody knows what is in it; nor would a change of its mode tell
     * when it can be read.  (Other listings belong to a scan.) */
    w->left = w->left || mode == LIST_HINT;
    if (sys != EXDEV) {
        tell_trouble(w, sys, path);
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
