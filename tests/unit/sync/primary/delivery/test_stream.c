/* SPDX-License-Identifier: MIT
 *
 * The primary's core and large values: streams that are refused, aborted,
 * given up, and shared with the index.
 */
#include "tests/support/plain_key.h"
#include "tests/support/primary_fixture.h"

static void test_a_refused_large_value_lets_the_next_begin(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    f->streams_by_hand = true;
    fx_begin_large(f, "x");
    fx_heard(r, "SET_BEGIN t/x #1\n");
    fx_put_large(f, "t", "y", "y", 20000);
    fx_hint(f, "t", "y", HINT_COMMITTED);
    fx_nak(f, r, 1);
    f->streams_by_hand = false;
    fx_pump(f);
    fx_heard(r, "SET_BEGIN t/y #2\nSET_END #2\n");
    fx_free(f);
}

static void
test_a_refusal_that_crosses_an_abort_is_no_protocol_error(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    f->streams_by_hand = true;
    fx_begin_large(f, "x");
    fx_overwrite(f, "t", "x"); /* changes while it is read */
    while (fx_stream(f)) {
        fx_pump(f);
    }
    fx_heard(r, "SET_BEGIN t/x #1\nSET_ABORT #1\n");
    uint64_t abort_ping = r->ping_id;
    fx_wait(f, 100);
    fx_heard(r, ""); /* not again before the replica has answered */
    fx_nak(f, r, 1);
    assert_false(f->closed[r->replica]);
    struct wire_pong pong = {.id = abort_ping};
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
    fx_begin_large(f, "x");
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
    assert_true(
        index_get(f->ix, index_name_key(&plain_key, "t", 1, "x", 1), &e));
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

static void
test_a_stream_given_up_at_once_is_neither_opened_nor_closed(void **state)
{
    struct fx *f = fx_new();
    struct action a;

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    f->by_hand = f->streams_by_hand = true;
    fx_put_large(f, "t", "x", "x", 20000);
    fx_hint(f, "t", "x", HINT_COMMITTED);
    struct fx_look l = f->reads[0];
    f->reader_count = 0;
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

static void
test_a_returning_root_starts_nothing_for_a_replica_that_is_down(void **state)
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

static void
test_the_index_may_learn_of_a_key_from_two_sides_at_once(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_ready(f);
    f->streams_by_hand = true;
    fx_begin_large(f, "x"); /* for the index */
    uint64_t id = f->open[0].id;
    struct fx_peer *r = fx_add(f, 0, false);
    fx_up(f, r);
    fx_set(f, "t", "x", "small"); /* looked at for the replica */
    fx_heard(r, "SET t/x=small #2\n");
    fx_ack(f, r, 2);
    /* The stream ends well: it was read before the change. */
    struct read_answer l = {.result = READ_VALUE};
    primary_stream_data(f->p, id, NULL, 0, &l, f->now_ms);
    f->streams_by_hand = false;
    fx_pump(f);
    fx_free(f);
}

static void
test_an_old_stream_does_not_overwrite_what_a_look_told_the_index(void **state)
{
    struct fx *f = fx_new();
    struct index_entry e;

    (void)state;
    fx_ready(f);
    struct fx_peer *a = fx_scripted(f, 0);
    f->streams_by_hand = true;
    fx_begin_large(f, "x"); /* for the replica; the index rides along ... */
    uint64_t id = f->open[0].id;
    for (int i = 0; i < 40; i++) { /* ... and then goes by itself */
        fx_wait(f, 100);
        if (f->streams_count > 0 && f->streams[0].id == id) {
            f->streams_count = 0;
        }
        (void)fx_stream(f);
        fx_pump(f);
    }
    assert_true(
        index_get(f->ix, index_name_key(&plain_key, "t", 1, "x", 1), &e));
    fx_heard(a, "SET_BEGIN t/x #1\n");
    fx_set(f, "t", "x", "small");
    struct read_answer l = {.result = READ_VALUE};
    primary_stream_data(f->p, id, NULL, 0, &l, f->now_ms);
    assert_true(
        index_get(f->ix, index_name_key(&plain_key, "t", 1, "x", 1), &e));
    assert_true(digest_equal(e.digest, digest_of("small", 5)));
    fx_free(f);
}

/* Everything that is asked about streams, with `often` called before each. */
static void stream_all(struct fx *f, void (*often)(struct fx *f))
{
    for (;;) {
        often(f);
        if (!fx_stream(f)) {
            return;
        }
        fx_pump(f);
    }
}

static void replace_x(struct fx *f)
{
    fx_put_large(f, "t", "x", "x", 20000);
    primary_hint_key(f->p, "t", 1, "x", 1, HINT_COMMITTED, f->now_ms);
}

static void overwrite_x(struct fx *f)
{
    fx_overwrite(f, "t", "x");
    primary_hint_key(f->p, "t", 1, "x", 1, HINT_CLOSED, f->now_ms);
}

static void test_a_value_replaced_while_it_is_sent_is_installed(void **state)
{
    struct fx *f = fx_new();
    struct fx_peer *r = NULL;

    (void)state;
    fx_ready(f);
    r = fx_scripted(f, 0);
    r->pong = true; /* else the link is taken for a slow one */
    f->streams_by_hand = true;
    replace_x(f);
    fx_pump(f);
    for (unsigned i = 1; i < 20; i++) {
        char want[64];
        stream_all(f, replace_x);
        const char *heard = (const char *)r->heard.data;
        unsigned seq = 0;
        assert_true(r->heard.len > 0);
        assert_int_equal(sscanf(heard, "SET_BEGIN t/x #%u", &seq), 1);
        (void)snprintf(want, sizeof want, "SET_BEGIN t/x #%u\nSET_END #%u\n",
                       seq, seq);
        fx_heard(r, want);
        fx_ack(f, r, seq);
    }
    assert_int_equal(f->copies, 0);
    fx_free(f);
}

/* The event of the newer version may still be in the queue, or be lost: it is
 * looked at all the same, and nothing is claimed before. */
static void test_what_was_replaced_unheard_of_is_looked_at_again(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    f->streams_by_hand = true;
    fx_begin_large(f, "x");
    fx_put(f, "t", "x", "new"); /* no hint */
    while (fx_stream(f)) {
        fx_pump(f);
    }
    fx_heard(r, "SET_BEGIN t/x #1\nSET_END #1\n");
    assert_false(fx_passed(f, r));
    fx_ack(f, r, 1);
    uint64_t tail = primary_tail(f->p);
    assert_true(tail > 1);
    char want[64];
    (void)snprintf(want, sizeof want, "SET t/x=new #%" PRIu64 "\n", tail);
    fx_heard(r, want);
    fx_ack(f, r, tail);
    assert_true(fx_passed(f, r));
    fx_free(f);
}

static void test_after_a_try_in_vain_a_copy_is_made_and_sent(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    r->pong = true;
    f->streams_by_hand = true;
    overwrite_x(f);
    fx_put_large(f, "t", "x", "x", 20000);
    fx_pump(f);
    assert_true(fx_stream(f)); /* opened */
    fx_pump(f);
    f->now_ms += 3000; /* the link is slow */
    stream_all(f, overwrite_x);
    fx_heard(r, "SET_BEGIN t/x #1\nSET_ABORT #1\n");
    assert_int_equal(f->copies, 0);
    /* A try of three seconds: the next one not sooner than that. */
    for (int i = 0; i < 29; i++) {
        fx_wait(f, 100);
        stream_all(f, overwrite_x);
        fx_heard(r, "");
    }
    fx_wait(f, 200);
    stream_all(f, overwrite_x);
    assert_true(f->copies > 0);
    fx_heard(r, "SET_BEGIN t/x #1\nSET_END #1\n");
    fx_free(f);
}

/* Three replicas of one large value that may be the same: its digest is read
 * once, and is enough for who has it. */
static void test_a_touched_large_value_is_sent_as_its_digest(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_put_large(f, "t", "x", "x", 20000);
    fx_ready(f);
    struct fx_peer *a = fx_scripted(f, 0), *b = fx_scripted(f, 1);
    f->now_ms += 5000;
    fx_touch(f, "t", "x");
    fx_heard(a, "SAME t/x #1\n");
    fx_heard(b, "SAME t/x #1\n");
    fx_ack(f, a, 1);
    assert_true(fx_passed(f, a));
    fx_nak_same(f, b, 1);
    fx_heard(b, "SET_BEGIN t/x #1\nSET_END #1\n");
    fx_ack(f, b, 1);
    assert_true(fx_passed(f, b));
    /* Restored: another file, of an old mtime. */
    f->now_ms += 5000;
    fx_put_large(f, "t", "x", "x", 20000);
    fx_key(f, false, "t", "x")->restored = true;
    fx_hint(f, "t", "x", HINT_COMMITTED);
    fx_heard(a, "SAME t/x #2\n");
    fx_heard(b, "SAME t/x #2\n");
    fx_free(f);
}

/* A new file of now is not read twice, and one that was written in place is
 * sent once its digest is another. */
static void test_a_changed_large_value_is_sent_whole(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_put_large(f, "t", "x", "x", 20000);
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    f->now_ms += 5000;
    struct primary_counts before, after;
    primary_counts(f->p, &before);
    fx_put_large(f, "t", "x", "y", 20000);
    fx_hint(f, "t", "x", HINT_COMMITTED);
    fx_heard(r, "SET_BEGIN t/x #1\nSET_END #1\n");
    fx_ack(f, r, 1);
    primary_counts(f->p, &after);
    assert_int_equal(after.bytes_read - before.bytes_read, 20000);
    f->now_ms += 5000;
    struct fx_key *k = fx_key(f, false, "t", "x");
    k->value[0] = 'z';
    fx_touch(f, "t", "x");
    fx_heard(r, "SET_BEGIN t/x #2\nSET_END #2\n");
    fx_ack(f, r, 2);
    assert_true(fx_passed(f, r));
    fx_free(f);
}

/* The index' read is in vain, or takes too long: nobody waits for it. */
static void test_who_waits_for_a_digest_waits_for_a_bound(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_put_large(f, "t", "x", "x", 20000);
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    f->now_ms += 5000;
    f->streams_by_hand = true;
    fx_touch(f, "t", "x");
    fx_heard(r, "");
    fx_wait(f, 900);
    fx_heard(r, "");
    uint64_t stuck = f->streams[0].id;
    fx_wait(f, 300);
    for (int i = 0; i < 20; i++) {
        while (f->streams_count > 0 && f->streams[0].id == stuck) {
            f->streams_count--;
            memmove(f->streams, f->streams + 1,
                    f->streams_count * sizeof f->streams[0]);
        }
        (void)fx_stream(f);
        fx_pump(f);
    }
    fx_heard(r, "SET_BEGIN t/x #1\nSET_END #1\n");
    fx_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_refused_large_value_lets_the_next_begin),
        cmocka_unit_test(
            test_a_refusal_that_crosses_an_abort_is_no_protocol_error),
        cmocka_unit_test(test_the_index_waits_for_nobodys_stream_for_long),
        cmocka_unit_test(test_an_empty_file_is_never_streamed),
        cmocka_unit_test(
            test_a_stream_given_up_at_once_is_neither_opened_nor_closed),
        cmocka_unit_test(
            test_a_returning_root_starts_nothing_for_a_replica_that_is_down),
        cmocka_unit_test(
            test_the_index_may_learn_of_a_key_from_two_sides_at_once),
        cmocka_unit_test(
            test_an_old_stream_does_not_overwrite_what_a_look_told_the_index),
        cmocka_unit_test(test_a_value_replaced_while_it_is_sent_is_installed),
        cmocka_unit_test(test_what_was_replaced_unheard_of_is_looked_at_again),
        cmocka_unit_test(test_after_a_try_in_vain_a_copy_is_made_and_sent),
        cmocka_unit_test(test_a_touched_large_value_is_sent_as_its_digest),
        cmocka_unit_test(test_a_changed_large_value_is_sent_whole),
        cmocka_unit_test(test_who_waits_for_a_digest_waits_for_a_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
