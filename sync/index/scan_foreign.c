/* SPDX-License-Identifier: MIT
 *
 * scan_foreign: what stands in a replica where a reader looks for a key or a
 * table, and is none: a link, a pipe, a file with a table's name.
 *
 * Drover puts nothing of the kind there, and it has no digest, so no comparison
 * sees it; but programs that open by name read through it.  It is told as
 * something that could not be read: nobody knows what a reader finds there.
 * What stands in the place of a key or table that the index has is not told
 * here: that is missing, or covered.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "store/base/cleanup.h"
#include "store/base/quote.h"
#include "sync/index/scan_impl.h"

/* It travels as a number; 0: no reader takes it for anything. */
static int sys_of(const char *name, enum passed_why why)
{
    size_t len;
    bool is_table = name_is_table(name, &len);
    bool named = is_table || name_is_key(name, &len);

    switch (why) {
    case PASSED_LINK:
        return named ? ELOOP : 0;
    case PASSED_LINK_DIR:
        return ELOOP;
    case PASSED_SPECIAL:
        return named ? ENXIO : 0;
    case PASSED_NO_KEY:
        return is_table ? ENOTDIR : 0;
    case PASSED_LONG:
        return ENAMETOOLONG;
    case PASSED_DIR: /* tables may be in it */
    case PASSED_NO_TABLE:
        break;
    }
    return 0;
}

/* Its name, in `path`; false: none that a reader could ask for. */
static bool name_of(const char *dir, const char *name, char *path,
                    size_t path_room, struct scan_name *out)
{
    size_t dir_len = strlen(dir), len;

    if (name_is_key(name, &len)) {
        if (dir_len > 0 && !name_is_table(dir, &dir_len)) {
            return false;
        }
        *out = (struct scan_name){
            .table = dir, .table_len = dir_len, .key = name, .key_len = len};
        return true;
    }
    int n =
        snprintf(path, path_room, "%s%s%s", dir, dir_len > 0 ? "/" : "", name);
    len = (size_t)n;
    (void)name_is_table(path, &len);
    *out = (struct scan_name){.table = path, .table_len = len};
    return true;
}

static bool is_known(struct index *ix, const struct scan_name *at)
{
    const struct index_key *k = index_key(ix);
    struct index_entry e;

    return index_get(
        ix,
        at->key == NULL
            ? index_name_table(k, at->table, at->table_len)
            : index_name_key(k, at->table, at->table_len, at->key, at->key_len),
        &e);
}

enum foreign { NOT_FOREIGN, NAMELESS, NAMED };

/* NAMELESS: no command takes its name. */
static enum foreign judge(struct index *ix, const char *dir, const char *name,
                          enum passed_why why, char path[SCAN_FOREIGN_BYTES],
                          struct scan_name *at, struct err *err)
{
    int sys = sys_of(name, why);

    if (sys == 0 || !name_of(dir, name, path, SCAN_FOREIGN_BYTES, at)) {
        return NOT_FOREIGN;
    }
    bool named = table_check(at->table, at->table_len, err) == 0;
    if (named && is_known(ix, at)) {
        return NOT_FOREIGN;
    }
    (void)err_set(err, ERR_NOTTABLE, 0, "%s%s%s is not the primary's: %s",
                  dir[0] != '\0' ? QUOTED(dir, strlen(dir)) : "",
                  dir[0] != '\0' ? "/" : "", QUOTED(name, strlen(name)),
                  passed_word(why));
    err->sys = sys;
    return named ? NAMED : NAMELESS;
}

void scan_foreign(struct scan *s, const char *dir, const char *name,
                  enum passed_why why)
{
    char path[SCAN_FOREIGN_BYTES];
    struct scan_name at;
    struct err err;

    enum foreign is = judge(s->ix, dir, name, why, path, &at, &err);
    if (is == NOT_FOREIGN) {
        return;
    }
    scan_keep_error(s, &err);
    s->out->foreign++;
    if (is == NAMED) {
        scan_report_unread(s, &err, &at);
    }
}

bool scan_is_foreign(const struct db *db, struct index *ix, const char *dir,
                     const char *name, char path[SCAN_FOREIGN_BYTES],
                     struct scan_name *at_out, struct err *why_out)
{
    CLEANUP(fd_closep) int fd = db_open_dir(db, dir[0] != '\0' ? dir : ".");
    enum passed_why why;

    return fd >= 0 && walk_passes(fd, name, &why) &&
           judge(ix, dir, name, why, path, at_out, why_out) == NAMED;
}
