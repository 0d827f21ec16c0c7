/* SPDX-License-Identifier: MIT
 *
 * lock: flock(2) on key files, with a deadline and the check that the locked
 * inode is still the one behind the name.
 *
 * A lock may be granted on an inode that was replaced meanwhile, so after each
 * grant fstat(fd) is compared with fstatat(dir, name); a difference closes the
 * descriptor and begins anew.  Waiting is polling with LOCK_NB and a growing
 * pause (50 us to 5 ms): no signals, no threads, and it can be cancelled by its
 * deadline.  timeout_ms 0 tries once; LOCK_FOREVER waits for ever.
 *
 * A share lock is never asked for on a placeholder (placeholder.h): that is
 * waited for as for a lock, until it is a value, or old enough to be one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "store/base/err.h"

enum { LOCK_FOREVER = -1 };
enum lock_kind { LOCK_SHARE, LOCK_EXCLUSIVE };

/* --- one try ------------------------------------------------------------- */

/* What it led to.  From LOCK_ABSENT on *err says what is in the way. */
enum lock_result {
    LOCK_GRANTED = 1,
    LOCK_BUSY,       /* somebody else has a conflicting lock */
    LOCK_STALE,      /* the name leads to another inode by now, or to none */
    LOCK_EMPTY,      /* a placeholder, whose lock was not asked for */
    LOCK_ABSENT,     /* nothing has the name */
    LOCK_DIRECTORY,  /* which proves that no file has it */
    LOCK_NOT_A_FILE, /* a link, a socket...: proves nothing */
};

/* Open for a try: never O_CREAT (whoever only looks makes no ghost), no way out
 * of the table, and a FIFO must not stop us; `more_flags`: of open().  0,
 * LOCK_ABSENT, LOCK_NOT_A_FILE, ERR_*. */
int lock_file(int dir_fd, const char *file, int more_flags, int *fd_out,
              struct err *err) MUSTCHECK;

/* Ask for the lock, without waiting; LOCK_SHARE is for callers that saw that it
 * is no placeholder.  LOCK_GRANTED, LOCK_BUSY, ERR_*. */
int lock_ask(int fd, const char *file, enum lock_kind kind,
             struct err *err) MUSTCHECK;

/* See that `fd` is what the name leads to: `rc` as it was, with *st set.  Only
 * what this proves makes a lock one on the key. */
int lock_identify(int dir_fd, const char *file, int fd, int rc, struct stat *st,
                  struct err *err) MUSTCHECK;

/* The last two: an enum lock_result, or ERR_*. */
int lock_try(int dir_fd, const char *file, int fd, enum lock_kind kind,
             struct stat *st, struct err *err) MUSTCHECK;

/* --- until the time is up ------------------------------------------------ */

/* Open `file` in `dir_fd` (O_RDONLY, never O_CREAT, O_NOFOLLOW, O_NONBLOCK)
 * and lock it.  Returns the locked descriptor, which the caller closes to
 * unlock; *st_out (may be NULL) is its fstat.  Failures: ERR_NOTFOUND (no such
 * file, also when it vanishes while waiting; LOCK_SHARE: a placeholder, and the
 * time was too short to see what becomes of it), ERR_TIMEOUT, ERR_NOTTABLE (not
 * a regular file), ERR_PERM, ERR_IO. */
int lock_open(int dir_fd, const char *file, enum lock_kind kind,
              int64_t timeout_ms, struct stat *st_out,
              struct err *err) MUSTCHECK;

/* Who holds the flock on the inode of `st`, from /proc/locks: a pid, with the
 * command's name in `comm` (16 bytes; "uid N" where that may not be read, ""
 * when unknown), or 0 when not found
 * (another host or pid namespace, or released meanwhile).  `exclusive_only`
 * skips share locks. */
pid_t lock_holder(const struct stat *st, int exclusive_only, char comm[16]);
/* The same, of those alone for which `fn` is true. */
pid_t lock_holder_if(const struct stat *st, int exclusive_only,
                     bool (*fn)(void *arg, pid_t pid), void *arg,
                     char comm[16]);
