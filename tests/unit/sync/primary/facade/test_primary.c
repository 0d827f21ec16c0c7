/* SPDX-License-Identifier: MIT
 *
 * The primary's core: what it sends to whom, when, and on what evidence.
 */
#include "tests/support/primary_fixture.h"

/* --- happy path ---------------------------------------------------------- */

/* SPDX-License-Identifier: MIT
 *
 * The primary's core: what it sends to whom, when, and what it claims.
 */
#include "tests/support/plain_key.h"
#include "tests/support/primary_fixture.h"

static void test_a_change_is_looked_at_sent_and_acknowledged(void **state)
{
    struct fx *f = fx_new();
    struct replica_status s;

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    fx_set(f, "t", "x", "one");
    fx_heard(r, "SET t/x=one #1\n");
    primary_status(f->p, r->replica, f->now_ms, &s);
    assert_int_equal(s.pending_keys, 1);
    assert_int_equal(s.watermark, 0);
    fx_ack(f, r, 1);
    primary_status(f->p, r->replica, f->now_ms, &s);
    assert_int_equal(s.pending_keys, 0);
    assert_int_equal(s.watermark, 1);
    assert_false(f->closed[r->replica]);
    fx_free(f);
}

static void test_a_removed_key_is_deleted_once_the_look_proved_it(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_put(f, "t", "x", "one");
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    f->by_hand = true;
    fx_delete(f, "t", "x");
    fx_heard(r, "");
    fx_answer(f, "t", "x");
    fx_heard(r, "DELETE t/x #1\n");
    fx_free(f);
}

static void test_one_look_serves_all_replicas(void **state)
{
    struct fx *f = fx_new();
    struct primary_counts c;

    (void)state;
    fx_ready(f);
    struct fx_peer *a = fx_scripted(f, 0), *b = fx_scripted(f, 1);
    fx_set(f, "t", "x", "one");
    fx_heard(a, "SET t/x=one #1\n");
    fx_heard(b, "SET t/x=one #1\n");
    primary_counts(f->p, &c);
    assert_int_equal(c.reads, 1);
    fx_free(f);
}

static void test_a_new_replica_gets_everything_and_is_proven_equal(void **state)
{
    struct fx *f = fx_new();
    struct replica_status s;

    (void)state;
    fx_put(f, "", "a", "1");
    fx_put(f, "t", "b", "22");
    fx_put_large(f, "t", "big", "0123456789", 20000);
    fx_key(f, true, "empty", NULL)->exists = true;
    fx_ready(f);
    struct fx_peer *r = fx_add(f, 0, true);
    fx_up(f, r);
    fx_wait(f, 3000);
    assert_string_equal(fx_there(r, "", "a"), "1");
    assert_string_equal(fx_there(r, "t", "b"), "22");
    assert_true(memstore_has_table(r->store, "empty"));
    assert_true(digest_equal(index_root(f->ix), index_root(r->index)));
    fx_drained(f);
    fx_wait(f, 1000);
    fx_wait(f, 1000);
    primary_status(f->p, r->replica, f->now_ms, &s);
    assert_int_equal(s.state, REPLICA_STREAMING);
    assert_int_equal(s.lag_ms, 0);
    assert_true(s.equal_wall_ns > 0);
    fx_free(f);
}

/* --- empty files --------------------------------------------------------- */

static void test_an_empty_file_waits_for_the_settle_time(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    fx_put(f, "t", "x", "");
    fx_hint(f, "t", "x", HINT_CREATED);
    fx_wait(f, 500);
    fx_drained(f);
    fx_heard(r, "");
    fx_wait(f, 600);
    fx_heard(r, "SET t/x= #1\n");
    fx_free(f);
}

/* The clock was set back, or somebody set the file's time. */
static void test_an_empty_file_of_the_future_settles_like_others(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    fx_put(f, "t", "x", "");
    struct fx_key *k = fx_key(f, false, "t", "x");
    k->ctime_ms = f->now_ms + 3600 * 1000;
    fx_hint(f, "t", "x", HINT_CREATED);
    fx_wait(f, 500);
    fx_heard(r, "");
    /* Another file in its place is as doubtful as the first. */
    k->ctime_ms += 1;
    fx_wait(f, 1000);
    fx_heard(r, "");
    fx_wait(f, 1100);
    fx_heard(r, "SET t/x= #1\n");
    fx_free(f);
}

static void
test_a_renamed_empty_file_is_a_value_after_the_next_drain(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    fx_set(f, "t", "x", "");
    fx_drained(f);
    fx_wait(f, 30);
    fx_heard(r, "SET t/x= #1\n");
    fx_free(f);
}

static void
test_a_commit_seen_after_the_look_proves_nothing_about_it(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    f->by_hand = true;
    fx_put(f, "t", "x", "");
    fx_hint(f, "t", "x", HINT_CREATED);
    /* The read reads the placeholder; its answer comes after the rename. */
    struct index_entry e;
    primary_hint_key(f->p, "t", 1, "x", 1, HINT_COMMITTED, f->now_ms);
    fx_answer(f, "t", "x");
    fx_drained(f);
    assert_false(
        index_get(f->ix, index_name_key(&plain_key, "t", 1, "x", 1), &e));
    fx_heard(r, "");
    fx_put(f, "t", "x", "one");
    fx_answer(f, "t", "x");
    fx_heard(r, "SET t/x=one #1\n");
    fx_free(f);
}

static void test_a_placeholder_after_a_commit_is_doubted(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    f->by_hand = true;
    fx_put(f, "t", "x", "one");
    fx_hint(f, "t", "x", HINT_COMMITTED);
    fx_put(f, "t", "x", ""); /* deleted, and about to be written again */
    fx_hint(f, "t", "x", HINT_REMOVED);
    fx_hint(f, "t", "x", HINT_CREATED);
    fx_answer(f, "t", "x");
    f->by_hand = false;
    fx_drained(f);
    fx_wait(f, 100);
    fx_heard(r, "");
    fx_free(f);
}

static void
test_a_placeholder_that_no_event_has_told_of_is_doubted(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    f->by_hand = true;
    fx_put(f, "t", "x", "one");
    fx_hint(f, "t", "x", HINT_COMMITTED);
    /* Deleted and about to be written again: the events are in the queue. */
    fx_put(f, "t", "x", "");
    fx_answer(f, "t", "x");
    fx_heard(r, "");
    primary_hint_key(f->p, "t", 1, "x", 1, HINT_REMOVED, f->now_ms);
    primary_hint_key(f->p, "t", 1, "x", 1, HINT_CREATED, f->now_ms);
    f->by_hand = false;
    fx_drained(f);
    fx_wait(f, 100);
    fx_heard(r, "");
    fx_free(f);
}

/* --- barriers ------------------------------------------------------------ */

/* Change `x` without a word to anybody but the core. */
static void change_quietly(struct fx *f, const char *value)
{
    fx_put(f, "t", "x", value);
    primary_hint_key(f->p, "t", 1, "x", 1, HINT_COMMITTED, f->now_ms);
}

static void
test_a_barrier_covers_a_key_that_changes_faster_than_it_is_sent(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    f->by_hand = true;
    fx_set(f, "t", "x", "one");
    for (int i = 0; i < 3; i++) {
        change_quietly(f, "two");
        fx_answer(f, "t", "x");
        fx_heard(r, ""); /* it has changed since: looked at again */
    }
    change_quietly(f, "three");
    uint64_t barrier = primary_tail(f->p);
    fx_answer(f, "t", "x"); /* and so goes out as it is */
    fx_heard(r, "SET t/x=three #1\n");
    fx_ack(f, r, 1);
    assert_false(primary_passed(f->p, r->replica, barrier));
    fx_answer(f, "t", "x");
    char want[64];
    (void)snprintf(want, sizeof want, "SET t/x=three #%" PRIu64 "\n", barrier);
    fx_heard(r, want);
    fx_ack(f, r, barrier);
    assert_true(primary_passed(f->p, r->replica, barrier));
    fx_free(f);
}

static void test_a_barrier_covers_a_change_during_a_stream(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    f->streams_by_hand = true;
    fx_begin_large(f, "x");
    /* An event without a change of the file. */
    primary_hint_key(f->p, "t", 1, "x", 1, HINT_CLOSED, f->now_ms);
    uint64_t barrier = primary_tail(f->p);
    f->streams_by_hand = false;
    fx_pump(f);
    fx_heard(r, "SET_BEGIN t/x #1\nSET_END #1\n");
    fx_ack(f, r, 1);
    assert_false(primary_passed(f->p, r->replica, barrier));
    fx_ack(f, r, barrier);
    assert_true(primary_passed(f->p, r->replica, barrier));
    fx_free(f);
}

/* --- evidence ------------------------------------------------------------ */

static void
test_a_table_is_not_dropped_on_older_evidence_than_its_keys(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_put(f, "t", "x", "one");
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    f->by_hand = true;
    fx_hint_table(f, "t", false); /* moved away ... */
    fx_set(f, "t", "x", "two");   /* ... and made again */
    fx_answer(f, "t", "x");
    fx_heard(r, "SET t/x=two #2\n");
    fx_key(f, true, "t", NULL)->exists = false;
    fx_answer(f, "t", NULL); /* it was looked at before the key */
    fx_heard(r, "");
    fx_key(f, true, "t", NULL)->exists = true;
    fx_answer(f, "t", NULL);
    fx_heard(r, "TABLE_SET t #1\n");
    fx_free(f);
}

static void
test_a_table_that_comes_and_goes_is_dropped_when_it_is_gone(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    f->by_hand = true;
    fx_hint_table(f, "t", false);
    for (int i = 0; i < 10; i++) {
        primary_hint_table(f->p, "t", 1, f->now_ms);
        fx_answer(f, "t", NULL);
        fx_heard(r, "");
    }
    fx_answer(f, "t", NULL);
    fx_heard(r, "TABLE_DROP t #1\n");
    fx_free(f);
}

static void
test_a_dropped_table_outdates_what_was_read_of_its_keys(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_put(f, "t", "x", "one");
    fx_put(f, "t", "y", "one");
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    fx_set(f, "t", "x", "one");
    fx_set(f, "t", "y", "one");
    fx_heard(r, "SET t/x=one #1\nSET t/y=one #2\n");
    fx_set(f, "t", "x", "two"); /* held: the first is not acknowledged */
    f->by_hand = true;
    fx_set(f, "t", "y", "two");
    fx_ack(f, r, 2); /* looked at, and ... */
    fx_erase(f, "t", "x");
    fx_hint_table(f, "t", false); /* ... moved away with all its keys */
    fx_answer(f, "t", NULL);
    fx_heard(r, "TABLE_DROP t #5\n");
    fx_ack(f, r, 1);
    fx_answer(f, "t", "y"); /* it was read before the move */
    fx_heard(r, "");
    fx_erase(f, "t", "y");
    f->by_hand = false;
    fx_pump(f);
    while (f->reader_count > 0) {
        fx_answer(f, f->reads[0].table, f->reads[0].key);
    }
    assert_null(memmem(r->heard.data, r->heard.len, "SET", 3));
    fx_free(f);
}

/* --- bounds -------------------------------------------------------------- */

static void test_no_more_is_in_flight_than_the_window_allows(void **state)
{
    struct primary_config c;

    (void)state;
    primary_config_default(&c);
    c.window_changes = 2;
    struct fx *f = fx_new_with(&c);
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    fx_set(f, "t", "a", "1");
    fx_set(f, "t", "b", "1");
    fx_set(f, "t", "c", "1");
    fx_heard(r, "SET t/a=1 #1\nSET t/b=1 #2\n");
    fx_ack(f, r, 2);
    fx_heard(r, "SET t/c=1 #3\n");
    c.window_changes = 10;
    primary_reconfigure(f->p, &c);
    fx_set(f, "t", "d", "1");
    fx_heard(r, "SET t/d=1 #4\n");
    fx_free(f);
}

static void test_a_key_is_in_flight_once(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    fx_set(f, "t", "x", "one");
    fx_set(f, "t", "x", "two");
    fx_set(f, "t", "x", "three");
    fx_heard(r, "SET t/x=one #1\n");
    fx_ack(f, r, 1);
    fx_heard(r, "SET t/x=three #2\n");
    fx_ack(f, r, 2);
    fx_heard(r, "");
    fx_free(f);
}

static void
test_what_was_not_acknowledged_is_sent_again_in_its_place(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    fx_set(f, "t", "a", "1");
    fx_set(f, "t", "b", "1");
    fx_set(f, "t", "c", "1");
    fx_ack(f, r, 2);
    fx_down(f, r);
    fx_set(f, "t", "d", "1");
    fx_set(f, "t", "a", "2");
    buf_clear(&r->heard);
    fx_up(f, r);
    fx_heard(r, "SET t/a=2 #1\nSET t/c=1 #3\nSET t/d=1 #4\n");
    fx_free(f);
}

#define SIXTY "0123456789012345678901234567890123456789012345678901234567890123"

static void test_a_touched_value_is_sent_as_its_digest(void **state)
{
    struct fx *f = fx_new();
    struct replica_status s;

    (void)state;
    fx_put_large(f, "t", "x", SIXTY, 63);
    fx_put_large(f, "t", "y", "0123456789", 100);
    fx_ready(f);
    struct fx_peer *a = fx_scripted(f, 0), *b = fx_scripted(f, 1);
    f->now_ms += 10;
    fx_touch(f, "t", "y");
    fx_heard(a, "SAME t/y #1\n");
    fx_heard(b, "SAME t/y #1\n");
    fx_ack(f, a, 1);
    assert_true(fx_passed(f, a));
    /* The other has it not: whole, at once, and no trouble to show. */
    fx_nak_same(f, b, 1);
    char want[200];
    (void)snprintf(want, sizeof want, "SET t/y=%s%s%s%s%s%s%s%s%s%s #1\n",
                   "0123456789", "0123456789", "0123456789", "0123456789",
                   "0123456789", "0123456789", "0123456789", "0123456789",
                   "0123456789", "0123456789");
    fx_heard(b, want);
    primary_status(f->p, b->replica, f->now_ms, &s);
    assert_int_equal(s.last_error.code, 0);
    fx_ack(f, b, 1);
    assert_true(fx_passed(f, b));
    /* A digest costs as much as a small value. */
    f->now_ms += 10;
    fx_touch(f, "t", "x");
    fx_heard(a, "SET t/x=012345678901234567890123456789012345678901234567890123"
                "456789012 #2\n");
    /* A new value is no touched one, and what is refused then is refused. */
    fx_put_large(f, "t", "y", "9", 70);
    fx_hint(f, "t", "y", HINT_COMMITTED);
    assert_memory_equal(a->heard.data, "SET t/y=9999", 12);
    fx_nak_same(f, a, 3);
    primary_status(f->p, a->replica, f->now_ms, &s);
    assert_int_not_equal(s.last_error.code, 0);
    fx_free(f);
}

/* Touched while a repair of it is due: a comparison has shown that the replica
 * lacks it, and one that has nothing lacks everything. */
static void test_a_first_copy_asks_for_nothing(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    for (int i = 0; i < 50; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "k%d", i);
        fx_put_large(f, "t", key, "0123456789", 100);
    }
    fx_ready(f);
    struct fx_peer *r = fx_add(f, 0, true);
    fx_up(f, r);
    fx_beat(f, 10);
    assert_true(fx_passed(f, r));
    assert_int_equal(r->store->calls[MEMOP_STAGE_BEGIN], 50);
    struct replica_status s;
    primary_status(f->p, r->replica, f->now_ms, &s);
    /* No frame twice: 50 values of 100 bytes and their names. */
    uint64_t sent = s.sent_bytes;
    f->now_ms += 10;
    for (int i = 0; i < 50; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "k%d", i);
        fx_touch(f, "t", key);
    }
    fx_beat(f, 2);
    assert_true(fx_passed(f, r));
    assert_int_equal(r->store->calls[MEMOP_STAGE_BEGIN], 50);
    primary_status(f->p, r->replica, f->now_ms, &s);
    assert_true(s.sent_bytes - sent < (uint64_t)50 * 70);
    fx_free(f);
}

static void test_a_refused_change_is_tried_again_while_others_flow(void **state)
{
    struct fx *f = fx_new();
    struct replica_status s;

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    fx_set(f, "t", "a", "1");
    fx_nak(f, r, 1);
    fx_set(f, "t", "b", "1");
    fx_heard(r, "SET t/a=1 #1\nSET t/b=1 #2\n");
    primary_status(f->p, r->replica, f->now_ms, &s);
    assert_int_equal(s.last_error.id, DR_REPLICA_FULL);
    assert_int_equal(s.watermark, 0);
    fx_wait(f, 99);
    fx_heard(r, "");
    fx_wait(f, 1);
    fx_heard(r, "SET t/a=1 #1\n");
    fx_ack(f, r, 2);
    fx_ack(f, r, 1);
    primary_status(f->p, r->replica, f->now_ms, &s);
    assert_int_equal(s.watermark, 2);
    fx_free(f);
}

static void test_one_who_takes_nothing_costs_bounded_memory(void **state)
{
    struct fx *f = fx_new();
    struct primary_counts n;

    (void)state;
    fx_ready(f);
    struct fx_peer *a = fx_scripted(f, 0), *b = fx_scripted(f, 1);
    a->pong = b->pong = true;
    a->up = false; /* its output is never taken */
    for (int round = 0; round < 30; round++) {
        for (int i = 0; i < 300; i++) {
            char key[8];
            (void)snprintf(key, sizeof key, "k%d", i);
            struct fx_key *k = fx_put(f, "t", key, "0123456789");
            k->len = 4096;
            fx_hint(f, "t", key, HINT_COMMITTED);
        }
        while (f->p->repl[b->replica]->flights.list != NULL) {
            fx_ack(f, b, f->p->repl[b->replica]->flights.list->seq);
        }
        buf_clear(&b->heard);
        primary_counts(f->p, &n);
        assert_true(n.cache_bytes < (2 << 20));
        assert_true(n.log_changes < 1000);
    }
    a->up = true;
    fx_pump(f);
    for (int i = 0; i < 300; i++) { /* all of them arrive, once */
        fx_ack(f, a, f->p->repl[a->replica]->flights.list->seq);
    }
    assert_null(f->p->repl[a->replica]->flights.list);
    assert_int_equal(f->p->log.nodes, 0);
    assert_null(f->p->log.records);
    fx_free(f);
}

static void test_a_removed_replica_leaves_nothing_behind(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    fx_set(f, "t", "a", "1");
    fx_set(f, "t", "a", "2");
    f->streams_by_hand = true;
    fx_begin_large(f, "x");
    f->streams_by_hand = false;
    r->up = false;
    primary_replica_remove(f->p, r->replica);
    fx_pump(f);
    fx_wait(f, 2000);
    assert_null(f->p->log.records);
    assert_int_equal(f->p->log.nodes, 0);
    assert_int_equal(f->p->log.body_bytes, 0);
    fx_free(f);
}

/* Under steady writes a newer mark replaced the one from before the step for
 * as long as the clock took to catch up, and that one said "fresh until" a time
 * yet to come. */
static void test_freshness_follows_a_clock_that_is_set_back(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    const struct fx_peer *r = fx_real_equal(f);
    int64_t back_ns = INT64_C(100) * 1000000000;
    for (int i = 0; i < 6; i++) {
        fx_put(f, "t", "x", i % 2 == 0 ? "one" : "two");
        primary_hint_key(f->p, "t", 1, "x", 1, HINT_COMMITTED, f->now_ms);
        primary_drained(f->p, fx_wall(f) - (i < 3 ? 0 : back_ns), f->now_ms);
        /* The ping goes out while this change is on its way. */
        f->now_ms += 1000;
        (void)primary_tick(f->p, f->now_ms);
        fx_pump(f);
    }
    assert_true(r->store->fresh_ns > 0);
    assert_true(r->store->fresh_ns <= fx_wall(f) - back_ns);
    fx_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_freshness_follows_a_clock_that_is_set_back),
        cmocka_unit_test(test_a_change_is_looked_at_sent_and_acknowledged),
        cmocka_unit_test(test_a_removed_key_is_deleted_once_the_look_proved_it),
        cmocka_unit_test(test_one_look_serves_all_replicas),
        cmocka_unit_test(
            test_a_new_replica_gets_everything_and_is_proven_equal),
        cmocka_unit_test(test_an_empty_file_waits_for_the_settle_time),
        cmocka_unit_test(test_an_empty_file_of_the_future_settles_like_others),
        cmocka_unit_test(
            test_a_renamed_empty_file_is_a_value_after_the_next_drain),
        cmocka_unit_test(
            test_a_commit_seen_after_the_look_proves_nothing_about_it),
        cmocka_unit_test(test_a_placeholder_after_a_commit_is_doubted),
        cmocka_unit_test(
            test_a_placeholder_that_no_event_has_told_of_is_doubted),
        cmocka_unit_test(
            test_a_barrier_covers_a_key_that_changes_faster_than_it_is_sent),
        cmocka_unit_test(test_a_barrier_covers_a_change_during_a_stream),
        cmocka_unit_test(
            test_a_table_is_not_dropped_on_older_evidence_than_its_keys),
        cmocka_unit_test(
            test_a_table_that_comes_and_goes_is_dropped_when_it_is_gone),
        cmocka_unit_test(
            test_a_dropped_table_outdates_what_was_read_of_its_keys),
        cmocka_unit_test(test_no_more_is_in_flight_than_the_window_allows),
        cmocka_unit_test(test_a_key_is_in_flight_once),
        cmocka_unit_test(
            test_what_was_not_acknowledged_is_sent_again_in_its_place),
        cmocka_unit_test(test_a_touched_value_is_sent_as_its_digest),
        cmocka_unit_test(test_a_first_copy_asks_for_nothing),
        cmocka_unit_test(
            test_a_refused_change_is_tried_again_while_others_flow),
        cmocka_unit_test(test_one_who_takes_nothing_costs_bounded_memory),
        cmocka_unit_test(test_a_removed_replica_leaves_nothing_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
