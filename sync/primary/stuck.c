/* SPDX-License-Identifier: MIT
 *
 * stuck: see stuck.h.
 */
#include "sync/primary/stuck.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "store/base/quote.h"
#include "store/base/units.h"
#include "sync/errors/state.h"
#include "sync/primary/primary_impl.h"

enum {
    CHANGES_BEFORE = 2, /* reads in a row under which it changed */
    NAME_BYTES = 256,
};

/* --- why ----------------------------------------------------------------- */

/* The flight of the same key that this one waits for. */
static const struct flight *ahead_of(const struct flight *f)
{
    const struct flight *o = f->state == FLIGHT_BEHIND ? f->rec->flights : NULL;

    while (o != NULL &&
           (o->replica != f->replica || o->state == FLIGHT_BEHIND)) {
        o = o->rec_next;
    }
    return o != NULL ? o : f;
}

static enum stuck why(const struct flight *f)
{
    if (f->refusals > 0) {
        return STUCK_REFUSED;
    }
    if (f->state == FLIGHT_SENT || f->state == FLIGHT_READY) {
        return f->blocked_ms != 0 ? STUCK_LOCKED_THERE : STUCK_NOT;
    }
    if (f->rec->read.changed >= CHANGES_BEFORE) {
        return STUCK_CHANGING;
    }
    if (f->rec->read.blocked_ms != 0) {
        return STUCK_LOCKED_HERE;
    }
    return f->rec->read.unreadable != 0 ? STUCK_UNREADABLE : STUCK_NOT;
}

enum stuck stuck_why(const struct flight *f)
{
    return why(ahead_of(f));
}

static int64_t since_ms(const struct flight *f)
{
    switch (why(f)) {
    case STUCK_REFUSED:
        return f->refusal.since_ms;
    case STUCK_LOCKED_THERE:
        return f->blocked_ms;
    case STUCK_LOCKED_HERE:
        return f->rec->read.blocked_ms;
    case STUCK_CHANGING:
        return f->rec->read.changed_ms;
    case STUCK_NOT:
    case STUCK_UNREADABLE:
        break;
    }
    return f->time_ms;
}

int64_t stuck_for_ms(const struct primary *p, const struct flight *f)
{
    int64_t ms = p->now_ms - since_ms(ahead_of(f));

    return ms > 0 ? ms : 0;
}

uint32_t stuck_holder(const struct flight *flight, char comm[16])
{
    const struct flight *f = ahead_of(flight);

    comm[0] = '\0';
    switch (why(f)) {
    case STUCK_LOCKED_THERE:
        memcpy(comm, f->comm, sizeof f->comm);
        return f->pid;
    case STUCK_LOCKED_HERE:
        memcpy(comm, f->rec->read.comm, sizeof f->rec->read.comm);
        return f->rec->read.pid;
    case STUCK_NOT:
    case STUCK_REFUSED:
    case STUCK_CHANGING:
    case STUCK_UNREADABLE:
        break;
    }
    return 0;
}

const struct flight *stuck_next(const struct repl *r,
                                const struct flight *after)
{
    const struct flight *f = after != NULL ? after->next : r->flights.list;

    while (f != NULL && stuck_why(f) == STUCK_NOT) {
        f = f->next;
    }
    return f;
}

/* --- in words ------------------------------------------------------------ */

static const char *name_of(char out[NAME_BYTES], const struct record *rec)
{
    if (rec->is_table) {
        (void)snprintf(out, NAME_BYTES, "table %s",
                       QUOTED_TABLE(record_table(rec).p, rec->table_len));
    } else {
        (void)snprintf(out, NAME_BYTES, "table %s key %s",
                       QUOTED_TABLE(record_table(rec).p, rec->table_len),
                       QUOTED(record_key(rec).p, rec->key_len));
    }
    return out;
}

static const char *more_of(char out[64], uint64_t more)
{
    out[0] = '\0';
    if (more > 0) {
        (void)snprintf(out, 64, ", and %" PRIu64 " more like it", more);
    }
    return out;
}

static void say_locked(const char *name, const char *where, int64_t for_ms,
                       const char comm[16], uint32_t pid, const char *more,
                       struct err *err)
{
    int64_t s = for_ms / 1000;

    if (pid != 0 && comm[0] == '\0') {
        (void)err_set(err, ERR_TIMEOUT, 0,
                      "%s is locked on the %s for %" PRId64
                      " s by a process that has "
                      "ended or is hidden (pid %lu): who got the file from "
                      "it?%s",
                      name, where, s, (unsigned long)pid, more);
        return;
    }
    (void)err_set(err, ERR_TIMEOUT, 0,
                  "%s is locked on the %s for %" PRId64
                  " s by %.20s (pid %lu)%s",
                  name, where, s, comm[0] != '\0' ? comm : "an unknown process",
                  (unsigned long)pid, more);
}

/* The core keeps the words of one read that failed. */
static bool has_words(const struct primary *p, const struct record *rec)
{
    return digest_equal(p->unreadable_name, rec->name);
}

static void say_unread(const struct primary *p, const struct record *rec,
                       const char *more, struct err *err)
{
    char name[NAME_BYTES];
    bool own = has_words(p, rec);

    (void)err_set(err, ERR_PERM, 0,
                  "%s cannot be read on the primary%s%.200s%s",
                  name_of(name, rec), own ? ": " : "",
                  own ? p->unreadable_text : "", more);
    err->id = rec->read.unreadable;
}

/* Any one of these. */
static const struct record *unread_one(struct primary *p)
{
    const struct record *last = changelog_find(&p->log, p->unreadable_name);
    const struct flight *f;
    struct repl *r;

    if (last != NULL && last->read.unreadable != 0) {
        return last;
    }
    EACH_REPL(p, r) {
        DL_FOREACH(r->flights.list, f) {
            if (f->rec->read.unreadable != 0) {
                return f->rec;
            }
        }
    }
    return NULL;
}

bool stuck_any_unread(struct primary *p, struct err *err)
{
    const struct record *rec = p->log.unreadable > 0 ? unread_one(p) : NULL;

    if (rec == NULL) {
        return false;
    }
    if (has_words(p, rec)) {
        (void)err_set(err, ERR_PERM, 0, "%s", p->unreadable_text);
        err->id = rec->read.unreadable;
    } else {
        say_unread(p, rec, "", err);
    }
    return true;
}

void stuck_describe(const struct primary *p, const struct flight *flight,
                    uint64_t more, struct err *err)
{
    const struct flight *f = ahead_of(flight);
    const struct record *rec = f->rec;
    int64_t for_ms = stuck_for_ms(p, f);
    char name[NAME_BYTES], others[64];

    (void)name_of(name, rec);
    (void)more_of(others, more);
    switch (why(f)) {
    case STUCK_REFUSED:
        (void)err_set(err, ERR_REFUSED, 0, "%s: %s%s", name,
                      f->refusal.what != NULL ? f->refusal.what : "refused",
                      others);
        err->id = f->refusal.dr;
        return;
    case STUCK_LOCKED_THERE:
        say_locked(name, "replica", for_ms, f->comm, f->pid, others, err);
        err->id = DR_LOCKED_THERE;
        return;
    case STUCK_LOCKED_HERE:
        say_locked(name, "primary", for_ms, rec->read.comm, rec->read.pid,
                   others, err);
        err->id = DR_BLOCKED;
        return;
    case STUCK_CHANGING:
        (void)err_set(err, ERR_TIMEOUT, 0,
                      "%s changes while it is read, %u tries%s", name,
                      (unsigned)rec->read.changed, others);
        err->id = DR_CHANGING;
        return;
    case STUCK_UNREADABLE:
        say_unread(p, rec, others, err);
        return;
    case STUCK_NOT:
        break;
    }
    (void)err_set(err, ERR_TIMEOUT, 0,
                  "%s is not acknowledged for %" PRId64 " s%s", name,
                  (for_ms / 1000), others);
    err->id = DR_LAG;
}

/* --- does a replica keep up? --------------------------------------------- */

bool stuck_lasts(const struct primary *p, const struct repl *r,
                 struct err *why_out)
{
    const struct flight *f = refused_oldest(r);

    if (f == NULL || p->now_ms - f->refusal.since_ms < REFUSED_LASTS_MS) {
        return false;
    }
    stuck_describe(p, f, 0, why_out);
    (void)err_wrap(
        why_out, "%" PRIu64 " change%s refused for %" PRId64 " s, such as",
        r->flights.refused, r->flights.refused == 1 ? " is" : "s are",
        (stuck_for_ms(p, f) / 1000));
    return true;
}

/* Of what is older than the limit: what waits for somebody, else the oldest. */
void stuck_say_oldest(struct primary *p, const struct repl *r, int64_t limit_ms,
                      struct err *err)
{
    const struct flight *f = stuck_next(r, NULL);
    const struct log_node *node = changelog_next(&p->log, r->id);
    char name[NAME_BYTES];

    if (f == NULL || p->now_ms - f->time_ms <= limit_ms) {
        f = r->flights.list;
    }
    if (f != NULL) {
        stuck_describe(p, f, 0, err);
        return;
    }
    (void)err_set(err, ERR_TIMEOUT, 0, "%s was not sent yet",
                  node != NULL ? name_of(name, node->rec)
                               : "what changed last");
    err->id = DR_LAG;
}
