/* SPDX-License-Identifier: MIT
 *
 * mended: see mended.h. */
#include "agent/replica/mended.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync/errors/state.h"

static struct mended_file look(const char *path)
{
    struct stat st;

    if (path == NULL || stat(path, &st) < 0) {
        return (struct mended_file){.sys = path == NULL ? ENOENT : errno};
    }
    return (struct mended_file){
        .dev = st.st_dev,
        .ino = st.st_ino,
        .size = st.st_size,
        .modified = st.st_mtim,
        .changed = st.st_ctim, /* also a mode or an owner put right */
    };
}

/* The program of that name in PATH: the first there is, as far as that can be
 * told without running it. */
static struct mended_file look_in_path(const char *name)
{
    const char *dir = getenv("PATH");
    struct mended_file f = {.sys = ENOENT};
    char path[4096];

    while (f.sys != 0 && dir != NULL && dir[0] != '\0') {
        size_t len = strcspn(dir, ":");
        int n = snprintf(path, sizeof path, "%.*s/%s", (int)len, dir, name);
        if (n > 0 && (size_t)n < sizeof path) {
            f = look(path);
        }
        dir += len + (dir[len] == ':' ? 1 : 0);
    }
    return f;
}

static struct mended_file look_program(const struct config_replica *c)
{
    const char *name = c->argv != NULL ? c->argv[0] : NULL;

    return name != NULL && strchr(name, '/') == NULL ? look_in_path(name)
                                                     : look(name);
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same(const struct mended_file *a, const struct mended_file *b)
{
    return a->sys == b->sys && a->dev == b->dev && a->ino == b->ino &&
           a->size == b->size && same_time(a->modified, b->modified) &&
           same_time(a->changed, b->changed);
}

void mended_note(struct mended *m, const struct config_replica *c)
{
    m->identity = look(c->identity);
    m->known_hosts = look(c->known_hosts);
    m->program = look_program(c);
}

bool mended_since(const struct mended *m, const struct config_replica *c,
                  int error_id)
{
    struct mended_file now;

    switch (error_id) {
    case DR_HOST_KEY_UNKNOWN:
    case DR_HOST_KEY_CHANGED:
    case DR_KNOWN_HOSTS:
        now = look(c->known_hosts);
        return !same(&m->known_hosts, &now);
    case DR_AUTH:
    case DR_RSA_KEY:
    case DR_KEY_FILE:
        now = look(c->identity);
        return !same(&m->identity, &now);
    case DR_CHILD:
    case DR_NO_RECEIVER:
        now = look_program(c);
        return !same(&m->program, &now);
    default:
        return false;
    }
}
