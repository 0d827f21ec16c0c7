/* SPDX-License-Identifier: MIT
 *
 * config_finish: after the lines of all files: defaults that depend on other
 * settings, and mistakes that no single line shows.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "agent/config/config_impl.h"
#include "agent/config/ssh_line.h"

/* The file's name without folder and ".conf". */
static char *name_of_file(const char *file)
{
    const char *slash = strrchr(file, '/');
    const char *base = slash != NULL ? slash + 1 : file;
    size_t len = strlen(base);

    if (len > 5 && strcmp(base + len - 5, ".conf") == 0) {
        len -= 5;
    }
    return strndup(base, len);
}

/* PREFIX/NAME/SUFFIX, or the first folder of an environment variable that the
 * service manager sets. */
static char *default_path(const char *variable, const char *prefix,
                          const char *name, const char *suffix)
{
    const char *given = getenv(variable);
    char *path = NULL;
    int rc;

    if (given != NULL && given[0] == '/') {
        rc = asprintf(&path, "%.*s%s", (int)strcspn(given, ":"), given, suffix);
    } else {
        rc = asprintf(&path, "%s/%s%s", prefix, name, suffix);
    }
    return rc < 0 ? NULL : path;
}

static void finish_database(struct loader *l)
{
    struct config *c = l->config;
    const char *file = c->files[0];

    if (c->where.head.line == 0) {
        config_error_in(l->errors, file, "the [database] section is missing");
    } else if (c->path == NULL &&
               !config_is_written(&c->where, "database", "path")) {
        config_error_at(l->errors, c, c->where.head, "path",
                        "[database] needs path = DIR");
    }
    if (c->name == NULL) {
        c->name = name_of_file(file);
        if (c->name != NULL && !config_name_is_good(c->name)) {
            config_error_in(l->errors, file,
                            "[database] needs name = NAME, because the file's "
                            "own name cannot be one");
        }
    }
    const char *name = c->name != NULL ? c->name : "";
    if (c->state_dir == NULL) {
        c->state_dir =
            default_path("STATE_DIRECTORY", "/var/lib/drover", name, "");
    }
    if (c->socket == NULL) {
        c->socket = default_path("RUNTIME_DIRECTORY", "/run/drover", name,
                                 "/control.sock");
    }
    if (c->name == NULL || c->state_dir == NULL || c->socket == NULL) {
        config_error_in(l->errors, l->config->files[0], "out of memory");
        return;
    }
    if (strlen(c->socket) >= sizeof((struct sockaddr_un *)0)->sun_path) {
        config_error_at(l->errors, c,
                        config_place(&c->where, "database", "socket"), "socket",
                        "socket = %s: longer than the 107 bytes that a "
                        "socket's path may have",
                        c->socket);
    }
    if (c->silence_ms < 3 * c->heartbeat_ms) {
        bool is_silence = config_is_written(&c->where, "database", "silence");
        const char *which = is_silence ? "silence" : "heartbeat";
        config_error_at(l->errors, c,
                        config_place(&c->where, "database", which), which,
                        "silence must be at least three heartbeats");
    }
}

/* Nothing that only makes sense with a host. */
static void check_exec(struct loader *l, const struct config_replica *r,
                       struct config_at line)
{
    struct config_replica plain = {0};
    struct err err = {0};

    if (!config_preset_replica(&plain, &err)) {
        COMPLAIN(l, line, "%s", err.msg);
    } else if (r->path != NULL || r->identity != NULL || r->openssh ||
               r->port != plain.port || strcmp(r->user, plain.user) != 0 ||
               strcmp(r->known_hosts, plain.known_hosts) != 0 ||
               r->sndbuf_bytes != 0 || r->rcvbuf_bytes != 0) {
        COMPLAIN(l, line,
                 "[replica %s]: host is missing: path, port, user, transport, "
                 "identity, known-hosts, sndbuf and rcvbuf have no effect "
                 "without host",
                 r->name);
    }
    free(plain.user);
    free(plain.known_hosts);
}

static void finish_exec(struct loader *l, struct config_replica *r,
                        struct config_at line)
{
    struct err err = {0};

    r->kind = REPLICA_EXEC;
    if (r->command == NULL &&
        config_is_written(&r->where, "replica", "command")) {
        return;
    }
    if (r->command == NULL) {
        COMPLAIN(l, line,
                 "[replica %s] needs host = HOST; for one on this host write "
                 "command = drover-replica receive DIR",
                 r->name);
        return;
    }
    check_exec(l, r, line);
    if (config_split_words(r->command, &r->argv, &err) < 0) {
        config_error_at(
            l->errors, l->config, config_place(&r->where, "replica", "command"),
            "command", "[replica %s]: command = %s", r->name, err.msg);
    }
}

/* Its sockets are not ours. */
static void check_openssh(struct loader *l, const struct config_replica *r)
{
    static const char *const NONE[] = {"sndbuf", "rcvbuf", "login-timeout"};

    for (size_t i = 0; i < sizeof NONE / sizeof *NONE; i++) {
        if (config_is_written(&r->where, "replica", NONE[i])) {
            config_error_at(l->errors, l->config,
                            config_place(&r->where, "replica", NONE[i]),
                            NONE[i],
                            "[replica %s]: %s has no effect with transport = "
                            "openssh; leave it out",
                            r->name, NONE[i]);
        }
    }
}

static void finish_ssh(struct loader *l, struct config_replica *r)
{
    bool ok = true;

    r->kind = REPLICA_SSH;
    if (r->path == NULL && l->config->path != NULL) {
        r->path = strdup(l->config->path);
        ok = r->path != NULL;
    }
    if (r->identity != NULL && strcmp(r->identity, "agent") == 0) {
        free(r->identity);
        r->identity = NULL;
    } else if (r->identity == NULL && l->config->state_dir != NULL) {
        ok = asprintf(&r->identity, "%s/id_ed25519", l->config->state_dir) >= 0;
    }
    if (ok && r->command == NULL && r->path != NULL) {
        r->command = config_receive_command(r->path);
        ok = r->command != NULL;
    }
    if (ok && r->openssh && r->host != NULL) {
        check_openssh(l, r);
        r->argv = ssh_line_argv(r);
        ok = r->argv != NULL;
    }
    if (!ok) {
        config_error_in(l->errors, l->config->files[0], "out of memory");
    }
}

void config_finish(struct loader *l)
{
    finish_database(l);
    for (size_t i = 0; i < l->config->replicas_count; i++) {
        struct config_replica *r = &l->config->replicas[i];

        if (r->host == NULL &&
            config_is_written(&r->where, "replica", "host")) {
            continue; /* what it was set to is a mistake */
        }
        if (r->host == NULL) {
            finish_exec(l, r, r->where.head);
        } else {
            finish_ssh(l, r);
        }
    }
    config_check_targets(l);
}
