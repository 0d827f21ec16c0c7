/* SPDX-License-Identifier: MIT
 *
 * daemon: starts and stops the agent.
 *
 * Start: state directory and its lock -> whose database is this -> index, core
 * -> watches -> scan, control socket, READY -> links.  With a lost root the
 * socket and READY come at once, so that status can say why nothing happens.
 *
 * Stop (SIGTERM, SIGINT): jobs end, the socket closes, each link gets a BYE and
 * BYE_MS to be gone, the index is saved, the parts are freed when the pool and
 * the threads have let go of them, and the loop runs dry.  Should a disk hang,
 * the process ends STOP_MS after the signal anyway: nothing that was
 * acknowledged depends on a clean end.
 */
#include "agent/daemon/daemon.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include <utlist.h>

#include "agent/base/log.h"
#include "agent/base/notify.h"
#include "agent/daemon/daemon_impl.h"
#include "agent/daemon/jobs.h"
#include "agent/daemon/members.h"
#include "agent/metrics/metrics_server.h"
#include "store/base/sys.h"
#include "store/cmdline/version.h"
#include "sync/errors/hint.h"
#include "sync/errors/state.h"

enum {
    BYE_MS = 1500,
    STOP_MS = 5000,
    SAVE_EVERY_MS = 5 * 60 * 1000,
    SAVE_AGAIN_MS = 10 * 1000 /* after a failure */
};

static void stop(struct daemon *d, int exit_code);
static void stop_step(struct daemon *d);

/* --- timers and signals -------------------------------------------------- */

static void on_heartbeat(uv_timer_t *timer)
{
    struct daemon *d = timer->data;

    if (!d->stop.begun) {
        watch_drain(d->watch);
    }
}

/* "2 streaming, 1 retrying (us-1 DR-203); worst lag 4 m 7 s" */
static void summary(struct daemon *d, char *out, size_t room)
{
    unsigned counts[REPLICA_FAILED + 1] = {0};
    int64_t worst_ms = 0;
    const char *bad = NULL;
    int bad_id = 0;
    struct replica *r;

    DL_FOREACH(d->replicas.list, r) {
        struct replica_status st;
        primary_status(d->core, r->number, daemon_ms(), &st);
        counts[st.state]++;
        if (st.lag_ms > worst_ms) {
            worst_ms = st.lag_ms;
        }
        bool away = st.state == REPLICA_RETRYING || st.state == REPLICA_FAILED;
        int id = away ? st.last_error.id : r->behind.id;
        if (bad == NULL && id != 0) {
            bad = r->name;
            bad_id = id;
        }
    }
    size_t at = 0;
    if (d->coverage.root == ROOT_LOST) {
        at = (size_t)snprintf(out, room, "database lost; ");
    }
    for (int i = 0; i <= REPLICA_FAILED && at < room; i++) {
        if (counts[i] > 0) {
            at += (size_t)snprintf(out + at, room - at, "%u %s, ", counts[i],
                                   replica_state_word((enum replica_state)i));
        }
    }
    if (at < room && bad != NULL) {
        at += (size_t)snprintf(out + at, room - at, "%.60s DR-%03d, ", bad,
                               bad_id);
    }
    if (at < room) {
        (void)snprintf(out + at, room - at, "worst lag %s",
                       DURATION_TEXT(worst_ms * NS_PER_MS));
    }
}

/* Where the configuration says now; an address in use may become free. */
static void serve_metrics(struct daemon *d)
{
    struct err err = {0};
    int rc = metrics_server_listen(d->metrics, d->config->metrics_listen, &err);

    if (rc < 0 && strcmp(err.msg, d->metrics_err.msg) != 0) {
        log_event(LOG_WARNING, "metrics", NULL, DR_METRICS, "err=\"%s\"",
                  err.msg);
    }
    err.id = DR_METRICS;
    d->metrics_err = rc < 0 ? err : (struct err){0};
}

static void watch_events(struct daemon *d)
{
    struct err err = {0};
    bool was = d->events_err.code != 0;
    bool is = d->events != NULL && events_trouble(d->events, &err);

    if (d->events == NULL) {
        return;
    }
    if (is) {
        err.id = DR_STATE_DIR;
        (void)err_wrap(&err, "the record of events in %s cannot be written",
                       d->config->state_dir);
    }
    d->events_err = err;
    if (is && !was) {
        log_event(LOG_WARNING, "events_not_written", NULL, err.id, "err=\"%s\"",
                  err.msg);
    } else if (was && !is) {
        log_event(LOG_NOTICE, "events_written", NULL, 0,
                  "the record of events is written again");
    }
}

static void on_second(uv_timer_t *timer)
{
    struct daemon *d = timer->data;
    struct replica *r;

    daemon_root_second(d);
    if (d->stop.begun) {
        return;
    }
    DL_FOREACH(d->replicas.list, r) {
        replica_second(r, d->coverage.index_ready);
    }
    serve_metrics(d);
    watch_events(d);
    dirids_counts(&d->dirids, false);
    if (daemon_ms() - d->saved.ms >=
        (d->saved.err.code != 0 ? SAVE_AGAIN_MS : SAVE_EVERY_MS)) {
        daemon_save_index(d);
    }
    char line[sizeof d->status_line];
    summary(d, line, sizeof line);
    if (d->ready_told && strcmp(line, d->status_line) != 0) {
        memcpy(d->status_line, line, sizeof line);
        notify_status(line);
    }
}

static void on_watchdog(uv_timer_t *timer)
{
    (void)timer;
    notify_watchdog();
}

static void on_stop_signal(uv_signal_t *handle, int number)
{
    struct daemon *d = handle->data;

    log_event(LOG_NOTICE, "stopping", NULL, 0, "%s",
              number == SIGTERM ? "SIGTERM" : "SIGINT");
    stop(d, EXIT_GOOD);
}

static void on_reload_signal(uv_signal_t *handle, int number)
{
    struct daemon *d = handle->data;
    struct err err = {0};
    json_t *changes = NULL;

    (void)number;
    if (daemon_reload(d, &changes, &err) < 0) {
        log_event(LOG_ERR, "reload_failed", NULL, err.id,
                  "err=\"%s\"; the old configuration stays", err.msg);
    }
    json_decref(changes);
}

static int start_timers(struct daemon *d, struct err *err)
{
    uv_timer_t *const timers[] = {&d->heartbeat, &d->second, &d->watchdog,
                                  &d->stopper};
    uv_signal_t *const signals[] = {&d->sigterm, &d->sigint, &d->sighup};

    for (size_t i = 0; i < sizeof timers / sizeof timers[0]; i++) {
        (void)uv_timer_init(&d->loop, timers[i]);
        timers[i]->data = d;
    }
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        (void)uv_signal_init(&d->loop, signals[i]);
        signals[i]->data = d;
    }
    if (uv_signal_start(&d->sigterm, on_stop_signal, SIGTERM) != 0 ||
        uv_signal_start(&d->sigint, on_stop_signal, SIGINT) != 0 ||
        uv_signal_start(&d->sighup, on_reload_signal, SIGHUP) != 0) {
        return err_set(err, ERR_IO, 0, "cannot watch for signals");
    }
    uint64_t beat = (uint64_t)d->config->heartbeat_ms;
    int64_t watchdog_ms = notify_watchdog_ms();

    (void)uv_timer_start(&d->heartbeat, on_heartbeat, beat, beat);
    (void)uv_timer_start(&d->second, on_second, 1000, 1000);
    if (watchdog_ms > 0) {
        (void)uv_timer_start(&d->watchdog, on_watchdog, 1,
                             (uint64_t)watchdog_ms);
    }
    return 0;
}

/* --- start --------------------------------------------------------------- */

static int open_state(struct daemon *d, struct err *err)
{
    const char *dir = d->config->state_dir;

    if (config_make_dirs(d->config, err) < 0) {
        return EXIT_BAD;
    }
    d->state_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (d->state_fd < 0) {
        (void)err_sys(err, errno, "state directory %s", dir);
        err->id = DR_STATE_DIR;
        return err->code == ERR_PERM ? EX_NOPERM : EXIT_BAD;
    }
    d->lock_fd = openat(d->state_fd, "lock",
                        O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (d->lock_fd < 0) {
        (void)err_sys(err, errno, "%s/lock", dir);
        err->id = DR_STATE_DIR;
        return err->code == ERR_PERM ? EX_NOPERM : EXIT_BAD;
    }
    if (sys_flock(d->lock_fd, LOCK_EX) != 0) {
        (void)err_set(err, ERR_EXISTS, 0,
                      "another agent uses the state directory %s: one agent "
                      "per database",
                      dir);
        return EXIT_BAD;
    }
    return EXIT_GOOD;
}

/* An agent without a record of what happened works as well. */
static void open_events(struct daemon *d)
{
    struct err *err = &d->events_err;

    d->events = events_open(d->state_fd, err);
    if (d->events == NULL) {
        err->id = DR_STATE_DIR;
        (void)err_wrap(err, "the record of events");
        log_event(LOG_WARNING, "events_not_kept", NULL, err->id, "err=\"%s\"",
                  err->msg);
        return;
    }
    log_set_keeper(events_add, d->events);
    if (events_was_damaged(d->events)) {
        log_event(LOG_WARNING, "events_damaged", NULL, DR_STATE_DIR,
                  "no line of the record in %s was an event; it is events.bad "
                  "there now, and a new one is begun",
                  d->config->state_dir);
    }
}

static void on_called(void *arg)
{
    daemon_dirty(arg);
}

static json_t *status_for_all(void *arg)
{
    return daemon_status(arg, false);
}

static int make_parts(struct daemon *d, struct err *err)
{
    struct primary_config pc;

    daemon_core_config(d, &pc);
    struct index_key key; /* until the saved index brings the one of before */
    if (rand_bytes(d->self.instance, sizeof d->self.instance, err) < 0 ||
        rand_bytes(&key, sizeof key, err) < 0) {
        return EXIT_BAD;
    }
    daemon_instance(d, pc.instance);
    d->ix = index_new();
    if (d->ix != NULL) {
        index_set_key(d->ix, &key);
    }
    d->core = d->ix != NULL ? primary_new(&pc, d->ix) : NULL;
    d->watch = watch_new(&d->loop, &daemon_watch_events, d);
    d->mounts = mounts_new(&d->loop, daemon_mounts_changed, d);
    d->reader = reader_new(&d->loop, &daemon_reader_events, d);
    d->scans = d->ix != NULL
                   ? scans_new(&d->loop, d->ix, &daemon_scans_events, d)
                   : NULL;
    d->ignored = ignored_new(&d->loop);
    d->metrics = metrics_server_new(&d->loop, status_for_all, d);
    if (d->core == NULL || d->metrics == NULL || d->watch == NULL ||
        d->reader == NULL || d->scans == NULL || d->ignored == NULL) {
        (void)err_set(err, ERR_NOMEM, 0, "out of memory");
        return EXIT_BAD;
    }
    d->replicas = (struct replicas){.loop = &d->loop,
                                    .core = d->core,
                                    .config = d->config,
                                    .called = on_called,
                                    .arg = d};
    d->dirids = (struct dirids){.state_fd = d->state_fd, .all = &d->replicas};
    d->unclean = (struct unclean){.state_fd = d->state_fd, .all = &d->replicas};
    reader_set_copies(d->reader, d->state_fd);
    scans_set_settle(d->scans, d->config->settle_ms);
    for (size_t i = 0; i < d->config->replicas_count; i++) {
        (void)members_take(d, &d->config->replicas[i], err);
    }
    return EXIT_GOOD;
}

static int listen_control(struct daemon *d, struct err *err)
{
    if (d->control != NULL) {
        return EXIT_GOOD;
    }
    d->control = d->doors->listen(d, &d->loop, d->config->socket,
                                  d->config->control_group, err);
    if (d->control != NULL) {
        return EXIT_GOOD;
    }
    return err->id == DR_CONFIG ? EX_CONFIG : EXIT_BAD;
}

static void report_ready(struct daemon *d)
{
    if (d->ready_told) {
        return;
    }
    d->ready_told = true;
    summary(d, d->status_line, sizeof d->status_line);
    notify_ready(d->status_line);
    log_event(LOG_NOTICE, "ready", NULL, 0,
              "version=%s database=%s replicas=%zu socket=%s", version_text(),
              d->config->path, d->config->replicas_count, d->config->socket);
}

static void open_doors(struct daemon *d)
{
    struct err err = {0};
    struct replica *r;
    int code = listen_control(d, &err);

    if (code != EXIT_GOOD) {
        log_event(LOG_ERR, "control", NULL, err.id, "err=\"%s\"", err.msg);
        stop(d, code);
        return;
    }
    serve_metrics(d);
    report_ready(d);
    /* Sessions carry the epoch, which is known once the root was seen. */
    if (d->coverage.root_seen) {
        DL_FOREACH(d->replicas.list, r) {
            replica_start(r);
        }
    }
}

static int start(struct daemon *d, struct err *err)
{
    int code = open_state(d, err);

    if (code == EXIT_GOOD) {
        open_events(d);
        code = daemon_root_first(d, err);
    }
    if (code == EXIT_GOOD) {
        code = make_parts(d, err);
    }
    if (code != EXIT_GOOD) {
        return code;
    }
    if (daemon_pump_init(d, err) < 0 || start_timers(d, err) < 0) {
        return EXIT_BAD;
    }
    if (d->root != NULL) {
        daemon_root_start(d);
        return EXIT_GOOD;
    }
    log_event(LOG_ERR, "root_lost", NULL, d->lost.err.id,
              "err=\"%s\"; waiting for it", d->lost.err.msg);

    coverage_root_lost(&d->coverage);
    primary_root_lost(d->core, d->lost.err.msg);
    open_doors(d);
    return EXIT_GOOD;
}

/* --- stop ---------------------------------------------------------------- */

enum stop_phase {
    STOP_BYES = 1, /* links are saying goodbye */
    STOP_LINKS,    /* ... are being closed */
    STOP_SAVE,     /* the index is being saved */
    STOP_PARTS,    /* watch, looks, scans, control are being freed */
    STOP_LAST,     /* nothing but the loop is left */
};

static void on_part_freed(void *arg)
{
    struct daemon *d = arg;

    d->stop.closing--;
    stop_step(d);
}

static void close_handle(uv_handle_t *handle)
{
    if (handle->type != UV_UNKNOWN_HANDLE && !uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

static void close_handles(struct daemon *d)
{
    close_handle((uv_handle_t *)&d->pump.prepare);
    close_handle((uv_handle_t *)&d->pump.check);
    close_handle((uv_handle_t *)&d->pump.idle);
    close_handle((uv_handle_t *)&d->pump.tick);
    close_handle((uv_handle_t *)&d->heartbeat);
    close_handle((uv_handle_t *)&d->second);
    close_handle((uv_handle_t *)&d->watchdog);
    close_handle((uv_handle_t *)&d->stopper);
    close_handle((uv_handle_t *)&d->sigterm);
    close_handle((uv_handle_t *)&d->sigint);
    close_handle((uv_handle_t *)&d->sighup);
}

static void free_parts(struct daemon *d)
{
    while (d->replicas.list != NULL) {
        replica_remove(d->replicas.list);
    }
    d->stop.parts_freed = true;
    if (d->ignored != NULL) {
        ignored_stop(d->ignored);
    }
    d->stop.closing = 1;
    if (d->watch != NULL) {
        d->stop.closing++;
        watch_free(d->watch, on_part_freed, d);
    }
    d->stop.closing++;
    mounts_free(d->mounts, on_part_freed, d);
    if (d->reader != NULL) {
        d->stop.closing++;
        reader_free(d->reader, on_part_freed, d);
    }
    if (d->scans != NULL) {
        d->stop.closing++;
        scans_free(d->scans, on_part_freed, d);
    }
    if (d->metrics != NULL) {
        d->stop.closing++;
        metrics_server_free(d->metrics, on_part_freed, d);
    }
    if (d->control != NULL) {
        d->stop.closing++;
        d->doors->close(d->control, on_part_freed, d);
    }
    d->stop.closing--;
}

static void on_stopper(uv_timer_t *timer)
{
    struct daemon *d = timer->data;

    if (d->stop.phase > STOP_BYES) {
        log_event(LOG_WARNING, "stop_forced", NULL, 0,
                  "something still hangs after %d s: ending without it",
                  STOP_MS / 1000);
        _exit(EXIT_BAD);
    }
    struct replica *r;
    d->stop.phase = STOP_LINKS;
    DL_FOREACH(d->replicas.list, r) {
        replica_close_link(r);
    }
    (void)uv_timer_start(&d->stopper, on_stopper, STOP_MS - BYE_MS, 0);
    stop_step(d);
}

static void stop_step(struct daemon *d)
{
    if (!d->stop.begun || d->stop.stepping) {
        return;
    }
    d->stop.stepping = true;
    if (d->stop.phase <= STOP_LINKS && d->replicas.links == 0) {
        d->stop.phase = STOP_SAVE;
        (void)uv_timer_start(&d->stopper, on_stopper, STOP_MS - BYE_MS, 0);
        if (!scans_saving(d->scans)) {
            daemon_save_index(d);
        }
    }
    if (d->stop.phase == STOP_SAVE && !scans_saving(d->scans)) {
        d->stop.phase = STOP_PARTS;
        unclean_stop(&d->unclean);
        dirids_counts(&d->dirids, true);
        free_parts(d);
    }
    if (d->stop.phase == STOP_PARTS && d->stop.closing == 0) {
        d->stop.phase = STOP_LAST;
        close_handles(d);
    }
    d->stop.stepping = false;
}

static void stop(struct daemon *d, int exit_code)
{
    if (d->stop.begun) {
        return;
    }
    d->stop.begun = d->replicas.stopping = true;
    d->exit_code = exit_code;
    notify_stopping();
    jobs_end_all(d);
    d->stop.phase = STOP_BYES;
    (void)uv_timer_start(&d->stopper, on_stopper, BYE_MS, 0);
    struct replica *r;
    DL_FOREACH(d->replicas.list, r) {
        replica_say_bye(r);
    }
    daemon_dirty(d);
}

/* What is left when the loop has run dry (or never ran). */
static void free_rest(struct daemon *d)
{
    ignored_free(d->ignored);
    primary_free(d->core);
    index_free(d->ix);
    root_unref(d->root);
    log_set_keeper(NULL, NULL);
    events_close(d->events);
    if (d->lock_fd >= 0) {
        (void)close(d->lock_fd);
    }
    if (d->state_fd >= 0) {
        (void)close(d->state_fd);
    }
    config_free(d->config);
    free(d);
}

static const struct daemon_life LIFE = {
    .open_doors = open_doors,
    .stop = stop,
    .stop_step = stop_step,
};

int daemon_run(struct config *config, const struct daemon_doors *doors)
{
    struct err err = {0};

    /* Four threads are few when reads of values, lists of tables and the saving
     * of the index share them; an operator's own setting stays. */
    (void)setenv("UV_THREADPOOL_SIZE", "8", 0);
    (void)signal(SIGPIPE, SIG_IGN);
    struct daemon *d = calloc(1, sizeof *d);
    if (d == NULL || uv_loop_init(&d->loop) != 0) {
        log_event(LOG_ERR, "start_failed", NULL, 0, "out of memory");
        free(d);
        config_free(config);
        return EXIT_BAD;
    }
    d->config = config;
    log_set_database(config->name);
    d->doors = doors;
    d->life = &LIFE;
    d->state_fd = d->lock_fd = -1;
    d->began_ms = d->saved.ms = daemon_ms();
    d->last_scan.took_ms = -1;
    int code = start(d, &err);
    if (code != EXIT_GOOD) {
        log_event(LOG_ERR, "start_failed", NULL, err.id, "err=\"%s\"%s%s",
                  err.msg, err.id != 0 ? " hint=" : "",
                  err.id != 0 ? hint_of(&err) : "");
        d->stop.begun = true;
        d->stop.phase = STOP_PARTS;
        free_parts(d);
        stop_step(d);
        d->exit_code = code;
    }
    (void)uv_run(&d->loop, UV_RUN_DEFAULT);
    int rc = uv_loop_close(&d->loop);
    assert(rc == 0);
    (void)rc;
    code = d->exit_code;
    free_rest(d);
    uv_library_shutdown();
    return code;
}
