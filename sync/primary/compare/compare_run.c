/* SPDX-License-Identifier: MIT
 *
 * reconcile: compare one replica with the index, and repair what differs.
 *
 * Happy path of a comparison (struct compare), one at a time per replica:
 *
 *   QUEUED -> (SCANNING) -> TOP -> BUCKETS -> LISTING -> [SETTLING -> LISTING]*
 *          -> RESOLVING -> WALKING -> FEEDING -> DRAINING -> ENDED
 *
 * TOP and BUCKETS narrow 65,536 buckets down to those whose digests differ;
 * LISTING fetches their entries (name hash, value digest); what differs is a
 * *diff*.  RESOLVING asks the replica for the names of what only it has,
 * WALKING finds the names of what the primary has (compare_walk.c); each name
 * goes into the change log for this replica alone, at once or, when it has
 * enough to do, later (FEEDING), and there the ordinary path looks at the key
 * and sends what is there.  So a comparison may be wrong about
 * a key that changes meanwhile, and still only true values are sent, and a
 * delete is sent only when the read proved that the key is gone.
 *
 * What must be certain (verify, dry run, and deletes beyond the brake) is found
 * in two rounds with a barrier between them: a difference counts when both
 * ends had the same two digests in both rounds.
 *
 * Failures: the link goes down -> an own comparison is dropped (another is due
 * on connect), an operator's begins anew; the walk was not complete -> nothing
 * is concluded from what it did not find. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/quote.h"
#include "sync/primary/compare/compare.h"

enum {
    SOON_MS = 10000, /* wait no longer for a quiet moment */
    IN_VAIN = 2,     /* comparisons, before the replica scans */
};

/* --- jobs ---------------------------------------------------------------- */

static struct compare *add_job(struct primary *p, struct repl *r,
                               const struct compare_options *o)
{
    struct compare *c = calloc(1, sizeof *c);
    struct compare **at = &r->compares.jobs;

    if (c == NULL) {
        return NULL;
    }
    c->id = primary_id(p);
    c->replica = r->id;
    c->opt = *o;
    c->began_ms = p->now_ms;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = c;
    return c;
}

static const char *phase_word(enum compare_phase phase)
{
    static const char *const words[] = {"waiting",   "scanning",  "comparing",
                                        "comparing", "comparing", "settling",
                                        "comparing", "repairing", "repairing",
                                        "repairing", "done"};

    return words[phase];
}

/* --- beginnings ---------------------------------------------------------- */

/* What the index cannot tell because it is stalled gets a place in the
 * replica's log, too. */
static void adopt_stalled(struct primary *p, struct repl *r)
{
    struct repl *own = p->repl[p->index_id];
    const struct flight *f;

    if (own->flights.stalled == 0) {
        return;
    }
    DL_FOREACH(own->flights.list, f) {
        if (f->stalled &&
            !changelog_add(&p->log, f->rec, repl_bit(r), p->now_ms, 0)) {
            due_now(p, r);
            return;
        }
    }
    sender_advance(p, r);
}

/* Who only asks leaves the replica as it is. */
static void ask_scan(struct primary *p, struct repl *r, struct compare *c)
{
    bool can = (r->session.features & WIRE_FEATURE_VIEW) != 0;
    struct err err;

    if (c->opt.mode == COMPARE_DRY_RUN && !can) {
        (void)err_set(&err, ERR_PROTO, 0,
                      "the receiver (version %s) cannot look at its disk "
                      "without taking up what it finds: update drover there",
                      r->session.version);
        err.id = DR_PROTOCOL;
        compare_fail(p, c, &err);
        return;
    }
    if (!heard_may_scan(r)) {
        (void)err_set(&err, ERR_TIMEOUT, 0,
                      "the receiver (version %s) still has %u scans of "
                      "comparisons that were given up before it",
                      r->session.version, r->session.scans_open);
        err.id = DR_TIMED_OUT;
        compare_fail(p, c, &err);
        return;
    }
    c->view = can && !compare_repairs(c);
    c->phase = COMPARE_SCANNING;
    c->request = primary_id(p);
    struct wire_scan m = {.id = c->request};
    m.how = (uint8_t)((c->opt.content ? WIRE_SCAN_CONTENT : 0) |
                      (c->view ? WIRE_SCAN_VIEW : 0) |
                      (c->view && c->opt.mode == COMPARE_VERIFY &&
                               (r->session.features & WIRE_FEATURE_MODES) != 0
                           ? WIRE_SCAN_PERMS
                           : 0));
    wire_put_scan(&r->session.out, &m);
    r->session.scans_open++;
}

static void begin(struct primary *p, struct compare *c)
{
    struct repl *r = p->repl[c->replica];

    adopt_stalled(p, r);
    c->due_generation = r->due.generation;
    c->edits = r->differs.heard;
    c->uncompared.max = c->opt.names_max > 0 ? c->opt.names_max : 1;
    c->view = false;
    c->busy = 0;
    if (c->opt.scan || c->opt.content) {
        ask_scan(p, r, c);
        return;
    }
    compare_narrow(p, c);
}

int compare_scanned(struct primary *p, struct repl *r,
                    const struct wire_scan_done *m)
{
    struct compare *c = compare_current(r);

    r->session.scans_open -= r->session.scans_open > 0;
    if (c == NULL || c->phase != COMPARE_SCANNING || m->id != c->request) {
        return 0;
    }
    heard_answer(p, r);
    r->heartbeat.root = m->result.root;
    r->figures.keys = m->result.keys;
    c->result.reread = m->result.reread;
    unread_heard(r, m->result.errors > c->busy ? m->result.errors - c->busy : 0,
                 m->result.first_error);
    if ((r->session.features & WIRE_FEATURE_VIEW) != 0) {
        /* More than were told by name. */
        if (c->uncompared.count < m->result.errors) {
            c->uncompared.count = m->result.errors;
        }
    } else if (m->result.errors > 0 && !compare_repairs(c)) {
        struct err err;
        (void)err_set(&err, ERR_IO, 0,
                      "%" PRIu64 " key%s cannot be read on the replica: %.*s",
                      m->result.errors, m->result.errors == 1 ? "" : "s",
                      (int)m->result.first_error.len,
                      (const char *)m->result.first_error.p);
        err.id = DR_REPLICA_IO;
        compare_fail(p, c, &err);
        return 0;
    }
    compare_narrow(p, c);
    return 0;
}

/* What the receiver's number stands for, where that says more than the system's
 * word for it. */
static const char *unread_word(const struct wire_unread *m)
{
    switch (m->sys) {
    case ELOOP:
        return ": a symbolic link is there";
    case ENOTDIR:
        return ": a file is there";
    case ENXIO:
        return ": no regular file is there";
    case EXDEV:
        return ": something is mounted there";
    default:
        return NULL;
    }
}

static void say_unread(const struct wire_unread *m, struct err *why)
{
    const char *word = unread_word(m);

    (void)err_set(why, ERR_IO, word == NULL ? m->sys : 0,
                  "table %s%s%s %s on the replica%s",
                  QUOTED_TABLE((const char *)m->table.p, m->table.len),
                  m->is_table ? "" : " key ",
                  m->is_table ? "" : QUOTED(m->key.p, m->key.len),
                  m->busy ? "is locked, or changes while it is read,"
                          : "cannot be read",
                  word != NULL ? word : "");
}

void compare_unread(const struct primary *p, struct repl *r,
                    const struct wire_unread *m)
{
    struct compare *c = compare_current(r);
    struct err why;

    if (c == NULL || c->phase != COMPARE_SCANNING || m->id != c->request) {
        return; /* of a comparison that is over */
    }
    heard_answer(p, r);
    c->busy += m->busy != 0;
    struct uncompared_key k = {.why = m->busy ? UNCOMPARED_LOCKED
                                              : UNCOMPARED_UNREADABLE,
                               .is_table = m->is_table,
                               .table = m->table,
                               .key = m->key,
                               .sys = m->sys,
                               .id = m->busy ? DR_LOCKED_THERE : DR_REPLICA_IO};
    say_unread(m, &why);
    k.text = bytes_of(why.msg, strlen(why.msg));
    uncompared_add(&c->uncompared, &k);
}

/* What an operator's comparison waits for may wait for our own. */
static void first_in_turn(struct repl *r, struct compare *c)
{
    struct compare **at = &r->compares.jobs;

    while (*at != c) {
        at = &(*at)->next;
    }
    *at = c->next;
    c->next = r->compares.jobs;
    r->compares.jobs = c;
}

/* Time for one of our own? */
static void maybe_own(struct primary *p, struct repl *r)
{
    /* Comparisons in vain: the replica may believe to have what is not on its
     * disk, and finds no name for it until it has scanned. */
    bool edited = differs_due(p, r);
    const struct compare_options o = {
        .mode = COMPARE_REPAIR,
        .scan = (edited && r->differs.depth > DIFFERS_RECORDED) ||
                r->compares.fails >= IN_VAIN,
        .content = edited && r->differs.depth == DIFFERS_CONTENT,
        .names_max = r->undone.suspect ? UNDONE_NAMES_MAX : 20};
    bool now = edited || r->due.now ||
               (r->due.soon &&
                (flight_quiet(p, r) || p->now_ms - r->due.soon_ms >= SOON_MS));

    if (!now || p->now_ms < r->compares.after_ms) {
        return;
    }
    struct compare *c = add_job(p, r, &o);
    if (c != NULL) {
        c->automatic = true;
        first_in_turn(r, c);
        r->differs.repair_ms = edited ? 0 : r->differs.repair_ms;
    }
}

static bool may_compare(struct primary *p, struct repl *r)
{
    return r->session.state == SESSION_LIVE && !r->session.closing &&
           r->session.digests_known && p->index_ready && !p->lost &&
           flight_reached(p, p->repl[p->index_id], r->live_tail);
}

/* Our own comparison waits until what was in the log when the index was ready
 * has arrived: it would only find that missing, and send it again.  A verify
 * waits for what was changed before it was asked for. */
static bool may_begin(struct primary *p, struct repl *r,
                      const struct compare *c)
{
    if (!compare_repairs(c) &&
        !(flight_reached(p, r, c->opt.barrier) &&
          flight_reached(p, p->repl[p->index_id], c->opt.barrier))) {
        return false;
    }
    return p->log.pending[r->id] <= p->config.repair_room / 4 &&
           (!c->automatic || !r->blank || p->now_ms - c->began_ms >= SOON_MS ||
            flight_reached(p, r, r->live_tail));
}

static void go_on(struct primary *p, struct repl *r, struct compare *c)
{
    if (c->phase == COMPARE_QUEUED) {
        if (may_begin(p, r, c)) {
            begin(p, c);
        }
    } else if (c->phase == COMPARE_NEXT_ROUND &&
               flight_reached(p, r, c->barrier) &&
               flight_reached(p, p->repl[p->index_id], c->barrier)) {
        compare_list(p, c);
    } else if (c->phase == COMPARE_RESOLVING) {
        if (feed_step(p, c) && c->resolve.done && feed_room(p, r) > 0) {
            c->resolve.done = false;
            if (c->resolve.at < c->resolve.count) {
                compare_ask_names(p, c);
            } else {
                compare_walk(p, c);
            }
        }
    } else if (c->phase == COMPARE_WALKING) {
        (void)feed_step(p, c);
    } else if (c->phase == COMPARE_FEEDING) {
        if (feed_step(p, c)) {
            compare_fed(p, c);
        }
    } else if (c->phase == COMPARE_DRAINING &&
               flight_reached(p, r, c->barrier)) {
        compare_finish(p, c);
    }
}

void compare_step(struct primary *p, struct repl *r)
{
    if (r->is_index || !may_compare(p, r)) {
        return;
    }
    struct compare *c = compare_current(r);
    if (c == NULL ||
        (c->phase == COMPARE_QUEUED && !c->automatic && !may_begin(p, r, c))) {
        maybe_own(p, r);
    }
    c = compare_current(r);
    if (c != NULL) {
        go_on(p, r, c);
    }
}

void compare_connected(struct primary *p, struct repl *r)
{
    r->due.now = true;
    r->due.generation++;
    r->compares.after_ms = 0;
    r->compares.fails = 0;
    compare_step(p, r);
}

void compare_disconnected(struct primary *p, struct repl *r,
                          const struct err *err)
{
    struct compare *c, *next;

    (void)err;
    for (c = r->compares.jobs; c != NULL; c = next) {
        next = c->next;
        if (c->phase == COMPARE_ENDED) {
            continue;
        }
        if (c->phase >= COMPARE_RESOLVING) {
            undone_count(r, c);
        }
        if (c->automatic || c->abandoned) {
            differs_again(p, r, c);
            compare_free_job(r, c);
            continue;
        }
        compare_clear(p, c);
        compare_free_names(c);
        uncompared_free(&c->uncompared);
        c->phase = COMPARE_QUEUED;
        memset(&c->result, 0, sizeof c->result);
    }
    r->due.now = true;
}

void compare_free_jobs(struct primary *p, struct repl *r)
{
    (void)p;
    while (r->compares.jobs != NULL) {
        compare_free_job(r, r->compares.jobs);
    }
}

/* --- for the shell ------------------------------------------------------- */

int64_t primary_compare(struct primary *p, int replica,
                        const struct compare_options *o, int64_t now_ms,
                        struct err *err)
{
    struct repl *r = primary_repl(p, replica);

    p->now_ms = now_ms;
    struct compare *c = add_job(p, r, o);
    if (c == NULL) {
        return err_set(err, ERR_NOMEM, 0, "out of memory for a comparison");
    }
    int64_t id = (int64_t)c->id;
    compare_step(p, r);
    return id;
}

static struct compare *find_job(struct primary *p, uint64_t id)
{
    struct repl *r;

    EACH_REPL(p, r) {
        for (struct compare *c = r->compares.jobs; c != NULL; c = c->next) {
            if (c->id == id) {
                return c;
            }
        }
    }
    return NULL;
}

const struct compare_result *primary_compare_result(struct primary *p,
                                                    uint64_t id)
{
    struct compare *c = find_job(p, id);

    if (c == NULL) {
        return NULL;
    }
    const struct repl *r = p->repl[c->replica];
    c->result.phase = phase_word(c->phase);
    if (c->phase >= COMPARE_RESOLVING && c->phase <= COMPARE_DRAINING) {
        uint64_t open = p->log.pending[r->id] + r->flights.count;
        c->result.repaired =
            open < c->result.to_repair ? c->result.to_repair - open : 0;
    }
    return &c->result;
}

void primary_uncompared(struct primary *p, int replica, uint64_t barrier,
                        int64_t now_ms, struct uncompared *out)
{
    p->now_ms = now_ms;
    uncompared_gather(p, primary_repl(p, replica), barrier, out);
}

void primary_compare_free(struct primary *p, uint64_t id)
{
    struct compare *c = find_job(p, id);

    if (c == NULL) {
        return;
    }
    struct repl *r = p->repl[c->replica];
    heard_give_back(p, r, c);
    if (c->phase == COMPARE_WALKING) {
        walk_unsubscribe(p, c->replica);
    }
    if (compare_repairs(c) && c->phase >= COMPARE_RESOLVING &&
        c->phase < COMPARE_ENDED) {
        due_soon(p, r); /* what it found is still to be repaired */
    }
    compare_free_job(r, c);
}
