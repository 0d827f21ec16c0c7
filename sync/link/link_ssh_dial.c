/* SPDX-License-Identifier: MIT
 *
 * link_ssh_dial: the beginning of an ssh link, before SSH itself: the local
 * files, the name, the connection.  The story is in link_ssh_impl.h. */
#include "sync/link/link_ssh_impl.h"

#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>

static enum step prepare_key(struct link_ssh *l)
{
    const char *path = l->config.identity;
    struct err err;

    if ((path != NULL && sshkey_load(&l->key, path, &err) < 0) ||
        sshkey_lacks_agent(path, &l->key, &err)) {
        return link_ssh_fail_with(l, &err, PERMANENT);
    }
    l->use_agent = path == NULL || l->key.is_public || l->key.locked;
    return STEP_NEXT;
}

/* Next: link_ssh_st_resolve. */
enum step link_ssh_st_prepare(struct link_ssh *l)
{
    struct err err;
    char port[16];

    int rc = known_hosts_load(&l->known, l->config.known_hosts, &err);
    if (rc == ERR_NOTFOUND) {
        return link_ssh_fail(
            l, rc, 0, DR_KNOWN_HOSTS, PERMANENT,
            "%s.  To make it: ssh-keyscan -t ed25519 %s%s >> %s, then "
            "compare ssh-keygen -lf %s with the replica's own key",
            err.msg, link_ssh_port_option(l, port), l->config.host,
            l->config.known_hosts, l->config.known_hosts);
    }
    if (rc < 0) {
        return link_ssh_fail_with(l, &err, PERMANENT);
    }
    enum step s = prepare_key(l);
    return s == STEP_NEXT ? link_ssh_enter(l, ST_RESOLVE) : s;
}

static void on_lookup(void *arg, struct addrinfo *addrs, const char *why)
{
    struct link_ssh *l = arg;

    l->lookup = NULL;
    if (addrs == NULL) {
        (void)link_ssh_fail(l, ERR_IO, 0, DR_CONNECT, TRANSIENT,
                            "cannot look up \"%s\": %s", l->config.host, why);
        l->failed = true;
    }
    l->addrs = addrs;
    l->run(l);
}

/* Waits for on_lookup().  Next: link_ssh_st_connect. */
enum step link_ssh_st_resolve(struct link_ssh *l)
{
    struct err err;

    if (l->addrs != NULL) {
        l->addr = l->addrs;
        /* A clock of its own: a slow lookup takes no time from connecting. */
        uv_update_time(l->loop);
        l->connect_until_ms =
            uv_now(l->loop) + (uint64_t)l->config.connect_timeout_ms;
        return link_ssh_enter(l, ST_CONNECT);
    }
    if (l->lookup == NULL) {
        l->lookup = lookup_start(l->loop, l->config.host, l->config.port,
                                 on_lookup, l, &err);
        if (l->lookup == NULL) {
            err.id = DR_CONNECT;
            return link_ssh_fail_with(l, &err, TRANSIENT);
        }
    }
    return STEP_WAIT;
}

static void on_ready(void *arg)
{
    struct link_ssh *l = arg;

    /* While `again` is active the loop does not sleep and calls link_ssh_run()
     * anyway.
     */
    if (!uv_is_active((uv_handle_t *)&l->again)) {
        l->run(l);
    }
}

static const char *addr_text(const struct link_ssh *l, char out[64])
{
    if (getnameinfo(l->addr->ai_addr, l->addr->ai_addrlen, out, 64, NULL, 0,
                    NI_NUMERICHOST) != 0) {
        (void)snprintf(out, 64, "?");
    }
    return out;
}

/* This address is no good (l->err says why): the next one, or fail. */
static enum step drop_addr(struct link_ssh *l)
{
    sock_drop(&l->sock);
    l->addr = l->addr->ai_next;
    return l->addr != NULL ? STEP_NEXT : STEP_FAIL;
}

static enum step dial(struct link_ssh *l)
{
    uint64_t left_ms = 1, addrs = 0, now_ms = uv_now(l->loop);
    struct err err;
    char ip[64];

    for (const struct addrinfo *a = l->addr; a != NULL; a = a->ai_next) {
        addrs++;
    }
    if (l->connect_until_ms > now_ms) {
        left_ms = l->connect_until_ms - now_ms;
    }
    l->sock =
        sock_connect(l->loop, &l->handles, l->addr, l->config.sndbuf_bytes,
                     l->config.rcvbuf_bytes, on_ready, l, &err);
    if (l->sock == NULL) {
        (void)link_ssh_fail(l, err.code, 0, DR_CONNECT, TRANSIENT, "%s: %s",
                            addr_text(l, ip), err.msg);
        return drop_addr(l);
    }
    link_ssh_set_deadline(l, (int64_t)(left_ms / addrs + 1));
    return STEP_WAIT;
}

/* Next: link_ssh_st_handshake. */
enum step link_ssh_st_connect(struct link_ssh *l)
{
    char ip[64];

    if (l->sock == NULL) {
        return dial(l);
    }
    int rc = sock_connected(l->sock);
    if (rc < 0) {
        (void)link_ssh_fail(l, ERR_IO, -rc, DR_CONNECT, TRANSIENT, "%s",
                            addr_text(l, ip));
        return drop_addr(l);
    }
    return rc > 0 ? link_ssh_begin(l) : STEP_WAIT;
}

enum step link_ssh_next_addr(struct link_ssh *l)
{
    char ip[64];

    (void)link_ssh_fail(l, ERR_TIMEOUT, 0, DR_CONNECT, TRANSIENT,
                        "%s: no answer", addr_text(l, ip));
    return drop_addr(l);
}
