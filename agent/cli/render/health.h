/* SPDX-License-Identifier: MIT
 *
 * health: the state of an agent in one line, as monitoring plugins give it:
 * a word, what is wrong first, and figures behind a bar.
 *
 * Convention: https://www.monitoring-plugins.org/doc/guidelines.html
 * Pure: a status object (control.h) in, text out.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "store/base/buf.h"

enum health_code {
    HEALTH_OK = 0,
    HEALTH_WARNING = 1,  /* on its way: a scan, a first copy, catching up */
    HEALTH_CRITICAL = 2, /* not healthy, or beyond a limit */
    HEALTH_UNKNOWN = 3,
};

/* CLI_NO_TIMEOUT or less: no limit. */
struct health_limits {
    int64_t lag_ns, silence_ns;
    int64_t blocked; /* keys */
};

const char *health_word(enum health_code code); /* "OK" */
/* Judges and appends the line, without a newline. */
enum health_code health_line(const json_t *status,
                             const struct health_limits *limits,
                             struct buf *line);
