/* SPDX-License-Identifier: MIT
 *
 * primary: the primary's end of the protocol, as a pure core: no clock, no
 * loop, no descriptor, no thread.  Time, hints, looks, scans and bytes go in
 * as calls; what to read, walk or close comes out as actions.  The agent runs
 * it on its loop thread; the simulator runs it with virtual time.
 *
 * Happy path.  The watch says "something happened to this key"
 * (primary_hint_key).  The change log gives it a sequence.  Each connected
 * replica has a cursor in the log; where a cursor meets a change, the key is
 * looked at once (ACT_READ -> primary_key_read) and the encoded result is sent
 * to every replica that wants it (primary_fill).  Acknowledgements come back
 * (primary_input) and move the replica's watermark.
 * On connect, and whenever the two digest trees differ while nothing is in
 * flight, the sides are compared bucket by bucket and what differs is put in
 * the log for that replica alone (reconcile).
 *
 * Failures.  A link that goes down leaves its unacknowledged changes in their
 * places in the log's order; they are sent again.  A change the replica could
 * not apply (NAK) and a key whose lock is busy here are tried again with
 * back-off while others flow.  When the log outgrows its bound, the replicas
 * farthest behind lose their place and are brought back by comparison.  When
 * the database itself is gone nothing is read or deleted until it is back.
 *
 * Time: now_ms is CLOCK_MONOTONIC in ms; wall_ns is CLOCK_REALTIME and is only
 * ever handed to replicas as "fresh as of".  Ownership: names and values
 * passed in are copied.  At most PRIMARY_REPLICAS_MAX replicas.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/base/err.h"
#include "store/layout/value.h"
#include "sync/errors/state.h"
#include "sync/identity/dirid.h"
#include "sync/index/index.h"
#include "sync/primary/log/latency.h"
#include "sync/primary/uncompared.h"
#include "sync/wire/wire.h"

enum { PRIMARY_REPLICAS_MAX = 64 };

struct primary;

struct primary_config {
    uint8_t db_id[16];
    uint8_t instance[16];
    uint64_t epoch;
    size_t log_max_changes;    /* places in the log, default 1,000,000 */
    size_t log_max_bytes;      /* ... and what they may take, 128 MiB */
    size_t cache_max_bytes;    /* encoded values kept for sending, 16 MiB */
    size_t window_changes;     /* unacknowledged per replica, 4096 */
    size_t window_bytes;       /* 8 MiB */
    int64_t heartbeat_ms;      /* 1000 */
    int64_t silence_ms;        /* 15000: then the link is given up */
    int64_t settle_ms;         /* 1000: an empty file must stay that long, and
                                  what was moved away be missing */
    unsigned brake_percent;    /* 20: of a replica's keys ... */
    uint64_t brake_min;        /* 100: ... and more than this many */
    size_t diffs_max;          /* differences kept of one comparison, 262,144 */
    size_t repair_room;        /* repairs of one replica in the log, 8192 */
    size_t names_bytes;        /* names of one comparison that wait for that
                                  room, 8 MiB; eight times that in all */
    const char *version;       /* borrowed */
    uint64_t seed;             /* for jitter */
    int64_t (*clock_us)(void); /* for latency figures only; may be NULL */
};

void primary_config_default(struct primary_config *c);

/* NULL: out of memory.  `ix` is borrowed for its life. */
struct primary *primary_new(const struct primary_config *config,
                            struct index *ix);
void primary_free(struct primary *p);
/* Apply changed limits (database id, instance and epoch stay). */
void primary_reconfigure(struct primary *p, const struct primary_config *c);
/* The database was found only now: before the first session. */
void primary_set_term(struct primary *p, uint64_t epoch,
                      const uint8_t instance[16]);

/* --- hints: what the watch saw ------------------------------------------- */

enum hint {
    HINT_REMOVED,   /* DELETE */
    HINT_AWAY,      /* MOVED_FROM: a link may take its place */
    HINT_CREATED,   /* CREATE: empty is doubtful */
    HINT_FOUND,     /* by a scan or a listing: empty is doubtful, too */
    HINT_CLOSED,    /* CLOSE_WRITE: empty is doubtful, too */
    HINT_COMMITTED, /* MOVED_TO: an empty value is a value */
};
void primary_hint_key(struct primary *p, const void *table, size_t table_len,
                      const void *key, size_t key_len, enum hint why,
                      int64_t now_ms);
/* A table's directory appeared, went, or moved. */
void primary_hint_table(struct primary *p, const void *table, size_t table_len,
                        int64_t now_ms);
/* Directories with tables move: until primary_moved() their keys are hinted
 * under the old names and the new ones.  Meanwhile, and until the index has
 * seen them all, the deletes that follow wait, so that the brake judges the
 * move as a whole. 0: there are too many at once: a table's drop would go out
 * before its keys are counted, so the caller makes the index stale
 * (primary_index_stale()) and scans. */
uint64_t primary_moving(struct primary *p);
/* A key that was in the table before it moved. */
void primary_hint_moved(struct primary *p, const void *table, size_t table_len,
                        const void *key, size_t key_len, int64_t now_ms);
void primary_moved(struct primary *p, uint64_t id, int64_t now_ms);
/* The watch lost events or a scan changed the index behind the log: compare
 * with every replica when it is next quiet (or soon, if it never is). */
void primary_compare_soon(struct primary *p);
/* The index is complete (the scan at start is done): comparisons may begin.
 * Until then live changes flow, and what primary_hint_skipped() is told. */
void primary_index_ready(struct primary *p, int64_t now_ms);
/* Events were lost, so the index lacks something until the scan that the shell
 * starts now has ended with primary_index_ready().  Until then changes flow,
 * but nothing is compared and nothing claimed: no freshness, no lag, no barrier
 * is passed.  Every replica is compared afterwards.  primary_drained() must not
 * be called meanwhile: what it says is not true. */
void primary_index_stale(struct primary *p);
/* The root is not (or again) our database.  While lost, nothing is looked at
 * and no delete is sent; `why` is shown. */
void primary_root_lost(struct primary *p, const char *why);
void primary_root_back(struct primary *p, int64_t now_ms);

/* --- actions: what the shell must do ------------------------------------- */

enum action_type {
    ACT_READ = 1,     /* look at a key: answer with primary_key_read() */
    ACT_READ_TABLE,   /* is the table there?  primary_table_read() */
    ACT_STREAM_OPEN,  /* open a large value: primary_stream_opened() */
    ACT_STREAM_READ,  /* read at most `bytes`: primary_stream_data() */
    ACT_STREAM_CLOSE, /* close it; no answer */
    ACT_WALK,         /* find names: primary_walk_*; see below */
    ACT_WALK_STOP,    /* the walk's result is not wanted any more: end it soon;
                         primary_walk_ended() must still come */
    ACT_LINK_CLOSE,   /* give the replica's link up: `err` says why; the shell
                         answers with primary_link_down() */
    ACT_LOG,          /* something worth a log line */
    ACT_COMPARED,     /* a job asked for by primary_compare() ended */
    ACT_BRAKE,        /* the replica's brake went on or off (primary_held()):
                         before anything else note it where a restart finds it,
                         see primary_brake_on() */
    ACT_MET,          /* what is remembered of the replica's directory has
                         changed (primary_dirid()): note it where a restart
                         finds it, see primary_recall() */
    ACT_UNDONE,       /* the replica is not suspect any more: see
                         primary_suspect(); note it, too */
};

struct action {
    enum action_type type;
    uint64_t id; /* LOOK*, STREAM_*, WALK, COMPARED: hand it back */
    int replica; /* LINK_CLOSE, LOG, COMPARED, BRAKE; -1: none */
    /* LOOK, LOOK_TABLE, STREAM_OPEN: names, borrowed until the next call of
     * primary_next_action() */
    struct bytes table;
    struct bytes key;
    size_t bytes;   /* STREAM_READ; LOOK: inline_max */
    bool copy;      /* STREAM_OPEN: it changed while it was read where it
                       is; read it into a copy first, if there is room */
    bool permanent; /* LINK_CLOSE: needs the operator */
    int level;      /* LOG: LOG_ERR .. LOG_DEBUG of <syslog.h> */
    struct err err; /* LINK_CLOSE, LOG (err.msg, err.id) */
};

/* The next thing to do; false when there is nothing.  Call until false after
 * any other call. */
bool primary_next_action(struct primary *p, struct action *out);

/* Result of ACT_READ.  `result` is an enum reading_result, READ_ERROR, or
 * READ_ROOT_LOST.  READ_GONE must have been proven: the table's directory is
 * the one behind its name (or is absent while its parents were readable), and
 * the root is our database; that is the evidence for a delete. `value` is read
 * for READ_VALUE.  `pid` and `comm` tell the holder for READ_BUSY. */
enum { READ_ERROR = 20, READ_ROOT_LOST = 21 };
struct read_answer {
    int result;
    struct reading reading;
    const void *value;
    size_t value_len;
    int64_t age_ms; /* wall clock less mtime and ctime, the smaller; negative
                       when in the future: used for empty values */
    uint32_t pid;
    char comm[16];
    const struct err *err; /* READ_ERROR */
};
void primary_key_read(struct primary *p, uint64_t id,
                      const struct read_answer *r, int64_t now_ms);
/* present: the directory is there; else proven absent, as for READ_GONE.
 * READ_VALUE, READ_GONE, READ_ERROR or READ_ROOT_LOST as result. */
void primary_table_read(struct primary *p, uint64_t id, int result,
                        const struct err *err, int64_t now_ms);

/* ACT_STREAM_OPEN: result as for ACT_READ with READ_VALUE = open, size in
 * look.stat.  READ_CHANGING: no copy could be made. */
void primary_stream_opened(struct primary *p, uint64_t id,
                           const struct read_answer *l, int64_t now_ms);
/* ACT_STREAM_READ: bytes; n == 0 is the end, and then `l` is the outcome of
 * large_finish() (READ_VALUE with look, or READ_CHANGING/ERROR...); with n > 0
 * `l` is NULL. */
void primary_stream_data(struct primary *p, uint64_t id, const void *data,
                         size_t n, const struct read_answer *l, int64_t now_ms);
/* ... or so many zeros, 1 to WIRE_ZEROS_MAX. */
void primary_stream_zeros(struct primary *p, uint64_t id, uint64_t n,
                          int64_t now_ms);

/* ACT_WALK: walk all names (scan_names) with primary_walk_wants() as filter --
 * that one may run on any thread, and only reads what ACT_WALK froze, which
 * stays until primary_walk_ended() -- and report each found name; then the end,
 * always. The shell keeps at most primary_walk_room() names unreported: 0 means
 * wait, until it was asked again (after any other call).  It is never 0 for
 * long while somebody else needs the walk: see compare_walk.c. */
bool primary_walk_wants(const void *walk, struct digest name);
const void *primary_walk_filter(struct primary *p, uint64_t id);
size_t primary_walk_room(struct primary *p, uint64_t id);
void primary_walk_found(struct primary *p, uint64_t id, struct digest name,
                        bool is_table, struct bytes table, struct bytes key,
                        int64_t now_ms);
void primary_walk_ended(struct primary *p, uint64_t id, bool complete,
                        const struct err *err, int64_t now_ms);

/* --- replicas and links -------------------------------------------------- */

struct replica_options {
    const char *name; /* copied */
    enum wire_durability durability;
};

/* A number below PRIMARY_REPLICAS_MAX that stays until removed, or ERR_TOOBIG,
 * ERR_NOMEM. */
int primary_replica_add(struct primary *p, const struct replica_options *o,
                        int64_t now_ms, struct err *err) MUSTCHECK;
void primary_replica_remove(struct primary *p, int replica);

/* The channel is open: the hello goes out with the next primary_fill(). */
void primary_link_up(struct primary *p, int replica, int64_t now_ms);
/* It is gone (or could not be made). `err` (may be NULL) is kept for status;
 * permanent: state FAILED instead of RETRYING. */
void primary_link_down(struct primary *p, int replica, const struct err *err,
                       bool permanent, int64_t now_ms);
/* Bytes from the receiver.  Trouble comes back as ACT_LINK_CLOSE. */
void primary_input(struct primary *p, int replica, const void *data, size_t n,
                   int64_t now_ms);
/* Bytes to send: fills `out`, returns how many (0: nothing now). */
size_t primary_fill(struct primary *p, int replica, uint8_t *out, size_t room,
                    int64_t now_ms);
/* True when primary_fill() would return something (for link_kick). */
bool primary_wants_fill(struct primary *p, int replica);
/* Shown as the state; link handling is the shell's. */
void primary_set_paused(struct primary *p, int replica, bool paused);

/* --- the first scan ------------------------------------------------------ */

/* While it runs, replicas that came with nothing get their first copy already:
 * the scan need not read a key that the index does not have, but leaves it to
 * the core, which reads it once for the index and for them.
 *
 * So many keys may be left now; 0: first something must be sent; -1: there is
 * no such replica, or the index is ready. */
int64_t primary_skip_room(const struct primary *p);
/* A key that was left.  False: no memory, the index does not learn of it
 * before another scan. */
bool primary_hint_skipped(struct primary *p, struct bytes table,
                          struct bytes key, int64_t now_ms) MUSTCHECK;

/* --- time ---------------------------------------------------------------- */

/* Every change made before wall_ns has been hinted: the shell noted wall_ns,
 * then drained the inotify queue to EAGAIN, then calls this.  At least once
 * per heartbeat. */
void primary_drained(struct primary *p, int64_t wall_ns, int64_t now_ms);
/* Timers: heartbeats, silence, back-off, settling.  Returns the ms until it
 * wants to be called again (at most heartbeat_ms). */
int64_t primary_tick(struct primary *p, int64_t now_ms);
/* How long the soonest retry of a read may wait that was asked for since the
 * last tick; heartbeat_ms when there is none. */
int64_t primary_retry_in_ms(const struct primary *p, int64_t now_ms);

/* --- barriers and comparisons -------------------------------------------- */

/* The log's tail now: call after a drain.  A replica has passed the barrier
 * when primary_passed() is true: every change hinted before is durable there
 * and no comparison due to it is open. */
uint64_t primary_tail(struct primary *p);
bool primary_passed(struct primary *p, int replica, uint64_t barrier);
/* A heartbeat now, whenever the next is due: with the time as of which the
 * replica is fresh, which its receiver writes before it answers.  Returns its
 * number, 0: there is no session.  primary_ponged(): it, or a later one, was
 * answered. */
uint64_t primary_ping(struct primary *p, int replica, int64_t now_ms);
bool primary_ponged(struct primary *p, int replica, uint64_t id);
/* The index knows what was hinted up to the barrier, but for what cannot be
 * read. */
bool primary_indexed(struct primary *p, uint64_t barrier);

enum compare_mode {
    COMPARE_VERIFY,  /* find differences, change nothing */
    COMPARE_DRY_RUN, /* the same, and say what a repair would do */
    COMPARE_REPAIR,  /* resync */
};
struct compare_options {
    enum compare_mode mode;
    bool scan;        /* the replica checks its disk first (stat); what a repair
                         does not ask for stays as it is there */
    bool content;     /* ... and reads every value */
    size_t names_max; /* at most so many differing names are kept */
    /* Of primary_tail(), after a drain: what was hinted before is compared, or
     * waits for something (stalled.c) and is listed; 0: whatever is there. */
    uint64_t barrier;
};
/* Start (or queue) a comparison; it begins when the replica is connected and
 * the index ready.  The shell brings its own index up to date first when it
 * asks for scan or content.  Its id, or ERR_*; ends with ACT_COMPARED. */
int64_t primary_compare(struct primary *p, int replica,
                        const struct compare_options *o, int64_t now_ms,
                        struct err *err) MUSTCHECK;

enum diff_kind {
    DIFF_MISSING = 1, /* on the primary, not on the replica */
    DIFF_EXTRA,       /* on the replica, not on the primary */
    DIFF_VALUE,       /* both, different */
};
struct diff_name {
    enum diff_kind kind;
    bool is_table;
    struct bytes table;
    struct bytes key;
};
struct compare_result {
    bool done;   /* false: still running (progress in the counts) */
    bool failed; /* err says why */
    bool held;   /* the brake holds `extra` deletes */
    struct err err;
    const char *phase; /* "waiting", "scanning", "comparing", "repairing"... */
    uint64_t compared; /* keys on the primary */
    uint64_t replica_keys;
    uint64_t missing, extra, different; /* keys and tables */
    uint64_t repaired;                  /* acknowledged repairs */
    uint64_t to_repair;
    uint64_t reread;    /* values the replica read */
    uint64_t modes_set; /* files whose owner, group or mode it set */
    uint64_t unread;    /* keys that were not compared, or not repaired yet */
    struct err unread_err;                   /* why the first of them */
    const struct uncompared_key *uncompared; /* some of them; borrowed like
                                                `names` */
    size_t uncompared_count;
    uint64_t left;      /* differences left for the comparison that follows */
    uint64_t scan_keys; /* progress of the replica's scan */
    const struct diff_name *names; /* borrowed until primary_compare_free() */
    size_t names_count;
};
/* NULL when there is no such job. */
const struct compare_result *primary_compare_result(struct primary *p,
                                                    uint64_t id);
/* What stands in the way of a replica's having all up to `barrier`; see
 * uncompared.h, to be freed with uncompared_free(). */
void primary_uncompared(struct primary *p, int replica, uint64_t barrier,
                        int64_t now_ms, struct uncompared *out);
/* Forget the job (stops it when it runs). */
void primary_compare_free(struct primary *p, uint64_t id);

/* What the brake holds for a replica; see brake.h. */
enum { PRIMARY_HELD_TABLES = 20 };
struct primary_held {
    uint64_t held;     /* deletes, as far as known; more than 0 */
    uint64_t shown;    /* of these the token stands for so many; 0: not compared
                          yet */
    uint64_t token;    /* 0: none yet */
    uint64_t approved; /* of these so many were approved and are under way */
    int64_t since_ms;  /* so long */
    /* Of the first `named` of what is shown (in no order): how many in which
     * table, most first, and some names.  Borrowed until the next call. */
    uint64_t named;
    struct {
        struct bytes table;
        uint64_t count;
    } tables[PRIMARY_HELD_TABLES];
    size_t tables_count, all_tables;
    const struct diff_name *names;
    size_t names_count;
};
/* false: nothing is held. */
bool primary_held(struct primary *p, int replica, int64_t now_ms,
                  struct primary_held *out);
/* Let what this token stood for go, as far as it is still held, and nothing
 * else (0: the newest token).  ERR_NOTFOUND when nothing is held, ERR_REFUSED
 * when the token is not one of this replica's since the brake went on. */
int primary_approve(struct primary *p, int replica, uint64_t token,
                    int64_t now_ms, uint64_t *count_out,
                    struct err *err) MUSTCHECK;
/* The brake was on before a restart: `held` deletes, since `since_ms` on the
 * present clock.  Before the link is up. */
void primary_brake_on(struct primary *p, int replica, uint64_t held,
                      int64_t since_ms);

/* --- after the primary lost something ------------------------------------ */

/* The primary may have lost its last changes (undone.h): until a comparison is
 * over, what it undoes on this replica is kept aside there, and counted here.
 * Before the link is up. */
void primary_suspect(struct primary *p, int replica);
bool primary_is_suspect(struct primary *p, int replica);
struct primary_undone {
    uint64_t extra;     /* keys and tables that were removed there */
    uint64_t different; /* keys that were replaced */
    /* Some of them; borrowed until the next call. */
    const struct diff_name *names;
    size_t names_count;
};
/* false: nothing was undone. */
bool primary_undone(struct primary *p, int replica, struct primary_undone *out);
/* The operator has seen it. */
void primary_undone_forget(struct primary *p, int replica);

/* --- which directory it is ----------------------------------------------- */

/* What was remembered of the replica's directory (dirid.h), from a note; or the
 * operator's word to take what is there now: dirid_anew().  Before the link is
 * up. */
void primary_recall(struct primary *p, int replica, const struct dirid *d);
/* Borrowed until the next call. */
const struct dirid *primary_dirid(struct primary *p, int replica);

/* --- status -------------------------------------------------------------- */

struct blocked_key {
    bool on_primary;
    struct bytes table, key; /* borrowed */
    uint32_t pid;
    char comm[16];
    int64_t waited_ms;
    unsigned changed; /* not locked, but it changed under so many reads */
};

/* Changes that the replica answers no to (refused.h), and the one among them
 * that it does for longest. */
struct primary_refused {
    uint64_t count;
    int64_t since_ms; /* so long */
    bool is_table;
    struct bytes table, key; /* borrowed */
    struct err err; /* what it says, without the names; sys and id are set */
};
/* false: it refuses nothing. */
bool primary_refused(struct primary *p, int replica, int64_t now_ms,
                     struct primary_refused *out);
/* Is everything that changed more than lag_limit_ms ago proven to be on the
 * replica, nothing refused there for more than REFUSED_LASTS_MS, and no
 * difference known that nobody has repaired yet (differs.h), nor files there
 * that readers may not read (modes.h)?  False:
 * *why_out names what is not, and the reason.  Whatever the replica's state is:
 * also in state streaming. */
enum { REFUSED_LASTS_MS = 3000 };
bool primary_keeps_up(struct primary *p, int replica, int64_t lag_limit_ms,
                      int64_t now_ms, struct err *why_out);

struct replica_status {
    enum replica_state state;
    int64_t lag_ms;         /* -1: unknown (never equal yet, or comparing after
                               an outage lost its place) */
    uint64_t pending_keys;  /* changes not acknowledged */
    uint64_t pending_bytes; /* of those whose size is known */
    int64_t ack_age_ms;     /* since the last acknowledgement, -1 never */
    int64_t silence_ms;     /* since the last frame, -1 never */
    int64_t equal_wall_ns;  /* digests were proven equal as of, 0 never */
    uint64_t watermark;
    uint64_t sessions;      /* that began since the start */
    uint64_t acked_changes; /* since the start */
    uint64_t sent_bytes, received_bytes;
    uint64_t replica_keys, replica_bytes; /* as it last said */
    uint64_t replaced;
    uint64_t held_deletes;
    unsigned attempts;     /* failed connects since the last success */
    struct err last_error; /* code 0: none */
    int64_t connected_ms;  /* since when, -1 */
    char version[32];      /* receiver's */
    char host[64];
    /* latency from hint to acknowledgement, of the recent changes */
    int64_t latency_p50_us, latency_p99_us; /* -1 unknown */
    const struct latency_totals *latency;   /* since the start; borrowed */
};
void primary_status(struct primary *p, int replica, int64_t now_ms,
                    struct replica_status *out);
/* Up to `max` blocked keys of one replica, or of the primary's side
 * (replica -1), longest waiting first; returns how many there are in all. */
size_t primary_blocked(struct primary *p, int replica, int64_t now_ms,
                       struct blocked_key *out, size_t max);
/* The same for new files that are locked since they were made and may be
 * temporaries of keys with '*' (unborn.c): not blocked, and no change yet; in
 * no order. */
size_t primary_unborn(struct primary *p, int64_t now_ms,
                      struct blocked_key *out, size_t max);
/* --- one key ------------------------------------------------------------- */

/* What is known of one key on one replica, beside what the index has of it. */
enum where_state {
    WHERE_SAME = 1, /* acknowledged as it is here: the value, or its absence */
    WHERE_WAS_SAME, /* the same, when the replica was last connected */
    WHERE_PENDING,  /* a change of it is not acknowledged: see `why` */
    WHERE_HELD,     /* the brake holds its delete */
    WHERE_DIFFERS,  /* found different, and not known to be repaired */
    WHERE_UNKNOWN,
};
struct primary_where {
    enum where_state state;
    bool connected;
    struct err err; /* why it is not the same; code 0: nothing to say */
    /* Of what is pending: */
    enum uncompared_why why;
    bool on_primary;    /* the reason is there, else on the replica */
    bool sent;          /* the link has it */
    int64_t pending_ms; /* so long */
    int64_t waits_ms;   /* the reason lasts so long */
    int64_t ahead;      /* so many changes come first; -1: very many */
    int sys;            /* errno on the replica, 0: none known */
    uint32_t pid;       /* who holds the lock; 0: not known */
    char comm[16];
};
/* replica -1: what the index has yet to learn of the key. */
void primary_where(struct primary *p, int replica, struct bytes table,
                   struct bytes key, int64_t now_ms, struct primary_where *out);

struct primary_counts {
    uint64_t tail;
    uint64_t log_changes; /* nodes in the log */
    uint64_t log_bytes;   /* ... and their memory */
    uint64_t cache_bytes;
    uint64_t reads, values_read, bytes_read;
    uint64_t unreadable;       /* keys that cannot be read now */
    char unreadable_text[256]; /* of one of them, and its number: */
    int unreadable_id;
    uint64_t changing; /* keys that changed under the last two reads */
    bool lost;
    char lost_why[256];
};
void primary_counts(struct primary *p, struct primary_counts *out);
