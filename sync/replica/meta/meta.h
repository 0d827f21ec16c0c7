/* SPDX-License-Identifier: MIT
 *
 * meta: a replica's directory and the small files in its META_DIR.
 *
 *     DIR/.drover/replica    whose copy this is: database id, epoch, watermark;
 *                            and its own id
 *     DIR/.drover/freshness  for readers: how current the copy is
 *     DIR/.drover/applied    for readers: replaced when something changed
 *     DIR/.drover/index      saved index
 *     DIR/.drover/lock       flock held by the live receiver
 *     DIR/.drover/takeover   a newcomer asks for the lock
 *
 * A primary has META_DIR/id and no META_DIR/replica; such a directory is never
 * written as a replica (role.h).  Small files are replaced by rename, so a
 * reader sees the old or the new text.  Directories get the modes and the group
 * of the replica's own settings, because flockd's Tables() fails on one it
 * cannot open. Nothing here logs.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "store/base/err.h"
#include "store/files/small_file.h"
#include "store/layout/db.h"
#include "sync/errors/state.h"
#include "sync/wire/wire.h"

#define META_FILE_PRIMARY "id"
#define META_FILE_EPOCH "epoch"
#define META_FILE_REPLICA "replica"
#define META_FILE_FRESHNESS "freshness"
#define META_FILE_APPLIED "applied"
#define META_FILE_INDEX "index"
#define META_FILE_LOCK "lock"
#define META_FILE_TAKEOVER "takeover"

enum {
    META_DIR_MODE = 02750,
    META_FILE_MODE = 0640,
    META_TEXT_MAX = 1024, /* largest small file that is read */
    META_ID_BYTES = 16,
    META_ID_TEXT = 33, /* as hex, with NUL */
    META_AGENTS = 4,   /* instances that are remembered */
};

/* What new directories and values get. */
struct meta_modes {
    mode_t dir_mode;
    mode_t file_mode;
    gid_t group; /* (gid_t)-1: what the directory gives */
};

struct meta {
    struct db db;
    int fd; /* META_DIR */
};

/* May this user give `path` its group?  For those who confine themselves before
 * they open it: the names in the message are looked up, which no filter of
 * system calls survives. */
int meta_check_group(const char *path, const struct meta_modes *modes,
                     struct err *err) MUSTCHECK;
/* Open `path` to write a replica in it.  A missing `path` is made when its
 * parent exists.  On failure err->id is DR_REPLICA_DIR (or DR_REPLICA_FULL,
 * DR_REPLICA_IO). */
int meta_open(struct meta *m, const char *path, const struct meta_modes *modes,
              struct err *err) MUSTCHECK;
/* Open an existing replica only to look; makes nothing.  ERR_NOTFOUND when
 * there is no META_DIR. */
int meta_inspect(struct meta *m, const char *path, struct err *err) MUSTCHECK;
void meta_close(struct meta *m);
/* Remove what killed processes left in META_DIR: temporaries of
 * meta_replace() and of the index, and old requests to take over.  The session
 * lock must be held.  What cannot be removed does no harm. */
void meta_sweep(int meta_fd);

/* small_write() and small_read(), with META_DIR in what they say. */
int meta_replace(int meta_fd, const char *file, const void *text, size_t len,
                 const struct small_how *how, struct err *err) MUSTCHECK;
int meta_read(int meta_fd, const char *file, char *out, size_t room,
              struct stat *st_out, struct err *err) MUSTCHECK;

/* Whose copy a replica is, and which one. */
struct meta_ident {
    uint8_t db_id[META_ID_BYTES];
    uint8_t self[META_ID_BYTES]; /* its own id (sync/identity/dirid.h); zero:
                                    none yet */
    uint64_t epoch;
    uint64_t watermark;
    /* Which primary has this epoch (see wire_hello), zero: not known; and its
     * agents' instances, newest first, zero: none. */
    uint8_t origin[WIRE_ORIGIN_BYTES];
    uint8_t agents[META_AGENTS][META_ID_BYTES];
};

/* ERR_NOTFOUND: no identity yet; ERR_CORRUPT: the file makes no sense. */
int meta_ident_read(int meta_fd, struct meta_ident *out,
                    struct err *err) MUSTCHECK;
/* Durable when it returns 0. */
int meta_ident_write(int meta_fd, const struct meta_ident *ident,
                     const struct meta_modes *modes, struct err *err) MUSTCHECK;
/* The same, given to the owner of META_DIR. */
int meta_ident_write_as_owner(int meta_fd, const struct meta_ident *ident,
                              struct err *err) MUSTCHECK;

/* The freshness file's text and time. */
struct meta_freshness {
    uint8_t db_id[META_ID_BYTES];
    uint64_t epoch;
    uint64_t seq;
    char state[16];
    int64_t fresh_ns; /* 0: never was equal */
    int64_t age_ns;   /* when read: as of fresh_age_ns() */
};

/* Writes "db=... epoch=... seq=... state=...\n"; returns its length. */
size_t meta_freshness_text(const struct meta_freshness *f,
                           char out[META_TEXT_MAX]);
int meta_freshness_read(int meta_fd, struct meta_freshness *out,
                        struct err *err) MUSTCHECK;

/* True when the database holds at least one key or one table beside the root;
 * ERR_* when that could not be seen; ERR_REFUSED (DR_NESTED) when a directory
 * in it is another database. */
int meta_holds_data(const struct db *db, struct err *err) MUSTCHECK;

void meta_id_text(const uint8_t id[META_ID_BYTES], char out[META_ID_TEXT]);
/* 32 hexadecimal digits, dashes between them allowed. */
bool meta_id_parse(const char *text, uint8_t out[META_ID_BYTES]);

/* The operator-visible number for a failure on the replica's disk. */
int meta_error_id(const struct err *err);

/* A directory in META_DIR, or in one of those, made when it is missing, with
 * these modes and group: whoever may list the database may list it, too. */
int meta_open_sub(int meta_fd, const char *name, const struct meta_modes *modes,
                  struct err *err) MUSTCHECK;
