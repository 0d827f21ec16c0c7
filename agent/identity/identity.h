/* SPDX-License-Identifier: MIT
 *
 * identity: tells this database from an empty mount point, another database or
 * a copy put in its place.
 *
 * A database's id is 16 random bytes, made once and kept in DB/.drover/id as
 * one line of 32 hexadecimal digits.  The agent keeps a record of the id it saw
 * at a path in its state directory; from then on a root without that id is "not
 * our database", and nothing there is read or taken as a delete.
 * DB/.drover/epoch (a decimal number, 1 when missing) counts the terms of
 * primaries; promoting a replica raises it.  A directory with
 * DB/.drover/replica is a replica, whatever else is there, and never ours.
 *
 * Blocking but short; everything goes through the root's descriptor.
 */
#pragma once

#include <stdint.h>

#include "store/base/err.h"
#include "store/layout/db.h"

enum { IDENTITY_BYTES = 16, IDENTITY_HEX_BYTES = 2 * IDENTITY_BYTES + 1 };

/* The id in the root.  ERR_NOTFOUND: there is none; ERR_CORRUPT: the file does
 * not hold an id; ERR_PERM, ERR_IO.  err->id is DR_NOT_OUR_DATABASE. */
int identity_read(const struct db *db, uint8_t id_out[IDENTITY_BYTES],
                  struct err *err) MUSTCHECK;
/* Make the id, or take the one that is there already (positive
 * IDENTITY_THERE).  Other programs must be able to list the database, so the
 * directory gets mode 0755 and the file 0644 whatever the umask.  Failures
 * carry DR_NO_IDENTITY. */
enum { IDENTITY_THERE = 1 };
int identity_make(const struct db *db, uint8_t id_out[IDENTITY_BYTES],
                  struct err *err) MUSTCHECK;
/* Give a database that has none this id, and this epoch unless it is 0.
 * ERR_EXISTS: it has an id.  Failures carry DR_NO_IDENTITY. */
int identity_restore(const struct db *db, const uint8_t id[IDENTITY_BYTES],
                     uint64_t epoch, struct err *err) MUSTCHECK;
/* 0 when the root is still the opened one and carries `id`; else ERR_GONE with
 * DR_NOT_OUR_DATABASE (DR_IS_REPLICA) and the reason.  The evidence behind
 * every delete. */
int identity_check(const struct db *db, const uint8_t id[IDENTITY_BYTES],
                   struct err *err) MUSTCHECK;

/* What tells this directory from a copy of it with the same id and epoch: a
 * hash of its id file's inode and birth time; never all zero. */
enum { IDENTITY_ORIGIN_BYTES = 8 };
int identity_origin(const struct db *db, uint8_t out[IDENTITY_ORIGIN_BYTES],
                    struct err *err) MUSTCHECK;

/* Hold the primary for an agent: a share lock that keeps drover-replica demote
 * out for as long as the returned descriptor is open.  The claim is on
 * META_DIR/agent, which only the database's owner, root and who may read
 * everything can open, so nobody else can take it; the hold is on the id, which
 * every reader can lock, and counts only where its holder is such a user
 * (role.h). An agent takes both, as far as it can.  ERR_EXISTS: a demotion is
 * at work, or somebody locks it exclusively. */
int identity_claim(const struct db *db, struct err *err) MUSTCHECK;
int identity_hold(const struct db *db, struct err *err) MUSTCHECK;

/* The epoch: 1 when there is no file; ERR_CORRUPT when it holds no number. */
int identity_epoch(const struct db *db, uint64_t *epoch_out,
                   struct err *err) MUSTCHECK;

/* The record in the state directory: which id the database at `path` had.
 * recall: 0, ERR_NOTFOUND (none, or of another path), ERR_CORRUPT, ERR_IO... */
int identity_recall(int state_fd, const char *path,
                    uint8_t id_out[IDENTITY_BYTES], struct err *err) MUSTCHECK;
int identity_record(int state_fd, const char *path,
                    const uint8_t id[IDENTITY_BYTES],
                    struct err *err) MUSTCHECK;
#define IDENTITY_RECORD "database"
/* The record's id and path, whatever the path. */
enum { IDENTITY_PATH_BYTES = 8192 };
int identity_recall_any(int state_fd, char path_out[IDENTITY_PATH_BYTES],
                        uint8_t id_out[IDENTITY_BYTES],
                        struct err *err) MUSTCHECK;

/* The epoch that an agent last spoke of, beside that record: what a restored
 * database must exceed.  recall: ERR_NOTFOUND, ERR_CORRUPT, ERR_IO... */
int identity_recall_epoch(int state_fd, uint64_t *epoch_out,
                          struct err *err) MUSTCHECK;
int identity_record_epoch(int state_fd, uint64_t epoch,
                          struct err *err) MUSTCHECK;
#define IDENTITY_EPOCH "epoch"
/* The agent's saved index, in the same directory. */
#define IDENTITY_INDEX "index"
