/* SPDX-License-Identifier: MIT
 *
 * events_since: from when on events are asked for, as people write it. */
#pragma once

#include <stdint.h>

#include "store/base/err.h"

struct events_since {
    uint64_t number; /* 0: by the time */
    int64_t ns;      /* by the wall clock */
};

/* "8h" (ago), "22:00", "2026-01-31 22:00", "2026-01-31" (of this host's zone;
 * with a Z at the end of UTC; a time of day is the last one; with a fraction of
 * a second as the log has it), or a number. ERR_INVALID says what may be
 * written. */
int events_since_parse(const char *text, int64_t now_ns,
                       struct events_since *out, struct err *err) MUSTCHECK;
