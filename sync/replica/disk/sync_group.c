/* SPDX-License-Identifier: MIT
 *
 * sync_group: see sync_group.h.
 *
 * The threads are started with the first group that uses them and kept.  A
 * group is handed over as one array: each thread takes the next index until
 * none is left, and the last to finish wakes the caller.
 */
#include "sync/replica/disk/sync_group.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/base/clock.h"
#include "store/base/sys.h"

enum {
    INTERVAL_MIN = 32,   /* groups between tries of the slower way */
    INTERVAL_MAX = 2048, /* it doubles each time the slower way stays slower */
};

struct sync_group {
    int fs_fd;
    bool syncfs_failed;
    struct sync_choice choice;
    pthread_mutex_t mutex;
    pthread_cond_t work; /* there are files to take, or stop */
    pthread_cond_t done; /* left became 0 */
    pthread_t threads[SYNC_GROUP_THREADS];
    size_t started;
    bool stop;
    const int *fds; /* the group under way */
    size_t n;
    size_t next; /* first file nobody took */
    size_t left; /* files not finished */
    size_t split;
    int sys[2]; /* first error of those before the split, and of the rest */
};

static size_t size_class(size_t n)
{
    if (n < 64) {
        return 0;
    }
    return n < 256 ? 1 : 2;
}

enum sync_way sync_choice_next(struct sync_choice *c, size_t n)
{
    size_t k = size_class(n);

    if (n < SYNC_GROUP_MANY) {
        return SYNC_WAY_THREADS;
    }
    if (c->size[k].cost_ns[SYNC_WAY_SYNCFS] == 0) {
        return SYNC_WAY_SYNCFS;
    }
    if (c->size[k].cost_ns[SYNC_WAY_THREADS] == 0) {
        return SYNC_WAY_THREADS;
    }
    bool syncfs_wins = c->size[k].cost_ns[SYNC_WAY_SYNCFS] <=
                       c->size[k].cost_ns[SYNC_WAY_THREADS];
    if (c->size[k].interval == 0) {
        c->size[k].interval = INTERVAL_MIN;
    }
    if (++c->size[k].since >= c->size[k].interval) {
        syncfs_wins = !syncfs_wins;
    }
    return syncfs_wins ? SYNC_WAY_SYNCFS : SYNC_WAY_THREADS;
}

void sync_choice_took(struct sync_choice *c, size_t n, enum sync_way way,
                      int64_t ns)
{
    assert(n > 0);
    if (n < SYNC_GROUP_MANY) {
        return;
    }
    size_t k = size_class(n);
    int64_t cost = ns / (int64_t)n;
    if (cost < 1) {
        cost = 1;
    }
    int64_t *mine = &c->size[k].cost_ns[way];
    int64_t other =
        c->size[k].cost_ns[way == SYNC_WAY_SYNCFS ? SYNC_WAY_THREADS
                                                  : SYNC_WAY_SYNCFS];
    bool tried = c->size[k].since >= c->size[k].interval && other != 0;
    if (tried) {
        /* A try of the slower way: what it took now counts, not what it took
         * long ago; still slower, and it is tried less often. */
        *mine = cost;
        c->size[k].since = 0;
        if (cost < other) {
            c->size[k].interval = INTERVAL_MIN;
        } else if (c->size[k].interval < INTERVAL_MAX) {
            c->size[k].interval *= 2;
        }
        return;
    }
    *mine = *mine == 0 ? cost : (*mine * 3 + cost) / 4;
}

struct sync_group *sync_group_new(int fs_fd)
{
    struct sync_group *g = calloc(1, sizeof *g);

    if (g == NULL) {
        return NULL;
    }
    g->fs_fd = fs_fd;
    if (pthread_mutex_init(&g->mutex, NULL) != 0 ||
        pthread_cond_init(&g->work, NULL) != 0 ||
        pthread_cond_init(&g->done, NULL) != 0) {
        free(g);
        return NULL;
    }
    return g;
}

void sync_group_free(struct sync_group *g)
{
    if (g == NULL) {
        return;
    }
    pthread_mutex_lock(&g->mutex);

    g->stop = true;
    pthread_cond_broadcast(&g->work);
    pthread_mutex_unlock(&g->mutex);
    for (size_t i = 0; i < g->started; i++) {
        (void)pthread_join(g->threads[i], NULL);
    }
    pthread_cond_destroy(&g->done);
    pthread_cond_destroy(&g->work);
    pthread_mutex_destroy(&g->mutex);
    free(g);
}

static int fsync_fd(int fd)
{
    return sys_fsync(fd) == 0 ? 0 : errno;
}

static void keep_first(int *kept, int sys)
{
    if (*kept == 0) {
        *kept = sys;
    }
}

static void *sync_thread(void *arg)
{
    struct sync_group *g = arg;

    pthread_mutex_lock(&g->mutex);
    while (!g->stop) {
        if (g->next == g->n) {
            pthread_cond_wait(&g->work, &g->mutex);
            continue;
        }
        size_t at = g->next++;
        int fd = g->fds[at];
        pthread_mutex_unlock(&g->mutex);
        int sys = fsync_fd(fd);
        pthread_mutex_lock(&g->mutex);
        keep_first(&g->sys[at >= g->split], sys);
        if (--g->left == 0) {
            pthread_cond_signal(&g->done);
        }
    }
    pthread_mutex_unlock(&g->mutex);
    return NULL;
}

static void one_by_one(const int *fds, size_t split, size_t n, int sys_out[2])
{
    for (size_t i = 0; i < n; i++) {
        keep_first(&sys_out[i >= split], fsync_fd(fds[i]));
    }
}

static void by_threads(struct sync_group *g, const int *fds, size_t split,
                       size_t n, int sys_out[2])
{
    while (g->started < SYNC_GROUP_THREADS && g->started < n) {
        if (pthread_create(&g->threads[g->started], NULL, sync_thread, g) !=
            0) {
            break;
        }
        g->started++;
    }
    if (g->started == 0) {
        one_by_one(fds, split, n, sys_out);
        return;
    }
    pthread_mutex_lock(&g->mutex);

    g->fds = fds;
    g->next = 0;
    g->split = split;
    g->n = n;
    g->left = n;
    g->sys[0] = g->sys[1] = 0;
    pthread_cond_broadcast(&g->work);
    while (g->left > 0) {
        pthread_cond_wait(&g->done, &g->mutex);
    }
    g->fds = NULL;
    g->next = g->n = 0;
    memcpy(sys_out, g->sys, sizeof g->sys);
    pthread_mutex_unlock(&g->mutex);
}

/* In the way that is likely the fastest; 0, or the code of a failed syncfs. */
static int run(struct sync_group *g, const int *fds, size_t split, size_t n,
               int sys_out[2], struct err *err)
{
    if (n <= SYNC_GROUP_FEW) {
        one_by_one(fds, split, n, sys_out);
        return 0;
    }
    enum sync_way way =
        g->syncfs_failed ? SYNC_WAY_THREADS : sync_choice_next(&g->choice, n);
    int64_t start = clock_mono_ns();
    if (way == SYNC_WAY_SYNCFS) {
        int rc = sync_group_all(g, err);
        if (rc != 0) {
            return rc;
        }
    } else {
        by_threads(g, fds, split, n, sys_out);
    }
    if (sys_out[0] == 0 && sys_out[1] == 0) {
        sync_choice_took(&g->choice, n, way, clock_mono_ns() - start);
    }
    return 0;
}

void sync_group_run_two(struct sync_group *g, const int *fds, size_t split,
                        size_t n, struct err *err, struct err *rest_err)
{
    int sys[2] = {0, 0};

    err->code = rest_err->code = 0;
    if (run(g, fds, split, n, sys, err) != 0) {
        /* Whose write was lost is not told: the rest are asked themselves. */
        one_by_one(fds + split, 0, n - split, sys);
    }
    if (sys[0] != 0) {
        (void)err_sys(err, sys[0], "fsync");
    }
    if (sys[1] != 0) {
        (void)err_sys(rest_err, sys[1], "fsync");
    }
}

int sync_group_run(struct sync_group *g, const int *fds, size_t n,
                   struct err *err)
{
    struct err none;

    sync_group_run_two(g, fds, n, n, err, &none);
    return err->code;
}

int sync_group_all(struct sync_group *g, struct err *err)
{
    if (sys_syncfs(g->fs_fd) != 0) {
        g->syncfs_failed = true;
        return err_sys(err, errno, "syncfs");
    }
    return 0;
}
