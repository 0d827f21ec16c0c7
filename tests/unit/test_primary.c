/* SPDX-License-Identifier: MIT
 *
 * The primary's core: what it sends to whom, when, and what it claims.
 */
#include "tests/unit/primary_fixture.h"

/* --- happy path -------------------------------------------------------------- */

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
    assert_int_equal(c.looks, 1);
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

/* --- large values ---------------------------------------------------------------- */

/* A large value whose look and stream were answered up to its first piece. */
static void begin_large(struct fx *f, const char *key)
{
    fx_put_large(f, "t", key, key, 20000);
    fx_hint(f, "t", key, HINT_COMMITTED);
    assert_true(fx_stream(f)); /* opened */
    fx_pump(f);
    assert_true(fx_stream(f)); /* the first piece */
    fx_pump(f);
}

static void test_a_refused_large_value_lets_the_next_begin(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    f->streams_by_hand = true;
    begin_large(f, "x");
    fx_heard(r, "SET_BEGIN t/x #1\n");
    fx_put_large(f, "t", "y", "y", 20000);
    fx_hint(f, "t", "y", HINT_COMMITTED);
    fx_nak(f, r, 1);
    f->streams_by_hand = false;
    fx_pump(f);
    fx_heard(r, "SET_BEGIN t/y #2\nSET_END #2\n");
    fx_free(f);
}

static void test_a_refusal_that_crosses_an_abort_is_no_protocol_error(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    f->streams_by_hand = true;
    begin_large(f, "x");
    fx_put_large(f, "t", "x", "new", 20000); /* changes while it is read */
    while (fx_stream(f)) {
        fx_pump(f);
    }
    fx_heard(r, "SET_BEGIN t/x #1\nSET_ABORT #1\n");
    uint64_t fence = r->ping_id;
    fx_wait(f, 100);
    fx_heard(r, ""); /* not again before the replica has answered */
    fx_nak(f, r, 1);
    assert_false(f->closed[r->replica]);
    struct wire_pong pong = {.id = fence};
    wire_put_pong(&r->say, &pong);
    f->streams_by_hand = false;
    fx_pump(f);
    fx_wait(f, 100);
    fx_heard(r, "SET_BEGIN t/x #1\nSET_END #1\n");
    fx_ack(f, r, 1);
    assert_false(f->closed[r->replica]);
    fx_free(f);
}

static void test_the_index_waits_for_nobodys_stream_for_long(void **state)
{
    struct fx *f = fx_new();
    struct index_entry e;

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    f->streams_by_hand = true;
    begin_large(f, "x");
    fx_nak(f, r, 1); /* its disk is full, and stays so */
    for (int i = 0; i < 200; i++) {
        buf_clear(&r->heard);
        fx_wait(f, 50);
        (void)fx_stream(f);
        fx_pump(f);
        if (r->heard.len > 0) {
            fx_nak(f, r, 1);
        }
    }
    assert_true(index_get(f->ix, index_name_key("t", 1, "x", 1), &e));
    fx_free(f);
}

static void test_an_empty_file_is_never_streamed(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    f->streams_by_hand = true;
    fx_put_large(f, "t", "x", "x", 20000);
    fx_hint(f, "t", "x", HINT_COMMITTED);
    /* Deleted, and a writer's placeholder is in its place. */
    fx_put(f, "t", "x", "");
    f->streams_by_hand = false;
    fx_pump(f);
    fx_heard(r, "");
    fx_set(f, "t", "x", "two");
    fx_heard(r, "SET t/x=two #1\n");
    fx_free(f);
}

/* --- empty files ------------------------------------------------------------------ */

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

static void test_a_renamed_empty_file_is_a_value_after_the_next_drain(void **state)
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

static void test_a_commit_seen_after_the_look_proves_nothing_about_it(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    f->by_hand = true;
    fx_put(f, "t", "x", "");
    fx_hint(f, "t", "x", HINT_CREATED);
    /* The look reads the placeholder; its answer comes after the rename. */
    struct index_entry e;
    primary_hint_key(f->p, "t", 1, "x", 1, HINT_COMMITTED, f->now_ms);
    fx_answer(f, "t", "x");
    fx_drained(f);
    assert_false(index_get(f->ix, index_name_key("t", 1, "x", 1), &e));
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

static void test_a_placeholder_that_no_event_has_told_of_is_doubted(void **state)
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

/* --- barriers ------------------------------------------------------------------- */

/* Change `x` without a word to anybody but the core. */
static void change_quietly(struct fx *f, const char *value)
{
    fx_put(f, "t", "x", value);
    primary_hint_key(f->p, "t", 1, "x", 1, HINT_COMMITTED, f->now_ms);
}

static void test_a_barrier_covers_a_key_that_changes_faster_than_it_is_sent(
    void **state)
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
    begin_large(f, "x");
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

/* --- what is owed -------------------------------------------------------------- */

static bool passed(struct fx *f, const struct fx_peer *r)
{
    return primary_passed(f->p, r->replica, primary_tail(f->p));
}

static int64_t lag_of(struct fx *f, const struct fx_peer *r)
{
    struct replica_status s;

    primary_status(f->p, r->replica, f->now_ms, &s);
    return s.lag_ms;
}

/* Let heartbeats pass, with the queue drained before each. */
static void beat(struct fx *f, int times)
{
    for (int i = 0; i < times; i++) {
        fx_drained(f);
        fx_wait(f, 1000);
    }
}

static struct fx_peer *real_equal(struct fx *f)
{
    struct fx_peer *r = fx_add(f, 0, true);

    fx_ready(f);
    fx_up(f, r);
    beat(f, 5);
    assert_int_equal(lag_of(f, r), 0);
    assert_true(passed(f, r));
    return r;
}

static void test_lost_events_are_owed_until_a_comparison(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_put(f, "t", "x", "one");
    struct fx_peer *r = real_equal(f);
    fx_put(f, "t", "x", "two");
    fx_index(f); /* the scan after an overflow saw it */
    primary_compare_soon(f->p);
    assert_false(passed(f, r));
    assert_int_equal(lag_of(f, r), -1);
    int64_t fresh_ns = r->store->fresh_ns;
    f->no_walk = true;
    beat(f, 2);
    assert_int_equal(r->store->fresh_ns, fresh_ns);
    f->no_walk = false;
    beat(f, 4);
    assert_string_equal(fx_there(r, "t", "x"), "two");
    assert_true(passed(f, r));
    assert_int_equal(lag_of(f, r), 0);
    assert_true(r->store->fresh_ns > fresh_ns);
    fx_free(f);
}

static void test_a_comparison_that_never_finds_quiet_begins_anyway(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_put(f, "t", "x", "one");
    struct fx_peer *r = real_equal(f);
    fx_put(f, "t", "x", "two");
    fx_index(f);
    f->by_hand = true;
    fx_set(f, "t", "b0", "");
    primary_compare_soon(f->p);
    for (int i = 1; i < 40; i++) { /* a look is always under way */
        const char *key = i % 2 != 0 ? "b1" : "b0";
        fx_set(f, "t", key, "value");
        fx_wait(f, 1000);
        while (f->looks_count > 1) {
            fx_answer(f, f->looks[0].table,
                      f->looks[0].is_table ? NULL : f->looks[0].key);
        }
    }
    assert_string_equal(fx_there(r, "t", "x"), "two");
    fx_free(f);
}

static void test_a_place_lost_while_comparing_is_owed_again(void **state)
{
    struct primary_config c;

    (void)state;
    primary_config_default(&c);
    c.log_max_changes = 4;
    struct fx *f = fx_new_with(&c);
    fx_put(f, "t", "x", "one");
    fx_ready(f);
    struct fx_peer *r = fx_add(f, 0, true);
    f->no_walk = true;
    fx_up(f, r);
    f->now_ms += 3000;
    fx_tick(f); /* the comparison waits for names */
    f->by_hand = true;
    r->up = false; /* stuck */
    c.window_changes = 1;
    primary_reconfigure(f->p, &c);
    for (int i = 0; i < 10; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "k%d", i);
        fx_set(f, "t", key, "value");
    }
    f->by_hand = f->no_walk = false;
    r->up = true;
    /* What it lost must not count as compared. */
    for (int i = 0; i < 20; i++) {
        fx_pump(f);
        if (passed(f, r)) {
            for (int k = 0; k < 10; k++) {
                char key[8];
                (void)snprintf(key, sizeof key, "k%d", k);
                assert_string_equal(fx_there(r, "t", key), "value");
            }
        }
        beat(f, 1);
    }
    assert_true(passed(f, r));
    fx_free(f);
}

static void test_an_incomplete_walk_proves_nothing(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_put(f, "t", "x", "one");
    fx_ready(f);
    struct fx_peer *r = fx_add(f, 0, true);
    f->no_walk = true;
    fx_up(f, r);
    fx_wait(f, 3000);
    assert_true(f->walk_id != 0);
    fx_key(f, false, "t", "x")->exists = false; /* not seen by the walk */
    fx_walk(f, false);
    fx_pump(f);
    fx_key(f, false, "t", "x")->exists = true;
    assert_false(passed(f, r));
    f->no_walk = false;
    beat(f, 6);
    assert_string_equal(fx_there(r, "t", "x"), "one");
    assert_true(passed(f, r));
    fx_free(f);
}

static void test_a_table_that_vanished_whole_is_swept_from_the_index(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_put(f, "t", "x", "one");
    fx_put(f, "u", "y", "one");
    fx_ready(f);
    fx_erase(f, "t", "x"); /* moved away: no event names the key */
    fx_hint_table(f, "t", false);
    struct fx_peer *r = fx_add(f, 0, true);
    fx_up(f, r);
    beat(f, 20);
    assert_true(digest_equal(index_root(f->ix), index_root(r->index)));
    assert_true(passed(f, r));
    assert_int_equal(lag_of(f, r), 0);
    fx_free(f);
}

static void test_held_deletes_are_not_counted_as_done(void **state)
{
    struct primary_config c;
    struct replica_status s;
    struct err err;
    uint64_t count;

    (void)state;
    primary_config_default(&c);
    c.brake_min = 3;
    struct fx *f = fx_new_with(&c);
    for (int i = 0; i < 10; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "k%d", i);
        fx_put(f, "t", key, "value");
    }
    struct fx_peer *r = real_equal(f);
    fx_down(f, r);
    for (int i = 0; i < 5; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "k%d", i);
        fx_erase(f, "t", key);
        index_remove(f->ix, index_name_key("t", 1, key, strlen(key)));
    }
    int64_t fresh_ns = r->store->fresh_ns;
    fx_up(f, r);
    beat(f, 5);
    primary_status(f->p, r->replica, f->now_ms, &s);
    assert_int_equal(s.state, REPLICA_HELD);
    assert_int_equal(s.held_deletes, 5);
    assert_string_equal(fx_there(r, "t", "k0"), "value");
    assert_false(passed(f, r));
    assert_int_equal(r->store->fresh_ns, fresh_ns);
    fx_set(f, "t", "new", "value"); /* sets keep flowing */
    assert_string_equal(fx_there(r, "t", "new"), "value");
    assert_int_equal(primary_approve(f->p, r->replica, f->now_ms, &count, &err),
                     0);
    assert_int_equal(count, 5);
    f->no_names = true;
    beat(f, 2);
    assert_false(passed(f, r)); /* approved is not yet done */
    assert_int_equal(lag_of(f, r), -1);
    assert_int_equal(r->store->fresh_ns, fresh_ns);
    f->no_names = false;
    beat(f, 3);
    assert_string_equal(fx_there(r, "t", "k0"), "-");
    assert_true(passed(f, r));
    assert_true(r->store->fresh_ns > fresh_ns);
    fx_free(f);
}

static void test_a_hold_ends_when_there_is_nothing_left_to_delete(void **state)
{
    struct primary_config c;
    struct replica_status s;

    (void)state;
    primary_config_default(&c);
    c.brake_min = 1;
    struct fx *f = fx_new_with(&c);
    fx_put(f, "t", "a", "1");
    fx_put(f, "t", "b", "1");
    fx_put(f, "t", "c", "1");
    struct fx_peer *r = real_equal(f);
    fx_down(f, r);
    struct index_entry keep[2];
    assert_true(index_get(f->ix, index_name_key("t", 1, "a", 1), &keep[0]));
    assert_true(index_get(f->ix, index_name_key("t", 1, "b", 1), &keep[1]));
    for (int i = 0; i < 2; i++) {
        index_remove(f->ix, keep[i].name);
    }
    fx_up(f, r);
    beat(f, 5);
    primary_status(f->p, r->replica, f->now_ms, &s);
    assert_int_equal(s.held_deletes, 2);
    fx_hint(f, "t", "a", HINT_COMMITTED); /* they are there after all */
    fx_hint(f, "t", "b", HINT_COMMITTED);
    beat(f, 5);
    primary_status(f->p, r->replica, f->now_ms, &s);
    assert_int_equal(s.held_deletes, 0);
    assert_int_equal(s.state, REPLICA_STREAMING);
    assert_true(passed(f, r));
    fx_free(f);
}

static void test_nothing_is_claimed_while_the_index_is_stale(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_put(f, "t", "x", "one");
    struct fx_peer *r = real_equal(f);
    fx_put(f, "t", "x", "two"); /* its event was lost */
    primary_index_stale(f->p);
    for (int i = 0; i < 20; i++) {
        fx_wait(f, 1000);
        assert_false(passed(f, r));
        assert_int_equal(lag_of(f, r), -1);
    }
    fx_ready(f); /* the scan saw it */
    beat(f, 5);
    assert_string_equal(fx_there(r, "t", "x"), "two");
    assert_true(passed(f, r));
    assert_int_equal(lag_of(f, r), 0);
    fx_free(f);
}

static void test_what_was_read_before_events_were_lost_is_read_again(void **state)
{
    struct fx *f = fx_new();
    struct index_entry e;

    (void)state;
    fx_ready(f);
    f->by_hand = true;
    fx_set(f, "t", "x", "one");
    primary_index_stale(f->p); /* among the lost events: it was removed */
    fx_answer(f, "t", "x");
    fx_erase(f, "t", "x");
    f->by_hand = false;
    fx_pump(f);
    assert_false(index_get(f->ix, index_name_key("t", 1, "x", 1), &e));
    fx_free(f);
}

static void test_a_stream_given_up_at_once_is_neither_opened_nor_closed(
    void **state)
{
    struct fx *f = fx_new();
    struct action a;

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    f->by_hand = f->streams_by_hand = true;
    fx_put_large(f, "t", "x", "x", 20000);
    fx_hint(f, "t", "x", HINT_COMMITTED);
    struct fx_look l = f->looks[0];
    f->looks_count = 0;
    fx_answer_look(f, &l);
    r->up = false;
    primary_link_down(f->p, r->replica, NULL, false, f->now_ms);
    while (primary_next_action(f->p, &a)) {
        if (a.type == ACT_STREAM_CLOSE) {
            fail_msg("closed a stream that was never opened");
        }
        fx_do(f, &a);
    }
    f->by_hand = f->streams_by_hand = false;
    fx_pump(f);
    fx_free(f);
}

static void test_what_is_on_its_way_when_events_are_lost_is_sent_again(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    fx_set(f, "t", "x", "one");
    fx_heard(r, "SET t/x=one #1\n");
    fx_erase(f, "t", "x"); /* its event is lost */
    primary_index_stale(f->p);
    fx_pump(f);
    fx_heard(r, "");
    fx_ack(f, r, 1);
    fx_heard(r, "DELETE t/x #2\n");
    fx_free(f);
}

static void test_a_returning_root_starts_nothing_for_a_replica_that_is_down(
    void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_ready(f);
    struct fx_peer *a = fx_scripted(f, 0), *b = fx_scripted(f, 1);
    f->streams_by_hand = true;
    fx_put_large(f, "t", "x", "x", 20000);
    fx_hint(f, "t", "x", HINT_COMMITTED);
    fx_down(f, a);
    primary_root_lost(f->p, "gone");
    primary_root_back(f->p, f->now_ms);
    fx_pump(f);
    f->streams_by_hand = false;
    fx_pump(f);
    assert_non_null(b);
    fx_up(f, a);
    fx_heard(a, "SET_BEGIN t/x #1\nSET_END #1\n");
    assert_false(f->closed[a->replica]);
    fx_free(f);
}

static void test_nothing_streams_while_the_database_is_lost(void **state)
{
    struct fx *f = fx_new();
    struct replica_status s;

    (void)state;
    fx_ready(f);
    const struct fx_peer *r = real_equal(f);
    primary_status(f->p, r->replica, f->now_ms, &s);
    assert_int_equal(s.state, REPLICA_STREAMING);
    primary_root_lost(f->p, "unmounted");
    primary_status(f->p, r->replica, f->now_ms, &s);
    assert_int_equal(s.state, REPLICA_CATCHUP);
    assert_int_equal(s.lag_ms, -1);
    fx_free(f);
}

static void test_a_table_is_not_dropped_on_older_evidence_than_its_keys(
    void **state)
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

static void test_a_table_that_comes_and_goes_is_dropped_when_it_is_gone(
    void **state)
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

static void test_a_dropped_table_outdates_what_was_read_of_its_keys(
    void **state)
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
    while (f->looks_count > 0) {
        fx_answer(f, f->looks[0].table, f->looks[0].key);
    }
    assert_null(memmem(r->heard.data, r->heard.len, "SET", 3));
    fx_free(f);
}

static void test_a_hold_survives_a_repair_that_was_given_up(void **state)
{
    struct primary_config c;
    struct replica_status s;
    struct err err;

    (void)state;
    primary_config_default(&c);
    c.brake_min = 1;
    struct fx *f = fx_new_with(&c);
    fx_put(f, "t", "a", "1");
    fx_put(f, "t", "b", "1");
    fx_put(f, "t", "c", "1");
    struct fx_peer *r = real_equal(f);
    fx_down(f, r);
    fx_erase(f, "t", "a");
    fx_erase(f, "t", "b");
    index_remove(f->ix, index_name_key("t", 1, "a", 1));
    index_remove(f->ix, index_name_key("t", 1, "b", 1));
    fx_up(f, r);
    beat(f, 5);
    f->no_names = true;
    struct compare_options o = {.mode = COMPARE_REPAIR, .ignore_brake = true,
                                .approve_max = 10};
    int64_t id = primary_compare(f->p, r->replica, &o, f->now_ms, &err);
    assert_true(id > 0);
    fx_pump(f);
    primary_compare_free(f->p, (uint64_t)id); /* its client went away */
    f->no_names = false;
    beat(f, 10);
    primary_status(f->p, r->replica, f->now_ms, &s);
    assert_int_equal(s.held_deletes, 2);
    assert_string_equal(fx_there(r, "t", "a"), "1");
    fx_free(f);
}

static void test_the_index_may_learn_of_a_key_from_two_sides_at_once(
    void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_ready(f);
    f->streams_by_hand = true;
    begin_large(f, "x"); /* for the index */
    uint64_t id = f->open[0].id;
    struct fx_peer *r = fx_add(f, 0, false);
    fx_up(f, r);
    fx_set(f, "t", "x", "small"); /* looked at for the replica */
    fx_heard(r, "SET t/x=small #2\n");
    fx_ack(f, r, 2);
    /* The stream ends well: it was read before the change. */
    struct looked l = {.result = LOOK_VALUE};
    primary_stream_data(f->p, id, NULL, 0, &l, f->now_ms);
    f->streams_by_hand = false;
    fx_pump(f);
    fx_free(f);
}

static void test_an_old_stream_does_not_overwrite_what_a_look_told_the_index(
    void **state)
{
    struct fx *f = fx_new();
    struct index_entry e;

    (void)state;
    fx_ready(f);
    struct fx_peer *a = fx_scripted(f, 0);
    f->streams_by_hand = true;
    begin_large(f, "x"); /* for the replica; the index rides along ... */
    uint64_t id = f->open[0].id;
    for (int i = 0; i < 40; i++) { /* ... and then goes by itself */
        fx_wait(f, 100);
        if (f->streams_count > 0 && f->streams[0].id == id) {
            f->streams_count = 0;
        }
        (void)fx_stream(f);
        fx_pump(f);
    }
    assert_true(index_get(f->ix, index_name_key("t", 1, "x", 1), &e));
    fx_heard(a, "SET_BEGIN t/x #1\n");
    fx_set(f, "t", "x", "small");
    struct looked l = {.result = LOOK_VALUE};
    primary_stream_data(f->p, id, NULL, 0, &l, f->now_ms);
    assert_true(index_get(f->ix, index_name_key("t", 1, "x", 1), &e));
    assert_true(digest_equal(e.digest, digest_of("small", 5)));
    fx_free(f);
}

static void test_what_the_replica_only_believes_to_have_makes_it_scan(
    void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_put(f, "t", "x", "one");
    fx_put(f, "t", "y", "one");
    struct fx_peer *r = real_equal(f);
    memstore_erase(r->store, "t", "x"); /* by hand; its index has it yet */
    fx_erase(f, "t", "x");
    index_remove(f->ix, index_name_key("t", 1, "x", 1));
    primary_compare_soon(f->p);
    beat(f, 20);
    assert_true(digest_equal(index_root(f->ix), index_root(r->index)));
    assert_true(passed(f, r));
    fx_free(f);
}

static void test_a_slow_replica_is_fresh_as_of_what_it_has(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    /* It is 60 s behind, and the database changes all the time. */
    int64_t when_ns[1000];
    for (int i = 0; i < 1000; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "k%d", i % 300);
        fx_set(f, "t", key, "value");
        fx_drained(f);
        when_ns[i] = fx_wall(f);
        f->now_ms += 100;
        if (i >= 600) {
            fx_ack(f, r, (uint64_t)i - 599);
            fx_tick(f);
            if (r->heard.len > 0) {
                buf_clear(&r->heard);
            }
        }
    }
    /* Known a little coarser than the drains were, but known. */
    assert_true(r->fresh_ns > 0);
    assert_true(r->fresh_ns <= when_ns[399]);
    assert_true(r->fresh_ns >= when_ns[250]);
    fx_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_change_is_looked_at_sent_and_acknowledged),
        cmocka_unit_test(test_a_removed_key_is_deleted_once_the_look_proved_it),
        cmocka_unit_test(test_one_look_serves_all_replicas),
        cmocka_unit_test(
            test_a_new_replica_gets_everything_and_is_proven_equal),
        cmocka_unit_test(test_a_refused_large_value_lets_the_next_begin),
        cmocka_unit_test(
            test_a_refusal_that_crosses_an_abort_is_no_protocol_error),
        cmocka_unit_test(test_the_index_waits_for_nobodys_stream_for_long),
        cmocka_unit_test(test_an_empty_file_is_never_streamed),
        cmocka_unit_test(test_an_empty_file_waits_for_the_settle_time),
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
        cmocka_unit_test(test_lost_events_are_owed_until_a_comparison),
        cmocka_unit_test(
            test_a_comparison_that_never_finds_quiet_begins_anyway),
        cmocka_unit_test(test_a_place_lost_while_comparing_is_owed_again),
        cmocka_unit_test(test_an_incomplete_walk_proves_nothing),
        cmocka_unit_test(
            test_a_table_that_vanished_whole_is_swept_from_the_index),
        cmocka_unit_test(test_held_deletes_are_not_counted_as_done),
        cmocka_unit_test(test_a_hold_ends_when_there_is_nothing_left_to_delete),
        cmocka_unit_test(test_nothing_is_claimed_while_the_index_is_stale),
        cmocka_unit_test(
            test_what_was_read_before_events_were_lost_is_read_again),
        cmocka_unit_test(
            test_a_stream_given_up_at_once_is_neither_opened_nor_closed),
        cmocka_unit_test(
            test_what_is_on_its_way_when_events_are_lost_is_sent_again),
        cmocka_unit_test(
            test_a_returning_root_starts_nothing_for_a_replica_that_is_down),
        cmocka_unit_test(test_nothing_streams_while_the_database_is_lost),
        cmocka_unit_test(
            test_a_table_is_not_dropped_on_older_evidence_than_its_keys),
        cmocka_unit_test(
            test_a_table_that_comes_and_goes_is_dropped_when_it_is_gone),
        cmocka_unit_test(
            test_a_dropped_table_outdates_what_was_read_of_its_keys),
        cmocka_unit_test(test_a_hold_survives_a_repair_that_was_given_up),
        cmocka_unit_test(
            test_the_index_may_learn_of_a_key_from_two_sides_at_once),
        cmocka_unit_test(
            test_an_old_stream_does_not_overwrite_what_a_look_told_the_index),
        cmocka_unit_test(
            test_what_the_replica_only_believes_to_have_makes_it_scan),
        cmocka_unit_test(test_a_slow_replica_is_fresh_as_of_what_it_has),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
