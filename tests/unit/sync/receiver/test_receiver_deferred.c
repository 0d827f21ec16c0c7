/* SPDX-License-Identifier: MIT
 *
 * The receiver's core and the order of things: a locked key waits aside while
 * others flow, what depends on it stays behind it, a dropped table takes its
 * keys along, and a value that is in place is not written again.
 */
#include "tests/support/receiver_fixture.h"

/* --- locks --------------------------------------------------------------- */

static void a_locked_key_waits_aside_while_others_flow(void **state)
{
    struct rig *g = *state;

    memstore_edit(g->m, "t", "held", "old", 3);
    memstore_lock(g->m, "t", "held", 42, "reader");
    rig_set(g, 1, "t", "held", "new");
    rig_set(g, 2, "t", "b", "1");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_commit(g), 0);
    assert_string_equal(rig_answers(g), "ACK 2\n");
    assert_true(g->again_ms >= 0 && g->again_ms <= 50);
    assert_true(receiver_has_work(g->r));
    rig_change(g, WIRE_DELETE, 3, "t", "b");
    rig_ping(g, 1, 0);
    assert_int_equal(rig_send(g, 0), 0);
    assert_string_equal(rig_answers(g), "PONG 1 keys 1 waiting 1 replaced 0\n");
    assert_int_equal(rig_commit(g), 0);
    assert_string_equal(rig_answers(g), "ACK 3\n");
    assert_value(g, "t", "held", "old");
    memstore_unlock(g->m, "t", "held");
    rig_sleep(g, 100);
    assert_int_equal(rig_commit(g), 0);
    assert_string_equal(rig_answers(g), "ACK 1\n");
    assert_value(g, "t", "held", "new");
    assert_int_equal(g->again_ms, -1);
    assert_index_true(g);
}

static void retries_back_off_to_fifty_milliseconds(void **state)
{
    struct rig *g = *state;
    uint64_t tries;

    memstore_edit(g->m, "t", "held", "old", 3);
    memstore_lock(g->m, "t", "held", 42, "reader");
    rig_set(g, 1, "t", "held", "new");
    assert_int_equal(rig_send(g, 0), 0);
    for (int64_t end = g->now_ms + 1000; g->now_ms < end;) {
        assert_int_equal(rig_commit(g), 0);
        assert_true(g->again_ms > 0 && g->again_ms <= 50);
        rig_sleep(g, g->again_ms);
    }
    tries = g->m->calls[MEMOP_INSTALL];
    assert_true(tries >= 20 && tries <= 40);
    /* Not due: a commit for others does not try again. */
    rig_commit(g);
    tries = g->m->calls[MEMOP_INSTALL];
    rig_change(g, WIRE_TABLE_SET, 2, "u", "");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_commit(g), 0);
    assert_int_equal(g->m->calls[MEMOP_INSTALL], tries);
}

static void a_value_is_synced_once_however_often_it_is_tried(void **state)
{
    struct rig *g = *state;

    memstore_edit(g->m, "t", "held", "old", 3);
    memstore_lock(g->m, "t", "held", 42, "reader");
    rig_set(g, 1, "t", "held", "new");
    assert_int_equal(rig_send(g, 0), 0);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(rig_commit(g), 0);
        rig_sleep(g, 100);
    }
    assert_int_equal(g->m->calls[MEMOP_STAGE_SYNC], 1);
    assert_int_equal(g->m->calls[MEMOP_DIRS_SYNC], 0);
}

static void changes_of_one_key_stay_in_order_behind_a_lock(void **state)
{
    struct rig *g = *state;

    memstore_edit(g->m, "t", "held", "0", 1);
    memstore_lock(g->m, "t", "held", 42, "reader");
    rig_set(g, 1, "t", "held", "1");
    assert_int_equal(rig_send(g, 0), 0);
    for (int i = 0; i < 10; i++) { /* it backs off ... */
        assert_int_equal(rig_commit(g), 0);
        rig_sleep(g, 50);
    }
    assert_int_equal(rig_commit(g), 0);
    rig_set(g, 2, "t", "held", "2");
    rig_change(g, WIRE_DELETE, 3, "t", "held");
    rig_set(g, 4, "t", "held", "4");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_commit(g), 0);
    /* Only the lock is reported, not who waits behind. */
    assert_int_equal(rig_tick(g), 0);
    assert_string_equal(rig_answers(g), "");
    memstore_unlock(g->m, "t", "held");
    for (int i = 0; i < 300; i++) { /* ... while the later ones try soon */
        rig_sleep(g, 1);
        assert_int_equal(rig_commit(g), 0);
    }
    assert_value(g, "t", "held", "4");
    char order[8] = "";
    for (const char *p = rig_answers(g); *p != '\0'; p++) {
        if (*p >= '0' && *p <= '9') {
            assert_true(strlen(order) < sizeof order - 1);
            order[strlen(order)] = *p;
        }
    }
    assert_string_equal(order, "1234");
    assert_false(receiver_has_work(g->r));
    assert_index_true(g);
}

/* Else the agent would not know why they are not acknowledged. */
static void what_waits_for_a_tables_drop_is_reported(void **state)
{
    struct rig *g = *state;

    memstore_edit(g->m, "t", "held", "old", 3);
    memstore_lock(g->m, "t", "held", 42, "reader");
    rig_change(g, WIRE_TABLE_DROP, 1, "t", "");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_commit(g), 0);
    rig_set(g, 2, "t", "new", "1");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_commit(g), 0);
    rig_sleep(g, 1000);
    assert_int_equal(rig_tick(g), 0);
    assert_string_equal(rig_answers(g),
                        "BLOCKED 1 42 reader 1000\nBLOCKED 2 0  1000\n");
}

static void blocked_is_reported_after_a_second_and_then_every_five(void **state)
{
    struct rig *g = *state;

    memstore_edit(g->m, "t", "held", "old", 3);
    memstore_lock(g->m, "t", "held", 42, "reader");
    rig_set(g, 1, "t", "held", "new");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_commit(g), 0);
    rig_sleep(g, 999);
    assert_int_equal(rig_tick(g), 0);
    assert_string_equal(rig_answers(g), "");
    rig_sleep(g, 1);
    assert_int_equal(rig_tick(g), 0);
    assert_string_equal(rig_answers(g), "BLOCKED 1 42 reader 1000\n");
    rig_sleep(g, 4999);
    assert_int_equal(rig_tick(g), 0);
    assert_string_equal(rig_answers(g), "");
    rig_sleep(g, 1);
    assert_int_equal(rig_tick(g), 0);
    assert_string_equal(rig_answers(g), "BLOCKED 1 42 reader 6000\n");
    /* Another holder is news. */
    memstore_lock(g->m, "t", "held", 43, "backup");
    assert_int_equal(rig_commit(g), 0);
    rig_sleep(g, 1000);
    assert_int_equal(rig_tick(g), 0);
    assert_string_equal(rig_answers(g), "BLOCKED 1 43 backup 7000\n");
}

static void policy_wait_never_forces(void **state)
{
    struct rig *g = *state;

    memstore_edit(g->m, "t", "held", "old", 3);
    memstore_lock(g->m, "t", "held", 42, "reader");
    rig_set(g, 1, "t", "held", "new");
    for (int i = 0; i < 100; i++) {
        rig_ping(g, 1, 0);
        assert_int_equal(rig_send(g, 0), 0);
        assert_int_equal(rig_commit(g), 0);
        rig_sleep(g, 10000);
    }
    assert_value(g, "t", "held", "old");
}

static void policy_replace_forces_after_the_timeout_and_counts(void **state)
{
    struct rig *g = *state;

    g->config.policy = LOCK_POLICY_REPLACE;
    g->config.lock_timeout_ms = 2000;
    regreet(g);
    memstore_edit(g->m, "t", "held", "old", 3);
    memstore_edit(g->m, "t", "gone", "old", 3);
    memstore_lock(g->m, "t", "held", 42, "reader");
    memstore_lock(g->m, "t", "gone", 42, "reader");
    rig_set(g, 1, "t", "held", "new");
    rig_change(g, WIRE_DELETE, 2, "t", "gone");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_commit(g), 0);
    rig_sleep(g, 1999);
    assert_int_equal(rig_commit(g), 0);
    assert_string_equal(rig_answers(g), "");
    rig_sleep(g, 51);
    assert_int_equal(rig_commit(g), 0);
    assert_string_equal(rig_answers(g), "ACK 1 2\n");
    assert_value(g, "t", "held", "new");
    assert_value(g, "t", "gone", NULL);
    rig_ping(g, 1, 0);
    assert_int_equal(rig_send(g, 0), 0);
    assert_string_equal(rig_answers(g), "PONG 1 keys 1 waiting 0 replaced 2\n");
}

static void too_many_locked_keys_do_not_stop_the_session(void **state)
{
    struct rig *g = *state;

    g->config.pending_max = 8;
    regreet(g);
    for (uint64_t i = 0; i < 7; i++) {
        char key[2] = {(char)('a' + i), '\0'};
        memstore_edit(g->m, "t", key, "old", 3);
        memstore_lock(g->m, "t", key, 42, "reader");
        rig_set(g, i + 1, "t", key, "new");
    }
    rig_set(g, 9, "t", "free", "new");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_commit(g), 0);
    const char *text = rig_answers(g);
    assert_prefix(text, "NAK 5 TIMEOUT table t, key e: it is locked by process "
                        "42 (reader)");
    assert_non_null(strstr(text, "NAK 7 TIMEOUT "));
    assert_non_null(strstr(text, "\nACK 9\n"));
    assert_false(receiver_full(g->r));
}

/* --- tables -------------------------------------------------------------- */

static void fill_table(struct rig *g, const char *table, int keys)
{
    for (int i = 0; i < keys; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "k%d", i);
        memstore_edit(g->m, table, key, key, strlen(key));
    }
    memstore_scan(g->m, g->ix);
}

static void dropping_a_table_removes_its_keys_and_their_entries(void **state)
{
    struct rig *g = *state;

    fill_table(g, "t", 5);
    fill_table(g, "u", 1);
    rig_change(g, WIRE_TABLE_DROP, 1, "t", "");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_commit(g), 0);
    assert_string_equal(rig_answers(g), "ACK 1\n");
    assert_int_equal(memstore_keys(g->m), 1);
    assert_false(memstore_has_table(g->m, "t"));
    assert_false(memstore_has_table_durable(g->m, "t"));
    assert_index_true(g);
    /* Again, and one that never was: fine. */
    rig_change(g, WIRE_TABLE_DROP, 2, "t", "");
    rig_change(g, WIRE_TABLE_DROP, 3, "never", "");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_commit(g), 0);
    assert_string_equal(rig_answers(g), "ACK 2 3\n");
}

static void dropping_a_large_table_lets_others_pass(void **state)
{
    struct rig *g = *state;

    fill_table(g, "t", 600);
    rig_change(g, WIRE_TABLE_DROP, 1, "t", "");
    rig_set(g, 2, "u", "k", "v");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_commit(g), 0);
    assert_string_equal(rig_answers(g), "ACK 2\n");
    assert_int_equal(g->again_ms, 0);
    assert_int_equal(rig_commit(g), 0);
    assert_int_equal(rig_commit(g), 0);
    assert_string_equal(rig_answers(g), "ACK 1\n");
    assert_int_equal(memstore_keys(g->m), 1);
    assert_index_true(g);
}

static void
a_drop_supersedes_changes_that_wait_and_answers_with_them(void **state)
{
    struct rig *g = *state;

    fill_table(g, "t", 3);
    memstore_lock(g->m, "t", "k0", 42, "reader");
    memstore_lock(g->m, "t", "k1", 42, "reader");
    rig_set(g, 1, "t", "k0", "new");
    rig_change(g, WIRE_DELETE, 2, "t", "k1");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_commit(g), 0);
    rig_change(g, WIRE_TABLE_DROP, 3, "t", "");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_commit(g), 0);
    /* Not acknowledged on credit: the drop waits for the locks itself. */
    assert_string_equal(rig_answers(g), "");
    memstore_unlock(g->m, "t", "k0");
    memstore_unlock(g->m, "t", "k1");
    rig_sleep(g, 100);
    assert_int_equal(rig_settle(g), 0);
    assert_string_equal(rig_answers(g), "ACK 1 2 3\n");
    assert_int_equal(memstore_keys(g->m), 0);
    assert_int_equal(memstore_stages(g->m), 0);
    assert_index_true(g);
}

static void a_set_after_a_waiting_drop_waits_behind_it(void **state)
{
    struct rig *g = *state;

    fill_table(g, "t", 2);
    memstore_lock(g->m, "t", "k1", 42, "reader");
    rig_change(g, WIRE_TABLE_DROP, 1, "t", "");
    rig_change(g, WIRE_TABLE_SET, 2, "t", "");
    rig_set(g, 3, "t", "k0", "k0"); /* the old value again */
    rig_set(g, 4, "u", "k", "v");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_commit(g), 0);
    assert_string_equal(rig_answers(g), "ACK 4\n");
    memstore_unlock(g->m, "t", "k1");
    for (int i = 0; i < 5; i++) {
        rig_sleep(g, 60);
        assert_int_equal(rig_settle(g), 0);
    }
    assert_prefix(rig_answers(g), "ACK 1");
    assert_value(g, "t", "k0", "k0");
    assert_value(g, "t", "k1", NULL);
    assert_true(memstore_has_table_durable(g->m, "t"));
    assert_false(receiver_has_work(g->r));
    assert_index_true(g);
}

static void set_drop_and_set_in_one_group_leave_a_true_index(void **state)
{
    struct rig *g = *state;

    rig_set(g, 1, "t", "a", "1");
    rig_set(g, 2, "t", "b", "1");
    rig_change(g, WIRE_TABLE_DROP, 3, "t", "");
    rig_set(g, 4, "t", "b", "2");
    rig_set(g, 5, "u", "c", "1");
    rig_change(g, WIRE_DELETE, 6, "u", "c");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_commit(g), 0);
    assert_string_equal(rig_answers(g), "ACK 1 2 3 4 5 6\n");
    assert_value(g, "t", "a", NULL);
    assert_value(g, "t", "b", "2");
    assert_index_true(g);
}

static void a_drop_that_fails_refuses_what_it_superseded(void **state)
{
    struct rig *g = *state;

    fill_table(g, "t", 1);
    memstore_lock(g->m, "t", "k0", 42, "reader");
    rig_set(g, 1, "t", "k0", "new");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_commit(g), 0);
    memstore_fail(g->m, MEMOP_TABLE_DROP, 0, 1, ERR_EXISTS, ENOTEMPTY);
    rig_change(g, WIRE_TABLE_DROP, 2, "t", "");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_commit(g), 0);
    assert_prefix(rig_answers(g), "NAK 2 EXISTS table t: injected fault: "
                                  "Directory not empty\nNAK 1 EXISTS ");
}

/* --- the same value ------------------------------------------------------ */

static void the_same_value_is_skipped_when_its_stat_proves_it(void **state)
{
    struct rig *g = *state;

    rig_set(g, 1, "t", "k", "v");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_settle(g), 0);
    uint64_t staged = g->m->calls[MEMOP_STAGE_BEGIN];
    rig_set(g, 2, "t", "k", "v");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_settle(g), 0);
    assert_string_equal(rig_answers(g), "ACK 1\nACK 2\n");
    assert_int_equal(g->m->calls[MEMOP_STAGE_BEGIN], staged);
    assert_int_equal(g->m->calls[MEMOP_DIRS_SYNC], 1);
}

static void an_edited_replica_gets_the_value_again(void **state)
{
    struct rig *g = *state;

    rig_set(g, 1, "t", "k", "v");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_settle(g), 0);
    memstore_edit(g->m, "t", "k", "X", 1);
    rig_set(g, 2, "t", "k", "v");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_settle(g), 0);
    assert_value(g, "t", "k", "v");
    memstore_erase(g->m, "t", "k");
    rig_set(g, 3, "t", "k", "v");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_settle(g), 0);
    assert_value(g, "t", "k", "v");
    assert_string_equal(rig_answers(g), "ACK 1\nACK 2\nACK 3\n");
}

static void
a_skipped_value_that_changed_meanwhile_is_asked_for_again(void **state)
{
    struct rig *g = *state;

    rig_set(g, 1, "t", "k", "v");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_settle(g), 0);
    rig_set(g, 2, "t", "k", "v");
    assert_int_equal(rig_send(g, 0), 0);
    memstore_edit(g->m, "t", "k", "X", 1);
    assert_int_equal(rig_settle(g), 0);
    assert_prefix(rig_answers(g), "ACK 1\nNAK 2 NOTFOUND table t, key k: ");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        GREETED(a_locked_key_waits_aside_while_others_flow),
        GREETED(retries_back_off_to_fifty_milliseconds),
        GREETED(a_value_is_synced_once_however_often_it_is_tried),
        GREETED(changes_of_one_key_stay_in_order_behind_a_lock),
        GREETED(what_waits_for_a_tables_drop_is_reported),
        GREETED(blocked_is_reported_after_a_second_and_then_every_five),
        GREETED(policy_wait_never_forces),
        GREETED(policy_replace_forces_after_the_timeout_and_counts),
        GREETED(too_many_locked_keys_do_not_stop_the_session),
        GREETED(dropping_a_table_removes_its_keys_and_their_entries),
        GREETED(dropping_a_large_table_lets_others_pass),
        GREETED(a_drop_supersedes_changes_that_wait_and_answers_with_them),
        GREETED(a_set_after_a_waiting_drop_waits_behind_it),
        GREETED(set_drop_and_set_in_one_group_leave_a_true_index),
        GREETED(a_drop_that_fails_refuses_what_it_superseded),
        GREETED(the_same_value_is_skipped_when_its_stat_proves_it),
        GREETED(an_edited_replica_gets_the_value_again),
        GREETED(a_skipped_value_that_changed_meanwhile_is_asked_for_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
