/* SPDX-License-Identifier: MIT
 *
 * A comparison keeps a bounded number of differences, whatever a replica
 * lists: it is repaired in parts, and nothing is lost or deleted by that. */
#include "tests/support/plain_key.h"
#include "tests/support/primary_fixture.h"

enum { EXTRAS = 9, CHANGED = 7 };

static struct fx *new_with(size_t diffs_max, uint64_t brake_min)
{
    struct primary_config c;

    primary_config_default(&c);
    c.diffs_max = diffs_max;
    c.brake_min = brake_min;
    return fx_new_with(&c);
}

static const char *name(char out[16], char kind, int i)
{
    (void)snprintf(out, 16, "%c%d", kind, i);
    return out;
}

/* Here: CHANGED values.  There: others under their names, and EXTRAS more. */
static struct fx_peer *connect_different(struct fx *f)
{
    struct fx_peer *r = fx_add(f, 0, true);
    char key[16];

    for (int i = 0; i < CHANGED; i++) {
        fx_put(f, "t", name(key, 'c', i), "new");
        memstore_edit(r->store, "t", key, "old", 3);
    }
    for (int i = 0; i < EXTRAS; i++) {
        memstore_edit(r->store, "t", name(key, 'x', i), "extra", 5);
    }
    fx_ready(f);
    fx_up(f, r);
    return r;
}

static void assert_changed_are_new(const struct fx_peer *r)
{
    char key[16];

    for (int i = 0; i < CHANGED; i++) {
        assert_string_equal(fx_there(r, "t", name(key, 'c', i)), "new");
    }
}

static int extras_left(const struct fx_peer *r)
{
    char key[16];
    int n = 0;

    for (int i = 0; i < EXTRAS; i++) {
        n += strcmp(fx_there(r, "t", name(key, 'x', i)), "-") != 0;
    }
    return n;
}

static void
test_more_differences_than_are_kept_are_repaired_in_parts(void **state)
{
    struct fx *f = new_with(4, 100);
    struct replica_status s;

    (void)state;
    struct fx_peer *r = connect_different(f);
    fx_beat(f, 2);
    /* A part is done, and nothing is claimed. */
    assert_in_range(extras_left(r), 1, EXTRAS - 1);
    primary_status(f->p, r->replica, f->now_ms, &s);
    assert_int_equal(s.equal_wall_ns, 0);
    assert_int_equal(s.lag_ms, -1);
    assert_false(fx_passed(f, r));
    fx_beat(f, 15);
    assert_int_equal(extras_left(r), 0);
    assert_changed_are_new(r);
    assert_int_equal(fx_lag(f, r), 0);
    assert_true(fx_passed(f, r));
    primary_status(f->p, r->replica, f->now_ms, &s);
    assert_int_not_equal(s.equal_wall_ns, 0);
    fx_free(f);
}

static void test_the_brake_counts_what_is_not_kept(void **state)
{
    struct fx *f = new_with(4, EXTRAS - 1);
    struct replica_status s;

    (void)state;
    struct fx_peer *r = connect_different(f);
    fx_beat(f, 20);
    primary_status(f->p, r->replica, f->now_ms, &s);
    assert_int_equal(s.held_deletes, EXTRAS);
    assert_int_equal(extras_left(r), EXTRAS);
    /* Deletes that are held take no room from sets. */
    assert_changed_are_new(r);
    fx_free(f);
}

static void test_what_is_approved_is_done_in_parts(void **state)
{
    struct fx *f = new_with(4, EXTRAS - 1);
    struct err err;
    uint64_t count = 0;

    (void)state;
    struct fx_peer *r = connect_different(f);
    fx_beat(f, 20);
    /* An approval covers what was shown, which is what was kept. */
    for (int left = EXTRAS; left > 0; left = extras_left(r)) {
        struct replica_status s;
        primary_status(f->p, r->replica, f->now_ms, &s);
        assert_int_equal(s.held_deletes, left);
        assert_int_equal(
            primary_approve(f->p, r->replica, 0, f->now_ms, &count, &err), 0);
        assert_in_range(count, 1, 2);
        fx_beat(f, 20);
        assert_int_equal(extras_left(r), left - (int)count);
    }
    assert_int_equal(fx_lag(f, r), 0);
    fx_free(f);
}

static void test_a_verify_counts_all_and_names_some(void **state)
{
    struct fx *f = new_with(4, 100);
    struct compare_options o = {.mode = COMPARE_VERIFY, .names_max = 100};
    struct err err;

    (void)state;
    struct fx_peer *r = fx_real_equal(f);
    char key[16];
    for (int i = 0; i < EXTRAS; i++) {
        memstore_edit(r->store, "t", name(key, 'x', i), "extra", 5);
    }
    o.scan = true;
    int64_t id = primary_compare(f->p, r->replica, &o, f->now_ms, &err);
    assert_true(id > 0);
    fx_beat(f, 5);
    const struct compare_result *res =
        primary_compare_result(f->p, (uint64_t)id);
    assert_true(res->done);
    assert_false(res->failed);
    /* The table itself is one, too. */
    assert_int_equal(res->extra, EXTRAS + 1);
    assert_in_range(res->names_count, 1, 2);
    fx_free(f);
}

/* Up to the listing of one name that only the replica has. */
static struct fx_peer *list_one_extra(struct fx *f, const char *key)
{
    struct wire_ready ready = {.root = {1, 1}};
    struct digest nodes[INDEX_NODES] = {{0, 0}};
    struct digest item[1][2] = {
        {index_name_key(&plain_key, "t", 1, key, strlen(key)), {2, 2}}};
    struct fx_peer *r = fx_add(f, 0, false);

    fx_up(f, r);
    wire_put_ready(&r->say, &ready);
    fx_pump(f);
    index_nodes(f->ix, nodes);
    nodes[index_bucket(item[0][0]) / INDEX_NODES].lo ^= 1;
    wire_put_nodes(&r->say, r->tree_id, WIRE_TREE_TOP, nodes);
    fx_pump(f);
    uint16_t node = (uint16_t)(index_bucket(item[0][0]) / INDEX_NODES);
    index_buckets(f->ix, node, nodes);
    nodes[index_bucket(item[0][0]) % INDEX_NODES].lo ^= 1;
    wire_put_nodes(&r->say, r->tree_id, node, nodes);
    fx_pump(f);
    wire_put_listing(&r->say, f->p->repl[r->replica]->compares.jobs->request,
                     true, (const struct digest(*)[2])item, 1);
    fx_pump(f);
    assert_int_equal(f->p->repl[r->replica]->compares.jobs->phase,
                     COMPARE_RESOLVING);
    return r;
}

static void say_name(struct fx *f, struct fx_peer *r, const char *key,
                     bool last)
{
    struct wire_names_out out;
    struct wire_name *m = calloc(1, sizeof *m);

    m->name = index_name_key(&plain_key, "t", 1, key, strlen(key));
    m->table = bytes_of("t", 1);
    m->key = bytes_of(key, strlen(key));
    wire_names_begin(&r->say, &out,
                     f->p->repl[r->replica]->compares.jobs->request);
    assert_true(wire_names_add(&r->say, &out, m));
    wire_names_end(&r->say, &out, last);
    free(m);
    fx_pump(f);
}

static void test_a_name_given_again_and_again_ends_the_session(void **state)
{
    struct fx *f = fx_new();

    (void)state;
    fx_ready(f);
    struct fx_peer *r = list_one_extra(f, "x");
    say_name(f, r, "x", false);
    assert_false(f->closed[r->replica]);
    say_name(f, r, "x", false);
    assert_true(f->closed[r->replica]);
    assert_int_equal(f->closed_err[r->replica].id, DR_PROTOCOL);
    fx_free(f);
}

/* A replica that stands still costs no more than the log may take, however long
 * the names are, and it is brought back by comparison. */
static void test_the_log_is_bounded_in_bytes(void **state)
{
    struct primary_config c;
    struct primary_counts counts;

    (void)state;
    primary_config_default(&c);
    c.log_max_bytes = 20000;
    c.window_changes = 1;
    struct fx *f = fx_new_with(&c);
    fx_ready(f);
    struct fx_peer *r = fx_add(f, 0, true);
    fx_up(f, r);
    fx_beat(f, 3);
    assert_true(fx_passed(f, r));
    r->hung = true;
    for (int i = 0; i < 300; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "a-long-name-of-a-key-%d", i);
        fx_set(f, "t", key, "value");
        primary_counts(f->p, &counts);
        assert_true(counts.log_bytes <= c.log_max_bytes);
    }
    assert_false(fx_passed(f, r));
    r->hung = false;
    fx_beat(f, 10);
    assert_true(fx_passed(f, r));
    assert_string_equal(fx_there(r, "t", "a-long-name-of-a-key-0"), "value");
    primary_counts(f->p, &counts);
    assert_int_equal(counts.log_bytes, 0);
    fx_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_log_is_bounded_in_bytes),
        cmocka_unit_test(
            test_more_differences_than_are_kept_are_repaired_in_parts),
        cmocka_unit_test(test_the_brake_counts_what_is_not_kept),
        cmocka_unit_test(test_what_is_approved_is_done_in_parts),
        cmocka_unit_test(test_a_verify_counts_all_and_names_some),
        cmocka_unit_test(test_a_name_given_again_and_again_ends_the_session),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
