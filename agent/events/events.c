/* SPDX-License-Identifier: MIT
 *
 * events: see events.h. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

#include "agent/base/log_json.h"
#include "agent/events/events_impl.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/json_out.h"

/* --- the list ------------------------------------------------------------ */

static void drop(struct events *e, struct kept *k)
{
    DL_DELETE(e->list, k);
    e->count--;
    free(k);
}

bool events_keep(struct events *e, uint64_t number, int64_t time_ns,
                 const void *line, size_t len)
{
    struct kept *k = malloc(sizeof *k + len);

    if (k == NULL) {
        return false;
    }
    k->number = number;
    k->time_ns = time_ns;
    k->len = len;
    memcpy(k->line, line, len);
    DL_APPEND(e->list, k);
    if (++e->count > EVENTS_MAX) {
        drop(e, e->list);
    }
    return true;
}

/* An event that finds no memory has its number all the same. */
void events_add(void *events, const struct log_record *r)
{
    CLEANUP(buf_deinit) struct buf b = BUF_NULL;
    struct json_out j = {.buf = &b};
    struct events *e = events;
    int64_t now_ns = clock_real_ns();

    pthread_mutex_lock(&e->mutex);
    uint64_t number = e->next++;
    json_begin_object(&j, NULL);
    json_uint(&j, "n", number);
    log_json(&j, now_ns, r);
    json_end_object(&j);
    buf_u8(&b, '\n');
    if (!b.bad && events_keep(e, number, now_ns, b.data, b.len)) {
        pthread_cond_signal(&e->changed);
    }
    pthread_mutex_unlock(&e->mutex);
}

/* --- answers ------------------------------------------------------------- */

static bool is_of(const struct events_query *q, const json_t *event)
{
    const char *replica = json_string_value(json_object_get(event, "replica"));
    bool is = q->count == 0;

    for (size_t i = 0; !is && i < q->count; i++) {
        is = replica != NULL && strcmp(replica, q->replicas[i]) == 0;
    }
    return is;
}

/* What a query leaves out is in the record all the same, and what is too old
 * for it is not missing. */
static void add_missing(json_t *event, const struct events *e,
                        const struct kept *k)
{
    uint64_t before = k != e->list ? k->prev->number + 1 : k->number;

    if (k->number > before) {
        (void)json_object_set_new(
            event, "missing", json_integer((json_int_t)(k->number - before)));
    }
}

/* NULL: it is not asked for, or no memory. */
static json_t *event_of(const struct events_query *q, const struct kept *k)
{
    json_t *event = k->number >= q->from && k->time_ns >= q->since_ns
                        ? json_loadb(k->line, k->len, 0, NULL)
                        : NULL;

    if (event != NULL && !is_of(q, event)) {
        json_decref(event);
        event = NULL;
    }
    return event;
}

/* Where the last `q->last` of what is asked for begin. */
static const struct kept *first_of_last(const struct events *e,
                                        const struct events_query *q)
{
    const struct kept *k = e->list != NULL ? e->list->prev : NULL;
    uint64_t left = q->last;

    while (k != NULL && k != e->list) {
        json_t *event = event_of(q, k);
        left -= event != NULL ? 1 : 0;
        json_decref(event);
        if (left == 0) {
            break;
        }
        k = k->prev;
    }
    return k;
}

json_t *events_answer(struct events *e, const struct events_query *q)
{
    json_t *list = json_array();
    bool more = false;

    pthread_mutex_lock(&e->mutex);
    uint64_t next = e->next;
    const struct kept *k = q->last > 0 ? first_of_last(e, q) : e->list;
    for (; k != NULL && !more; k = k->next) {
        json_t *event = event_of(q, k);
        if (event == NULL) {
            continue;
        }
        more = json_array_size(list) == EVENTS_ANSWER_MAX;
        if (more) {
            next = k->number;
            json_decref(event);
        } else {
            add_missing(event, e, k);
            (void)json_array_append_new(list, event);
        }
    }
    pthread_mutex_unlock(&e->mutex);
    return json_pack("{s:o, s:I, s:b}", "events", list, "next",
                     (json_int_t)next, "more", more);
}

/* --- life ---------------------------------------------------------------- */

/* Waits of the thread are by a clock that nobody sets. */
static void init_changed(pthread_cond_t *changed)
{
    pthread_condattr_t attr;

    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(changed, &attr);
    (void)pthread_condattr_destroy(&attr);
}

static struct events *make(int state_fd, bool to_write, struct err *err)
{
    struct events *e = calloc(1, sizeof *e);

    if (e == NULL) {
        (void)err_set(err, ERR_NOMEM, 0, "out of memory");
        return NULL;
    }
    pthread_mutex_init(&e->mutex, NULL);
    init_changed(&e->changed);
    e->dir_fd = state_fd;
    e->fd = -1;
    e->next = 1;
    events_load(e, to_write);
    e->written = e->next - 1;
    return e;
}

struct events *events_open_to_read(int state_fd, struct err *err)
{
    struct events *e = make(state_fd, false, err);

    if (e != NULL && e->list == NULL && e->read_err.code != 0) {
        *err = e->read_err;
        events_close(e);
        return NULL;
    }
    return e;
}

struct events *events_open(int state_fd, struct err *err)
{
    struct events *e = make(state_fd, true, err);
    int sys = e != NULL ? events_start(e) : 0;

    if (sys != 0) {
        (void)err_sys(err, sys, "cannot start a thread");
        events_close(e);
        return NULL;
    }
    return e;
}

bool events_trouble(struct events *e, struct err *out)
{
    pthread_mutex_lock(&e->mutex);
    *out = e->started ? e->write_err : e->read_err;
    pthread_mutex_unlock(&e->mutex);
    return out->code != 0;
}

bool events_was_damaged(const struct events *e)
{
    return e->damaged;
}

void events_close(struct events *e)
{
    if (e == NULL) {
        return;
    }
    events_stop(e);
    fd_closep(&e->fd);
    while (e->list != NULL) {
        drop(e, e->list);
    }
    pthread_cond_destroy(&e->changed);
    pthread_mutex_destroy(&e->mutex);
    free(e);
}
