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
    OPEN_OTHERS = 330, /* descriptors left for tables, locks and the rest */
    PREALLOCATE_FROM_BYTES = 1 << 20,
    RESERVE_MAX_BYTES = 256 << 20, /* an announced size is no proof */
    WRITEBACK_EVERY_BYTES = 8 << 20,
    PART_VALUES = 1000, /* as many in one directory, then the next one's turn */
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
    *s = (struct stages){.modes = *modes, .sync = sync};
    for (int i = 0; i < STAGE_PARTS; i++) {
        s->part_fd[i] = -1;
    }
    s->part_fd[0] = dir_fd;
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

static void part_name(int part, char out[2])
{
    out[0] = (char)('0' + part);
    out[1] = '\0';
}

/* What is still in it is the next session's to sweep. */
static void drop_part(struct stages *s, int part)
{
    char name[2];
    if (s->part_fd[part] >= 0) {
        part_name(part, name);
        fd_closep(&s->part_fd[part]);
        (void)unlinkat(s->part_fd[0], name, AT_REMOVEDIR);
    }
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
    for (int i = 1; i < STAGE_PARTS; i++) {
        drop_part(s, i);
    }
    free(s->batch);
    free(s->fds);
    pthread_mutex_destroy(&s->mutex);
}

/* --- the directories ------------------------------------------------------ */

static int part_of(uint64_t number)
{
    return (int)(number / PART_VALUES % STAGE_PARTS);
}

static bool is_part(const char *name)
{
    return name[0] > '0' && name[0] < '0' + STAGE_PARTS && name[1] == '\0';
}

/* Before the first value of it is begun. */
static int make_part(struct stages *s, int part, struct err *err)
{
    char name[2];
    part_name(part, name);
    if (s->part_fd[part] >= 0) {
        return 0;
    }
    int fd = meta_open_dir(s->part_fd[0], name, &s->modes, err);
    if (fd < 0) {
        return err_wrap(err, META_DIR "/" META_STAGE);
    }
    pthread_mutex_lock(&s->mutex);
    s->part_fd[part] = fd;
    pthread_mutex_unlock(&s->mutex);
    return 0;
}

int stages_dir(struct stages *s, uint64_t number)
{
    pthread_mutex_lock(&s->mutex);
    int fd = s->part_fd[part_of(number)];
    pthread_mutex_unlock(&s->mutex);
    return fd;
}

bool stages_lost(struct stages *s)
{
    bool lost = false;
    struct stat st;
    pthread_mutex_lock(&s->mutex);
    for (int i = 0; i < STAGE_PARTS; i++) {
        lost = lost || (s->part_fd[i] >= 0 && fstat(s->part_fd[i], &st) == 0 &&
                        st.st_nlink == 0);
    }
    pthread_mutex_unlock(&s->mutex);
    return lost;
}

/* Calls `fn` for each entry of the directory `name`. */
static int each_entry(int at, const char *name,
                      int (*fn)(int fd, const char *name, void *arg), void *arg)
{
    int fd = retry_openat(at, name,
                          O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
    if (fd < 0) {
        return errno;
    }
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        int sys = errno;
        (void)close(fd);
        return sys;
    }
    int first = 0;
    for (;;) {
        errno = 0;
        const struct dirent *e = readdir(dir);
        if (e == NULL) {
            first = first != 0 ? first : errno;
            break;
        }
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            int sys = fn(dirfd(dir), e->d_name, arg);
            first = first != 0 ? first : sys;
        }
    }
    (void)closedir(dir);
    return first;
}

static int sweep_one(int fd, const char *name, void *arg)
{
    bool *top = arg, below = false;
    if (unlinkat(fd, name, 0) == 0 || errno == ENOENT) {
        return 0;
    }
    if (errno != EISDIR) {
        return errno;
    }
    if (!*top || !is_part(name)) {
        return 0; /* nothing of ours */
    }
    int sys = each_entry(fd, name, sweep_one, &below);
    if (sys == 0 && unlinkat(fd, name, AT_REMOVEDIR) != 0 &&
        errno != ENOTEMPTY && errno != EEXIST) {
        sys = errno;
    }
    return sys;
}

int stages_sweep(int dir_fd, struct err *err)
{
    bool top = true;
    int sys = each_entry(dir_fd, ".", sweep_one, &top);
    if (sys != 0) {
        return err_sys(err, sys, "sweep " META_DIR "/" META_STAGE);
    }
    return 0;
}

static int count_one(int fd, const char *name, void *arg)
{
    int64_t *n = arg;
    if (is_part(name)) {
        int sys = each_entry(fd, name, count_one, n);
        return sys == ENOENT ? 0 : sys;
    }
    ++*n;
    return 0;
}

int64_t stages_count(int dir_fd)
{
    int64_t n = 0;
    return each_entry(dir_fd, ".", count_one, &n) == 0 ? n : -1;
}

/* --- values --------------------------------------------------------------- */

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
    int rc = make_part(s, part_of(number), err);
    if (rc < 0) {
        return rc;
    }
    struct stage *st = calloc(1, sizeof *st);
    if (st == NULL) {
        return err_set(err, ERR_NOMEM, 0, "no memory to stage a value");
    }
    st->number = number;
    int dir_fd = s->part_fd[part_of(number)];
    st->fd = retry_openat(dir_fd, name,
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
        (void)unlinkat(dir_fd, name, 0);
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

/* Mostly they are right already; but a default ACL of the directory cuts what
 * open() was asked for, and the group is the directory's or the process's. */
static int set_modes(const struct stages *s, const struct stage *st,
                     struct err *err)
{
    struct stat now;
    if (fstat(st->fd, &now) != 0) {
        return fail(err, errno, "stat");
    }
    if (s->modes.group != (gid_t)-1 && now.st_gid != s->modes.group &&
        fchown(st->fd, (uid_t)-1, s->modes.group) != 0) {
        return fail(err, errno, "set the group of");
    }
    if ((now.st_mode & 07777) != s->modes.file_mode &&
        fchmod(st->fd, s->modes.file_mode) != 0) {
        return fail(err, errno, "set the mode of");
    }
    return 0;
}

int stages_end(struct stages *s, uint64_t number, struct err *err)
{
    struct stage *st = find(s, number);
    assert(st != NULL && st->fd >= 0);
    int rc = set_modes(s, st, err);
    if (rc < 0) {
        return rc;
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
 * for the map's sake. */
static void collect(struct stages *s, const uint64_t *numbers, size_t n)
{
    s->batch_n = 0;
    pthread_mutex_lock(&s->mutex);
    for (size_t i = 0; i < n; i++) {
        struct stage *st;
        HASH_FIND(hh, s->by_number, &numbers[i], sizeof numbers[i], st);
        assert(st != NULL);
        if (!st->synced) {
            assert(st->fd >= 0);
            s->batch[s->batch_n] = st;
            s->fds[s->batch_n++] = st->fd;
        }
    }
    pthread_mutex_unlock(&s->mutex);
}

static void drop_all(struct stages *s, const uint64_t *numbers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        stages_drop(s, numbers[i]);
    }
}

int stages_sync_begin(struct stages *s, const uint64_t *numbers, size_t n,
                      size_t more, int **fds_out, size_t *n_out,
                      struct err *err)
{
    int rc = make_room(s, n + more, err);
    if (rc != 0) {
        drop_all(s, numbers, n);
        return rc;
    }
    collect(s, numbers, n);
    *fds_out = s->fds;
    *n_out = s->batch_n;
    return 0;
}

void stages_sync_end(struct stages *s, const uint64_t *numbers, size_t n,
                     bool durable)
{
    if (!durable) {
        drop_all(s, numbers, n);
        return;
    }
    pthread_mutex_lock(&s->mutex);
    for (size_t i = 0; i < s->batch_n; i++) {
        s->batch[i]->synced = true;
        fd_closep(&s->batch[i]->fd);
        s->open--;
    }
    pthread_mutex_unlock(&s->mutex);
}

int stages_sync(struct stages *s, const uint64_t *numbers, size_t n,
                struct err *err)
{
    int *fds;
    size_t waiting;
    if (n == 0) {
        return 0;
    }
    int rc = stages_sync_begin(s, numbers, n, 0, &fds, &waiting, err);
    if (rc == 0) {
        rc = sync_group_run(s->sync, fds, waiting, err);
        stages_sync_end(s, numbers, n, rc == 0);
    }
    return rc;
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
    (void)unlinkat(stages_dir(s, number), name, 0);
}
