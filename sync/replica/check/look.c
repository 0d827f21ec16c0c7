/* SPDX-License-Identifier: MIT
 *
 * look: see look.h.  This file has what concerns the directory as such, and the
 * kernel. */
#include "sync/replica/check/look.h"

#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/vfs.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/quote.h"
#include "store/base/sys.h"
#include "store/base/units.h"
#include "store/files/filesystem.h"
#include "sync/check/host.h"
#include "sync/errors/hint.h"
#include "sync/replica/meta/inside.h"
#include "sync/replica/sandbox/sandbox.h"

enum { TRY_BYTES = 4096, ABI_MIN = 2 };

void look_err(const struct look *l, struct findings *out,
              enum finding_level level, const char *what, const struct err *err)
{
    char hint[HINT_ROOM];
    const struct hint_names names = {
        .host = l->host != NULL ? l->host : "this host",
        .dir = QUOTED_STR(l->dir),
    };

    finding_err(out, level, what, err,
                hint_fill(hint, sizeof hint, hint_of(err), &names));
}

/* --- the directory --------------------------------------------------------- */

/* What the kernel makes up, and keeps no files for anybody; NULL: none of
 * these. */
static const char *pseudo_kind(int fd)
{
    static const struct {
        unsigned long magic;
        const char *name;
    } KINDS[] = {
        {PROC_SUPER_MAGIC, "proc"},
        {SYSFS_MAGIC, "sysfs"},
        {CGROUP_SUPER_MAGIC, "cgroup"},
        {CGROUP2_SUPER_MAGIC, "cgroup2"},
        {DEVPTS_SUPER_MAGIC, "devpts"},
        {DEBUGFS_MAGIC, "debugfs"},
        {SECURITYFS_MAGIC, "securityfs"},
        {TRACEFS_MAGIC, "tracefs"},
        {BPF_FS_MAGIC, "bpf"},
        {PSTOREFS_MAGIC, "pstore"},
        {EFIVARFS_MAGIC, "efivarfs"},
        {SELINUX_MAGIC, "selinuxfs"},
    };
    struct statfs fs;

    for (size_t i = 0;
         fstatfs(fd, &fs) == 0 && i < sizeof KINDS / sizeof KINDS[0]; i++) {
        if (KINDS[i].magic == ((unsigned long)fs.f_type & 0xffffffffUL)) {
            return KINDS[i].name;
        }
    }
    return NULL;
}

static void say_pseudo(const struct look *l, const char *kind,
                       struct findings *out)
{
    struct err err = {0};

    (void)err_set(&err, ERR_IO, 0,
                  "%s is on %s, which the kernel makes up: no replica can be "
                  "there",
                  l->dir, kind);
    err.id = DR_REPLICA_DIR;
    look_err(l, out, FINDING_FAIL, "directory", &err);
}

/* Where it would be made. */
static void look_missing(const struct look *l, struct findings *out)
{
    char above[PATH_MAX];
    struct err err = {0};
    size_t n = strlen(l->dir);

    while (n > 1 && l->dir[n - 1] == '/') {
        n--;
    }
    while (n > 0 && l->dir[n - 1] != '/') {
        n--;
    }
    (void)snprintf(above, sizeof above, "%.*s", (int)n, n > 0 ? l->dir : ".");
    CLEANUP(fd_closep)
    int fd = sys_open(n > 0 ? above : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) != 0) {
        (void)err_sys(&err, errno, "%s, where it would be made",
                      n > 0 ? above : ".");
        err.id = DR_REPLICA_DIR;
        look_err(l, out, FINDING_FAIL, "directory", &err);
        return;
    }
    if (pseudo_kind(fd) != NULL) {
        say_pseudo(l, pseudo_kind(fd), out);
    } else if (l->confined != NULL) {
        finding_ok(out, "directory", "%s is made when an agent first connects",
                   l->dir);
    } else {
        finding_warn(out, "directory", 0, "",
                     "%s is made when an agent first connects; is the path "
                     "right?",
                     l->dir);
    }
    host_space(out, fd, l->dir, 0, DR_REPLICA_FULL);
}

static void look_kind(const struct db *db, struct findings *out)
{
    char kind[FILESYSTEM_BYTES];
    bool poor;

    (void)filesystem_name(db->root_fd, kind, &poor);
    if (poor) {
        finding_warn(out, "directory", 0, "",
                     "%s, on %s: a file system of this host is better: locks "
                     "and renames there may not be what readers expect",
                     db->path, kind);
    } else {
        finding_ok(out, "directory", "%s, %s", db->path, kind);
    }
}

static int try_write(int root_fd, struct err *err)
{
    static const char ZEROS[TRY_BYTES];
    CLEANUP(fd_closep)
    int fd = sys_openat(root_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0) {
        return err_sys(err, errno, "make a file");
    }
    if (sys_write_all(fd, ZEROS, sizeof ZEROS) != 0 || sys_fsync(fd) != 0) {
        return err_sys(err, errno, "write a file");
    }
    return 0;
}

/* As a value begins: without a name, so nobody sees it. */
static void look_writing(const struct look *l, const struct db *db,
                         struct findings *out)
{
    struct err err = {0};
    int64_t began_ns = clock_mono_ns();
    int rc = try_write(db->root_fd, &err);

    if (rc == 0) {
        finding_ok(out, "writing", "a file without a name was durable in %s",
                   DURATION_TEXT(clock_mono_ns() - began_ns));
    } else if (err.sys == EOPNOTSUPP || err.sys == EISDIR) {
        finding_ok(out, "writing",
                   "not tried: this file system has no files without a name");
    } else if (rc == ERR_PERM && !look_is_receiver(l, db->root_fd)) {
        finding_warn(out, "writing", 0, "",
                     "not tried: only the receiver's user may write there");
    } else {
        err.id = meta_error_id(&err);
        err.id = err.id == DR_INSTALL ? DR_REPLICA_PERM : err.id;
        look_err(l, out, FINDING_FAIL, "writing", &err);
    }
}

static void look_nested(const struct look *l, const struct db *db,
                        struct findings *out)
{
    struct err err = {0};

    /* What is above is out of a confined receiver's reach. */
    if (l->confined == NULL &&
        inside_check(db->root_fd, false, l->dir, &err) == ERR_REFUSED) {
        look_err(l, out, FINDING_FAIL, "directory", &err);
    }
}

/* --- the kernel ------------------------------------------------------------- */

static void look_confinement(const struct look *l, struct findings *out)
{
    long abi;

    if (l->confined != NULL) {
        if (l->unconfined[0] == '\0') {
            finding_ok(out, "confinement", "%s", l->confined);
        } else {
            finding_warn(out, "confinement", 0, "", "%s", l->unconfined);
        }
        return;
    }
    abi = sandbox_abi();
    if (abi < ABI_MIN) {
        finding_warn(out, "confinement", 0, "",
                     "a receiver runs here without Landlock (%s): it needs "
                     "Linux 5.19 or newer, and landlock among the names in "
                     "/sys/kernel/security/lsm",
                     abi < 0 ? "the kernel has none" : "too old");
    } else if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0) {
        finding_warn(out, "confinement", 0, "",
                     "a receiver runs here without its system call filter: "
                     "the kernel has no seccomp");
    } else {
        finding_ok(out, "confinement",
                   "the kernel has Landlock (ABI %ld) and seccomp", abi);
    }
}

/* What a receiver behind its sandbox cannot ask. */
static void look_host(const struct look *l, const struct look_files *seen,
                      struct findings *out)
{
    if (l->confined != NULL) {
        return;
    }
    int64_t watches = host_inotify_watches();
    if (watches >= 0 && (int64_t)seen->tables > watches) {
        finding_warn(out, "watches", 0,
                     "raise the limit: sysctl "
                     "fs.inotify.max_user_watches=1048576 (and put it in "
                     "/etc/sysctl.d/)",
                     "%s tables, the kernel allows a user %s watches: what "
                     "others do to the copy is noticed late",
                     COUNT_TEXT(seen->tables), COUNT_TEXT((uint64_t)watches));
    } else if (watches >= 0) {
        finding_ok(out, "watches", "%s of the %s that a user may have",
                   COUNT_TEXT(seen->tables), COUNT_TEXT((uint64_t)watches));
    }
    host_clock(out, "how old the copy is cannot be told well");
}

/* A receiver that lacks it ends at its start, and says so itself. */
static void look_group(const struct look *l, const struct db *db,
                       struct findings *out)
{
    struct err err = {0};

    if (l->confined == NULL && l->modes != NULL &&
        look_is_receiver(l, db->root_fd) &&
        meta_check_group(l->dir, l->modes, &err) < 0) {
        look_err(l, out, FINDING_FAIL, "group", &err);
    }
}

static void look_inside(const struct look *l, const struct meta *m,
                        struct findings *out)
{
    struct look_files seen = {.tables = 0};
    const char *pseudo = pseudo_kind(m->db.root_fd);

    if (pseudo != NULL) {
        say_pseudo(l, pseudo, out);
        return;
    }
    look_kind(&m->db, out);
    look_nested(l, &m->db, out);
    look_copy(l, m, out);
    look_files(l, &m->db, &seen, out);
    look_group(l, &m->db, out);
    look_writing(l, &m->db, out);
    host_space(out, m->db.root_fd, l->dir, seen.largest, DR_REPLICA_FULL);
    look_confinement(l, out);
    look_host(l, &seen, out);
}

void look_all(const struct look *l, struct findings *out)
{
    struct meta m = {.fd = -1};
    struct err err = {0};

    if (l->meta != NULL) {
        look_inside(l, l->meta, out);
        return;
    }
    int rc = db_open(&m.db, l->dir, false, &err);
    if (rc == ERR_NOTFOUND) {
        look_missing(l, out);
        look_confinement(l, out);
    } else if (rc != 0) {
        err.id = DR_REPLICA_DIR;
        look_err(l, out, FINDING_FAIL, "directory", &err);
    } else {
        m.fd = sys_open_dir(m.db.root_fd, META_DIR);
        look_inside(l, &m, out);
        meta_close(&m);
    }
}
