/* SPDX-License-Identifier: MIT
 *
 * health: a status object in one line, and what it is worth. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "agent/cli/render/health.h"
#include "store/base/clock.h"

static const struct health_limits NONE = {-1, -1, -1};

/* `replicas` and `more` are members of the status. */
static void expect(enum health_code code, const char *line,
                   const struct health_limits *limits, const char *replicas,
                   const char *more)
{
    char json[4096];
    struct buf out = {0};

    (void)snprintf(json, sizeof json,
                   "{\"healthy\": true, \"blocked_count\": 0, \"database\": "
                   "{\"name\": \"orders\", \"state\": \"ok\", \"keys\": 5}, "
                   "\"replicas\": [%s]%s}",
                   replicas, more);
    json_t *status = json_loads(json, 0, NULL);
    assert_non_null(status);
    enum health_code got = health_line(status, limits, &out);
    buf_put(&out, "", 1);
    if (got != code || strstr((const char *)out.data, line) == NULL) {
        fail_msg("%d, not %d and %s: %s", (int)got, (int)code, line,
                 (const char *)out.data);
    }
    assert_null(strchr((const char *)out.data, '\n'));
    const char *bar = strchr((const char *)out.data, '|');
    assert_non_null(bar);
    assert_null(strchr(bar + 1, '|'));
    buf_deinit(&out);
    json_decref(status);
}

#define R(state, more)                                                         \
    "{\"name\": \"eu-1\", \"state\": \"" state                                 \
    "\", \"lag_s\": 0.5, \"silence_s\": 2.0, \"pending_keys\": 3" more "}"

static void all_is_well(void **state)
{
    (void)state;
    expect(HEALTH_OK,
           "DROVER OK - orders: 1 streaming | 'keys'=5;;;0 'blocked'=0;;;0 "
           "'eu-1 lag'=0.500s;;;0 'eu-1 silence'=2.000s;;;0 "
           "'eu-1 pending'=3;;;0",
           &NONE, R("streaming", ""), "");
    expect(HEALTH_OK, "1 paused", &NONE, R("paused", ""), "");
    expect(HEALTH_OK, "no replicas", &NONE, "", "");
}

static void what_is_on_its_way_is_a_warning(void **state)
{
    (void)state;
    expect(HEALTH_WARNING, "DROVER WARNING - orders: 1 initial; eu-1 initial",
           &NONE, R("initial", ""), ", \"healthy\": false");
    expect(HEALTH_WARNING, "eu-1 catchup", &NONE, R("catchup", ""), "");
    expect(HEALTH_WARNING, "database scanning", &NONE, R("streaming", ""),
           ", \"database\": {\"state\": \"scanning\"}");
}

static void trouble_is_critical_and_named(void **state)
{
    (void)state;
    expect(HEALTH_CRITICAL, "; eu-1 failed DR-203 |", &NONE,
           R("failed", ", \"error\": {\"id\": 203}"), "");
    expect(HEALTH_CRITICAL, "; eu-1 held |", &NONE, R("held", ""), "");
    expect(HEALTH_CRITICAL, "database lost", &NONE, R("catchup", ""),
           ", \"database\": {\"state\": \"lost\"}");
    expect(HEALTH_CRITICAL, "DR-305 replica eu-1: a/b", &NONE,
           R("streaming", ""),
           ", \"warnings\": [{\"id\": 305, \"text\": "
           "\"replica eu-1: a|b\\nc\"}]");
    /* Not healthy without a word: it is never called good. */
    expect(HEALTH_CRITICAL, "changes faster", &NONE, R("streaming", ""),
           ", \"healthy\": false");
    /* What is said and is no trouble. */
    expect(HEALTH_OK, "1 streaming |", &NONE, R("streaming", ""),
           ", \"warnings\": [{\"id\": 109, \"text\": \"NFS\"}]");
}

static void limits_are_critical(void **state)
{
    (void)state;
    const struct health_limits lag = {NS_PER_S / 4, -1, -1};
    const struct health_limits silence = {-1, NS_PER_S, -1};
    const struct health_limits blocked = {-1, -1, 4};

    expect(HEALTH_CRITICAL, "eu-1 lag 500 ms | ", &lag, R("streaming", ""), "");
    expect(HEALTH_CRITICAL, "'eu-1 lag'=0.500s;;0.250;0", &lag,
           R("streaming", ""), "");
    expect(HEALTH_CRITICAL, "eu-1 lag unknown", &lag,
           "{\"name\": \"eu-1\", \"state\": \"streaming\", \"lag_s\": null}",
           "");
    expect(HEALTH_CRITICAL, "eu-1 silent 2.0 s", &silence, R("streaming", ""),
           "");
    expect(HEALTH_CRITICAL, "5 keys blocked", &blocked, R("streaming", ""),
           ", \"blocked_count\": 5");
    expect(HEALTH_OK, "1 streaming |", &blocked, R("streaming", ""),
           ", \"blocked_count\": 4");
}

/* The line stays one that a pager can show. */
static void much_trouble_is_counted(void **state)
{
    (void)state;
    char replicas[2048] = "";

    for (int i = 0; i < 20; i++) {
        size_t at = strlen(replicas);
        (void)snprintf(replicas + at, sizeof replicas - at,
                       "%s{\"name\": \"r%d\", \"state\": \"failed\"}",
                       i > 0 ? ", " : "", i);
    }
    expect(HEALTH_CRITICAL, "20 failed; r0 failed; r1 failed", &NONE, replicas,
           "");
    expect(HEALTH_CRITICAL, "r4 failed; 15 more: drover status |", &NONE,
           replicas, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_well),
        cmocka_unit_test(what_is_on_its_way_is_a_warning),
        cmocka_unit_test(trouble_is_critical_and_named),
        cmocka_unit_test(limits_are_critical),
        cmocka_unit_test(much_trouble_is_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
