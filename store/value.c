/* SPDX-License-Identifier: MIT
 *
 * value: see value.h.
 *
 * The order of calls in look_key() is the whole point, and each is there for a
 * reason:
 *   openat   never O_CREAT (a read makes no ghost), O_NOFOLLOW (no way out of
 *            the table), O_NONBLOCK (a FIFO must not stop us)
 *   fstat    an empty file of this moment is not locked (look_placeholder())
 *   flock    share lock, never waiting
 *   read     a small value, at a venture
 *   fstat    a ctime older than the look by 2 s proves that neither the bytes
 *            nor the name changed since before the open: done (read_quick())
 * and only for a value that is younger, or larger:
 *   fstat    what we hold
 *   fstatat  what the name leads to: an unequal inode was replaced before we
 *            had the lock, and its lock protects nothing
 *   read     exactly the size seen
 *   fstat    unequal size, mtime or ctime: somebody writes without locking
 * and last
 *   close    unlocks
 */
#include "store/value.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/quote.h"
#include "store/lock.h"
#include "store/read.h"

enum {
    LOOK_TRIES = 8,
    SECOND_PASS_BYTES = 1 << 20,
    PLACEHOLDER_NS = 200 * 1000 * 1000, /* an fsync falls into it */
};

/* --- digests ------------------------------------------------------------- */

struct digest_stream {
    XXH3_state_t state;
};

static struct digest digest_from(XXH128_hash_t h)
{
    return (struct digest){.lo = h.low64, .hi = h.high64};
}

struct digest digest_of(const void *data, size_t len)
{
    return digest_from(XXH3_128bits(data, len));
}

struct digest_stream *digest_stream_new(void)
{
    /* The state wants 64-byte alignment, more than malloc() gives. */
    struct digest_stream *s =
        aligned_alloc(_Alignof(struct digest_stream), sizeof *s);

    if (s != NULL) {
        digest_stream_reset(s);
    }
    return s;
}

void digest_stream_reset(struct digest_stream *s)
{
    XXH3_INITSTATE(&s->state);
    (void)XXH3_128bits_reset(&s->state);
}

void digest_stream_update(struct digest_stream *s, const void *p, size_t n)
{
    (void)XXH3_128bits_update(&s->state, p, n);
}

struct digest digest_stream_final(const struct digest_stream *s)
{
    return digest_from(XXH3_128bits_digest(&s->state));
}

void digest_stream_free(struct digest_stream *s)
{
    free(s);
}

/* --- what the two readers share ------------------------------------------ */

struct vstat vstat_of(const struct stat *st)
{
    return (struct vstat){.ino = st->st_ino,
                          .ctime_ns = clock_of_timespec(st->st_ctim),
                          .size = (uint64_t)st->st_size};
}

static void fill_look(const struct stat *st, struct look *out)
{
    *out = (struct look){.stat = vstat_of(st),
                         .dev = st->st_dev,
                         .mtime_ns = clock_of_timespec(st->st_mtim)};
}

static int fail(int sys, const char *what, const char *file, struct err *err)
{
    return err_sys(err, sys, "%s %s", what, QUOTED(file, strlen(file)));
}

/* Share lock without waiting.  1 granted, 0 busy, ERR_*. */
static int try_share(int fd, const char *file, struct err *err)
{
    for (;;) {
        if (flock(fd, LOCK_SH | LOCK_NB) == 0) {
            return 1;
        }
        if (errno == EWOULDBLOCK) {
            return 0;
        }
        if (errno != EINTR) {
            return fail(errno, "flock", file, err);
        }
    }
}

/* Without a new access time where we may: with it each new value's first read
 * would be a write to its inode.  Only the owner may; who was refused once is
 * not likely to own the next file. */
static int open_quietly(int dir_fd, const char *file)
{
    static atomic_bool refused;
    const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;

    if (!atomic_load_explicit(&refused, memory_order_relaxed)) {
        int fd = openat(dir_fd, file, flags | O_NOATIME);
        if (fd >= 0 || errno != EPERM) {
            return fd;
        }
        atomic_store_explicit(&refused, true, memory_order_relaxed);
    }
    return openat(dir_fd, file, flags);
}

/* Open the key's file.  Whether the name still leads to it is not known yet. */
static int open_key(int dir_fd, const char *file, int *fd_out, struct err *err)
{
    CLEANUP(fd_closep) int fd = open_quietly(dir_fd, file);

    if (fd < 0) {
        switch (errno) {
        case ENOENT:
            return LOOK_GONE;
        case EINTR:
            return LOOK_CHANGING;
        case ELOOP: /* a symbolic link */
        case ENXIO: /* a socket */
        case ENODEV:
            return LOOK_NOT_A_KEY;
        default:
            return fail(errno, "open", file, err);
        }
    }
    *fd_out = TAKE_FD(fd);
    return LOOK_VALUE;
}

/* The same, and its share lock.  LOOK_BUSY: it is open, but not locked. */
static int open_share(int dir_fd, const char *file, int *fd_out,
                      struct err *err)
{
    CLEANUP(fd_closep) int fd = -1;

    int rc = open_key(dir_fd, file, &fd, err);
    if (rc != LOOK_VALUE) {
        return rc;
    }
    int granted = try_share(fd, file, err);
    if (granted < 0) {
        return granted;
    }
    *fd_out = TAKE_FD(fd);
    return granted ? LOOK_VALUE : LOOK_BUSY;
}

/* See that `fd` is what the name leads to: `rc` as it was, with *st set. */
static int identify(int dir_fd, const char *file, int fd, int rc,
                    struct stat *st, struct err *err)
{
    struct stat named;

    if (fstat(fd, st) < 0) {
        return fail(errno, "fstat", file, err);
    }
    if (!S_ISREG(st->st_mode)) {
        return LOOK_NOT_A_KEY;
    }
    if (fstatat(dir_fd, file, &named, AT_SYMLINK_NOFOLLOW) < 0) {
        return errno == ENOENT ? LOOK_CHANGING : fail(errno, "stat", file, err);
    }
    return read_same_inode(st, &named) ? rc : LOOK_CHANGING;
}

/* Both, once.  *fd_out is set for LOOK_VALUE only. */
static int open_once(int dir_fd, const char *file, int *fd_out, struct stat *st,
                     struct err *err)
{
    CLEANUP(fd_closep) int fd = -1;

    int rc = open_share(dir_fd, file, &fd, err);
    if (rc == LOOK_VALUE || rc == LOOK_BUSY) {
        rc = identify(dir_fd, file, fd, rc, st, err);
    }
    if (rc == LOOK_VALUE) {
        *fd_out = TAKE_FD(fd);
    }
    return rc;
}

/* open_once() until it is settled. */
static int open_settled(int dir_fd, const char *file, int *fd_out,
                        struct stat *st, struct err *err)
{
    int rc = LOOK_CHANGING;

    for (int i = 0; i < LOOK_TRIES && rc == LOOK_CHANGING; i++) {
        rc = open_once(dir_fd, file, fd_out, st, err);
    }
    return rc;
}

/* --- small values -------------------------------------------------------- */

/* The value is in `value`: give the lock back, then make the digest. */
static int settle(int *fd, const struct stat *st, const struct buf *value,
                  struct look *out)
{
    fd_closep(fd);
    fill_look(st, out);
    out->digest = digest_of(value->data, value->len);
    return LOOK_VALUE;
}

/* The careful way: identify, read, see that nothing moved. */
static int look_slowly(int dir_fd, const char *file, int *fd, int rc,
                       size_t inline_max, struct buf *value, struct look *out,
                       struct err *err)
{
    struct stat st;

    rc = identify(dir_fd, file, *fd, rc, &st, err);
    if (rc != LOOK_VALUE && rc != LOOK_BUSY) {
        return rc;
    }
    fill_look(&st, out);
    if (rc == LOOK_BUSY) {
        return LOOK_BUSY;
    }
    if ((uint64_t)st.st_size > inline_max) {
        return LOOK_LARGE;
    }
    rc = read_whole(*fd, file, &st, value, err);
    if (rc == READ_CHANGED) {
        return LOOK_CHANGING;
    }
    return rc == READ_WHOLE ? settle(fd, &st, value, out) : rc;
}

/* Empty, and so for a moment only?  Then a flockd program may just have made the
 * file as a placeholder, and gives up if its lock is not free the instant after:
 * no lock of ours may be there. */
static bool is_placeholder_like(int fd, struct stat *st)
{
    return fstat(fd, st) == 0 && S_ISREG(st->st_mode) && st->st_size == 0 &&
           clock_real_ns() - clock_of_timespec(st->st_ctim) < PLACEHOLDER_NS;
}

/* Such a file has nothing to read that a lock would protect; whether somebody is
 * about to write is asked without touching the lock, and before its size is
 * seen again. */
static int look_placeholder(int dir_fd, const char *file, int *fd,
                            const struct stat *seen, const struct buf *value,
                            struct look *out, struct err *err)
{
    char comm[16];
    struct stat st;

    int rc = lock_holder(seen, true, comm) > 0 ? LOOK_BUSY : LOOK_VALUE;
    rc = identify(dir_fd, file, *fd, rc, &st, err);
    if (rc == LOOK_BUSY) {
        fill_look(&st, out);
    }
    if (rc != LOOK_VALUE) {
        return rc;
    }
    return st.st_size == 0 ? settle(fd, &st, value, out) : LOOK_CHANGING;
}

static int look_once(int dir_fd, const char *file, size_t inline_max,
                     struct buf *value, struct look *out, struct err *err)
{
    int64_t opened_ns = read_clock();
    CLEANUP(fd_closep) int fd = -1;
    struct stat st;

    int rc = open_key(dir_fd, file, &fd, err);
    if (rc != LOOK_VALUE) {
        return rc;
    }
    if (is_placeholder_like(fd, &st)) {
        return look_placeholder(dir_fd, file, &fd, &st, value, out, err);
    }
    int granted = try_share(fd, file, err);
    if (granted < 0) {
        return granted;
    }
    rc = granted ? LOOK_VALUE : LOOK_BUSY;
    if (granted && buf_reserve(value, READ_QUICK_BYTES)) {
        int64_t n =
            read_quick(fd, opened_ns, value->data, READ_QUICK_BYTES, &st);
        if (n >= 0 && (uint64_t)n <= inline_max) {
            value->len = (size_t)n;
            return settle(&fd, &st, value, out);
        }
    }
    return look_slowly(dir_fd, file, &fd, rc, inline_max, value, out, err);
}

int look_key(int dir_fd, const void *key, size_t key_len, size_t inline_max,
             struct buf *value, struct look *look_out, struct err *err)
{
    char file[KEY_FILE_BYTES];
    int rc = LOOK_CHANGING;

    key_file(key, key_len, file);
    buf_clear(value);
    for (int i = 0; i < LOOK_TRIES && rc == LOOK_CHANGING; i++) {
        rc = look_once(dir_fd, file, inline_max, value, look_out, err);
    }
    if (rc != LOOK_VALUE) {
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
    struct stat st;
    uint64_t offset;
    struct digest_stream *digest;
    char file[KEY_FILE_BYTES];
};

static void give_back(struct large *l)
{
    if (l->locked) {
        (void)flock(l->fd, LOCK_UN);
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
               struct large **large_out, struct look *look_out, struct err *err)
{
    char file[KEY_FILE_BYTES];
    CLEANUP(fd_closep) int fd = -1;
    struct stat st;

    key_file(key, key_len, file);
    int rc = open_settled(dir_fd, file, &fd, &st, err);
    if (rc == LOOK_BUSY || rc == LOOK_VALUE) {
        fill_look(&st, look_out);
    }
    if (rc != LOOK_VALUE) {
        return rc;
    }
    struct large *l = calloc(1, sizeof *l);
    struct digest_stream *digest = digest_stream_new();
    if (l == NULL || digest == NULL) {
        free(l);
        digest_stream_free(digest);
        return err_set(err, ERR_NOMEM, 0, "read %s: out of memory",
                       QUOTED(file, strlen(file)));
    }
    l->dir_fd = dir_fd;
    l->fd = TAKE_FD(fd);
    l->locked = true;
    l->hold_ns = hold_ms * NS_PER_MS;
    l->locked_ns = clock_mono_ns();
    l->racy = clock_real_ns() - clock_of_timespec(st.st_ctim) < READ_RACY_NS;
    l->st = st;
    l->digest = digest;
    memcpy(l->file, file, sizeof file);
    *large_out = l;
    return LOOK_VALUE;
}

int64_t large_read(struct large *l, void *out, size_t room, struct err *err)
{
    uint64_t left = (uint64_t)l->st.st_size - l->offset;
    size_t want = left < room ? (size_t)left : room;

    give_back_when_due(l);
    if (want == 0) {
        return 0;
    }
    int64_t n = read_full(l->fd, out, want, l->file, err);
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

/* The name still leads to our inode, and that is as it was at first. */
static int is_unchanged(const struct large *l, struct err *err)
{
    struct stat named;
    struct stat now;

    if (fstatat(l->dir_fd, l->file, &named, AT_SYMLINK_NOFOLLOW) < 0) {
        return errno == ENOENT ? LOOK_CHANGING
                               : fail(errno, "stat", l->file, err);
    }
    if (fstat(l->fd, &now) < 0) {
        return fail(errno, "fstat", l->file, err);
    }
    return read_same_inode(&named, &l->st) && read_same_version(&now, &l->st)
               ? LOOK_VALUE
               : LOOK_CHANGING;
}

/* Read all again; LOOK_VALUE when it gives the same digest. */
static int second_pass(struct large *l, struct err *err)
{
    struct digest first = digest_stream_final(l->digest);
    CLEANUP(freep) void *piece = malloc(SECOND_PASS_BYTES);

    if (piece == NULL) {
        return err_set(err, ERR_NOMEM, 0, "read %s: out of memory",
                       QUOTED(l->file, strlen(l->file)));
    }
    if (lseek(l->fd, 0, SEEK_SET) < 0) {
        return fail(errno, "seek", l->file, err);
    }
    l->offset = 0;
    digest_stream_reset(l->digest);
    int64_t n;
    while ((n = large_read(l, piece, SECOND_PASS_BYTES, err)) > 0) {
    }
    if (n == LARGE_CHANGED) {
        return LOOK_CHANGING;
    }
    if (n < 0) {
        return (int)n;
    }
    return digest_equal(first, digest_stream_final(l->digest)) ? LOOK_VALUE
                                                               : LOOK_CHANGING;
}

int large_finish(struct large *l, struct look *look_out, struct err *err)
{
    /* With the lock in hand no writer that locks is in the middle of it. */
    if (!l->locked) {
        int granted = try_share(l->fd, l->file, err);
        if (granted <= 0) {
            return granted < 0 ? granted : LOOK_CHANGING;
        }
        l->locked = true;
        l->locked_ns = clock_mono_ns();
    }
    int rc = is_unchanged(l, err);
    if (rc == LOOK_VALUE && l->was_unlocked && l->racy) {
        rc = second_pass(l, err);
        if (rc == LOOK_VALUE) {
            rc = is_unchanged(l, err);
        }
    }
    give_back(l);
    if (rc == LOOK_VALUE) {
        fill_look(&l->st, look_out);
        look_out->digest = digest_stream_final(l->digest);
    }
    return rc;
}

void large_close(struct large *l)
{
    if (l == NULL) {
        return;
    }
    fd_closep(&l->fd);
    digest_stream_free(l->digest);
    free(l);
}
