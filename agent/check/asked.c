/* SPDX-License-Identifier: MIT
 *
 * asked: see asked.h. */
#include "agent/check/asked.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/check/remedy.h"
#include "store/base/clock.h"
#include "store/base/units.h"
#include "store/cmdline/version.h"
#include "sync/errors/state.h"

static const char *text_of(const json_t *o, const char *name)
{
    const char *text = json_string_value(json_object_get(o, name));

    return text != NULL ? text : "";
}

static int64_t ns_of(const json_t *o, const char *name)
{
    double s = json_number_value(json_object_get(o, name));

    return (int64_t)(s * (double)NS_PER_S);
}

/* --- the agent ------------------------------------------------------------- */

static void agent_itself(const json_t *status, struct findings *out)
{
    const char *version = text_of(status, "version");

    if (strcmp(version, version_text()) != 0) {
        finding_warn(
            out, "agent", 0, "restart it, so that it is the installed version",
            "version %s runs, this program is %s", version, version_text());
    } else {
        finding_ok(out, "agent", "pid %" PRId64 ", version %s, for %s",
                   (int64_t)json_integer_value(json_object_get(status, "pid")),
                   version, DURATION_TEXT(ns_of(status, "uptime_s")));
    }
}

static void agent_database(const json_t *database, struct findings *out)
{
    const json_t *error = json_object_get(database, "error");
    const char *state = text_of(database, "state");
    json_int_t overflows =
        json_integer_value(json_object_get(database, "overflows"));

    if (json_is_object(error)) {
        remedy_add_json(out, FINDING_FAIL, "database", error);
    } else if (strcmp(state, "ok") != 0) {
        finding_warn(out, "database", 0, "", "the agent says: %s", state);
    } else {
        finding_ok(out, "database",
                   "watched, %s overflow%s of the event queue so far",
                   COUNT_TEXT((uint64_t)overflows), overflows == 1 ? "" : "s");
    }
}

static void agent_blocked(const json_t *status, struct findings *out)
{
    json_int_t n = json_integer_value(json_object_get(status, "blocked_count"));

    if (n > 0) {
        finding_warn(out, "locks", 0, "drover status --verbose",
                     "%s key%s wait%s for somebody's lock",
                     COUNT_TEXT((uint64_t)n), n == 1 ? "" : "s",
                     n == 1 ? "s" : "");
    }
}

/* What is said, and wrong with nothing, or only late. */
static bool is_mild(const json_t *warning)
{
    json_int_t id = json_integer_value(json_object_get(warning, "id"));

    return id == DR_POOR_FILESYSTEM ||
           (id == DR_LAG &&
            strstr(text_of(warning, "text"), "which is paused") == NULL);
}

void asked_agent(const json_t *status, struct findings *out)
{
    const json_t *warning;
    size_t i;

    agent_itself(status, out);
    agent_database(json_object_get(status, "database"), out);
    json_array_foreach(json_object_get(status, "warnings"), i, warning) {
        remedy_add_json(out, is_mild(warning) ? FINDING_WARN : FINDING_FAIL,
                        "agent says", warning);
    }
    agent_blocked(status, out);
}

/* Is something late, which is over by itself? */
static bool is_late(const json_t *status)
{
    const json_t *o;
    size_t i;

    if (strcmp(text_of(json_object_get(status, "database"), "state"), "ok") !=
        0) {
        return true;
    }
    json_array_foreach(json_object_get(status, "warnings"), i, o) {
        if (json_integer_value(json_object_get(o, "id")) == DR_LAG) {
            return true;
        }
    }
    json_array_foreach(json_object_get(status, "replicas"), i, o) {
        const char *state = text_of(o, "state");
        if (strcmp(state, "streaming") != 0 && strcmp(state, "paused") != 0) {
            return true;
        }
    }
    return false;
}

void asked_health(const json_t *status, struct findings *out)
{
    if (json_is_false(json_object_get(status, "healthy")) &&
        findings_worst(out) < FINDING_FAIL && !is_late(status)) {
        finding_fail(out, "agent", 0, "drover status --verbose",
                     "it says that not everything is well");
    }
}

/* --- a replica ------------------------------------------------------------- */

static const json_t *named(const json_t *list, const char *name)
{
    const json_t *r;
    size_t i;

    json_array_foreach(list, i, r) {
        if (strcmp(text_of(r, "name"), name) == 0) {
            return r;
        }
    }
    return NULL;
}

static bool is_told(const struct findings *out, const char *name, json_int_t id)
{
    for (size_t i = 0; i < out->count; i++) {
        if (id != 0 && out->list[i].id == id &&
            strcmp(out->list[i].replica, name) == 0) {
            return true;
        }
    }
    return false;
}

static void replica_state(const json_t *r, struct findings *out)
{
    const char *state = text_of(r, "state");
    const char *name = text_of(r, "name");
    char hint[100];

    if (strcmp(state, "streaming") == 0) {
        finding_ok(out, "session", "streaming, lag %s, receiver %s on %s",
                   DURATION_TEXT(ns_of(r, "lag_s")), text_of(r, "version"),
                   text_of(r, "host"));
    } else if (strcmp(state, "paused") == 0) {
        (void)snprintf(hint, sizeof hint, "drover resume %s", name);
        finding_warn(out, "session", 0, hint, "paused: nothing is sent to it");
    } else {
        (void)snprintf(hint, sizeof hint, "drover wait %s", name);
        finding_warn(out, "session", 0, hint, "%s, not streaming", state);
    }
}

void asked_replica(const json_t *status, const char *name, struct findings *out)
{
    const json_t *r = named(json_object_get(status, "replicas"), name);
    const json_t *error = json_object_get(r, "error");

    if (r == NULL) {
        finding_fail(out, "session", 0, "drover reload",
                     "the running agent has no replica of this name");
    } else if (!json_is_object(error)) {
        replica_state(r, out);
    } else if (!is_told(out, name,
                        json_integer_value(json_object_get(error, "id")))) {
        remedy_add_json(out, FINDING_FAIL, "session", error);
    }
}

/* --- the whole way --------------------------------------------------------- */

void asked_trip(const json_t *result, const char *name, struct findings *out)
{
    const json_t *r = named(json_object_get(result, "replicas"), name);
    const json_t *error = json_object_get(r, "error");
    const json_t *trip = json_object_get(r, "trip_s");

    if (json_is_true(json_object_get(r, "done")) && json_is_number(trip)) {
        finding_ok(out, "whole way",
                   "every change so far is durable there; asked and answered "
                   "in %s",
                   DURATION_TEXT(ns_of(r, "trip_s")));
    } else if (!json_is_object(error)) {
        finding_fail(out, "whole way", 0, "", "no answer from the replica");
    } else if (!is_told(out, name,
                        json_integer_value(json_object_get(error, "id")))) {
        remedy_add_json(out, FINDING_FAIL, "whole way", error);
    } else {
        finding_fail(out, "whole way", 0, "",
                     "not tried to the end, for the reason above");
    }
}
