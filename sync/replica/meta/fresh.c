/* SPDX-License-Identifier: MIT
 *
 * fresh: see fresh.h.
 */
#include "sync/replica/meta/fresh.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/sys.h"

enum { TEXT_EVERY_MS = 1000 }; /* unless more than the sequence changed */

int fresh_init(struct fresh *f, const struct meta *m,
               const struct meta_modes *modes,
               const atomic_uint_fast64_t *changes, struct err *err)
{
    *f = (struct fresh){.meta_fd = m->fd,
                        .how = {.mode = modes->file_mode,
                                .group = modes->group,
                                .set_mtime = true,
                                .whole = true},
                        .changes = changes,
                        .synced = UINT64_MAX};
    f->sync_fd =
        sys_openat(m->db.root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (f->sync_fd < 0) {
        return err_sys(err, errno, "open %s", m->db.path);
    }
    pthread_mutex_init(&f->mutex, NULL);
    pthread_cond_init(&f->wake, NULL);
    return 0;
}

/* --- the file ------------------------------------------------------------ */

/* May the text stay that is there? */
static bool text_will_do(const struct fresh *f, const struct meta_freshness *m)
{
    const struct meta_freshness *t = &f->text;

    if (t->epoch != m->epoch || strcmp(t->state, m->state) != 0 ||
        memcmp(t->db_id, m->db_id, sizeof m->db_id) != 0) {
        return false;
    }
    return t->seq == m->seq ||
           (t->seq < m->seq && clock_mono_ms() - f->text_ms < TEXT_EVERY_MS);
}

static bool set_time(const struct fresh *f, int64_t mtime_ns)
{
    /* Not by name: the sandbox lets us set times of open files only. */
    CLEANUP(fd_closep)
    int fd = sys_open_file(f->meta_fd, META_FILE_FRESHNESS);
    return fd >= 0 && sys_set_mtime(fd, mtime_ns) == 0;
}

/* The first name is made durable, too: after a power loss "never synced" would
 * be wrong. */
static int replace(struct fresh *f, const struct meta_freshness *m,
                   int64_t mtime_ns, bool first, struct err *err)
{
    char text[META_TEXT_MAX];
    size_t len = meta_freshness_text(m, text);

    f->how.mtime_ns = mtime_ns;
    f->how.durable = first;
    int rc =
        meta_replace(f->meta_fd, META_FILE_FRESHNESS, text, len, &f->how, err);
    if (rc == 0) {
        f->text = *m;
        f->text_ms = clock_mono_ms();
    }
    return rc;
}

static uint64_t seq_there(const struct fresh *f, uint64_t epoch)
{
    struct meta_freshness had;
    struct err ignored;

    if (f->text.epoch == epoch) {
        return f->text.seq;
    }
    return meta_freshness_read(f->meta_fd, &had, &ignored) == 0 ? had.seq : 0;
}

/* Unknown freshness leaves time and sequence that are there; a file that never
 * had a time gets the epoch, which means never. */
static int write_it(struct fresh *f, const struct meta_freshness *m,
                    struct err *err)
{
    struct stat st;
    bool there = fstatat(f->meta_fd, META_FILE_FRESHNESS, &st,
                         AT_SYMLINK_NOFOLLOW) == 0 &&
                 S_ISREG(st.st_mode);
    struct meta_freshness now = *m;
    if (m->fresh_ns <= 0) {
        now.seq = seq_there(f, m->epoch);
    }
    int64_t had_ns = there ? clock_of_timespec(st.st_mtim) : 0;
    int64_t mtime_ns = m->fresh_ns > 0 ? m->fresh_ns : had_ns;

    if (there && text_will_do(f, &now) &&
        (mtime_ns == had_ns || set_time(f, mtime_ns))) {
        return 0;
    }
    return replace(f, &now, mtime_ns, !there, err);
}

/* --- relaxed ------------------------------------------------------------- */

/* Make durable what came before `m` was told, then write it; the mutex is held
 * but for the sync.  A file system tells of a lost write once: after a failure
 * no later sync proves anything, and the time stays where it is. */
static int sync_and_write(struct fresh *f, const struct meta_freshness *m,
                          struct err *err)
{
    uint64_t changes = atomic_load(f->changes);

    pthread_mutex_unlock(&f->mutex);
    int sys = sys_syncfs(f->sync_fd) != 0 ? errno : 0;
    pthread_mutex_lock(&f->mutex);
    if (sys != 0) {
        f->lost = true;
        return err_sys(err, sys, "syncfs, for the freshness of relaxed values");
    }
    f->synced = changes;
    return write_it(f, m, err);
}

static void wait_for_turn(struct fresh *f, int64_t due_ms)
{
    while (!f->stop && (!f->waiting || clock_mono_ms() < due_ms)) {
        struct timespec ts = {
            .tv_sec = (time_t)(due_ms / 1000),
            .tv_nsec = (long)(due_ms % 1000) * (long)NS_PER_MS,
        };
        if (f->waiting) {
            (void)pthread_cond_clockwait(&f->wake, &f->mutex, CLOCK_MONOTONIC,
                                         &ts);
        } else {
            (void)pthread_cond_wait(&f->wake, &f->mutex);
        }
    }
}

static void *keeper(void *arg)
{
    struct fresh *f = arg;
    int64_t due_ms = 0;

    pthread_mutex_lock(&f->mutex);
    for (;;) {
        wait_for_turn(f, due_ms);
        if (!f->waiting || f->lost) {
            break;
        }
        struct meta_freshness m = f->wanted;
        f->waiting = false;
        f->trouble = (struct err){0};
        (void)sync_and_write(f, &m, &f->trouble); /* told by fresh_report() */
        due_ms = clock_mono_ms() + FRESH_RELAXED_S * INT64_C(1000);
    }
    pthread_mutex_unlock(&f->mutex);
    return NULL;
}

/* --- life ---------------------------------------------------------------- */

int fresh_begin(struct fresh *f, bool relaxed, struct err *err)
{
    f->relaxed = relaxed;
    if (!relaxed) {
        return 0;
    }
    int sys = pthread_create(&f->thread, NULL, keeper, f);
    if (sys != 0) {
        return err_sys(err, sys, "start a thread");
    }
    f->started = true;
    return 0;
}

int fresh_report(struct fresh *f, const struct meta_freshness *now,
                 struct err *err)
{
    int rc = 0;

    pthread_mutex_lock(&f->mutex);
    if (f->lost) {
        *err = f->trouble;
        rc = err->code;
    } else if (!f->relaxed || f->synced == atomic_load(f->changes)) {
        f->waiting = false; /* older than this */
        rc = write_it(f, now, err);
    } else {
        f->wanted = *now;
        f->waiting = true;
        pthread_cond_signal(&f->wake);
        *err = f->trouble;
        rc = err->code;
    }
    pthread_mutex_unlock(&f->mutex);
    return rc;
}

void fresh_deinit(struct fresh *f)
{
    if (f->changes == NULL) {
        return;
    }
    pthread_mutex_lock(&f->mutex);
    f->stop = true;
    pthread_cond_signal(&f->wake);
    pthread_mutex_unlock(&f->mutex);
    if (f->started) {
        (void)pthread_join(f->thread, NULL);
    }
    fd_closep(&f->sync_fd);
    pthread_cond_destroy(&f->wake);
    pthread_mutex_destroy(&f->mutex);
    *f = (struct fresh){.sync_fd = -1};
}
