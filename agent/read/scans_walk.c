/* SPDX-License-Identifier: MIT
 *
 * scans_walk: finds names on a thread of its own, with flow control.
 *
 * The thread walks the database and puts names that are wanted into a buffer;
 * when it has used up the room it was given it sleeps.  The loop takes the
 * names, hands them on and gives new room.  One walk at a time: the core asks
 * for no second one before the first has ended.
 * Stopping: a flag that the thread sees at the next name, or asleep.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "agent/read/scans_impl.h"

enum { ROOM_FIRST = 256, WAKE_NAMES = 256 };

static bool on_want(void *arg, struct digest name)
{
    const struct walk_run *w = arg;

    return primary_walk_wants(w->filter, name);
}

static void put_name(struct walk_run *w, struct digest name, bool is_table,
                     const char *table, size_t table_len, const char *key,
                     size_t key_len)
{
    buf_u64(&w->names, name.lo);
    buf_u64(&w->names, name.hi);
    buf_u8(&w->names, is_table);
    buf_u16(&w->names, (uint16_t)table_len);
    buf_u16(&w->names, (uint16_t)key_len);
    buf_put(&w->names, table, table_len);
    if (key_len > 0) {
        buf_put(&w->names, key, key_len);
    }
}

/* On the walk's thread.  Non-zero stops the walk. */
static int on_found(void *arg, struct digest name, bool is_table,
                    const char *table, size_t table_len, const char *key,
                    size_t key_len)
{
    struct walk_run *w = arg;
    bool wake;

    uv_mutex_lock(&w->lock);
    while (w->room == 0 && !w->stop) {
        uv_mutex_unlock(&w->lock);
        (void)uv_async_send(&w->scans->async);
        uv_mutex_lock(&w->lock);
        if (w->room == 0 && !w->stop) {
            uv_cond_wait(&w->cond, &w->lock);
        }
    }
    bool stop = w->stop;
    if (!stop) {
        put_name(w, name, is_table, table, table_len, key,
                 is_table ? 0 : key_len);
        w->room--;
        w->count++;
        stop = w->names.bad;
    }
    wake = w->count == 1 || w->count % WAKE_NAMES == 0;
    uv_mutex_unlock(&w->lock);
    if (wake) {
        (void)uv_async_send(&w->scans->async);
    }
    return stop ? 1 : 0;
}

static void walk_thread(void *arg)
{
    struct walk_run *w = arg;
    bool complete = false;
    int rc = scan_names(&w->root->db, index_key(w->scans->ix), on_want,
                        on_found, w, &complete, &w->err);

    uv_mutex_lock(&w->lock);
    w->rc = rc;
    w->complete = complete && rc == 0;
    w->over = true;
    uv_mutex_unlock(&w->lock);
    (void)uv_async_send(&w->scans->async);
}

static void walk_free(struct walk_run *w)
{
    root_unref(w->root);
    buf_deinit(&w->names);
    uv_cond_destroy(&w->cond);
    uv_mutex_destroy(&w->lock);
    free(w);
}

static void cannot_begin(struct scans *s, uint64_t id, const char *why)
{
    struct err err = {0};

    (void)err_set(&err, ERR_GONE, 0, "%s", why);
    s->on.walk_ended(s->arg, id, false, &err);
}

void scans_walk(struct scans *s, uint64_t id, const void *filter)
{
    assert(s->walk == NULL);
    if (s->root == NULL) {
        cannot_begin(s, id, "the database is not there");
        return;
    }
    struct walk_run *w = calloc(1, sizeof *w);
    if (w == NULL || uv_mutex_init(&w->lock) != 0) {
        free(w);
        cannot_begin(s, id, "out of memory");
        return;
    }
    if (uv_cond_init(&w->cond) != 0) {
        uv_mutex_destroy(&w->lock);
        free(w);
        cannot_begin(s, id, "out of memory");
        return;
    }
    w->scans = s;
    w->root = root_ref(s->root);
    w->id = id;
    w->filter = filter;
    size_t room = s->on.walk_room(s->arg, id);
    w->room = room < ROOM_FIRST ? room : ROOM_FIRST;
    s->walk = w;
    if (uv_thread_create(&w->thread, walk_thread, w) != 0) {
        s->walk = NULL;
        walk_free(w);
        cannot_begin(s, id, "cannot start a thread to walk the database");
    }
}

void scans_walk_stop(struct scans *s, uint64_t id)
{
    struct walk_run *w = s->walk;

    if (w == NULL || w->id != id) {
        return;
    }
    uv_mutex_lock(&w->lock);

    w->stop = true;
    uv_cond_signal(&w->cond);
    uv_mutex_unlock(&w->lock);
}

static void hand_on(struct scans *s, struct walk_run *w, struct buf *names)
{
    struct cur c = cur_of(names->data, names->len);

    while (c.left > 0) {
        struct digest name;
        struct bytes table, key;
        name.lo = cur_u64(&c);
        name.hi = cur_u64(&c);
        bool is_table = cur_u8(&c) != 0;
        table.len = cur_u16(&c);
        key.len = cur_u16(&c);
        table.p = cur_take(&c, table.len);
        key.p = cur_take(&c, key.len);
        assert(!c.bad);
        s->on.walk_found(s->arg, w->id, name, is_table, table, key);
    }
}

void scans_walk_pump(struct scans *s)
{
    struct walk_run *w = s->walk;

    if (w == NULL) {
        return;
    }
    uv_mutex_lock(&w->lock);
    struct buf names = w->names;

    w->names = (struct buf)BUF_NULL;
    w->count = 0;
    bool over = w->over;
    bool bad = names.bad;
    uv_mutex_unlock(&w->lock);
    if (!bad && !s->freeing) {
        hand_on(s, w, &names);
    }
    buf_deinit(&names);
    if (over) {
        (void)uv_thread_join(&w->thread);
        s->walk = NULL;
        if (bad) {
            (void)err_set(&w->err, ERR_NOMEM, 0, "out of memory");
        }
        bool complete = w->complete && !bad && !w->stop;
        if (!s->freeing) {
            s->on.walk_ended(s->arg, w->id, complete,
                             w->rc < 0 || bad ? &w->err : NULL);
        }
        walk_free(w);
        scans_try_free(s);
        return;
    }
    if (s->freeing) {
        return;
    }
    size_t room = s->on.walk_room(s->arg, w->id);
    uv_mutex_lock(&w->lock);
    w->room = room > w->count ? room - w->count : 0;
    if (w->room > 0) {
        uv_cond_signal(&w->cond);
    }
    uv_mutex_unlock(&w->lock);
}
