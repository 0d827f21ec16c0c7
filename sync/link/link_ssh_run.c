/* SPDX-License-Identifier: MIT
 *
 * link_ssh_run: the driver of an ssh link: its state table, deadlines, what to
 * wait for, how an attempt ends, and the operations of a link.  The story is in
 * link_ssh_impl.h. */
#include "sync/link/link_ssh_impl.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

enum { GOODBYE_MS = 2000 };

/* Whose time runs: RUNNING means the previous state's clock goes on. */
enum clock { CLOCK_NONE, CLOCK_CONNECT, CLOCK_RUNNING, CLOCK_LOGIN, CLOCK_BYE };

static const struct {
    const char *name; /* for messages: "..., NAME: what happened" */
    enum step (*run)(struct link_ssh *l);
    enum clock clock;
} states[] = {
    [ST_PREPARE] = {"preparing", link_ssh_st_prepare, CLOCK_NONE},
    [ST_RESOLVE] = {"name lookup", link_ssh_st_resolve, CLOCK_CONNECT},
    [ST_CONNECT] = {"connecting", link_ssh_st_connect, CLOCK_CONNECT},
    [ST_HANDSHAKE] = {"handshake", link_ssh_st_handshake, CLOCK_LOGIN},
    [ST_HOST_KEY] = {"host key", link_ssh_st_host_key, CLOCK_RUNNING},
    [ST_AUTH] = {"login", link_ssh_st_auth, CLOCK_LOGIN},
    [ST_OPEN] = {"opening the channel", link_ssh_st_open, CLOCK_LOGIN},
    [ST_EXEC] = {"starting the receiver", link_ssh_st_exec, CLOCK_LOGIN},
    [ST_STREAM] = {"connection", link_ssh_st_stream, CLOCK_NONE},
    [ST_GOODBYE] = {"connection", link_ssh_st_goodbye, CLOCK_BYE},
};

enum step link_ssh_fail(struct link_ssh *l, int code, int sys, int id,
                        int permanent, const char *fmt, ...)
{
    char text[ERR_MSG_BYTES];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    err_set(&l->err, code, sys, "%s, %s: %s", l->where, states[l->state].name,
            text);
    l->err.id = id;
    l->permanent = permanent == PERMANENT;
    return STEP_FAIL;
}

enum step link_ssh_fail_with(struct link_ssh *l, const struct err *err,
                             int permanent)
{
    return link_ssh_fail(l, err->code, 0, err->id, permanent, "%s", err->msg);
}

int link_ssh_id_of_cut(const struct link_ssh *l)
{
    if (l->state <= ST_CONNECT) {
        return DR_CONNECT;
    }
    return l->state < ST_STREAM ? DR_HANDSHAKE : DR_LINK_LOST;
}

enum step link_ssh_fail_cut(struct link_ssh *l, int sys)
{
    if (sys != 0) {
        return link_ssh_fail(l, ERR_CLOSED, sys, link_ssh_id_of_cut(l),
                             TRANSIENT, "the connection broke");
    }
    return link_ssh_fail(l, ERR_CLOSED, 0, link_ssh_id_of_cut(l), TRANSIENT,
                         "the other end closed the connection");
}

static void on_deadline(uv_timer_t *t);

void link_ssh_set_deadline(struct link_ssh *l, int64_t ms)
{
    uv_update_time(l->loop);
    (void)uv_timer_start(&l->deadline, on_deadline, (uint64_t)ms, 0);
}

enum step link_ssh_enter(struct link_ssh *l, enum state_id state)
{
    l->state = state;
    switch (states[state].clock) {
    case CLOCK_NONE:
        (void)uv_timer_stop(&l->deadline);
        break;
    case CLOCK_CONNECT:
        link_ssh_set_deadline(l, l->config.connect_timeout_ms);
        break;
    case CLOCK_LOGIN:
        link_ssh_set_deadline(l, l->config.login_timeout_ms);
        break;
    case CLOCK_BYE:
        link_ssh_set_deadline(l, GOODBYE_MS);
        break;
    case CLOCK_RUNNING:
        break;
    }
    return STEP_NEXT;
}

/* The attempt is over: let go of the connection and tell the owner. */
static void finish(struct link_ssh *l)
{
    (void)uv_timer_stop(&l->deadline);
    (void)uv_idle_stop(&l->again);
    lookup_forget(&l->lookup);
    if (l->agent == AGENT_RUNNING) {
        atomic_store(&l->agent_stop, true);
        sock_shutdown(l->sock);
    } else {
        sock_drop(&l->sock);
    }
    link_end_stderr(&l->base);
    link_notify_down(&l->base, &l->err, l->permanent);
}

/* What to wait for. */
static void arm(struct link_ssh *l)
{
    int events = UV_READABLE, sys;

    if (l->sock == NULL || l->agent == AGENT_RUNNING) {
        return;
    }
    if (l->state == ST_CONNECT) {
        events = UV_WRITABLE;
    } else if (sock_ended(l->sock, &sys)) {
        events = 0; /* the rest is in libssh2's queue */
    } else if (sock_waiting(l->sock) > 0) {
        events |= UV_WRITABLE;
    }
    sock_watch(l->sock, events);
}

static void on_again(uv_idle_t *h)
{
    link_ssh_run(h->data);
}

static void wake(struct link_ssh *l)
{
    (void)uv_idle_start(&l->again, on_again);
}

static void flush(struct link_ssh *l)
{
    if (l->sock != NULL && l->agent != AGENT_RUNNING) {
        sock_flush(l->sock);
    }
}

void link_ssh_run(struct link_ssh *l)
{
    enum step s = l->failed ? STEP_FAIL : STEP_NEXT;
    int left = STEPS_PER_TURN;

    assert(!l->running && !l->base.ended && !l->base.closing);
    (void)uv_idle_stop(&l->again);
    l->running = true;
    flush(l);
    while (s == STEP_NEXT && left-- > 0 && !l->base.closing) {
        s = states[l->state].run(l);
    }
    l->running = false;
    if (l->base.closing) {
        return;
    }
    if (s == STEP_FAIL) {
        finish(l);
        return;
    }
    arm(l);
    if (s == STEP_NEXT) {
        wake(l);
    }
}

static void on_deadline(uv_timer_t *t)
{
    struct link_ssh *l = t->data;

    if (l->state == ST_CONNECT) {
        l->failed = link_ssh_next_addr(l) == STEP_FAIL;
    } else if (l->state == ST_GOODBYE) {
        (void)link_ssh_fail(l, ERR_CLOSED, 0, DR_LINK_LOST, TRANSIENT,
                            "the receiver closed its output, but did not end");
        l->failed = true;
    } else {
        (void)link_ssh_fail(l, ERR_TIMEOUT, 0, link_ssh_id_of_cut(l), TRANSIENT,
                            "no answer in time");
        l->failed = true;
    }
    link_ssh_run(l);
}

/* --- operations ---------------------------------------------------------- */

static void ssh_start(struct link *base)
{
    wake((struct link_ssh *)base);
}

static void ssh_kick(struct link *base)
{
    struct link_ssh *l = (struct link_ssh *)base;
    enum step s = STEP_NEXT;

    if (l->state != ST_STREAM || l->running || l->blocked || l->failed) {
        l->kicked = true; /* the stream asks `fill` in its next step anyway */
        return;
    }
    l->running = true;
    for (int i = 0; i < STEPS_PER_TURN && s == STEP_NEXT; i++) {
        s = link_ssh_push(l);
    }
    l->running = false;
    if (!base->closing) {
        l->failed = s == STEP_FAIL;
        wake(l); /* what the write has taken in is read from there */
    }
}

static void ssh_close(struct link *base)
{
    struct link_ssh *l = (struct link_ssh *)base;

    lookup_forget(&l->lookup);
    if (l->agent == AGENT_RUNNING) {
        atomic_store(&l->agent_stop, true);
        sock_shutdown(l->sock);
    } else if (l->sock != NULL) {
        if (l->session != NULL && l->state > ST_HANDSHAKE) {
            link_ssh_bye(l);
        }
        sock_drop(&l->sock);
    }
    handles_close(&l->handles, (uv_handle_t *)&l->again);
    handles_close(&l->handles, (uv_handle_t *)&l->deadline);
}

const struct link_kind link_ssh_kind = {
    .start = ssh_start,
    .kick = ssh_kick,
    .close = ssh_close,
};
