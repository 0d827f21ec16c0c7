/* SPDX-License-Identifier: MIT
 *
 * link: a two-way byte stream to a receiver, whatever carries it.
 *
 * Kinds: link_ssh (libssh2 on uv_poll, an exec channel to a forced command) and
 * link_exec (a child process).  A link makes one attempt: start -> up -> down;
 * reconnecting with back-off is the owner's business (agent/replica/replica.c).
 * All calls and callbacks run on the loop's thread.
 *
 * Output is pulled: the link calls `fill` when it can take bytes, and the owner
 * calls link_kick() when there may be some again.  So nothing is queued twice
 * and back-pressure needs no extra words.
 *
 * Ownership: link_*_new() returns a link that the caller ends with
 * link_close(); memory is freed after `closed` was called, which is the last
 * callback.  `down` is called at most once, before `closed`, and not when the
 * owner closed the link itself.  Callbacks may call link_close() and
 * link_kick().
 *
 * Re-entrance: link_kick() may call `fill` before it returns, so that a message
 * is on its way at once; no other callback ever runs inside a link_*() call.
 *
 * The program ignores SIGPIPE (a child may close its end at any time).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "store/base/err.h"

struct link;

struct link_events {
    /* Optional: what the attempt is at now: "connecting", "login"..., as in
     * the messages of `down`.  Nothing may be done with the link here. */
    void (*stage)(void *arg, const char *name);
    /* The channel is open; `what` describes it for the log ("ssh, ed25519
     * SHA256:..., aes128-ctr" or "child 1234"). */
    void (*up)(void *arg, const char *what);
    /* Bytes from the receiver. */
    void (*input)(void *arg, const uint8_t *p, size_t n);
    /* Write up to `room` bytes to send into `out`; returns how many (0: none
     * now; the link waits for link_kick()). */
    size_t (*fill)(void *arg, uint8_t *out, size_t room);
    /* A line the receiver (or its shell) wrote to stderr, already cut at
     * 512 bytes; not escaped. */
    void (*stderr_line)(void *arg, const char *line, size_t len);
    /* The attempt failed or the stream ended.  err->id is a DR_* number;
     * `permanent`: trying again soon is pointless (key refused, host key
     * changed...).  Exit status and last stderr line are in the message. */
    void (*down)(void *arg, const struct err *err, bool permanent);
    /* The link is about to be freed. */
    void (*closed)(void *arg);
};

struct link_ssh_config {
    const char *host;
    uint16_t port; /* 0: 22 */
    const char *user;
    const char *identity;       /* private key file, NULL: ssh-agent */
    const char *known_hosts;    /* file */
    const char *command;        /* sent as the exec request; a forced command
                                   ignores it */
    int64_t connect_timeout_ms; /* name lookup, TCP: each; 0: 10 s */
    int64_t login_timeout_ms;   /* handshake, auth, channel: each; 0: 20 s */
    int sndbuf_bytes;           /* 0: the kernel's default; tests shrink it */
    int rcvbuf_bytes;
};

/* Each returns NULL with *err set (ERR_NOMEM, ERR_INVALID).  Strings are
 * copied.  Nothing happens before link_start(). */
struct link *link_ssh_new(uv_loop_t *loop, const struct link_ssh_config *config,
                          const struct link_events *events, void *arg,
                          struct err *err);
/* argv[0] is looked up in PATH; argv is copied.  The child gets pipes for
 * stdin, stdout and stderr, default signals, a session of its own and no other
 * descriptor (those of the whole program become close-on-exec).  link_close()
 * closes its pipes, then sends its process group SIGTERM after 0.5 s and
 * SIGKILL after 3 s; `closed` comes when the group is gone, or after 6 s. */
struct link *link_exec_new(uv_loop_t *loop, const char *const *argv,
                           const struct link_events *events, void *arg,
                           struct err *err);
/* The command of link_exec_new() is OpenSSH's client with this key file (NULL:
 * keys of an ssh-agent): when it is refused, the key itself may be why. */
void link_exec_set_key(struct link *base, const char *path);

/* Begin.  Failures are reported through `down`, never before this returns. */
void link_start(struct link *l);
/* There may be bytes to fill. */
void link_kick(struct link *l);
/* End it: no callback but `closed` follows. */
void link_close(struct link *l);
/* The same for who did not answer: a child is not waited for, its process group
 * gets SIGKILL at once. */
void link_kill(struct link *l);
/* "ssh user@host:port" or the command; borrowed. */
const char *link_describe(const struct link *l);
