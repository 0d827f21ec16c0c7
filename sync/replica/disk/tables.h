/* SPDX-License-Identifier: MIT
 *
 * tables: the open directories of the tables that the current group of changes
 * touches, and their sync at its end.
 *
 * A table is opened once per group, beneath the root without following any
 * link, so a link planted in its place is met at the next group at the latest
 * and never followed.  At the group's end, or at the next one's beginning, the
 * touched directories are made durable and all are closed; groups that last
 * longer than a second look again.
 *
 * Thread rule: one thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/base/err.h"
#include "sync/replica/disk/sync_group.h"
#include "sync/replica/meta/meta.h"

enum { TABLES_OPEN_MAX = 256 };

/* Which directory it is, and what it gives to the files that are made in it:
 * group, default ACL, label.  (Its project quota the kernel guards itself.) */
struct tables_place {
    dev_t dev;
    ino_t ino;
    uint64_t gives; /* equal: the same; 0: not known */
    bool has_acl;   /* a default ACL */
};

struct tables_one {
    uint64_t hash;
    char *name;
    size_t len;
    int fd;
    bool touched;
    uint64_t used;     /* for the choice of what to close */
    int64_t opened_ns; /* when the name was last followed */
    struct tables_place place;
};

struct tables {
    const struct db *db;
    struct table_make make;
    struct sync_group *sync;
    struct tables_one open[TABLES_OPEN_MAX];
    size_t n;
    uint64_t uses;
    struct err failed; /* code 0: none.  A directory could not be synced; it
                          stays so, for a later sync would prove nothing */
};

void tables_init(struct tables *t, const struct db *db,
                 const struct meta_modes *modes, struct sync_group *sync);
void tables_deinit(struct tables *t);

/* The table's directory, made if it is missing and `create`; valid until the
 * next call.  Failures as of table_open(). */
int tables_get(struct tables *t, const void *name, size_t len, bool create,
               struct tables_one **out, struct err *err) MUSTCHECK;
/* The directory is not what it was: look again at the next use. */
void tables_forget(struct tables *t, const void *name, size_t len);
/* The directories that were touched, at most TABLES_OPEN_MAX, for who syncs
 * more in one go, and then says here what became of them (code 0: durable);
 * ends the group as tables_sync() does. */
size_t tables_touched(const struct tables *t, int *fds_out);
int tables_synced(struct tables *t, const struct err *how,
                  struct err *err) MUSTCHECK;
/* End of a group: what was touched is durable.  After a failure all later
 * calls fail. */
int tables_sync(struct tables *t, struct err *err) MUSTCHECK;
