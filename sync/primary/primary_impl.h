/* SPDX-License-Identifier: MIT
 *
 * primary_impl: what the files of the primary's core share, and nobody else.
 *
 *     actions.c         what is asked of the host; the log lines
 *     due.c             is a comparison due?
 *     gate.c            deletes that wait until a move is known as a whole
 *     pace.c            how much a link may hold
 *     brake.c           what may be deleted on a replica, and what is held
 *     undone.c          what was undone after the primary lost something
 *     heartbeat.c       pings: what is fresh, how far the link has come
 *     session.c         one connection: hello, frames in and out
 *     primary_status.c  what status shows
 *     primary.c         the facade: hints, actions, barriers, time
 *   delivery/
 *     changelog.c       the log of changes, and each replica's place in it
 *     stalled.c           what a key that does not get on does not hold up
 *     flights.c         changes under way, as lists
 *     reading.c           which keys are to be read, and when again
 *     stream.c          large values in pieces; stream_read.c: their answers
 *     sender.c          from a place in the log to an acknowledgement
 *     frames.c          ... and what is sent
 *     unborn.c          what may be a temporary, and no key
 *     moved_out.c         what may be gone, or covered
 *     answers.c         what a read told
 *     refused.c         what the replica answers no to
 *     stuck.c           why a change does not come to its replica
 *   compare/
 *     compare_data.c         what a comparison knows
 *     heard.c           does the replica get on with what it waits for?
 *     compare_feed.c  from names to repairs, at the replica's pace
 *     compare_walk.c  from name hashes to names, for all who wait for it
 *     compare_end.c   how it ends
 *     silent.c          ... with a replica that answers pings and nothing else
 *     compare_names.c the names of what differs
 *     compare_diff.c  which name hashes differ
 *     compare_run.c       jobs and steps
 *     differs.c         what is known to differ
 *     uncompared.c      what could not be compared
 *     unread.c          what a replica's own scan could not read
 *
 * No two call each other, even by way of others.  Lowest first: actions, due,
 * changelog, gate, pace, refused, stalled, flights, reading, uncompared,
 * compare, heard, differs, undone, stuck, heartbeat, stream, sender, unborn,
 * moved_out, brake, frames, stream_read, answers, compare_feed, _walk, _end,
 * silent, _names, _diff, compare_run, session, primary_status, primary.
 */
#pragma once

#include "store/base/buf.h"
#include "sync/primary/actions.h"
#include "sync/primary/brake.h"
#include "sync/primary/compare/compare_data.h"
#include "sync/primary/compare/differs.h"
#include "sync/primary/compare/heard.h"
#include "sync/primary/compare/modes.h"
#include "sync/primary/compare/unread.h"
#include "sync/primary/delivery/changelog.h"
#include "sync/primary/delivery/flights.h"
#include "sync/primary/delivery/frames.h"
#include "sync/primary/delivery/reading.h"
#include "sync/primary/delivery/refused.h"
#include "sync/primary/delivery/stuck.h"
#include "sync/primary/due.h"
#include "sync/primary/gate.h"
#include "sync/primary/heartbeat.h"
#include "sync/primary/pace.h"
#include "sync/primary/primary.h"
#include "sync/primary/session.h"
#include "sync/primary/undone.h"

enum {
    READS_MAX = 128, /* reads under way at once */
    LATENCY_SAMPLES = 1024,
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

/* False: no memory; a comparison is due. */
bool sender_hint(struct primary *p, struct record *rec, uint64_t mask,
                 enum hint why);
/* ... for everybody who is to hear of it. */
bool sender_hint_all(struct primary *p, struct record *rec, enum hint why);
/* Events were lost: what is being read now, waits to be sent or is on its way
 * may be outdated, and its event missing.  It is read and sent once more: the
 * index must not hold it after the scan that follows, and a comparison sees
 * what a replica has, not what it is about to get. */
void sender_invalidate(struct primary *p);
/* The replica lost its places in the log: what is under way there may be
 * outdated by a change that it will not be told of, and arrive after a
 * comparison has looked.  It is read and sent once more. */
void sender_resend(struct primary *p, struct repl *r);
/* Take places from the log into flights as far as the window allows. */
void sender_advance(struct primary *p, struct repl *r);
void sender_advance_all(struct primary *p);
/* 1 = acknowledged, 0 = no such flight was sent. */
int sender_acked(struct primary *p, struct repl *r, uint64_t seq);
int sender_refused(struct primary *p, struct repl *r,
                   const struct wire_nak *nak);
/* The flight's stream was aborted: it is not sent again before the replica has
 * answered a ping, and what it says of the aborted attempt is ignored. */
void sender_abort_ping(struct primary *p, struct repl *r, struct flight *f);
void sender_ponged(struct primary *p, struct repl *r, uint64_t ping);
int sender_blocked(struct primary *p, struct repl *r,
                   const struct wire_blocked *m);
/* The link went: what was sent must be sent again, in the same places. */
void sender_rewind(struct primary *p, struct repl *r);
/* The session is live: what waits from before goes first. */
void sender_resume(struct primary *p, struct repl *r);
/* Forget all flights of the replica. */
void sender_drop(struct primary *p, struct repl *r);
int64_t sender_tick(struct primary *p);
/* The flight is over (acknowledged, or not needed): unlink and free it, and
 * let a held one of the same key go on. */
void flight_end(struct primary *p, struct flight *f);
/* What was just sent does not account for `missed`: the replica gets a flight
 * of its own for that, in the place where that hint came. */
void sender_follow(struct primary *p, struct repl *r, struct record *rec,
                   struct missed missed, const struct flight *but);
/* The index has what its flight was for; what is newer than that (!fresh) gets
 * a flight of its own.  So a key that changes all the time does not hold the
 * index' watermark. */
void sender_known(struct primary *p, struct flight *f, bool fresh,
                  struct missed missed);
/* Content arrived: all flights that waited for it go on. */
void sender_place(struct primary *p, struct record *rec);
/* The index has read a large value, or cannot (NULL): those that waited for its
 * digest go on. */
void sender_answer_ask(struct primary *p, struct record *rec,
                       const struct stream *read, const struct read_answer *l);

/* End what waits for the record's content; it may be gone afterwards. */
void sender_end_waiting(struct primary *p, struct record *rec);

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

/* --- new files that may be temporaries (unborn.c) ------------------------ */

struct unborn;

/* Asked before the hint is counted: has the key's file been made before our
 * eyes, and nothing happened to it since that an event tells of? */
bool unborn_is_made(const struct primary *p, const struct record *rec,
                    enum hint why);
/* Everybody was told of the key. */
void unborn_forget(struct primary *p, struct digest name);
/* A look was answered.  True: that is all there is to do.  The file is unborn,
 * and what waited for it has ended (the record may be gone); or it was until
 * now, and everybody is to hear of it. */
bool unborn_read(struct primary *p, struct record *rec,
                 const struct read_answer *l);
/* A barrier comes: see that those before it have still committed nothing. */
void unborn_ask(struct primary *p);
/* Events were lost. */
void unborn_invalidate(struct primary *p);
/* Look at those again that it is time for; returns when the next one is. */
int64_t unborn_tick(struct primary *p);
void unborn_free(struct primary *p);

/* --- names that went (moved_out.c) ----------------------------------------- */

/* It was moved away, not removed. */
void moved_out_note(struct record *rec, int64_t now_ms);
/* A look found nothing.  True: that may change yet; look again later. */
bool moved_out_is_unproven(struct primary *p, struct record *rec);
/* A look found something that is no key in a key's place: no removal (the
 * record may be gone afterwards). */
void moved_out_covered(struct primary *p, struct record *rec);
/* A look failed (the same). */
void leaving_unread(struct primary *p, struct record *rec,
                    const struct read_answer *l);

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
/* The replica whose stream has this id, or NULL. */
struct repl *stream_find(struct primary *p, uint64_t id);
/* The stream is over; an answer still due will find no stream of its id. */
struct flight *stream_stop(struct primary *p, struct repl *r);
/* Ask for the next piece. */
void stream_read_on(struct primary *p, struct repl *r);
/* Put the names into an ACT_STREAM_OPEN that is about to be handed out; false
 * when its stream is over already. */
bool stream_names(struct primary *p, struct action *a);
void stream_start(struct primary *p, struct repl *r);
void stream_drop(struct primary *p, struct repl *r);
/* Ping `id` was answered. */
void stream_ponged(struct primary *p, struct repl *r, uint64_t id);
/* More pieces are wanted (the output has room). */
void stream_more(struct primary *p, struct repl *r);

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

void compare_connected(struct primary *p, struct repl *r);
void compare_disconnected(struct primary *p, struct repl *r,
                          const struct err *err);
/* Start what may start, go on with what waits for a barrier. */
void compare_step(struct primary *p, struct repl *r);
void compare_free_jobs(struct primary *p, struct repl *r);
void compare_no_memory(struct primary *p, struct compare *c);
/* Begin with the tree's top (compare_diff.c); list the buckets that are still
 * to be looked at; name what differs (compare_names.c); find the primary's
 * names; ask for the next chunk of the replica's; wait for the
 * acknowledgements; the end. */
void compare_narrow(struct primary *p, struct compare *c);
void compare_list(struct primary *p, struct compare *c);
void compare_name_diffs(struct primary *p, struct compare *c);
void compare_walk(struct primary *p, struct compare *c);
void compare_ask_names(struct primary *p, struct compare *c);
/* All names that were found are in the log: wait for the acknowledgements, or
 * fail as the walk did. */
void compare_fed(struct primary *p, struct compare *c);
void compare_drain(struct primary *p, struct compare *c);
void compare_finish(struct primary *p, struct compare *c);
void compare_fail(struct primary *p, struct compare *c, const struct err *err);
int compare_nodes(struct primary *p, struct repl *r,
                  const struct wire_nodes *m);
int compare_listing(struct primary *p, struct repl *r, struct wire_items *m,
                    struct err *err);
int compare_names(struct primary *p, struct repl *r, struct wire_items *m,
                  struct err *err);
int compare_scanned(struct primary *p, struct repl *r,
                    const struct wire_scan_done *m);
void compare_unread(const struct primary *p, struct repl *r,
                    const struct wire_unread *m);

/* --- names on their way into the log (compare_feed.c) ------------------ */

/* So many repairs of this replica may go into the log now, so that a change
 * made meanwhile does not wait behind them for long. */
size_t feed_room(const struct primary *p, const struct repl *r);
/* One went into it. */
void feed_fed(const struct primary *p, struct repl *r);
/* A name for the comparison: into the log, or to those that wait for room. */
void feed_name(struct primary *p, struct compare *c, bool is_table,
               struct bytes table, struct bytes key);
/* As many as there is room for; true when none waits. */
bool feed_step(struct primary *p, struct compare *c);

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
/* Begin a walk, or count who keeps whom waiting; returns when it wants to be
 * called again. */
int64_t walk_step(struct primary *p);
/* The walk is over: what it has shown of names that are gone is told to the
 * index, and `tell` of each comparison that waited, and whether all of its
 * names were told. */
void walk_finish(struct primary *p, uint64_t id, bool complete,
                 const struct err *err,
                 void (*tell)(struct primary *p, struct compare *c, bool all,
                              const struct err *err));
void walk_unsubscribe(struct primary *p, int replica);
void walk_free(struct primary *p);

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
    uint64_t acked, sent_bytes, received_bytes;
    uint64_t keys, bytes, replaced; /* as it last said */
    uint32_t *latency_us;           /* ring of LATENCY_SAMPLES */
    size_t latency_at, latency_count;
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
int64_t session_tick(struct primary *p, struct repl *r);
/* Ask the shell to give the link up. */
void session_close(struct primary *p, struct repl *r, const struct err *err,
                   bool permanent);

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
