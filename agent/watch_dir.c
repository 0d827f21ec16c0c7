/* SPDX-License-Identifier: MIT
 *
 * watch_dir: puts watches on directories for the watch, and takes them off.
 *
 * A directory is opened component by component below the root, never through a
 * link, and the watch is put on that very inode (through /proc/self/fd), so no
 * race can lead it elsewhere.  A watch descriptor that turns up in a second
 * place means that the directory was moved and we learned of it from a listing
 * first: the older place is forgotten.  What cannot be watched stays known, and
 * the owner is told why, once.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/watch_impl.h"
#include "store/base/cleanup.h"
#include "store/base/quote.h"
#include "store/name.h"
#include "sync/state.h"

/* No MODIFY, ATTRIB, OPEN, ACCESS or CLOSE_NOWRITE: our own reads would flood
 * the queue.  EXCL_UNLINK: writers close replaced inodes later. */
#define WATCH_MASK                                                             \
    (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE |    \
     IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK |             \
     IN_DONT_FOLLOW)

int watch_open_dir(const struct db *db, const char *path)
{
    CLEANUP(fd_closep) int fd = db_open_dir(db, *path != '\0' ? path : ".");
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0)
        return -1;
    if (st.st_dev != db->dev) {
        errno = EXDEV;
        return -1;
    }
    return TAKE_FD(fd);
}

/* Tables that went are told children first: that is the order in which they can
 * be removed elsewhere. */
void watch_tell_table(void *arg, struct wnode *n)
{
    struct watch *w = arg;
    if (n->is_table && n != w->tree.root)
        w->on.table(w->arg, n->path, n->table_len);
}

/* A node is about to be freed. */
void watch_on_gone(void *arg, struct wnode *n)
{
    struct watch *w = arg;
    if (n->listing != NULL)
        list_orphan(w, n->listing);
    /* EINVAL when the kernel dropped it already. */
    if (n->wd >= 0 && w->in != NULL)
        (void)inotify_rm_watch(w->in->fd, n->wd);
}

static void note_left(void *arg, struct wnode *n)
{
    struct watch *w = arg;
    w->left = w->left || n->is_table;
}

void watch_tell_left(struct watch *w, struct wnode *n)
{
    wtree_each_up(n, note_left, w);
    wtree_each_up(n, watch_tell_table, w);
}

void watch_removed(struct watch *w, struct wnode *n)
{
    if (n->children != NULL || (n->wd < 0 && !n->ended)) {
        watch_forget(w, n);
        return;
    }
    watch_tell_table(w, n);
    wtree_remove(&w->tree, n, watch_on_gone, w);
}

void watch_forget(struct watch *w, struct wnode *n)
{
    for (size_t i = 0; i < w->moves_count; i++)
        if (w->moves[i].node == n)
            w->moves[i] = w->moves[--w->moves_count];
    watch_tell_left(w, n);
    wtree_remove(&w->tree, n, watch_on_gone, w);
}

/* Told when all directories have been found, so that the numbers are right. */
void watch_tell_limit(struct watch *w)
{
    int sys = w->limit_sys;
    w->limit_sys = 0;
    if (sys == 0 || w->trouble_told)
        return;
    w->trouble_told = true;
    struct err err = {0};
    if (sys != ENOSPC)
        (void)err_set(&err, ERR_NOSPACE, sys,
                      "no inotify instance for %s (%zu tables): raise the "
                      "sysctl fs.inotify.max_user_instances; until then the "
                      "database is scanned every few seconds",
                      w->db->path, w->tree.tables);
    else
        (void)err_set(&err, ERR_NOSPACE, sys,
                      "%zu of %zu directories (%zu tables) of %s cannot be "
                      "watched: raise the sysctl fs.inotify.max_user_watches; "
                      "until then the database is scanned every few seconds",
                      w->tree.nodes - w->tree.watched, w->tree.nodes,
                      w->tree.tables, w->db->path);
    err.id = sys != ENOSPC ? DR_INSTANCE_LIMIT : DR_WATCH_LIMIT;
    w->on.trouble(w->arg, &err);
}

static void tell_trouble(struct watch *w, int sys, const char *path)
{
    if (w->trouble_told)
        return;
    w->trouble_told = true;
    struct err err = {0};
    (void)err_sys(&err, sys, "watch %s in %s", QUOTED(path, strlen(path)),
                  w->db->path);
    err.id = err.code == ERR_PERM ? DR_UNREADABLE : 0;
    w->on.trouble(w->arg, &err);
}

/* The descriptor turned up at `n` and was known at `other`. */
static bool settle_twin(struct watch *w, struct wnode *n, struct wnode *other)
{
    /* A directory cannot be below itself but for bind mounts; following them
     * would never end. */
    if (wnode_is_below(n, other))
        return false;
    (void)wtree_set_wd(&w->tree, other, -1);
    watch_forget(w, other);
    return true;
}

enum put_result watch_put(struct watch *w, struct wnode *n, int fd)
{
    char path[64];
    if (w->in == NULL)
        return PUT_SAME;
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d/.", fd);
    int wd = inotify_add_watch(w->in->fd, path, WATCH_MASK);
    if (wd < 0) {
        if (errno == ENOSPC)
            w->limit_sys = ENOSPC;
        else
            tell_trouble(w, errno, n->path);
        return PUT_SAME;
    }
    if (wd == n->wd)
        return PUT_SAME;
    if (n->wd >= 0)
        (void)inotify_rm_watch(w->in->fd, n->wd);
    struct wnode *other = wtree_by_wd(&w->tree, wd);
    if (other != NULL && !settle_twin(w, n, other))
        return PUT_LOOP;
    if (!wtree_set_wd(&w->tree, n, wd))
        (void)inotify_rm_watch(w->in->fd, wd);
    return other != NULL ? PUT_TWIN : PUT_NEW;
}

/* There is no directory of ours by this name (any more). */
static void no_directory(struct watch *w, struct wnode *n, const char *path,
                         enum list_mode mode)
{
    int sys = errno;
    if (n != NULL)
        watch_forget(w, n);
    if (sys == ENOENT || sys == ENOTDIR || sys == ELOOP)
        return;
    w->counts.unreadable++;
    /* New, and nobody knows what is in it; nor would a change of its mode tell
     * when it can be read.  (Other listings belong to a scan.) */
    w->left = w->left || mode == LIST_HINT;
    if (sys != EXDEV)
        tell_trouble(w, sys, path);
}

void watch_directory(struct watch *w, struct wnode *parent, const char *name,
                     enum list_mode mode)
{
    if (parent == w->tree.root && strcmp(name, META_DIR) == 0)
        return;
    struct wnode *n = wtree_child(parent, name);
    bool known = n != NULL;
    if (!known)
        n = wtree_add(&w->tree, parent, name);
    if (n == NULL) {
        w->counts.ignored++; /* too long or too deep for a table */
        return;
    }
    n->seen = w->numbers;
    CLEANUP(fd_closep) int fd = watch_open_dir(w->db, n->path);
    if (fd < 0) {
        if (!known)
            wtree_remove(&w->tree, n, watch_on_gone, w);
        no_directory(w, known ? n : NULL, name, mode);
        return;
    }
    enum put_result put = watch_put(w, n, fd);
    if (put == PUT_LOOP) {
        watch_forget(w, n);
        return;
    }
    /* A known directory that is another one now, or could not be watched until
     * now, or has moved: report what is in it. */
    if (mode == LIST_SYNC && (put == PUT_TWIN || (put == PUT_NEW && known)))
        mode = LIST_HINT;
    if (n->is_table && (mode == LIST_HINT || (mode == LIST_SYNC && !known)))
        w->on.table(w->arg, n->path, n->table_len);
    list_ask(w, n, mode,
             parent->listing != NULL && parent->listing->number != 0
                 ? parent->listing->ticket
                 : ++w->tickets);
}
