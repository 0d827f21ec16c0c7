/* SPDX-License-Identifier: MIT
 *
 * kv: what the commands of drover-kv share.
 *
 * The program is a thin layer over drover.h.  Data goes to stdout, messages to
 * stderr.  Each command is a function in a kv_*.c and a row of the table in
 * kv_main.c; it returns the exit status: 1 the answer is no, 65 something else
 * has the name or metadata is damaged, 66 no such database, table or file, 71
 * out of memory, 73 disk or quota full, 74 input or output, 75 a lock not
 * granted in time, 77 not permitted, read-only, or a replica. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/base/buf.h"
#include "store/cmdline/cmdline.h"
#include "store/lib/drover.h"

struct kv {
    struct cmdline line; /* first */
    const char *table_name, *prefix_text, *timeout_text;
    bool null; /* -0: raw names, each ended by NUL */
    bool create, force;
    /* from these */
    struct drover *db;
    struct drover_bytes table; /* "" is the root table */
    struct drover_bytes prefix;
    int64_t timeout_ms;
    struct buf out; /* one line of output being made */
};

static inline struct kv *kv_of(struct cmdline *line)
{
    return (struct kv *)line;
}

/* For completion: tables, and keys of --table's. */
void kv_names(struct cmdline *line, const char *placeholder);
enum { KV_WRITES = 1 }; /* of a command's row: it changes the database */

/* Print the error and return the exit status that fits it. */
int kv_fail(struct kv *kv, const struct drover_error *err);
/* The same with a hint, and another status unless that is 0. */
int kv_fail_hint(struct kv *kv, const struct drover_error *err, int status,
                 const char *hint);

/* Print a name in the form the options ask for: shell-quoted and newline, or
 * raw and NUL. */
void kv_print_name(struct kv *kv, struct drover_bytes name);

/* Begin an object of --json in kv->out; end and print it. */
struct json_out kv_json_begin(struct kv *kv);
/* "table" and "key" of the object. */
void kv_json_place(struct json_out *j, const struct kv *kv,
                   struct drover_bytes key);
void kv_json_end(struct kv *kv, struct json_out *j);
/* With --json: the key of the command line is set. */
void kv_say_set(struct kv *kv);
/* Print kv->out and forget it. */
void kv_print_line(struct kv *kv);

/* The commands. */
int kv_get(struct cmdline *line);
int kv_has(struct cmdline *line);
int kv_set(struct cmdline *line);
int kv_create(struct cmdline *line);
int kv_update(struct cmdline *line);
int kv_delete(struct cmdline *line);
int kv_import(struct cmdline *line);
int kv_keys(struct cmdline *line);
int kv_each(struct cmdline *line);
int kv_tables(struct cmdline *line);
int kv_mktable(struct cmdline *line);
int kv_drop(struct cmdline *line);
int kv_sweep(struct cmdline *line);
