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
 * WALKING finds the names of what the primary has (reconcile_walk.c); each name
 * goes into the change log for this replica alone, at once or, when it has
 * enough to do, later (FEEDING), and there the ordinary path looks at the key
 * and sends what is there.  So a comparison may be wrong about
 * a key that changes meanwhile, and still only true values are sent, and a
 * delete is sent only when the look proved that the key is gone.
 *
 * What must be certain (verify, dry run, and deletes beyond the brake) is found
 * in two rounds with a barrier between them: a difference counts when both
 * ends had the same two digests in both rounds.
 *
 * Failures: the link goes down -> an own comparison is dropped (another is owed
 * on connect), an operator's begins anew; the walk was not complete -> nothing
 * is concluded from what it did not find. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/quote.h"
#include "sync/primary/primary_impl.h"

enum {
    AGAIN_FIRST_MS = 1000,
    AGAIN_MAX_MS = 60000,
    SOON_MS = 10000, /* wait no longer for a quiet moment */
    IN_VAIN = 2,     /* comparisons, before the replica scans */
};

/* --- jobs ---------------------------------------------------------------- */

bool reconcile_repairs(const struct compare *c)
{
    return c->opt.mode == COMPARE_REPAIR;
}

struct compare *reconcile_current(struct repl *r)
{
    struct compare *c = r->jobs;

    while (c != NULL && c->phase == COMPARE_ENDED) {
        c = c->next;
    }
    return c;
}

static void clear_work(struct primary *p, struct compare *c)
{
    free(c->buckets_todo);
    free(c->buckets_all);
    free(c->asked);
    free(c->got);
    free(c->diffs);
    free(c->last);
    free(c->resolve);
    c->buckets_todo = c->buckets_all = NULL;
    c->asked = NULL;
    c->got = NULL;
    c->got_count = c->got_cap = 0;
    c->diffs = c->last = NULL;
    c->diffs_count = c->diffs_cap = c->last_count = 0;
    c->resolve = NULL;
    c->resolve_count = c->resolve_at = 0;
    c->whole_count = 0;
    feed_clear(p, c);
    reconcile_keep_none(c);
    c->round = 0;
    c->resolved = false;
    c->applies = c->names_asked = false;
}

static void free_names(struct compare *c)
{
    for (size_t i = 0; i < c->names_count; i++) {
        free((void *)(uintptr_t)c->names[i].table.p);
    }
    free(c->names);

    c->names = NULL;
    c->names_count = c->names_cap = 0;
}

static void free_job(struct repl *r, struct compare *c)
{
    struct compare **at = &r->jobs;

    while (*at != c) {
        at = &(*at)->next;
    }
    *at = c->next;
    clear_work(r->p, c);
    free_names(c);
    uncompared_free(&c->uncompared);
    free(c);
}

static struct compare *add_job(struct primary *p, struct repl *r,
                               const struct compare_options *o)
{
    struct compare *c = calloc(1, sizeof *c);
    struct compare **at = &r->jobs;

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

/* Over: the operator's job stays for its owner, ours is freed. */
static void end(struct primary *p, struct compare *c)
{
    struct repl *r = p->repl[c->replica];

    walk_leave(p, c->replica);
    c->phase = COMPARE_ENDED;
    c->result.done = true;
    clear_work(p, c);
    if (c->automatic || c->abandoned) {
        free_job(r, c);
        return;
    }
    c->result.names = c->names;
    c->result.names_count = c->names_count;
    c->result.uncompared = c->uncompared.keys;
    c->result.uncompared_count = c->uncompared.n;
    struct action a = {.type = ACT_COMPARED, .id = c->id, .replica = r->id};
    primary_act(p, &a);
}

static void note_again(struct primary *p, struct repl *r, bool found)
{
    int64_t wait_ms = AGAIN_FIRST_MS;

    if (!found) {
        r->compare_fails = 0;
        r->compare_after_ms = p->now_ms;
        return;
    }
    for (unsigned i = 0; i < r->compare_fails && wait_ms < AGAIN_MAX_MS; i++) {
        wait_ms *= 2;
    }
    r->compare_fails++;
    r->compare_after_ms =
        p->now_ms + (wait_ms < AGAIN_MAX_MS ? wait_ms : AGAIN_MAX_MS);
}

void reconcile_fail(struct primary *p, struct compare *c, const struct err *err)
{
    struct repl *r = p->repl[c->replica];

    c->result.failed = true;
    c->result.err = *err;
    if (c->phase >= COMPARE_RESOLVING) {
        undone_count(r, c);
    }
    differs_again(p, r, c);
    if (reconcile_repairs(c)) {
        note_again(p, r, true);
        r->owed = r->owed || r->blind; /* what it was to settle is open */
    }
    if (c->automatic) {
        primary_log(p, r->id, 4, err->id, "comparison: %s", err->msg);
    }
    end(p, c);
}

void reconcile_no_memory(struct primary *p, struct compare *c)
{
    struct err err;

    (void)err_set(&err, ERR_NOMEM, 0, "out of memory for a comparison");
    reconcile_fail(p, c, &err);
}

/* --- the answer, once both sides are known ------------------------------- */

/* What is not compared now, nor was before: whoever asked must not take it for
 * equal. */
static void list_uncompared(struct primary *p, struct compare *c,
                            uint64_t barrier)
{
    struct uncompared *u = &c->uncompared;
    const struct repl *r = p->repl[c->replica];
    char more[64] = "";

    uncompared_gather(p, r, barrier, u);
    c->result.unread = u->count;
    if (u->n == 0) {
        return;
    }
    struct err *err = &c->result.unread_err;
    uncompared_err(&u->keys[0], err);
    if (u->count > 1) {
        size_t at = strlen(err->msg);
        (void)snprintf(more, sizeof more, ", and %llu more keys",
                       (unsigned long long)(u->count - 1));
        (void)snprintf(err->msg + at, sizeof err->msg - at, "%s", more);
    }
}

/* A part is repaired.  The rest is for another comparison: soon while there is
 * less left each time, else with back-off. */
static void next_part(struct primary *p, struct repl *r, uint64_t left)
{
    bool less = r->compare_left == 0 || left < r->compare_left;

    reconcile_owe(p, r);
    if (less) {
        r->compare_after_ms = p->now_ms + AGAIN_FIRST_MS;
    } else {
        note_again(p, r, true);
    }
    r->compare_left = left;
}

void reconcile_finish(struct primary *p, struct compare *c)
{
    struct repl *r = p->repl[c->replica];
    const struct compare_result *res = &c->result;
    bool found = res->missing + res->extra + res->different > 0;
    uint64_t left = reconcile_beyond(c) + c->left_out -
                    (res->held ? c->beyond[DIFF_EXTRA] : 0);

    list_uncompared(p, c, reconcile_repairs(c) ? c->barrier : c->opt.barrier);
    if (reconcile_repairs(c)) {
        aside_pass(r, c->barrier);
        c->result.left = left;
        if (found && c->automatic) {
            primary_log(p, r->id, 5, DR_NONE,
                        "compared: %llu missing, %llu extra, %llu different%s",
                        (unsigned long long)res->missing,
                        (unsigned long long)res->extra,
                        (unsigned long long)res->different,
                        res->held ? " (deletes held by the brake)" : "");
        }
        if (left > 0) {
            next_part(p, r, left);
        } else {
            reconcile_settled(r, c->debts);
            r->compare_left = 0;
            note_again(p, r, found);
        }
        r->blind = r->blind || res->held; /* until they are approved and done */
        r->initial = r->blank = false;
        r->mismatches = 0;
        c->result.repaired =
            res->to_repair -
            (res->unread < res->to_repair ? res->unread : res->to_repair);
        undone_count(r, c);
        r->next_ping_ms = p->now_ms; /* prove it */
        brake_applied(p, r, c);
    }
    differs_compared(p, r, c);
    end(p, c);
}

/* --- beginnings ---------------------------------------------------------- */

uint64_t reconcile_request(struct primary *p, const struct compare *c)
{
    return primary_id(p) | (c->looks ? WIRE_ID_VIEW : 0);
}

/* Who only asks leaves the replica as it is. */
static void ask_scan(struct primary *p, struct repl *r, struct compare *c)
{
    bool can = (r->features & WIRE_FEATURE_LOOK) != 0;
    struct err err;

    if (c->opt.mode == COMPARE_DRY_RUN && !can) {
        (void)err_set(&err, ERR_PROTO, 0,
                      "the receiver (version %s) cannot look at its disk "
                      "without taking up what it finds: update drover there",
                      r->version);
        err.id = DR_PROTOCOL;
        reconcile_fail(p, c, &err);
        return;
    }
    c->looks = can && !reconcile_repairs(c);
    c->phase = COMPARE_SCANNING;
    c->request = primary_id(p);
    struct wire_scan m = {.id = c->request};
    m.how = (uint8_t)((c->opt.content ? WIRE_SCAN_CONTENT : 0) |
                      (c->looks ? WIRE_SCAN_LOOK : 0));
    wire_put_scan(&r->out, &m);
}

static void begin(struct primary *p, struct compare *c)
{
    struct repl *r = p->repl[c->replica];

    aside_adopt(p, r);
    c->debts = r->debts;
    c->uncompared.max = c->opt.names_max > 0 ? c->opt.names_max : 1;
    c->looks = false;
    if (c->opt.scan || c->opt.content) {
        ask_scan(p, r, c);
        return;
    }
    reconcile_narrow(p, c);
}

int reconcile_scanned(struct primary *p, struct repl *r,
                      const struct wire_scan_done *m)
{
    struct compare *c = reconcile_current(r);

    if (c == NULL || c->phase != COMPARE_SCANNING || m->id != c->request) {
        return 0;
    }
    r->root = m->result.root;
    r->replica_keys = m->result.keys;
    c->result.reread = m->result.reread;
    if ((r->features & WIRE_FEATURE_LOOK) != 0) {
        /* More than were told by name. */
        if (c->uncompared.count < m->result.errors) {
            c->uncompared.count = m->result.errors;
        }
    } else if (m->result.errors > 0 && !reconcile_repairs(c)) {
        struct err err;
        (void)err_set(&err, ERR_IO, 0,
                      "%llu keys cannot be read on the replica: %.*s",
                      (unsigned long long)m->result.errors,
                      (int)m->result.first_error.len,
                      (const char *)m->result.first_error.p);
        err.id = DR_REPLICA_IO;
        reconcile_fail(p, c, &err);
        return 0;
    }
    reconcile_narrow(p, c);
    return 0;
}

void reconcile_unread(struct repl *r, const struct wire_unread *m)
{
    struct compare *c = reconcile_current(r);
    struct err why;

    if (c == NULL || c->phase != COMPARE_SCANNING || m->id != c->request) {
        return; /* of a comparison that is over */
    }
    struct uncompared_key k = {.why = m->busy ? UNCOMPARED_LOCKED
                                              : UNCOMPARED_UNREADABLE,
                               .is_table = m->is_table,
                               .table = m->table,
                               .key = m->key,
                               .sys = m->sys,
                               .id = m->busy ? DR_LOCKED_THERE : DR_REPLICA_IO};
    (void)err_set(&why, ERR_IO, m->sys, "table %s%s%s %s on the replica",
                  QUOTED_TABLE((const char *)m->table.p, m->table.len),
                  m->is_table ? "" : " key ",
                  m->is_table ? "" : QUOTED(m->key.p, m->key.len),
                  m->busy ? "is locked, or changes while it is read,"
                          : "cannot be read");
    k.text = bytes_of(why.msg, strlen(why.msg));
    uncompared_add(&c->uncompared, &k);
}

/* What an operator's comparison waits for may wait for our own. */
static void first_in_turn(struct repl *r, struct compare *c)
{
    struct compare **at = &r->jobs;

    while (*at != c) {
        at = &(*at)->next;
    }
    *at = c->next;
    c->next = r->jobs;
    r->jobs = c;
}

/* Time for one of our own? */
static void maybe_own(struct primary *p, struct repl *r)
{
    /* Comparisons in vain: the replica may believe to have what is not on its
     * disk, and finds no name for it until it has scanned. */
    bool edited = differs_due(p, r);
    const struct compare_options o = {
        .mode = COMPARE_REPAIR,
        .scan = edited || r->compare_fails >= IN_VAIN,
        .content = edited && r->differs.depth == DIFFERS_CONTENT,
        .names_max = r->undone.suspect ? UNDONE_NAMES_MAX : 20};
    bool now = edited || r->owed ||
               (r->owed_soon && (session_quiet(p, r) ||
                                 p->now_ms - r->owed_soon_ms >= SOON_MS));

    if (!now || p->now_ms < r->compare_after_ms) {
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
    return r->session == SESSION_LIVE && !r->closing && r->digests_known &&
           p->index_ready && !p->lost &&
           aside_reached(p, p->repl[p->index_id], r->live_tail);
}

/* Our own comparison waits until what was in the log when the index was ready
 * has arrived: it would only find that missing, and send it again.  A verify
 * waits for what was changed before it was asked for. */
static bool may_begin(struct primary *p, struct repl *r,
                      const struct compare *c)
{
    if (!reconcile_repairs(c) &&
        !(aside_reached(p, r, c->opt.barrier) &&
          aside_reached(p, p->repl[p->index_id], c->opt.barrier))) {
        return false;
    }
    return p->log.pending[r->id] <= p->config.repair_room / 4 &&
           (!c->automatic || !r->blank || p->now_ms - c->began_ms >= SOON_MS ||
            aside_reached(p, r, r->live_tail));
}

static void go_on(struct primary *p, struct repl *r, struct compare *c)
{
    if (c->phase == COMPARE_QUEUED) {
        if (may_begin(p, r, c)) {
            begin(p, c);
        }
    } else if (c->phase == COMPARE_SETTLING &&
               aside_reached(p, r, c->barrier) &&
               aside_reached(p, p->repl[p->index_id], c->barrier)) {
        reconcile_list(p, c);
    } else if (c->phase == COMPARE_RESOLVING) {
        if (feed_step(p, c) && c->resolved && feed_room(p, r) > 0) {
            c->resolved = false;
            if (c->resolve_at < c->resolve_count) {
                reconcile_ask_names(p, c);
            } else {
                reconcile_walk(p, c);
            }
        }
    } else if (c->phase == COMPARE_WALKING) {
        (void)feed_step(p, c);
    } else if (c->phase == COMPARE_FEEDING) {
        if (feed_step(p, c)) {
            reconcile_fed(p, c);
        }
    } else if (c->phase == COMPARE_DRAINING &&
               aside_reached(p, r, c->barrier)) {
        reconcile_finish(p, c);
    }
}

void reconcile_step(struct primary *p, struct repl *r)
{
    if (r->is_index || !may_compare(p, r)) {
        return;
    }
    struct compare *c = reconcile_current(r);
    if (c == NULL ||
        (c->phase == COMPARE_QUEUED && !c->automatic && !may_begin(p, r, c))) {
        maybe_own(p, r);
    }
    c = reconcile_current(r);
    if (c != NULL) {
        go_on(p, r, c);
    }
}

void reconcile_owe(struct primary *p, struct repl *r)
{
    r->owed = true;
    r->blind = true;
    r->debts++;
    r->live_tail = p->log.tail_seq;
}

void reconcile_owe_soon(struct primary *p, struct repl *r)
{
    if (!r->owed_soon) {
        r->owed_soon_ms = p->now_ms;
    }
    r->owed_soon = true;
    r->blind = true;
    r->debts++;
    r->live_tail = p->log.tail_seq;
}

bool reconcile_is_owed(const struct repl *r)
{
    return r->owed || r->owed_soon || r->blind || r->held > 0 || r->passed > 0;
}

void reconcile_settled(struct repl *r, unsigned debts)
{
    if (r->debts == debts) {
        r->owed = r->owed_soon = r->blind = false;
    }
}

void reconcile_connected(struct primary *p, struct repl *r)
{
    r->owed = true;
    r->debts++;
    r->compare_after_ms = 0;
    r->compare_fails = 0;
    reconcile_step(p, r);
}

void reconcile_disconnected(struct primary *p, struct repl *r,
                            const struct err *err)
{
    struct compare *c, *next;

    (void)err;
    for (c = r->jobs; c != NULL; c = next) {
        next = c->next;
        if (c->phase == COMPARE_ENDED) {
            continue;
        }
        if (c->phase >= COMPARE_RESOLVING) {
            undone_count(r, c);
        }
        if (c->automatic || c->abandoned) {
            differs_again(p, r, c);
            free_job(r, c);
            continue;
        }
        clear_work(p, c);
        free_names(c);
        uncompared_free(&c->uncompared);
        c->phase = COMPARE_QUEUED;
        memset(&c->result, 0, sizeof c->result);
    }
    r->owed = true;
}

void reconcile_free_jobs(struct primary *p, struct repl *r)
{
    (void)p;
    while (r->jobs != NULL) {
        free_job(r, r->jobs);
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
    reconcile_step(p, r);
    return id;
}

static struct compare *find_job(struct primary *p, uint64_t id)
{
    struct repl *r;

    EACH_REPL(p, r) {
        for (struct compare *c = r->jobs; c != NULL; c = c->next) {
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
        uint64_t open = p->log.pending[r->id] + r->flights_count;
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
    if (c->phase == COMPARE_WALKING) {
        walk_leave(p, c->replica);
    }
    if (reconcile_repairs(c) && c->phase >= COMPARE_RESOLVING &&
        c->phase < COMPARE_ENDED) {
        reconcile_owe_soon(p, r); /* what it found is still to be repaired */
    }
    free_job(r, c);
}
