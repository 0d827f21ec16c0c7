/* SPDX-License-Identifier: MIT
 *
 * control: what may be asked on the control socket, by whom, and that no
 * client can hurt the agent.  The server runs on a loop in a thread, with a
 * daemon made of the functions below; the test is its client. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/control/control.h"
#include "agent/control/control_unprivileged.h"
#include "agent/events/events.h"
#include "store/base/cleanup.h"
#include "sync/errors/state.h"

/* --- a daemon ------------------------------------------------------------ */

struct job {
    uv_timer_t timer;
    struct job_events ev;
    void *arg;
    int left;   /* progress lines before the end; negative: never ends */
    size_t fat; /* bytes in each progress line */
};

struct daemon {
    uv_loop_t loop;
    uv_async_t stop;
    struct control *control;
    struct config config;
    pthread_t thread;
    int cancelled; /* under the lock: */
    bool closed;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    atomic_int statuses; /* answered */
};

const struct config *daemon_config(const struct daemon *d)
{
    return &d->config;
}

json_t *daemon_status(struct daemon *d, bool with_keys)
{
    atomic_fetch_add(&d->statuses, 1);
    return json_pack("{s:b, s:b}", "healthy", !with_keys, "with_keys",
                     with_keys);
}

static void job_gone(uv_handle_t *handle)
{
    free(handle->data);
}

static void on_step(uv_timer_t *timer)
{
    struct job *job = timer->data;

    if (job->left != 0) {
        char *fat = calloc(1, job->fat + 1);
        assert_non_null(fat);
        memset(fat, 'x', job->fat);
        job->left--;
        job->ev.progress(
            job->arg, json_pack("{s:i, s:s}", "left", job->left, "fat", fat));
        free(fat);
        return;
    }
    uv_close((uv_handle_t *)timer, job_gone);
    job->ev.done(job->arg, 0, json_pack("{s:b}", "done", 1));
}

static struct job *job_start(struct daemon *d, int64_t steps, size_t fat,
                             const struct job_events *ev, void *arg)
{
    struct job *job = calloc(1, sizeof *job);

    assert_non_null(job);
    job->ev = *ev;
    job->arg = arg;
    job->left = (int)steps;
    job->fat = fat;
    job->timer.data = job;
    (void)uv_timer_init(&d->loop, &job->timer);
    (void)uv_timer_start(&job->timer, on_step, 0, 1);
    return job;
}

struct job *daemon_wait(struct daemon *d, const char *const *replicas, size_t n,
                        bool asks, int64_t timeout_ms,
                        const struct job_events *ev, void *arg, struct err *err)
{
    (void)asks;
    (void)err;
    (void)replicas;
    return job_start(d, timeout_ms, n > 0 ? 100000 : 0, ev, arg);
}

struct job *daemon_compare(struct daemon *d,
                           const struct compare_request *request,
                           const char *const *replicas, size_t n,
                           const struct job_events *ev, void *arg,
                           struct err *err)
{
    if (n > 0 && strcmp(replicas[0], "nope") == 0) {
        (void)err_set(err, ERR_NOTFOUND, 0, "no replica nope");
        err->id = DR_NO_SUCH_REPLICA;
        return NULL;
    }
    return job_start(d, (int64_t)request->what, 0, ev, arg);
}

void daemon_job_cancel(struct daemon *d, struct job *job)
{
    (void)pthread_mutex_lock(&d->lock);
    d->cancelled++;
    (void)pthread_cond_broadcast(&d->changed);
    (void)pthread_mutex_unlock(&d->lock);
    uv_close((uv_handle_t *)&job->timer, job_gone);
}

int daemon_approve(struct daemon *d, const char *replica, const char *token,
                   uint64_t *count_out, struct err *err)
{
    (void)d;
    if (strcmp(replica, "eu") != 0) {
        return err_set(err, ERR_NOTFOUND, 0, "nothing is held");
    }
    *count_out = token == NULL ? 7 : (uint64_t)strlen(token);
    return 0;
}

int daemon_held(struct daemon *d, const char *replica, json_t **held_out,
                struct err *err)
{
    (void)d;
    (void)replica;
    (void)err;
    *held_out = json_pack("{s:i}", "count", 5);
    return 0;
}

int daemon_anew(struct daemon *d, const char *const *replicas, size_t n,
                struct err *err)
{
    (void)d, (void)replicas, (void)n, (void)err;
    return 0;
}

int daemon_pause(struct daemon *d, const char *const *replicas, size_t n,
                 bool paused, json_t **done_out, struct err *err)
{
    (void)d;
    (void)replicas;
    (void)n;
    (void)err;
    *done_out = json_pack("[{s:s, s:s}]", "name", "eu", "did",
                          paused ? "paused" : "resumed");
    return 0;
}

int daemon_retry(struct daemon *d, const char *const *replicas, size_t n,
                 json_t **done_out, struct err *err)
{
    (void)d;
    if (n > 0 && strcmp(replicas[0], "nope") == 0) {
        (void)err_set(err, ERR_NOTFOUND, 0, "no replica nope");
        err->id = DR_NO_SUCH_REPLICA;
        return err->code;
    }
    *done_out = json_pack("[{s:s, s:s}]", "name", "eu", "did", "trying");
    return 0;
}

json_t *daemon_events(struct daemon *d, const struct events_query *q)
{
    (void)d;
    return json_pack("{s:[], s:I, s:b, s:s*}", "events", "next",
                     (json_int_t)(q->from + q->last), "more", 0, "of",
                     q->count > 0 ? q->replicas[0] : NULL);
}

int daemon_reload(struct daemon *d, json_t **changes_out, struct err *err)
{
    (void)d;
    (void)err;
    *changes_out = json_pack("[s]", "+us-2");
    return 0;
}

/* --- fixture ------------------------------------------------------------- */

struct fix {
    struct daemon d;
    char dir[80];
    char path[CONTROL_PATH_MAX + 1];
};

static void on_closed(void *arg)
{
    struct daemon *d = arg;

    d->closed = true;
}

static void on_stop(uv_async_t *async)
{
    struct daemon *d = async->data;

    uv_close((uv_handle_t *)async, NULL);
    control_close(d->control, on_closed, d);
}

static void *run_loop(void *arg)
{
    struct daemon *d = arg;

    (void)uv_run(&d->loop, UV_RUN_DEFAULT);
    return NULL;
}

static const char *group_of_test; /* for the server of the next setup */

static int setup(void **state)
{
    struct fix *f = calloc(1, sizeof *f);
    struct err err = {0};
    const char *tmp = getenv("TMPDIR");

    assert_non_null(f);
    (void)snprintf(f->dir, sizeof f->dir, "%s/drover-control-XXXXXX",
                   tmp != NULL && strlen(tmp) < 50 ? tmp : "/tmp");
    assert_non_null(mkdtemp(f->dir));
    assert_int_equal(chmod(f->dir, 0755), 0);
    (void)snprintf(f->path, sizeof f->path, "%s/control.sock", f->dir);
    f->d.config.name = (char *)(uintptr_t) "orders";
    assert_int_equal(uv_loop_init(&f->d.loop), 0);
    assert_int_equal(uv_async_init(&f->d.loop, &f->d.stop, on_stop), 0);
    f->d.stop.data = &f->d;
    (void)pthread_mutex_init(&f->d.lock, NULL);
    (void)pthread_cond_init(&f->d.changed, NULL);
    f->d.control =
        control_listen(&f->d, &f->d.loop, f->path, group_of_test, &err);
    if (f->d.control == NULL) {
        fail_msg("%s", err.msg);
    }
    assert_int_equal(pthread_create(&f->d.thread, NULL, run_loop, &f->d), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fix *f = *state;
    char lock[CONTROL_PATH_MAX + 8];

    (void)uv_async_send(&f->d.stop);
    (void)pthread_join(f->d.thread, NULL);
    assert_true(f->d.closed);
    assert_int_equal(uv_loop_close(&f->d.loop), 0);
    assert_int_not_equal(access(f->path, F_OK), 0);
    (void)snprintf(lock, sizeof lock, "%s.lock", f->path);
    (void)unlink(lock);
    (void)rmdir(f->dir);
    free(f);
    return 0;
}

struct seen {
    int progress;
};

static void on_progress(void *arg, const json_t *object)
{
    struct seen *seen = arg;

    assert_true(json_is_object(object));
    if (seen != NULL) {
        seen->progress++;
    }
}

/* Takes `request`. */
static int call(struct fix *f, json_t *request, struct seen *seen,
                json_t **answer)
{
    struct err err = {0};
    int rc =
        control_call(f->path, request, 30000, on_progress, seen, answer, &err);

    json_decref(request);
    if (rc < 0) {
        fail_msg("%s: %s", err_name(rc), err.msg);
    }
    return rc;
}

/* Waits while the listener's queue is full. */
static int connect_raw(struct fix *f)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    memcpy(addr.sun_path, f->path, strlen(f->path) + 1);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    return fd;
}

/* Everything until the server closes. */
static size_t read_all(int fd, char *out, size_t room)
{
    size_t len = 0;
    ssize_t n;

    while (len < room - 1 && (n = read(fd, out + len, room - 1 - len)) > 0) {
        len += (size_t)n;
    }
    out[len] = '\0';
    return len;
}

/* --- tests --------------------------------------------------------------- */

static void status_carries_its_health_in_the_exit_code(void **state)
{
    struct fix *f = *state;
    json_t *answer = NULL;

    assert_int_equal(
        call(f, json_pack("{s:s}", "cmd", "status"), NULL, &answer), 0);
    json_decref(answer);
    /* This daemon is unhealthy when keys are asked for: so they were. */
    assert_int_equal(call(f,
                          json_pack("{s:s, s:b}", "cmd", "status", "keys", 1),
                          NULL, &answer),
                     1);
    assert_true(json_is_true(
        json_object_get(json_object_get(answer, "result"), "with_keys")));
    json_decref(answer);
}

static void a_job_shows_progress_and_then_its_end(void **state)
{
    struct fix *f = *state;
    struct seen seen = {0};
    json_t *answer = NULL;

    assert_int_equal(
        call(f, json_pack("{s:s, s:i}", "cmd", "wait", "timeout_ms", 5), &seen,
             &answer),
        0);
    assert_int_equal(seen.progress, 5);
    assert_true(json_is_true(
        json_object_get(json_object_get(answer, "result"), "done")));
    json_decref(answer);
}

static void assert_did(const json_t *answer, const char *did)
{
    const json_t *result = json_object_get(answer, "result");
    const json_t *one = json_array_get(json_object_get(result, "done"), 0);

    assert_true(json_is_array(json_object_get(result, "replicas")));
    assert_string_equal(json_string_value(json_object_get(one, "did")), did);
}

static void every_request_reaches_its_function(void **state)
{
    struct fix *f = *state;
    json_t *answer = NULL;
    struct seen seen = {0};

    assert_int_equal(
        call(f, json_pack("{s:s, s:s}", "cmd", "approve", "replica", "eu"),
             NULL, &answer),
        0);
    assert_int_equal(json_integer_value(json_object_get(
                         json_object_get(answer, "result"), "count")),
                     7);
    json_decref(answer);
    assert_int_equal(call(f,
                          json_pack("{s:s, s:s, s:s}", "cmd", "approve",
                                    "replica", "eu", "token", "abc"),
                          NULL, &answer),
                     0);
    assert_int_equal(json_integer_value(json_object_get(
                         json_object_get(answer, "result"), "count")),
                     3);
    json_decref(answer);
    assert_int_equal(call(f,
                          json_pack("{s:s, s:s, s:b}", "cmd", "approve",
                                    "replica", "eu", "dry_run", 1),
                          NULL, &answer),
                     0);
    assert_int_equal(
        json_integer_value(json_object_get(
            json_object_get(json_object_get(answer, "result"), "held"),
            "count")),
        5);
    json_decref(answer);
    assert_int_equal(
        call(f, json_pack("{s:s, s:[s]}", "cmd", "pause", "replicas", "eu"),
             NULL, &answer),
        0);
    assert_did(answer, "paused");
    json_decref(answer);
    assert_int_equal(
        call(f, json_pack("{s:s}", "cmd", "resume"), NULL, &answer), 0);
    assert_did(answer, "resumed");
    json_decref(answer);
    assert_int_equal(
        call(f, json_pack("{s:s, s:[s]}", "cmd", "retry", "replicas", "eu"),
             NULL, &answer),
        0);
    assert_did(answer, "trying");
    json_decref(answer);
    assert_int_equal(
        call(f, json_pack("{s:s, s:[s]}", "cmd", "retry", "replicas", "nope"),
             NULL, &answer),
        EX_USAGE);
    json_decref(answer);
    assert_int_equal(
        call(f, json_pack("{s:s}", "cmd", "reload"), NULL, &answer), 0);
    json_decref(answer);
    assert_int_equal(
        call(f, json_pack("{s:s}", "cmd", "version"), NULL, &answer), 0);
    json_decref(answer);
    assert_int_equal(
        call(f, json_pack("{s:s, s:b}", "cmd", "resync", "dry_run", 1), &seen,
             &answer),
        0);
    assert_int_equal(seen.progress, JOB_RESYNC_DRY_RUN);
    json_decref(answer);
}

static void errors_come_with_number_hint_and_exit_code(void **state)
{
    struct fix *f = *state;
    json_t *answer = NULL;

    assert_int_equal(
        call(f, json_pack("{s:s, s:[s]}", "cmd", "verify", "replicas", "nope"),
             NULL, &answer),
        EX_USAGE);
    const json_t *error = json_object_get(answer, "error");
    assert_int_equal(json_integer_value(json_object_get(error, "id")),
                     DR_NO_SUCH_REPLICA);
    assert_string_equal(json_string_value(json_object_get(error, "text")),
                        "no replica nope");
    assert_non_null(json_object_get(error, "hint"));
    json_decref(answer);

    assert_int_equal(call(f, json_pack("{s:s}", "cmd", "dance"), NULL, &answer),
                     EX_USAGE);
    json_decref(answer);
    assert_int_equal(call(f, json_object(), NULL, &answer), EX_USAGE);
    json_decref(answer);
    assert_int_equal(call(f,
                          json_pack("{s:s, s:i}", "cmd", "wait", "replicas", 3),
                          NULL, &answer),
                     EX_USAGE);
    json_decref(answer);
}

static void
several_requests_on_one_connection_are_answered_in_order(void **state)
{
    struct fix *f = *state;
    char text[4096];
    CLEANUP(fd_closep) int fd = connect_raw(f);
    const char *say = "{\"cmd\":\"wait\",\"timeout_ms\":0}\n"
                      "{\"cmd\":\"version\"}\nnonsense\n{\"cmd\":\"dance\"}\n";

    assert_int_equal(write(fd, say, strlen(say)), strlen(say));
    size_t len = 0;
    for (int lines = 0; lines < 4;) {
        ssize_t n = read(fd, text + len, 1);
        assert_int_equal(n, 1);
        lines += text[len] == '\n' ? 1 : 0;
        len++;
    }
    text[len] = '\0';
    const char *done = strstr(text, "\"done\":true");
    const char *version = strstr(text, "\"version\"");
    const char *nonsense = strstr(text, "not JSON");
    const char *dance = strstr(text, "dance");
    assert_non_null(done);
    assert_true(done < version);
    assert_true(version < nonsense);
    assert_true(nonsense < dance);
}

static void a_client_that_closes_its_end_still_gets_its_answer(void **state)
{
    struct fix *f = *state;
    char text[4096];
    CLEANUP(fd_closep) int fd = connect_raw(f);

    assert_int_equal(write(fd, "{\"cmd\":\"version\"}\n", 18), 18);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    assert_true(read_all(fd, text, sizeof text) > 0);
    assert_non_null(strstr(text, "\"exit\":0"));
}

static void an_endless_line_is_refused_and_the_agent_lives(void **state)
{
    struct fix *f = *state;
    CLEANUP(fd_closep) int fd = connect_raw(f);
    char *line = malloc(CONTROL_REQUEST_BYTES);
    char text[4096];
    json_t *answer = NULL;

    assert_non_null(line);
    memset(line, 'x', CONTROL_REQUEST_BYTES);
    assert_int_equal(write(fd, line, CONTROL_REQUEST_BYTES),
                     CONTROL_REQUEST_BYTES);
    free(line);
    (void)read_all(fd, text, sizeof text);
    assert_non_null(strstr(text, "longer than 65536 bytes"));
    assert_int_equal(
        call(f, json_pack("{s:s}", "cmd", "version"), NULL, &answer), 0);
    json_decref(answer);
}

static void wait_for_cancel(struct fix *f)
{
    (void)pthread_mutex_lock(&f->d.lock);
    while (f->d.cancelled == 0) {
        (void)pthread_cond_wait(&f->d.changed, &f->d.lock);
    }
    (void)pthread_mutex_unlock(&f->d.lock);
}

static void a_client_that_leaves_cancels_its_job(void **state)
{
    struct fix *f = *state;
    int fd = connect_raw(f);
    const char *say = "{\"cmd\":\"wait\",\"timeout_ms\":-1}\n";

    assert_int_equal(write(fd, say, strlen(say)), strlen(say));
    char one;
    assert_int_equal(read(fd, &one, 1), 1); /* it runs */
    (void)close(fd);
    wait_for_cancel(f);
}

static void closing_the_socket_cancels_running_jobs(void **state)
{
    struct fix *f = *state;
    int fd = connect_raw(f);
    const char *say = "{\"cmd\":\"wait\",\"timeout_ms\":-1}\n";
    char one;

    assert_int_equal(write(fd, say, strlen(say)), strlen(say));
    assert_int_equal(read(fd, &one, 1), 1);
    (void)uv_async_send(&f->d.stop);
    wait_for_cancel(f);
    (void)close(fd);
}

/* A job with fat progress, never read: progress must be dropped, not kept. */
static void a_client_that_does_not_read_costs_bounded_memory(void **state)
{
    struct fix *f = *state;
    CLEANUP(fd_closep) int fd = connect_raw(f);
    const char *say =
        "{\"cmd\":\"wait\",\"replicas\":[\"a\"],\"timeout_ms\":200}\n";
    char *text = malloc(64 << 20);
    json_t *answer = NULL;

    assert_non_null(text);
    assert_int_equal(write(fd, say, strlen(say)), strlen(say));
    /* Another client's job takes as long, on the same loop. */
    assert_int_equal(
        call(f, json_pack("{s:s, s:i}", "cmd", "wait", "timeout_ms", 400), NULL,
             &answer),
        0);
    json_decref(answer);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    size_t len = read_all(fd, text, 64 << 20);
    /* 200 x 100 kB were made; what came is what the socket and the bound
     * held, and the end is there. */
    assert_true(len < (8 << 20));
    assert_non_null(strstr(text, "\"done\":true"));
    free(text);
}

static void
a_second_agent_is_refused_and_a_left_over_socket_replaced(void **state)
{
    struct fix *f = *state;
    struct err err = {0};
    uv_loop_t loop;
    json_t *answer = NULL;

    assert_int_equal(uv_loop_init(&loop), 0);
    assert_null(control_listen(&f->d, &loop, f->path, NULL, &err));
    assert_int_equal(err.code, ERR_EXISTS);
    assert_non_null(strstr(err.msg, "another agent"));
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(
        call(f, json_pack("{s:s}", "cmd", "version"), NULL, &answer), 0);
    json_decref(answer);

    /* A dead agent's: bound, but nobody has the lock. */
    char path[CONTROL_PATH_MAX + 1];
    char lock[CONTROL_PATH_MAX + 8];
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    (void)snprintf(path, sizeof path, "%s/left", f->dir);
    (void)snprintf(lock, sizeof lock, "%s.lock", path);
    memcpy(addr.sun_path, path, strlen(path) + 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    (void)close(fd);
    struct control *c = control_listen(&f->d, &loop, path, NULL, &err);
    assert_non_null(c);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0666);
    struct daemon other = {0};
    control_close(c, on_closed, &other);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(other.closed);
    (void)unlink(lock);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void a_file_in_the_way_is_not_removed(void **state)
{
    struct fix *f = *state;
    char path[CONTROL_PATH_MAX + 1];
    char lock[CONTROL_PATH_MAX + 8];
    struct err err = {0};
    uv_loop_t loop;

    (void)snprintf(path, sizeof path, "%s/file", f->dir);
    (void)snprintf(lock, sizeof lock, "%s.lock", path);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_null(control_listen(&f->d, &loop, path, NULL, &err));
    assert_non_null(strstr(err.msg, "is not a socket"));
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_int_equal(access(path, F_OK), 0);
    (void)unlink(path);
    (void)unlink(lock);
}

static void a_path_that_does_not_fit_is_refused_on_both_ends(void **state)
{
    char path[200];
    struct err err = {0};
    json_t *answer = NULL;
    json_t *request = json_object();
    uv_loop_t loop;

    (void)state;
    memset(path, 'x', sizeof path);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    assert_int_equal(control_call(path, request, 1, NULL, NULL, &answer, &err),
                     ERR_INVALID);
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_null(control_listen(NULL, &loop, path, NULL, &err));
    assert_non_null(strstr(err.msg, "107 bytes"));
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    json_decref(request);
}

static void no_agent_is_told_as_such(void **state)
{
    struct err err = {0};
    json_t *answer = NULL;
    json_t *request = json_object();

    (void)state;
    assert_int_equal(control_call("/nonexistent/sock", request, 1000, NULL,
                                  NULL, &answer, &err),
                     ERR_CLOSED);
    assert_int_equal(err.id, DR_NO_AGENT);
    assert_non_null(strstr(err.msg, "No such file"));
    json_decref(request);
}

static void an_unknown_control_group_is_refused(void **state)
{
    struct err err = {0};
    uv_loop_t loop;

    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_null(control_listen(NULL, &loop, "/nonexistent/x",
                               "no-such-group-here", &err));
    assert_int_equal(err.id, DR_CONFIG);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

/* In a child with other credentials: the answers' exit codes to status with
 * keys, resync and wait, as one number. */
static int ask_as(struct fix *f, uid_t uid, gid_t gid, gid_t extra)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        const char *say = "{\"cmd\":\"status\",\"keys\":true}\n"
                          "{\"cmd\":\"resync\"}\n"
                          "{\"cmd\":\"wait\",\"timeout_ms\":0}\n";
        char text[4096];
        size_t len = 0;
        ssize_t n;
        int lines = 0;

        if (setgroups(1, &extra) != 0 || setgid(gid) != 0 || setuid(uid) != 0) {
            _exit(99);
        }
        int fd = connect_raw(f);
        if (write(fd, say, strlen(say)) != (ssize_t)strlen(say)) {
            _exit(98);
        }
        while (lines < 3 && len < sizeof text - 1 &&
               (n = read(fd, text + len, 1)) == 1) {
            lines += text[len++] == '\n' ? 1 : 0;
        }
        text[len] = '\0';
        _exit((strstr(text, "\"with_keys\":true") != NULL ? 1 : 0) |
              (strstr(text, "DR-503") != NULL ||
                       strstr(text, "\"exit\":77") != NULL
                   ? 2
                   : 0) |
              (strstr(text, "\"done\":true") != NULL ? 4 : 0));
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void strangers_see_no_keys_and_change_nothing(void **state)
{
    struct fix *f = *state;

    if (geteuid() != 0) {
        print_message("skipped: needs root to become another user\n");
        skip();
    }
    assert_int_equal(ask_as(f, 65534, 65534, 65534), 2 | 4);
    /* Root's group was named at setup: as primary and as further group. */
    assert_int_equal(ask_as(f, 65534, 0, 65534), 1 | 4);
    assert_int_equal(ask_as(f, 65534, 65534, 0), 1 | 4);
}

static int setup_group(void **state)
{
    const struct group *gr = getgrgid(0);

    group_of_test = gr != NULL ? gr->gr_name : "root";
    int rc = setup(state);
    group_of_test = NULL;
    return rc;
}

/* This thread alone: the server's thread stays root. */
static void become(int uid)
{
    assert_int_equal(syscall(SYS_setresuid, -1, 0, -1), 0);
    assert_int_equal(syscall(SYS_setresuid, -1, uid, -1), 0);
}

static void strangers_cannot_lock_operators_out(void **state)
{
    enum { USERS = 4, EACH = 32 };
    struct fix *f = *state;
    json_t *answer = NULL;
    int fds[USERS * EACH];

    if (geteuid() != 0) {
        print_message("skipped: needs root to become another user\n");
        skip();
    }
    char text[1024];
    for (int i = 0; i < USERS * EACH; i++) {
        become(65534 - i / EACH);
        fds[i] = connect_raw(f);
        if (i % EACH == EACH - 1 && i < USERS * EACH - 1) {
            /* One more of the same user; others still find room. */
            CLEANUP(fd_closep) int more = connect_raw(f);
            (void)read_all(more, text, sizeof text);
            assert_non_null(strstr(text, "32 connections of this user"));
        }
    }
    become(65000);
    int last = connect_raw(f);
    become(0);
    (void)read_all(last, text, sizeof text);
    assert_non_null(strstr(text, "128 connections already"));
    (void)close(last);
    assert_int_equal(
        call(f, json_pack("{s:s}", "cmd", "version"), NULL, &answer), 0);
    json_decref(answer);
    for (size_t i = 0; i < USERS * EACH; i++) {
        (void)close(fds[i]);
    }
}

/* A thousand connections that say nothing, half a request, or nonsense. */
static void a_thousand_connections_leave_the_agent_well(void **state)
{
    enum { MANY = 1000 };
    struct fix *f = *state;
    json_t *answer = NULL;
    int *fds = calloc(MANY, sizeof *fds);
    struct rlimit few, more;

    assert_non_null(fds);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &few), 0);
    more = few;
    more.rlim_cur = more.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &more), 0);
    for (int i = 0; i < MANY; i++) {
        static const char *const says[] = {"", "{\"cmd\":", "nonsense\n"};
        const char *say = says[i % 3];
        fds[i] = connect_raw(f);
        /* One that was refused is closed already. */
        (void)send(fds[i], say, strlen(say), MSG_NOSIGNAL);
    }
    for (int i = 0; i < MANY; i++) {
        (void)close(fds[i]);
    }
    free(fds);
    /* All of them are gone before this one is served, or it is refused. */
    int rc;
    do {
        rc = call(f, json_pack("{s:s}", "cmd", "version"), NULL, &answer);
        json_decref(answer);
    } while (rc == EX_TEMPFAIL);
    assert_int_equal(rc, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
}

/* No descriptor for a new client: the others are served, it waits. */
static void without_descriptors_the_served_clients_are_served(void **state)
{
    static const char ask[] = "{\"cmd\":\"version\"}\n";
    struct fix *f = *state;
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct rlimit before, none;
    char c;
    CLEANUP(fd_closep) int served = connect_raw(f);
    CLEANUP(fd_closep)
    int late = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    /* Its answer proves that it has been accepted. */
    assert_int_equal(write(served, ask, sizeof ask - 1), sizeof ask - 1);
    do {
        assert_int_equal(read(served, &c, 1), 1);
    } while (c != '\n');
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    memcpy(addr.sun_path, f->path, strlen(f->path) + 1);
    assert_int_equal(connect(late, (struct sockaddr *)&addr, sizeof addr), 0);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(write(served, ask, sizeof ask - 1), sizeof ask - 1);
        do {
            assert_int_equal(read(served, &c, 1), 1);
        } while (c != '\n');
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(write(late, ask, sizeof ask - 1), sizeof ask - 1);
    do {
        assert_int_equal(read(late, &c, 1), 1);
    } while (c != '\n');
}

/* Requests without end from a client that reads nothing: it is asked no more,
 * and is answered once it reads. */
static void a_client_that_asks_and_does_not_read_is_not_worked_for(void **state)
{
    static const char ask[] = "{\"cmd\":\"status\"}\n";
    struct fix *f = *state;
    int asked = 0, lines = 0;
    char text[4096];
    ssize_t n;
    json_t *answer = NULL;
    CLEANUP(fd_closep) int fd = connect_raw(f);

    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    for (int full = 0; full < 50;) {
        n = write(fd, ask, sizeof ask - 1);
        if (n == (ssize_t)sizeof ask - 1) {
            asked++;
            full = 0;
            continue;
        }
        assert_true(n < 0 && errno == EAGAIN);
        full++;
        /* Other requests pass through the same loop meanwhile. */
        assert_int_equal(
            call(f, json_pack("{s:s}", "cmd", "version"), NULL, &answer), 0);
        json_decref(answer);
    }
    assert_true(atomic_load(&f->d.statuses) < asked);
    assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    while ((n = read(fd, text, sizeof text)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            lines += text[i] == '\n' ? 1 : 0;
        }
    }
    assert_int_equal(lines, asked);
}

/* Whoever waits in a directory of others under an agent's name. */
static void a_command_trusts_no_strangers_socket(void **state)
{
    struct fix *f = *state;
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct err err = {0};
    json_t *answer = NULL;
    char path[CONTROL_PATH_MAX + 1];

    if (geteuid() != 0) {
        print_message("skipped: needs root to become another user\n");
        skip();
    }
    (void)snprintf(path, sizeof path, "%s/fake", f->dir);
    memcpy(addr.sun_path, path, strlen(path) + 1);
    assert_int_equal(chmod(f->dir, 01777), 0);
    become(65534);
    CLEANUP(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    assert_int_equal(listen(fd, 5), 0);
    become(0);
    json_t *request = json_pack("{s:s}", "cmd", "status");
    assert_int_equal(
        control_call(path, request, 30000, on_progress, NULL, &answer, &err),
        ERR_REFUSED);
    assert_int_equal(err.id, DR_NO_AGENT);
    assert_non_null(strstr(err.msg, "a process of uid 65534 answers there"));
    json_decref(request);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(chmod(f->dir, 0755), 0);
}

static void a_refusal_says_what_to_type(void **state)
{
    struct fix *f = *state;
    char text[2048];
    static const char ask[] = "{\"cmd\":\"resync\"}\n";

    if (geteuid() != 0) {
        print_message("skipped: needs root to become another user\n");
        skip();
    }
    for (int named = 0; named < 2; named++) {
        f->d.config.control_group =
            named ? (char *)(uintptr_t) "drover-admin" : NULL;
        become(65534);
        CLEANUP(fd_closep) int fd = connect_raw(f);
        become(0);
        assert_int_equal(write(fd, ask, sizeof ask - 1), sizeof ask - 1);
        assert_int_equal(shutdown(fd, SHUT_WR), 0);
        (void)read_all(fd, text, sizeof text);
        assert_non_null(strstr(text, "not for uid 65534"));
        assert_non_null(strstr(text, named ? "sudo usermod -aG drover-admin"
                                           : "sudo drover resync"));
    }
    f->d.config.control_group = NULL;
}

/* --- strangers ----------------------------------------------------------- */

/* No piece of an answer in which a name of the database could be. */
static void a_strangers_view_holds_no_name(void **state)
{
    (void)state;
    json_t *answer = json_pack(
        "{s:i, s:{s:i, s:{s:i, s:s, s:s}}, s:[{s:s, s:{s:i, s:s, s:s}, "
        "s:{s:i, s:[{s:s, s:i}], s:[{s:b, s:s, s:s}], s:s}}], s:[{s:s, s:s, "
        "s:s, s:i}], s:[{s:i, s:s, s:s}], s:[{s:s, s:s}]}",
        "schema", 1, "database", "tables", 7, "error", "id", DR_UNREADABLE,
        "text", "table SECRET: denied", "hint", "chmod SECRET", "replicas",
        "name", "eu-1", "error", "id", DR_INSTALL, "text",
        "table SECRET, key SECRET: disk", "hint", "rm SECRET", "held", "count",
        3, "tables", "table", "SECRET", "count", 3, "names", "is_table", 0,
        "table", "SECRET", "key", "SECRET", "token", "t", "blocked", "side",
        "primary", "table", "SECRET", "key_b64", "SECRET", "pid", 4, "warnings",
        "id", 0, "text", "key SECRET", "hint", "SECRET", "names", "kind",
        "SECRET", "key", "SECRET");
    assert_non_null(answer);
    json_incref(answer); /* it is others' as well */
    json_t *view = unprivileged_view(answer);
    char *text = json_dumps(view, CONTROL_JSON);
    char *own = json_dumps(answer, CONTROL_JSON);
    assert_null(strstr(text, "SECRET"));
    assert_non_null(strstr(text, "\"tables\":7"));
    assert_non_null(strstr(text, "eu-1"));
    assert_non_null(strstr(text, "\"id\":308"));
    assert_non_null(strstr(text, dr_text(DR_INSTALL)));
    assert_non_null(strstr(own, "SECRET"));
    free(text);
    free(own);
    json_decref(view);
    json_decref(answer);
}

/* Users that ask as often as they may, each request taking 1 ms: their part of
 * a minute. */
static void strangers_cost_a_bounded_part_of_the_time(void **state)
{
    (void)state;
    static const unsigned crowds[] = {1, 3, 200};
    for (size_t c = 0; c < sizeof crowds / sizeof crowds[0]; c++) {
        struct unprivileged s = {.all_paid_ns = 0};
        uint64_t begin_ns = 1, now_ns = begin_ns, used_ns = 0;
        while (now_ns < 60 * (uint64_t)1000000000) {
            bool ran = false;
            for (unsigned u = 0; u < crowds[c]; u++) {
                if (unprivileged_may(&s, 1000 + u, now_ns)) {
                    now_ns += 1000000;
                    used_ns += 1000000;
                    unprivileged_pay(&s, 1000 + u, now_ns, 1000000);
                    ran = true;
                }
            }
            now_ns += ran ? 0 : 1000000;
        }
        uint64_t users = crowds[c] < 5 ? crowds[c] : 5;
        assert_in_range(used_ns, 60 * users * 15000000, 62 * users * 20000000);
    }
}

static void one_strangers_haste_is_not_anothers_wait(void **state)
{
    (void)state;
    struct unprivileged s = {.all_paid_ns = 0};
    while (unprivileged_may(&s, 1000, 1)) {
        unprivileged_pay(&s, 1000, 1, 1000000);
    }
    assert_true(unprivileged_may(&s, 1001, 1));
    assert_false(unprivileged_may(&s, 1000, 1));
    assert_true(unprivileged_may(&s, 1000, 60 * (uint64_t)1000000000));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(status_carries_its_health_in_the_exit_code),
        TEST(a_job_shows_progress_and_then_its_end),
        TEST(every_request_reaches_its_function),
        TEST(errors_come_with_number_hint_and_exit_code),
        TEST(several_requests_on_one_connection_are_answered_in_order),
        TEST(a_client_that_closes_its_end_still_gets_its_answer),
        TEST(an_endless_line_is_refused_and_the_agent_lives),
        TEST(a_client_that_leaves_cancels_its_job),
        TEST(closing_the_socket_cancels_running_jobs),
        TEST(a_client_that_does_not_read_costs_bounded_memory),
        TEST(a_second_agent_is_refused_and_a_left_over_socket_replaced),
        TEST(a_file_in_the_way_is_not_removed),
        cmocka_unit_test(a_path_that_does_not_fit_is_refused_on_both_ends),
        cmocka_unit_test(no_agent_is_told_as_such),
        cmocka_unit_test(a_strangers_view_holds_no_name),
        cmocka_unit_test(strangers_cost_a_bounded_part_of_the_time),
        cmocka_unit_test(one_strangers_haste_is_not_anothers_wait),
        cmocka_unit_test(an_unknown_control_group_is_refused),
        cmocka_unit_test_setup_teardown(
            strangers_see_no_keys_and_change_nothing, setup_group, teardown),
        TEST(strangers_cannot_lock_operators_out),
        TEST(a_thousand_connections_leave_the_agent_well),
        TEST(without_descriptors_the_served_clients_are_served),
        TEST(a_client_that_asks_and_does_not_read_is_not_worked_for),
        TEST(a_command_trusts_no_strangers_socket),
        TEST(a_refusal_says_what_to_type),
    };

    /* As the agent does: a client that left is an error of write(). */
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
