/* SPDX-License-Identifier: MIT
 *
 * kv: what the commands of drover-kv share.
 *
 * The program is a thin layer over drover.h.  Data goes to stdout, messages to
 * stderr.  Each command is a function in a kv_*.c and a row of the table in
 * kv_main.c; it returns the program's exit status. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/base/buf.h"
#include "store/lib/drover.h"

enum kv_exit {
    KV_OK = 0,
    KV_NO = 1,            /* done, and the answer is no */
    KV_USAGE = 64,        /* wrong command line, impossible key or table */
    KV_DATA = 65,         /* something else has the name; damaged metadata */
    KV_NO_DB = 66,        /* no such database, table or input file */
    KV_OS = 71,           /* out of memory */
    KV_NO_SPACE = 73,     /* disk or quota full */
    KV_IO = 74,           /* input or output failed */
    KV_TIMEOUT = 75,      /* lock not granted in time: try again */
    KV_NO_PERMISSION = 77 /* not permitted, read-only, or a replica */
};

struct kv {
    struct drover *db;
    const char *path;          /* as it was typed */
    struct drover_bytes table; /* --table; "" is the root table */
    struct drover_bytes prefix;
    int64_t timeout_ms;
    bool json;
    bool null; /* -0: raw names, each ended by NUL */
    int argc;  /* what follows the command's name */
    char **argv;
    struct buf line; /* one line of output being made */
};

/* Print the error and return the exit status that fits it. */
int kv_fail(const struct drover_error *err);
/* Print a complaint about the command line; returns KV_USAGE. */
int kv_fail_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Print a name as the options want it: shell-quoted and newline, or raw and
 * NUL. */
void kv_print_name(struct kv *kv, struct drover_bytes name);

/* Begin an object of --json in kv->line; end and print it. */
struct json_out;
struct json_out kv_json_begin(struct kv *kv);
/* "table" and "key" of the object. */
void kv_json_place(struct json_out *j, const struct kv *kv,
                   struct drover_bytes key);
void kv_json_end(struct kv *kv, struct json_out *j);
/* Print kv->line and forget it. */
void kv_print_line(struct kv *kv);

/* The commands. */
int kv_get(struct kv *kv);
int kv_has(struct kv *kv);
int kv_set(struct kv *kv);
int kv_create(struct kv *kv);
int kv_update(struct kv *kv);
int kv_delete(struct kv *kv);
int kv_import(struct kv *kv);
int kv_keys(struct kv *kv);
int kv_each(struct kv *kv);
int kv_tables(struct kv *kv);
int kv_mktable(struct kv *kv);
int kv_drop(struct kv *kv);
int kv_sweep(struct kv *kv);
