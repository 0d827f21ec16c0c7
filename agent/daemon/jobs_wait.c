/* SPDX-License-Identifier: MIT
 *
 * jobs_wait: what `wait` says of a replica, above all why it is not there yet.
 *
 * Whoever waited in vain is told what status would say: what is wrong with the
 * database, the session or the brake, else the first change that waits for
 * somebody, and each change from before the question that is not there.  Only
 * the end has the names: anyone may wait, and going through the log costs.
 */
#include "agent/daemon/jobs_impl.h"
#include "agent/notes/covered.h"
#include "store/base/clock.h"
#include "sync/errors/state.h"

enum { NAMES_MAX = 50 };

/* --- why ----------------------------------------------------------------- */

/* The database, or the reading of it, is what all wait for. */
static bool here_why(const struct job *j, const struct job_target *t,
                     struct err *why)
{
    const struct daemon *d = j->daemon;

    if (d->coverage.root == ROOT_LOST) {
        *why = d->lost.err;
    } else if (j->unread.code != 0) {
        *why = j->unread;
    } else if (j->phase != JOB_RUN) {
        (void)err_set(why, ERR_TIMEOUT, 0, "%s", target_stands(j, t));
        why->id = DR_TIMED_OUT;
    }
    return why->code != 0;
}

/* What keeps everything from the replica, not one key. */
static bool all_why(const struct job *j, const struct replica *r,
                    const struct replica_status *st, struct err *why)
{
    struct primary_held held;

    switch (st->state) {
    case REPLICA_PAUSED:
        (void)err_set(why, ERR_CLOSED, 0, "paused by the operator");
        return true;
    case REPLICA_HELD:
        *why = st->last_error;
        if (primary_held(j->daemon->core, r->number, daemon_ms(), &held)) {
            (void)covered_held(&j->daemon->root->db, &held, why);
        }
        return true;
    case REPLICA_INITIAL:
    case REPLICA_CATCHUP:
    case REPLICA_DIFFERS: /* no state of a status */
    case REPLICA_STREAMING:
        return false;
    case REPLICA_CONNECTING:
    case REPLICA_RETRYING:
    case REPLICA_FAILED:
        break;
    }
    *why = st->last_error;
    return why->code != 0;
}

/* The first that waits for somebody, else the first. */
static bool one_why(const struct uncompared *u, struct err *why)
{
    size_t at = 0;

    while (at < u->n && u->keys[at].why == UNCOMPARED_PENDING) {
        at++;
    }
    if (u->n == 0) {
        return false;
    }
    uncompared_err(&u->keys[at < u->n ? at : 0], why);
    if (why->id == 0) {
        why->id = DR_TIMED_OUT;
    }
    return true;
}

static void find_why(const struct job *j, const struct job_target *t,
                     const struct replica *r, const struct replica_status *st,
                     const struct uncompared *u, struct err *why)
{
    if (here_why(j, t, why) || all_why(j, r, st, why) || one_why(u, why)) {
        return;
    }
    /* What it lacks is in no log, such as before a first comparison. */
    if (primary_keeps_up(j->daemon->core, r->number, 0, daemon_ms(), why)) {
        *why = st->last_error;
    }
}

/* --- the object ---------------------------------------------------------- */

static void set_end(struct job *j, const struct job_target *t,
                    const struct replica *r, const struct replica_status *st,
                    json_t *o)
{
    struct uncompared u = {.max = NAMES_MAX};
    struct err why = {0};

    if (j->barrier != 0) {
        primary_uncompared(j->daemon->core, r->number, j->barrier, daemon_ms(),
                           &u);
    }
    find_why(j, t, r, st, &u, &why);
    (void)json_object_set_new(o, "error", job_error(j, t->name, &why));
    (void)json_object_set_new(o, "lacks", json_integer((json_int_t)u.count));
    (void)json_object_set_new(o, "not_there",
                              uncompared_json(j, t->name, u.keys, u.n));
    uncompared_free(&u);
}

json_t *wait_target_json(struct job *j, const struct job_target *t, bool end)
{
    struct replica *r = replica_find(&j->daemon->replicas, t->name);
    struct replica_status st = {.state = REPLICA_FAILED};

    if (r != NULL) {
        primary_status(j->daemon->core, r->number, daemon_ms(), &st);
    }
    json_t *o =
        json_pack("{s:s, s:b, s:s, s:I, s:o}", "name", t->name, "done",
                  t->done && !t->failed, "state", replica_state_word(st.state),
                  "pending_keys", (json_int_t)st.pending_keys, "error",
                  job_error(j, t->name, t->failed ? &t->err : &st.last_error));
    if (t->done && !t->failed) {
        (void)json_object_set_new(o, "error", json_null());
        (void)json_object_set_new(
            o, "trip_s", json_real((double)t->trip_ns / (double)NS_PER_S));
    } else if (end && r != NULL && !t->done) {
        set_end(j, t, r, &st, o);
    }
    return o;
}
