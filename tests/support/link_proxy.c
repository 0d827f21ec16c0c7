/* SPDX-License-Identifier: MIT
 *
 * link_proxy: see link_proxy.h. */
#include "tests/support/link_proxy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in local(uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(port),
                                .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

static void end_socket(int fd, enum proxy_end how)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};

    if (how == PROXY_RESET) {
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    (void)close(fd);
}

/* One portion from `in` to `out`; false at an end or when *left is used up.
 * left NULL: no limit. */
static bool forward(int in, int out, uint64_t *left)
{
    char b[4096];
    size_t room = sizeof b;

    if (left != NULL && *left < room) {
        room = (size_t)*left;
    }
    if (room == 0) {
        return false;
    }
    ssize_t n = recv(in, b, room, 0);
    if (n <= 0 || send(out, b, (size_t)n, MSG_NOSIGNAL) != n) {
        return false;
    }
    if (left != NULL) {
        *left -= (uint64_t)n;
    }
    return true;
}

static void pump(const struct proxy *p, int client, int server)
{
    uint64_t left = p->limit;
    struct pollfd fds[2] = {{.fd = client, .events = POLLIN},
                            {.fd = server, .events = POLLIN}};

    while (poll(fds, 2, -1) > 0) {
        if (fds[0].revents != 0 &&
            !forward(client, server, p->from_server ? NULL : &left)) {
            return;
        }
        if (fds[1].revents != 0 &&
            !forward(server, client, p->from_server ? &left : NULL)) {
            return;
        }
    }
}

static void *serve(void *arg)
{
    const struct proxy *p = arg;
    struct sockaddr_in to = local(p->target);

    int client = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
    if (client < 0) {
        return NULL; /* proxy_stop() */
    }
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(server, (struct sockaddr *)&to, sizeof to) == 0) {
        pump(p, client, server);
    }
    end_socket(client, p->how);
    end_socket(server, p->how);
    return NULL;
}

void proxy_start(struct proxy *p, uint16_t target, enum proxy_end how,
                 uint64_t limit, bool from_server)
{
    struct sockaddr_in a = local(0);
    socklen_t n = sizeof a;

    *p = (struct proxy){.target = target,
                        .how = how,
                        .limit = limit,
                        .from_server = from_server};
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(p->listener >= 0);
    assert_int_equal(bind(p->listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(p->listener, 1), 0);
    assert_int_equal(getsockname(p->listener, (struct sockaddr *)&a, &n), 0);
    p->port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&p->thread, NULL, serve, p), 0);
}

void proxy_stop(struct proxy *p)
{
    (void)shutdown(p->listener, SHUT_RDWR); /* wakes accept() */
    assert_int_equal(pthread_join(p->thread, NULL), 0);
    (void)close(p->listener);
}
