/* SPDX-License-Identifier: MIT
 *
 * reconcile_end: how a comparison ends: with its result, or with an error.
 *
 * The operator's job stays for its owner, our own is freed.  What it has shown
 * of the replica counts from here on (due.h, differs.h, undone.h, brake.h), and
 * when the next one may begin.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/backoff.h"
#include "sync/primary/compare/compare.h"

enum {
    AGAIN_FIRST_MS = 1000,
    AGAIN_MAX_MS = 60000,
};

static uint64_t *count_of(struct compare_result *res, enum diff_kind kind)
{
    return kind == DIFF_MISSING ? &res->missing
           : kind == DIFF_EXTRA ? &res->extra
                                : &res->different;
}

/* Nobody knows whether it differs: it is listed once. */
static void drop_uncompared(struct compare *c)
{
    size_t kept = 0;

    for (size_t i = 0; i < c->names_count; i++) {
        const struct diff_name *n = &c->names[i];
        uint64_t *count = count_of(&c->result, n->kind);
        if (!uncompared_lists(&c->uncompared, n->is_table, n->table, n->key)) {
            c->names[kept++] = *n;
            continue;
        }
        free((void *)(uintptr_t)n->table.p);
        *count -= *count > 0;
        c->result.to_repair -= c->result.to_repair > c->result.repaired;
    }
    c->names_count = kept;
}

/* Over: the operator's job stays for its owner, ours is freed. */
static void end(struct primary *p, struct compare *c)
{
    struct repl *r = p->repl[c->replica];

    walk_unsubscribe(p, c->replica);
    c->phase = COMPARE_ENDED;
    c->result.done = true;
    compare_clear(p, c);
    if (c->automatic || c->abandoned) {
        compare_free_job(r, c);
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
    if (!found) {
        r->compares.fails = 0;
        r->compares.after_ms = p->now_ms;
        return;
    }
    r->compares.after_ms =
        p->now_ms +
        backoff_doubled(AGAIN_FIRST_MS, r->compares.fails, AGAIN_MAX_MS);
    r->compares.fails++;
}

void compare_fail(struct primary *p, struct compare *c, const struct err *err)
{
    struct repl *r = p->repl[c->replica];

    heard_give_back(p, r, c);
    c->result.failed = true;
    c->result.err = *err;
    if (c->phase >= COMPARE_RESOLVING) {
        undone_count(r, c);
    }
    differs_again(p, r, c);
    if (compare_repairs(c)) {
        note_again(p, r, true);
        r->due.now = r->due.now ||
                     r->due.lag_unknown; /* what it was to settle is open */
    }
    if (c->automatic) {
        primary_log(p, r->id, LOG_WARNING, err->id, "comparison: %s", err->msg);
    }
    end(p, c);
}

void compare_no_memory(struct primary *p, struct compare *c)
{
    struct err err;

    (void)err_set(&err, ERR_NOMEM, 0, "out of memory for a comparison");
    compare_fail(p, c, &err);
}

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
    /* Those that the index has are among what it counts. */
    c->result.compared -=
        u->count < c->result.compared ? u->count : c->result.compared;
    if (u->n == 0) {
        return;
    }
    struct err *err = &c->result.unread_err;
    uncompared_err(&u->keys[0], err);
    if (u->count > 1) {
        size_t at = strlen(err->msg);
        (void)snprintf(more, sizeof more, ", and %" PRIu64 " more keys",
                       (u->count - 1));
        (void)snprintf(err->msg + at, sizeof err->msg - at, "%s", more);
    }
}

/* A part is repaired.  The rest is for another comparison: soon while there is
 * less left each time, else with back-off. */
static void next_part(struct primary *p, struct repl *r, uint64_t left)
{
    bool less = r->compares.remaining == 0 || left < r->compares.remaining;

    due_now(p, r);
    if (less) {
        r->compares.after_ms = p->now_ms + AGAIN_FIRST_MS;
    } else {
        note_again(p, r, true);
    }
    r->compares.remaining = left;
}

void compare_finish(struct primary *p, struct compare *c)
{
    struct repl *r = p->repl[c->replica];
    const struct compare_result *res = &c->result;
    bool found = res->missing + res->extra + res->different > 0;
    uint64_t left = compare_beyond(c) + c->naming.left_out -
                    (res->held ? c->diffs.beyond[DIFF_EXTRA] : 0);

    list_uncompared(p, c, compare_repairs(c) ? c->barrier : c->opt.barrier);
    if (compare_repairs(c)) {
        if (r->session.last_error.id == DR_TIMED_OUT) { /* silent.c */
            r->session.last_error = (struct err){0};
        }
        stalled_pass(r, c->barrier);
        c->result.left = left;
        if (found && c->automatic) {
            primary_log(p, r->id, LOG_NOTICE, DR_NONE,
                        "compared: %" PRIu64 " missing, %" PRIu64
                        " extra, %" PRIu64 " different%s",
                        res->missing, res->extra, res->different,
                        res->held ? " (deletes held by the brake)" : "");
        }
        if (left > 0) {
            next_part(p, r, left);
        } else {
            due_paid(r, c->due_generation);
            r->compares.remaining = 0;
            note_again(p, r, found);
        }
        r->due.lag_unknown = r->due.lag_unknown ||
                             res->held; /* until they are approved and done */
        r->initial = r->blank = false;
        r->heartbeat.mismatches = 0;
        c->result.repaired =
            res->to_repair -
            (res->unread < res->to_repair ? res->unread : res->to_repair);
        undone_count(r, c);
        r->heartbeat.next_ms = p->now_ms; /* prove it */
        brake_applied(p, r, c);
    }
    differs_compared(p, r, c);
    drop_uncompared(c);
    modes_list(r, c);
    end(p, c);
}
