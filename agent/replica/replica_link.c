/* SPDX-License-Identifier: MIT
 *
 * replica_link: see replica_link.h. */
#include "agent/replica/replica_link.h"

static struct link *run_command(uv_loop_t *loop, const struct config_replica *c,
                                const struct link_events *events, void *arg,
                                struct err *err)
{
    struct link *l =
        link_exec_new(loop, (const char *const *)c->argv, events, arg, err);

    if (l != NULL && c->openssh) {
        link_exec_set_key(l, c->identity);
    }
    return l;
}

struct link *replica_link(uv_loop_t *loop, const struct config_replica *c,
                          const struct link_events *events, void *arg,
                          struct err *err)
{
    if (c->argv != NULL) {
        return run_command(loop, c, events, arg, err);
    }
    struct link_ssh_config ssh = {
        .host = c->host,
        .port = c->port,
        .user = c->user,
        .identity = c->identity,
        .known_hosts = c->known_hosts,
        .command = c->command,
        .connect_timeout_ms = c->connect_timeout_ms,
        .login_timeout_ms = c->login_timeout_ms,
        .sndbuf_bytes = c->sndbuf_bytes,
        .rcvbuf_bytes = c->rcvbuf_bytes,
    };
    return link_ssh_new(loop, &ssh, events, arg, err);
}
