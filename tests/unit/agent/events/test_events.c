/* SPDX-License-Identifier: MIT
 *
 * events: numbers that are never given twice, what is kept over restarts and
 * what is shown of it.
 */
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

    plant(x, "x\n{}\n[1]\n{\"n\":-1}\n{\"n\":1,\"event\":\"e\",\"text\":1}\n"
             "{\"n\":5,\"time\":\"?\",\"event\":\"agent_stopped\","
             "\"text\":\"\"}\n"
             "{\"n\":4,\"event\":\"e\",\"text\":\"older\"}\n"
             "{\"n\":6,\"event\":\"e\",\"te");
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

/* What cannot be written is missing, and the next one is not. */
static void a_record_that_cannot_be_written_leaves_a_gap(void **state)
{
    struct fix *x = *state;

    events_close(x->e);
    x->e = NULL;
    (void)unlinkat(x->f.fd, "events", 0);
    assert_int_equal(mkdirat(x->f.fd, "events", 0700), 0);
    reopen(x);
    add(x, "a", "lost");
    shows(x, &ALL, "1;2 a lost;");
    events_close(x->e);
    x->e = NULL;
    assert_int_equal(unlinkat(x->f.fd, "events", AT_REMOVEDIR), 0);
    reopen(x);
    shows(x, &ALL, "1;");
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
        TEST(a_record_that_cannot_be_written_leaves_a_gap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
