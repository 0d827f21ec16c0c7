/* SPDX-License-Identifier: MIT
 *
 * daemon_manage: what operators change while the agent runs: the configuration
 * (only what differs is touched), replicas paused, resumed, tried at once and
 * taken anew, held deletes approved.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "agent/base/log.h"
#include "agent/base/notify.h"
#include "agent/daemon/daemon_impl.h"
#include "agent/daemon/members.h"
#include "agent/notes/held.h"
#include "agent/notes/pauses.h"
#include "store/base/rand.h"
#include "store/cmdline/version.h"
#include "sync/errors/state.h"

const struct config *daemon_config(const struct daemon *d)
{
    return d->config;
}

static int64_t now_us(void)
{
    return clock_mono_ns() / NS_PER_US;
}

void daemon_core_config(const struct daemon *d, struct primary_config *out)
{
    const struct config *c = d->config;

    primary_config_default(out);
    memcpy(out->db_id, d->self.id, sizeof out->db_id);
    out->epoch = d->self.epoch;
    out->log_max_changes = c->log_max_changes;
    out->log_max_bytes = c->log_max_bytes;
    out->cache_max_bytes = c->cache_max_bytes;
    out->heartbeat_ms = c->heartbeat_ms;
    out->silence_ms = c->silence_ms;
    out->settle_ms = c->settle_ms;
    out->brake_percent = c->max_delete_percent;
    out->brake_min = c->max_delete_keys;
    out->version = version_text();
    out->seed = rand_seed();
    out->clock_us = now_us;
}

/* --- pause, resume and retry --------------------------------------------- */

static void note_did(json_t *done, const struct replica *r, const char *did)
{
    (void)json_array_append_new(
        done, json_pack("{s:s, s:s}", "name", r->name, "did", did));
}

static void pause_one(struct replica *r, json_t *done)
{
    replica_pause(r, true);
    note_did(done, r, "paused");
}

static void retry_one(struct replica *r, json_t *done)
{
    static const char *const DID[] = {
        [REPLICA_TRIES] = "trying",
        [REPLICA_CONNECTED] = "connected",
        [REPLICA_IS_PAUSED] = "paused",
        [REPLICA_NOT_BEGUN] = "waiting",
    };

    note_did(done, r, DID[replica_try_now(r)]);
}

/* Whoever resumes one that is not paused means: go on. */
static void resume_one(struct replica *r, json_t *done)
{
    if (!r->paused) {
        retry_one(r, done);
        return;
    }
    replica_pause(r, false);
    note_did(done, r, "resumed");
}

/* The named ones, or all.  All names first: either all are done or none. */
static int each_named(struct daemon *d, const char *const *replicas, size_t n,
                      void (*one)(struct replica *r, json_t *done),
                      json_t **done_out, struct err *err)
{
    struct replica *r;

    for (size_t i = 0; i < n; i++) {
        if (members_named(d, replicas[i], &r, err) < 0) {
            return err->code;
        }
    }
    *done_out = json_array();
    for (size_t i = 0; i < n; i++) {
        one(replica_find(&d->replicas, replicas[i]), *done_out);
    }
    if (n == 0) {
        DL_FOREACH(d->replicas.list, r) {
            one(r, *done_out);
        }
    }
    return 0;
}

int daemon_pause(struct daemon *d, const char *const *replicas, size_t n,
                 bool paused, json_t **done_out, struct err *err)
{
    int rc = each_named(d, replicas, n, paused ? pause_one : resume_one,
                        done_out, err);

    if (rc < 0) {
        return rc;
    }
    rc = pauses_note(d->state_fd, &d->replicas, d->config->state_dir, err);
    if (rc < 0) {
        json_decref(*done_out);
    }
    return rc;
}

int daemon_retry(struct daemon *d, const char *const *replicas, size_t n,
                 json_t **done_out, struct err *err)
{
    return each_named(d, replicas, n, retry_one, done_out, err);
}

int daemon_anew(struct daemon *d, const char *const *replicas, size_t n,
                struct err *err)
{
    struct dirid any;
    struct replica *r;

    dirid_anew(&any);
    /* All names first: either all are done or none. */
    for (size_t i = 0; i < n; i++) {
        if (members_named(d, replicas[i], &r, err) < 0) {
            return err->code;
        }
    }
    for (size_t i = 0; i < n; i++) {
        r = replica_find(&d->replicas, replicas[i]);
        primary_recall(d->core, r->number, &any);
        log_event(LOG_NOTICE, "anew", r->name, 0,
                  "by the operator: what its directory holds now is taken");
    }
    dirids_note(&d->dirids);
    for (size_t i = 0; i < n; i++) {
        r = replica_find(&d->replicas, replicas[i]);
        replica_reconfigure(r, r->config);
    }
    return 0;
}

/* --- what the brake holds ------------------------------------------------ */

static bool read_token(const char *text, uint64_t *out)
{
    size_t n = strspn(text, "0123456789abcdefABCDEF");

    *out = strtoull(text, NULL, 16);
    return n == HELD_TOKEN_BYTES - 1 && text[n] == '\0' && *out != 0;
}

int daemon_approve(struct daemon *d, const char *replica, const char *token,
                   uint64_t *count_out, struct err *err)
{
    struct replica *r;
    uint64_t number = 0;

    if (members_named(d, replica, &r, err) < 0) {
        return err->code;
    }
    if (token != NULL && !read_token(token, &number)) {
        return err_set(
            err, ERR_INVALID, 0,
            "\"%.40s\" is not a token: one has %d hexadecimal digits, "
            "and \"drover status\" shows it",
            token, HELD_TOKEN_BYTES - 1);
    }
    int rc = primary_approve(d->core, r->number, number, daemon_ms(), count_out,
                             err);

    daemon_dirty(d);
    if (rc >= 0) {
        log_event(LOG_NOTICE, "approved", r->name, 0,
                  "deletes=%" PRIu64 " token=%s", *count_out,
                  token != NULL ? token : "newest");
    }
    return rc;
}

int daemon_held(struct daemon *d, const char *replica, json_t **held_out,
                struct err *err)
{
    struct replica *r;

    if (members_named(d, replica, &r, err) < 0) {
        return err->code;
    }
    *held_out = held_json(r, d->root != NULL ? &d->root->db : NULL, true, true);

    return 0;
}

/* --- reload -------------------------------------------------------------- */

static void note(json_t *changes, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void note(json_t *changes, const char *fmt, ...)
{
    char line[400];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    (void)json_array_append_new(changes, json_string_nocheck(line));
    log_event(LOG_NOTICE, "reload", NULL, 0, "%s", line);
}

/* Note what differs of the database's own settings; false: one of them cannot
 * change while the agent runs. */
static bool note_settings(json_t *changes, const struct config *was,
                          const struct config *now, struct err *err)
{
    char before[300], after[300];

    for (const struct setting *s = CONFIG_SETTINGS; s->name != NULL; s++) {
        if (strcmp(s->section, "database") != 0 ||
            config_setting_equal(s, was, now)) {
            continue;
        }
        (void)config_setting_text(s, was, before, sizeof before);
        (void)config_setting_text(s, now, after, sizeof after);
        if (s->when == SETTING_RESTART) {
            (void)err_set(err, ERR_INVALID, 0,
                          "%s changed from %s to %s: that needs a restart; "
                          "nothing was applied",
                          s->name, before, after);
            err->id = DR_CONFIG;
            return false;
        }
        if (changes != NULL) {
            note(changes, "%s: %s to %s", s->name, before, after);
        }
    }
    return true;
}

static void apply_limits(struct daemon *d, const struct config *was)
{
    const struct config *now = d->config;
    struct primary_config pc;

    daemon_core_config(d, &pc);
    primary_reconfigure(d->core, &pc);
    scans_set_settle(d->scans, now->settle_ms);
    if (was->heartbeat_ms != now->heartbeat_ms) {
        (void)uv_timer_set_repeat(&d->heartbeat, (uint64_t)now->heartbeat_ms);
    }
    if (was->rescan_ms != now->rescan_ms) {
        coverage_every(&d->coverage, daemon_ms(), now->rescan_ms);
    }
    daemon_dirty(d);
}

/* One replica that was there before: gone, changed or untouched. */
static void apply_old(struct daemon *d, struct replica *r, json_t *changes)
{
    const struct config_replica *now = config_replica(d->config, r->name);

    if (now == NULL || now->relaxed != r->config->relaxed) {
        if (now == NULL) {
            note(changes, "-%s", r->name);
        }
        replica_remove(r);
    } else if (!config_replica_equal(r->config, now)) {
        note(changes, "%s: changed, reconnecting", r->name);
        replica_reconfigure(r, now);
    } else {
        replica_retry(r, now);
    }
}

static void apply_new(struct daemon *d, const struct config_replica *now,
                      const struct config_replica *was, json_t *changes)
{
    struct err err = {0};

    if (replica_find(&d->replicas, now->name) != NULL) {
        return;
    }
    struct replica *r = members_take(d, now, &err);
    if (r == NULL) {
        note(changes, "%s: %s", now->name, err.msg);
        return;
    }
    note(changes,
         was != NULL && was->relaxed != now->relaxed ? "%s: durability changed"
                                                     : "+%s",
         now->name);

    if (d->coverage.root_seen) {
        replica_start(r);
    }
}

static void apply(struct daemon *d, struct config *now, json_t *changes)
{
    struct config *was = d->config;
    struct replica *r, *next;

    struct err none = {0};

    (void)note_settings(changes, was, now, &none);
    d->config = now;
    d->replicas.config = now;
    apply_limits(d, was);
    DL_FOREACH_SAFE(d->replicas.list, r, next) {
        apply_old(d, r, changes);
    }
    for (size_t i = 0; i < now->replicas_count; i++) {
        apply_new(d, &now->replicas[i],
                  config_replica(was, now->replicas[i].name), changes);
    }
    config_free(was);
}

int daemon_reload(struct daemon *d, json_t **changes_out, struct err *err)
{
    if (d->config->file == NULL) {
        (void)err_set(err, ERR_INVALID, 0,
                      "this agent was started without a configuration file");
        err->id = DR_CONFIG;
        return err->code;
    }
    struct config_errors errors = {0};
    notify_reloading();
    struct config *now = config_load(d->config->file, &errors);
    if (now == NULL) {
        (void)err_set(err, ERR_INVALID, 0, "%s (%zu mistakes in all)",
                      errors.count > 0 ? errors.lines[0] : d->config->file,
                      errors.count);
        err->id = DR_CONFIG;
        for (size_t i = 0; i < errors.count; i++) {
            log_event(LOG_ERR, "config", NULL, DR_CONFIG, "%s",
                      errors.lines[i]);
        }
    } else if (!note_settings(NULL, d->config, now, err)) {
        config_free(now);
        now = NULL;
    }
    config_errors_deinit(&errors);
    json_t *changes = now != NULL ? json_array() : NULL;
    if (now != NULL) {
        apply(d, now, changes);
        unclean_seen(&d->unclean);
    }
    *changes_out = changes;
    notify_ready(d->status_line);
    return now != NULL ? 0 : err->code;
}
