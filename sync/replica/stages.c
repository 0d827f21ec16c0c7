/* SPDX-License-Identifier: MIT
 *
 * stages: see stages.h. */
#include "sync/replica/stages.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/map.h"
#include "store/base/retry.h"

enum {
    OPEN_MAX_WANTED = 4096,
    OPEN_OTHERS = 320, /* descriptors left for tables, locks and the rest */
    PREALLOCATE_FROM_BYTES = 1 << 20,
    RESERVE_MAX_BYTES = 256 << 20, /* an announced size is no proof */
    WRITEBACK_EVERY_BYTES = 8 << 20,
};

struct stage {
    uint64_t number;
    int fd;      /* -1: closed */
    bool synced; /* durable already */
    uint64_t written;
    uint64_t reserved; /* on disk, for what was announced */
    uint64_t flushed; /* writeback of these was started */
    UT_hash_handle hh;
};

void stages_name(uint64_t number, char out[STAGE_NAME_BYTES])
{
    (void)snprintf(out, STAGE_NAME_BYTES, "s%d-%" PRIu64, (int)getpid(),
                   number);
}

int stages_init(struct stages *s, int dir_fd, const struct meta_modes *modes,
                struct sync_group *sync, struct err *err)
{
    *s = (struct stages){.dir_fd = dir_fd, .modes = *modes, .sync = sync};
    struct rlimit files;
    s->open_max = 64;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 &&
        files.rlim_cur > OPEN_OTHERS + s->open_max) {
        s->open_max = files.rlim_cur - OPEN_OTHERS;
        if (s->open_max > OPEN_MAX_WANTED) {
            s->open_max = OPEN_MAX_WANTED;
        }
    }
    if (pthread_mutex_init(&s->mutex, NULL) != 0) {
        return err_set(err, ERR_NOMEM, 0, "no memory for staging");
    }
    return 0;
}

void stages_deinit(struct stages *s)
{
    struct stage *st, *next;
    HASH_ITER(hh, s->by_number, st, next)
    {
        HASH_DEL(s->by_number, st);
        fd_closep(&st->fd);
        free(st);
    }
    free(s->batch);
    free(s->fds);
    pthread_mutex_destroy(&s->mutex);
}

/* Calls `fn` for each file in the stage directory. */
static int each_staged(int dir_fd,
                       void (*fn)(int fd, const char *name, void *arg),
                       void *arg)
{
    int fd = retry_openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0) {
        return errno;
    }
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        int sys = errno;
        (void)close(fd);
        return sys;
    }
    int sys = 0;
    for (;;) {
        errno = 0;
        const struct dirent *e = readdir(dir);
        if (e == NULL) {
            sys = errno;
            break;
        }
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            fn(dirfd(dir), e->d_name, arg);
        }
    }
    (void)closedir(dir);
    return sys;
}

static void sweep_one(int fd, const char *name, void *arg)
{
    int *sys = arg;
    if (unlinkat(fd, name, 0) != 0 && errno != ENOENT && errno != EISDIR) {
        *sys = errno;
    }
}

int stages_sweep(int dir_fd, struct err *err)
{
    int failed = 0;
    int sys = each_staged(dir_fd, sweep_one, &failed);
    if (sys == 0) {
        sys = failed;
    }
    if (sys != 0) {
        return err_sys(err, sys, "sweep " META_DIR "/" META_STAGE);
    }
    return 0;
}

static void count_one(int fd, const char *name, void *arg)
{
    (void)fd, (void)name;
    int64_t *n = arg;
    ++*n;
}

int64_t stages_count(int dir_fd)
{
    int64_t n = 0;
    return each_staged(dir_fd, count_one, &n) == 0 ? n : -1;
}

static struct stage *find(struct stages *s, uint64_t number)
{
    struct stage *st;
    pthread_mutex_lock(&s->mutex);
    HASH_FIND(hh, s->by_number, &number, sizeof number, st);
    pthread_mutex_unlock(&s->mutex);
    return st;
}

static int fail(struct err *err, int sys, const char *what)
{
    return err_sys(err, sys, "%s a staged value", what);
}

/* A disk too small for the value is better known now than after 900 MB. */
static int reserve(struct stage *st, uint64_t bytes)
{
    if (bytes < PREALLOCATE_FROM_BYTES) {
        return 0;
    }
    bytes = bytes < RESERVE_MAX_BYTES ? bytes : RESERVE_MAX_BYTES;
    for (;;) {
        if (fallocate(st->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes) == 0) {
            st->reserved = bytes;
            return 0;
        }
        if (errno != EINTR) {
            return errno;
        }
    }
}

/* Give back what was reserved and not needed; a failure costs only space. */
static void give_back(struct stage *st)
{
    while (st->reserved > st->written &&
           ftruncate(st->fd, (off_t)st->written) != 0 && errno == EINTR) {
    }
}

int stages_begin(struct stages *s, uint64_t number, uint64_t size_hint,
                 struct err *err)
{
    char name[STAGE_NAME_BYTES];
    stages_name(number, name);
    struct stage *st = calloc(1, sizeof *st);
    if (st == NULL) {
        return err_set(err, ERR_NOMEM, 0, "no memory to stage a value");
    }
    st->number = number;
    st->fd = retry_openat(s->dir_fd, name,
                          O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                          s->modes.file_mode);
    if (st->fd < 0) {
        int sys = errno;
        free(st);
        return fail(err, sys, "create");
    }
    pthread_mutex_lock(&s->mutex);
    HASH_ADD(hh, s->by_number, number, sizeof st->number, st);
    bool added = map_added(st);
    if (added) {
        s->open++;
    }
    pthread_mutex_unlock(&s->mutex);
    if (!added) {
        fd_closep(&st->fd);
        free(st);
        (void)unlinkat(s->dir_fd, name, 0);
        return err_set(err, ERR_NOMEM, 0, "no memory to stage a value");
    }
    int sys = reserve(st, size_hint);
    if (sys == ENOSPC || sys == EDQUOT) {
        stages_drop(s, number);
        return fail(err, sys, "make room for");
    }
    return 0;
}

/* A large value goes to the disk as it comes in, so that its fsync does not
 * hold up the others and memory is not filled with it. */
static void start_writeback(struct stage *st)
{
    if (st->written - st->flushed < WRITEBACK_EVERY_BYTES) {
        return;
    }
    (void)sync_file_range(st->fd, (off_t)st->flushed,
                          (off_t)(st->written - st->flushed),
                          SYNC_FILE_RANGE_WRITE);
    st->flushed = st->written;
}

int stages_write(struct stages *s, uint64_t number, const void *p, size_t n,
                 struct err *err)
{
    struct stage *st = find(s, number);
    assert(st != NULL && st->fd >= 0);
    const uint8_t *at = p;
    while (n > 0) {
        ssize_t done = write(st->fd, at, n);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0) {
            return fail(err, errno, "write");
        }
        at += done;
        n -= (size_t)done;
        st->written += (uint64_t)done;
    }
    start_writeback(st);
    return 0;
}

/* Too many descriptors: close this one.  Not before it is durable: a lost
 * write is told to the descriptor it was made through, and one that is opened
 * afterwards may not hear of it. */
static int close_if_many(struct stages *s, struct stage *st, struct err *err)
{
    pthread_mutex_lock(&s->mutex);
    bool many = s->open > s->open_max;
    pthread_mutex_unlock(&s->mutex);
    if (!many) {
        return 0;
    }
    if (retry_fsync(st->fd) != 0) {
        return fail(err, errno, "fsync");
    }
    pthread_mutex_lock(&s->mutex);
    st->synced = true;
    fd_closep(&st->fd);
    s->open--;
    pthread_mutex_unlock(&s->mutex);
    return 0;
}

int stages_end(struct stages *s, uint64_t number, struct err *err)
{
    struct stage *st = find(s, number);
    assert(st != NULL && st->fd >= 0);
    if (s->modes.group != (gid_t)-1 &&
        fchown(st->fd, (uid_t)-1, s->modes.group) != 0) {
        return fail(err, errno, "set the group of");
    }
    /* Not left to open(): a default ACL of the directory would cut it. */
    if (fchmod(st->fd, s->modes.file_mode) != 0) {
        return fail(err, errno, "set the mode of");
    }
    give_back(st);
    return close_if_many(s, st, err);
}

static int make_room(struct stages *s, size_t n, struct err *err)
{
    if (n <= s->batch_room) {
        return 0;
    }
    struct stage **batch = realloc(s->batch, n * sizeof *batch);
    if (batch != NULL) {
        s->batch = batch;
    }
    int *fds = realloc(s->fds, n * sizeof *fds);
    if (fds != NULL) {
        s->fds = fds;
    }
    if (batch == NULL || fds == NULL) {
        return err_set(err, ERR_NOMEM, 0, "no memory to sync staged values");
    }
    s->batch_room = n;
    return 0;
}

/* Descriptors of the group's values that are not durable yet, under the mutex
 * for the map's sake; *n_out of them. */
static int collect(struct stages *s, const uint64_t *numbers, size_t n,
                   size_t *n_out, struct err *err)
{
    int rc = make_room(s, n, err);
    size_t waiting = 0;
    pthread_mutex_lock(&s->mutex);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct stage *st;
        HASH_FIND(hh, s->by_number, &numbers[i], sizeof numbers[i], st);
        assert(st != NULL);
        if (!st->synced) {
            assert(st->fd >= 0);
            s->batch[waiting] = st;
            s->fds[waiting++] = st->fd;
        }
    }
    pthread_mutex_unlock(&s->mutex);
    *n_out = waiting;
    return rc;
}

int stages_sync(struct stages *s, const uint64_t *numbers, size_t n,
                struct err *err)
{
    if (n == 0) {
        return 0;
    }
    size_t waiting;
    int rc = collect(s, numbers, n, &waiting, err);
    if (rc == 0) {
        rc = sync_group_run(s->sync, s->fds, waiting, err);
    }
    if (rc != 0) {
        for (size_t i = 0; i < n; i++) {
            stages_drop(s, numbers[i]);
        }
        return rc;
    }
    pthread_mutex_lock(&s->mutex);
    for (size_t i = 0; i < waiting; i++) {
        s->batch[i]->synced = true;
        fd_closep(&s->batch[i]->fd);
        s->open--;
    }
    pthread_mutex_unlock(&s->mutex);
    return 0;
}

static bool forget(struct stages *s, uint64_t number)
{
    struct stage *st;
    pthread_mutex_lock(&s->mutex);
    HASH_FIND(hh, s->by_number, &number, sizeof number, st);
    if (st != NULL) {
        HASH_DEL(s->by_number, st);
        if (st->fd >= 0) {
            s->open--;
        }
    }
    pthread_mutex_unlock(&s->mutex);
    if (st == NULL) {
        return false;
    }
    fd_closep(&st->fd);
    free(st);
    return true;
}

void stages_used(struct stages *s, uint64_t number)
{
    (void)forget(s, number);
}

void stages_drop(struct stages *s, uint64_t number)
{
    if (!forget(s, number)) {
        return;
    }
    char name[STAGE_NAME_BYTES];
    stages_name(number, name);
    (void)unlinkat(s->dir_fd, name, 0);
}
