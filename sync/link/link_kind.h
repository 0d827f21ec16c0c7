/* SPDX-License-Identifier: MIT
 *
 * link_kind: what the kinds of link share: the table of their operations, the
 * state every link has, and the calls to the owner.
 *
 * Only link.c and link_*.c include this.  Each kind embeds struct link as its
 * first member.  The link_tell_*() functions are the only callers of the
 * owner's callbacks; they keep its rules (nothing after link_close() but
 * `closed`, `down` at most once).  After any of them the kind has to look at
 * `closing` before it goes on.
 */
#pragma once

#include "sync/link/link.h"

enum { LINK_LINE_BYTES = 512 };

struct link_kind {
    void (*start)(struct link *l);
    void (*kick)(struct link *l);
    void (*close)(struct link *l);
};

struct link {
    const struct link_kind *kind;
    struct link_events events;
    void *arg;
    char *name; /* link_describe() */
    bool started;
    bool hurry;   /* link_kill() */
    bool ended;   /* `down` was called */
    bool closing; /* link_close() was called */
    size_t line_len;
    char line[LINK_LINE_BYTES];
    char last_line[LINK_LINE_BYTES + 1]; /* printable; "" when there was none */
    int said; /* openssh_says() of the first line that says something */
    char said_line[LINK_LINE_BYTES + 1];
};

/* Takes `name` (malloc). */
void link_init(struct link *l, const struct link_kind *kind,
               const struct link_events *events, void *arg, char *name);
/* Calls `closed`; what l points to is freed, l itself is the kind's. */
void link_deinit(struct link *l);

void link_notify_stage(struct link *l, const char *name);
void link_notify_up(struct link *l, const char *what);
void link_notify_input(struct link *l, const uint8_t *p, size_t n);
size_t link_notify_fill(struct link *l, uint8_t *out, size_t room);
/* Bytes of stderr in any portions; lines go to the owner. */
void link_notify_stderr(struct link *l, const uint8_t *p, size_t n);
/* A last line without its newline also counts. */
void link_end_stderr(struct link *l);
/* The last stderr line is put behind the message, and the one that gave the
 * reason before it. */
void link_notify_down(struct link *l, struct err *err, bool permanent);
