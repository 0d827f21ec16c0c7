/* SPDX-License-Identifier: MIT
 *
 * The receiver's core with input, commit, tick and scan on threads of their
 * own: every change is answered once.  Meant for the thread sanitizer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/memstore.h"

enum { CHANGES = 4000, KEYS = 200 };

/* The memory disk has no lock of its own. */
static pthread_mutex_t disk_mutex = PTHREAD_MUTEX_INITIALIZER;

static void lock(void)
{
    (void)pthread_mutex_lock(&disk_mutex);
}

static int unlock(int rc)
{
    (void)pthread_mutex_unlock(&disk_mutex);
    return rc;
}

static int begin(void *c, uint64_t s, struct bytes table, uint64_t n,
                 struct err *e)
{
    lock();
    return unlock(memstore_ops.stage_begin(c, s, table, n, e));
}
static int write_some(void *c, uint64_t s, const void *p, size_t n,
                      struct err *e)
{
    lock();
    return unlock(memstore_ops.stage_write(c, s, p, n, e));
}
static int write_zeros(void *c, uint64_t s, uint64_t n, struct err *e)
{
    lock();
    return unlock(memstore_ops.stage_zeros(c, s, n, e));
}
static int finish(void *c, uint64_t s, struct err *e)
{
    lock();
    return unlock(memstore_ops.stage_end(c, s, e));
}
static void drop(void *c, uint64_t s)
{
    lock();
    memstore_ops.stage_drop(c, s);
    (void)unlock(0);
}
static int sync_stages(void *c, const uint64_t *s, size_t n, struct err *e)
{
    lock();
    return unlock(memstore_ops.stage_sync(c, s, n, e));
}
static int install(void *c, uint64_t s, struct bytes t, struct bytes k,
                   unsigned how, struct vstat *st, uint32_t *pid, char comm[16],
                   struct err *e)
{
    lock();
    return unlock(memstore_ops.install(c, s, t, k, how, st, pid, comm, e));
}
static int remove_key(void *c, struct bytes t, struct bytes k, bool force,
                      uint32_t *pid, char comm[16], struct err *e)
{
    lock();
    return unlock(memstore_ops.remove(c, t, k, force, pid, comm, e));
}
static int make(void *c, struct bytes t, struct err *e)
{
    lock();
    return unlock(memstore_ops.table_make(c, t, e));
}
static int drop_table(void *c, struct bytes t, bool force, char *key,
                      size_t *len, uint32_t *pid, char comm[16], struct err *e)
{
    lock();
    return unlock(memstore_ops.table_drop(c, t, force, key, len, pid, comm, e));
}
static int sync_dirs(void *c, struct err *e)
{
    lock();
    return unlock(memstore_ops.dirs_sync(c, e));
}
static int sync_two(void *c, const uint64_t *s, size_t n, struct err *e,
                    struct err *dirs)
{
    lock();
    return unlock(memstore_ops.sync_both(c, s, n, e, dirs));
}
static int sync_all(void *c, struct err *e)
{
    lock();
    return unlock(memstore_ops.sync_all(c, e));
}
static int stat_key(void *c, struct bytes t, struct bytes k, struct vstat *st,
                    struct err *e)
{
    lock();
    return unlock(memstore_ops.stat(c, t, k, st, e));
}
static int freshness(void *c, int64_t ns, uint64_t seq, uint8_t s,
                     struct err *e)
{
    lock();
    return unlock(memstore_ops.freshness(c, ns, seq, s, e));
}
static int identify(void *c, const struct wire_hello *h,
                    struct wire_hello_ok *ok, struct err *e)
{
    lock();
    return unlock(memstore_ops.identify(c, h, ok, e));
}
static void scan_start(void *c, uint64_t id, unsigned how)
{
    lock();
    memstore_ops.scan_start(c, id, how);
    (void)unlock(0);
}
static void names_start(void *c, uint64_t id, struct digest *names, size_t n)
{
    lock();
    memstore_ops.names_start(c, id, names, n);
    (void)unlock(0);
}
static int send_bytes(void *c, const void *p, size_t n, struct err *e)
{
    lock();
    return unlock(memstore_ops.send(c, p, n, e));
}

static const struct receiver_ops ops = {
    .stage_begin = begin,
    .stage_write = write_some,
    .stage_zeros = write_zeros,
    .stage_end = finish,
    .stage_drop = drop,
    .stage_sync = sync_stages,
    .install = install,
    .remove = remove_key,
    .table_make = make,
    .table_drop = drop_table,
    .dirs_sync = sync_dirs,
    .sync_both = sync_two,
    .sync_all = sync_all,
    .stat = stat_key,
    .freshness = freshness,
    .identify = identify,
    .scan_start = scan_start,
    .names_start = names_start,
    .send = send_bytes,
};

struct world {
    struct memstore *m;
    struct index *ix;
    struct receiver *r;
    atomic_bool input_done;
    atomic_int failures;
};

static void must(struct world *w, int rc)
{
    if (rc != 0) {
        atomic_fetch_add(&w->failures, 1);
    }
}

/* One change of the stream: mostly sets, some deletes, streams and pings. */
static void put_change(struct buf *b, uint64_t seq)
{
    char key[16], value[32];
    struct buf body = BUF_NULL;

    (void)snprintf(key, sizeof key, "k%u", (unsigned)(seq % KEYS));
    (void)snprintf(value, sizeof value, "value %u", (unsigned)seq);
    struct wire_change m = {.seq = seq,
                            .table = bytes_of("t", 1),
                            .key = bytes_of(key, strlen(key)),
                            .value = bytes_of(value, strlen(value))};
    if (seq % 7 == 0) {
        wire_put_change(b, WIRE_DELETE, &m);
    } else if (seq % 11 == 0) {
        wire_put_change(b, WIRE_SET_BEGIN, &m);
        wire_put_piece(b, seq, value, strlen(value));
        wire_put_set_end(b, seq, digest_of(value, strlen(value)));
    } else {
        m.digest = digest_of(value, strlen(value));
        wire_set_body(&body, &m);
        wire_put_set(b, seq, &body);
    }
    if (seq % 13 == 0) {
        struct wire_ping ping = {.id = seq, .fresh_ns = 1, .seq = seq};
        wire_put_ping(b, &ping);
    }
    buf_deinit(&body);
}

static void *run_input(void *arg)
{
    struct world *w = arg;
    struct buf b = BUF_NULL;
    struct err err;

    for (uint64_t seq = 1; seq <= CHANGES; seq++) {
        put_change(&b, seq);
        if (seq % 20 == 0) {
            while (receiver_full(w->r)) {
                (void)sched_yield();
            }
            must(w, receiver_input(w->r, b.data, b.len, 1000, &err));
            buf_clear(&b);
        }
    }
    buf_deinit(&b);
    atomic_store(&w->input_done, true);
    return NULL;
}

static void *run_commit(void *arg)
{
    struct world *w = arg;
    struct err err;
    int64_t again, now = 1000;

    while (!atomic_load(&w->input_done) || receiver_has_work(w->r)) {
        must(w, receiver_commit(w->r, now, &again, &err));
        now += 60;
    }
    return NULL;
}

static void *run_tick(void *arg)
{
    struct world *w = arg;
    struct err err;

    while (!atomic_load(&w->input_done)) {
        must(w, receiver_tick(w->r, 1000, &err));
        receiver_progress(w->r, true, 1);
        lock();
        bool wanted = w->m->scan_wanted;
        w->m->scan_wanted = false;
        (void)unlock(0);
        if (wanted) {
            must(w, receiver_scanned(w->r, 0, &(struct wire_ready){.keys = 0},
                                     &err));
        }
        (void)sched_yield();
    }
    return NULL;
}

static void count_acks(struct world *w, bool seen[CHANGES + 1])
{
    struct wire_in in;
    enum wire_type type;
    struct bytes body;
    struct err err;
    int rc;

    wire_in_init(&in);
    assert_int_equal(wire_in_add(&in, w->m->sent.data, w->m->sent.len, &err),
                     0);
    while ((rc = wire_in_next(&in, &type, &body, &err)) > 0) {
        struct wire_items items;
        uint64_t seq;
        assert_int_not_equal(type, WIRE_NAK);
        assert_int_not_equal(type, WIRE_ERROR);
        if (type != WIRE_ACK) {
            continue;
        }
        assert_int_equal(wire_get_items(type, body, &items, &err), 0);
        while (wire_item_ack(&items, &seq) > 0) {
            assert_in_range(seq, 1, CHANGES);
            assert_false(seen[seq]);
            seen[seq] = true;
        }
    }
    assert_int_equal(rc, 0);
    wire_in_deinit(&in);
}

static void every_change_is_answered_once_across_threads(void **state)
{
    static bool seen[CHANGES + 1];
    struct receiver_config config = {.group_changes = 50, .pending_max = 300};
    struct wire_hello hello = {.proto_min = WIRE_PROTO_MIN,
                               .proto_max = WIRE_PROTO_MAX,
                               .epoch = 1,
                               .silence_ms = 60000};
    struct world w = {.m = memstore_new(), .ix = index_new()};
    struct buf b = BUF_NULL;
    pthread_t threads[3];
    struct err err;

    (void)state;
    w.r = receiver_new(&config, &ops, w.m, w.ix);
    assert_non_null(w.r);
    assert_int_equal(receiver_start(w.r, &err), 0);
    wire_put_magic(&b);
    wire_put_hello(&b, &hello);
    assert_int_equal(receiver_input(w.r, b.data, b.len, 1000, &err), 0);
    buf_deinit(&b);
    assert_int_equal(pthread_create(&threads[0], NULL, run_input, &w), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, run_commit, &w), 0);
    assert_int_equal(pthread_create(&threads[2], NULL, run_tick, &w), 0);
    for (int i = 0; i < 3; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    assert_int_equal(atomic_load(&w.failures), 0);
    count_acks(&w, seen);
    for (int i = 1; i <= CHANGES; i++) {
        assert_true(seen[i]);
    }
    assert_int_equal(memstore_stages(w.m), 0);
    receiver_free(w.r);
    memstore_free(w.m);
    index_free(w.ix);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_change_is_answered_once_across_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
