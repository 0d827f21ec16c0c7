/* SPDX-License-Identifier: MIT
 *
 * handles: the counted group of uv handles; see handles.h. */
#include "sync/link/handles.h"

#include <assert.h>
#include <limits.h>
#include <stddef.h>

void handles_init(struct handles *g, void (*empty)(void *owner), void *owner)
{
    g->count = 0;
    g->empty = empty;
    g->owner = owner;
}

void handles_hold(struct handles *g)
{
    assert(g->count < UINT_MAX);
    g->count++;
}

void handles_release(struct handles *g)
{
    assert(g->count > 0);
    if (--g->count == 0) {
        g->empty(g->owner);
    }
}

static void on_closed(uv_handle_t *h)
{
    handles_release(h->data);
}

void handles_close(struct handles *g, uv_handle_t *h)
{
    h->data = g;
    uv_close(h, on_closed);
}
