/* SPDX-License-Identifier: MIT
 *
 * scans: see scans.h.  (Walks are in scans_walk.c.)
 *
 * Happy path: scans_ask() queues a waiter; when no scan runs, all waiters go
 * with the next one.  The thread runs scan_run(), collecting notes in `notes`
 * under the mutex and waking the loop; at the end it wakes the loop once more,
 * which joins it, tells the waiters and begins the next.  The first scan leaves
 * new keys to the core while that has room for them: these are notes, too.
 * Failures: a lost root ends the scan with ERR_GONE (scan_run() removes nothing
 * then); notes beyond NOTES_MAX_BYTES are dropped and the owner told.
 */
#include "agent/read/scans.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "agent/read/scans_impl.h"
#include "store/base/clock.h"

enum {
    NOTES_MAX_BYTES = 4 * 1024 * 1024,
    /* So long in all a scan waits for room to leave keys in: a slow replica
     * must not hold up the index, which others wait for. */
    SKIP_WAIT_MS = 1000,
    SKIP_STEP_MS = 50, /* then it looks whether it is to stop */
    SKIP_ENOUGH = 512,
};

/* What a note asks for. */
enum { NOTE_TABLE, NOTE_KEY, NOTE_CHANGED, NOTE_SKIPPED };

static void on_async(uv_async_t *async);

struct scans *scans_new(uv_loop_t *loop, struct index *ix,
                        const struct scans_events *events, void *arg)
{
    struct scans *s = calloc(1, sizeof *s);

    if (s == NULL) {
        return NULL;
    }
    s->loop = loop;

    s->ix = ix;
    s->on = *events;
    s->arg = arg;
    s->skip_room = -1;
    if (uv_mutex_init(&s->lock) != 0) {
        free(s);
        return NULL;
    }
    if (uv_cond_init(&s->room_cond) != 0) {
        uv_mutex_destroy(&s->lock);
        free(s);
        return NULL;
    }
    if (uv_async_init(loop, &s->async, on_async) != 0) {
        uv_cond_destroy(&s->room_cond);
        uv_mutex_destroy(&s->lock);
        free(s);
        return NULL;
    }
    s->async.data = s;
    return s;
}

void scans_set_root(struct scans *s, struct root *root)
{
    root_unref(s->root);
    s->root = root != NULL ? root_ref(root) : NULL;
    if (root == NULL) {
        /* What runs would end with ERR_GONE anyway. */
        atomic_store_explicit(&s->stop, 1, memory_order_relaxed);
    }
}

void scans_set_settle(struct scans *s, int64_t settle_ms)
{
    s->settle_ms = settle_ms;
}

/* --- notes --------------------------------------------------------------- */

/* Under the lock.  False: there is no room for it. */
static bool put_note(struct scans *s, unsigned what, const char *table,
                     size_t table_len, const char *key, size_t key_len)
{
    if (s->notes.len >= NOTES_MAX_BYTES || s->notes.bad) {
        return false;
    }
    bool wake = s->notes.len == 0;
    buf_u8(&s->notes, (uint8_t)what);
    buf_u16(&s->notes, (uint16_t)table_len);
    buf_u16(&s->notes, (uint16_t)key_len);
    buf_put(&s->notes, table, table_len);
    if (key != NULL) {
        buf_put(&s->notes, key, key_len);
    }
    if (wake) {
        (void)uv_async_send(&s->async);
    }
    return !s->notes.bad;
}

/* On the scanning thread. */
static void on_note(void *arg, enum scan_note note, const char *table,
                    size_t table_len, const char *key, size_t key_len)
{
    struct scans *s = arg;

    if (note == SCAN_CHANGED && s->first) {
        return;
    }
    /* An unreadable key is looked at too: the core keeps the list of what
     * cannot be read.  For an unreadable table there is nothing to look at. */
    if (note == SCAN_UNREADABLE && key == NULL) {
        return;
    }
    unsigned what = key == NULL            ? NOTE_TABLE
                    : note == SCAN_CHANGED ? NOTE_CHANGED
                                           : NOTE_KEY;

    uv_mutex_lock(&s->lock);
    if (!put_note(s, what, table, table_len, key, key_len)) {
        s->notes_missed = true;
    }
    uv_mutex_unlock(&s->lock);
}

/* Under the lock. */
static void wait_for_room(struct scans *s)
{
    int64_t now_ns = clock_mono_ns(), end_ns = now_ns + s->skip_wait_ns;

    while (s->skip_room >= 0 && s->skip_room < SKIP_ENOUGH && now_ns < end_ns &&
           s->stop == 0) {
        (void)uv_cond_timedwait(&s->room_cond, &s->lock,
                                SKIP_STEP_MS * NS_PER_MS);
        now_ns = clock_mono_ns();
    }
    s->skip_wait_ns = end_ns > now_ns ? end_ns - now_ns : 0;
}

/* On the scanning thread, as scan_options.leave. */
static bool on_skip(void *arg, const char *table, size_t table_len,
                    const char *key, size_t key_len)
{
    struct scans *s = arg;

    uv_mutex_lock(&s->lock);
    if (s->skip_room == 0 && s->skip_wait_ns > 0) {
        wait_for_room(s);
    }
    bool left = s->skip_room > 0 &&
                put_note(s, NOTE_SKIPPED, table, table_len, key, key_len);
    if (left) {
        s->skip_room--;
        s->skip_noted++;
    }
    uv_mutex_unlock(&s->lock);
    return left;
}

bool scans_skipping(const struct scans *s)
{
    return s->scanning && s->first;
}

void scans_set_skip_room(struct scans *s, int64_t room)
{
    uv_mutex_lock(&s->lock);
    if (room > 0) {
        room = room > s->skip_noted ? room - s->skip_noted : 0;
    }
    s->skip_room = room;
    if (room < 0 || room >= SKIP_ENOUGH) {
        uv_cond_signal(&s->room_cond);
    }
    uv_mutex_unlock(&s->lock);
}

static void deliver_notes(struct scans *s)
{
    struct buf notes;
    bool missed;

    uv_mutex_lock(&s->lock);
    notes = s->notes;
    missed = s->notes_missed || s->notes.bad;
    s->notes = (struct buf)BUF_NULL;
    s->notes_missed = false;
    s->skip_noted = 0;
    uv_mutex_unlock(&s->lock);
    bool notes_bad = notes.bad;
    struct cur c = cur_of(notes.data, notes_bad ? 0 : notes.len);
    while (c.left > 0) {
        unsigned what = cur_u8(&c);
        struct bytes table, key;
        table.len = cur_u16(&c);
        key.len = cur_u16(&c);
        table.p = cur_take(&c, table.len);
        key.p = cur_take(&c, key.len);
        assert(!c.bad);
        const struct bytes *of = what == NOTE_TABLE ? NULL : &key;
        if ((what == NOTE_TABLE || what == NOTE_CHANGED) &&
            s->on.changed != NULL) {
            s->on.changed(s->arg, table, of);
        }
        if (what == NOTE_SKIPPED) {
            s->on.skipped(s->arg, table, key);
        } else {
            s->on.hint(s->arg, table, of);
        }
    }
    buf_deinit(&notes);
    if (missed) {
        s->on.missed(s->arg);
    }
    if (notes_bad) {
        /* Keys that were left may be among what was lost. */
        scans_ask(s, false, false, NULL, NULL);
    }
}

/* --- the scan ------------------------------------------------------------ */

static void scan_thread(void *arg)
{
    struct scans *s = arg;
    struct scan_options opt = {
        .content = s->report.content,
        .scan = s->number,
        .settle_ms = s->settle_ms,
        .stop = &s->stop,
        .keys_done = &s->keys_done,
        .skip = s->first ? on_skip : NULL,
        .skip_arg = s,
        .files_cover = true,
        .passed = &s->passed,
    };

    s->passed = (struct passed){.count = 0};
    int64_t began_ns = clock_mono_ns();
    s->report.began_wall_ns = clock_real_ns();
    s->report.rc = scan_run(&s->scan_root->db, s->ix, &opt, on_note, s,
                            &s->report.result, &s->report.err);
    s->report.took_ms = (clock_mono_ns() - began_ns) / NS_PER_MS;
    uv_mutex_lock(&s->lock);
    s->scan_over = true;
    uv_mutex_unlock(&s->lock);
    (void)uv_async_send(&s->async);
}

static void notify_waiters(struct scans *s)
{
    struct scan_report report = s->report;

    report.passed = &s->passed;
    s->on.ended(s->arg, &report);
    struct waiter *w, *next;
    /* A waiter may ask again: only those that were there count. */
    struct waiter *going = NULL;
    DL_FOREACH_SAFE(s->waiters, w, next) {
        if (w->with_scan) {
            DL_DELETE(s->waiters, w);
            DL_APPEND(going, w);
        }
    }
    s->telling = &going;
    while (going != NULL) {
        w = going;
        DL_DELETE(going, w);
        if (w->done != NULL) {
            w->done(w->arg, &report);
        }
        free(w);
    }
    s->telling = NULL;
}

static void begin_scan(struct scans *s)
{
    struct waiter *w;

    if (s->scanning || s->waiters == NULL || s->freeing || s->telling != NULL) {
        return;
    }
    s->first = true;
    s->report = (struct scan_report){0};
    DL_FOREACH(s->waiters, w) {
        w->with_scan = true;
        s->first = s->first && w->first;
        s->report.content = s->report.content || w->content;
    }
    if (s->root == NULL) {
        s->report.rc =
            err_set(&s->report.err, ERR_GONE, 0, "the database is not there");
        s->lost_answer = true;
        (void)uv_async_send(&s->async);
        return;
    }
    s->number = (uint16_t)(s->number % UINT16_MAX + 1);
    s->stop = 0;
    s->keys_done = 0;
    s->scan_over = false;
    s->skip_wait_ns = SKIP_WAIT_MS * NS_PER_MS;
    s->scan_root = root_ref(s->root);
    s->scanning = true;
    if (uv_thread_create(&s->thread, scan_thread, s) != 0) {
        s->scanning = false;
        root_unref(s->scan_root);
        s->report.rc = err_set(&s->report.err, ERR_NOMEM, 0,
                               "cannot start a thread to scan");
        s->lost_answer = true;
        (void)uv_async_send(&s->async);
    }
}

void scans_ask(struct scans *s, bool content, bool first, scans_done_fn done,
               void *done_arg)
{
    struct waiter *w = calloc(1, sizeof *w);

    if (w == NULL) {
        s->on.missed(s->arg);
        return;
    }
    *w = (struct waiter){
        .content = content, .first = first, .done = done, .arg = done_arg};

    DL_APPEND(s->waiters, w);
    if (!s->lost_answer) {
        begin_scan(s);
    }
}

void scans_forget(struct scans *s, void *done_arg)
{
    struct waiter *w;

    DL_FOREACH(s->waiters, w) {
        if (w->arg == done_arg) {
            w->done = NULL;
        }
    }
    if (s->telling != NULL) {
        DL_FOREACH(*s->telling, w) {
            if (w->arg == done_arg) {
                w->done = NULL;
            }
        }
    }
}

bool scans_busy(const struct scans *s)
{
    return s->waiters != NULL;
}

bool scans_waiting(const struct scans *s)
{
    const struct waiter *w;

    DL_FOREACH(s->waiters, w) {
        if (!w->with_scan) {
            return true;
        }
    }
    return false;
}

uint64_t scans_progress(const struct scans *s)
{
    return s->scanning
               ? atomic_load_explicit(&s->keys_done, memory_order_relaxed)
               : 0;
}

static void scan_ended(struct scans *s)
{
    (void)uv_thread_join(&s->thread);
    root_unref(s->scan_root);
    s->scan_root = NULL;
    if (s->freeing) {
        s->scanning = false;
        scans_try_free(s);
        return;
    }
    /* These may ask for another scan, which must not begin before those who
     * wait for this one are told. */
    deliver_notes(s);
    s->scanning = false;
    s->skip_room = -1;
    notify_waiters(s);
    begin_scan(s);
}

static void on_async(uv_async_t *async)
{
    struct scans *s = async->data;

    if (!s->freeing) {
        deliver_notes(s);
    }
    uv_mutex_lock(&s->lock);
    bool over = s->scanning && s->scan_over;
    uv_mutex_unlock(&s->lock);
    if (s->lost_answer && !s->freeing) {
        s->lost_answer = false;
        notify_waiters(s);
        begin_scan(s);
    }
    scans_walk_pump(s);
    if (over) {
        scan_ended(s);
    }
}

/* --- saving -------------------------------------------------------------- */

static void on_save(uv_work_t *work)
{
    struct scans *s = work->data;

    s->save_rc = index_save(s->ix, s->save_fd, s->save_file, &s->save_ident,
                            clock_real_ns(), &s->save_err);
}

static void on_saved(uv_work_t *work, int status)
{
    struct scans *s = work->data;

    (void)status;
    s->saving = false;
    if (s->freeing) {
        scans_try_free(s);
        return;
    }
    s->saved(s->saved_arg, s->save_rc, &s->save_err);
}

void scans_save(struct scans *s, int dir_fd, const char *file,
                const struct index_ident *ident, scans_saved_fn saved,
                void *arg)
{
    assert(!s->saving);
    s->save_fd = dir_fd;
    s->save_file = file;
    s->save_ident = *ident;
    s->saved = saved;
    s->saved_arg = arg;
    s->save.data = s;
    s->save_err = (struct err){0};
    if (uv_queue_work(s->loop, &s->save, on_save, on_saved) == 0) {
        s->saving = true;
    }
}

bool scans_saving(const struct scans *s)
{
    return s->saving;
}

/* --- end ----------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
    struct scans *s = handle->data;
    struct waiter *w, *next;

    DL_FOREACH_SAFE(s->waiters, w, next) {
        free(w);
    }
    root_unref(s->root);
    buf_deinit(&s->notes);
    uv_cond_destroy(&s->room_cond);
    uv_mutex_destroy(&s->lock);
    void (*freed)(void *arg) = s->freed;
    void *arg = s->freed_arg;
    free(s);
    if (freed != NULL) {
        freed(arg);
    }
}

void scans_try_free(struct scans *s)
{
    if (!s->freeing || s->scanning || s->saving || s->walk != NULL ||
        uv_is_closing((uv_handle_t *)&s->async)) {
        return;
    }
    uv_close((uv_handle_t *)&s->async, on_closed);
}

void scans_free(struct scans *s, void (*freed)(void *arg), void *arg)
{
    s->freeing = true;
    s->freed = freed;
    s->freed_arg = arg;
    atomic_store_explicit(&s->stop, 1, memory_order_relaxed);
    if (s->walk != NULL) {
        scans_walk_stop(s, s->walk->id);
    }
    scans_try_free(s);
}
