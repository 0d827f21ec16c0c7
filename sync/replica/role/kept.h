/* SPDX-License-Identifier: MIT
 *
 * kept: a demoted primary's values, as they lie in META_DIR/kept-EPOCH (made by
 * role_kept.c, which shows the layout).
 *
 * Drover 1 laid them out as a database; that is still read.  What stands there
 * may have been written by others: names are checked like names from the wire,
 * and only regular files are values.  Blocking.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "store/base/err.h"
#include "store/layout/db.h"
#include "sync/wire/wire.h"

#define KEPT_LAYOUT "layout"
#define KEPT_LAYOUT_TEXT "drover-kept 2\n"
#define KEPT_TABLE "table"

struct kept {
    int fd;
    bool as_database; /* the layout of Drover 1 */
    struct db db;
    struct kept_table *tables;
    size_t count;
    size_t last; /* the table found last */
    int last_fd; /* its directory, -1: none */
};

/* The file of a key: "KEY.v" and NUL to `out` (KEY_FILE_BYTES). */
void kept_file(const void *key, size_t len, char *out);

/* Open directory `name` of META_DIR.  ERR_NOTFOUND, ERR_CORRUPT, ... */
int kept_open(struct kept *k, int meta_fd, const char *name,
              struct err *err) MUSTCHECK;
void kept_close(struct kept *k);

/* Call `fn` for each value, with a descriptor to read it that is closed
 * afterwards.  Its non-zero return ends it and is returned.  ERR_PERM when
 * parts of it cannot be read. */
typedef int (*kept_fn)(void *arg, struct bytes table, struct bytes key, int fd);
int kept_each(struct kept *k, kept_fn fn, void *arg, struct err *err) MUSTCHECK;

/* 1: there is a value of this key; 0: none; ERR_*. */
int kept_has(struct kept *k, struct bytes table, struct bytes key,
             struct err *err) MUSTCHECK;
