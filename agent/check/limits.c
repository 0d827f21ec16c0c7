/* SPDX-License-Identifier: MIT
 *
 * limits: what the kernel allows, beside what the database needs: an inotify
 * watch for each directory, an instance for the agent, a queue that holds a
 * burst of events, and descriptors for reads, links and the control socket. */
#include <inttypes.h>
#include <sys/resource.h>

#include "agent/check/local.h"
#include "store/base/units.h"
#include "sync/check/host.h"
#include "sync/errors/state.h"

enum {
    WATCHES_SHARE = 2, /* others of this user have some, and tables are added */
    QUEUE_MIN = 16384, /* the kernel's own default */
    INSTANCES_MIN = 8,
    /* Loop, timers, control socket, saved index; then each replica's link and
     * the listings and reads under way. */
    DESCRIPTORS_BASE = 128,
    DESCRIPTORS_REPLICA = 8,
};

void limits_read(struct limits *out)
{
    struct rlimit files;

    *out = (struct limits){
        .watches = host_inotify_watches(),
        .instances = host_inotify_instances(),
        .queue = host_sysctl("fs/inotify/max_queued_events"),
        .descriptors = -1,
    };
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        out->descriptors = files.rlim_max == RLIM_INFINITY
                               ? INT64_MAX
                               : (int64_t)files.rlim_max;
    }
}

static void judge_watches(const struct limits *l, const struct survey *s,
                          struct findings *out)
{
    static const char HINT[] =
        "raise the limit: sysctl fs.inotify.max_user_watches=1048576 (and put "
        "it in /etc/sysctl.d/)";
    int64_t need = (int64_t)s->directories;

    if (l->watches < 0) {
        finding_warn(out, "watches", 0, "",
                     "fs.inotify.max_user_watches is not told here");
    } else if (need > l->watches) {
        finding_fail(out, "watches", DR_WATCH_LIMIT, HINT,
                     "%s directories need a watch each, the kernel allows a "
                     "user %s",
                     COUNT_TEXT(s->directories),
                     COUNT_TEXT((uint64_t)l->watches));
    } else if (need > l->watches / WATCHES_SHARE) {
        finding_warn(out, "watches", 0, HINT,
                     "%s of the %s that a user may have: more than half",
                     COUNT_TEXT(s->directories),
                     COUNT_TEXT((uint64_t)l->watches));
    } else {
        finding_ok(out, "watches", "%s of the %s that a user may have",
                   COUNT_TEXT(s->directories),
                   COUNT_TEXT((uint64_t)l->watches));
    }
}

static void judge_instances(const struct limits *l, struct findings *out)
{
    static const char HINT[] =
        "raise the limit: sysctl fs.inotify.max_user_instances=1024 (and put "
        "it in /etc/sysctl.d/)";

    if (l->instances == 0) {
        finding_fail(out, "instances", DR_INSTANCE_LIMIT, HINT,
                     "the kernel allows a user no inotify instance");
    } else if (l->instances > 0 && l->instances < INSTANCES_MIN) {
        finding_warn(out, "instances", 0, HINT,
                     "a user may have %" PRId64 " inotify instances",
                     l->instances);
    }
}

static void judge_queue(const struct limits *l, struct findings *out)
{
    if (l->queue < 0) {
        return;
    }
    if (l->queue < QUEUE_MIN) {
        finding_warn(out, "event queue", 0,
                     "raise the limit: sysctl "
                     "fs.inotify.max_queued_events=65536 (and put it in "
                     "/etc/sysctl.d/)",
                     "%s events: a burst of more costs a scan of the database",
                     COUNT_TEXT((uint64_t)l->queue));
    } else {
        finding_ok(out, "event queue", "%s events",
                   COUNT_TEXT((uint64_t)l->queue));
    }
}

static void judge_descriptors(const struct limits *l, const struct config *c,
                              struct findings *out)
{
    int64_t need =
        DESCRIPTORS_BASE + (int64_t)c->replicas_count * DESCRIPTORS_REPLICA;

    if (l->descriptors == INT64_MAX) {
        finding_ok(out, "descriptors", "no limit, %" PRId64 " are needed",
                   need);
    } else if (l->descriptors >= 0 && l->descriptors < need) {
        finding_warn(out, "descriptors", 0,
                     "raise it where the agent is started: LimitNOFILE= of its "
                     "unit, or ulimit -n",
                     "a process started here may open %" PRId64
                     " files, the agent may need %" PRId64,
                     l->descriptors, need);
    } else if (l->descriptors >= 0) {
        finding_ok(out, "descriptors", "%s, %" PRId64 " are needed",
                   COUNT_TEXT((uint64_t)l->descriptors), need);
    }
}

void limits_judge(const struct limits *l, const struct config *c,
                  const struct survey *s, struct findings *out)
{
    judge_watches(l, s, out);
    judge_instances(l, out);
    judge_queue(l, out);
    judge_descriptors(l, c, out);
}
