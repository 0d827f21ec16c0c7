/* SPDX-License-Identifier: MIT
 *
 * name: table names and keys, and the names of their directories and files.
 *
 * A table name is what flockd's Table() takes: "" is the root table, "users"
 * lives in users.tbl, "a/b" in a/b.tbl (and `a` is a plain directory, or
 * "a.tbl/b" in a.tbl/b.tbl).  A key "bob" is the file bob.kv.  Both are bytes,
 * not text; they are passed as pointer and length and need not be terminated.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "store/base/err.h"

enum {
    KEY_MAX_BYTES = 252,    /* 255, less ".kv" */
    TABLE_MAX_BYTES = 1024, /* whole name, with its slashes */
    TABLE_MAX_DEPTH = 32,   /* components */
    KEY_FILE_BYTES = 256,   /* buffer for a key's file name, with NUL */
    TABLE_PATH_BYTES = TABLE_MAX_BYTES + 5, /* for a path, with ".tbl", NUL */
};

/* 0, or ERR_BADKEY with the reason: '/' or NUL inside, or too long.  The
 * empty key is legal (its file is ".kv"). */
int key_check(const void *key, size_t len, struct err *err) MUSTCHECK;

/* 0, or ERR_BADTABLE with the reason: empty, "." or ".." component, NUL, too
 * long (component > 255, last > 251), too deep, or below META_DIR.  "" is the
 * root table. */
int table_check(const void *name, size_t len, struct err *err) MUSTCHECK;

/* Write "KEY.kv" and NUL to `out` (KEY_FILE_BYTES); the key was checked. */
void key_file(const void *key, size_t len, char *out);

/* Write the table's directory relative to the root ("a/b.tbl"; "." for the
 * root table) and NUL to `out` (TABLE_PATH_BYTES); the name was checked. */
void table_path(const void *name, size_t len, char *out);

/* True when a directory entry names a key file; *len_out gets the length of
 * the key (the entry's first bytes). */
bool name_is_key(const char *entry, size_t *len_out);

/* True when a directory entry names a table; *len_out: without ".tbl". */
bool name_is_table(const char *entry, size_t *len_out);

/* True for the left-over temporary of a writer: "NAME.kv<digits>" (flockd),
 * "NAME.kv.tmp<digits>" (older flockd) or libdrover's own.  Never replicated.
 */
bool name_is_temp(const char *entry);

/* What libdrover's own temporaries in a table's directory begin with; 16 hex
 * digits follow.  Neither a key nor a table, and short whatever the key. */
#define TEMP_PREFIX ".drover-tmp."

/* The metadata directory of drover in a database's root. */
#define META_DIR ".drover"
/* In it, on a primary: locked by its agents. */
#define META_FILE_AGENT "agent"
