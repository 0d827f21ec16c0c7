/* SPDX-License-Identifier: MIT
 *
 * replica: see replica.h.
 *
 * Happy path: begin() makes a link; up -> primary_link_up(); bytes flow both
 * ways; down or the core's ACT_LINK_CLOSE -> primary_link_down() and the timer
 * for the next attempt.
 * Each attempt is an object of its own, which outlives the replica's interest
 * in it until the link says `closed`; so a new attempt never waits for an old
 * one to fall apart. Back-off: doubles while attempts fail and begins anew once
 * a session has been good (an acknowledgement, or state streaming) for a
 * minute.  Errors that need the operator are tried again, too, but rarely: the
 * operator's fix should not need a restart of the agent.  A refused login is
 * tried again after minutes, or at once when the operator says so or has put
 * another key in its place.
 */
#include "agent/replica/replica.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "agent/base/log.h"
#include "agent/replica/replica_link.h"
#include "store/base/clock.h"
#include "store/base/quote.h"
#include "sync/errors/state.h"
#include "sync/link/link.h"
#include "sync/wire/wire.h"

enum { FIRST_DELAY_MS = 1000 };

struct attempt {
    struct replica *replica; /* NULL: nobody listens any more */
    struct replicas *all;
    struct link *link;
};

static void begin(struct replica *r);

static void called(struct replicas *all)
{
    all->called(all->arg);
}

static void on_timer(uv_timer_t *timer)
{
    struct replica *r = timer->data;

    r->next_try_ms = 0;
    begin(r);
}

/* The other host has turned this one away before the login was done. */
static bool is_refused(const struct err *err, bool permanent)
{
    return permanent && (err->id == DR_AUTH || err->id == DR_HANDSHAKE);
}

/* Try again after the back-off. */
static int64_t schedule(struct replica *r, const struct err *err,
                        bool permanent)
{
    if (r->paused || r->removed || r->all->stopping) {
        return 0;
    }
    r->refused = is_refused(err, permanent);
    int64_t ms = r->refused  ? backoff_refused_ms(&r->backoff)
                 : permanent ? backoff_longest_ms(&r->backoff)
                             : backoff_next_ms(&r->backoff);
    r->ended_ms = clock_mono_ms();
    r->next_try_ms = r->ended_ms + ms;
    uv_update_time(r->all->loop);
    (void)uv_timer_start(&r->timer, on_timer, (uint64_t)ms, 0);
    return ms;
}

/* A session that worked for a while makes the next failure a first one. */
static void judge_backoff(struct replica *r)
{
    struct replica_status st;

    if (!r->up) {
        return;
    }
    primary_status(r->all->core, r->number, clock_mono_ms(), &st);
    if (st.state == REPLICA_STREAMING || st.acked_changes > r->acked_at_up) {
        backoff_worked(&r->backoff, clock_mono_ms() - r->up_ms);
    }
}

/* Let the attempt's link fall apart without us. */
static void drop_attempt(struct replica *r)
{
    struct attempt *a = r->attempt;

    if (a == NULL) {
        return;
    }
    r->attempt = NULL;

    r->up = false;
    a->replica = NULL;
    link_close(a->link);
}

/* Was there a session, and not only a channel? */
static bool was_open(const struct replica *r)
{
    struct replica_status st;

    primary_status(r->all->core, r->number, clock_mono_ms(), &st);
    return st.connected_ms >= 0;
}

static void ended(struct replica *r, const struct err *err, bool permanent)
{
    judge_backoff(r);
    if (was_open(r)) {
        breaks_note(&r->breaks, err, clock_mono_ms());
    }
    bool was_up = r->up;
    drop_attempt(r);
    primary_link_down(r->all->core, r->number, err, permanent, clock_mono_ms());
    called(r->all);
    int64_t ms = schedule(r, err, permanent);
    if (ms > 0) {
        log_event(permanent ? LOG_ERR : LOG_WARNING,
                  was_up ? "link_down" : "connect_failed", r->name, err->id,
                  "err=\"%s\" next_try=\"%s\"", err->msg,
                  DURATION_TEXT(ms * NS_PER_MS));
    }
}

/* --- the link's events --------------------------------------------------- */

static void on_up(void *arg, const char *what)
{
    struct replica *r = ((struct attempt *)arg)->replica;

    if (r == NULL) {
        return;
    }
    struct replica_status st;

    primary_status(r->all->core, r->number, clock_mono_ms(), &st);
    r->up = true;
    r->up_ms = clock_mono_ms();
    r->acked_at_up = st.acked_changes;
    log_event(LOG_INFO, "link_up", r->name, 0, "link=\"%s\"", what);
    primary_link_up(r->all->core, r->number, clock_mono_ms());
    called(r->all);
}

static void on_input(void *arg, const uint8_t *p, size_t n)
{
    struct replica *r = ((struct attempt *)arg)->replica;

    if (r == NULL || !r->up) {
        return;
    }
    primary_input(r->all->core, r->number, p, n, clock_mono_ms());

    called(r->all);
}

/* The core has nothing more to say, so its last frame is whole. */
static size_t fill_bye(struct replica *r, uint8_t *out, size_t room)
{
    struct buf b = BUF_NULL;
    size_t n = 0;

    wire_put_bye(&b);
    if (!b.bad && b.len <= room) {
        memcpy(out, b.data, b.len);
        n = b.len;
        r->bye_sent = true;
    }
    buf_deinit(&b);
    return n;
}

static size_t on_fill(void *arg, uint8_t *out, size_t room)
{
    struct replica *r = ((struct attempt *)arg)->replica;

    if (r == NULL || !r->up || r->bye_sent) {
        return 0;
    }
    size_t n =
        primary_fill(r->all->core, r->number, out, room, clock_mono_ms());
    if (n == 0 && r->bye_wanted) {
        n = fill_bye(r, out, room);
    }
    if (n > 0) {
        called(r->all);
    }
    return n;
}

static void on_stderr_line(void *arg, const char *line, size_t len)
{
    const struct attempt *a = arg;
    char text[600];

    if (a->replica != NULL) {
        log_event(LOG_NOTICE, "receiver_says", a->replica->name, 0, "\"%s\"",
                  quote_log(text, sizeof text, line, len));
    }
}

static void on_down(void *arg, const struct err *err, bool permanent)
{
    struct replica *r = ((struct attempt *)arg)->replica;

    if (r != NULL) {
        ended(r, err, permanent);
    }
}

static void on_closed(void *arg)
{
    struct attempt *a = arg;
    struct replicas *all = a->all;

    if (a->replica != NULL) {
        a->replica->attempt = NULL;
    }
    free(a);
    all->links--;
}

static const struct link_events link_events = {
    .up = on_up,
    .input = on_input,
    .fill = on_fill,
    .stderr_line = on_stderr_line,
    .down = on_down,
    .closed = on_closed,
};

/* --- attempts ------------------------------------------------------------ */

static void begin(struct replica *r)
{
    struct replicas *all = r->all;

    if (!r->started || r->paused || r->removed || all->stopping ||
        r->attempt != NULL) {
        return;
    }
    struct err err = {0};
    struct attempt *a = calloc(1, sizeof *a);

    mended_note(&r->mended, r->config);
    if (a != NULL) {
        a->replica = r;
        a->all = all;
        a->link = replica_link(all->loop, r->config, &link_events, a, &err);
    } else {
        (void)err_set(&err, ERR_NOMEM, 0, "out of memory");
    }
    if (a == NULL || a->link == NULL) {
        free(a);
        ended(r, &err, err.code == ERR_INVALID);
        return;
    }
    r->attempt = a;
    all->links++;
    log_event(LOG_DEBUG, "connecting", r->name, 0, "%s",
              link_describe(a->link));
    link_start(a->link);
}

/* --- what the daemon does with it ---------------------------------------- */

struct replica *replica_add(struct replicas *all,
                            const struct config_replica *config,
                            struct err *err)
{
    struct replica *r = calloc(1, sizeof *r);
    char *name = strdup(config->name);

    if (r == NULL || name == NULL) {
        free(r);
        free(name);
        (void)err_set(err, ERR_NOMEM, 0, "out of memory");
        return NULL;
    }
    struct replica_options o = {
        .name = name,
        .durability = config->relaxed ? WIRE_RELAXED : WIRE_DURABLE,
    };
    int number = primary_replica_add(all->core, &o, clock_mono_ms(), err);

    if (number < 0) {
        free(r);
        free(name);
        (void)err_wrap(err, "replica %s", config->name);
        return NULL;
    }
    r->all = all;
    r->config = config;
    r->name = name;
    r->number = number;
    r->paused = config->paused;
    r->backoff =
        backoff_of(FIRST_DELAY_MS, all->config->backoff_max_ms, rand_seed());
    (void)uv_timer_init(all->loop, &r->timer);
    r->timer.data = r;
    primary_set_paused(all->core, number, r->paused);
    DL_APPEND(all->list, r);
    called(all);
    return r;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct replica *r = handle->data;

    free(r->name);
    free(r);
}

void replica_remove(struct replica *r)
{
    struct replicas *all = r->all;

    r->removed = true;
    drop_attempt(r);
    primary_replica_remove(all->core, r->number);
    DL_DELETE(all->list, r);
    uv_close((uv_handle_t *)&r->timer, on_timer_closed);
    called(all);
}

struct replica *replica_find(const struct replicas *all, const char *name)
{
    struct replica *r;

    DL_FOREACH(all->list, r) {
        if (strcmp(r->name, name) == 0) {
            return r;
        }
    }
    return NULL;
}

struct replica *replica_of(const struct replicas *all, int number)
{
    struct replica *r;

    DL_FOREACH(all->list, r) {
        if (r->number == number) {
            return r;
        }
    }
    return NULL;
}

void replica_start(struct replica *r)
{
    r->started = true;
    begin(r);
}

/* Close the link for a reason of ours and begin anew without waiting. */
static void restart(struct replica *r)
{
    (void)uv_timer_stop(&r->timer);
    r->next_try_ms = 0;
    if (r->attempt != NULL) {
        drop_attempt(r);
        primary_link_down(r->all->core, r->number, NULL, false,
                          clock_mono_ms());
    }
    backoff_reset(&r->backoff);
    called(r->all);
    begin(r);
}

void replica_reconfigure(struct replica *r, const struct config_replica *config)
{
    r->config = config;
    r->paused = config->paused || r->paused_by_hand;
    r->breaks = (struct breaks){0};
    r->backoff =
        backoff_of(FIRST_DELAY_MS, r->all->config->backoff_max_ms, rand_seed());
    primary_set_paused(r->all->core, r->number, r->paused);
    restart(r);
}

void replica_retry(struct replica *r, const struct config_replica *config)
{
    r->config = config;
    r->breaks = (struct breaks){0}; /* the operator has seen it */
    if (r->attempt == NULL && r->next_try_ms != 0) {
        restart(r);
    }
}

enum replica_tried replica_try_now(struct replica *r)
{
    if (r->paused) {
        return REPLICA_IS_PAUSED;
    }
    if (!r->started) {
        return REPLICA_NOT_BEGUN;
    }
    if (was_open(r)) {
        return REPLICA_CONNECTED;
    }
    log_event(LOG_NOTICE, "retry", r->name, 0, "by the operator");
    restart(r);
    return REPLICA_TRIES;
}

void replica_hasten(struct replica *r, bool refused_too)
{
    if (r->attempt != NULL || r->next_try_ms == 0 || r->all->stopping ||
        (r->refused && !refused_too)) {
        return;
    }
    int64_t now_ms = clock_mono_ms(), due_ms = r->ended_ms + FIRST_DELAY_MS;
    int64_t at_ms = due_ms > now_ms ? due_ms : now_ms;

    if (at_ms < r->next_try_ms) {
        r->next_try_ms = at_ms;
        uv_update_time(r->all->loop);
        (void)uv_timer_start(&r->timer, on_timer, (uint64_t)(at_ms - now_ms),
                             0);
    }
}

void replica_pause(struct replica *r, bool paused)
{
    r->paused_by_hand = paused;
    if (r->paused == paused) {
        return;
    }
    r->paused = paused;
    primary_set_paused(r->all->core, r->number, paused);
    log_event(LOG_NOTICE, paused ? "paused" : "resumed", r->name, 0,
              "by the operator");
    restart(r);
}

void replica_give_up(struct replica *r, const struct err *err, bool permanent)
{
    if (r->attempt != NULL) {
        ended(r, err, permanent);
    } else {
        primary_link_down(r->all->core, r->number, err, permanent,
                          clock_mono_ms());
    }
}

void replica_kick(struct replica *r)
{
    if (r->up && r->attempt != NULL &&
        (r->bye_wanted || primary_wants_fill(r->all->core, r->number))) {
        link_kick(r->attempt->link);
    }
}

/* Whoever has put a key, a known_hosts file or a program in order need not say
 * so. */
static void watch_files(struct replica *r, int error_id)
{
    if (r->attempt == NULL && r->next_try_ms != 0 && !r->all->stopping &&
        mended_since(&r->mended, r->config, error_id)) {
        log_event(LOG_NOTICE, "retry", r->name, error_id,
                  "the file that it failed for has changed");
        restart(r);
    }
}

void replica_second(struct replica *r, bool index_ready)
{
    struct replica_status st;

    judge_backoff(r);
    primary_status(r->all->core, r->number, clock_mono_ms(), &st);
    double now = (double)(st.acked_changes - r->rate_acked);
    r->rate_acked = st.acked_changes;
    r->rate = r->rate * 0.7 + now * 0.3;
    if (r->rate < 0.05) {
        r->rate = 0;
    }
    behind_second(r, index_ready);
    if (!r->shown_any || st.state != r->shown) {
        /* What the operator ordered is no error. */
        bool ordered = st.state == REPLICA_PAUSED ||
                       (r->shown_any && r->shown == REPLICA_PAUSED);
        log_event(LOG_NOTICE, "state", r->name, ordered ? 0 : st.last_error.id,
                  "%s -> %s",
                  r->shown_any ? replica_state_word(r->shown) : "start",
                  replica_state_word(st.state));
    }
    r->shown_any = true;
    r->shown = st.state;
    watch_files(r, st.last_error.id);
}

void replica_say_bye(struct replica *r)
{
    (void)uv_timer_stop(&r->timer);
    r->bye_wanted = true;
    if (r->up) {
        replica_kick(r);
    } else {
        replica_close_link(r);
    }
}

void replica_close_link(struct replica *r)
{
    (void)uv_timer_stop(&r->timer);
    drop_attempt(r);
}

const char *replica_target(const struct replica *r, char *out, size_t room)
{
    const struct config_replica *c = r->config;

    if (r->attempt != NULL && !c->openssh) {
        (void)snprintf(out, room, "%s", link_describe(r->attempt->link));
    } else if (c->kind == REPLICA_EXEC) {
        (void)snprintf(out, room, "exec:%s", c->argv[0]);
    } else {
        (void)snprintf(out, room, "%s %s@%s:%u", c->openssh ? "openssh" : "ssh",
                       c->user, c->host, c->port != 0 ? c->port : 22U);
    }
    return out;
}
