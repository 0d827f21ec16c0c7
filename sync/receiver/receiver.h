/* SPDX-License-Identifier: MIT
 *
 * receiver: the replica's end of the protocol, as a core without threads or
 * descriptors of its own.
 *
 * Happy path: frames come in with receiver_input(); values are staged at once
 * through struct receiver_ops; every change joins the open group.
 * receiver_commit() takes the group: makes the staged values durable together,
 * then applies the changes in order (lock, rename; unlink; mkdir...), syncs the
 * touched directories together, updates the index and acknowledges.  A change
 * whose key is locked by a reader is deferred, retried by each commit that is
 * due, and acknowledged when it went through; others go on.
 * Failures: a change that cannot be applied is answered with NAK (the agent
 * sends it again later); a failed sync answers NAK for the whole group and
 * drops its staged values (a failed fsync is never repeated); a protocol error
 * ends the session with ERROR.
 *
 * Threads: receiver_input() may run on one thread while receiver_commit() and
 * receiver_tick() run on another; the core has one mutex inside and never holds
 * it during an ops call that may block.  The simulator calls all three from one
 * thread with an in-memory ops table and virtual time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/base/err.h"
#include "sync/index/index.h"
#include "sync/index/view.h"
#include "sync/wire/wire.h"

/* What the core does to the replica's disk.  All return 0 or ERR_*, except
 * where said.  `stage` numbers are chosen by the core and unique in a session.
 * A failure is answered with NAK for its change; these end the session: EIO,
 * EROFS, EUCLEAN, ERR_READONLY, ERR_GONE (not our directory any more),
 * ERR_REFUSED and ERR_CLOSED (another receiver takes over; told to the agent
 * when err->id is set). */
struct receiver_ops {
    /* A value of `table`, which need not be there. */
    int (*stage_begin)(void *ctx, uint64_t stage, struct bytes table,
                       uint64_t size_hint, struct err *err);
    int (*stage_write)(void *ctx, uint64_t stage, const void *p, size_t n,
                       struct err *err);
    /* `n` zeros: a hole, where the disk can have one. */
    int (*stage_zeros)(void *ctx, uint64_t stage, uint64_t n, struct err *err);
    /* Nothing more will be written; modes are set. */
    int (*stage_end)(void *ctx, uint64_t stage, struct err *err);
    /* Forget and remove. */
    void (*stage_drop)(void *ctx, uint64_t stage);
    /* Make these staged values durable. After a failure all are dropped. */
    int (*stage_sync)(void *ctx, const uint64_t *stages, size_t n,
                      struct err *err);
    /* enum install_result; on INSTALL_BUSY *pid_out and comm name the holder.
     * The table is made if it is missing.  `how`: enum install_how flags.  On
     * DONE the stage is used up and *stat_out is the installed file's. */
    int (*install)(void *ctx, uint64_t stage, struct bytes table,
                   struct bytes key, unsigned how, struct vstat *stat_out,
                   uint32_t *pid_out, char comm[16], struct err *err);
    int (*remove)(void *ctx, struct bytes table, struct bytes key, bool force,
                  uint32_t *pid_out, char comm[16], struct err *err);
    int (*table_make)(void *ctx, struct bytes table, struct err *err);
    /* Remove the table's directory; when keys are left, remove one of them
     * (its name goes to key_out, *key_len) and return TABLE_DROP_MORE.
     * TABLE_DROP_BUSY: that key is locked.  key_out has KEY_FILE_BYTES. */
    int (*table_drop)(void *ctx, struct bytes table, bool force, char *key_out,
                      size_t *key_len, uint32_t *pid_out, char comm[16],
                      struct err *err);
    /* Make every directory touched since the last call durable.  A remove()
     * that finds nothing touches its directory, too.  Any failure ends the
     * session: the kernel tells once that something was not written. */
    int (*dirs_sync)(void *ctx, struct err *err);
    /* stage_sync and dirs_sync in one go, for each of which it stands:
     * returns what became of the values; dirs_err->code (0 before) is that of
     * the directories.  NULL: they are called one after the other. */
    int (*sync_both)(void *ctx, const uint64_t *stages, size_t n,
                     struct err *err, struct err *dirs_err);
    /* Make everything in the database durable, as one syncfs() does: an
     * earlier receiver may have died between a rename and its directory's
     * sync, or was told to acknowledge without; or a value was copied in by
     * hand.  Called before the first ACK of a session and before READY, and
     * after each scan that read values, on the thread of
     * receiver_commit() or receiver_scanned() and beside the others (both may
     * call at once); not with WIRE_RELAXED.  NULL: there is nothing to do. */
    int (*sync_all)(void *ctx, struct err *err);
    /* The current stat of a key, to see whether the index still tells the
     * truth; 0 or ERR_NOTFOUND... */
    int (*stat)(void *ctx, struct bytes table, struct bytes key,
                struct vstat *stat_out, struct err *err);
    /* Touch META_DIR/freshness: mtime fresh_ns, one line of text.  0: only its
     * state is another; time and sequence stay. */
    int (*freshness)(void *ctx, int64_t fresh_ns, uint64_t seq, uint8_t state,
                     struct err *err);
    /* From now on (or not any more) keep aside what changes replace or delete,
     * if it was there before: the primary may have lost its last changes.  On
     * the input thread, between two frames.  NULL: nothing can be kept. */
    int (*keep_undone)(void *ctx, bool on, struct err *err);
    /* Check the hello's database id and epoch against META_DIR/replica, and
     * store them.  Sets epoch, was_empty, host and dirid of *ok_out.  Refusals:
     * ERR_REFUSED with err->id set (DR_*).  It may fill the index; one whose
     * key is not hello->key is emptied afterwards. */
    int (*identify)(void *ctx, const struct wire_hello *hello,
                    struct wire_hello_ok *ok_out, struct err *err);
    /* How things stand, as FINDING frames to `out`, for an agent that asks for
     * that and for no session; nothing is changed.  NULL: it is refused. */
    void (*check)(void *ctx, const struct wire_hello *hello, struct buf *out);
    /* Start a scan (`how`: WIRE_SCAN_*) or a walk for names; the shell calls
     * receiver_scanned() or, for WIRE_SCAN_VIEW, receiver_viewed() /
     * receiver_named() when it is done. */
    void (*scan_start)(void *ctx, uint64_t id, unsigned how);
    void (*names_start)(void *ctx, uint64_t id, struct digest *names,
                        size_t n); /* takes names (malloc) */
    /* Nobody waits for this scan, or walk, any more: it ends soon.  It is
     * reported as always, a scan with an error, and one that only looked with
     * no view.  Nothing happens when it has ended.  NULL: it goes on. */
    void (*scan_stop)(void *ctx, uint64_t id);
    void (*names_stop)(void *ctx, uint64_t id);
    /* Send bytes to the agent (whole frames).  May block; called without the
     * mutex. ERR_CLOSED when the agent is gone. */
    int (*send)(void *ctx, const void *p, size_t n, struct err *err);
};
enum { TABLE_DROP_DONE = 1, TABLE_DROP_MORE, TABLE_DROP_BUSY };

enum lock_policy { LOCK_POLICY_WAIT = 0, LOCK_POLICY_REPLACE = 1 };

struct receiver_config {
    enum lock_policy policy;
    int64_t lock_timeout_ms; /* policy replace: force after this */
    size_t group_changes;    /* largest group, default 1000 */
    size_t group_bytes;      /* default 8 MiB */
    size_t streams_max;      /* large values at once, default 4 */
    size_t pending_max;      /* changes staged or deferred, default 16384 */
    const char *version;
};

struct receiver;

/* How long the agent of this hello may be silent before its session is over:
 * what it asks for, within sane bounds, and never "for ever". */
int64_t receiver_silence_ms(const struct wire_hello *hello);

/* Is this no session, but the question how things stand? */
bool receiver_is_asked(const struct wire_hello *hello);
/* Is there a protocol that both ends speak?  ERR_REFUSED, DR_PROTOCOL. */
int receiver_check_proto(const struct wire_hello *hello, const char *version,
                         struct err *err) MUSTCHECK;

/* NULL: out of memory.  `ix` and `ops` are borrowed for its life. */
struct receiver *receiver_new(const struct receiver_config *config,
                              const struct receiver_ops *ops, void *ctx,
                              struct index *ix);
void receiver_free(struct receiver *r); /* drops what is staged */

/* Greet: sends the magic. */
int receiver_start(struct receiver *r, struct err *err) MUSTCHECK;
/* Bytes from the agent.  0 = go on, RECEIVER_BYE = the agent ended cleanly,
 * ERR_* = the session is over (an ERROR frame was sent where it makes sense).
 */
enum { RECEIVER_BYE = 1 };
int receiver_input(struct receiver *r, const void *p, size_t n, int64_t now_ms,
                   struct err *err) MUSTCHECK;
/* True when receiver_input() should not be called for now because pending_max
 * is reached: the shell stops reading until a commit made room. */
bool receiver_full(struct receiver *r);
/* Commit one group and retry what is deferred and due.  *again_ms_out: call
 * again after that many ms at the latest (0: at once, -1: only when there is
 * input). ERR_*: the session is over. */
int receiver_commit(struct receiver *r, int64_t now_ms, int64_t *again_ms_out,
                    struct err *err) MUSTCHECK;
/* Something for receiver_commit() to do? */
bool receiver_has_work(struct receiver *r);
/* Once a second: silence, BLOCKED reports.  ERR_CLOSED after silence_ms. */
int receiver_tick(struct receiver *r, int64_t now_ms,
                  struct err *err) MUSTCHECK;

/* A scan ended (id 0: the one at start, answered with READY).  Root, keys and
 * tables of the answer are taken from the index.  One scan and one walk for
 * names run at a time: the core starts the next one from here. */
int receiver_scanned(struct receiver *r, uint64_t id,
                     const struct wire_ready *result,
                     struct err *err) MUSTCHECK;
/* The same for a scan that only looked: takes `view`, which is closed.  From
 * now on it answers for the disk.  NULL: the index does. */
int receiver_viewed(struct receiver *r, uint64_t id,
                    const struct wire_ready *result, struct view *view,
                    struct err *err) MUSTCHECK;
/* The scan under way could not read this key or table.  A failed send is told
 * by what follows. */
void receiver_unread(struct receiver *r, const struct wire_unread *m);
/* What the scan that ends now (id 0: the one at start, or one of our own) set,
 * and could not set, of owners, groups and modes. */
void receiver_modes(struct receiver *r, const struct wire_modes *m);
/* Somebody else changed these on the disk, and the index has it.  Whatever was
 * read for that is made durable first, as after a scan (`reread`). */
int receiver_edited(struct receiver *r, uint64_t reread,
                    const struct wire_edited *m, struct err *err) MUSTCHECK;
/* So much cannot be read there now, whatever the last scan said.  0, or why it
 * could not be sent, which what follows tells as well. */
int receiver_blind(struct receiver *r, const struct wire_blind *m,
                   struct err *err) MUSTCHECK;
/* The names found for a RESOLVE; each call sends some, the last has last=true.
 */
int receiver_named(struct receiver *r, uint64_t id,
                   const struct wire_name *names, size_t n, bool last,
                   struct err *err) MUSTCHECK;
/* Scan progress, shown in PONG. */
void receiver_progress(struct receiver *r, bool scanning, uint64_t keys);
