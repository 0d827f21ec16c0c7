/* SPDX-License-Identifier: MIT
 *
 * drover_write: set, create, update, import, and values written in pieces; see
 * drover.h.
 *
 * Everything that writes is a struct drover_writer:
 *   begin    a temporary in the table's directory, exclusive-locked
 *   write    append to it
 *   commit   fsync it; lock the key's current file and see that the name still
 *            leads to it; rename over it; fsync the directory
 *            (no current file: rename with NOREPLACE; somebody was faster:
 *            begin the commit anew)
 *   abort    unlink the temporary
 * Failures at any point leave the key as it was, and no temporary.  Only after
 * a failed fsync of the directory the new value is in place without being
 * certain to survive a crash, which the message says. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/clock.h"
#include "store/base/hex.h"
#include "store/base/quote.h"
#include "store/base/rand.h"
#include "store/base/sys.h"
#include "store/files/newfile.h"
#include "store/layout/install.h"
#include "store/layout/lock.h"
#include "store/layout/placeholder.h"
#include "store/lib/drover_impl.h"

enum {
    TEMP_ID_BYTES = 8,
    TEMP_NAME_BYTES = sizeof TEMP_PREFIX + 2 * TEMP_ID_BYTES,
    TEMP_TRIES = 100,
    IMPORT_BYTES = 256 * 1024,
};

struct drover_writer {
    int dir_fd;
    int fd;      /* of the temporary; -1 once it is synced and renamed */
    bool synced; /* fsync succeeded and nothing was written since */
    enum drover_write_mode mode;
    char temp[TEMP_NAME_BYTES];
    /* Copies, for the commit and its messages. */
    size_t table_len;
    size_t key_len;
    char table[TABLE_MAX_BYTES];
    char key[KEY_MAX_BYTES];
};

static int wrap(const struct drover_writer *w, struct err *err)
{
    static const char *const verbs[] = {"set", "create", "update"};

    return drover_wrap(err, verbs[w->mode],
                       drover_bytes(w->table, w->table_len),
                       drover_bytes(w->key, w->key_len));
}

/* --- begin --------------------------------------------------------------- */

static int open_temp(struct drover_writer *w, struct err *err)
{
    uint8_t id[TEMP_ID_BYTES];

    memcpy(w->temp, TEMP_PREFIX, sizeof TEMP_PREFIX);
    for (int i = 0; i < TEMP_TRIES; i++) {
        int rc = rand_bytes(id, sizeof id, err);
        if (rc < 0) {
            return rc;
        }
        (void)hex_encode(w->temp + sizeof TEMP_PREFIX - 1, id, sizeof id);
        w->fd = sys_openat(w->dir_fd, w->temp,
                           O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                           0600);
        if (w->fd >= 0) {
            /* Nobody else knows it: the lock only tells a live writer's
             * temporary from one that a crash left behind. */
            (void)sys_flock(w->fd, LOCK_EX);
            return 0;
        }
        if (errno != EEXIST) {
            break;
        }
    }
    return err_sys(err, errno, "make a temporary file");
}

static void writer_free(struct drover_writer *w)
{
    if (w->fd >= 0) {
        (void)unlinkat(w->dir_fd, w->temp, 0);
        fd_closep(&w->fd);
    }
    fd_closep(&w->dir_fd);
    free(w);
}

static void writer_freep(struct drover_writer **w)
{
    if (*w != NULL) {
        writer_free(*w);
    }
}

static int open_table(struct drover_writer *w, const struct drover *db,
                      struct err *err)
{
    struct table_make make = {.create = w->mode != DROVER_WRITE_UPDATE,
                              .group = (gid_t)-1};

    w->dir_fd = table_open(&db->db, w->table, w->table_len, &make, NULL, err);
    return w->dir_fd < 0 ? w->dir_fd : 0;
}

static int begin(struct drover *db, struct drover_bytes table,
                 struct drover_bytes key, enum drover_write_mode mode,
                 struct drover_writer **out, struct err *err)
{
    int rc = drover_check(table, key, err);

    if (rc == 0) {
        rc = drover_check_writable(db, err);
    }
    if (rc == 0 && (unsigned)mode > DROVER_WRITE_UPDATE) {
        rc = err_set(err, ERR_INVALID, 0, "drover_write_begin: mode %d",
                     (int)mode);
    }
    if (rc < 0) {
        return rc;
    }
    CLEANUP(writer_freep) struct drover_writer *w = calloc(1, sizeof *w);
    if (w == NULL) {
        return err_set(err, ERR_NOMEM, 0, "out of memory");
    }
    w->dir_fd = -1;

    w->fd = -1;
    w->mode = mode;
    w->table_len = table.len;
    w->key_len = key.len;
    if (table.len > 0) {
        memcpy(w->table, table.data, table.len);
    }
    if (key.len > 0) {
        memcpy(w->key, key.data, key.len);
    }
    rc = open_table(w, db, err);
    if (rc == 0) {
        rc = open_temp(w, err);
    }
    if (rc < 0) {
        return wrap(w, err);
    }
    *out = TAKE_PTR(w);
    return 0;
}

/* --- write --------------------------------------------------------------- */

static int append(struct drover_writer *w, const void *data, size_t len,
                  struct err *err)
{
    w->synced = false;
    if (sys_write_all(w->fd, data, len) < 0) {
        (void)err_sys(err, errno, "write");
        return wrap(w, err);
    }
    return 0;
}

/* --- commit -------------------------------------------------------------- */

static int64_t left_ms(int64_t deadline_ns)
{
    if (deadline_ns == INT64_MAX) {
        return DROVER_FOREVER;
    }
    int64_t left = deadline_ns - clock_mono_ns();

    return left > 0 ? (left + NS_PER_MS - 1) / NS_PER_MS : 0;
}

static int place_new(struct drover_writer *w, const char *file, struct err *err)
{
    if (newfile_rename(w->dir_fd, w->temp, w->dir_fd, file) == 0) {
        return 0;
    }
    if (errno == EEXIST) {
        return err_set(err, ERR_EXISTS, 0, "it exists already");
    }
    return err_sys(err, errno, "rename");
}

/* Rename over the current file under its exclusive lock.  ERR_NOTFOUND when
 * there is no current file. */
static int place_over(struct drover_writer *w, const char *file,
                      int64_t timeout_ms, struct err *err)
{
    CLEANUP(fd_closep)
    int lock_fd =
        lock_open(w->dir_fd, file, LOCK_EXCLUSIVE, timeout_ms, NULL, err);

    if (lock_fd < 0) {
        return lock_fd;
    }
    if (renameat(w->dir_fd, w->temp, w->dir_fd, file) < 0) {
        return err_sys(err, errno, "rename");
    }
    return 0;
}

/* Set: whichever of the two fits; others may create and delete the key all
 * the while, so a miss of one is an attempt at the other. */
static int place_any(struct drover_writer *w, const char *file,
                     int64_t timeout_ms, struct err *err)
{
    int64_t deadline = clock_deadline_ns(timeout_ms);

    for (;;) {
        int rc = place_over(w, file, left_ms(deadline), err);
        if (rc != ERR_NOTFOUND) {
            return rc;
        }
        rc = place_new(w, file, err);
        if (rc != ERR_EXISTS) {
            return rc;
        }
    }
}

static int place(struct drover_writer *w, int64_t timeout_ms, struct err *err)
{
    char file[KEY_FILE_BYTES];

    key_file(w->key, w->key_len, file);
    switch (w->mode) {
    case DROVER_WRITE_CREATE:
        return place_new(w, file, err);
    case DROVER_WRITE_UPDATE:
        return place_over(w, file, timeout_ms, err);
    case DROVER_WRITE_SET:
        break;
    }
    return place_any(w, file, timeout_ms, err);
}

/* A rename can fail with ENOENT because the table was dropped under us. */
static bool table_is_gone(const struct drover_writer *w)
{
    struct stat st;

    return fstat(w->dir_fd, &st) == 0 && st.st_nlink == 0;
}

static int commit(struct drover_writer *w, int64_t timeout_ms, struct err *err)
{
    int rc = 0;

    if (timeout_ms < DROVER_FOREVER) {
        return err_set(err, ERR_INVALID, 0, "a timeout cannot be negative");
    }
    if (!w->synced) {
        struct stat st;
        if (fstat(w->fd, &st) == 0 && st.st_size == 0) {
            placeholder_disown(w->fd);
        }
        rc = drover_sync(w->fd, "the value", err);
        w->synced = rc == 0;
    }
    if (rc == 0) {
        rc = place(w, timeout_ms, err);
    }
    if (rc == ERR_NOTFOUND && table_is_gone(w)) {
        rc = err_set(err, ERR_NOTFOUND, 0, "the table was dropped meanwhile");
    }
    if (rc < 0) {
        return wrap(w, err);
    }
    /* In place: give up the lock before the slow part. */
    fd_closep(&w->fd);
    rc = drover_sync(w->dir_fd,
                     "the table's directory (the new value is in "
                     "place, but may not survive a power cut)",
                     err);
    return rc < 0 ? wrap(w, err) : 0;
}

/* --- the public functions ------------------------------------------------ */

int drover_write_begin(struct drover *db, struct drover_bytes table,
                       struct drover_bytes key, enum drover_write_mode mode,
                       struct drover_writer **writer_out,
                       struct drover_error *err)
{
    struct err e;

    return drover_report(begin(db, table, key, mode, writer_out, &e), &e, err);
}

int drover_write(struct drover_writer *writer, struct drover_bytes data,
                 struct drover_error *err)
{
    struct err e;

    return drover_report(append(writer, data.data, data.len, &e), &e, err);
}

int drover_write_commit(struct drover_writer *writer, int64_t timeout_ms,
                        struct drover_error *err)
{
    struct err e;
    int rc = commit(writer, timeout_ms, &e);

    if (rc == 0) {
        writer_free(writer);
    }
    return drover_report(rc, &e, err);
}

void drover_write_abort(struct drover_writer *writer)
{
    if (writer != NULL) {
        writer_free(writer);
    }
}

static int write_whole(struct drover *db, struct drover_bytes table,
                       struct drover_bytes key, struct drover_bytes value,
                       enum drover_write_mode mode, int64_t timeout_ms,
                       struct drover_error *err)
{
    CLEANUP(writer_freep) struct drover_writer *w = NULL;
    struct err e;

    int rc = begin(db, table, key, mode, &w, &e);
    if (rc == 0) {
        rc = append(w, value.data, value.len, &e);
    }
    if (rc == 0) {
        rc = commit(w, timeout_ms, &e);
    }
    return drover_report(rc, &e, err);
}

int drover_set(struct drover *db, struct drover_bytes table,
               struct drover_bytes key, struct drover_bytes value,
               int64_t timeout_ms, struct drover_error *err)
{
    return write_whole(db, table, key, value, DROVER_WRITE_SET, timeout_ms,
                       err);
}

int drover_create(struct drover *db, struct drover_bytes table,
                  struct drover_bytes key, struct drover_bytes value,
                  struct drover_error *err)
{
    /* No temporary, and no table, when it is clear from the start. */
    struct err e;
    int has = drover_find(&db->db, table, key, &e);

    if (has > 0 && drover_check_writable(db, &e) == 0) {
        (void)err_set(&e, ERR_EXISTS, 0, "it exists already");
        return drover_report(drover_wrap(&e, "create", table, key), &e, err);
    }
    return write_whole(db, table, key, value, DROVER_WRITE_CREATE, 0, err);
}

int drover_update(struct drover *db, struct drover_bytes table,
                  struct drover_bytes key, struct drover_bytes value,
                  int64_t timeout_ms, struct drover_error *err)
{
    return write_whole(db, table, key, value, DROVER_WRITE_UPDATE, timeout_ms,
                       err);
}

/* --- import -------------------------------------------------------------- */

static int copy_all(struct drover_writer *w, int fd, const char *path,
                    struct err *err)
{
    CLEANUP(freep) char *piece = malloc(IMPORT_BYTES);

    if (piece == NULL) {
        return err_set(err, ERR_NOMEM, 0, "out of memory");
    }
    for (;;) {
        ssize_t n = sys_read(fd, piece, IMPORT_BYTES);
        if (n < 0) {
            return err_sys(err, errno, "read %s", QUOTED_STR(path));
        }
        if (n == 0) {
            return 0;
        }
        int rc = append(w, piece, (size_t)n, err);
        if (rc < 0) {
            return rc;
        }
    }
}

static int import_impl(struct drover *db, struct drover_bytes table,
                       struct drover_bytes key, const char *path,
                       int64_t timeout_ms, struct err *err)
{
    CLEANUP(writer_freep) struct drover_writer *w = NULL;
    CLEANUP(fd_closep) int fd = sys_open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        return err_sys(err, errno, "open %s", QUOTED_STR(path));
    }
    int rc = begin(db, table, key, DROVER_WRITE_SET, &w, err);
    if (rc == 0) {
        rc = copy_all(w, fd, path, err);
    }
    return rc == 0 ? commit(w, timeout_ms, err) : rc;
}

int drover_import(struct drover *db, struct drover_bytes table,
                  struct drover_bytes key, const char *path, int64_t timeout_ms,
                  struct drover_error *err)
{
    struct err e;

    return drover_report(import_impl(db, table, key, path, timeout_ms, &e), &e,
                         err);
}
