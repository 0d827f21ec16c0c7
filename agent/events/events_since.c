/* SPDX-License-Identifier: MIT
 *
 * events_since: see events_since.h. */
#include "agent/events/events_since.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/base/clock.h"
#include "store/base/quote.h"

enum { DAY_S = 24 * 3600 };

static const struct form {
    const char *form;
    bool dated;
} FORMS[] = {
    {"%Y-%m-%d %H:%M:%S", true},
    {"%Y-%m-%dT%H:%M:%S", true},
    {"%Y-%m-%d %H:%M", true},
    {"%Y-%m-%dT%H:%M", true},
    {"%Y-%m-%d", true},
    {"%H:%M:%S", false},
    {"%H:%M", false},
};

/* The day before, whose length a change of summer time may make another. */
static time_t a_day_before(struct tm tm)
{
    tm.tm_mday--;
    tm.tm_isdst = -1;
    return mktime(&tm);
}

static void set_today_utc(struct tm *tm, time_t now)
{
    (void)gmtime_r(&now, tm);
    tm->tm_hour = tm->tm_min = tm->tm_sec = 0;
}

static bool has_seconds(const struct form *f)
{
    return strstr(f->form, "%S") != NULL;
}

/* ".758", as the log has it, which is in that second. */
static const char *behind_fraction(const char *end)
{
    size_t digits = *end == '.' ? strspn(end + 1, "0123456789") : 0;

    return digits > 0 ? end + 1 + digits : end;
}

/* By one of the forms; false: it is written in another. */
static bool parse_as(const struct form *f, const char *text, time_t now,
                     time_t *out)
{
    struct tm tm;

    (void)localtime_r(&now, &tm);
    tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
    tm.tm_isdst = -1;
    size_t len = strlen(text);
    bool is_utc = len > 0 && text[len - 1] == 'Z';
    if (is_utc && !f->dated) {
        set_today_utc(&tm, now);
    }
    const char *end = strptime(text, f->form, &tm);
    end = end != NULL && has_seconds(f) ? behind_fraction(end) : end;
    if (end == NULL || strcmp(end, is_utc ? "Z" : "") != 0) {
        return false;
    }
    struct tm given = tm;
    *out = is_utc ? timegm(&tm) : mktime(&tm);
    if (tm.tm_mday != given.tm_mday) {
        return false; /* there is no such day */
    }
    if (!f->dated && *out > now) {
        *out = is_utc ? *out - DAY_S : a_day_before(given);
    }
    return true;
}

static bool parse_moment(const char *text, time_t now, time_t *out)
{
    for (size_t i = 0; i < sizeof FORMS / sizeof *FORMS; i++) {
        if (parse_as(&FORMS[i], text, now, out)) {
            return true;
        }
    }
    return false;
}

int events_since_parse(const char *text, int64_t now_ns,
                       struct events_since *out, struct err *err)
{
    int64_t ago_ns;
    time_t at;

    *out = (struct events_since){0};
    size_t digits = strspn(text, "0123456789");
    if (digits > 0 && digits < 19 && text[digits] == '\0') {
        out->number = strtoull(text, NULL, 10);
    } else if (units_parse_duration(text, &ago_ns, err) == 0) {
        out->ns = now_ns - ago_ns;
    } else if (parse_moment(text, (time_t)(now_ns / NS_PER_S), &at)) {
        out->ns = (int64_t)at * NS_PER_S;
    } else {
        return err_set(err, ERR_INVALID, 0,
                       "%s: write how long ago (8h), a time (22:00, "
                       "'2026-01-31 22:00') or an event's number",
                       QUOTED_STR(text));
    }
    return 0;
}
