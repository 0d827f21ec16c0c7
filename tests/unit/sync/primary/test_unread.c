/* SPDX-License-Identifier: MIT
 *
 * What a replica's own scan could not read: a state until a scan has read
 * everything; the digests of both ends, which are equal, prove nothing of it.
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_replica_could_not_read_is_a_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
