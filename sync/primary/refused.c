/* SPDX-License-Identifier: MIT
 *
 * refused: see refused.h.
 */
#include "sync/primary/refused.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/backoff.h"
#include "store/base/quote.h"
#include "sync/errors/state.h"
#include "sync/primary/primary_impl.h"

enum {
    WHAT_BYTES = 300, /* kept of what a receiver says */
    WHAT_MAX = 1000,  /* ... of so many changes */
    REFUSED_FIRST_MS = 100,
    REFUSED_MAX_MS = 30000,
    REFUSED_PER_S = 200,       /* tries of one replica that refuses very many */
    REFUSED_TOGETHER_MS = 256, /* those after a longer wait are due together */
    REFUSED_HINTED_MS = 500, /* ... after a hint of the key: at most so late */
    REFUSED_AGAIN_MS = 1000, /* all at once: at most so often */
};

static int dr_of(const struct wire_nak *nak)
{
    switch (-(int)nak->code) {
    case ERR_NOSPACE:
        return DR_REPLICA_FULL;
    case ERR_READONLY:
        return DR_REPLICA_IO;
    case ERR_IO:
        return nak->sys == EIO || nak->sys == EROFS || nak->sys == EUCLEAN
                   ? DR_REPLICA_IO
                   : DR_INSTALL;
    case ERR_PERM:
        return DR_REPLICA_PERM;
    case ERR_TIMEOUT:
        return DR_LOCKED_THERE;
    default:
        return DR_INSTALL;
    }
}

/* Receivers put the names in front; who shows the error knows them. */
static struct bytes without_names(const struct record *rec, struct bytes text)
{
    struct err names;

    (void)err_set(&names, ERR_IO, 0, "table %s",
                  QUOTED_TABLE(record_table(rec).p, rec->table_len));
    size_t n = strlen(names.msg);
    if (!rec->is_table) {
        (void)snprintf(names.msg + n, sizeof names.msg - n, ", key %s",
                       QUOTED(record_key(rec).p, rec->key_len));
        n = strlen(names.msg);
    }
    if (text.len > n + 2 && memcmp(text.p, names.msg, n) == 0 &&
        memcmp(text.p + n, ": ", 2) == 0) {
        return (struct bytes){text.p + n + 2, text.len - n - 2};
    }
    return text;
}

/* NULL without memory: then only the number is shown. */
static char *copy_of(struct bytes text)
{
    size_t len = text.len < WHAT_BYTES ? text.len : WHAT_BYTES;
    char *copy = malloc(len + 1);

    if (copy != NULL) {
        memcpy(copy, text.p, len);
        copy[len] = '\0';
    }
    return copy;
}

void refused_note(struct primary *p, struct repl *r, struct flight *f,
                  const struct wire_nak *nak)
{
    struct bytes what = without_names(f->rec, nak->text);

    if (f->refusals == 0) {
        r->flights.refused++;
        f->refusal.since_ms = p->now_ms;
    }
    if (f->refusals < UINT8_MAX) {
        f->refusals++;
    }
    f->refusal.sys = nak->sys;
    f->refusal.dr = dr_of(nak);
    free(f->refusal.what);
    f->refusal.what = r->flights.refused <= WHAT_MAX ? copy_of(what) : NULL;
}

/* What a refusal was the reason for is over with the last one. */
static void forget_error(struct err *err)
{
    switch (err->id) {
    case DR_REPLICA_FULL:
    case DR_REPLICA_IO:
    case DR_REPLICA_PERM:
    case DR_LOCKED_THERE:
    case DR_INSTALL:
        *err = (struct err){.code = 0};
        break;
    default:
        break;
    }
}

void refused_end(struct repl *r, struct flight *f)
{
    if (f->refusals > 0) {
        f->refusals = 0;
        r->flights.refused--;
        if (r->flights.refused == 0 && r->session.state == SESSION_LIVE) {
            forget_error(&r->session.last_error);
        }
    }
    free(f->refusal.what);
    f->refusal.what = NULL;
}

/* --- when it is tried again ---------------------------------------------- */

int64_t refused_retry_ms(const struct primary *p, const struct repl *r,
                         const struct flight *f)
{
    int64_t wait_ms = backoff_doubled(REFUSED_FIRST_MS, (unsigned)f->refusals,
                                      REFUSED_MAX_MS);
    int64_t turn_ms = (int64_t)r->flights.refused * 1000 / REFUSED_PER_S;
    wait_ms = wait_ms > turn_ms ? wait_ms : turn_ms;
    int64_t at_ms = p->now_ms + wait_ms;
    return wait_ms < REFUSED_TOGETHER_MS
               ? at_ms
               : at_ms + REFUSED_TOGETHER_MS - at_ms % REFUSED_TOGETHER_MS;
}

void refused_taken(struct primary *p, struct repl *r)
{
    struct flight *f;

    if (p->now_ms - r->flights.refused_again_ms < REFUSED_AGAIN_MS) {
        return;
    }
    r->flights.refused_again_ms = p->now_ms;
    DL_FOREACH(r->flights.list, f) {
        if (f->refusals > 0 && f->state == FLIGHT_BACKOFF &&
            f->retry_ms != INT64_MAX) {
            f->retry_ms = p->now_ms;
        }
    }
}

void refused_hinted(const struct primary *p, const struct record *rec)
{
    int64_t at_ms = p->now_ms + REFUSED_HINTED_MS;

    for (struct flight *f = rec->flights; f != NULL; f = f->rec_next) {
        if (f->refusals > 0 && f->state == FLIGHT_BACKOFF &&
            f->retry_ms != INT64_MAX && f->retry_ms > at_ms) {
            f->retry_ms = at_ms;
        }
    }
}

/* --- what is told -------------------------------------------------------- */

const struct flight *refused_oldest(const struct repl *r)
{
    const struct flight *f, *oldest = NULL;

    if (r->flights.refused == 0) {
        return NULL;
    }
    DL_FOREACH(r->flights.list, f) {
        if (f->refusals > 0 &&
            (oldest == NULL ||
             f->refusal.since_ms < oldest->refusal.since_ms)) {
            oldest = f;
        }
    }
    return oldest;
}

/* --- for the shell ------------------------------------------------------- */

bool primary_refused(struct primary *p, int replica, int64_t now_ms,
                     struct primary_refused *out)
{
    const struct repl *r = primary_repl(p, replica);
    const struct flight *f = refused_oldest(r);

    if (f == NULL) {
        return false;
    }
    *out = (struct primary_refused){
        .count = r->flights.refused,
        .since_ms = now_ms - f->refusal.since_ms,
        .is_table = f->rec->is_table,
        .table = record_table(f->rec),
        .key = record_key(f->rec),
    };
    (void)err_set(&out->err, ERR_IO, 0, "%s",
                  f->refusal.what != NULL ? f->refusal.what : "refused");
    out->err.sys = f->refusal.sys;
    out->err.id = f->refusal.dr;
    return true;
}
