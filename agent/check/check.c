/* SPDX-License-Identifier: MIT
 *
 * check: see check.h. */
#include "agent/check/check.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/check/as_user.h"
#include "agent/check/asked.h"
#include "agent/check/dial.h"
#include "agent/check/local.h"
#include "agent/check/remedy.h"
#include "agent/config/config_probe.h"
#include "agent/control/control.h"
#include "agent/identity/identity.h"
#include "store/base/cleanup.h"
#include "store/base/hex.h"
#include "store/base/quote.h"
#include "sync/errors/state.h"

enum { STATUS_MS = 10000, GRACE_MS = 5000 };

/* --- the agent ------------------------------------------------------------- */

/* The result of a request; NULL: *err says why there is none. */
static json_t *ask(const char *socket, json_t *request, int64_t timeout_ms,
                   struct err *err)
{
    json_t *answer = NULL, *result = NULL;
    int rc =
        control_call(socket, request, timeout_ms, NULL, NULL, &answer, err);

    json_decref(request);
    const json_t *error = json_object_get(answer, "error");
    if (rc >= 0 && json_is_object(error)) {
        const char *text = json_string_value(json_object_get(error, "text"));
        (void)err_set(err, ERR_REFUSED, 0, "%s", text != NULL ? text : "");
        err->id = (int)json_integer_value(json_object_get(error, "id"));
    } else if (rc >= 0) {
        result = json_incref(json_object_get(answer, "result"));
    }
    json_decref(answer);
    return result;
}

void check_begin(struct check *k)
{
    k->silent = (struct err){0};
    k->status = ask(k->socket, json_pack("{s:s}", "cmd", "status"), STATUS_MS,
                    &k->silent);
}

void check_end(struct check *k)
{
    json_decref(k->status);
    k->status = NULL;
}

/* Whose rights count. */
static uid_t agent_user(const struct check *k)
{
    char path[64];
    struct stat st;
    long pid = (long)json_integer_value(json_object_get(k->status, "pid"));

    (void)snprintf(path, sizeof path, "/proc/%ld", pid);
    if (k->status != NULL && pid > 0 && stat(path, &st) == 0) {
        return st.st_uid;
    }
    return config_agent_user(k->config);
}

/* Root may look where the agent's user may not; and what that has said counts
 * as well. */
static void know_database(struct check *k)
{
    const json_t *database = json_object_get(k->status, "database");
    const char *id = json_string_value(json_object_get(database, "id"));
    struct err ignored = {0};
    struct db db;

    k->as = (struct dial_as){.epoch = 0};
    if (db_open(&db, k->config->path, false, &ignored) == 0) {
        if (identity_read(&db, k->as.db_id, &ignored) != 0 ||
            identity_epoch(&db, &k->as.epoch, &ignored) != 0 ||
            identity_origin(&db, k->as.origin, &ignored) != 0) {
            k->as = (struct dial_as){.epoch = 0};
        }
        db_close(&db);
    } else if (id != NULL &&
               hex_decode(k->as.db_id, sizeof k->as.db_id, id, strlen(id))) {
        k->as.epoch =
            (uint64_t)json_integer_value(json_object_get(database, "epoch"));
    }
}

/* --- names ----------------------------------------------------------------- */

static const char *status_name(const struct check *k, size_t i)
{
    const json_t *r = json_array_get(json_object_get(k->status, "replicas"), i);

    return json_string_value(json_object_get(r, "name"));
}

/* The i-th of all; NULL: there are no more.  The file's come first, for an
 * agent may not have read the newest. */
static const char *name_at(const struct check *k, size_t i)
{
    if (k->config == NULL) {
        return status_name(k, i);
    }
    return i < k->config->replicas_count ? k->config->replicas[i].name : NULL;
}

static bool is_there(const struct check *k, const char *name)
{
    const char *n;

    for (size_t i = 0; (n = name_at(k, i)) != NULL; i++) {
        if (strcmp(n, name) == 0) {
            return true;
        }
    }
    return false;
}

const char *check_unknown(const struct check *k)
{
    for (size_t i = 0; i < k->count; i++) {
        if (!is_there(k, k->replicas[i])) {
            return k->replicas[i];
        }
    }
    return NULL;
}

void check_names(const struct check *k, char *out, size_t room)
{
    const char *n;
    size_t at = 0;

    out[0] = '\0';
    for (size_t i = 0; (n = name_at(k, i)) != NULL && at < room; i++) {
        at +=
            (size_t)snprintf(out + at, room - at, "%s%s", i > 0 ? ", " : "", n);
    }
}

/* --- what is looked at ----------------------------------------------------- */

struct look {
    const struct check *check;
    const struct config_replica *replica; /* NULL: this host */
};

static void look(void *arg, struct findings *out)
{
    const struct look *l = arg;
    const struct config *c = l->check->config;

    if (l->replica == NULL) {
        local_check(c, out);
    } else {
        dial_check(c, l->replica, &l->check->as, l->check->timeout_ms, out);
    }
}

/* False: this user can tell nothing of what the agent's can do. */
static bool look_as_agent(const struct check *k, const struct config_replica *r,
                          struct findings *out)
{
    struct look l = {.check = k, .replica = r};
    struct err err = {0};
    uid_t uid = agent_user(k);

    if (geteuid() != 0 && geteuid() != uid) {
        return false;
    }
    if (as_user(uid, look, &l, out, &err) < 0) {
        finding_err(out, FINDING_FAIL, "agent's user", &err, "");
    }
    return true;
}

/* That none runs is no failure: one may look before the first start. */
static void no_agent(const struct check *k, struct findings *out)
{
    static const char ETC[] = "/etc/drover/";
    const char *file = k->config->file;
    char hint[QUOTE_MSG_BYTES + 60];

    if (k->silent.id != DR_NO_AGENT) {
        remedy_add(out, FINDING_FAIL, "agent", &k->silent, k->config, NULL);
        return;
    }
    if (strncmp(file, ETC, sizeof ETC - 1) == 0) {
        (void)snprintf(hint, sizeof hint, "systemctl start drover@%s",
                       k->config->name);
    } else {
        (void)snprintf(hint, sizeof hint, "drover agent --config %s",
                       QUOTED_STR(file));
    }
    finding_warn(out, "agent", DR_NO_AGENT, hint,
                 "none answers on %s: the whole way is not tried", k->socket);
}

static void check_here(const struct check *k, struct findings *out)
{
    if (k->config == NULL && k->unread_file != NULL) {
        finding_warn(out, "config", 0, "",
                     "%s may not be read by this user: what the agent says is "
                     "all that is looked at",
                     k->unread_file);
    } else if (k->config == NULL) {
        finding_warn(out, "config", 0, "",
                     "the agent has it from its command line: what it says is "
                     "all that is looked at");
    } else if (!look_as_agent(k, NULL, out)) {
        const struct passwd *pw = getpwuid(agent_user(k));
        finding_warn(out, "this host", 0, "",
                     "not looked at: only root and the agent's user (%s) can "
                     "tell what that user may do",
                     pw != NULL ? pw->pw_name : "unknown");
    }
    if (k->status != NULL) {
        asked_agent(k->status, out);
    } else {
        no_agent(k, out);
    }
}

/* It could not be asked at all; who may not, or an agent that is too old, is no
 * fault of the replica. */
static void not_asked(const struct check *k, const struct err *err,
                      struct findings *out)
{
    bool ours = err->id == DR_NOT_PERMITTED || err->id == 0;
    enum finding_level level = ours ? FINDING_WARN : FINDING_FAIL;

    if (k->config != NULL && err->id != 0) {
        remedy_add(out, level, "whole way", err, k->config, NULL);
    } else {
        finding_err(out, level, "whole way", err, dr_hint(err->id));
    }
}

/* A question through the agent to the replica and back. */
static void check_trip(const struct check *k, const char *name,
                       struct findings *out)
{
    struct err err = {0};
    json_t *request = json_pack("{s:s, s:[s], s:I}", "cmd", "check", "replicas",
                                name, "timeout_ms", (json_int_t)k->timeout_ms);
    json_t *result = ask(k->socket, request, k->timeout_ms + GRACE_MS, &err);

    if (result != NULL) {
        asked_trip(result, name, out);
    } else {
        not_asked(k, &err, out);
    }
    json_decref(result);
}

static bool failed(const struct findings *out, const char *name)
{
    for (size_t i = 0; i < out->count; i++) {
        if (out->list[i].level == FINDING_FAIL &&
            strcmp(out->list[i].replica, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_paused(const struct check *k, const char *name)
{
    const json_t *r;
    size_t i;

    json_array_foreach(json_object_get(k->status, "replicas"), i, r) {
        const char *n = json_string_value(json_object_get(r, "name"));
        const char *state = json_string_value(json_object_get(r, "state"));
        if (n != NULL && state != NULL && strcmp(n, name) == 0) {
            return strcmp(state, "paused") == 0;
        }
    }
    return false;
}

static void check_replica(const struct check *k, const char *name,
                          struct findings *out)
{
    const struct config_replica *r =
        k->config != NULL ? config_replica(k->config, name) : NULL;

    out->replica = name;
    if (r != NULL) {
        (void)look_as_agent(k, r, out);
    }
    if (k->status != NULL) {
        asked_replica(k->status, name, out);
    }
    if (k->status != NULL && !failed(out, name) && !is_paused(k, name)) {
        check_trip(k, name, out);
    }
    out->replica = NULL;
}

void check_run(struct check *k, struct findings *out)
{
    const char *name;

    if (k->config != NULL) {
        know_database(k);
    }
    check_here(k, out);
    for (size_t i = 0; i < k->count; i++) {
        check_replica(k, k->replicas[i], out);
    }
    for (size_t i = 0; k->count == 0 && (name = name_at(k, i)) != NULL; i++) {
        check_replica(k, name, out);
    }
    if (k->status != NULL) {
        asked_health(k->status, out);
    }
}
