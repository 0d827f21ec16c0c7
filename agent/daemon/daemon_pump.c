/* SPDX-License-Identifier: MIT
 *
 * daemon_pump: glue between the core and the watch, looks, scans and replicas.
 *
 * Whatever calls the core marks the daemon dirty.  The pump runs right before
 * the loop sleeps and right after it woke: it carries out the core's actions
 * until there are none, lets replicas send, and looks after jobs.  So many
 * calls in one turn of the loop cost one pump, and no callback runs inside
 * another.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "agent/base/log.h"
#include "agent/daemon/daemon_impl.h"
#include "agent/daemon/jobs.h"
#include "agent/notes/held.h"
#include "store/base/quote.h"
#include "sync/errors/state.h"

enum {
    ROUNDS_MAX = 64,   /* of actions in one pump; then the loop turns */
    TICK_SOON_MS = 10, /* after any activity the core's timers are asked */
};

/* --- from the watch ------------------------------------------------------ */

static struct daemon *daemon_of(void *arg)
{
    daemon_dirty(arg);
    return arg;
}

static void on_watch_key(void *arg, const char *table, size_t table_len,
                         const char *key, size_t key_len, enum hint why)
{
    struct daemon *d = daemon_of(arg);
    struct bytes k = bytes_of(key, key_len);

    jobs_moved(d, bytes_of(table, table_len), &k);
    primary_hint_key(d->core, table, table_len, key, key_len, why, daemon_ms());
}

static void on_watch_moved(void *arg, const char *table, size_t table_len,
                           const char *key, size_t key_len)
{
    struct daemon *d = daemon_of(arg);
    struct bytes k = bytes_of(key, key_len);

    jobs_moved(d, bytes_of(table, table_len), &k);
    primary_hint_moved(d->core, table, table_len, key, key_len, daemon_ms());
}

static void on_watch_table(void *arg, const char *table, size_t table_len)
{
    struct daemon *d = daemon_of(arg);

    jobs_moved(d, bytes_of(table, table_len), NULL);
    primary_hint_table(d->core, table, table_len, daemon_ms());
}

static void on_overflow(void *arg)
{
    struct daemon *d = daemon_of(arg);

    log_event(LOG_WARNING, "overflow", NULL, 0,
              "the inotify queue overflowed: scanning");
    /* The watch has begun to put its directories in order. */
    daemon_events_lost(d);
}

/* A move that the core is not told of must not let a table's drop go before its
 * keys are counted: it waits for a scan. */
static void on_moving(void *arg)
{
    struct daemon *d = daemon_of(arg);

    if (!moves_begin(d)) {
        daemon_events_lost(d);
    }
}

/* Keys that went with their directory are in the index and on the replicas, and
 * equal there: until a scan has found them gone nothing may be claimed. */
static void on_moved_out(void *arg)
{
    struct daemon *d = daemon_of(arg);

    if (!d->coverage.scan_due) {
        log_event(LOG_INFO, "moved", NULL, 0,
                  "a directory with tables was moved and cannot be followed: "
                  "scanning");
    }
    /* New directories are listed first, as after an overflow. */
    daemon_events_lost(d);
    if (watch_marker_passed(d->watch, watch_marker(d->watch))) {
        daemon_scan(d, true);
    }
}

static void on_root_lost(void *arg, const char *why)
{
    struct daemon *d = daemon_of(arg);
    struct err err = {0};

    (void)err_set(&err, ERR_GONE, 0, "%s: %s", d->config->path, why);
    err.id = DR_NOT_OUR_DATABASE;
    daemon_root_lost(d, &err);
}

static void on_drained(void *arg, int64_t wall_ns)
{
    struct daemon *d = arg;

    if (!daemon_sees_all(d)) {
        return;
    }
    primary_drained(d->core, wall_ns, daemon_ms());
    daemon_dirty(d);
}

static void on_watch_idle(void *arg)
{
    struct daemon *d = daemon_of(arg);
    struct watch_counts c;

    watch_counts(d->watch, &c);
    if (c.unwatched == 0) {
        d->watch_err = (struct err){0};
    }
    if (d->coverage.root == ROOT_WATCHING) {
        daemon_root_watched(d);
    } else if (coverage_waits(&d->coverage)) {
        daemon_scan(d, false);
    }
}

static void on_trouble(void *arg, const struct err *err)
{
    struct daemon *d = arg;

    d->watch_err = *err;
    log_event(LOG_ERR, "watch_trouble", NULL, err->id, "err=\"%s\"", err->msg);
}

const struct watch_events daemon_watch_events = {
    .key = on_watch_key,
    .moved = on_watch_moved,
    .table = on_watch_table,
    .moving = on_moving,
    .moved_out = on_moved_out,
    .overflow = on_overflow,
    .root_lost = on_root_lost,
    .drained = on_drained,
    .idle = on_watch_idle,
    .trouble = on_trouble,
};

/* --- from looks ---------------------------------------------------------- */

/* A look found that the root is not ours: what is to be done about it waits
 * until the reads are through. */
static void suspect(struct daemon *d, int result)
{
    if (result == READ_ROOT_LOST) {
        coverage_suspect(&d->coverage);
    }
}

static void on_key_read(void *arg, uint64_t id, const struct read_answer *r)
{
    struct daemon *d = daemon_of(arg);

    suspect(d, r->result);
    primary_key_read(d->core, id, r, daemon_ms());
}

static void on_table_read(void *arg, uint64_t id, int result,
                          const struct err *err)
{
    struct daemon *d = daemon_of(arg);

    suspect(d, result);
    primary_table_read(d->core, id, result, err, daemon_ms());
}

static void on_stream_opened(void *arg, uint64_t id,
                             const struct read_answer *r)
{
    struct daemon *d = daemon_of(arg);

    suspect(d, r->result);
    primary_stream_opened(d->core, id, r, daemon_ms());
}

static void on_stream_data(void *arg, uint64_t id, const void *data, size_t n,
                           const struct read_answer *r)
{
    struct daemon *d = daemon_of(arg);

    primary_stream_data(d->core, id, data, n, r, daemon_ms());
}

static void on_stream_zeros(void *arg, uint64_t id, uint64_t n)
{
    struct daemon *d = daemon_of(arg);

    primary_stream_zeros(d->core, id, n, daemon_ms());
}

const struct reader_events daemon_reader_events = {
    .key_read = on_key_read,
    .table_read = on_table_read,
    .stream_opened = on_stream_opened,
    .stream_data = on_stream_data,
    .stream_zeros = on_stream_zeros,
};

/* --- from scans ---------------------------------------------------------- */

static void on_scan_hint(void *arg, struct bytes table, const struct bytes *key)
{
    struct daemon *d = daemon_of(arg);

    if (key != NULL) {
        primary_hint_key(d->core, table.p, table.len, key->p, key->len,
                         HINT_FOUND, daemon_ms());
    } else {
        primary_hint_table(d->core, table.p, table.len, daemon_ms());
    }
}

static void on_scan_changed(void *arg, struct bytes table,
                            const struct bytes *key)
{
    jobs_found(arg, table, key);
}

static void on_scan_skipped(void *arg, struct bytes table, struct bytes key)
{
    struct daemon *d = daemon_of(arg);

    if (!primary_hint_skipped(d->core, table, key, daemon_ms())) {
        daemon_scan(d, true);
    }
}

static void on_scan_missed(void *arg)
{
    struct daemon *d = daemon_of(arg);

    coverage_notes_missed(&d->coverage);
    primary_compare_soon(d->core);
}

static size_t on_walk_room(void *arg, uint64_t id)
{
    return primary_walk_room(((struct daemon *)arg)->core, id);
}

static void on_walk_found(void *arg, uint64_t id, struct digest name,
                          bool is_table, struct bytes table, struct bytes key)
{
    struct daemon *d = daemon_of(arg);

    primary_walk_found(d->core, id, name, is_table, table, key, daemon_ms());
}

static void on_walk_ended(void *arg, uint64_t id, bool complete,
                          const struct err *err)
{
    struct daemon *d = daemon_of(arg);

    primary_walk_ended(d->core, id, complete, err, daemon_ms());
}

static void on_scan_ended(void *arg, const struct scan_report *r)
{
    daemon_scan_ended(daemon_of(arg), r);
}

const struct scans_events daemon_scans_events = {
    .ended = on_scan_ended,
    .hint = on_scan_hint,
    .changed = on_scan_changed,
    .skipped = on_scan_skipped,
    .missed = on_scan_missed,
    .walk_room = on_walk_room,
    .walk_found = on_walk_found,
    .walk_ended = on_walk_ended,
};

/* --- actions ------------------------------------------------------------- */

static void act(struct daemon *d, const struct action *a)
{
    struct replica *r =
        a->replica >= 0 ? replica_of(&d->replicas, a->replica) : NULL;

    switch (a->type) {
    case ACT_READ:
        reader_key(d->reader, a->id, a->table, a->key, a->bytes);
        break;
    case ACT_READ_TABLE:
        reader_table(d->reader, a->id, a->table);
        break;
    case ACT_STREAM_OPEN:
        reader_stream_open(d->reader, a->id, a->table, a->key, a->copy);
        break;
    case ACT_STREAM_READ:
        reader_stream_read(d->reader, a->id, a->bytes);
        break;
    case ACT_STREAM_CLOSE:
        reader_stream_close(d->reader, a->id);
        break;
    case ACT_WALK:
        scans_walk(d->scans, a->id, primary_walk_filter(d->core, a->id));
        break;
    case ACT_WALK_STOP:
        scans_walk_stop(d->scans, a->id);
        break;
    case ACT_LINK_CLOSE:
        if (r != NULL) {
            replica_give_up(r, &a->err, a->permanent);
        }
        break;
    case ACT_LOG:
        log_event(a->level, "sync", r != NULL ? r->name : NULL, a->err.id, "%s",
                  a->err.msg);
        break;
    case ACT_COMPARED:
        jobs_compared(d, a->id);
        break;
    case ACT_BRAKE:
        held_note(d->state_fd, &d->replicas);
        break;
    case ACT_MET:
        dirids_note(&d->dirids);
        break;
    case ACT_UNDONE:
        unclean_note(&d->unclean);
        break;
    }
}

static bool run_actions(struct daemon *d)
{
    struct action a;
    bool any = false;

    while (primary_next_action(d->core, &a)) {
        act(d, &a);
        any = true;
    }
    return any;
}

static void check_suspect(struct daemon *d)
{
    if (!coverage_take_suspect(&d->coverage) || d->root == NULL) {
        return;
    }
    struct err err = {0};
    if (identity_check(&d->root->db, d->self.id, &err) == 0) {
        (void)err_set(&err, ERR_GONE, 0, "%s was not our database for a moment",
                      d->config->path);
    }
    daemon_root_lost(d, &err);
}

static void arm_tick(struct daemon *d, int64_t in_ms);

static void on_tick(uv_timer_t *timer)
{
    struct daemon *d = timer->data;
    int64_t in_ms = primary_tick(d->core, daemon_ms());

    d->pump.ticked = !d->pump.dirty;
    daemon_dirty(d);
    arm_tick(d, in_ms);
}

static void arm_tick(struct daemon *d, int64_t in_ms)
{
    uv_update_time(&d->loop);
    (void)uv_timer_start(&d->pump.tick, on_tick,
                         in_ms < 1 ? 1 : (uint64_t)in_ms, 0);
}

static void on_idle(uv_idle_t *idle)
{
    /* Only keeps the loop from sleeping while the pump has more to do. */
    (void)idle;
}

static void pump(struct daemon *d)
{
    if (!d->pump.dirty || d->pump.running || d->stop.parts_freed) {
        return;
    }
    d->pump.running = true;
    /* A tick says itself when the next is due. */
    bool active = !d->pump.ticked;
    d->pump.ticked = false;
    bool more = true;
    for (int i = 0; i < ROUNDS_MAX && more; i++) {
        d->pump.dirty = false;
        moves_pump(d);
        more = run_actions(d);
        reader_flush(d->reader);
        scans_walk_pump(d->scans);
        if (scans_skipping(d->scans)) {
            scans_set_skip_room(d->scans, primary_skip_room(d->core));
        }
        struct replica *r, *next;
        DL_FOREACH_SAFE(d->replicas.list, r, next) {
            replica_kick(r);
        }
        more = more || d->pump.dirty;
    }
    check_suspect(d);
    jobs_pump(d);
    /* The kicks made it dirty when they sent something; what the core wants
     * because of that, it wants now. */
    if (more || d->pump.dirty) {
        (void)uv_idle_start(&d->pump.idle, on_idle);
    } else {
        (void)uv_idle_stop(&d->pump.idle);
    }
    int64_t retry_ms = primary_retry_in_ms(d->core, daemon_ms());
    int64_t soon_ms = retry_ms < TICK_SOON_MS ? retry_ms : TICK_SOON_MS;
    /* Not less: each pump would put a tick off that is due already. */
    soon_ms = soon_ms < 1 ? 1 : soon_ms;
    if (active && (int64_t)uv_timer_get_due_in(&d->pump.tick) > soon_ms) {
        arm_tick(d, soon_ms);
    }
    d->pump.running = false;
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct daemon *d = prepare->data;

    pump(d);
    /* From here, where no part is in one of its callbacks, parts may be freed.
     */
    d->life->stop_step(d);
}

static void on_check(uv_check_t *check)
{
    pump(check->data);
}

int daemon_pump_init(struct daemon *d, struct err *err)
{
    (void)uv_prepare_init(&d->loop, &d->pump.prepare);
    (void)uv_check_init(&d->loop, &d->pump.check);
    (void)uv_idle_init(&d->loop, &d->pump.idle);
    (void)uv_timer_init(&d->loop, &d->pump.tick);
    d->pump.prepare.data = d->pump.check.data = d->pump.idle.data =
        d->pump.tick.data = d;
    if (uv_prepare_start(&d->pump.prepare, on_prepare) != 0 ||
        uv_check_start(&d->pump.check, on_check) != 0) {
        return err_set(err, ERR_INVALID, 0, "cannot start the loop's hooks");
    }
    arm_tick(d, 1);
    return 0;
}
