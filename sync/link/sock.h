/* SPDX-License-Identifier: MIT
 *
 * sock: one TCP connection on a uv_poll, with an output buffer.
 *
 * sock_put() never says "try again": what the kernel does not take waits in the
 * buffer, so that a library which must repeat refused sends exactly is never
 * refused one.  In the same spirit an error or the end of the stream is not
 * returned by the call that met it but remembered: sock_get() answers "nothing
 * now" and sock_ended() tells, so that all that arrived before the end can be
 * used first.
 *
 * Owns its descriptor; freed by itself some time after sock_drop(), counted in
 * the owner's group of handles.  Used by one thread at a time: while another
 * thread has it, the loop's may not touch it (sock_watch(s, 0) first).
 */
#pragma once

#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "store/base/err.h"
#include "sync/link/handles.h"

enum {
    SOCK_OUT_HIGH = 256 * 1024, /* produce no more above this */
    SOCK_OUT_MAX = 1024 * 1024, /* sock_put() fails above this */
};

struct sock;

typedef void (*sock_ready_fn)(void *arg);

/* Begin to connect to `ai` (non-blocking).  `ready` is called from the loop
 * when something of sock_watch() has happened.  Buffer sizes 0: the kernel's.
 */
struct sock *sock_connect(uv_loop_t *loop, struct handles *group,
                          const struct addrinfo *ai, int sndbuf_bytes,
                          int rcvbuf_bytes, sock_ready_fn ready, void *arg,
                          struct err *err);
/* 1: connected, 0: not yet, negative: -errno of the failure. */
int sock_connected(struct sock *s);
/* For libraries that want to look at it; reading and writing is ours. */
int sock_fd(const struct sock *s);
/* Wait for UV_READABLE, UV_WRITABLE, both or (0) nothing. */
void sock_watch(struct sock *s, int events);

/* Send or buffer all of it.  0, or -EMSGSIZE or -ENOMEM: the buffer is full. */
int sock_put(struct sock *s, const void *p, size_t n);
/* Send what the kernel takes now. */
void sock_flush(struct sock *s);
/* Bytes waiting to be sent. */
size_t sock_waiting(const struct sock *s);
/* Bytes read (> 0) or -EAGAIN. */
ssize_t sock_get(struct sock *s, void *p, size_t room);
/* The stream ended or broke; *sys_out is the errno, 0 for a plain end. */
bool sock_ended(const struct sock *s, int *sys_out);

/* For a thread that waits by itself: flush, then poll(2) for input (and for
 * room, when output waits) up to `ms`. */
void sock_poll(struct sock *s, int ms);
/* Make both directions end, from any thread. */
void sock_shutdown(struct sock *s);
/* Close it; *s is NULL afterwards.  NULL is fine. */
void sock_drop(struct sock **s);
