/* SPDX-License-Identifier: MIT
 *
 * link_peer: the owner of a link, for tests: a loop, a pattern to send, what
 * came back, and a check of the contract (nothing after link_close() but
 * `closed`, `down` at most once, everything released).
 *
 * A stuck link fails the test through a watchdog timer that no healthy run
 * comes near.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/base/buf.h"
#include "sync/link/link.h"

enum when {
    CLOSE_NEVER,
    CLOSE_AT_UP,
    CLOSE_AT_INPUT,
    CLOSE_AT_FILL,
    CLOSE_AT_BYTES, /* close_bytes were received */
};

struct peer {
    uv_loop_t loop;
    uv_timer_t watchdog;
    struct link *link;
    enum when close_when;
    uint64_t close_bytes;
    uint64_t to_send; /* pattern bytes still to be filled */
    uint64_t sent;
    uint64_t got;
    uint64_t pings;  /* when all came back: one more byte, so many times */
    bool check_echo; /* compare with the pattern; else keep in `input` */
    bool echo_wrong;
    struct buf input;
    struct buf lines; /* stderr, newline after each */
    char what[192];   /* said by `up` */
    unsigned ups, downs, closes;
    bool late; /* a callback came that may not come any more */
    bool close_called;
    bool permanent;
    struct err err;          /* said by `down` */
    uv_handle_t *also_close; /* a handle of the test's, closed with the link */
};

extern const struct link_events peer_events;

/* Makes the loop; set p->link next, from link_*_new(&p->loop, ...,
 * &peer_events, p, ...). */
void peer_init(struct peer *p);
/* link_start() and peer_run(). */
void peer_start(struct peer *p);
/* Until the link has closed; then checks the contract and ends the loop. */
void peer_run(struct peer *p);
void peer_close(struct peer *p);
void peer_deinit(struct peer *p);

uint8_t peer_pattern(uint64_t i);
bool peer_has(const struct buf *b, const char *text);
