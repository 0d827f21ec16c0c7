/* SPDX-License-Identifier: MIT
 *
 * trash: see trash.h.  (Its log: trash_log.c.) */
#include "sync/replica/trash.h"

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
#include "store/base/units.h"
#include "store/install.h"
#include "sync/replica/trash_log.h"

enum { TELL_EVERY_S = 60, LOG_SPARE = 1000 };

void trash_name(uint64_t id, char out[TRASH_NAME_BYTES])
{
    (void)snprintf(out, TRASH_NAME_BYTES, "%016" PRIx64, id);
}

int trash_open(struct trash *t, int meta_fd, const struct trash_settings *set,
               const struct meta_modes *modes, struct err *err)
{
    *t = (struct trash){.set = *set, .dir_fd = -1, .log_fd = -1};
    if (pthread_mutex_init(&t->mutex, NULL) != 0) {
        return err_set(err, ERR_NOMEM, 0, "no memory for the trash");
    }
    t->opened = true;
    if (set->keep_ns <= 0) {
        return 0;
    }
    t->dir_fd = meta_open_sub(meta_fd, TRASH_DIR, modes, err);
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
    return rc < 0 ? err_wrap(err, TRASH_DIR) : 0;
}

/* --- deletes ------------------------------------------------------------- */

struct removal {
    struct trash *t;
    struct bytes table, key;
};

/* After the rename: as a key it must stay readable to the end. */
static void hide(const struct trash *t, const char *name)
{
    CLEANUP(fd_closep)
    int fd = openat(t->dir_fd, name,
                    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd >= 0) {
        (void)fchmod(fd, 0600);
    }
}

static bool keep(struct trash *t, const struct removal *r, int dir_fd,
                 const char *file, const struct stat *st)
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
    if (renameat2(dir_fd, file, t->dir_fd, name, RENAME_NOREPLACE) != 0 &&
        (errno != EINVAL || renameat(dir_fd, file, t->dir_fd, name) != 0)) {
        return false;
    }
    add(t, (struct trash_kept){e.id, e.deleted_s, charge});
    hide(t, name);
    return true;
}

/* With the key's lock held. */
static int remove_kept(void *arg, int dir_fd, const char *file,
                       const struct stat *st)
{
    const struct removal *r = arg;
    struct trash *t = r->t;

    (void)pthread_mutex_lock(&t->mutex);
    bool kept = keep(t, r, dir_fd, file, st);
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

static int sync_fd(int fd)
{
    int rc;

    do {
        rc = fsync(fd);
    } while (rc < 0 && errno == EINTR);
    return rc;
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
    int rc = log_fd < 0 || sync_fd(log_fd) < 0 || sync_fd(t->dir_fd) < 0
                 ? err_sys(err, errno, "sync " TRASH_DIR)
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

bool trash_news(struct trash *t, char *out, size_t room)
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
                       "the trash is full (--trash-max %s): %" PRIu64
                       " values were dropped from it before their time, "
                       "%" PRIu64 " deleted without being kept",
                       BYTES_TEXT(t->set.max_bytes), t->early, t->unkept);
        t->early = t->unkept = 0;
        t->told_s = now_s;
        any = true;
    }
    (void)pthread_mutex_unlock(&t->mutex);
    return any;
}
