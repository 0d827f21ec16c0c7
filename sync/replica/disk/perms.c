/* SPDX-License-Identifier: MIT
 *
 * dress: see perms.h. */
#include "sync/replica/disk/perms.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/sys.h"
#include "store/files/own_dir.h"

static bool owner_differs(const struct perms *want, const struct stat *st)
{
    return (want->owner != (uid_t)-1 && want->owner != st->st_uid) ||
           (want->group != (gid_t)-1 && want->group != st->st_gid);
}

static bool mode_differs(const struct perms *want, const struct stat *st)
{
    return want->mode != PERMS_MODE_STAYS &&
           (st->st_mode & 07777) != want->mode;
}

int perms_set(int fd, const struct perms *want, struct stat *st)
{
    bool other = owner_differs(want, st), mode = mode_differs(want, st);

    if (!other && !mode) {
        return 0;
    }
    if (other && fchown(fd, want->owner, want->group) != 0) {
        return -1;
    }
    /* A change of owner may have cost the setgid bit. */
    if (want->mode != PERMS_MODE_STAYS && fchmod(fd, want->mode) != 0) {
        return -1;
    }
    return fstat(fd, st) == 0 ? 1 : -1;
}

/* --- by a scan -------------------------------------------------------------
 */

static bool has_acl(int fd, const char *which)
{
    return fgetxattr(fd, which, NULL, 0) > 0;
}

/* Could only we have put it into the directory `above`? */
static bool may_change(const struct stat *above, const struct stat *st)
{
    if (geteuid() != 0) {
        return true; /* only what is ours lets itself be changed */
    }
    return !own_dir_is_shared(above) ||
           (above->st_uid == st->st_uid &&
            (S_ISDIR(st->st_mode) || st->st_nlink == 1));
}

static void note_unset(struct perms_pass *d, int sys, const char *table,
                       size_t table_len, const char *key, size_t key_len)
{
    if (d->unset++ > 0) {
        return;
    }
    d->sys = sys;
    d->is_table = key == NULL;
    d->table_len = table_len;
    d->key_len = key_len;
    memcpy(d->table, table, table_len);
    if (key != NULL) {
        memcpy(d->key, key, key_len);
    }
}

/* As perms_set(), and that it took effect: the kernel drops a setgid bit in
 * silence when the group is not one of ours. */
static int set_now(const struct perms_pass *d, int fd, const struct stat *above,
                   const struct perms *want, struct stat *st)
{
    if (d->count_only) {
        errno = 0;
        return -1;
    }
    if (!may_change(above, st)) {
        errno = EPERM;
        return -1;
    }
    int rc = perms_set(fd, want, st);
    if (rc == 1 && (owner_differs(want, st) || mode_differs(want, st))) {
        errno = EPERM;
        return -1;
    }
    return rc;
}

static uid_t owner(void)
{
    return geteuid() == 0 ? 0 : (uid_t)-1; /* nobody else can give it away */
}

static struct perms dir_want(const struct perms_pass *d,
                             const struct stat *above, const struct stat *st)
{
    bool given =
        (st->st_mode & S_ISGID) != 0 || (above->st_mode & S_ISGID) == 0;

    return (struct perms){.owner = owner(),
                          .group = d->modes.group != (gid_t)-1 ? d->modes.group
                                   : given                     ? (gid_t)-1
                                                               : above->st_gid,
                          .mode = d->modes.dir_mode};
}

void perms_pass_dir(void *arg, const char *path, size_t len, bool is_root,
                    int dir_fd)
{
    struct perms_pass *d = arg;
    struct stat above;

    d->has_acl = has_acl(dir_fd, "system.posix_acl_default");
    if (fstat(dir_fd, &d->dir) != 0) {
        d->dir = (struct stat){.st_mode = 0};
        return;
    }
    if (is_root || fstatat(dir_fd, "..", &above, 0) != 0) {
        return;
    }
    struct perms want = dir_want(d, &above, &d->dir);
    if (!owner_differs(&want, &d->dir) && !mode_differs(&want, &d->dir)) {
        return;
    }
    if (d->has_acl || has_acl(dir_fd, "system.posix_acl_access")) {
        want.mode = PERMS_MODE_STAYS;
    }
    int rc = set_now(d, dir_fd, &above, &want, &d->dir);
    if (rc < 0) {
        note_unset(d, errno, path, len, NULL, 0);
    }
    d->set += rc > 0;
}

static struct perms key_want(const struct perms_pass *d)
{
    return (struct perms){
        .owner = owner(),
        .group = d->modes.group != (gid_t)-1       ? d->modes.group
                 : (d->dir.st_mode & S_ISGID) != 0 ? d->dir.st_gid
                                                   : (gid_t)-1,
        .mode = d->has_acl ? PERMS_MODE_STAYS : d->modes.file_mode};
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
           a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* 1: set, *st is its stat now; 0: nothing to do, or it is another file by now,
 * which its writer gave its modes; -1 with errno. */
static int set_key(const struct perms_pass *d, int dir_fd, const char *file,
                   struct perms *want, struct stat *st)
{
    struct stat now;
    CLEANUP(fd_closep)
    int fd = sys_open_file(dir_fd, file);

    if (fd < 0) {
        return errno == ENOENT || errno == ELOOP ? 0 : -1;
    }
    if (fstat(fd, &now) != 0 || !S_ISREG(now.st_mode) || !is_same(&now, st)) {
        return 0;
    }
    if (has_acl(fd, "system.posix_acl_access")) {
        want->mode = PERMS_MODE_STAYS;
    }
    int rc = set_now(d, fd, &d->dir, want, &now);
    if (rc == 1 && is_same(&now, st)) {
        *st = now;
    }
    return rc;
}

bool perms_pass_key(void *arg, const char *table, size_t table_len,
                    const char *key, size_t key_len, int dir_fd,
                    struct stat *st)
{
    struct perms_pass *d = arg;
    char file[KEY_FILE_BYTES];
    struct perms want = key_want(d);

    if (!owner_differs(&want, st) && !mode_differs(&want, st)) {
        return false;
    }
    if (d->hold_keys) {
        d->held++;
        return false;
    }
    key_file(key, key_len, file);
    int rc = set_key(d, dir_fd, file, &want, st);
    if (rc < 0) {
        note_unset(d, errno, table, table_len, key, key_len);
    }
    d->set += rc > 0;
    return rc > 0;
}
