/* SPDX-License-Identifier: MIT
 *
 * replica: one replica of the daemon: makes links to it, again and again with
 * back-off, and carries bytes between the link and the core.
 *
 * The core decides when a link is not worth keeping; this module decides when
 * to try the next.  Loop thread only.
 */
#pragma once

#include <stdbool.h>
#include <uv.h>

#include "agent/config/config.h"
#include "agent/replica/behind.h"
#include "agent/replica/breaks.h"
#include "agent/replica/mended.h"
#include "store/base/backoff.h"
#include "sync/primary/primary.h"

struct attempt;
struct replica;

/* All replicas, and what they share. */
struct replicas {
    struct replica *list; /* utlist DL */
    size_t links;         /* not closed yet */
    bool stopping;        /* no attempt begins any more */
    uv_loop_t *loop;
    struct primary *core;
    const struct config *config;
    struct err left_out_err;   /* why some are left out (left_out.h) */
    void (*called)(void *arg); /* the core was */
    void *arg;
};

struct replica {
    struct replica *prev, *next;
    struct replicas *all;
    const struct config_replica *config; /* in all->config */
    char *name;
    int number;              /* in the core */
    struct attempt *attempt; /* NULL: no link now */
    uv_timer_t timer;        /* until the next attempt */
    struct backoff backoff;
    struct breaks breaks; /* of sessions */
    struct behind behind; /* as last logged */
    bool started;         /* may connect */
    bool up;
    bool paused;
    bool paused_by_hand; /* by replica_pause(), not by the configuration */
    bool removed;
    bool bye_wanted, bye_sent;
    int64_t next_try_ms;  /* 0: not waiting */
    int64_t ended_ms;     /* the last attempt, while waiting */
    bool refused;         /* ... at the login */
    struct mended mended; /* files as the last attempt found them */
    int64_t up_ms;
    uint64_t acked_at_up;
    enum replica_state shown; /* state last logged */
    bool shown_any;
    /* changes per second, smoothed */
    uint64_t rate_acked;
    double rate;
};

/* Add to the core and to the list; connects when started.  NULL: *err. */
struct replica *replica_add(struct replicas *all,
                            const struct config_replica *config,
                            struct err *err);
/* Take it out of the core; freed when its handles are closed. */
void replica_remove(struct replica *r);
struct replica *replica_find(const struct replicas *all, const char *name);
struct replica *replica_of(const struct replicas *all, int number);
void replica_start(struct replica *r);
/* Another configuration: connect anew. */
void replica_reconfigure(struct replica *r,
                         const struct config_replica *config);
/* An equal configuration was read again: if it waits for its next attempt, try
 * now; what the operator has put right may be on the other host. */
void replica_retry(struct replica *r, const struct config_replica *config);
enum replica_tried {
    REPLICA_TRIES,     /* an attempt has begun */
    REPLICA_CONNECTED, /* there is a session already */
    REPLICA_IS_PAUSED,
    REPLICA_NOT_BEGUN, /* it connects when the agent is ready */
};
/* The operator asks for an attempt: at once, whatever the last one ended with;
 * one under way begins again.  The back-off begins anew. */
enum replica_tried replica_try_now(struct replica *r);
/* Somebody waits for a session: the next attempt is due now, but never sooner
 * after the last than the shortest back-off, which goes on growing: such
 * requests may come in a loop.  After a refused login only if `refused_too`:
 * the other host may count refusals. */
void replica_hasten(struct replica *r, bool refused_too);
void replica_pause(struct replica *r, bool paused);
/* The core gives the link up. */
void replica_give_up(struct replica *r, const struct err *err, bool permanent);
/* There may be bytes to send. */
void replica_kick(struct replica *r);
/* Once a second: back-off, rate, what it lacks, change of state; and what it
 * failed for, is that another file now? */
void replica_second(struct replica *r, bool index_ready);
/* End: say goodbye if that can be done at once, then close. */
void replica_say_bye(struct replica *r);
void replica_close_link(struct replica *r);
/* "ssh user@host:port" or the command, for status; borrowed, maybe "". */
const char *replica_target(const struct replica *r, char *out, size_t room);
