/* SPDX-License-Identifier: MIT
 *
 * link: dispatch over the kinds of link, and what they share; see link.h and
 * link_kind.h. */
#include "sync/link/link_kind.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync/link/openssh.h"

enum { REASON_BYTES = 250 }; /* leaves room for the last line */

void link_start(struct link *l)
{
    assert(!l->started && !l->closing);
    l->started = true;
    l->kind->start(l);
}

void link_kick(struct link *l)
{
    if (l->started && !l->ended && !l->closing) {
        l->kind->kick(l);
    }
}

void link_close(struct link *l)
{
    if (!l->closing) {
        l->closing = true;
        l->kind->close(l);
    }
}

void link_kill(struct link *l)
{
    l->hurry = true;
    link_close(l);
}

const char *link_describe(const struct link *l)
{
    return l->name;
}

void link_init(struct link *l, const struct link_kind *kind,
               const struct link_events *events, void *arg, char *name)
{
    assert(events->input != NULL && events->fill != NULL);
    assert(events->down != NULL && events->closed != NULL);
    l->kind = kind;
    l->events = *events;
    l->arg = arg;
    l->name = name;
}

void link_deinit(struct link *l)
{
    l->events.closed(l->arg);
    free(l->name);
}

void link_notify_stage(struct link *l, const char *name)
{
    if (!l->closing && !l->ended && l->events.stage != NULL) {
        l->events.stage(l->arg, name);
    }
}

void link_notify_up(struct link *l, const char *what)
{
    if (!l->closing && l->events.up != NULL) {
        l->events.up(l->arg, what);
    }
}

void link_notify_input(struct link *l, const uint8_t *p, size_t n)
{
    if (!l->closing && n > 0) {
        l->events.input(l->arg, p, n);
    }
}

size_t link_notify_fill(struct link *l, uint8_t *out, size_t room)
{
    if (l->closing || l->ended) {
        return 0;
    }
    size_t n = l->events.fill(l->arg, out, room);
    assert(n <= room);
    return n;
}

/* The error message travels through logs and JSON, so what a stranger's
 * program wrote must not steer a terminal or break an encoder. */
static void remember_line(struct link *l)
{
    for (size_t i = 0; i < l->line_len; i++) {
        unsigned char c = (unsigned char)l->line[i];
        l->last_line[i] = c >= 0x20 && c < 0x7f ? (char)c : '?';
    }
    l->last_line[l->line_len] = '\0';
}

/* What comes after the reason only follows from it. */
static void note_reason(struct link *l)
{
    if (l->said == 0) {
        l->said = openssh_says(l->last_line);
        (void)snprintf(l->said_line, sizeof l->said_line, "%s",
                       l->said != 0 ? l->last_line : "");
    }
}

static void end_line(struct link *l)
{
    size_t n = l->line_len;

    if (n > 0 && l->line[n - 1] == '\r') {
        l->line_len = --n;
    }
    if (n > 0) {
        remember_line(l);
        note_reason(l);
        if (!l->closing && l->events.stderr_line != NULL) {
            l->events.stderr_line(l->arg, l->line, n);
        }
    }
    l->line_len = 0;
}

void link_notify_stderr(struct link *l, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n && !l->closing; i++) {
        if (p[i] == '\n') {
            end_line(l);
            continue;
        }
        if (l->line_len == sizeof l->line) {
            end_line(l);
        }
        l->line[l->line_len++] = (char)p[i];
    }
}

void link_end_stderr(struct link *l)
{
    if (l->line_len > 0) {
        end_line(l);
    }
}

static void append(struct err *err, const char *what, const char *line,
                   int most)
{
    size_t used = strnlen(err->msg, sizeof err->msg);

    if (used + 1 < sizeof err->msg) {
        (void)snprintf(err->msg + used, sizeof err->msg - used, "%s%.*s", what,
                       most, line);
    }
}

void link_notify_down(struct link *l, struct err *err, bool permanent)
{
    if (l->closing || l->ended) {
        return;
    }
    l->ended = true;
    if (l->said != 0 && err->id == l->said &&
        strcmp(l->said_line, l->last_line) != 0) {
        append(err, "; it said: ", l->said_line, REASON_BYTES);
    }
    if (l->last_line[0] != '\0') {
        append(err, "; last line on stderr: ", l->last_line, LINK_LINE_BYTES);
    }
    l->events.down(l->arg, err, permanent);
}
