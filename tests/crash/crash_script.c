/* SPDX-License-Identifier: MIT
 *
 * crash_script: see crash_script.h. */
#include "crash_script.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/layout/db.h"
#include "store/layout/name.h"
#include "store/layout/walk.h"
#include "sync/index/index.h"
#include "sync/index/scan.h"

enum { LARGE_MAX = 4 << 20 };

const uint8_t *step_large(const struct step *s, size_t *len_out)
{
    static uint8_t bytes[LARGE_MAX];
    size_t n = strtoul(s->value, NULL, 10);

    if (n > sizeof bytes) {
        lab_broken("a large value of %zu bytes", n);
    }
    for (size_t i = 0; i < n; i++) {
        bytes[i] = (uint8_t)((i * 2654435761u >> 13) + n);
    }
    *len_out = n;
    return bytes;
}

uint64_t step_send(struct agent *a, const struct step *s)
{
    size_t len;

    switch (s->kind) {
    case STEP_SET:
        return agent_set(a, s->table, s->key, s->value, strlen(s->value));
    case STEP_LARGE: {
        const uint8_t *p = step_large(s, &len);
        return agent_set_large(a, s->table, s->key, p, len);
    }
    case STEP_DELETE:
        return agent_change(a, WIRE_DELETE, s->table, s->key);
    case STEP_TABLE:
        return agent_change(a, WIRE_TABLE_SET, s->table, "");
    case STEP_DROP:
        return agent_change(a, WIRE_TABLE_DROP, s->table, "");
    }
    return 0;
}

static void path_of(char out[2 * LAB_PATH], const char *dir,
                    const struct step *s, bool with_key)
{
    char table[TABLE_PATH_BYTES] = ".";

    if (s->table[0] != '\0') {
        table_path(s->table, strlen(s->table), table);
    }
    if (with_key) {
        (void)snprintf(out, 2 * LAB_PATH, "%s/%.300s/%s.kv", dir, table,
                       s->key);
    } else {
        (void)snprintf(out, 2 * LAB_PATH, "%s/%.300s", dir, table);
    }
}

bool step_is_done(const char *dir, const struct step *s)
{
    char path[2 * LAB_PATH];
    CLEANUP(buf_deinit) struct buf b = BUF_NULL;

    path_of(path, dir, s, s->kind != STEP_TABLE && s->kind != STEP_DROP);
    if (s->kind == STEP_DELETE || s->kind == STEP_DROP) {
        return !lab_exists(path);
    }
    if (s->kind == STEP_TABLE) {
        return lab_exists(path);
    }
    size_t len = strlen(s->value);
    const void *want = s->value;
    if (s->kind == STEP_LARGE) {
        want = step_large(s, &len);
    }
    return lab_read(path, &b) && b.len == len &&
           (len == 0 || memcmp(b.data, want, len) == 0);
}

const char *step_text(const struct step *s)
{
    static const char *const words[] = {"set", "set large", "delete",
                                        "make table", "drop table"};
    static char text[600];

    (void)snprintf(text, sizeof text, "%s %s/%s", words[s->kind], s->table,
                   s->key != NULL ? s->key : "");
    return text;
}

struct digest script_root(const char *dir)
{
    struct scan_options opt = {.content = true, .scan = 1};
    struct scan_result result = {.reread = 0};
    struct index *ix = index_new();
    struct err err;
    struct db db;

    if (ix == NULL || db_open(&db, dir, false, &err) != 0 ||
        scan_run(&db, ix, &opt, NULL, NULL, &result, &err) != 0) {
        lab_broken("scan %s: %s", dir, err.msg);
    }
    struct digest root = index_root(ix);

    db_close(&db);
    index_free(ix);
    return root;
}

static bool is_ours(const char *name)
{
    static const char *const names[] = {
        ".", "..", "replica", "freshness", "applied", "index", "lock"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool only(const char *dir, const char *below, bool (*fits)(const char *),
                 char *what, size_t room)
{
    char path[LAB_PATH * 2];

    (void)snprintf(path, sizeof path, "%s/%s", dir, below);
    DIR *d = opendir(path);
    bool good = true;
    if (d == NULL) {
        lab_broken("list %s", path);
    }
    for (const struct dirent *e; good && (e = readdir(d)) != NULL;) {
        if (!fits(e->d_name)) {
            (void)snprintf(what, room, "%s/%s", below, e->d_name);
            good = false;
        }
    }
    (void)closedir(d);
    return good;
}

/* No temporary in any table. */
static bool no_temps(const char *dir, char *what, size_t room)
{
    static const struct walk_ops ops = {.key = NULL};
    struct walk_counts counts;
    struct err err;
    struct db db;

    if (db_open(&db, dir, false, &err) != 0 ||
        walk_db(&db, &ops, NULL, &counts, &err) != 0) {
        lab_broken("walk %s: %s", dir, err.msg);
    }
    db_close(&db);

    (void)snprintf(what, room, "%d temporary files", (int)counts.temps);
    return counts.temps == 0;
}

bool script_is_swept(const char *dir, char *what, size_t room)
{
    return only(dir, META_DIR, is_ours, what, room) &&
           no_temps(dir, what, room);
}
