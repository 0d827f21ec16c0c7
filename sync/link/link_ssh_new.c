/* SPDX-License-Identifier: MIT
 *
 * link_ssh_new: makes and frees an ssh link: its settings, names and handles.
 * The story is in link_ssh_impl.h. */
#include "sync/link/link_ssh_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECT_TIMEOUT_MS = 10000, LOGIN_TIMEOUT_MS = 20000 };

static void free_config(struct link_ssh_config *c)
{
    const char *const strings[] = {c->host, c->user, c->identity,
                                   c->known_hosts, c->command};

    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++) {
        free((void *)(uintptr_t)strings[i]);
    }
}

void link_ssh_free(void *owner)
{
    struct link_ssh *l = owner;

    link_ssh_end_session(l);
    if (l->addrs != NULL) {
        freeaddrinfo(l->addrs);
    }
    known_hosts_deinit(&l->known);
    sshkey_deinit(&l->key);
    free_config(&l->config);
    free(l->known_name);
    free(l->known_port_name);
    free(l->where);
    link_deinit(&l->base);
    free(l);
}

/* --- making one ---------------------------------------------------------- */

static uv_once_t init_once = UV_ONCE_INIT;
static int init_rc;

static void init_library(void)
{
    init_rc = link_ssh_init_library();
}

static char *lower_case(const char *s)
{
    char *copy = strdup(s);

    for (char *p = copy; p != NULL && *p != '\0'; p++) {
        if (*p >= 'A' && *p <= 'Z') {
            *p = (char)(*p - 'A' + 'a');
        }
    }
    return copy;
}

static bool copy_string(const char **s)
{
    if (*s != NULL) {
        *s = strdup(*s);
        return *s != NULL;
    }
    return true;
}

/* The texts that name this link. */
static bool make_names(struct link_ssh *l, char **name_out)
{
    const struct link_ssh_config *c = &l->config;
    bool six = strchr(c->host, ':') != NULL;
    const char *open = six ? "[" : "", *shut = six ? "]" : "";

    if (asprintf(&l->where, "%s%s%s:%u, user %s", open, c->host, shut,
                 (unsigned)c->port, c->user) < 0) {
        l->where = NULL;
        return false;
    }
    if (asprintf(name_out, "ssh %s@%s%s%s:%u", c->user, open, c->host, shut,
                 (unsigned)c->port) < 0) {
        *name_out = NULL;
        return false;
    }
    return true;
}

static bool copy_config(struct link_ssh *l, const struct link_ssh_config *from)
{
    struct link_ssh_config *c = &l->config;

    *c = *from;
    c->port = from->port != 0 ? from->port : 22;
    if (c->connect_timeout_ms <= 0) {
        c->connect_timeout_ms = CONNECT_TIMEOUT_MS;
    }
    if (c->login_timeout_ms <= 0) {
        c->login_timeout_ms = LOGIN_TIMEOUT_MS;
    }
    bool ok = copy_string(&c->host);
    ok = copy_string(&c->user) && ok;
    ok = copy_string(&c->identity) && ok;
    ok = copy_string(&c->known_hosts) && ok;
    ok = copy_string(&c->command) && ok;
    l->known_name = lower_case(from->host);
    if (l->known_name == NULL ||
        asprintf(&l->known_port_name, "[%s]:%u", l->known_name,
                 (unsigned)c->port) < 0) {
        l->known_port_name = NULL;
        return false;
    }
    return ok;
}

static int check_config(const struct link_ssh_config *c, struct err *err)
{
    const struct {
        const char *name, *value;
    } needed[] = {{"host", c->host},
                  {"user", c->user},
                  {"known_hosts", c->known_hosts},
                  {"command", c->command}};

    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        if (needed[i].value == NULL || needed[i].value[0] == '\0') {
            err_set(err, ERR_INVALID, 0, "the ssh link's setting %s is empty",
                    needed[i].name);
            err->id = DR_CONFIG;
            return err->code;
        }
    }
    return 0;
}

static void init_handles(struct link_ssh *l)
{
    handles_init(&l->handles, link_ssh_free, l);
    (void)uv_timer_init(l->loop, &l->deadline);
    l->deadline.data = l;
    handles_hold(&l->handles);
    (void)uv_idle_init(l->loop, &l->again);
    l->again.data = l;
    handles_hold(&l->handles);
}

struct link *link_ssh_new(uv_loop_t *loop, const struct link_ssh_config *config,
                          const struct link_events *events, void *arg,
                          struct err *err)
{
    if (check_config(config, err) < 0) {
        return NULL;
    }
    uv_once(&init_once, init_library);
    struct link_ssh *l = init_rc == 0 ? calloc(1, sizeof *l) : NULL;
    if (l == NULL) {
        err_set(err, ERR_NOMEM, 0, "no memory for an ssh link");
        return NULL;
    }
    char *name = NULL;

    if (!copy_config(l, config) || !make_names(l, &name)) {
        free_config(&l->config);
        free(l->known_name);
        free(l->known_port_name);
        free(l->where);
        free(l);
        err_set(err, ERR_NOMEM, 0, "no memory for an ssh link");
        return NULL;
    }
    l->loop = loop;
    l->run = link_ssh_run;
    l->on_deadline = link_ssh_on_deadline;
    atomic_init(&l->agent_stop, false);
    link_init(&l->base, &link_ssh_kind, events, arg, name);
    init_handles(l);
    return &l->base;
}
