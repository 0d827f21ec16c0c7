/* SPDX-License-Identifier: MIT
 *
 * holders: see holders.h. */
#include "store/layout/holders.h"

#include <stdbool.h>
#include <string.h>

#include "store/base/clock.h"
#include "store/layout/lock.h"

#define KEEP_NS NS_PER_S

enum { SHARE = 20 }; /* asking takes at most this part of the time */

void holders_init(struct holders *h, int exclusive_only)
{
    *h = (struct holders){.exclusive_only = exclusive_only};
    (void)pthread_mutex_init(&h->mutex, NULL);
}

void holders_deinit(struct holders *h)
{
    (void)pthread_mutex_destroy(&h->mutex);
}

static struct holder *slot_of(struct holders *h, dev_t dev, ino_t ino)
{
    return &h->kept[(ino ^ (ino_t)dev) % HOLDERS_KEPT];
}

/* What is known; true: too old or nothing, and it is our turn to ask. */
static bool must_ask(struct holders *h, struct holder *out, int64_t now_ns)
{
    bool due = false;

    pthread_mutex_lock(&h->mutex);
    const struct holder *slot = slot_of(h, out->dev, out->ino);
    if (slot->ino == out->ino && slot->dev == out->dev) {
        *out = *slot;
    }
    if ((out->seen_ns == 0 || now_ns - out->seen_ns >= KEEP_NS) &&
        now_ns >= h->next_ns) {
        due = true;
        h->next_ns = INT64_MAX; /* one at a time */
    }
    pthread_mutex_unlock(&h->mutex);
    return due;
}

static void ask(struct holders *h, struct holder *out, int64_t began_ns)
{
    struct stat st = {.st_dev = out->dev, .st_ino = out->ino};
    pid_t pid = lock_holder(&st, h->exclusive_only, out->comm);

    out->pid = pid > 0 ? (uint32_t)pid : 0;
    out->seen_ns = clock_mono_ns();
    pthread_mutex_lock(&h->mutex);
    *slot_of(h, out->dev, out->ino) = *out;
    h->next_ns = out->seen_ns + (out->seen_ns - began_ns) * SHARE;
    h->asked++;
    pthread_mutex_unlock(&h->mutex);
}

void holders_find(struct holders *h, dev_t dev, ino_t ino, uint32_t *pid_out,
                  char comm[16])
{
    struct holder one = {.dev = dev, .ino = ino};
    int64_t now_ns = clock_mono_ns();

    if (ino != 0 && must_ask(h, &one, now_ns)) {
        ask(h, &one, now_ns);
    }
    *pid_out = one.pid;
    memcpy(comm, one.comm, sizeof one.comm);
}
