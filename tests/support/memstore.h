/* SPDX-License-Identifier: MIT
 *
 * memstore: a replica's disk in memory, as a struct receiver_ops, for tests of
 * the receiver's core and for the simulator.
 *
 * It keeps, per key and per table, what is visible and what would survive a
 * power loss: a rename becomes durable with dirs_sync(), a staged value with
 * stage_sync() (sync_all() does both).  memstore_crash() drops what was not
 * synced; where a new name survives without its value being durable the key is
 * found EMPTY, as on a real file system.
 *
 * Faults: memstore_fail() makes calls of one operation fail by countdown.
 * Locks: memstore_lock() makes install/remove/table_drop of that key busy.
 * Trace: each operation appends one line to `trace` when tracing is on, so a
 * test can compare the order of things.
 *
 * What the core sends goes to the `send` hook (or into `sent`); scan_start()
 * and names_start() only note the request: the test answers it when it likes,
 * with memstore_scan_answer() and memstore_names_answer() or by itself.
 *
 * One thread, or one lock around it.  Allocation failures abort: it is a test
 * support.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/base/buf.h"
#include "sync/identity/term.h"
#include "sync/receiver/receiver.h"

enum memop {
    MEMOP_STAGE_BEGIN,
    MEMOP_STAGE_WRITE,
    MEMOP_STAGE_END,
    MEMOP_STAGE_DROP, /* counted only */
    MEMOP_STAGE_SYNC,
    MEMOP_INSTALL,
    MEMOP_REMOVE,
    MEMOP_TABLE_MAKE,
    MEMOP_TABLE_DROP,
    MEMOP_DIRS_SYNC,
    MEMOP_SYNC_ALL,
    MEMOP_STAT,
    MEMOP_FRESHNESS,
    MEMOP_IDENTIFY,
    MEMOP_SEND,
    MEMOP_COUNT,
};

struct mem_entry; /* a key or a table */
struct mem_stage;

struct memstore {
    struct mem_entry *entries; /* sorted by table, table entry first, key */
    struct mem_entry *by_name; /* uthash */
    struct mem_stage *stages;
    uint64_t next_ino;
    int64_t clock_ns; /* ctime of the next change */
    uint64_t calls[MEMOP_COUNT];
    struct {
        unsigned after; /* calls that still succeed */
        unsigned times; /* then so many fail */
        int code, sys, id;
    } fault[MEMOP_COUNT];
    bool tracing;
    struct buf trace; /* lines */
    struct buf sent;  /* when `send` is NULL */
    int (*send)(void *arg, const void *p, size_t n, struct err *err);
    void *send_arg;
    /* identity: the hello is refused when it does not fit */
    bool has_id;
    struct term term;
    bool is_primary;         /* promoted: refuses everybody */
    bool lawless;            /* to break the rule: takes everybody */
    struct wire_hello hello; /* the last one (texts not kept) */
    /* freshness file */
    int64_t fresh_ns;
    uint64_t fresh_seq;
    uint8_t fresh_state;
    /* keep_undone() */
    bool keeping;
    uint64_t keep_ino; /* values below it were there when it began */
    uint64_t undone;   /* so many were replaced or removed since, while on */
    /* requests noted */
    bool scan_wanted;
    bool scan_stopped; /* scan_stop() was called for it */
    uint64_t scan_id;
    unsigned scan_how; /* WIRE_SCAN_* */
    bool names_wanted;
    bool names_stopped;
    bool names_hidden; /* its directories cannot be listed: it finds none */
    uint64_t names_id;
    struct digest *names;
    size_t names_count;
};

extern const struct receiver_ops memstore_ops; /* ctx: struct memstore * */

struct memstore *memstore_new(void);
void memstore_free(struct memstore *m);

/* Calls of `op` fail with this error `times` times, after `after` more of them
 * succeeded. */
void memstore_fail(struct memstore *m, enum memop op, unsigned after,
                   unsigned times, int code, int sys);

/* Somebody edits the replica behind the receiver's back: visible and durable
 * at once. */
void memstore_edit(struct memstore *m, const char *table, const char *key,
                   const void *value, size_t len);
void memstore_erase(struct memstore *m, const char *table, const char *key);

/* A reader holds the share lock of a key (it may come to exist later), or
 * gives it back.  Locks are counted. */
void memstore_lock(struct memstore *m, const char *table, const char *key,
                   uint32_t pid, const char *comm);
void memstore_unlock(struct memstore *m, const char *table, const char *key);

/* The value as a reader sees it, or as it would be after a power loss.  False:
 * absent.  Borrowed until the next change. */
bool memstore_get(const struct memstore *m, const char *table, const char *key,
                  struct bytes *value_out);
bool memstore_get_durable(const struct memstore *m, const char *table,
                          const char *key, struct bytes *value_out);
bool memstore_has_table(const struct memstore *m, const char *table);
bool memstore_has_table_durable(const struct memstore *m, const char *table);
size_t memstore_keys(const struct memstore *m);   /* visible */
size_t memstore_stages(const struct memstore *m); /* not yet used up */

/* Call `fn` for each visible key and table (key.p NULL). */
typedef void (*memstore_each_fn)(void *arg, struct bytes table,
                                 struct bytes key, struct bytes value,
                                 struct vstat stat);
void memstore_each(const struct memstore *m, memstore_each_fn fn, void *arg);

/* Power loss.  Each change of a name that was not synced survives or not as
 * `rnd` decides (its bits are drawn by a generator seeded with it; 0: none
 * survives).  Stages and locks are gone. */
void memstore_crash(struct memstore *m, uint64_t rnd);

/* Bring `ix` up to date with what is visible: what a scan does. */
void memstore_scan(struct memstore *m, struct index *ix);
/* Do the scan that was asked for and report it. */
int memstore_scan_answer(struct memstore *m, struct receiver *r,
                         struct index *ix, struct err *err);
/* Find the names that were asked for and report them, `batch` per call. */
int memstore_names_answer(struct memstore *m, struct receiver *r, size_t batch,
                          struct err *err);
