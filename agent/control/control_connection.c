/* SPDX-License-Identifier: MIT
 *
 * control_connection: one client of the control socket, from the accepted
 * descriptor until it is closed: who it is, its lines, and what it is sent.
 * What is done about a line is the business of control->run().
 *
 * Happy path: client_serve() asks the kernel who the client is (SO_PEERCRED,
 * SO_PEERGROUPS: the peer's true groups, without a name service that could hang
 * the loop); on_read() collects a line; run() answers at once or starts a job
 * of the daemon, which goes on with client_send() and client_run().  One
 * request at a time per client, and the next one when the answer is out: while
 * a job runs the client is still read, to see it leave, and what it sends waits
 * in its buffer.
 *
 * Failures: a line that is too long or not JSON is answered and the client
 * closed.  A client that does not read what it is sent is asked no more, loses
 * progress lines, and then its connection.  A client that leaves cancels its
 * job.  At most CLIENTS_MAX unprivileged clients and as many operators are
 * served, so that those cannot lock operators out, and at most USER_CLIENTS_MAX
 * of a user (but root), so that none can lock out the others.  Strangers'
 * requests wait when their user has had its share of the loop's time
 * (control_unprivileged.h).
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "agent/base/object.h"
#include "agent/control/control_impl.h"
#include "store/base/cleanup.h"
#include "sync/errors/state.h"

enum {
    CLIENTS_MAX = 128, /* of each kind */
    USER_CLIENTS_MAX = 32,
    TURN_MS = 20,                 /* between looks at who has waited enough */
    QUEUE_SOFT = 256 * 1024,      /* progress is dropped above this */
    QUEUE_HARD = 4 * 1024 * 1024, /* the client is dropped above this */
};

struct write {
    uv_write_t req;
    struct client *client;
    char *text;
};

/* --- ends ---------------------------------------------------------------- */

void control_maybe_closed(struct control *c)
{
    if (c->open_handles > 0) {
        return;
    }
    void (*closed)(void *) = c->closed;
    void *arg = c->closed_arg;

    if (c->bound) {
        (void)unlink(c->path);
    }
    fd_closep(&c->fd);
    fd_closep(&c->lock_fd);
    free(c->path);
    free(c);
    if (closed != NULL) {
        closed(arg);
    }
}

static void on_client_closed(uv_handle_t *handle)
{
    struct client *cl = handle->data;
    struct control *c = cl->control;

    free(cl->in);
    free(cl);
    c->open_handles--;
    if (c->closing) {
        control_maybe_closed(c);
    }
}

void client_close(struct client *cl)
{
    struct control *c = cl->control;

    if (cl->closing) {
        return;
    }
    cl->closing = true;
    if (cl->job != NULL) {
        daemon_job_cancel(c->daemon, cl->job);
        cl->job = NULL;
    }
    if (cl->prev != NULL) {
        cl->prev->next = cl->next;
    } else {
        c->clients = cl->next;
    }
    if (cl->next != NULL) {
        cl->next->prev = cl->prev;
    }
    if (cl->trusted) {
        c->trusted--;
    } else {
        c->unprivileged--;
    }
    uv_close((uv_handle_t *)&cl->pipe, on_client_closed);
}

/* --- answers ------------------------------------------------------------- */

static void on_written(uv_write_t *req, int status)
{
    struct write *w = req->data;
    struct client *cl = w->client;

    free(w->text);
    free(w);
    assert(cl->writes > 0);
    cl->writes--;
    if (status < 0 || (cl->ending && cl->writes == 0)) {
        client_close(cl);
    } else if (cl->writes == 0) {
        client_run(cl);
    }
}

void client_send(struct client *cl, json_t *object, bool may_drop)
{
    char *text = object != NULL ? json_dumps(object, CONTROL_JSON) : NULL;
    struct write *w = calloc(1, sizeof *w);
    size_t queued =
        cl->closing
            ? 0
            : uv_stream_get_write_queue_size((const uv_stream_t *)&cl->pipe);

    json_decref(object);
    if (cl->closing || text == NULL || w == NULL || queued > QUEUE_HARD ||
        (may_drop && queued > QUEUE_SOFT)) {
        free(text);
        free(w);
        if (!may_drop || queued > QUEUE_HARD) {
            client_close(cl);
        }
        return;
    }
    size_t len = strlen(text);
    text[len] = '\n'; /* in the place of the NUL */
    w->text = text;
    w->client = cl;
    w->req.data = w;
    uv_buf_t buf = uv_buf_init(text, (unsigned)(len + 1));
    if (uv_write(&w->req, (uv_stream_t *)&cl->pipe, &buf, 1, on_written) != 0) {
        free(text);
        free(w);
        client_close(cl);
        return;
    }
    cl->writes++;
}

static void listen_again(struct client *cl);

/* It has sent its end.  A job would have nobody to tell. */
static void maybe_done(struct client *cl)
{
    if (cl->heard_out && !cl->closing && !cl->waiting &&
        (cl->job != NULL || cl->writes == 0)) {
        client_close(cl);
    }
}

static void on_turn(uv_timer_t *timer)
{
    struct control *c = timer->data;
    struct client *next;

    for (struct client *cl = c->clients; cl != NULL; cl = next) {
        next = cl->next;
        if (cl->waiting) {
            client_run(cl);
        }
    }
}

/* An unprivileged client whose user has used up its share of the loop's time.
 */
static bool must_wait(struct client *cl)
{
    struct control *c = cl->control;

    cl->waiting =
        !cl->trusted && !unprivileged_may(&c->shares, cl->uid, uv_hrtime());
    if (cl->waiting && !uv_is_active((uv_handle_t *)&c->turn)) {
        (void)uv_timer_start(&c->turn, on_turn, TURN_MS, 0);
    }
    return cl->waiting;
}

static void run_one(struct client *cl, size_t len)
{
    struct control *c = cl->control;
    uint64_t begin_ns = uv_hrtime();

    c->run(cl, cl->in, len);
    if (!cl->trusted) {
        uint64_t now_ns = uv_hrtime();
        unprivileged_pay(&c->shares, cl->uid, now_ns, now_ns - begin_ns);
    }
}

void client_run(struct client *cl)
{
    cl->waiting = false;
    while (!cl->closing && !cl->ending && cl->job == NULL && cl->writes == 0) {
        char *end = memchr(cl->in, '\n', cl->in_len);
        if (end == NULL || must_wait(cl)) {
            break;
        }
        size_t used = (size_t)(end - cl->in) + 1;
        run_one(cl, used - 1);
        /* The client's memory lives until its handle is closed by the loop. */
        memmove(cl->in, cl->in + used, cl->in_len - used);
        cl->in_len -= used;
    }
    listen_again(cl);
    maybe_done(cl);
}

void client_refuse(struct client *cl, const struct err *err)
{
    client_send(cl,
                json_pack("{s:i, s:o}", "exit", dr_exit(err, 1), "error",
                          object_error(err)),
                false);
}

/* --- reading ------------------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *buf)
{
    struct client *cl = handle->data;

    (void)wanted;
    *buf = uv_buf_init(cl->in + cl->in_len,
                       (unsigned)(CONTROL_REQUEST_BYTES - cl->in_len));
}

static void refuse_long(struct client *cl)
{
    struct err err = {0};

    if (cl->job != NULL) {
        client_close(cl); /* it talks instead of listening */
        return;
    }
    (void)err_set(&err, ERR_INVALID, 0, "a request is longer than %d bytes",
                  CONTROL_REQUEST_BYTES);
    cl->ending = true;
    cl->in_len = 0;
    (void)uv_read_stop((uv_stream_t *)&cl->pipe);
    client_refuse(cl, &err);
}

/* The buffer is full: of requests that wait for their turn, or of one that has
 * no end. */
static void on_full(struct client *cl)
{
    if (cl->job != NULL || memchr(cl->in, '\n', cl->in_len) == NULL) {
        refuse_long(cl);
        return;
    }
    cl->stalled = true;
    (void)uv_read_stop((uv_stream_t *)&cl->pipe);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct client *cl = stream->data;

    (void)buf;
    if (n < 0) {
        /* End of input: what was asked before is still answered. */
        (void)uv_read_stop(stream);
        cl->heard_out = true;
        if (n != UV_EOF || cl->job != NULL) {
            client_close(cl);
        } else {
            client_run(cl);
        }
        return;
    }
    cl->in_len += (size_t)n;
    client_run(cl);
    if (!cl->closing && !cl->ending && cl->in_len == CONTROL_REQUEST_BYTES) {
        on_full(cl);
    }
}

static void listen_again(struct client *cl)
{
    if (!cl->stalled || cl->closing || cl->ending ||
        cl->in_len == CONTROL_REQUEST_BYTES) {
        return;
    }
    cl->stalled = false;
    if (uv_read_start((uv_stream_t *)&cl->pipe, on_alloc, on_read) != 0) {
        client_close(cl);
    }
}

/* --- who is it ----------------------------------------------------------- */

static bool in_group(int fd, gid_t group)
{
    socklen_t len = 0;
    bool found = false;

    /* Asks for the size first; the answer for "no groups" is a length of 0. */
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) == 0 ||
        errno != ERANGE) {
        return false;
    }
    CLEANUP(freep) gid_t *groups = malloc(len);
    if (groups == NULL ||
        getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) != 0) {
        return false;
    }
    for (size_t i = 0; i < len / sizeof *groups; i++) {
        found = found || groups[i] == group;
    }
    return found;
}

static void identify(const struct control *c, struct client *cl)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    uv_os_fd_t fd;

    cl->uid = (uid_t)-1;
    if (uv_fileno((const uv_handle_t *)&cl->pipe, &fd) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0) {
        return;
    }
    cl->uid = peer.uid;
    cl->trusted = peer.uid == 0 || peer.uid == geteuid() ||
                  (c->group != (gid_t)-1 &&
                   (peer.gid == c->group || in_group(fd, c->group)));
}

static unsigned count_of_user(const struct control *c, uid_t uid)
{
    unsigned n = 0;

    for (const struct client *cl = c->clients; cl != NULL; cl = cl->next) {
        n += cl->uid == uid ? 1 : 0;
    }
    return n;
}

static void link_client(struct control *c, struct client *cl)
{
    cl->next = c->clients;
    if (cl->next != NULL) {
        cl->next->prev = cl;
    }
    c->clients = cl;
}

static void refuse_crowd(struct client *cl, int limit)
{
    struct err err = {0};

    (void)err_set(&err, ERR_TIMEOUT, 0,
                  "the agent serves %d connections %salready; try again", limit,
                  limit == USER_CLIENTS_MAX ? "of this user " : "");
    cl->ending = true;
    client_refuse(cl, &err);
}

void client_serve(struct control *c, int fd)
{
    struct client *cl = calloc(1, sizeof *cl);

    if (cl == NULL || (cl->in = malloc(CONTROL_REQUEST_BYTES)) == NULL) {
        free(cl);
        (void)close(fd); /* out of memory */
        return;
    }
    cl->control = c;
    (void)uv_pipe_init(c->loop, &cl->pipe, 0);
    cl->pipe.data = cl;
    c->open_handles++;
    if (uv_pipe_open(&cl->pipe, fd) != 0) {
        (void)close(fd);
        uv_close((uv_handle_t *)&cl->pipe, on_client_closed);
        cl->closing = true;
        return;
    }
    identify(c, cl);
    link_client(c, cl);
    unsigned *count = cl->trusted ? &c->trusted : &c->unprivileged;
    if (++*count > CLIENTS_MAX) {
        refuse_crowd(cl, CLIENTS_MAX);
    } else if (cl->uid != 0 && count_of_user(c, cl->uid) > USER_CLIENTS_MAX) {
        refuse_crowd(cl, USER_CLIENTS_MAX);
    } else if (uv_read_start((uv_stream_t *)&cl->pipe, on_alloc, on_read) !=
               0) {
        client_close(cl);
    }
}
