/* SPDX-License-Identifier: MIT
 *
 * dircache: see dircache.h.
 *
 * A stale entry keeps its descriptor to the end, because another worker may be
 * reading through it: closing it would let its number be reused under them.
 */
#include "agent/read/dircache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utlist.h>

#include "agent/base/exchanged.h"
#include "store/base/cleanup.h"
#include "store/base/quote.h"
#include "store/layout/name.h"
#include "sync/errors/state.h"

void dircache_init(struct dircache *c, size_t max)
{
    *c = (struct dircache){.max = max};
}

static void entry_free(struct dircache_entry *e)
{
    if (e->fd >= 0) {
        (void)close(e->fd);
    }
    uv_mutex_destroy(&e->lock);
    free(e);
}

static void unlist(struct dircache *c, struct dircache_entry *e)
{
    if (!e->listed) {
        return;
    }
    HASH_DEL(c->by_name, e);
    DL_DELETE(c->order, e);
    c->count--;
    e->listed = false;
    if (e->users == 0) {
        entry_free(e);
    }
}

void dircache_clear(struct dircache *c)
{
    while (c->order != NULL) {
        unlist(c, c->order);
    }
}

static struct dircache_entry *entry_new(const void *table, size_t len)
{
    struct dircache_entry *e = calloc(1, sizeof *e + len + 1);

    if (e == NULL) {
        return NULL;
    }
    if (uv_mutex_init(&e->lock) != 0) {
        free(e);
        return NULL;
    }
    e->fd = -1;

    e->len = len;
    if (len > 0) {
        memcpy(e->name, table, len);
    }
    return e;
}

/* Make room for one more; entries in use stay. */
static void evict(struct dircache *c)
{
    struct dircache_entry *e, *next;

    DL_FOREACH_SAFE(c->order, e, next) {
        if (c->count < c->max) {
            return;
        }
        if (e->users == 0) {
            unlist(c, e);
        }
    }
}

struct dircache_entry *dircache_take(struct dircache *c, const void *table,
                                     size_t len)
{
    struct dircache_entry *e = NULL;

    HASH_FIND(hh, c->by_name, table, len, e);
    if (e != NULL) {
        DL_DELETE(c->order, e);
        DL_APPEND(c->order, e);
        e->users++;
        return e;
    }
    evict(c);
    e = entry_new(table, len);
    if (e == NULL) {
        return NULL;
    }
    e->users = 1;
    HASH_ADD_KEYPTR(hh, c->by_name, e->name, e->len, e);
    if (e->hh.tbl == NULL) {
        return e; /* works, but is not kept */
    }
    DL_APPEND(c->order, e);
    e->listed = true;
    c->count++;
    return e;
}

void dircache_give(struct dircache *c, struct dircache_entry *e)
{
    e->users--;
    if (!e->listed) {
        if (e->users == 0) {
            entry_free(e);
        }
        return;
    }
    uv_mutex_lock(&e->lock);
    bool drop = e->stale || e->fd < 0;
    uv_mutex_unlock(&e->lock);
    if (drop) {
        unlist(c, e);
    }
}

int dircache_open(const struct db *db, const void *table, size_t len,
                  struct err *err)
{
    CLEANUP(fd_closep) int fd = table_open(db, table, len, NULL, NULL, err);
    struct stat st;

    if (fd >= 0 && fstat(fd, &st) != 0) {
        return err_set(err, ERR_IO, 0, "table %s: cannot be examined",
                       QUOTED_TABLE(table, len));
    }
    int rc = fd >= 0 ? 0 : fd;
    if (fd >= 0 && db_is_mounted(db, fd, &st)) {
        rc = err_set(err, ERR_NOTTABLE, 0,
                     "table %s: another file system is mounted there",
                     QUOTED_TABLE(table, len));
    }
    /* A file in its path: the table may have been put aside for it. */
    if (rc == ERR_NOTFOUND && exchanged_for_table(db, table, len)) {
        rc = err_set(err, ERR_NOTTABLE, ENOTDIR,
                     "table %s: a file has the name of its directory or of "
                     "one above it",
                     QUOTED_TABLE(table, len));
    }
    if (rc == ERR_NOTTABLE) {
        err->id = DR_COVERED;
    }
    return rc < 0 ? rc : TAKE_FD(fd);
}

int dircache_fd(struct dircache_entry *e, const struct db *db, struct err *err)
{
    uv_mutex_lock(&e->lock);
    int fd = e->fd;
    if (fd < 0) {
        struct stat st;
        fd = dircache_open(db, e->name, e->len, err);
        if (fd >= 0 && fstat(fd, &st) == 0) {
            e->fd = fd;
            e->ino = st.st_ino;
            e->dev = st.st_dev;
        }
    }
    uv_mutex_unlock(&e->lock);
    return fd;
}

bool dircache_valid(struct dircache_entry *e, const struct db *db)
{
    char path[TABLE_PATH_BYTES];
    struct stat st;

    table_path(e->name, e->len, path);
    bool valid = fstatat(db->root_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
    uv_mutex_lock(&e->lock);
    valid = valid && e->fd >= 0 && st.st_ino == e->ino && st.st_dev == e->dev;
    if (!valid) {
        e->stale = true;
    }
    uv_mutex_unlock(&e->lock);
    return valid;
}
