/* SPDX-License-Identifier: MIT
 *
 * reader_work: what looks do on a worker's thread.  No loop, no callbacks.
 *
 * First all keys of the batch are looked at, each through its table's cached
 * directory.  Then each directory that was used is checked once: does the
 * table's name still lead to it?  If not, its keys are looked at again through
 * the directory that is there now, since a moved table's directory would show
 * another table's values.  At last, when something is missing, the root has to
 * prove that it is our database.
 */
#include <string.h>
#include <unistd.h>

#include "agent/base/exchanged.h"
#include "agent/read/reader_impl.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/sys.h"
#include "store/layout/holders.h"

enum { RETRIES = 3 };

void reader_set_age(struct read_answer *r)
{
    int64_t newest_ns = r->reading.mtime_ns > r->reading.stat.ctime_ns
                            ? r->reading.mtime_ns
                            : r->reading.stat.ctime_ns;

    r->age_ms = (clock_real_ns() - newest_ns) / NS_PER_MS;
}

void reader_find_holder(struct holders *holders, struct read_answer *r)
{
    holders_find(holders, r->reading.dev, (ino_t)r->reading.stat.ino, &r->pid,
                 r->comm);
}

void reader_prove_gone(const struct root *root, struct read_answer *r,
                       struct err *err)
{
    if (r->result == READ_GONE &&
        identity_check(&root->db, root->id, err) < 0) {
        r->result = READ_ROOT_LOST;
    }
}

static void failed(struct request *q)
{
    q->r.result = READ_ERROR;
    q->r.err = &q->err;
}

/* What value_read() has found, as far as it is evidence: a directory that
 * nothing lies below may have been exchanged for the key's file. */
int looks_evidence(int rc, int dir_fd, const void *key, size_t key_len)
{
    char file[KEY_FILE_BYTES];

    if (rc != READ_GONE) {
        return rc;
    }
    key_file(key, key_len, file);
    return exchanged_for_key(dir_fd, file) ? READ_NOT_A_KEY : rc;
}

/* Look at the key in an open directory. */
static void read_in(struct read_batch *job, struct request *q, int dir_fd)
{
    q->r = (struct read_answer){0};
    q->value_len = 0;
    int rc = value_read(dir_fd, q->names + q->table_len, q->key_len,
                        q->inline_max, &job->scratch, &q->r.reading, &q->err);
    if (rc < 0) {
        failed(q);
        return;
    }
    q->r.result =
        looks_evidence(rc, dir_fd, q->names + q->table_len, q->key_len);
    if (rc != READ_VALUE) {
        return;
    }
    q->value_at = job->arena.len;
    q->value_len = job->scratch.len;
    buf_put(&job->arena, job->scratch.data, job->scratch.len);
    if (job->arena.bad) {
        (void)err_set(&q->err, ERR_NOMEM, 0, "out of memory");
        failed(q);
    }
}

/* The table's directory could not be had: gone when it is absent. */
static void no_dir(struct request *q, int rc)
{
    q->r = (struct read_answer){0};
    q->value_len = 0;
    if (rc == ERR_NOTFOUND) {
        q->r.result = READ_GONE;
    } else {
        failed(q);
    }
}

static void read_table_now(struct read_batch *job, struct request *q)
{
    CLEANUP(fd_closep)
    int fd = dircache_open(&job->root->db, q->names, q->table_len, &q->err);

    if (fd < 0) {
        no_dir(q, fd);
    } else {
        q->r.result = READ_VALUE;
    }
}

static void read_request(struct read_batch *job, struct request *q)
{
    q->used_dir = false;
    if (q->is_table) {
        read_table_now(job, q);
        return;
    }
    int fd = dircache_fd(q->dir, &job->root->db, &q->err);
    if (fd < 0) {
        no_dir(q, fd);
    } else {
        read_in(job, q, fd);
    }
    q->used_dir = fd >= 0;
}

/* The cached directory was another one: look through the one that is there. */
static void read_again(struct read_batch *job, struct request *q)
{
    const struct db *db = &job->root->db;

    for (int i = 0; i < RETRIES; i++) {
        CLEANUP(fd_closep)
        int fd = dircache_open(db, q->names, q->table_len, &q->err);
        if (fd < 0) {
            no_dir(q, fd);
            return;
        }
        read_in(job, q, fd);
        char path[TABLE_PATH_BYTES];
        struct stat by_fd, by_name;
        table_path(q->names, q->table_len, path);
        if (fstat(fd, &by_fd) == 0 &&
            fstatat(db->root_fd, path, &by_name, AT_SYMLINK_NOFOLLOW) == 0 &&
            sys_same_file(&by_fd, &by_name)) {
            return;
        }
    }
    q->r = (struct read_answer){.result = READ_CHANGING};
}

/* Was a directory used, and is it still behind its name?  Each is asked once
 * per batch. */
static void check_dirs(struct read_batch *job)
{
    const struct dircache_entry *asked[BATCH_READS];
    bool answer[BATCH_READS];
    size_t n = 0;

    for (size_t i = 0; i < job->done; i++) {
        struct request *q = job->reqs[i];
        if (!q->used_dir) {
            continue;
        }
        size_t k = 0;
        while (k < n && asked[k] != q->dir) {
            k++;
        }
        if (k == n) {
            asked[n] = q->dir;
            answer[n++] = dircache_valid(q->dir, &job->root->db);
        }
        if (!answer[k]) {
            read_again(job, q);
        }
    }
}

/* A writer holds its lock for some microseconds around the rename that told us
 * of the key, so it is often still there.  Waiting that long here costs less
 * than the way back to the core and its timer, whose step is 1 ms.  Not for an
 * empty file, whose read is dear (value_read() asks /proc/locks). */
static void retry_busy(struct read_batch *job)
{
    static const int pause_us[] = {20, 40, 80};

    for (size_t k = 0; k < sizeof pause_us / sizeof pause_us[0]; k++) {
        size_t busy = 0;
        for (size_t i = 0; i < job->done; i++) {
            struct request *q = job->reqs[i];
            if (q->r.result != READ_BUSY || q->r.reading.stat.size == 0 ||
                job->arena.len >= BATCH_BYTES) {
                continue;
            }
            if (busy++ == 0) {
                clock_sleep_ns(pause_us[k] * NS_PER_US);
            }
            read_request(job, q);
        }
        if (busy == 0) {
            return;
        }
    }
}

static void finish(struct read_batch *job, struct holders *holders)
{
    struct err err = {0};
    int rc = 1; /* not asked */

    for (size_t i = 0; i < job->done; i++) {
        struct request *q = job->reqs[i];
        if (q->r.result == READ_GONE) {
            if (rc > 0) {
                rc = identity_check(&job->root->db, job->root->id, &err);
            }
            if (rc < 0) {
                q->r.result = READ_ROOT_LOST;
                q->err = err;
                q->r.err = &q->err;
            }
        } else if (q->r.result == READ_BUSY) {
            reader_find_holder(holders, &q->r);
        } else if (q->r.result == READ_VALUE && !q->is_table) {
            q->r.value =
                q->value_len > 0 ? job->arena.data + q->value_at : NULL;
            q->r.value_len = q->value_len;
            reader_set_age(&q->r);
        }
    }
}

void reader_work(struct read_batch *job, struct holders *holders)
{
    buf_clear(&job->arena);

    for (job->done = 0; job->done < job->count; job->done++) {
        if (job->arena.len >= BATCH_BYTES) {
            break;
        }
        read_request(job, job->reqs[job->done]);
    }
    retry_busy(job);
    check_dirs(job);
    finish(job, holders);
}
