/* SPDX-License-Identifier: MIT
 *
 * events: numbers that are never given twice, what is kept over restarts and
 * what is shown of it.
 */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/events/events.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/sys.h"
#include "tests/support/store_fixture.h"

struct fix {
    struct fixture f;
    struct events *e;
};

static void reopen(struct fix *x)
{
    events_close(x->e);
    x->e = events_open(x->f.fd, &x->f.err);
    assert_non_null(x->e);
}

static int setup(void **state)
{
    struct fix *x = calloc(1, sizeof *x);

    fixture_begin(&x->f);
    reopen(x);
    *state = x;
    return 0;
}

static int teardown(void **state)
{
    struct fix *x = *state;

    events_close(x->e);
    fixture_end(&x->f);
    free(x);
    return 0;
}

static void add(struct fix *x, const char *replica, const char *text)
{
    const struct log_record ev = {.level = LOG_WARNING,
                                  .event = "link_down",
                                  .replica = replica,
                                  .dr = 209,
                                  .text = text,
                                  .len = strlen(text)};

    events_add(x->e, &ev);
}

/* "1 link_down a x;2 ..." */
static void shows(struct fix *x, const struct events_query *q,
                  const char *expected)
{
    CLEANUP(json_decrefp) json_t *page = events_answer(x->e, q);
    const json_t *event;
    char text[4000] = "";
    size_t i, at = 0;

    json_array_foreach(json_object_get(page, "events"), i, event) {
        const char *replica =
            json_string_value(json_object_get(event, "replica"));
        at += (size_t)snprintf(
            text + at, sizeof text - at, "%d%s%s%s%s;",
            (int)json_integer_value(json_object_get(event, "n")),
            replica != NULL ? " " : "", replica != NULL ? replica : "",
            replica != NULL ? " " : "",
            replica != NULL ? json_string_value(json_object_get(event, "text"))
                            : "");
    }
    assert_string_equal(text, expected);
}

static const struct events_query ALL = {.from = 0};

static void what_happened_is_shown_in_order(void **state)
{
    struct fix *x = *state;
    static const char *const A[] = {"a"};

    add(x, "a", "one");
    add(x, "b", "two \"quoted\"");
    add(x, "a", "three");
    shows(x, &ALL, "1;2 a one;3 b two \"quoted\";4 a three;");
    shows(x, &(struct events_query){.from = 3},
          "3 b two \"quoted\";4 a three;");
    shows(x, &(struct events_query){.last = 1}, "4 a three;");
    shows(x, &(struct events_query){.replicas = A, .count = 1},
          "2 a one;4 a three;");
    shows(x, &(struct events_query){.replicas = A, .count = 1, .last = 1},
          "4 a three;");
    shows(x, &(struct events_query){.replicas = A, .count = 1, .last = 9},
          "2 a one;4 a three;");
    shows(x, &(struct events_query){.since_ns = clock_real_ns() + NS_PER_S},
          "");
}

static void a_restart_goes_on_with_the_numbers(void **state)
{
    struct fix *x = *state;

    add(x, "a", "one");
    reopen(x);
    add(x, "a", "two");
    shows(x, &ALL, "1;2 a one;3;4;5 a two;"); /* 3: stopped, 4: started */
    /* Whoever only reads changes nothing. */
    events_close(x->e);
    x->e = events_open_to_read(x->f.fd, &x->f.err);
    shows(x, &ALL, "1;2 a one;3;4;5 a two;6;");
    reopen(x);
    shows(x, &ALL, "1;2 a one;3;4;5 a two;6;7;");
}

/* Its record as somebody else's words: one line of a start, then this. */
static void plant(struct fix *x, const char *text)
{
    events_close(x->e);
    x->e = NULL;
    (void)unlinkat(x->f.fd, "events.1", 0);
    put_text(x->f.fd, "events", text);
    reopen(x);
}

static void after_a_power_loss_numbers_are_passed_over(void **state)
{
    struct fix *x = *state;
    static const char OTHER_BOOT[] =
        "{\"n\":7,\"time\":\"2026-01-31T12:00:00.000Z\",\"level\":\"notice\","
        "\"event\":\"agent_started\",\"text\":\"00ff\"}\n";

    plant(x, OTHER_BOOT);
    shows(x, &ALL, "7;1008;");
    /* The same boot: the agent was killed, and what it wrote is there. */
    plant(x, "");
    add(x, "a", "one");
    events_close(x->e);
    char all[4000];
    CLEANUP(fd_closep) int fd = openat(x->f.fd, "events", O_RDONLY);
    ssize_t n = sys_read_full(fd, all, sizeof all - 1);
    assert_true(n > 0);
    all[n] = '\0';
    char *stop = strstr(all, "{\"n\":3");
    assert_non_null(stop);
    *stop = '\0';
    x->e = NULL;
    plant(x, all);
    shows(x, &ALL, "1;2 a one;3;");
}

static void what_is_no_event_is_left_out(void **state)
{
    struct fix *x = *state;

    plant(x, "x\n{}\n[1]\n{\"n\":-1}\n"
             "{\"n\":1,\"level\":\"info\",\"event\":\"e\",\"text\":1}\n"
             "{\"n\":2,\"level\":\"loud\",\"event\":\"e\",\"text\":\"\"}\n"
             "{\"n\":3,\"level\":\"info\",\"event\":\"\\u001b[2J\","
             "\"text\":\"\"}\n"
             "{\"n\":4,\"level\":\"info\",\"event\":\"e\",\"text\":\"\","
             "\"replica\":7}\n"
             "{\"n\":5,\"time\":\"?\",\"level\":\"notice\","
             "\"event\":\"agent_stopped\",\"text\":\"\"}\n"
             "{\"n\":4,\"level\":\"info\",\"event\":\"e\","
             "\"text\":\"older\"}\n"
             "{\"n\":6,\"level\":\"info\",\"event\":\"e\",\"te");
    shows(x, &ALL, "5;6;");
    /* Half a line at the end takes none with it. */
    add(x, "a", "one");
    reopen(x);
    shows(x, &ALL, "5;6;7 a one;8;9;");
}

static void the_record_is_bounded(void **state)
{
    struct fix *x = *state;
    struct stat st;
    char text[1500];
    static const char *const NAMES[] = {"events", "events.1"};

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (unsigned i = 0; i < 3000; i++) {
        add(x, "a", text);
        if (i % 40 == 0) { /* the thread is not left behind */
            reopen(x);
        }
    }
    reopen(x);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(fstatat(x->f.fd, NAMES[i], &st, 0), 0);
        assert_true(st.st_size > 0 && st.st_size <= EVENTS_FILE_BYTES);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
    CLEANUP(json_decrefp) json_t *page = events_answer(x->e, &ALL);
    assert_int_equal(json_array_size(json_object_get(page, "events")),
                     EVENTS_ANSWER_MAX);
    assert_true(json_is_true(json_object_get(page, "more")));
    json_t *first = json_array_get(json_object_get(page, "events"), 0);
    json_int_t next = json_integer_value(json_object_get(page, "next"));
    assert_int_equal(next, json_integer_value(json_object_get(first, "n")) +
                               EVENTS_ANSWER_MAX);
}

/* What may be in the file's place. */
static void put_directory(int fd)
{
    assert_int_equal(mkdirat(fd, "events", 0700), 0);
}
static void put_fifo(int fd)
{
    assert_int_equal(mkfifoat(fd, "events", 0600), 0);
}
static void put_dangling_link(int fd)
{
    assert_int_equal(symlinkat("nowhere", fd, "events"), 0);
}
static void put_link(int fd)
{
    assert_int_equal(symlinkat("/etc/passwd", fd, "events"), 0);
}

static void (*const OTHERS[])(int fd) = {put_directory, put_fifo,
                                         put_dangling_link, put_link};

/* Until the thread has come to know it. */
static void must_have_trouble(struct fix *x, bool expected)
{
    struct err err;

    while (events_trouble(x->e, &err) != expected) {
        (void)sched_yield();
    }
    if (expected && strstr(err.msg, "events is no regular file") == NULL) {
        fail_msg("%s", err.msg);
    }
}

static void
a_record_that_cannot_be_written_is_told_and_written_later(void **state)
{
    struct fix *x = *state;
    struct stat st;

    for (size_t i = 0; i < sizeof OTHERS / sizeof *OTHERS; i++) {
        events_close(x->e);
        x->e = NULL;
        assert_int_equal(unlinkat(x->f.fd, "events", 0), 0);
        OTHERS[i](x->f.fd);
        reopen(x);
        add(x, "a", "kept");
        must_have_trouble(x, true);
        assert_int_equal(renameat(x->f.fd, "events", x->f.fd, "other"), 0);
        add(x, "a", "then");
        must_have_trouble(x, false);
        assert_int_equal(fstatat(x->f.fd, "events", &st, AT_SYMLINK_NOFOLLOW),
                         0);
        assert_true(S_ISREG(st.st_mode));
        reopen(x);
        shows(x, &ALL, "1001;1002 a kept;1003 a then;1004;1005;");
        (void)unlinkat(x->f.fd, "other", i == 0 ? AT_REMOVEDIR : 0);
    }
}

static void a_record_that_cannot_be_read_is_no_empty_one(void **state)
{
    struct fix *x = *state;

    events_close(x->e);
    for (size_t i = 0; i < sizeof OTHERS / sizeof *OTHERS; i++) {
        (void)unlinkat(x->f.fd, "events", i == 1 ? AT_REMOVEDIR : 0);
        OTHERS[i](x->f.fd);
        assert_null(events_open_to_read(x->f.fd, &x->f.err));
        assert_non_null(strstr(x->f.err.msg, "events is no regular file"));
    }
    assert_int_equal(unlinkat(x->f.fd, "events", 0), 0);
    put_text(x->f.fd, "events", "damaged\n");
    assert_null(events_open_to_read(x->f.fd, &x->f.err));
    assert_non_null(strstr(x->f.err.msg, "no line of it is an event"));
    assert_int_equal(unlinkat(x->f.fd, "events", 0), 0);
    x->e = events_open_to_read(x->f.fd, &x->f.err);
    assert_non_null(x->e);
    shows(x, &ALL, "");
}

static void a_damaged_record_is_moved_aside(void **state)
{
    struct fix *x = *state;
    struct stat st;

    assert_false(events_was_damaged(x->e));
    for (unsigned i = 0; i < 2; i++) { /* events.bad is replaced */
        plant(x, "damaged\n");
        assert_true(events_was_damaged(x->e));
        add(x, "a", "one");
        shows(x, &ALL, "1001;1002 a one;");
        assert_int_equal(fstatat(x->f.fd, "events.bad", &st, 0), 0);
        assert_int_equal(st.st_size, 8);
        reopen(x);
        shows(x, &ALL, "1001;1002 a one;1003;1004;");
        assert_false(events_was_damaged(x->e));
    }
}

/* "1012:1004;": 1004 numbers before 1012. */
static void gaps_are(struct fix *x, const struct events_query *q,
                     const char *expected)
{
    CLEANUP(json_decrefp) json_t *page = events_answer(x->e, q);
    const json_t *event;
    char text[400] = "";
    size_t i, at = 0;

    json_array_foreach(json_object_get(page, "events"), i, event) {
        const json_t *missing = json_object_get(event, "missing");
        at += (size_t)snprintf(
            text + at, missing != NULL ? sizeof text - at : 0, "%d:%d;",
            (int)json_integer_value(json_object_get(event, "n")),
            (int)json_integer_value(missing));
        at = strlen(text);
    }
    assert_string_equal(text, expected);
}

#define LINE(n, time)                                                          \
    "{\"n\":" #n ",\"time\":\"" time                                           \
    "\",\"level\":\"info\",\"event\":\"e\",\"text\":\"\"}\n"

static void what_a_query_leaves_out_is_not_missing(void **state)
{
    struct fix *x = *state;
    const struct events_query late = {
        .since_ns = INT64_C(1774771200) * NS_PER_S}; /* 2026-03-29T08:00 */

    /* The clock was set back, and later right again. */
    plant(x, LINE(3, "2026-03-29T09:00:00.000Z")
                 LINE(4, "2026-03-29T07:00:00.000Z")
                     LINE(5, "2026-03-29T09:00:01.000Z")
                         LINE(9, "2026-03-29T09:00:02.000Z"));
    gaps_are(x, &ALL, "9:3;1010:1000;");
    gaps_are(x, &late, "9:3;1010:1000;");
    gaps_are(x, &(struct events_query){.from = 5}, "9:3;1010:1000;");
    gaps_are(x, &(struct events_query){.last = 1}, "1010:1000;");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_happened_is_shown_in_order),
        TEST(a_restart_goes_on_with_the_numbers),
        TEST(after_a_power_loss_numbers_are_passed_over),
        TEST(what_is_no_event_is_left_out),
        TEST(the_record_is_bounded),
        TEST(a_record_that_cannot_be_written_is_told_and_written_later),
        TEST(a_record_that_cannot_be_read_is_no_empty_one),
        TEST(a_damaged_record_is_moved_aside),
        TEST(what_a_query_leaves_out_is_not_missing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
