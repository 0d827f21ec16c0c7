/* SPDX-License-Identifier: MIT
 *
 * receive_end: how `drover-replica receive` comes to its end, whichever thread
 * begins it; see receive.h.
 */
#include <stdlib.h>
#include <unistd.h>

#include "store/base/clock.h"
#include "sync/replica/receive.h"

void receive_wake_reader(struct receive *rv)
{
    uint64_t one = 1;
    ssize_t n = write(rv->wake_fd, &one, sizeof one);

    (void)n; /* a full counter wakes as well */
}

void receive_stop(struct receive *rv)
{
    rv->stop = true;
    if (rv->ending_ms == 0) {
        rv->ending_ms = clock_mono_ms();
    }
    pthread_cond_broadcast(&rv->changed);
    receive_wake_reader(rv);
}

/* The first failure is the session's; what follows from it is not told.  A
 * failure of the core: it has told the agent already. */
bool receive_fail_once(struct receive *rv, const struct err *err)
{
    pthread_mutex_lock(&rv->mutex);
    bool first = !rv->failed && !rv->stop;
    if (first) {
        rv->failed = true;
        rv->error = *err;
    }
    receive_stop(rv);
    pthread_mutex_unlock(&rv->mutex);
    if (first) {
        replica_say_error(err);
    }
    return first;
}

void receive_fail(struct receive *rv, const struct err *err)
{
    if (!receive_fail_once(rv, err)) {
        return;
    }
    pthread_mutex_lock(&rv->out_mutex);
    receive_send_error(err, false);
    pthread_mutex_unlock(&rv->out_mutex);
}
