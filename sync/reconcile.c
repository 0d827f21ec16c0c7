/* SPDX-License-Identifier: MIT
 *
 * reconcile: compare one replica with the index, and repair what differs.
 *
 * Happy path of a comparison (struct compare), one at a time per replica:
 *
 *   QUEUED -> (SCANNING) -> TOP -> BUCKETS -> LISTING -> [SETTLING -> LISTING]*
 *          -> RESOLVING -> WALKING -> DRAINING -> ENDED
 *
 * TOP and BUCKETS narrow 65,536 buckets down to those whose digests differ;
 * LISTING fetches their entries (name hash, value digest); what differs is a
 * *diff*.  RESOLVING asks the replica for the names of what only it has,
 * WALKING finds the names of what the primary has (reconcile_walk.c); each name
 * goes into the change log for this replica alone, where the ordinary path
 * looks at the key and sends what is there.  So a comparison may be wrong about
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
#include <stdlib.h>
#include <string.h>

#include "sync/primary_impl.h"

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

static void clear_work(struct compare *c)
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
    clear_work(c);
    free_names(c);
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

void reconcile_restart(struct compare *c)
{
    clear_work(c);
    c->opt.scan = c->opt.content = false;
    c->phase = COMPARE_QUEUED;
    c->walk_wanted = false;
}

static const char *phase_word(enum compare_phase phase)
{
    static const char *const words[] = {
        "waiting",  "scanning",  "comparing", "comparing", "comparing",
        "settling", "comparing", "repairing", "repairing", "done"};

    return words[phase];
}

/* Over: the operator's job stays for its owner, ours is freed. */
static void end(struct primary *p, struct compare *c)
{
    struct repl *r = p->repl[c->replica];

    walk_leave(p, c->replica);
    c->phase = COMPARE_ENDED;
    c->result.done = true;
    clear_work(c);
    if (c->automatic || c->abandoned) {
        free_job(r, c);
        return;
    }
    c->result.names = c->names;
    c->result.names_count = c->names_count;
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
    uint64_t left =
        reconcile_beyond(c) - (res->held ? c->beyond[DIFF_EXTRA] : 0);

    if (reconcile_repairs(c)) {
        c->result.unread =
            aside_pass(p, r, c->barrier, &c->result.unread_err);
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
            res->to_repair - (res->unread < res->to_repair ? res->unread
                                                           : res->to_repair);
        r->next_ping_ms = p->now_ms; /* prove it */
        brake_applied(p, r, c);
    }
    end(p, c);
}

/* --- beginnings ---------------------------------------------------------- */

static void begin(struct primary *p, struct compare *c)
{
    struct repl *r = p->repl[c->replica];

    aside_adopt(p, r);
    c->debts = r->debts;
    if (c->opt.scan || c->opt.content) {
        c->phase = COMPARE_SCANNING;
        c->request = primary_id(p);
        struct wire_scan m = {.id = c->request, .content = c->opt.content};
        wire_put_scan(&r->out, &m);
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
    if (m->result.errors > 0 && !reconcile_repairs(c)) {
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

/* Time for one of our own? */
static void maybe_own(struct primary *p, struct repl *r)
{
    /* Comparisons in vain: the replica may believe to have what is not on its
     * disk, and finds no name for it until it has scanned. */
    const struct compare_options o = {.mode = COMPARE_REPAIR,
                                      .scan = r->compare_fails >= IN_VAIN,
                                      .names_max = 20};
    bool now =
        r->owed || (r->owed_soon && (session_quiet(p, r) ||
                                     p->now_ms - r->owed_soon_ms >= SOON_MS));

    if (!now || p->now_ms < r->compare_after_ms) {
        return;
    }
    struct compare *c = add_job(p, r, &o);
    if (c != NULL) {
        c->automatic = true;
    }
}

static bool may_compare(struct primary *p, struct repl *r)
{
    return r->session == SESSION_LIVE && !r->closing && r->digests_known &&
           p->index_ready && !p->lost &&
           aside_reached(p, p->repl[p->index_id], r->live_tail);
}

/* Our own comparison waits until what was in the log when the index was ready
 * has arrived: it would only find that missing, and send it again. */
static bool may_begin(struct primary *p, struct repl *r,
                      const struct compare *c)
{
    return p->log.pending[r->id] < REPAIR_ROOM / 4 &&
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
    } else if (c->phase == COMPARE_RESOLVING && c->resolved &&
               p->log.pending[r->id] < REPAIR_ROOM) {
        c->resolved = false;
        if (c->resolve_at < c->resolve_count) {
            reconcile_ask_names(p, c);
        } else {
            reconcile_walk(p, c);
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
    if (reconcile_current(r) == NULL) {
        maybe_own(p, r);
    }
    struct compare *c = reconcile_current(r);
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

    (void)p;
    (void)err;
    for (c = r->jobs; c != NULL; c = next) {
        next = c->next;
        if (c->phase == COMPARE_ENDED) {
            continue;
        }
        if (c->automatic || c->abandoned) {
            free_job(r, c);
            continue;
        }
        clear_work(c);
        free_names(c);
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

    EACH_REPL(p, r)
    {
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
    if (c->phase == COMPARE_DRAINING || c->phase == COMPARE_WALKING) {
        uint64_t open = p->log.pending[r->id] + r->flights_count;
        c->result.repaired =
            open < c->result.to_repair ? c->result.to_repair - open : 0;
    }
    return &c->result;
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
    free_job(r, c);
}
