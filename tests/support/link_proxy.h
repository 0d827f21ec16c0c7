/* SPDX-License-Identifier: MIT
 *
 * link_proxy: a TCP proxy on 127.0.0.1 that cuts its one connection after a
 * given number of bytes.  Runs in a thread of its own.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum proxy_end {
    PROXY_FIN,   /* close in peace */
    PROXY_RESET, /* RST both ways */
};

struct proxy {
    uint16_t port; /* to connect to */
    uint16_t target;
    enum proxy_end how;
    uint64_t limit;
    bool from_server; /* which direction is counted */
    int listener;
    pthread_t thread;
};

/* Listens when it returns.  Fails the test when it cannot. */
void proxy_start(struct proxy *p, uint16_t target, enum proxy_end how,
                 uint64_t limit, bool from_server);
/* Waits for its end; a connection that was not made is not waited for. */
void proxy_stop(struct proxy *p);
