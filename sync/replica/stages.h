/* SPDX-License-Identifier: MIT
 *
 * stages: values on their way in, as files s<pid>-<number> in META_DIR/stage.
 *
 * Names are never *.kv, so nobody takes a staged value for a key, and the
 * directory is on the database's own file system, so a rename puts it in
 * place.  The pid keeps the names of two receivers apart, should there ever be
 * two: a value must not be installed under another's key.
 *
 * A session that stages many spreads them over directories in it, 1 to 7, made
 * when they are first needed: so the thread that makes new files does not wait
 * for the lock of a directory that the other renames files out of (a third
 * more keys per second on ext4).
 *
 * Descriptors stay open until the value is durable, for a descriptor
 * opened after a lost write may not hear of it; beyond the descriptor limit a
 * value is made durable by itself, and then closed.
 *
 * Thread rule: one thread begins (and makes directories), writes and ends
 * stages while another syncs, uses up or drops ended ones; any may ask
 * stages_lost().
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/base/err.h"
#include "sync/replica/meta.h"
#include "sync/replica/sync_group.h"

struct stage;

enum { STAGE_PARTS = 8 };

struct stages {
    int part_fd[STAGE_PARTS]; /* [0] META_DIR/stage itself, borrowed; -1: not
                                 needed yet */
    struct meta_modes modes;
    struct sync_group *sync; /* borrowed */
    pthread_mutex_t mutex;
    struct stage *by_number;
    size_t open; /* descriptors held */
    size_t open_max;
    struct stage **batch; /* of the sync under way; reused */
    int *fds;
    size_t batch_room, batch_n;
};

enum { STAGE_NAME_BYTES = 40 };

int stages_init(struct stages *s, int dir_fd, const struct meta_modes *modes,
                struct sync_group *sync, struct err *err) MUSTCHECK;
/* Closes; removes the directories, but no values. */
void stages_deinit(struct stages *s);

/* Remove what an earlier receiver left, the directories in it as well.  The
 * session lock must be held. */
int stages_sweep(int dir_fd, struct err *err) MUSTCHECK;
/* How many values are in it, -1 when it cannot be read. */
int64_t stages_count(int dir_fd);

int stages_begin(struct stages *s, uint64_t number, uint64_t size_hint,
                 struct err *err) MUSTCHECK;
int stages_write(struct stages *s, uint64_t number, const void *p, size_t n,
                 struct err *err) MUSTCHECK;
int stages_end(struct stages *s, uint64_t number, struct err *err) MUSTCHECK;
/* Durable, all or none: after a failure all of them are dropped. */
int stages_sync(struct stages *s, const uint64_t *numbers, size_t n,
                struct err *err) MUSTCHECK;
/* The same in two steps, for who syncs more in one go: the descriptors of those
 * that are not durable yet, with room for `more` behind them (borrowed until
 * the end); and what became of them. */
int stages_sync_begin(struct stages *s, const uint64_t *numbers, size_t n,
                      size_t more, int **fds_out, size_t *n_out,
                      struct err *err) MUSTCHECK;
void stages_sync_end(struct stages *s, const uint64_t *numbers, size_t n,
                     bool durable);
/* The staged file was renamed away. */
void stages_used(struct stages *s, uint64_t number);
/* Forget and unlink; unknown numbers are fine. */
void stages_drop(struct stages *s, uint64_t number);
void stages_name(uint64_t number, char out[STAGE_NAME_BYTES]);
/* The directory that the begun value is in; borrowed. */
int stages_dir(struct stages *s, uint64_t number);
/* One of the directories was removed: nothing can be staged any more. */
bool stages_lost(struct stages *s);
