/* SPDX-License-Identifier: MIT
 *
 * coverage: when it may be said that everything was seen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "agent/daemon/coverage.h"

static const struct coverage_scan FULL = {.took_ms = 10};

/* A started agent that has seen everything. */
static struct coverage started(void)
{
    struct coverage c = {.root = ROOT_LOST};

    coverage_root_found(&c);
    (void)coverage_root_here(&c);
    (void)coverage_scan(&c, true, 0, 0);
    assert_true(coverage_scan_ended(&c, 100, &FULL).ready);
    assert_true(coverage_complete(&c) && coverage_sees_all(&c, 0));
    return c;
}

static void nothing_is_seen_before_the_first_scan(void **state)
{
    struct coverage c = {.root = ROOT_LOST};

    (void)state;
    coverage_root_found(&c);
    assert_false(coverage_complete(&c));
    struct coverage_back back = coverage_root_here(&c);
    assert_false(back.was_here || back.was_missed);
    assert_true(coverage_scan(&c, true, 0, 0));
    assert_false(coverage_complete(&c) || coverage_sees_all(&c, 0));
    struct coverage_next next = coverage_scan_ended(&c, 100, &FULL);
    assert_true(next.ready && !next.moved && !next.readable);
    assert_true(coverage_complete(&c) && coverage_sees_all(&c, 0));
    assert_false(coverage_scan(&c, false, 200, 0));
    assert_false(coverage_scan_ended(&c, 300, &FULL).ready);
}

static void lost_events_are_owed_a_scan_that_began_later(void **state)
{
    struct coverage c = started();

    (void)state;
    coverage_stale(&c);
    coverage_wait(&c, true);
    assert_true(coverage_waits(&c));
    assert_false(coverage_complete(&c) || coverage_sees_all(&c, 0));
    /* One that ran then proves nothing. */
    assert_false(coverage_scan_ended(&c, 200, &FULL).ready);
    assert_false(coverage_sees_all(&c, 0));
    (void)coverage_scan(&c, false, 300, 0);
    assert_false(coverage_waits(&c));
    assert_false(coverage_sees_all(&c, 0));
    /* Nor does one while another is asked for. */
    const struct coverage_scan another = {.another = true};
    assert_false(coverage_scan_ended(&c, 400, &another).ready);
    assert_false(coverage_sees_all(&c, 0));
    assert_true(coverage_scan_ended(&c, 500, &FULL).ready);
    assert_true(coverage_complete(&c) && coverage_sees_all(&c, 0));
}

/* A periodic scan owes nothing: what was seen stays seen. */
static void a_scan_in_good_times_takes_nothing_back(void **state)
{
    struct coverage c = started();

    (void)state;
    coverage_wait(&c, false);
    assert_true(coverage_complete(&c) && coverage_sees_all(&c, 0));
    (void)coverage_scan(&c, false, 200, 0);
    assert_true(coverage_complete(&c) && coverage_sees_all(&c, 0));
}

static void a_failed_scan_pays_no_debt_and_is_tried_again(void **state)
{
    struct coverage c = started();

    (void)state;
    coverage_wait(&c, true);
    (void)coverage_scan(&c, true, 1000, 0);
    assert_false(coverage_due(&c, INT64_MAX));
    coverage_scan_failed(&c, 2000, 1);
    assert_false(coverage_sees_all(&c, 0));
    assert_false(coverage_due(&c, 2000 + COVERAGE_FAILED_MS - 1));
    assert_true(coverage_due(&c, 2000 + COVERAGE_FAILED_MS));
    assert_false(coverage_due(&c, INT64_MAX)); /* tells once */
    coverage_root_lost(&c);
    coverage_scan_failed(&c, 3000, 1); /* the root's return brings one */
    assert_false(coverage_due(&c, INT64_MAX));
}

static void a_lost_root_is_seen_again_after_a_scan(void **state)
{
    struct coverage c = started();

    (void)state;
    coverage_wait(&c, true);
    coverage_root_lost(&c);
    assert_false(coverage_waits(&c) || coverage_sees_all(&c, 0));
    coverage_root_found(&c);
    assert_false(coverage_complete(&c) || coverage_sees_all(&c, 0));
    struct coverage_back back = coverage_root_here(&c);
    assert_true(back.was_here && back.was_missed);
    coverage_stale(&c);
    (void)coverage_scan(&c, true, 200, 0);
    assert_false(coverage_complete(&c) || coverage_sees_all(&c, 0));
    assert_true(coverage_scan_ended(&c, 300, &FULL).ready);
    assert_true(coverage_complete(&c) && coverage_sees_all(&c, 0));
    assert_false(coverage_root_here(&c).was_missed); /* told once */
}

/* Each alone is enough. */
static void without_a_root_or_an_index_nothing_is_claimed(void **state)
{
    const struct coverage_scan moved = {.moved = true};
    struct coverage c = started();

    (void)state;
    coverage_stale(&c);
    assert_false(coverage_complete(&c));
    c = started();
    coverage_root_lost(&c);
    assert_false(coverage_complete(&c) || coverage_sees_all(&c, 0));
    coverage_notes_missed(&c);
    assert_false(coverage_scan_ended(&c, 200, &moved).moved);
}

static void a_suspicion_is_told_once_and_only_of_our_root(void **state)
{
    struct coverage c = started();

    (void)state;
    assert_false(coverage_take_suspect(&c));
    coverage_suspect(&c);
    assert_true(coverage_take_suspect(&c));
    assert_false(coverage_take_suspect(&c));
    coverage_root_lost(&c);
    coverage_suspect(&c);
    assert_false(coverage_take_suspect(&c));
}

static void what_cannot_be_read_is_looked_at_until_it_can(void **state)
{
    struct coverage c = started();
    const struct coverage_scan locked = {.incomplete = 2, .took_ms = 1000};

    (void)state;
    (void)coverage_scan(&c, false, 200, 0);
    struct coverage_next next = coverage_scan_ended(&c, 10000, &locked);
    assert_false(next.readable || coverage_sees_all(&c, 0));
    assert_true(coverage_complete(&c)); /* nothing is owed that could be paid */
    assert_false(coverage_poll_due(&c, 0, 10000 + 4999));
    assert_true(coverage_poll_due(&c, 0, 10000 + 5000));
    coverage_wait(&c, false);
    assert_false(coverage_poll_due(&c, 0, 20000)); /* it is on its way */
    (void)coverage_scan(&c, false, 20000, 0);
    /* What was written there meanwhile raised no event: once more. */
    next = coverage_scan_ended(&c, 21000, &FULL);
    assert_true(next.readable && coverage_waits(&c));
    assert_false(coverage_sees_all(&c, 0));
    (void)coverage_scan(&c, false, 22000, 0);
    assert_false(coverage_scan_ended(&c, 23000, &FULL).readable);
    assert_true(coverage_sees_all(&c, 0));
}

static void unwatched_directories_are_scanned_again(void **state)
{
    struct coverage c = started();

    (void)state;
    assert_false(coverage_sees_all(&c, 1));
    assert_true(coverage_scanned_all(&c));
    assert_false(coverage_poll_due(&c, 1, 100 + COVERAGE_POLL_MS - 1));
    assert_true(coverage_poll_due(&c, 1, 100 + COVERAGE_POLL_MS));
    assert_false(coverage_poll_due(&c, 0, INT64_MAX));
    coverage_stale(&c);
    assert_false(coverage_poll_due(&c, 1, INT64_MAX));
}

static void
tables_that_move_under_an_untold_scan_are_scanned_again(void **state)
{
    struct coverage c = {.root = ROOT_LOST};
    const struct coverage_scan moved = {.moved = true};

    (void)state;
    coverage_root_found(&c);
    (void)coverage_root_here(&c);
    (void)coverage_scan(&c, true, 0, 0);
    struct coverage_next next = coverage_scan_ended(&c, 100, &moved);
    assert_true(next.moved && !next.ready && coverage_waits(&c));
    (void)coverage_scan(&c, false, 200, 0);
    /* Not the first one, and its notes are told: they put that right. */
    next = coverage_scan_ended(&c, 300, &moved);
    assert_true(!next.moved && next.ready);
    coverage_notes_missed(&c);
    assert_true(coverage_scan_ended(&c, 400, &moved).moved);
    (void)coverage_scan(&c, false, 500, 0);
    assert_false(coverage_scan_ended(&c, 600, &moved).moved);
}

static void a_scan_is_due_after_the_pause(void **state)
{
    struct coverage c = started();

    (void)state;
    (void)coverage_scan(&c, false, 1000, 500);
    assert_false(coverage_due(&c, 1499));
    assert_true(coverage_due(&c, 1500));
    coverage_every(&c, 2000, 100);
    assert_true(coverage_due(&c, 2100));
    coverage_every(&c, 3000, 100);
    coverage_every(&c, 3000, 0);
    assert_false(coverage_due(&c, INT64_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_seen_before_the_first_scan),
        cmocka_unit_test(lost_events_are_owed_a_scan_that_began_later),
        cmocka_unit_test(a_scan_in_good_times_takes_nothing_back),
        cmocka_unit_test(a_failed_scan_pays_no_debt_and_is_tried_again),
        cmocka_unit_test(a_lost_root_is_seen_again_after_a_scan),
        cmocka_unit_test(without_a_root_or_an_index_nothing_is_claimed),
        cmocka_unit_test(a_suspicion_is_told_once_and_only_of_our_root),
        cmocka_unit_test(what_cannot_be_read_is_looked_at_until_it_can),
        cmocka_unit_test(unwatched_directories_are_scanned_again),
        cmocka_unit_test(
            tables_that_move_under_an_untold_scan_are_scanned_again),
        cmocka_unit_test(a_scan_is_due_after_the_pause),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
