/* SPDX-License-Identifier: MIT
 *
 * world: the primary's database, its writers, the queue of events, and what
 * must be true.
 *
 * A key's states have numbers: truth[k] is the newest.  0 is "never there".
 * Which of them are removals is fixed (ABSENT), so a number stands for a value
 * and a digest alike.  An event says only "look at this key", so the queue
 * holds one bit per key; what it cannot hold is lost, and the queue says that.
 *
 * Ghost variables, which no rule of the program may read, end in _was or are
 * named so: acked_was, truth (only looks, scans and walks may read it), mark.
 *
 * mirrors: agent/watch/watch.h watch_drain
 * mirrors: sync/primary/facade/primary.c primary_drained
 * mirrors: sync/index/index.h index_put index_remove */

#define KEYS 2
#ifndef REPLICAS
#define REPLICAS 1
#endif
#define MEMBERS (REPLICAS + 1) /* of the change log: the index is one */
#define INDEX 0                /* its number; replicas are 1 .. REPLICAS */
#define AT(m, k) ((m) * KEYS + (k))

/* Bounds: how often each thing happens in a run. */
#ifndef CHANGES
#define CHANGES 2
#endif
#ifndef CUTS
#define CUTS 0
#endif
#ifndef POWER
#define POWER 0 /* power losses of a replica */
#endif
#ifndef RESTARTS
#define RESTARTS 0 /* crashes of the agent */
#endif
#ifndef OVERFLOWS
#define OVERFLOWS 0 /* events lost */
#endif
#ifndef NAKS
#define NAKS 0 /* syncs that fail on a replica */
#endif
#ifndef EDITS
#define EDITS 0 /* keys removed from a replica by hand, unseen */
#endif
#ifndef CHECK_CLAIMS
#define CHECK_CLAIMS 1 /* 0: do not check P9, to see what else breaks */
#endif
#ifndef WINDOW
#define WINDOW 2 /* flights of one member */
#endif
#ifndef LOG_MAX
#define LOG_MAX 99 /* places in the log before the slowest loses its own */
#endif
#ifndef LOCKED
#define LOCKED 0 /* a change of key 0 locks it: 1 for ever, 2 for a while */
#endif

#define ABSENT(k, v) ((v) == 0 || ((k) == 0 && (v) == 3) || \
                      ((k) == 1 && ((v) == 2 || (v) == 4)))
#define LAST(k) ((k) == 0 -> 3 : 4) /* states of a key */
#define DIGEST(k, v) (ABSENT(k, v) -> 0 : (v))

byte truth[KEYS];
byte changes_left = CHANGES;
bool event[KEYS];
bool overflow;
bool locked; /* a writer holds key 0: nobody can read it */

/* The last time that the queue was found empty: the log's tail then, and what
 * the writers had done.  When that happens is left open, so what is said of this
 * one moment is said of each. */
bool marked;
byte mark_tail;
byte mark[KEYS];

/* Replicas' disks: what readers see, and what a power loss leaves. */
#define CH(r) ((r) - 1) /* channels are numbered from 0 */
#define DISK(r, k) (((r) - 1) * KEYS + (k))
byte visible[REPLICAS * KEYS];
byte durable[REPLICAS * KEYS];
#if POWER > 0
byte acked_was[REPLICAS * KEYS];
#endif

/* Scratch of steps that happen at once; always 0 between steps. */
byte i, j, n, min_seq;
byte frame, f0, f1, f2;

/* The newest state that this one may stand for: absence looks the same
 * whenever it came about. */
#define NEWEST_ABSENT(k) ((k) == 0 -> (truth[0] >= 3 -> 3 : 0) : \
    (truth[1] >= 4 -> 4 : (truth[1] >= 2 -> 2 : 0)))
#define STANDS_FOR(k, v) (ABSENT(k, v) -> NEWEST_ABSENT(k) : (v))

/* All that was done before the mark is on the replica's disk, or something
 * newer. */
#define COVERED(r) (!marked || \
                    (STANDS_FOR(0, durable[DISK(r, 0)]) >= mark[0] && \
                     STANDS_FOR(1, durable[DISK(r, 1)]) >= mark[1]))

#define SAME(r, k) (DIGEST(k, visible[DISK(r, k)]) == DIGEST(k, truth[k]) && \
                    DIGEST(k, durable[DISK(r, k)]) == DIGEST(k, truth[k]))

/* P2: a replica shows a newer state than before.  P1/P5: it is one that the
 * primary had. */
inline see_state(r, k, v)
{
    assert(v >= visible[DISK(r, k)]); /* P2 forward */
    visible[DISK(r, k)] = v
}

/* --- writers -------------------------------------------------------------- */

inline world_write(k)
{
    truth[k]++;
    changes_left--;
    event[k] = true
}

/* The queue is full: this change's event is lost, and the queue says so. */
inline world_write_unseen(k)
{
    truth[k]++;
    changes_left--;
    overflow = true
}
