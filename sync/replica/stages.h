/* SPDX-License-Identifier: MIT
 *
 * stages: values on their way in, as files s<pid>-<number> in META_DIR/stage.
 *
 * Names are never *.kv, so nobody takes a staged value for a key, and the
 * directory is on the database's own file system, so a rename puts it in
 * place.  The pid keeps the names of two receivers apart, should there ever be
 * two: a value must not be installed under another's key.  Descriptors stay open until the value is durable, for a descriptor
 * opened after a lost write may not hear of it; beyond the descriptor limit a
 * value is made durable by itself, and then closed.
 *
 * Thread rule: one thread begins, writes and ends stages while another syncs,
 * uses up or drops ended ones.
 */
#pragma once

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "store/base/err.h"
#include "sync/replica/meta.h"
#include "sync/replica/sync_group.h"

struct stage;

struct stages {
    int dir_fd; /* borrowed */
    struct meta_modes modes;
    struct sync_group *sync; /* borrowed */
    pthread_mutex_t mutex;
    struct stage *by_number;
    size_t open; /* descriptors held */
    size_t open_max;
    struct stage **batch; /* reused by stages_sync() */
    int *fds;
    size_t batch_room;
};

enum { STAGE_NAME_BYTES = 40 };

int stages_init(struct stages *s, int dir_fd, const struct meta_modes *modes,
                struct sync_group *sync, struct err *err) MUSTCHECK;
void stages_deinit(struct stages *s); /* closes; removes nothing */

/* Remove what an earlier receiver left.  The session lock must be held. */
int stages_sweep(int dir_fd, struct err *err) MUSTCHECK;
/* How many files are in the directory, -1 when it cannot be read. */
int64_t stages_count(int dir_fd);

int stages_begin(struct stages *s, uint64_t number, uint64_t size_hint,
                 struct err *err) MUSTCHECK;
int stages_write(struct stages *s, uint64_t number, const void *p, size_t n,
                 struct err *err) MUSTCHECK;
int stages_end(struct stages *s, uint64_t number, struct err *err) MUSTCHECK;
/* Durable, all or none: after a failure all of them are dropped. */
int stages_sync(struct stages *s, const uint64_t *numbers, size_t n,
                struct err *err) MUSTCHECK;
/* The staged file was renamed away. */
void stages_used(struct stages *s, uint64_t number);
/* Forget and unlink; unknown numbers are fine. */
void stages_drop(struct stages *s, uint64_t number);
void stages_name(uint64_t number, char out[STAGE_NAME_BYTES]);
