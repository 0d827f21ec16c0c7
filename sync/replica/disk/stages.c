/* SPDX-License-Identifier: MIT
 *
 * stages: see stages.h. */
#include "sync/replica/disk/stages.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "store/base/cleanup.h"
#include "store/base/map.h"
#include "store/base/quote.h"
#include "store/base/rand.h"
#include "store/base/sys.h"
#include "store/files/newfile.h"
#include "store/layout/install.h"
#include "store/layout/placeholder.h"
#include "sync/replica/disk/perms.h"

enum {
    OPEN_MAX_WANTED = 4096,
    OPEN_OTHERS = 600, /* descriptors left for tables, locks and the rest */
    PREALLOCATE_FROM_BYTES = 1 << 20,
    RESERVE_MAX_BYTES = 256 << 20, /* an announced size is no proof */
    WRITEBACK_EVERY_BYTES = 8 << 20,
};

struct stage {
    uint64_t number;
    struct newfile file; /* fd -1: closed, it has its name */
    struct tables_place place;
    bool in_root; /* staged there, not in its table */
    bool synced;  /* durable already */
    uint64_t written;
    uint64_t reserved; /* on disk, for what was announced */
    uint64_t flushed;  /* writeback of these was started */
    UT_hash_handle hh;
    size_t table_len;
    char table[];
};

void stages_name(const struct stages *s, uint64_t number,
                 char out[STAGE_NAME_BYTES])
{
    (void)snprintf(out, STAGE_NAME_BYTES, TEMP_PREFIX "%08" PRIx32 "%08" PRIx32,
                   s->session, (uint32_t)number);
}

int stages_init(struct stages *s, const struct db *db,
                const struct meta_modes *modes, struct sync_group *sync,
                struct err *err)
{
    *s = (struct stages){.db = db, .modes = *modes, .sync = sync};
    int rc = rand_bytes((uint8_t *)&s->session, sizeof s->session, err);
    if (rc != 0) {
        return rc;
    }
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
    tables_init(&s->tables, db, modes, sync);
    return 0;
}

void stages_deinit(struct stages *s)
{
    struct stage *st, *next;

    HASH_ITER(hh, s->by_number, st, next) {
        HASH_DEL(s->by_number, st);
        fd_closep(&st->file.fd);
        free(st);
    }
    tables_deinit(&s->tables);
    free(s->batch);
    free(s->fds);
    pthread_mutex_destroy(&s->mutex);
}

/* --- where they are ------------------------------------------------------ */

static struct stage *find(struct stages *s, uint64_t number)
{
    struct stage *st;

    pthread_mutex_lock(&s->mutex);
    HASH_FIND(hh, s->by_number, &number, sizeof number, st);
    pthread_mutex_unlock(&s->mutex);
    return st;
}

static bool is_same(const struct tables_place *a, const struct tables_place *b)
{
    return a->dev == b->dev && a->ino == b->ino;
}

/* The directory it is in, by that one's name; -1: that leads elsewhere now. */
static int open_home(const struct stages *s, const struct stage *st)
{
    struct err ignored;
    struct stat now;
    CLEANUP(fd_closep)
    int fd = table_open(s->db, st->table, st->in_root ? 0 : st->table_len, NULL,
                        NULL, &ignored);

    return fd >= 0 && fstat(fd, &now) == 0 && now.st_ino == st->place.ino &&
                   now.st_dev == st->place.dev
               ? TAKE_FD(fd)
               : -1;
}

/* No room in the file system, or only for this table?  A table with a quota of
 * its own shows that as its size. */
static bool is_quota(const struct stages *s, const struct stage *st, int sys)
{
    struct statfs here, whole;
    CLEANUP(fd_closep) int fd = sys == ENOSPC ? open_home(s, st) : -1;

    return sys == EDQUOT || (fd >= 0 && fstatfs(fd, &here) == 0 &&
                             fstatfs(s->db->root_fd, &whole) == 0 &&
                             here.f_blocks != whole.f_blocks);
}

static int fail(const struct stages *s, const struct stage *st, struct err *err,
                int sys, const char *what)
{
    char path[TABLE_PATH_BYTES];

    if (!is_quota(s, st, sys)) {
        return err_sys(err, sys, "%s a staged value", what);
    }
    table_path(st->table, st->table_len, path);
    return err_set(err, ERR_NOSPACE, sys,
                   "%s a value of table %s: a quota is full, of the table's "
                   "directory or of the receiver's user (df -h %s/%s)",
                   what, QUOTED_TABLE(st->table, st->table_len), s->db->path,
                   QUOTED_STR(path));
}

/* --- values -------------------------------------------------------------- */

/* A disk too small for the value is better known now than after 900 MB. */
static int reserve(struct stage *st, uint64_t bytes)
{
    if (bytes < PREALLOCATE_FROM_BYTES) {
        return 0;
    }
    bytes = bytes < RESERVE_MAX_BYTES ? bytes : RESERVE_MAX_BYTES;
    for (;;) {
        if (fallocate(st->file.fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes) == 0) {
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
    if (st->reserved > st->written) {
        (void)sys_ftruncate(st->file.fd, (off_t)st->written);
    }
}

static struct stage *new_stage(uint64_t number, struct bytes table)
{
    struct stage *st = calloc(1, sizeof *st + table.len);

    if (st != NULL) {
        st->number = number;
        st->table_len = table.len;
        if (table.len > 0) {
            memcpy(st->table, table.p, table.len);
        }
    }
    return st;
}

/* Where the value will live.  If that is not there, in the root: the install
 * makes the table, if nothing before it says otherwise. */
static int make_file(struct stages *s, struct stage *st, struct err *err)
{
    char name[STAGE_NAME_BYTES];
    struct tables_one *t;
    int rc = tables_get(&s->tables, st->table, st->table_len, false, &t, err);

    if (rc != 0) {
        st->in_root = true;
        rc = tables_get(&s->tables, "", 0, false, &t, err);
    }
    if (rc != 0) {
        return rc;
    }
    st->place = t->place;
    stages_name(s, st->number, name);
    if (newfile_open(&st->file, t->fd, name, s->modes.file_mode) != 0) {
        return fail(s, st, err, errno, "create");
    }
    return 0;
}

static bool add(struct stages *s, struct stage *st)
{
    pthread_mutex_lock(&s->mutex);
    HASH_ADD(hh, s->by_number, number, sizeof st->number, st);
    bool added = map_added(st);
    if (added) {
        s->open++;
    }
    pthread_mutex_unlock(&s->mutex);
    return added;
}

/* It is in no map: close it, and take its name away. */
static void discard(struct stages *s, struct stage *st)
{
    char name[STAGE_NAME_BYTES];
    CLEANUP(fd_closep) int home = st->file.named ? open_home(s, st) : -1;

    stages_name(s, st->number, name);
    newfile_drop(&st->file, home, name);
    free(st);
}

int stages_begin(struct stages *s, uint64_t number, struct bytes table,
                 uint64_t size_hint, struct err *err)
{
    struct stage *st = new_stage(number, table);

    if (st == NULL) {
        return err_set(err, ERR_NOMEM, 0, "no memory to stage a value");
    }
    int rc = make_file(s, st, err);

    if (rc < 0) {
        free(st);
        return rc;
    }
    if (!add(s, st)) {
        discard(s, st);
        return err_set(err, ERR_NOMEM, 0, "no memory to stage a value");
    }
    int sys = reserve(st, size_hint);
    if (sys == ENOSPC || sys == EDQUOT) {
        rc = fail(s, st, err, sys, "make room for");
        stages_drop(s, number);
        return rc;
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
    (void)sync_file_range(st->file.fd, (off_t)st->flushed,
                          (off_t)(st->written - st->flushed),
                          SYNC_FILE_RANGE_WRITE);
    st->flushed = st->written;
}

int stages_write(struct stages *s, uint64_t number, const void *p, size_t n,
                 struct err *err)
{
    struct stage *st = find(s, number);

    assert(st != NULL && st->file.fd >= 0);
    if (sys_write_all(st->file.fd, p, n) != 0) {
        return fail(s, st, err, errno, "write");
    }
    st->written += n;
    start_writeback(st);
    return 0;
}

/* A hole.  What was reserved lies where it is to be, so it is given back; the
 * rest finds its room as it comes. */
int stages_zeros(struct stages *s, uint64_t number, uint64_t n, struct err *err)
{
    struct stage *st = find(s, number);

    assert(st != NULL && st->file.fd >= 0);
    give_back(st);
    st->reserved = 0;
    if (n > (uint64_t)INT64_MAX - st->written) {
        return fail(s, st, err, EFBIG, "extend");
    }
    if (sys_ftruncate(st->file.fd, (off_t)(st->written + n)) != 0) {
        return fail(s, st, err, errno, "extend");
    }
    if (lseek(st->file.fd, 0, SEEK_END) < 0) {
        return fail(s, st, err, errno, "extend");
    }
    st->written += n;
    return 0;
}

/* Give a durable value its name and close it; it stays open when it cannot be
 * where it belongs.  Under the mutex. */
static void close_named(struct stages *s, struct stage *st)
{
    char name[STAGE_NAME_BYTES];
    CLEANUP(fd_closep) int home = open_home(s, st);

    stages_name(s, st->number, name);
    if (home >= 0 && newfile_give_name(&st->file, home, name) == 0) {
        fd_closep(&st->file.fd);
        s->open--;
    }
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
    if (sys_fsync(st->file.fd) != 0) {
        return fail(s, st, err, errno, "fsync");
    }
    pthread_mutex_lock(&s->mutex);
    st->synced = true;
    close_named(s, st);
    pthread_mutex_unlock(&s->mutex);
    return 0;
}

/* Those that were durable before this group wait for a lock: they can do so
 * without a descriptor. */
static void close_waiting(struct stages *s)
{
    struct stage *st, *next;

    pthread_mutex_lock(&s->mutex);
    if (s->open > s->open_max / 2) {
        HASH_ITER(hh, s->by_number, st, next) {
            if (st->synced && st->file.fd >= 0) {
                close_named(s, st);
            }
        }
    }
    pthread_mutex_unlock(&s->mutex);
}

/* open() gave the mode already, but for a umask; a default ACL of the directory
 * allows less on purpose, and stays.  The group is the directory's or the
 * process's. */
static int apply_modes(const struct stages *s, const struct stage *st,
                       struct err *err)
{
    struct stat now;

    if (fstat(st->file.fd, &now) != 0) {
        return fail(s, st, err, errno, "stat");
    }
    const struct perms want = {.owner = (uid_t)-1,
                               .group = s->modes.group,
                               .mode = st->place.has_acl ? PERMS_MODE_STAYS
                                                         : s->modes.file_mode};
    if (perms_set(st->file.fd, &want, &now) < 0) {
        return fail(s, st, err, errno, "set group and mode of");
    }
    if (st->written == 0) {
        placeholder_disown(st->file.fd);
    }
    return 0;
}

int stages_end(struct stages *s, uint64_t number, struct err *err)
{
    struct stage *st = find(s, number);

    assert(st != NULL && st->file.fd >= 0);
    int rc = apply_modes(s, st, err);
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
            assert(st->file.fd >= 0);
            s->batch[s->batch_n] = st;
            s->fds[s->batch_n++] = st->file.fd;
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
    close_waiting(s);
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

/* Out of the map. */
static struct stage *take(struct stages *s, uint64_t number)
{
    struct stage *st;

    pthread_mutex_lock(&s->mutex);
    HASH_FIND(hh, s->by_number, &number, sizeof number, st);
    if (st != NULL) {
        HASH_DEL(s->by_number, st);
        if (st->file.fd >= 0) {
            s->open--;
        }
    }
    pthread_mutex_unlock(&s->mutex);
    return st;
}

void stages_drop(struct stages *s, uint64_t number)
{
    struct stage *st = take(s, number);

    if (st != NULL) {
        discard(s, st);
    }
}

/* --- into place ---------------------------------------------------------- */

/* It was closed: open it again. */
static int reopen(struct stages *s, struct stage *st, const char *name,
                  struct err *err)
{
    if (st->file.fd >= 0) {
        return 0;
    }
    CLEANUP(fd_closep) int home = open_home(s, st);
    int fd = home < 0
                 ? -1
                 : sys_openat(home, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0);
    if (fd < 0) {
        return err_set(err, ERR_NOTFOUND, 0,
                       "the staged value went with its table's directory; it "
                       "is needed again");
    }
    pthread_mutex_lock(&s->mutex);
    st->file.fd = fd;
    s->open++;
    pthread_mutex_unlock(&s->mutex);
    return 0;
}

/* A copy in the directory `t`, as durable as it was, instead of it. */
static int move(struct stages *s, struct stage *st, const char *name,
                const struct tables_one *t, struct err *err)
{
    struct newfile to;

    if (newfile_open(&to, t->fd, name, s->modes.file_mode) != 0) {
        return fail(s, st, err, errno, "create");
    }
    if (newfile_copy(st->file.fd, to.fd) != 0) {
        int sys = errno;
        newfile_drop(&to, t->fd, name);
        return fail(s, st, err, sys, "copy");
    }
    CLEANUP(fd_closep) int home = st->file.named ? open_home(s, st) : -1;

    newfile_drop(&st->file, home, name);
    st->file = to;
    st->place = t->place;
    st->in_root = false;
    int rc = apply_modes(s, st, err);
    if (rc == 0 && st->synced && sys_fsync(st->file.fd) != 0) {
        rc = fail(s, st, err, errno, "fsync");
    }
    return rc;
}

/* May it be linked from where it is into `t`? */
static bool fits(const struct stage *st, const struct tables_one *t)
{
    return is_same(&st->place, &t->place) ||
           (!st->file.named && st->place.gives != 0 &&
            st->place.gives == t->place.gives);
}

int stages_install(struct stages *s, uint64_t number,
                   const struct tables_one *t, struct bytes key, unsigned how,
                   struct stat *st_out, struct err *err)
{
    char name[STAGE_NAME_BYTES];
    struct stage *st = find(s, number);

    assert(st != NULL);
    stages_name(s, number, name);
    int rc = reopen(s, st, name, err);
    bool moved = rc == 0 && !fits(st, t);
    if (moved) {
        rc = move(s, st, name, t, err);
    }
    if (rc == 0) {
        rc = install_value(&st->file, name, t->fd, key.p, key.len, how, st_out,
                           err);
    }
    if (rc < 0 && err->sys == EXDEV && !moved) { /* another quota's */
        rc = move(s, st, name, t, err);
        if (rc == 0) {
            rc = install_value(&st->file, name, t->fd, key.p, key.len, how,
                               st_out, err);
        }
    }
    if (rc == INSTALL_DONE) {
        stages_drop(s, number);
    }
    return rc;
}
