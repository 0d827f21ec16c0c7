/* SPDX-License-Identifier: MIT
 *
 * covered: see covered.h.  As in a read (dircache_open(), looks_evidence()): a
 * directory in a key's place is odd unless tables may be below it. */
#include "agent/notes/covered.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/exchanged.h"
#include "store/base/quote.h"
#include "store/layout/name.h"
#include "sync/errors/state.h"

enum { KEYS_SAMPLED = 20 };

/* Something else than a directory, and no key either. */
static bool is_odd(const struct db *db, const char *path)
{
    const char *slash = strrchr(path, '/');
    struct stat st;
    size_t len;

    return fstatat(db->root_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           !S_ISDIR(st.st_mode) &&
           (!S_ISREG(st.st_mode) ||
            !name_is_key(slash != NULL ? slash + 1 : path, &len));
}

static bool is_odd_key(const struct db *db, const char *path)
{
    struct stat st;

    return fstatat(db->root_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           !S_ISREG(st.st_mode) &&
           (!S_ISDIR(st.st_mode) || exchanged_for_key(db->root_fd, path));
}

/* Cuts `path` where the first odd thing is. */
static bool odd_on_the_way(const struct db *db, char *path)
{
    for (char *at = path; at != NULL;) {
        char *slash = strchr(at, '/');
        if (slash != NULL) {
            *slash = '\0';
        }
        if (is_odd(db, path)) {
            return true;
        }
        if (slash != NULL) {
            *slash = '/';
        }
        at = slash != NULL ? slash + 1 : NULL;
    }
    return false;
}

static bool odd_table(const struct db *db, struct bytes table, char *path)
{
    if (table.len == 0 || table.len > TABLE_MAX_BYTES) {
        return false;
    }
    table_path(table.p, table.len, path);
    return odd_on_the_way(db, path);
}

static bool odd_key(const struct db *db, const struct diff_name *n,
                    char path[TABLE_PATH_BYTES + KEY_FILE_BYTES])
{
    char file[KEY_FILE_BYTES];

    if (n->is_table || n->key.len > KEY_MAX_BYTES ||
        n->table.len > TABLE_MAX_BYTES) {
        return false;
    }
    key_file(n->key.p, n->key.len, file);
    char dir[TABLE_PATH_BYTES];
    table_path(n->table.p, n->table.len, dir); /* "." is the root */
    (void)snprintf(path, TABLE_PATH_BYTES + KEY_FILE_BYTES, "%s%s%s",
                   n->table.len > 0 ? dir : "", n->table.len > 0 ? "/" : "",
                   file);
    return is_odd_key(db, path);
}

static bool say(const struct primary_held *held, const char *path, int id,
                struct err *out)
{
    *out = (struct err){0};
    (void)err_set(out, ERR_NOTTABLE, 0,
                  "%" PRIu64
                  " deletes are held, but %s is something else now, and "
                  "no evidence of a removal: what was there is not deleted",
                  held->held, QUOTED_STR(path));
    out->id = id;
    return true;
}

bool covered_held(const struct db *db, const struct primary_held *held,
                  struct err *out)
{
    char path[TABLE_PATH_BYTES + KEY_FILE_BYTES];

    for (size_t i = 0; i < held->tables_count; i++) {
        if (odd_table(db, held->tables[i].table, path)) {
            return say(held, path, DR_COVERED, out);
        }
    }
    for (size_t i = 0; i < held->names_count && i < KEYS_SAMPLED; i++) {
        if (odd_key(db, &held->names[i], path)) {
            return say(held, path, DR_PASSED_OVER, out);
        }
    }
    return false;
}
