/* SPDX-License-Identifier: MIT
 *
 * compare: see compare_data.h.
 */
#include "sync/primary/compare_data.h"

#include <stdlib.h>
#include <string.h>

#include "sync/primary/primary_impl.h"

bool compare_repairs(const struct compare *c)
{
    return c->opt.mode == COMPARE_REPAIR;
}

struct compare *compare_current(struct repl *r)
{
    struct compare *c = r->compares.jobs;

    while (c != NULL && c->phase == COMPARE_ENDED) {
        c = c->next;
    }
    return c;
}

uint64_t compare_request(struct primary *p, const struct compare *c)
{
    return primary_id(p) | (c->view ? WIRE_ID_VIEW : 0);
}

bool compare_copy_name(struct diff_name *out, struct bytes table,
                       struct bytes key)
{
    uint8_t *copy = malloc(table.len + key.len + 1);

    if (copy == NULL) {
        return false;
    }
    if (table.len > 0) {
        memcpy(copy, table.p, table.len);
    }
    if (key.len > 0) {
        memcpy(copy + table.len, key.p, key.len);
    }
    out->table = (struct bytes){copy, table.len};
    out->key = (struct bytes){copy + table.len, key.len};
    return true;
}

struct diff *compare_find(const struct compare *c, struct digest name)
{
    struct diff want = {.name = name};

    return c->diffs.count == 0 ? NULL
                               : bsearch(&want, c->diffs.list, c->diffs.count,
                                         sizeof *c->diffs.list, digest_compare);
}

uint64_t compare_beyond(const struct compare *c)
{
    return c->diffs.beyond[DIFF_MISSING] + c->diffs.beyond[DIFF_EXTRA] +
           c->diffs.beyond[DIFF_VALUE];
}

void compare_keep_none(struct compare *c)
{
    c->diffs.kept_extra = c->diffs.kept_other = 0;
    c->diffs.went_free = c->diffs.went_replaced = 0;
    memset(c->diffs.beyond, 0, sizeof c->diffs.beyond);
    memset(&c->diffs.beyond_leaves, 0, sizeof c->diffs.beyond_leaves);
}

void compare_add_name(struct compare *c, enum diff_kind kind, bool is_table,
                      struct bytes table, struct bytes key)
{
    if (c->names_count >= c->opt.names_max) {
        return;
    }
    if (c->names_count == c->names_cap) {
        size_t cap = c->names_cap ? c->names_cap * 2 : 64;
        struct diff_name *names = realloc(c->names, cap * sizeof *names);
        if (names == NULL) {
            return;
        }
        c->names = names;
        c->names_cap = cap;
    }
    struct diff_name *name = &c->names[c->names_count];
    if (compare_copy_name(name, table, key)) {
        name->kind = kind;
        name->is_table = is_table;
        c->names_count++;
    }
}

size_t compare_waiting(const struct compare *c)
{
    return c->naming.waiting.len - c->naming.waiting_at;
}

static void clear_waiting(struct primary *p, struct compare *c)
{
    p->waiting_bytes -= compare_waiting(c);
    buf_deinit(&c->naming.waiting);
    c->naming.waiting_at = 0;
    c->naming.left_out = 0;
    c->naming.walk_err = (struct err){0};
}

void compare_clear(struct primary *p, struct compare *c)
{
    free(c->narrow.buckets_todo);
    free(c->narrow.buckets_all);
    free(c->narrow.asked);
    free(c->narrow.got);
    free(c->diffs.list);
    free(c->diffs.last);
    free(c->resolve.list);
    c->narrow.buckets_todo = c->narrow.buckets_all = NULL;
    c->narrow.asked = NULL;
    c->narrow.got = NULL;
    c->narrow.got_count = c->narrow.got_cap = 0;
    c->diffs.list = c->diffs.last = NULL;
    c->diffs.count = c->diffs.cap = c->diffs.last_count = 0;
    c->resolve.list = NULL;
    c->resolve.count = c->resolve.at = 0;
    c->diffs.whole_count = 0;
    clear_waiting(p, c);
    compare_keep_none(c);
    c->round = 0;
    c->resolve.done = false;
    c->applies = c->names_asked = false;
}

void compare_free_names(struct compare *c)
{
    for (size_t i = 0; i < c->names_count; i++) {
        free((void *)(uintptr_t)c->names[i].table.p);
    }
    free(c->names);

    c->names = NULL;
    c->names_count = c->names_cap = 0;
}

void compare_free_job(struct repl *r, struct compare *c)
{
    struct compare **at = &r->compares.jobs;

    while (*at != c) {
        at = &(*at)->next;
    }
    *at = c->next;
    compare_clear(r->p, c);
    compare_free_names(c);
    uncompared_free(&c->uncompared);
    free(c);
}
