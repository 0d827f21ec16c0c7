/* SPDX-License-Identifier: MIT
 *
 * chaos_journal: what the writers of a chaos run did, shared with its readers.
 *
 * A file in shared memory.  A slot is one key of one table; its records are
 * the states that it went through on the primary, oldest first: absent, or a
 * value with a version.  A record is appended before the change is made
 * (BEGUN) and settled after it (DONE, with the time; or VOID: nothing was
 * changed).  So whatever a reader of a replica sees must be one of the records,
 * in their order, and every record that was DONE before a time T must have
 * been reached when somebody claims to be fresh as of T.
 *
 * One writer process appends to a slot; any number of processes read.  The head
 * also carries what the driver tells all others: pauses, claims, damage.
 *
 * Thread rule: a struct journal belongs to one thread; the memory behind it is
 * shared by atomics.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    JOURNAL_REPLICAS = 3,
    JOURNAL_WRITERS = 8,
    JOURNAL_SPANS = 256,
    JOURNAL_SLOTS = 1024,
};

enum journal_state { JOURNAL_BEGUN, JOURNAL_DONE, JOURNAL_VOID };

struct record {
    uint64_t version; /* 0: absent */
    uint32_t size;
    uint32_t order;        /* number within its slot, from 0 */
    _Atomic uint32_t next; /* the slot's next record; 0: none yet */
    _Atomic uint8_t state; /* enum journal_state */
    uint8_t silent;        /* raises no event: only a rescan finds it */
    int64_t begun_ns;      /* on the primary's clock */
    _Atomic int64_t done_ns;
};

struct slot {
    uint32_t first;        /* "absent", before all changes */
    _Atomic uint32_t last; /* the newest record */
    /* Per replica: odd while somebody edits this key there by hand. */
    _Atomic uint32_t edits[JOURNAL_REPLICAS];
};

/* What the driver says about a replica, and its reader's answers. */
struct replica_word {
    _Atomic int64_t claim_ns;    /* a command claimed: all before it is there */
    _Atomic uint32_t power_lost; /* so many times */
    _Atomic uint32_t hold;       /* do not read: its disk is being changed */
    _Atomic uint32_t held;       /* the reader's answer */
    uint32_t spare;
};

/* Python reads and writes the first part: see driver/journal.py. */
struct journal_head {
    uint64_t magic;
    _Atomic int64_t shift_ns; /* the primary's clock is wrong by this */
    _Atomic uint32_t pause;   /* writers: stop and close everything */
    _Atomic uint32_t stop;    /* readers and writers: end */
    _Atomic uint32_t paused[JOURNAL_WRITERS]; /* the writers' answers */
    struct replica_word replica[JOURNAL_REPLICAS];
    /* Times that the clock showed twice, after steps back. */
    _Atomic uint32_t spans;
    uint32_t spare;
    struct {
        int64_t from_ns, to_ns;
    } span[JOURNAL_SPANS];
    /* --- the rest is for C --- */
    _Atomic uint64_t versions; /* the last one given */
    _Atomic uint32_t used;     /* records */
    uint32_t room;
    uint32_t slots;
    uint32_t spare2;
    struct slot slot[JOURNAL_SLOTS];
};

struct journal {
    struct journal_head *head;
    struct record *record; /* record 0 is none */
};

/* Make the file, with room for so many records (sparse).  Exits on failure, as
 * all here do: these are test programs. */
void journal_create(const char *path, uint32_t slots, uint32_t records);
void journal_open(struct journal *j, const char *path);

/* CLOCK_REALTIME as the primary's programs see it. */
int64_t journal_now_ns(const struct journal *j);
/* Whether the clock showed this time twice. */
bool journal_ambiguous(const struct journal *j, int64_t wall_ns);

uint64_t journal_version(struct journal *j);
/* Append a state that is about to come; its number. */
uint32_t journal_begin(struct journal *j, uint32_t slot, uint64_t version,
                       uint32_t size, bool silent);
void journal_settle(struct journal *j, uint32_t record, bool done);
/* The newest state that is no VOID. */
const struct record *journal_latest(const struct journal *j, uint32_t slot);
/* The record after this one, or NULL. */
const struct record *journal_next(const struct journal *j,
                                  const struct record *r);
const struct record *journal_first(const struct journal *j, uint32_t slot);
enum journal_state journal_state(const struct record *r);
