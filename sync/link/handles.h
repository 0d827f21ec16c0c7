/* SPDX-License-Identifier: MIT
 *
 * handles: a counted group of things that must end before their owner's memory
 * may go: uv handles being closed, jobs still in the thread pool.
 *
 * The group is embedded in the owner.  When the last thing has ended, `empty`
 * is called once, from the loop, and may free the owner.  Loop thread only.
 */
#pragma once

#include <uv.h>

struct handles {
    unsigned count;
    void (*empty)(void *owner);
    void *owner;
};

void handles_init(struct handles *g, void (*empty)(void *owner), void *owner);
/* One more thing that has to end first: a handle was initialised, a job began.
 */
void handles_hold(struct handles *g);
/* It ended.  May call `empty`; the owner may be gone afterwards. */
void handles_release(struct handles *g);
/* Close a counted handle; its release follows from the loop.  The handle's
 * `data` belongs to the group from now on. */
void handles_close(struct handles *g, uv_handle_t *h);
