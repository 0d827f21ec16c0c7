/* SPDX-License-Identifier: MIT
 *
 * trash: see trash.h.  (Its log: trash_log.c.) */
#include "sync/replica/trash/trash.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/sys.h"
#include "store/base/units.h"
#include "store/files/newfile.h"
#include "store/layout/install.h"
#include "sync/replica/trash/trash_log.h"

enum { TELL_EVERY_S = 60, LOG_SPARE = 1000 };

void trash_name(uint64_t id, char out[TRASH_NAME_BYTES])
{
    (void)snprintf(out, TRASH_NAME_BYTES, "%016" PRIx64, id);
}

int trash_open(struct trash *t, int meta_fd, const char *name,
               const struct trash_settings *set, const struct meta_modes *modes,
               struct err *err)
{
    *t = (struct trash){.name = name, .set = *set, .dir_fd = -1, .log_fd = -1};
    if (pthread_mutex_init(&t->mutex, NULL) != 0) {
        return err_set(err, ERR_NOMEM, 0, "no memory for the trash");
    }
    t->opened = true;
    if (set->keep_ns <= 0) {
        return 0;
    }
    t->dir_fd = meta_open_sub(meta_fd, name, modes, err);
    return t->dir_fd < 0 ? t->dir_fd : 0;
}

void trash_close(struct trash *t)
{
    fd_closep(&t->dir_fd);
    fd_closep(&t->log_fd);
    free(t->kept);
    t->kept = NULL;
    if (t->opened) {
        (void)pthread_mutex_destroy(&t->mutex);
    }
    t->opened = false;
}

/* --- what is kept; with the mutex held ----------------------------------- */

static uint64_t charge_of(uint64_t size, size_t names)
{
    return size + names + TRASH_CHARGE_BYTES;
}

static bool make_cell(struct trash *t)
{
    if (t->head > 0 && t->head >= t->cap / 2) {
        memmove(t->kept, t->kept + t->head, t->count * sizeof *t->kept);
        t->head = 0;
    }
    if (t->head + t->count < t->cap) {
        return true;
    }
    size_t cap = t->cap > 0 ? t->cap * 2 : 64;
    struct trash_kept *kept = realloc(t->kept, cap * sizeof *kept);
    if (kept == NULL) {
        return false;
    }
    t->kept = kept;
    t->cap = cap;
    return true;
}

static void add(struct trash *t, struct trash_kept k)
{
    assert(t->head + t->count < t->cap);
    t->kept[t->head + t->count++] = k;
    t->bytes += k.charge;
}

static void drop_oldest(struct trash *t)
{
    char name[TRASH_NAME_BYTES];
    const struct trash_kept *k = &t->kept[t->head];

    trash_name(k->id, name);
    /* One that cannot be removed is found again at the next start. */
    (void)unlinkat(t->dir_fd, name, 0);
    t->bytes -= k->charge;
    t->head++;
    t->count--;
}

static void drop_aged(struct trash *t)
{
    int64_t now_s = clock_real_ns() / NS_PER_S;

    while (t->count > 0 &&
           now_s - t->kept[t->head].deleted_s > t->set.keep_ns / NS_PER_S) {
        drop_oldest(t);
    }
}

/* Room for a value: false when it can never have any. */
static bool make_room(struct trash *t, uint64_t charge)
{
    if (charge > t->set.max_bytes || !make_cell(t)) {
        return false;
    }
    while (t->count > 0 && (t->bytes + charge > t->set.max_bytes ||
                            t->count >= TRASH_VALUES_MAX)) {
        drop_oldest(t);
        t->early++;
    }
    return true;
}

/* --- start --------------------------------------------------------------- */

static int load_one(void *arg, const struct trash_entry *e)
{
    struct trash *t = arg;

    if (!make_cell(t)) {
        return ERR_NOMEM;
    }
    add(t, (struct trash_kept){
               .id = e->id,
               .deleted_s = e->deleted_s,
               .charge = charge_of(e->size, e->table.len + e->key.len)});
    t->next_id = e->id >= t->next_id ? e->id + 1 : t->next_id;
    return 0;
}

int trash_start(struct trash *t, struct err *err)
{
    if (t->dir_fd < 0) {
        return 0;
    }
    (void)pthread_mutex_lock(&t->mutex);
    t->head = t->count = 0;
    t->bytes = 0;
    t->next_id = 1;
    int rc = trash_log_rewrite(t->dir_fd, &t->records, err);
    if (rc == 0) {
        rc = trash_each(t->dir_fd, load_one, t, err);
    }
    if (rc == 0) {
        t->log_fd = trash_log_open(t->dir_fd, err);
        rc = t->log_fd < 0 ? t->log_fd : 0;
    }
    if (rc == 0) {
        drop_aged(t);
        (void)make_room(t, 0);
    }
    (void)pthread_mutex_unlock(&t->mutex);
    return rc < 0 ? err_wrap(err, "%s", t->name) : 0;
}

/* --- deletes ------------------------------------------------------------- */

struct removal {
    struct trash *t;
    struct bytes table, key;
};

/* After the rename: as a key it must stay readable to the end.  If it is that
 * file, and has no other name that others know it by. */
static void hide(const struct trash *t, const char *name,
                 const struct stat *was)
{
    CLEANUP(fd_closep)
    int fd = sys_open_file(t->dir_fd, name);
    struct stat st;

    if (fd >= 0 && fstat(fd, &st) == 0 && sys_same_file(&st, was) &&
        st.st_nlink == 1) {
        (void)fchmod(fd, 0600);
    }
}

/* The trash is another quota's or another subvolume's. */
static bool copy_in(const struct trash *t, int dir_fd, const char *file,
                    const char *name)
{
    CLEANUP(fd_closep)
    int fd = sys_open_file(dir_fd, file);
    struct newfile f;

    if (fd < 0 || newfile_open(&f, t->dir_fd, name, 0600) < 0) {
        return false;
    }
    bool kept = newfile_copy(fd, f.fd) == 0 && sys_fsync(f.fd) == 0 &&
                newfile_give_name(&f, t->dir_fd, name) == 0;
    f.named = f.named && !kept; /* so that the drop leaves it */
    newfile_drop(&f, t->dir_fd, name);
    return kept;
}

static bool move_in(const struct trash *t, int dir_fd, const char *file,
                    const char *name, const struct stat *st)
{
    if (newfile_rename(dir_fd, file, t->dir_fd, name) == 0) {
        hide(t, name, st);
        return true;
    }
    return errno == EXDEV && copy_in(t, dir_fd, file, name) &&
           unlinkat(dir_fd, file, 0) == 0;
}

/* As a link would have: whoever looks at its ctime sees that it was kept. */
static bool touch_ctime(int dir_fd, const char *file)
{
    CLEANUP(fd_closep)
    int fd = sys_open_file(dir_fd, file);
    struct stat st;

    return fd >= 0 && fstat(fd, &st) == 0 &&
           fchmod(fd, st.st_mode & 07777) == 0;
}

static bool link_in(const struct trash *t, int dir_fd, const char *file,
                    const char *name, const struct stat *st)
{
    (void)st; /* its modes stay: readers have it until it is replaced */
    return linkat(dir_fd, file, t->dir_fd, name, 0) == 0 ||
           (errno == EXDEV && copy_in(t, dir_fd, file, name) &&
            touch_ctime(dir_fd, file));
}

static bool keep(struct trash *t, const struct removal *r, int dir_fd,
                 const char *file, const struct stat *st,
                 bool (*take)(const struct trash *t, int dir_fd,
                              const char *file, const char *name,
                              const struct stat *st))
{
    char name[TRASH_NAME_BYTES];
    struct trash_entry e = {.id = t->next_id,
                            .deleted_s = clock_real_ns() / NS_PER_S,
                            .size = (uint64_t)st->st_size,
                            .named = true,
                            .table = r->table,
                            .key = r->key};
    uint64_t charge = charge_of(e.size, e.table.len + e.key.len);

    if (!make_room(t, charge) || !trash_log_add(t->log_fd, &e)) {
        return false;
    }
    t->records++;
    t->next_id++;
    t->dirty = true;
    trash_name(e.id, name);
    if (!take(t, dir_fd, file, name, st)) {
        return false;
    }
    add(t, (struct trash_kept){e.id, e.deleted_s, charge});
    return true;
}

/* With the key's lock held. */
static int remove_kept(void *arg, int dir_fd, const char *file,
                       const struct stat *st)
{
    const struct removal *r = arg;
    struct trash *t = r->t;

    (void)pthread_mutex_lock(&t->mutex);
    bool kept = keep(t, r, dir_fd, file, st, move_in);
    t->unkept += !kept;
    (void)pthread_mutex_unlock(&t->mutex);
    return kept ? 0 : unlinkat(dir_fd, file, 0);
}

int trash_remove(struct trash *t, int dir_fd, struct bytes table,
                 struct bytes key, bool force, struct stat *st_out,
                 struct err *err)
{
    struct removal r = {t, table, key};

    if (t->log_fd < 0) {
        return install_remove(dir_fd, key.p, key.len, force, st_out, err);
    }
    return install_remove_by(dir_fd, key.p, key.len, force, remove_kept, &r,
                             st_out, err);
}

/* A ctime in the future is older than a clock that was set back. */
static bool came_since(const struct stat *st, int64_t since_ns)
{
    int64_t ctime_ns = clock_of_timespec(st->st_ctim);

    return ctime_ns >= since_ns && ctime_ns <= clock_real_ns();
}

void trash_link(struct trash *t, int dir_fd, struct bytes table,
                struct bytes key, int64_t since_ns)
{
    struct removal r = {t, table, key};
    char file[KEY_FILE_BYTES];
    struct stat st;

    key_file(key.p, key.len, file);
    if (t->log_fd < 0 || fstatat(dir_fd, file, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(st.st_mode) || came_since(&st, since_ns)) {
        return;
    }
    (void)pthread_mutex_lock(&t->mutex);
    t->unkept += !keep(t, &r, dir_fd, file, &st, link_in);
    (void)pthread_mutex_unlock(&t->mutex);
}

int trash_sync(struct trash *t, struct err *err)
{
    if (t->log_fd < 0) {
        return 0;
    }
    (void)pthread_mutex_lock(&t->mutex);
    bool dirty = t->dirty;
    /* A sweep may replace the log meanwhile. */
    int log_fd = dirty ? fcntl(t->log_fd, F_DUPFD_CLOEXEC, 0) : -1;
    t->dirty = false;
    (void)pthread_mutex_unlock(&t->mutex);
    if (!dirty) {
        return 0;
    }
    int rc = log_fd < 0 || sys_fsync(log_fd) < 0 || sys_fsync(t->dir_fd) < 0
                 ? err_sys(err, errno, "sync %s", t->name)
                 : 0;
    fd_closep(&log_fd);
    return rc;
}

/* --- now and then -------------------------------------------------------- */

/* Records of what is gone make the log long. */
static void shorten_log(struct trash *t)
{
    struct err err;

    if (t->records <= 2 * t->count + LOG_SPARE ||
        trash_log_rewrite(t->dir_fd, &t->records, &err) < 0) {
        return;
    }
    int fd = trash_log_open(t->dir_fd, &err);
    if (fd >= 0) {
        (void)close(t->log_fd);
        t->log_fd = fd;
    }
}

void trash_sweep(struct trash *t)
{
    if (t->log_fd < 0) {
        return;
    }
    (void)pthread_mutex_lock(&t->mutex);
    drop_aged(t);
    shorten_log(t);
    (void)pthread_mutex_unlock(&t->mutex);
}

static int count_one(void *arg, const struct trash_entry *e)
{
    (void)e;
    ++*(int64_t *)arg;
    return 0;
}

int64_t trash_count(int meta_fd, const char *name)
{
    int64_t count = 0;
    struct err err;
    CLEANUP(fd_closep)
    int fd = sys_open_dir(meta_fd, name);

    if (fd < 0) {
        return errno == ENOENT ? 0 : -1;
    }
    return trash_each(fd, count_one, &count, &err) == 0 ? count : -1;
}

bool trash_notice(struct trash *t, char *out, size_t room)
{
    int64_t now_s = clock_mono_ns() / NS_PER_S;
    bool any = false;

    if (t->log_fd < 0) {
        return false;
    }
    (void)pthread_mutex_lock(&t->mutex);
    if ((t->early > 0 || t->unkept > 0) &&
        (t->told_s == 0 || now_s - t->told_s >= TELL_EVERY_S)) {
        (void)snprintf(out, room,
                       "the %s is full (%s): %" PRIu64
                       " values were dropped from it before their time, "
                       "%" PRIu64 " removed or replaced without being kept",
                       t->name, BYTES_TEXT(t->set.max_bytes), t->early,
                       t->unkept);
        t->early = t->unkept = 0;
        t->told_s = now_s;
        any = true;
    }
    (void)pthread_mutex_unlock(&t->mutex);
    return any;
}
