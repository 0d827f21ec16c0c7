/* SPDX-License-Identifier: MIT
 *
 * own_dir: see own_dir.h.
 *
 * What a stranger cannot do, and what is built on that: move a directory that
 * is not his to another parent, make a file or directory that is root's, put
 * something in a directory he may not write to.  What he can: rename within a
 * directory of his whatever is in it, also root's.  So an empty directory of
 * root's may be another one than was made, but nothing is lost with it. */
#include "store/files/own_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdint.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/dir.h"
#include "store/base/quote.h"
#include "store/base/sys.h"

enum { LINKS_MAX = 40, RACE_TRIES = 20 };

bool own_dir_is_shared(const struct stat *dir)
{
    return dir->st_uid != 0 || (dir->st_mode & (S_IWGRP | S_IWOTH)) != 0;
}

/* --- a path -------------------------------------------------------------- */

struct way {
    int at; /* O_PATH: as far as we have come */
    char text[PATH_MAX];
    const char *rest; /* at its end: a link's text comes before it */
    uid_t link_uid;   /* of the links in it that are not root's, 0: none */
    uid_t other_uid;  /* when it is refused: of what they lead to */
    bool refused;
    unsigned links;
    mode_t make;  /* missing directories, with this mode; 0: not */
    bool trusted; /* whoever's links are in it */
};

/* The steps below return 0, or -1 with errno. */

static int refuse(struct way *w, uid_t uid)
{
    w->other_uid = uid;
    w->refused = true;
    errno = EPERM;
    return -1;
}

/* Whoever owns the link must own what it leads to. */
static int check_end(struct way *w)
{
    struct stat st;

    if (fstat(w->at, &st) != 0) {
        return -1;
    }
    return w->link_uid != 0 && st.st_uid != w->link_uid ? refuse(w, st.st_uid)
                                                        : 0;
}

static int go_to(struct way *w, int fd)
{
    if (fd < 0) {
        return -1;
    }
    fd_closep(&w->at);
    w->at = fd;
    return 0;
}

static int start(struct way *w)
{
    return go_to(w, sys_open(w->rest[0] == '/' ? "/" : ".",
                             O_PATH | O_DIRECTORY | O_CLOEXEC));
}

/* The first name of the rest to `name`; false: there is none. */
static bool next_name(struct way *w, char name[NAME_MAX + 2])
{
    const char *from = w->rest + strspn(w->rest, "/");
    size_t n = strcspn(from, "/");
    size_t some = n <= NAME_MAX ? n : NAME_MAX + 1; /* ENAMETOOLONG */

    memcpy(name, from, some);
    name[some] = '\0';
    w->rest = from + n;
    return n > 0;
}

/* The text of link `fd` comes before the rest of the way. */
static int follow(struct way *w, int fd, uid_t uid)
{
    char text[PATH_MAX];
    ssize_t n = readlinkat(fd, "", text, sizeof text);

    if (n < 0) {
        return -1;
    }
    if (++w->links > LINKS_MAX || n > w->rest - w->text) {
        errno = ELOOP;
        return -1;
    }
    if (uid != 0 && geteuid() == 0 && !w->trusted) {
        if (w->link_uid != 0 && w->link_uid != uid) {
            return refuse(w, uid);
        }
        w->link_uid = uid;
    }
    w->rest = memcpy(w->text + (w->rest - w->text) - n, text, (size_t)n);
    return w->rest[0] == '/' ? start(w) : 0;
}

static bool in_proc(int fd)
{
    struct statfs fs;

    return fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

/* `name` is no directory: a link? */
static int step_link(struct way *w, const char *name)
{
    CLEANUP(fd_closep)
    int fd = sys_openat(w->at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) != 0) {
        return -1;
    }
    if (!S_ISLNK(st.st_mode)) {
        errno = ENOTDIR;
        return -1;
    }
    /* The kernel's own links are no text (/proc/self/fd/3). */
    return in_proc(w->at)
               ? go_to(w, sys_openat(w->at, name,
                                     O_PATH | O_DIRECTORY | O_CLOEXEC, 0))
               : follow(w, fd, st.st_uid);
}

static int make_one(struct way *w, const char *name)
{
    if (check_end(w) != 0 ||
        (mkdirat(w->at, name, w->make) != 0 && errno != EEXIST)) {
        return -1;
    }
    if (w->trusted) {
        return 0;
    }
    CLEANUP(fd_closep)
    int above = sys_openat(w->at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);

    return above < 0 ? -1 : sys_fsync(above);
}

static int step(struct way *w, const char *name)
{
    const int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = sys_openat(w->at, name, flags, 0);

    if (fd < 0 && errno == ENOENT && w->make != 0) {
        if (make_one(w, name) != 0) {
            return -1;
        }
        fd = sys_openat(w->at, name, flags, 0);
    }
    return fd < 0 && (errno == ENOTDIR || errno == ELOOP) ? step_link(w, name)
                                                          : go_to(w, fd);
}

/* To the end of `path`: w->at. */
static int walk(struct way *w, const char *path)
{
    char name[NAME_MAX + 2];
    size_t len = strlen(path);

    if (len == 0 || len >= sizeof w->text) {
        errno = len == 0 ? ENOENT : ENAMETOOLONG;
        return -1;
    }
    w->rest = memcpy(w->text + sizeof w->text - len - 1, path, len + 1);
    int rc = start(w);
    while (rc == 0 && next_name(w, name)) {
        rc = step(w, name);
    }
    return rc != 0 ? -1 : check_end(w);
}

/* Done; errno stays. */
static void leave(struct way *w)
{
    int sys = errno;

    fd_closep(&w->at);
    errno = sys;
}

int own_dir_open_path(const char *path, bool create, struct err *err)
{
    struct way w = {.at = -1, .make = create ? 0755 : 0};
    size_t len = strlen(path);
    int fd = walk(&w, path) != 0
                 ? -1
                 : sys_openat(w.at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);

    leave(&w);
    if (fd < 0 && w.refused) {
        return err_set(err, ERR_REFUSED, 0,
                       "%s: a link of user %ju in it leads to what is user "
                       "%ju's, and root does not follow it; name the directory "
                       "by a path without that link",
                       QUOTED(path, len), (uintmax_t)w.link_uid,
                       (uintmax_t)w.other_uid);
    }
    return fd >= 0 ? fd
                   : err_sys(err, errno, "%s database %s",
                             create ? "create" : "open", QUOTED(path, len));
}

int own_dir_make_path(const char *path, mode_t mode, struct err *err)
{
    struct way w = {.at = -1, .make = mode, .trusted = true};
    int rc = walk(&w, path);

    leave(&w);
    return rc != 0 ? err_sys(err, errno, "mkdir %s", path) : 0;
}

/* --- one below ----------------------------------------------------------- */

static bool is_empty(int dir_fd)
{
    CLEANUP(dir_end) struct dir dir = dir_list(dir_fd, ".");

    return dir_next(&dir) == NULL && dir.sys == 0;
}

bool own_dir_is_blank(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && st.st_uid == geteuid() && is_empty(fd);
}

/* Have others a hand in what is in `at`? */
static bool is_exposed(int at)
{
    struct stat st;

    return geteuid() == 0 && (fstat(at, &st) != 0 || own_dir_is_shared(&st));
}

bool own_dir_is_made(int at, int fd)
{
    return !is_exposed(at) || own_dir_is_blank(fd);
}

bool own_dir_may_change(int at, const struct stat *st)
{
    struct stat above;

    return !is_exposed(at) ||
           (fstat(at, &above) == 0 && above.st_uid == st->st_uid);
}

/* 0, -1 with errno. */
static int dress(int at, int fd, const struct own_dir *how, bool made)
{
    struct stat st, above;

    if (fstat(fd, &st) != 0 || fstat(at, &above) != 0) {
        return -1;
    }
    uid_t uid = made && how->give && geteuid() == 0 ? above.st_uid : st.st_uid;
    gid_t gid = how->group != (gid_t)-1 ? how->group
                : uid != st.st_uid      ? above.st_gid
                                        : st.st_gid;
    if ((uid != st.st_uid || gid != st.st_gid) && fchown(fd, uid, gid) != 0) {
        return -1;
    }
    /* Also after a change of owner, which may have cost the setgid bit. */
    return ((st.st_mode & 07777) != how->mode || uid != st.st_uid) &&
                   fchmod(fd, how->mode) != 0 && (made || errno != EPERM)
               ? -1
               : 0;
}

int own_dir_open(int at, const char *name, const struct own_dir *how,
                 bool *made_out, struct err *err)
{
    bool made = mkdirat(at, name, how->mode & 0777) == 0;
    struct stat st;

    if (!made && errno == EEXIST && how->fresh) {
        return err_set(err, ERR_EXISTS, 0, "%s exists", name);
    }
    if (!made && errno != EEXIST) {
        return err_sys(err, errno, "make %s", name);
    }
    CLEANUP(fd_closep)
    int fd = sys_open_dir(at, name);
    if (fd < 0 || fstat(fd, &st) != 0) {
        return err_sys(err, errno, "open %s", name);
    }
    if (made && !own_dir_is_made(at, fd)) {
        return err_set(err, ERR_REFUSED, 0,
                       "%s was exchanged for something else while it was made",
                       name);
    }
    if ((made || (how->renew && own_dir_may_change(at, &st))) &&
        dress(at, fd, how, made) != 0) {
        return err_sys(err, errno, "give %s its owner and mode", name);
    }
    if (made_out != NULL) {
        *made_out = made;
    }
    return TAKE_FD(fd);
}

int own_dir_open_at(const char *path, const struct own_dir *how,
                    struct err *err)
{
    char above[PATH_MAX];
    size_t len = strlen(path);

    while (len > 1 && path[len - 1] == '/') {
        len--;
    }
    size_t name = len;
    while (name > 0 && path[name - 1] != '/') {
        name--;
    }
    if (len >= sizeof above || name == len) {
        return err_sys(err, len == 0 ? ENOENT : EINVAL, "make %s",
                       QUOTED_STR(path));
    }
    char last[PATH_MAX];
    memcpy(last, path + name, len - name);
    last[len - name] = '\0';
    memcpy(above, name > 0 ? path : ".", name > 0 ? name : 1);
    above[name > 0 ? name : 1] = '\0';
    CLEANUP(fd_closep) int at = own_dir_open_path(above, false, err);
    return at < 0 ? at : own_dir_open(at, last, how, NULL, err);
}

/* --- a file -------------------------------------------------------------- */

static int judge_file(int dir_fd, int fd, const char *name, struct err *err)
{
    struct stat st, dir;

    if (fstat(fd, &st) != 0 || fstat(dir_fd, &dir) != 0) {
        return err_sys(err, errno, "stat %s", name);
    }
    bool strange =
        is_exposed(dir_fd) &&
        (st.st_nlink > 1 || (st.st_uid != 0 && st.st_uid != dir.st_uid));
    if (!S_ISREG(st.st_mode) || strange) {
        return err_set(
            err, ERR_REFUSED, 0,
            "%s is not ours: it is not a regular file, or has a second "
            "name or an owner of its own; look at it, then remove "
            "it",
            name);
    }
    if ((st.st_mode & 07777) != 0600 && own_dir_may_change(dir_fd, &st) &&
        fchmod(fd, 0600) != 0 && errno != EPERM) {
        return err_sys(err, errno, "chmod %s", name);
    }
    return 0;
}

static int give_file(int dir_fd, int fd, const char *name, struct err *err)
{
    struct stat dir;

    return geteuid() == 0 && (fstat(dir_fd, &dir) != 0 ||
                              fchown(fd, dir.st_uid, dir.st_gid) != 0)
               ? err_sys(err, errno, "give %s its owner", name)
               : 0;
}

int own_file_open(int dir_fd, const char *name, int flags, struct err *err)
{
    flags |= O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    /* It may be removed, and made by others, between our two tries. */
    for (int i = 0; i < RACE_TRIES; i++) {
        CLEANUP(fd_closep)
        int fd = sys_openat(dir_fd, name, flags | O_CREAT | O_EXCL, 0600);
        if (fd >= 0) {
            int rc = give_file(dir_fd, fd, name, err);
            return rc < 0 ? rc : TAKE_FD(fd);
        }
        if (errno == EEXIST) {
            fd = sys_openat(dir_fd, name, flags, 0);
        }
        if (fd >= 0) {
            int rc = judge_file(dir_fd, fd, name, err);
            return rc < 0 ? rc : TAKE_FD(fd);
        }
        if (errno != ENOENT && errno != EEXIST) {
            break;
        }
    }
    return err_sys(err, errno, "open %s", name);
}
