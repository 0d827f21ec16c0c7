/* SPDX-License-Identifier: MIT
 *
 * sock: a TCP connection on a uv_poll; see sock.h.
 *
 * libuv reports a reset as UV_EBADF and stops the handle; the true reason is in
 * SO_ERROR and is fetched there and then.  The descriptor is closed only after
 * libuv has let go of it: its number could be given out again at once. */
#include "sync/link/sock.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "store/base/buf.h"
#include "store/base/cleanup.h"

/* A silent peer is noticed in half a minute, idle or not. */
enum {
    KEEP_IDLE_S = 15,
    KEEP_INTERVAL_S = 5,
    KEEP_COUNT = 3,
    UNACKED_MS = 30000,
};

struct sock {
    uv_poll_t poll;
    struct handles *group;
    sock_ready_fn ready;
    void *arg;
    int fd;
    int watched;
    bool ended;
    int sys;
    struct buf out;
    size_t out_head; /* sent already */
};

static void set_int(int fd, int level, int name, int value)
{
    /* None of these is needed for correctness; old kernels may lack some. */
    (void)setsockopt(fd, level, name, &value, sizeof value);
}

static void set_options(int fd, int sndbuf_bytes, int rcvbuf_bytes)
{
    set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEP_IDLE_S);
    set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEP_INTERVAL_S);
    set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEP_COUNT);
    set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, UNACKED_MS);
    if (sndbuf_bytes > 0) {
        set_int(fd, SOL_SOCKET, SO_SNDBUF, sndbuf_bytes);
    }
    if (rcvbuf_bytes > 0) {
        set_int(fd, SOL_SOCKET, SO_RCVBUF, rcvbuf_bytes);
    }
}

struct sock *sock_connect(uv_loop_t *loop, struct handles *group,
                          const struct addrinfo *ai, int sndbuf_bytes,
                          int rcvbuf_bytes, sock_ready_fn ready, void *arg,
                          struct err *err)
{
    CLEANUP(fd_closep)
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                    IPPROTO_TCP);

    if (fd < 0) {
        err_sys(err, errno, "cannot make a socket");
        return NULL;
    }
    set_options(fd, sndbuf_bytes, rcvbuf_bytes);
    if (connect(fd, ai->ai_addr, ai->ai_addrlen) != 0 && errno != EINPROGRESS) {
        err_sys(err, errno, "cannot connect");
        return NULL;
    }
    struct sock *s = calloc(1, sizeof *s);
    if (s == NULL) {
        err_set(err, ERR_NOMEM, 0, "no memory for a socket");
        return NULL;
    }
    int rc = uv_poll_init(loop, &s->poll, fd);
    if (rc < 0) {
        free(s);
        err_sys(err, -rc, "cannot watch a socket");
        return NULL;
    }
    s->poll.data = s;
    s->group = group;
    s->ready = ready;
    s->arg = arg;
    s->fd = TAKE_FD(fd);
    handles_hold(group);
    return s;
}

static void note_end(struct sock *s, int sys)
{
    if (!s->ended) {
        s->ended = true;
        s->sys = sys;
    }
}

static int pending_error(const struct sock *s)
{
    int sys = 0;
    socklen_t n = sizeof sys;

    return getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &sys, &n) == 0 ? sys : errno;
}

int sock_connected(struct sock *s)
{
    struct sockaddr_storage peer;
    socklen_t n = sizeof peer;

    int sys = s->ended ? s->sys : pending_error(s);
    if (sys != 0) {
        return -sys;
    }
    if (getpeername(s->fd, (struct sockaddr *)&peer, &n) == 0) {
        return 1;
    }
    return errno == ENOTCONN ? 0 : -errno;
}

int sock_fd(const struct sock *s)
{
    return s->fd;
}

static void on_poll(uv_poll_t *h, int status, int events)
{
    struct sock *s = h->data;

    (void)events;
    if (status < 0) {
        int sys = pending_error(s);
        s->watched = 0; /* libuv stopped it */
        note_end(s, sys != 0 ? sys : ECONNRESET);
    }
    s->ready(s->arg);
}

void sock_watch(struct sock *s, int events)
{
    if (events == s->watched) {
        return; /* each change costs two system calls */
    }
    s->watched = events;
    if (events == 0) {
        (void)uv_poll_stop(&s->poll);
    } else {
        (void)uv_poll_start(&s->poll, events, on_poll);
    }
}

/* How much the kernel took; errors are remembered. */
static size_t send_some(struct sock *s, const void *p, size_t n)
{
    size_t done = 0;

    while (done < n && !s->ended) {
        ssize_t rc = send(s->fd, (const char *)p + done, n - done,
                          MSG_NOSIGNAL | MSG_DONTWAIT);
        if (rc >= 0) {
            done += (size_t)rc;
        } else if (errno == EAGAIN) {
            break;
        } else if (errno != EINTR) {
            note_end(s, errno);
        }
    }
    return done;
}

size_t sock_waiting(const struct sock *s)
{
    return s->out.len - s->out_head;
}

void sock_flush(struct sock *s)
{
    size_t n = sock_waiting(s);

    if (n == 0) {
        return;
    }
    s->out_head += send_some(s, s->out.data + s->out_head, n);
    if (s->ended || s->out_head == s->out.len) {
        buf_clear(&s->out);
        s->out_head = 0;
    }
}

int sock_put(struct sock *s, const void *p, size_t n)
{
    size_t done = 0;

    if (s->ended) {
        return 0; /* nobody will read it; sock_ended() says so */
    }
    if (sock_waiting(s) == 0) {
        done = send_some(s, p, n);
        if (done == n || s->ended) {
            return 0;
        }
    }
    if (n - done > SOCK_OUT_MAX - sock_waiting(s)) {
        return -EMSGSIZE;
    }
    if (s->out_head > SOCK_OUT_HIGH / 2) {
        buf_drop(&s->out, s->out_head);
        s->out_head = 0;
    }
    buf_put(&s->out, (const char *)p + done, n - done);
    return s->out.bad ? -ENOMEM : 0;
}

ssize_t sock_get(struct sock *s, void *p, size_t room)
{
    for (;;) {
        ssize_t n = recv(s->fd, p, room, MSG_DONTWAIT);
        if (n > 0) {
            return n;
        }
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n == 0 || errno != EAGAIN) {
            note_end(s, n == 0 ? 0 : errno);
        }
        return -EAGAIN;
    }
}

bool sock_ended(const struct sock *s, int *sys_out)
{
    *sys_out = s->sys;
    return s->ended;
}

void sock_poll(struct sock *s, int ms)
{
    struct pollfd p = {.fd = s->fd, .events = POLLIN};

    sock_flush(s);
    if (sock_waiting(s) > 0) {
        p.events |= POLLOUT;
    }
    (void)poll(&p, 1, ms);
}

void sock_shutdown(struct sock *s)
{
    (void)shutdown(s->fd, SHUT_RDWR);
}

static void on_closed(uv_handle_t *h)
{
    struct sock *s = h->data;
    struct handles *group = s->group;

    (void)close(s->fd);
    buf_deinit(&s->out);
    free(s);
    handles_release(group);
}

void sock_drop(struct sock **s)
{
    if (*s != NULL) {
        sock_shutdown(*s);
        (void)uv_poll_stop(&(*s)->poll);
        uv_close((uv_handle_t *)&(*s)->poll, on_closed);
        *s = NULL;
    }
}
