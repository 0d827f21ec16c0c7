/* SPDX-License-Identifier: MIT
 *
 * receiver_rig: a receiver's core on a memstore, with the agent's side played
 * by the test: it sends frames and reads the answers as lines of text.
 */
#pragma once

#include "sync/index/index.h"
#include "sync/receiver/receiver.h"
#include "sync/wire/wire.h"
#include "tests/support/memstore.h"

struct rig {
    struct memstore *m;
    struct index *ix;
    struct receiver *r;
    struct receiver_config config;
    struct wire_hello hello;
    struct wire_in in;  /* what the receiver sent */
    struct buf out;     /* frames not yet given to the receiver */
    struct buf answers; /* text, see rig_answers() */
    struct digest root; /* of the last PONG */
    struct digest nodes[256];
    int64_t now_ms;
    int64_t again_ms; /* of the last commit */
    struct err err;   /* of the last call that failed */
};

/* A fresh store, index and receiver; nothing was said yet. */
void rig_init(struct rig *g);
void rig_deinit(struct rig *g);
/* The receiver ends and a new one begins on the same store and index. */
void rig_restart(struct rig *g);
/* Greeting, HELLO, the scan at start.  Answers are swallowed. */
void rig_greet(struct rig *g);

/* Add one frame to `out`. */
void rig_set(struct rig *g, uint64_t seq, const char *table, const char *key,
             const char *value);
/* The digest of `value` alone. */
void rig_same(struct rig *g, uint64_t seq, const char *table, const char *key,
              const char *value);
void rig_change(struct rig *g, enum wire_type type, uint64_t seq,
                const char *table, const char *key);
void rig_begin(struct rig *g, uint64_t seq, const char *table, const char *key);
void rig_ping(struct rig *g, uint64_t id, int64_t fresh_ns);

/* Give `out` to the receiver, in pieces of `chunk` bytes (0: at once). */
int rig_send(struct rig *g, size_t chunk);
int rig_commit(struct rig *g);
/* Commit until nothing is left that is due. */
int rig_settle(struct rig *g);
int rig_tick(struct rig *g);
void rig_sleep(struct rig *g, int64_t ms);

/* What came since the last call, one frame per line, such as "ACK 1 2 3",
 * "NAK 4 NOSPACE table t, key k: ...".  Borrowed until the next call. */
const char *rig_answers(struct rig *g);
/* What happened on the disk since the last call (memstore.trace). */
const char *rig_trace(struct rig *g);
