/* SPDX-License-Identifier: MIT
 *
 * primary_impl: what the files of the primary's core share, and nobody else:
 * the core and its replicas.  Rooms, lowest first; within each the files,
 * lowest first.  No two files call each other, even by way of others.
 *
 *   log/                what knows no replica
 *     changelog.c       the log of changes, and each replica's place in it
 *     gate.c            deletes that wait until a move is known as a whole
 *     pace.c            how much a link may hold
 *   here                what is known of a replica
 *     actions.c         what is asked of the host; the log lines
 *     due.c             is a comparison due?
 *     refused.c         what the replica answers no to
 *     stalled.c         what a key that does not get on does not hold up
 *     flights.c         changes under way, as lists
 *     stuck.c           why a change does not come to its replica
 *     uncompared.c      what could not be compared
 *     compare_data.c    what a comparison knows
 *     heard.c           does the replica get on with what it waits for?
 *     differs.c         what is known to differ
 *     modes.c           what readers there may not be able to read
 *     unread.c          what a replica's own scan could not read
 *     undone.c          what was undone after the primary lost something
 *     heartbeat.c       pings: what is fresh, how far the link has come
 *     brake.c           what may be deleted on a replica, and what is held
 *   delivery/           from a place in the log to an acknowledgement
 *     reading.c         which keys are to be read, and when again
 *     stream.c          large values in pieces
 *     sender.c          flights: window, order, acknowledgement
 *     unborn.c          what may be a temporary, and no key
 *     moved_out.c       what may be gone, or covered
 *     frames.c          what is sent
 *     stream_read.c     what a stream's reads told
 *     answers.c         what a read told
 *   compare/            a comparison, from its begin to its end
 *     compare_feed.c    from names to repairs, at the replica's pace
 *     compare_walk.c    from name hashes to names, for all who wait for it
 *     compare_end.c     how it ends
 *     silent.c          ... with a replica that answers pings and nothing else
 *     compare_names.c   the names of what differs
 *     compare_diff.c    which name hashes differ
 *     compare_run.c     jobs and steps
 *   facade/             primary.h
 *     session.c         one connection: hello, frames in and out
 *     primary_status.c  what status shows
 *     primary_where.c   what is known of one key on one replica
 *     primary.c         hints, actions, barriers, time
 */
#pragma once

#include "store/base/buf.h"
#include "sync/primary/actions.h"
#include "sync/primary/brake.h"
#include "sync/primary/compare_data.h"
#include "sync/primary/differs.h"
#include "sync/primary/due.h"
#include "sync/primary/flights.h"
#include "sync/primary/heard.h"
#include "sync/primary/heartbeat.h"
#include "sync/primary/log/changelog.h"
#include "sync/primary/log/gate.h"
#include "sync/primary/log/latency.h"
#include "sync/primary/log/pace.h"
#include "sync/primary/modes.h"
#include "sync/primary/primary.h"
#include "sync/primary/refused.h"
#include "sync/primary/session.h"
#include "sync/primary/stuck.h"
#include "sync/primary/undone.h"
#include "sync/primary/unread.h"

enum {
    READS_MAX = 128,      /* reads under way at once */
    MARKS_MAX = 64,       /* remembered drains */
    LIST_BATCH = 1024,    /* buckets per LIST */
    RESOLVE_BATCH = 4096, /* hashes per RESOLVE frame */
    NAME_ROUNDS = 2,      /* equal findings in a row that prove a difference */
    ROUNDS_MAX = 20,
};

/* --- flights (sender.c) -------------------------------------------------- */

struct flight {
    UT_hash_handle hh;                      /* in replica.flights_by_seq */
    struct flight *prev, *next;             /* replica.flights, by sequence */
    struct flight *ready_prev, *ready_next; /* replica.ready or .large */
    struct flight *rec_next;                /* record.flights */
    struct record *rec;
    int replica;
    uint8_t state;
    uint8_t rereads;  /* content was stale when its turn came */
    uint8_t refusals; /* NAKs in a row */
    bool asked;       /* sent as SAME */
    bool whole;       /* the replica said that it is not: send the value */
    bool dropping;    /* a table's drop that waits for the brake */
    bool took_keys;   /* ... and deletes of its keys ended, to go with it */
    uint64_t seq;
    int64_t time_ms, time_us;
    int64_t retry_ms;
    struct refusal refusal; /* when `refusals` is not 0 */
    int64_t rest_ms;        /* no new try of a large value before this */
    bool changed;           /* its last try was in vain for that reason */
    uint64_t abort_ping; /* an aborted stream: until the PONG to this ping the
                       replica may still refuse it; 0 none */
    int64_t blocked_ms;  /* since when a reader there holds it up, 0 not */
    uint32_t pid;
    char comm[16];
    bool stalled; /* it does not get on for long (stalled.c) */
    bool passed;  /* a comparison ended without it */
    size_t bytes; /* counted against the window while ready or sent */
};

struct repl;
struct primary;
struct stream;
struct unborn;

/* --- keys that do not get on for long (stalled.c) -------------------------- */

/* A look failed: if that lasts, the key's waiting flights are stalled. */
void stalled_note(struct primary *p, struct record *rec);
/* The replica refused the flight's change; a reader there holds it up. */
void stalled_refused(struct repl *r, struct flight *f);
/* This one waits for an earlier flight of its key; true: that is stalled, and
 * so does it now. */
bool stalled_waits(struct repl *r, struct flight *f);
void stalled_blocked(const struct primary *p, struct repl *r, struct flight *f);
/* Refused so often that it stays stalled until it is acknowledged. */
bool stalled_is_refused(const struct flight *f);
/* It changed while it was read: that is one more try in vain; it was read. */
void stalled_changed(struct primary *p, struct record *rec);
void stalled_still(struct primary *p, struct record *rec);
/* The flight goes on; it is over. */
void stalled_clear(struct repl *r, struct flight *f);
void stalled_end(struct repl *r, struct flight *f);
/* The replica's repairs end without those up to `barrier` that are stalled. */
void stalled_pass(struct repl *r, uint64_t barrier);

/* --- streams (stream.c) -------------------------------------------------- */

enum stream_state { STREAM_NONE, STREAM_OPENING, STREAM_OPEN, STREAM_READING };
struct stream {
    enum stream_state state;
    uint64_t id;
    struct flight *flight;
    bool begun;           /* SET_BEGIN was sent */
    int64_t since_ms;     /* its try began */
    bool outdated;        /* the table was found gone: look again */
    uint64_t covers;      /* record.hints when it was opened */
    struct missed missed; /* since then */
    uint64_t done_bytes;
    uint64_t zeros;     /* sent since the last ping */
    uint64_t waits_for; /* the answer to this ping; 0: for none */
};
/* --- comparisons (compare_run.c, compare_walk.c) ------------------------- */

struct diff {
    struct digest name;
    struct digest here, there; /* zero: absent */
    uint8_t kind;              /* enum diff_kind */
    uint8_t is_table;
    uint8_t rounds; /* found the same so many times in a row */
    bool moving;    /* only there, and a change of it was on its way */
    bool named;     /* by the replica, asked with RESOLVE */
};

enum compare_phase {
    COMPARE_QUEUED,
    COMPARE_SCANNING,   /* the replica scans */
    COMPARE_TOP,        /* waiting for the 256 nodes */
    COMPARE_BUCKETS,    /* ... for bucket digests */
    COMPARE_LISTING,    /* ... for entries */
    COMPARE_NEXT_ROUND, /* waiting for a barrier before the next round */
    COMPARE_RESOLVING,  /* ... for names of what only the replica has */
    COMPARE_WALKING,    /* names of what the primary has */
    COMPARE_FEEDING,    /* ... go into the log as there is room */
    COMPARE_DRAINING,   /* repairs are on their way */
    COMPARE_ENDED,
};

/* Which buckets differ, and what the replica has there (compare_diff.c). */
struct narrowing {
    uint8_t nodes_todo[256]; /* node digests differ */
    unsigned nodes_left, node_at;
    uint8_t *buckets_todo; /* bitmap of INDEX_BUCKETS bits: differ */
    uint8_t *buckets_all;  /* bitmap: the replica has nothing there */
    unsigned bucket_at;    /* LISTING: next bucket to ask for */
    uint16_t *asked;       /* the buckets of the running LIST */
    unsigned asked_count;
    struct digest (*got)[2]; /* their entries on the replica */
    size_t got_count, got_cap;
};

/* What differs. */
struct diffs {
    struct diff *list; /* sorted by name when complete */
    size_t count, cap;
    size_t kept_max, kept_extra, kept_other; /* of each sort in it */
    uint64_t beyond[DIFF_VALUE + 1]; /* by kind: found, counted, not kept */
    struct digest beyond_leaves;     /* of DIFF_EXTRA among these */
    struct diff *last;               /* the previous round's, sorted */
    size_t last_count;
    uint64_t went_free, went_replaced; /* of DIFF_EXTRA, kept or not, by
                                          index_end_of() */
    uint64_t whole_count;              /* entries in buckets_all */
};

/* Names of the primary, on their way into the log (compare_feed.c, _walk.c). */
struct naming {
    bool walk_wanted;
    int64_t wanted_ms;  /* since when */
    struct buf waiting; /* found names that wait for room in the log, from
                           waiting_at on */
    size_t waiting_at;
    uint64_t left_out;   /* ... and how many found no room there */
    struct err walk_err; /* the walk could not tell all names; code 0: it
                            could */
};

/* Names that only the replica has (compare_names.c). */
struct resolving {
    bool done;
    struct digest *list; /* EXTRA, still to be resolved */
    size_t count, at;
    size_t awaited; /* of the running RESOLVE, not yet answered */
};

struct compare {
    struct compare *next; /* compares.jobs */
    uint64_t id;
    int replica;
    bool automatic;   /* ours: on connect, or roots differ */
    bool abandoned;   /* the caller freed it while it ran */
    bool applies;     /* it does what was approved */
    bool names_asked; /* of what is held */
    bool view;        /* at what the replica's scan found, beside its index */
    struct compare_options opt;
    enum compare_phase phase;
    uint64_t request; /* id of the request whose answer is awaited */
    unsigned round;
    uint64_t barrier;        /* NEXT_ROUND, DRAINING */
    unsigned due_generation; /* of the replica when it began */
    uint64_t edits;          /* told by it when it began (differs.h) */
    uint64_t busy; /* what its scan could not read, for a lock or changes */
    int64_t began_ms;
    struct narrowing narrow;
    struct diffs diffs;
    struct naming naming;
    struct resolving resolve;
    struct uncompared uncompared;
    struct compare_result result;
    struct diff_name *names; /* of what differs, for people */
    size_t names_count, names_cap;
};

/* The walk under way: one for all comparisons that wait for names.  The filter
 * is frozen while it runs, because another thread reads it. */
struct walk_filter {
    const uint8_t *buckets_all[LOG_REPLICAS_MAX];
    struct digest *names[LOG_REPLICAS_MAX]; /* sorted */
    size_t names_count[LOG_REPLICAS_MAX];
    size_t members;
};
struct walk_member {
    int replica; /* -1: it left */
    uint64_t compare;
    uint8_t *found; /* bitmap over the filter's names */
    bool passed_by; /* nobody waits for it: its names do */
};
struct walk {
    uint64_t id; /* 0: none under way */
    bool stopping;
    struct walk_filter *filter;
    struct walk_member members[LOG_REPLICAS_MAX];
    int64_t counted_ms; /* held_ms is counted up to here */
    int64_t held_ms;    /* so long some have kept others waiting, in all; what
                           they have not makes up for it, eight to one */
    int64_t free_ms;    /* ... and is not yet counted */
};
/* --- replicas and sessions (session.c) ----------------------------------- */

/* Names on their way into the log (compare_feed.c). */
struct feed {
    int64_t began_ms; /* a share of repairs began ... */
    unsigned count;   /* ... and has so many */
    int64_t read_ms;  /* when the last of them was, or the first came */
};

/* The comparisons with this replica. */
struct compares {
    struct compare *jobs; /* oldest first */
    int64_t after_ms;     /* not before this time (back-off) */
    unsigned fails;       /* in a row that did not end in equal roots */
    uint64_t remaining;   /* differences that the last one left for another,
                             0: none */
};

/* What is shown of a replica, and decides nothing. */
struct figures {
    uint64_t sessions, acked, sent_bytes, received_bytes;
    uint64_t keys, bytes, replaced; /* as it last said */
    struct latency *latency;        /* from event to acknowledgement */
};

struct repl {
    struct primary *p;
    int id;
    bool is_index; /* the index itself: takes every change, sends none */
    char *name;
    bool forgotten;     /* it lost its places in the log while it was down:
                           no changes are kept for it until it is back */
    uint64_t live_tail; /* log tail when the session began or a place was
                           lost: comparisons wait until the index has seen
                           that */
    bool initial;       /* it was empty when it first came */
    bool blank;         /* it was empty when this session began */
    uint64_t held;      /* deletes held by the brake, 0: it is off */
    struct session session;
    struct heartbeat heartbeat;
    struct due due;
    struct flights flights;
    struct pace pace; /* what the link may hold */
    struct stream stream;
    struct compares compares;
    struct feed feed;
    struct unread unread_there; /* what its scan could not read */
    struct differs differs;     /* what is known to differ */
    struct heard heard;
    struct modes modes; /* what readers there may not be able to read */
    struct brake brake;
    struct undone undone;
    struct dirid dirid;
    struct figures figures;
};

/* Bytes that were ever given to the link. */
static inline uint64_t session_at(const struct repl *r)
{
    return r->figures.sent_bytes + (r->session.out.len - r->session.out_at);
}
/* It may be given more: what it holds takes no longer than it should. */
static inline bool session_has_room(const struct repl *r)
{
    return pace_room(&r->pace, session_at(r)) > 0;
}
/* --- the core ------------------------------------------------------------ */

/* A drain: all changes made before wall_ns have sequences up to tail. */
struct mark {
    int64_t wall_ns;
    uint64_t tail;
};

struct action_node {
    struct action_node *next;
    struct action a;
};

struct primary {
    struct primary_config config;
    struct index *ix;
    struct changelog log;
    struct repl *repl[LOG_REPLICAS_MAX];
    int index_id;   /* the index' own bit */
    int repl_top;   /* one above the highest slot in use */
    int64_t now_ms; /* of the call being served */
    uint64_t next_id;
    bool index_ready;
    bool aging;      /* the index' names get older (brake_tick()) ... */
    int64_t aged_ms; /* ... and did so last */
    uint64_t
        age_tail; /* 1 + what the index has to have seen before; 0: unset */
    bool lost;
    char lost_why[256];
    struct action_node *actions, **actions_tail;
    struct record *reads;   /* utlist DL (read_*): to be looked at */
    struct record *retries; /* utlist DL (retry_*) */
    struct record *hot;     /* utlist DL (hot_*): change under each read */
    struct read_job *jobs;  /* uthash: id -> record, reads under way */
    size_t reads_active;
    struct unborn *unborn; /* uthash */
    int64_t retry_ms;      /* the soonest retry asked for since the last tick */
    struct walk walk;
    struct gates gates;   /* moves under way */
    size_t waiting_bytes; /* of all comparisons' names that wait */
    struct mark marks[MARKS_MAX];
    size_t marks_count;
    uint64_t drains; /* calls of primary_drained() */
    uint64_t reads_done, values_read, bytes_read;
    struct digest unreadable_name; /* whose text that is */
    char unreadable_text[256];
    uint64_t seed;
};

struct read_job {
    UT_hash_handle hh;
    uint64_t id;
    struct record *rec;
    bool outdated; /* its answer is: look again */
};

static inline uint64_t repl_bit(const struct repl *r)
{
    return UINT64_C(1) << r->id;
}

/* Iterate over replicas in use (the index included). */
#define EACH_REPL(p, r)                                                        \
    for (int each_##r = 0; each_##r < (p)->repl_top; each_##r++)               \
        if (((r) = (p)->repl[each_##r]) != NULL)
