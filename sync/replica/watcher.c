/* SPDX-License-Identifier: MIT
 *
 * watcher: the thread of `drover-replica receive` that looks twice a second
 * whether another receiver asks for the lock, whether the directory is still
 * the one that was opened, whether the agent is silent and whether the end
 * takes too long, and tells local applications about changes.
 *
 * It never writes to stdout, so it cannot hang with the threads it watches.
 * It ends the process on the spot, which is safe at any moment because every
 * change on disk is one rename.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "store/base/clock.h"
#include "sync/replica/receive.h"

enum {
    WATCH_MS = 500,
    TRASH_MS = 2000,
    APPLIED_MS = 1000,       /* applied is replaced at most this often */
    SILENCE_EXTRA_MS = 2000, /* the core gives up first, with better words */
    HELLO_MS = 60 * 1000,    /* from start to HELLO */
    ENDING_MS = 60 * 1000,   /* from the end of input to the end of all */
};

/* Not a normal end: the lock is wanted or a thread hangs in a write. */
static _Noreturn void leave_now(const char *why, int code)
{
    replica_say("leaving: %s", why);
    _exit(code);
}

/* Values in the trash grow old; and the operator should know when it is full.
 */
static void tend_trash(struct receive *rv, int64_t now_ms)
{
    char notice[ERR_MSG_BYTES];
    struct trash *const kinds[] = {&rv->disk.trash, &rv->disk.undone};

    if (now_ms - rv->trash_ms < TRASH_MS) {
        return;
    }
    rv->trash_ms = now_ms;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        trash_sweep(kinds[i]);
        if (trash_notice(kinds[i], notice, sizeof notice)) {
            replica_say("%s", notice);
        }
    }
}

static void watch_once(struct receive *rv, uint64_t *applied)
{
    struct err err;
    int64_t now = clock_mono_ms();

    pthread_mutex_lock(&rv->mutex);
    int64_t ending_ms = rv->ending_ms;
    pthread_mutex_unlock(&rv->mutex);
    int64_t silent_ms = now - atomic_load(&rv->input_ms);
    if (ending_ms != 0 && now - ending_ms > ENDING_MS) {
        leave_now("the end took too long", EX_TEMPFAIL);
    }
    if (!atomic_load(&rv->disk.identified)) {
        if (ending_ms == 0 && now - rv->start_ms > HELLO_MS) {
            leave_now("no agent said hello", EX_PROTOCOL);
        }
        return;
    }
    receive_check_takeover(rv, silent_ms);
    int64_t limit = atomic_load(&rv->silence_ms);
    if (limit > 0 && silent_ms > limit + SILENCE_EXTRA_MS) {
        leave_now("the agent is silent", EX_TEMPFAIL);
    }
    if (now - rv->applied_ms >= APPLIED_MS &&
        disk_report_applied(&rv->disk, applied, &err) == 0) {
        rv->applied_ms = now;
    }
    tend_trash(rv, now);
}

void receive_check_takeover(struct receive *rv, int64_t silent_ms)
{
    char why[160];

    pthread_mutex_lock(&rv->takeover_mutex);
    bool leave =
        session_superseded(&rv->disk.session, silent_ms, why, sizeof why);
    pthread_mutex_unlock(&rv->takeover_mutex);
    if (leave || disk_lost(&rv->disk, why, sizeof why)) {
        leave_now(why, EX_TEMPFAIL);
    }
}

void *receive_watcher(void *arg)
{
    struct receive *rv = arg;
    uint64_t applied = 0;
    bool stop = false;

    while (!stop) {
        watch_once(rv, &applied);
        struct timespec ts;
        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        ts.tv_nsec += WATCH_MS * (long)NS_PER_MS;
        if (ts.tv_nsec >= NS_PER_S) {
            ts.tv_sec++;
            ts.tv_nsec -= (long)NS_PER_S;
        }
        pthread_mutex_lock(&rv->watch_mutex);
        if (!rv->watch_stop) {
            (void)pthread_cond_clockwait(&rv->watch_wake, &rv->watch_mutex,
                                         CLOCK_MONOTONIC, &ts);
        }
        stop = rv->watch_stop;
        pthread_mutex_unlock(&rv->watch_mutex);
    }
    struct err err;
    if (atomic_load(&rv->disk.identified) &&
        disk_report_applied(&rv->disk, &applied, &err) != 0) {
        replica_say_error(&err);
    }
    return NULL;
}
