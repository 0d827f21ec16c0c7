/* SPDX-License-Identifier: MIT
 *
 * metrics: the agent's state as text for Prometheus and what understands it.
 *
 * One table of families, each a path into the object of `status` (control.h),
 * so that the numbers are the ones that status shows.  No label is a key's or a
 * table's name: a database has a fixed number of series, and each replica some
 * forty more.  What is not known has no sample.
 *
 * Formats: https://prometheus.io/docs/instrumenting/exposition_formats/ (0.0.4)
 * and https://github.com/prometheus/OpenMetrics (1.0.0).
 */
#pragma once

#include <jansson.h>
#include <stddef.h>

enum metrics_format {
    METRICS_PROMETHEUS, /* also for the textfile collector of node_exporter */
    METRICS_OPENMETRICS,
};

/* The value of Content-Type. */
const char *metrics_content_type(enum metrics_format format);

/* The metrics of a status object, a new string of *len_out bytes; NULL: out of
 * memory. */
char *metrics_text(const json_t *status, enum metrics_format format,
                   size_t *len_out);
