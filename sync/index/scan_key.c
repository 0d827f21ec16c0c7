/* SPDX-License-Identifier: MIT
 *
 * scan_key: settle one key: peek at its entry, read it under the share lock,
 * and put what was read, unless the entry is not what was peeked at any more.
 *
 * A key that the index does not have may be left to the caller instead.
 * Whatever is not settled (doubtful, busy, unreadable) is marked all the same:
 * the key is there, so its entry must not be swept.  Busy keys are looked at
 * again when the walk is over, by then most locks are free.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/quote.h"
#include "sync/index/scan_impl.h"

enum {
    INLINE_MAX_BYTES = 1 << 20, /* larger values are read in pieces */
    PIECE_BYTES = 1 << 20,
    HOLE_STEP_BYTES = 256 << 20, /* before a stop is looked at again */
    STEP_BYTES = 64 << 20,       /* of one value, for a step of progress */
    HOLD_MS = 5,                 /* writers often wait 10 ms for their lock */
    /* More than this of names put aside, and the rest is reported at once. */
    BUSY_MAX_BYTES = 8 << 20,
};

void scan_report(const struct scan *s, enum scan_note note,
                 const struct scan_name *at)
{
    if (s->note != NULL) {
        s->note(s->arg, note, at->table, at->table_len, at->key, at->key_len);
    }
}

void scan_report_unread(const struct scan *s, const struct err *why,
                        const struct scan_name *at)
{
    if (s->opt->unread != NULL) {
        s->opt->unread(s->arg, why == NULL, why, at->table, at->table_len,
                       at->key, at->key_len);
    }
}

void scan_keep_error(struct scan *s, const struct err *why)
{
    if (s->out->first_error[0] == '\0') {
        memcpy(s->out->first_error, why->msg, sizeof why->msg);
        s->out->first_code = why->code;
    }
}

int scan_check_stop(const struct scan *s)
{
    if (s->opt->stop != NULL &&
        atomic_load_explicit(s->opt->stop, memory_order_relaxed) != 0) {
        return err_set(s->err, ERR_CLOSED, 0, "the scan was stopped");
    }
    return 0;
}

void scan_got_on(const struct scan *s, uint64_t n)
{
    if (s->opt->keys_done != NULL) {
        atomic_fetch_add_explicit(s->opt->keys_done, n, memory_order_relaxed);
    }
}

void scan_key_unreadable(struct scan *s, const struct scan_name *at,
                         struct err *why)
{
    (void)err_wrap(why, "table %s", QUOTED_TABLE(at->table, at->table_len));
    scan_keep_error(s, why);
    s->out->errors++;
    index_mark(s->ix, at->name, s->opt->scan);
    scan_report(s, SCAN_UNREADABLE, at);
    scan_report_unread(s, why, at);
}

/* --- reading ------------------------------------------------------------- */

static int read_pieces(struct scan *s, struct large *l,
                       struct reading *reading_out, struct err *err)
{
    int64_t n, done = 0;

    buf_clear(&s->value);
    if (!buf_reserve(&s->value, PIECE_BYTES)) {
        return err_set(err, ERR_NOMEM, 0, "out of memory in a scan");
    }
    do {
        /* A value may be as large as a disk; a stop must not wait for it. */
        if (scan_check_stop(s) < 0) {
            *err = *s->err;
            return ERR_CLOSED;
        }
        n = (int64_t)large_zeros(l, HOLE_STEP_BYTES);
        if (n == 0) {
            n = large_read(l, s->value.data, PIECE_BYTES, err);
        }
        done += n > 0 ? n : 0;
        if (done >= STEP_BYTES) {
            scan_got_on(s, 1);
            done = 0;
        }
    } while (n > 0);
    if (n == LARGE_CHANGED) {
        return READ_CHANGING;
    }
    int rc = n < 0 ? (int)n : large_finish(l, reading_out, err);
    /* A scan tells what is behind the names. */
    return rc == READ_VALUE && reading_out->replaced ? READ_CHANGING : rc;
}

static int read_large(struct scan *s, int dir_fd, const struct scan_name *at,
                      struct reading *reading_out, struct err *err)
{
    struct large *l;

    int rc =
        large_open(dir_fd, at->key, at->key_len, HOLD_MS, &l, reading_out, err);
    if (rc != READ_VALUE) {
        return rc;
    }
    rc = read_pieces(s, l, reading_out, err);
    large_close(l);
    return rc;
}

/* An enum reading_result other than READ_LARGE, or ERR_*. */
static int read_key(struct scan *s, int dir_fd, const struct scan_name *at,
                    struct reading *reading_out, struct err *err)
{
    int rc = value_read(dir_fd, at->key, at->key_len, INLINE_MAX_BYTES,
                        &s->value, reading_out, err);

    return rc == READ_LARGE ? read_large(s, dir_fd, at, reading_out, err) : rc;
}

/* --- what was found ------------------------------------------------------ */

/* An empty file may be one that a writer is about to fill: flockd creates a
 * key empty.  A ctime in the future proves no age. */
static bool is_tentative(const struct scan *s, const struct vstat *stat,
                         const struct index_entry *was, int64_t now_ns)
{
    return stat->size == 0 && s->opt->settle_ms > 0 &&
           stat->ctime_ns > now_ns - s->opt->settle_ms * NS_PER_MS &&
           !(was != NULL && vstat_equal(was->stat, *stat));
}

static void report_tentative(struct scan *s, const struct scan_name *at)
{
    index_mark(s->ix, at->name, s->opt->scan);
    scan_report(s, SCAN_TENTATIVE, at);
}

/* An event may have removed this key's entry between our read and our put.
 * The file went first, so when it is still there no removal was overruled. */
static bool is_still_there(int dir_fd, const struct scan_name *at)
{
    char file[KEY_FILE_BYTES];
    struct stat st;

    key_file(at->key, at->key_len, file);
    return fstatat(dir_fd, file, &st, AT_SYMLINK_NOFOLLOW) == 0 ||
           errno != ENOENT;
}

/* The index stays; the caller is told when the value is another. */
static int view_value(struct scan *s, const struct index_entry *was,
                      const struct index_entry *e)
{
    index_mark(s->ix, e->name, s->opt->scan);
    if (was != NULL && !was->is_table && digest_equal(was->digest, e->digest)) {
        return 0;
    }
    s->out->changed++;
    return s->opt->view(s->opt->view_arg, was, e, s->err);
}

/* `was`: the entry before the read (NULL: none); `now_ns`: the time then. */
static int report_value(struct scan *s, int dir_fd, const struct scan_name *at,
                        const struct index_entry *was,
                        const struct reading *reading, int64_t now_ns)
{
    struct index_entry e = {
        .name = at->name,
        .digest = reading->digest,
        .stat = reading->stat,
        .scan = s->opt->scan,
        .table = index_table_tag(index_key(s->ix), at->table, at->table_len)};

    s->out->reread++;
    if (is_tentative(s, &reading->stat, was, now_ns)) {
        report_tentative(s, at);
        return 0;
    }
    if (was != NULL && vstat_equal(was->stat, e.stat) &&
        digest_equal(was->digest, e.digest)) {
        e.durable = was->durable;
    }
    if (reading->stat.ctime_ns >= now_ns - UNPROVEN_NS) {
        e.stat = index_unproven(reading->stat);
    }
    if (s->opt->view != NULL) {
        return view_value(s, was, &e);
    }
    if (!scan_is_still(s, reading->stat)) {
        return 0;
    }
    int rc = index_put_if(s->ix, was, &e, s->err);
    if (rc <= 0) {
        return rc; /* 0: something newer is there, and marked */
    }
    if (was == NULL && !is_still_there(dir_fd, at)) {
        index_remove_if(s->ix, &e);
        return 0;
    }
    if (was == NULL || !digest_equal(was->digest, e.digest)) {
        s->out->changed++;
        scan_report(s, SCAN_CHANGED, at);
    }
    return 0;
}

/* Note the key for scan_key_retry(), or give up on it. */
static int put_off(struct scan *s, const struct scan_name *at)
{
    if (s->last_chance || s->busy.len >= BUSY_MAX_BYTES) {
        s->out->busy++;
        index_mark(s->ix, at->name, s->opt->scan);
        scan_report(s, SCAN_BUSY, at);
        scan_report_unread(s, NULL, at);
        return 0;
    }
    buf_u16(&s->busy, (uint16_t)at->table_len);
    buf_put(&s->busy, at->table, at->table_len);
    buf_u16(&s->busy, (uint16_t)at->key_len);
    buf_put(&s->busy, at->key, at->key_len);
    if (s->busy.bad) {
        return err_set(s->err, ERR_NOMEM, 0, "out of memory in a scan");
    }
    return 0;
}

static bool is_left(const struct scan *s, bool had, const struct scan_name *at)
{
    return s->opt->skip != NULL && (!had || s->opt->skip_changed) &&
           s->opt->skip(s->opt->skip_arg, at->table, at->table_len, at->key,
                        at->key_len);
}

int scan_key_update(struct scan *s, int dir_fd, const struct scan_name *at,
                    const struct vstat *seen)
{
    struct index_entry entry;
    struct reading reading;
    struct err why;

    bool had = index_get(s->ix, at->name, &entry);
    const struct index_entry *was = had ? &entry : NULL;
    int64_t now_ns = clock_real_ns();
    if (is_left(s, had, at)) {
        s->out->left++;
        index_mark(s->ix, at->name, s->opt->scan);
        return 0;
    }
    /* Not even read: our share lock could make the writer that is about to
     * fill it fail. */
    if (seen != NULL && is_tentative(s, seen, was, now_ns)) {
        report_tentative(s, at);
        return 0;
    }
    int rc = read_key(s, dir_fd, at, &reading, &why);
    switch (rc) {
    case READ_VALUE:
        return report_value(s, dir_fd, at, was, &reading, now_ns);
    case READ_BUSY:
    case READ_CHANGING:
    case READ_LARGE: /* it was small again when read as a large one: */
        return put_off(s, at); /* it keeps changing */
    case READ_GONE:
    case READ_NOT_A_KEY:
        return 0; /* not marked: its entry goes with the sweep */
    default:
        break;
    }
    if (rc == ERR_NOMEM || rc == ERR_CLOSED) {
        *s->err = why;
        return rc;
    }
    scan_key_unreadable(s, at, &why);
    return 0;
}

/* --- busy keys, once more --------------------------------------------------
 */

/* The table's directory for the next busy key; kept open while the table
 * stays the same. */
struct reopened {
    int fd;
    const uint8_t *table;
    size_t table_len;
};

static int reopen_table(const struct scan *s, struct reopened *r,
                        const struct scan_name *at, struct err *why)
{
    if (r->fd >= 0 && r->table_len == at->table_len &&
        memcmp(r->table, at->table, at->table_len) == 0) {
        return 0;
    }
    fd_closep(&r->fd);
    int fd = table_open(s->db, at->table, at->table_len, NULL, NULL, why);
    if (fd < 0) {
        return fd;
    }
    *r = (struct reopened){.fd = fd,
                           .table = (const uint8_t *)at->table,
                           .table_len = at->table_len};
    return 0;
}

static int retry_one(struct scan *s, struct reopened *r,
                     const struct scan_name *at)
{
    struct err why;

    int rc = scan_check_stop(s);
    if (rc < 0) {
        return rc;
    }
    rc = reopen_table(s, r, at, &why);
    if (rc == ERR_NOTFOUND || rc == ERR_NOTTABLE) {
        return 0; /* the table is gone, and the key with it */
    }
    if (rc < 0) {
        scan_key_unreadable(s, at, &why);
        return 0;
    }
    return scan_key_update(s, r->fd, at, NULL);
}

/* One round over `names`; what is busy still is in s->busy afterwards. */
static int retry_round(struct scan *s, const struct buf *names)
{
    struct cur c = cur_of(names->data, names->len);
    struct reopened r = {.fd = -1};
    int rc = 0;

    while (c.left > 0 && rc == 0) {
        struct scan_name at;
        at.table_len = cur_u16(&c);
        at.table = (const char *)cur_take(&c, at.table_len);
        at.key_len = cur_u16(&c);
        at.key = (const char *)cur_take(&c, at.key_len);
        assert(!c.bad);
        at.name = index_name_key(index_key(s->ix), at.table, at.table_len,
                                 at.key, at.key_len);
        rc = retry_one(s, &r, &at);
    }
    fd_closep(&r.fd);
    return rc;
}

int scan_key_retry(struct scan *s)
{
    static const int pause_ms[] = {1, 5, 20};
    const size_t rounds = sizeof pause_ms / sizeof pause_ms[0];
    int rc = 0;

    for (size_t i = 0; i < rounds && rc == 0 && s->busy.len > 0; i++) {
        struct buf names = s->busy;
        s->busy = (struct buf)BUF_NULL;
        s->last_chance = i + 1 == rounds;
        clock_sleep_ns(pause_ms[i] * NS_PER_MS);
        rc = retry_round(s, &names);
        buf_deinit(&names);
    }
    s->last_chance = true;
    return rc;
}
