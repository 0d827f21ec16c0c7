/* SPDX-License-Identifier: MIT
 *
 * prom: pieces of a text of metrics for Prometheus.
 *
 * https://prometheus.io/docs/instrumenting/exposition_formats/ (0.0.4)
 */
#pragma once

#include <stdio.h>

/* "# HELP NAME HELP" and "# TYPE NAME TYPE". */
void prom_head(FILE *out, const char *name, const char *type, const char *help);
/* NAME="VALUE" with what must be escaped; the value is UTF-8. */
void prom_label(FILE *out, const char *name, const char *value);
/* "} NUMBER" and a newline: counts to the last digit, times as they were given.
 */
void prom_end(FILE *out, double number);
