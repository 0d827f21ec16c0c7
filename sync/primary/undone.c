/* SPDX-License-Identifier: MIT
 *
 * undone: see undone.h.
 */
#include "sync/primary/undone.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sync/primary/primary_impl.h"

static bool make_room(struct undone *u)
{
    if (u->names_count < u->names_cap) {
        return true;
    }
    size_t cap = u->names_cap ? u->names_cap * 2 : 64;
    struct diff_name *names = realloc(u->names, cap * sizeof *names);
    if (names == NULL) {
        return false;
    }
    u->names = names;
    u->names_cap = cap;
    return true;
}

/* Names are for people: the counts are right without them. */
static void add_name(struct undone *u, const struct diff_name *n)
{
    if (u->names_count == UNDONE_NAMES_MAX || !make_room(u)) {
        return;
    }
    struct diff_name *copy = &u->names[u->names_count];
    if (compare_copy_name(copy, n->table, n->key)) {
        copy->kind = n->kind;
        copy->is_table = n->is_table;
        u->names_count++;
    }
}

void undone_count(struct repl *r, const struct compare *c)
{
    struct undone *u = &r->undone;

    if (!u->suspect || !compare_repairs(c)) {
        return;
    }
    /* What is left for another comparison is counted by that. */
    u->different += c->result.different - c->diffs.beyond[DIFF_VALUE];
    u->extra +=
        c->result.held ? 0 : c->result.extra - c->diffs.beyond[DIFF_EXTRA];
    for (size_t i = 0; i < c->names_count; i++) {
        const struct diff_name *n = &c->names[i];
        if (n->kind == DIFF_VALUE ||
            (n->kind == DIFF_EXTRA && !c->result.held)) {
            add_name(u, n);
        }
    }
}

void undone_ended(struct primary *p, struct repl *r)
{
    struct undone *u = &r->undone;
    struct action a = {.type = ACT_UNDONE, .replica = r->id};

    if (!u->suspect) {
        return;
    }
    u->suspect = false;
    if (u->extra + u->different > 0) {
        primary_log(
            p, r->id, LOG_WARNING, DR_UNDONE,
            "after an unclean stop of the primary: %" PRIu64 " keys removed "
            "that it did not have any more, %" PRIu64 " replaced by what it "
            "has; the old values are kept on the replica",
            u->extra, u->different);
    }
    primary_act(p, &a);
}

void undone_forget(struct repl *r)
{
    struct undone *u = &r->undone;

    for (size_t i = 0; i < u->names_count; i++) {
        free((void *)(uintptr_t)u->names[i].table.p);
    }
    free(u->names);
    *u = (struct undone){.suspect = u->suspect};
}

/* --- for the shell ------------------------------------------------------- */

void primary_suspect(struct primary *p, int replica)
{
    primary_repl(p, replica)->undone.suspect = true;
}

bool primary_is_suspect(struct primary *p, int replica)
{
    return primary_repl(p, replica)->undone.suspect;
}

bool primary_undone(struct primary *p, int replica, struct primary_undone *out)
{
    const struct undone *u = &primary_repl(p, replica)->undone;

    *out = (struct primary_undone){.extra = u->extra,
                                   .different = u->different,
                                   .names = u->names,
                                   .names_count = u->names_count};
    return u->extra + u->different > 0;
}

void primary_undone_forget(struct primary *p, int replica)
{
    undone_forget(primary_repl(p, replica));
}
