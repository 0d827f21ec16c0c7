/* SPDX-License-Identifier: MIT
 *
 * identity: see identity.h.
 *
 * The id is written so that it replaces none: two agents started at once agree
 * on one.
 */
#include "agent/identity/identity.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "store/base/buf.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/hex.h"
#include "store/base/rand.h"
#include "store/base/sys.h"
#include "store/files/own_dir.h"
#include "store/files/small_file.h"
#include "store/layout/name.h"
#include "sync/errors/state.h"

enum { RECORD_MAX_BYTES = IDENTITY_PATH_BYTES };

static int meta_open(const struct db *db, struct err *err)
{
    int fd = sys_open_dir(db->root_fd, META_DIR);

    if (fd < 0) {
        return err_sys(err, errno, META_DIR);
    }
    return fd;
}

/* Was it demoted, or is it a replica that somebody takes for a primary? */
static int refuse_replica(const struct db *db, int meta, struct err *err)
{
    struct stat st;

    if (fstatat(meta, "replica", &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return 0;
    }
    (void)err_set(err, ERR_REFUSED, 0,
                  "%s is a replica (it has " META_DIR "/replica): nothing is "
                  "read from it; to make it the primary: drover-replica "
                  "promote %s",
                  db->path, db->path);

    err->id = DR_IS_REPLICA;
    return ERR_REFUSED;
}

static int read_id(const struct db *db, uint8_t id_out[IDENTITY_BYTES],
                   struct err *err)
{
    CLEANUP(fd_closep) int meta = meta_open(db, err);

    if (meta < 0) {
        return err->code;
    }
    if (refuse_replica(db, meta, err) < 0) {
        return err->code;
    }
    char text[128];
    int n = small_read(meta, "id", text, sizeof text, NULL, err);
    if (n < 0) {
        return err_wrap(err, META_DIR);
    }
    size_t len = strcspn(text, "\n");
    if (!hex_decode(id_out, IDENTITY_BYTES, text, len)) {
        return err_set(err, ERR_CORRUPT, 0,
                       META_DIR "/id does not hold 32 hexadecimal digits");
    }
    return 0;
}

int identity_read(const struct db *db, uint8_t id_out[IDENTITY_BYTES],
                  struct err *err)
{
    if (read_id(db, id_out, err) == 0) {
        return 0;
    }
    if (err->id == DR_IS_REPLICA) {
        return err->code;
    }
    (void)err_wrap(err, "%s", db->path);

    err->id = DR_NOT_OUR_DATABASE;
    return err->code;
}

/* An agent of another user can read it then, but could not make it.  Without
 * it agents are told from others by their locks on the id (role.h). */
static void make_claim_file(int meta)
{
    struct err err;
    int fd = own_file_open(meta, META_FILE_AGENT, O_RDONLY, &err);

    fd_closep(&fd);
}

/* The metadata directory, made if it is missing. */
static int make_meta(const struct db *db, struct err *err)
{
    /* The umask must not hide it from those who list the database. */
    static const struct own_dir how = {
        .mode = 0755, .group = (gid_t)-1, .give = true};
    bool made;
    CLEANUP(fd_closep)
    int meta = own_dir_open(db->root_fd, META_DIR, &how, &made, err);
    if (meta < 0) {
        return meta;
    }
    if (made && sys_fsync(db->root_fd) != 0) {
        return err_sys(err, errno, "sync the directory of " META_DIR);
    }
    return TAKE_FD(meta);
}

/* ERR_EXISTS: there is one. */
static int write_id(int meta, const uint8_t id[IDENTITY_BYTES], struct err *err)
{
    char text[IDENTITY_HEX_BYTES + 1];

    (void)hex_encode(text, id, IDENTITY_BYTES);
    text[IDENTITY_HEX_BYTES - 1] = '\n';
    static const struct small_how how = {
        .mode = 0644, .group = (gid_t)-1, .only_new = true, .durable = true};
    int rc = small_write(meta, "id", text, IDENTITY_HEX_BYTES, &how, err);
    if (rc == 0) {
        make_claim_file(meta);
    }
    return rc < 0 ? err_wrap(err, META_DIR) : 0;
}

static int make_id(const struct db *db, uint8_t id_out[IDENTITY_BYTES],
                   struct err *err)
{
    /* One that is there needs no permission to write. */
    int there = read_id(db, id_out, err);
    if (there != ERR_NOTFOUND) {
        CLEANUP(fd_closep) int old = there == 0 ? meta_open(db, err) : -1;
        if (old >= 0) {
            make_claim_file(old); /* of the version before: it has none */
        }
        return there < 0 ? there : IDENTITY_THERE;
    }
    CLEANUP(fd_closep) int meta = make_meta(db, err);
    if (meta < 0) {
        return meta;
    }
    uint8_t id[IDENTITY_BYTES];
    int rc = rand_bytes(id, sizeof id, err);
    if (rc < 0) {
        return rc;
    }
    rc = write_id(meta, id, err);
    if (rc == ERR_EXISTS) {
        rc = read_id(db, id_out, err);
        return rc < 0 ? rc : IDENTITY_THERE;
    }
    if (rc == 0) {
        memcpy(id_out, id, sizeof id);
    }
    return rc;
}

/* --- the epoch, as one line of decimal digits ---------------------------- */

static int write_epoch(int dir_fd, uint64_t epoch, mode_t mode, struct err *err)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%" PRIu64 "\n", epoch);

    return small_write(dir_fd, IDENTITY_EPOCH, text, (size_t)n,
                       SMALL_DURABLE(mode), err);
}

static int read_epoch(int dir_fd, uint64_t *epoch_out, struct err *err)
{
    char text[64];
    int n = small_read(dir_fd, IDENTITY_EPOCH, text, sizeof text, NULL, err);

    if (n < 0) {
        return n;
    }
    size_t digits = strspn(text, "0123456789");
    errno = 0;
    unsigned long long value = strtoull(text, NULL, 10);
    if (digits == 0 || strspn(text + digits, "\n") != strlen(text + digits) ||
        errno != 0 || value == 0) {
        return err_set(err, ERR_CORRUPT, 0,
                       IDENTITY_EPOCH " does not hold a number above 0");
    }
    *epoch_out = value;
    return 0;
}

int identity_recall_epoch(int state_fd, uint64_t *epoch_out, struct err *err)
{
    int rc = read_epoch(state_fd, epoch_out, err);

    return rc < 0 ? err_wrap(err, "state directory") : 0;
}

int identity_record_epoch(int state_fd, uint64_t epoch, struct err *err)
{
    uint64_t was;

    if (read_epoch(state_fd, &was, err) == 0 && was == epoch) {
        return 0;
    }
    int rc = write_epoch(state_fd, epoch, 0600, err);

    return rc < 0 ? err_wrap(err, "state directory") : 0;
}

/* The epoch comes first: an agent that starts in between finds no id. */
int identity_restore(const struct db *db, const uint8_t id[IDENTITY_BYTES],
                     uint64_t epoch, struct err *err)
{
    uint8_t there[IDENTITY_BYTES];
    int rc = read_id(db, there, err);

    if (rc != ERR_NOTFOUND) {
        return rc < 0 ? rc : err_set(err, ERR_EXISTS, 0, "it has an id");
    }
    CLEANUP(fd_closep) int meta = make_meta(db, err);
    rc = meta;
    if (rc >= 0 && epoch > 0) {
        rc = write_epoch(meta, epoch, 0644, err);
    }
    if (rc >= 0) {
        rc = write_id(meta, id, err);
    }
    if (rc >= 0) {
        return 0;
    }
    (void)err_wrap(err, "make the id of database %s", db->path);
    err->id = DR_NO_IDENTITY;
    return err->code;
}

int identity_make(const struct db *db, uint8_t id_out[IDENTITY_BYTES],
                  struct err *err)
{
    int rc = make_id(db, id_out, err);

    if (rc >= 0 || err->id == DR_IS_REPLICA) {
        return rc;
    }
    (void)err_wrap(err, "make the id of database %s", db->path);
    err->id = DR_NO_IDENTITY;
    return err->code;
}

int identity_check(const struct db *db, const uint8_t id[IDENTITY_BYTES],
                   struct err *err)
{
    if (!db_root_is_same(db)) {
        (void)err_set(err, ERR_GONE, 0,
                      "%s is not the directory it was: unmounted, moved, "
                      "removed or mounted over",
                      db->path);
        err->id = DR_NOT_OUR_DATABASE;
        return ERR_GONE;
    }
    uint8_t there[IDENTITY_BYTES];
    if (read_id(db, there, err) < 0) {
        if (err->id == DR_IS_REPLICA) {
            return err->code = ERR_GONE;
        }
        (void)err_wrap(err, "%s is not our database", db->path);
    } else if (memcmp(there, id, sizeof there) != 0) {
        char a[IDENTITY_HEX_BYTES], b[IDENTITY_HEX_BYTES];
        (void)err_set(err, ERR_GONE, 0,
                      "%s is not our database: its id is %s, ours is %s",
                      db->path, hex_encode(a, there, sizeof there),
                      hex_encode(b, id, IDENTITY_BYTES));
    } else {
        return 0;
    }
    err->code = ERR_GONE;
    err->id = DR_NOT_OUR_DATABASE;
    return ERR_GONE;
}

int identity_origin(const struct db *db, uint8_t out[IDENTITY_ORIGIN_BYTES],
                    struct err *err)
{
    struct statx sx;

    if (statx(db->root_fd, META_DIR "/id", AT_SYMLINK_NOFOLLOW,
              STATX_INO | STATX_BTIME | STATX_MTIME, &sx) != 0) {
        return err_sys(err, errno, META_DIR "/id");
    }
    /* Neither changes with owner, mode or links; where the file system has no
     * birth time, the file was written once. */
    const struct statx_timestamp *t =
        (sx.stx_mask & STATX_BTIME) != 0 ? &sx.stx_btime : &sx.stx_mtime;
    const uint64_t facts[3] = {sx.stx_ino, (uint64_t)t->tv_sec, t->tv_nsec};
    uint64_t hash = XXH3_64bits(facts, sizeof facts);
    if (hash == 0) {
        hash = 1;
    }
    memcpy(out, &hash, IDENTITY_ORIGIN_BYTES);

    return 0;
}

static int hold(int fd, const char *file, struct err *err)
{
    CLEANUP(fd_closep) int own = fd;

    if (sys_flock(own, LOCK_SH) == 0) {
        return TAKE_FD(own);
    }
    return errno == EWOULDBLOCK
               ? err_set(err, ERR_EXISTS, 0,
                         META_DIR "/%s is locked exclusively (is it being "
                                  "demoted?)",
                         file)
               : err_sys(err, errno, "lock " META_DIR "/%s", file);
}

int identity_hold(const struct db *db, struct err *err)
{
    CLEANUP(fd_closep) int meta = meta_open(db, err);

    if (meta < 0) {
        return meta;
    }
    int fd = sys_open_file(meta, "id");
    return fd < 0 ? err_sys(err, errno, META_DIR "/id") : hold(fd, "id", err);
}

int identity_claim(const struct db *db, struct err *err)
{
    CLEANUP(fd_closep) int meta = meta_open(db, err);

    if (meta < 0) {
        return meta;
    }
    int fd = own_file_open(meta, META_FILE_AGENT, O_RDONLY, err);
    return fd < 0 ? fd : hold(fd, META_FILE_AGENT, err);
}

int identity_epoch(const struct db *db, uint64_t *epoch_out, struct err *err)
{
    *epoch_out = 1;
    CLEANUP(fd_closep) int meta = meta_open(db, err);
    if (meta < 0) {
        return err->code == ERR_NOTFOUND ? 0 : err->code;
    }
    int rc = read_epoch(meta, epoch_out, err);
    if (rc == ERR_NOTFOUND) {
        return 0;
    }
    return rc < 0 ? err_wrap(err, "%s/" META_DIR, db->path) : 0;
}

/* The record: the id in hexadecimal, a space, and the path to the end of the
 * file (a path may hold any byte but NUL). */
int identity_recall_any(int state_fd, char path_out[IDENTITY_PATH_BYTES],
                        uint8_t id_out[IDENTITY_BYTES], struct err *err)
{
    char text[RECORD_MAX_BYTES];
    int n = small_read(state_fd, IDENTITY_RECORD, text, sizeof text, NULL, err);

    if (n < 0) {
        return err_wrap(err, "state directory");
    }
    uint8_t id[IDENTITY_BYTES];
    const size_t digits = IDENTITY_HEX_BYTES - 1;
    if ((size_t)n <= digits || text[digits] != ' ' ||
        !hex_decode(id, sizeof id, text, digits)) {
        return err_set(err, ERR_CORRUPT, 0,
                       "the record \"" IDENTITY_RECORD
                       "\" in the state directory is damaged");
    }
    memcpy(path_out, text + digits + 1, strlen(text + digits + 1) + 1);
    memcpy(id_out, id, sizeof id);
    return 0;
}

int identity_recall(int state_fd, const char *path,
                    uint8_t id_out[IDENTITY_BYTES], struct err *err)
{
    uint8_t id[IDENTITY_BYTES];
    char of[IDENTITY_PATH_BYTES];
    int rc = identity_recall_any(state_fd, of, id, err);

    if (rc == ERR_CORRUPT) {
        return err_set(err, ERR_CORRUPT, 0,
                       "the record \"" IDENTITY_RECORD
                       "\" in the state directory is damaged; remove it to "
                       "accept what is at %s now",
                       path);
    }
    if (rc < 0) {
        return rc;
    }
    if (strcmp(of, path) != 0) {
        return err_set(err, ERR_NOTFOUND, 0, "no record of %s", path);
    }
    memcpy(id_out, id, sizeof id);

    return 0;
}

int identity_record(int state_fd, const char *path,
                    const uint8_t id[IDENTITY_BYTES], struct err *err)
{
    CLEANUP(buf_deinit) struct buf b = BUF_NULL;
    char hex[IDENTITY_HEX_BYTES];

    buf_printf(&b, "%s %s", hex_encode(hex, id, IDENTITY_BYTES), path);
    if (b.bad) {
        return err_set(err, ERR_NOMEM, 0, "out of memory");
    }
    if (b.len >= RECORD_MAX_BYTES) {
        return err_set(err, ERR_TOOBIG, 0, "the path %.80s... is too long",
                       path);
    }
    int rc = small_write(state_fd, IDENTITY_RECORD, b.data, b.len,
                         SMALL_DURABLE(0600), err);
    return rc < 0 ? err_wrap(err, "state directory") : 0;
}
