/* SPDX-License-Identifier: MIT
 *
 * control_client: the operator's end of the control socket: blocking, with one
 * deadline for the whole call.  Owns nothing beyond a call.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/control/control.h"
#include "store/base/buf.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/quote.h"
#include "sync/errors/state.h"

enum { ANSWER_MAX = 256 * 1024 * 1024, READ_BYTES = 64 * 1024 };

static int dr_err(struct err *err, int id)
{
    err->id = id;
    return err->code;
}

/* What answers is the agent only if nobody else could have put it there: it is
 * root's, ours, or of the user whose directory the socket is in.  In /tmp, say,
 * anyone may wait for a command under an agent's name. */
static int check_peer(int fd, const char *path, struct err *err)
{
    char dir[CONTROL_PATH_MAX + 1];
    struct ucred peer;
    struct stat st;
    socklen_t len = sizeof peer;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0) {
        return err_sys(err, errno, "%s", path);
    }
    if (peer.uid == 0 || peer.uid == geteuid()) {
        return 0;
    }
    const char *slash = strrchr(path, '/');
    size_t n = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);
    (void)snprintf(dir, sizeof dir, "%.*s", n > 0 ? (int)n : 1,
                   n > 0 ? path : ".");
    if (stat(dir, &st) == 0 && st.st_uid == peer.uid) {
        return 0;
    }
    (void)err_set(err, ERR_REFUSED, 0,
                  "%s: a process of uid %u answers there, which may be no "
                  "agent, as %s is not its own: give the agent a directory of "
                  "its own (socket = PATH)",
                  path, (unsigned)peer.uid, dir);
    return dr_err(err, DR_NO_AGENT);
}

/* Waits while more clients than the listener's queue holds want to be served:
 * that is no absent agent. */
static int connect_in_time(int fd, const struct sockaddr_un *addr,
                           int64_t timeout_ms, struct err *err)
{
    struct timeval tv = {.tv_sec = (time_t)(timeout_ms / 1000),
                         .tv_usec = (suseconds_t)(timeout_ms % 1000 * 1000)};

    if (timeout_ms > 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
    }
    while (connect(fd, (const struct sockaddr *)addr, sizeof *addr) != 0) {
        if (errno == EINTR) {
            continue;
        }
        if (errno == EAGAIN) {
            (void)err_set(err, ERR_TIMEOUT, 0,
                          "the agent did not answer in time");
            return dr_err(err, DR_TIMED_OUT);
        }
        if (errno == EACCES || errno == EPERM) {
            (void)err_set(err, ERR_PERM, errno, "%s: connect", addr->sun_path);
            return dr_err(err, DR_NOT_PERMITTED);
        }
        (void)err_set(err, ERR_CLOSED, errno, "no agent answers on %s: connect",
                      addr->sun_path);
        return dr_err(err, DR_NO_AGENT);
    }
    return fcntl(fd, F_SETFL, O_NONBLOCK) == 0 ? 0
                                               : err_sys(err, errno, "fcntl");
}

static int connect_to(const char *path, int64_t timeout_ms, struct err *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    if (strlen(path) > CONTROL_PATH_MAX) {
        return err_set(err, ERR_INVALID, 0,
                       "%s: longer than the %d bytes that a socket's path may "
                       "have",
                       path, CONTROL_PATH_MAX);
    }
    memcpy(addr.sun_path, path, strlen(path) + 1);
    CLEANUP(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return err_sys(err, errno, "socket");
    }
    int rc = connect_in_time(fd, &addr, timeout_ms, err);
    if (rc == 0) {
        rc = check_peer(fd, path, err);
    }
    return rc < 0 ? rc : TAKE_FD(fd);
}

/* Wait until `events`, at most until the deadline (INT64_MAX: for ever). */
static int wait_for(int fd, short events, int64_t deadline_ns, struct err *err)
{
    struct pollfd p = {.fd = fd, .events = events};

    for (;;) {
        int64_t left_ms = -1;

        if (deadline_ns != INT64_MAX) {
            int64_t left = deadline_ns - clock_mono_ns();
            left_ms = left > 0 ? left / NS_PER_MS + 1 : 0;
        }
        int n = poll(&p, 1, left_ms > 3600000 ? 3600000 : (int)left_ms);
        if (n > 0) {
            return 0;
        }
        if (n == 0 && left_ms <= 3600000) {
            (void)err_set(err, ERR_TIMEOUT, 0,
                          "the agent did not answer in time");
            return dr_err(err, DR_TIMED_OUT);
        }
        if (n < 0 && errno != EINTR) {
            return err_sys(err, errno, "poll");
        }
    }
}

static int send_request(int fd, const json_t *request, int64_t deadline_ns,
                        struct err *err)
{
    CLEANUP(freep) char *text = json_dumps(request, JSON_COMPACT);
    size_t done = 0;

    if (text == NULL) {
        return err_set(err, ERR_NOMEM, 0, "out of memory");
    }
    size_t len = strlen(text);
    text[len++] = '\n'; /* in the place of the NUL */
    while (done < len) {
        ssize_t n = send(fd, text + done, len - done, MSG_NOSIGNAL);

        if (n >= 0) {
            done += (size_t)n;
        } else if (errno == EAGAIN) {
            int rc = wait_for(fd, POLLOUT, deadline_ns, err);
            if (rc < 0) {
                return rc;
            }
        } else if (errno != EINTR) {
            (void)err_set(err, ERR_CLOSED, errno, "write to the agent");
            return dr_err(err, DR_NO_AGENT);
        }
    }
    return 0;
}

static int read_more(int fd, struct buf *in, int64_t deadline_ns,
                     struct err *err)
{
    int rc = wait_for(fd, POLLIN, deadline_ns, err);

    if (rc < 0) {
        return rc;
    }
    if (in->len > ANSWER_MAX) {
        return err_set(err, ERR_TOOBIG, 0, "the agent's answer has no end");
    }
    if (!buf_reserve(in, READ_BYTES)) {
        return err_set(err, ERR_NOMEM, 0, "out of memory");
    }
    ssize_t n = recv(fd, in->data + in->len, READ_BYTES, 0);
    if (n > 0) {
        in->len += (size_t)n;
        return 0;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return 0;
    }
    (void)err_set(err, ERR_CLOSED, n < 0 ? errno : 0,
                  "the agent closed the connection before its answer");
    return dr_err(err, DR_NO_AGENT);
}

enum { LINE_ANSWER = 1 };

/* One line: shown when it is progress, LINE_ANSWER when it is the end. */
static int take_line(const char *line, size_t len, control_progress_fn progress,
                     void *arg, json_t **answer_out, struct err *err)
{
    json_error_t why;
    json_t *object = json_loadb(line, len, 0, &why);

    if (object == NULL) {
        return err_set(err, ERR_PROTO, 0,
                       "the answer did not come from a drover agent: %s",
                       why.text);
    }
    const json_t *shown = json_object_get(object, "progress");
    if (json_is_integer(json_object_get(object, "exit"))) {
        *answer_out = object;
        return LINE_ANSWER;
    }
    if (shown != NULL && progress != NULL) {
        progress(arg, shown);
    }
    json_decref(object);
    return 0;
}

static int read_answer(int fd, int64_t deadline_ns,
                       control_progress_fn progress, void *arg,
                       json_t **answer_out, struct err *err)
{
    CLEANUP(buf_deinit) struct buf in = BUF_NULL;
    size_t looked = 0;

    for (;;) {
        const uint8_t *end =
            in.len > looked ? memchr(in.data + looked, '\n', in.len - looked)
                            : NULL;
        int rc;

        if (end == NULL) {
            looked = in.len;
            rc = read_more(fd, &in, deadline_ns, err);
        } else {
            size_t used = (size_t)(end - in.data) + 1;
            rc = take_line((const char *)in.data, used - 1, progress, arg,
                           answer_out, err);
            buf_drop(&in, used);
            looked = 0;
        }
        if (rc != 0) {
            return rc < 0 ? rc : 0;
        }
    }
}

int control_call(const char *path, const json_t *request, int64_t timeout_ms,
                 control_progress_fn progress, void *arg, json_t **answer_out,
                 struct err *err)
{
    int64_t deadline_ns =
        timeout_ms < 0 ? INT64_MAX : clock_mono_ns() + timeout_ms * NS_PER_MS;
    json_t *answer = NULL;
    CLEANUP(fd_closep) int fd = connect_to(path, timeout_ms, err);

    if (fd < 0) {
        return fd;
    }
    int rc = send_request(fd, request, deadline_ns, err);
    if (rc == 0) {
        rc = read_answer(fd, deadline_ns, progress, arg, &answer, err);
    }
    if (rc < 0) {
        return err_wrap(err, "%s", path);
    }
    int code = (int)json_integer_value(json_object_get(answer, "exit"));
    *answer_out = answer;
    return code >= 0 && code <= 255 ? code : 1;
}
