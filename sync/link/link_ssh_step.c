/* SPDX-License-Identifier: MIT
 *
 * link_ssh_step: what the states of an ssh link end with: another state and its
 * clock, or a failure that names this one.  The story is in link_ssh_impl.h. */
#include <stdarg.h>
#include <stdio.h>

#include "sync/link/link_ssh_impl.h"

enum { GOODBYE_MS = 2000 };

/* Whose time runs: RUNNING means the previous state's clock goes on. */
enum clock { CLOCK_NONE, CLOCK_CONNECT, CLOCK_RUNNING, CLOCK_LOGIN, CLOCK_BYE };

static const struct {
    const char *name; /* for messages: "..., NAME: what happened" */
    enum clock clock;
} states[] = {
    [ST_PREPARE] = {"preparing", CLOCK_NONE},
    [ST_RESOLVE] = {"name lookup", CLOCK_CONNECT},
    [ST_CONNECT] = {"connecting", CLOCK_CONNECT},
    [ST_HANDSHAKE] = {"handshake", CLOCK_LOGIN},
    [ST_HOST_KEY] = {"host key", CLOCK_RUNNING},
    [ST_AUTH] = {"login", CLOCK_LOGIN},
    [ST_OPEN] = {"opening the channel", CLOCK_LOGIN},
    [ST_EXEC] = {"starting the receiver", CLOCK_LOGIN},
    [ST_STREAM] = {"connection", CLOCK_NONE},
    [ST_GOODBYE] = {"connection", CLOCK_BYE},
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

void link_ssh_set_deadline(struct link_ssh *l, int64_t ms)
{
    uv_update_time(l->loop);
    (void)uv_timer_start(&l->deadline, l->on_deadline, (uint64_t)ms, 0);
}

enum step link_ssh_enter(struct link_ssh *l, enum state_id state)
{
    l->state = state;
    link_notify_stage(&l->base, states[state].name);
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

const char *link_ssh_port_option(const struct link_ssh *l, char out[16])
{
    out[0] = '\0';
    if (l->config.port != 22) {
        (void)snprintf(out, 16, "-p %u ", (unsigned)l->config.port);
    }
    return out;
}
