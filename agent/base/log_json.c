/* SPDX-License-Identifier: MIT
 *
 * log_json: see log_json.h. */
#include "agent/base/log_json.h"

#include "store/base/utc.h"

void log_json(struct json_out *j, int64_t time_ns, const struct log_record *r)
{
    json_text(j, "time", UTC_TEXT(time_ns));
    json_text(j, "level", log_level_word(r->level));
    json_text(j, "event", r->event);
    if (r->replica != NULL) {
        json_text(j, "replica", r->replica);
    }
    if (r->dr != 0) {
        json_int(j, "dr", r->dr);
    }
    json_bytes(j, "text", r->text, r->len);
}
