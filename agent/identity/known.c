/* SPDX-License-Identifier: MIT
 *
 * known: see known.h. */
#include "agent/identity/known.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "store/base/cleanup.h"
#include "store/base/dir.h"
#include "store/base/sys.h"
#include "store/layout/walk.h"

/* --- state directories --------------------------------------------------- */

/* Is what was recorded at that path this very directory, or was it? */
static bool is_of(const struct db *db, const char *path)
{
    return strcmp(path, db->path) == 0 || db_is_at(db, path);
}

static bool read_state(int at, const char *name, const struct db *db,
                       struct known_state *out)
{
    char path[IDENTITY_PATH_BYTES];
    struct err err;
    CLEANUP(fd_closep)
    int fd = sys_openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);

    if (fd < 0 || identity_recall_any(fd, path, out->id, &err) < 0 ||
        !is_of(db, path)) {
        return false;
    }
    if (identity_recall_epoch(fd, &out->epoch, &err) < 0) {
        out->epoch = 0;
    }
    return true;
}

bool known_find(const char *dir, const struct db *db, struct known_state *out)
{
    CLEANUP(fd_closep)
    int fd = sys_open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0) {
        return false;
    }
    (void)snprintf(out->dir, sizeof out->dir, "%s", dir);
    if (read_state(fd, ".", db, out)) {
        return true;
    }
    CLEANUP(dir_end) struct dir list = dir_take(TAKE_FD(fd));
    for (const struct dirent *e; (e = dir_next(&list)) != NULL;) {
        if (e->d_name[0] != '.' &&
            read_state(dirfd(list.stream), e->d_name, db, out)) {
            (void)snprintf(out->dir, sizeof out->dir, "%s/%s", dir, e->d_name);
            return true;
        }
    }
    return false;
}

/* --- keys ---------------------------------------------------------------- */

struct sample {
    struct index *ix;
    struct known_keys keys;
};

static int on_key(void *arg, const char *table, size_t len, int dir_fd,
                  const char *key, size_t key_len)
{
    struct sample *s = arg;
    struct index_entry e;

    (void)dir_fd;
    s->keys.sampled++;
    s->keys.known += index_get(
        s->ix, index_name_key(index_key(s->ix), table, len, key, key_len), &e);
    return s->keys.sampled == KNOWN_SAMPLE;
}

static struct index *load(int state_fd, const uint8_t id[IDENTITY_BYTES])
{
    struct index_ident ident = {.root_ino = 0};
    struct err err;
    struct index *ix = index_new();

    memcpy(ident.db_id, id, sizeof ident.db_id);
    if (ix == NULL ||
        index_load(ix, state_fd, IDENTITY_INDEX, &ident, &err) < 0) {
        index_free(ix);
        return NULL;
    }
    return ix;
}

struct known_keys known_count(const struct db *db, struct index *live,
                              int state_fd, const uint8_t id[IDENTITY_BYTES])
{
    static const struct walk_ops ops = {.key = on_key};
    bool is_filled = live != NULL && index_count(live) > 0;
    struct index *own = is_filled ? NULL : load(state_fd, id);
    struct sample s = {.ix = is_filled ? live : own};
    struct walk_counts counts;
    struct err err;

    if (s.ix == NULL) {
        return s.keys;
    }
    if (walk_db(db, &ops, &s, &counts, &err) < 0) {
        s.keys = (struct known_keys){0};
    }
    index_free(own);
    return s.keys;
}

static int on_any_key(void *arg, const char *table, size_t table_len,
                      int dir_fd, const char *key, size_t key_len)
{
    (void)arg, (void)table, (void)table_len;
    (void)dir_fd, (void)key, (void)key_len;
    return 1;
}

bool known_is_empty(const struct db *db)
{
    static const struct walk_ops ops = {.key = on_any_key};
    struct err err;

    return walk_db(db, &ops, NULL, NULL, &err) == 0;
}

bool known_alike(const struct known_keys *k)
{
    return k->known > k->sampled / 2;
}
