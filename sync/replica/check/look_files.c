/* SPDX-License-Identifier: MIT
 *
 * look_files: a walk that stops after so many keys: what is there, how large
 * the largest value is, temporaries that a killed receiver left, and a sample
 * of owners, groups and modes beside the receiver's settings. */
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "store/base/quote.h"
#include "store/base/units.h"
#include "store/layout/walk.h"
#include "sync/errors/state.h"
#include "sync/replica/check/look.h"

enum { GROUP_BYTES = 64 };
enum { KEYS_MAX = 100000, ENOUGH = 1, MODE_BITS = 07777 };

struct walking {
    const struct look *look;
    struct look_files *seen;
    uint64_t wrong;                      /* owner, group or mode */
    char first[300];                     /* one of them */
    char place[TABLE_PATH_BYTES + 1024]; /* and its directory */
    bool sampled;         /* the key of this table was looked at */
    struct stat dir, key; /* the last ones */
    bool any_dir, any_key;
    struct look_rights rights;
    char unread[300]; /* the first that could not be read, and why */
};

/* By its name, but not behind the sandbox, which allows no such question. */
static const char *group_text(const struct look *l, gid_t gid,
                              char out[GROUP_BYTES])
{
    const struct group *g = l->confined == NULL ? getgrgid(gid) : NULL;

    if (g != NULL) {
        (void)snprintf(out, GROUP_BYTES, "%s", g->gr_name);
    } else {
        (void)snprintf(out, GROUP_BYTES, "%u", (unsigned)gid);
    }
    return out;
}

static void note_wrong(struct walking *w, const char *name, size_t len,
                       const struct stat *st)
{
    char path[TABLE_PATH_BYTES], group[GROUP_BYTES];

    w->wrong++;
    if (w->first[0] == '\0') {
        table_path(name, len, path);
        (void)snprintf(w->place, sizeof w->place, "%s/%s", w->look->dir, path);
        (void)snprintf(
            w->first, sizeof w->first, "table %s has mode %04o and group %s",
            QUOTED_TABLE(name, len), (unsigned)(st->st_mode & MODE_BITS),
            group_text(w->look, st->st_gid, group));
    }
}

/* An ACL shows as other group bits: what it allows, it allows on purpose. */
static bool is_other(const struct walking *w, const struct stat *st,
                     mode_t mode)
{
    const struct meta_modes *m = w->look->modes;

    if (m == NULL) {
        return false;
    }
    return (m->group != (gid_t)-1 && st->st_gid != m->group) ||
           ((st->st_mode ^ mode) & (MODE_BITS & ~(mode_t)S_IRWXG)) != 0 ||
           (st->st_mode & S_IRWXG & ~mode) != 0;
}

static int on_table(void *arg, const char *table, size_t len, int dir_fd)
{
    struct walking *w = arg;
    struct stat st;

    w->seen->tables++;
    w->sampled = false;
    /* The root is the operator's. */
    if (len == 0 || fstat(dir_fd, &st) != 0) {
        return 0;
    }
    look_rights_table(&w->rights, table, len, dir_fd, &st);
    w->dir = st;
    w->any_dir = true;
    if (w->look->modes != NULL && is_other(w, &st, w->look->modes->dir_mode)) {
        note_wrong(w, table, len, &st);
    }
    return 0;
}

static int on_key(void *arg, const char *table, size_t len, int dir_fd,
                  const char *key, size_t key_len)
{
    struct walking *w = arg;
    char file[KEY_FILE_BYTES];
    struct stat st;

    if (++w->seen->keys > KEYS_MAX) {
        w->seen->all = false;
        return ENOUGH;
    }
    key_file(key, key_len, file);
    if (fstatat(dir_fd, file, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(st.st_mode)) {
        return 0;
    }
    look_rights_value(&w->rights, table, len, dir_fd, key, key_len, &st);
    if ((uint64_t)st.st_size > w->seen->largest) {
        w->seen->largest = (uint64_t)st.st_size;
    }
    if (!w->sampled && w->look->modes != NULL &&
        is_other(w, &st, w->look->modes->file_mode)) {
        note_wrong(w, table, len, &st);
    }
    w->sampled = w->any_key = true;
    w->key = st;
    return 0;
}

static void note_unread(struct walking *w, const char *kind, const char *name,
                        const struct err *err)
{
    if (w->unread[0] == '\0') {
        (void)snprintf(w->unread, sizeof w->unread, "%s %.180s: %.100s", kind,
                       name, err != NULL ? err->msg : "not read completely");
    }
}

static int on_table_end(void *arg, const char *table, size_t len, bool complete,
                        const struct err *err)
{
    if (!complete) {
        note_unread(arg, "table", QUOTED_TABLE(table, len), err);
    }
    return 0;
}

static int on_plain_incomplete(void *arg, const char *path,
                               const struct err *err)
{
    note_unread(arg, "directory", QUOTED_STR(path), err);
    return 0;
}

/* --- what is said ------------------------------------------------------------- */

static void say_modes(const struct walking *w, struct findings *out)
{
    char hint[2 * QUOTE_MSG_BYTES + 120], group[GROUP_BYTES];

    if (w->wrong > 0) {
        (void)snprintf(hint, sizeof hint,
                       "ls -la %s; the receiver sets them at the next scan: on "
                       "the primary's host: drover verify",
                       QUOTED_STR(w->place));
        finding_warn(out, "modes", DR_REPLICA_MODES, hint,
                     "%s of the sample %s not as the receiver's settings are: "
                     "%s",
                     COUNT_TEXT(w->wrong), w->wrong == 1 ? "is" : "are",
                     w->first);
    } else if (w->any_dir && w->any_key) {
        finding_ok(out, "modes", "directories %04o, values %04o, group %s",
                   (unsigned)(w->dir.st_mode & MODE_BITS),
                   (unsigned)(w->key.st_mode & MODE_BITS),
                   group_text(w->look, w->key.st_gid, group));
    }
}

/* Of a group's members, as far as modes tell. */
static bool enters(const struct stat *st, gid_t group)
{
    return (st->st_mode & (st->st_gid == group ? S_IXGRP : S_IXOTH)) != 0;
}

/* Does a directory on the way keep that group out?  An ACL lets in whom it
 * names.  To out[PATH_MAX]: which. */
static bool is_shut_above(const struct look *l, gid_t group, char *out)
{
    struct stat st;
    char *slash;

    /* Behind the sandbox nothing above is to be seen. */
    if (l->confined != NULL || realpath(l->dir, out) == NULL) {
        return false;
    }
    while ((slash = strrchr(out, '/')) != NULL && slash != out) {
        *slash = '\0';
        if (stat(out, &st) == 0 && !enters(&st, group) &&
            getxattr(out, "system.posix_acl_access", NULL, 0) <= 0) {
            return true;
        }
    }
    return false;
}

/* A group that was named is there to read. */
static void say_readers(const struct walking *w, const struct db *db,
                        struct findings *out)
{
    const struct meta_modes *m = w->look->modes;
    char hint[2 * QUOTE_MSG_BYTES + 60], group[GROUP_BYTES];
    char above[PATH_MAX];
    struct stat st;

    if (m == NULL || m->group == (gid_t)-1 || fstat(db->root_fd, &st) != 0) {
        return;
    }
    (void)group_text(w->look, m->group, group);
    if (!enters(&st, m->group)) {
        (void)snprintf(hint, sizeof hint, "ls -ld %s; chgrp %s %s",
                       QUOTED_STR(db->path), group, QUOTED_STR(db->path));
        finding_warn(out, "readers", 0, hint,
                     "group %s may not enter the directory, whose mode is %04o",
                     group, (unsigned)(st.st_mode & MODE_BITS));
    } else if (is_shut_above(w->look, m->group, above)) {
        (void)snprintf(hint, sizeof hint, "ls -ld %s", QUOTED_STR(above));
        finding_warn(out, "readers", 0, hint,
                     "group %s may not pass %.300s, which is above the "
                     "directory",
                     group, QUOTED_STR(above));
    } else if ((m->file_mode & S_IRGRP) == 0) {
        finding_warn(out, "readers", 0, "",
                     "--file-mode %04o: group %s may not read values",
                     (unsigned)m->file_mode, group);
    } else {
        finding_ok(out, "readers", "group %s may enter and read", group);
    }
}

/* Who is not the receiver may be kept out on purpose. */
static void say_unread(const struct walking *w, uint64_t n,
                       struct findings *out)
{
    struct err err = {0};

    if (n > 0) {
        (void)err_set(&err, ERR_IO, 0, "%s director%s not be read: %s",
                      COUNT_TEXT(n), n == 1 ? "y could" : "ies could",
                      w->unread);
        err.id = DR_REPLICA_IO;
        look_err(w->look, out, w->rights.tried ? FINDING_FAIL : FINDING_WARN,
                 "values", &err);
    }
}

void look_files(const struct look *l, const struct db *db,
                struct look_files *seen, struct findings *out)
{
    static const struct walk_ops OPS = {
        .table_begin = on_table,
        .key = on_key,
        .table_end = on_table_end,
        .plain_incomplete = on_plain_incomplete,
    };
    struct walking w = {
        .look = l,
        .seen = seen,
        .rights = {.dir = l->dir, .tried = look_is_receiver(l, db->root_fd)},
    };
    struct walk_counts counts = {0};
    struct err err = {0};

    *seen = (struct look_files){.all = true};
    int rc = walk_db(db, &OPS, &w, &counts, &err);
    if (rc < 0) {
        err.id = DR_REPLICA_IO;
        look_err(l, out, FINDING_FAIL, "values", &err);
        return;
    }
    seen->temps = counts.temps;
    finding_ok(out, "values", "%s%s key%s in %s table%s, the largest %s",
               seen->all ? "" : "more than ",
               COUNT_TEXT(seen->all ? seen->keys : KEYS_MAX),
               seen->keys == 1 ? "" : "s", COUNT_TEXT(seen->tables),
               seen->tables == 1 ? "" : "s", BYTES_TEXT(seen->largest));
    say_unread(&w, counts.incomplete, out);
    look_rights_say(&w.rights, out);
    if (seen->temps > 0) {
        finding_ok(out, "temporaries",
                   "%s left over or being written; a session sweeps the old "
                   "ones",
                   COUNT_TEXT(seen->temps));
    }
    say_modes(&w, out);
    say_readers(&w, db, out);
}
