/* SPDX-License-Identifier: MIT
 *
 * answers: what a read told becomes the record's content.
 *
 * A record whose content somebody waits for is queued (reading.c), handed out
 * as a read (primary_next_action), and answered (primary_key_read).  The answer
 * becomes the record's content, and sender.c puts the waiting flights where
 * they belong.
 *
 * Failures: a busy lock or an error is retried (reading.c); an empty file that
 * no rename brought is read again until it stood still for the settle time;
 * what became outdated while it was read is thrown away. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/clock.h"
#include "sync/primary/delivery/delivery.h"

enum {
    NO_MEMORY_MS = 1000, /* then it is read again */
    SETTLE_MIN_MS = 20,
};

/* --- what is to be looked at --------------------------------------------- */

/* --- answers ------------------------------------------------------------- */

/* Whether this read and the one before found the same empty file, and no hint
 * came in between; if not, this one is the first of it. */
static bool is_same_empty(struct primary *p, struct record *rec,
                          const struct read_answer *l)
{
    if (rec->empty.ino == l->reading.stat.ino &&
        rec->empty.ctime_ns == l->reading.stat.ctime_ns &&
        rec->empty.hints == rec->read.covers) {
        return true;
    }
    rec->empty.ino = l->reading.stat.ino;
    rec->empty.ctime_ns = l->reading.stat.ctime_ns;
    rec->empty.hints = rec->read.covers;
    rec->empty.drains = p->drains;
    rec->empty.ms = p->now_ms;
    return false;
}

/* An empty file that no rename brought may be a writer's placeholder: it is a
 * value only when it stayed so for the settle time, by its times or, for these
 * may lie in the future, since it was first looked at.  A rename proves it at
 * once, but the key may have been removed since, and the file be a placeholder
 * whose event is still in the queue: so a drain after a look at it must have
 * told nothing new of the key.  True: look again later. */
static bool is_tentative(struct primary *p, struct record *rec,
                         const struct read_answer *l)
{
    if (l->value_len > 0 || l->age_ms >= p->config.settle_ms) {
        return false;
    }
    bool same = is_same_empty(p, rec, l);
    int64_t known_ms = p->now_ms - rec->empty.ms;
    int64_t age_ms = l->age_ms > known_ms ? l->age_ms : known_ms;
    int64_t wait_ms = p->config.settle_ms - age_ms;

    if (wait_ms <= 0) {
        return false;
    }
    if (rec->read.why == HINT_COMMITTED) {
        if (same && rec->empty.drains < p->drains) {
            return false;
        }
        wait_ms = 0;
    }
    read_again(p, rec, wait_ms > SETTLE_MIN_MS ? wait_ms : SETTLE_MIN_MS);
    return true;
}

static void index_has(struct primary *p, struct record *rec,
                      const struct read_answer *l)
{
    struct index_entry e = {.name = rec->name,
                            .digest = l->reading.digest,
                            .stat = l->reading.stat,
                            .is_table = rec->is_table};
    struct err err;

    if (rec->is_table) {
        memset(&e.digest, 0, sizeof e.digest);
        memset(&e.stat, 0, sizeof e.stat);
        e.table =
            index_top_of(index_key(p->ix), record_table(rec).p, rec->table_len);
    } else {
        e.table = index_table_tag(index_key(p->ix), record_table(rec).p,
                                  rec->table_len);
    }
    if (index_put(p->ix, &e, &err) < 0) {
        primary_log(p, -1, LOG_ERR, DR_NONE, "%s", err.msg);
    }
}

/* Touched, or written anew with the bytes it had: a replica that holds these
 * needs no more than their digest.  Not when the index has this very stat: then
 * the read is for a replica that was found to lack the value. */
static bool is_known(struct primary *p, const struct record *rec,
                     const struct read_answer *l)
{
    struct index_entry e;

    return index_get(p->ix, rec->name, &e) && !e.is_table &&
           digest_equal(e.digest, l->reading.digest) &&
           (rec->content.same || !vstat_equal(e.stat, l->reading.stat));
}

static void take_value(struct primary *p, struct record *rec,
                       const struct read_answer *l)
{
    struct wire_change m = {0};
    struct buf body = BUF_NULL;

    m.table = record_table(rec);
    m.key = record_key(rec);
    m.digest = l->reading.digest;
    m.value = (struct bytes){l->value, l->value_len};
    wire_set_body(&body, &m);
    if (body.bad) {
        buf_deinit(&body);
        read_later(p, rec, NO_MEMORY_MS);
        return;
    }
    changelog_know(&p->log, rec, CONTENT_UNKNOWN);
    changelog_know(&p->log, rec, CONTENT_VALUE);
    rec->content.body = body.data;
    rec->content.body_len = body.len;
    rec->content.digest = l->reading.digest;
    rec->content.size = l->value_len;
    rec->content.same = is_known(p, rec, l);
    p->log.body_bytes += body.len;
    p->values_read++;
    p->bytes_read += l->value_len;
    index_has(p, rec, l);
    read_done(p, rec);
    sender_place(p, rec);
}

static struct record *job_done(struct primary *p, uint64_t id,
                               bool *outdated_out)
{
    struct read_job *job = NULL;

    HASH_FIND(hh, p->jobs, &id, sizeof id, job);
    if (job == NULL) {
        return NULL;
    }
    struct record *rec = job->rec;
    *outdated_out = job->outdated;
    HASH_DEL(p->jobs, job);
    free(job);
    rec->read.id = 0;
    p->reads_active--;
    p->reads_done++;
    return rec;
}

static bool is_in_table(const struct record *key, const struct record *table)
{
    return !key->is_table && key->table_len == table->table_len &&
           (key->table_len == 0 ||
            memcmp(key->names, table->names, key->table_len) == 0);
}

/* The table is gone, with all its keys, whose removal may be told by no event
 * of their own: what was read of them before is not to follow its drop. */
static void forget_keys(struct primary *p, const struct record *table)
{
    struct record *rec, *after;
    struct read_job *job, *next;
    struct repl *r;

    DL_FOREACH_SAFE2(p->log.known, rec, after, known_next) {
        if (is_in_table(rec, table)) {
            changelog_know(&p->log, rec, CONTENT_UNKNOWN);
        }
    }
    HASH_ITER(hh, p->jobs, job, next) {
        job->outdated = job->outdated || is_in_table(job->rec, table);
    }
    EACH_REPL(p, r) {
        if (r->stream.flight != NULL &&
            is_in_table(r->stream.flight->rec, table)) {
            r->stream.outdated = true;
        }
    }
}

static void take_absent(struct primary *p, struct record *rec)
{
    changelog_know(&p->log, rec, CONTENT_UNKNOWN);
    changelog_know(&p->log, rec,
                   rec->is_table ? CONTENT_NO_TABLE : CONTENT_GONE);
    if (rec->is_table) {
        forget_keys(p, rec);
    }
    index_remove(p->ix, rec->name);
    read_done(p, rec);
    sender_place(p, rec);
}

/* A large value that was touched or restored, rather than changed?  Then it is
 * the file it was, or a copy that kept its mtime.  A program that wrote the
 * value anew made a new file of now, whose size may well be equal; to read that
 * twice would cost it time for nothing. */
static bool may_be_same(struct primary *p, struct record *rec,
                        const struct read_answer *l)
{
    struct index_entry e;
    const struct vstat *now = &l->reading.stat;

    if (rec->read.changed > 0 || !index_get(p->ix, rec->name, &e) ||
        e.is_table || e.stat.size != now->size || vstat_equal(e.stat, *now)) {
        return false;
    }
    rec->content.digest = e.digest;
    return e.stat.ino == now->ino ||
           l->reading.mtime_ns < now->ctime_ns - UNPROVEN_NS;
}

static void take_present(struct primary *p, struct record *rec,
                         const struct read_answer *l, enum content_kind content)
{
    changelog_know(&p->log, rec, CONTENT_UNKNOWN);
    changelog_know(&p->log, rec, content);
    rec->content.size = l->reading.stat.size;
    rec->content.ask = content == CONTENT_LARGE && may_be_same(p, rec, l);
    if (content == CONTENT_TABLE) {
        index_has(p, rec, l);
    }
    read_done(p, rec);
    sender_place(p, rec);
}

static void key_read(struct primary *p, uint64_t id,
                     const struct read_answer *l)
{
    bool outdated = false;
    struct record *rec = job_done(p, id, &outdated);

    if (rec == NULL) {
        return;
    }
    if (rec->flights == NULL) {
        flight_release(p, rec);
        return;
    }
    if (outdated) {
        read_told_nothing(rec);
        read_want(p, rec);
        return;
    }
    if (!rec->is_table && unborn_read(p, rec, l)) {
        return;
    }
    switch (l->result) {
    case READ_VALUE:
        if (rec->is_table) {
            take_present(p, rec, l, CONTENT_TABLE);
        } else if (!is_tentative(p, rec, l)) {
            take_value(p, rec, l);
        }
        break;
    case READ_LARGE:
        take_present(p, rec, l, CONTENT_LARGE);
        break;
    case READ_GONE:
        if (!moved_out_is_unproven(p, rec)) {
            take_absent(p, rec);
        }
        break;
    case READ_NOT_A_KEY:
        moved_out_covered(p, rec);
        break;
    case READ_ROOT_LOST:
        primary_root_lost(p, l->err != NULL ? l->err->msg : "root lost");
        read_want(p, rec);
        break;
    default:
        leaving_unread(p, rec, l);
        break;
    }
}

void primary_key_read(struct primary *p, uint64_t id,
                      const struct read_answer *r, int64_t now_ms)
{
    p->now_ms = now_ms;
    key_read(p, id, r);
    sender_advance_all(p);
}

void primary_table_read(struct primary *p, uint64_t id, int result,
                        const struct err *err, int64_t now_ms)
{
    struct read_answer l = {.result = result, .err = err};

    p->now_ms = now_ms;
    key_read(p, id, &l);
    sender_advance_all(p);
}

/* --- time ---------------------------------------------------------------- */
