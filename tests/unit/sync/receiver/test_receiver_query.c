/* SPDX-License-Identifier: MIT
 *
 * The receiver's core: large values in pieces, heartbeats, scans, digests,
 * listings and names.
 */
#include "tests/support/plain_key.h"
#include "tests/support/receiver_fixture.h"

/* --- large values -------------------------------------------------------- */

static void a_stream_lets_small_values_pass(void **state)
{
    struct rig *g = *state;

    rig_begin(g, 1, "t", "big");
    wire_put_piece(&g->out, 1, "hello ", 6);
    rig_set(g, 2, "t", "small", "s");
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_settle(g), 0);
    assert_string_equal(rig_answers(g), "ACK 2\n");
    wire_put_piece(&g->out, 1, "", 0);
    wire_put_piece(&g->out, 1, "world", 5);
    wire_put_set_end(&g->out, 1, digest_of("hello world", 11));
    assert_int_equal(rig_send(g, 1), 0);
    assert_int_equal(rig_settle(g), 0);
    assert_string_equal(rig_answers(g), "ACK 1\n");
    assert_value(g, "t", "big", "hello world");
    assert_index_true(g);
}

static void zeros_are_a_piece_like_any_other(void **state)
{
    struct rig *g = *state;
    static const char value[] = "ab\0\0\0c\0\0";
    struct bytes got;

    rig_begin(g, 1, "t", "holes");
    wire_put_piece(&g->out, 1, "ab", 2);
    wire_put_zeros(&g->out, 1, 3);
    wire_put_piece(&g->out, 1, "c", 1);
    wire_put_zeros(&g->out, 1, 2);
    wire_put_set_end(&g->out, 1, digest_of(value, 8));
    assert_int_equal(rig_send(g, 5), 0);
    assert_int_equal(rig_settle(g), 0);
    assert_string_equal(rig_answers(g), "ACK 1\n");
    assert_true(memstore_get(g->m, "t", "holes", &got));
    assert_int_equal(got.len, 8);
    assert_memory_equal(got.p, value, 8);
    assert_index_true(g);
}

static void zeros_beyond_the_disk_are_refused_and_then_ignored(void **state)
{
    struct rig *g = *state;

    rig_begin(g, 1, "t", "holes");
    for (int i = 0; i < 50; i++) {
        wire_put_zeros(&g->out, 1, WIRE_ZEROS_MAX);
    }
    wire_put_set_end(&g->out, 1, digest_of("", 0));
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_settle(g), 0);
    assert_prefix(rig_answers(g), "NAK 1 NOSPACE table t, key holes: ");
    wire_put_zeros(&g->out, 2, 1); /* never begun */
    assert_int_equal(rig_send(g, 0), ERR_PROTO);
}

static void two_streams_do_not_mix(void **state)
{
    struct rig *g = *state;

    rig_begin(g, 1, "t", "a");
    rig_begin(g, 2, "t", "b");
    wire_put_piece(&g->out, 2, "b1", 2);
    wire_put_piece(&g->out, 1, "a1", 2);
    wire_put_piece(&g->out, 2, "b2", 2);
    wire_put_set_end(&g->out, 2, digest_of("b1b2", 4));
    wire_put_piece(&g->out, 1, "a2", 2);
    wire_put_set_end(&g->out, 1, digest_of("a1a2", 4));
    assert_int_equal(rig_send(g, 7), 0);
    assert_int_equal(rig_settle(g), 0);
    assert_string_equal(rig_answers(g), "ACK 2 1\n");
    assert_value(g, "t", "a", "a1a2");
    assert_value(g, "t", "b", "b1b2");
}

static void an_aborted_stream_leaves_nothing_and_no_answer(void **state)
{
    struct rig *g = *state;

    rig_begin(g, 1, "t", "big");
    wire_put_piece(&g->out, 1, "hello ", 6);
    wire_put_set_abort(&g->out, 1);
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_settle(g), 0);
    assert_string_equal(rig_answers(g), "");
    assert_int_equal(memstore_stages(g->m), 0);
    /* The number may begin anew. */
    rig_begin(g, 1, "t", "big");
    wire_put_set_end(&g->out, 1, digest_of("", 0));
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_settle(g), 0);
    assert_string_equal(rig_answers(g), "ACK 1\n");
    assert_value(g, "t", "big", "");
}

static void a_stream_with_a_wrong_digest_is_refused(void **state)
{
    struct rig *g = *state;

    rig_begin(g, 1, "t", "big");
    wire_put_piece(&g->out, 1, "hello", 5);
    wire_put_set_end(&g->out, 1, digest_of("hullo", 5));
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_settle(g), 0);
    assert_prefix(rig_answers(g), "NAK 1 CORRUPT table t, key big: ");
    assert_value(g, "t", "big", NULL);
    assert_int_equal(memstore_stages(g->m), 0);
}

static void frames_of_a_refused_stream_are_ignored(void **state)
{
    struct rig *g = *state;

    memstore_fail(g->m, MEMOP_STAGE_WRITE, 1, 1, ERR_NOSPACE, ENOSPC);
    rig_begin(g, 1, "t", "big");
    wire_put_piece(&g->out, 1, "one", 3);
    wire_put_piece(&g->out, 1, "two", 3);
    wire_put_piece(&g->out, 1, "three", 5);
    rig_set(g, 2, "t", "small", "s");
    wire_put_set_end(&g->out, 1, digest_of("onetwothree", 11));
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(rig_settle(g), 0);
    const char *text = rig_answers(g);
    assert_prefix(text, "NAK 1 NOSPACE ");
    assert_non_null(strstr(text, "\nACK 2\n"));
    assert_null(strstr(text + 5, "NAK"));
    assert_int_equal(memstore_stages(g->m), 0);
}

static void more_streams_than_allowed_are_refused_one_by_one(void **state)
{
    struct rig *g = *state;

    for (uint64_t i = 1; i <= 5; i++) {
        rig_begin(g, i, "t", (char[]){(char)('a' + i), '\0'});
    }
    wire_put_piece(&g->out, 5, "ignored", 7);
    wire_put_set_abort(&g->out, 5);
    assert_int_equal(rig_send(g, 0), 0);
    assert_prefix(rig_answers(g), "NAK 5 TOOBIG table t, key f: more than 4 "
                                  "large values at once\n");
    assert_int_equal(memstore_stages(g->m), 4);
}

static void pieces_without_a_beginning_end_the_session(void **state)
{
    struct rig *g = *state;

    wire_put_piece(&g->out, 9, "x", 1);
    assert_int_equal(rig_send(g, 0), ERR_PROTO);
    assert_prefix(rig_answers(g), "ERROR 213 PIECE: no value with sequence 9");
    regreet(g);
    rig_begin(g, 1, "t", "a");
    rig_begin(g, 1, "t", "b");
    assert_int_equal(rig_send(g, 0), ERR_PROTO);
    assert_prefix(rig_answers(g), "ERROR 213 SET_BEGIN: sequence 1 has begun");
}

/* --- questions ----------------------------------------------------------- */

static void a_pong_tells_what_is_applied_and_nothing_more(void **state)
{
    struct rig *g = *state;

    rig_set(g, 1, "t", "k", "v");
    rig_ping(g, 1, 0);
    assert_int_equal(rig_send(g, 0), 0);
    (void)rig_answers(g);
    struct digest before = index_root(g->ix);
    assert_true(digest_equal(g->root, before));
    assert_int_equal(rig_settle(g), 0);
    rig_ping(g, 2, 0);
    assert_int_equal(rig_send(g, 0), 0);
    assert_string_equal(rig_answers(g),
                        "ACK 1\nPONG 2 keys 1 waiting 0 replaced 0\n");
    assert_false(digest_equal(g->root, before));
    assert_index_true(g);
    assert_true(digest_equal(g->root, index_root(g->ix)));
}

static void freshness_is_written_when_it_is_known(void **state)
{
    struct rig *g = *state;

    rig_ping(g, 1, 0);
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(g->m->calls[MEMOP_FRESHNESS], 0);
    rig_ping(g, 2, 123456789);
    assert_int_equal(rig_send(g, 0), 0);
    assert_int_equal(g->m->fresh_ns, 123456789);
    assert_int_equal(g->m->fresh_seq, 20);
    assert_int_equal(g->m->fresh_state, 3);
}

static void a_freshness_that_cannot_be_written_is_told_once(void **state)
{
    struct rig *g = *state;

    memstore_fail(g->m, MEMOP_FRESHNESS, 0, 2, ERR_NOSPACE, ENOSPC);
    for (uint64_t i = 1; i <= 3; i++) {
        rig_ping(g, i, 1);
    }
    assert_int_equal(rig_send(g, 0), 0);
    assert_string_equal(rig_answers(g),
                        "NOTICE the freshness file cannot be written: "
                        "injected fault: No space left on device\n"
                        "PONG 1 keys 0 waiting 0 replaced 0\n"
                        "PONG 2 keys 0 waiting 0 replaced 0\n"
                        "PONG 3 keys 0 waiting 0 replaced 0\n");
}

static void scan(struct rig *g, uint64_t id, unsigned how)
{
    struct wire_scan m = {.id = id, .how = (uint8_t)how};

    wire_put_scan(&g->out, &m);
    assert_int_equal(rig_send(g, 0), 0);
}

static void answer_scan(struct rig *g)
{
    assert_int_equal(memstore_scan_answer(g->m, g->r, g->ix, &g->err), 0);
}

static void a_scan_is_answered_with_what_it_found(void **state)
{
    struct rig *g = *state;

    memstore_edit(g->m, "t", "behind", "x", 1);
    scan(g, 7, WIRE_SCAN_CONTENT);
    assert_int_equal(g->m->scan_id, 7);
    receiver_progress(g->r, true, 12);
    rig_ping(g, 1, 0);
    assert_int_equal(rig_send(g, 0), 0);
    assert_string_equal(rig_answers(g),
                        "PONG 1 keys 0 waiting 0 replaced 0 scanning\n");
    answer_scan(g);
    assert_string_equal(rig_answers(g), "SCAN_DONE 7 keys 1 tables 2\n");
    assert_false(g->m->scan_wanted);
}

/* Comparisons that nobody waits for any more: a verify that ran into its time,
 * a Ctrl-C, again and again while the disk hangs. */
static void a_newer_scan_ends_those_before_it(void **state)
{
    struct rig *g = *state;

    scan(g, 7, WIRE_SCAN_CONTENT);
    for (uint64_t id = 8; id < 100; id++) {
        scan(g, id, WIRE_SCAN_CONTENT);
        assert_true(g->m->scan_stopped && g->m->scan_id == 7);
        if (id > 8) {
            char want[64];
            (void)snprintf(want, sizeof want,
                           "SCAN_DONE %d keys 0 tables 1 errors 1\n",
                           (int)id - 1);
            assert_string_equal(rig_answers(g), want);
        }
    }
    memstore_edit(g->m, "t", "behind", "x", 1);
    answer_scan(g);
    assert_string_equal(rig_answers(g),
                        "SCAN_DONE 7 keys 0 tables 1 errors 1\n");
    assert_true(g->m->scan_wanted && !g->m->scan_stopped);
    assert_int_equal(g->m->scan_id, 99);
    answer_scan(g);
    assert_string_equal(rig_answers(g), "SCAN_DONE 99 keys 1 tables 2\n");
    assert_false(g->m->scan_wanted);
}

static void the_scan_at_start_is_not_ended(void **state)
{
    struct rig *g = *state;

    assert_int_equal(receiver_start(g->r, &g->err), 0);
    wire_put_magic(&g->out);
    wire_put_hello(&g->out, &g->hello);
    assert_int_equal(rig_send(g, 0), 0);
    (void)rig_answers(g);
    scan(g, 7, 0);
    assert_true(g->m->scan_wanted && !g->m->scan_stopped);
    assert_int_equal(g->m->scan_id, 0);
    answer_scan(g);
    assert_string_equal(rig_answers(g), "READY keys 0 tables 1\n");
    assert_int_equal(g->m->scan_id, 7);
}

static void resolve(struct rig *g, uint64_t id, const struct digest *names,
                    uint16_t n)
{
    wire_put_resolve(&g->out, id, true, names, n);
    assert_int_equal(rig_send(g, 0), 0);
}

static void names_asked_for_end_what_was_asked_before(void **state)
{
    struct rig *g = *state;
    struct digest name = index_name_key(&plain_key, "t", 1, "a", 1);

    memstore_edit(g->m, "t", "a", "1", 1);
    scan(g, 7, WIRE_SCAN_CONTENT);
    resolve(g, 8, &name, 1);
    assert_true(g->m->scan_stopped);
    assert_true(g->m->names_wanted && !g->m->names_stopped);
    for (uint64_t id = 9; id < 100; id++) {
        resolve(g, id, &name, 1);
    }
    assert_true(g->m->names_stopped && g->m->names_id == 8);
    (void)rig_answers(g);
    assert_int_equal(memstore_names_answer(g->m, g->r, 2, &g->err), 0);
    assert_string_equal(rig_answers(g), "NAMES 8 last 0\n");
    assert_int_equal(g->m->names_id, 99);
    assert_int_equal(memstore_names_answer(g->m, g->r, 2, &g->err), 0);
    assert_string_equal(rig_answers(g), "NAMES 99 last 1 t:a\n");
}

static void nothing_asked_for_ends_what_was_asked_before(void **state)
{
    struct rig *g = *state;

    scan(g, 7, WIRE_SCAN_CONTENT);
    scan(g, 8, WIRE_SCAN_CONTENT);
    resolve(g, 9, NULL, 0);
    assert_string_equal(rig_answers(g), "SCAN_DONE 8 keys 0 tables 1 errors 1\n"
                                        "NAMES 9 last 0\n");
    assert_true(g->m->scan_stopped);
    assert_false(g->m->names_wanted);
    answer_scan(g);
    assert_string_equal(rig_answers(g),
                        "SCAN_DONE 7 keys 0 tables 1 errors 1\n");
    assert_false(g->m->scan_wanted);
}

static void tree_and_listing_are_those_of_the_index(void **state)
{
    struct rig *g = *state;
    struct digest want[256];
    static uint16_t all[WIRE_BATCH_MAX];

    for (uint64_t i = 0; i < 20000; i++) {
        struct index_entry e = {.name = {i, (i % WIRE_BATCH_MAX) << 48},
                                .digest = {i, 1}};
        assert_int_equal(index_put(g->ix, &e, &g->err), 0);
    }
    struct wire_tree top = {.id = 3, .node = WIRE_TREE_TOP};
    wire_put_tree(&g->out, &top);
    assert_int_equal(rig_send(g, 0), 0);
    assert_string_equal(rig_answers(g), "NODES 3 65535\n");
    index_nodes(g->ix, want);
    assert_memory_equal(g->nodes, want, sizeof want);
    struct wire_tree node = {.id = 4, .node = 5};
    wire_put_tree(&g->out, &node);
    assert_int_equal(rig_send(g, 0), 0);
    assert_string_equal(rig_answers(g), "NODES 4 5\n");
    index_buckets(g->ix, 5, want);
    assert_memory_equal(g->nodes, want, sizeof want);
    for (unsigned i = 0; i < WIRE_BATCH_MAX; i++) {
        all[i] = (uint16_t)i;
    }
    wire_put_list(&g->out, 5, all, WIRE_BATCH_MAX);
    uint16_t none = 65535;
    wire_put_list(&g->out, 6, &none, 1);
    assert_int_equal(rig_send(g, 0), 0);
    /* The root table's own entry may lie in one of the buckets, too. */
    unsigned root =
        index_bucket(index_name_table(&plain_key, "", 0)) < WIRE_BATCH_MAX;
    char text[128];
    (void)snprintf(text, sizeof text,
                   "LISTING 5 8192\nLISTING 5 8192\nLISTING 5 last %u\n"
                   "LISTING 6 last 0\n",
                   20000U + root - 2 * WIRE_BATCH_MAX);
    assert_string_equal(rig_answers(g), text);
}

static void names_are_found_and_sent_in_parts(void **state)
{
    struct rig *g = *state;
    struct digest names[3];

    memstore_edit(g->m, "t", "a", "x", 1);
    memstore_edit(g->m, "t", "b", "x", 1);
    memstore_edit(g->m, "u", "c", "x", 1);
    names[0] = index_name_key(&plain_key, "t", 1, "b", 1);
    names[1] = index_name_table(&plain_key, "u", 1);
    names[2] = index_name_key(&plain_key, "t", 1, "a", 1);
    wire_put_resolve(&g->out, 4, false, names, 2);
    assert_int_equal(rig_send(g, 0), 0);
    assert_false(g->m->names_wanted);
    wire_put_resolve(&g->out, 4, true, names + 2, 1);
    assert_int_equal(rig_send(g, 0), 0);
    assert_true(g->m->names_wanted);
    assert_int_equal(g->m->names_count, 3);
    assert_int_equal(memstore_names_answer(g->m, g->r, 2, &g->err), 0);
    assert_string_equal(rig_answers(g), "NAMES 4 2 t:a t:b\n"
                                        "NAMES 4 last 1 u\n");
    assert_false(g->m->names_wanted);
}

static void more_than_a_million_names_are_refused(void **state)
{
    static struct digest names[WIRE_BATCH_MAX];
    struct rig *g = *state;
    int rc = 0;
    size_t sent = 0;

    while (rc == 0) {
        wire_put_resolve(&g->out, 4, false, names, WIRE_BATCH_MAX);
        rc = rig_send(g, 0);
        sent += WIRE_BATCH_MAX;
        assert_true(sent <= 1100000);
    }
    assert_int_equal(rc, ERR_PROTO);
    assert_prefix(rig_answers(g), "ERROR 213 RESOLVE: ");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        GREETED(a_stream_lets_small_values_pass),
        GREETED(zeros_are_a_piece_like_any_other),
        GREETED(zeros_beyond_the_disk_are_refused_and_then_ignored),
        GREETED(two_streams_do_not_mix),
        GREETED(an_aborted_stream_leaves_nothing_and_no_answer),
        GREETED(a_stream_with_a_wrong_digest_is_refused),
        GREETED(frames_of_a_refused_stream_are_ignored),
        GREETED(more_streams_than_allowed_are_refused_one_by_one),
        GREETED(pieces_without_a_beginning_end_the_session),
        GREETED(a_pong_tells_what_is_applied_and_nothing_more),
        GREETED(freshness_is_written_when_it_is_known),
        GREETED(a_freshness_that_cannot_be_written_is_told_once),
        GREETED(a_scan_is_answered_with_what_it_found),
        GREETED(a_newer_scan_ends_those_before_it),
        NEW(the_scan_at_start_is_not_ended),
        GREETED(names_asked_for_end_what_was_asked_before),
        GREETED(nothing_asked_for_ends_what_was_asked_before),
        GREETED(tree_and_listing_are_those_of_the_index),
        GREETED(names_are_found_and_sent_in_parts),
        GREETED(more_than_a_million_names_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
