/* SPDX-License-Identifier: MIT
 *
 * jobs_compare: verify and resync: one comparison per replica, side by side.
 *
 * After the marker (and our own scan, so that both sides compare what is on
 * disk) each replica that has a session gets its comparison.  What was changed
 * before the question and is not there is listed with its reason
 * (uncompared.h), and then the answer is never "equal".  One without a session
 * for DOWN_MS fails with its last error instead of holding up the job; the
 * others are not touched by that.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/object.h"
#include "agent/daemon/jobs_impl.h"
#include "sync/errors/state.h"

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
        object_set_key(o, n->table, n->key, n->is_table);
        (void)json_array_append_new(list, o);
    }
    return list;
}

json_t *uncompared_json(const struct job *j, const char *replica,
                        const struct uncompared_key *keys, size_t n)
{
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++) {
        const struct uncompared_key *k = &keys[i];
        struct err err = {0};
        uncompared_err(k, &err);
        json_t *o =
            json_pack("{s:s, s:s, s:b, s:o}", "reason", uncompared_word(k->why),
                      "side", k->on_primary ? "primary" : "replica", "is_table",
                      k->is_table, "error", job_error(j, replica, &err));
        if (k->sys != 0) {
            (void)json_object_set_new(o, "errno", json_integer(k->sys));
        }
        object_set_key(o, k->table, k->key, k->is_table);
        (void)json_array_append_new(list, o);
    }
    return list;
}

static bool same_name(const struct diff_name *a, const struct met_name *b)
{
    return a->is_table == b->is_table && a->table.len == b->table.len &&
           memcmp(a->table.p, b->table.p, b->table.len) == 0 &&
           (a->is_table || (a->key.len == b->key.len &&
                            memcmp(a->key.p, b->key.p, b->key.len) == 0));
}

static bool is_named(const struct compare_result *r, const struct met_name *n)
{
    for (size_t i = 0; i < r->names_count; i++) {
        if (same_name(&r->names[i], n)) {
            return true;
        }
    }
    return false;
}

/* What our scan met was different on every replica, though it may have been
 * repaired before the comparison looked. */
static void add_met(const struct job *j, struct job_target *t,
                    const struct compare_result *r)
{
    const struct met_name *names;
    uint64_t added;
    size_t n = met_names(j->met, &names, &added);

    for (size_t i = 0; i < n; i++) {
        if (is_named(r, &names[i])) {
            continue;
        }
        added++;
        json_t *o = json_pack("{s:s, s:b, s:b}", "kind", kind_word(DIFF_VALUE),
                              "is_table", names[i].is_table, "repaired", 1);
        object_set_key(o, names[i].table, names[i].key, names[i].is_table);
        (void)json_array_append_new(t->names, o);
    }
    /* Beyond the names that are kept, a difference may be one of these. */
    uint64_t unnamed = r->missing + r->extra + r->different - r->names_count;

    t->last.different += added > unnamed ? added - unnamed : 0;
}

/* Deletes that wait for somebody, which no repair does. */
static uint64_t held_there(const struct job *j, const struct job_target *t)
{
    const struct replica *r = replica_find(&j->daemon->replicas, t->name);
    struct primary_held held;

    return r != NULL &&
                   primary_held(j->daemon->core, r->number, daemon_ms(), &held)
               ? held.held
               : 0;
}

json_t *compare_target_json(const struct job *j, const struct job_target *t,
                            bool end)
{
    const struct compare_result *r = &t->last;
    uint64_t held = held_there(j, t);
    const char *phase = t->done            ? "done"
                        : t->phase != NULL ? t->phase
                                           : "waiting";
    json_t *o =
        json_pack("{s:s, s:b, s:b, s:b, s:s, s:o}", "name", t->name, "done",
                  t->done, "failed", t->failed, "held", r->held || held > 0,
                  "phase", phase, "error", job_error(j, t->name, &t->err));

    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
        {"compared", r->compared},   {"replica_keys", r->replica_keys},
        {"missing", r->missing},     {"extra", r->extra},
        {"different", r->different}, {"to_repair", r->to_repair},
        {"repaired", r->repaired},   {"reread", r->reread},
        {"modes_set", r->modes_set}, {"scan_keys", r->scan_keys},
        {"unread", r->unread},       {"held_deletes", held},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        (void)json_object_set_new(o, numbers[i].name,
                                  json_integer((json_int_t)numbers[i].value));
    }
    (void)json_object_set_new(o, "left", json_integer((json_int_t)r->left));
    if (end) {
        (void)json_object_set(o, "names",
                              t->names != NULL ? t->names : json_null());
        (void)json_object_set(o, "not_compared",
                              t->uncompared != NULL ? t->uncompared
                                                    : json_null());
    }
    return o;
}

static bool has_session(const struct replica_status *st)
{
    return st->state == REPLICA_INITIAL || st->state == REPLICA_CATCHUP ||
           st->state == REPLICA_STREAMING || st->state == REPLICA_HELD;
}

/* It needs the operator, also after the attempt that the question brought. */
static bool needs_operator(const struct job_target *t, const struct replica *r,
                           const struct replica_status *st)
{
    return st->state == REPLICA_FAILED && r->ended_ms != t->asked_end_ms;
}

/* true: the replica is there; else it may have failed for good. */
static bool reachable(struct job_target *t, const struct replica *r,
                      const struct replica_status *st)
{
    int64_t now_ms = daemon_ms();

    if (has_session(st)) {
        t->down_since_ms = 0;
        return true;
    }
    if (t->down_since_ms == 0) {
        t->down_since_ms = now_ms;
    }
    if (st->state == REPLICA_PAUSED) {
        struct err err = {0};
        (void)err_set(&err, ERR_CLOSED, 0, "paused by the operator");
        target_fail(t, &err);
    } else if (needs_operator(t, r, st) ||
               now_ms - t->down_since_ms >= DOWN_MS) {
        target_fail(t, &st->last_error);
    }
    return false;
}

static void begin(struct job *j, struct job_target *t, const struct replica *r)
{
    struct err err = {0};
    const struct compare_options o = {
        .mode = j->what == JOB_RESYNC   ? COMPARE_REPAIR
                : j->what == JOB_VERIFY ? COMPARE_VERIFY
                                        : COMPARE_DRY_RUN,
        .scan = !j->recorded,
        .content = j->content,
        .names_max = NAMES_MAX,
        .barrier = j->barrier,
    };
    int64_t id =
        primary_compare(j->daemon->core, r->number, &o, daemon_ms(), &err);

    daemon_dirty(j->daemon);
    if (id < 0) {
        target_fail(t, &err);
    } else {
        t->compare = (uint64_t)id;
    }
}

static void forget(struct job *j, struct job_target *t)
{
    if (t->compare != 0) {
        primary_compare_free(j->daemon->core, t->compare);
    }
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
    t->last.uncompared = NULL;
    t->phase = r->phase;
    if (!r->done) {
        return;
    }
    t->names = names_json(r);
    t->uncompared =
        uncompared_json(j, t->name, r->uncompared, r->uncompared_count);
    if (j->met != NULL) {
        add_met(j, t, r);
    }
    if (r->failed) {
        target_fail(t, &r->err);
    } else if (j->unread.code != 0) {
        target_fail(t, &j->unread);
    } else if (r->unread > 0) {
        t->err = r->unread_err; /* the rest was compared */
    }
    t->done = true;
    forget(j, t);
}

static void target_step(struct job *j, struct job_target *t)
{
    struct replica *r = replica_find(&j->daemon->replicas, t->name);
    struct replica_status st;

    if (r == NULL) {
        struct err err = {0};
        (void)err_set(&err, ERR_NOTFOUND, 0, "the replica was removed");
        t->compare = 0; /* it went with the replica */
        target_fail(t, &err);
        return;
    }
    if (t->compare != 0) {
        update(j, t);
    }
    if (t->done) {
        return;
    }
    primary_status(j->daemon->core, r->number, daemon_ms(), &st);
    if (reachable(t, r, &st) && t->compare == 0) {
        begin(j, t, r);
    }
    if (t->done) {
        forget(j, t);
    }
}

static bool is_good(const struct job *j, const struct job_target *t)
{
    const struct compare_result *r = &t->last;

    if (t->failed || r->unread > 0) {
        return false;
    }
    struct err beyond;
    if (j->what != JOB_RESYNC &&
        ignored_warning(j->daemon->ignored, index_count(j->daemon->ix), false,
                        &beyond)) {
        return false; /* no replica has what programs see here */
    }
    if (j->what != JOB_RESYNC) {
        return r->missing + r->extra + r->different == 0;
    }
    return !r->held && r->left == 0 && r->repaired >= r->to_repair;
}

bool compare_job_step(struct job *j, bool *good_out)
{
    bool done = true, good = true;

    for (size_t i = 0; i < j->count; i++) {
        struct job_target *t = &j->targets[i];
        if (!t->done) {
            target_step(j, t);
        }
        done = done && t->done;
        good = good && is_good(j, t);
    }
    *good_out = good;
    return done;
}

static void expire(struct job *j, struct job_target *t)
{
    struct replica *r = replica_find(&j->daemon->replicas, t->name);
    struct uncompared u = {.max = NAMES_MAX};
    struct replica_status st = {0};
    struct err err = {0};

    if (r != NULL) {
        primary_status(j->daemon->core, r->number, daemon_ms(), &st);
        struct primary *core = j->daemon->core;
        primary_uncompared(core, r->number,
                           j->barrier != 0 ? j->barrier : primary_tail(core),
                           daemon_ms(), &u);
        t->uncompared = uncompared_json(j, t->name, u.keys, u.n);
        t->last.unread = u.count;
        uncompared_free(&u);
    }
    bool down = t->compare == 0 && !has_session(&st) && st.last_error.code != 0;
    (void)err_set(&err, ERR_TIMEOUT, 0,
                  "timed out after %" PRId64 " s: %s%s%.300s",
                  ((daemon_ms() - j->began_ms) / 1000), target_stands(j, t),
                  down ? ": " : "", down ? st.last_error.msg : "");
    err.id = down && st.last_error.id != 0 ? st.last_error.id : DR_TIMED_OUT;
    target_fail(t, &err);
}

void compare_expire(struct job *j)
{
    for (size_t i = 0; i < j->count; i++) {
        if (!j->targets[i].done) {
            expire(j, &j->targets[i]);
        }
    }
}

void compare_drop(struct job *j)
{
    for (size_t i = 0; i < j->count; i++) {
        if (replica_find(&j->daemon->replicas, j->targets[i].name) != NULL) {
            forget(j, &j->targets[i]);
        }
    }
}
