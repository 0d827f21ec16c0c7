/* SPDX-License-Identifier: MIT
 *
 * The primary's core and what a replica refuses: how many keys, for how long
 * and why; and that it is not said to keep up when that lasts.
 */
#include <errno.h>

#include "sync/errors/state.h"
#include "tests/support/primary_fixture.h"

static void refuse(struct fx *f, struct fx_peer *peer, uint64_t seq, int code,
                   int sys, const char *text)
{
    struct wire_nak m = {.seq = seq,
                         .code = (uint16_t)-code,
                         .sys = sys,
                         .text = bytes_of(text, strlen(text))};

    wire_put_nak(&peer->say, &m);
    fx_pump(f);
}

/* Refused again and again, over `ms`; returns the sequence it has. */
static void refuse_for(struct fx *f, struct fx_peer *r, uint64_t seq,
                       int64_t ms)
{
    while (ms > 0) {
        fx_wait(f, 100);
        ms -= 100;
        if (r->heard.len > 0) {
            buf_clear(&r->heard);
            refuse(f, r, seq, ERR_NOSPACE, ENOSPC,
                   "table t, key a: write a staged value: No space left");
        }
    }
}

static void test_a_refused_key_is_a_state(void **state)
{
    struct fx *f = fx_new();
    struct primary_refused x;
    struct err why;

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    r->pong = true;
    assert_false(primary_refused(f->p, r->replica, f->now_ms, &x));
    fx_set(f, "t", "a", "1");
    refuse(f, r, 1, ERR_NOSPACE, ENOSPC,
           "table t, key a: write a staged value: No space left");
    assert_true(primary_refused(f->p, r->replica, f->now_ms, &x));
    assert_int_equal(x.count, 1);
    assert_int_equal(x.err.id, DR_REPLICA_FULL);
    assert_int_equal(x.err.sys, ENOSPC);
    assert_string_equal(x.err.msg, "write a staged value: No space left");
    assert_int_equal(x.key.len, 1);
    assert_true(fx_keeps_up(f, r, &why)); /* once may happen */
    buf_clear(&r->heard);
    refuse_for(f, r, 1, REFUSED_LASTS_MS);
    assert_true(primary_refused(f->p, r->replica, f->now_ms, &x));
    assert_int_equal(x.count, 1);
    assert_true(x.since_ms >= REFUSED_LASTS_MS);
    assert_false(fx_keeps_up(f, r, &why));
    assert_int_equal(why.id, DR_REPLICA_FULL);
    fx_says(&why, "1 change is refused for 3 s");
    fx_says(&why, "table t key a: write a staged value: No space left");

    /* A new link is no new key. */
    fx_down(f, r);
    assert_true(primary_refused(f->p, r->replica, f->now_ms, &x));
    fx_up(f, r);
    assert_true(primary_refused(f->p, r->replica, f->now_ms, &x));
    assert_false(fx_keeps_up(f, r, &why));
    fx_ack(f, r, 1);
    assert_false(primary_refused(f->p, r->replica, f->now_ms, &x));
    fx_free(f);
}

/* Whatever the replica's state is next, that is not its reason. */
static void test_a_refusal_that_is_over_is_no_error_any_more(void **state)
{
    struct fx *f = fx_new();
    struct replica_status st;

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    r->pong = true;
    fx_set(f, "t", "a", "1");
    refuse(f, r, 1, ERR_NOSPACE, ENOSPC,
           "table t, key a: write a staged value: No space left");
    primary_status(f->p, r->replica, f->now_ms, &st);
    assert_int_equal(st.last_error.id, DR_REPLICA_FULL);
    buf_clear(&r->heard);
    while (r->heard.len == 0) {
        fx_wait(f, 100); /* it is sent again */
    }
    fx_ack(f, r, 1);
    primary_status(f->p, r->replica, f->now_ms, &st);
    assert_int_equal(st.last_error.code, 0);
    fx_free(f);
}

static void test_a_refused_key_that_is_deleted_is_over_with_that(void **state)
{
    struct fx *f = fx_new();
    struct primary_refused x;

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    fx_set(f, "t", "a", "1");
    refuse(f, r, 1, ERR_PERM, EACCES, "no");
    fx_set(f, "t", "b", "1");
    refuse(f, r, 2, ERR_IO, ENAMETOOLONG, "no");
    assert_true(primary_refused(f->p, r->replica, f->now_ms, &x));
    assert_int_equal(x.count, 2);
    assert_int_equal(x.err.id, DR_REPLICA_PERM);
    assert_memory_equal(x.key.p, "a", 1);
    fx_delete(f, "t", "a");
    fx_wait(f, 200);
    fx_ack(f, r, 1);
    assert_true(primary_refused(f->p, r->replica, f->now_ms, &x));
    assert_int_equal(x.count, 1);
    assert_int_equal(x.err.id, DR_INSTALL); /* the disk is well */
    assert_memory_equal(x.key.p, "b", 1);
    primary_replica_remove(f->p, r->replica);
    r->up = false;
    fx_free(f);
}

static void test_a_refused_large_value_counts(void **state)
{
    struct fx *f = fx_new();
    struct primary_refused x;

    (void)state;
    f->streams_by_hand = true;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    fx_begin_large(f, "big");
    fx_nak(f, r, 1);
    assert_true(primary_refused(f->p, r->replica, f->now_ms, &x));
    assert_memory_equal(x.key.p, "big", 3);
    assert_string_equal(x.err.msg, "disk full");
    fx_free(f);
}

static int lines(const struct buf *b)
{
    int n = 0;

    for (size_t i = 0; i < b->len; i++) {
        n += b->data[i] == '\n';
    }
    return n;
}

/* Very many are not all sent again each half minute; but as soon as the replica
 * takes one of them, all have their turn. */
static void test_very_many_refused_keys_wait_for_one_that_is_taken(void **state)
{
    enum { MANY = 300 };
    struct fx *f = fx_new();
    struct primary_refused x;
    char key[16];

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    r->pong = true;
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(key, sizeof key, "k%d", i);
        fx_set(f, "t", key, "1");
        refuse(f, r, (uint64_t)i + 1, ERR_NOSPACE, ENOSPC, "full");
    }
    assert_true(primary_refused(f->p, r->replica, f->now_ms, &x));
    assert_int_equal(x.count, MANY);
    buf_clear(&r->heard);
    fx_wait(f, 150); /* the first of them */
    int first = lines(&r->heard);
    assert_in_range(first, 1, MANY / 2);
    buf_clear(&r->heard);
    fx_ack(f, r, 1);
    fx_tick(f);
    fx_pump(f);
    assert_int_equal(first + lines(&r->heard), MANY);
    fx_free(f);
}

/* What comes later for a refused key waits behind it, and fills no window. */
static void test_what_waits_behind_a_refused_key_stands_aside(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    const struct repl *repl = primary_repl(f->p, r->replica);
    fx_set(f, "t", "a", "1");
    refuse(f, r, 1, ERR_NOSPACE, ENOSPC, "full");
    fx_wait(f, 150);
    fx_set(f, "t", "a", "2"); /* while it is under way again */
    assert_int_equal(repl->flights.count, 2);
    refuse(f, r, 1, ERR_NOSPACE, ENOSPC, "full");
    assert_int_equal(repl->flights.stalled, repl->flights.count);
    fx_set(f, "t", "a", "3");
    assert_int_equal(repl->flights.stalled, repl->flights.count);
    fx_free(f);
}

/* A delete ends what was refused, and does not wait half a minute. */
static void test_news_of_a_refused_key_is_tried_soon(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    fx_set(f, "t", "a", "1");
    r->pong = true;
    refuse_for(f, r, 1, 20000);
    buf_clear(&r->heard);
    fx_delete(f, "t", "a");
    fx_wait(f, 500);
    assert_true(r->heard.len > 0);
    fx_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_refused_key_is_a_state),
        cmocka_unit_test(test_a_refusal_that_is_over_is_no_error_any_more),
        cmocka_unit_test(test_a_refused_key_that_is_deleted_is_over_with_that),
        cmocka_unit_test(test_a_refused_large_value_counts),
        cmocka_unit_test(
            test_very_many_refused_keys_wait_for_one_that_is_taken),
        cmocka_unit_test(test_what_waits_behind_a_refused_key_stands_aside),
        cmocka_unit_test(test_news_of_a_refused_key_is_tried_soon),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
