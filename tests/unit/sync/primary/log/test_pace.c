/* SPDX-License-Identifier: MIT
 *
 * How much may be on its way over a link: slow links hold what they carry in a
 * fraction of a second, fast ones are not held up, whatever they are like.
 *
 * A link here is a queue that is emptied at so many bytes a millisecond, and a
 * way of so many milliseconds there and back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sync/primary/log/pace.h"

enum { MOST = 8 << 20, AHEAD = 8192, FRAME = 1000, ANSWERS = 64 };

struct line {
    struct pace pace;
    int64_t now_ms;
    uint64_t at, carried; /* given to it, and through the queue */
    uint64_t rate;        /* bytes per ms */
    int64_t way_ms;
    uint64_t next_id;
    struct {
        uint64_t id, at;
        int64_t due_ms; /* 0: still in the queue */
    } answers[ANSWERS];
    unsigned answers_count;
};

static void probe(struct line *l)
{
    if (pace_wants_probe(&l->pace, l->at)) {
        l->at += 50;
        pace_probed(&l->pace, ++l->next_id, l->at, l->now_ms);
        assert_true(l->answers_count < ANSWERS);
        l->answers[l->answers_count].id = l->next_id;
        l->answers[l->answers_count].at = l->at;
        l->answers[l->answers_count++].due_ms = 0;
    }
}

/* One millisecond of a sender that always has more. */
static void step(struct line *l)
{
    unsigned n = 0;

    l->now_ms++;
    while (pace_room(&l->pace, l->at) > 0) {
        l->at += FRAME;
        pace_sent(&l->pace, FRAME);
        probe(l);
    }
    l->carried += l->rate;
    l->carried = l->carried < l->at ? l->carried : l->at;
    for (unsigned i = 0; i < l->answers_count; i++) {
        if (l->answers[i].due_ms == 0 && l->answers[i].at <= l->carried) {
            l->answers[i].due_ms = l->now_ms + l->way_ms;
        }
    }
    while (n < l->answers_count && l->answers[n].due_ms != 0 &&
           l->answers[n].due_ms <= l->now_ms) {
        pace_heard(&l->pace, l->answers[n].id, l->at, l->now_ms);
        n++;
    }
    l->answers_count -= n;
    for (unsigned i = 0; i < l->answers_count; i++) {
        l->answers[i] = l->answers[i + n];
    }
}

static void begin(struct line *l, uint64_t rate, int64_t way_ms)
{
    *l = (struct line){.now_ms = 1000, .rate = rate, .way_ms = way_ms};
    pace_begin(&l->pace, 0, MOST, AHEAD);
    probe(l);
    pace_probed(&l->pace, ++l->next_id, 0, l->now_ms); /* the first heartbeat */
    l->answers[l->answers_count].id = l->next_id;
    l->answers[l->answers_count].at = 0;
    l->answers[l->answers_count++].due_ms = 0;
}

/* After `warm_ms`: the longest queue in ms, and of 1000 what was carried. */
static unsigned run(struct line *l, int64_t warm_ms, int64_t *queue_ms)
{
    for (int64_t i = 0; i < warm_ms; i++) {
        step(l);
    }
    uint64_t before = l->carried;

    *queue_ms = 0;
    for (int i = 0; i < 20000; i++) {
        step(l);
        int64_t ms = (int64_t)((l->at - l->carried) / l->rate);
        *queue_ms = ms > *queue_ms ? ms : *queue_ms;
    }
    return (unsigned)((l->carried - before) * 1000 / (20000 * l->rate));
}

static void test_a_slow_link_is_full_and_holds_little(void **state)
{
    static const struct {
        uint64_t rate;
        int64_t way_ms;
    } links[] = {{200, 5}, {200, 80}, {200, 400}, {1000, 20}, {1000, 300}};

    (void)state;
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
        struct line l;
        int64_t queue_ms;
        begin(&l, links[i].rate, links[i].way_ms);
        unsigned used = run(&l, 5000, &queue_ms);
        print_message("%u kB/s, %d ms away: queue %d ms, %u of 1000 carried\n",
                      (unsigned)links[i].rate, (int)links[i].way_ms,
                      (int)queue_ms, used);
        assert_true(queue_ms <= 350);
        assert_true(used >= 980);
    }
}

/* As many as at 16 KiB, which is the least. */
static void test_a_very_slow_link_holds_the_least(void **state)
{
    struct line l;
    int64_t queue_ms;

    (void)state;
    begin(&l, 10, 30);
    unsigned used = run(&l, 60000, &queue_ms);
    print_message("queue %d ms, %u of 1000 carried\n", (int)queue_ms, used);
    assert_true(used >= 980);
    assert_true(queue_ms <= 2 * PACE_MIN_BYTES / 10);
}

static void test_a_fast_link_is_held_up_by_nothing(void **state)
{
    struct line l;
    int64_t queue_ms;

    (void)state;
    begin(&l, 100000, 1);
    unsigned used = run(&l, 300, &queue_ms);
    assert_true(used >= 990);
    assert_true(pace_is_open(&l.pace));
    begin(&l, 40000, 60);
    used = run(&l, 3000, &queue_ms);
    assert_true(used >= 980);
}

/* It becomes slow, and fast again; the way becomes longer for good. */
static void test_it_follows_the_link(void **state)
{
    struct line l;
    int64_t queue_ms;

    (void)state;
    begin(&l, 20000, 10);
    (void)run(&l, 1000, &queue_ms);
    l.rate = 200;
    (void)run(&l, 60000, &queue_ms);
    print_message("queue %d ms\n", (int)queue_ms);
    assert_true(queue_ms <= 300);
    assert_false(pace_is_open(&l.pace));
    l.rate = 20000;
    unsigned used = run(&l, 5000, &queue_ms);
    assert_true(used >= 980);
    l.way_ms = 250;
    used = run(&l, 60000, &queue_ms);
    assert_true(used >= 900);
}

/* What never answers gets no more than the window. */
static void test_without_answers_nothing_follows(void **state)
{
    struct pace p;
    uint64_t at = 0;

    (void)state;
    pace_begin(&p, at, MOST, AHEAD);
    while (pace_room(&p, at) > 0) {
        at += FRAME;
        if (pace_wants_probe(&p, at)) {
            pace_probed(&p, at, at, 1000);
        }
    }
    assert_true(at <= PACE_FIRST_BYTES + FRAME);
    assert_true(pace_ahead(&p) < 100);
    pace_heard(&p, at, at, 1010); /* all of it, at once */
    assert_true(pace_room(&p, at) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_slow_link_is_full_and_holds_little),
        cmocka_unit_test(test_a_very_slow_link_holds_the_least),
        cmocka_unit_test(test_a_fast_link_is_held_up_by_nothing),
        cmocka_unit_test(test_it_follows_the_link),
        cmocka_unit_test(test_without_answers_nothing_follows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
