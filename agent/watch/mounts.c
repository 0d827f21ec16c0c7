/* SPDX-License-Identifier: MIT
 *
 * mounts: see mounts.h.
 *
 * Each line of mountinfo begins with the mount's id, its parent's, the device,
 * the root of the mount in its file system, and the mount point, in which
 * spaces and the like are octal: `36 35 98:0 /mnt1 /srv/my\040db rw,noatime`.
 * Where containers come and go the file changes all the time, and it is long:
 * it is read now and then, not each time. */
#include "agent/watch/mounts.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/sys.h"

enum {
    FIELDS = 5, /* the last is the mount point */
    LOOK_MS = 500,
    READ_BYTES = 64 * 1024,
};

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

/* --- the text ------------------------------------------------------------ */

static bool is_octal(const char *p)
{
    return p[0] == '\\' && p[1] >= '0' && p[1] <= '3' && p[2] >= '0' &&
           p[2] <= '7' && p[3] >= '0' && p[3] <= '7';
}

/* Does the field's path begin with `root`, and go on below it if at all? */
static bool is_below(const char *field, size_t len, const char *root)
{
    const char *end = field + len;

    /* "/" is above everything. */
    for (root += strcmp(root, "/") == 0; *root != '\0'; root++) {
        char c = field < end ? *field : '\0';
        size_t n = 1;
        if (end - field >= 4 && is_octal(field)) {
            c = (char)((field[1] - '0') << 6 | (field[2] - '0') << 3 |
                       (field[3] - '0'));
            n = 4;
        }
        if (c != *root) {
            return false;
        }
        field += n;
    }
    return field == end || *field == '/';
}

void mounts_below(const char *text, const char *root, struct buf *out)
{
    for (const char *line = text; *line != '\0';) {
        size_t len = strcspn(line, "\n"), at = 0, field = 0;
        for (int i = 0; i < FIELDS; i++) {
            field = at;
            at += strcspn(line + at, " \n");
            at += i + 1 < FIELDS && line[at] == ' ';
        }
        if (at > field && is_below(line + field, at - field, root)) {
            buf_put(out, line, at);
            buf_u8(out, '\n');
        }
        line += len + (line[len] == '\n');
    }
}

/* False: it could not be read. */
static bool read_all(int fd, struct buf *out)
{
    if (lseek(fd, 0, SEEK_SET) != 0) {
        return false;
    }
    for (ssize_t n = 1; n > 0; out->len += n > 0 ? (size_t)n : 0) {
        if (!buf_reserve(out, READ_BYTES)) {
            return false;
        }
        n = sys_read(fd, out->data + out->len, READ_BYTES);
        if (n < 0) {
            return false;
        }
    }
    buf_u8(out, '\0');
    return !out->bad;
}

/* --- the loop ------------------------------------------------------------ */

static bool look(const struct mounts *m, struct buf *out)
{
    CLEANUP(buf_deinit) struct buf text = BUF_NULL;

    if (m->root == NULL || !read_all(m->fd, &text)) {
        return false;
    }
    mounts_below((const char *)text.data, m->root, out);
    return !out->bad;
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
