/* SPDX-License-Identifier: MIT
 *
 * ignored: what is in nobody's names, as scans tell it and as it is counted
 * between them.
 */
#include "tests/support/store_fixture.h"

#include <limits.h>
#include <uv.h>

#include "agent/read/ignored.h"

struct bench {
    struct fixture f;
    uv_loop_t loop;
    struct root *root;
    struct ignored *ignored;
};

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);

    assert_non_null(b);
    fixture_begin(&b->f);
    assert_int_equal(uv_loop_init(&b->loop), 0);
    put_text(b->f.fd, "k.kv", "");
    assert_int_equal(symlinkat("k.kv", b->f.fd, "link.kv"), 0);
    b->root = root_open(b->f.path, &b->f.err);
    assert_non_null(b->root);
    b->ignored = ignored_new(&b->loop);
    assert_non_null(b->ignored);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    ignored_stop(b->ignored);
    (void)uv_run(&b->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&b->loop), 0);
    ignored_free(b->ignored);
    assert_int_equal(b->root->refs, 1);
    root_unref(b->root);
    fixture_end(&b->f);
    free(b);
    return 0;
}

/* Time is no obstacle. */
static void tick(struct bench *b, uint64_t events)
{
    ignored_tick(b->ignored, b->root, events, INT64_MAX);
    (void)uv_run(&b->loop, UV_RUN_DEFAULT);
}

static void events_make_it_count_again(void **state)
{
    struct bench *b = *state;
    struct err err;

    tick(b, 0);
    assert_int_equal(ignored_count(b->ignored), 0); /* nothing came */
    tick(b, 1);
    assert_int_equal(ignored_count(b->ignored), 1);
    assert_true(ignored_warning(b->ignored, 1, true, &err));
    assert_int_equal(unlinkat(b->f.fd, "link.kv", 0), 0);
    tick(b, 1);
    assert_int_equal(ignored_count(b->ignored), 1);
    tick(b, 2);
    assert_int_equal(ignored_count(b->ignored), 0);
    assert_false(ignored_warning(b->ignored, 1, true, &err));
}

/* A scan's word stands until events come: what it met may have gone since. */
static void a_scan_tells_until_events_come(void **state)
{
    struct bench *b = *state;
    struct passed met = {.count = 0};

    passed_note(&met, "t.tbl", "gone.kv", PASSED_LINK);
    passed_note(&met, "t.tbl", "notes", PASSED_NO_KEY);
    ignored_scanned(b->ignored, &met);
    tick(b, 0);
    assert_int_equal(ignored_count(b->ignored), 2);
    tick(b, 1);
    assert_int_equal(ignored_count(b->ignored), 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(events_make_it_count_again),
        T(a_scan_tells_until_events_come),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
