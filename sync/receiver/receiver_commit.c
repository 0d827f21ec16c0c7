/* SPDX-License-Identifier: MIT
 *
 * receiver_commit: one group of changes from the queue to their
 * acknowledgement; commit thread.
 *
 * Happy path: take a group, make its staged values durable together, try again
 * what is deferred and due, apply the group in order, sync the touched
 * directories together, tell the index, acknowledge in one frame.  When more
 * waits already, the directories are left to the next group's beginning, where
 * they and its values are made durable in one go (each is a commit of the file
 * system's journal, and so there is one per group, not two); then the earlier
 * group is answered before anything else is applied.  Before the first ACK of
 * a session everything is synced once: a change may find its work done by an
 * earlier receiver that died before its sync.
 * Failures: the values' sync fails -> NAK for all of them, their stages are
 * gone, the rest goes on; a change cannot be applied -> NAK; a lock is held ->
 * is deferred; the directories' sync fails -> NAK for all that was applied, the
 * index forgets them, so that nothing counts as equal that might not survive,
 * and the session ends: the kernel tells of a lost write once, so no later
 * sync is a proof.  A failing disk ends the session after the NAKs, too.
 */
#include <assert.h>
#include <inttypes.h>

#include "sync/errors/state.h"
#include "sync/receiver/receiver_core.h"

/* --- answers ------------------------------------------------------------- */

static void put_nak(struct receiver *r, const struct change *c,
                    const struct err *err)
{
    bool of_key = c->type == WIRE_SET || c->type == WIRE_DELETE;

    receiver_nak(&r->commit.out, c->seq, change_table(c),
                 of_key ? change_key(c) : bytes_of(NULL, 0), err);
}

/* Forget an answered change and what rode with it. */
static void release(struct receiver *r, struct change *c)
{
    struct change *older;
    size_t n = 0;

    DL_COUNT(c->superseded, older, n);
    (void)pthread_mutex_lock(&r->mutex);
    r->pending -= 1 + n;
    r->drops -= c->type == WIRE_TABLE_DROP;
    (void)pthread_mutex_unlock(&r->mutex);
    change_free(r, c);
}

/* `c` belongs to no list: NAK it and what it supersedes. */
static void refuse(struct receiver *r, struct change *c, const struct err *err)
{
    struct change *older;

    put_nak(r, c, err);
    DL_FOREACH(c->superseded, older) {
        put_nak(r, older, err);
    }
    release(r, c);
}

/* --- the group ----------------------------------------------------------- */

static void take_group(struct receiver *r)
{
    uint64_t bytes = 0;
    size_t n = 0;

    (void)pthread_mutex_lock(&r->mutex);
    while (r->queue != NULL && n < r->config.group_changes) {
        struct change *c = r->queue;
        uint64_t size = c->stage != 0 ? c->size : 0;
        if (n > 0 && (size > r->config.group_bytes ||
                      bytes > r->config.group_bytes - size)) {
            break;
        }
        DL_DELETE(r->queue, c);
        DL_APPEND(r->commit.group, c);
        r->queued_bytes -= size;
        bytes += size;
        n++;
    }
    (void)pthread_mutex_unlock(&r->mutex);
}

/* The values' sync failed: their stages are gone with it. */
static void refuse_staged(struct receiver *r, const struct err *err)
{
    struct change *c, *next;

    DL_FOREACH_SAFE(r->commit.group, c, next) {
        if (c->stage != 0) {
            c->stage = 0;
            DL_DELETE(r->commit.group, c);
            refuse(r, c, err);
        }
    }
}

/* Their numbers go to r->stages. */
static size_t staged_values(struct receiver *r)
{
    struct change *c;
    size_t n = 0;

    DL_FOREACH(r->commit.group, c) {
        if (c->stage != 0) {
            assert(n < r->config.group_changes);
            r->commit.stages[n++] = c->stage;
        }
    }
    return n;
}

static int values_failed(struct receiver *r, struct err *err)
{
    err_wrap(err, "make values durable");
    refuse_staged(r, err);
    return receiver_fatal(err) ? err->code : 0;
}

/* --- one change ---------------------------------------------------------- */

static int too_many_deferred(const struct change *c, struct err *err)
{
    if (c->pid == 0) {
        return err_set(err, ERR_TIMEOUT, 0,
                       "it is locked, and too many changes wait for locks");
    }
    return err_set(err, ERR_TIMEOUT, 0,
                   "it is locked by process %" PRIu32 " (%.16s), and too many "
                   "changes wait for locks",
                   c->pid, c->comm);
}

/* Try `c`, which is in the list of deferred ones or in none, and put it where
 * it belongs now.  0, or the session is over. */
static int settle(struct receiver *r, struct change *c, struct err *err)
{
    int rc = deferred_conflict(r, c) ? BEHIND : apply_change(r, c, err);
    bool waits = rc == BUSY || rc == BEHIND || rc == MORE;

    r->commit.touched |= c->changed;
    if (waits && deferred_put(r, c, rc == BUSY, rc == MORE)) {
        return 0;
    }
    if (waits) {
        rc = too_many_deferred(c, err);
    }
    if (c->deferred) {
        deferred_remove(r, c);
    }
    if (rc == APPLIED) {
        DL_APPEND(r->commit.done, c);
        return 0;
    }
    refuse(r, c, err);
    return receiver_fatal(err) ? err->code : 0;
}

static int retry_deferred(struct receiver *r, struct err *err)
{
    size_t n = deferred_take_due(r);
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = settle(r, r->commit.due[i], err);
    }
    return rc;
}

static int apply_group(struct receiver *r, struct err *err)
{
    int rc = 0;

    while (r->commit.group != NULL && rc == 0) {
        struct change *c = r->commit.group;
        DL_DELETE(r->commit.group, c);
        if (c->type == WIRE_TABLE_DROP) {
            deferred_supersede(r, c);
        }
        rc = settle(r, c, err);
    }
    return rc;
}

/* --- the end of a group -------------------------------------------------- */

static void forget(struct receiver *r, const struct change *c)
{
    if (c->installed || c->type == WIRE_TABLE_SET) {
        index_remove(r->ix, c->name);
    }
}

/* The directories' sync failed: nothing that was applied is certain. */
static void refuse_applied(struct receiver *r, const struct err *err)
{
    struct change *c, *next;

    DL_FOREACH_SAFE(r->commit.done, c, next) {
        /* What was the same may be so because of an earlier rename whose sync
         * failed, too. */
        if (c->changed || c->same) {
            forget(r, c);
            DL_DELETE(r->commit.done, c);
            refuse(r, c, err);
        }
    }
}

static int directories_failed(struct receiver *r, struct err *err)
{
    err_wrap(err, "make directories durable");
    refuse_applied(r, err);
    return err->code; /* a later sync would prove nothing */
}

static int sync_directories(struct receiver *r, struct err *err)
{
    if (r->commit.touched && !r->relaxed &&
        r->ops->dirs_sync(r->ctx, err) != 0) {
        return directories_failed(r, err);
    }
    r->commit.touched = false;
    return 0;
}

/* The values of the group that begins, and the directories of the one before
 * where these are still to do. */
static int sync_group(struct receiver *r, struct err *err)
{
    size_t n = r->relaxed ? 0 : staged_values(r);
    struct err dirs_err = {0};

    if (n == 0 || !r->commit.touched || r->ops->sync_both == NULL) {
        int rc = sync_directories(r, err);
        if (rc == 0 && n > 0 &&
            r->ops->stage_sync(r->ctx, r->commit.stages, n, err) != 0) {
            rc = values_failed(r, err);
        }
        return rc;
    }
    int rc = r->ops->sync_both(r->ctx, r->commit.stages, n, err, &dirs_err);
    if (rc != 0) {
        rc = values_failed(r, err);
    }
    if (dirs_err.code != 0) {
        *err = dirs_err;
        return directories_failed(r, err);
    }
    r->commit.touched = false;
    return rc;
}

static void put_or_forget(struct receiver *r, const struct index_entry *e)
{
    struct err err;

    /* No memory: an absent entry is repaired by the next comparison, a wrong
     * one would hide a difference. */
    if (index_put(r->ix, e, &err) != 0) {
        index_remove(r->ix, e->name);
    }
}

/* The table of an installed key exists, whoever made it. */
static void note_table(struct receiver *r, struct digest name)
{
    struct index_entry e = {.name = name, .is_table = 1};

    if (!index_get(r->ix, name, &e)) {
        e = (struct index_entry){.name = name, .is_table = 1};
        put_or_forget(r, &e);
    }
}

static void report_index(struct receiver *r)
{
    struct digest table = {0, 0};
    struct change *c;

    DL_FOREACH(r->commit.done, c) {
        if (c->dropped) {
            continue;
        }
        if (c->type == WIRE_DELETE) {
            index_remove(r->ix, c->name); /* after a set in the same group */
        } else if (c->type == WIRE_TABLE_SET) {
            note_table(r, c->table_name);
        } else if (c->installed) {
            struct index_entry e = {.name = c->name,
                                    .digest = c->digest,
                                    .stat = c->stat,
                                    .durable = !r->relaxed};
            put_or_forget(r, &e);
            if (!digest_equal(table, c->table_name)) {
                table = c->table_name;
                note_table(r, table);
            }
        }
    }
}

static void add_ack(struct receiver *r, size_t *n, uint64_t seq)
{
    r->commit.seqs[(*n)++] = seq;
    if (*n == WIRE_BATCH_MAX) {
        wire_put_ack(&r->commit.out, r->commit.seqs, (uint16_t)*n);
        *n = 0;
    }
}

/* Forget the changes before their ACK leaves: the agent may answer it with
 * more. */
static void acknowledge(struct receiver *r)
{
    struct change *c, *next, *older;
    size_t n = 0;

    DL_FOREACH_SAFE(r->commit.done, c, next) {
        DL_FOREACH(c->superseded, older) {
            add_ack(r, &n, older->seq);
        }
        add_ack(r, &n, c->seq);
        DL_DELETE(r->commit.done, c);
        release(r, c);
    }
    if (n > 0) {
        wire_put_ack(&r->commit.out, r->commit.seqs, (uint16_t)n);
    }
}

/* What is applied and durable. */
static int answer(struct receiver *r, struct err *err)
{
    if (r->commit.done == NULL) {
        return 0;
    }
    int rc = receiver_sync_earlier(r, err);
    if (rc == 0) {
        report_index(r);
        acknowledge(r);
    }
    return rc;
}

/* More waits, and will be durable soon: a large value is a group of its own,
 * whose sync nobody else is to wait for. */
static bool more_waits(struct receiver *r)
{
    (void)pthread_mutex_lock(&r->mutex);
    const struct change *c = r->queue;
    bool more =
        c != NULL && (c->stage == 0 || c->size <= r->config.group_bytes);
    (void)pthread_mutex_unlock(&r->mutex);
    return more;
}

static int commit_group(struct receiver *r, struct err *err)
{
    take_group(r);
    int rc = sync_group(r, err);
    if (rc == 0) {
        rc = answer(r, err);
    }
    if (rc == 0) {
        rc = retry_deferred(r, err);
    }
    if (rc == 0) {
        rc = apply_group(r, err);
    }
    if (rc == 0 && !more_waits(r)) {
        rc = sync_directories(r, err);
        if (rc == 0) {
            rc = answer(r, err);
        }
    }
    struct err other;
    int sent = receiver_send(r, &r->commit.out, rc == 0 ? err : &other);
    return rc != 0 ? rc : sent;
}

/* When receiver_commit() must be called again. */
static int64_t next_ms(struct receiver *r)
{
    int64_t ms = -1;

    (void)pthread_mutex_lock(&r->mutex);
    if (r->queue != NULL) {
        ms = 0;
    } else if (r->deferred.list != NULL) {
        int64_t us = r->deferred.due_us - r->commit.now_ms * 1000;
        ms = us <= 0 ? 0 : (us + 999) / 1000;
    }
    (void)pthread_mutex_unlock(&r->mutex);
    return ms;
}

int receiver_commit(struct receiver *r, int64_t now_ms, int64_t *again_ms_out,
                    struct err *err)
{
    (void)pthread_mutex_lock(&r->mutex);
    bool ended = r->ended;
    (void)pthread_mutex_unlock(&r->mutex);
    if (ended) {
        return err_set(err, ERR_CLOSED, 0, "the session has ended");
    }
    r->commit.now_ms = now_ms;
    int rc = commit_group(r, err);
    if (rc != 0) {
        receiver_end(r, err);
        return rc;
    }
    *again_ms_out = next_ms(r);
    return 0;
}
