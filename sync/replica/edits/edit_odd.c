/* SPDX-License-Identifier: MIT
 *
 * edit_odd: see edit_odd.h.
 */
#include "sync/replica/edits/edit_odd.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/clock.h"
#include "sync/replica/edits/edit_names.h"

/* --- the set -------------------------------------------------------------- */

static struct edit_odd *new_odd(struct edit_odds *o, const char *text,
                                size_t len)
{
    struct edit_odd *odd =
        HASH_COUNT(o->all) < EDIT_ODD_MAX ? calloc(1, sizeof *odd + len) : NULL;

    if (odd == NULL) {
        return NULL;
    }
    memcpy(odd->text, text, len);
    HASH_ADD(hh, o->all, text, len, odd);
    if (!map_added(odd)) {
        free(odd);
        return NULL;
    }
    return odd;
}

/* NULL: no room, or no name of ours. */
static struct edit_odd *find_or_new(struct edit_odds *o, const char *table,
                                    size_t table_len, const char *key,
                                    size_t key_len, bool *new_out)
{
    char text[EDIT_TEXT_BYTES];
    size_t len = edit_names_text(text, table, table_len, key, key_len);
    struct edit_odd *odd;

    *new_out = false;
    if (len == 0) {
        return NULL;
    }
    HASH_FIND(hh, o->all, text, len, odd);
    if (odd != NULL) {
        return odd;
    }
    odd = new_odd(o, text, len);
    if (odd != NULL) {
        *new_out = true;
        odd->is_table = key == NULL;
        odd->table_len = table_len;
        odd->key_len = key_len;
    }
    return odd;
}

struct edit_odd *edit_odds_add(struct edit_odds *o, const char *table,
                               size_t table_len, const char *key,
                               size_t key_len, const char *why)
{
    bool is_new;
    struct edit_odd *odd =
        find_or_new(o, table, table_len, key, key_len, &is_new);

    if (odd == NULL) {
        o->untold = o->untold || o->more == 0;
        o->more = o->more > 0 ? o->more : 1;
        return NULL;
    }
    odd->scan = o->scan;
    if (is_new) {
        o->untold = true;
        (void)snprintf(odd->why, sizeof odd->why, "%s", why);
    }
    return odd;
}

static void forget(struct edit_odds *o, struct edit_odd *odd)
{
    HASH_DEL(o->all, odd);
    free(odd);
}

bool edit_odds_drop(struct edit_odds *o, struct edit_odd *odd)
{
    forget(o, odd);
    o->untold = true;
    return o->all == NULL && o->more > 0;
}

void edit_odds_clear(struct edit_odds *o)
{
    struct edit_odd *odd, *next;

    HASH_ITER(hh, o->all, odd, next) {
        forget(o, odd);
    }
}

/* --- scans ---------------------------------------------------------------- */

void edit_odds_scan_begin(struct edit_odds *o)
{
    o->scan++;
    o->met = 0;
}

struct edit_odd *edit_odds_scan_met(struct edit_odds *o, const char *table,
                                    size_t table_len, const char *key,
                                    size_t key_len, const char *why)
{
    struct edit_odd *odd =
        edit_odds_add(o, table, table_len, key, key_len, why);

    o->met += odd != NULL;
    return odd;
}

void edit_odds_scan_end(struct edit_odds *o, uint64_t count, const char *why)
{
    struct edit_odd *odd, *next;

    HASH_ITER(hh, o->all, odd, next) {
        if (odd->scan != o->scan) {
            forget(o, odd);
        }
    }
    o->more = count > o->met ? count - o->met : 0;
    o->untold = true;
    (void)snprintf(o->why, sizeof o->why, "%s", why);
}

uint64_t edit_odds_count(const struct edit_odds *o)
{
    return HASH_COUNT(o->all) + o->more;
}

const char *edit_odds_why(const struct edit_odds *o)
{
    return o->all != NULL ? o->all->why : o->more > 0 ? o->why : "";
}

/* --- looks ---------------------------------------------------------------- */

/* `plain`: the directory of a table's name that is none. */
static void path_of(const struct edit_odd *odd, bool plain,
                    char path[TABLE_PATH_BYTES + KEY_FILE_BYTES])
{
    size_t n = 0;

    if (plain) {
        memcpy(path, odd->text, odd->table_len);
        path[odd->table_len] = '\0';
        return;
    }
    table_path(odd->text, odd->table_len, path);
    if (odd->is_table) {
        return;
    }
    if (odd->table_len > 0) {
        n = strlen(path);
        path[n++] = '/';
    }
    key_file(odd->text + odd->table_len + 1, odd->key_len, path + n);
}

static bool look(int root_fd, const struct edit_odd *odd, bool plain,
                 struct stat *st)
{
    char path[TABLE_PATH_BYTES + KEY_FILE_BYTES];

    path_of(odd, plain, path);
    return fstatat(root_fd, path, st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) ==
           0;
}

/* A table's name may also be that of a plain directory. */
struct edit_odd_stat edit_odd_stat(int root_fd, const struct edit_odd *odd)
{
    struct stat st;

    if (!look(root_fd, odd, false, &st) &&
        !(odd->is_table && odd->table_len > 0 &&
          look(root_fd, odd, true, &st))) {
        return (struct edit_odd_stat){.there = false};
    }
    return (struct edit_odd_stat){
        .there = true,
        .dev = st.st_dev,
        .ino = st.st_ino,
        .mode = st.st_mode,
        .uid = st.st_uid,
        .gid = st.st_gid,
        .ctime_ns = S_ISDIR(st.st_mode)
                        ? 0
                        : st.st_ctim.tv_sec * NS_PER_S + st.st_ctim.tv_nsec};
}

bool edit_odd_same(const struct edit_odd_stat *a, const struct edit_odd_stat *b)
{
    return a->there == b->there && a->dev == b->dev && a->ino == b->ino &&
           a->mode == b->mode && a->uid == b->uid && a->gid == b->gid &&
           a->ctime_ns == b->ctime_ns;
}
