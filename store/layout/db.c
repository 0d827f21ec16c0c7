/* SPDX-License-Identifier: MIT
 *
 * db: see db.h.
 *
 * Two ways lead to a directory below the root.  The usual one is a single
 * openat2(), where the kernel itself refuses to leave the root or to follow a
 * link.  The other goes component by component with O_NOFOLLOW, which comes to
 * the same; it serves kernels before 5.6 and seccomp filters that do not know
 * openat2 (ENOSYS, EPERM), and it is how missing directories are made. */
#include "store/layout/db.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "store/base/cleanup.h"
#include "store/base/dir.h"
#include "store/base/quote.h"
#include "store/base/sys.h"
#include "store/files/own_dir.h"

enum {
    /* Tries before giving up on a directory that others keep removing. */
    RACE_TRIES = 20,
};

/* --- the root ------------------------------------------------------------ */

/* 0: the kernel does not tell. */
static uint64_t mount_of(int fd)
{
    struct statx st;

    return statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &st) == 0 &&
                   (st.stx_mask & STATX_MNT_ID) != 0
               ? st.stx_mnt_id
               : 0;
}

int db_open(struct db *db, const char *path, bool create, struct err *err)
{
    int fd = own_dir_open_path(path, create, err);

    return fd < 0 ? fd : db_open_fd(db, fd, path, err);
}

int db_open_fd(struct db *db, int root_fd, const char *path, struct err *err)
{
    CLEANUP(fd_closep) int fd = root_fd;
    struct stat st;

    if (fstat(fd, &st) < 0) {
        return err_sys(err, errno, "open database %s", QUOTED_STR(path));
    }
    char *copy = strdup(path);
    if (copy == NULL) {
        return err_set(err, ERR_NOMEM, 0, "out of memory");
    }
    uint64_t mount = mount_of(fd);
    *db = (struct db){.root_fd = TAKE_FD(fd),
                      .dev = st.st_dev,
                      .mount = mount,
                      .ino = st.st_ino,
                      .path = copy};
    return 0;
}

void db_close(struct db *db)
{
    fd_closep(&db->root_fd);
    free(db->path);
    db->path = NULL;
}

bool db_is_at(const struct db *db, const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && st.st_dev == db->dev && st.st_ino == db->ino;
}

bool db_root_is_same(const struct db *db)
{
    return db_is_at(db, db->path);
}

bool db_is_mounted(const struct db *db, int fd, const struct stat *st)
{
    return st->st_dev != db->dev &&
           (db->mount == 0 || mount_of(fd) != db->mount);
}

/* --- directories below it ------------------------------------------------ */

static int open_beneath(int root_fd, const char *path, int flags)
{
    struct open_how how = {
        .flags = (uint64_t)(unsigned)flags,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
                   RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
    };

    for (;;) {
        long fd = syscall(SYS_openat2, root_fd, path, &how, sizeof how);
        /* EAGAIN: the kernel could not rule out a concurrent rename. */
        if (fd >= 0 || (errno != EINTR && errno != EAGAIN)) {
            return (int)fd;
        }
    }
}

/* The first component of *path to `out`; *path moves behind its slash, or
 * becomes NULL when it was the last. */
static void next_component(const char **path, char out[NAME_MAX + 1])
{
    const char *slash = strchr(*path, '/');
    size_t n = slash != NULL ? (size_t)(slash - *path) : strlen(*path);

    assert(n <= NAME_MAX);
    memcpy(out, *path, n);
    out[n] = '\0';
    *path = slash != NULL ? slash + 1 : NULL;
}

/* Where something is mounted.  Only the kernel's own word tells a directory
 * mounted over from the one below it when both are of one filesystem. */
static bool is_mounted(int fd)
{
    struct statx st;

    return statx(fd, "", AT_EMPTY_PATH, 0, &st) == 0 &&
           (st.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

static int open_step(int dir_fd, const char *name)
{
    int fd = sys_open_dir(dir_fd, name);

    if (fd >= 0 && strcmp(name, ".") != 0 && is_mounted(fd)) {
        (void)close(fd);
        errno = EXDEV;
        return -1;
    }
    return fd;
}

bool db_is_other(int dir_fd)
{
    struct stat st;

    return fstatat(dir_fd, META_DIR, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISDIR(st.st_mode);
}

bool db_is_lost_found(const struct db *db, const char *path)
{
    struct stat st;

    return strcmp(path, "lost+found") == 0 &&
           fstatat(db->root_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISDIR(st.st_mode) && st.st_uid == 0;
}

/* `fd`, or -1 when it leads into another database. */
static int if_not_other(int fd)
{
    CLEANUP(fd_closep) int mine = fd;

    if (mine >= 0 && db_is_other(mine)) {
        fd_closep(&mine);
        errno = DB_OTHER;
    }
    return TAKE_FD(mine);
}

int db_open_step(int dir_fd, const char *name)
{
    int fd = open_beneath(dir_fd, name, SYS_DIR_FLAGS);

    if (fd < 0 && (errno == ENOSYS || errno == EPERM)) {
        fd = open_step(dir_fd, name);
    }
    return if_not_other(fd);
}

/* Does a directory that leads to `path` (not its last component) have a
 * META_DIR of its own? */
static bool is_below_other(int root_fd, const char *path)
{
    char place[TABLE_PATH_BYTES + sizeof META_DIR];
    struct stat st;

    for (const char *slash = strchr(path, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        size_t n = (size_t)(slash - path) + 1;
        if (n + sizeof META_DIR > sizeof place) {
            return false; /* too long for a table: nothing is opened by it */
        }
        memcpy(place, path, n);
        memcpy(place + n, META_DIR, sizeof META_DIR);
        if (fstatat(root_fd, place, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISDIR(st.st_mode)) {
            return true;
        }
    }
    return false;
}

static int open_by_steps(int root_fd, const char *path)
{
    CLEANUP(fd_closep) int at = open_step(root_fd, ".");
    char name[NAME_MAX + 1];

    while (at >= 0 && path != NULL) {
        next_component(&path, name);
        int next = open_step(at, name);
        int saved = errno;
        fd_closep(&at);
        errno = saved;
        at = next;
    }
    return TAKE_FD(at);
}

int db_open_dir(const struct db *db, const char *path)
{
    int fd = open_beneath(db->root_fd, path, SYS_DIR_FLAGS);

    if (fd < 0 && (errno == ENOSYS || errno == EPERM)) {
        fd = open_by_steps(db->root_fd, path);
    }
    if (strcmp(path, ".") == 0) {
        return fd;
    }
    if (fd >= 0 && is_below_other(db->root_fd, path)) {
        (void)close(fd);
        errno = DB_OTHER;
        return -1;
    }
    return if_not_other(fd);
}

int db_open_file(const struct db *db, const char *path)
{
    if (is_below_other(db->root_fd, path)) {
        errno = DB_OTHER;
        return -1;
    }
    return open_beneath(db->root_fd, path, SYS_FILE_FLAGS);
}

/* A regular file stands where `path` needs a directory: seen, so there is no
 * directory behind it.  (A link, a socket or a mount proves nothing of the
 * kind: what they stand for may be there.) */
static bool file_in_path(const struct db *db, const char *path)
{
    CLEANUP(fd_closep) int at = open_step(db->root_fd, ".");
    char name[NAME_MAX + 1];
    struct stat st;

    while (at >= 0 && path != NULL) {
        next_component(&path, name);
        int next = open_step(at, name);
        if (next < 0) {
            return errno == ENOTDIR &&
                   fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                   S_ISREG(st.st_mode);
        }
        fd_closep(&at);
        at = next;
    }
    return false;
}

/* --- making them --------------------------------------------------------- */

/* Give the directory just made its group and exact mode.  0 or -1. */
static int apply_modes(int dir_fd, const struct table_make *make)
{
    if (make->group != (gid_t)-1 &&
        fchown(dir_fd, (uid_t)-1, make->group) < 0) {
        return -1;
    }
    if (make->dir_mode != 0 && fchmod(dir_fd, make->dir_mode) < 0) {
        return -1;
    }
    return 0;
}

/* Make `name` in `dir_fd`, durably.  1 made, 0 was there, -1 with errno.
 * Until it has its group and mode, nobody else may look inside. */
static int make_step(int dir_fd, const char *name,
                     const struct table_make *make)
{
    mode_t mode = make->dir_mode != 0 ? make->dir_mode & 0700 : 0755;

    if (mkdirat(dir_fd, name, mode) < 0) {
        return errno == EEXIST ? 0 : -1;
    }
    CLEANUP(fd_closep) int fd = open_step(dir_fd, name);
    bool ours = fd >= 0 && own_dir_is_made(dir_fd, fd);
    if (!ours || apply_modes(fd, make) < 0 || sys_fsync(fd) < 0 ||
        sys_fsync(dir_fd) < 0) {
        int saved = fd >= 0 && !ours ? EAGAIN : errno;
        /* A table with the wrong group would stay so: better none. */
        (void)unlinkat(dir_fd, name, AT_REMOVEDIR);
        errno = saved;
        return -1;
    }
    return 1;
}

/* Was it made by a process that died before apply_modes()?  Then only its owner
 * can look inside, although the settings let others in. */
static bool has_other_modes(int dir_fd, const struct table_make *make)
{
    struct stat st;

    return make != NULL && (make->dir_mode & 0077) != 0 &&
           fstat(dir_fd, &st) == 0 && st.st_uid == geteuid() &&
           (st.st_mode & 0777) == (make->dir_mode & 0700);
}

/* Finish what that process began.  0 or -1 with errno. */
static int finish_step(int parent_fd, int dir_fd, const struct table_make *make)
{
    struct stat st;

    if (!has_other_modes(dir_fd, make) || fstat(dir_fd, &st) < 0 ||
        !own_dir_may_change(parent_fd, &st)) {
        return 0;
    }
    if (apply_modes(dir_fd, make) < 0 || sys_fsync(dir_fd) < 0) {
        return -1;
    }
    return sys_fsync(parent_fd);
}

static int make_by_steps(int root_fd, const char *path,
                         const struct table_make *make, bool *created)
{
    CLEANUP(fd_closep) int at = open_step(root_fd, ".");
    char name[NAME_MAX + 1];
    int made = 0;

    while (at >= 0 && path != NULL) {
        next_component(&path, name);
        int next = open_step(at, name);
        made = 0;
        if (next < 0 && errno == ENOENT && make->create) {
            made = make_step(at, name, make);
            next = made < 0 ? -1 : open_step(at, name);
        } else if (next >= 0 && strcmp(name, ".") != 0 && db_is_other(next)) {
            fd_closep(&next);
            errno = DB_OTHER;
        } else if (next >= 0 && finish_step(at, next, make) < 0) {
            int failed = errno;
            fd_closep(&next);
            errno = failed;
        }
        int saved = errno;
        fd_closep(&at);
        errno = saved;
        at = next;
    }
    *created = at >= 0 && made == 1;
    return TAKE_FD(at);
}

int table_open(const struct db *db, const void *name, size_t len,
               const struct table_make *make, bool *created_out,
               struct err *err)
{
    char path[TABLE_PATH_BYTES];
    bool created = false;

    int rc = table_check(name, len, err);
    if (rc < 0) {
        return rc;
    }
    table_path(name, len, path);
    int fd = db_open_dir(db, path);
    if (fd >= 0 && has_other_modes(fd, make)) {
        fd_closep(&fd);
        fd = make_by_steps(db->root_fd, path, make, &created);
    }
    /* ENOENT again: somebody removed a directory while we were inside. */
    for (int i = 0; fd < 0 && errno == ENOENT && i < RACE_TRIES; i++) {
        if (make == NULL || !make->create) {
            break;
        }
        fd = make_by_steps(db->root_fd, path, make, &created);
    }
    int sys = fd < 0 ? errno : 0;
    if (sys == ENOTDIR && (make == NULL || !make->create) &&
        file_in_path(db, path)) {
        return err_set(err, ERR_NOTFOUND, ENOTDIR,
                       "table %s: there is none, a file has the name of its "
                       "directory or of one above it",
                       QUOTED_TABLE(name, len));
    }
    if (sys == EXDEV) {
        return err_set(err, ERR_NOTTABLE, EXDEV,
                       "table %s: something is mounted there or above it",
                       QUOTED_TABLE(name, len));
    }
    if (sys == DB_OTHER) {
        return err_set(err, ERR_NOTTABLE, 0,
                       "table %s: another database lies there or above it (it "
                       "has a " META_DIR " of its own)",
                       QUOTED_TABLE(name, len));
    }
    if (fd < 0) {
        return err_sys(err, sys, "table %s", QUOTED_TABLE(name, len));
    }
    if (created_out != NULL) {
        *created_out = created;
    }
    return fd;
}

/* --- removing them ------------------------------------------------------- */

/* The name of something in the directory; false when there is nothing. */
static bool first_entry(int dir_fd, const char *name, char out[NAME_MAX + 1])
{
    CLEANUP(dir_end) struct dir dir = dir_take(open_step(dir_fd, name));
    const struct dirent *e = dir_next(&dir);

    if (e != NULL) {
        memcpy(out, e->d_name, strlen(e->d_name) + 1);
    }
    return e != NULL;
}

static bool ends_in_table(const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t len;

    return name_is_table(slash != NULL ? slash + 1 : path, &len);
}

/* Remove the plain directories that lead to `path` (which is cut) as long as
 * they are empty.  A failure leaves an empty directory behind, which does no
 * harm, so it is not reported. */
static void remove_empty_parents(const struct db *db, char *path)
{
    for (char *slash; (slash = strrchr(path, '/')) != NULL;) {
        *slash = '\0';
        if (ends_in_table(path)) {
            return;
        }
        char *above = strrchr(path, '/');
        if (above != NULL) {
            *above = '\0';
        }
        CLEANUP(fd_closep) int fd = db_open_dir(db, above ? path : ".");
        const char *name = above != NULL ? above + 1 : path;
        if (fd < 0 || unlinkat(fd, name, AT_REMOVEDIR) < 0 ||
            sys_fsync(fd) < 0) {
            return;
        }
        if (above != NULL) {
            *above = '/';
        }
    }
}

/* Nothing was removed, with `sys`: because there is none? */
static bool is_absent(int dir_fd, const char *name, int sys)
{
    struct stat st;

    return sys == ENOENT ||
           (sys == ENOTDIR &&
            fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode));
}

/* Remove the directory `name` in `dir_fd`. */
static int remove_one(int dir_fd, const char *name, const char *quoted,
                      struct err *err)
{
    char inside[NAME_MAX + 1];

    if (unlinkat(dir_fd, name, AT_REMOVEDIR) < 0) {
        int sys = errno;
        if (is_absent(dir_fd, name, sys)) {
            /* Whoever removed it may have died before his sync. */
            return sys_fsync(dir_fd) < 0
                       ? err_sys(err, errno, "sync the directory of table %s",
                                 quoted)
                       : 0;
        }
        if (sys != ENOTEMPTY && sys != EEXIST) {
            return err_sys(err, sys, "remove table %s", quoted);
        }
        if (!first_entry(dir_fd, name, inside)) {
            (void)memcpy(inside, "?", 2);
        }
        return err_set(err, ERR_EXISTS, 0,
                       "remove table %s: not empty, it contains %s", quoted,
                       QUOTED_STR(inside));
    }
    if (sys_fsync(dir_fd) < 0) {
        return err_sys(err, errno, "sync the directory of table %s", quoted);
    }
    return 0;
}

int table_remove_dir(const struct db *db, const void *name, size_t len,
                     struct err *err)
{
    char path[TABLE_PATH_BYTES];
    const char *quoted = QUOTED_TABLE(name, len);

    int rc = table_check(name, len, err);
    if (rc < 0) {
        return rc;
    }
    if (len == 0) {
        return err_set(err, ERR_INVALID, 0, "the root table cannot be removed");
    }
    table_path(name, len, path);
    char *slash = strrchr(path, '/');
    if (slash != NULL) {
        *slash = '\0';
    }
    CLEANUP(fd_closep) int parent = db_open_dir(db, slash ? path : ".");
    if (parent < 0) {
        int sys = errno;
        return sys == ENOENT || (sys == ENOTDIR && file_in_path(db, path))
                   ? 0
                   : err_sys(err, sys, "remove table %s", quoted);
    }
    rc = remove_one(parent, slash != NULL ? slash + 1 : path, quoted, err);
    if (rc == 0 && slash != NULL) {
        *slash = '/';
        remove_empty_parents(db, path);
    }
    return rc;
}
