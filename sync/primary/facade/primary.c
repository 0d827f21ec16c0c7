/* SPDX-License-Identifier: MIT
 *
 * primary: hints in, actions out, barriers and time; see primary.h for the
 * story and primary_impl.h for the map of the files. */
#include "sync/primary/primary.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync/primary/facade/facade.h"

enum {
    MARK_EVERY_MS = 20,
    TICK_MIN_MS = 1,
    /* Keys of the first scan that wait: the index reads them ahead of the
     * replicas, so their values are in memory. */
    SKIP_ROOM = 2048,
    SKIP_BYTES = 1024, /* about what such a place takes in the log */
};

void primary_config_default(struct primary_config *c)
{
    memset(c, 0, sizeof *c);
    c->epoch = 1;
    c->log_max_changes = 1000000;
    c->log_max_bytes = (size_t)128 << 20;
    c->cache_max_bytes = (size_t)16 << 20;
    c->window_changes = 4096;
    c->window_bytes = (size_t)8 << 20;
    c->heartbeat_ms = 1000;
    c->silence_ms = 15000;
    c->settle_ms = 1000;
    c->brake_percent = 20;
    c->brake_min = 100;
    c->diffs_max = (size_t)1 << 18;
    c->repair_room = 8192;
    c->names_bytes = (size_t)8 << 20;
    c->version = "";
}

/* --- life ---------------------------------------------------------------- */

static struct repl *new_repl(struct primary *p, const char *name)
{
    struct repl *r = calloc(1, sizeof *r);
    int id = changelog_join(&p->log);

    if (r != NULL && id >= 0) {
        r->p = p;
        r->id = id;
        r->name = strdup(name);
        r->figures.latency = latency_new();
        r->session.rx_ms = r->session.ack_ms = r->session.up_ms = -1;
        wire_in_init(&r->session.in);
    }
    if (r == NULL || id < 0 || r->name == NULL || r->figures.latency == NULL) {
        if (r != NULL) {
            free(r->name);
            latency_free(r->figures.latency);
            free(r);
        }
        if (id >= 0) {
            changelog_unsubscribe(&p->log, id);
        }
        return NULL;
    }
    p->repl[id] = r;
    if (id >= p->repl_top) {
        p->repl_top = id + 1;
    }
    return r;
}

static void free_repl(struct primary *p, struct repl *r)
{
    walk_unsubscribe(p, r->id);
    compare_free_jobs(p, r);
    brake_deinit(&r->brake);
    sender_drop(p, r);
    changelog_unsubscribe(&p->log, r->id);
    p->repl[r->id] = NULL;
    wire_in_deinit(&r->session.in);
    buf_deinit(&r->session.out);
    undone_forget(r);
    latency_free(r->figures.latency);
    free(r->name);
    free(r);
}

struct primary *primary_new(const struct primary_config *config,
                            struct index *ix)
{
    struct primary *p = calloc(1, sizeof *p);

    if (p == NULL) {
        return NULL;
    }
    p->config = *config;
    p->ix = ix;
    p->seed = config->seed;
    p->retry_ms = INT64_MAX;
    p->actions_tail = &p->actions;
    changelog_init(&p->log, ix);
    struct repl *own = new_repl(p, "index");
    if (own == NULL) {
        free(p);
        return NULL;
    }
    own->is_index = true;
    own->session.state = SESSION_LIVE;
    p->index_id = own->id;
    return p;
}

static void free_actions(struct primary *p)
{
    while (p->actions != NULL) {
        struct action_node *n = p->actions;
        p->actions = n->next;
        free(n);
    }
}

void primary_free(struct primary *p)
{
    struct read_job *job, *tmp;

    if (p == NULL) {
        return;
    }
    HASH_ITER(hh, p->jobs, job, tmp) {
        job->rec->read.id = 0;
        HASH_DEL(p->jobs, job);
        free(job);
    }
    for (int i = 0; i < p->repl_top; i++) {
        if (p->repl[i] != NULL) {
            free_repl(p, p->repl[i]);
        }
    }
    unborn_free(p);
    changelog_deinit(&p->log);
    walk_free(p);
    free_actions(p);
    free(p);
}

void primary_reconfigure(struct primary *p, const struct primary_config *c)
{
    struct primary_config was = p->config;

    p->config = *c;
    memcpy(p->config.db_id, was.db_id, sizeof was.db_id);
    memcpy(p->config.instance, was.instance, sizeof was.instance);
    p->config.epoch = was.epoch;
}

void primary_set_term(struct primary *p, uint64_t epoch,
                      const uint8_t instance[16])
{
    memcpy(p->config.instance, instance, sizeof p->config.instance);
    p->config.epoch = epoch;
}

int primary_replica_add(struct primary *p, const struct replica_options *o,
                        int64_t now_ms, struct err *err)
{
    p->now_ms = now_ms;
    struct repl *r = new_repl(p, o->name);
    if (r == NULL) {
        return err_set(err, ERR_TOOBIG, 0,
                       "no room for replica %s: at most %d, or out of memory",
                       o->name, PRIMARY_REPLICAS_MAX - 1);
    }
    r->session.durability = (uint8_t)o->durability;
    r->due.now = r->due.lag_unknown = true;
    r->forgotten = true; /* it starts with a comparison */
    return r->id;
}

void primary_replica_remove(struct primary *p, int replica)
{
    free_repl(p, primary_repl(p, replica));
    sender_advance_all(p);
}

void primary_recall(struct primary *p, int replica, const struct dirid *d)
{
    primary_repl(p, replica)->dirid = *d;
}

const struct dirid *primary_dirid(struct primary *p, int replica)
{
    return &primary_repl(p, replica)->dirid;
}

void primary_set_paused(struct primary *p, int replica, bool paused)
{
    primary_repl(p, replica)->session.paused = paused;
}

/* --- actions ------------------------------------------------------------- */

static void unlink_action(struct primary *p, struct action_node **at)
{
    struct action_node *n = *at;

    *at = n->next;
    if (n->next == NULL) {
        p->actions_tail = at;
    }
    free(n);
}

/* The stream was given up before the shell heard of it: it hears nothing. */
static void drop_close(struct primary *p, uint64_t id)
{
    struct action_node **at = &p->actions;

    while (*at != NULL &&
           ((*at)->a.type != ACT_STREAM_CLOSE || (*at)->a.id != id)) {
        at = &(*at)->next;
    }
    if (*at != NULL) {
        unlink_action(p, at);
    }
}

static bool next_queued(struct primary *p, struct action *out)
{
    while (p->actions != NULL) {
        *out = p->actions->a;
        unlink_action(p, &p->actions);
        if (out->type != ACT_STREAM_OPEN || stream_names(p, out)) {
            return true;
        }
        drop_close(p, out->id);
    }
    return false;
}

static bool next_read(struct primary *p, struct action *out)
{
    struct record *rec = read_next(p);

    if (rec == NULL) {
        return false;
    }
    struct read_job *job = calloc(1, sizeof *job);
    if (job == NULL) {
        read_later(p, rec, 1000);
        return false;
    }
    job->id = primary_id(p);
    job->rec = rec;
    HASH_ADD(hh, p->jobs, id, sizeof job->id, job);
    rec->read.id = job->id;
    p->reads_active++;
    *out = (struct action){
        .type = rec->is_table ? ACT_READ_TABLE : ACT_READ,
        .id = job->id,
        .replica = -1,
        .table = record_table(rec),
        .key = record_key(rec),
        .bytes = WIRE_INLINE_MAX,
    };
    return true;
}

bool primary_next_action(struct primary *p, struct action *out)
{
    struct repl *r;

    if (next_queued(p, out) || next_read(p, out)) {
        return true;
    }
    EACH_REPL(p, r) {
        compare_step(p, r);
    }
    (void)walk_step(p);
    return next_queued(p, out) || next_read(p, out);
}

/* --- hints --------------------------------------------------------------- */

/* The log is too long: whoever is farthest behind loses its places, and is
 * brought back by comparison. */
static void shorten_log(struct primary *p)
{
    while (p->log.nodes > p->config.log_max_changes ||
           p->log.bytes > p->config.log_max_bytes) {
        uint64_t others = ~(UINT64_C(1) << p->index_id);
        int slowest = changelog_slowest(&p->log, others);
        if (slowest < 0) {
            return;
        }
        struct repl *r = p->repl[slowest];
        primary_log(p, slowest, LOG_NOTICE, DR_NONE,
                    "%" PRIu64
                    " changes behind: the log is full, it will be compared "
                    "instead",
                    p->log.pending[slowest]);
        changelog_forget(&p->log, slowest);
        sender_resend(p, r);
        due_now(p, r);
        r->forgotten = r->session.state == SESSION_DOWN;
    }
}

static void hint(struct primary *p, struct record *rec, enum hint why,
                 int64_t now_ms)
{
    struct repl *r;

    p->now_ms = now_ms;
    if (rec == NULL) {
        EACH_REPL(p, r) {
            due_now(p, r);
        }
        return;
    }
    bool made = unborn_is_made(p, rec, why);
    (void)sender_hint_all(p, rec, why);
    rec->made = made;
    if (!made) {
        unborn_forget(p, rec->name);
    }
    shorten_log(p);
    sender_advance_all(p);
}

void primary_hint_key(struct primary *p, const void *table, size_t table_len,
                      const void *key, size_t key_len, enum hint why,
                      int64_t now_ms)
{
    struct record *rec =
        changelog_record(&p->log, false, table, table_len, key, key_len);

    if (rec != NULL && why == HINT_AWAY) {
        moved_out_note(rec, now_ms);
    }
    hint(p, rec, why, now_ms);
}

void primary_hint_moved(struct primary *p, const void *table, size_t table_len,
                        const void *key, size_t key_len, int64_t now_ms)
{
    struct record *rec =
        changelog_record(&p->log, false, table, table_len, key, key_len);

    if (rec != NULL) {
        rec->moved = true;
        rec->gate = p->gates.last_id;
        moved_out_note(rec, now_ms);
    }
    hint(p, rec, HINT_FOUND, now_ms);
}

void primary_hint_table(struct primary *p, const void *table, size_t table_len,
                        int64_t now_ms)
{
    struct record *rec =
        changelog_record(&p->log, true, table, table_len, NULL, 0);

    index_table_moved(p->ix, table, table_len);
    if (rec != NULL) {
        rec->gate = p->gates.last_id;
        if (gate_any_open(&p->gates)) {
            moved_out_note(rec, now_ms); /* it may be the one that moves */
        }
    }
    hint(p, rec, HINT_COMMITTED, now_ms);
}

uint64_t primary_moving(struct primary *p)
{
    gate_drop(&p->gates, flight_indexed, p);
    return gate_open(&p->gates, p->log.tail_seq);
}

void primary_moved(struct primary *p, uint64_t id, int64_t now_ms)
{
    p->now_ms = now_ms;
    gate_close(&p->gates, id, p->log.tail_seq);
}

/* --- what the first scan leaves ------------------------------------------ */

static bool is_waiting_for_all(const struct primary *p, const struct repl *r)
{
    return r->blank && r->session.state == SESSION_LIVE &&
           !r->session.closing && feed_room(p, r) > 0;
}

static uint64_t log_room(const struct primary *p)
{
    const struct changelog *log = &p->log;
    const struct primary_config *c = &p->config;
    uint64_t nodes =
        log->nodes < c->log_max_changes ? c->log_max_changes - log->nodes : 0;
    uint64_t bytes = log->bytes < c->log_max_bytes
                         ? (c->log_max_bytes - log->bytes) / SKIP_BYTES
                         : 0;

    return nodes < bytes ? nodes : bytes;
}

int64_t primary_skip_room(const struct primary *p)
{
    uint64_t own = p->log.pending[p->index_id], least = SKIP_ROOM;
    bool any = false;
    const struct repl *r;

    if (p->index_ready || p->lost) {
        return -1;
    }
    EACH_REPL(p, r) {
        if (r->blank) {
            any = true;
            least =
                p->log.pending[r->id] < least ? p->log.pending[r->id] : least;
        }
    }
    if (!any) {
        return -1;
    }
    uint64_t used = own > least ? own : least;
    uint64_t room = used < SKIP_ROOM ? SKIP_ROOM - used : 0;
    uint64_t log = log_room(p);
    return (int64_t)(room < log ? room : log);
}

bool primary_hint_skipped(struct primary *p, struct bytes table,
                          struct bytes key, int64_t now_ms)
{
    uint64_t mask = UINT64_C(1) << p->index_id;
    struct record *rec =
        changelog_record(&p->log, false, table.p, table.len, key.p, key.len);
    const struct repl *r;

    p->now_ms = now_ms;
    if (rec == NULL) {
        return false;
    }
    EACH_REPL(p, r) {
        mask |= is_waiting_for_all(p, r) ? repl_bit(r) : 0;
    }
    bool made = unborn_is_made(p, rec, HINT_FOUND);
    bool noted = sender_hint(p, rec, mask, HINT_FOUND);
    rec->made = made;
    if (noted) {
        sender_advance_all(p);
    } else {
        flight_release(p, rec);
    }
    return noted;
}

void primary_compare_soon(struct primary *p)
{
    struct repl *r;

    sender_invalidate(p);
    unborn_invalidate(p);
    EACH_REPL(p, r) {
        due_soon(p, r);
    }
}

void primary_index_ready(struct primary *p, int64_t now_ms)
{
    struct repl *r;

    p->now_ms = now_ms;
    p->index_ready = true;
    EACH_REPL(p, r) {
        /* The scan may have changed the index behind the log. */
        due_soon(p, r);
    }
}

void primary_index_stale(struct primary *p)
{
    p->index_ready = false;
    primary_compare_soon(p);
}

void primary_root_back(struct primary *p, int64_t now_ms)
{
    struct repl *r;

    p->now_ms = now_ms;
    if (!p->lost) {
        return;
    }
    p->lost = false;
    primary_log(p, -1, LOG_NOTICE, DR_NONE, "the database is back");
    EACH_REPL(p, r) {
        due_now(p, r);
        sender_resume(p, r);
        stream_start(p, r);
        stream_more(p, r);
    }
}

/* --- time ---------------------------------------------------------------- */

static void drop_mark(struct primary *p, size_t i)
{
    p->marks_count--;
    memmove(p->marks + i, p->marks + i + 1,
            (p->marks_count - i) * sizeof *p->marks);
}

/* Make room for a mark.  First what every replica has passed; then the one
 * whose neighbours are closest for their age: so marks reach far back for
 * those far behind, and lie close for those who keep pace. */
static void thin_marks(struct primary *p, int64_t now_ns)
{
    uint64_t passed = UINT64_MAX;
    size_t least = 1;
    double least_gap = 0;
    struct repl *r;

    EACH_REPL(p, r) {
        uint64_t mark = flight_watermark(p, r);
        passed =
            r->session.state == SESSION_LIVE && mark < passed ? mark : passed;
    }
    if (p->marks[1].tail <= passed) {
        drop_mark(p, 0);
        return;
    }
    for (size_t i = 1; i + 1 < p->marks_count; i++) {
        double gap =
            (double)(p->marks[i + 1].wall_ns - p->marks[i - 1].wall_ns) /
            (double)(now_ns - p->marks[i].wall_ns + 1);
        if (i == 1 || gap < least_gap) {
            least = i;
            least_gap = gap;
        }
    }
    drop_mark(p, least);
}

void primary_drained(struct primary *p, int64_t wall_ns, int64_t now_ms)
{
    struct mark m = {wall_ns, p->log.tail_seq};
    size_t n = p->marks_count;

    p->now_ms = now_ms;
    p->drains++;
    /* The clock was set back: what was noted in its future would be taken for
     * fresh until then. */
    while (n > 0 && p->marks[n - 1].wall_ns > wall_ns) {
        n--;
    }
    p->marks_count = n;
    /* The newest mark grows until it is old enough to be worth keeping; a mark
     * with the same tail only moves on. */
    if (n > 0 && p->marks[n - 1].tail == m.tail) {
        p->marks[n - 1] = m;
        return;
    }
    if (n > 1 && p->marks[n - 1].wall_ns - p->marks[n - 2].wall_ns <
                     (int64_t)MARK_EVERY_MS * 1000000) {
        p->marks[n - 1] = m;
        return;
    }
    if (n == MARKS_MAX) {
        thin_marks(p, wall_ns);
    }
    p->marks[p->marks_count++] = m;
}

static int64_t earlier(int64_t a_ms, int64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

int64_t primary_tick(struct primary *p, int64_t now_ms)
{
    struct repl *r;

    p->now_ms = now_ms;
    p->retry_ms = INT64_MAX;
    brake_tick(p);
    int64_t soonest = earlier(read_tick(p), unborn_tick(p));
    soonest = earlier(soonest, sender_tick(p));
    EACH_REPL(p, r) {
        if (!r->is_index) {
            soonest = earlier(soonest, session_tick(p, r));
        }
        compare_step(p, r);
        int64_t silent_ms = r->is_index ? INT64_MAX : silent_tick(p, r);
        soonest = silent_ms < soonest ? silent_ms : soonest;
    }
    soonest = earlier(soonest, walk_step(p));
    sender_advance_all(p);
    int64_t in_ms = soonest - now_ms;
    if (in_ms < TICK_MIN_MS) {
        return TICK_MIN_MS;
    }
    return in_ms < p->config.heartbeat_ms ? in_ms : p->config.heartbeat_ms;
}

int64_t primary_retry_in_ms(const struct primary *p, int64_t now_ms)
{
    if (p->retry_ms == INT64_MAX) {
        return p->config.heartbeat_ms;
    }
    return p->retry_ms > now_ms ? p->retry_ms - now_ms : 0;
}

/* --- barriers ------------------------------------------------------------ */

uint64_t primary_tail(struct primary *p)
{
    unborn_ask(p);
    sender_advance_all(p);
    return p->log.tail_seq;
}

bool primary_indexed(struct primary *p, uint64_t barrier)
{
    return flight_indexed(p, barrier);
}

bool primary_passed(struct primary *p, int replica, uint64_t barrier)
{
    struct repl *r = primary_repl(p, replica);

    return r->session.state == SESSION_LIVE && !due_any(r) && p->index_ready &&
           !p->lost && flight_watermark(p, r) >= barrier;
}

uint64_t primary_ping(struct primary *p, int replica, int64_t now_ms)
{
    struct repl *r = primary_repl(p, replica);

    p->now_ms = now_ms;
    if (r->session.state != SESSION_LIVE) {
        return 0;
    }
    heartbeat_ping(p, r);
    return r->heartbeat.ping_id;
}

bool primary_ponged(struct primary *p, int replica, uint64_t id)
{
    return primary_repl(p, replica)->heartbeat.pong_id >= id;
}

int primary_approve(struct primary *p, int replica, uint64_t token,
                    int64_t now_ms, uint64_t *count_out, struct err *err)
{
    struct repl *r = primary_repl(p, replica);

    p->now_ms = now_ms;
    int rc = brake_approve(p, r, token, count_out, err);
    if (rc == 0) {
        compare_step(p, r);
    }
    return rc;
}
