/* SPDX-License-Identifier: MIT
 *
 * The primary's core and its comparisons: what a replica is owed, what is not
 * claimed until then, and what a verification finds.
 */
#include "sync/primary/compare/compare.h"
#include "tests/support/plain_key.h"
#include "tests/support/primary_fixture.h"

/* --- what is owed -------------------------------------------------------- */

static void test_lost_events_are_owed_until_a_comparison(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_put(f, "t", "x", "one");
    struct fx_peer *r = fx_real_equal(f);
    fx_put(f, "t", "x", "two");
    fx_index(f); /* the scan after an overflow saw it */
    primary_compare_soon(f->p);
    assert_false(fx_passed(f, r));
    assert_int_equal(fx_lag(f, r), -1);
    int64_t fresh_ns = r->store->fresh_ns;
    f->no_walk = true;
    fx_beat(f, 2);
    assert_int_equal(r->store->fresh_ns, fresh_ns);
    f->no_walk = false;
    fx_beat(f, 4);
    assert_string_equal(fx_there(r, "t", "x"), "two");
    assert_true(fx_passed(f, r));
    assert_int_equal(fx_lag(f, r), 0);
    assert_true(r->store->fresh_ns > fresh_ns);
    fx_free(f);
}

/* The primary lost its last changes: what the replica had more and newer is
 * kept there, counted and named, until the two ends are equal. */
static void test_what_a_suspect_replica_loses_is_kept_and_told(void **state)
{
    struct fx *f = fx_new();
    struct primary_undone u;

    (void)state;
    fx_put(f, "t", "same", "one");
    fx_put(f, "t", "back", "old");
    struct fx_peer *r = fx_real_equal(f);
    assert_false(primary_is_suspect(f->p, r->replica));
    fx_down(f, r);
    memstore_edit(r->store, "t", "back", "newer", 5);
    memstore_edit(r->store, "t", "more", "lost", 4);
    memstore_edit(r->store, "lost", "in a table", "lost", 4);
    fx_put(f, "t", "new", "since then");
    fx_index(f);
    primary_suspect(f->p, r->replica);
    fx_up(f, r);
    assert_true(r->store->keeping);
    fx_beat(f, 6);
    assert_string_equal(fx_there(r, "t", "back"), "old");
    assert_true(fx_passed(f, r));
    assert_int_equal(r->store->undone, 3);
    assert_true(primary_undone(f->p, r->replica, &u));
    assert_int_equal(u.different, 1);
    assert_int_equal(u.extra, 3); /* a table is one, too */
    assert_int_equal(u.names_count, 4);
    /* What comes now is new, and not kept. */
    assert_false(primary_is_suspect(f->p, r->replica));
    assert_false(r->store->keeping);
    fx_set(f, "t", "same", "two");
    fx_beat(f, 2);
    assert_string_equal(fx_there(r, "t", "same"), "two");
    assert_int_equal(r->store->undone, 3);
    primary_undone_forget(f->p, r->replica);
    assert_false(primary_undone(f->p, r->replica, &u));
    fx_free(f);
}

static void test_a_suspect_replica_without_more_is_no_news(void **state)
{
    struct fx *f = fx_new();
    struct primary_undone u;

    (void)state;
    fx_put(f, "t", "x", "one");
    struct fx_peer *r = fx_real_equal(f);
    fx_down(f, r);
    fx_put(f, "t", "y", "missing there");
    fx_index(f);
    primary_suspect(f->p, r->replica);
    fx_up(f, r);
    fx_beat(f, 6);
    assert_true(fx_passed(f, r));
    assert_false(primary_is_suspect(f->p, r->replica));
    assert_false(primary_undone(f->p, r->replica, &u));
    assert_int_equal(r->store->undone, 0);
    fx_free(f);
}

static void test_a_comparison_that_never_finds_quiet_begins_anyway(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_put(f, "t", "x", "one");
    struct fx_peer *r = fx_real_equal(f);
    fx_put(f, "t", "x", "two");
    fx_index(f);
    f->by_hand = true;
    fx_set(f, "t", "b0", "");
    primary_compare_soon(f->p);
    for (int i = 1; i < 40; i++) { /* a read is always under way */
        const char *key = i % 2 != 0 ? "b1" : "b0";
        fx_set(f, "t", key, "value");
        fx_wait(f, 1000);
        while (f->reader_count > 1) {
            fx_answer(f, f->reads[0].table,
                      f->reads[0].is_table ? NULL : f->reads[0].key);
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
        if (fx_passed(f, r)) {
            for (int k = 0; k < 10; k++) {
                char key[8];
                (void)snprintf(key, sizeof key, "k%d", k);
                assert_string_equal(fx_there(r, "t", key), "value");
            }
        }
        fx_beat(f, 1);
    }
    assert_true(fx_passed(f, r));
    fx_free(f);
}

/* A change is on its way to the replica, which is slow to install it; its
 * table is removed, and the replica's place for that is lost.  The comparison
 * sees a replica without the key: it must not stay there after that. */
static void
test_what_is_under_way_when_a_place_is_lost_is_sent_again(void **state)
{
    struct primary_config c;

    (void)state;
    primary_config_default(&c);
    c.log_max_changes = 4;
    struct fx *f = fx_new_with(&c);
    fx_put(f, "t", "x", "one");
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    fx_set(f, "u", "y", "late");
    fx_heard(r, "SET u/y=late #1\n");
    fx_erase(f, "u", "y");
    fx_key(f, true, "u", NULL)->exists = false;
    c.window_changes = 1;
    primary_reconfigure(f->p, &c);
    fx_hint_table(f, "u", false);
    for (int i = 0; i < 10; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "k%d", i);
        fx_set(f, "t", key, "value");
    }
    assert_false(fx_passed(f, r)); /* the places are gone */
    buf_clear(&r->heard);
    fx_ack(f, r, 1);
    buf_put(&r->heard, "", 1);
    assert_non_null(strstr((const char *)r->heard.data, "DELETE u/y "));
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
    assert_false(fx_passed(f, r));
    f->no_walk = false;
    fx_beat(f, 6);
    assert_string_equal(fx_there(r, "t", "x"), "one");
    assert_true(fx_passed(f, r));
    fx_free(f);
}

static void
test_a_table_that_vanished_whole_is_swept_from_the_index(void **state)
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
    fx_beat(f, 20);
    assert_true(digest_equal(index_root(f->ix), index_root(r->index)));
    assert_true(fx_passed(f, r));
    assert_int_equal(fx_lag(f, r), 0);
    fx_free(f);
}

/* The replica has what the primary has not, in a directory it cannot list. */
static void
test_nothing_is_claimed_past_what_a_replica_cannot_name(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_put(f, "t", "x", "one");
    struct fx_peer *r = fx_real_equal(f);
    fx_down(f, r);
    fx_erase(f, "t", "x");
    index_remove(f->ix, index_name_key(&plain_key, "t", 1, "x", 1));
    r->store->names_hidden = true;
    int64_t fresh_ns = r->store->fresh_ns;
    fx_up(f, r);
    for (int i = 0; i < 100; i++) {
        fx_drained(f);
        fx_wait(f, 100);
        assert_false(fx_passed(f, r));
        assert_int_equal(r->store->fresh_ns, fresh_ns);
    }
    r->store->names_hidden = false;
    fx_beat(f, 30);
    assert_string_equal(fx_there(r, "t", "x"), "-");
    assert_true(fx_passed(f, r));
    assert_true(r->store->fresh_ns > fresh_ns);
    fx_free(f);
}

/* The replica has an old value of a key that went away while the comparison
 * looked for its name, and nobody was told yet.  What the barrier asks for is
 * the newer value or its absence: the old one is neither. */
static void check_vanished(bool awaited)
{
    struct fx *f = fx_new();

    fx_put(f, "t", "x", "one");
    struct fx_peer *r = fx_real_equal(f);
    struct fx_peer *dead = fx_scripted(f, 1);
    fx_put(f, "t", "x", "two");
    fx_index(f); /* the scan after an overflow saw it */
    f->no_walk = true;
    primary_compare_soon(f->p);
    if (awaited) { /* the log knows the name, but not for `r` */
        struct record *rec =
            changelog_record(&f->p->log, false, "t", 1, "x", 1);
        fx_down(f, dead);
        sender_hint(f->p, rec, UINT64_C(1) << dead->replica, HINT_CREATED);
    }
    fx_beat(f, 4);
    assert_true(f->walk_id != 0);
    uint64_t barrier = primary_tail(f->p);
    fx_erase(f, "t", "x"); /* the event is still in the queue */
    f->no_walk = false;
    fx_walk(f, true);
    for (int i = 0; i < 100; i++) {
        fx_pump(f);
        if (primary_passed(f->p, r->replica, barrier)) {
            assert_string_equal(fx_there(r, "t", "x"), "-");
        }
        fx_wait(f, 100);
    }
    assert_true(primary_passed(f->p, r->replica, barrier));
    fx_free(f);
}

static void
test_a_key_that_vanished_while_compared_is_compared_again(void **state)
{
    (void)state;
    check_vanished(false);
}

static void
test_a_key_that_vanished_while_compared_is_looked_at_again(void **state)
{
    (void)state;
    check_vanished(true);
}

/* ... also a key that a replica which is not there is still to hear of. */
static void test_a_dead_replicas_changes_keep_nothing_in_the_index(void **state)
{
    struct fx *f = fx_new();
    struct index_entry e;

    (void)state;
    fx_put(f, "t", "x", "one");
    fx_put(f, "u", "y", "one");
    struct fx_peer *r = fx_real_equal(f);
    struct fx_peer *dead = fx_scripted(f, 1);
    fx_down(f, dead);
    fx_set(f, "u", "y", "two"); /* waits for the dead one */
    fx_erase(f, "u", "y");
    fx_key(f, true, "u", NULL)->exists = false;
    fx_hint_table(f, "u", false); /* moved away: no event of the key */
    fx_beat(f, 30);
    assert_true(fx_passed(f, r));
    assert_false(
        index_get(f->ix, index_name_key(&plain_key, "u", 1, "y", 1), &e));
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
    struct fx_peer *r = fx_real_equal(f);
    fx_down(f, r);
    for (int i = 0; i < 5; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "k%d", i);
        fx_erase(f, "t", key);
        index_remove(f->ix,
                     index_name_key(&plain_key, "t", 1, key, strlen(key)));
    }
    int64_t fresh_ns = r->store->fresh_ns;
    fx_up(f, r);
    fx_beat(f, 5);
    primary_status(f->p, r->replica, f->now_ms, &s);
    assert_int_equal(s.state, REPLICA_HELD);
    assert_int_equal(s.held_deletes, 5);
    assert_string_equal(fx_there(r, "t", "k0"), "value");
    assert_false(fx_passed(f, r));
    assert_int_equal(r->store->fresh_ns, fresh_ns);
    fx_set(f, "t", "new", "value"); /* sets keep flowing */
    assert_string_equal(fx_there(r, "t", "new"), "value");
    assert_int_equal(
        primary_approve(f->p, r->replica, 0, f->now_ms, &count, &err), 0);
    assert_int_equal(count, 5);
    f->no_names = true;
    fx_beat(f, 2);
    assert_false(fx_passed(f, r)); /* approved is not yet done */
    assert_int_equal(fx_lag(f, r), -1);
    assert_int_equal(r->store->fresh_ns, fresh_ns);
    f->no_names = false;
    fx_beat(f, 3);
    assert_string_equal(fx_there(r, "t", "k0"), "-");
    assert_true(fx_passed(f, r));
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
    struct fx_peer *r = fx_real_equal(f);
    fx_down(f, r);
    struct index_entry keep[2];
    assert_true(
        index_get(f->ix, index_name_key(&plain_key, "t", 1, "a", 1), &keep[0]));
    assert_true(
        index_get(f->ix, index_name_key(&plain_key, "t", 1, "b", 1), &keep[1]));
    for (int i = 0; i < 2; i++) {
        index_remove(f->ix, keep[i].name);
    }
    fx_up(f, r);
    fx_beat(f, 5);
    primary_status(f->p, r->replica, f->now_ms, &s);
    assert_int_equal(s.held_deletes, 2);
    fx_hint(f, "t", "a", HINT_COMMITTED); /* they are there after all */
    fx_hint(f, "t", "b", HINT_COMMITTED);
    fx_beat(f, 5);
    primary_status(f->p, r->replica, f->now_ms, &s);
    assert_int_equal(s.held_deletes, 0);
    assert_int_equal(s.state, REPLICA_STREAMING);
    assert_true(fx_passed(f, r));
    fx_free(f);
}

static void test_nothing_is_claimed_while_the_index_is_stale(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_put(f, "t", "x", "one");
    struct fx_peer *r = fx_real_equal(f);
    fx_put(f, "t", "x", "two"); /* its event was lost */
    primary_index_stale(f->p);
    for (int i = 0; i < 20; i++) {
        fx_wait(f, 1000);
        assert_false(fx_passed(f, r));
        assert_int_equal(fx_lag(f, r), -1);
    }
    fx_ready(f); /* the scan saw it */
    fx_beat(f, 5);
    assert_string_equal(fx_there(r, "t", "x"), "two");
    assert_true(fx_passed(f, r));
    assert_int_equal(fx_lag(f, r), 0);
    fx_free(f);
}

static void
test_what_was_read_before_events_were_lost_is_read_again(void **state)
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
    assert_false(
        index_get(f->ix, index_name_key(&plain_key, "t", 1, "x", 1), &e));
    fx_free(f);
}

static void
test_what_is_on_its_way_when_events_are_lost_is_sent_again(void **state)
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
    struct fx_peer *r = fx_real_equal(f);
    fx_down(f, r);
    fx_erase(f, "t", "a");
    fx_erase(f, "t", "b");
    index_remove(f->ix, index_name_key(&plain_key, "t", 1, "a", 1));
    index_remove(f->ix, index_name_key(&plain_key, "t", 1, "b", 1));
    fx_up(f, r);
    fx_beat(f, 5);
    f->no_names = true;
    struct compare_options o = {.mode = COMPARE_REPAIR};
    int64_t id = primary_compare(f->p, r->replica, &o, f->now_ms, &err);
    assert_true(id > 0);
    fx_pump(f);
    primary_compare_free(f->p, (uint64_t)id); /* its client went away */
    f->no_names = false;
    fx_beat(f, 10);
    primary_status(f->p, r->replica, f->now_ms, &s);
    assert_int_equal(s.held_deletes, 2);
    assert_string_equal(fx_there(r, "t", "a"), "1");
    fx_free(f);
}

static void
test_what_the_replica_only_believes_to_have_makes_it_scan(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_put(f, "t", "x", "one");
    fx_put(f, "t", "y", "one");
    struct fx_peer *r = fx_real_equal(f);
    memstore_erase(r->store, "t", "x"); /* by hand; its index has it yet */
    fx_erase(f, "t", "x");
    index_remove(f->ix, index_name_key(&plain_key, "t", 1, "x", 1));
    primary_compare_soon(f->p);
    fx_beat(f, 20);
    assert_true(digest_equal(index_root(f->ix), index_root(r->index)));
    assert_true(fx_passed(f, r));
    fx_free(f);
}

/* --- verify -------------------------------------------------------------- */

static void test_verify_finds_what_differs_and_changes_nothing(void **state)
{
    struct fx *f = fx_new();
    struct compare_options o = {
        .mode = COMPARE_VERIFY, .scan = true, .content = true, .names_max = 2};
    struct err err;

    (void)state;
    fx_put(f, "t", "a", "1");
    fx_put(f, "t", "b", "1");
    struct fx_peer *r = fx_real_equal(f);
    memstore_edit(r->store, "t", "a", "2", 1);
    memstore_erase(r->store, "t", "b");
    memstore_edit(r->store, "t", "c", "1", 1);
    int64_t id = primary_compare(f->p, r->replica, &o, f->now_ms, &err);
    assert_true(id > 0);
    fx_pump(f);
    assert_int_equal(f->compared, id);
    const struct compare_result *res =
        primary_compare_result(f->p, (uint64_t)id);
    assert_true(res->done && !res->failed);
    assert_int_equal(res->missing, 1);
    assert_int_equal(res->extra, 1);
    assert_int_equal(res->different, 1);
    assert_int_equal(res->names_count, 2); /* as many as were asked for */
    assert_string_equal(fx_there(r, "t", "a"), "2");
    assert_string_equal(fx_there(r, "t", "b"), "-");
    assert_string_equal(fx_there(r, "t", "c"), "1");
    primary_compare_free(f->p, (uint64_t)id);
    assert_null(primary_compare_result(f->p, (uint64_t)id));
    fx_free(f);
}

static void left(struct fx *f, const char *table, const char *key)
{
    assert_true(primary_hint_skipped(f->p, bytes_of(table, strlen(table)),
                                     bytes_of(key, strlen(key)), f->now_ms));
    fx_pump(f);
}

/* Keys that the first scan left are read once: for the index, and for the
 * replica that came with nothing. */
static void test_a_blank_replica_gets_what_the_first_scan_leaves(void **state)
{
    struct fx *f = fx_new();
    struct fx_peer *r = fx_add(f, 0, true);
    struct primary_counts before, after;

    (void)state;
    fx_put(f, "t", "a", "one");
    fx_put(f, "t", "b", "two");
    fx_key(f, true, "t", "")->exists = true;
    assert_int_equal(primary_skip_room(f->p), -1);
    fx_up(f, r);
    fx_beat(f, 2);
    assert_true(primary_skip_room(f->p) > 0);
    primary_counts(f->p, &before);
    left(f, "t", "a");
    left(f, "t", "b");
    left(f, "t", "gone meanwhile");
    primary_counts(f->p, &after);
    assert_int_equal(after.values_read - before.values_read, 2);
    assert_string_equal(fx_there(r, "t", "a"), "one");
    assert_string_equal(fx_there(r, "t", "b"), "two");
    assert_int_equal(index_count(f->ix), 2);
    assert_false(fx_passed(f, r)); /* it is equal only when compared */
    primary_index_ready(f->p, f->now_ms);
    assert_int_equal(primary_skip_room(f->p), -1);
    fx_drained(f);
    fx_beat(f, 5);
    assert_true(fx_passed(f, r));
    assert_int_equal(fx_lag(f, r), 0);
    fx_free(f);
}

/* A replica that has something is compared, whatever the scan leaves. */
static void test_only_a_blank_replica_makes_room_for_what_is_left(void **state)
{
    struct fx *f = fx_new();
    struct fx_peer *r = fx_add(f, 0, false);
    struct wire_ready ready = {.keys = 3};

    (void)state;
    fx_up(f, r);
    wire_put_ready(&r->say, &ready);
    fx_pump(f);
    assert_int_equal(primary_skip_room(f->p), -1);
    fx_put(f, "t", "a", "one");
    left(f, "t", "a");
    fx_heard(r, "");
    assert_int_equal(index_count(f->ix), 1);
    fx_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lost_events_are_owed_until_a_comparison),
        cmocka_unit_test(test_what_a_suspect_replica_loses_is_kept_and_told),
        cmocka_unit_test(test_a_suspect_replica_without_more_is_no_news),
        cmocka_unit_test(test_a_blank_replica_gets_what_the_first_scan_leaves),
        cmocka_unit_test(test_only_a_blank_replica_makes_room_for_what_is_left),
        cmocka_unit_test(
            test_a_comparison_that_never_finds_quiet_begins_anyway),
        cmocka_unit_test(test_a_place_lost_while_comparing_is_owed_again),
        cmocka_unit_test(
            test_what_is_under_way_when_a_place_is_lost_is_sent_again),
        cmocka_unit_test(test_an_incomplete_walk_proves_nothing),
        cmocka_unit_test(
            test_a_table_that_vanished_whole_is_swept_from_the_index),
        cmocka_unit_test(
            test_nothing_is_claimed_past_what_a_replica_cannot_name),
        cmocka_unit_test(
            test_a_key_that_vanished_while_compared_is_compared_again),
        cmocka_unit_test(
            test_a_key_that_vanished_while_compared_is_looked_at_again),
        cmocka_unit_test(
            test_a_dead_replicas_changes_keep_nothing_in_the_index),
        cmocka_unit_test(test_held_deletes_are_not_counted_as_done),
        cmocka_unit_test(test_a_hold_ends_when_there_is_nothing_left_to_delete),
        cmocka_unit_test(test_nothing_is_claimed_while_the_index_is_stale),
        cmocka_unit_test(
            test_what_was_read_before_events_were_lost_is_read_again),
        cmocka_unit_test(
            test_what_is_on_its_way_when_events_are_lost_is_sent_again),
        cmocka_unit_test(test_a_hold_survives_a_repair_that_was_given_up),
        cmocka_unit_test(
            test_what_the_replica_only_believes_to_have_makes_it_scan),
        cmocka_unit_test(test_verify_finds_what_differs_and_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
