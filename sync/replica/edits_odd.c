/* SPDX-License-Identifier: MIT
 *
 * edits_odd: what somebody put into the database that is no value (a link, a
 * pipe, a mount, a file in a table's place), and what cannot be read: it is
 * told as it comes and goes, and not by the next scan alone.
 *
 * Events name what came; scans, which the agent or a mount asks for, meet all.
 * What is known is looked at each second: what is foreign shows by itself when
 * it has gone; of the rest only a scan can tell, which is asked for when a stat
 * shows that something happened to it.
 */
#include <stdio.h>
#include <string.h>

#include "sync/replica/edits_impl.h"

enum { LOOK_MS = 1000 };

/* --- what is foreign ------------------------------------------------------ */

void edits_odd_look(struct edits *e, const char *dir, const char *name)
{
    char path[SCAN_FOREIGN_BYTES];
    struct scan_name at;
    struct err why;

    if (!scan_is_foreign(&e->rv->disk.meta.db, e->rv->index, dir, name, path,
                         &at, &why)) {
        return;
    }
    pthread_mutex_lock(&e->mutex);
    struct edit_odd *odd = edit_odds_add(&e->odds, at.table, at.table_len,
                                         at.key, at.key_len, why.msg);
    if (odd != NULL) {
        odd->foreign = true;
    }
    pthread_mutex_unlock(&e->mutex);
}

void edits_odd_look_key(struct edits *e, const struct scan_name *at)
{
    char path[TABLE_PATH_BYTES], file[KEY_FILE_BYTES];

    if (at->key != NULL) {
        table_path(at->table, at->table_len, path);
        key_file(at->key, at->key_len, file);
        edits_odd_look(e, at->table_len > 0 ? path : "", file);
    }
}

static bool is_foreign(const struct edits *e, const char *dir, const char *name)
{
    char path[SCAN_FOREIGN_BYTES];
    struct scan_name at;
    struct err why;

    return scan_is_foreign(&e->rv->disk.meta.db, e->rv->index, dir, name, path,
                           &at, &why);
}

/* `path` is cut at its last slash. */
static bool is_foreign_at(const struct edits *e, char *path)
{
    char *slash = strrchr(path, '/');

    if (slash == NULL) {
        return is_foreign(e, "", path);
    }
    *slash = '\0';
    return is_foreign(e, path, slash + 1);
}

static bool is_foreign_still(const struct edits *e, const struct edit_odd *odd)
{
    char path[TABLE_PATH_BYTES], file[KEY_FILE_BYTES];

    table_path(odd->text, odd->table_len, path);
    if (!odd->is_table) {
        key_file(odd->text + odd->table_len + 1, odd->key_len, file);
        return is_foreign(e, odd->table_len > 0 ? path : "", file);
    }
    if (is_foreign_at(e, path)) {
        return true;
    }
    /* Or a link that is called so, which may lead to tables. */
    memcpy(path, odd->text, odd->table_len);
    path[odd->table_len] = '\0';
    return is_foreign_at(e, path);
}

/* --- what is known -------------------------------------------------------- */

/* Under the mutex.  True: only a scan can tell. */
static bool look_again(struct edits *e, struct edit_odd *odd)
{
    int root_fd = e->rv->disk.meta.db.root_fd;

    if (is_foreign_still(e, odd)) {
        odd->foreign = true;
        return false;
    }
    if (odd->foreign) {
        return edit_odds_drop(&e->odds, odd);
    }
    struct edit_odd_stat now = edit_odd_stat(root_fd, odd);
    bool same = edit_odd_same(&now, &odd->stat);
    odd->stat = now;
    return !same;
}

static bool look_at_all(struct edits *e)
{
    struct edit_odd *odd, *next;
    bool lost = false;

    pthread_mutex_lock(&e->mutex);
    HASH_ITER(hh, e->odds.all, odd, next) {
        lost = look_again(e, odd) || lost;
    }
    pthread_mutex_unlock(&e->mutex);
    return lost;
}

bool edits_odd_check(struct edits *e, int64_t now_ms)
{
    if (now_ms - e->odd_looked_ms < LOOK_MS) {
        return false;
    }
    e->odd_looked_ms = now_ms;
    return look_at_all(e);
}

void edits_odd_tell(struct edits *e)
{
    char why[EDIT_ODD_WHY_BYTES];
    struct err ignored; /* the session ends, which others tell */

    pthread_mutex_lock(&e->mutex);
    bool untold = e->odds.untold;
    struct wire_blind m = {.errors = edit_odds_count(&e->odds)};
    (void)snprintf(why, sizeof why, "%s", edit_odds_why(&e->odds));
    e->odds.untold = false;
    pthread_mutex_unlock(&e->mutex);
    if (untold) {
        m.first_error = bytes_of(why, strlen(why));
        (void)(receiver_blind(e->rv->core, &m, &ignored) == 0);
    }
}

int edits_odd_pause_ms(struct edits *e)
{
    pthread_mutex_lock(&e->mutex);
    bool any = e->odds.all != NULL;
    pthread_mutex_unlock(&e->mutex);
    return any ? LOOK_MS : -1;
}

/* --- scans ---------------------------------------------------------------- */

void edits_unread_begin(struct edits *e)
{
    if (e != NULL) {
        pthread_mutex_lock(&e->mutex);
        edit_odds_scan_begin(&e->odds);
        pthread_mutex_unlock(&e->mutex);
    }
}

void edits_unread(struct edits *e, const struct err *why, const char *table,
                  size_t table_len, const char *key, size_t key_len)
{
    if (e == NULL || why == NULL) {
        return; /* it is busy: that is another state */
    }
    pthread_mutex_lock(&e->mutex);
    struct edit_odd *odd =
        edit_odds_scan_met(&e->odds, table, table_len, key, key_len, why->msg);
    if (odd != NULL) {
        odd->foreign = is_foreign_still(e, odd);
        odd->stat = edit_odd_stat(e->rv->disk.meta.db.root_fd, odd);
    }
    pthread_mutex_unlock(&e->mutex);
}

void edits_unread_end(struct edits *e, const struct scan_result *result)
{
    if (e != NULL) {
        pthread_mutex_lock(&e->mutex);
        edit_odds_scan_end(&e->odds,
                           result->errors + result->counts.incomplete +
                               result->foreign,
                           result->first_error);
        pthread_mutex_unlock(&e->mutex);
        edits_wake(e);
    }
}
