/* SPDX-License-Identifier: MIT
 *
 * fuzz_control: the agent's control socket under hostile clients.
 *
 * Input: a byte of flags, then what a client sends, cut into pieces at each
 * byte 0x01; a byte 0x02 lets the agent's jobs go on, 0x03 makes the client
 * leave and another one come.  The server is the real one; the daemon behind
 * it is made of the functions below.
 *
 * Every answer is one line of JSON with an exit code; a stranger starts and
 * changes nothing but `wait`; no job is left when its client is gone.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "agent/control/control_impl.h"
#include "agent/events/events.h"

struct job {
    struct job *next;
    struct job_events ev;
    void *arg;
    bool progress;
};

struct daemon {
    struct config config;
    struct job *jobs;
    size_t changes; /* that only an operator may make */
};

static struct daemon the_daemon;
static uv_loop_t loop;
static struct control *server;

/* --- a daemon ------------------------------------------------------------ */

const struct config *daemon_config(const struct daemon *d)
{
    return &d->config;
}

json_t *daemon_status(struct daemon *d, bool with_keys)
{
    (void)d;
    return json_pack("{s:b, s:b}", "healthy", 1, "with_keys", with_keys);
}

static struct job *start_job(struct daemon *d, const struct job_events *ev,
                             void *arg)
{
    struct job *job = calloc(1, sizeof *job);

    must(job != NULL);
    job->ev = *ev;
    job->arg = arg;
    job->next = d->jobs;
    d->jobs = job;
    return job;
}

static bool good_names(const char *const *names, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        must(names[i] != NULL);
        if (strlen(names[i]) > 40) {
            (void)err_set(err, ERR_NOTFOUND, 0, "no replica %.20s", names[i]);
            return false;
        }
    }
    return true;
}

struct job *daemon_wait(struct daemon *d, const char *const *replicas, size_t n,
                        bool asks, int64_t timeout_ms,
                        const struct job_events *ev, void *arg, struct err *err)
{
    (void)asks;
    (void)timeout_ms;
    return good_names(replicas, n, err) ? start_job(d, ev, arg) : NULL;
}

struct job *daemon_compare(struct daemon *d,
                           const struct compare_request *request,
                           const char *const *replicas, size_t n,
                           const struct job_events *ev, void *arg,
                           struct err *err)
{
    (void)request;
    d->changes++;
    return good_names(replicas, n, err) ? start_job(d, ev, arg) : NULL;
}

static struct job *unlink_job(struct daemon *d, struct job *job)
{
    struct job **at = &d->jobs;

    while (*at != NULL && *at != job) {
        at = &(*at)->next;
    }
    must(*at == job);
    *at = job->next;
    return job;
}

void daemon_job_cancel(struct daemon *d, struct job *job)
{
    free(unlink_job(d, job));
}

int daemon_held(struct daemon *d, const char *replica, json_t **held_out,
                struct err *err)
{
    (void)d;
    *held_out = json_null();
    return good_names(&replica, 1, err) ? 0 : err->code;
}

int daemon_approve(struct daemon *d, const char *replica, const char *token,
                   uint64_t *count_out, struct err *err)
{
    (void)token;
    d->changes++;
    *count_out = 7;
    return good_names(&replica, 1, err) ? 0 : err->code;
}

int daemon_anew(struct daemon *d, const char *const *replicas, size_t n,
                struct err *err)
{
    d->changes++;
    return good_names(replicas, n, err) ? 0 : err->code;
}

int daemon_retry(struct daemon *d, const char *const *replicas, size_t n,
                 json_t **done_out, struct err *err)
{
    d->changes++;
    if (!good_names(replicas, n, err)) {
        return err->code;
    }
    *done_out = json_array();
    return 0;
}

int daemon_pause(struct daemon *d, const char *const *replicas, size_t n,
                 bool paused, json_t **done_out, struct err *err)
{
    (void)paused;
    return daemon_retry(d, replicas, n, done_out, err);
}

json_t *daemon_events(struct daemon *d, const struct events_query *q)
{
    (void)d;
    return q->last > 7
               ? NULL
               : json_pack("{s:[], s:i, s:b}", "events", "next", 1, "more", 0);
}

int daemon_reload(struct daemon *d, json_t **changes_out, struct err *err)
{
    (void)err;
    d->changes++;
    *changes_out = json_pack("[s]", "+us-2");
    return 0;
}

/* A line of progress first, then the end. */
static void jobs_go_on(struct daemon *d)
{
    struct job *job = d->jobs;

    if (job == NULL) {
        return;
    }
    if (!job->progress) {
        job->progress = true;
        job->ev.progress(job->arg, json_pack("{s:i}", "left", 1));
        return;
    }
    struct job ended = *unlink_job(d, job);
    free(job);
    ended.ev.done(ended.arg, 0, json_pack("{s:b}", "done", 1));
}

/* --- clients ------------------------------------------------------------- */

struct peer {
    int fd;
    struct buf heard;
};

static void turn(void)
{
    for (int i = 0; i < 3; i++) {
        (void)uv_run(&loop, UV_RUN_NOWAIT);
    }
}

static void join(struct peer *p, bool stranger)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    const char *path = fuzz_path("control");
    must(strlen(path) < sizeof addr.sun_path);
    memcpy(addr.sun_path, path, strlen(path) + 1);
    p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    must(p->fd >= 0);
    must(connect(p->fd, (struct sockaddr *)&addr, sizeof addr) == 0);
    turn();
    must(server->clients != NULL);
    if (stranger) {
        /* As if another user had come. */
        server->clients->trusted = false;
        server->trusted--;
        server->unprivileged++;
    }
}

static void check_line(const char *line, size_t n)
{
    json_error_t why;
    json_t *o = json_loadb(line, n, 0, &why);

    must(json_is_object(o));
    must(json_object_get(o, "progress") != NULL ||
         (json_is_integer(json_object_get(o, "exit")) &&
          (json_object_get(o, "result") != NULL ||
           json_object_get(o, "error") != NULL)));
    json_decref(o);
}

static void listen_to(struct peer *p)
{
    char bytes[4096];
    ssize_t n;

    while ((n = read(p->fd, bytes, sizeof bytes)) > 0) {
        buf_put(&p->heard, bytes, (size_t)n);
    }
    const char *end;
    while (p->heard.len > 0 &&
           (end = memchr(p->heard.data, '\n', p->heard.len)) != NULL) {
        size_t len = (size_t)(end - (char *)p->heard.data);
        check_line((char *)p->heard.data, len);
        buf_drop(&p->heard, len + 1);
    }
}

static void leave(struct peer *p)
{
    (void)close(p->fd);
    buf_deinit(&p->heard);
    turn();
    /* An unprivileged client whose user has had its share waits, also to be
     * seen leaving.
     */
    for (int i = 0; i < 100 && server->clients != NULL; i++) {
        memset(&server->shares, 0, sizeof server->shares);
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    must(server->clients == NULL && the_daemon.jobs == NULL);
}

static void say(struct peer *p, const uint8_t *data, size_t n)
{
    while (n > 0) {
        ssize_t done = send(p->fd, data, n, MSG_NOSIGNAL);
        if (done < 0) {
            must(errno == EAGAIN || errno == EPIPE || errno == ECONNRESET);
            return;
        }
        data += done;
        n -= (size_t)done;
        turn();
        listen_to(p);
    }
}

static void start(void)
{
    struct err err = {0};

    must(uv_loop_init(&loop) == 0);
    the_daemon.config.name = (char *)(uintptr_t) "orders";
    server =
        control_listen(&the_daemon, &loop, fuzz_path("control"), NULL, &err);
    must(server != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct peer p = {.fd = -1, .heard = BUF_NULL};

    if (size < 1 || size > 200000) {
        return 0;
    }
    (void)signal(SIGPIPE, SIG_IGN); /* as the agent does */
    if (server == NULL) {
        start();
    }
    bool stranger = data[0] & 1;
    the_daemon.changes = 0;
    join(&p, stranger);
    for (size_t at = 1, end; at < size; at = end + 1) {
        for (end = at; end < size && (data[end] == 0 || data[end] > 3); end++) {
        }
        say(&p, data + at, end - at);
        if (end < size && data[end] == 2) {
            jobs_go_on(&the_daemon);
        } else if (end < size && data[end] == 3) {
            leave(&p);
            join(&p, stranger);
        }
        turn();
        listen_to(&p);
    }
    leave(&p);
    must(!stranger || the_daemon.changes == 0);
    return 0;
}
