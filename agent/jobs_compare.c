/* SPDX-License-Identifier: MIT
 *
 * jobs_compare: verify and resync: one comparison per replica, side by side.
 *
 * After the fence (and our own scan, so that both sides compare what is on
 * disk) each replica that has a session gets its comparison.  One without a
 * session for DOWN_MS fails with its last error instead of holding up the job;
 * the others are not touched by that.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/jobs_impl.h"
#include "agent/status.h"
#include "sync/state.h"

enum { DOWN_MS = 10 * 1000, NAMES_MAX = 1000 };

const char *compare_mode_word(const struct job *j)
{
    switch (j->what) {
    case JOB_VERIFY:
        return "verify";
    case JOB_RESYNC:
        return "resync";
    case JOB_RESYNC_DRY_RUN:
        return "dry-run";
    }
    return "verify";
}

static const char *kind_word(enum diff_kind kind)
{
    switch (kind) {
    case DIFF_MISSING:
        return "missing";
    case DIFF_EXTRA:
        return "extra";
    case DIFF_VALUE:
        return "different";
    }
    return "different";
}

static json_t *names_json(const struct compare_result *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->names_count; i++) {
        const struct diff_name *n = &r->names[i];
        json_t *o = json_pack("{s:s, s:b}", "kind", kind_word(n->kind),
                              "is_table", n->is_table);
        status_set_name(o, "table", n->table);
        if (!n->is_table)
            status_set_name(o, "key", n->key);
        (void)json_array_append_new(list, o);
    }
    return list;
}

json_t *compare_target_json(const struct job_target *t, bool end)
{
    const struct compare_result *r = &t->last;
    const char *phase = t->done          ? "done"
                        : t->phase != NULL ? t->phase
                                           : "waiting";
    json_t *o = json_pack("{s:s, s:b, s:b, s:b, s:s, s:o}", "name", t->name,
                          "done", t->done, "failed", t->failed, "held",
                          r->held, "phase", phase, "error",
                          t->err.code != 0 ? status_error(&t->err)
                                           : json_null());
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
        {"compared", r->compared},   {"replica_keys", r->replica_keys},
        {"missing", r->missing},     {"extra", r->extra},
        {"different", r->different}, {"to_repair", r->to_repair},
        {"repaired", r->repaired},   {"reread", r->reread},
        {"scan_keys", r->scan_keys}, {"unread", r->unread},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        (void)json_object_set_new(o, numbers[i].name,
                                  json_integer((json_int_t)numbers[i].value));
    if (end)
        (void)json_object_set(o, "names",
                              t->names != NULL ? t->names : json_null());
    return o;
}

static bool has_session(const struct replica_status *st)
{
    return st->state == REPLICA_INITIAL || st->state == REPLICA_CATCHUP ||
           st->state == REPLICA_STREAMING || st->state == REPLICA_HELD;
}

/* true: the replica is there; else it may have failed for good. */
static bool reachable(struct job_target *t, const struct replica_status *st)
{
    int64_t now_ms = daemon_ms();
    if (has_session(st)) {
        t->down_since_ms = 0;
        return true;
    }
    if (t->down_since_ms == 0)
        t->down_since_ms = now_ms;
    if (st->state == REPLICA_PAUSED) {
        struct err err = {0};
        (void)err_set(&err, ERR_CLOSED, 0, "paused by the operator");
        target_fail(t, &err);
    } else if (now_ms - t->down_since_ms >= DOWN_MS) {
        target_fail(t, &st->last_error);
    }
    return false;
}

static void begin(struct job *j, struct job_target *t, const struct replica *r)
{
    struct err err = {0};
    const struct compare_options o = {
        .mode = j->what == JOB_RESYNC    ? COMPARE_REPAIR
                : j->what == JOB_VERIFY ? COMPARE_VERIFY
                                        : COMPARE_DRY_RUN,
        .scan = j->content || j->what != JOB_VERIFY,
        .content = j->content,
        .names_max = NAMES_MAX,
    };
    int64_t id = primary_compare(j->daemon->core, r->number, &o, daemon_ms(),
                                 &err);
    daemon_dirty(j->daemon);
    if (id < 0)
        target_fail(t, &err);
    else
        t->compare = (uint64_t)id;
}

static void forget(struct job *j, struct job_target *t)
{
    if (t->compare != 0)
        primary_compare_free(j->daemon->core, t->compare);
    t->compare = 0;
}

/* Take what the core knows about the comparison now. */
static void update(struct job *j, struct job_target *t)
{
    const struct compare_result *r =
        primary_compare_result(j->daemon->core, t->compare);
    if (r == NULL) {
        struct err err = {0};
        (void)err_set(&err, ERR_CLOSED, 0, "the comparison was given up");
        t->compare = 0;
        target_fail(t, &err);
        return;
    }
    t->last = *r;
    t->last.names = NULL;
    t->phase = r->phase;
    if (!r->done)
        return;
    t->names = names_json(r);
    if (r->failed)
        target_fail(t, &r->err);
    else if (j->unread.code != 0)
        target_fail(t, &j->unread);
    else if (r->unread > 0)
        t->err = r->unread_err; /* the rest was compared */
    t->done = true;
    forget(j, t);
}

static void target_step(struct job *j, struct job_target *t)
{
    struct replica *r = replica_find(j->daemon, t->name);
    struct replica_status st;
    if (r == NULL) {
        struct err err = {0};
        (void)err_set(&err, ERR_NOTFOUND, 0, "the replica was removed");
        t->compare = 0; /* it went with the replica */
        target_fail(t, &err);
        return;
    }
    if (t->compare != 0)
        update(j, t);
    if (t->done)
        return;
    primary_status(j->daemon->core, r->number, daemon_ms(), &st);
    if (reachable(t, &st) && t->compare == 0)
        begin(j, t, r);
    if (t->done)
        forget(j, t);
}

static bool is_good(const struct job *j, const struct job_target *t)
{
    const struct compare_result *r = &t->last;
    if (t->failed || r->unread > 0)
        return false;
    if (j->what == JOB_VERIFY)
        return r->missing + r->extra + r->different == 0;
    if (j->what == JOB_RESYNC_DRY_RUN)
        return true;
    return !r->held && r->repaired >= r->to_repair;
}

void compare_step(struct job *j)
{
    bool done = true, good = true;
    for (size_t i = 0; i < j->count; i++) {
        struct job_target *t = &j->targets[i];
        if (!t->done)
            target_step(j, t);
        done = done && t->done;
        good = good && is_good(j, t);
    }
    if (done)
        job_end(j, good ? EXIT_GOOD : EXIT_BAD);
}

void compare_drop(struct job *j)
{
    for (size_t i = 0; i < j->count; i++)
        if (replica_find(j->daemon, j->targets[i].name) != NULL)
            forget(j, &j->targets[i]);
}
