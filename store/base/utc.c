/* SPDX-License-Identifier: MIT
 *
 * utc: see utc.h. */
#include "store/base/utc.h"

#include <stdio.h>
#include <time.h>

#include "store/base/clock.h"

/* Without the zone; empty for a year that no calendar has. */
static size_t put(int64_t s, char out[UTC_TEXT_BYTES])
{
    time_t t = (time_t)s;
    struct tm tm;

    return gmtime_r(&t, &tm) == NULL
               ? 0
               : strftime(out, UTC_TEXT_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
}

char *utc_text(int64_t ns, char out[UTC_TEXT_BYTES])
{
    size_t n = put(ns / NS_PER_S, out);

    (void)snprintf(out + n, UTC_TEXT_BYTES - n, ".%03dZ",
                   (int)(ns % NS_PER_S / NS_PER_MS));
    return out;
}

char *utc_nano(int64_t ns, char out[UTC_TEXT_BYTES])
{
    size_t n = put(ns / NS_PER_S, out);

    (void)snprintf(out + n, UTC_TEXT_BYTES - n, ".%09dZ", (int)(ns % NS_PER_S));
    return out;
}

char *utc_second(int64_t s, char out[UTC_TEXT_BYTES])
{
    size_t n = put(s, out);

    (void)snprintf(out + n, UTC_TEXT_BYTES - n, "Z");
    return out;
}
