/* SPDX-License-Identifier: MIT
 *
 * fresh_age: see fresh_age.h. */
#include "store/layout/fresh_age.h"

#include "store/base/clock.h"

/* What a clock that NTP keeps may go back. */
#define SLACK_NS NS_PER_S

int64_t fresh_age_ns(const struct stat *st, int64_t now_ns)
{
    int64_t by_primary_ns = now_ns - clock_of_timespec(st->st_mtim);
    int64_t by_word_ns = now_ns - clock_of_timespec(st->st_ctim);

    if (by_word_ns < -SLACK_NS) {
        return FRESH_AGE_UNKNOWN;
    }
    by_word_ns = by_word_ns > 0 ? by_word_ns : 0;
    return by_primary_ns > by_word_ns ? by_primary_ns : by_word_ns;
}
