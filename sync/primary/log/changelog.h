/* SPDX-License-Identifier: MIT
 *
 * changelog: one ordered, coalescing log of changes for all replicas.
 *
 * A *record* is a key (or table) that somebody still has to hear about; a
 * *node* is a place of that record in the log, with a sequence, the time of
 * the change, and the set of replicas that have not taken it yet.  A replica
 * is a bit and a cursor.
 *
 * Coalescing rule: a change to a key that a replica has yet to take stays in
 * its place for that replica, because the value is read when it is taken; only
 * replicas that have passed the place get a new node at the tail.  So a
 * replica has at most one place per key, a place never moves backwards in
 * time, and "everything up to sequence N" stays exact: a barrier at the tail
 * really covers every change hinted before it, also of keys that change again
 * and again.  Memory is O(keys changed since the slowest cursor).
 *
 * Pure data structure; not thread-safe.  What is sent, and how a value is
 * read, is the sender's business (sender.c).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/base/bytes.h"
#include "store/base/map.h"
#include "store/layout/value.h"
#include "sync/index/index.h"

enum { LOG_REPLICAS_MAX = 64 };

struct flight;

/* The first hint that something read does not account for: it has a sequence
 * of its own, so that what is sent on its behalf takes the right place. */
struct missed {
    uint64_t seq; /* 0: there is none */
    int64_t time_ms, time_us;
};

struct log_node {
    struct log_node *prev, *next; /* the log, by sequence */
    struct log_node *rec_next;    /* other places of the same record */
    struct record *rec;
    uint64_t seq;
    uint64_t mask;   /* replicas that have not taken it; never 0 */
    int64_t time_ms; /* when the change was first hinted */
    int64_t time_us; /* the same for latency figures, 0: not measured */
};

/* What a record's key holds, as last read. */
enum content_kind {
    CONTENT_UNKNOWN = 0, /* must be read */
    CONTENT_VALUE,       /* body holds the encoded SET */
    CONTENT_LARGE,       /* to be streamed */
    CONTENT_SAME,        /* large, and its digest is what it was */
    CONTENT_GONE,
    CONTENT_TABLE,
    CONTENT_NO_TABLE,
};

struct content {
    uint8_t kind;         /* enum content_kind */
    bool ask;             /* LARGE, maybe the same: its digest first */
    bool same;            /* it is what the index had for another stat */
    uint64_t covers;      /* `hints` that it accounts for */
    struct missed missed; /* since the read that gave it began */
    uint8_t *body;        /* encoded SET, for CONTENT_VALUE */
    size_t body_len;
    struct digest digest; /* of the value; LARGE with `ask`: as it was */
    uint64_t size;
};

/* How the reading of a record gets on (reading.c). */
struct record_read {
    uint64_t id;          /* the running read, 0 none */
    uint64_t covers;      /* `hints` when it began */
    struct missed missed; /* since it began */
    uint8_t why;          /* record.why when it began */
    uint8_t tries;        /* failed reads in a row */
    uint16_t changed;     /* reads in a row under which it changed */
    uint16_t unreadable; /* the last read was this error (DR), 0: it was none */
    bool queued;         /* in the queue of reads */
    bool retrying;       /* in the list of retries */
    int64_t retry_ms;    /* read again at this time, 0: not waiting */
    int64_t blocked_ms;  /* since when its lock is busy here, 0 not */
    int64_t changed_ms;  /* since when it changes under each read, 0 not */
    uint32_t pid;        /* who holds the lock */
    char comm[16];
    struct record *prev, *next;             /* primary.reads */
    struct record *retry_prev, *retry_next; /* primary.retries */
    struct record *hot_prev, *hot_next; /* primary.hot: `changed` is not 0 */
};

/* An empty file that a read found: a placeholder, or an empty value? */
struct empty_found {
    uint64_t ino;
    int64_t ctime_ns;
    uint64_t hints;  /* it was found with these hints ... */
    uint64_t drains; /* ... after so many drains ... */
    int64_t ms;      /* ... at this time for the first time */
};

struct record {
    UT_hash_handle hh; /* in changelog.records, by `name` */
    struct digest name;
    struct log_node *nodes;
    struct flight *flights; /* of all replicas; sender.c */
    uint64_t pending;       /* union of the nodes' masks */
    uint64_t waiting;       /* replicas with a flight that is not sent yet */
    uint64_t hints;         /* number of hints ever */
    struct content content;
    struct record_read read;
    struct empty_found empty;
    uint8_t why; /* the last enum hint since the last read began */
    bool is_table;
    bool made;     /* see unborn_is_made() */
    bool copies;   /* it changed under a stream: made from copies since */
    bool moved;    /* hinted because its table moved away */
    uint64_t gate; /* the last one opened when it was hinted (gate.h) */
    int64_t moved_out_ms; /* it was moved away at this time, and no read has
                             told yet what that means (moved_out.c); 0: no */
    struct record *known_prev, *known_next; /* changelog.known */
    uint16_t table_len;
    uint16_t key_len;
    char names[]; /* table, then key; neither terminated */
};

static inline struct bytes record_table(const struct record *r)
{
    return bytes_of(r->names, r->table_len);
}
static inline struct bytes record_key(const struct record *r)
{
    return bytes_of(r->names + r->table_len, r->key_len);
}

struct changelog {
    const struct index *ix; /* whose key hashes names */
    struct record *records; /* uthash */
    struct record *known;   /* utlist DL: those whose content is known */
    struct log_node *head, *tail;
    size_t nodes;
    size_t bytes;        /* memory of the places and of records that have some;
                            encoded values apart */
    size_t tables;       /* records that are tables */
    size_t body_bytes;   /* encoded values kept in records */
    uint64_t unreadable; /* records whose last read was an error */
    uint64_t tail_seq;
    uint64_t members;                          /* bits in use */
    struct log_node *cursor[LOG_REPLICAS_MAX]; /* first node that may have the
                                                  replica's bit, NULL: none */
    uint64_t pending[LOG_REPLICAS_MAX];        /* nodes with the bit */
};

/* Names are hashed with the key of `ix` (borrowed for the log's life). */
void changelog_init(struct changelog *log, const struct index *ix);
/* All records must be free of flights. */
void changelog_deinit(struct changelog *log);

/* A new bit, its cursor at the tail; -1 when all are in use. */
int changelog_join(struct changelog *log);
/* Give the bit up: its places are freed. */
void changelog_unsubscribe(struct changelog *log, int replica);
/* The replica loses all its places but stays a member (it will be compared). */
void changelog_forget(struct changelog *log, int replica);

/* The record of that name, made if missing; NULL: out of memory. */
struct record *changelog_record(struct changelog *log, bool is_table,
                                const void *table, size_t table_len,
                                const void *key, size_t key_len);
struct record *changelog_find(struct changelog *log, struct digest name);

/* A change for the replicas in `mask` (those that are members): those that
 * neither have a place for it nor an unsent flight get a node at the tail.
 * false: out of memory, nothing was added. */
bool changelog_add(struct changelog *log, struct record *rec, uint64_t mask,
                   int64_t now_ms, int64_t now_us);

/* The replica's next place, or NULL.  Does not take it. */
struct log_node *changelog_next(struct changelog *log, int replica);
/* What the replica has taken. */
struct taken {
    struct record *rec;
    uint64_t seq;
    int64_t time_ms, time_us;
};
/* Take the next place: its bit is cleared, an empty node is freed. */
bool changelog_take(struct changelog *log, int replica, struct taken *out);
/* What the record's key holds; CONTENT_UNKNOWN frees the body. */
void changelog_know(struct changelog *log, struct record *rec,
                    enum content_kind content);
/* Free the record if nobody needs it any more. */
void changelog_release(struct changelog *log, struct record *rec);
/* The member with the most distant cursor among `mask`, -1: none pending. */
int changelog_slowest(struct changelog *log, uint64_t mask);
