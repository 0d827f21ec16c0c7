/* SPDX-License-Identifier: MIT
 *
 * metrics_server: see metrics_server.h.
 *
 * Happy path: on_connection() accepts a client; on_read() collects its request
 * up to the empty line; respond() looks at the first line only, and writes;
 * when the answer is out, or the client has had CLIENT_MS, it is closed.
 *
 * Failures: an address that cannot be bound is the caller's to report and to
 * try again.  A client beyond CLIENTS_MAX is closed at once, one whose request
 * is longer than REQUEST_MAX is told so.
 */
#include "agent/metrics/metrics_server.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "agent/base/listen_address.h"
#include "agent/metrics/metrics.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "sync/link/handles.h"

enum {
    CLIENTS_MAX = 16,
    CLIENT_MS = 5000,
    REQUEST_MAX = 4096,
    STATUS_MS = 1000, /* how old an answer may be */
    BACKLOG = 16,
};

union stream {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
};

struct metrics_server {
    uv_loop_t *loop;
    json_t *(*status)(void *arg);
    void *arg;
    struct handles group; /* listeners and clients */
    struct listener *listener;
    char *where;   /* what it listens on; NULL: nothing */
    json_t *known; /* what status() said at known_ms */
    int64_t known_ms;
    struct client *clients[CLIENTS_MAX]; /* NULL: free */
    uint64_t accepted;
    bool passed_asked; /* what systemd passed was taken, if anything */
    void (*freed)(void *arg);
    void *freed_arg;
};

struct listener {
    union stream at;
    struct handles group;
    struct metrics_server *server;
    char path[sizeof((struct sockaddr_un *)0)->sun_path]; /* made; "": none */
};

struct client {
    union stream at;
    uv_timer_t deadline;
    uv_write_t write;
    struct handles group;
    struct metrics_server *server;
    size_t slot;     /* CLIENTS_MAX: none */
    uint64_t number; /* in the order of coming */
    bool answered;
    size_t have;
    char in[REQUEST_MAX + 1];
    char head[256];
    char *body;
};

/* --- ends ----------------------------------------------------------------- */

static void on_client_gone(void *owner)
{
    struct client *cl = owner;
    struct metrics_server *s = cl->server;

    if (cl->slot < CLIENTS_MAX) {
        s->clients[cl->slot] = NULL;
    }
    free(cl->body);
    free(cl);
    handles_release(&s->group);
}

static void client_close(struct client *cl)
{
    if (uv_is_closing(&cl->at.handle)) {
        return;
    }
    handles_close(&cl->group, &cl->at.handle);
    handles_close(&cl->group, (uv_handle_t *)&cl->deadline);
}

static void on_deadline(uv_timer_t *timer)
{
    client_close(timer->data);
}

static void on_listener_gone(void *owner)
{
    struct listener *l = owner;
    struct metrics_server *s = l->server;

    free(l);
    handles_release(&s->group);
}

static void stop_listening(struct metrics_server *s)
{
    if (s->listener != NULL) {
        if (s->listener->path[0] != '\0') {
            (void)unlink(s->listener->path);
        }
        handles_close(&s->listener->group, &s->listener->at.handle);
        s->listener = NULL;
    }
    free(s->where);
    s->where = NULL;
}

static void on_server_gone(void *owner)
{
    struct metrics_server *s = owner;
    void (*freed)(void *arg) = s->freed;
    void *arg = s->freed_arg;

    json_decref(s->known);
    free(s);
    freed(arg);
}

void metrics_server_free(struct metrics_server *s, void (*freed)(void *arg),
                         void *arg)
{
    s->freed = freed;
    s->freed_arg = arg;
    stop_listening(s);
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        if (s->clients[i] != NULL) {
            client_close(s->clients[i]);
        }
    }
    handles_release(&s->group);
}

struct metrics_server *
metrics_server_new(uv_loop_t *loop, json_t *(*status)(void *arg), void *arg)
{
    struct metrics_server *s = calloc(1, sizeof *s);

    if (s != NULL) {
        s->loop = loop;
        s->status = status;
        s->arg = arg;
        handles_init(&s->group, on_server_gone, s);
        handles_hold(&s->group); /* until it is freed */
    }
    return s;
}

/* --- answers -------------------------------------------------------------- */

static const json_t *status_now(struct metrics_server *s)
{
    int64_t now_ms = clock_mono_ns() / NS_PER_MS;

    if (s->known == NULL || now_ms - s->known_ms >= STATUS_MS) {
        json_decref(s->known);
        s->known = s->status(s->arg);
        s->known_ms = now_ms;
    }
    return s->known;
}

static void on_written(uv_write_t *req, int status)
{
    (void)status;
    client_close(req->data);
}

/* Takes `body`. */
static void send_answer(struct client *cl, const char *status, const char *type,
                        char *body, size_t len, bool with_body)
{
    int n = snprintf(cl->head, sizeof cl->head,
                     "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu"
                     "\r\nConnection: close\r\n\r\n",
                     status, type, len);
    uv_buf_t parts[] = {uv_buf_init(cl->head, (unsigned)n),
                        uv_buf_init(body, (unsigned)len)};

    cl->body = body;
    cl->answered = true;
    cl->write.data = cl;
    if (uv_write(&cl->write, &cl->at.stream, parts, with_body ? 2 : 1,
                 on_written) != 0) {
        client_close(cl);
    }
}

static void send_text(struct client *cl, const char *status, const char *text,
                      bool with_body)
{
    char *body = strdup(text);

    if (body == NULL) {
        client_close(cl);
        return;
    }
    send_answer(cl, status, "text/plain; charset=utf-8", body, strlen(body),
                with_body);
}

/* Its parameters, up to the next type, give it a weight of 0: not wanted. */
static bool is_refused(const char *parameters)
{
    size_t len = strcspn(parameters, ",\r\n");
    const char *q = strcasestr(parameters, "q=0");

    if (q == NULL || (size_t)(q - parameters) >= len) {
        return false;
    }
    q += strlen("q=0");
    q += *q == '.' ? 1 + strspn(q + 1, "0") : 0;
    return *q == '\0' || strchr(",; \t\r\n", *q) != NULL;
}

/* What the client can read (RFC 9110, 12.5.1; the weights of two that it can
 * read are not compared). */
static enum metrics_format format_for(const char *request)
{
    static const char TYPE[] = "application/openmetrics-text";
    const char *at = strcasestr(request, TYPE);

    return at != NULL && !is_refused(at + sizeof TYPE - 1) ? METRICS_OPENMETRICS
                                                           : METRICS_PROMETHEUS;
}

static void send_metrics(struct client *cl, bool with_body)
{
    enum metrics_format format = format_for(cl->in);
    size_t len = 0;
    const json_t *status = status_now(cl->server);
    char *body = status != NULL ? metrics_text(status, format, &len) : NULL;

    if (body == NULL) {
        send_text(cl, "500 Internal Server Error", "out of memory\n",
                  with_body);
        return;
    }
    send_answer(cl, "200 OK", metrics_content_type(format), body, len,
                with_body);
}

static void send_health(struct client *cl, bool with_body)
{
    const json_t *status = status_now(cl->server);

    if (json_is_true(json_object_get(status, "healthy"))) {
        send_text(cl, "200 OK", "healthy\n", with_body);
    } else {
        send_text(cl, "503 Service Unavailable",
                  "not healthy: see drover status\n", with_body);
    }
}

/* "GET /metrics HTTP/1.1" and what follows. */
static void respond(struct client *cl)
{
    char method[8] = "", target[64] = "";
    int words = sscanf(cl->in, "%7s %63s HTTP/1.", method, target);
    bool get = strcmp(method, "GET") == 0;

    target[strcspn(target, "?")] = '\0';
    if (words != 2) {
        send_text(cl, "400 Bad Request", "not a request of HTTP/1\n", true);
    } else if (!get && strcmp(method, "HEAD") != 0) {
        send_text(cl, "405 Method Not Allowed", "only GET\n", true);
    } else if (strcmp(target, "/metrics") == 0) {
        send_metrics(cl, get);
    } else if (strcmp(target, "/healthz") == 0) {
        send_health(cl, get);
    } else {
        send_text(cl, "404 Not Found", "/metrics or /healthz\n", get);
    }
}

/* --- requests ------------------------------------------------------------- */

static void on_room(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    struct client *cl = handle->data;

    (void)size;
    *buf = uv_buf_init(cl->in + cl->have, (unsigned)(REQUEST_MAX - cl->have));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct client *cl = stream->data;

    (void)buf;
    if (n < 0) {
        /* Whoever closes its side for writing still reads the answer. */
        if (!cl->answered) {
            client_close(cl);
        }
        return;
    }
    cl->have += (size_t)n;
    cl->in[cl->have] = '\0';
    bool whole =
        strstr(cl->in, "\r\n\r\n") != NULL || strstr(cl->in, "\n\n") != NULL;
    if (whole || cl->have == REQUEST_MAX) {
        (void)uv_read_stop(stream);
    }
    if (whole) {
        respond(cl);
    } else if (cl->have == REQUEST_MAX) {
        send_text(cl, "431 Request Header Fields Too Large",
                  "the request is too long\n", true);
    }
}

static int stream_init(uv_loop_t *loop, union stream *at, bool is_unix)
{
    return is_unix ? uv_pipe_init(loop, &at->pipe, 0)
                   : uv_tcp_init(loop, &at->tcp);
}

static void serve(struct metrics_server *s, struct client *cl,
                  struct listener *l)
{
    bool is_unix = l->at.handle.type == UV_NAMED_PIPE;

    cl->server = s;
    handles_init(&cl->group, on_client_gone, cl);
    (void)stream_init(s->loop, &cl->at, is_unix);
    (void)uv_timer_init(s->loop, &cl->deadline);
    handles_hold(&cl->group);
    handles_hold(&cl->group);
    handles_hold(&s->group);
    cl->at.handle.data = cl;
    cl->deadline.data = cl;
    if (uv_accept(&l->at.stream, &cl->at.stream) != 0 ||
        uv_read_start(&cl->at.stream, on_room, on_read) != 0 ||
        uv_timer_start(&cl->deadline, on_deadline, CLIENT_MS, 0) != 0) {
        client_close(cl);
    }
}

/* A place among the clients.  When all are taken, the one that has had its
 * place for longest makes room when it is closed: whoever says nothing keeps
 * nobody out who asks at once. */
static size_t find_slot(struct metrics_server *s)
{
    struct client *oldest = NULL;

    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        struct client *cl = s->clients[i];
        if (cl == NULL) {
            return i;
        }
        if (!cl->answered && (oldest == NULL || cl->number < oldest->number)) {
            oldest = cl;
        }
    }
    if (oldest == NULL) {
        return CLIENTS_MAX;
    }
    size_t slot = oldest->slot;
    oldest->slot = CLIENTS_MAX; /* it is out, whenever its close ends */
    client_close(oldest);
    return slot;
}

/* Accept and close. */
static void turn_away(struct metrics_server *s, struct listener *l)
{
    struct client *cl = calloc(1, sizeof *cl);

    if (cl != NULL) {
        cl->slot = CLIENTS_MAX;
        serve(s, cl, l);
        client_close(cl);
    }
}

static void on_connection(uv_stream_t *stream, int status)
{
    struct listener *l = stream->data;
    struct metrics_server *s = l->server;

    if (status != 0) {
        return;
    }
    size_t slot = find_slot(s);
    struct client *cl = slot < CLIENTS_MAX ? calloc(1, sizeof *cl) : NULL;
    if (cl == NULL) {
        turn_away(s, l);
        return;
    }
    cl->slot = slot;
    cl->number = ++s->accepted;
    s->clients[slot] = cl;
    serve(s, cl, l);
}

/* --- listening ------------------------------------------------------------ */

/* What systemd passed for us; -1: nothing. */
static int passed_fd(void)
{
    CLEANUP(freep) char **names = NULL;
    int n = sd_listen_fds_with_names(0, &names), fd = -1;

    for (int i = 0; i < n; i++) {
        if (fd < 0 && strcmp(names[i], "metrics") == 0) {
            fd = SD_LISTEN_FDS_START + i;
        }
        free(names[i]);
    }
    return fd;
}

/* A socket file that nobody listens on any more is in the way. */
static void remove_left_over(const struct listen_address *a)
{
    const struct sockaddr_un *addr = (const struct sockaddr_un *)&a->addr;
    struct stat st;

    if (lstat(addr->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode)) {
        return;
    }
    CLEANUP(fd_closep)
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)addr, a->len) != 0 &&
        errno == ECONNREFUSED) {
        (void)unlink(addr->sun_path);
    }
}

static int bind_to(struct listener *l, const struct listen_address *a)
{
    const struct sockaddr_un *addr = (const struct sockaddr_un *)&a->addr;

    if (a->addr.ss_family != AF_UNIX) {
        return uv_tcp_bind(&l->at.tcp, (const struct sockaddr *)&a->addr, 0);
    }
    remove_left_over(a);
    /* Not uv_pipe_bind(): that says EACCES where there is no directory. */
    CLEANUP(fd_closep)
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)addr, a->len) != 0) {
        return -errno;
    }
    memcpy(l->path, addr->sun_path, sizeof l->path);
    if (chmod(l->path, 0666) != 0) {
        return -errno;
    }
    int rc = uv_pipe_open(&l->at.pipe, fd);
    if (rc == 0) {
        (void)TAKE_FD(fd); /* the pipe's */
    }
    return rc;
}

static struct listener *new_listener(struct metrics_server *s, bool is_unix)
{
    struct listener *l = calloc(1, sizeof *l);

    if (l == NULL || stream_init(s->loop, &l->at, is_unix) != 0) {
        free(l);
        return NULL;
    }
    l->server = s;
    l->at.handle.data = l;
    handles_init(&l->group, on_listener_gone, l);
    handles_hold(&l->group);
    handles_hold(&s->group);
    return l;
}

/* `rc` of what was done with it so far. */
static int begin_listening(struct metrics_server *s, struct listener *l, int rc,
                           const char *where, struct err *err)
{
    s->listener = l;
    if (rc == 0) {
        rc = uv_listen(&l->at.stream, BACKLOG, on_connection);
    }
    s->where = rc == 0 ? strdup(where) : NULL;
    if (rc == 0 && s->where != NULL) {
        return 0;
    }
    stop_listening(s);
    return err_sys(err, rc != 0 ? -rc : ENOMEM, "metrics-listen = %s", where);
}

/* What systemd passed is listened on, whatever the configuration says. */
static bool take_passed(struct metrics_server *s)
{
    struct sockaddr_storage addr = {0};
    socklen_t len = sizeof addr;
    struct err err;
    int fd = s->passed_asked ? -1 : passed_fd();

    s->passed_asked = true;
    if (fd < 0 || getsockname(fd, (struct sockaddr *)&addr, &len) != 0) {
        return false;
    }
    bool is_unix = addr.ss_family == AF_UNIX;
    struct listener *l = new_listener(s, is_unix);
    if (l == NULL) {
        return false;
    }
    int rc =
        is_unix ? uv_pipe_open(&l->at.pipe, fd) : uv_tcp_open(&l->at.tcp, fd);
    return begin_listening(s, l, rc, "", &err) == 0;
}

int metrics_server_listen(struct metrics_server *s, const char *where,
                          struct err *err)
{
    struct listen_address a;

    if (take_passed(s) || (s->where != NULL && s->where[0] == '\0')) {
        return 0;
    }
    if (where == NULL) {
        stop_listening(s);
        return 0;
    }
    if (s->where != NULL && strcmp(s->where, where) == 0) {
        return 0;
    }
    stop_listening(s);
    if (listen_address_parse(where, &a, err) < 0) {
        return err->code;
    }
    struct listener *l = new_listener(s, a.addr.ss_family == AF_UNIX);
    if (l == NULL) {
        return err_set(err, ERR_NOMEM, 0, "out of memory");
    }
    return begin_listening(s, l, bind_to(l, &a), where, err);
}
