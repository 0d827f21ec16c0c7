/* SPDX-License-Identifier: MIT
 *
 * The receiver's core on a disk in memory: sessions begin and end as they
 * should, what is acknowledged is durable, and what fails is refused alone.
 */
#include "tests/support/receiver_fixture.h"

/* --- the hello ----------------------------------------------------------- */

static void a_session_begins_with_magic_hello_and_scan(void **state)
{
    struct rig *g = *state;

    memstore_edit(g->m, "t", "old", "x", 1);
    assert_int_equal(receiver_start(g->r, &g->err), 0);
    assert_int_equal(g->m->sent.len, WIRE_MAGIC_BYTES);
    wire_put_magic(&g->out);
    wire_put_hello(&g->out, &g->hello);
    assert_int_equal(rig_send(g, 1), 0);
    assert_string_equal(rig_answers(g), "HELLO_OK 3 5 empty 1.2.3\n");
    assert_true(g->m->scan_wanted);
    assert_int_equal(g->m->scan_id, 0);
    rig_ping(g, 1, 0);
    assert_int_equal(rig_send(g, 0), 0);
    assert_string_equal(rig_answers(g),
                        "PONG 1 keys 0 waiting 0 replaced 0 scanning\n");
    assert_int_equal(memstore_scan_answer(g->m, g->r, g->ix, &g->err), 0);
    assert_string_equal(rig_answers(g), "READY keys 1 tables 2\n");
}

static int greet_with(struct rig *g)
{
    assert_int_equal(receiver_start(g->r, &g->err), 0);
    wire_put_magic(&g->out);
    wire_put_hello(&g->out, &g->hello);
    return rig_send(g, 0);
}

static void protocols_that_do_not_meet_are_refused(void **state)
{
    struct rig *g = *state;

    g->hello.proto_min = WIRE_PROTO_MAX + 1;
    g->hello.proto_max = WIRE_PROTO_MAX + 3;
    assert_int_equal(greet_with(g), ERR_REFUSED);
    assert_prefix(rig_answers(g), "ERROR 213 the agent speaks protocol 4 to 6");
    assert_false(g->m->has_id);
}

static void say_space(void *ctx, const struct wire_hello *hello,
                      struct buf *out)
{
    const struct wire_finding m = {
        .level = 1,
        .id = 305,
        .what = hello->replica,
        .text = bytes_of("4 % free", 8),
    };

    (void)ctx;
    wire_put_finding(out, &m);
}

/* Who asks how things stand gets that, and no session. */
static void a_question_is_answered_and_changes_nothing(void **state)
{
    struct rig *g = *state;
    struct receiver_ops ops = memstore_ops;

    ops.check = say_space;
    receiver_free(g->r);
    g->r = receiver_new(&g->config, &ops, g->m, g->ix);
    assert_non_null(g->r);
    g->hello.proto_min = g->hello.proto_max = WIRE_PROTO_NONE;
    g->hello.features = WIRE_FEATURE_CHECK;
    assert_int_equal(greet_with(g), RECEIVER_BYE);
    assert_string_equal(rig_answers(g), "FINDING 1 305 eu-1: 4 % free\nBYE\n");
    assert_string_equal(rig_trace(g), "");
    assert_false(g->m->has_id);
}

static void who_cannot_be_asked_refuses_with_its_version(void **state)
{
    struct rig *g = *state;

    g->hello.proto_min = g->hello.proto_max = WIRE_PROTO_NONE;
    g->hello.features = WIRE_FEATURE_CHECK;
    assert_int_equal(greet_with(g), ERR_REFUSED);
    assert_prefix(rig_answers(g),
                  "ERROR 213 the agent speaks protocol 65535 to 65535, this "
                  "receiver (version 1.2.3)");
    assert_false(g->m->has_id);
}

/* The bit alone, of an agent that speaks our protocol, begins a session. */
static void the_bit_alone_is_no_question(void **state)
{
    struct rig *g = *state;
    struct receiver_ops ops = memstore_ops;

    ops.check = say_space;
    receiver_free(g->r);
    g->r = receiver_new(&g->config, &ops, g->m, g->ix);
    assert_non_null(g->r);
    g->hello.features = WIRE_FEATURE_CHECK;
    assert_int_equal(greet_with(g), 0);
    assert_true(g->m->has_id);
}

/* Its HELLO is shorter, too. */
static void an_agent_of_protocol_1_is_refused_in_words(void **state)
{
    struct rig *g = *state;

    g->hello.proto_min = g->hello.proto_max = 1;
    assert_int_equal(greet_with(g), ERR_REFUSED);
    assert_prefix(rig_answers(g),
                  "ERROR 213 the agent speaks protocol 1 to 1, this receiver "
                  "(version 1.2.3) 2 to 3");
    assert_false(g->m->has_id);
}

/* One of protocol 2 says nothing of the replica's own id, and is told none. */
static void an_agent_of_protocol_2_is_served(void **state)
{
    struct rig *g = *state;

    g->hello.proto_min = g->hello.proto_max = 2;
    assert_int_equal(greet_with(g), 0);
    assert_true(g->m->has_id);
}

/* What it knew was hashed with another key, and is found again by the scan. */
static void another_key_empties_the_index(void **state)
{
    struct rig *g = *state;

    memstore_edit(g->m, "t", "k", "x", 1);
    memstore_scan(g->m, g->ix);
    assert_int_equal(index_count(g->ix), 1);
    g->hello.key[0] ^= 1;
    assert_int_equal(greet_with(g), 0);
    assert_memory_equal(index_key(g->ix), g->hello.key, WIRE_KEY_BYTES);
    assert_int_equal(index_count(g->ix), 0);
    assert_int_equal(memstore_scan_answer(g->m, g->r, g->ix, &g->err), 0);
    assert_int_equal(index_count(g->ix), 1);
}

static void another_database_is_refused_with_its_number(void **state)
{
    struct rig *g = *state;

    rig_greet(g);
    rig_restart(g);
    g->hello.db_id[0] = 77;
    assert_int_equal(greet_with(g), ERR_REFUSED);
    assert_prefix(rig_answers(g), "ERROR 302 ");
    rig_restart(g);
    g->hello.db_id[0] = 1;
    g->hello.epoch = 4;
    assert_int_equal(greet_with(g), ERR_REFUSED);
    assert_prefix(rig_answers(g), "ERROR 303 ");
}

static void nothing_is_taken_before_the_hello(void **state)
{
    struct rig *g = *state;

    assert_int_equal(receiver_start(g->r, &g->err), 0);
    wire_put_magic(&g->out);
    rig_set(g, 1, "t", "k", "v");
    assert_int_equal(rig_send(g, 0), ERR_PROTO);
    assert_string_equal(rig_answers(g), "ERROR 213 SET: before HELLO\n");
    assert_int_equal(g->m->calls[MEMOP_STAGE_BEGIN], 0);
    /* Over is over. */
    rig_set(g, 1, "t", "k", "v");
    assert_int_equal(rig_send(g, 0), ERR_CLOSED);
    assert_int_equal(rig_commit(g), ERR_CLOSED);
    assert_int_equal(rig_tick(g), ERR_CLOSED);
    assert_string_equal(rig_answers(g), "");
}

static void a_second_hello_ends_the_session(void **state)
{
    struct rig *g = *state;

    wire_put_hello(&g->out, &g->hello);
    assert_int_equal(rig_send(g, 0), ERR_PROTO);
    assert_string_equal(rig_answers(g), "ERROR 213 HELLO: a second time\n");
}

static void an_endless_hello_is_given_up(void **state)
{
    struct rig *g = *state;
    struct buf all = BUF_NULL;

    assert_int_equal(receiver_start(g->r, &g->err), 0);
    assert_int_equal(rig_tick(g), 0);
    wire_put_magic(&all);
    wire_put_hello(&all, &g->hello);
    /* A byte each second keeps no session alive that was not begun. */
    for (size_t i = 0; i < 29; i++) {
        rig_sleep(g, 1000);
        buf_put(&g->out, all.data + i, 1);
        assert_int_equal(rig_send(g, 0), 0);
        assert_int_equal(rig_tick(g), 0);
    }
    rig_sleep(g, 1000);
    assert_int_equal(rig_tick(g), ERR_CLOSED);
    buf_deinit(&all);
}

static void foreign_bytes_are_shown(void **state)
{
    struct rig *g = *state;
    char noise[5000];

    assert_int_equal(receiver_start(g->r, &g->err), 0);
    memset(noise, 'G', sizeof noise);
    int rc = 0;
    for (int i = 0; i < 20 && rc == 0; i++) {
        buf_put(&g->out, noise, sizeof noise);
        rc = rig_send(g, 0);
    }
    assert_int_equal(rc, ERR_PROTO);
    assert_prefix(rig_answers(g),
                  "ERROR 213 expected a drover agent, got: \"GGG");
}

/* --- the end ------------------------------------------------------------- */

static void no_agent_may_be_silent_for_ever(void **state)
{
    struct wire_hello hello = {.silence_ms = 0};

    (void)state;
    assert_true(receiver_silence_ms(&hello) > 0);
    hello.silence_ms = UINT32_MAX;
    assert_true(receiver_silence_ms(&hello) < UINT32_MAX);
    hello.silence_ms = 20000;
    assert_int_equal(receiver_silence_ms(&hello), 20000);
}

static void silence_ends_the_session(void **state)
{
    struct rig *g = *state;

    rig_sleep(g, 14999);
    assert_int_equal(rig_tick(g), 0);
    rig_ping(g, 1, 0);
    assert_int_equal(rig_send(g, 0), 0);
    rig_sleep(g, 14999);
    assert_int_equal(rig_tick(g), 0);
    rig_sleep(g, 1);
    assert_int_equal(rig_tick(g), ERR_CLOSED);
    assert_non_null(strstr(g->err.msg, "silent for 15000 ms"));
}

static void a_full_receiver_does_not_count_silence(void **state)
{
    struct rig *g = *state;

    g->config.pending_max = 1;
    regreet(g);
    rig_set(g, 1, "t", "k", "v");
    assert_int_equal(rig_send(g, 0), 0);
    assert_true(receiver_full(g->r));
    rig_sleep(g, 60000);
    assert_int_equal(rig_tick(g), 0);
    assert_int_equal(rig_settle(g), 0);
    rig_sleep(g, 14999);
    assert_int_equal(rig_tick(g), 0);
    rig_sleep(g, 1);
    assert_int_equal(rig_tick(g), ERR_CLOSED);
}

static void bye_leaves_what_came_before_to_be_committed(void **state)
{
    struct rig *g = *state;

    rig_set(g, 1, "t", "k", "v");
    wire_put_bye(&g->out);
    assert_int_equal(rig_send(g, 0), RECEIVER_BYE);
    assert_true(receiver_has_work(g->r));
    assert_int_equal(rig_settle(g), 0);
    assert_string_equal(rig_answers(g), "ACK 1\n");
    assert_false(receiver_has_work(g->r));
}

static void an_error_from_the_agent_is_not_answered(void **state)
{
    struct rig *g = *state;
    struct wire_error m = {.id = 213, .text = bytes_of("no\n", 3)};

    wire_put_error(&g->out, &m);
    assert_int_equal(rig_send(g, 0), ERR_CLOSED);
    assert_string_equal(g->err.msg, "the agent ended the session: no\\n");
    assert_string_equal(rig_answers(g), "");
}

static void frames_that_only_receivers_send_are_refused(void **state)
{
    struct rig *g = *state;

    wire_put_ack(&g->out, NULL, 0);
    assert_int_equal(rig_send(g, 0), ERR_PROTO);
    assert_prefix(rig_answers(g), "ERROR 213 ACK: ");
}

static void unknown_frames_and_lengths_are_refused(void **state)
{
    struct rig *g = *state;

    buf_put(&g->out, "\1\0\0\0\77", 5);
    assert_int_equal(rig_send(g, 0), ERR_PROTO);
    assert_prefix(rig_answers(g), "ERROR 213 frame 63: ");
    regreet(g);
    buf_u32(&g->out, WIRE_FRAME_MAX + 1);
    assert_int_equal(rig_send(g, 0), ERR_PROTO);
    assert_prefix(rig_answers(g), "ERROR 213 a frame claims a length of");
}

static void a_dead_link_ends_the_session(void **state)
{
    struct rig *g = *state;

    memstore_fail(g->m, MEMOP_SEND, 0, 1, ERR_CLOSED, EPIPE);
    rig_set(g, 1, "t", "k", "v");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_commit(g), ERR_CLOSED);
    rig_ping(g, 1, 0);
    assert_int_equal(rig_send(g, 0), ERR_CLOSED);
}

/* --- groups -------------------------------------------------------------- */

static void
an_ack_comes_after_values_names_and_directories_are_durable(void **state)
{
    struct rig *g = *state;

    g->m->tracing = true;
    rig_set(g, 1, "t", "a", "1");
    rig_change(g, WIRE_TABLE_SET, 2, "u", "");
    rig_set(g, 3, "t", "b", "2");
    rig_change(g, WIRE_DELETE, 4, "t", "a");
    assert_int_equal(rig_send(g, 0), 0);
    assert_string_equal(rig_answers(g), "");
    assert_int_equal(rig_commit(g), 0);
    assert_int_equal(g->again_ms, -1);
    assert_string_equal(rig_trace(g), "stage_sync 2\n"
                                      "install t/a\n"
                                      "table_make u\n"
                                      "install t/b\n"
                                      "remove t/a\n"
                                      "dirs_sync\n"
                                      "send\n");
    assert_string_equal(rig_answers(g), "ACK 1 2 3 4\n");
    assert_index_true(g);
}

static void what_is_acknowledged_survives_a_power_loss(void **state)
{
    struct rig *g = *state;
    struct bytes v;

    memstore_edit(g->m, "t", "gone", "x", 1);
    rig_set(g, 1, "t", "a", "1");
    rig_set(g, 2, "t", "empty", "");
    rig_change(g, WIRE_DELETE, 3, "t", "gone");
    rig_change(g, WIRE_TABLE_SET, 4, "u", "");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_commit(g), 0);
    assert_string_equal(rig_answers(g), "ACK 1 2 3 4\n");
    rig_set(g, 5, "t", "a", "2"); /* staged, never committed */
    assert_int_equal(rig_send(g, 0), 0);
    rig_restart(g);
    memstore_crash(g->m, 0);
    assert_value(g, "t", "a", "1");
    assert_value(g, "t", "empty", "");
    assert_value(g, "t", "gone", NULL);
    assert_true(memstore_has_table(g->m, "u"));
    assert_true(memstore_get_durable(g->m, "t", "a", &v));
}

/* A directory's sync failed: it is told once, so no later one is a proof.  What
 * the next session's scan finds is there, but is written once more when it
 * comes again. */
static void
what_a_scan_finds_after_a_failed_sync_is_not_yet_durable(void **state)
{
    struct rig *g = *state;
    struct bytes v;

    rig_set(g, 1, "t", "a", "1");
    assert_int_equal(rig_send(g, 0), 0);
    memstore_fail(g->m, MEMOP_DIRS_SYNC, 0, 1, ERR_NOSPACE, ENOSPC);
    assert_int_equal(rig_commit(g), ERR_NOSPACE);
    assert_prefix(rig_answers(g), "NAK 1");
    regreet(g);
    memstore_scan(g->m, g->ix);
    g->m->tracing = true;
    rig_set(g, 2, "t", "a", "1");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_commit(g), 0);
    assert_string_equal(rig_answers(g), "ACK 2\n");
    assert_non_null(strstr(rig_trace(g), "install t/a\n"));
    assert_true(memstore_get_durable(g->m, "t", "a", &v));
}

static void a_value_put_there_by_hand_is_not_taken_for_durable(void **state)
{
    struct rig *g = *state;
    struct bytes v;

    memstore_edit(g->m, "t", "a", "1", 1);
    memstore_scan(g->m, g->ix);
    g->m->tracing = true;
    rig_set(g, 1, "t", "a", "1");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_commit(g), 0);
    assert_string_equal(rig_answers(g), "ACK 1\n");
    assert_non_null(strstr(rig_trace(g), "install t/a\n"));
    assert_true(memstore_get_durable(g->m, "t", "a", &v));
    /* What we installed and synced need not be written once more. */
    rig_set(g, 2, "t", "a", "1");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_commit(g), 0);
    assert_string_equal(rig_answers(g), "ACK 2\n");
    assert_null(strstr(rig_trace(g), "install"));
}

static void a_digest_is_enough_for_a_value_that_is_here(void **state)
{
    struct rig *g = *state;
    struct bytes v;

    rig_set(g, 1, "t", "a", "one");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_commit(g), 0);
    assert_string_equal(rig_answers(g), "ACK 1\n");
    g->m->tracing = true;
    rig_same(g, 2, "t", "a", "one");
    rig_same(g, 3, "t", "b", "one");
    rig_same(g, 4, "u", "a", "one");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_settle(g), 0);
    const char *answers = rig_answers(g);
    assert_non_null(strstr(answers, "ACK 2\n"));
    assert_non_null(strstr(answers, "NAK 3 NOTFOUND table t, key b: another "
                                    "value is here, or none"));
    assert_non_null(strstr(answers, "NAK 4 NOTFOUND"));
    assert_null(strstr(rig_trace(g), "install"));
    assert_true(memstore_get_durable(g->m, "t", "a", &v));
    rig_same(g, 5, "t", "a", "two");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_settle(g), 0);
    assert_prefix(rig_answers(g), "NAK 5 NOTFOUND");
    assert_value(g, "t", "a", "one");
}

/* Only what was installed and synced here proves anything: a value that was put
 * there by hand may be in memory alone, one that was edited since is another,
 * and one whose table is about to be dropped goes with it. */
static void a_digest_is_not_enough_without_proof(void **state)
{
    struct rig *g = *state;

    memstore_edit(g->m, "t", "hand", "one", 3);
    memstore_scan(g->m, g->ix);
    rig_same(g, 1, "t", "hand", "one");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_settle(g), 0);
    assert_prefix(rig_answers(g), "NAK 1 NOTFOUND");
    rig_set(g, 2, "t", "a", "one");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_settle(g), 0);
    assert_string_equal(rig_answers(g), "ACK 2\n");
    memstore_edit(g->m, "t", "a", "one", 3);
    rig_same(g, 3, "t", "a", "one");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_settle(g), 0);
    assert_prefix(rig_answers(g), "NAK 3 NOTFOUND");
    rig_set(g, 4, "t", "a", "one");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_settle(g), 0);
    assert_string_equal(rig_answers(g), "ACK 4\n");
    rig_change(g, WIRE_TABLE_DROP, 5, "t", "");
    rig_same(g, 6, "t", "a", "one");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_settle(g), 0);
    assert_prefix(rig_answers(g), "NAK 6 NOTFOUND");
}

/* It is the same when it comes in, and edited before its group's turn. */
static void a_value_that_changes_before_its_turn_is_asked_for(void **state)
{
    struct rig *g = *state;

    rig_set(g, 1, "t", "a", "one");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_commit(g), 0);
    assert_string_equal(rig_answers(g), "ACK 1\n");
    rig_same(g, 2, "t", "a", "one");
    assert_int_equal(rig_send(g, 0), 0);
    memstore_edit(g->m, "t", "a", "two", 3);
    assert_int_equal(rig_commit(g), 0);
    assert_prefix(rig_answers(g), "NAK 2 NOTFOUND");
}

static void what_a_later_scan_finds_is_made_durable(void **state)
{
    struct rig *g = *state;
    struct wire_scan m = {.id = 7};

    uint64_t calls = g->m->calls[MEMOP_SYNC_ALL];
    memstore_edit(g->m, "t", "a", "1", 1);
    wire_put_scan(&g->out, &m);
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(memstore_scan_answer(g->m, g->r, g->ix, &g->err), 0);
    assert_int_equal(g->m->calls[MEMOP_SYNC_ALL], calls + 1);
}

static void relaxed_durability_syncs_nothing(void **state)
{
    struct rig *g = *state;

    g->hello.durability = WIRE_RELAXED;
    regreet(g);
    g->m->tracing = true;
    rig_set(g, 1, "t", "a", "1");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_commit(g), 0);
    assert_string_equal(rig_trace(g), "install t/a\nsend\n");
    assert_string_equal(rig_answers(g), "ACK 1\n");
}

static void what_the_scan_at_start_finds_is_durable_before_ready(void **state)
{
    struct rig *g = *state;

    g->hello.durability = WIRE_RELAXED;
    regreet(g);
    rig_set(g, 1, "t", "a", "1");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_commit(g), 0);
    g->hello.durability = WIRE_DURABLE;
    regreet(g); /* READY says that the value is here */
    rig_restart(g);
    memstore_crash(g->m, 0);
    assert_value(g, "t", "a", "1");
    /* And no READY without. */
    memstore_fail(g->m, MEMOP_SYNC_ALL, 0, 1, ERR_IO, EIO);
    assert_int_equal(greet_with(g), 0);
    (void)rig_answers(g);
    assert_int_equal(memstore_scan_answer(g->m, g->r, g->ix, &g->err), ERR_IO);
    assert_prefix(rig_answers(g), "ERROR 306 make the database durable");
}

/* Changes may flow before READY, and find their work done by an earlier
 * receiver that was killed before its sync. */
static void nothing_is_acknowledged_before_the_earlier_is_durable(void **state)
{
    struct rig *g = *state;

    g->hello.durability = WIRE_RELAXED;
    regreet(g);
    rig_set(g, 1, "t", "a", "1");
    rig_change(g, WIRE_TABLE_SET, 2, "empty", "");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_commit(g), 0);
    g->hello.durability = WIRE_DURABLE;
    rig_restart(g);
    assert_int_equal(greet_with(g), 0);
    (void)rig_answers(g);
    rig_set(g, 1, "t", "a", "1");
    assert_int_equal(rig_send(g, 0), 0);
    /* No ACK without. */
    memstore_fail(g->m, MEMOP_SYNC_ALL, 0, 1, ERR_IO, EIO);
    assert_int_equal(rig_commit(g), ERR_IO);
    assert_prefix(rig_answers(g), "ERROR 306 make the database durable");
    rig_restart(g);
    assert_int_equal(greet_with(g), 0);
    (void)rig_answers(g);
    rig_set(g, 1, "t", "a", "1");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_commit(g), 0);
    assert_string_equal(rig_answers(g), "ACK 1\n");
    /* Once more for READY: the scan read values that it did not know. */
    uint64_t calls = g->m->calls[MEMOP_SYNC_ALL];
    assert_int_equal(memstore_scan_answer(g->m, g->r, g->ix, &g->err), 0);
    assert_int_equal(g->m->calls[MEMOP_SYNC_ALL], calls + 1);
    rig_restart(g);
    memstore_crash(g->m, 0);
    assert_value(g, "t", "a", "1");
}

static void groups_are_bounded_in_changes_and_bytes(void **state)
{
    struct rig *g = *state;

    g->config.group_changes = 2;
    g->config.group_bytes = 10;
    regreet(g);
    rig_set(g, 1, "t", "a", "1234567890abcdef"); /* alone over the bound */
    rig_set(g, 2, "t", "b", "123456");
    rig_set(g, 3, "t", "c", "123456");
    rig_set(g, 4, "t", "d", "1");
    rig_set(g, 5, "t", "e", "1");
    assert_int_equal(rig_send(g, 0), 0);
    /* While more waits, a group's directories are made durable together with
     * the next one's values. */
    static const char *const acks[] = {"", "ACK 1\n", "ACK 2\n",
                                       "ACK 3 4\nACK 5\n"};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(rig_commit(g), 0);
        assert_string_equal(rig_answers(g), acks[i]);
        assert_int_equal(g->again_ms, i < 3 ? 0 : -1);
    }
}

/* Two groups of one change, the first applied, and its directory not synced. */
static void begin_two_groups(struct rig *g)
{
    g->config.group_changes = 1;
    regreet(g);
    rig_set(g, 1, "t", "a", "1");
    rig_set(g, 2, "u", "b", "2");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_commit(g), 0);
    assert_string_equal(rig_answers(g), "");
}

static void values_that_fail_beside_directories_are_refused_alone(void **state)
{
    struct rig *g = *state;

    begin_two_groups(g);
    memstore_fail(g->m, MEMOP_STAGE_SYNC, 0, 1, ERR_NOSPACE, ENOSPC);
    assert_int_equal(rig_commit(g), 0);
    assert_prefix(rig_answers(g), "NAK 2");
    assert_value(g, "t", "a", "1");
    assert_value(g, "u", "b", NULL);
    rig_restart(g);
    memstore_crash(g->m, 0);
    assert_value(g, "t", "a", "1");
}

static void directories_that_fail_beside_values_end_the_session(void **state)
{
    struct rig *g = *state;

    begin_two_groups(g);
    memstore_fail(g->m, MEMOP_DIRS_SYNC, 0, 1, ERR_IO, EIO);
    assert_int_equal(rig_commit(g), ERR_IO);
    assert_prefix(rig_answers(g), "NAK 1");
    assert_value(g, "u", "b", NULL); /* not begun */
}

static void one_byte_at_a_time_changes_nothing(void **state)
{
    struct rig *g = *state;

    for (uint64_t i = 1; i <= 20; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "k%d", (int)i);
        rig_set(g, i, "a/b", key, key);
    }
    assert_int_equal(rig_send(g, 1), 0);
    assert_int_equal(rig_settle(g), 0);
    assert_prefix(rig_answers(g), "ACK 1 2 3 ");
    assert_value(g, "a/b", "k20", "k20");
    assert_index_true(g);
}

static void a_full_queue_is_said_and_ends_with_a_commit(void **state)
{
    struct rig *g = *state;

    g->config.pending_max = 3;
    regreet(g);
    rig_set(g, 1, "t", "a", "1");
    rig_set(g, 2, "t", "b", "1");
    assert_int_equal(rig_send(g, 0), 0);
    assert_false(receiver_full(g->r));
    rig_set(g, 3, "t", "c", "1");
    assert_int_equal(rig_send(g, 0), 0);
    assert_true(receiver_full(g->r));
    assert_int_equal(rig_commit(g), 0);
    assert_false(receiver_full(g->r));
}

static void staged_bytes_are_bounded_too(void **state)
{
    struct rig *g = *state;

    g->config.group_bytes = 10;
    regreet(g);
    rig_set(g, 1, "t", "a", "0123456789012345678901234567890123456789");
    assert_int_equal(rig_send(g, 0), 0);
    assert_false(receiver_full(g->r));
    rig_set(g, 2, "t", "b", "0123456789012345678901234567890123456789");
    assert_int_equal(rig_send(g, 0), 0);
    assert_true(receiver_full(g->r));
    assert_int_equal(rig_commit(g), 0);
    assert_false(receiver_full(g->r));
}

/* --- failures ------------------------------------------------------------ */

static void a_full_disk_refuses_one_change_and_deletes_still_pass(void **state)
{
    static const enum memop ops[] = {MEMOP_STAGE_BEGIN, MEMOP_STAGE_WRITE,
                                     MEMOP_STAGE_END, MEMOP_INSTALL};
    struct rig *g = *state;

    for (size_t i = 0; i < 4; i++) {
        memstore_edit(g->m, "t", "old", "x", 1);
        memstore_fail(g->m, ops[i], 0, 1, ERR_NOSPACE, ENOSPC);
        rig_set(g, 1, "t", "k'k", "v");
        rig_change(g, WIRE_DELETE, 2, "t", "old");
        rig_set(g, 3, "t", "b", i % 2 ? "x" : "y");
        assert_int_equal(rig_send(g, 0), 0);
        assert_int_equal(rig_settle(g), 0);
        assert_string_equal(rig_answers(g),
                            "NAK 1 NOSPACE table t, key 'k'\\''k': injected "
                            "fault: No space left on device\nACK 2 3\n");
        assert_value(g, "t", "k'k", NULL);
        assert_value(g, "t", "old", NULL);
        assert_int_equal(memstore_stages(g->m), 0);
    }
    assert_index_true(g);
}

static void a_wrong_digest_is_refused_before_it_is_staged(void **state)
{
    struct rig *g = *state;

    rig_set(g, 1, "t", "k", "value");
    g->out.data[g->out.len - 1] ^= 1;
    rig_set(g, 2, "t", "l", "value");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_settle(g), 0);
    assert_string_equal(rig_answers(g),
                        "NAK 1 CORRUPT table t, key k: the value does not "
                        "have the digest it came with\nACK 2\n");
    assert_int_equal(g->m->calls[MEMOP_STAGE_BEGIN], 1);
}

static void a_failed_value_sync_refuses_the_values_of_the_group(void **state)
{
    struct rig *g = *state;

    memstore_edit(g->m, "t", "old", "x", 1);
    memstore_fail(g->m, MEMOP_STAGE_SYNC, 0, 1, ERR_NOSPACE, ENOSPC);
    rig_set(g, 1, "t", "a", "1");
    rig_change(g, WIRE_DELETE, 2, "t", "old");
    rig_set(g, 3, "t", "b", "1");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_settle(g), 0);
    assert_string_equal(
        rig_answers(g),
        "NAK 1 NOSPACE table t, key a: make values durable: injected fault: "
        "No space left on device\n"
        "NAK 3 NOSPACE table t, key b: make values durable: injected fault: "
        "No space left on device\n"
        "ACK 2\n");
    assert_int_equal(g->m->calls[MEMOP_STAGE_SYNC], 1); /* never again */
    assert_int_equal(memstore_stages(g->m), 0);
    assert_value(g, "t", "a", NULL);
    rig_set(g, 4, "t", "a", "1");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_settle(g), 0);
    assert_string_equal(rig_answers(g), "ACK 4\n");
}

static void a_failed_directory_sync_refuses_what_was_applied(void **state)
{
    struct rig *g = *state;
    struct bytes v;

    rig_set(g, 9, "t", "a", "0");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_settle(g), 0);
    assert_string_equal(rig_answers(g), "ACK 9\n");
    memstore_fail(g->m, MEMOP_DIRS_SYNC, 0, 1, ERR_NOSPACE, ENOSPC);
    rig_set(g, 1, "t", "a", "1");
    rig_change(g, WIRE_TABLE_SET, 2, "u", "");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_settle(g), ERR_NOSPACE);
    assert_prefix(rig_answers(g),
                  "NAK 1 NOSPACE table t, key a: make directories durable: ");
    assert_value(g, "t", "a", "1");
    /* It is there, but must not count as equal: it is not durable; and no
     * later sync of this session would prove that it is. */
    assert_int_equal(index_count(g->ix), 0);
    regreet(g);
    rig_set(g, 3, "t", "a", "1");
    rig_change(g, WIRE_TABLE_SET, 4, "u", "");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_settle(g), 0);
    assert_string_equal(rig_answers(g), "ACK 3 4\n");
    assert_true(memstore_get_durable(g->m, "t", "a", &v));
    assert_int_equal(v.len, 1);
    assert_index_true(g);
}

static void a_delete_is_synced_even_when_the_key_is_gone_already(void **state)
{
    struct rig *g = *state;
    struct bytes v;

    rig_set(g, 1, "t", "a", "1");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_settle(g), 0);
    memstore_fail(g->m, MEMOP_DIRS_SYNC, 0, 1, ERR_NOSPACE, ENOSPC);
    rig_change(g, WIRE_DELETE, 2, "t", "a");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_settle(g), ERR_NOSPACE);
    assert_prefix(rig_answers(g), "ACK 1\nNAK 2 ");
    regreet(g);
    rig_change(g, WIRE_DELETE, 3, "t", "a");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_settle(g), 0);
    assert_string_equal(rig_answers(g), "ACK 3\n");
    assert_false(memstore_get_durable(g->m, "t", "a", &v));
}

static void a_failing_disk_ends_the_session(void **state)
{
    static const enum memop ops[] = {MEMOP_STAGE_WRITE, MEMOP_STAGE_SYNC,
                                     MEMOP_INSTALL, MEMOP_DIRS_SYNC};
    struct rig *g = *state;

    for (size_t i = 0; i < 4; i++) {
        regreet(g);
        memstore_fail(g->m, ops[i], 0, 1, ERR_IO, EIO);
        rig_set(g, 1, "t", "a", i % 2 ? "x" : "y");
        int rc = rig_send(g, 0);
        rc = rc != 0 ? rc : rig_commit(g);
        assert_int_equal(rc, ERR_IO);
        const char *text = rig_answers(g);
        assert_non_null(strstr(text, "ERROR 306 "));
        assert_null(strstr(text, "ACK"));
        assert_int_equal(rig_commit(g), ERR_CLOSED);
    }
}

static void a_takeover_ends_the_session_with_its_reason(void **state)
{
    struct rig *g = *state;

    memstore_fail(g->m, MEMOP_INSTALL, 0, 1, ERR_CLOSED, 0);
    g->m->fault[MEMOP_INSTALL].id = DR_RECEIVER_BUSY;
    rig_set(g, 1, "t", "a", "1");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_commit(g), ERR_CLOSED);
    assert_non_null(strstr(rig_answers(g), "ERROR 301 injected fault"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        NEW(a_session_begins_with_magic_hello_and_scan),
        NEW(protocols_that_do_not_meet_are_refused),
        NEW(a_question_is_answered_and_changes_nothing),
        NEW(who_cannot_be_asked_refuses_with_its_version),
        NEW(the_bit_alone_is_no_question),
        NEW(an_agent_of_protocol_1_is_refused_in_words),
        NEW(an_agent_of_protocol_2_is_served),
        NEW(another_key_empties_the_index),
        NEW(another_database_is_refused_with_its_number),
        NEW(nothing_is_taken_before_the_hello),
        GREETED(a_second_hello_ends_the_session),
        NEW(an_endless_hello_is_given_up),
        NEW(foreign_bytes_are_shown),
        cmocka_unit_test(no_agent_may_be_silent_for_ever),
        GREETED(silence_ends_the_session),
        GREETED(a_full_receiver_does_not_count_silence),
        GREETED(bye_leaves_what_came_before_to_be_committed),
        GREETED(an_error_from_the_agent_is_not_answered),
        GREETED(frames_that_only_receivers_send_are_refused),
        GREETED(unknown_frames_and_lengths_are_refused),
        GREETED(a_dead_link_ends_the_session),
        GREETED(an_ack_comes_after_values_names_and_directories_are_durable),
        GREETED(what_is_acknowledged_survives_a_power_loss),
        GREETED(what_a_scan_finds_after_a_failed_sync_is_not_yet_durable),
        GREETED(a_value_put_there_by_hand_is_not_taken_for_durable),
        GREETED(what_a_later_scan_finds_is_made_durable),
        GREETED(a_digest_is_enough_for_a_value_that_is_here),
        GREETED(a_digest_is_not_enough_without_proof),
        GREETED(a_value_that_changes_before_its_turn_is_asked_for),
        GREETED(relaxed_durability_syncs_nothing),
        GREETED(what_the_scan_at_start_finds_is_durable_before_ready),
        GREETED(nothing_is_acknowledged_before_the_earlier_is_durable),
        GREETED(groups_are_bounded_in_changes_and_bytes),
        GREETED(values_that_fail_beside_directories_are_refused_alone),
        GREETED(directories_that_fail_beside_values_end_the_session),
        GREETED(one_byte_at_a_time_changes_nothing),
        GREETED(a_full_queue_is_said_and_ends_with_a_commit),
        GREETED(staged_bytes_are_bounded_too),
        GREETED(a_full_disk_refuses_one_change_and_deletes_still_pass),
        GREETED(a_wrong_digest_is_refused_before_it_is_staged),
        GREETED(a_failed_value_sync_refuses_the_values_of_the_group),
        GREETED(a_failed_directory_sync_refuses_what_was_applied),
        GREETED(a_delete_is_synced_even_when_the_key_is_gone_already),
        GREETED(a_failing_disk_ends_the_session),
        GREETED(a_takeover_ends_the_session_with_its_reason),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
