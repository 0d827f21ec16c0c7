/* SPDX-License-Identifier: MIT
 *
 * gate: see gate.h. */
#include "sync/primary/log/gate.h"

uint64_t gate_open(struct gates *g, uint64_t tail)
{
    if (g->count == GATES_MAX) {
        return 0;
    }
    g->list[g->count++] = (struct gate){.id = ++g->last_id, .from = tail + 1};
    return g->last_id;
}

void gate_close(struct gates *g, uint64_t id, uint64_t tail)
{
    for (size_t i = 0; i < g->count; i++) {
        struct gate *at = &g->list[i];
        if (at->id == id && at->to == 0) {
            at->to = tail > 0 ? tail : 1;
        }
    }
}

void gate_drop(struct gates *g, bool (*passed)(void *arg, uint64_t to),
               void *arg)
{
    size_t kept = 0;

    for (size_t i = 0; i < g->count; i++) {
        const struct gate *at = &g->list[i];
        if (at->to == 0 || !passed(arg, at->to)) {
            g->list[kept++] = *at;
        }
    }
    g->count = kept;
}

bool gate_any_open(const struct gates *g)
{
    bool any = false;

    for (size_t i = 0; i < g->count; i++) {
        any = any || g->list[i].to == 0;
    }
    return any;
}

bool gate_holds(const struct gates *g, uint64_t seq, uint64_t gate)
{
    for (size_t i = 0; i < g->count; i++) {
        const struct gate *at = &g->list[i];
        if (at->id == gate ||
            (seq >= at->from && (at->to == 0 || seq <= at->to))) {
            return true;
        }
    }
    return false;
}
