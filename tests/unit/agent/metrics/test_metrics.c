/* SPDX-License-Identifier: MIT
 *
 * metrics: what a status object becomes, in both formats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "agent/metrics/metrics.h"

static const char STATUS[] =
    "{\"version\": \"1.2\", \"healthy\": true, \"uptime_s\": 2.5,"
    " \"blocked_count\": 2, \"blocked\": [{\"waited_s\": 4.0},"
    "   {\"waited_s\": 9.5}],"
    " \"warnings\": [{\"id\": 104}, {\"id\": 305}, {\"id\": 104}],"
    " \"database\": {\"name\": \"or\\\"d\\\\e\\nrs\", \"state\": \"scanning\","
    "   \"keys\": 48211, \"overflows\": 3, \"scan_running\": true,"
    "   \"scan_age_s\": null},"
    " \"replicas\": ["
    "   {\"name\": \"eu-1\", \"state\": \"streaming\", \"lag_s\": 0.25,"
    "    \"pending_keys\": 0, \"acked_changes\": 9007199254740991,"
    "    \"refused\": {\"count\": 7}, \"breaks\": null, \"error\": null,"
    "    \"latency\": {\"count\": 5, \"sum_s\": 0.5, \"buckets\": ["
    "      {\"le_s\": 0.0005, \"count\": 1}, {\"le_s\": 1.0, \"count\": 4}]}},"
    "   {\"name\": \"us-1\", \"state\": \"failed\", \"lag_s\": null,"
    "    \"error\": {\"id\": 203}}]}";

static char *text_of(const char *json, enum metrics_format format)
{
    json_t *status = json_loads(json, 0, NULL);
    size_t len = 0;

    assert_non_null(status);
    char *text = metrics_text(status, format, &len);
    assert_non_null(text);
    assert_int_equal(strlen(text), len);
    json_decref(status);
    return text;
}

#define DB "db=\"or\\\"d\\\\e\\nrs\""

static void has(const char *text, const char *line)
{
    char *whole = malloc(strlen(text) + 2);

    whole[0] = '\n';
    memcpy(whole + 1, text, strlen(text) + 1);
    if (strstr(whole, line) == NULL) {
        print_error("no line %s in:\n%s", line, text);
    }
    assert_non_null(strstr(whole, line));
    free(whole);
}

static void the_numbers_are_those_of_status(void **state)
{
    (void)state;
    char *text = text_of(STATUS, METRICS_PROMETHEUS);

    has(text, "\ndrover_build_info{" DB ",version=\"1.2\"} 1\n");
    has(text, "\ndrover_healthy{" DB "} 1\n");
    has(text, "\ndrover_uptime_seconds{" DB "} 2.5\n");
    has(text, "\ndrover_keys{" DB "} 48211\n");
    has(text, "\n# TYPE drover_watch_overflows_total counter\n");
    has(text, "\ndrover_watch_overflows_total{" DB "} 3\n");
    has(text, "\ndrover_scan_running{" DB "} 1\n");
    has(text, "\ndrover_blocked_keys{" DB "} 2\n");
    has(text, "\ndrover_blocked_oldest_seconds{" DB "} 9.5\n");
    has(text, "\ndrover_database_state{" DB ",state=\"scanning\"} 1\n");
    has(text, "\ndrover_database_state{" DB ",state=\"ok\"} 0\n");
    has(text, "\ndrover_replica_lag_seconds{" DB ",replica=\"eu-1\"} 0.25\n");
    has(text, "\ndrover_replica_refused_keys{" DB ",replica=\"eu-1\"} 7\n");
    has(text, "\ndrover_replica_acked_changes_total{" DB
              ",replica=\"eu-1\"} 9007199254740991\n");
    has(text,
        "\ndrover_replica_state{" DB ",replica=\"us-1\",state=\"failed\"} 1\n");
    has(text, "\ndrover_replica_state{" DB
              ",replica=\"us-1\",state=\"streaming\"} 0\n");
    has(text,
        "\ndrover_replica_error{" DB ",replica=\"us-1\",id=\"DR-203\"} 1\n");
    free(text);
}

/* No sample is better than a false one; nothing of a thing is 0 of it. */
static void what_is_not_known_has_no_sample(void **state)
{
    (void)state;
    char *text = text_of(STATUS, METRICS_PROMETHEUS);

    assert_null(strstr(text, "lag_seconds{" DB ",replica=\"us-1\"}"));
    assert_null(strstr(text, "drover_scan_age_seconds{"));
    assert_null(strstr(text, "error{" DB ",replica=\"eu-1\""));
    has(text, "\ndrover_replica_recent_breaks{" DB ",replica=\"eu-1\"} 0\n");
    free(text);
}

/* Two samples with one set of labels are refused by whoever reads them. */
static void a_number_that_is_there_twice_is_one_sample(void **state)
{
    (void)state;
    char *text = text_of(STATUS, METRICS_PROMETHEUS);
    const char *first =
        strstr(text, "drover_warning{" DB ",id=\"DR-104\"} 1\n");

    assert_non_null(first);
    assert_null(strstr(strchr(first, '\n'), "id=\"DR-104\""));
    has(text, "\ndrover_warning{" DB ",id=\"DR-305\"} 1\n");
    free(text);
}

static void the_histogram_ends_with_all(void **state)
{
    (void)state;
    char *text = text_of(STATUS, METRICS_PROMETHEUS);

    has(text,
        "\n# TYPE drover_replica_latency_seconds histogram\n"
        "drover_replica_latency_seconds_bucket{" DB
        ",replica=\"eu-1\",le=\"0.0005\"} 1\n"
        "drover_replica_latency_seconds_bucket{" DB
        ",replica=\"eu-1\",le=\"1.0\"} 4\n"
        "drover_replica_latency_seconds_bucket{" DB
        ",replica=\"eu-1\",le=\"+Inf\"} 5\n"
        "drover_replica_latency_seconds_sum{" DB ",replica=\"eu-1\"} 0.5\n"
        "drover_replica_latency_seconds_count{" DB ",replica=\"eu-1\"} 5\n");
    free(text);
}

static void openmetrics_has_its_own_names_and_an_end(void **state)
{
    (void)state;
    char *text = text_of(STATUS, METRICS_OPENMETRICS);

    has(text, "\n# TYPE drover_watch_overflows counter\n");
    has(text, "\ndrover_watch_overflows_total{" DB "} 3\n");
    assert_string_equal(text + strlen(text) - 6, "# EOF\n");
    assert_non_null(
        strstr(metrics_content_type(METRICS_OPENMETRICS), "openmetrics"));
    free(text);
}

/* An older or newer agent, or one that says nothing. */
static void any_object_is_taken(void **state)
{
    (void)state;
    static const char *const odd[] = {
        "{}",
        "{\"replicas\": [{}], \"warnings\": [1], \"blocked\": [2]}",
        "{\"replicas\": 7, \"database\": [], \"version\": null}",
    };

    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        free(text_of(odd[i], METRICS_PROMETHEUS));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_numbers_are_those_of_status),
        cmocka_unit_test(what_is_not_known_has_no_sample),
        cmocka_unit_test(a_number_that_is_there_twice_is_one_sample),
        cmocka_unit_test(the_histogram_ends_with_all),
        cmocka_unit_test(openmetrics_has_its_own_names_and_an_end),
        cmocka_unit_test(any_object_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
