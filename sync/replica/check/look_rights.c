/* SPDX-License-Identifier: MIT
 *
 * look_rights: may the receiver's user write in each table, and open the values
 * that are there?  A directory is tried as a value begins, with a file that
 * never has a name; the kernel's answer holds for owners, modes, ACLs and
 * immutable directories alike, also behind the sandbox, which allows no
 * access().  What cannot be tried so is asked: the attributes that forbid a
 * rename. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/quote.h"
#include "store/base/sys.h"
#include "store/base/units.h"
#include "store/layout/name.h"
#include "sync/errors/state.h"
#include "sync/replica/check/look.h"

static bool forbids(int error)
{
    return error == EACCES || error == EPERM || error == EROFS;
}

static const char *held_by(int dir_fd, const char *name)
{
    struct statx x;
    int flags = AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC |
                (name[0] == '\0' ? AT_EMPTY_PATH : 0);

    if (statx(dir_fd, name, flags, 0, &x) != 0) {
        return NULL;
    }
    return (x.stx_attributes & STATX_ATTR_IMMUTABLE) != 0 ? "it is immutable"
           : (x.stx_attributes & STATX_ATTR_APPEND) != 0  ? "it is append-only"
                                                          : NULL;
}

/* Why nothing can be written there; NULL: it can. */
static const char *why_not_table(int dir_fd, const struct stat *st)
{
    const mode_t mine = S_IWUSR | S_IXUSR;
    const char *why = held_by(dir_fd, "");

    if (why != NULL ||
        (st->st_uid == geteuid() && (st->st_mode & mine) == mine)) {
        return why;
    }
    CLEANUP(fd_closep)
    int fd = sys_openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return fd < 0 && forbids(errno) ? strerror(errno) : NULL;
}

/* Who may not open a value cannot take its lock.  One's own modes are repaired
 * by the receiver. */
static const char *why_not_value(int dir_fd, const char *file,
                                 const struct stat *st)
{
    const char *why = held_by(dir_fd, file);

    if (why != NULL || st->st_uid == geteuid()) {
        return why;
    }
    CLEANUP(fd_closep) int fd = sys_open_file(dir_fd, file);
    return fd < 0 && forbids(errno) ? strerror(errno) : NULL;
}

static void note(struct look_rights *r, const char *table, size_t len,
                 const char *key, const struct stat *st, const char *why)
{
    char at[200] = "", path[TABLE_PATH_BYTES];

    r->denied++;
    if (r->first[0] != '\0') {
        return;
    }
    table_path(table, len, path);
    (void)snprintf(r->place, sizeof r->place, "%s/%s", r->dir, path);
    if (key != NULL) {
        (void)snprintf(at, sizeof at, ", key %.180s", key);
    }
    (void)snprintf(r->first, sizeof r->first,
                   "table %.250s%s: %.80s; it has mode %04o, owner %u and "
                   "group %u",
                   QUOTED_TABLE(table, len), at, why,
                   (unsigned)(st->st_mode & 07777), (unsigned)st->st_uid,
                   (unsigned)st->st_gid);
}

void look_rights_table(struct look_rights *r, const char *table, size_t len,
                       int dir_fd, const struct stat *st)
{
    const char *why = r->tried ? why_not_table(dir_fd, st) : NULL;

    if (why != NULL) {
        note(r, table, len, NULL, st, why);
    }
}

void look_rights_value(struct look_rights *r, const char *table, size_t len,
                       int dir_fd, const char *key, size_t key_len,
                       const struct stat *st)
{
    char file[KEY_FILE_BYTES];

    if (!r->tried) {
        return;
    }
    key_file(key, key_len, file);
    const char *why = why_not_value(dir_fd, file, st);
    if (why != NULL) {
        note(r, table, len, QUOTED(key, key_len), st, why);
    }
}

void look_rights_say(const struct look_rights *r, struct findings *out)
{
    char hint[2 * QUOTE_MSG_BYTES + 160];

    if (r->denied == 0) {
        return;
    }
    (void)snprintf(hint, sizeof hint,
                   "ls -la %s; lsattr -d %s; it must belong to the receiver's "
                   "user, and not be immutable",
                   QUOTED_STR(r->place), QUOTED_STR(r->place));
    finding_fail(out, "rights", DR_REPLICA_PERM, hint,
                 "the receiver's user may not write %s of what is there: %s",
                 COUNT_TEXT(r->denied), r->first);
}
