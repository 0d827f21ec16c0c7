/* SPDX-License-Identifier: MIT
 *
 * prom: what a reader of metrics takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "store/base/prom.h"

static void a_family_is_text_as_prometheus_reads_it(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);

    prom_head(f, "x_total", "counter", "Of x.");
    (void)fputs("x_total{", f);
    prom_label(f, "path", "a\"b\\c\nd \xc3\xa4");
    prom_end(f, 9007199254740991.0);
    (void)fputs("y{", f);
    prom_end(f, 0.25);
    (void)fputs("z{", f);
    prom_end(f, -2);
    (void)fclose(f);
    assert_string_equal(text, "# HELP x_total Of x.\n"
                              "# TYPE x_total counter\n"
                              "x_total{path=\"a\\\"b\\\\c\\nd \xc3\xa4\"} "
                              "9007199254740991\n"
                              "y{} 0.25\n"
                              "z{} -2\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_family_is_text_as_prometheus_reads_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
