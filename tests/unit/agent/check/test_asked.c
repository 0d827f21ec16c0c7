/* SPDX-License-Identifier: MIT
 *
 * asked: (what an agent says) -> (levels, numbers).  A further case is one
 * row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/check/asked.h"
#include "store/cmdline/version.h"

static json_t *parse(const char *text)
{
    json_t *o = json_loads(text, 0, NULL);

    assert_non_null(o);
    return o;
}

static const struct finding *of_id(const struct findings *f, int id)
{
    for (size_t i = 0; i < f->count; i++) {
        if (f->list[i].id == id) {
            return &f->list[i];
        }
    }
    fail_msg("nothing was found of it");
    return &f->list[0];
}

static void what_is_wrong_with_the_database_has_its_number(void **state)
{
    struct findings f = FINDINGS_NULL;

    (void)state;
    json_t *o = parse(
        "{\"version\": \"0.0.0-other\", \"pid\": 7, \"database\": {\"state\": "
        "\"lost\", \"error\": {\"id\": 104, \"text\": \"gone\", \"hint\": "
        "\"findmnt\"}}, \"warnings\": [{\"id\": 101, \"text\": \"watches\", "
        "\"hint\": \"sysctl\"}, {\"id\": 109, \"text\": \"poor\", \"hint\": "
        "\"x\"}], \"blocked_count\": 2}");
    asked_agent(o, &f);
    assert_int_equal(findings_worst(&f), FINDING_FAIL);
    assert_int_equal(of_id(&f, 104)->level, FINDING_FAIL);
    assert_string_equal(of_id(&f, 104)->hint, "findmnt");
    assert_int_equal(of_id(&f, 101)->level, FINDING_FAIL);
    assert_int_equal(of_id(&f, 109)->level, FINDING_WARN);
    /* version, locks, and the one */
    assert_int_equal(findings_count(&f, FINDING_WARN), 3);
    json_decref(o);
    findings_deinit(&f);
}

static void a_good_agent_is_good(void **state)
{
    struct findings f = FINDINGS_NULL;

    (void)state;
    json_t *o = json_pack("{s:s, s:i, s:f, s:{s:s, s:n, s:i}, s:[], s:i}",
                          "version", version_text(), "pid", 7, "uptime_s", 3.0,
                          "database", "state", "ok", "error", "overflows", 0,
                          "warnings", "blocked_count", 0);
    asked_agent(o, &f);
    assert_int_equal(findings_worst(&f), FINDING_OK);
    json_decref(o);
    findings_deinit(&f);
}

static void what_status_calls_unhealthy_fails(void **state)
{
#define WELL "\"database\": {\"state\": \"ok\"}"
    static const struct {
        const char *status;
        enum finding_level level;
    } ROWS[] = {
        {"\"healthy\": true, " WELL, FINDING_OK},
        {"\"healthy\": false, " WELL, FINDING_FAIL},
        /* what is only late */
        {"\"healthy\": false, \"database\": {\"state\": \"starting\"}",
         FINDING_WARN},
        {"\"healthy\": false, " WELL
         ", \"warnings\": [{\"id\": 404, \"text\": \"r1 is behind\"}]",
         FINDING_WARN},
        {"\"healthy\": false, " WELL
         ", \"warnings\": [{\"id\": 404, \"text\": \"r1, which is "
         "paused\"}]",
         FINDING_FAIL},
        {"\"healthy\": false, " WELL
         ", \"warnings\": [{\"id\": 306, \"text\": \"a link\"}]",
         FINDING_FAIL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        struct findings f = FINDINGS_NULL;
        char text[400];

        (void)snprintf(text, sizeof text, "{\"version\": \"%s\", %s}",
                       version_text(), ROWS[i].status);
        json_t *o = parse(text);
        asked_agent(o, &f);
        asked_health(o, &f);
        assert_int_equal(findings_worst(&f), ROWS[i].level);
        json_decref(o);
        findings_deinit(&f);
    }
}

static void each_state_of_a_replica(void **state)
{
    static const struct {
        const char *state, *error;
        enum finding_level level;
        int id;
    } ROWS[] = {
        {"streaming", "null", FINDING_OK, 0},
        {"paused", "null", FINDING_WARN, 0},
        {"catchup", "null", FINDING_WARN, 0},
        {"retrying", "{\"id\": 201, \"text\": \"no\", \"hint\": \"ssh\"}",
         FINDING_FAIL, 201},
        {"held", "{\"id\": 401, \"text\": \"no\", \"hint\": \"approve\"}",
         FINDING_FAIL, 401},
    };

    (void)state;
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        struct findings f = FINDINGS_NULL;
        char text[300];

        (void)snprintf(text, sizeof text,
                       "{\"replicas\": [{\"name\": \"a\"}, {\"name\": \"b\", "
                       "\"state\": \"%s\", \"error\": %s, \"lag_s\": 0.0}]}",
                       ROWS[i].state, ROWS[i].error);
        json_t *o = parse(text);
        f.replica = "b";
        asked_replica(o, "b", &f);
        assert_int_equal(f.count, 1);
        assert_int_equal(f.list[0].level, ROWS[i].level);
        assert_int_equal(f.list[0].id, ROWS[i].id);
        /* The same number is said once. */
        asked_replica(o, "b", &f);
        assert_int_equal(f.count, ROWS[i].id != 0 ? 1 : 2);
        json_decref(o);
        findings_deinit(&f);
    }
}

static void a_replica_that_the_agent_lacks(void **state)
{
    struct findings f = FINDINGS_NULL;

    (void)state;
    json_t *o = parse("{\"replicas\": []}");
    asked_replica(o, "new", &f);
    assert_int_equal(findings_worst(&f), FINDING_FAIL);
    assert_string_equal(f.list[0].hint, "drover reload");
    json_decref(o);
    findings_deinit(&f);
}

static void the_trip_is_good_when_it_ended(void **state)
{
    static const struct {
        const char *answer;
        enum finding_level level;
        int id;
    } ROWS[] = {
        {"{\"name\": \"a\", \"done\": true, \"error\": null, \"trip_s\": "
         "0.004}",
         FINDING_OK, 0},
        {"{\"name\": \"a\", \"done\": true, \"error\": null}", FINDING_FAIL, 0},
        {"{\"name\": \"a\", \"done\": false, \"error\": {\"id\": 505, "
         "\"text\": \"late\", \"hint\": \"h\"}}",
         FINDING_FAIL, 505},
        {"{\"name\": \"b\", \"done\": true, \"trip_s\": 1}", FINDING_FAIL, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        struct findings f = FINDINGS_NULL;
        json_t *o = json_pack("{s:[o]}", "replicas", parse(ROWS[i].answer));

        asked_trip(o, "a", &f);
        assert_int_equal(f.count, 1);
        assert_int_equal(f.list[0].level, ROWS[i].level);
        assert_int_equal(f.list[0].id, ROWS[i].id);
        json_decref(o);
        findings_deinit(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wrong_with_the_database_has_its_number),
        cmocka_unit_test(a_good_agent_is_good),
        cmocka_unit_test(what_status_calls_unhealthy_fails),
        cmocka_unit_test(each_state_of_a_replica),
        cmocka_unit_test(a_replica_that_the_agent_lacks),
        cmocka_unit_test(the_trip_is_good_when_it_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
