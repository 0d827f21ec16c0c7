/* SPDX-License-Identifier: MIT
 *
 * walk: visit every table and key of a database, and say honestly whether a
 * table was read completely.
 *
 * Tables are visited parents first, each table's keys in directory order.  A
 * directory where something is mounted (ERR_NOTTABLE, also when it is of the
 * same filesystem), an unreadable one, or a readdir error is reported through
 * table_end with complete = false: nothing may be concluded from what was not
 * seen there.  Plain directories are entered (tables may lie below them);
 * META_DIR and symbolic links are not, nor a directory below the root with a
 * META_DIR of its own: that is another database (counts.others).  A file
 * system's own lost+found that cannot be read is passed over.  Blocking; for a
 * worker thread.
 *
 * What was not seen in a complete table is only *probably* absent: tmpfs and
 * btrfs move a key's entry when the key is set, and a listing under way can
 * miss it (measured on tmpfs: every second walk beside a busy writer; never on
 * ext4).  Before anything is deleted for it, value_read() must say READ_GONE.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "store/base/err.h"
#include "store/layout/db.h"
#include "store/layout/passed.h"

struct walk_ops {
    /* A table's directory was opened; dir_fd is borrowed until table_end. */
    int (*table_begin)(void *arg, const char *table, size_t len, int dir_fd);
    /* One key (not terminated).  Its stat is not taken: callers that need one
     * call fstatat. */
    int (*key)(void *arg, const char *table, size_t len, int dir_fd,
               const char *key, size_t key_len);
    /* The table's end.  complete: every entry was seen.  err: why not (NULL
     * when complete).  Comes without a table_begin when the directory could
     * not be opened or is mounted over. */
    int (*table_end)(void *arg, const char *table, size_t len, bool complete,
                     const struct err *err);
    /* A plain directory (not a table) below the root; path relative to the
     * root. For watches.  Any of these may be NULL. */
    int (*plain_dir)(void *arg, const char *path, int dir_fd);
    /* A plain directory that could not be read completely: what lies below it
     * is unknown. */
    int (*plain_incomplete)(void *arg, const char *path, const struct err *err);
    /* Another database lies there; path relative to the root. */
    int (*other)(void *arg, const char *path);
    /* Something else than a directory of this database has the name of this
     * table (is_file: a regular file): was there a table, and may it be behind
     * that?  Then it is told as one that could not be read (ERR_NOTTABLE);
     * else, and without this function, it is ignored. */
    bool (*expected)(void *arg, const char *table, size_t len, bool is_file);
    /* This entry of the directory (its path below the root) is passed over. */
    void (*passed)(void *arg, const char *dir, const char *name,
                   enum passed_why why);
};

struct walk_counts {
    uint64_t tables;
    uint64_t keys;
    uint64_t temps;      /* left-over temporaries of writers */
    uint64_t ignored;    /* neither key, table, temp nor META_DIR */
    uint64_t incomplete; /* tables or directories not read completely */
    uint64_t others;     /* databases below this one, not entered */
};

/* Would a walk pass over this entry of the directory, and why?  For one that is
 * in a table; false also when there is none. */
bool walk_passes(int dir_fd, const char *name, enum passed_why *why_out);

/* Walk the whole database.  A callback's non-zero return stops the walk and is
 * returned.  0 when all was visited (incomplete tables included: see counts);
 * ERR_GONE when the root is not the one that was opened, ERR_NOMEM. */
int walk_db(const struct db *db, const struct walk_ops *ops, void *arg,
            struct walk_counts *counts_out, struct err *err) MUSTCHECK;

/* The same for one directory and what lies below it: `path` is a table name
 * (is_table; "" for all) or a plain directory's path relative to the root.
 * Also ERR_NOTFOUND, ERR_NOTTABLE, ERR_PERM when it cannot be opened. */
int walk_below(const struct db *db, const char *path, size_t len, bool is_table,
               const struct walk_ops *ops, void *arg,
               struct walk_counts *counts_out, struct err *err) MUSTCHECK;
