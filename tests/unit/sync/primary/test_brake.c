/* SPDX-License-Identifier: MIT
 *
 * The brake: what it holds, what it lets through, and what an approval is good
 * for. */
#include "tests/support/plain_key.h"
#include "tests/support/primary_fixture.h"

enum { KEYS = 20 };

static const char *name_of(int i)
{
    static char name[16];

    (void)snprintf(name, sizeof name, "k%02d", i);
    return name;
}

/* KEYS keys, equal on one replica; more than 2 and more than 20 % is too much.
 */
static struct fx *begin(struct fx_peer **r_out)
{
    struct primary_config c;

    primary_config_default(&c);
    c.brake_min = 2;
    struct fx *f = fx_new_with(&c);
    for (int i = 0; i < KEYS; i++) {
        fx_put(f, "t", name_of(i), "value");
    }
    *r_out = fx_real_equal(f);
    return f;
}

static void lose(struct fx *f, int from, int to)
{
    for (int i = from; i < to; i++) {
        fx_delete(f, "t", name_of(i));
    }
}

static int kept(const struct fx_peer *r, int from, int to)
{
    int n = 0;

    for (int i = from; i < to; i++) {
        n += strcmp(fx_there(r, "t", name_of(i)), "value") == 0;
    }
    return n;
}

static struct primary_held held(struct fx *f, const struct fx_peer *r)
{
    struct primary_held h;

    if (!primary_held(f->p, r->replica, f->now_ms, &h)) {
        assert_int_equal(h.held, 0);
    }
    return h;
}

static enum replica_state state_of(struct fx *f, const struct fx_peer *r)
{
    struct replica_status s;

    primary_status(f->p, r->replica, f->now_ms, &s);
    return s.state;
}

static uint64_t approve(struct fx *f, const struct fx_peer *r, uint64_t token)
{
    uint64_t count = 0;
    struct err err;

    assert_int_equal(
        primary_approve(f->p, r->replica, token, f->now_ms, &count, &err), 0);
    fx_beat(f, 15);
    return count;
}

static void test_a_burst_of_deletes_is_held_and_sets_flow(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    lose(f, 0, 15);
    assert_int_equal(state_of(f, r), REPLICA_HELD);
    assert_int_equal(kept(r, 0, 15), 11); /* 4 of 20 are 20 % */
    fx_set(f, "t", "new", "flows");
    assert_string_equal(fx_there(r, "t", "new"), "flows");
    fx_beat(f, 15);
    struct primary_held h = held(f, r);
    assert_int_equal(h.held, 11);
    assert_int_equal(h.shown, 11);
    assert_int_not_equal(h.token, 0);
    assert_int_equal(h.tables_count, 1);
    assert_int_equal(h.tables[0].count, 11);
    assert_memory_equal(h.tables[0].table.p, "t", 1);
    assert_int_equal(h.names_count, 11);
    assert_int_equal(h.names[0].key.len, 3);
    assert_false(fx_passed(f, r));
    assert_int_equal(approve(f, r, h.token), 11);
    assert_int_equal(kept(r, 0, 15), 0);
    assert_int_equal(state_of(f, r), REPLICA_STREAMING);
    assert_true(fx_passed(f, r));
    fx_free(f);
}

static void test_keys_that_come_and_go_trip_nothing(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < KEYS; i++) {
            fx_delete(f, "t", name_of(i));
            fx_set(f, "t", name_of(i), "value");
        }
        fx_beat(f, 1);
    }
    assert_int_equal(state_of(f, r), REPLICA_STREAMING);
    assert_int_equal(kept(r, 0, KEYS), KEYS);
    fx_free(f);
}

static void test_slow_losses_trip_nothing(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    for (int i = 0; i < 18; i += 2) {
        lose(f, i, i + 2);
        fx_beat(f, 130);
    }
    assert_int_equal(state_of(f, r), REPLICA_STREAMING);
    assert_int_equal(kept(r, 0, 18), 0);
    fx_free(f);
}

static void test_an_approval_is_for_what_was_shown(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    lose(f, 0, 12);
    fx_beat(f, 15);
    uint64_t token = held(f, r).token;
    assert_int_equal(held(f, r).shown, 8);
    lose(f, 12, 14);                      /* later: not shown */
    fx_set(f, "t", name_of(11), "value"); /* is there again */
    fx_beat(f, 15);
    assert_int_equal(held(f, r).shown, 9);
    assert_int_not_equal(held(f, r).token, token);
    assert_int_equal(approve(f, r, token), 7);
    assert_int_equal(kept(r, 0, 11), 0);
    assert_int_equal(kept(r, 11, 14), 3);
    assert_int_equal(state_of(f, r), REPLICA_HELD); /* however few they are */
    assert_int_equal(held(f, r).shown, 2);
    assert_int_equal(approve(f, r, 0), 2);
    assert_int_equal(state_of(f, r), REPLICA_STREAMING);
    assert_int_equal(kept(r, 0, KEYS), 7);
    fx_free(f);
}

static void test_what_came_back_and_went_again_is_not_approved(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    lose(f, 0, 12);
    fx_beat(f, 15);
    uint64_t token = held(f, r).token;
    fx_set(f, "t", name_of(11), "value");
    fx_beat(f, 15);
    lose(f, 11, 12);
    fx_beat(f, 15);
    assert_int_equal(held(f, r).shown, 8); /* the same names ... */
    assert_int_equal(approve(f, r, token), 7);
    assert_int_equal(kept(r, 11, 12), 1); /* ... but not the same deletes */
    fx_free(f);
}

static void test_another_token_approves_nothing(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);
    uint64_t count;
    struct err err;

    (void)state;
    assert_int_equal(
        primary_approve(f->p, r->replica, 0, f->now_ms, &count, &err),
        ERR_NOTFOUND);
    lose(f, 0, 12);
    fx_beat(f, 15);
    assert_int_equal(primary_approve(f->p, r->replica, held(f, r).token + 1,
                                     f->now_ms, &count, &err),
                     ERR_REFUSED);
    assert_int_equal(err.id, DR_BRAKE);
    fx_beat(f, 15);
    assert_int_equal(kept(r, 0, 12), 8);
    fx_free(f);
}

/* What a restart of the agent leaves: the note, and another core. */
static void restart(struct fx *f, struct fx_peer *r, uint64_t noted)
{
    struct replica_options o = {.name = "r0"};
    struct err err;

    fx_down(f, r);
    primary_replica_remove(f->p, r->replica);
    r->replica = primary_replica_add(f->p, &o, f->now_ms, &err);
    assert_true(r->replica >= 0);
    if (noted > 0) {
        primary_brake_on(f->p, r->replica, noted, f->now_ms - 5000);
    }
    fx_up(f, r);
}

static void test_the_brake_outlives_the_agent(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    lose(f, 0, 7); /* 4 went, 3 are held: fewer than a comparison would hold */
    fx_beat(f, 15);
    uint64_t token = held(f, r).token;
    restart(f, r, held(f, r).held);
    assert_int_equal(state_of(f, r), REPLICA_HELD);
    assert_int_equal(held(f, r).since_ms, 5000);
    fx_beat(f, 15);
    assert_int_equal(kept(r, 0, 7), 3);
    assert_int_equal(held(f, r).token, token); /* the same set */
    /* One more: the old token is not for that, and no longer for anything. */
    restart(f, r, 3);
    lose(f, 7, 8);
    fx_beat(f, 15);
    assert_int_not_equal(held(f, r).token, token);
    uint64_t count;
    struct err err;
    restart(f, r, 3);
    fx_beat(f, 15);
    assert_int_equal(
        primary_approve(f->p, r->replica, token, f->now_ms, &count, &err),
        ERR_REFUSED);
    assert_int_equal(approve(f, r, 0), 4);
    assert_int_equal(kept(r, 0, 8), 0);
    assert_int_equal(state_of(f, r), REPLICA_STREAMING);
    fx_free(f);
}

static void test_nothing_is_approved_before_it_was_compared(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);
    uint64_t count;
    struct err err;

    (void)state;
    fx_down(f, r);
    primary_brake_on(f->p, r->replica, 12, f->now_ms);
    assert_int_equal(
        primary_approve(f->p, r->replica, 0, f->now_ms, &count, &err),
        ERR_REFUSED);
    fx_free(f);
}

static void test_the_brake_goes_off_when_all_is_back(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    lose(f, 0, 12);
    fx_beat(f, 15);
    for (int i = 4; i < 12; i++) {
        fx_set(f, "t", name_of(i), "value");
    }
    fx_beat(f, 15);
    assert_int_equal(state_of(f, r), REPLICA_STREAMING);
    assert_int_equal(kept(r, 0, KEYS), 16);
    fx_free(f);
}

static void test_a_table_stays_with_keys_that_are_not_approved(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    fx_set(f, "u", "x", "value");
    fx_beat(f, 2);
    lose(f, 0, KEYS);
    fx_hint_table(f, "t", false);
    fx_beat(f, 15);
    assert_int_equal(held(f, r).shown, 17); /* 16 keys and the table */
    uint64_t token = held(f, r).token;
    fx_set(f, "t", "late", "value");
    fx_beat(f, 5);
    fx_delete(f, "t", "late");
    fx_hint_table(f, "t", false);
    fx_beat(f, 15);
    (void)approve(f, r, token);
    assert_int_equal(kept(r, 0, KEYS), 0);
    assert_string_equal(fx_there(r, "t", "late"), "value");
    (void)approve(f, r, 0);
    assert_string_equal(fx_there(r, "t", "late"), "-");
    assert_int_equal(state_of(f, r), REPLICA_STREAMING);
    assert_true(digest_equal(index_root(f->ix), index_root(r->index)));
    fx_free(f);
}

static void test_with_a_stale_index_few_deletes_go_and_no_table(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    fx_put(f, "u", "x", "value"); /* of which no event told */
    primary_index_stale(f->p);
    lose(f, 0, 3);
    assert_int_equal(kept(r, 0, 3), 0);
    lose(f, 3, 15);
    fx_hint_table(f, "t", false); /* were it so */
    assert_int_equal(kept(r, 0, KEYS), 16);
    fx_hint_table(f, "t", true);
    fx_ready(f);
    fx_beat(f, 15);
    assert_int_equal(state_of(f, r), REPLICA_HELD);
    assert_int_equal(kept(r, 0, KEYS), 16);
    fx_free(f);
}

/* The table moves: its directory is gone from its place, and nobody knows yet
 * how much that is. */
static uint64_t move_away(struct fx *f)
{
    uint64_t move = primary_moving(f->p);

    for (int i = 0; i < KEYS; i++) {
        fx_erase(f, "t", name_of(i));
    }
    fx_hint_table(f, "t", false);
    return move;
}

static void report_moved(struct fx *f, const char *to)
{
    for (int i = 0; i < KEYS; i++) {
        if (to != NULL) {
            fx_set(f, to, name_of(i), "value");
        }
        primary_hint_moved(f->p, "t", 1, name_of(i), 3, f->now_ms);
        fx_pump(f);
    }
}

static void test_a_table_that_moved_out_is_held_whole(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    fx_set(f, "u", "x", "value");
    fx_beat(f, 2);
    uint64_t move = move_away(f);
    fx_beat(f, 2);
    assert_int_equal(kept(r, 0, KEYS), KEYS);
    report_moved(f, NULL);
    fx_beat(f, 2);
    assert_int_equal(kept(r, 0, KEYS), KEYS);
    assert_false(fx_passed(f, r));
    /* Others are not waited for. */
    fx_set(f, "u", "y", "flows");
    assert_string_equal(fx_there(r, "u", "y"), "flows");
    primary_moved(f->p, move, f->now_ms);
    fx_beat(f, 15);
    assert_int_equal(kept(r, 0, KEYS), KEYS);
    assert_int_equal(state_of(f, r), REPLICA_HELD);
    assert_int_equal(held(f, r).shown, KEYS + 1);
    (void)approve(f, r, 0);
    assert_int_equal(kept(r, 0, KEYS), 0);
    fx_free(f);
}

/* Moves that asked for no delete leave no gate behind: the next one has its
 * own. */
static void test_moves_without_deletes_use_up_nothing(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    for (int i = 0; i < 2 * GATES_MAX; i++) {
        uint64_t move = primary_moving(f->p);
        assert_int_not_equal(move, 0);
        primary_moved(f->p, move, f->now_ms);
    }
    (void)move_away(f);
    fx_beat(f, 2);
    assert_int_equal(kept(r, 0, KEYS), KEYS);
    fx_free(f);
}

/* Its table waits in the log since before the move, with the place of then. */
static void test_an_older_place_in_the_log_waits_for_the_move(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    f->by_hand = true;
    fx_hint_table(f, "t", true);
    uint64_t move = move_away(f);
    f->by_hand = false;
    fx_answer(f, "t", NULL);
    fx_beat(f, 3);
    assert_int_equal(kept(r, 0, KEYS), KEYS);
    report_moved(f, NULL);
    primary_moved(f->p, move, f->now_ms);
    fx_beat(f, 15);
    assert_int_equal(kept(r, 0, KEYS), KEYS);
    assert_int_equal(state_of(f, r), REPLICA_HELD);
    fx_free(f);
}

/* Within the brake's bounds. */
static void test_a_move_waits_for_no_other(void **state)
{
    struct primary_config c;
    struct fx_peer *r;

    (void)state;
    primary_config_default(&c);
    struct fx *f = fx_new_with(&c);
    for (int i = 0; i < KEYS; i++) {
        fx_put(f, "t", name_of(i), "value");
    }
    r = fx_real_equal(f);
    uint64_t move = move_away(f);
    report_moved(f, "u");
    uint64_t barrier = primary_tail(f->p);
    /* Another begins, and its end does not come. */
    assert_int_not_equal(primary_moving(f->p), 0);
    primary_moved(f->p, move, f->now_ms);
    fx_beat(f, 15);
    assert_true(primary_passed(f->p, r->replica, barrier));
    assert_int_equal(kept(r, 0, KEYS), 0);
    assert_string_equal(fx_there(r, "u", "k19"), "value");
    assert_int_equal(state_of(f, r), REPLICA_STREAMING);
    assert_true(digest_equal(index_root(f->ix), index_root(r->index)));
    fx_free(f);
}

/* More deletes wait than there may be, and go with their table's drop; then the
 * table is there again: nothing may be claimed before a comparison. */
static void test_deletes_that_went_with_a_drop_are_not_forgotten(void **state)
{
    struct primary_config c;
    struct fx_peer *r;

    (void)state;
    primary_config_default(&c);
    c.window_changes = 8;
    struct fx *f = fx_new_with(&c);
    for (int i = 0; i < KEYS; i++) {
        fx_put(f, "t", name_of(i), "value");
    }
    r = fx_real_equal(f);
    uint64_t move = move_away(f);
    report_moved(f, NULL);
    fx_set(f, "t", "new", "of another directory");
    fx_hint_table(f, "t", true);
    primary_moved(f->p, move, f->now_ms);
    uint64_t barrier = primary_tail(f->p);
    for (int i = 0; i < 30 && !primary_passed(f->p, r->replica, barrier); i++) {
        fx_beat(f, 1);
    }
    assert_true(primary_passed(f->p, r->replica, barrier));
    assert_int_equal(kept(r, 0, KEYS), 0);
    assert_string_equal(fx_there(r, "t", "new"), "of another directory");
    fx_free(f);
}

static void
test_a_replica_that_differs_by_more_than_is_held_is_mended(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    lose(f, 0, 12);
    fx_beat(f, 15);
    assert_int_equal(state_of(f, r), REPLICA_HELD);
    memstore_erase(r->store, "t", name_of(15)); /* by hand */
    index_remove(r->index, index_name_key(&plain_key, "t", 1, name_of(15), 3));
    fx_beat(f, 30);
    assert_string_equal(fx_there(r, "t", name_of(15)), "value");
    assert_int_equal(state_of(f, r), REPLICA_HELD);
    assert_int_equal(kept(r, 0, 12), 8);
    fx_free(f);
}

/* --- what counts: established keys --------------------------------------- */

static const char *other(int i)
{
    static char name[16];

    (void)snprintf(name, sizeof name, "o%03d", i);
    return name;
}

static void build(struct fx *f, const char *table, int from, int to)
{
    fx_hint_table(f, table, true);
    for (int i = from; i < to; i++) {
        fx_set(f, table, other(i), "value");
    }
    fx_beat(f, 1);
}

static void discard(struct fx *f, const char *table, int from, int to)
{
    for (int i = from; i < to; i++) {
        fx_delete(f, table, other(i));
    }
    fx_hint_table(f, table, false);

    fx_beat(f, 15);
}

static void is_equal(struct fx *f, const struct fx_peer *r)
{
    assert_int_equal(state_of(f, r), REPLICA_STREAMING);
    assert_true(fx_passed(f, r));
    assert_true(digest_equal(index_root(f->ix), index_root(r->index)));
}

/* Of every size, several in one window and across windows, in the same names
 * again and in others. */
static void
test_a_table_that_was_built_and_thrown_away_trips_nothing(void **state)
{
    static const int sizes[] = {3, 15, 60, 100};
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    for (int round = 0; round < 12; round++) {
        int n = sizes[round % 4], from = round % 3 * 50;
        build(f, "t.new", from, from + n);
        if (round % 2 == 0) {
            build(f, "u.new", 0, n);
            fx_beat(f, round * 5);
            discard(f, "u.new", 0, n);
        }
        discard(f, "t.new", from, from + n);
        is_equal(f, r);
    }
    assert_int_equal(kept(r, 0, KEYS), KEYS);
    fx_free(f);
}

static void test_temporary_keys_of_the_live_table_trip_nothing(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    build(f, "t", 0, 60);
    for (int i = 0; i < 60; i++) {
        fx_delete(f, "t", other(i));
    }
    fx_beat(f, 15);
    is_equal(f, r);
    fx_free(f);
}

/* However many they are, and whichever came first. */
static void test_young_keys_do_not_lift_the_brake(void **state)
{
    (void)state;
    for (int before = 0; before <= 100; before += 50) {
        struct fx_peer *r;
        struct fx *f = begin(&r);
        build(f, "u", 0, before);
        for (int i = 0; i < 15; i++) {
            lose(f, i, i + 1);
            for (int k = 0; k < 10; k++) {
                fx_set(f, k % 2 == 0 ? "t" : "u", other(100 + i * 10 + k), "v");
            }
        }
        fx_beat(f, 15);
        assert_int_equal(state_of(f, r), REPLICA_HELD);
        assert_true(kept(r, 0, 15) >= 11);
        fx_free(f);
    }
}

/* The same where a scan finds it all at once. */
static void test_young_keys_do_not_lift_the_brake_of_a_comparison(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    build(f, "u", 0, 100);
    primary_index_stale(f->p);
    for (int i = 0; i < 6; i++) {
        fx_erase(f, "t", name_of(i));
        index_remove(f->ix, index_name_key(&plain_key, "t", 1, name_of(i), 3));
    }
    fx_ready(f);
    fx_beat(f, 15);
    assert_int_equal(state_of(f, r), REPLICA_HELD);
    assert_int_equal(kept(r, 0, KEYS), KEYS);
    fx_free(f);
}

static void test_a_build_that_a_scan_finds_gone_trips_nothing(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    build(f, "u", 0, 60);
    primary_index_stale(f->p);
    for (int i = 0; i < 60; i++) {
        fx_erase(f, "u", other(i));
        index_remove(f->ix, index_name_key(&plain_key, "u", 1, other(i), 4));
    }
    fx_key(f, true, "u", NULL)->exists = false;
    index_remove(f->ix, index_name_table(&plain_key, "u", 1));
    lose(f, 0, 2); /* few enough */
    fx_ready(f);
    fx_beat(f, 15);
    is_equal(f, r);
    fx_free(f);
}

static void test_keys_are_established_after_two_minutes(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    build(f, "u", 0, 40);
    fx_beat(f, 130);
    for (int i = 0; i < 25; i++) {
        fx_delete(f, "u", other(i));
    }
    assert_int_equal(state_of(f, r), REPLICA_HELD);
    fx_beat(f, 15);
    assert_int_equal(held(f, r).held, 25 - 12); /* 20 % of 60 */
    fx_free(f);
}

static void test_what_the_first_scan_leaves_is_established(void **state)
{
    struct primary_config c;

    (void)state;
    primary_config_default(&c);
    c.brake_min = 2;
    struct fx *f = fx_new_with(&c);
    struct fx_peer *r = fx_add(f, 0, true);
    f->by_hand = true;
    fx_up(f, r);
    fx_put(f, "t", "early", "value");
    fx_index(f);
    for (int i = 0; i < KEYS; i++) {
        fx_put(f, "t", name_of(i), "value");
        assert_true(primary_hint_skipped(f->p, bytes_of("t", 1),
                                         bytes_of(name_of(i), 3), f->now_ms));
    }
    primary_index_ready(f->p, f->now_ms);
    fx_beat(f, 12); /* they are read late */
    for (int i = 0; i < KEYS; i++) {
        fx_answer(f, "t", name_of(i));
    }
    f->by_hand = false;
    fx_beat(f, 5);
    assert_int_equal(kept(r, 0, KEYS), KEYS);
    lose(f, 0, 15);
    assert_int_equal(state_of(f, r), REPLICA_HELD);
    fx_free(f);
}

/* --- a table that is replaced under its own name ------------------------- */

/* `t` moves away and another directory takes its name, with `n` keys of other
 * names: what the watch tells, in the order in which a scan finds it or,
 * `late`, with what went first. */
static void replace_table(struct fx *f, int n, bool late)
{
    fx_hint_table(f, "t", true);
    for (int pass = 0; pass < 2; pass++) {
        if ((pass == 0) != late) {
            for (int i = 0; i < n; i++) {
                fx_set(f, "t", other(i), "value");
            }
        } else {
            lose(f, 0, KEYS);
        }
    }
}

static void
test_a_table_replaced_by_one_with_other_keys_is_no_loss(void **state)
{
    (void)state;
    for (int late = 0; late < 2; late++) {
        for (int n = KEYS; n <= 60; n += 20) {
            struct fx_peer *r;
            struct fx *f = begin(&r);
            replace_table(f, n, late);
            for (int i = 0; i < 14; i++) { /* also while these get older */
                fx_beat(f, 15);
                is_equal(f, r);
            }
            assert_int_equal(kept(r, 0, KEYS), 0);
            fx_free(f);
        }
    }
}

static void test_a_table_replaced_by_an_emptier_one_is_a_loss(void **state)
{
    (void)state;
    for (int late = 0; late < 2; late++) {
        for (int n = 0; n <= 15; n += 5) {
            struct fx_peer *r;
            struct fx *f = begin(&r);
            build(f, "u", 0, 100); /* no help */
            replace_table(f, n, late);
            fx_beat(f, 15);
            assert_int_equal(state_of(f, r), REPLICA_HELD);
            fx_free(f);
        }
    }
}

static void test_a_replaced_table_makes_up_for_no_other(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    build(f, "u", 100, 120);
    fx_beat(f, 130);
    replace_table(f, 60, false);
    for (int i = 100; i < 115; i++) {
        fx_delete(f, "u", other(i));
    }
    fx_beat(f, 15);
    assert_int_equal(state_of(f, r), REPLICA_HELD);
    assert_int_equal(held(f, r).held, 15 - 8); /* 20 % of 40 go */
    fx_free(f);
}

/* Long after it was replaced, with a new key in it now and then, the keys that
 * it got for its old ones are not counted once more. */
static void
test_a_table_that_was_replaced_once_makes_up_for_nothing_later(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    build(f, "u", 100, 120);
    fx_beat(f, 130);
    replace_table(f, 60, false);
    for (int i = 0; i < 6; i++) {
        fx_set(f, "t", name_of(1000 + i), "value");
        fx_beat(f, 60);
    }
    is_equal(f, r);
    for (int i = 100; i < 120; i++) {
        fx_set(f, "t", name_of(2000 + i), "value");
        fx_delete(f, "u", other(i));
        fx_beat(f, 1);
    }
    fx_beat(f, 15);
    assert_int_equal(state_of(f, r), REPLICA_HELD);
    fx_free(f);
}

/* For a moment the live table has no name, while another takes its place. */
static void test_a_table_that_was_away_for_a_moment_is_no_loss(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    build(f, "t.new", 0, 60);
    lose(f, 0, KEYS);
    fx_hint_table(f, "t", false);
    assert_int_equal(state_of(f, r), REPLICA_HELD);
    fx_hint_table(f, "t", true);
    for (int i = 0; i < KEYS; i++) {
        fx_set(f, "t", name_of(i), "value");
    }
    discard(f, "t.new", 0, 60);
    fx_beat(f, 30);
    is_equal(f, r);
    assert_int_equal(kept(r, 0, KEYS), KEYS);
    fx_free(f);
}

/* They die in any minute, and others come to be established in any: at the
 * worst 20 % of what was there go before that, and 20 % of what is there
 * afterwards. */
static void test_losses_across_minutes_trip(void **state)
{
    (void)state;
    for (int after = 0; after < 60; after += 7) {
        struct fx_peer *r;
        struct fx *f = begin(&r);
        build(f, "u", 0, 20);
        fx_beat(f, 60 + after);
        for (int i = 0; i < 15; i++) {
            lose(f, i, i + 1);
            fx_beat(f, 5);
        }
        assert_int_equal(state_of(f, r), REPLICA_HELD);
        assert_true(kept(r, 0, 15) >= 15 - (4 + 8));
        fx_free(f);
    }
}

/* An established key that is set anew at once is established still. */
static void test_a_key_that_was_only_away_is_established(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    for (int i = 0; i < KEYS; i++) {
        lose(f, i, i + 1);
        fx_set(f, "t", name_of(i), "value");
    }
    fx_beat(f, 5);
    lose(f, 0, 15);
    assert_int_equal(state_of(f, r), REPLICA_HELD);
    assert_int_equal(kept(r, 0, 15), 11);
    fx_free(f);
}

/* While a replica is away the database loses keys slowly; or the same names are
 * made anew in between, and are young when they go. */
static void test_a_replica_that_was_away_is_not_robbed(void **state)
{
    (void)state;
    for (int made_anew = 0; made_anew < 2; made_anew++) {
        struct fx_peer *r;
        struct fx *f = begin(&r);
        fx_down(f, r);
        for (int i = 0; i < 12; i++) {
            lose(f, i, i + 1);
            fx_beat(f, 40);
        }
        for (int i = 0; made_anew && i < 12; i++) {
            fx_set(f, "t", name_of(i), "value");
        }
        fx_beat(f, 10);
        lose(f, 0, made_anew ? 12 : 0);
        fx_beat(f, 10);
        fx_up(f, r);
        fx_beat(f, 15);
        assert_int_equal(state_of(f, r), REPLICA_HELD);
        assert_int_equal(kept(r, 0, 12), 12);
        fx_free(f);
    }
}

/* It is away while a table is built and thrown away. */
static void test_a_build_that_a_replica_half_saw_trips_nothing(void **state)
{
    struct fx_peer *r;
    struct fx *f = begin(&r);

    (void)state;
    build(f, "u", 0, 60);
    fx_down(f, r);
    build(f, "u", 60, 100);
    discard(f, "u", 0, 100);
    fx_beat(f, 300);
    fx_up(f, r);
    fx_beat(f, 15);
    is_equal(f, r);
    fx_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_burst_of_deletes_is_held_and_sets_flow),
        cmocka_unit_test(test_keys_that_come_and_go_trip_nothing),
        cmocka_unit_test(test_slow_losses_trip_nothing),
        cmocka_unit_test(test_an_approval_is_for_what_was_shown),
        cmocka_unit_test(test_what_came_back_and_went_again_is_not_approved),
        cmocka_unit_test(test_another_token_approves_nothing),
        cmocka_unit_test(test_a_table_that_moved_out_is_held_whole),
        cmocka_unit_test(test_moves_without_deletes_use_up_nothing),
        cmocka_unit_test(test_an_older_place_in_the_log_waits_for_the_move),
        cmocka_unit_test(test_a_move_waits_for_no_other),
        cmocka_unit_test(test_deletes_that_went_with_a_drop_are_not_forgotten),
        cmocka_unit_test(test_the_brake_outlives_the_agent),
        cmocka_unit_test(test_nothing_is_approved_before_it_was_compared),
        cmocka_unit_test(test_the_brake_goes_off_when_all_is_back),
        cmocka_unit_test(test_a_table_stays_with_keys_that_are_not_approved),
        cmocka_unit_test(test_with_a_stale_index_few_deletes_go_and_no_table),
        cmocka_unit_test(
            test_a_replica_that_differs_by_more_than_is_held_is_mended),
        cmocka_unit_test(
            test_a_table_that_was_built_and_thrown_away_trips_nothing),
        cmocka_unit_test(test_temporary_keys_of_the_live_table_trip_nothing),
        cmocka_unit_test(test_young_keys_do_not_lift_the_brake),
        cmocka_unit_test(test_young_keys_do_not_lift_the_brake_of_a_comparison),
        cmocka_unit_test(test_a_build_that_a_scan_finds_gone_trips_nothing),
        cmocka_unit_test(test_keys_are_established_after_two_minutes),
        cmocka_unit_test(test_what_the_first_scan_leaves_is_established),
        cmocka_unit_test(test_a_table_that_was_away_for_a_moment_is_no_loss),
        cmocka_unit_test(
            test_a_table_replaced_by_one_with_other_keys_is_no_loss),
        cmocka_unit_test(test_a_table_replaced_by_an_emptier_one_is_a_loss),
        cmocka_unit_test(test_a_replaced_table_makes_up_for_no_other),
        cmocka_unit_test(
            test_a_table_that_was_replaced_once_makes_up_for_nothing_later),
        cmocka_unit_test(test_losses_across_minutes_trip),
        cmocka_unit_test(test_a_key_that_was_only_away_is_established),
        cmocka_unit_test(test_a_replica_that_was_away_is_not_robbed),
        cmocka_unit_test(test_a_build_that_a_replica_half_saw_trips_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
