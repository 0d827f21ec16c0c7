/* SPDX-License-Identifier: MIT
 *
 * log: what a line looks like, and that a flood is held back.
 */
#include "tests/support/store_fixture.h"

#include "agent/base/log.h"

struct bench {
    struct fixture f;
    int saved;
    int fd;
};

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);

    assert_non_null(b);
    fixture_begin(&b->f);
    b->fd =
        openat(b->f.fd, "log", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_true(b->fd >= 0);
    (void)fflush(stderr);
    b->saved = dup(STDERR_FILENO);
    assert_true(dup2(b->fd, STDERR_FILENO) >= 0);
    log_set_level(LOG_INFO);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    (void)dup2(b->saved, STDERR_FILENO);
    (void)close(b->saved);
    (void)close(b->fd);
    fixture_end(&b->f);
    free(b);
    return 0;
}

static char *text(struct bench *b)
{
    static char out[65536];
    ssize_t n = pread(b->fd, out, sizeof out - 1, 0);

    assert_true(n >= 0);
    out[n] = '\0';
    return out;
}

static unsigned lines(const char *p)
{
    unsigned n = 0;

    for (; *p != '\0'; p++) {
        n += *p == '\n';
    }
    return n;
}

static void json_has_the_same_members(void **state)
{
    log_set_database("orders");
    log_set_json(true);
    log_event(LOG_WARNING, "test_json", "eu-1", 203, "err=\"%s\"", "a\nb");
    log_event(LOG_INFO, "test_plain", NULL, 0, "x");
    log_set_json(false);
    log_set_database("");
    const char *p = text(*state);
    assert_non_null(strstr(p, "{\"db\":\"orders\",\"time\":\"20"));
    assert_non_null(
        strstr(p, "\"level\":\"warning\",\"event\":\"test_json\",\"replica\":"
                  "\"eu-1\",\"dr\":203,\"text\":\"err=\\\"a?b\\\"\"}\n"));
    assert_non_null(strstr(p, "\"event\":\"test_plain\",\"text\":\"x\"}\n"));
}

struct keeper {
    unsigned count;
    int dr;
};

static void keep(void *arg, const struct log_record *r)
{
    struct keeper *k = arg;

    k->count++;
    k->dr = r->dr;
    assert_memory_equal(r->text, "why", r->len);
}

static void a_keeper_gets_what_a_quiet_log_leaves_out(void **state)
{
    struct keeper k = {0};

    log_set_level(LOG_ERR);
    log_set_keeper(keep, &k);
    log_event(LOG_INFO, "test_kept", "eu-1", 7, "why");
    log_event(LOG_DEBUG, "test_debug", NULL, 0, "why");
    log_set_keeper(NULL, NULL);
    log_event(LOG_INFO, "test_kept", "eu-2", 8, "why");
    assert_int_equal(k.count, 1);
    assert_int_equal(k.dr, 7);
    assert_string_equal(text(*state), "");
}

static void line_has_level_event_replica_and_number(void **state)
{
    log_event(LOG_WARNING, "test_form", "eu-1", 203, "err=\"%s\"", "no");
    const char *p = text(*state);
    assert_non_null(
        strstr(p, " warning  test_form replica=eu-1 DR-203 err=\"no\"\n"));
}

static void levels_above_the_limit_are_silent(void **state)
{
    log_event(LOG_DEBUG, "test_level", NULL, 0, "x");
    assert_int_equal(lines(text(*state)), 0);
    log_set_level(LOG_DEBUG);
    log_event(LOG_DEBUG, "test_level", NULL, 0, "x");
    assert_int_equal(lines(text(*state)), 1);
    assert_int_equal(log_level_of("debug"), LOG_DEBUG);
    assert_int_equal(log_level_of("error"), LOG_ERR);
    assert_int_equal(log_level_of("loud"), -1);
}

static void what_others_wrote_cannot_forge_a_line(void **state)
{
    log_event(LOG_ERR, "test_forge", NULL, 0, "%s", "a\n<0>b\033[2Jc\x7f");
    const char *p = text(*state);
    assert_int_equal(lines(p), 1);
    assert_null(strchr(p, 033));
    assert_non_null(strstr(p, "a?<0>b?[2Jc?\n"));
}

static void what_others_wrote_cannot_steer_a_terminal(void **state)
{
    /* C1 controls and marks that turn the line's direction around, in UTF-8 and
     * as bytes that are no UTF-8; letters stay. */
    log_event(LOG_ERR, "test_steer", NULL, 0, "%s",
              "a\xc2\x9b"
              "b\xe2\x80\xae"
              "c\x9b"
              "d\xc3\xa4");
    assert_non_null(strstr(text(*state), "a??b???c?d\xc3\xa4\n"));
}

static void long_text_is_cut_not_split(void **state)
{
    char big[8000];

    memset(big, 'x', sizeof big);
    big[sizeof big - 1] = '\0';
    log_event(LOG_ERR, "test_long", NULL, 0, "%s", big);
    const char *p = text(*state);
    assert_int_equal(lines(p), 1);
    assert_true(strlen(p) < 2200);
}

static void flood_of_one_event_is_held_back_others_pass(void **state)
{
    for (int i = 0; i < 1000; i++) {
        log_event(LOG_WARNING, "test_flood", "a", 0, "%d", i);
    }
    unsigned n = lines(text(*state));

    assert_in_range(n, 1, 20);
    log_event(LOG_WARNING, "test_flood", "b", 0, "another replica");
    log_event(LOG_WARNING, "test_flood2", "a", 0, "another event");
    log_event(LOG_WARNING, "test_flood", "a", 401, "another number");
    assert_int_equal(lines(text(*state)), n + 3);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    (void)unsetenv("JOURNAL_STREAM");
    const struct CMUnitTest tests[] = {
        T(a_keeper_gets_what_a_quiet_log_leaves_out),
        T(json_has_the_same_members),
        T(line_has_level_event_replica_and_number),
        T(levels_above_the_limit_are_silent),
        T(what_others_wrote_cannot_forge_a_line),
        T(what_others_wrote_cannot_steer_a_terminal),
        T(long_text_is_cut_not_split),
        T(flood_of_one_event_is_held_back_others_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
