/* SPDX-License-Identifier: MIT
 *
 * dirid: what the primary's end asks of a replica's directory, and what it
 * makes of the answer, in a core and alone. */
#include "tests/support/primary_fixture.h"

#include "sync/errors/state.h"
#include "sync/identity/dirid.h"

static void fill(uint8_t id[WIRE_DIRID_BYTES], uint8_t with)
{
    memset(id, with, WIRE_DIRID_BYTES);
}

static struct dirid dirid_of(uint8_t with, bool complete, uint64_t keys)
{
    struct dirid d = {.complete = complete, .keys = keys};

    fill(d.id, with);
    return d;
}

static void only_a_complete_one_is_asked_for(void **state)
{
    const struct dirid none = {.keys = 0}, begun = dirid_of(1, false, 0),
                       whole = dirid_of(1, true, 3);
    struct dirid any = whole;
    struct wire_hello h = {.epoch = 1};

    (void)state;
    dirid_ask(&none, &h);
    assert_false(dirid_known(h.expected));
    dirid_ask(&begun, &h);
    assert_false(dirid_known(h.expected));
    dirid_ask(&whole, &h);
    assert_memory_equal(h.expected, whole.id, sizeof whole.id);
    assert_int_equal(h.anew, 0);
    dirid_anew(&any);
    h = (struct wire_hello){.epoch = 1};
    dirid_ask(&any, &h);
    assert_false(dirid_known(h.expected));
    assert_int_equal(h.anew, 1);
}

static void explained(uint64_t keys, const char *want)
{
    const struct dirid d = dirid_of(1, true, keys);
    struct err err = {0};

    (void)err_set(&err, ERR_REFUSED, 0, "/srv/r1 is empty");
    err.id = DR_REPLICA_BLANK;
    dirid_explain(&d, "r1", &err);
    assert_non_null(strstr(err.msg, want));
    assert_non_null(strstr(err.msg, "(/srv/r1 is empty)"));
    assert_non_null(strstr(err.msg, "drover resync --anew r1"));
    assert_int_equal(err.id, DR_REPLICA_BLANK);
}

static void the_operator_is_told_what_it_had(void **state)
{
    (void)state;
    explained(1, "r1 had 1 key and is empty now: is its disk mounted?");
    explained(0, "r1 had 0 keys and is empty now");
    explained(999, "r1 had 999 keys and");
    explained(48211, "r1 had 48,211 keys and");
    explained(1000000, "r1 had 1,000,000 keys and");
    explained(UINT64_MAX, "r1 had 18,446,744,073,709,551,615 keys and");
}

static void other_errors_stay_as_they_are(void **state)
{
    const struct dirid d = dirid_of(1, true, 3), unknown = {.keys = 0};
    struct err err = {0};

    (void)state;
    (void)err_set(&err, ERR_REFUSED, 0, "no");
    err.id = DR_OTHER_DATABASE;
    dirid_explain(&d, "r1", &err);
    assert_string_equal(err.msg, "no");
    err.id = DR_REPLICA_BLANK;
    dirid_explain(&unknown, "r1", &err);
    assert_string_equal(err.msg, "no");
}

static void a_receiver_cannot_slip_another_one_in(void **state)
{
    struct dirid d = {.keys = 0};
    uint8_t id[WIRE_DIRID_BYTES];
    struct err err;

    (void)state;
    fill(id, 0); /* an older receiver */
    assert_int_equal(dirid_met(&d, "r1", id, &err), 0);
    fill(id, 1);
    assert_int_equal(dirid_met(&d, "r1", id, &err), DIRID_NEW);
    assert_int_equal(dirid_met(&d, "r1", id, &err), 0);
    fill(id, 2); /* the first never was complete */
    assert_int_equal(dirid_met(&d, "r1", id, &err), DIRID_NEW);
    assert_true(dirid_complete(&d, 10));
    assert_false(dirid_complete(&d, 11));
    assert_int_equal(d.keys, 11);
    fill(id, 3);
    assert_int_equal(dirid_met(&d, "r1", id, &err), ERR_REFUSED);
    assert_int_equal(err.id, DR_REPLICA_OTHER);
    assert_non_null(strstr(err.msg, "r1 had 11 keys"));
    dirid_anew(&d);
    assert_int_equal(dirid_met(&d, "r1", id, &err), DIRID_NEW);
    assert_false(d.anew);
    assert_false(d.complete);
}

/* --- in a core ----------------------------------------------------------- */

static void comes(struct fx *f, struct fx_peer *r, uint8_t with)
{
    struct wire_hello_ok ok = {.proto = WIRE_PROTO_MAX, .epoch = 1};

    fill(ok.dirid, with);
    r->up = true;
    f->closed[r->replica] = false;
    primary_link_up(f->p, r->replica, f->now_ms);
    wire_in_deinit(&r->in);
    wire_in_init(&r->in);
    wire_put_magic(&r->say);
    wire_put_hello_ok(&r->say, &ok);
    fx_pump(f);
}

static void one_directory_has_one_name(void **state)
{
    struct fx *f = fx_new();
    struct fx_peer *a = fx_add(f, 0, false), *b = fx_add(f, 1, false);

    (void)state;
    comes(f, a, 7);
    assert_false(f->closed[a->replica]);
    comes(f, b, 7);
    assert_true(f->closed[b->replica]);
    assert_int_equal(f->closed_err[b->replica].id, DR_REPLICA_TWICE);
    assert_false(f->closed[a->replica]);
    /* Also while the first is away. */
    fx_down(f, a);
    fx_down(f, b);
    comes(f, b, 7);
    assert_true(f->closed[b->replica]);
    fx_down(f, b);
    comes(f, b, 8);
    assert_false(f->closed[b->replica]);
    /* Removed, its directory is free. */
    fx_down(f, b);
    primary_replica_remove(f->p, a->replica);
    comes(f, b, 7);
    assert_false(f->closed[b->replica]);
    fx_free(f);
}

static void a_refusal_needs_the_operator_and_says_what_it_had(void **state)
{
    struct fx *f = fx_new();
    struct fx_peer *a = fx_add(f, 0, false);
    const struct dirid was = dirid_of(7, true, 48211);
    const struct wire_error no = {.id = DR_REPLICA_BLANK,
                                  .text = bytes_of("/r is empty", 11)};
    struct replica_status st;

    (void)state;
    primary_recall(f->p, a->replica, &was);
    a->up = true;
    primary_link_up(f->p, a->replica, f->now_ms);
    wire_put_magic(&a->say);
    wire_put_error(&a->say, &no);
    fx_pump(f);
    assert_true(f->closed[a->replica]);
    assert_non_null(
        strstr(f->closed_err[a->replica].msg, "had 48,211 keys and is empty"));
    primary_link_down(f->p, a->replica, &f->closed_err[a->replica], true,
                      f->now_ms);
    primary_status(f->p, a->replica, f->now_ms, &st);
    assert_int_equal(st.state, REPLICA_FAILED);
    assert_int_equal(st.last_error.id, DR_REPLICA_BLANK);
    fx_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_complete_one_is_asked_for),
        cmocka_unit_test(the_operator_is_told_what_it_had),
        cmocka_unit_test(other_errors_stay_as_they_are),
        cmocka_unit_test(a_receiver_cannot_slip_another_one_in),
        cmocka_unit_test(one_directory_has_one_name),
        cmocka_unit_test(a_refusal_needs_the_operator_and_says_what_it_had),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
