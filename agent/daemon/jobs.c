/* SPDX-License-Identifier: MIT
 *
 * jobs: see jobs.h.
 *
 * A barrier is exact because the kernel queues an event before the writer's
 * call returns: drain the queue, wait until the contents of new directories
 * have been hinted too (the marker), then note the log's tail.  Where events
 * were lost, something was mounted or directories cannot be watched, a scan
 * begun after the call takes the events' place.
 *
 * Happy path of `wait`: marker -> barrier -> each replica passes it -> done.
 * Failures: the deadline ends the job with the list of who is not there and why
 * (a comparison has one, too: it always ends);
 * a replica that is removed meanwhile counts as failed; when the agent stops,
 * jobs end with "try again".
 */
#include "agent/daemon/jobs.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "agent/base/object.h"
#include "agent/daemon/jobs_impl.h"
#include "agent/daemon/members.h"
#include "agent/daemon/status.h"
#include "agent/replica/left_out.h"
#include "store/base/clock.h"

enum {
    PROGRESS_MS = 200,
    SCAN_AGAIN_MS = 1000,
    /* Nobody who asked at night shall wait for ever. */
    COMPARE_MOST_MS = 3600 * 1000,
    CONTENT_MOST_MS = 6 * 3600 * 1000,
};

static json_t *target_json(struct job *j, struct job_target *t, bool end)
{
    if (!j->is_compare) {
        return wait_target_json(j, t, end);
    }
    bool now = t->done && !t->told;
    t->told = t->done;
    return compare_target_json(j, t, end || now);
}

/* The job's object; names of keys only at the end, or once of a replica that is
 * done before the others. */
static json_t *job_object(struct job *j, bool end)
{
    json_t *list = json_array();
    int64_t ms = daemon_ms() - j->began_ms;

    for (size_t i = 0; i < j->count; i++) {
        (void)json_array_append_new(list, target_json(j, &j->targets[i], end));
    }
    json_t *warnings = json_array();

    status_add_poor(j->daemon, warnings);
    status_add_ignored(j->daemon, true, warnings);
    if (j->is_compare) {
        return json_pack("{s:s, s:o, s:o, s:o}", "mode", compare_mode_word(j),
                         "elapsed_s", object_seconds(ms), "replicas", list,
                         "warnings", warnings);
    }
    return json_pack("{s:o, s:o, s:o}", "waited_s", object_seconds(ms),
                     "replicas", list, "warnings", warnings);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct job *j = handle->data;

    for (size_t i = 0; i < j->count; i++) {
        target_deinit(&j->targets[i]);
    }
    met_free(j->met);

    free(j);
}

static void job_close(struct job *j)
{
    struct daemon *d = j->daemon;

    j->phase = JOB_ENDED;
    if (j->is_compare) {
        compare_drop(j);
    }
    if (d->scans != NULL && !d->stop.parts_freed) {
        scans_forget(d->scans, j);
    }
    DL_DELETE(d->jobs, j);
    uv_close((uv_handle_t *)&j->timer, on_timer_closed);
}

static void job_end(struct job *j, int exit_code);

static void finish(struct job *j)
{
    json_t *object = job_object(j, true);
    struct job_events on = j->on;
    void *arg = j->arg;
    int code = j->exit_code;
    bool cancelled = j->cancelled;

    job_close(j);
    if (cancelled) {
        json_decref(object);
    } else {
        on.done(arg, code, object);
    }
}

static void check_deadline(struct job *j)
{
    if (j->phase == JOB_ENDED || daemon_ms() < j->deadline_ms) {
        return;
    }
    if (j->is_compare) {
        compare_expire(j);
    }
    job_end(j, j->is_compare ? EXIT_BAD : EX_TEMPFAIL);
}

static void on_timer(uv_timer_t *timer)
{
    struct job *j = timer->data;

    /* Time passing is a reason to look again. */
    daemon_dirty(j->daemon);
    check_deadline(j);
    if (j->done_asked) {
        finish(j);
    } else if (!j->cancelled && j->on.progress != NULL) {
        j->on.progress(j->arg, job_object(j, false));
    }
}

/* End the job (its `done` comes from the loop). */
static void job_end(struct job *j, int exit_code)
{
    if (j->done_asked) {
        return;
    }
    j->done_asked = true;
    j->exit_code = exit_code;
    uv_update_time(&j->daemon->loop);
    (void)uv_timer_start(&j->timer, on_timer, 0, 0);
}

/* --- the marker ----------------------------------------------------------- */

static void on_scan(void *arg, const struct scan_report *report)
{
    struct job *j = arg;
    const struct daemon *d = j->daemon;

    daemon_dirty(j->daemon);
    /* Nothing was proven of tables that cannot be read.  A comparison goes on
     * with the others, and fails in the end. */
    if (report->rc == 0 && !j->is_compare &&
        report->result.counts.incomplete > 0) {
        j->unread = d->unread_err;
        j->scan_asked = false;
        j->scan_after_ms = daemon_ms() + SCAN_AGAIN_MS;
        return;
    }
    if (report->rc == 0) {
        j->unread = (struct err){0};
        if (report->result.counts.incomplete > 0) {
            j->unread = d->unread_err;
        }
        j->barrier = primary_tail(j->daemon->core);
        j->marker_set = false;
        j->phase = j->met != NULL ? JOB_SCANNED : JOB_RUN;
        return;
    }
    if (!j->is_compare) {
        j->scan_asked = false; /* again, until the deadline */
        return;
    }
    for (size_t i = 0; i < j->count; i++) {
        target_fail(&j->targets[i], &report->err);
    }
    job_end(j, EXIT_BAD);
}

/* Does this job need a scan of our own before it may go on? */
static bool needs_scan(const struct job *j)
{
    if (j->is_compare && !j->recorded) {
        return true;
    }
    return !daemon_sees_all(j->daemon);
}

/* Nothing can be compared with a database that is not there. */
static bool given_up(struct job *j)
{
    if (!j->is_compare || j->daemon->coverage.root != ROOT_LOST) {
        return false;
    }
    for (size_t i = 0; i < j->count; i++) {
        target_fail(&j->targets[i], &j->daemon->lost.err);
    }
    job_end(j, EXIT_BAD);
    return true;
}

/* Everything that happened before the first call has been hinted. */
static bool marker_passed(struct job *j)
{
    struct daemon *d = j->daemon;

    if (d->coverage.root != ROOT_HERE || !d->coverage.index_ready) {
        return false;
    }
    if (!j->marker_set) {
        j->marker_set = true;
        watch_drain(d->watch);
        if (d->mounts != NULL) {
            mounts_check(d->mounts);
        }
        if (d->coverage.root != ROOT_HERE) {
            return false; /* the drain found that the root is lost */
        }
        j->marker = watch_marker(d->watch);
    }
    return watch_marker_passed(d->watch, j->marker);
}

static void marker_step(struct job *j)
{
    struct daemon *d = j->daemon;

    if (!marker_passed(j)) {
        return;
    }
    if (needs_scan(j)) {
        /* What the index is still to learn of the events until now is no news
         * to the scan. */
        if (j->barrier == 0) {
            j->barrier = primary_tail(d->core);
        }
        if (!j->is_compare || primary_indexed(d->core, j->barrier)) {
            j->phase = JOB_SCAN;
        }
        return;
    }
    j->phase = JOB_RUN;
    j->barrier = primary_tail(d->core);
}

static void scan_step(struct job *j)
{
    struct daemon *d = j->daemon;

    if (j->scan_asked || d->coverage.root != ROOT_HERE ||
        daemon_ms() < j->scan_after_ms) {
        return;
    }
    if (j->is_compare && j->what != JOB_RESYNC && j->met == NULL) {
        /* Out of memory: what is repaired meanwhile goes unreported. */
        j->met = met_new();
    }
    j->scan_asked = true;
    scans_ask(d->scans, j->content, false, on_scan, j);
}

static void scanned_step(struct job *j)
{
    if (!marker_passed(j)) {
        return;
    }
    met_close(j->met);
    j->phase = JOB_RUN;
}

/* Every change from before is durable there; and, where that is asked, a
 * heartbeat sent since then was answered: with nothing to send, the first alone
 * would say nothing of the link. */
static bool has_arrived(struct job *j, struct job_target *t,
                        const struct replica *r)
{
    struct primary *core = j->daemon->core;

    if (!primary_passed(core, r->number, j->barrier)) {
        return false;
    }
    if (j->asks && t->ping == 0) {
        t->ping = primary_ping(core, r->number, daemon_ms());
        daemon_dirty(j->daemon);
        return false;
    }
    if (j->asks && !primary_ponged(core, r->number, t->ping)) {
        return false;
    }
    t->trip_ns = clock_mono_ns() - j->began_ns;
    return true;
}

static void wait_step(struct job *j)
{
    size_t done = 0;
    bool failed = false;

    for (size_t i = 0; i < j->count; i++) {
        struct job_target *t = &j->targets[i];
        struct replica *r = replica_find(&j->daemon->replicas, t->name);
        if (!t->done && r == NULL) {
            struct err err = {0};
            (void)err_set(&err, ERR_NOTFOUND, 0, "the replica was removed");
            target_fail(t, &err);
        }
        if (!t->done) {
            t->done = has_arrived(j, t, r);
        }
        done += t->done;
        failed = failed || t->failed;
    }
    if (done == j->count) {
        job_end(j, failed ? EXIT_BAD : EXIT_GOOD);
    }
}

static void job_step(struct job *j)
{
    bool good;

    if (j->done_asked || (j->phase != JOB_RUN && given_up(j))) {
        return;
    }
    if (j->phase == JOB_MARKER) {
        marker_step(j);
    }
    if (j->phase == JOB_SCAN) {
        scan_step(j);
    }
    if (j->phase == JOB_SCANNED) {
        scanned_step(j);
    }
    if (j->phase != JOB_RUN) {
        return;
    }
    if (!j->is_compare) {
        wait_step(j);
    } else if (compare_job_step(j, &good)) {
        job_end(j, good ? EXIT_GOOD : EXIT_BAD);
    }
}

void jobs_pump(struct daemon *d)
{
    struct job *j, *next;

    DL_FOREACH_SAFE(d->jobs, j, next) {
        job_step(j);
    }
}

void jobs_moved(struct daemon *d, struct bytes table, const struct bytes *key)
{
    struct job *j;

    DL_FOREACH(d->jobs, j) {
        if (j->met != NULL) {
            met_moved(j->met, table, key);
        }
    }
}

void jobs_found(struct daemon *d, struct bytes table, const struct bytes *key)
{
    struct job *j;

    DL_FOREACH(d->jobs, j) {
        if (j->met != NULL) {
            met_found(j->met, table, key);
        }
    }
}

void jobs_compared(struct daemon *d, uint64_t id)
{
    /* The pump that carries out the action steps the jobs right after. */
    (void)id;
    daemon_dirty(d);
}

void jobs_end_all(struct daemon *d)
{
    while (d->jobs != NULL) {
        struct job *j = d->jobs;
        j->exit_code = j->done_asked ? j->exit_code : EX_TEMPFAIL;
        finish(j);
    }
}

/* --- starting ------------------------------------------------------------ */

static int add_targets(struct job *j, const char *const *names, size_t n,
                       struct err *err)
{
    struct replica *r;
    bool good = true;

    for (size_t i = 0; i < n; i++) {
        if (members_named(j->daemon, names[i], &r, err) < 0) {
            return err->code;
        }
        good = good && target_add(j, names[i]);
    }
    if (n == 0 && left_out_any(&j->daemon->replicas, err)) {
        return err->code;
    }
    if (n == 0) {
        DL_FOREACH(j->daemon->replicas.list, r) {
            good = good && target_add(j, r->name);
        }
    }
    return good ? 0 : err_set(err, ERR_NOMEM, 0, "out of memory");
}

static struct job *job_new(struct daemon *d, const char *const *names, size_t n,
                           const struct job_events *ev, void *arg,
                           struct err *err)
{
    if (d->stop.begun) {
        (void)err_set(err, ERR_CLOSED, 0, "the agent is stopping");
        return NULL;
    }
    struct job *j = calloc(1, sizeof *j);
    if (j == NULL) {
        (void)err_set(err, ERR_NOMEM, 0, "out of memory");
        return NULL;
    }
    j->daemon = d;
    j->on = *ev;
    j->arg = arg;
    j->began_ms = daemon_ms();
    j->began_ns = clock_mono_ns();
    j->deadline_ms = INT64_MAX;
    (void)uv_timer_init(&d->loop, &j->timer);
    j->timer.data = j;
    DL_APPEND(d->jobs, j);
    if (add_targets(j, names, n, err) < 0) {
        job_close(j);
        return NULL;
    }
    (void)uv_timer_start(&j->timer, on_timer, PROGRESS_MS, PROGRESS_MS);
    daemon_dirty(d);
    return j;
}

/* Whoever asks for a replica has perhaps just mended what kept it away.  Anyone
 * may wait, and as often as they like: that is no reason to show a key again to
 * a host that refused it. */
static void hasten(struct job *j, bool refused_too)
{
    for (size_t i = 0; i < j->count; i++) {
        struct replica *r =
            replica_find(&j->daemon->replicas, j->targets[i].name);
        if (r != NULL) {
            j->targets[i].asked_end_ms = r->ended_ms;
            replica_hasten(r, refused_too);
        }
    }
}

struct job *daemon_wait(struct daemon *d, const char *const *replicas, size_t n,
                        bool asks, int64_t timeout_ms,
                        const struct job_events *ev, void *arg, struct err *err)
{
    struct job *j = job_new(d, replicas, n, ev, arg, err);

    if (j != NULL) {
        j->asks = asks;
        hasten(j, false);
    }
    if (j != NULL && timeout_ms >= 0 && timeout_ms < INT64_MAX / 2) {
        j->deadline_ms = daemon_ms() + timeout_ms;
    }
    return j;
}

struct job *daemon_compare(struct daemon *d,
                           const struct compare_request *request,
                           const char *const *replicas, size_t n,
                           const struct job_events *ev, void *arg,
                           struct err *err)
{
    struct job *j = job_new(d, replicas, n, ev, arg, err);

    if (j != NULL) {
        int64_t most = request->timeout_ms;
        if (most < 0) {
            most = request->content ? CONTENT_MOST_MS : COMPARE_MOST_MS;
        }
        j->is_compare = true;
        j->what = request->what;
        j->content = request->content;
        j->recorded = request->recorded;
        hasten(j, true);
        if (most < INT64_MAX / 2) {
            j->deadline_ms = daemon_ms() + most;
        }
    }
    return j;
}

void daemon_job_cancel(struct daemon *d, struct job *job)
{
    (void)d;
    job_close(job);
}
