/* SPDX-License-Identifier: MIT
 *
 * meta: see meta.h.  Only the holder of the session lock writes a file by
 * meta_replace(), which has one temporary name per file (takeover is the
 * exception: it brings its own name).
 */
#include "sync/replica/meta/meta.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/dir.h"
#include "store/base/hex.h"
#include "store/base/sys.h"
#include "store/files/newfile.h"
#include "store/files/own_dir.h"
#include "store/files/small_file.h"
#include "store/layout/fresh_age.h"
#include "store/layout/walk.h"
#include "sync/replica/meta/inside.h"

int meta_error_id(const struct err *err)
{
    if (err->code == ERR_NOSPACE) {
        return DR_REPLICA_FULL;
    }
    switch (err->sys) {
    case EIO:
    case EROFS:
    case EUCLEAN:
    case ENODEV:
    case ENXIO:
        return DR_REPLICA_IO;
    default:
        return DR_INSTALL;
    }
}

/* A directory that cannot serve as a replica: number and path. */
static int refuse_dir(struct err *err, const char *path)
{
    int id = meta_error_id(err);

    err->id = id == DR_REPLICA_FULL ? id : DR_REPLICA_DIR;
    if (err->sys == EIO || err->sys == EUCLEAN) {
        err->id = DR_REPLICA_IO;
    }
    return err_wrap(err, "replica directory %s", path);
}

/* Open directory `name` below `at`; make it first when it is missing.  Modes
 * and group are set each time: they may come from changed settings. */
static int open_dir(int at, const char *name, const struct meta_modes *modes,
                    struct err *err)
{
    const struct own_dir how = {.mode = modes->dir_mode,
                                .group = modes->group,
                                .renew = true,
                                .give = true};
    int fd = own_dir_open(at, name, &how, NULL, err);

    if (fd == ERR_PERM && modes->group != (gid_t)-1) {
        return err_wrap(err,
                        "for group %ju (is the receiver's user a member of "
                        "it?)",
                        (uintmax_t)modes->group);
    }
    return fd;
}

/* The directory itself is made when missing, but not its parents: a missing
 * parent is more likely a disk that is not mounted than a wish. */
static int make_root(const char *path, const struct meta_modes *modes,
                     struct err *err)
{
    struct stat st;

    if (stat(path, &st) == 0) {
        return 0;
    }
    if (errno != ENOENT) {
        return err_sys(err, errno, "stat");
    }
    const struct own_dir how = {.mode = modes->dir_mode, .group = modes->group};
    CLEANUP(fd_closep) int fd = own_dir_open_at(path, &how, err);

    return fd < 0 ? err_wrap(err, "does not exist and cannot be made") : 0;
}

/* The group that new directories get; (gid_t)-1: any will do. */
static gid_t group_wanted(const struct stat *dir,
                          const struct meta_modes *modes)
{
    return modes->group == (gid_t)-1 && (modes->dir_mode & S_ISGID) != 0 &&
                   (dir->st_mode & S_ISGID) != 0
               ? dir->st_gid
               : modes->group;
}

/* A group can be given, and the setgid bit of a directory kept, by its members
 * only: without that nested tables would fail one by one, or silently get a
 * group that readers are not in. */
static int check_group(gid_t gid, struct err *err)
{
    if (gid == (gid_t)-1 || geteuid() == 0 || gid == getegid() ||
        group_member(gid)) {
        return 0;
    }
    const struct passwd *user = getpwuid(geteuid());
    const struct group *group = getgrgid(gid);
    if (user == NULL || group == NULL) {
        return err_set(err, ERR_PERM, 0,
                       "user %ju is not a member of group %ju",
                       (uintmax_t)geteuid(), (uintmax_t)gid);
    }
    return err_set(err, ERR_PERM, 0,
                   "user %s is not a member of group %s; as root on the "
                   "replica: usermod -aG %s %s",
                   user->pw_name, group->gr_name, group->gr_name,
                   user->pw_name);
}

int meta_check_group(const char *path, const struct meta_modes *modes,
                     struct err *err)
{
    struct stat st = {0};

    if (stat(path, &st) != 0) {
        st.st_mode = 0; /* said when it is opened */
    }
    if (check_group(group_wanted(&st, modes), err) < 0) {
        (void)refuse_dir(err, path);
        return err->code;
    }
    return 0;
}

static int open_below(struct meta *m, const struct meta_modes *modes,
                      struct err *err)
{
    struct stat st;

    if (fstatat(m->db.root_fd, META_DIR "/" META_FILE_PRIMARY, &st,
                AT_SYMLINK_NOFOLLOW) == 0 &&
        fstatat(m->db.root_fd, META_DIR "/" META_FILE_REPLICA, &st,
                AT_SYMLINK_NOFOLLOW) != 0) {
        return err_set(err, ERR_REFUSED, 0,
                       "is a primary itself (it has " META_DIR
                       "/" META_FILE_PRIMARY "); a copy of a primary must come "
                       "without " META_DIR);
    }
    int rc = inside_check(m->db.root_fd, false, m->db.path, err);

    if (rc != 0) {
        return rc;
    }
    if (faccessat(m->db.root_fd, ".", R_OK | W_OK | X_OK, AT_EACCESS) != 0) {
        return err_sys(err, errno, "is not writable for the receiver's user");
    }
    if (fstat(m->db.root_fd, &st) != 0) {
        return err_sys(err, errno, "stat");
    }
    rc = check_group(group_wanted(&st, modes), err);
    if (rc != 0) {
        return rc;
    }
    m->fd = open_dir(m->db.root_fd, META_DIR, modes, err);
    if (m->fd < 0) {
        return m->fd;
    }
    if (faccessat(m->fd, ".", W_OK | X_OK, AT_EACCESS) != 0) {
        return err_sys(err, errno, META_DIR " is not writable");
    }
    return 0;
}

int meta_open(struct meta *m, const char *path, const struct meta_modes *modes,
              struct err *err)
{
    *m = (struct meta){.fd = -1};
    if (make_root(path, modes, err) != 0) {
        return refuse_dir(err, path);
    }
    if (db_open(&m->db, path, false, err) != 0) {
        (void)refuse_dir(err, path);
        return err->code;
    }
    int rc = open_below(m, modes, err);
    if (rc != 0) {
        if (err->id != DR_NESTED) {
            (void)refuse_dir(err, path);
        }
        if (rc == ERR_REFUSED && err->id != DR_NESTED) {
            err->id = DR_IS_PRIMARY;
        }
        meta_close(m);
    }
    return rc;
}

int meta_inspect(struct meta *m, const char *path, struct err *err)
{
    *m = (struct meta){.fd = -1};
    int rc = db_open(&m->db, path, false, err);
    if (rc != 0) {
        return rc;
    }
    m->fd = sys_open_dir(m->db.root_fd, META_DIR);
    if (m->fd < 0) {
        rc = err_sys(err, errno, "%s/" META_DIR, path);
        meta_close(m);
    }
    return rc;
}

void meta_close(struct meta *m)
{
    fd_closep(&m->fd);
    db_close(&m->db);
}

/* A newcomer that asks for the lock writes without holding it: what is so old
 * has nobody who waits. */
static bool is_left_over(int meta_fd, const char *name)
{
    const size_t suffix = sizeof ".new" - 1;
    size_t n = strlen(name);
    struct stat st;

    if (strncmp(name, META_FILE_TAKEOVER "-",
                sizeof META_FILE_TAKEOVER "-" - 1) == 0) {
        return fstatat(meta_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
               clock_real_ns() - clock_of_timespec(st.st_mtim) > 60 * NS_PER_S;
    }
    return n > suffix && strcmp(name + n - suffix, ".new") == 0;
}

void meta_sweep(int meta_fd)
{
    CLEANUP(dir_end) struct dir dir = dir_list(meta_fd, ".");

    for (const struct dirent *e; (e = dir_next(&dir)) != NULL;) {
        if (is_left_over(meta_fd, e->d_name)) {
            (void)unlinkat(meta_fd, e->d_name, 0);
        }
    }
}

int meta_replace(int meta_fd, const char *file, const void *text, size_t len,
                 const struct small_how *how, struct err *err)
{
    int rc = small_write(meta_fd, file, text, len, how, err);

    return rc < 0 ? err_wrap(err, META_DIR) : 0;
}

int meta_read(int meta_fd, const char *file, char *out, size_t room,
              struct stat *st_out, struct err *err)
{
    int rc = small_read(meta_fd, file, out, room, st_out, err);

    return rc < 0 ? err_wrap(err, META_DIR) : 0;
}

void meta_id_text(const uint8_t id[META_ID_BYTES], char out[META_ID_TEXT])
{
    (void)hex_encode(out, id, META_ID_BYTES);
}

bool meta_id_parse(const char *text, uint8_t out[META_ID_BYTES])
{
    char digits[META_ID_TEXT];
    size_t n = 0;

    for (; *text != '\0'; text++) {
        if (*text == '-' && n > 0) {
            continue;
        }
        if (n == sizeof digits - 1) {
            return false;
        }
        digits[n++] = *text;
    }
    return hex_decode(out, META_ID_BYTES, digits, n);
}

size_t meta_freshness_text(const struct meta_freshness *f,
                           char out[META_TEXT_MAX])
{
    char hex[META_ID_TEXT];

    meta_id_text(f->db_id, hex);
    int n = snprintf(out, META_TEXT_MAX,
                     "db=%s epoch=%" PRIu64 " seq=%" PRIu64 " state=%s\n", hex,
                     f->epoch, f->seq, f->state);
    assert(n > 0 && n < META_TEXT_MAX);
    return (size_t)n;
}

int meta_freshness_read(int meta_fd, struct meta_freshness *out,
                        struct err *err)
{
    char text[META_TEXT_MAX], hex[META_ID_TEXT];
    struct stat st;
    int rc =
        meta_read(meta_fd, META_FILE_FRESHNESS, text, sizeof text, &st, err);

    if (rc != 0) {
        return rc;
    }
    struct meta_freshness f = {.fresh_ns = 0};
    int n = sscanf(
        text, "db=%32[0-9a-f] epoch=%" SCNu64 " seq=%" SCNu64 " state=%15[a-z]",
        hex, &f.epoch, &f.seq, f.state);
    if (n != 4 || !meta_id_parse(hex, f.db_id)) {
        return err_set(err, ERR_CORRUPT, 0,
                       META_DIR "/" META_FILE_FRESHNESS " makes no sense");
    }
    f.fresh_ns = clock_of_timespec(st.st_mtim);
    f.age_ns = fresh_age_ns(&st, clock_real_ns());
    *out = f;
    return 0;
}

/* Data is an answer, but another database below it is a better one: who is told
 * of data may empty the directory.  So the walk goes on, within a bound. */
enum { ENOUGH_KEYS = 1000000, ENOUGH = 1 };

struct contents {
    bool data;
    uint64_t keys;
    char other[TABLE_PATH_BYTES]; /* "": none */
};

static int on_table(void *arg, const char *table, size_t len, int dir_fd)
{
    struct contents *c = arg;

    (void)table, (void)dir_fd;
    c->data = c->data || len > 0;
    return 0;
}

static int on_key(void *arg, const char *table, size_t len, int dir_fd,
                  const char *key, size_t key_len)
{
    struct contents *c = arg;

    (void)table, (void)len, (void)dir_fd, (void)key, (void)key_len;
    c->data = true;
    return ++c->keys == ENOUGH_KEYS ? ENOUGH : 0;
}

static int on_other(void *arg, const char *path)
{
    struct contents *c = arg;

    (void)snprintf(c->other, sizeof c->other, "%s", path);
    return ENOUGH;
}

int meta_holds_data(const struct db *db, struct err *err)
{
    static const struct walk_ops ops = {
        .table_begin = on_table, .key = on_key, .other = on_other};
    struct contents c = {.data = false};
    struct walk_counts counts = {0};
    int rc = walk_db(db, &ops, &c, &counts, err);

    if (rc < 0) {
        return rc;
    }
    if (c.other[0] != '\0') {
        (void)err_set(err, ERR_REFUSED, 0,
                      "%.200s contains another database, %.300s", db->path,
                      c.other);
        err->id = DR_NESTED;
        return err->code;
    }
    if (c.data) {
        return 1;
    }
    if (counts.incomplete > 0) {
        return err_set(err, ERR_PERM, 0,
                       "parts of %s cannot be read, so it is not known to be "
                       "empty",
                       db->path);
    }
    return 0;
}

int meta_open_sub(int meta_fd, const char *name, const struct meta_modes *modes,
                  struct err *err)
{
    return open_dir(meta_fd, name, modes, err);
}
