/* SPDX-License-Identifier: MIT
 *
 * receiver_apply: bring one change to the replica's disk; commit thread.
 *
 * Happy path: install, remove, make or drop through struct receiver_ops.  What
 * was removed leaves the index at once, for nothing may count as equal that is
 * not there; what was installed enters it when it is durable.
 * Failures: a lock is held -> a condition for receiver_commit.c, unless the
 * policy says `replace` and the time is up; anything else is the caller's NAK.
 */
#include <assert.h>
#include <string.h>

#include "store/layout/install.h"
#include "sync/receiver/receiver_core.h"

/* May a lock that is held be ignored by now?  Notes the first try. */
static bool may_force(struct receiver *r, struct change *c)
{
    return r->config.policy == LOCK_POLICY_REPLACE &&
           r->commit.now_ms - c->since_ms >= r->config.lock_timeout_ms;
}

static void note_replaced(struct receiver *r)
{
    (void)pthread_mutex_lock(&r->mutex);
    r->replaced++;
    (void)pthread_mutex_unlock(&r->mutex);
}

/* The holder is looked at by the thread that reports it, too. */
static void note_holder(struct receiver *r, struct change *c, uint32_t pid,
                        const char comm[16])
{
    (void)pthread_mutex_lock(&r->mutex);
    c->pid = pid;
    memcpy(c->comm, comm, sizeof c->comm);
    (void)pthread_mutex_unlock(&r->mutex);
}

/* Install or remove once. */
static int try_key(struct receiver *r, struct change *c, bool force,
                   struct err *err)
{
    struct index_entry e;
    char comm[16] = "";
    uint32_t pid = 0;
    int rc;

    if (c->type == WIRE_DELETE) {
        rc = r->ops->remove(r->ctx, change_table(c), change_key(c), force, &pid,
                            comm, err);
        if (rc == ERR_NOTFOUND) {
            rc = INSTALL_ABSENT;
        }
    } else {
        unsigned how = (force ? INSTALL_FORCE : 0) |
                       (index_get(r->ix, c->name, &e) ? 0 : INSTALL_NEW);
        rc = r->ops->install(r->ctx, c->stage, change_table(c), change_key(c),
                             how, &c->stat, &pid, comm, err);
    }
    if (rc == INSTALL_BUSY) {
        note_holder(r, c, pid, comm);
    }
    return rc;
}

static int apply_key(struct receiver *r, struct change *c, struct err *err)
{
    int rc = try_key(r, c, false, err);

    if (rc == INSTALL_BUSY && may_force(r, c)) {
        rc = try_key(r, c, true, err);
        if (rc == INSTALL_DONE) {
            note_replaced(r);
        }
    }
    if (rc < 0) {
        return rc;
    }
    if (rc == INSTALL_BUSY) {
        return BUSY;
    }
    c->changed = true;
    if (c->type == WIRE_DELETE) {
        index_remove(r->ix, c->name);
    } else {
        assert(rc == INSTALL_DONE);
        c->installed = true;
        c->stage = 0;
    }
    return APPLIED;
}

/* The value was in place when it came in.  Is it still? */
static int apply_same(struct receiver *r, struct change *c, struct err *err)
{
    struct index_entry e;
    struct vstat now;

    if (index_get(r->ix, c->name, &e) && (e.durable || r->relaxed) &&
        digest_equal(e.digest, c->digest) &&
        r->ops->stat(r->ctx, change_table(c), change_key(c), &now, err) == 0 &&
        vstat_equal(e.stat, now)) {
        return APPLIED;
    }
    return err_set(err, ERR_NOTFOUND, 0,
                   "the value was here when it came in, but changed since; "
                   "it is needed again");
}

/* One step of a table's drop; enum table_drop result. */
static int drop_step(struct receiver *r, struct change *c, bool force,
                     struct err *err)
{
    char key[KEY_FILE_BYTES], comm[16] = "";
    size_t key_len = 0;
    uint32_t pid = 0;

    int rc = r->ops->table_drop(r->ctx, change_table(c), force, key, &key_len,
                                &pid, comm, err);
    if (rc == TABLE_DROP_MORE) {
        r->commit.touched = true;
        index_remove(r->ix, index_name_key(index_key(r->ix), c->names,
                                           c->table_len, key, key_len));
    } else if (rc == TABLE_DROP_BUSY) {
        note_holder(r, c, pid, comm);
    }
    return rc;
}

/* What this group installed in the table goes with it: not for the index. */
static void cancel_applied(struct receiver *r, const struct change *drop)
{
    struct change *c;

    DL_FOREACH(r->commit.done, c) {
        if (digest_equal(c->table_name, drop->table_name)) {
            index_remove(r->ix, c->name);
            c->dropped = true;
        }
    }
}

static int apply_drop(struct receiver *r, struct change *c, struct err *err)
{
    cancel_applied(r, c);
    for (int i = 0; i < DROP_STEPS_MAX; i++) {
        int rc = drop_step(r, c, false, err);
        if (rc == TABLE_DROP_BUSY && may_force(r, c)) {
            rc = drop_step(r, c, true, err);
            if (rc == TABLE_DROP_MORE) {
                note_replaced(r);
            }
        }
        if (rc == TABLE_DROP_BUSY) {
            return BUSY;
        }
        if (rc == TABLE_DROP_DONE || rc == ERR_NOTFOUND) {
            c->changed = true;
            index_remove(r->ix, c->table_name);
            return APPLIED;
        }
        if (rc < 0) {
            return rc;
        }
    }
    return MORE;
}

int apply_change(struct receiver *r, struct change *c, struct err *err)
{
    if (c->since_ms < 0) {
        c->since_ms = r->commit.now_ms;
    }
    if (c->same) {
        return apply_same(r, c, err);
    }
    if (c->type == WIRE_TABLE_DROP) {
        return apply_drop(r, c, err);
    }
    if (c->type != WIRE_TABLE_SET) {
        return apply_key(r, c, err);
    }
    int rc = r->ops->table_make(r->ctx, change_table(c), err);
    if (rc != 0) {
        return rc;
    }
    c->changed = true;
    return APPLIED;
}
