/* SPDX-License-Identifier: MIT
 *
 * receiver_core: the inside of struct receiver, for receiver*.c alone.
 *
 *     receiver.c          life, frames in, hello, clock
 *     receiver_stage.c    values on their way to the disk (input thread)
 *     receiver_commit.c   a group: sync, apply, acknowledge (commit thread)
 *     receiver_apply.c    one change to the disk (commit thread)
 *     receiver_deferred.c    changes that wait for a lock
 *     receiver_query.c    scans, digests, listings, names
 *
 * A change belongs to exactly one of: an open stream, the queue, the group
 * under way, the deferred changes, or (superseded) those that another change
 * supersedes.
 */
#pragma once

#include <pthread.h>

#include "store/base/map.h"
#include "sync/receiver/receiver.h"

enum {
    RETRIES_MAX = 256,    /* deferred changes that one commit tries again */
    DROP_STEPS_MAX = 256, /* keys of a dropped table that one commit removes */
    DEAD_STREAMS = 64,    /* refused streams whose frames may still come */
    DEFERRED_CHAINS = 1024,
    SEND_AT_BYTES = 64 * 1024, /* input's answers are sent when so many */
};
#define RESOLVE_NAMES_MAX ((size_t)1000000) /* of all waiting requests */

/* A change under way.  type: WIRE_SET (large values too), WIRE_DELETE,
 * WIRE_TABLE_SET, WIRE_TABLE_DROP. */
struct change {
    struct change *next, *prev; /* utlist, in the list it belongs to */
    struct change *chain;       /* deferred: changes whose names hash alike */
    struct change *superseded;  /* superseded changes, answered like this */
    enum wire_type type;
    uint64_t seq;
    uint64_t order; /* place among all changes of the session */
    uint64_t stage; /* 0: nothing is staged */
    uint64_t size;  /* of the value */
    struct digest digest;
    struct digest name, table_name;
    struct vstat stat; /* of the installed file */
    bool same;      /* the replica has this value already; nothing is staged */
    bool installed; /* stat is set */
    bool changed;   /* the disk was changed, so a directory sync is needed */
    bool dropped;   /* applied, but then its table was dropped */
    /* deferred */
    bool deferred;
    bool busy;         /* a lock is the reason */
    int64_t since_ms;  /* first tried; -1: never */
    int64_t behind_ms; /* waits for an earlier change since then; -1: no */
    int64_t due_us;
    int64_t backoff_us;
    int64_t reported_ms; /* last BLOCKED, -1: never */
    uint32_t reported_pid;
    uint32_t pid;
    char comm[16];
    size_t table_len, key_len;
    char names[]; /* table, then key */
};

/* A large value coming in. */
struct stream {
    struct change *change; /* NULL: this place is free */
    struct digest_stream *running;
};

/* A RESOLVE: being collected, waiting for the walk before it, or under way. */
struct resolve {
    uint64_t id;
    bool complete;
    struct digest *names;
    size_t count, cap;
};

/* Changes that wait for a lock (receiver_deferred.c). */
struct deferred {
    struct change *list; /* utlist DL, by order */
    struct change *chains[DEFERRED_CHAINS];
    size_t count;
    int64_t due_us; /* the earliest due_us, or earlier */
};

/* Scans, one at a time (receiver_query.c). */
struct scanning {
    bool running;  /* scan_start() was called, no result yet */
    bool unwanted; /* something newer was asked: it is to end */
    uint64_t id;
    bool waits; /* `next` is to be started then */
    struct wire_scan next;
    struct view *view; /* what the last scan that only looked found, or NULL */
    bool progress_scanning;
    uint64_t progress_keys;
};

/* Hashes whose names are looked for, one walk at a time (receiver_query.c). */
struct resolving {
    struct resolve *walk; /* names_start() was called for it, or NULL */
    bool walk_unwanted;
    struct resolve *asked; /* being collected, or waits for the walk; or NULL */
    size_t names;          /* in both */
};

/* Of the thread that reads (receiver.c, receiver_stage.c): no lock. */
struct input {
    struct wire_in in;
    struct buf out;
    int64_t now_ms;
    uint64_t next_stage;
    uint64_t next_order;
    struct stream *streams; /* config.streams_max */
    uint64_t dead[DEAD_STREAMS];
    size_t dead_at;
    bool fresh_failed;        /* a NOTICE about it was sent */
    bool keeping;             /* keep_undone() is on */
    struct wire_change frame; /* the change being decoded */
    struct wire_list list;
    struct digest (*items)[2]; /* WIRE_BATCH_MAX of them */
};

/* Of the thread that commits (receiver_commit.c, receiver_apply.c): no lock. */
struct commit {
    struct buf out;
    int64_t now_ms;
    struct change *group; /* utlist DL: taken, not yet tried */
    struct change *done;  /* utlist DL: applied, not yet answered */
    struct change *due[RETRIES_MAX];
    uint64_t *stages; /* config.group_changes */
    uint64_t *seqs;   /* WIRE_BATCH_MAX */
    bool touched;     /* directories wait for their sync */
};

struct receiver {
    struct receiver_config config;
    const struct receiver_ops *ops;
    void *ctx;
    struct index *ix;
    struct input input;
    struct commit commit;

    pthread_mutex_t send_mutex; /* whole frames, one sender at a time */
    pthread_mutex_t mutex;      /* guards what follows */
    bool ended;                 /* the session is over */
    bool greeted;               /* HELLO_OK was sent */
    bool relaxed;
    bool views;       /* WIRE_FEATURE_VIEW: both know it */
    bool tells_modes; /* WIRE_FEATURE_MODES: the same */
    bool tells_edits; /* WIRE_FEATURE_EDITS: the same */
    bool tells_blind; /* WIRE_FEATURE_BLIND: the same */
    bool all_synced;  /* what earlier receivers left is durable */
    int64_t silence_ms;
    int64_t life_ms;       /* last sign of life of the agent, -1 none */
    struct change *queue;  /* utlist DL */
    uint64_t queued_bytes; /* staged for changes in the queue */
    size_t pending;        /* changes not yet answered */
    size_t drops;          /* TABLE_DROPs among them */
    uint64_t replaced;
    struct deferred deferred;
    struct scanning scan;
    struct resolving resolve;
};

static inline struct bytes change_table(const struct change *c)
{
    return bytes_of(c->names, c->table_len);
}
static inline struct bytes change_key(const struct change *c)
{
    return bytes_of(c->names + c->table_len, c->key_len);
}

/* --- receiver.c --------------------------------------------------------------
 */
/* Send and clear `b` (whole frames). */
int receiver_send(struct receiver *r, struct buf *b, struct err *err);
/* The session is over: tell the agent why, once. */
void receiver_end(struct receiver *r, const struct err *err);
/* Does this failure of the disk (or of the right to write) end the session? */
bool receiver_fatal(const struct err *err);
/* Before the first ACK and before READY: make durable what an earlier receiver
 * may have left, for a change that finds its work done touches nothing. */
int receiver_sync_earlier(struct receiver *r, struct err *err);
/* The same, whatever was synced before. */
int receiver_sync_all(struct receiver *r, struct err *err);
/* Append a NAK for `seq` with the names of the change in front. */
void receiver_nak(struct buf *out, uint64_t seq, struct bytes table,
                  struct bytes key, const struct err *err);

/* --- receiver_stage.c --------------------------------------------------------
 */
int stage_set(struct receiver *r, struct bytes body, struct err *err);
int stage_same(struct receiver *r, struct bytes body, struct err *err);
int stage_set_begin(struct receiver *r, struct bytes body, struct err *err);
int stage_piece(struct receiver *r, struct bytes body, struct err *err);
int stage_zeros(struct receiver *r, struct bytes body, struct err *err);
int stage_set_end(struct receiver *r, struct bytes body, struct err *err);
int stage_set_abort(struct receiver *r, struct bytes body, struct err *err);
int stage_other(struct receiver *r, enum wire_type type, struct bytes body,
                struct err *err);
/* Drop every open stream. */
void stage_close(struct receiver *r);
/* Free a change and what it supersedes, dropping what is staged. */
void change_free(struct receiver *r, struct change *c);

/* --- receiver_apply.c --------------------------------------------------------
 */
enum applied {
    APPLIED = 1, /* waits for the directories' sync and the answer */
    BUSY,        /* a lock is held */
    BEHIND,      /* an earlier change of the same name waits */
    MORE,        /* a table's drop goes on in the next commit */
};
/* enum applied, or ERR_*. */
int apply_change(struct receiver *r, struct change *c, struct err *err);

/* --- receiver_deferred.c --------------------------------------------------------
 */
/* Defer `c`, or keep it deferred, until its back-off is over.  busy: a lock
 * is the reason (c->pid, c->comm); at_once: try again with the next commit.
 * False: too many are deferred already. */
bool deferred_put(struct receiver *r, struct change *c, bool busy,
                  bool at_once);
void deferred_remove(struct receiver *r, struct change *c);
/* Must `c` wait for an earlier change that is deferred? */
bool deferred_conflict(struct receiver *r, const struct change *c);
/* `drop` drops a table: what is deferred for it is superseded by it. */
void deferred_supersede(struct receiver *r, struct change *drop);
/* Fill r->due with what may be tried again; how many. */
size_t deferred_take_due(struct receiver *r);
/* Append BLOCKED frames that are due; the mutex is held. */
void deferred_report(struct receiver *r, struct buf *out, int64_t now_ms);

/* --- receiver_query.c --------------------------------------------------------
 */
int query_ping(struct receiver *r, struct bytes body, struct err *err);
int query_scan(struct receiver *r, struct bytes body, struct err *err);
int query_tree(struct receiver *r, struct bytes body, struct err *err);
int query_list(struct receiver *r, struct bytes body, struct err *err);
int query_resolve(struct receiver *r, struct bytes body, struct err *err);
/* Begin the scan with this id, as soon as the one that runs has ended. */
void query_scan_begin(struct receiver *r, uint64_t id, unsigned how);
void query_close(struct receiver *r);
