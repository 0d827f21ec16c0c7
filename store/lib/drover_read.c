/* SPDX-License-Identifier: MIT
 *
 * drover_read: has, get, and values read in pieces; see drover.h.
 *
 * A get first tries the shortest way: one openat2() of "users.tbl/bob.kv" from
 * the root, the lock at once (but never of a placeholder), and read_quick().
 * Whatever goes differently (a young or large value, busy, an error, an old
 * kernel) is left to the way that verifies, and that to the way with a wait. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/buf.h"
#include "store/base/quote.h"
#include "store/base/sys.h"
#include "store/layout/lock.h"
#include "store/layout/placeholder.h"
#include "store/layout/read.h"
#include "store/lib/drover_impl.h"

/* How often a value that changes under our share lock is read again. */
enum { CHANGE_TRIES = 8 };

/* Between two looks at a placeholder. */
#define HAS_PAUSE_NS (200 * NS_PER_US)

/* Room for "TABLE.tbl/KEY.kv". */
enum { FILE_PATH_BYTES = TABLE_PATH_BYTES + KEY_FILE_BYTES };

static void file_path(struct drover_bytes table, struct drover_bytes key,
                      char *out)
{
    size_t n = 0;

    if (table.len > 0) {
        table_path(table.data, table.len, out);
        n = strlen(out);
        out[n++] = '/';
    }
    key_file(key.data, key.len, out + n);
}

/* Open by one openat2() from the root and lock at once; -1 whatever is in the
 * way. */
static int open_fast(const struct db *db, const char *path)
{
    CLEANUP(fd_closep) int fd = db_open_file(db, path);
    struct err ignored;
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0 || placeholder_is(fd, &st)) {
        return -1;
    }
    return lock_ask(fd, path, LOCK_SHARE, &ignored) == LOCK_GRANTED
               ? TAKE_FD(fd)
               : -1;
}

/* A small value that nobody touched lately: its length, or -1. */
static int64_t get_fast(const struct db *db, struct drover_bytes table,
                        struct drover_bytes key, void *out, size_t room)
{
    char path[FILE_PATH_BYTES];
    int64_t opened_ns = clock_of_files_ns();
    struct stat st;

    file_path(table, key, path);
    CLEANUP(fd_closep) int fd = open_fast(db, path);
    return fd < 0
               ? -1
               : read_quick(fd, opened_ns, out,
                            room < READ_QUICK_BYTES ? room : READ_QUICK_BYTES,
                            &st);
}

/* open_fast(), verified: a share-locked descriptor and its stat, or -1. */
static int open_verified(const struct db *db, struct drover_bytes table,
                         struct drover_bytes key, struct stat *st)
{
    char path[FILE_PATH_BYTES];
    struct err ignored;

    file_path(table, key, path);
    CLEANUP(fd_closep) int fd = open_fast(db, path);
    return fd >= 0 && lock_identify(db->root_fd, path, fd, LOCK_GRANTED, st,
                                    &ignored) == LOCK_GRANTED
               ? TAKE_FD(fd)
               : -1;
}

/* A share-locked descriptor of the key's file, its stat, or ERR_*. */
static int open_locked(const struct db *db, struct drover_bytes table,
                       struct drover_bytes key, int64_t timeout_ms,
                       struct stat *st, struct err *err)
{
    char file[KEY_FILE_BYTES];
    int fd = open_verified(db, table, key, st);

    if (fd >= 0) {
        return fd;
    }
    CLEANUP(fd_closep)
    int dir_fd = table_open(db, table.data, table.len, NULL, NULL, err);
    if (dir_fd < 0) {
        return dir_fd;
    }
    key_file(key.data, key.len, file);
    return lock_open(dir_fd, file, LOCK_SHARE, timeout_ms, st, err);
}

static int changing(struct err *err)
{
    return err_set(err, ERR_TIMEOUT, 0,
                   "it changed while it was read: a program writes to it "
                   "without locking");
}

static int check_timeout(int64_t timeout_ms, struct err *err)
{
    if (timeout_ms < DROVER_FOREVER) {
        return err_set(err, ERR_INVALID, 0, "a timeout cannot be negative");
    }
    return 0;
}

static int check(struct drover_bytes table, struct drover_bytes key,
                 int64_t timeout_ms, struct err *err)
{
    int rc = check_timeout(timeout_ms, err);

    return rc < 0 ? rc : drover_check(table, key, err);
}

/* The way with a wait, and with repetitions. */
static int get_slowly(struct drover *db, struct drover_bytes table,
                      struct drover_bytes key, int64_t timeout_ms,
                      struct buf *value, struct err *err)
{
    char file[KEY_FILE_BYTES];

    key_file(key.data, key.len, file);
    for (int i = 0; i < CHANGE_TRIES; i++) {
        struct stat st;
        CLEANUP(fd_closep)
        int fd = open_locked(&db->db, table, key, timeout_ms, &st, err);
        int rc = fd < 0 ? fd : read_whole(fd, file, &st, value, err);
        if (rc < 0) {
            return drover_wrap(err, "get", table, key);
        }
        if (rc == READ_WHOLE) {
            return 0;
        }
    }
    (void)changing(err);
    return drover_wrap(err, "get", table, key);
}

int drover_get_buf(struct drover *db, struct drover_bytes table,
                   struct drover_bytes key, int64_t timeout_ms,
                   struct buf *value, struct err *err)
{
    int rc = check(table, key, timeout_ms, err);

    if (rc < 0) {
        return rc;
    }
    buf_clear(value);
    if (buf_reserve(value, READ_QUICK_BYTES)) {
        int64_t n =
            get_fast(&db->db, table, key, value->data, READ_QUICK_BYTES);
        if (n >= 0) {
            value->len = (size_t)n;
            return 0;
        }
    }
    return get_slowly(db, table, key, timeout_ms, value, err);
}

/* A copy of the caller's own, no larger than it must be, ended by a NUL. */
static int get_copy(struct drover *db, struct drover_bytes table,
                    struct drover_bytes key, int64_t timeout_ms,
                    void **value_out, size_t *len_out, struct err *err)
{
    char quick[READ_QUICK_BYTES];
    CLEANUP(buf_deinit) struct buf value = BUF_NULL;
    const void *data = quick;

    int rc = check(table, key, timeout_ms, err);
    if (rc < 0) {
        return rc;
    }
    int64_t n = get_fast(&db->db, table, key, quick, sizeof quick);
    if (n < 0) {
        rc = get_slowly(db, table, key, timeout_ms, &value, err);
        if (rc < 0) {
            return rc;
        }
        data = value.data;
        n = (int64_t)value.len;
    }
    size_t len = (size_t)n;
    /* A large one is not copied; read_whole() left room for the NUL. */
    char *copy = data == quick ? malloc(len + 1) : realloc(value.data, len + 1);
    if (copy == NULL) {
        return err_set(err, ERR_NOMEM, 0, "out of memory");
    }
    if (data == quick) {
        memcpy(copy, quick, len);
    } else {
        value = (struct buf)BUF_NULL;
    }
    copy[len] = '\0';
    *value_out = copy;
    *len_out = len;
    return 0;
}

int drover_get(struct drover *db, struct drover_bytes table,
               struct drover_bytes key, int64_t timeout_ms, void **value_out,
               size_t *len_out, struct drover_error *err)
{
    struct err e;

    return drover_report(
        get_copy(db, table, key, timeout_ms, value_out, len_out, &e), &e, err);
}

/* Read the value into the caller's buffer.  READ_WHOLE, READ_CHANGED, ERR_*. */
static int read_into(int fd, const char *file, const struct stat *st, void *out,
                     size_t room, struct err *err)
{
    struct stat after;

    if ((uint64_t)st->st_size > room) {
        return err_set(err, ERR_TOOBIG, 0,
                       "the value has %lld bytes, the buffer %zu",
                       (long long)st->st_size, room);
    }
    if (lseek(fd, 0, SEEK_SET) < 0) {
        return err_sys(err, errno, "seek");
    }
    int64_t n = read_full(fd, out, (size_t)st->st_size, file, err);
    if (n < 0) {
        return (int)n;
    }
    if (fstat(fd, &after) < 0) {
        return err_sys(err, errno, "fstat");
    }
    return n == st->st_size && read_same_version(st, &after) ? READ_WHOLE
                                                             : READ_CHANGED;
}

static int get_into_impl(struct drover *db, struct drover_bytes table,
                         struct drover_bytes key, int64_t timeout_ms, void *out,
                         size_t room, size_t *len_out, struct err *err)
{
    char file[KEY_FILE_BYTES];

    int rc = check(table, key, timeout_ms, err);
    if (rc < 0) {
        return rc;
    }
    int64_t n = get_fast(&db->db, table, key, out, room);
    if (n >= 0) {
        *len_out = (size_t)n;
        return 0;
    }
    key_file(key.data, key.len, file);
    for (int i = 0; i < CHANGE_TRIES; i++) {
        struct stat st;
        CLEANUP(fd_closep)
        int fd = open_locked(&db->db, table, key, timeout_ms, &st, err);
        rc = fd < 0 ? fd : read_into(fd, file, &st, out, room, err);
        if (rc == READ_WHOLE || rc == ERR_TOOBIG) {
            *len_out = (size_t)st.st_size;
        }
        if (rc < 0) {
            return drover_wrap(err, "get", table, key);
        }
        if (rc == READ_WHOLE) {
            return 0;
        }
    }
    (void)changing(err);
    return drover_wrap(err, "get", table, key);
}

int drover_get_into(struct drover *db, struct drover_bytes table,
                    struct drover_bytes key, int64_t timeout_ms, void *out,
                    size_t room, size_t *len_out, struct drover_error *err)
{
    struct err e;

    return drover_report(
        get_into_impl(db, table, key, timeout_ms, out, room, len_out, &e), &e,
        err);
}

int drover_find(const struct db *db, struct drover_bytes table,
                struct drover_bytes key, struct err *err)
{
    char file[KEY_FILE_BYTES];
    struct stat st;

    int rc = drover_check(table, key, err);
    if (rc < 0) {
        return rc;
    }
    CLEANUP(fd_closep)
    int dir_fd = table_open(db, table.data, table.len, NULL, NULL, err);
    if (dir_fd < 0) {
        return dir_fd == ERR_NOTFOUND ? 0 : dir_fd;
    }
    key_file(key.data, key.len, file);
    if (fstatat(dir_fd, file, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        return errno == ENOENT ? 0 : err_sys(err, errno, "stat");
    }
    if (!S_ISREG(st.st_mode)) {
        return 0;
    }
    return placeholder_is_at(dir_fd, file, &st) ? DROVER_FOUND_EMPTY : 1;
}

/* A placeholder is waited for: what becomes of it decides. */
static int has_impl(const struct db *db, struct drover_bytes table,
                    struct drover_bytes key, struct err *err)
{
    int64_t until_ns = clock_mono_ns() + PLACEHOLDER_NS;
    int rc;

    while ((rc = drover_find(db, table, key, err)) == DROVER_FOUND_EMPTY &&
           clock_mono_ns() < until_ns) {
        clock_sleep_ns(HAS_PAUSE_NS);
    }
    return rc < 0 ? rc : rc != 0;
}

int drover_has(struct drover *db, struct drover_bytes table,
               struct drover_bytes key, struct drover_error *err)
{
    struct err e;
    int rc = has_impl(&db->db, table, key, &e);

    if (rc < 0 && rc != ERR_BADKEY && rc != ERR_BADTABLE) {
        (void)drover_wrap(&e, "look for", table, key);
    }
    return drover_report(rc, &e, err);
}

/* --- in pieces ----------------------------------------------------------- */

struct drover_reader {
    int fd;
    struct stat st;
    uint64_t offset;
    char file[KEY_FILE_BYTES];
};

static int read_open_impl(struct drover *db, struct drover_bytes table,
                          struct drover_bytes key, int64_t timeout_ms,
                          struct drover_reader **out, struct err *err)
{
    int rc = check(table, key, timeout_ms, err);

    if (rc < 0) {
        return rc;
    }
    CLEANUP(freep) struct drover_reader *r = calloc(1, sizeof *r);
    if (r == NULL) {
        return err_set(err, ERR_NOMEM, 0, "out of memory");
    }
    r->fd = open_locked(&db->db, table, key, timeout_ms, &r->st, err);
    if (r->fd < 0) {
        return drover_wrap(err, "get", table, key);
    }
    key_file(key.data, key.len, r->file);
    *out = TAKE_PTR(r);
    return 0;
}

int drover_read_open(struct drover *db, struct drover_bytes table,
                     struct drover_bytes key, int64_t timeout_ms,
                     struct drover_reader **reader_out, uint64_t *size_out,
                     struct drover_error *err)
{
    struct err e;
    int rc = read_open_impl(db, table, key, timeout_ms, reader_out, &e);

    if (rc == 0 && size_out != NULL) {
        *size_out = (uint64_t)(*reader_out)->st.st_size;
    }
    return drover_report(rc, &e, err);
}

/* A file that lost its name meanwhile (replaced without the lock, as a replica
 * may be told to) has a new ctime for that reason alone; its bytes still are
 * the value it was. */
static bool still_whole(const struct stat *was, const struct stat *now)
{
    struct stat st = *now;

    if (now->st_nlink == 0) {
        st.st_ctim = was->st_ctim;
    }
    return read_same_version(was, &st);
}

static int64_t read_impl(struct drover_reader *r, void *out, size_t room,
                         struct err *err)
{
    struct stat now;

    assert(room > 0);
    uint64_t left = (uint64_t)r->st.st_size - r->offset;
    size_t want = left < room ? (size_t)left : room;

    int64_t n = read_full(r->fd, out, want, r->file, err);
    if (n < 0) {
        return n;
    }
    r->offset += (uint64_t)n;
    if (want > 0 && (size_t)n == want) {
        return n;
    }
    if (fstat(r->fd, &now) < 0) {
        return err_sys(err, errno, "fstat %s", QUOTED_STR(r->file));
    }
    if (want > 0 || !still_whole(&r->st, &now)) {
        (void)changing(err);
        return err_wrap(err, "%s", QUOTED_STR(r->file));
    }
    return 0;
}

int64_t drover_read(struct drover_reader *reader, void *out, size_t room,
                    struct drover_error *err)
{
    struct err e;
    int64_t n = read_impl(reader, out, room, &e);

    if (n < 0) {
        (void)drover_report((int)n, &e, err);
    }
    return n;
}

void drover_read_close(struct drover_reader *reader)
{
    if (reader != NULL) {
        fd_closep(&reader->fd);
        free(reader);
    }
}
