/* SPDX-License-Identifier: MIT
 *
 * suspects: see suspects.h.
 *
 * Each table is listed once to see whether it has a key with '*' at all, which
 * few have, and only then once more for the names that may be its temporaries.
 */
#include "store/layout/suspects.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/dir.h"
#include "store/base/sys.h"
#include "store/layout/name.h"
#include "store/layout/placeholder.h"
#include "store/layout/startemp.h"
#include "store/layout/walk.h"

struct search {
    suspect_fn fn;
    void *arg;
    const char *table;
    size_t table_len;
    int dir_fd;
    struct err first; /* code 0: none */
};

/* Call `fn` for every key's name until it returns something else than 0. */
static int each_key(struct search *s,
                    int (*fn)(struct search *s, const char *key, size_t len))
{
    CLEANUP(dir_end) struct dir dir = dir_list(s->dir_fd, ".");
    int rc = 0;

    for (const struct dirent *e; rc == 0 && (e = dir_next(&dir)) != NULL;) {
        size_t len;
        if (name_is_key(e->d_name, &len)) {
            rc = fn(s, e->d_name, len);
        }
    }
    if (dir.sys != 0 && s->first.code == 0) {
        (void)err_sys(&s->first, dir.sys, "look for suspects");
    }
    return rc;
}

static int has_star(struct search *s, const char *key, size_t len)
{
    (void)s;
    return len > 0 && memchr(key, '*', len) != NULL;
}

static bool is_there(int dir_fd, const char *key, size_t len)
{
    char file[KEY_FILE_BYTES];
    struct stat st;

    key_file(key, len, file);
    return fstatat(dir_fd, file, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(st.st_mode);
}

/* As far as its stat and its lock tell. */
static bool is_left(int dir_fd, const char *file)
{
    CLEANUP(fd_closep) int fd = sys_open_file(dir_fd, file);
    struct stat st;

    return fd >= 0 && fstat(fd, &st) == 0 && startemp_file(&st) &&
           !placeholder_is(fd, &st) && sys_flock(fd, LOCK_SH) == 0;
}

static int check(struct search *s, const char *key, size_t len)
{
    struct startemp may = {.key = key, .len = len};
    char of[KEY_MAX_BYTES], file[KEY_FILE_BYTES];
    size_t of_len;

    while (startemp_next(&may, of, &of_len)) {
        if (!is_there(s->dir_fd, of, of_len)) {
            continue;
        }
        key_file(key, len, file);
        return is_left(s->dir_fd, file)
                   ? s->fn(s->arg, s->table, s->table_len, key, len, of, of_len)
                   : 0;
    }
    return 0;
}

static int on_table(void *arg, const char *table, size_t len, int dir_fd)
{
    struct search *s = arg;

    s->table = table;
    s->table_len = len;
    s->dir_fd = dir_fd;
    return each_key(s, has_star) != 0 ? each_key(s, check) : 0;
}

static int on_table_end(void *arg, const char *table, size_t len, bool complete,
                        const struct err *why)
{
    struct search *s = arg;

    (void)table, (void)len;
    if (!complete && s->first.code == 0) {
        s->first = *why;
    }
    return 0;
}

int suspects_find(const struct db *db, suspect_fn fn, void *arg,
                  struct err *err)
{
    static const struct walk_ops ops = {.table_begin = on_table,
                                        .table_end = on_table_end};
    struct search s = {.fn = fn, .arg = arg};

    int rc = walk_db(db, &ops, &s, NULL, err);
    if (rc == 0 && s.first.code != 0) {
        *err = s.first;
        rc = err->code;
    }
    return rc;
}
