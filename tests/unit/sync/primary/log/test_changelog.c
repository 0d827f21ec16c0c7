/* SPDX-License-Identifier: MIT
 *
 * The change log: a replica has at most one place per key, a place never moves
 * and its sequence never grows, and what nobody needs any more is freed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/base/rand.h"
#include "sync/primary/log/changelog.h"

static struct record *record_of(struct changelog *log, const char *key)
{
    struct record *rec = changelog_record(log, false, "t", 1, key, strlen(key));

    assert_non_null(rec);
    return rec;
}

static void change(struct changelog *log, const char *key, uint64_t mask)
{
    assert_true(changelog_add(log, record_of(log, key), mask, 1, 1));
}

/* Take the next place; "-" when there is none. */
static const char *take(struct changelog *log, int replica, uint64_t *seq_out)
{
    static char text[64];
    struct taken t;

    if (!changelog_take(log, replica, &t)) {
        return "-";
    }
    (void)snprintf(text, sizeof text, "%.*s", (int)t.rec->key_len,
                   (const char *)record_key(t.rec).p);
    if (seq_out != NULL) {
        *seq_out = t.seq;
    }
    changelog_release(log, t.rec);
    return text;
}

static void test_a_change_reaches_each_member_once_in_order(void **state)
{
    struct changelog log;

    changelog_init(&log, *state);
    int a = changelog_join(&log), b = changelog_join(&log);
    change(&log, "x", ~UINT64_C(0));
    change(&log, "y", ~UINT64_C(0));
    assert_string_equal(take(&log, a, NULL), "x");
    assert_string_equal(take(&log, a, NULL), "y");
    assert_string_equal(take(&log, a, NULL), "-");
    assert_string_equal(take(&log, b, NULL), "x");
    assert_string_equal(take(&log, b, NULL), "y");
    assert_int_equal(log.nodes, 0);
    assert_null(log.records);
    changelog_deinit(&log);
}

static void test_a_change_again_keeps_its_place_and_sequence(void **state)
{
    struct changelog log;
    uint64_t seq = 0;

    changelog_init(&log, *state);
    int a = changelog_join(&log);
    change(&log, "x", ~UINT64_C(0));
    change(&log, "y", ~UINT64_C(0));
    change(&log, "x", ~UINT64_C(0));
    assert_int_equal(log.nodes, 2);
    assert_string_equal(take(&log, a, &seq), "x");
    assert_int_equal(seq, 1);
    assert_string_equal(take(&log, a, &seq), "y");
    assert_int_equal(seq, 2);
    assert_string_equal(take(&log, a, NULL), "-");
    changelog_deinit(&log);
}

static void test_who_has_passed_a_key_hears_of_its_next_change(void **state)
{
    struct changelog log;
    uint64_t seq = 0;

    changelog_init(&log, *state);
    int a = changelog_join(&log), b = changelog_join(&log);
    change(&log, "x", ~UINT64_C(0));
    assert_string_equal(take(&log, a, NULL), "x");
    change(&log, "x", ~UINT64_C(0));
    assert_string_equal(take(&log, a, &seq), "x");
    assert_int_equal(seq, 2);
    assert_string_equal(take(&log, b, &seq), "x");
    assert_int_equal(seq, 1);
    assert_string_equal(take(&log, b, NULL), "-");
    changelog_deinit(&log);
}

static void test_an_unsent_flight_needs_no_further_place(void **state)
{
    struct changelog log;

    changelog_init(&log, *state);
    int a = changelog_join(&log);
    struct record *rec = record_of(&log, "x");
    rec->waiting = UINT64_C(1) << a;
    change(&log, "x", ~UINT64_C(0));
    assert_int_equal(log.nodes, 0);
    changelog_release(&log, rec);
    assert_null(log.records);
    changelog_deinit(&log);
}

static void test_one_who_joins_starts_at_the_tail(void **state)
{
    struct changelog log;

    changelog_init(&log, *state);
    int a = changelog_join(&log);
    change(&log, "x", ~UINT64_C(0));
    int b = changelog_join(&log);
    assert_null(changelog_next(&log, b));
    change(&log, "x", ~UINT64_C(0));
    assert_string_equal(take(&log, b, NULL), "x");
    assert_string_equal(take(&log, a, NULL), "x");
    changelog_deinit(&log);
}

static void test_leaving_frees_what_only_it_waited_for(void **state)
{
    struct changelog log;

    changelog_init(&log, *state);
    int a = changelog_join(&log), b = changelog_join(&log);
    change(&log, "x", ~UINT64_C(0));
    change(&log, "y", UINT64_C(1) << a);
    change(&log, "z", UINT64_C(1) << b);
    changelog_unsubscribe(&log, a);
    assert_int_equal(log.nodes, 2);
    assert_int_equal(HASH_COUNT(log.records), 2);
    assert_string_equal(take(&log, b, NULL), "x");
    assert_string_equal(take(&log, b, NULL), "z");
    assert_null(log.records);
    assert_int_equal(changelog_join(&log), a);
    assert_null(changelog_next(&log, a));
    changelog_deinit(&log);
}

static void test_the_farthest_behind_is_the_slowest(void **state)
{
    struct changelog log;

    changelog_init(&log, *state);
    int a = changelog_join(&log), b = changelog_join(&log);
    assert_int_equal(changelog_slowest(&log, ~UINT64_C(0)), -1);
    change(&log, "x", ~UINT64_C(0));
    change(&log, "y", ~UINT64_C(0));
    assert_string_equal(take(&log, a, NULL), "x");
    assert_int_equal(changelog_slowest(&log, ~UINT64_C(0)), b);
    assert_int_equal(changelog_slowest(&log, UINT64_C(1) << a), a);
    changelog_forget(&log, b);
    assert_int_equal(log.pending[b], 0);
    assert_int_equal(changelog_slowest(&log, ~UINT64_C(0)), a);
    change(&log, "x", ~UINT64_C(0));
    assert_string_equal(take(&log, b, NULL), "x");
    changelog_deinit(&log);
}

static void test_there_is_room_for_64_members(void **state)
{
    struct changelog log;

    changelog_init(&log, *state);
    for (int i = 0; i < LOG_REPLICAS_MAX; i++) {
        assert_int_equal(changelog_join(&log), i);
    }
    assert_int_equal(changelog_join(&log), -1);
    change(&log, "x", ~UINT64_C(0));
    assert_string_equal(take(&log, 63, NULL), "x");
    changelog_unsubscribe(&log, 7);
    assert_int_equal(changelog_join(&log), 7);
    assert_string_equal(take(&log, 7, NULL), "-");
    changelog_deinit(&log);
}

/* --- against a model ----------------------------------------------------- */

enum { MODEL_KEYS = 20, MODEL_MEMBERS = 5, MODEL_STEPS = 200000 };

/* Per member: the sequence at which it must hear of the key, 0 none. */
struct model {
    uint64_t due[MODEL_MEMBERS][MODEL_KEYS];
    bool member[MODEL_MEMBERS];
};

static void model_take(struct changelog *log, struct model *m, int r)
{
    struct taken t;
    int want = -1;

    for (int k = 0; k < MODEL_KEYS; k++) {
        if (m->due[r][k] != 0 && (want < 0 || m->due[r][k] < m->due[r][want])) {
            want = k;
        }
    }
    assert_int_equal(changelog_take(log, r, &t), want >= 0);
    if (want >= 0) {
        assert_int_equal(t.seq, m->due[r][want]);
        assert_int_equal(record_key(t.rec).p[0], 'a' + want);
        m->due[r][want] = 0;
        changelog_release(log, t.rec);
    }
}

static void model_change(struct changelog *log, struct model *m, int k,
                         uint64_t mask)
{
    char key[2] = {(char)('a' + k), '\0'};
    bool any = false;

    for (int r = 0; r < MODEL_MEMBERS; r++) {
        if (m->member[r] && ((mask >> r) & 1) && m->due[r][k] == 0) {
            m->due[r][k] = log->tail_seq + 1;
            any = true;
        }
    }
    struct record *rec = record_of(log, key);
    uint64_t was = log->tail_seq;
    assert_true(changelog_add(log, rec, mask, 1, 1));
    assert_int_equal(log->tail_seq, was + (any ? 1 : 0));
    changelog_release(log, rec);
}

static void model_check(const struct changelog *log, const struct model *m)
{
    size_t nodes = 0;
    uint64_t seq = 0;

    for (const struct log_node *n = log->head; n != NULL; n = n->next) {
        assert_true(n->seq > seq);
        assert_true(n->mask != 0);
        seq = n->seq;
        nodes++;
    }
    assert_int_equal(nodes, log->nodes);
    for (int r = 0; r < MODEL_MEMBERS; r++) {
        uint64_t pending = 0;
        for (int k = 0; k < MODEL_KEYS; k++) {
            pending += m->due[r][k] != 0;
        }
        assert_int_equal(pending, log->pending[r]);
    }
}

static void test_any_order_of_calls_matches_the_model(void **state)
{
    const char *given = getenv("DROVER_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : rand_seed();
    struct prng rnd = prng_of(seed);
    struct changelog log;
    struct model m;

    print_message("DROVER_SEED=%" PRIu64 "\n", seed);
    memset(&m, 0, sizeof m);
    changelog_init(&log, *state);
    for (int r = 0; r < MODEL_MEMBERS; r++) {
        assert_int_equal(changelog_join(&log), r);
        m.member[r] = true;
    }
    for (int i = 0; i < MODEL_STEPS; i++) {
        int r = (int)prng_below(&rnd, MODEL_MEMBERS);
        uint64_t what = prng_below(&rnd, 100);
        if (what < 45) {
            model_change(&log, &m, (int)prng_below(&rnd, MODEL_KEYS),
                         prng_below(&rnd, 4) != 0 ? ~UINT64_C(0)
                                                  : prng_next(&rnd));
        } else if (what < 97) {
            if (m.member[r]) {
                model_take(&log, &m, r);
            }
        } else if (m.member[r]) {
            memset(m.due[r], 0, sizeof m.due[r]);
            if (what == 97) {
                changelog_forget(&log, r);
            } else {
                changelog_unsubscribe(&log, r);
                m.member[r] = false;
            }
        } else {
            /* The lowest free bit. */
            int got = changelog_join(&log);
            assert_true(got >= 0 && got < MODEL_MEMBERS && !m.member[got]);
            m.member[got] = true;
        }
        if (i % 97 == 0) {
            model_check(&log, &m);
        }
    }
    changelog_deinit(&log);
}

/* All tests share it: they need its key alone. */
static int setup(void **state)
{
    *state = index_new();
    return *state == NULL;
}

static int teardown(void **state)
{
    index_free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_change_reaches_each_member_once_in_order),
        cmocka_unit_test(test_a_change_again_keeps_its_place_and_sequence),
        cmocka_unit_test(test_who_has_passed_a_key_hears_of_its_next_change),
        cmocka_unit_test(test_an_unsent_flight_needs_no_further_place),
        cmocka_unit_test(test_one_who_joins_starts_at_the_tail),
        cmocka_unit_test(test_leaving_frees_what_only_it_waited_for),
        cmocka_unit_test(test_the_farthest_behind_is_the_slowest),
        cmocka_unit_test(test_there_is_room_for_64_members),
        cmocka_unit_test(test_any_order_of_calls_matches_the_model),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
