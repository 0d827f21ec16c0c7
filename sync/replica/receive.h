/* SPDX-License-Identifier: MIT
 *
 * receive: what the threads of `drover-replica receive` share.  Internal to
 * receive.c, output.c, watcher.c and scanner.c.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "sync/index/index.h"
#include "sync/receiver/receiver.h"
#include "sync/replica/disk/disk.h"
#include "sync/replica/edits.h"
#include "sync/replica/replica.h"
#include "sync/replica/scanner.h"

struct receive {
    struct disk disk; /* first: it is the ctx of the core's operations */
    struct receiver_ops disk_ops;
    struct receiver_ops ops;
    struct receiver *core;
    struct index *index;
    struct scanner scanner;
    struct edits *edits; /* NULL: nothing is watched */
    atomic_uint_fast64_t commits_begun, commits_done;
    struct buf first; /* the input that was read before (first.h) */
    const struct replica_settings *settings;
    char unconfined[400]; /* what of the sandbox is missing; "" */

    pthread_mutex_t out_mutex;      /* one frame at a time to stdout */
    pthread_mutex_t takeover_mutex; /* session_superseded() */

    pthread_mutex_t mutex;  /* the members down to `error` */
    pthread_cond_t changed; /* any of them */
    bool work;              /* input came for the committer */
    bool reader_waits;      /* for room */
    bool drain;             /* input ended: commit what there is, then end */
    bool stop;              /* end at once */
    bool failed;
    int64_t ending_ms; /* when the end began; 0: not yet */
    struct err error;

    pthread_mutex_t watch_mutex;
    pthread_cond_t watch_wake;
    bool watch_stop;

    atomic_int_fast64_t input_ms; /* last bytes from the agent */
    atomic_int_fast64_t silence_ms;
    int64_t start_ms;
    int64_t applied_ms; /* watcher's: last look at the changes */
    int64_t trash_ms;   /* ... and at the trash */
    int wake_fd;
    int signal_fd;
    pthread_t committer;
    pthread_t watcher;
    int started;
};

static inline struct receive *receive_of(void *ctx)
{
    return ctx; /* the disk is the first member */
}

/* ops->send. */
int receive_send(void *ctx, const void *p, size_t n, struct err *err);
/* Tell the agent why the session ends; ignores failures.  rv->out_mutex is
 * held, or there is one thread. */
void receive_send_error(const struct err *err, bool with_magic);
/* Before the core exists: say why, in the protocol and on stderr, and give the
 * agent time to read it.  Returns the exit code. */
int receive_refuse(const struct err *err);
/* ops->check. */
void receive_check(void *ctx, const struct wire_hello *hello, struct buf *out);
/* The same where there is no replica yet: the whole answer.  `refused`: why the
 * agent would be (code 0: it would not). */
int receive_check_first(struct receive *rv, const struct err *refused,
                        struct err *err) MUSTCHECK;
/* The watcher's thread; arg is the struct receive. */
void *receive_watcher(void *arg);

/* The reader looks up from its input; every thread comes to its end (rv->mutex
 * is held). */
void receive_wake_reader(struct receive *rv);
void receive_stop(struct receive *rv);
/* The first failure is the session's; what follows from it is not told.  True:
 * this is it.  A failure of the core: it has told the agent already. */
bool receive_fail_once(struct receive *rv, const struct err *err);
/* The session cannot go on for a reason outside the core: tell the agent and
 * stop all threads.  Any thread. */
void receive_fail(struct receive *rv, const struct err *err);
/* Ends the process when another receiver may have the lock, or when the
 * directory is not ours any more. */
void receive_check_takeover(struct receive *rv, int64_t silent_ms);
