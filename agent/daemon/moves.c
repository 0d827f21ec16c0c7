/* SPDX-License-Identifier: MIT
 *
 * moves: see moves.h.
 *
 * All moves that one reading of the watch's queue tells of are one to the core.
 */
#include "agent/daemon/moves.h"

#include "agent/daemon/daemon_impl.h"

bool moves_begin(struct daemon *d)
{
    struct moves *m = &d->moves;

    if (m->fresh) {
        return true;
    }
    uint64_t id = m->count < GATES_MAX ? primary_moving(d->core) : 0;
    if (id == 0) {
        return false;
    }
    m->open[m->count].id = id;
    m->open[m->count++].marker = UINT64_MAX;
    m->fresh = true;
    return true;
}

void moves_pump(struct daemon *d)
{
    struct moves *m = &d->moves;
    size_t kept = 0;

    if (m->fresh) {
        m->open[m->count - 1].marker = watch_marker(d->watch);
    }
    m->fresh = false;
    for (size_t i = 0; i < m->count; i++) {
        if (watch_marker_passed(d->watch, m->open[i].marker)) {
            primary_moved(d->core, m->open[i].id, daemon_ms());
        } else {
            m->open[kept++] = m->open[i];
        }
    }
    m->count = kept;
}
