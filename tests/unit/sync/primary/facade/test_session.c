/* SPDX-License-Identifier: MIT
 *
 * The primary's core and one session: broken and hostile replicas, and what
 * status and freshness say.
 */
#include "tests/support/primary_fixture.h"

/* --- status -------------------------------------------------------------- */

static void test_nothing_streams_while_the_database_is_lost(void **state)
{
    struct fx *f = fx_new();
    struct replica_status s;

    (void)state;
    fx_ready(f);
    const struct fx_peer *r = fx_real_equal(f);
    primary_status(f->p, r->replica, f->now_ms, &s);
    assert_int_equal(s.state, REPLICA_STREAMING);
    primary_root_lost(f->p, "unmounted");
    primary_status(f->p, r->replica, f->now_ms, &s);
    assert_int_equal(s.state, REPLICA_CATCHUP);
    assert_int_equal(s.lag_ms, -1);
    fx_free(f);
}

static void test_blocked_keys_are_shown_with_their_holders(void **state)
{
    struct fx *f = fx_new();
    struct blocked_key b[2];

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    fx_put(f, "t", "x", "one")->busy = true;
    fx_hint(f, "t", "x", HINT_COMMITTED);
    fx_wait(f, 10);
    assert_int_equal(primary_blocked(f->p, -1, f->now_ms, b, 2), 0);
    for (int i = 0; i < 15; i++) {
        fx_wait(f, 100);
    }
    assert_int_equal(primary_blocked(f->p, -1, f->now_ms, b, 2), 1);
    assert_true(b[0].on_primary);
    assert_int_equal(b[0].pid, 4711);
    assert_memory_equal(b[0].key.p, "x", 1);
    assert_true(b[0].waited_ms >= 1000);
    fx_key(f, false, "t", "x")->busy = false;
    for (int i = 0; i < 11; i++) {
        fx_wait(f, 100);
    }
    assert_int_equal(primary_blocked(f->p, -1, f->now_ms, b, 2), 0);
    fx_heard(r, "SET t/x=one #1\n");
    struct wire_blocked m = {
        .seq = 1, .pid = 12, .waited_ms = 400, .comm = bytes_of("reader", 6)};
    wire_put_blocked(&r->say, &m);
    fx_pump(f);
    assert_int_equal(primary_blocked(f->p, r->replica, f->now_ms, b, 2), 1);
    assert_false(b[0].on_primary);
    assert_int_equal(b[0].pid, 12);
    assert_int_equal(b[0].waited_ms, 400);
    assert_string_equal(b[0].comm, "reader");
    fx_ack(f, r, 1);
    assert_int_equal(primary_blocked(f->p, r->replica, f->now_ms, b, 2), 0);
    fx_free(f);
}

/* A lock is mostly held for a moment: the first retry must not wait for a timer
 * of another's. */
static void test_the_first_retry_of_a_locked_key_is_due_soon(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    (void)primary_tick(f->p, f->now_ms);
    assert_true(primary_retry_in_ms(f->p, f->now_ms) > 100);
    fx_put(f, "t", "x", "one")->busy = true;
    fx_hint(f, "t", "x", HINT_COMMITTED);
    int64_t in_ms = primary_retry_in_ms(f->p, f->now_ms);
    assert_true(in_ms >= 0 && in_ms <= 2);
    fx_key(f, false, "t", "x")->busy = false;
    fx_wait(f, in_ms);
    fx_heard(r, "SET t/x=one #1\n");
    fx_free(f);
}

/* One look each until it is about a second, and all of them in a few turns of
 * the loop: thousands of locked keys must cost next to nothing. */
static void test_locked_keys_are_looked_at_ever_more_rarely(void **state)
{
    enum { KEYS = 200, SECONDS = 60 };
    struct fx *f = fx_new();
    struct primary_counts before, after;
    unsigned turns = 0;
    char key[16];

    (void)state;
    fx_ready(f);
    (void)fx_scripted(f, 0);
    for (int i = 0; i < KEYS; i++) {
        (void)snprintf(key, sizeof key, "k%d", i);
        fx_put(f, "t", key, "one")->busy = true;
        fx_hint(f, "t", key, HINT_COMMITTED);
        fx_wait(f, 1); /* so that no two are due together by chance */
    }
    primary_counts(f->p, &before);
    for (int64_t end = f->now_ms + SECONDS * 1000; f->now_ms < end; turns++) {
        /* What is due when all has been looked at. */
        int64_t in_ms = primary_tick(f->p, f->now_ms);
        assert_true(in_ms > 0);
        f->now_ms += in_ms;
        (void)primary_tick(f->p, f->now_ms);
        fx_pump(f);
    }
    primary_counts(f->p, &after);
    uint64_t reads = after.reads - before.reads;
    print_message("%u looks, %u turns\n", (unsigned)reads, turns);
    assert_in_range(reads, (uint64_t)KEYS * SECONDS / 2,
                    (uint64_t)KEYS * (SECONDS + 15));
    assert_true(turns < SECONDS * 25);
    /* One that is let go is sent within about a second. */
    fx_key(f, false, "t", "k7")->busy = false;
    for (int i = 0; i < 11; i++) {
        fx_wait(f, 100);
    }
    primary_counts(f->p, &before);
    assert_int_equal(before.values_read, after.values_read + 1);
    fx_free(f);
}

/* With nothing to send, `passed` alone says nothing of the link. */
static void test_a_question_is_answered_by_the_replica_alone(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    fx_wait(f, 10);
    r->pong = false;
    uint64_t first = primary_ping(f->p, r->replica, f->now_ms);
    assert_true(first > 0);
    fx_pump(f);
    assert_true(r->ping_id >= first);
    assert_false(primary_ponged(f->p, r->replica, first));

    struct wire_pong lie = {.id = first + 1000};
    wire_put_pong(&r->say, &lie);
    fx_pump(f);
    assert_false(primary_ponged(f->p, r->replica, first));

    r->pong = true;
    uint64_t second = primary_ping(f->p, r->replica, f->now_ms);
    fx_pump(f);
    assert_true(second > first);
    assert_true(primary_ponged(f->p, r->replica, first));
    assert_true(primary_ponged(f->p, r->replica, second));

    fx_down(f, r);
    assert_int_equal(primary_ping(f->p, r->replica, f->now_ms), 0);
    fx_free(f);
}

static void test_unreadable_keys_are_counted_and_tried_again(void **state)
{
    struct fx *f = fx_new();
    struct primary_counts n;

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    fx_put(f, "t", "x", "one")->unreadable = true;
    fx_hint(f, "t", "x", HINT_COMMITTED);
    fx_set(f, "t", "y", "one");
    fx_heard(r, "SET t/y=one #2\n");
    primary_counts(f->p, &n);
    assert_int_equal(n.unreadable, 1);
    assert_non_null(strstr(n.unreadable_text, "permission denied"));
    assert_false(primary_passed(f->p, r->replica, primary_tail(f->p)));
    fx_key(f, false, "t", "x")->unreadable = false;
    fx_wait(f, 31000);
    primary_counts(f->p, &n);
    assert_int_equal(n.unreadable, 0);
    fx_free(f);
}

static int64_t fake_us;
static int64_t fake_clock(void)
{
    return fake_us;
}

static void test_latency_is_from_the_hint_to_the_acknowledgement(void **state)
{
    struct primary_config c;
    struct replica_status s;

    (void)state;
    primary_config_default(&c);
    c.clock_us = fake_clock;
    struct fx *f = fx_new_with(&c);
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    primary_status(f->p, r->replica, f->now_ms, &s);
    assert_int_equal(s.latency_p50_us, -1);
    for (int i = 1; i <= 100; i++) {
        fake_us += 1000;
        fx_set(f, "t", "x", "one");
        fake_us += i == 100 ? 9000 : 500;
        fx_ack(f, r, (uint64_t)i);
    }
    primary_status(f->p, r->replica, f->now_ms, &s);
    assert_int_equal(s.latency_p50_us, 500);
    assert_int_equal(s.latency_p99_us, 9000);
    fx_free(f);
}

static void test_wanting_a_fill_is_told_in_time(void **state)
{
    struct fx *f = fx_new();
    uint8_t bytes[4096];

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    assert_false(primary_wants_fill(f->p, r->replica));
    r->up = false;
    fx_set(f, "t", "x", "one");
    assert_true(primary_wants_fill(f->p, r->replica));
    size_t n = primary_fill(f->p, r->replica, bytes, 10, f->now_ms);
    assert_int_equal(n, 10);
    assert_true(primary_wants_fill(f->p, r->replica));
    while (primary_fill(f->p, r->replica, bytes, sizeof bytes, f->now_ms) > 0) {
        ;
    }
    assert_false(primary_wants_fill(f->p, r->replica));
    fx_free(f);
}

/* --- freshness ----------------------------------------------------------- */

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

/* --- a hostile or broken replica ----------------------------------------- */

static void test_an_acknowledgement_of_nothing_ends_the_session(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    fx_ack(f, r, 17);
    assert_true(f->closed[r->replica]);
    assert_int_equal(f->closed_err[r->replica].id, DR_PROTOCOL);
    assert_false(f->closed_for_good[r->replica]);
    fx_free(f);
}

static void test_a_change_acknowledged_twice_ends_the_session(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    fx_set(f, "t", "x", "one");
    fx_ack(f, r, 1);
    assert_false(f->closed[r->replica]);
    fx_ack(f, r, 1);
    assert_true(f->closed[r->replica]);
    fx_free(f);
}

static void test_a_refusal_of_nothing_ends_the_session(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    fx_nak(f, r, 3);
    assert_true(f->closed[r->replica]);
    fx_free(f);
}

static void test_nothing_but_a_hello_is_taken_first(void **state)
{
    struct fx *f = fx_new();
    struct wire_ready ready = {0};

    (void)state;
    struct fx_peer *r = fx_add(f, 0, false);
    r->up = true;
    primary_link_up(f->p, r->replica, f->now_ms);
    wire_put_magic(&r->say);
    wire_put_ready(&r->say, &ready);
    fx_pump(f);
    assert_true(f->closed[r->replica]);
    assert_int_equal(f->closed_err[r->replica].id, DR_PROTOCOL);
    fx_free(f);
}

static void
test_a_second_hello_or_an_agents_frame_ends_the_session(void **state)
{
    struct wire_hello_ok ok = {.proto = WIRE_PROTO_MAX, .epoch = 1};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fx *f = fx_new();
        struct fx_peer *r = fx_scripted(f, 0);
        if (i == 0) {
            wire_put_hello_ok(&r->say, &ok);
        } else {
            wire_put_set_abort(&r->say, 1);
        }
        fx_pump(f);
        assert_true(f->closed[r->replica]);
        fx_free(f);
    }
}

static void test_noise_instead_of_a_receiver_needs_the_operator(void **state)
{
    struct fx *f = fx_new();
    static const char noise[] = "This account is currently not available.\n";

    (void)state;
    struct fx_peer *r = fx_add(f, 0, false);
    r->up = true;
    primary_link_up(f->p, r->replica, f->now_ms);
    for (int i = 0; i < 3000 && !f->closed[r->replica]; i++) {
        buf_put(&r->say, noise, sizeof noise - 1);
        fx_pump(f);
    }
    assert_true(f->closed[r->replica]);
    assert_int_equal(f->closed_err[r->replica].id, DR_NOISE);
    assert_true(f->closed_for_good[r->replica]);
    assert_non_null(strstr(f->closed_err[r->replica].msg, "not available"));
    fx_free(f);
}

static void
test_the_number_of_an_error_decides_whether_to_try_again(void **state)
{
    static const struct {
        int id;
        bool for_good;
    } rows[] = {{DR_OLD_EPOCH, true},      {DR_OTHER_DATABASE, true},
                {DR_REPLICA_DIR, true},    {DR_REPLICA_NOT_EMPTY, true},
                {DR_RECEIVER_BUSY, false}, {DR_REPLICA_IO, false},
                {DR_REPLICA_FULL, false}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fx *f = fx_new();
        struct wire_error m = {.id = (uint16_t)rows[i].id,
                               .text = bytes_of("no", 2)};
        struct fx_peer *r = fx_scripted(f, 0);
        wire_put_error(&r->say, &m);
        fx_pump(f);
        assert_true(f->closed[r->replica]);
        assert_int_equal(f->closed_err[r->replica].id, rows[i].id);
        assert_int_equal(f->closed_for_good[r->replica], rows[i].for_good);
        fx_free(f);
    }
}

static void test_a_receivers_goodbye_is_no_failure_for_good(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    struct fx_peer *r = fx_scripted(f, 0);
    wire_put_bye(&r->say);
    fx_pump(f);
    assert_true(f->closed[r->replica]);
    assert_false(f->closed_for_good[r->replica]);
    fx_free(f);
}

static void test_a_silent_replica_is_given_up(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    struct fx_peer *r = fx_scripted(f, 0);
    for (int i = 0; i < 14; i++) {
        fx_wait(f, 1000);
        assert_false(f->closed[r->replica]);
    }
    fx_wait(f, 1000);
    assert_true(f->closed[r->replica]);
    assert_int_equal(f->closed_err[r->replica].id, DR_LINK_LOST);
    fx_free(f);
}

/* "retrying" always has a reason: what ended the attempt before. */
static void test_a_first_link_is_no_second_attempt(void **state)
{
    struct fx *f = fx_new();
    struct fx_peer *r = fx_add(f, 0, false);
    struct replica_status s;

    (void)state;
    primary_link_up(f->p, r->replica, f->now_ms);
    primary_status(f->p, r->replica, f->now_ms, &s);
    assert_int_equal(s.state, REPLICA_CONNECTING);
    for (int i = 0; i < 2; i++) {
        primary_link_down(f->p, r->replica, NULL, false, f->now_ms);
        primary_status(f->p, r->replica, f->now_ms, &s);
        assert_int_equal(s.state, REPLICA_RETRYING);
        assert_int_equal(s.last_error.id, DR_LINK_LOST);
        primary_link_up(f->p, r->replica, f->now_ms);
        primary_status(f->p, r->replica, f->now_ms, &s);
        assert_int_equal(s.state, REPLICA_RETRYING);
    }
    fx_free(f);
}

/* The receiver may wait 5 s for another one to go, and then says who it is. */
static void test_a_short_silence_does_not_hide_a_busy_receiver(void **state)
{
    struct primary_config c;

    (void)state;
    primary_config_default(&c);
    c.silence_ms = 3000;
    struct fx *f = fx_new_with(&c);
    struct fx_peer *r = fx_add(f, 0, false);
    primary_link_up(f->p, r->replica, f->now_ms);
    fx_wait(f, 6000);
    assert_false(f->closed[r->replica]);
    fx_wait(f, 2000);
    assert_true(f->closed[r->replica]);
    fx_free(f);
}

static void test_a_listing_of_what_was_not_asked_ends_the_session(void **state)
{
    struct fx *f = fx_new();
    struct wire_ready ready = {0};
    struct digest nodes[INDEX_NODES] = {{0, 0}};
    struct digest item[1][2] = {{{1, UINT64_MAX}, {2, 2}}};

    (void)state;
    fx_put(f, "t", "x", "one");
    fx_ready(f);
    struct fx_peer *r = fx_add(f, 0, false);
    fx_up(f, r);
    wire_put_ready(&r->say, &ready);
    fx_pump(f);
    wire_put_nodes(&r->say, r->tree_id, WIRE_TREE_TOP, nodes);
    fx_pump(f);
    /* The same id, for each node that differs. */
    for (uint16_t n = 0; n < INDEX_NODES; n++) {
        wire_put_nodes(&r->say, r->tree_id, n, nodes);
    }
    fx_pump(f);
    struct repl *q = f->p->repl[r->replica];
    assert_non_null(q->compares.jobs);
    assert_int_equal(q->compares.jobs->phase, COMPARE_LISTING);
    wire_put_listing(&r->say, q->compares.jobs->request, false,
                     (const struct digest(*)[2])item, 1);
    fx_pump(f);
    assert_true(f->closed[r->replica]);
    assert_int_equal(f->closed_err[r->replica].id, DR_PROTOCOL);
    fx_free(f);
}

static void test_notices_without_end_are_counted_instead(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    unsigned before = f->logs;
    for (int i = 0; i < 5000; i++) {
        wire_put_notice(&r->say, "look at me");
    }
    fx_pump(f);
    assert_in_range(f->logs - before, 1, 8);
    assert_false(f->closed[r->replica]);
    /* Later it may speak again, and the rest is told as a number. */
    before = f->logs;
    f->now_ms += 10000;
    wire_put_notice(&r->say, "at last");
    fx_pump(f);
    assert_int_equal(f->logs - before, 2);
    assert_string_equal(f->last_log, "receiver: at last");
    fx_free(f);
}

/* Before its HELLO_OK it says what it waits for: that is the reason until then.
 */
static void test_what_a_receiver_waits_for_is_shown(void **state)
{
    struct replica_status st;
    struct fx *f = fx_new();

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_add(f, 0, false);
    r->up = true;
    primary_link_up(f->p, r->replica, f->now_ms);
    wire_in_deinit(&r->in);
    wire_in_init(&r->in);
    wire_put_magic(&r->say);
    wire_put_notice(&r->say, "DR-301: another agent's receiver is live");
    fx_pump(f);
    primary_status(f->p, r->replica, f->now_ms, &st);
    assert_int_equal(st.last_error.id, DR_RECEIVER_BUSY);
    assert_string_equal(st.last_error.msg, "another agent's receiver is live");
    /* Others are for the log. */
    wire_put_notice(&r->say, "DR-999: x");
    wire_put_notice(&r->say, "DR-301");
    fx_pump(f);
    primary_status(f->p, r->replica, f->now_ms, &st);
    assert_string_equal(st.last_error.msg, "another agent's receiver is live");
    fx_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_streams_while_the_database_is_lost),
        cmocka_unit_test(test_blocked_keys_are_shown_with_their_holders),
        cmocka_unit_test(test_a_question_is_answered_by_the_replica_alone),
        cmocka_unit_test(test_the_first_retry_of_a_locked_key_is_due_soon),
        cmocka_unit_test(test_locked_keys_are_looked_at_ever_more_rarely),
        cmocka_unit_test(test_unreadable_keys_are_counted_and_tried_again),
        cmocka_unit_test(test_latency_is_from_the_hint_to_the_acknowledgement),
        cmocka_unit_test(test_wanting_a_fill_is_told_in_time),
        cmocka_unit_test(test_a_slow_replica_is_fresh_as_of_what_it_has),
        cmocka_unit_test(test_an_acknowledgement_of_nothing_ends_the_session),
        cmocka_unit_test(test_a_change_acknowledged_twice_ends_the_session),
        cmocka_unit_test(test_a_refusal_of_nothing_ends_the_session),
        cmocka_unit_test(test_nothing_but_a_hello_is_taken_first),
        cmocka_unit_test(
            test_a_second_hello_or_an_agents_frame_ends_the_session),
        cmocka_unit_test(test_noise_instead_of_a_receiver_needs_the_operator),
        cmocka_unit_test(
            test_the_number_of_an_error_decides_whether_to_try_again),
        cmocka_unit_test(test_a_receivers_goodbye_is_no_failure_for_good),
        cmocka_unit_test(test_a_silent_replica_is_given_up),
        cmocka_unit_test(test_a_first_link_is_no_second_attempt),
        cmocka_unit_test(test_a_short_silence_does_not_hide_a_busy_receiver),
        cmocka_unit_test(test_notices_without_end_are_counted_instead),
        cmocka_unit_test(test_what_a_receiver_waits_for_is_shown),
        cmocka_unit_test(test_a_listing_of_what_was_not_asked_ends_the_session),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
