/* SPDX-License-Identifier: MIT
 *
 * render_key: where a key is, as text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/cli/render/render.h"

static void expect(const char *in, const char *want)
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
    render_key(out, o);
    (void)fclose(out);
    assert_string_equal(text, want);
    json_decref(o);
    free(text);
}

static void test_each_replica_has_a_line_and_hints_follow(void **state)
{
    (void)state;
    expect("{\"table\":\"users\",\"key\":\"al ice\",\"state\":\"present\","
           "\"table_here\":true,\"size\":214,\"changed\":\"2026-01-31T12:00:00."
           "000000001Z\","
           "\"digest\":\"00ff\",\"primary\":{\"state\":\"has\",\"error\":null},"
           "\"file\":{\"state\":\"present\",\"as_read\":true,\"pid\":12,"
           "\"comm\":\"vim\"},\"replicas\":["
           "{\"name\":\"eu-1\",\"state\":\"has\",\"error\":null},"
           "{\"name\":\"eu-2\",\"state\":\"locked\",\"pending_s\":12,"
           "\"ahead\":3,\"error\":{\"id\":312,\"text\":\"locked by x\","
           "\"hint\":\"look\"}},"
           "{\"name\":\"eu-3\",\"state\":\"pending\",\"pending_s\":1,"
           "\"ahead\":null,\"error\":{\"text\":\"on its way\"}}]}",
           "'users/al ice': 214 B, changed 2026-01-31T12:00:00.000Z, digest "
           "00ff\n"
           "  locked here now by vim (pid 12)\n"
           "REPLICA  STATE    PENDING  WHY\n"
           "eu-1     has it   -\n"
           "eu-2     locked   12.0 s   DR-312 locked by x, 3 changes before "
           "it\n"
           "eu-3     pending  1.0 s    on its way, very many changes before "
           "it\n"
           "      HINT: look\n");
}

static void test_a_young_file_has_its_time_from_disk(void **state)
{
    (void)state;
    expect("{\"table\":\"t\",\"key\":\"k\",\"state\":\"present\",\"size\":1,"
           "\"digest\":\"00\",\"changed\":null,\"file\":{\"state\":"
           "\"present\",\"as_read\":null,\"changed\":\"2026-01-31T12:00:00."
           "000000001Z\"},"
           "\"replicas\":[]}",
           "t/k: 1 B, changed 2026-01-31T12:00:00.000Z, digest 00\n");
}

static void test_what_is_on_disk_is_told_where_it_is_news(void **state)
{
    (void)state;
    expect("{\"table\":\"\",\"key\":\"k\",\"state\":\"absent\","
           "\"table_here\":true,\"primary\":{\"error\":null},\"file\":{"
           "\"state\":\"present\",\"as_read\":false,\"size\":1},"
           "\"replicas\":[{\"name\":\"r\",\"state\":\"held\",\"error\":null}]}",
           "k: no such key here\n"
           "  on disk now: 1 B; the agent has yet to read that\n"
           "REPLICA  STATE           PENDING  WHY\n"
           "r        delete is held  -\n");
    expect("{\"table\":\"t\",\"key\":\"k\",\"state\":\"absent\","
           "\"table_here\":false,\"file\":{\"state\":\"unknown\",\"error\":"
           "\"no\"},\"replicas\":[]}",
           "t/k: no such table here\n"
           "  not looked at on disk: no\n");
    expect("{\"table\":\"t\",\"key\":\"k\",\"state\":\"unknown\","
           "\"primary\":{\"error\":{\"id\":107,\"text\":\"locked\","
           "\"hint\":\"wait\"}},\"file\":{\"state\":\"absent\",\"as_read\":"
           "true},\"replicas\":[]}",
           "t/k: not known here yet\n"
           "  DR-107 locked\n"
           "      HINT: wait\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_replica_has_a_line_and_hints_follow),
        cmocka_unit_test(test_a_young_file_has_its_time_from_disk),
        cmocka_unit_test(test_what_is_on_disk_is_told_where_it_is_news),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
