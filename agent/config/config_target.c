/* SPDX-License-Identifier: MIT
 *
 * config_target: see config_target.h. */
#include "agent/config/config_target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/config/config_impl.h"
#include "store/base/cleanup.h"
#include "store/layout/name.h"

/* --- paths --------------------------------------------------------------- */

bool config_path_is_below(const char *path, const char *dir)
{
    size_t len = strlen(dir);

    return strncmp(path, dir, len) == 0 &&
           (path[len] == '\0' || path[len] == '/' || dir[len - 1] == '/');
}

bool config_path_overlaps(const char *a, const char *b)
{
    return config_path_is_below(a, b) || config_path_is_below(b, a);
}

char *config_path_resolve(const char *path)
{
    CLEANUP(freep) char *copy = strdup(path);
    char *whole = realpath(path, NULL);

    if (whole != NULL || copy == NULL) {
        return whole;
    }
    size_t len = strlen(copy);
    while (len > 1 && copy[len - 1] == '/') {
        copy[--len] = '\0';
    }
    char *slash = strrchr(copy, '/');
    const char *last = slash != NULL ? slash + 1 : copy;
    CLEANUP(freep) char *parent = NULL;
    if (slash == NULL) {
        parent = realpath(".", NULL);
    } else if (slash == copy) {
        parent = strdup("");
    } else {
        *slash = '\0';
        parent = config_path_resolve(copy);
    }
    if (parent == NULL ||
        asprintf(&whole, "%s/%s", strcmp(parent, "/") == 0 ? "" : parent,
                 last) < 0) {
        return NULL;
    }
    return whole;
}

/* --- commands ------------------------------------------------------------ */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

/* Programs that run another one on this host; ssh does not. */
static bool runs_here(const char *program)
{
    static const char *const THESE[] = {
        "drover-replica", "sudo",   "doas", "runuser", "setpriv",
        "systemd-run",    "ionice", "nice", "env",     NULL,
    };

    for (size_t i = 0; THESE[i] != NULL; i++) {
        if (strcmp(base_name(program), THESE[i]) == 0) {
            return true;
        }
    }
    return false;
}

char *const *config_target_receiver(char *const *argv)
{
    char *const *found = NULL;

    if (argv == NULL || argv[0] == NULL || !runs_here(argv[0])) {
        return NULL;
    }
    for (; *argv != NULL; argv++) {
        if (strcmp(base_name(*argv), "drover-replica") != 0) {
            continue;
        }
        found = argv;
        if (argv[1] != NULL && strcmp(argv[1], "receive") == 0) {
            break; /* before it: an account of this name */
        }
    }
    return found;
}

char *const *config_target_receive(char *const *argv, size_t *count_out)
{
    size_t n = 0;

    argv = config_target_receiver(argv);
    if (argv == NULL || argv[1] == NULL || strcmp(argv[1], "receive") != 0) {
        return NULL;
    }
    argv++;
    while (argv[n] != NULL) {
        n++;
    }
    *count_out = n;
    return argv;
}

const char *config_target_dir(char *const *argv)
{
    const char *last = NULL;
    size_t n;

    argv = config_target_receive(argv, &n);
    for (size_t i = 1; argv != NULL && i < n; i++) {
        if (argv[i][0] == '/') {
            return argv[i];
        }
        last = argv[i][0] != '-' ? argv[i] : last;
    }
    return last;
}

static bool same_words(char *const *a, char *const *b)
{
    size_t i = 0;

    while (a[i] != NULL && b[i] != NULL && strcmp(a[i], b[i]) == 0) {
        i++;
    }
    return a[i] == NULL && b[i] == NULL;
}

static bool same_dir(const char *a, const char *b)
{
    CLEANUP(freep) char *whole_a = config_path_resolve(a);
    CLEANUP(freep) char *whole_b = config_path_resolve(b);

    return whole_a != NULL && config_same_text(whole_a, whole_b);
}

bool config_target_same(const struct config_replica *a,
                        const struct config_replica *b)
{
    if (a->kind != b->kind) {
        return false;
    }
    if (a->kind == REPLICA_SSH) {
        /* A key of its own may mean a forced command of its own. */
        return a->host != NULL && b->host != NULL &&
               strcasecmp(a->host, b->host) == 0 && a->port == b->port &&
               config_same_text(a->user, b->user) &&
               config_same_text(a->path, b->path) &&
               config_same_text(a->identity, b->identity) &&
               config_same_text(a->command, b->command);
    }
    if (a->argv == NULL || b->argv == NULL) {
        return false;
    }
    const char *dir_a = config_target_dir(a->argv);
    const char *dir_b = config_target_dir(b->argv);
    return same_words(a->argv, b->argv) ||
           (dir_a != NULL && dir_b != NULL && same_dir(dir_a, dir_b));
}

/* --- a file's ------------------------------------------------------------ */

static char *resolved(const char *path)
{
    return path != NULL ? config_path_resolve(path) : NULL;
}

/* What is no database. */
static void check_places(struct loader *l)
{
    const struct config *c = l->config;
    CLEANUP(freep) char *path = resolved(c->path);
    CLEANUP(freep) char *state = resolved(c->state_dir);
    const char *last = path != NULL ? base_name(path) : "";

    if (strcmp(last, META_DIR) == 0) {
        config_error_at(l->errors, c,
                        config_place(&c->where, "database", "path"), "path",
                        "path = %s: a database's own " META_DIR
                        " is none; name the directory that has it",
                        c->path);
    } else if (path != NULL && state != NULL && strcmp(state, path) == 0) {
        config_error_at(
            l->errors, c, config_place(&c->where, "database", "state-dir"),
            "state-dir", "state-dir = %s: that is the database itself",
            c->state_dir);
    }
}

static void check_inside(struct loader *l, const struct config_replica *r)
{
    const struct config *c = l->config;
    const char *dir = config_target_dir(r->argv);
    CLEANUP(freep) char *there = resolved(dir);
    CLEANUP(freep) char *here = resolved(c->path);
    CLEANUP(freep) char *state = resolved(c->state_dir);

    if (there != NULL && state != NULL && config_path_is_below(state, there)) {
        config_error_at(l->errors, c,
                        config_place(&r->where, "replica", "command"),
                        "command",
                        "[replica %s]: command = ... %s: the agent's state "
                        "lies there (state-dir); a replica needs a directory "
                        "of its own",
                        r->name, dir);
    }
    if (there != NULL && here != NULL && config_path_overlaps(there, here)) {
        config_error_at(l->errors, c,
                        config_place(&r->where, "replica", "command"),
                        "command",
                        "[replica %s]: command = ... %s: a replica cannot be "
                        "its database, nor inside it, nor the database inside "
                        "a replica",
                        r->name, dir);
    }
}

static void complain_same(struct loader *l, const struct config_replica *a,
                          const struct config_replica *b)
{
    char place[CONFIG_OTHER_BYTES];

    COMPLAIN(l, b->where.head,
             "[replica %s] and [replica %s] of %s have one target: they would "
             "take it from each other for ever; leave one of them out",
             b->name, a->name,
             config_other(l, a->where.head, b->where.head, place));
}

void config_check_targets(struct loader *l)
{
    const struct config_replica *all = l->config->replicas;

    check_places(l);
    for (size_t i = 0; i < l->config->replicas_count; i++) {
        check_inside(l, &all[i]);
        for (size_t j = 0; j < i; j++) {
            if (config_target_same(&all[j], &all[i])) {
                complain_same(l, &all[j], &all[i]);
                break;
            }
        }
    }
}
