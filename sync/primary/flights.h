/* SPDX-License-Identifier: MIT
 *
 * flights: changes on their way to one replica, as a data structure: the lists
 * they are on, and what they keep of their key.  Depends on no other part of
 * the core but the log; what moves a flight on is in sender.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct flight;
struct primary;
struct record;
struct repl;

enum flight_state {
    FLIGHT_WAIT = 1,  /* its record is to be looked at */
    FLIGHT_READY,     /* in the replica's ready list */
    FLIGHT_LARGE,     /* in the replica's large list, or streaming */
    FLIGHT_PIGGYBACK, /* the index' own flight, waiting for another's stream
                    until retry_ms; or, for a value that may be the same,
                    another's waiting for the index' */
    FLIGHT_BEHIND,    /* an earlier flight of this key is not acknowledged */
    FLIGHT_BACKOFF,   /* refused by the replica; again at retry_ms */
    FLIGHT_SENT,
};

/* A replica's flights. */
struct flights {
    struct flight *list;          /* utlist DL, by sequence */
    struct flight *by_seq;        /* uthash: those that were sent */
    struct flight *ready, *large; /* utlist DL */
    size_t count;
    size_t stalled, passed;   /* of them */
    size_t refused;           /* of them (refused.h) */
    int64_t refused_again_ms; /* when all of these were tried again */
    size_t timed;             /* of them, waiting for their retry_ms */
    size_t unread;            /* of them, whose key is to be read */
    int64_t reached_ms;       /* when flight_reached() last said no */
    size_t window_bytes;
    size_t ready_bytes;
    uint64_t last_abort_ping; /* the newest flight.abort_ping, 0: none is set */
    bool starved;             /* flights wait unread: enough is ready */
};

enum { FLIGHT_READY_MAX_BYTES = 1 << 20 }; /* waiting for one replica's turn */

/* No change is pending for the replica or for the index. */
bool flight_quiet(const struct primary *p, const struct repl *r);
/* Everything up to this sequence is acknowledged. */
uint64_t flight_watermark(const struct primary *p, const struct repl *r);
/* Everything up to `barrier` is acknowledged but what is stalled (stalled.c).
 */
bool flight_reached(struct primary *p, struct repl *r, uint64_t barrier);
/* The same of the index, of a struct primary: what it has seen. */
bool flight_indexed(void *primary, uint64_t barrier);
/* The replica can be sent something; the index always can. */
bool flight_live(const struct repl *r);
/* ... and enough is not ready yet: a slow replica must not fill the memory with
 * frames it cannot take, so its flights wait unread (`starved`). */
bool flight_can_take(struct repl *r);

/* A flight's state, and the lists it is on, change only here. */
void flight_set(struct primary *p, struct flight *f, enum flight_state s);
/* It waits until its retry_ms. */
bool flight_timed(const struct flight *f);
/* Onto the lists of its replica `r` and of its record; off them. */
void flight_link(struct repl *r, struct flight *f);
void flight_unlink(struct primary *p, struct flight *f);
/* The flight that was sent with this sequence, or NULL. */
struct flight *flight_sent(struct repl *r, uint64_t seq);
/* Has the replica a place for the record before `seq`, other than `but`? */
bool flight_due_before(const struct record *rec, int replica, uint64_t seq,
                       const struct flight *but);

/* What was read of the record accounts for all hints of it. */
bool flight_fresh(const struct record *rec);
/* Does anyone who can take it wait for this record's content? */
bool flight_awaited(struct primary *p, const struct record *rec);
/* Forget the encoded value when no connected replica wants it any more. */
void flight_trim(struct primary *p, struct record *rec);
/* Free the record if neither the log nor a flight needs it. */
void flight_release(struct primary *p, struct record *rec);
