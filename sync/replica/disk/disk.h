/* SPDX-License-Identifier: MIT
 *
 * disk: struct receiver_ops on a real directory.
 *
 * Owns the replica's descriptors, staged values, open tables and session lock.
 * What it changes on disk is only beneath the replica's root.
 *
 * Thread rule: as the receiver calls it: stage_begin/write/end, identify and
 * freshness from the reader, everything else from the committer.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "store/base/dir.h"
#include "store/layout/holders.h"
#include "sync/receiver/receiver.h"
#include "sync/replica/disk/stages.h"
#include "sync/replica/disk/sync_group.h"
#include "sync/replica/disk/tables.h"
#include "sync/replica/meta/fresh.h"
#include "sync/replica/meta/meta.h"
#include "sync/replica/meta/session.h"
#include "sync/replica/trash/trash.h"

/* How long and how much of what was undone is kept. */
#define UNDONE_KEEP_NS (INT64_C(30) * 24 * 3600 * 1000000000)
#define UNDONE_MAX_BYTES (UINT64_C(1) << 30)

struct disk {
    struct meta meta;
    struct meta_modes modes;
    struct session session;
    struct sync_group *sync;
    int all_fd; /* the root once more, for sync_all */
    struct stages stages;
    struct tables tables;
    struct trash trash;
    /* What a primary undoes that may have lost its last changes: values that
     * were here before undo_since_ns are linked aside, 0: not now. */
    struct trash undone;
    atomic_int_fast64_t undo_since_ns;
    struct {
        char name[TABLE_MAX_BYTES];
        size_t len;
        struct dir dir;      /* none: no table is being dropped */
        bool busy;           /* a locked key was passed by */
        struct stat busy_st; /* the last such key */
    } drop;
    struct holders holders;
    struct meta_ident ident;        /* set by identify */
    atomic_uint_fast64_t watermark; /* of the last freshness */
    struct fresh fresh;
    atomic_uint_fast64_t changes; /* installs, removals, tables */
    int64_t begun_ns;             /* of identify, on the clock of file times */
    atomic_bool identified;
    char host[65];
};

/* Opens DIR (see meta_open) and starts nothing. */
int disk_open(struct disk *d, const char *path, const struct meta_modes *modes,
              struct err *err) MUSTCHECK;
/* Keep deleted values; before the session, which disk_identify() begins. */
int disk_keep_trash(struct disk *d, const struct trash_settings *set,
                    struct err *err) MUSTCHECK;
void disk_close(struct disk *d);

/* Fill in all ops but scan_start, names_start and send; ctx is the disk. */
void disk_ops(struct receiver_ops *ops);

/* ops->identify, for a caller that does more afterwards. */
int disk_identify(void *ctx, const struct wire_hello *hello,
                  struct wire_hello_ok *ok_out, struct err *err) MUSTCHECK;

/* Is the directory not the one that was opened any more (moved, removed,
 * mounted over, promoted)?  Writes the reason. */
bool disk_lost(struct disk *d, char *why, size_t why_room);

/* Replace META_DIR/applied if something changed since `*seen`. */
int disk_report_applied(struct disk *d, uint64_t *seen,
                        struct err *err) MUSTCHECK;
/* Store the watermark in META_DIR/replica. */
int disk_save_watermark(struct disk *d, struct err *err) MUSTCHECK;
