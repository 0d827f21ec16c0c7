/* SPDX-License-Identifier: MIT
 *
 * daemon_impl: the daemon's parts, for the files that make it up.  Lowest
 * first; none calls one that stands below it here but through struct
 * daemon_life:
 *
 *     members.c        which replicas the agent has
 *     moves.c          directories that move
 *     coverage.c       was everything seen?  (pure)
 *     saving.c         the index, saved and loaded
 *     scanning.c       scans, as coverage.c says, and what their end means
 *     status.c         what status shows
 *     key_where.c      where one key is
 *     job_target.c, jobs_compare.c, jobs_wait.c, jobs.c
 *                      wait, resync, verify
 *     daemon_root.c    the root: its identity, losing it, finding it again
 *     daemon_pump.c    glue between the core and the watch, looks and scans
 *     daemon_manage.c  reload, pause, retry, approve, anew
 *     daemon.c         start and stop
 *
 * Everything here is used on the loop's thread alone.
 */
#pragma once

#include "agent/config/config.h"
#include "agent/daemon/coverage.h"
#include "agent/daemon/daemon.h"
#include "agent/daemon/moves.h"
#include "agent/events/events.h"
#include "agent/identity/known.h"
#include "agent/identity/root.h"
#include "agent/notes/dirids.h"
#include "agent/notes/unclean.h"
#include "agent/read/ignored.h"
#include "agent/read/reader.h"
#include "agent/read/scans.h"
#include "agent/replica/replica.h"
#include "agent/watch/mounts.h"
#include "agent/watch/watch.h"
#include "store/base/clock.h"
#include "store/cmdline/cmdline.h" /* exit codes */
#include "sync/primary/primary.h"

struct job;

/* What the parts ask of daemon.c, which is above them. */
struct daemon_life {
    /* Everything is in place: listen, tell the manager, connect. */
    void (*open_doors)(struct daemon *d);
    void (*stop)(struct daemon *d, int exit_code);
    /* Go on with stopping when what it waits for has come; only from the loop.
     */
    void (*stop_step)(struct daemon *d);
};

/* Who we are to replicas (daemon_root.c). */
struct self {
    uint8_t id[16]; /* the database's */
    uint64_t epoch;
    uint8_t origin[IDENTITY_ORIGIN_BYTES]; /* zero: not seen yet */
    uint8_t instance[16];
};

/* Why the root is lost (daemon_root.c). */
struct lost {
    struct err err;
    struct known_keys likeness; /* of what is there instead, to ours */
    int64_t likeness_ms;        /* when it was looked at, 0: never */
};

/* The index in the state directory (saving.c). */
struct saved {
    uint64_t changes; /* of the index, when it was saved */
    bool aged;        /* and then again, when all of it was old enough */
    int64_t ms;       /* when that was */
    struct err err;   /* why it cannot be saved; code 0: it can */
};

/* daemon_pump.c */
struct pump {
    bool dirty;  /* the core was called: pump */
    bool ticked; /* ... only by a tick */
    bool running;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle; /* runs while the pump has more to do */
    uv_timer_t tick;
};

/* How far the stop has come (daemon.c). */
struct stop {
    bool begun;
    bool stepping;
    bool parts_freed; /* watch, looks, scans are not to be touched */
    int phase;
    unsigned closing; /* parts being freed */
};

struct daemon {
    uv_loop_t loop;
    const struct daemon_life *life;
    struct config *config;
    int state_fd, lock_fd;
    struct events *events; /* NULL: they are not kept */
    struct err events_err; /* why they are not written; code 0: they are */
    int64_t began_ms;
    int exit_code;

    struct self self;
    struct root *root; /* NULL while lost */
    struct lost lost;
    int64_t identity_checked_ms;
    struct err watch_err; /* a limit, code 0: none */
    struct err poor_err;  /* not all changes are told of here; code 0: all */

    struct index *ix;
    struct primary *core;
    struct watch *watch;
    struct mounts *mounts; /* NULL: they cannot be watched */
    struct reader *reader;
    struct scans *scans;
    struct ignored *ignored;
    const struct daemon_doors *doors;
    struct control *control; /* NULL: they are not open */
    struct metrics_server *metrics;
    struct err metrics_err; /* why it does not listen; code 0: it does */
    struct replicas replicas;
    struct dirids dirids;
    struct unclean unclean;
    struct job *jobs; /* utlist DL */

    struct coverage coverage; /* was everything seen? */
    struct moves moves;
    struct err unread_err; /* what coverage.unread could not be read for */
    struct scan_report last_scan; /* took_ms < 0: none yet */
    struct saved saved;

    struct pump pump;
    struct stop stop;
    uv_timer_t heartbeat;
    uv_timer_t second;
    uv_timer_t watchdog;
    uv_timer_t stopper;
    uv_signal_t sigterm, sigint, sighup;

    bool ready_told;
    char status_line[200];
};

static inline int64_t daemon_ms(void)
{
    return clock_mono_ns() / NS_PER_MS;
}

/* saving.c */
/* If it has changed since. */
void daemon_save_index(struct daemon *d);
/* At the start: what was saved, if that is of this database. */
void daemon_load_index(struct daemon *d);

/* scanning.c */
/* Scan now; `scan_due`: until it is over nothing may be said to be seen. */
void daemon_scan(struct daemon *d, bool scan_due);
/* The index is not true any more: nothing is compared before a scan has ended.
 */
void daemon_index_stale(struct daemon *d);
/* Events were lost: the same, and nothing is claimed.  The scan begins when the
 * watches have settled. */
void daemon_events_lost(struct daemon *d);
/* Something was mounted in the database, or is no more (mounts.h). */
void daemon_mounts_changed(void *arg);
/* Put the watches in order, then scan. */
void daemon_rescan(struct daemon *d, bool scan_due);
/* Watch and scans cover everything up to what was drained last. */
bool daemon_sees_all(const struct daemon *d);
/* A scan has ended, whoever asked for it. */
void daemon_scan_ended(struct daemon *d, const struct scan_report *r);

/* daemon_pump.c */
int daemon_pump_init(struct daemon *d, struct err *err) MUSTCHECK;
/* The core was called: there may be actions and output. */
static inline void daemon_dirty(struct daemon *d)
{
    d->pump.dirty = true;
}
extern const struct watch_events daemon_watch_events;
extern const struct reader_events daemon_reader_events;
extern const struct scans_events daemon_scans_events;

/* daemon_root.c */
/* The first opening: decides whose database this is.  Exit code, 0 = go on
 * (also with a lost root). */
int daemon_root_first(struct daemon *d, struct err *err);
/* Who we are to replicas: the origin, and then what is random per process. */
void daemon_instance(const struct daemon *d, uint8_t out[16]);
/* Put watches in place; daemon_root_watched() goes on. */
void daemon_root_start(struct daemon *d);
void daemon_root_watched(struct daemon *d);
void daemon_root_lost(struct daemon *d, const struct err *why);
/* Once a second: is it still ours?  Or is it back? */
void daemon_root_second(struct daemon *d);

/* daemon_manage.c */
/* The core's configuration from ours. */
void daemon_core_config(const struct daemon *d, struct primary_config *out);
