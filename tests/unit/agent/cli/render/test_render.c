/* SPDX-License-Identifier: MIT
 *
 * render: objects of the agent as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/cli/render/render.h"
#include "store/base/cleanup.h"

/* The text that `print` makes of the JSON text `in`; caller frees. */
static char *rendered(const char *in, int which, bool color)
{
    json_error_t why;
    json_t *o = json_loads(in, 0, &why);
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    if (o == NULL) {
        fail_msg("bad test: %s", why.text);
    }
    assert_non_null(out);
    switch (which) {
    case 0:
        render_status(out, o, color);
        break;
    case 1:
        render_compare(out, o, 2, NULL);
        break;
    case 2:
        render_wait(out, o, 2);
        break;
    case 4:
        render_held(out, "eu", json_object_get(o, "held"));
        break;
    default:
        render_error(out, o);
        break;
    }
    (void)fclose(out);
    json_decref(o);
    return text;
}

static void expect(const char *in, int which, const char *want)
{
    char *text = rendered(in, which, false);

    assert_string_equal(text, want);
    free(text);
}

static const char STATUS[] =
    "{\"schema\":1,\"version\":\"0.1.0\",\"uptime_s\":1036800,"
    "\"database\":{\"name\":\"orders\",\"path\":\"/srv/orders\",\"keys\":48211,"
    "\"bytes\":91540684,\"tables\":12,\"state\":\"ok\",\"scan_age_s\":5},"
    "\"replicas\":["
    "{\"name\":\"eu-1\",\"state\":\"streaming\",\"lag_s\":0,\"pending_keys\":0,"
    "\"ack_age_s\":0.8,\"silence_s\":0.8,\"rate\":41,\"version\":\"0.1.0\","
    "\"refused\":{\"count\":12,\"since_s\":82,\"errno\":28,\"is_table\":false,"
    "\"table\":\"users\",\"key\":\"bob\",\"error\":{\"id\":305,\"text\":"
    "\"write: full\"}},\"breaks\":{\"count\":2,\"window_s\":600,\"last_s\":7,"
    "\"flapping\":false,\"error\":{\"id\":209,\"text\":\"cut\"}}},"
    "{\"name\":\"us-1\",\"state\":\"retrying\",\"lag_s\":247,"
    "\"pending_keys\":1312,\"pending_bytes\":1468006,\"ack_age_s\":null,"
    "\"attempts\":8,\"next_try_s\":22,"
    "\"error\":{\"id\":203,\"text\":\"host key differs\",\"hint\":\"look\"}}],"
    "\"blocked\":[{\"side\":\"primary\",\"table\":\"users\",\"key\":\"al ice\","
    "\"pid\":8123,\"comm\":\"billing\",\"waited_s\":41},"
    "{\"side\":\"primary\",\"table\":\"users\",\"key\":\"hot\",\"pid\":null,"
    "\"waited_s\":9,\"changed_tries\":12}],\"blocked_count\":3,"
    "\"warnings\":[]}";

static void status_is_a_table_with_errors_and_hints_below(void **state)
{
    (void)state;
    expect(
        STATUS, 0,
        "orders  /srv/orders   48,211 keys, 87.2 MiB in 12 tables   agent "
        "0.1.0, up 12 d   scanned 5.0 s ago\n"
        "REPLICA  STATE      LAG      PENDING          LAST ACK  SILENT  "
        "RATE       RECEIVER\n"
        "eu-1     streaming  0 s      -                800 ms    800 ms  "
        "41 keys/s  0.1.0\n"
        "us-1     retrying   4 m 7 s  1,312 / 1.3 MiB  -         -       "
        "-          -\n"
        "refused   users/bob       1 m 22 s  on eu-1: write: full, and 11 "
        "more\n"
        "blocked   'users/al ice'  41.0 s    on primary: pid 8123 billing\n"
        "changing  users/hot       9.0 s     on primary: changes while it is "
        "read, 12 tries\n"
        "blocked  3 keys in all\n"
        "eu-1: the link broke twice in 10 m, the last time 7.0 s ago: "
        "DR-209 cut\n"
        "us-1: DR-203 host key differs. Next try in 22.0 s (attempt 9)\n"
        "      HINT: look\n");
}

static void colors_appear_only_when_asked_for(void **state)
{
    (void)state;
    char *plain = rendered(STATUS, 0, false);
    char *colored = rendered(STATUS, 0, true);

    assert_null(strchr(plain, '\033'));
    assert_non_null(strstr(colored, "\033[32mstreaming\033[0m"));
    free(plain);
    free(colored);
}

/* How much of a first copy is there, and how long the rest takes. */
static void a_first_copy_shows_how_far_it_is(void **state)
{
    (void)state;
    static const struct {
        const char *replica, *wanted;
    } copies[] = {
        {"\"replica_keys\":58750,\"rate\":4125.0",
         "first copy 58 %, 58,750 of 100,000 keys, about 10.0 s"},
        {"\"replica_keys\":0,\"rate\":0.0",
         "first copy 0 %, 0 of 100,000 keys\n"},
        /* More than there is now, as after deletes here. */
        {"\"replica_keys\":120000,\"rate\":5.0",
         "first copy 100 %, 100,000 of 100,000 keys\n"},
        {"\"rate\":5.0", "initial  -    -        -         -       5.0 keys/s"},
    };

    for (size_t i = 0; i < sizeof copies / sizeof copies[0]; i++) {
        char json[512];
        (void)snprintf(json, sizeof json,
                       "{\"database\":{\"keys\":100000},\"replicas\":[{"
                       "\"name\":\"r\",\"state\":\"initial\",%s}]}",
                       copies[i].replica);
        char *text = rendered(json, 0, false);
        if (strstr(text, copies[i].wanted) == NULL) {
            fail_msg("no %s in: %s", copies[i].wanted, text);
        }
        free(text);
    }
}

static void missing_fields_are_shown_as_dashes(void **state)
{
    (void)state;
    expect("{}", 0,
           "?  ?   agent ?, up -\nno replicas are set up; to "
           "add one: drover replica add NAME HOST\n");
    expect("{\"database\":{\"state\":\"lost\",\"error\":{\"id\":104,\"text\":"
           "\"gone\"}},\"replicas\":[{}]}",
           0,
           "?  ?   agent ?, up -   DATABASE LOST\n"
           "REPLICA  STATE    LAG  PENDING  LAST ACK  SILENT  RATE  RECEIVER\n"
           "?        unknown  -    -        -         -       -     -\n"
           "database: DR-104 gone\n");
}

static void text_from_outside_cannot_drive_the_terminal(void **state)
{
    (void)state;
    char *text =
        rendered("{\"id\":210,\"text\":\"said \\u001b[2J\\n\\\"x\\\"\","
                 "\"hint\":\"\\u0007\"}",
                 3, false);

    assert_null(strchr(text, '\033'));
    assert_null(strchr(text, '\007'));
    assert_non_null(strstr(text, "drover: DR-210 said "));
    assert_non_null(strstr(text, "\"x\""));
    free(text);
}

static void what_a_replica_says_of_itself_cannot_either(void **state)
{
    static const char hostile[] = "{\"mode\":\"verify\",\"database\":{},"
                                  "\"replicas\":[{\"name\":\"e\\u001b"
                                  "\",\"state\":\"\\u009b2J\",\"version\":"
                                  "\"\\u001b]0;x\\u0007\",\"phase\":"
                                  "\"\\u202e\",\"held\":true,\"done\":false,"
                                  "\"extra\":1,\"names\":[{\"kind\":"
                                  "\"\\u001b\",\"table\":\"\\u001b\",\"key\":"
                                  "\"\"}]}],\"blocked\":[{\"side\":"
                                  "\"replica\",\"comm\":\"\\u001b\"}]}";

    (void)state;
    for (int which = 0; which < 4; which++) {
        char *text = rendered(hostile, which, false);
        assert_null(strchr(text, '\033'));
        assert_null(strchr(text, '\007'));
        assert_null(strstr(text, "\xc2\x9b"));
        assert_null(strstr(text, "\xe2\x80\xae"));
        free(text);
    }
}

static void a_comparison_lists_names_up_to_the_bound(void **state)
{
    (void)state;
    expect("{\"mode\":\"verify\",\"replicas\":[{\"name\":\"eu\",\"done\":true,"
           "\"compared\":1234},{\"name\":\"us\",\"done\":true,\"missing\":2,"
           "\"extra\":1,\"different\":0,\"names\":[{\"kind\":\"missing\","
           "\"table\":\"\",\"key_b64\":\"/2E=\"},{\"kind\":\"extra\","
           "\"is_table\":true,\"table\":\"a/b\"},{\"kind\":\"missing\","
           "\"table\":\"t\",\"key\":\"k\"}]}]}",
           1,
           "eu: equal, 1,234 keys and tables compared\n"
           "us: 3 differences: 2 missing, 1 extra, 0 different\n"
           "  missing    $'\\xffa'\n"
           "  extra      table a/b\n"
           "  and 1 more\n"
           "What differs is repaired by itself in some seconds; drover pause "
           "keeps it as it is.\n");
}

static void what_was_not_compared_is_listed_with_its_reason(void **state)
{
    (void)state;
    expect("{\"mode\":\"verify\",\"replicas\":[{\"name\":\"eu\",\"done\":true,"
           "\"compared\":9,\"unread\":3,\"not_compared\":[{\"reason\":"
           "\"refused\",\"side\":\"replica\",\"table\":\"t\",\"key\":\"a\","
           "\"error\":{\"id\":308,\"text\":\"table t key a: no\"}},"
           "{\"reason\":\"locked\",\"side\":\"primary\",\"table\":\"t\","
           "\"key\":\"\\u001b\",\"error\":{\"id\":0,\"text\":\"b\\u001b\"}}]}"
           "]}",
           1,
           "eu: no difference found, 9 keys and tables compared; 3 not "
           "compared\n"
           "  not compared  table t key a: no\n"
           "  not compared  b\\x1b\n"
           "  and 1 more not compared\n");
}

static void a_resync_tells_repairs_failures_and_the_brake(void **state)
{
    (void)state;
    expect("{\"mode\":\"resync\",\"replicas\":[{\"name\":\"eu\",\"done\":true,"
           "\"missing\":1,\"repaired\":1,\"reread\":7},{\"name\":\"us\","
           "\"failed\":true,\"error\":{\"id\":209,\"text\":\"cut\",\"hint\":"
           "\"wait\"}},{\"name\":\"ap\",\"done\":true,\"held\":true,"
           "\"held_deletes\":500,\"extra\":500}]}",
           1,
           "eu: 1 difference: 1 missing, 0 extra, 0 different; 1 repaired; 7 "
           "values read there\n"
           "us: failed\n"
           "      DR-209 cut\n"
           "      HINT: wait\n"
           "ap: 500 differences: 0 missing, 500 extra, 0 different; 0 "
           "repaired\n"
           "      The brake holds 500 deletes. See which: drover approve "
           "--dry-run ap\n");
    /* It is not repaired by itself. */
    expect("{\"mode\":\"verify\",\"replicas\":[{\"name\":\"ap\",\"done\":true,"
           "\"held\":true,\"held_deletes\":1,\"extra\":1}]}",
           1,
           "ap: 1 difference: 0 missing, 1 extra, 0 different\n"
           "      The brake holds 1 delete. See which: drover approve "
           "--dry-run ap\n"
           "What differs is repaired by itself in some seconds, but for the "
           "deletes that the brake holds: these wait for drover approve.\n");
    expect("{\"mode\":\"dry-run\",\"replicas\":[{\"name\":\"ap\",\"done\":true,"
           "\"different\":1,\"names\":[{\"kind\":\"different\",\"table\":\"t\","
           "\"key\":\"k\",\"repaired\":true}]}]}",
           1,
           "ap: 1 difference: 0 missing, 0 extra, 1 different\n"
           "  different  t/k  (repaired meanwhile)\n"
           "Nothing was changed for this; what the agent found changed here "
           "meanwhile was sent, as ever. Run without --dry-run to do the "
           "rest.\n");
    expect("{\"mode\":\"dry-run\",\"replicas\":[]}", 1,
           "Nothing was changed. Run without --dry-run to do it.\n");
}

static void what_is_held_tells_how_much_where_and_what_to_type(void **state)
{
    (void)state;
    expect("{\"held\":{\"count\":1201,\"shown\":1200,\"token\":"
           "\"5d41402abc4b\",\"since_s\":240,\"approved\":3,\"named\":1000,"
           "\"all_tables\":3,\"tables\":[{\"table\":\"users\",\"count\":900},"
           "{\"table\":\"\",\"count\":99}],\"names\":[{\"is_table\":false,"
           "\"table\":\"users\",\"key\":\"al ice\"},{\"is_table\":true,"
           "\"table\":\"old\"}]}}",
           4,
           "eu: 1,200 deletes are held since 4 m, 3 of them approved and under "
           "way\n"
           "  900 in users\n"
           "  99 in (root)\n"
           "  ... and 1 more tables (of the first 1,000)\n"
           "  delete  'users/al ice'\n"
           "  delete  table old\n"
           "  and 1,198 more\n"
           "Nothing was changed. To release exactly these: drover approve "
           "eu 5d41402abc4b\n");
    expect("{\"held\":{\"count\":7,\"shown\":0,\"token\":null,"
           "\"since_s\":1}}",
           4,
           "eu: 7 deletes are held since 1.0 s\n"
           "They are still being compared; look again in a moment.\n");
    expect("{\"held\":null}", 4, "eu: nothing is held\n");
}

static void a_wait_tells_who_is_behind(void **state)
{
    (void)state;
    expect("{\"replicas\":[{\"name\":\"eu\",\"done\":true},{\"name\":\"us\","
           "\"done\":false,\"state\":\"catchup\",\"pending_keys\":1200}]}",
           2,
           "eu: has every change\nus: not yet, catchup, 1,200 keys pending\n");
}

static void progress_is_one_line_for_all_replicas(void **state)
{
    struct buf b = BUF_NULL;
    json_t *o = json_loads(
        "{\"replicas\":[{\"name\":\"a\",\"phase\":\"repairing\",\"repaired\":5,"
        "\"to_repair\":1000},{\"name\":\"b\",\"phase\":\"scanning\","
        "\"scan_keys\":7},{\"name\":\"c\",\"done\":true}]}",
        0, NULL);

    (void)state;
    assert_non_null(o);
    render_progress(&b, o);
    buf_u8(&b, '\0');
    assert_false(b.bad);
    assert_string_equal((char *)b.data,
                        "a repairing 5 of 1,000  b scanning 7 keys  c done");
    buf_deinit(&b);
    json_decref(o);
}

static void columns_count_characters_and_lines_have_no_tail(void **state)
{
    struct table t = {.columns = 3};
    const char *one[] = {"\xc3\xa4", "b", "c"};
    const char *two[] = {"xyz", NULL};
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    (void)state;
    assert_non_null(out);
    table_row(&t, one);
    table_row(&t, two);
    table_print(&t, out, NULL);
    (void)fclose(out);
    assert_string_equal(text, "\xc3\xa4    b  c\nxyz\n");
    free(text);
    table_deinit(&t);
}

static void assert_line(const char *status, const char *want)
{
    CLEANUP(buf_deinit) struct buf b = BUF_NULL;
    json_t *o = json_loads(status, 0, NULL);

    assert_non_null(o);
    render_replica_line(&b, o,
                        json_array_get(json_object_get(o, "replicas"), 0));
    buf_u8(&b, '\0');
    assert_string_equal((const char *)b.data, want);
    json_decref(o);
}

static void a_replicas_line_has_its_first_copy_or_what_is_wrong(void **state)
{
    (void)state;
    assert_line("{\"database\": {\"keys\": 200}, \"replicas\": [{\"name\": "
                "\"eu\", \"state\": \"initial\", \"replica_keys\": 50}]}",
                "eu: first copy 25 %, 50 of 200 keys");
    assert_line("{\"replicas\": [{\"name\": \"eu\", \"state\": "
                "\"connecting\"}]}",
                "eu: connecting");
    assert_line("{\"replicas\": [{\"name\": \"eu\", \"state\": \"retrying\", "
                "\"error\": {\"id\": 201, \"text\": \"refused\"}}]}",
                "eu: retrying: DR-201 refused");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_is_a_table_with_errors_and_hints_below),
        cmocka_unit_test(colors_appear_only_when_asked_for),
        cmocka_unit_test(a_first_copy_shows_how_far_it_is),
        cmocka_unit_test(missing_fields_are_shown_as_dashes),
        cmocka_unit_test(text_from_outside_cannot_drive_the_terminal),
        cmocka_unit_test(what_a_replica_says_of_itself_cannot_either),
        cmocka_unit_test(a_comparison_lists_names_up_to_the_bound),
        cmocka_unit_test(what_was_not_compared_is_listed_with_its_reason),
        cmocka_unit_test(a_resync_tells_repairs_failures_and_the_brake),
        cmocka_unit_test(what_is_held_tells_how_much_where_and_what_to_type),
        cmocka_unit_test(a_wait_tells_who_is_behind),
        cmocka_unit_test(progress_is_one_line_for_all_replicas),
        cmocka_unit_test(columns_count_characters_and_lines_have_no_tail),
        cmocka_unit_test(a_replicas_line_has_its_first_copy_or_what_is_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
