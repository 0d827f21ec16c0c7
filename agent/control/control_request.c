/* SPDX-License-Identifier: MIT
 *
 * control_request: what may be asked on the control socket: one function per
 * request, in a table that says who may ask.  A function answers at once or
 * starts a job of the daemon; its progress and end come back as
 * job_progress() and job_done().
 */
#include <string.h>
#include <unistd.h>

#include "agent/control/control_impl.h"
#include "agent/events/events.h"
#include "store/base/base64.h"
#include "store/base/bytes.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/cmdline/version.h"
#include "store/layout/name.h"
#include "sync/errors/state.h"

enum { NAMES_MAX = 64 }; /* replicas named in one request */

/* --- answers ------------------------------------------------------------- */

/* What the daemon says, as much of it as this client may see; takes it. */
static json_t *as_seen_by(const struct client *cl, json_t *object)
{
    return cl->trusted ? object : unprivileged_view(object);
}

/* Takes `result`. */
static void answer(struct client *cl, int exit_code, json_t *result)
{
    client_send(cl,
                json_pack("{s:i, s:o}", "exit", exit_code, "result",
                          as_seen_by(cl, result)),
                false);
}

/* --- jobs ---------------------------------------------------------------- */

static void job_progress(void *arg, json_t *object)
{
    client_send(arg, json_pack("{s:o}", "progress", as_seen_by(arg, object)),
                true);
}

static void job_done(void *arg, int exit_code, json_t *object)
{
    struct client *cl = arg;

    cl->job = NULL;
    answer(cl, exit_code, object);
    client_run(cl);
}

static const struct job_events JOB_EVENTS = {
    .progress = job_progress,
    .done = job_done,
};

/* --- requests ------------------------------------------------------------ */

struct names {
    const char *list[NAMES_MAX]; /* borrowed from the request */
    size_t count;
};

static int read_names(const json_t *request, struct names *out, struct err *err)
{
    const json_t *list = json_object_get(request, "replicas");
    const json_t *name;
    size_t i;

    out->count = 0;
    if (list == NULL || json_is_null(list)) {
        return 0;
    }
    if (!json_is_array(list) || json_array_size(list) > NAMES_MAX) {
        return err_set(err, ERR_INVALID, 0,
                       "\"replicas\" is not a list of at most %d names",
                       NAMES_MAX);
    }
    json_array_foreach(list, i, name) {
        if (!json_is_string(name)) {
            return err_set(err, ERR_INVALID, 0,
                           "\"replicas\" holds something else than names");
        }
        out->list[out->count++] = json_string_value(name);
    }
    return 0;
}

static bool flag(const json_t *request, const char *name)
{
    return json_is_true(json_object_get(request, name));
}

/* -1: there is none. */
static int read_timeout(const json_t *request, int64_t *ms_out, struct err *err)
{
    const json_t *timeout = json_object_get(request, "timeout_ms");

    *ms_out = -1;
    if (timeout == NULL) {
        return 0;
    }
    if (!json_is_integer(timeout)) {
        return err_set(err, ERR_INVALID, 0, "\"timeout_ms\" is not a number");
    }
    *ms_out = json_integer_value(timeout);
    return 0;
}

static int run_status(struct client *cl, const json_t *request, struct err *err)
{
    json_t *status = daemon_status(cl->control->daemon,
                                   cl->trusted && flag(request, "keys"));

    if (status == NULL) {
        return err_set(err, ERR_NOMEM, 0, "out of memory");
    }
    const json_t *healthy = json_object_get(status, "healthy");
    answer(cl, healthy != NULL && json_is_false(healthy) ? 1 : 0, status);
    return 0;
}

static uint64_t number(const json_t *request, const char *name)
{
    json_int_t n = json_integer_value(json_object_get(request, name));

    return n > 0 ? (uint64_t)n : 0;
}

static int run_events(struct client *cl, const json_t *request, struct err *err)
{
    struct names names;
    int rc = read_names(request, &names, err);

    if (rc < 0) {
        return rc;
    }
    const struct events_query q = {
        .from = number(request, "from"),
        .since_ns = (int64_t)number(request, "since_ms") * NS_PER_MS,
        .last = number(request, "last"),
        .replicas = names.list,
        .count = names.count};
    json_t *events = daemon_events(cl->control->daemon, &q);
    if (events == NULL) {
        return err_set(err, ERR_NOMEM, 0, "the agent keeps no events");
    }
    answer(cl, 0, events);
    return 0;
}

static int run_version(struct client *cl, const json_t *request,
                       struct err *err)
{
    const struct config *config = daemon_config(cl->control->daemon);

    (void)request;
    (void)err;
    answer(cl, 0,
           json_pack("{s:s, s:i, s:s}", "version", version_text(), "pid",
                     (int)getpid(), "database", config->name));
    return 0;
}

static int run_waiting(struct client *cl, const json_t *request, bool asks,
                       struct err *err)
{
    struct names names;
    int64_t timeout_ms = 0;
    int rc = read_names(request, &names, err);

    if (rc == 0) {
        rc = read_timeout(request, &timeout_ms, err);
    }
    if (rc < 0) {
        return rc;
    }
    cl->job = daemon_wait(cl->control->daemon, names.list, names.count, asks,
                          timeout_ms, &JOB_EVENTS, cl, err);
    return cl->job != NULL ? 0 : err->code;
}

static int run_wait(struct client *cl, const json_t *request, struct err *err)
{
    return run_waiting(cl, request, false, err);
}

static int run_check(struct client *cl, const json_t *request, struct err *err)
{
    return run_waiting(cl, request, true, err);
}

static int run_compare(struct client *cl, const json_t *request,
                       enum job_compare what, struct err *err)
{
    struct compare_request how = {
        .what = what,
        .content = flag(request, "content"),
        .recorded = what == JOB_VERIFY && flag(request, "recorded"),
    };
    struct names names;
    int rc = read_names(request, &names, err);

    if (rc == 0) {
        rc = read_timeout(request, &how.timeout_ms, err);
    }
    if (rc == 0 && how.content && how.recorded) {
        rc = err_set(err, ERR_INVALID, 0,
                     "use \"content\" or \"recorded\", not both");
    }
    if (rc < 0) {
        return rc;
    }
    cl->job = daemon_compare(cl->control->daemon, &how, names.list, names.count,
                             &JOB_EVENTS, cl, err);
    return cl->job != NULL ? 0 : err->code;
}

/* What is there is taken, at once; how the filling goes, status tells. */
static int run_anew(struct client *cl, const json_t *request, struct err *err)
{
    struct names names;
    int rc = read_names(request, &names, err);

    if (rc == 0 && names.count == 0) {
        rc = err_set(err, ERR_INVALID, 0, "--anew needs a replica's name");
    }
    if (rc == 0) {
        rc = daemon_anew(cl->control->daemon, names.list, names.count, err);
    }
    if (rc == 0) {
        answer(cl, 0,
               json_pack("{s:s, s:O}", "mode", "anew", "replicas",
                         json_object_get(request, "replicas")));
    }
    return rc;
}

static int run_resync(struct client *cl, const json_t *request, struct err *err)
{
    if (flag(request, "anew")) {
        return run_anew(cl, request, err);
    }
    return run_compare(
        cl, request, flag(request, "dry_run") ? JOB_RESYNC_DRY_RUN : JOB_RESYNC,
        err);
}

static int run_verify(struct client *cl, const json_t *request, struct err *err)
{
    return run_compare(cl, request, JOB_VERIFY, err);
}

static int run_approve(struct client *cl, const json_t *request,
                       struct err *err)
{
    const char *replica =
        json_string_value(json_object_get(request, "replica"));
    const char *token = json_string_value(json_object_get(request, "token"));
    json_t *held = NULL;
    uint64_t count = 0;

    if (replica == NULL) {
        return err_set(err, ERR_INVALID, 0, "\"replica\" is missing");
    }
    if (flag(request, "dry_run")) {
        int rc = daemon_held(cl->control->daemon, replica, &held, err);
        if (rc == 0) {
            answer(cl, 0,
                   json_pack("{s:s, s:o}", "replica", replica, "held", held));
        }
        return rc;
    }
    int rc = daemon_approve(cl->control->daemon, replica, token, &count, err);
    if (rc < 0) {
        return rc;
    }
    answer(cl, 0,
           json_pack("{s:s, s:I}", "replica", replica, "count",
                     (json_int_t)count));
    return 0;
}

/* What was asked for and, takes it, what was done. */
static void answer_done(struct client *cl, const json_t *request, json_t *done)
{
    const json_t *list = json_object_get(request, "replicas");

    answer(cl, 0,
           json_pack("{s:o, s:o}", "replicas",
                     json_is_array(list) ? json_deep_copy(list) : json_array(),
                     "done", done));
}

static int run_pausing(struct client *cl, const json_t *request, bool paused,
                       struct err *err)
{
    struct names names;
    json_t *done = NULL;
    int rc = read_names(request, &names, err);

    if (rc == 0) {
        rc = daemon_pause(cl->control->daemon, names.list, names.count, paused,
                          &done, err);
    }
    if (rc == 0) {
        answer_done(cl, request, done);
    }
    return rc;
}

static int run_pause(struct client *cl, const json_t *request, struct err *err)
{
    return run_pausing(cl, request, true, err);
}

static int run_resume(struct client *cl, const json_t *request, struct err *err)
{
    return run_pausing(cl, request, false, err);
}

static int run_retry(struct client *cl, const json_t *request, struct err *err)
{
    struct names names;
    json_t *done = NULL;
    int rc = read_names(request, &names, err);

    if (rc == 0) {
        rc = daemon_retry(cl->control->daemon, names.list, names.count, &done,
                          err);
    }
    if (rc == 0) {
        answer_done(cl, request, done);
    }
    return rc;
}

static int run_reload(struct client *cl, const json_t *request, struct err *err)
{
    json_t *changes = NULL;

    (void)request;
    int rc = daemon_reload(cl->control->daemon, &changes, err);
    if (rc < 0) {
        return rc;
    }
    answer(cl, 0, json_pack("{s:o}", "changes", changes));
    return 0;
}

/* The bytes of "NAME", or of "NAME_b64". */
static int read_name(const json_t *request, const char *name,
                     const char *name_b64, struct buf *out, struct err *err)
{
    const json_t *text = json_object_get(request, name);
    const json_t *b64 = json_object_get(request, name_b64);

    if (json_is_string(text)) {
        buf_put(out, json_string_value(text), json_string_length(text));
    } else if (!json_is_string(b64) ||
               !base64_decode(out, json_string_value(b64),
                              json_string_length(b64))) {
        return err_set(err, ERR_INVALID, 0, "\"%s\" is missing", name);
    }
    return out->bad ? err_set(err, ERR_NOMEM, 0, "out of memory") : 0;
}

static int run_key(struct client *cl, const json_t *request, struct err *err)
{
    CLEANUP(buf_deinit) struct buf table = BUF_NULL;
    CLEANUP(buf_deinit) struct buf key = BUF_NULL;
    int code;
    int rc = read_name(request, "table", "table_b64", &table, err);

    if (rc == 0) {
        rc = read_name(request, "key", "key_b64", &key, err);
    }
    if (rc == 0) {
        rc = table_check(table.data, table.len, err);
    }
    if (rc == 0) {
        rc = key_check(key.data, key.len, err);
    }
    if (rc == 0) {
        json_t *o =
            daemon_key(cl->control->daemon, bytes_of(table.data, table.len),
                       bytes_of(key.data, key.len), &code);
        answer(cl, code, o);
    }
    return rc;
}

static const struct request {
    const char *name;
    bool anyone; /* also for those who may not see key names */
    int (*run)(struct client *cl, const json_t *request, struct err *err);
} REQUESTS[] = {
    {"status", true, run_status},  {"version", true, run_version},
    {"wait", true, run_wait},      {"resync", false, run_resync},
    {"verify", false, run_verify}, {"approve", false, run_approve},
    {"pause", false, run_pause},   {"resume", false, run_resume},
    {"retry", false, run_retry},   {"reload", false, run_reload},
    {"check", false, run_check},   {"events", false, run_events},
    {"key", false, run_key},       {NULL, false, NULL},
};

/* Who may, and what to type to become one of them. */
static int not_permitted(const struct client *cl, const char *what,
                         struct err *err)
{
    const char *group = daemon_config(cl->control->daemon)->control_group;

    if (group != NULL) {
        (void)err_set(err, ERR_PERM, 0,
                      "%s is for root, the agent's own user (uid %u) and group "
                      "%s, not for uid %u; to join, and log in again: sudo "
                      "usermod -aG %s \"$USER\"",
                      what, (unsigned)geteuid(), group, (unsigned)cl->uid,
                      group);
    } else {
        (void)err_set(err, ERR_PERM, 0,
                      "%s is for root and the agent's own user (uid %u), not "
                      "for uid %u: sudo drover %s ...; or let a group do it: "
                      "control-group = GROUP in [database], restart the agent, "
                      "sudo usermod -aG GROUP \"$USER\"",
                      what, (unsigned)geteuid(), (unsigned)cl->uid, what);
    }
    err->id = DR_NOT_PERMITTED;
    return err->code;
}

static int run_request(struct client *cl, const json_t *request,
                       struct err *err)
{
    const char *cmd = json_string_value(json_object_get(request, "cmd"));
    const struct request *r = REQUESTS;

    if (cmd == NULL) {
        return err_set(err, ERR_INVALID, 0, "no \"cmd\" in the request");
    }
    while (r->name != NULL && strcmp(r->name, cmd) != 0) {
        r++;
    }
    if (r->name == NULL) {
        return err_set(err, ERR_INVALID, 0,
                       "this agent (%s) knows no request \"%.40s\"",
                       version_text(), cmd);
    }
    if (!cl->trusted && !r->anyone) {
        return not_permitted(cl, r->name, err);
    }
    return r->run(cl, request, err);
}

void request_run(struct client *cl, const char *line, size_t len)
{
    struct err err = {0};
    json_error_t why;
    json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, &why);
    int rc;

    if (request == NULL) {
        rc = err_set(&err, ERR_INVALID, 0, "the request is not JSON: %s",
                     why.text);
    } else {
        rc = run_request(cl, request, &err);
    }
    json_decref(request);
    if (rc < 0) {
        client_refuse(cl, &err);
    }
}
