/* SPDX-License-Identifier: MIT
 *
 * value: see value.h.
 *
 * The order of calls in value_read() is the whole point, and each is there for
 * a reason (lock.h has the steps):
 *
 *     openat   never O_CREAT (a read makes no ghost), O_NOFOLLOW (no way out of
 *              the table), O_NONBLOCK (a FIFO must not stop us)
 *     fstat    a placeholder is not locked (read_placeholder())
 *     flock    share lock, never waiting
 *     read     a small value, at a venture
 *     fstat    a ctime older than the read by 2 s proves that neither the bytes
 *              nor the name changed since before the open: done (read_quick())
 *
 * and only for a value that is younger, or larger:
 *
 *     fstat    what we hold
 *     fstatat  what the name leads to: an unequal inode was replaced before we
 *              had the lock, and its lock protects nothing
 *     read     exactly the size seen
 *     fstat    unequal size, mtime or ctime: somebody writes without locking
 *
 * and last
 *
 *     close    unlocks
 */
#include "store/layout/value.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/quote.h"
#include "store/base/sys.h"
#include "store/layout/copy.h"
#include "store/layout/lock.h"
#include "store/layout/placeholder.h"
#include "store/layout/read.h"
#include "store/layout/startemp.h"

enum {
    READ_TRIES = 8,
    SECOND_PASS_BYTES = 1 << 20,
    HOLE_MIN_BYTES = 64 * 1024, /* a shorter one is read */
    COPY_TRIES = 4,
    COPY_STEP_BYTES = 1 << 20,
    LOCK_AGAIN_MAX_US = 4000,
};

/* --- what the two readers share ------------------------------------------ */

struct vstat vstat_of(const struct stat *st)
{
    return (struct vstat){.ino = st->st_ino,
                          .ctime_ns = clock_of_timespec(st->st_ctim),
                          .size = (uint64_t)st->st_size};
}

static void fill_reading(const struct stat *st, struct reading *out)
{
    *out = (struct reading){.stat = vstat_of(st),
                            .dev = st->st_dev,
                            .disk_bytes = (uint64_t)st->st_blocks * 512,
                            .mtime_ns = clock_of_timespec(st->st_mtim),
                            .startemp = startemp_file(st)};
}

static int fail(int sys, const char *what, const char *file, struct err *err)
{
    return err_sys(err, sys, "%s %s", what, QUOTED_STR(file));
}

/* What a try for the lock led to, for a reader: a directory is seen to be no
 * key, and may hold tables. */
static int reading_of(int rc)
{
    static const int results[] = {
        [LOCK_GRANTED] = READ_VALUE,       [LOCK_BUSY] = READ_BUSY,
        [LOCK_STALE] = READ_CHANGING,      [LOCK_EMPTY] = READ_CHANGING,
        [LOCK_ABSENT] = READ_GONE,         [LOCK_DIRECTORY] = READ_GONE,
        [LOCK_NOT_A_FILE] = READ_NOT_A_KEY};

    return rc > 0 ? results[rc] : rc;
}

/* Without a new access time where we may: with it each new value's first read
 * would be a write to its inode.  Only the owner may; who was refused once is
 * not likely to own the next file. */
static int open_quietly(int dir_fd, const char *file, int *fd_out,
                        struct err *err)
{
    static atomic_bool refused;

    if (!atomic_load_explicit(&refused, memory_order_relaxed)) {
        int rc = lock_file(dir_fd, file, O_NOATIME, fd_out, err);
        if (rc != ERR_PERM || err->sys != EPERM) {
            return rc;
        }
        atomic_store_explicit(&refused, true, memory_order_relaxed);
    }
    return lock_file(dir_fd, file, 0, fd_out, err);
}

/* Where fs.protected_hardlinks is 0 whoever may write to a table can give a
 * key's name to a file that he may not read, and it would be read here with the
 * rights of somebody who may.  So a file with several names is a key's only
 * where its owner's directory is. */
static int check_links(int dir_fd, const char *file, const struct stat *st,
                       struct err *err)
{
    struct stat dir;

    if (st->st_nlink <= 1 || !S_ISREG(st->st_mode)) {
        return 0;
    }
    if (fstat(dir_fd, &dir) != 0) {
        return fail(errno, "stat the table of", file, err);
    }
    return st->st_uid == dir.st_uid
               ? 0
               : err_set(err, ERR_PERM, 0,
                         "%s is one of %ju names of a file of user %ju's, in a "
                         "directory of user %ju's: not read, because whoever "
                         "made the "
                         "link may not be allowed to read it (make a copy "
                         "instead)",
                         QUOTED_STR(file), (uintmax_t)st->st_nlink,
                         (uintmax_t)st->st_uid, (uintmax_t)dir.st_uid);
}

/* Open the key's file, with *st its stat.  Whether the name still leads to it
 * is not known yet.  LOCK_EMPTY: a placeholder is open.  0, an enum
 * lock_result, ERR_*. */
static int open_key(int dir_fd, const char *file, int *fd_out, struct stat *st,
                    struct err *err)
{
    int rc = open_quietly(dir_fd, file, fd_out, err);

    if (rc != 0) {
        return rc;
    }
    if (fstat(*fd_out, st) != 0) {
        return fail(errno, "stat", file, err);
    }
    rc = check_links(dir_fd, file, st, err);
    return rc == 0 && placeholder_is(*fd_out, st) ? LOCK_EMPTY : rc;
}

/* With its share lock, once.  *fd_out is set for READ_VALUE only.  A
 * placeholder is nothing to read in pieces: READ_CHANGING. */
static int open_once(int dir_fd, const char *file, int *fd_out, struct stat *st,
                     struct err *err)
{
    CLEANUP(fd_closep) int fd = -1;

    int rc = open_key(dir_fd, file, &fd, st, err);
    if (rc == 0) {
        rc = lock_try(dir_fd, file, fd, LOCK_SHARE, st, err);
    }
    if (rc == LOCK_GRANTED) {
        *fd_out = TAKE_FD(fd);
    }
    return reading_of(rc);
}

/* open_once() until it is settled. */
static int open_stable(int dir_fd, const char *file, int *fd_out,
                       struct stat *st, struct err *err)
{
    int rc = READ_CHANGING;

    for (int i = 0; i < READ_TRIES && rc == READ_CHANGING; i++) {
        rc = open_once(dir_fd, file, fd_out, st, err);
    }
    return rc;
}

/* --- small values -------------------------------------------------------- */

/* The value is in `value`: give the lock back, then make the digest. */
static int settle(int *fd, const struct stat *st, const struct buf *value,
                  struct reading *out)
{
    fd_closep(fd);
    fill_reading(st, out);
    out->digest = digest_of(value->data, value->len);
    return READ_VALUE;
}

/* The careful way: identify, read, see that nothing moved. */
static int read_slowly(int dir_fd, const char *file, int *fd, int lock,
                       size_t inline_max, struct buf *value,
                       struct reading *out, struct err *err)
{
    struct stat st;

    int rc = reading_of(lock_identify(dir_fd, file, *fd, lock, &st, err));
    if (rc != READ_VALUE && rc != READ_BUSY) {
        return rc;
    }
    fill_reading(&st, out);
    if (rc == READ_BUSY) {
        return READ_BUSY;
    }
    if ((uint64_t)st.st_size > inline_max) {
        return READ_LARGE;
    }
    rc = read_whole(*fd, file, &st, value, err);
    if (rc == READ_CHANGED) {
        return READ_CHANGING;
    }
    return rc == READ_WHOLE ? settle(fd, &st, value, out) : rc;
}

/* A placeholder has nothing to read that a lock would protect, and no lock of
 * ours may be there; whether somebody is about to write is asked without
 * touching the lock, and before its size is seen again.  That it may be no
 * value at all is for the caller to see, by its age. */
static int read_placeholder(int dir_fd, const char *file, int *fd,
                            const struct stat *seen, const struct buf *value,
                            struct reading *out, struct err *err)
{
    char comm[16];
    struct stat st;

    int lock = lock_holder(seen, true, comm) > 0 ? LOCK_BUSY : LOCK_GRANTED;
    int rc = reading_of(lock_identify(dir_fd, file, *fd, lock, &st, err));
    if (rc == READ_BUSY) {
        fill_reading(&st, out);
    }
    if (rc != READ_VALUE) {
        return rc;
    }
    return st.st_size == 0 ? settle(fd, &st, value, out) : READ_CHANGING;
}

static int read_once(int dir_fd, const char *file, size_t inline_max,
                     struct buf *value, struct reading *out, struct err *err)
{
    int64_t opened_ns = clock_of_files_ns();
    CLEANUP(fd_closep) int fd = -1;
    struct stat st;

    int rc = open_key(dir_fd, file, &fd, &st, err);
    if (rc == LOCK_EMPTY) {
        return read_placeholder(dir_fd, file, &fd, &st, value, out, err);
    }
    if (rc != 0) {
        return reading_of(rc);
    }
    int lock = lock_ask(fd, file, LOCK_SHARE, err);
    if (lock == LOCK_GRANTED && buf_reserve(value, READ_QUICK_BYTES)) {
        int64_t n =
            read_quick(fd, opened_ns, value->data, READ_QUICK_BYTES, &st);
        if (n >= 0 && (uint64_t)n <= inline_max) {
            value->len = (size_t)n;
            return settle(&fd, &st, value, out);
        }
    }
    return read_slowly(dir_fd, file, &fd, lock, inline_max, value, out, err);
}

int value_read(int dir_fd, const void *key, size_t key_len, size_t inline_max,
               struct buf *value, struct reading *reading_out, struct err *err)
{
    char file[KEY_FILE_BYTES];
    int rc = READ_CHANGING;

    key_file(key, key_len, file);
    buf_clear(value);
    for (int i = 0; i < READ_TRIES && rc == READ_CHANGING; i++) {
        rc = read_once(dir_fd, file, inline_max, value, reading_out, err);
    }
    if (rc != READ_VALUE) {
        value->len = 0;
    }
    return rc;
}

/* --- large values -------------------------------------------------------- */

struct large {
    int dir_fd; /* borrowed from the caller */
    int fd;
    bool locked;
    bool was_unlocked; /* part of the value was read without the lock */
    int64_t hold_ns;
    int64_t locked_ns; /* monotonic: when the lock was taken */
    bool racy;         /* its ctime was too young to prove anything */
    bool replaced;     /* its name leads elsewhere, so its ctime may differ */
    struct stat st;
    uint64_t offset;
    struct digest_stream *digest;
    struct copy *copy; /* whole and validated; NULL: the file is read */
    char file[KEY_FILE_BYTES];
};

static void give_back(struct large *l)
{
    if (l->locked) {
        (void)sys_flock(l->fd, LOCK_UN);
        l->locked = false;
        l->was_unlocked = true;
    }
}

static void give_back_when_due(struct large *l)
{
    if (l->locked && clock_mono_ns() - l->locked_ns >= l->hold_ns) {
        give_back(l);
    }
}

int large_open(int dir_fd, const void *key, size_t key_len, int64_t hold_ms,
               struct large **large_out, struct reading *reading_out,
               struct err *err)
{
    char file[KEY_FILE_BYTES];
    CLEANUP(fd_closep) int fd = -1;
    struct stat st = {0};

    key_file(key, key_len, file);
    int rc = open_stable(dir_fd, file, &fd, &st, err);
    if (rc == READ_BUSY || rc == READ_VALUE) {
        fill_reading(&st, reading_out);
    }
    if (rc != READ_VALUE) {
        return rc;
    }
    struct large *l = calloc(1, sizeof *l);
    struct digest_stream *digest = digest_stream_new();
    if (l == NULL || digest == NULL) {
        free(l);
        digest_stream_free(digest);
        return err_set(err, ERR_NOMEM, 0, "read %s: out of memory",
                       QUOTED_STR(file));
    }
    l->dir_fd = dir_fd;
    l->fd = TAKE_FD(fd);
    l->locked = true;
    l->hold_ns = hold_ms * NS_PER_MS;
    l->locked_ns = clock_mono_ns();
    l->racy = clock_real_ns() - clock_of_timespec(st.st_ctim) < UNPROVEN_NS;
    l->st = st;
    l->digest = digest;
    memcpy(l->file, file, sizeof file);
    *large_out = l;
    return READ_VALUE;
}

/* --- holes --------------------------------------------------------------- */

static bool may_have_holes(const struct large *l)
{
    return l->copy == NULL &&
           (uint64_t)l->st.st_blocks * 512 < (uint64_t)l->st.st_size;
}

/* Where the data begins at or after `at`; the end when there is none. */
static uint64_t next_data(const struct large *l, uint64_t at)
{
    uint64_t size = (uint64_t)l->st.st_size;
    off_t data = lseek(l->fd, (off_t)at, SEEK_DATA);

    if (data < 0) {
        return errno == ENXIO ? size : at;
    }
    return (uint64_t)data < size ? (uint64_t)data : size;
}

uint64_t large_zeros(struct large *l, uint64_t max)
{
    if (!may_have_holes(l)) {
        return 0;
    }
    give_back_when_due(l);
    uint64_t n = next_data(l, l->offset) - l->offset;
    n = n < HOLE_MIN_BYTES ? 0 : n < max ? n : max;
    l->offset += n;
    (void)lseek(l->fd, (off_t)l->offset, SEEK_SET);
    digest_stream_zeros(l->digest, n);
    return n;
}

/* Of the next `want` bytes, those before a hole that is worth passing. */
static size_t before_hole(const struct large *l, size_t want)
{
    off_t hole = lseek(l->fd, (off_t)l->offset, SEEK_HOLE);

    if (hole > (off_t)l->offset && (uint64_t)hole - l->offset < want &&
        next_data(l, (uint64_t)hole) - (uint64_t)hole >= HOLE_MIN_BYTES) {
        want = (size_t)((uint64_t)hole - l->offset);
    }
    (void)lseek(l->fd, (off_t)l->offset, SEEK_SET);
    return want;
}

int64_t large_read(struct large *l, void *out, size_t room, struct err *err)
{
    uint64_t left = (uint64_t)l->st.st_size - l->offset;
    size_t want = left < room ? (size_t)left : room;

    give_back_when_due(l);
    if (want == 0) {
        return 0;
    }
    want = may_have_holes(l) ? before_hole(l, want) : want;
    int64_t n = l->copy != NULL ? copy_read(l->copy, l->offset, out, want, err)
                                : read_full(l->fd, out, want, l->file, err);
    give_back_when_due(l);
    if (n < 0) {
        return n;
    }
    if ((size_t)n < want) {
        return LARGE_CHANGED;
    }
    l->offset += want;
    digest_stream_update(l->digest, out, want);
    return n;
}

void large_release(struct large *l)
{
    give_back(l);
}

/* Size and mtime are what they were, and ctime, too, unless the name was taken
 * from the file, which sets it. */
static bool is_same_version(const struct large *l, const struct stat *now)
{
    struct stat was = l->st;

    if (l->replaced) {
        was.st_ctim = now->st_ctim;
    }
    return read_same_version(now, &was);
}

/* Our inode is as it was at first, whether or not the name still leads to it.
 */
static int is_unchanged(struct large *l, struct err *err)
{
    struct stat named;
    struct stat now;

    bool found = fstatat(l->dir_fd, l->file, &named, AT_SYMLINK_NOFOLLOW) == 0;
    if (!found && errno != ENOENT) {
        return fail(errno, "stat", l->file, err);
    }
    l->replaced = !found || !sys_same_file(&named, &l->st);
    if (fstat(l->fd, &now) < 0) {
        return fail(errno, "fstat", l->file, err);
    }
    return is_same_version(l, &now) ? READ_VALUE : READ_CHANGING;
}

/* Share the lock again, which a writer may have for a moment: it has it while
 * it renames over this very file.  READ_VALUE; READ_CHANGING: not to be had;
 * ERR_*. */
static int lock_again(struct large *l, struct err *err)
{
    if (l->locked) {
        return READ_VALUE;
    }
    int rc = lock_ask(l->fd, l->file, LOCK_SHARE, err);
    for (int us = 50; rc == LOCK_BUSY && us < LOCK_AGAIN_MAX_US; us *= 2) {
        clock_sleep_ns(us * NS_PER_US);
        rc = lock_ask(l->fd, l->file, LOCK_SHARE, err);
    }
    if (rc == LOCK_GRANTED) {
        l->locked = true;
        l->locked_ns = clock_mono_ns();
    }
    return rc == LOCK_BUSY ? READ_CHANGING : reading_of(rc);
}

/* Read all again; READ_VALUE when it gives the same digest. */
static int second_pass(struct large *l, struct err *err)
{
    struct digest first = digest_stream_final(l->digest);
    CLEANUP(freep) void *piece = malloc(SECOND_PASS_BYTES);

    if (piece == NULL) {
        return err_set(err, ERR_NOMEM, 0, "read %s: out of memory",
                       QUOTED_STR(l->file));
    }
    if (lseek(l->fd, 0, SEEK_SET) < 0) {
        return fail(errno, "seek", l->file, err);
    }
    l->offset = 0;
    digest_stream_reset(l->digest);
    int64_t n;
    do {
        (void)large_zeros(l, UINT64_MAX);
        n = large_read(l, piece, SECOND_PASS_BYTES, err);
    } while (n > 0);
    if (n == LARGE_CHANGED) {
        return READ_CHANGING;
    }
    if (n < 0) {
        return (int)n;
    }
    return digest_equal(first, digest_stream_final(l->digest)) ? READ_VALUE
                                                               : READ_CHANGING;
}

static void fill_large(const struct large *l, struct reading *out)
{
    fill_reading(&l->st, out);
    out->replaced = l->replaced;
}

/* Equal times prove something only when they are old enough, and a ctime that
 * the rename set proves nothing. */
static bool needs_second_pass(const struct large *l)
{
    return l->replaced || (l->was_unlocked && l->racy);
}

static int validate(struct large *l, struct err *err)
{
    /* With the lock in hand no writer that locks is in the middle of it. */
    int rc = lock_again(l, err);
    if (rc == READ_VALUE) {
        rc = is_unchanged(l, err);
    }
    if (rc == READ_VALUE && needs_second_pass(l)) {
        rc = second_pass(l, err);
        if (rc == READ_VALUE) {
            rc = is_unchanged(l, err);
        }
    }
    return rc;
}

int large_finish(struct large *l, struct reading *reading_out, struct err *err)
{
    int rc = l->copy != NULL ? READ_VALUE : validate(l, err);

    give_back(l);
    if (rc == READ_VALUE) {
        fill_large(l, reading_out);
        reading_out->digest = digest_stream_final(l->digest);
    }
    return rc;
}

/* --- copies of large values ---------------------------------------------- */

/* Compare the copy with the file, as a second pass does. */
static int compare_copy(struct large *l, struct copy *c, struct err *err)
{
    CLEANUP(freep) uint8_t *a = malloc((size_t)2 * COPY_STEP_BYTES);
    uint64_t size = (uint64_t)l->st.st_size;

    if (a == NULL) {
        return err_set(err, ERR_NOMEM, 0, "read %s: out of memory",
                       QUOTED_STR(l->file));
    }
    if (lseek(l->fd, 0, SEEK_SET) < 0) {
        return fail(errno, "seek", l->file, err);
    }
    for (uint64_t at = 0; at < size; at += COPY_STEP_BYTES) {
        size_t n =
            size - at < COPY_STEP_BYTES ? (size_t)(size - at) : COPY_STEP_BYTES;
        int64_t got = copy_read(c, at, a, n, err);
        int64_t now =
            got < 0 ? got
                    : read_full(l->fd, a + COPY_STEP_BYTES, n, l->file, err);
        if (now < 0) {
            return (int)now;
        }
        if (now != got || memcmp(a, a + COPY_STEP_BYTES, n) != 0) {
            return READ_CHANGING;
        }
        give_back_when_due(l);
    }
    return READ_VALUE;
}

/* All bytes into the copy; the lock is given back when it is due. */
static int fill_copy(struct large *l, struct copy *c, struct err *err)
{
    uint64_t at = 0, size = (uint64_t)l->st.st_size;

    if (copy_reflink(c, l->fd)) {
        return READ_VALUE;
    }
    while (at < size) {
        size_t n =
            size - at < COPY_STEP_BYTES ? (size_t)(size - at) : COPY_STEP_BYTES;
        int64_t got = copy_take(c, l->fd, at, n, err);
        give_back_when_due(l);
        if (got <= 0) {
            return got < 0 ? (int)got : READ_CHANGING;
        }
        at += (uint64_t)got;
    }
    return READ_VALUE;
}

/* One try: what is there now, with the lock, into the copy. */
static int copy_once(struct large *l, struct copy *c, struct err *err)
{
    int rc = lock_again(l, err);

    if (rc != READ_VALUE) {
        return rc;
    }
    l->was_unlocked = false;
    if (fstat(l->fd, &l->st) < 0) {
        return fail(errno, "fstat", l->file, err);
    }
    l->racy = clock_real_ns() - clock_of_timespec(l->st.st_ctim) < UNPROVEN_NS;
    if ((uint64_t)l->st.st_size > copy_max(c)) {
        return READ_CHANGING;
    }
    rc = fill_copy(l, c, err);
    if (rc == READ_VALUE) {
        rc = lock_again(l, err);
    }
    if (rc == READ_VALUE) {
        rc = is_unchanged(l, err);
    }
    if (rc == READ_VALUE && needs_second_pass(l)) {
        rc = compare_copy(l, c, err);
        if (rc == READ_VALUE) {
            rc = is_unchanged(l, err);
        }
    }
    give_back(l);
    return rc;
}

int large_copy(struct large *l, struct copy_room *room,
               struct reading *reading_out, struct err *err)
{
    struct copy *c;

    give_back(l); /* making room takes a while */
    int rc = copy_new(room, (uint64_t)l->st.st_size, &c, err);
    if (rc <= 0) {
        return rc;
    }
    rc = READ_CHANGING;
    for (int i = 0; i < COPY_TRIES && rc == READ_CHANGING; i++) {
        rc = copy_once(l, c, err);
    }
    if (rc != READ_VALUE) {
        copy_free(c);
        return rc == ERR_NOSPACE ? 0 : rc;
    }
    l->copy = c;
    l->offset = 0;
    fill_large(l, reading_out);
    return READ_VALUE;
}

void large_close(struct large *l)
{
    if (l == NULL) {
        return;
    }
    fd_closep(&l->fd);

    digest_stream_free(l->digest);
    copy_free(l->copy);
    free(l);
}
