/* SPDX-License-Identifier: MIT
 *
 * prom: see prom.h.
 */
#include "store/base/prom.h"

#include <stdbool.h>
#include <stdint.h>

void prom_head(FILE *out, const char *name, const char *type, const char *help)
{
    (void)fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void prom_label(FILE *out, const char *name, const char *value)
{
    (void)fprintf(out, "%s=\"", name);
    for (; *value != '\0'; value++) {
        if (*value == '\\' || *value == '"') {
            (void)fputc('\\', out);
        }
        (void)fputs(*value == '\n' ? "\\n" : (char[]){*value, '\0'}, out);
    }
    (void)fputc('"', out);
}

void prom_end(FILE *out, double number)
{
    static const double EXACT = 9007199254740992.0; /* 2^53 */
    bool count = number > -EXACT && number < EXACT &&
                 !((double)(int64_t)number < number) &&
                 !((double)(int64_t)number > number);

    (void)fprintf(out, count ? "} %.0f\n" : "} %.15g\n", number);
}
