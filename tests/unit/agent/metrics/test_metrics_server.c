/* SPDX-License-Identifier: MIT
 *
 * metrics_server: what it answers, and that no client can hurt the agent.  The
 * server and its clients share one loop: a client is a blocking socket that is
 * read when the loop has turned. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/metrics/metrics_server.h"

struct fix {
    uv_loop_t loop;
    struct metrics_server *server;
    char dir[64], path[128];
    bool healthy, freed;
    unsigned asked;
};

static json_t *status(void *arg)
{
    struct fix *f = arg;

    f->asked++;
    return json_pack("{s:b, s:{s:s}, s:[]}", "healthy", f->healthy, "database",
                     "name", "orders", "replicas");
}

static void listen_on(struct fix *f, const char *where)
{
    struct err err = {0};

    if (metrics_server_listen(f->server, where, &err) < 0) {
        fail_msg("%s", err.msg);
    }
}

static int setup(void **state)
{
    struct fix *f = calloc(1, sizeof *f);

    (void)snprintf(f->dir, sizeof f->dir, "/tmp/drover-metrics-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->path, sizeof f->path, "%s/m.sock", f->dir);
    assert_int_equal(uv_loop_init(&f->loop), 0);
    f->healthy = true;
    f->server = metrics_server_new(&f->loop, status, f);
    assert_non_null(f->server);
    listen_on(f, f->path);
    *state = f;
    return 0;
}

static void on_freed(void *arg)
{
    *(bool *)arg = true;
}

static int teardown(void **state)
{
    struct fix *f = *state;

    metrics_server_free(f->server, on_freed, &f->freed);
    while (!f->freed) {
        (void)uv_run(&f->loop, UV_RUN_ONCE);
    }
    assert_int_equal(access(f->path, F_OK), -1);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    (void)rmdir(f->dir);
    free(f);
    return 0;
}

static int connect_to(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memcpy(addr.sun_path, path, strlen(path) + 1);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    return fd;
}

/* Everything until the server closes. */
static char *answer_of(struct fix *f, int fd)
{
    static char text[65536];
    size_t have = 0;

    (void)fcntl(fd, F_SETFL, O_NONBLOCK);
    for (;;) {
        ssize_t n = read(fd, text + have, sizeof text - 1 - have);
        if (n == 0) {
            break;
        }
        have += n > 0 ? (size_t)n : 0;
        (void)uv_run(&f->loop, UV_RUN_NOWAIT);
    }
    text[have] = '\0';
    close(fd);
    return text;
}

static char *ask(struct fix *f, const char *request)
{
    int fd = connect_to(f->path);

    assert_int_equal(write(fd, request, strlen(request)),
                     (ssize_t)strlen(request));
    return answer_of(f, fd);
}

static void begins(const char *text, const char *with)
{
    if (strncmp(text, with, strlen(with)) != 0) {
        fail_msg("not %s: %s", with, text);
    }
}

static void it_answers(void **state)
{
    struct fix *f = *state;

    char *text = ask(f, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    begins(text, "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4");
    assert_non_null(strstr(text, "\ndrover_healthy{db=\"orders\"} 1\n"));

    text = ask(f, "GET /metrics?x=y HTTP/1.0\nAccept: "
                  "application/openmetrics-text;version=1.0.0\n\n");
    begins(text, "HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics");
    assert_string_equal(text + strlen(text) - 6, "# EOF\n");
    static const char *const refusals[] = {"q=0", "q=0.000", "v=1;q=0, */*"};
    for (size_t i = 0; i < 3; i++) {
        char request[200];
        (void)snprintf(request, sizeof request,
                       "GET /metrics HTTP/1.0\nAccept: "
                       "application/openmetrics-text; %s\n\n",
                       refusals[i]);
        begins(ask(f, request), "HTTP/1.1 200 OK\r\nContent-Type: text/plain");
    }
    begins(ask(f, "GET /metrics HTTP/1.0\nAccept: "
                  "application/openmetrics-text;q=0.5,text/plain;q=0\n\n"),
           "HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics");

    begins(ask(f, "GET /healthz HTTP/1.1\r\n\r\n"), "HTTP/1.1 200 ");
    text = ask(f, "HEAD /metrics HTTP/1.1\r\n\r\n");
    begins(text, "HTTP/1.1 200 ");
    assert_string_equal(text + strlen(text) - 4, "\r\n\r\n");
}

static void what_is_asked_wrongly_is_refused(void **state)
{
    struct fix *f = *state;
    static const struct {
        const char *request, *answer;
    } wrong[] = {
        {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 404 "},
        {"GET /metricsx HTTP/1.1\r\n\r\n", "HTTP/1.1 404 "},
        {"POST /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 405 "},
        {"hello\r\n\r\n", "HTTP/1.1 400 "},
        {"\r\n\r\n", "HTTP/1.1 400 "},
    };

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        begins(ask(f, wrong[i].request), wrong[i].answer);
    }
    char *large = malloc(5000);
    memset(large, 'x', 4999);
    large[4999] = '\0';
    int fd = connect_to(f->path);
    assert_int_equal(write(fd, large, 4096), 4096);
    begins(answer_of(f, fd), "HTTP/1.1 431 ");
    free(large);
}

static void a_database_in_trouble_is_not_healthy(void **state)
{
    struct fix *f = *state;

    f->healthy = false;
    begins(ask(f, "GET /healthz HTTP/1.1\r\n\r\n"), "HTTP/1.1 503 ");
}

/* Whoever asks in a loop costs the agent no more than one who asks once a
 * second. */
static void the_state_is_not_asked_for_each_time(void **state)
{
    struct fix *f = *state;

    for (int i = 0; i < 50; i++) {
        begins(ask(f, "GET /metrics HTTP/1.1\r\n\r\n"), "HTTP/1.1 200 ");
    }
    assert_true(f->asked < 50);
}

static void clients_that_say_nothing_are_few(void **state)
{
    struct fix *f = *state;
    enum { MANY = 40 };
    int fds[MANY], closed = 0;

    for (int i = 0; i < MANY; i++) {
        fds[i] = connect_to(f->path);
        (void)fcntl(fds[i], F_SETFL, O_NONBLOCK);
        (void)uv_run(&f->loop, UV_RUN_NOWAIT);
        (void)uv_run(&f->loop, UV_RUN_NOWAIT);
    }
    for (int i = 0; i < MANY; i++) {
        char c;
        closed += read(fds[i], &c, 1) == 0;
    }
    assert_int_equal(closed, MANY - 16);
    /* They keep nobody out. */
    begins(ask(f, "GET /healthz HTTP/1.1\r\n\r\n"), "HTTP/1.1 200 ");
    for (int i = 0; i < MANY; i++) {
        close(fds[i]);
    }
}

static void it_listens_where_it_is_told_to(void **state)
{
    struct fix *f = *state;
    struct stat was, now;
    char other[140];

    /* Said again, nothing changes. */
    assert_int_equal(stat(f->path, &was), 0);
    listen_on(f, f->path);
    assert_int_equal(stat(f->path, &now), 0);
    assert_int_equal(was.st_ino, now.st_ino);
    assert_int_equal(now.st_mode & 0777, 0666);

    (void)snprintf(other, sizeof other, "%s/other.sock", f->dir);
    listen_on(f, other);
    assert_int_equal(access(f->path, F_OK), -1);
    assert_int_equal(access(other, F_OK), 0);
    listen_on(f, NULL);
    assert_int_equal(access(other, F_OK), -1);
    listen_on(f, NULL);
    listen_on(f, f->path);
    begins(ask(f, "GET /healthz HTTP/1.1\r\n\r\n"), "HTTP/1.1 200 ");
}

static void an_address_in_use_is_tried_again(void **state)
{
    struct fix *f = *state;
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    char other[140];
    struct err err = {0};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(other, sizeof other, "%s/taken.sock", f->dir);
    memcpy(addr.sun_path, other, strlen(other) + 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_true(metrics_server_listen(f->server, other, &err) < 0);
    assert_non_null(strstr(err.msg, other));
    assert_non_null(strstr(err.msg, "in use"));
    assert_true(metrics_server_listen(f->server, "/nonexistent/m", &err) < 0);
    assert_non_null(strstr(err.msg, "No such file"));
    /* The other one lives: its file is left alone. */
    assert_int_equal(access(other, F_OK), 0);
    close(fd);
    listen_on(f, other); /* and now it is a left-over */
    listen_on(f, f->path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_asked_wrongly_is_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_database_in_trouble_is_not_healthy,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(the_state_is_not_asked_for_each_time,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(clients_that_say_nothing_are_few, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(it_listens_where_it_is_told_to, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_address_in_use_is_tried_again, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
