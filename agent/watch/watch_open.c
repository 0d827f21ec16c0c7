/* SPDX-License-Identifier: MIT
 *
 * watch_open: opens directories, puts watches on them, and keeps descriptors.
 *
 * A directory is opened from the one that it was found in, or component by
 * component below the root, never through a link, and the watch is put on that
 * very inode (through /proc/self/fd), so no race can lead it elsewhere.
 * Descriptors are kept of as many directories as this process can afford, those
 * that were looked at last: what leaves the database is listed through them.
 * What cannot be watched stays known, and the owner is told why, once.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utlist.h>

#include "agent/watch/watch_impl.h"
#include "store/base/cleanup.h"

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

/* --- watches ------------------------------------------------------------- */

int watch_add(struct watch *w, const char *path, int fd)
{
    char proc[64];

    (void)snprintf(proc, sizeof proc, "/proc/self/fd/%d/.", fd);
    int wd = inotify_add_watch(w->in->fd, proc, WATCH_MASK);
    if (wd < 0 && errno == ENOSPC) {
        w->limit_sys = ENOSPC;
    } else if (wd < 0) {
        watch_notify_trouble(w, errno, path);
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
