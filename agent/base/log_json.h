/* SPDX-License-Identifier: MIT
 *
 * log_json: a line of the log as members of a JSON object, the same in the log
 * itself and in the record of events:
 *
 *   "time" (RFC 3339), "level", "event", "replica" (if it is of one), "dr" (if
 *   it has a number), "text" */
#pragma once

#include <stdint.h>

#include "agent/base/log.h"
#include "store/base/json_out.h"

void log_json(struct json_out *j, int64_t time_ns, const struct log_record *r);
