/* SPDX-License-Identifier: MIT
 *
 * sim: a primary, its agent's core, up to five replicas and everything that
 * can go wrong between them, in one process, one thread and virtual time, all
 * of it drawn from one seed.
 *
 * Real are the primary's core (sync/primary/primary.h), the receiver's core
 * (sync/receiver/receiver.h), the wire and the indexes.  Made up are what they
 * stand on:
 *
 *     sim_world.c    the primary's database and its writers
 *     sim_agent.c    the agent around the core: events, looks, streams, death
 *     sim_scan.c     ... its scans and walks
 *     sim_replica.c  receivers on disks in memory, and their links
 *     sim_tap.c      reads along on the links: what was sent, what was acked
 *     sim_check.c    the promises, checked after every step
 *     sim_steps.c    what happens next
 *     sim_term.c    handovers: another world becomes the primary's
 *     sim_end.c      no more trouble: all must become equal
 *     sim_main.c     seeds, and one process per seed
 *
 * Promises are numbered as everywhere in the project (P1 whole, P2 forward, P3
 * converge, P4 durable, P5 no blind deletes, P6 alone, P9 true, P10 one
 * primary).  To show that each check can fail, a *break* disables one rule that
 * the promise rests on; the run must then report that promise.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/base/buf.h"
#include "store/base/rand.h"
#include "sync/primary/primary_impl.h"
#include "tests/support/memstore.h"

enum {
    TABLES = 5,
    KEYS = 10, /* per table */
    ITEMS = TABLES + TABLES * KEYS,
    REPLICAS = 5,
    EVENTS_MAX = 4096,
    READ_JOBS = 256,
    STREAM_JOBS = 32,
    BARRIERS = 16,
    NOTES = 80,
    LARGE_BYTES = 300, /* longer values are streamed */
    VALUE_MAX = 1200,
    SETTLE_MS = 1000,
    LAG_LIMIT_MS = 5000,
    TERMS = 8,
    TERM_EDITED = -1, /* a value that somebody wrote on a replica by hand */
};

enum sim_break {
    BREAK_NOTHING,
    BREAK_SYNC,        /* syncs succeed and do nothing */
    BREAK_READ_OLD,    /* looks answer with an older value */
    BREAK_PLACEHOLDER, /* a writer's placeholder looks long settled */
    BREAK_EVENT,       /* events vanish and nobody notices */
    BREAK_DRAIN,       /* "drained" is said before it is true */
    BREAK_ROOT,        /* a lost root looks like an empty one */
    BREAK_ACK,         /* acknowledgements without a change */
    BREAK_TEAR,        /* installs that are not whole */
    BREAK_VERIFY,      /* scans believe the index instead of the disk */
    BREAK_ALONE,       /* a stuck replica stops the others */
    BREAK_HEALTH,      /* a state that is good counts as all being there */
    BREAK_TERM,        /* replicas take whoever comes */
    BREAK_COUNT,
};

/* One committed state of an item: a value, or its absence. */
struct version {
    uint64_t number; /* grows over the whole world */
    bool is_set;
    uint32_t len;
    /* whose bytes: a promoted replica begins with values of older terms */
    int term;
    uint64_t content;
};

/* A key or a table. */
struct item {
    bool is_table;
    int table; /* its number: TABLES names */
    const char *table_name, *key;
    struct digest name;
    struct version *history;
    size_t count, cap;
    /* what stands on the primary's disk */
    uint64_t ino;
    int64_t ctime_ns;
    bool placeholder;  /* a writer's empty file, nothing committed */
    bool ghost;        /* ... whose writer died */
    int64_t commit_us; /* when the writer at work commits, 0: none */
    bool commit_in_place;
    int64_t locked_us; /* exclusive lock held until then */
    bool unreadable;
    /* evidence: the newest version at which a read found nothing */
    bool gone_seen;
    uint64_t gone_version;
};

struct event {
    int item;
    enum hint why;
    bool whole;       /* a directory went with all that was in it */
    uint64_t version; /* of the world when it happened */
};

/* A primary's database in its term. */
struct world {
    int term; /* its place in sim.worlds */
    uint64_t epoch;
    uint64_t began; /* versions up to it are an older term's */
    struct item items[ITEMS];
    uint64_t version; /* of the newest commit */
    int64_t *walls;   /* of each version */
    size_t walls_cap;
    uint64_t next_ino;
    bool restless; /* tables come and go all the time */
    bool root_lost;
    int64_t root_back_us;
    struct event events[EVENTS_MAX]; /* the inotify queue */
    size_t events_count;
    bool overflow;             /* events were dropped, and the queue says so */
    uint64_t complete_version; /* no event of a version up to this is missing */
};

struct look_task {
    uint64_t id;
    int item;
    bool done; /* read; the answer is on its way */
    struct read_answer r;
    uint8_t value[VALUE_MAX];
};

struct stream_task {
    uint64_t id;
    int item;
    enum action_type asked; /* 0: nothing is asked */
    size_t bytes;
    bool closed; /* an answer is still due */
    bool copy;   /* as it is when it is opened */
    uint64_t ino, version;
    int64_t ctime_ns;
    uint32_t len, at;
};

struct barrier {
    uint64_t tail, version;
};

struct agent {
    struct primary *p;
    struct index *ix;
    struct index_key key; /* of the index, and of its items' names */
    unsigned keys;        /* that were made so far */
    struct primary_config config;
    int64_t next_tick_us;
    int64_t next_drain_us;
    struct look_task looks[READ_JOBS];
    size_t reader_count;
    struct stream_task streams[STREAM_JOBS];
    size_t streams_count;
    uint64_t walk_id;
    int walk_at;
    bool walk_stop, walk_incomplete;
    bool scanning, scan_again, scan_repairs, scan_incomplete, scan_changed;
    int scan_at;
    uint16_t scan_number;
    bool stale;     /* the index is behind until the scan has ended */
    bool lost_told; /* the core knows that the root is lost */
    struct barrier barriers[BARRIERS];
    size_t barriers_count;
    uint64_t compared; /* last job that ended */
};

/* What the tap knows of one change in flight. */
struct sent {
    uint64_t seq;
    int item;
    enum wire_type type;
    bool ended;       /* the whole value was sent */
    uint64_t version; /* see sim_tap.c */
    unsigned edits;   /* of the item, when it was sent */
    struct buf value; /* a large one, as far as it was sent */
};

/* What is known of one item on one replica. */
struct seen {
    struct vstat stat; /* as last looked at */
    bool there;
    uint64_t version; /* visible; or proven passed, when it is absent */
    uint64_t sent, acked;
    bool planted;   /* edited by hand and not yet repaired */
    bool edited;    /* the same, and nothing that was sent since was
                       acknowledged */
    unsigned edits; /* by hand */
    bool inherited; /* may still have what an older term has left */
    unsigned locks;
};

struct replica {
    int number; /* 0 .. REPLICAS-1 */
    int id;     /* in the core */
    int term;   /* which it follows */
    bool known; /* it has met a primary */
    bool away;  /* it was promoted: a primary's place, not a replica's */
    struct memstore *store;
    struct index *index;
    struct receiver *receiver;
    struct receiver_config config;
    int64_t commit_us; /* next commit, -1 none */
    int64_t tick_us;
    int64_t eof_us; /* the receiver learns that its input has ended */
    /* the link */
    bool up;            /* for the agent */
    bool cut;           /* nothing is delivered any more */
    int64_t down_us;    /* the agent learns of the end */
    int64_t connect_us; /* the agent tries again */
    bool paused;
    int64_t resync_us; /* the operator asks for another not before this */
    uint64_t braked;   /* the agent's note of its brake; outlives the agent */
    struct buf to_receiver, to_agent;
    int64_t stuck_us; /* nothing moves until then */
    bool hung;        /* it answers, but commits nothing */
    bool refuses;     /* its disk does, for long */
    unsigned slow;    /* percent of its turns it misses */
    int edit;         /* the receiver is to notice it then, ... */
    int64_t edit_us;  /* ... 0: nothing */
    struct wire_in tap_up, tap_down;
    struct sent *sents;
    size_t sents_count, sents_cap;
    struct seen seen[ITEMS];
    int64_t fresh_ns, equal_ns;
    uint64_t deletes_sent;
};

#define WALL_0_NS INT64_C(1800000000000000000) /* when a run begins */

struct sim {
    uint64_t seed;
    struct prng rnd;
    enum sim_break broken;
    int64_t now_us;
    int64_t wall_ns;
    uint64_t step, steps;
    bool calm;                       /* the end: no more trouble */
    unsigned write_rate, fault_rate; /* per 1000 steps */
    struct world *world;             /* of the primary whose agent runs */
    struct world *worlds[TERMS];
    int terms;
    int newest;            /* the term that replicas should follow */
    int deposed;           /* the primary that may still return, -1: none */
    bool handovers;        /* wanted in this run */
    struct prng term_rnd;  /* of its own: other runs stay as they were */
    struct prng touch_rnd; /* the same */
    struct prng full_rnd;  /* the same; in every fourth run */
    uint64_t processes;    /* of agents, so far */
    struct agent agent;
    struct replica replicas[REPLICAS];
    int replicas_count;
    char notes[NOTES][160];
    size_t notes_count;
    bool verbose;
};

/* --- sim_main.c ---------------------------------------------------------- */
/* A promise (by number; 0: the core misbehaves in another way) is broken: show
 * what happened last and end this process. */
void sim_fail(struct sim *s, int promise, const char *fmt, ...)
    __attribute__((format(printf, 3, 4), noreturn));
/* Remember that something happened. */
void sim_note(struct sim *s, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
uint64_t sim_below(struct sim *s, uint64_t limit);
bool sim_chance(struct sim *s, unsigned permille);
int64_t sim_now_ms(const struct sim *s);
int64_t sim_wall(struct sim *s); /* grows with every call */

/* --- sim_world.c --------------------------------------------------------- */
void world_init(struct sim *s);
void world_free(struct sim *s);
/* A world without items, in the next place of sim.worlds. */
struct world *world_new(struct sim *s, uint64_t epoch);
/* The agent has another key: names are hashed anew. */
void world_rekey(struct sim *s);
/* It begins with this value (or table), which an older term has left. */
void world_inherit(struct sim *s, struct world *w, int item,
                   struct bytes value);
/* Writers that are due, ghosts that have settled. */
void world_tick(struct sim *s);
void world_write(struct sim *s); /* one random deed of a writer */
void world_calm(struct sim *s);  /* writers end, locks go */
/* A file gets another ctime and keeps its bytes. */
void world_touch(struct sim *s, uint64_t which);
/* The hot key gets another large value, by a rename or in place; its item. */
int world_hot(struct sim *s, bool in_place);
int world_item(struct sim *s, struct bytes table, struct bytes key,
               bool is_table);
const char *world_name(const struct item *it); /* for notes; static */
bool world_exists(const struct item *it); /* committed, not a placeholder */
bool world_present(struct sim *s, const struct item *it); /* a file is there */
const struct version *world_newest(const struct item *it);
/* The newest state at version `at`, NULL: it never was. */
const struct version *world_at(const struct item *it, uint64_t at);
/* The state with this number. */
const struct version *world_version(const struct item *it, uint64_t number);
/* The first state after `number` that is (not) a value. */
const struct version *world_after(const struct item *it, uint64_t number,
                                  bool is_set);
void world_value(const struct item *it, const struct version *v, uint8_t *out);
/* Which version these bytes are; the first empty one from `from` on when there
 * are none.  NULL: no writer committed them. */
const struct version *world_identify(const struct item *it, struct bytes value,
                                     uint64_t from);
/* The newest version made before wall_ns. */
uint64_t world_before(const struct world *w, int64_t wall_ns);

/* --- sim_agent.c, sim_scan.c --------------------------------------------- */
void agent_start(struct sim *s, bool keep_index);
void agent_stop(struct sim *s);
void agent_act(struct sim *s);  /* take what the core wants done */
bool agent_look(struct sim *s); /* one step of one read */
bool agent_stream(struct sim *s);
bool agent_walk(struct sim *s);
bool agent_scan(struct sim *s);
void agent_scan_start(struct sim *s, bool stale);
/* Deliver some events; all: to the end, and say so. */
void agent_drain(struct sim *s, bool all);
void agent_tick(struct sim *s);
void agent_barrier(struct sim *s);
/* The newest version of which the core has been told everything. */
uint64_t agent_hinted(const struct sim *s);

/* --- sim_replica.c ------------------------------------------------------- */
void replica_init(struct sim *s, int number);
void replica_free(struct sim *s, struct replica *r);
bool replica_step(struct sim *s, struct replica *r);
void replica_cut(struct sim *s, struct replica *r);
void replica_crash(struct sim *s, struct replica *r, bool power);
void replica_edit(struct sim *s, struct replica *r);
void replica_lock(struct sim *s, struct replica *r);
void replica_pause(struct sim *s, struct replica *r, bool paused);
/* The disk takes nothing more, or is well again. */
void replica_refuse(struct sim *s, struct replica *r);
void replica_calm(struct sim *s, struct replica *r);
void replica_link_close(struct sim *s, struct replica *r);

/* --- sim_term.c --------------------------------------------------------- */
struct world *world_of(const struct sim *s, const struct replica *r);
/* One deed of the operator: promote, demote, or let the old primary return. */
void term_step(struct sim *s);
/* The receiver has taken input: has it accepted another primary? */
void term_seen(struct sim *s, struct replica *r);
/* Could these bytes be left from another term? */
bool term_left(struct sim *s, struct replica *r, int item, struct bytes value);
void term_end(struct sim *s); /* the newest primary, all others demoted */

/* --- sim_tap.c ----------------------------------------------------------- */
void tap_reset(struct replica *r);
void tap_up(struct sim *s, struct replica *r, const void *p, size_t n);
void tap_down(struct sim *s, struct replica *r, const void *p, size_t n);

/* --- sim_check.c --------------------------------------------------------- */
void check_replica(struct sim *s, struct replica *r); /* what readers see */
void check_core(struct sim *s);                       /* bounds, status */
/* All that was made up to `version` is durable there, or something newer. */
void check_covered(struct sim *s, struct replica *r, const struct world *w,
                   uint64_t version, int promise, const char *claim);
void check_durable(struct sim *s, struct replica *r, const struct world *w,
                   int item, uint64_t version, bool is_set, int promise,
                   const char *claim);
void check_after_crash(struct sim *s, struct replica *r);
void check_equal(struct sim *s, struct replica *r);

/* --- sim_steps.c, sim_end.c ---------------------------------------------- */
void sim_run(struct sim *s);
void sim_one(struct sim *s);
void sim_end(struct sim *s);
