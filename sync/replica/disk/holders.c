/* SPDX-License-Identifier: MIT
 *
 * holders: see holders.h. */
#include "sync/replica/disk/holders.h"

#include <stdbool.h>
#include <string.h>

#include "store/base/clock.h"
#include "store/layout/lock.h"

#define KEEP_NS (2 * NS_PER_S)
#define SPEND_NS (NS_PER_S / 20) /* of each second */

static bool may_read(struct holders *h, int64_t now)
{
    if (now - h->window_ns >= NS_PER_S) {
        h->window_ns = now;
        h->spent_ns = 0;
    }
    return h->spent_ns < SPEND_NS;
}

void holders_find(struct holders *h, const struct stat *st, uint32_t *pid_out,
                  char comm[16])
{
    *pid_out = 0;
    memset(comm, 0, 16);
    if (st->st_ino == 0) {
        return;
    }
    size_t i = (size_t)(st->st_ino % HOLDERS_KEPT);
    int64_t now = clock_mono_ns();
    bool same = h->kept[i].ino == st->st_ino && h->kept[i].dev == st->st_dev;
    bool young = same && now - h->kept[i].read_ns < KEEP_NS;
    if (!young && may_read(h, now)) {
        char name[16] = "";
        pid_t pid = lock_holder(st, 0, name);
        int64_t after = clock_mono_ns();
        h->reads++;
        h->spent_ns += after - now;
        h->kept[i].dev = st->st_dev;
        h->kept[i].ino = st->st_ino;
        h->kept[i].read_ns = after;
        h->kept[i].pid = pid > 0 ? (uint32_t)pid : 0;
        memcpy(h->kept[i].comm, name, sizeof name);
        same = true;
    }
    if (!same) {
        return;
    }
    *pid_out = h->kept[i].pid;
    memcpy(comm, h->kept[i].comm, 16);
}
