/* SPDX-License-Identifier: MIT
 *
 * link_ssh_run: the driver of an ssh link: its states in order, what to wait
 * for, how an attempt ends, and the operations of a link.  The story is in
 * link_ssh_impl.h. */
#include "sync/link/link_ssh_impl.h"

#include <assert.h>

static enum step (*const states[])(struct link_ssh *l) = {
    [ST_PREPARE] = link_ssh_st_prepare,
    [ST_RESOLVE] = link_ssh_st_resolve,
    [ST_CONNECT] = link_ssh_st_connect,
    [ST_HANDSHAKE] = link_ssh_st_handshake,
    [ST_HOST_KEY] = link_ssh_st_host_key,
    [ST_AUTH] = link_ssh_st_auth,
    [ST_OPEN] = link_ssh_st_open,
    [ST_EXEC] = link_ssh_st_exec,
    [ST_STREAM] = link_ssh_st_stream,
    [ST_GOODBYE] = link_ssh_st_goodbye,
};

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
        s = states[l->state](l);
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

void link_ssh_on_deadline(uv_timer_t *t)
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
