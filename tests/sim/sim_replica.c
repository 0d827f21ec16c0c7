/* SPDX-License-Identifier: MIT
 *
 * sim_replica: receivers on disks in memory, and the links to them.  Bytes
 * move in pieces of any size, late, and stop at any byte; receivers die with
 * or without a power loss; readers hold locks; somebody edits the copy. */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "store/layout/install.h"
#include "tests/sim/sim.h"

enum { PIPE_BYTES = 64 * 1024, CONNECT_US = 50000 };

struct sender {
    struct sim *s;
    struct replica *r;
};

static int on_send(void *arg, const void *p, size_t n, struct err *err)
{
    const struct sender *who = arg;

    if (who->r->cut) {
        /* The kernel may still take it. */
        return sim_chance(who->s, 500)
                   ? 0
                   : err_set(err, ERR_CLOSED, 0, "the link is cut");
    }
    tap_down(who->s, who->r, p, n);
    buf_put(&who->r->to_agent, p, n);
    return 0;
}

/* --- life ---------------------------------------------------------------- */

/* Syncs that lie: what is visible stays undurable. */
static struct receiver_ops broken_ops;

static int lie_stages(void *ctx, const uint64_t *stages, size_t n,
                      struct err *err)
{
    (void)ctx;
    (void)stages;
    (void)n;
    (void)err;
    return 0;
}

static int lie_dirs(void *ctx, struct err *err)
{
    (void)ctx;
    (void)err;
    return 0;
}

/* Half of the value. */
static int tear_write(void *ctx, uint64_t stage, const void *p, size_t n,
                      struct err *err)
{
    return memstore_ops.stage_write(ctx, stage, p, (n + 1) / 2, err);
}

/* "Done", now and then, and nothing is. */
static int lie_install(void *ctx, uint64_t stage, struct bytes table,
                       struct bytes key, unsigned how, struct vstat *stat_out,
                       uint32_t *pid_out, char comm[16], struct err *err)
{
    static unsigned count;

    if (++count % 20 != 0) {
        return memstore_ops.install(ctx, stage, table, key, how, stat_out,
                                    pid_out, comm, err);
    }
    memstore_ops.stage_drop(ctx, stage);
    *stat_out = (struct vstat){0, 0, 0};
    return INSTALL_DONE;
}

static const struct receiver_ops *ops_of(const struct sim *s)
{
    broken_ops = memstore_ops;
    if (s->broken == BREAK_SYNC) {
        broken_ops.stage_sync = lie_stages;
        broken_ops.dirs_sync = lie_dirs;
        broken_ops.sync_both = NULL;
    } else if (s->broken == BREAK_ACK) {
        broken_ops.install = lie_install;
    } else if (s->broken == BREAK_TEAR) {
        broken_ops.stage_write = tear_write;
    }
    return &broken_ops;
}

void replica_init(struct sim *s, int number)
{
    struct replica *r = &s->replicas[number];
    struct sender *who = malloc(sizeof *who);

    assert(who != NULL);
    who->s = s;
    who->r = r;
    r->number = number;
    r->store = memstore_new();
    r->store->send = on_send;
    r->store->send_arg = who;
    r->index = index_new();
    assert(r->index != NULL);
    wire_in_init(&r->tap_up);
    wire_in_init(&r->tap_down);
    r->config = (struct receiver_config){
        .policy = sim_chance(s, 300) ? LOCK_POLICY_REPLACE : LOCK_POLICY_WAIT,
        .lock_timeout_ms = 100,
        .group_changes =
            1 + (size_t)sim_below(s, sim_chance(s, 500) ? 3 : 1000),
        .group_bytes = sim_chance(s, 300) ? 200 : 0,
        .streams_max = 1 + (size_t)sim_below(s, 4),
        .pending_max = sim_chance(s, 300) ? 4 : 0,
    };
    r->store->lawless = s->broken == BREAK_TERM;
    r->commit_us = -1;
    r->slow = sim_chance(s, 300) ? 900 : 0;
}

static void end_receiver(struct replica *r)
{
    receiver_free(r->receiver);
    r->receiver = NULL;
    r->eof_us = 0;
    r->commit_us = -1;
    r->edit_us = 0; /* the next one's first scan finds it */
    r->store->scan_wanted = r->store->names_wanted = false;
    free(r->store->names);
    r->store->names = NULL;
}

void replica_free(struct sim *s, struct replica *r)
{
    (void)s;
    end_receiver(r);
    tap_reset(r);
    free(r->sents);
    wire_in_deinit(&r->tap_up);
    wire_in_deinit(&r->tap_down);
    buf_deinit(&r->to_receiver);
    buf_deinit(&r->to_agent);
    free(r->store->send_arg);
    memstore_free(r->store);
    index_free(r->index);
}

/* --- the link ------------------------------------------------------------ */

static void connect_to(struct sim *s, struct replica *r)
{
    struct err err;

    if (r->receiver != NULL) {
        r->connect_us = s->now_us + CONNECT_US; /* the old one lives yet */
        return;
    }
    sim_note(s, "link %d: up", r->number);
    buf_clear(&r->to_receiver);
    buf_clear(&r->to_agent);
    tap_reset(r);
    r->up = true;
    r->cut = false;
    r->eof_us = 0;
    r->tick_us = s->now_us;
    r->receiver = receiver_new(&r->config, ops_of(s), r->store, r->index);
    assert(r->receiver != NULL);
    primary_link_up(s->agent.p, r->id, sim_now_ms(s));
    if (receiver_start(r->receiver, &err) != 0) {
        sim_fail(s, 0, "receiver_start: %s", err.msg);
    }
    agent_act(s);
}

/* From here on no byte arrives on either side; what is already on the way may
 * be delivered up to any byte. */
void replica_cut(struct sim *s, struct replica *r)
{
    if (!r->up || r->cut) {
        return;
    }
    sim_note(s, "link %d: cut", r->number);
    r->cut = true;
    r->to_receiver.len = (size_t)sim_below(s, r->to_receiver.len + 1);
    r->to_agent.len = (size_t)sim_below(s, r->to_agent.len + 1);
    r->down_us = s->now_us + (int64_t)sim_below(s, 200000);
    if (r->receiver != NULL && r->eof_us == 0) {
        r->eof_us = s->now_us + 1 + (int64_t)sim_below(s, 500000);
    }
}

/* The agent has done with it. */
void replica_link_close(struct sim *s, struct replica *r)
{
    if (!r->up) {
        return;
    }
    r->up = false;
    buf_clear(&r->to_agent);
    r->connect_us = s->now_us + (int64_t)sim_below(s, 300000);
    if (s->agent.p != NULL) {
        primary_link_down(s->agent.p, r->id, NULL, false, sim_now_ms(s));
        agent_act(s);
    }
}

static size_t piece_of(struct sim *s, size_t have, size_t most)
{
    size_t n = sim_chance(s, 600) ? most : 1 + (size_t)sim_below(s, 300);

    return n < have ? n : have;
}

static bool move_out(struct sim *s, struct replica *r)
{
    static uint8_t bytes[PIPE_BYTES];

    if (!r->up || r->cut || r->to_receiver.len >= PIPE_BYTES) {
        return false;
    }
    size_t n =
        primary_fill(s->agent.p, r->id, bytes,
                     piece_of(s, PIPE_BYTES - r->to_receiver.len, PIPE_BYTES),
                     sim_now_ms(s));
    if (n > 0) {
        tap_up(s, r, bytes, n);
        buf_put(&r->to_receiver, bytes, n);
    }
    agent_act(s);
    return n > 0;
}

static bool move_in(struct sim *s, struct replica *r)
{
    if (!r->up || r->to_agent.len == 0) {
        return false;
    }
    size_t n = piece_of(s, r->to_agent.len, 32768);
    uint8_t *bytes = malloc(n);
    assert(bytes != NULL);
    memcpy(bytes, r->to_agent.data, n);
    buf_drop(&r->to_agent, n);
    primary_input(s->agent.p, r->id, bytes, n, sim_now_ms(s));
    free(bytes);
    agent_act(s);
    return true;
}

/* --- the receiver -------------------------------------------------------- */

static void receiver_over(struct sim *s, struct replica *r,
                          const struct err *err)
{
    sim_note(s, "receiver %d ends: %s", r->number, err->msg);
    if (err->code == ERR_PROTO) {
        sim_fail(s, 0, "the core broke the protocol with replica %d: %s",
                 r->number, err->msg);
    }
    end_receiver(r);
    if (r->up && !r->cut) {
        /* What it sent before arrives; then the end of the stream. */
        r->cut = true;
        r->down_us = s->now_us + 1000 + (int64_t)sim_below(s, 50000);
    }
}

static bool receive(struct sim *s, struct replica *r)
{
    struct err err;

    if (r->to_receiver.len == 0 || (!r->hung && receiver_full(r->receiver))) {
        return false;
    }
    size_t n = piece_of(s, r->to_receiver.len, 32768);
    uint8_t *bytes = malloc(n);
    assert(bytes != NULL);
    memcpy(bytes, r->to_receiver.data, n);
    buf_drop(&r->to_receiver, n);
    int rc = receiver_input(r->receiver, bytes, n, sim_now_ms(s), &err);
    free(bytes);
    term_seen(s, r);
    if (rc < 0) {
        receiver_over(s, r, &err);
        return true;
    }
    if (r->commit_us < 0 && receiver_has_work(r->receiver)) {
        r->commit_us = s->now_us + (int64_t)sim_below(s, 3000);
    }
    return true;
}

static bool do_commit(struct sim *s, struct replica *r)
{
    struct err err;
    int64_t again_ms;

    if (r->hung || r->commit_us < 0 || r->commit_us > s->now_us) {
        return false;
    }
    int rc = receiver_commit(r->receiver, sim_now_ms(s), &again_ms, &err);
    if (rc < 0) {
        receiver_over(s, r, &err);
        return true;
    }
    r->commit_us = again_ms < 0 ? -1 : s->now_us + again_ms * 1000;
    return true;
}

static bool tick(struct sim *s, struct replica *r)
{
    struct err err;

    if (r->tick_us > s->now_us) {
        return false;
    }
    r->tick_us = s->now_us + 1000000;
    if (receiver_tick(r->receiver, sim_now_ms(s), &err) < 0) {
        receiver_over(s, r, &err);
    }
    return true;
}

/* The receiver notices what was done by hand. */
static int notice(struct sim *s, struct replica *r, struct err *err)
{
    const struct item *it = &s->world->items[r->edit];
    struct wire_edited m = {
        .count = 1,
        .table = bytes_of(it->table_name, strlen(it->table_name)),
        .key = bytes_of(it->key, strlen(it->key))};

    sim_note(s, "receiver %d: notices an edit of %s", r->number,
             world_name(it));
    r->edit_us = 0;
    memstore_scan(r->store, r->index);
    return receiver_edited(r->receiver, 1, &m, err);
}

static bool answer(struct sim *s, struct replica *r)
{
    struct err err;
    int rc = 0;

    if (r->store->scan_wanted) {
        if (s->broken == BREAK_VERIFY && r->store->scan_id != 0) {
            struct wire_ready result = {0};
            r->store->scan_wanted = false;
            rc = (r->store->scan_how & WIRE_SCAN_VIEW) != 0
                     ? receiver_viewed(r->receiver, r->store->scan_id, &result,
                                       view_new(), &err)
                     : receiver_scanned(r->receiver, r->store->scan_id, &result,
                                        &err);
        } else {
            rc = memstore_scan_answer(r->store, r->receiver, r->index, &err);
        }
    } else if (r->store->names_wanted) {
        rc = memstore_names_answer(r->store, r->receiver,
                                   1 + (size_t)sim_below(s, 20), &err);
    } else if (r->edit_us != 0 && r->edit_us <= s->now_us) {
        rc = notice(s, r, &err);
    } else {
        return false;
    }
    if (rc < 0) {
        receiver_over(s, r, &err);
    }
    return true;
}

static bool work(struct sim *s, struct replica *r)
{
    if (r->receiver == NULL || r->to_agent.len > 4 * PIPE_BYTES) {
        return false; /* it blocks while sending */
    }
    if (r->eof_us != 0 && r->eof_us <= s->now_us) {
        sim_note(s, "receiver %d: end of input", r->number);
        end_receiver(r);
        return true;
    }
    switch (sim_below(s, 4)) {
    case 0:
        return do_commit(s, r) || answer(s, r);
    case 1:
        return tick(s, r) || receive(s, r);
    case 2:
        return answer(s, r) || receive(s, r);
    default:
        return receive(s, r) || do_commit(s, r) || answer(s, r);
    }
}

bool replica_step(struct sim *s, struct replica *r)
{
    if (r->stuck_us > s->now_us || (!s->calm && sim_chance(s, r->slow))) {
        return false;
    }
    if (r->up && r->cut && r->down_us <= s->now_us && r->to_agent.len == 0) {
        sim_note(s, "link %d: the agent sees the end", r->number);
        replica_link_close(s, r);
        return true;
    }
    if (!r->up && r->connect_us <= s->now_us && !r->paused) {
        connect_to(s, r);
        return true;
    }
    switch (sim_below(s, 3)) {
    case 0:
        return move_out(s, r) || work(s, r);
    case 1:
        return move_in(s, r) || work(s, r);
    default:
        return work(s, r) || move_in(s, r);
    }
}

/* --- what happens to it -------------------------------------------------- */

static void forget_locks(struct replica *r)
{
    for (int i = 0; i < ITEMS; i++) {
        r->seen[i].locks = 0;
    }
}

static void unlock_all(struct sim *s, struct replica *r)
{
    for (int i = TABLES; i < ITEMS; i++) {
        while (r->seen[i].locks > 0) {
            const struct item *it = &s->world->items[i];
            memstore_unlock(r->store, it->table_name, it->key);
            r->seen[i].locks--;
        }
    }
}

void replica_crash(struct sim *s, struct replica *r, bool power)
{
    sim_note(s, "replica %d: %s", r->number, power ? "power loss" : "killed");

    if (r->receiver != NULL) {
        if (r->up && !r->cut) {
            replica_cut(s, r);
        }
        end_receiver(r);
    }
    if (power) {
        memstore_crash(r->store, prng_next(&s->rnd));
        forget_locks(r);
        check_after_crash(s, r);
    }
    /* The index it saved may be gone, or tell of better times: the scan at
     * the next start has to put it right. */
    if (sim_chance(s, 300)) {
        index_free(r->index);
        r->index = index_new();
        assert(r->index != NULL);
    }
}

void replica_edit(struct sim *s, struct replica *r)
{
    int i = TABLES + (int)sim_below(s, TABLES * KEYS);
    const struct item *it = &s->world->items[i];

    if (r->seen[i].locks > 0) {
        return;
    }
    sim_note(s, "replica %d: edit %s", r->number, world_name(it));
    if (sim_chance(s, 300)) {
        memstore_erase(r->store, it->table_name, it->key);
    } else {
        memstore_edit(r->store, it->table_name, it->key, "edited", 6);
        r->seen[it->table].planted = r->seen[it->table].edited =
            true; /* the table may be new, too */
        r->seen[it->table].edits++;
    }
    r->seen[i].planted = r->seen[i].edited = true;
    r->seen[i].edits++;
    r->seen[i].stat = (struct vstat){0, 0, 0};
    /* Every second one is noticed, within seconds. */
    if (r->receiver != NULL && s->now_us % 2 == 0) {
        r->edit = i;
        r->edit_us = s->now_us + 1 + s->now_us % 3000000;
    }
}

void replica_lock(struct sim *s, struct replica *r)
{
    int i = TABLES + (int)sim_below(s, TABLES * KEYS);
    const struct item *it = &s->world->items[i];

    if (sim_chance(s, 400)) {
        unlock_all(s, r);
    } else {
        memstore_lock(r->store, it->table_name, it->key, 99, "reader");
        r->seen[i].locks++;
    }
}

void replica_pause(struct sim *s, struct replica *r, bool paused)
{
    r->paused = paused;
    primary_set_paused(s->agent.p, r->id, paused);
    if (paused) {
        replica_cut(s, r);
    }
}

void replica_refuse(struct sim *s, struct replica *r)
{
    static const enum memop ops[] = {MEMOP_STAGE_BEGIN, MEMOP_STAGE_WRITE,
                                     MEMOP_INSTALL, MEMOP_REMOVE};

    r->refuses = !r->refuses;
    sim_note(s, "replica %d: its disk %s", r->number,
             r->refuses ? "takes nothing more" : "is well again");
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        memstore_fail(r->store, ops[i], 0, r->refuses ? UINT_MAX : 0,
                      i < 2 ? ERR_NOSPACE : ERR_PERM, i < 2 ? ENOSPC : EPERM);
    }
}

void replica_calm(struct sim *s, struct replica *r)
{
    unlock_all(s, r);
    for (int op = 0; op < MEMOP_COUNT; op++) {
        r->store->fault[op].times = 0;
    }
    r->slow = 0;
    r->stuck_us = 0;
    r->hung = r->refuses = false;
    replica_pause(s, r, false);
}
