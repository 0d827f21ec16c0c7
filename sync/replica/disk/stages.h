/* SPDX-License-Identifier: MIT
 *
 * stages: values on their way in, each a new file (newfile.h) in the directory
 * of its table, so that it gets what that directory gives: group, default ACL,
 * label, quota.
 *
 * A value whose table is not there when it begins is staged in the root: the
 * install makes the table, not the stage, for the value may be given up, and
 * the table be dropped before it.  Should the directory be another one when the
 * value is to come into place (that, or dropped and made anew, or replaced),
 * the value is linked there if that directory gives the same, and copied if
 * not.
 *
 * Descriptors stay open until the value is in place: it has no name, and a
 * descriptor opened after a lost write may not hear of it.  Beyond the
 * descriptor limit a value is made durable by itself, gets its temporary name
 * and is closed; those of an earlier group, which wait for a lock, are first.
 * What a receiver that dies leaves is such names, for temps_sweep().
 *
 * Thread rule: one thread begins, writes and ends stages while another syncs,
 * installs or drops ended ones.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "store/base/err.h"
#include "store/layout/value.h"
#include "sync/replica/disk/sync_group.h"
#include "sync/replica/disk/tables.h"
#include "sync/replica/meta/meta.h"

struct stage;

struct stages {
    const struct db *db; /* borrowed */
    struct meta_modes modes;
    struct sync_group *sync; /* borrowed */
    struct tables tables;    /* where values begin; only their thread's */
    uint32_t session;        /* in temporary names: no two receivers' are one */
    pthread_mutex_t mutex;
    struct stage *by_number;
    size_t open; /* descriptors held */
    size_t open_max;
    struct stage **batch; /* of the sync under way; reused */
    int *fds;
    size_t batch_room, batch_n;
};

enum { STAGE_NAME_BYTES = 40 };

int stages_init(struct stages *s, const struct db *db,
                const struct meta_modes *modes, struct sync_group *sync,
                struct err *err) MUSTCHECK;
/* Closes; what has a name stays. */
void stages_deinit(struct stages *s);

/* Begin a value of `table`. */
int stages_begin(struct stages *s, uint64_t number, struct bytes table,
                 uint64_t size_hint, struct err *err) MUSTCHECK;
int stages_write(struct stages *s, uint64_t number, const void *p, size_t n,
                 struct err *err) MUSTCHECK;
/* `n` zeros, as a hole. */
int stages_zeros(struct stages *s, uint64_t number, uint64_t n,
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
/* Let it come into place in the table `t`, as install_value() does; it is
 * forgotten after INSTALL_DONE. */
int stages_install(struct stages *s, uint64_t number,
                   const struct tables_one *t, struct bytes key, unsigned how,
                   struct stat *st_out, struct err *err) MUSTCHECK;
/* Forget it; unknown numbers are fine. */
void stages_drop(struct stages *s, uint64_t number);
/* The temporary name, should it need one. */
void stages_name(const struct stages *s, uint64_t number,
                 char out[STAGE_NAME_BYTES]);
