/* SPDX-License-Identifier: MIT
 *
 * edit_watch: see edit_watch.h.
 */
#include "sync/replica/edits/edit_watch.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/map.h"

/* The system call filter lets no other mask pass. */
#define MASK                                                                   \
    (IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO |    \
     IN_CREATE | IN_DELETE | IN_ONLYDIR | IN_EXCL_UNLINK)

enum { READ_BYTES = 64 * 1024 };

struct watched {
    int wd;
    unsigned events; /* in this round */
    UT_hash_handle hh;
    size_t path_len;
    char path[];
};

struct edit_watch {
    int fd;
    pthread_mutex_t mutex; /* of `dirs` */
    struct watched *dirs;  /* by wd */
    unsigned events;       /* in this round */
    size_t at, len;        /* in `queue` */
    _Alignas(struct inotify_event) char queue[READ_BYTES];
};

struct edit_watch *edit_watch_new(void)
{
    struct edit_watch *w = calloc(1, sizeof *w);

    if (w == NULL) {
        return NULL;
    }
    w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (w->fd < 0) {
        free(w);
        return NULL;
    }
    pthread_mutex_init(&w->mutex, NULL);
    return w;
}

static void forget(struct edit_watch *w, struct watched *d)
{
    HASH_DEL(w->dirs, d);
    free(d);
}

void edit_watch_free(struct edit_watch *w)
{
    struct watched *d, *next;

    if (w == NULL) {
        return;
    }
    HASH_ITER(hh, w->dirs, d, next) {
        forget(w, d);
    }
    fd_closep(&w->fd);
    pthread_mutex_destroy(&w->mutex);
    free(w);
}

int edit_watch_fd(const struct edit_watch *w)
{
    return w->fd;
}

size_t edit_watch_count(struct edit_watch *w)
{
    pthread_mutex_lock(&w->mutex);
    size_t n = HASH_COUNT(w->dirs);
    pthread_mutex_unlock(&w->mutex);
    return n;
}

void edit_watch_round(struct edit_watch *w)
{
    struct watched *d;

    w->events = 0;
    pthread_mutex_lock(&w->mutex);
    for (d = w->dirs; d != NULL; d = d->hh.next) {
        d->events = 0;
    }
    pthread_mutex_unlock(&w->mutex);
}

/* --- watches ------------------------------------------------------------- */

/* Under the mutex.  An inode has one watch: under another path it has moved. */
static int keep(struct edit_watch *w, int wd, const char *path)
{
    struct watched *d;
    size_t len = strlen(path);

    HASH_FIND_INT(w->dirs, &wd, d);
    if (d != NULL && strcmp(d->path, path) == 0) {
        return 0;
    }
    if (d != NULL) {
        forget(w, d);
    }
    d = calloc(1, sizeof *d + len + 1);
    if (d != NULL) {
        d->wd = wd;
        d->path_len = len;
        memcpy(d->path, path, len + 1);
        HASH_ADD_INT(w->dirs, wd, d);
    }
    if (d == NULL || !map_added(d)) {
        free(d);
        (void)inotify_rm_watch(w->fd, wd);
        return ENOMEM;
    }
    return 0;
}

int edit_watch_add(struct edit_watch *w, const char *path, int dir_fd)
{
    char proc[40];

    (void)snprintf(proc, sizeof proc, "/proc/self/fd/%d/.", dir_fd);
    pthread_mutex_lock(&w->mutex);
    int wd = inotify_add_watch(w->fd, proc, MASK);
    int sys = wd < 0 ? errno : keep(w, wd, path);
    pthread_mutex_unlock(&w->mutex);
    return sys;
}

static void unwatch(struct edit_watch *w, struct watched *d)
{
    (void)inotify_rm_watch(w->fd, d->wd);
    forget(w, d);
}

static bool is_below(const struct watched *d, const char *path, size_t len)
{
    return d->path_len >= len && memcmp(d->path, path, len) == 0 &&
           (d->path_len == len || d->path[len] == '/');
}

/* What is at `path` now is not what was. */
static void unwatch_below(struct edit_watch *w, const char *path)
{
    struct watched *d, *next;
    size_t len = strlen(path);

    HASH_ITER(hh, w->dirs, d, next) {
        if (is_below(d, path, len)) {
            unwatch(w, d);
        }
    }
}

/* --- events -------------------------------------------------------------- */

/* The path of `name` in the directory; false: too long for one of ours. */
static bool path_of(const struct watched *d, const char *name,
                    struct edit_event *out)
{
    int n = snprintf(out->path, sizeof out->path, "%s%s%s", d->path,
                     d->path_len > 0 ? "/" : "", name);

    return n > 0 && (size_t)n < sizeof out->path;
}

static bool dir_event(struct edit_watch *w, const struct watched *d,
                      const struct inotify_event *e, struct edit_event *out)
{
    if ((d->path_len == 0 && strcmp(e->name, META_DIR) == 0) ||
        !path_of(d, e->name, out)) {
        return false;
    }
    out->kind = EDIT_DIR;
    out->came = (e->mask & (IN_CREATE | IN_MOVED_TO)) != 0;
    out->moved = (e->mask & IN_MOVED_FROM) != 0;
    if ((e->mask & (IN_MOVED_FROM | IN_MOVED_TO)) != 0) {
        unwatch_below(w, out->path);
    }
    return true;
}

static bool is_table(const struct watched *d)
{
    const char *slash = strrchr(d->path, '/');
    size_t ignored;

    return d->path_len == 0 ||
           name_is_table(slash != NULL ? slash + 1 : d->path, &ignored);
}

/* It may be a link, which leads readers to tables, or be called like one. */
static bool other_event(const struct watched *d, const struct inotify_event *e,
                        struct edit_event *out)
{
    if ((e->mask & (IN_CREATE | IN_MOVED_TO)) == 0 || name_is_temp(e->name) ||
        strlen(e->name) >= sizeof out->key) {
        return false;
    }
    out->kind = EDIT_OTHER;
    memcpy(out->path, d->path, d->path_len + 1);
    memcpy(out->key, e->name, strlen(e->name) + 1);
    out->key_len = strlen(e->name);
    return true;
}

/* Only in a table's directory there are keys. */
static bool key_event(const struct watched *d, const struct inotify_event *e,
                      struct edit_event *out)
{
    size_t len;

    if (!name_is_key(e->name, &len) || !is_table(d)) {
        return other_event(d, e, out);
    }
    out->kind = EDIT_KEY;
    out->written = (e->mask & (IN_MODIFY | IN_CLOSE_WRITE)) != 0;
    memcpy(out->path, d->path, d->path_len + 1);
    memcpy(out->key, e->name, len);
    out->key[len] = '\0';
    out->key_len = len;
    return true;
}

static bool is_noisy(struct edit_watch *w, struct watched *d)
{
    return ++d->events > EDIT_NOISY || ++w->events > EDIT_NOISY_ALL;
}

/* Under the mutex.  False: it says nothing. */
static bool event_of(struct edit_watch *w, const struct inotify_event *e,
                     struct edit_event *out)
{
    struct watched *d;

    out->kind = EDIT_LOST;
    out->noisy = false;
    if ((e->mask & IN_Q_OVERFLOW) != 0) {
        return true;
    }
    HASH_FIND_INT(w->dirs, &e->wd, d);
    if (d == NULL) {
        return false;
    }
    if ((e->mask & (IN_IGNORED | IN_UNMOUNT)) != 0) {
        forget(w, d);
        /* What a mount has hidden comes to light. */
        return (e->mask & IN_UNMOUNT) != 0;
    }
    if (is_noisy(w, d)) {
        unwatch(w, d);
        out->noisy = true;
        return true;
    }
    if (e->len == 0) {
        return false; /* of the directory itself: its parent tells */
    }
    return (e->mask & IN_ISDIR) != 0 ? dir_event(w, d, e, out)
                                     : key_event(d, e, out);
}

static bool fill(struct edit_watch *w)
{
    if (w->at < w->len) {
        return true;
    }
    ssize_t n = read(w->fd, w->queue, sizeof w->queue);
    w->at = 0;
    w->len = n > 0 ? (size_t)n : 0;
    return n > 0;
}

bool edit_watch_next(struct edit_watch *w, struct edit_event *out)
{
    while (fill(w)) {
        const void *p = w->queue + w->at;
        const struct inotify_event *e = p;
        w->at += sizeof *e + e->len;
        pthread_mutex_lock(&w->mutex);
        bool told = event_of(w, e, out);
        pthread_mutex_unlock(&w->mutex);
        if (told) {
            return true;
        }
    }
    return false;
}
