/* SPDX-License-Identifier: MIT
 *
 * What a replica's own scan could not read, or its receiver knows of without
 * one: a state until everything can be read; the digests of both ends, which
 * are equal, prove nothing of it.
 */
#include "sync/errors/state.h"
#include "tests/support/primary_fixture.h"

static void hear(struct fx *f, struct fx_peer *r, uint64_t errors)
{
    static const char why[] = "table t: Permission denied";
    const struct wire_ready m = {
        .root = index_root(f->ix),
        .errors = errors,
        .first_error = bytes_of(why, errors > 0 ? sizeof why - 1 : 0)};

    struct digest nodes[INDEX_NODES];

    fx_down(f, r);
    fx_up(f, r);
    wire_put_ready(&r->say, &m);
    fx_pump(f);
    index_nodes(f->ix, nodes);
    wire_put_nodes(&r->say, r->tree_id, WIRE_TREE_TOP, nodes);
    fx_pump(f);
}

static int64_t equal_as_of(struct fx *f, const struct fx_peer *r)
{
    struct replica_status st;

    primary_status(f->p, r->replica, f->now_ms, &st);
    return st.equal_wall_ns;
}

static void what_the_replica_could_not_read_is_a_state(void **state)
{
    struct fx *f = fx_new();
    struct err why;

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    r->pong = true;
    r->root = index_root(f->ix);
    hear(f, r, 2);
    fx_beat(f, 3);
    assert_false(fx_keeps_up(f, r, &why));
    assert_int_equal(why.id, DR_REPLICA_IO);
    fx_says(&why, "2 keys or tables cannot be read on the replica, such as: "
                  "table t: Permission denied");
    int64_t was_ns = equal_as_of(f, r);
    fx_beat(f, 3);
    assert_true(equal_as_of(f, r) == was_ns);
    hear(f, r, 0);
    fx_beat(f, 3);
    if (!fx_keeps_up(f, r, &why)) {
        fail_msg("%s", why.msg);
    }
    assert_true(equal_as_of(f, r) > was_ns);
    fx_free(f);
}

static void tell(struct fx *f, struct fx_peer *r, uint64_t errors)
{
    static const char why[] = "table t key k: a link is there";
    const struct wire_blind m = {
        .errors = errors,
        .first_error = bytes_of(why, errors > 0 ? sizeof why - 1 : 0)};

    wire_put_blind(&r->say, &m);
    fx_pump(f);
}

static void what_comes_and_goes_between_scans_is_the_same_state(void **state)
{
    struct fx *f = fx_new();
    struct err why;

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    r->pong = true;
    r->root = index_root(f->ix);
    hear(f, r, 0);
    fx_beat(f, 3);
    assert_true(fx_keeps_up(f, r, &why));
    int64_t was_ns = equal_as_of(f, r);
    tell(f, r, 1);
    assert_false(fx_keeps_up(f, r, &why));
    assert_int_equal(why.id, DR_REPLICA_IO);
    fx_says(&why, "1 key or table cannot be read on the replica, such as: "
                  "table t key k: a link is there");
    fx_beat(f, 3);
    assert_true(equal_as_of(f, r) == was_ns);
    tell(f, r, 0);
    assert_true(fx_keeps_up(f, r, &why));
    fx_beat(f, 3);
    assert_true(equal_as_of(f, r) > was_ns);
    fx_free(f);
}

/* A scan's word is overruled, too. */
static void a_scans_word_ends_without_another(void **state)
{
    struct fx *f = fx_new();
    struct err why;

    (void)state;
    fx_ready(f);
    struct fx_peer *r = fx_scripted(f, 0);
    r->pong = true;
    r->root = index_root(f->ix);
    hear(f, r, 2);
    fx_beat(f, 3);
    assert_false(fx_keeps_up(f, r, &why));
    for (int i = 0; i < 1000; i++) { /* at any rate */
        tell(f, r, (uint64_t)(i % 2));
    }
    tell(f, r, 0);
    fx_beat(f, 3);
    assert_true(fx_keeps_up(f, r, &why));
    fx_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_and_goes_between_scans_is_the_same_state),
        cmocka_unit_test(a_scans_word_ends_without_another),
        cmocka_unit_test(what_the_replica_could_not_read_is_a_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
