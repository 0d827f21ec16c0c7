/* SPDX-License-Identifier: MIT
 *
 * config_value: one setting's text into its field, by the table of
 * config_keys.h.  Nothing here knows of files or lines: the caller puts them in
 * front of the message.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/listen_address.h"
#include "agent/config/config.h"
#include "agent/config/config_keys.h"
#include "agent/config/config_text.h"
#include "store/base/cleanup.h"
#include "store/base/clock.h"
#include "store/base/quote.h"

#define DATABASE_ROW(name, type, when, field, min, max, preset, help)          \
    {"database",                                                               \
     name,                                                                     \
     SETTING_##type,                                                           \
     SETTING_##when,                                                           \
     offsetof(struct config, field),                                           \
     (min),                                                                    \
     (max),                                                                    \
     preset,                                                                   \
     help},
#define REPLICA_ROW(name, type, when, field, min, max, preset, help)           \
    {"replica",                                                                \
     name,                                                                     \
     SETTING_##type,                                                           \
     SETTING_##when,                                                           \
     offsetof(struct config_replica, field),                                   \
     (min),                                                                    \
     (max),                                                                    \
     preset,                                                                   \
     help},

const struct setting CONFIG_SETTINGS[] = {
    CONFIG_DATABASE_SETTINGS(DATABASE_ROW) CONFIG_REPLICA_SETTINGS(REPLICA_ROW){
        NULL, NULL, SETTING_TEXT, SETTING_LIVE, 0, 0, 0, NULL, NULL},
};

const struct setting *config_setting(const char *section, const char *name)
{
    for (const struct setting *s = CONFIG_SETTINGS; s->name != NULL; s++) {
        if (strcmp(s->section, section) == 0 && strcmp(s->name, name) == 0) {
            return s;
        }
    }
    return NULL;
}

bool config_name_is_good(const char *name)
{
    static const char GOOD[] = "abcdefghijklmnopqrstuvwxyz"
                               "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t len = strlen(name);

    return len > 0 && len <= 64 && name[0] != '.' && name[0] != '-' &&
           strspn(name, GOOD) == len;
}

/* --- values by type ------------------------------------------------------ */

static int set_text(void *field, const char *text, struct err *err)
{
    char *copy = strdup(text);

    if (copy == NULL) {
        return err_set(err, ERR_NOMEM, 0, "out of memory");
    }
    free(*(char **)field);
    *(char **)field = copy;
    return 0;
}

static int set_path(void *field, const char *text, const char *dir,
                    struct err *err)
{
    CLEANUP(freep) char *joined = NULL;

    if (text[0] == '/' || text[0] == '\0') {
        return set_text(field, text, err);
    }
    if (asprintf(&joined, "%s/%s", dir, text) < 0) {
        joined = NULL;
        return err_set(err, ERR_NOMEM, 0, "out of memory");
    }
    return set_text(field, joined, err);
}

/* Decimal digits only, to the end of the text or to `end`. */
static int parse_digits(const char *text, const char *end, uint64_t *out,
                        struct err *err)
{
    uint64_t n = 0;
    size_t len = strspn(text, "0123456789");
    const char *unit = text + len + strspn(text + len, " \t");

    if (len == 0 || strcmp(unit, end) != 0) {
        return err_set(err, ERR_INVALID, 0, "%s: write a number%s%s",
                       QUOTED_STR(text), end[0] != '\0' ? " followed by " : "",
                       end);
    }
    for (size_t i = 0; i < len; i++) {
        if (n > (UINT64_MAX - 9) / 10) {
            return err_set(err, ERR_INVALID, 0, "%s: too large",
                           QUOTED_STR(text));
        }
        n = n * 10 + (uint64_t)(text[i] - '0');
    }
    *out = n;
    return 0;
}

static char *limit_text(char *out, size_t room, const struct setting *s,
                        uint64_t n)
{
    char unit[UNITS_TEXT_BYTES];

    switch (s->type) {
    case SETTING_DURATION:
        (void)snprintf(out, room, "%s",
                       units_duration(unit, (int64_t)n * NS_PER_MS));
        break;
    case SETTING_SIZE:
    case SETTING_BUFFER:
        (void)snprintf(out, room, "%s", units_bytes(unit, n));
        break;
    case SETTING_PERCENT:
        (void)snprintf(out, room, "%" PRIu64 "%%", n);
        break;
    case SETTING_TEXT:
    case SETTING_PATH:
    case SETTING_FAR_PATH:
    case SETTING_HOST:
    case SETTING_ACCOUNT:
    case SETTING_COMMAND:
    case SETTING_LISTEN:
    case SETTING_NAME:
    case SETTING_COUNT:
    case SETTING_PORT:
    case SETTING_BOOL:
    case SETTING_RELAXED:
    case SETTING_TRANSPORT:
        (void)snprintf(out, room, "%" PRIu64, n);
        break;
    }
    return out;
}

static int check_range(const struct setting *s, const char *text, uint64_t n,
                       struct err *err)
{
    char low[48];
    char high[48];

    if (n >= s->min && n <= s->max) {
        return 0;
    }
    return err_set(err, ERR_INVALID, 0, "%s: must be from %s to %s",
                   QUOTED_STR(text), limit_text(low, sizeof low, s, s->min),
                   limit_text(high, sizeof high, s, s->max));
}

static int parse_number(const struct setting *s, const char *text,
                        uint64_t *out, struct err *err)
{
    int64_t ns;
    int rc;

    if (s->type == SETTING_DURATION) {
        rc = units_parse_duration(text, &ns, err);
        if (rc == 0 && ns % NS_PER_MS != 0) {
            return err_set(err, ERR_INVALID, 0, "%s: finer than 1ms",
                           QUOTED_STR(text));
        }
        *out = rc == 0 ? (uint64_t)(ns / NS_PER_MS) : 0;
    } else if (s->type == SETTING_SIZE || s->type == SETTING_BUFFER) {
        rc = units_parse_size(text, out, err);
    } else if (s->type == SETTING_PERCENT) {
        rc = parse_digits(text, "%", out, err);
    } else {
        rc = parse_digits(text, "", out, err);
    }
    return rc == 0 ? check_range(s, text, *out, err) : rc;
}

static int set_word(const char *text, const char *no, const char *yes,
                    bool *out, struct err *err)
{
    if (strcmp(text, no) != 0 && strcmp(text, yes) != 0) {
        return err_set(err, ERR_INVALID, 0, "%s: write %s or %s",
                       QUOTED_STR(text), yes, no);
    }
    *out = strcmp(text, yes) == 0;

    return 0;
}

static int set_number(const struct setting *s, void *field, const char *text,
                      struct err *err)
{
    uint64_t n = 0;
    int rc = parse_number(s, text, &n, err);

    if (rc < 0) {
        return rc;
    }
    switch (s->type) {
    case SETTING_DURATION:
        *(int64_t *)field = (int64_t)n;
        return 0;
    case SETTING_SIZE:
    case SETTING_COUNT:
        *(uint64_t *)field = n;
        return 0;
    case SETTING_BUFFER:
        *(int *)field = (int)n;
        return 0;
    case SETTING_PERCENT:
        *(unsigned *)field = (unsigned)n;
        return 0;
    case SETTING_PORT:
        *(uint16_t *)field = (uint16_t)n;
        return 0;
    case SETTING_TEXT:
    case SETTING_PATH:
    case SETTING_FAR_PATH:
    case SETTING_HOST:
    case SETTING_ACCOUNT:
    case SETTING_COMMAND:
    case SETTING_LISTEN:
    case SETTING_NAME:
    case SETTING_BOOL:
    case SETTING_RELAXED:
    case SETTING_TRANSPORT:
        break;
    }
    return err_set(err, ERR_INVALID, 0, "not a number");
}

int config_set(const struct setting *s, void *object, const char *text,
               const char *dir, struct err *err)
{
    void *field = (char *)object + s->offset;

    if (config_check_text(s->type, text, err) < 0) {
        return err->code;
    }
    switch (s->type) {
    case SETTING_TEXT:
    case SETTING_FAR_PATH:
    case SETTING_HOST:
    case SETTING_ACCOUNT:
    case SETTING_COMMAND:
        return set_text(field, text, err);
    case SETTING_LISTEN:
        return listen_address_parse(text, &(struct listen_address){0}, err) < 0
                   ? err->code
                   : set_text(field, text, err);
    case SETTING_PATH:
        return set_path(field, text, dir, err);
    case SETTING_NAME:
        if (!config_name_is_good(text)) {
            return err_set(err, ERR_INVALID, 0,
                           "%s: a name has letters, digits, '.', '_' and '-' "
                           "only, and at most 64 of them",
                           QUOTED_STR(text));
        }
        return set_text(field, text, err);
    case SETTING_BOOL:
        return set_word(text, "no", "yes", field, err);
    case SETTING_RELAXED:
        return set_word(text, "durable", "relaxed", field, err);
    case SETTING_TRANSPORT:
        return set_word(text, "libssh2", "openssh", field, err);
    case SETTING_DURATION:
    case SETTING_SIZE:
    case SETTING_BUFFER:
    case SETTING_COUNT:
    case SETTING_PERCENT:
    case SETTING_PORT:
        return set_number(s, field, text, err);
    }
    return err_set(err, ERR_INVALID, 0, "unknown kind of setting");
}

/* --- values as text ------------------------------------------------------ */

/* A number in the unit of what is stored. */
static uint64_t number_of(const struct setting *s, const void *field)
{
    switch (s->type) {
    case SETTING_DURATION:
        return (uint64_t) * (const int64_t *)field;
    case SETTING_SIZE:
    case SETTING_COUNT:
        return *(const uint64_t *)field;
    case SETTING_BUFFER:
        return (uint64_t) * (const int *)field;
    case SETTING_PERCENT:
        return *(const unsigned *)field;
    case SETTING_PORT:
        return *(const uint16_t *)field;
    case SETTING_BOOL:
    case SETTING_RELAXED:
    case SETTING_TRANSPORT:
        return *(const bool *)field;
    case SETTING_TEXT:
    case SETTING_PATH:
    case SETTING_FAR_PATH:
    case SETTING_HOST:
    case SETTING_ACCOUNT:
    case SETTING_COMMAND:
    case SETTING_LISTEN:
    case SETTING_NAME:
        break;
    }
    return 0;
}

static bool is_text(const struct setting *s)
{
    switch (s->type) {
    case SETTING_TEXT:
    case SETTING_PATH:
    case SETTING_FAR_PATH:
    case SETTING_HOST:
    case SETTING_ACCOUNT:
    case SETTING_COMMAND:
    case SETTING_LISTEN:
    case SETTING_NAME:
        return true;
    case SETTING_DURATION:
    case SETTING_SIZE:
    case SETTING_BUFFER:
    case SETTING_COUNT:
    case SETTING_PERCENT:
    case SETTING_PORT:
    case SETTING_BOOL:
    case SETTING_RELAXED:
    case SETTING_TRANSPORT:
        break;
    }
    return false;
}

bool config_setting_equal(const struct setting *s, const void *a, const void *b)
{
    const void *x = (const char *)a + s->offset;
    const void *y = (const char *)b + s->offset;

    return is_text(s) ? config_same_text(*(char *const *)x, *(char *const *)y)
                      : number_of(s, x) == number_of(s, y);
}

const char *config_setting_text(const struct setting *s, const void *object,
                                char *out, size_t room)
{
    const void *field = (const char *)object + s->offset;

    if (is_text(s)) {
        const char *text = *(char *const *)field;
        (void)snprintf(out, room, "\"%s\"", text != NULL ? text : "");
        return out;
    }
    return limit_text(out, room, s, number_of(s, field));
}
