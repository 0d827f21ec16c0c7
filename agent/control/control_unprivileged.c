/* SPDX-License-Identifier: MIT
 *
 * control_strangers: see control_unprivileged.h. */
#include "agent/control/control_unprivileged.h"

#include <stddef.h>
#include <string.h>

#include "store/base/clock.h"
#include "sync/errors/state.h"

enum {
    USER_SHARE = 50, /* one part of so many */
    ALL_SHARE = 10,
    AT_LEAST_NS = 100 * 1000, /* a request with its line and answer */
};
/* So far ahead of its share a user may be. */
#define BURST_NS ((uint64_t)NS_PER_S)

/* --- time ---------------------------------------------------------------- */

/* The user's place, or the one that has been paid for longest. */
static size_t place_of(const struct unprivileged *s, uid_t uid)
{
    size_t oldest = 0;

    for (size_t i = 0; i < UNPRIVILEGED_USERS; i++) {
        if (s->users[i].paid_ns != 0 && s->users[i].uid == uid) {
            return i;
        }
        if (s->users[i].paid_ns < s->users[oldest].paid_ns) {
            oldest = i;
        }
    }
    return oldest;
}

bool unprivileged_may(const struct unprivileged *s, uid_t uid, uint64_t now_ns)
{
    size_t i = place_of(s, uid);

    return s->all_paid_ns <= now_ns + BURST_NS &&
           (s->users[i].uid != uid || s->users[i].paid_ns <= now_ns + BURST_NS);
}

static void pay(uint64_t *paid_ns, uint64_t now_ns, uint64_t cost_ns)
{
    *paid_ns = (*paid_ns > now_ns ? *paid_ns : now_ns) + cost_ns;
}

void unprivileged_pay(struct unprivileged *s, uid_t uid, uint64_t now_ns,
                      uint64_t took_ns)
{
    size_t i = place_of(s, uid);

    if (took_ns < AT_LEAST_NS) {
        took_ns = AT_LEAST_NS;
    }
    if (s->users[i].uid != uid) {
        s->users[i].uid = uid;
        s->users[i].paid_ns = now_ns;
    }
    pay(&s->users[i].paid_ns, now_ns, took_ns * USER_SHARE);
    pay(&s->all_paid_ns, now_ns, took_ns * ALL_SHARE);
}

/* --- words --------------------------------------------------------------- */

/* An ERROR, as control.h has it. */
static bool is_error(const json_t *o)
{
    return json_is_string(json_object_get(o, "text")) &&
           json_object_get(o, "id") != NULL;
}

static bool blunt_error(json_t *o)
{
    json_int_t id = json_integer_value(json_object_get(o, "id"));
    const char *text = dr_text((int)id);

    return json_object_set_new(
               o, "text",
               json_string(text[0] != '\0' ? text : "it has failed")) == 0 &&
           json_object_set_new(o, "hint", json_string(dr_hint((int)id))) == 0;
}

/* Lists of names; "tables" is also a number of them. */
static void drop_names(json_t *o)
{
    static const char *const names[] = {"table", "table_b64", "key", "key_b64",
                                        "names"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)json_object_del(o, names[i]);
    }
    if (json_is_array(json_object_get(o, "tables"))) {
        (void)json_object_del(o, "tables");
    }
}

static bool blunt(json_t *value)
{
    const char *name;
    json_t *inner;
    size_t i;
    bool ok = true;

    if (json_is_object(value)) {
        drop_names(value);
        ok = !is_error(value) || blunt_error(value);
        json_object_foreach(value, name, inner) {
            ok = ok && blunt(inner);
        }
    }
    json_array_foreach(value, i, inner) {
        ok = ok && blunt(inner);
    }
    return ok;
}

json_t *unprivileged_view(json_t *answer)
{
    /* Parts of it may be others' too. */
    json_t *copy = json_deep_copy(answer);

    json_decref(answer);
    if (copy != NULL && !blunt(copy)) {
        json_decref(copy);
        return NULL;
    }
    return copy;
}
