/* SPDX-License-Identifier: MIT
 *
 * lock: see lock.h. */
#include "store/layout/lock.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sysmacros.h>

#include "store/base/backoff.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/quote.h"
#include "store/base/sys.h"
#include "store/layout/placeholder.h"

enum {
    PAUSE_MIN_US = 50,
    PAUSE_MAX_US = 5000,
    /* A file that is replaced under us this often in a row is treated as busy:
     * we pause, and the deadline counts. */
    STALE_MAX = 100,
};

/* --- one try ------------------------------------------------------------- */

static int sys_failed(const char *what, const char *file, struct err *err)
{
    return err_sys(err, errno, "%s %s", what, QUOTED_STR(file));
}

/* `rc`, with its words. */
static int not_a_file(int rc, int sys, const char *file, struct err *err)
{
    (void)err_set(err, ERR_NOTTABLE, sys, "%s: not a regular file",
                  QUOTED_STR(file));
    return rc;
}

int lock_file(int dir_fd, const char *file, int more_flags, int *fd_out,
              struct err *err)
{
    int fd = sys_openat(dir_fd, file, SYS_FILE_FLAGS | more_flags, 0);

    if (fd >= 0) {
        *fd_out = fd;
        return 0;
    }
    int rc = sys_failed("open", file, err);
    switch (err->sys) {
    case ENOENT:
        return LOCK_ABSENT;
    case ELOOP: /* a symbolic link */
        return LOCK_NOT_A_FILE;
    case ENXIO: /* a socket */
    case ENODEV:
        return not_a_file(LOCK_NOT_A_FILE, err->sys, file, err);
    default:
        return rc;
    }
}

int lock_ask(int fd, const char *file, enum lock_kind kind, struct err *err)
{
    if (sys_flock(fd, kind == LOCK_SHARE ? LOCK_SH : LOCK_EX) == 0) {
        return LOCK_GRANTED;
    }
    return errno == EWOULDBLOCK ? LOCK_BUSY : sys_failed("flock", file, err);
}

/* `rc`, if the name still leads to the inode of `st`. */
static int check_name(int dir_fd, const char *file, const struct stat *st,
                      int rc, struct err *err)
{
    struct stat named;

    if (fstatat(dir_fd, file, &named, AT_SYMLINK_NOFOLLOW) < 0) {
        return errno == ENOENT ? LOCK_STALE : sys_failed("stat", file, err);
    }
    return sys_same_file(&named, st) ? rc : LOCK_STALE;
}

int lock_identify(int dir_fd, const char *file, int fd, int rc, struct stat *st,
                  struct err *err)
{
    if (rc < 0) {
        return rc;
    }
    if (fstat(fd, st) < 0) {
        return sys_failed("fstat", file, err);
    }
    if (!S_ISREG(st->st_mode)) {
        return not_a_file(S_ISDIR(st->st_mode) ? LOCK_DIRECTORY
                                               : LOCK_NOT_A_FILE,
                          0, file, err);
    }
    return check_name(dir_fd, file, st, rc, err);
}

int lock_try(int dir_fd, const char *file, int fd, enum lock_kind kind,
             struct stat *st, struct err *err)
{
    return lock_identify(dir_fd, file, fd, lock_ask(fd, file, kind, err), st,
                         err);
}

/* --- until the time is up ------------------------------------------------ */

/* Waiting: when it ends, and the next pause. */
struct deadline {
    int64_t until_ns; /* clock_deadline_ns() */
    int64_t pause_ns;
};

/* Sleep a little longer than last time; false when the time is up. */
static bool deadline_wait(struct deadline *p)
{
    int64_t left = p->until_ns - clock_mono_ns();

    if (left <= 0) {
        return false;
    }
    clock_sleep_ns(p->pause_ns < left ? p->pause_ns : left);
    p->pause_ns = backoff_doubled(p->pause_ns, 1, PAUSE_MAX_US * NS_PER_US);
    return true;
}

/* lock_try(), but for a share lock not on a placeholder, as long as it may be
 * one: until `aged_ns`, for the wall clock may be set meanwhile. */
static int try_aged(int dir_fd, const char *file, int fd, enum lock_kind kind,
                    int64_t aged_ns, struct stat *st, struct err *err)
{
    if (kind == LOCK_SHARE && fstat(fd, st) == 0 && placeholder_is(fd, st) &&
        clock_mono_ns() < aged_ns) {
        return check_name(dir_fd, file, st, LOCK_EMPTY, err);
    }
    return lock_try(dir_fd, file, fd, kind, st, err);
}

/* The message names the holder, if somebody waited at all: a caller that only
 * tries is not to pay for reading /proc/locks. */
static int timed_out(const char *file, enum lock_kind kind, int64_t timeout_ms,
                     const struct stat *st, struct err *err)
{
    const char *what = kind == LOCK_SHARE ? "share" : "exclusive";
    const char *name = QUOTED_STR(file);
    char comm[16] = "";
    pid_t pid = timeout_ms > 0 ? lock_holder(st, kind == LOCK_SHARE, comm) : 0;

    if (pid > 0) {
        return err_set(err, ERR_TIMEOUT, 0,
                       "%s: no %s lock within %s, pid %d (%s) holds one", name,
                       what, DURATION_TEXT(timeout_ms * NS_PER_MS), (int)pid,
                       QUOTED_STR(comm));
    }
    return err_set(err, ERR_TIMEOUT, 0, "%s: no %s lock within %s", name, what,
                   DURATION_TEXT(timeout_ms * NS_PER_MS));
}

/* The time is up, and the last try was `rc`. */
static int gave_up(int rc, const char *file, enum lock_kind kind,
                   int64_t timeout_ms, const struct stat *st, struct err *err)
{
    if (rc != LOCK_EMPTY) {
        return timed_out(file, kind, timeout_ms, st, err);
    }
    return err_set(err, ERR_NOTFOUND, ENOENT,
                   "%s: a writer is about to create it", QUOTED_STR(file));
}

int lock_open(int dir_fd, const char *file, enum lock_kind kind,
              int64_t timeout_ms, struct stat *st_out, struct err *err)
{
    CLEANUP(fd_closep) int fd = -1;
    struct deadline deadline = {.until_ns = clock_deadline_ns(timeout_ms),
                                .pause_ns = PAUSE_MIN_US * NS_PER_US};
    int64_t aged_ns = 0; /* of the file that is open */
    struct stat st;
    int stale = 0;

    assert(timeout_ms >= LOCK_FOREVER);
    for (;;) {
        if (fd < 0) {
            if (lock_file(dir_fd, file, 0, &fd, err) != 0) {
                return err->code;
            }
            aged_ns = clock_mono_ns() + PLACEHOLDER_NS;
        }
        int rc = try_aged(dir_fd, file, fd, kind, aged_ns, &st, err);
        if (rc == LOCK_GRANTED) {
            break;
        }
        if (rc < 0 || rc >= LOCK_ABSENT) {
            return err->code;
        }
        if (rc == LOCK_STALE) {
            /* The file was replaced; its successor is most likely free. */
            fd_closep(&fd);
            if (++stale < STALE_MAX) {
                continue;
            }
        }
        if (!deadline_wait(&deadline)) {
            return gave_up(rc, file, kind, timeout_ms, &st, err);
        }
    }
    if (st_out != NULL) {
        *st_out = st;
    }
    return TAKE_FD(fd);
}

/* --- who has it ---------------------------------------------------------- */

/* One line of /proc/locks, as far as it matters. */
struct lock_line {
    pid_t pid;
    unsigned dev_major;
    unsigned dev_minor;
    uint64_t ino;
    bool exclusive;
};

/* "1: FLOCK  ADVISORY  WRITE 812 08:01:4711 0 EOF".  Waiters ("1: -> FLOCK")
 * and other kinds of locks are not what we look for. */
static bool parse_line(const char *line, struct lock_line *out)
{
    char kind[16];
    char mode[16];
    int pid;

    int n = sscanf(line, "%*d: %15s %*s %15s %d %x:%x:%" SCNu64, kind, mode,
                   &pid, &out->dev_major, &out->dev_minor, &out->ino);
    if (n != 6 || strcmp(kind, "FLOCK") != 0) {
        return false;
    }
    out->pid = pid;
    out->exclusive = strcmp(mode, "WRITE") == 0;
    return true;
}

/* btrfs and overlayfs give files another anonymous device (major 0) than the
 * one of the filesystem, which is what /proc/locks shows. */
static bool same_inode(const struct lock_line *line, const struct stat *st)
{
    if (line->ino != st->st_ino || line->dev_major != major(st->st_dev)) {
        return false;
    }
    return line->dev_minor == minor(st->st_dev) || line->dev_major == 0;
}

/* A confined process may read nothing of others: whose process it is, stat()
 * tells all the same. */
static void read_uid(pid_t pid, char comm[16])
{
    char path[40];
    struct stat st;

    (void)snprintf(path, sizeof path, "/proc/%d", (int)pid);
    if (stat(path, &st) == 0) {
        (void)snprintf(comm, 16, "uid %u", st.st_uid);
    }
}

static void read_comm(pid_t pid, char comm[16])
{
    char path[40];

    comm[0] = '\0';
    (void)snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        read_uid(pid, comm);
        return;
    }
    if (fgets(comm, 16, f) == NULL) {
        comm[0] = '\0';
    }
    comm[strcspn(comm, "\n")] = '\0';
    (void)fclose(f);
}

pid_t lock_holder(const struct stat *st, int exclusive_only, char comm[16])
{
    return lock_holder_if(st, exclusive_only, NULL, NULL, comm);
}

pid_t lock_holder_if(const struct stat *st, int exclusive_only,
                     bool (*fn)(void *arg, pid_t pid), void *arg, char comm[16])
{
    char line[256];
    pid_t pid = 0;

    comm[0] = '\0';
    FILE *f = fopen("/proc/locks", "re");
    if (f == NULL) {
        return 0;
    }
    while (pid == 0 && fgets(line, sizeof line, f) != NULL) {
        struct lock_line lock;
        if (parse_line(line, &lock) && same_inode(&lock, st) && lock.pid > 0 &&
            (lock.exclusive || !exclusive_only) &&
            (fn == NULL || fn(arg, lock.pid))) {
            pid = lock.pid;
        }
    }
    (void)fclose(f);
    if (pid > 0) {
        read_comm(pid, comm);
    }
    return pid;
}
