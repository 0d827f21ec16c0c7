/* SPDX-License-Identifier: MIT
 *
 * control: the control socket: makes it, and accepts clients.  What is said on
 * it stands in control.h, the life of a client in control_connection.c, and
 * what is done about its requests in control_request.c.
 *
 * Without a descriptor left nobody is accepted for a second: whoever asks waits
 * in the listener.  (libuv's own listener would try again without end, inside
 * one turn of the loop.)
 *
 * Owns the socket's file and, for the agent's life, a lock on PATH.lock: the
 * lock tells a left-over socket from a live one without a race.  Everything
 * runs on the loop's thread.
 */
#include "agent/control/control.h"
#include "agent/control/control_impl.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/sys.h"
#include "sync/errors/state.h"

enum {
    ACCEPTS_AT_ONCE = 16,
    PAUSE_MS = 1000, /* when no more can be opened */
    LISTEN_MAX = 128,
};

/* --- accepting ----------------------------------------------------------- */

static void on_pause_over(uv_timer_t *timer);

static void on_connection(uv_poll_t *poll, int status, int events)
{
    struct control *c = poll->data;

    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
        int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            client_serve(c, fd);
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            (void)uv_poll_stop(&c->poll);
            (void)uv_timer_start(&c->pause, on_pause_over, PAUSE_MS, 0);
            return;
        }
    }
}

static void on_pause_over(uv_timer_t *timer)
{
    struct control *c = timer->data;

    (void)uv_poll_start(&c->poll, UV_READABLE, on_connection);
}

/* --- listening ----------------------------------------------------------- */

static int find_group(const char *name, gid_t *out, struct err *err)
{
    *out = (gid_t)-1;
    if (name == NULL) {
        return 0;
    }
    const struct group *gr = getgrnam(name);
    if (gr == NULL) {
        (void)err_set(err, ERR_INVALID, 0, "control-group = %s: no such group",
                      name);
        err->id = DR_CONFIG;
        return err->code;
    }
    *out = gr->gr_gid;
    return 0;
}

/* Only one agent may have the socket: a lock beside it says so and is given
 * back by the kernel whatever becomes of the agent. */
static int take_lock(struct control *c, struct err *err)
{
    CLEANUP(freep) char *name = NULL;

    if (asprintf(&name, "%s.lock", c->path) < 0) {
        name = NULL;
        return err_set(err, ERR_NOMEM, 0, "out of memory");
    }
    c->lock_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (c->lock_fd < 0) {
        return err_sys(err, errno, "open %s", name);
    }
    if (sys_flock(c->lock_fd, LOCK_EX) != 0) {
        if (errno == EWOULDBLOCK) {
            return err_set(err, ERR_EXISTS, 0,
                           "another agent answers on %s; stop it first",
                           c->path);
        }
        return err_sys(err, errno, "flock %s", name);
    }
    return 0;
}

static int remove_left_over(const char *path, struct err *err)
{
    struct stat st;

    if (lstat(path, &st) != 0) {
        return errno == ENOENT ? 0 : err_sys(err, errno, "stat %s", path);
    }
    if (!S_ISSOCK(st.st_mode)) {
        return err_set(err, ERR_EXISTS, 0,
                       "%s is in the way and is not a socket", path);
    }
    return unlink(path) == 0 ? 0 : err_sys(err, errno, "unlink %s", path);
}

static int open_listener(struct control *c, struct err *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    memcpy(addr.sun_path, c->path, strlen(c->path) + 1);
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->fd < 0) {
        return err_sys(err, errno, "socket");
    }
    if (bind(c->fd, (struct sockaddr *)&addr, sizeof addr) != 0) {
        return err_sys(err, errno, "bind %s", c->path);
    }
    c->bound = true;
    /* Nobody can connect before listen(), so there is no moment with other
     * rights.  Who may do what is decided per connection. */
    if (chmod(c->path, 0666) != 0) {
        return err_sys(err, errno, "chmod %s", c->path);
    }
    if (listen(c->fd, LISTEN_MAX) != 0) {
        return err_sys(err, errno, "listen %s", c->path);
    }
    int rc = uv_poll_init(c->loop, &c->poll, c->fd);
    if (rc != 0) {
        return err_sys(err, -rc, "poll %s", c->path);
    }
    c->poll.data = c;
    c->polled = true;
    c->open_handles++;
    (void)uv_poll_start(&c->poll, UV_READABLE, on_connection);
    return 0;
}

static int listen_at(struct control *c, struct err *err)
{
    int rc;

    if (strlen(c->path) > CONTROL_PATH_MAX) {
        return err_set(err, ERR_INVALID, 0,
                       "%s: longer than the %d bytes that a socket's path may "
                       "have",
                       c->path, CONTROL_PATH_MAX);
    }
    rc = take_lock(c, err);
    if (rc == 0) {
        rc = remove_left_over(c->path, err);
    }
    if (rc < 0) {
        return rc;
    }
    return open_listener(c, err);
}

struct control *control_listen(struct daemon *d, uv_loop_t *loop,
                               const char *path, const char *group,
                               struct err *err)
{
    struct control *c = calloc(1, sizeof *c);

    if (c == NULL || (c->path = strdup(path)) == NULL) {
        free(c);
        (void)err_set(err, ERR_NOMEM, 0, "out of memory");
        return NULL;
    }
    c->daemon = d;
    c->run = request_run;
    c->loop = loop;
    c->lock_fd = c->fd = -1;
    (void)uv_timer_init(loop, &c->pause);
    c->pause.data = c;
    (void)uv_timer_init(loop, &c->turn);
    c->turn.data = c;
    c->open_handles = 2;
    if (find_group(group, &c->group, err) < 0 || listen_at(c, err) < 0) {
        (void)err_wrap(err, "control socket");
        control_close(c, NULL, NULL);
        return NULL;
    }
    return c;
}

static void on_server_closed(uv_handle_t *handle)
{
    struct control *c = handle->data;

    c->open_handles--;
    control_maybe_closed(c);
}

void control_close(struct control *c, void (*closed)(void *arg), void *arg)
{
    assert(!c->closing);
    c->closing = true;
    c->closed = closed;
    c->closed_arg = arg;
    while (c->clients != NULL) {
        client_close(c->clients);
    }
    if (c->polled) {
        uv_close((uv_handle_t *)&c->poll, on_server_closed);
    }
    uv_close((uv_handle_t *)&c->pause, on_server_closed);
    uv_close((uv_handle_t *)&c->turn, on_server_closed);
}
