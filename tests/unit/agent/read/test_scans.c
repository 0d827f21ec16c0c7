/* SPDX-License-Identifier: MIT
 *
 * scans: scans and walks on their threads, seen from the loop.
 */
#include "tests/support/store_fixture.h"

#include <uv.h>

#include "agent/read/scans.h"
#include "tests/support/plain_key.h"

enum { KEYS = 1000 };

struct bench {
    struct fixture f;
    uv_loop_t loop;
    struct scans *scans;
    struct root *root;
    struct index *ix;
    unsigned scans_ended, hints, table_hints, missed, left;
    unsigned done, done_rc_bad, other_done;
    struct scan_report last;
    /* walks */
    size_t room, found, tables_found, over_room;
    bool wide_open;
    unsigned ended;
    bool complete;
    int saved_rc;
    unsigned saved;
};

static void on_ended(void *arg, const struct scan_report *r)
{
    struct bench *b = arg;

    b->scans_ended++;
    b->last = *r;
}

static void on_hint(void *arg, struct bytes table, const struct bytes *key)
{
    struct bench *b = arg;

    (void)table;
    if (key != NULL) {
        b->hints++;
    } else {
        b->table_hints++;
    }
}

static void on_skipped(void *arg, struct bytes table, struct bytes key)
{
    struct bench *b = arg;
    struct index_entry e;

    /* Nobody else puts it there. */
    assert_false(index_get(
        b->ix, index_name_key(&plain_key, table.p, table.len, key.p, key.len),
        &e));
    b->left++;
}

static void on_missed(void *arg)
{
    ((struct bench *)arg)->missed++;
}

static size_t on_room(void *arg, uint64_t id)
{
    struct bench *b = arg;

    assert_int_equal(id, 7);
    return b->wide_open ? 100000 : b->room;
}

static void on_found(void *arg, uint64_t id, struct digest name, bool is_table,
                     struct bytes table, struct bytes key)
{
    struct bench *b = arg;
    struct digest want =
        is_table
            ? index_name_table(&plain_key, table.p, table.len)
            : index_name_key(&plain_key, table.p, table.len, key.p, key.len);

    assert_int_equal(id, 7);
    assert_true(digest_equal(want, name));
    b->found++;
    b->tables_found += is_table;
    if (!b->wide_open) {
        b->over_room += b->room == 0;
        b->room -= b->room > 0;
    }
}

static void on_walk_ended(void *arg, uint64_t id, bool complete,
                          const struct err *err)
{
    struct bench *b = arg;

    (void)err;
    assert_int_equal(id, 7);
    b->ended++;
    b->complete = complete;
}

static const struct scans_events events = {
    .ended = on_ended,
    .hint = on_hint,
    .skipped = on_skipped,
    .missed = on_missed,
    .walk_room = on_room,
    .walk_found = on_found,
    .walk_ended = on_walk_ended,
};

/* The filter of these tests: everything is wanted. */
bool primary_walk_wants(const void *walk, struct digest name)
{
    (void)name;
    return walk != NULL;
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);

    assert_non_null(b);
    fixture_begin(&b->f);
    assert_int_equal(uv_loop_init(&b->loop), 0);
    assert_int_equal(mkdirat(b->f.fd, "t.tbl", 0755), 0);
    for (int i = 0; i < KEYS; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "t.tbl/%d.kv", i);
        put_file(b->f.fd, name, name, strlen(name));
    }
    b->root = root_open(b->f.path, &b->f.err);
    assert_non_null(b->root);
    b->ix = index_new();
    assert_non_null(b->ix);
    b->scans = scans_new(&b->loop, b->ix, &events, b);
    assert_non_null(b->scans);
    scans_set_root(b->scans, b->root);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    if (b->scans != NULL) {
        scans_free(b->scans, NULL, NULL);
    }
    while (uv_run(&b->loop, UV_RUN_DEFAULT) != 0) {
        ;
    }
    assert_int_equal(uv_loop_close(&b->loop), 0);
    assert_int_equal(b->root->refs, 1);
    root_unref(b->root);
    index_free(b->ix);
    fixture_end(&b->f);
    free(b);
    return 0;
}

static void on_done(void *arg, const struct scan_report *r)
{
    struct bench *b = arg;

    b->done++;
    b->done_rc_bad += r->rc < 0;
}

static void on_other(void *arg, const struct scan_report *r)
{
    (void)r;
    ++*(unsigned *)arg;
}

static void wait_scans(struct bench *b)
{
    while (scans_busy(b->scans)) {
        (void)uv_run(&b->loop, UV_RUN_ONCE);
    }
}

static void first_scan_fills_the_index_without_hints(void **state)
{
    struct bench *b = *state;

    scans_ask(b->scans, false, true, on_done, b);
    assert_int_equal(b->done, 0);
    wait_scans(b);
    assert_int_equal(b->done, 1);
    assert_int_equal(index_count(b->ix), KEYS);
    assert_int_equal(b->last.result.reread, KEYS);
    assert_int_equal(b->hints + b->table_hints, 0);
}

/* Each key is either read or left, never both, and never more are left than
 * there is room for; room that does not come does not stop the scan. */
static void first_scan_leaves_keys_while_there_is_room(void **state)
{
    struct bench *b = *state;

    assert_false(scans_skipping(b->scans));
    scans_set_skip_room(b->scans, KEYS / 10);
    scans_ask(b->scans, false, true, on_done, b);
    assert_true(scans_skipping(b->scans));
    wait_scans(b);
    assert_int_equal(b->done, 1);
    assert_int_equal(b->done_rc_bad, 0);
    assert_int_equal(b->left, KEYS / 10);
    assert_int_equal(b->last.result.left, b->left);
    assert_int_equal(b->last.result.reread + b->left, KEYS);
    assert_int_equal(index_count(b->ix) + b->left, KEYS);
    /* Later ones read what the index lacks. */
    scans_ask(b->scans, false, false, on_done, b);
    assert_false(scans_skipping(b->scans));
    wait_scans(b);
    assert_int_equal(index_count(b->ix), KEYS);
}

static void later_scan_hints_what_the_watch_missed(void **state)
{
    struct bench *b = *state;

    scans_ask(b->scans, false, true, NULL, NULL);
    wait_scans(b);
    put_file(b->f.fd, "t.tbl/1.kv", "another", 7);
    put_file(b->f.fd, "t.tbl/new.kv", "new", 3);
    assert_int_equal(mkdirat(b->f.fd, "u.tbl", 0755), 0);
    scans_ask(b->scans, false, false, NULL, NULL);
    wait_scans(b);
    assert_int_equal(b->hints, 2);
    assert_int_equal(b->table_hints, 1);
    assert_int_equal(b->missed, 0);
}

static void request_during_a_scan_gets_the_next_one(void **state)
{
    struct bench *b = *state;

    scans_ask(b->scans, false, true, on_done, b);
    assert_false(scans_waiting(b->scans));
    /* The thread runs already: these come too late for it, and share one. */
    scans_ask(b->scans, false, false, on_done, b);
    scans_ask(b->scans, true, false, on_done, b);
    assert_true(scans_waiting(b->scans));
    wait_scans(b);
    assert_int_equal(b->done, 3);
    assert_int_equal(b->scans_ended, 2);
    /* One of the two wanted contents, so both got them. */
    assert_true(b->last.content);
    assert_int_equal(b->last.result.reread, KEYS);
}

static void forgotten_waiter_is_not_told(void **state)
{
    struct bench *b = *state;
    unsigned other = 0;

    scans_ask(b->scans, false, true, on_done, b);
    scans_ask(b->scans, false, true, on_other, &other);
    scans_forget(b->scans, b);
    wait_scans(b);
    assert_int_equal(b->done, 0);
    assert_int_equal(other, 1);
}

static void lost_root_ends_requests_with_an_error(void **state)
{
    struct bench *b = *state;

    scans_set_root(b->scans, NULL);
    scans_ask(b->scans, false, false, on_done, b);
    assert_int_equal(b->done, 0);
    wait_scans(b);
    assert_int_equal(b->done_rc_bad, 1);
    assert_int_equal(b->last.rc, ERR_GONE);
    scans_set_root(b->scans, b->root);
    scans_ask(b->scans, false, false, on_done, b);
    wait_scans(b);
    assert_int_equal(b->done, 2);
    assert_int_equal(b->done_rc_bad, 1);
}

static void too_many_hints_are_dropped_and_said_so(void **state)
{
    struct bench *b = *state;
    char name[300];

    /* Long names fill the bound before the loop gets to look at them: it does
     * not run while the scan does. */
    scans_ask(b->scans, false, true, NULL, NULL);
    wait_scans(b);
    enum { LONG = 20000 };
    for (int i = 0; i < LONG; i++) {
        (void)snprintf(name, sizeof name, "t.tbl/%0230d.kv", i);
        int fd = openat(b->f.fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, "x", 1), 1);
        assert_int_equal(close(fd), 0);
    }
    scans_ask(b->scans, false, false, NULL, NULL);
    while (scans_progress(b->scans) < KEYS + LONG) {
        (void)usleep(1000); /* the thread works, the loop does not look */
    }
    wait_scans(b);
    assert_true(b->missed > 0);
    assert_true(b->hints < LONG);
    assert_int_equal(index_count(b->ix), KEYS + LONG);
}

static void walk_waits_for_room(void **state)
{
    struct bench *b = *state;

    b->room = 100;
    scans_walk(b->scans, 7, b);
    while (b->found < 100) {
        (void)uv_run(&b->loop, UV_RUN_ONCE);
    }
    for (int i = 0; i < 50; i++) {
        (void)uv_run(&b->loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(b->found, 100);
    assert_int_equal(b->ended, 0);
    size_t before = b->found;
    while (b->ended == 0) {
        b->room = 37;
        scans_walk_pump(b->scans);
        while (b->ended == 0 && b->room > 0) {
            (void)uv_run(&b->loop, UV_RUN_ONCE);
        }
        assert_true(b->found <= before + 37);
        before = b->found;
    }
    assert_int_equal(b->over_room, 0);
    assert_true(b->complete);
    assert_int_equal(b->found - b->tables_found, KEYS);
}

static void stopped_walk_still_ends(void **state)
{
    struct bench *b = *state;

    b->room = 10;
    scans_walk(b->scans, 7, b);
    while (b->found < 10) {
        (void)uv_run(&b->loop, UV_RUN_ONCE);
    }
    scans_walk_stop(b->scans, 7);
    while (b->ended == 0) {
        (void)uv_run(&b->loop, UV_RUN_ONCE);
    }
    assert_false(b->complete);
    /* And there can be another. */
    b->ended = 0;
    b->wide_open = true;
    scans_walk(b->scans, 7, b);
    while (b->ended == 0) {
        (void)uv_run(&b->loop, UV_RUN_ONCE);
    }
    assert_true(b->complete);
}

static void freeing_in_the_middle_of_everything_is_clean(void **state)
{
    struct bench *b = *state;

    b->room = 10;
    scans_walk(b->scans, 7, b);
    scans_ask(b->scans, true, true, on_done, b);
    scans_ask(b->scans, true, true, on_done, b);
    scans_free(b->scans, NULL, NULL);
    b->scans = NULL;
    while (uv_run(&b->loop, UV_RUN_DEFAULT) != 0) {
        ;
    }
    assert_int_equal(b->done, 0);
    assert_int_equal(b->ended, 0);
}

static void on_saved(void *arg, int rc, const struct err *err)
{
    struct bench *b = arg;

    (void)err;
    b->saved_rc = rc;
    b->saved++;
}

static void saved_index_is_loaded_again(void **state)
{
    struct bench *b = *state;
    struct index_ident ident = {.db_id = {1}, .root_dev = 2, .root_ino = 3};

    scans_ask(b->scans, false, true, NULL, NULL);
    wait_scans(b);
    scans_save(b->scans, b->f.fd, "index", &ident, on_saved, b);
    assert_true(scans_saving(b->scans));
    while (b->saved == 0) {
        (void)uv_run(&b->loop, UV_RUN_ONCE);
    }
    assert_int_equal(b->saved_rc, 0);
    struct index *again = index_new();
    assert_non_null(again);
    assert_int_equal(index_load(again, b->f.fd, "index", &ident, &b->f.err), 0);
    assert_true(digest_equal(index_root(again), index_root(b->ix)));
    index_free(again);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(first_scan_fills_the_index_without_hints),
        T(first_scan_leaves_keys_while_there_is_room),
        T(later_scan_hints_what_the_watch_missed),
        T(request_during_a_scan_gets_the_next_one),
        T(forgotten_waiter_is_not_told),
        T(lost_root_ends_requests_with_an_error),
        T(too_many_hints_are_dropped_and_said_so),
        T(walk_waits_for_room),
        T(stopped_walk_still_ends),
        T(freeing_in_the_middle_of_everything_is_clean),
        T(saved_index_is_loaded_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
