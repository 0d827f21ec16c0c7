/* SPDX-License-Identifier: MIT
 *
 * mounts: see mounts.h.
 *
 * Where containers come and go the file changes all the time, and it is long:
 * it is read now and then, not each time. */
#include "agent/watch/mounts.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/sys.h"
#include "store/layout/mountinfo.h"

enum { LOOK_MS = 500 };

struct mounts {
    uv_poll_t poll;
    uv_timer_t later;
    void (*changed)(void *arg);
    void *arg;
    void (*freed)(void *arg);
    void *freed_arg;
    int fd;
    int open; /* handles */
    char *root;
    struct buf known;
};

/* --- the loop ------------------------------------------------------------ */

static bool look(const struct mounts *m, struct buf *out)
{
    return m->root != NULL && mountinfo_read(m->fd, m->root, out);
}

static void look_now(struct mounts *m)
{
    CLEANUP(buf_deinit) struct buf now = BUF_NULL;

    if (!look(m, &now) ||
        (now.len == m->known.len &&
         (now.len == 0 || memcmp(now.data, m->known.data, now.len) == 0))) {
        return;
    }
    struct buf before = m->known;
    m->known = now;
    now = before;
    m->changed(m->arg);
}

static void on_later(uv_timer_t *timer)
{
    look_now(timer->data);
}

static void look_later(struct mounts *m)
{
    if (!uv_is_active((const uv_handle_t *)&m->later)) {
        (void)uv_timer_start(&m->later, on_later, LOOK_MS, 0);
    }
}

static void on_event(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    look_later(poll->data);
}

struct mounts *mounts_new(uv_loop_t *loop, void (*changed)(void *arg),
                          void *arg)
{
    struct mounts *m = calloc(1, sizeof *m);
    int fd = sys_open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);

    if (m == NULL || fd < 0 || uv_poll_init(loop, &m->poll, fd) != 0) {
        fd_closep(&fd);
        free(m);
        return NULL;
    }
    m->changed = changed;
    m->arg = arg;
    m->fd = fd;
    m->open = 2;
    (void)uv_timer_init(loop, &m->later);
    m->poll.data = m->later.data = m;
    (void)uv_poll_start(&m->poll, UV_PRIORITIZED, on_event);
    return m;
}

void mounts_set_root(struct mounts *m, const char *path)
{
    free(m->root);
    m->root = realpath(path, NULL);
    buf_clear(&m->known);
    (void)look(m, &m->known);
    /* The kernel tells once, and whoever asks twice (the loop's first turn)
     * may have missed it. */
    look_later(m);
}

void mounts_check(struct mounts *m)
{
    struct pollfd p = {.fd = m->fd, .events = POLLPRI};

    /* Whoever polls takes what is told from the loop's poll. */
    if (poll(&p, 1, 0) != 0 || uv_is_active((const uv_handle_t *)&m->later)) {
        (void)uv_timer_stop(&m->later);
        look_now(m);
    }
}

static void on_closed(uv_handle_t *handle)
{
    struct mounts *m = handle->data;

    if (--m->open > 0) {
        return;
    }
    void (*freed)(void *arg) = m->freed;
    void *arg = m->freed_arg;
    fd_closep(&m->fd);
    buf_deinit(&m->known);
    free(m->root);
    free(m);
    freed(arg);
}

void mounts_free(struct mounts *m, void (*freed)(void *arg), void *arg)
{
    if (m == NULL) {
        freed(arg);
        return;
    }
    m->freed = freed;
    m->freed_arg = arg;
    uv_close((uv_handle_t *)&m->poll, on_closed);
    uv_close((uv_handle_t *)&m->later, on_closed);
}
