/* SPDX-License-Identifier: MIT
 *
 * tables: see tables.h. */
#include "sync/replica/disk/tables.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/hash.h"
#include "store/base/sys.h"

void tables_init(struct tables *t, const struct db *db,
                 const struct meta_modes *modes, struct sync_group *sync)
{
    *t = (struct tables){
        .db = db,
        .make = {.create = true,
                 .dir_mode = modes->dir_mode,
                 .group = modes->group},
        .sync = sync,
    };
}

/* The first failure is the group's. */
static void keep(struct tables *t, const struct err *err)
{
    if (t->failed.code == 0) {
        t->failed = *err;
    }
}

/* Not before it is durable: a descriptor opened later might not be told that
 * it is not. */
static void close_one(struct tables *t, size_t i)
{
    struct err err;

    if (t->open[i].touched &&
        sync_group_run(t->sync, &t->open[i].fd, 1, &err) != 0) {
        keep(t, &err);
    }
    fd_closep(&t->open[i].fd);
    free(t->open[i].name);
    t->open[i] = t->open[--t->n];
}

void tables_deinit(struct tables *t)
{
    while (t->n > 0) {
        t->open[t->n - 1].touched =
            false; /* nothing is acknowledged any more */
        close_one(t, t->n - 1);
    }
}

static size_t find(const struct tables *t, const void *name, size_t len,
                   uint64_t hash)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct tables_one *o = &t->open[i];
        if (o->hash == hash && o->len == len &&
            (len == 0 || memcmp(o->name, name, len) == 0)) {
            return i;
        }
    }
    return t->n;
}

size_t tables_touched(const struct tables *t, int *fds_out)
{
    size_t n = 0;

    for (size_t i = 0; i < t->n; i++) {
        if (t->open[i].touched) {
            fds_out[n++] = t->open[i].fd;
        }
    }
    return n;
}

static void touch_none(struct tables *t)
{
    for (size_t i = 0; i < t->n; i++) {
        t->open[i].touched = false;
    }
}

/* All that were touched so far, together. */
static void sync_touched(struct tables *t)
{
    int fds[TABLES_OPEN_MAX];
    struct err err;
    size_t n = tables_touched(t, fds);

    if (n > 0 && sync_group_run(t->sync, fds, n, &err) != 0) {
        keep(t, &err);
    }
    touch_none(t);
}

static void make_room(struct tables *t)
{
    if (t->n < TABLES_OPEN_MAX) {
        return;
    }
    sync_touched(t);
    size_t oldest = 0;
    for (size_t i = 1; i < t->n; i++) {
        if (t->open[i].used < t->open[oldest].used) {
            oldest = i;
        }
    }
    close_one(t, oldest);
}

/* Found open: does the name still lead there?  Asked anew after a second. */
static bool still_there(struct tables *t, struct tables_one *o)
{
    struct stat mine, named;

    if (fstat(o->fd, &mine) != 0 || mine.st_nlink == 0) {
        return false;
    }
    int64_t now = clock_mono_ns();

    if (now - o->opened_ns < NS_PER_S) {
        return true;
    }
    struct err ignored;
    CLEANUP(fd_closep)
    int fd = table_open(t->db, o->name, o->len, NULL, NULL, &ignored);
    o->opened_ns = now;
    return fd >= 0 && fstat(fd, &named) == 0 && sys_same_file(&named, &mine);
}

/* Bytes of the extended attribute; 0: it has none. */
static size_t attribute(int fd, const char *name, void *out, size_t room,
                        bool *too_long)
{
    ssize_t n = fgetxattr(fd, name, out, room);

    *too_long = *too_long || (n < 0 && errno == ERANGE);
    return n > 0 ? (size_t)n : 0;
}

static struct tables_place place_of(int fd)
{
    struct {
        uint64_t gid, setgid, acl_len, label_len;
        char acl[1024], label[256];
    } gives = {.gid = 0};
    struct stat st;
    bool too_long = false;

    if (fstat(fd, &st) != 0) {
        return (struct tables_place){.gives = 0};
    }
    gives.gid = st.st_gid;
    /* Without the bit a file gets our own group: the same, when that is it. */
    gives.setgid = st.st_gid != getegid() ? st.st_mode & S_ISGID : 0;
    gives.acl_len = attribute(fd, "system.posix_acl_default", gives.acl,
                              sizeof gives.acl, &too_long);
    gives.label_len = attribute(fd, "security.selinux", gives.label,
                                sizeof gives.label, &too_long);
    return (struct tables_place){
        .dev = st.st_dev,
        .ino = st.st_ino,
        .gives = too_long ? 0 : digest_of(&gives, sizeof gives).lo,
        .has_acl = too_long || gives.acl_len > 0};
}

int tables_get(struct tables *t, const void *name, size_t len, bool create,
               struct tables_one **out, struct err *err)
{
    uint64_t hash = hash_local(name, len);
    size_t i = find(t, name, len, hash);

    if (i < t->n && !still_there(t, &t->open[i])) {
        close_one(t, i);
        i = t->n;
    }
    if (i == t->n) {
        make_room(t);
        CLEANUP(fd_closep)
        int fd =
            table_open(t->db, name, len, create ? &t->make : NULL, NULL, err);
        if (fd < 0) {
            return fd;
        }
        char *copy = malloc(len + 1);
        if (copy == NULL) {
            return err_set(err, ERR_NOMEM, 0, "no memory to open a table");
        }
        if (len > 0) {
            memcpy(copy, name, len);
        }
        i = t->n++;
        t->open[i] = (struct tables_one){.hash = hash,
                                         .name = copy,
                                         .len = len,
                                         .place = place_of(fd),
                                         .fd = fd,
                                         .opened_ns = clock_mono_ns()};
        (void)TAKE_FD(fd);
    }
    t->open[i].used = ++t->uses;
    *out = &t->open[i];
    return 0;
}

void tables_forget(struct tables *t, const void *name, size_t len)
{
    size_t i = find(t, name, len, hash_local(name, len));

    if (i < t->n) {
        close_one(t, i);
    }
}

/* All are closed; the first failure there ever was. */
static int end_group(struct tables *t, struct err *err)
{
    while (t->n > 0) {
        close_one(t, t->n - 1);
    }
    if (t->failed.code != 0) {
        *err = t->failed;
        return err->code;
    }
    return 0;
}

int tables_synced(struct tables *t, const struct err *how, struct err *err)
{
    if (how->code != 0) {
        keep(t, how);
    }
    touch_none(t);
    return end_group(t, err);
}

int tables_sync(struct tables *t, struct err *err)
{
    sync_touched(t);
    return end_group(t, err);
}
