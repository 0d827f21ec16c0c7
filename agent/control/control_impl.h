/* SPDX-License-Identifier: MIT
 *
 * control_impl: the socket's parts, lowest first: control_connection.c (one
 * client), control_request.c (what it may ask), control.c (the listener). */
#pragma once

#include "agent/control/control.h"
#include "agent/control/control_unprivileged.h"

struct client {
    struct control *control;
    struct client *next, *prev;
    uv_pipe_t pipe;
    bool trusted; /* sees key names, may change things */
    uid_t uid;    /* who it is */
    bool closing;
    bool stalled;    /* its buffer is full: it is not read from now */
    bool heard_out;  /* it says no more; what it asked is still answered */
    bool waiting;    /* for its user's share of the loop's time */
    bool ending;     /* close once everything written is out */
    unsigned writes; /* in flight */
    struct job *job;
    char *in; /* CONTROL_REQUEST_BYTES, for one line and more */
    size_t in_len;
};

struct control {
    struct daemon *daemon;
    uv_loop_t *loop;
    /* A complete line came: answer it, or set cl->job. */
    void (*run)(struct client *cl, const char *line, size_t len);
    int fd;         /* the listener; -1: none */
    uv_poll_t poll; /* on it, once `polled` */
    bool polled;
    uv_timer_t pause; /* running: nobody is accepted until it ends */
    uv_timer_t turn;  /* running: unprivileged requests wait for it */
    struct unprivileged shares;
    char *path;
    bool bound; /* the socket's file is ours to remove */
    int lock_fd;
    gid_t group; /* (gid_t)-1: none */
    struct client *clients;
    unsigned trusted, unprivileged; /* how many */
    unsigned open_handles;
    bool closing;
    void (*closed)(void *arg);
    void *closed_arg;
};

/* control_connection.c */
/* A client was accepted; takes `fd`. */
void client_serve(struct control *c, int fd);
/* One line to the client; takes `object`.  With `may_drop` it is left out when
 * the client does not keep up.  Closes a client that cannot be written to. */
void client_send(struct client *cl, json_t *object, bool may_drop);
/* The answer that it is not done, and the exit code of that. */
void client_refuse(struct client *cl, const struct err *err);
void client_close(struct client *cl);
/* Run the complete lines in the buffer, until one starts a job or an answer
 * does not go out at once: who does not read is not worked for. */
void client_run(struct client *cl);
/* Free it when its last handle is closed. */
void control_maybe_closed(struct control *c);

/* control_request.c */
void request_run(struct client *cl, const char *line, size_t len);
